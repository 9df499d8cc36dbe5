"""Ranges of numbers whose ends are tensors."""

from __future__ import annotations

import numpy as np

from .core import implements, lift, ops
from .layout import view_of_function
from .shape import cast, insert_axis, reshape_to

__all__ = ["numpy_linspace"]


def _ends(start, stop):
    weak = [x if type(x) in (int, float, complex) else lift(x)._spec.dtype for x in (start, stop)]
    dtype = np.result_type(*weak, float(1))
    return cast(lift(start), dtype), cast(lift(stop), dtype)


@implements(np.linspace)
def numpy_linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    """`numpy.linspace`."""
    num = int(num)
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    start, stop = _ends(start, stop)
    parts = num - 1 if endpoint else num
    span = stop - start
    step = span / float(parts) if parts > 0 else span * np.nan
    at = np.arange(num, dtype=span._spec.dtype).reshape((-1, *(1,) * span._spec.ndim))
    if parts > 0:
        y = at * insert_axis(step, 0) + insert_axis(start, 0)
        if endpoint and num > 1:
            last = np.zeros(at.shape, np.bool_)
            last[-1] = True
            y = ops.where(last, insert_axis(stop, 0), y)
    else:
        y = at * insert_axis(span, 0) + insert_axis(start, 0)
    if axis != 0:
        y = view_of_function(np.moveaxis, "Permute", y, 0, axis)
    if dtype is not None:
        y = cast(ops.floor(y) if np.dtype(dtype).kind in "iu" else y, np.dtype(dtype))
    return (y, step) if retstep else y


@implements(np.logspace)
def numpy_logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    """`numpy.logspace`."""
    y = numpy_linspace(start, stop, num, endpoint, axis=axis)
    if np.ndim(base):
        base = lift(base)
        shape = list(np.broadcast_shapes(base._spec.shape, np.shape(start), np.shape(stop)))
        base = reshape_to(base, base._spec.shape)
        y = numpy_linspace(start + base * 0, stop, num, endpoint, axis=axis)
        base = insert_axis(base, axis if axis >= 0 else axis + len(shape) + 1)
    y = ops.power(base, y)
    return y if dtype is None else cast(y, np.dtype(dtype))


@implements(np.geomspace)
def numpy_geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """`numpy.geomspace`, between ends of one sign."""
    start, stop = (cast(x, np.result_type(x._spec.dtype, np.float64)) for x in _ends(start, stop))
    sign = ops.sign(start)
    logs = numpy_linspace(ops.log(start / sign), ops.log(stop / sign), num, endpoint, axis=axis)
    y = ops.exp(logs) * (insert_axis(sign, axis) if sign._spec.ndim else sign)
    return y if dtype is None else cast(y, np.dtype(dtype))
