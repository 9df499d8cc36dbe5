"""Joining arrays, and taking them apart."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from ..tape.handle import Tensor
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import BY_FUNCTION, implements, lift, ops, primitive
from .indexing import getitem
from .memo import keep_in_mind, recall
from .reduction import refuse
from .shape import cast, insert_axis, reshape_to

__all__ = ["numpy_concatenate", "numpy_stack"]

MOST = 48
"""Operands of one row; more are joined in groups."""


def _copy_parts(emitter, out, operands, windows, attrs, record):
    """Copy each operand into its window ``(byte offset, shape, strides)`` of the result."""
    from ..tape.lower import copy_loops

    code, y = out
    copy, _ = copy_loops(y)
    if copy is None or y.extent >= 2**31:
        emitter.call(record, attrs, out, operands)
        return
    for (source, x), (offset, shape, strides) in zip(operands, windows, strict=True):
        if x.size:
            target = code if offset == 0 else emitter.shifted(code, offset)
            emitter.loop(copy, (target, spec_of(shape, y.dtype, strides)), [(source, x)])


@primitive()
class concatenate:
    """Arrays joined along an axis that they have."""

    linear = True
    grad_name = "Cat"
    samples = (
        ((np.arange(6.0).reshape(2, 3), np.ones((1, 3))), {"axis": 0}),
        ((np.arange(6.0).reshape(2, 3), np.ones((2, 1)), np.zeros((2, 2))), {"axis": 1}),
        ((np.arange(3.0), np.ones(0)), {"axis": 0}),
        ((np.arange(4.0),), {"axis": 0}),
    )

    def infer(specs, attrs):
        axis, first = attrs["axis"], specs[0]
        shape = list(first.shape)
        shape[axis] = 0
        for s in specs:
            shape[axis] += s.shape[axis]
        return spec_of(tuple(shape), first.dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        axis, (_, y) = attrs["axis"], out
        windows, offset = [], 0
        for _, x in operands:
            windows.append((offset, x.shape, y.strides))
            offset += x.shape[axis] * y.strides[axis]
        _copy_parts(emitter, out, operands, windows, attrs, concatenate)

    def compute(*arrays, axis):
        return np.concatenate(arrays, axis=axis)

    def pullback(y_bar, y, *xs, axis):
        bars, start = [], 0
        lead = (slice(None),) * axis
        for x in xs:
            stop = start + x._spec.shape[axis]
            bars.append(getitem(y_bar, (*lead, slice(start, stop))))
            start = stop
        return bars


@primitive()
class stack:
    """Arrays of one shape joined along a new axis."""

    linear = True
    samples = (
        ((np.arange(3.0), np.ones(3)), {"axis": 0}),
        ((np.arange(6.0).reshape(2, 3), np.ones((2, 3))), {"axis": 2}),
        ((np.array(1.0), np.array(2.0), np.array(3.0)), {"axis": 0}),
    )

    def infer(specs, attrs):
        axis, first = attrs["axis"], specs[0]
        return spec_of((*first.shape[:axis], len(specs), *first.shape[axis:]), first.dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        axis, (_, y) = attrs["axis"], out
        step = y.strides[axis]
        strides = (*y.strides[:axis], *y.strides[axis + 1 :])
        windows = [(k * step, x.shape, strides) for k, (_, x) in enumerate(operands)]
        _copy_parts(emitter, out, operands, windows, attrs, stack)

    def compute(*arrays, axis):
        return np.stack(arrays, axis=axis)

    def pullback(y_bar, y, *xs, axis):
        lead = (slice(None),) * axis
        return [getitem(y_bar, (*lead, k)) for k in range(len(xs))]


def _joined_dtype(tensors, dtype):
    if dtype is not None:
        return np.dtype(dtype)
    first = tensors[0]._spec.dtype
    if all(t._spec.dtype == first for t in tensors):
        return first
    return np.result_type(*[t._spec.dtype for t in tensors])


def _join(record, tensors, axis):
    """Record in groups, so that a row never has too many operands."""
    parts = list(tensors)
    while True:
        groups = [parts[k : k + MOST] for k in range(0, len(parts), MOST)]
        joined = [record(*group, axis=axis) for group in groups]
        if len(joined) == 1:
            return joined[0]
        parts, record = joined, concatenate


def _recalled(function):
    """Have a function of several arrays, and an axis at most, look whether it has met such tensors before."""

    @functools.wraps(function)
    def quick(arrays, axis=0, *args, **kwargs):
        if args or kwargs or axis.__class__ is not int or arrays.__class__ not in (list, tuple):
            return function(arrays, axis, *args, **kwargs)
        y = recall((function, axis), arrays)
        if y is None:
            y = function(arrays, axis)
            if all([x.__class__ is Tensor for x in arrays]):
                keep_in_mind((function, axis), arrays, arrays, y)
        return y

    return quick


@implements(np.concatenate)
@_recalled
def numpy_concatenate(arrays, /, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """`numpy.concatenate`."""
    refuse("concatenate", out=out)
    tensors = [lift(a) for a in arrays]
    if axis is None:
        tensors = [reshape_to(t, (t._spec.size,)) for t in tensors]
        axis = 0
    shapes = [t._spec.shape for t in tensors]
    if not tensors or any(not s or s[:axis] != shapes[0][:axis] or len(s) != len(shapes[0]) for s in shapes):
        np.concatenate([np.broadcast_to(np.empty((), np.bool_), s) for s in shapes], axis)  # NumPy's own error
    axis = np.lib.array_utils.normalize_axis_index(axis, len(shapes[0]))
    if any(s[:axis] != shapes[0][:axis] or s[axis + 1 :] != shapes[0][axis + 1 :] for s in shapes):
        np.concatenate([np.broadcast_to(np.empty((), np.bool_), s) for s in shapes], axis)
    dtype = _joined_dtype(tensors, dtype)
    return _join(concatenate, [cast(t, dtype) for t in tensors], axis)


@implements(np.stack)
@_recalled
def numpy_stack(arrays, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """`numpy.stack`."""
    refuse("stack", out=out)
    tensors = [lift(a) for a in arrays]
    if not tensors:
        raise ValueError("need at least one array to stack")
    shape = tensors[0]._spec.shape
    if any(t._spec.shape != shape for t in tensors):
        raise ValueError("all input arrays must have the same shape")
    axis = np.lib.array_utils.normalize_axis_index(axis, len(shape) + 1)
    dtype = _joined_dtype(tensors, dtype)
    return _join(stack, [cast(t, dtype) for t in tensors], axis)


def _as_list(made):
    return list(made) if isinstance(made, tuple) else [made]


def _with_axes(a, least):
    """An array with so many axes at least; new ones come first."""
    x = lift(a)
    return x if x._spec.ndim >= least else x[(None,) * (least - x._spec.ndim)]


def _joined(parts, axis, dtype):
    return numpy_concatenate(parts, axis) if dtype is None else numpy_concatenate(parts, axis, dtype=dtype)


@implements(np.vstack)
def numpy_vstack(tup, *, dtype=None, casting="same_kind"):
    """`numpy.vstack`."""
    return _joined([_with_axes(a, 2) for a in tup], 0, dtype)


@implements(np.hstack)
def numpy_hstack(tup, *, dtype=None, casting="same_kind"):
    """`numpy.hstack`."""
    parts = [_with_axes(a, 1) for a in tup]
    return _joined(parts, 0 if parts and parts[0]._spec.ndim == 1 else 1, dtype)


@implements(np.dstack)
def numpy_dstack(tup):
    """`numpy.dstack`."""
    return numpy_concatenate(_as_list(BY_FUNCTION[np.atleast_3d](*tup)), 2)


@implements(np.column_stack)
def numpy_column_stack(tup):
    """`numpy.column_stack`."""
    parts = [lift(a) for a in tup]
    parts = [insert_axis(reshape_to(p, (p._spec.size,)), 1) if p._spec.ndim < 2 else p for p in parts]
    return numpy_concatenate(parts, 1)


@implements(np.append)
def numpy_append(arr, values, axis=None):
    """`numpy.append`."""
    return numpy_concatenate([arr, values], axis)


@implements(np.block)
def numpy_block(arrays):
    """`numpy.block`."""

    def depth(x):
        return 1 + max(depth(v) for v in x) if isinstance(x, list) else 0

    levels = depth(arrays)

    def most(x):
        return max(most(v) for v in x) if isinstance(x, list) else lift(x)._spec.ndim

    ndim = max(levels, most(arrays))

    def build(x, level):
        if not isinstance(x, list):
            x = lift(x)
            return reshape_to(x, (*(1,) * (ndim - x._spec.ndim), *x._spec.shape))
        if not x:
            raise ValueError("List at arrays cannot be empty")
        parts = [build(v, level - 1) for v in x]
        return numpy_concatenate(parts, -level)

    return build(arrays, levels) if levels else ops.copy(build(arrays, levels))


@implements(np.array_split)
def numpy_array_split(ary, indices_or_sections, axis=0):
    """`numpy.array_split`."""
    x = lift(ary)
    axis = np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)
    total = x._spec.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        sections = int(indices_or_sections)
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.")
        each, extra = divmod(total, sections)
        points = np.cumsum([0] + extra * [each + 1] + (sections - extra) * [each]).tolist()
    else:
        points = [0, *[int(i) for i in indices_or_sections], total]
    lead = (slice(None),) * axis
    return [getitem(x, (*lead, slice(a, b))) for a, b in itertools.pairwise(points)]


@implements(np.split)
def numpy_split(ary, indices_or_sections, axis=0):
    """`numpy.split`."""
    x = lift(ary)
    if isinstance(indices_or_sections, (int, np.integer)) and x._spec.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return numpy_array_split(x, indices_or_sections, axis)


@implements(np.hsplit)
def numpy_hsplit(ary, indices_or_sections):
    """`numpy.hsplit`."""
    x = lift(ary)
    if x._spec.ndim == 0:
        raise ValueError("hsplit only works on arrays of 1 or more dimensions")
    return numpy_split(x, indices_or_sections, 1 if x._spec.ndim > 1 else 0)


@implements(np.vsplit)
def numpy_vsplit(ary, indices_or_sections):
    """`numpy.vsplit`."""
    x = lift(ary)
    if x._spec.ndim < 2:
        raise ValueError("vsplit only works on arrays of 2 or more dimensions")
    return numpy_split(x, indices_or_sections, 0)


@implements(np.dsplit)
def numpy_dsplit(ary, indices_or_sections):
    """`numpy.dsplit`."""
    x = lift(ary)
    if x._spec.ndim < 3:
        raise ValueError("dsplit only works on arrays of 3 or more dimensions")
    return numpy_split(x, indices_or_sections, 2)


if hasattr(np, "unstack"):  # since NumPy 2.1

    @implements(np.unstack)
    def numpy_unstack(x, /, *, axis=0):
        """`numpy.unstack`."""
        x = lift(x)
        if x._spec.ndim == 0:
            raise ValueError("Input array must be at least 1-d.")
        axis = np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)
        lead = (slice(None),) * axis
        return tuple(getitem(x, (*lead, k)) for k in range(x._spec.shape[axis]))
