"""NumPy's Bessel function."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import stacked
from .core import implements, lift, ops, primitive
from .scipy_loader import load

__all__: list[str] = []


@primitive()
class numpy_i0:
    """`numpy.i0`; its derivative, `scipy.special.i1`, needs SciPy."""

    batching = stacked
    grad_name = "I0"
    samples = [(np.array([0.0, 1.0, -10.0]),), (np.array([0.5, 2.0], "f"),)]

    def infer(specs, attrs):
        return spec_of(specs[0].shape, specs[0].dtype), op.KERNEL

    def compute(x):
        return np.i0(x)

    def pullback(y_bar, y, x):
        load()
        return y_bar * ops.i1(x)


@implements(np.i0)
def numpy_i0_function(x):
    """`numpy.i0`."""
    x = lift(x)
    if x._spec.dtype.kind == "c":
        raise TypeError("i0 not supported for complex values")
    return numpy_i0(x if x._spec.dtype.kind == "f" else lift(x, np.dtype(float)))
