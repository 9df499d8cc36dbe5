"""NumPy's functions that select elements: take, compress, choose, select, and searches for positions."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import one_by_one
from .combining import numpy_stack
from .core import ZERO, implements, lift, primitive
from .indexing import gather, getitem, is_traced, put
from .keys import ARRAY
from .reduction import refuse
from .scan import along
from .shape import expand_to, insert_axis, reshape_to

__all__ = ["gather_along"]


def _plain(a):
    """The value of a tensor that has no gradient, or an array."""
    if isinstance(a, Tensor):
        from ..values import value_of

        return value_of(a)
    return np.asarray(a)


def _flat(x):
    return reshape_to(x, (x._spec.size,))


@implements(np.take)
def numpy_take(a, indices, axis=None, out=None, mode="raise"):
    """`numpy.take`."""
    refuse("take", out=out)
    x = lift(a)
    if axis is None or (x._spec.ndim == 0 and axis in (0, -1)):
        x, axis = _flat(x), 0
    axis = np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)
    n = x._spec.shape[axis]
    if not isinstance(indices, (int, Tensor)):
        indices = np.asarray(indices)
        if indices.dtype.kind not in "iu":
            indices = indices.astype(np.intp)
    elif isinstance(indices, Tensor) and indices._spec.dtype.kind == "b":
        indices = lift(indices, np.dtype(np.intp))
    if mode == "clip":
        indices = np.minimum(np.maximum(indices, 0), n - 1)
    elif mode == "wrap":
        indices = indices % n
    elif mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    return getitem(x, along(x._spec.ndim, axis, indices))


def gather_along(x, indices, axis):
    """``take_along_axis`` by a tensor of indices that are known to be in range."""
    form, others = _along_key(x._spec.shape, indices._spec.shape, axis)
    tensors = [lift(o) for o in others]
    return gather(x, *tensors[:axis], indices, *tensors[axis:], key=form, unique=False)


def _along_key(shape, to, axis):
    """Form of a key that goes along one axis, and the arrays of indices for the other axes."""
    others = []
    for d, n in enumerate(shape):
        if d != axis:
            lead = tuple(-1 if e == d else 1 for e in range(len(shape)))
            others.append(np.arange(n).reshape(lead))
    return (ARRAY,) * len(shape), others


@implements(np.take_along_axis)
def numpy_take_along_axis(arr, indices, axis=-1):
    """`numpy.take_along_axis`."""
    x = lift(arr)
    if axis is None:
        x, axis = _flat(x), 0
    axis = np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)
    k = indices if isinstance(indices, Tensor) else np.asarray(indices)
    dtype, shape = (k._spec.dtype, k._spec.shape) if isinstance(k, Tensor) else (k.dtype, k.shape)
    if dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    if len(shape) != x._spec.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    _, others = _along_key(x._spec.shape, shape, axis)
    return getitem(x, (*others[:axis], k, *others[axis:]))


@implements(np.compress)
def numpy_compress(condition, a, axis=None, out=None):
    """`numpy.compress`."""
    places = np.flatnonzero(_plain(condition))
    return numpy_take(a, places, axis, out)


@implements(np.extract)
def numpy_extract(condition, arr):
    """`numpy.extract`."""
    return numpy_compress(_plain(condition).ravel(), _flat(lift(arr)))


@implements(np.choose)
def numpy_choose(a, choices, out=None, mode="raise"):
    """`numpy.choose`."""
    refuse("choose", out=out)
    index = lift(a, np.dtype(np.intp)) if lift(a)._spec.dtype.kind == "b" else a
    index = index if isinstance(index, Tensor) else np.asarray(index)
    tensors = [lift(c) for c in choices]
    shape = np.broadcast_shapes(np.shape(index), *[t._spec.shape for t in tensors])
    stacked = numpy_stack([expand_to(t, shape) for t in tensors])
    if mode == "clip":
        index = np.minimum(np.maximum(index, 0), len(tensors) - 1)
    elif mode == "wrap":
        index = index % len(tensors)
    elif not (isinstance(index, Tensor) and is_traced(index)):
        value = _plain(index)
        if value.size and (value.min() < 0 or value.max() >= len(tensors)):
            raise ValueError("invalid entry in choice array")
    index = expand_to(lift(index), shape)
    return getitem(numpy_take_along_axis(stacked, insert_axis(index, 0), 0), 0)


@implements(np.piecewise)
def numpy_piecewise(x, condlist, funclist, *args, **kw):
    """`numpy.piecewise`."""
    x = lift(x)
    many = isinstance(condlist, (list, tuple)) and not np.isscalar(condlist[0])
    conditions = [_plain(c).astype(bool) for c in (condlist if many else [condlist])]
    if len(funclist) == len(conditions) + 1:
        conditions.append(~np.logical_or.reduce(conditions))
    elif len(funclist) != len(conditions):
        n = len(conditions)
        raise ValueError(f"with {n} condition(s), either {n} or {n + 1} functions are expected")
    y = lift(np.zeros(x._spec.shape, x._spec.dtype))
    for condition, function in zip(conditions, funclist, strict=True):
        condition = np.broadcast_to(condition, x._spec.shape)
        if not callable(function):
            y = put(y, condition, function)
        elif condition.any():
            y = put(y, condition, function(getitem(x, condition), *args, **kw))
    return y


_SORTED = np.array([0.0, 1.0, 2.0])


@primitive()
class searchsorted:
    """Where elements would be inserted into a sorted array."""

    derivative = ZERO
    samples = (((_SORTED, np.array([[0.5, 2.0], [-1.0, 9.0]])), {"side": "right"}),)

    def infer(specs, attrs):
        return spec_of(specs[1].shape, np.dtype(np.intp)), op.KERNEL

    def compute(a, v, side):
        return np.searchsorted(a, v, side=side)

    def batching(row):
        return one_by_one(row) if row.mapped[0] else row.again(row.xs)


@implements(np.searchsorted)
def numpy_searchsorted(a, v, side="left", sorter=None):
    """`numpy.searchsorted`."""
    a, v = lift(a), lift(v)
    if a._spec.ndim != 1:
        raise ValueError("object of too small depth for desired array")
    if sorter is not None:
        a = getitem(a, sorter)
    if side not in ("left", "right"):
        raise ValueError(f"search side must be one of 'left' or 'right' (got {side!r})")
    return searchsorted(a, v, side=side)


@implements(np.digitize)
def numpy_digitize(x, bins, right=False):
    """`numpy.digitize`."""
    bins = _plain(bins)
    down = bins.size > 1 and bins[0] > bins[-1]
    if (np.diff(bins[::-1] if down else bins) < 0).any():
        raise ValueError("bins must be monotonically increasing or decreasing")
    if not down:
        return numpy_searchsorted(bins, x, "left" if right else "right")
    return len(bins) - numpy_searchsorted(bins[::-1].copy(), x, "right" if right else "left")


@implements(np.nonzero)
def numpy_nonzero(a):
    """`numpy.nonzero`, as plain arrays: their length depends on the values."""
    return _plain(a).nonzero()


@implements(np.flatnonzero)
def numpy_flatnonzero(a):
    """`numpy.flatnonzero`, as a plain array."""
    return np.flatnonzero(_plain(a))


@implements(np.argwhere)
def numpy_argwhere(a):
    """`numpy.argwhere`, as a plain array."""
    return np.argwhere(_plain(a))
