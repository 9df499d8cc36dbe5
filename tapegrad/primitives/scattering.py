"""Elements combined at places that a key selects: products and extrema, where several meet or with what stood there."""

from __future__ import annotations

import numpy as np

from ..vm import opcodes as op
from .batched_keys import KeyOverBatch
from .batching import one_by_one
from .core import lift, ops, primitive
from .indexing import _has_bools, _thaw, gather, gathered_shape, scatter_add
from .keys import ARRAY

__all__ = ["combine_at"]

_UFUNCS = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}
_X = np.array([1.5, -2.0, 3.0, 0.5])
_PLACES = np.array([2, 0, 2])


def _neutral(how, dtype):
    """What leaves every operand as it is."""
    if how == "prod":
        return 1
    if dtype.kind == "f":
        return -np.inf if how == "amax" else np.inf
    bounds = np.iinfo(dtype)
    return bounds.min if how == "amax" else bounds.max


@primitive()
class combine_at:
    """A copy of x with elements of v combined into it at ``[key]``, without what x has there unless it is `own`."""

    samples = (
        ((_X, np.array([2.0, -0.5, 4.0]), _PLACES), {"key": (ARRAY,), "how": "prod", "own": True}),
        ((_X, np.array([2.0, 0.0, 4.0]), _PLACES), {"key": (ARRAY,), "how": "prod", "own": True}),
        ((_X, np.array([2.0, -0.5, 4.0]), _PLACES), {"key": (ARRAY,), "how": "prod", "own": False}),
        ((_X, np.array([2.0, -0.5, 4.0]), _PLACES), {"key": (ARRAY,), "how": "amax", "own": True}),
        ((_X, np.array([2.0, -0.5, 4.0]), _PLACES), {"key": (ARRAY,), "how": "amin", "own": False}),
    )

    def infer(specs, attrs):
        x, v = specs[:2]
        shape = gathered_shape(x.shape, attrs["key"], specs[2:])
        if v.shape != shape or v.dtype != x.dtype:
            raise ValueError(f"combine_at: {v!r} does not fit what is selected of {x!r}, of shape {shape}")
        return x.dense, op.KERNEL

    def compute(x, v, *indices, key, how, own):
        where, y = _thaw(key, indices), np.array(x)
        if not own:
            y[where] = _neutral(how, x.dtype)
        _UFUNCS[how].at(y, where, v)
        return y

    def pullback(y_bar, y, x, v, *indices, key, how, own):
        dtype = x._spec.dtype

        def at(z):
            return gather(z, *indices, key=key, unique=False)

        def total(z):
            return scatter_add(z, *indices, shape=x._spec.shape, key=key, unique=False)

        takes_part = lift(own) | (total(lift(np.ones(v._spec.shape, dtype))) == 0.0)
        if how == "prod":
            no_x, no_v = (x == 0.0) & takes_part, v == 0.0
            count = lift(no_x, dtype) + total(lift(no_v, dtype))
            zeros = ops.where(no_x, x, 0.0) + total(ops.where(no_v, v, 0.0))
            some_x, some_v = ops.where(takes_part & ~no_x, x, 1.0), ops.where(no_v, 1.0, v)
            product = combine_at(some_x, some_v, *indices, key=key, how="prod", own=True)
            x_rest = product / some_x * _other_zeros(x, no_x, count, zeros)
            v_rest = at(product) / some_v * _other_zeros(v, no_v, at(count), at(zeros))
            if dtype.kind == "c":
                x_rest, v_rest = ops.conjugate(x_rest), ops.conjugate(v_rest)
            x_bar = ops.where(takes_part, y_bar * x_rest, 0.0)
            return x_bar, at(y_bar) * v_rest, *[None] * len(indices)
        # operands that tie share the cotangent, as in PyTorch's scatter_reduce
        x_ties, v_ties = lift((x == y) & takes_part, dtype), lift(v == at(y), dtype)
        shared = y_bar / (x_ties + total(v_ties))
        return shared * x_ties, at(shared) * v_ties, *[None] * len(indices)

    def batching(row):
        if _has_bools(row):
            return one_by_one(row)
        key = KeyOverBatch(row, 2, row.specs[0].ndim, True)
        return row.again([row.whole(0), key.fitted(row.whole(1)), *key.indices], key=key.form)


def _other_zeros(factor, is_zero, count, zeros):
    """Product of the factors that are zero, but for one factor; from their number and their sum, which has a slope."""
    others = count - lift(is_zero, factor._spec.dtype)
    alone = zeros - ops.where(is_zero, factor, 0.0)
    return ops.where(others == 0.0, 1.0, ops.where(others == 1.0, alone, 0.0))
