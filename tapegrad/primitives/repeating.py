"""Repeating, rolling and padding."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from ..tape.spec import contiguous_strides
from .combining import numpy_concatenate
from .core import BY_FUNCTION, implements, lift, ops
from .indexing import getitem
from .ranges import numpy_linspace
from .scan import along
from .shape import cast, expand_to, insert_axis, reshape_to


@implements(np.tile)
def numpy_tile(A, reps):
    """`numpy.tile`."""
    x = lift(A)
    reps = (int(reps),) if np.ndim(reps) == 0 else tuple(int(r) for r in reps)
    ndim = max(len(reps), x._spec.ndim)
    reps = (1,) * (ndim - len(reps)) + reps
    shape = (1,) * (ndim - x._spec.ndim) + x._spec.shape
    wide = reshape_to(x, tuple(n for m in shape for n in (1, m)))
    wide = expand_to(wide, tuple(n for r, m in zip(reps, shape, strict=True) for n in (r, m)))
    return ops.reshape(wide, shape=tuple(r * m for r, m in zip(reps, shape, strict=True)))


@implements(np.repeat)
def numpy_repeat(a, repeats, axis=None):
    """`numpy.repeat`."""
    x = lift(a)
    if axis is None or (x._spec.ndim == 0 and axis in (0, -1)):
        x, axis = reshape_to(x, (x._spec.size,)), 0
    axis = np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)
    n = x._spec.shape[axis]
    counts = np.asarray(repeats)
    if counts.size == 1:
        r, shape = int(counts.reshape(())), x._spec.shape
        if r < 0:
            raise ValueError("repeats may not contain negative values.")
        wide = expand_to(insert_axis(x, axis + 1), (*shape[: axis + 1], r, *shape[axis + 1 :]))
        return ops.reshape(wide, shape=(*shape[:axis], n * r, *shape[axis + 1 :]))
    return getitem(x, along(x._spec.ndim, axis, np.repeat(np.arange(n), counts)))


@implements(np.roll)
def numpy_roll(a, shift, axis=None):
    """`numpy.roll`."""
    x = lift(a)
    if axis is None:
        return reshape_to(numpy_roll(reshape_to(x, (x._spec.size,)), shift, 0), x._spec.shape)
    axes = np.lib.array_utils.normalize_axis_tuple(axis, x._spec.ndim, allow_duplicate=True)
    for s, d in np.broadcast(np.asarray(shift), np.asarray(axes)):
        n = x._spec.shape[d]
        s = int(s) % n if n else 0
        if s:
            tail = getitem(x, along(x._spec.ndim, d, slice(n - s, None)))
            x = numpy_concatenate([tail, getitem(x, along(x._spec.ndim, d, slice(0, n - s)))], d)
    return ops.copy(x) if x is a else x


@implements(np.resize)
def numpy_resize(a, new_shape):
    """`numpy.resize`."""
    x = lift(a)
    shape = (int(new_shape),) if np.ndim(new_shape) == 0 else tuple(int(n) for n in new_shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"all elements of `new_shape` must be non-negative, and it is {shape}")
    size = int(np.prod(shape))
    if x._spec.size == 0 or size == 0:
        return lift(np.zeros(shape, x._spec.dtype))
    x = reshape_to(x, (x._spec.size,))
    return reshape_to(getitem(x, np.arange(size) % x._spec.size), shape)


def _widths(pad_width, ndim):
    """Pairs (before, after) for each axis."""
    if isinstance(pad_width, dict):
        pairs = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            pairs[axis] = tuple(np.broadcast_to(width, 2).tolist())
    else:
        pairs = np.broadcast_to(np.asarray(pad_width), (ndim, 2)).tolist()
    if any(w < 0 for pair in pairs for w in pair):
        raise ValueError("index can't contain negative values")
    return [tuple(int(w) for w in pair) for pair in pairs]


_BY_INDEX = ("edge", "reflect", "symmetric", "wrap")


def _pairs_of(value, ndim):
    """A value before and one after each axis, of numbers or tensors."""
    if isinstance(value, Tensor) and value._spec.ndim:
        value = expand_to(value, (ndim, 2))
        return [(getitem(value, (d, 0)), getitem(value, (d, 1))) for d in range(ndim)]
    if isinstance(value, Tensor):
        return [(value, value)] * ndim
    return [tuple(pair) for pair in np.broadcast_to(np.asarray(value, object), (ndim, 2)).tolist()]


def _pad_by_lanes(x, pairs, mode, kwargs):
    """Padding computed from the array's own elements, one axis after another."""
    ndim = x._spec.ndim
    name = "end_values" if mode == "linear_ramp" else "stat_length"
    given = _pairs_of(kwargs.pop(name, 0 if mode == "linear_ramp" else None), ndim)
    if kwargs:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {set(kwargs)}")
    for d, widths in enumerate(pairs):
        n, parts = x._spec.shape[d], [x]
        for at, width in enumerate(widths):
            if not width:
                continue
            value = given[d][at]
            if mode == "linear_ramp":
                end = getitem(x, along(ndim, d, 0 if at == 0 else n - 1))
                made = numpy_linspace(value, end, width, endpoint=False, dtype=x._spec.dtype, axis=d)
                made = getitem(made, along(ndim, d, slice(None, None, -1))) if at else made
            else:
                length = n if value is None else min(int(value), n)
                piece = getitem(x, along(ndim, d, slice(0, length) if at == 0 else slice(n - length, None)))
                y = BY_FUNCTION[_STATISTICS[mode]](piece, axis=d, keepdims=True)
                if x._spec.dtype.kind in "iu":
                    y = ops.rint(y)
                shape = (*x._spec.shape[:d], width, *x._spec.shape[d + 1 :])
                made = expand_to(y, shape)
            parts.insert(0 if at == 0 else len(parts), cast(made, x._spec.dtype))
        x = numpy_concatenate(parts, d)
    return x


def _pad_by_sums(x, d, pair, mode, kwargs):
    """Padding along an axis, by sums of the array's elements: twice an edge, less what is reflected there."""
    n, ndim = x._spec.shape[d], x._spec.ndim
    weights = np.pad(np.eye(n), (pair, (0, 0)), mode, **kwargs)
    parts = [x]
    for at, rows in enumerate((weights[: pair[0]], weights[pair[0] + n :])):
        if not len(rows):
            continue
        terms = np.argsort(-np.abs(rows), axis=1, kind="stable")[:, : np.count_nonzero(rows, axis=1).max()]
        factors = np.take_along_axis(rows, terms, 1).astype(x._spec.dtype)
        made = None
        for place, factor in zip(terms.T, factors.T, strict=True):
            term = getitem(x, along(ndim, d, place)) * factor.reshape([-1 if e == d else 1 for e in range(ndim)])
            made = term if made is None else made + term
        parts.insert(0 if at == 0 else len(parts), made)
    return numpy_concatenate(parts, d)


def _pad_by_function(x, pairs, function, kwargs):
    """Padding that a function writes into each lane along each axis in turn."""
    from ..numpy import array

    ndim = x._spec.ndim
    for d, widths in enumerate(pairs):
        moved = BY_FUNCTION[np.moveaxis](x, d, ndim - 1)
        n, shape = moved._spec.shape[-1], moved._spec.shape
        rows = reshape_to(moved, (moved._spec.size // n if n else 0, n))
        lanes = []
        for k in range(rows._spec.shape[0]):
            lane = array(getitem(rows, k))
            function(lane, widths, d, kwargs)
            lanes.append(lane)
        if lanes:
            x = BY_FUNCTION[np.moveaxis](reshape_to(BY_FUNCTION[np.stack](lanes), shape), ndim - 1, d)
    return x


_STATISTICS = {"maximum": np.max, "mean": np.mean, "median": np.median, "minimum": np.min}


@implements(np.pad)
def numpy_pad(array, pad_width, mode="constant", **kwargs):
    """`numpy.pad`; a function as mode writes into tensors that may be filled, one lane after another."""
    x = lift(array)
    ndim = x._spec.ndim
    pairs = _widths(pad_width, ndim)
    if mode in _BY_INDEX:
        for d, pair in enumerate(pairs):
            if pair == (0, 0):
                continue
            if kwargs.get("reflect_type") == "odd":
                x = _pad_by_sums(x, d, pair, mode, kwargs)
            else:
                places = np.pad(np.arange(x._spec.shape[d]), pair, mode, **kwargs)
                x = getitem(x, along(ndim, d, places))
        return x
    if callable(mode):
        return _pad_by_function(numpy_pad(x, pad_width), pairs, mode, kwargs)
    if mode in ("linear_ramp", "maximum", "mean", "median", "minimum"):
        return _pad_by_lanes(x, pairs, mode, kwargs)
    if mode not in ("constant", "empty"):
        raise ValueError(f"mode {mode!r} is not supported")
    values = kwargs.pop("constant_values", 0)
    if kwargs:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {set(kwargs)}")
    shape = tuple(n + a + b for n, (a, b) in zip(x._spec.shape, pairs, strict=True))
    strides = contiguous_strides(shape, x._spec.dtype.itemsize)
    offset = sum(s * a for s, (a, _) in zip(strides, pairs, strict=True))
    if hasattr(values, "_spec"):
        values = expand_to(cast(values, x._spec.dtype), ())
        fill = np.pad(np.zeros(x._spec.shape, np.bool_), pairs, constant_values=True)
        edge = ops.where(fill, values, np.zeros((), x._spec.dtype))
    elif mode == "empty" or not np.any(values):
        edge = None
    else:
        edge = np.pad(np.zeros(x._spec.shape, x._spec.dtype), pairs, constant_values=values)
    y = ops.place(x, shape=shape, strides=strides, offset=offset, base_strides=strides)
    return y if edge is None else y + edge
