"""Reductions."""
from __future__ import annotations
import numpy as np
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import implements, lift, primitive
from .shape import expand_to, reshape_to


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
        ((_, x),) = operands
        flags = emitter.flags
        c = spec.dtype.char
        steps = iter(spec.strides)
        strides = tuple(
            (next(steps) if attrs["keepdims"] else 0) * 0 if d in attrs["axis"] else next(steps) for d in range(x.ndim)
        )
        kept = spec_of(reduced_shape(x.shape, attrs["axis"], True), spec.dtype, strides)
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
        shape = x._spec.shape
        return expand_to(reshape_to(y_bar, reduced_shape(shape, axis, True)), shape)


@implements(np.sum)
def numpy_sum(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.sum`."""
    x = lift(a, None if dtype is None else np.dtype(dtype))
    if x._spec.dtype.kind in "biu" and dtype is None:
        x = lift(x, np.sum(np.empty(0, x._spec.dtype)).dtype)
    if out is not None or initial is not None or where is not None:
        raise NotImplementedError("sum: out, initial and where are not supported; add them afterwards")
    return sum(x, axis=normal_axes(axis, x._spec.ndim, "axis"), keepdims=bool(keepdims))
