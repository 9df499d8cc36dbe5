"""Recursive filters; registered with SciPy's functions."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import one_by_one
from .core import BY_FUNCTION, ops, primitive
from .indexing import getitem
from .layout import view_of_function
from .matmul import conjugated

_SIGNAL = np.sin(1.0 + np.arange(12.0)).reshape(2, 6)


@primitive()
class recursion:
    """Recurrence along the last axis: y[n] = u[n] - sum of a[k] y[n - k] for k from 1."""

    samples = (
        ((np.array([0.5, -0.3]), _SIGNAL), {}),
        ((np.array([0.5]), _SIGNAL[0]), {}),
        ((np.array([0.1, -0.2, 0.3, 0.1, 0.05, 0.2, 0.1]), _SIGNAL), {}),
        ((np.array([0.5 + 0.1j, -0.3]), _SIGNAL * (1.0 + 0.5j)), {}),
    )

    def infer(specs, attrs):
        a, u = specs
        if a.ndim != 1 or u.ndim == 0 or a.dtype != u.dtype:
            raise ValueError(f"recursion: a vector and a signal of one dtype are needed, not {a!r} and {u!r}")
        return spec_of(u.shape, u.dtype), op.KERNEL

    def compute(a, u):
        from scipy.signal import lfilter

        return lfilter(np.ones(1, u.dtype), np.concatenate([np.ones(1, a.dtype), a]), u)

    def pullback(y_bar, y, a, u):
        # u_bar obeys the conjugate recurrence backwards in time; a[k] multiplies what is k places earlier.
        u_bar = _backwards(recursion(conjugated(a), _backwards(y_bar)))
        n, parts = u._spec.shape[-1], []
        earlier = conjugated(y)
        for k in range(1, a._spec.size + 1):
            m = max(n - k, 0)
            parts.append(
                -ops.sum(
                    getitem(u_bar, (Ellipsis, slice(n - m, n))) * getitem(earlier, (Ellipsis, slice(0, m))),
                    axis=tuple(range(u._spec.ndim)),
                    keepdims=False,
                )
            )
        return BY_FUNCTION[np.stack](parts), u_bar

    def batching(row):
        return one_by_one(row) if row.mapped[0] else row.again(row.xs)


def _backwards(x):
    return view_of_function(np.flip, "Flip", x, x._spec.ndim - 1)
