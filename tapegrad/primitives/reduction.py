"""Reductions."""
from __future__ import annotations
import numpy as np
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import RECORDS, primitive


def normal_axes(axis, ndim, name):
    """Axes as a sorted tuple of non-negative ints."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(np.lib.array_utils.normalize_axis_tuple(axes, ndim, argname=name)))


def reduced_shape(shape, axes, keepdims):
    if keepdims:
        return tuple(1 if d in axes else n for d, n in enumerate(shape))
    return tuple(n for d, n in enumerate(shape) if d not in axes)


@primitive()
class sum:
    """Sum over axes."""
    accumulates = True

    def infer(specs, attrs):
        (x,) = specs
        return spec_of(reduced_shape(x.shape, attrs["axis"], attrs["keepdims"]), x.dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..vm.bridge import loop_address
        code, spec = out
        (source, x), = operands
        flags = emitter.flags
        c = spec.dtype.char
        from ..tape.lower import Emitter
        kept = spec_of(reduced_shape(x.shape, attrs["axis"], True), spec.dtype)
        if spec.size == 1 and emitter._inline(op.SUM, out, operands, x.shape):
            return
        if flags:
            emitter.flags = op.ONLY_ACCUMULATES
        else:
            emitter.zero(out)
        loop = loop_address(np.add, f"{c}{c}->{c}")
        emitter.loop(loop, (code, kept), [(code, kept), operands[0]], shape=x.shape, accumulate=(*loop, True))
        emitter.flags = flags

    def compute(x, axis, keepdims):
        return np.sum(x, axis=axis, keepdims=keepdims)

    def pullback(y_bar, y, x, axis, keepdims):
        return RECORDS["broadcast_to"](y_bar, x._spec.shape, axis, keepdims)
