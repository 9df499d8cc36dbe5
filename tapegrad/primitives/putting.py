"""NumPy's functions that write: into a tensor they are recorded, into a plain array no gradient may go."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from .combining import numpy_concatenate
from .core import BY_FUNCTION, implements, lift
from .indexing import getitem
from .layout import view_of_function
from .picking import _along_key, _plain
from .scan import along
from .shape import cast, expand_to, reshape_to


def _assign(target, key, value):
    """``target[key] = value`` for tensors, and for arrays where no gradient is lost."""
    if not isinstance(target, Tensor) and isinstance(value, Tensor) and value._spec.requires_grad:
        from ..values import INTO_A_PLAIN_ARRAY, TracedValueError

        raise TracedValueError(INTO_A_PLAIN_ARRAY)
    target[key] = value if isinstance(target, Tensor) else _plain(value)


def _shape_of(a):
    return a._spec.shape if isinstance(a, Tensor) else np.shape(a)


def _cycled(values, places):
    """Elements of a flat array at places that may be beyond its end."""
    v = lift(values)
    v = reshape_to(v, (v._spec.size,))
    return getitem(v, np.asarray(places) % v._spec.size)


@implements(np.put)
def numpy_put(a, ind, v, mode="raise"):
    """`numpy.put`."""
    shape = _shape_of(a)
    size = int(np.prod(shape))
    places = np.asarray(_plain(ind)).ravel()
    mode = {0: "clip", 1: "wrap", 2: "raise"}.get(mode, mode)
    if mode == "wrap":
        places = places % size
    elif mode == "clip":
        places = np.clip(places, 0, size - 1)
    elif mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    elif places.size and (places.min() < -size or places.max() >= size):
        raise IndexError(f"index {places.max()} is out of bounds for axis 0 with size {size}")
    if np.size(v) and places.size:
        _assign(a, np.unravel_index(places % size, shape), _cycled(v, np.arange(places.size)))


@implements(np.place)
def numpy_place(arr, mask, vals):
    """`numpy.place`."""
    where = np.asarray(_plain(mask), np.bool_).reshape(_shape_of(arr))
    count = np.count_nonzero(where)
    if not count:
        return
    if np.size(vals) == 0:
        raise ValueError("Cannot insert from an empty array!")
    _assign(arr, where, _cycled(vals, np.arange(count)))


@implements(np.putmask)
def numpy_putmask(a, mask, values):
    """`numpy.putmask`."""
    where = np.asarray(_plain(mask), np.bool_).reshape(_shape_of(a))
    if np.size(values):
        _assign(a, where, _cycled(values, np.flatnonzero(where)))


@implements(np.copyto)
def numpy_copyto(dst, src, casting="same_kind", where=True):
    """`numpy.copyto`."""
    x, to = lift(src)._spec.dtype, dst._spec.dtype if isinstance(dst, Tensor) else dst.dtype
    kind = type(src) if isinstance(src, (int, float, complex)) and not isinstance(src, bool) else x
    if not np.can_cast(x, to, casting) and np.result_type(to, np.empty(0, to).dtype) is not kind:
        weak = isinstance(src, (int, float, complex)) and np.result_type(to, src) == to
        if not weak:
            raise TypeError(f"Cannot cast array data from {x!r} to {to!r} according to the rule '{casting}'")
    if where is True:
        _assign(dst, Ellipsis, src)
        return
    mask = np.broadcast_to(np.asarray(_plain(where), np.bool_), _shape_of(dst))
    _assign(dst, mask, getitem(expand_to(lift(src), _shape_of(dst)), mask))


@implements(np.put_along_axis)
def numpy_put_along_axis(arr, indices, values, axis):
    """`numpy.put_along_axis`."""
    indices = np.asarray(_plain(indices))
    shape = _shape_of(arr)
    if axis is None:
        if indices.ndim != 1:
            raise ValueError("when axis=None, `indices` must have a single dimension.")
        return numpy_put(arr, indices, expand_to(lift(values), indices.shape))
    axis = np.lib.array_utils.normalize_axis_index(axis, len(shape))
    if indices.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    if indices.ndim != len(shape):
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    _, others = _along_key(shape, indices.shape, axis)
    _assign(arr, (*others[:axis], indices, *others[axis:]), values)
    return None


@implements(np.fill_diagonal)
def numpy_fill_diagonal(a, val, wrap=False):
    """`numpy.fill_diagonal`."""
    shape = _shape_of(a)
    if len(shape) < 2:
        raise ValueError("array must be at least 2-d")
    end = None
    if len(shape) == 2:
        step = shape[1] + 1
        if not wrap:
            end = shape[1] * shape[1]
    else:
        if len(set(shape)) > 1:
            raise ValueError("All dimensions of input must be of equal length")
        step = 1 + int(np.cumprod(shape[:-1]).sum())
    places = np.arange(int(np.prod(shape)))[:end:step]
    _assign(a, np.unravel_index(places, shape), _cycled(val, np.arange(places.size)))


# --- copies with elements left out or added --------------------------------------------------------------------------


def _flat_or(arr, axis):
    x = lift(arr)
    if axis is None:
        return (reshape_to(x, (x._spec.size,)), 0) if x._spec.ndim != 1 else (x, 0)
    return x, np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)


def _places(obj):
    """Which elements are meant: a slice or an array, and none for an empty list, as for NumPy."""
    if isinstance(obj, slice):
        return obj
    return np.empty(0, np.intp) if isinstance(obj, (list, tuple)) and not obj else _plain(obj)


@implements(np.delete)
def numpy_delete(arr, obj, axis=None):
    """`numpy.delete`."""
    x, axis = _flat_or(arr, axis)
    kept = np.delete(np.arange(x._spec.shape[axis]), _places(obj))
    return getitem(x, along(x._spec.ndim, axis, kept))


@implements(np.insert)
def numpy_insert(arr, obj, values, axis=None):
    """`numpy.insert`."""
    x, axis = _flat_or(arr, axis)
    ndim, n = x._spec.ndim, x._spec.shape[axis]
    v = lift(values, x._spec.dtype)
    obj = _places(obj)
    single = not isinstance(obj, slice) and np.ndim(obj) == 0
    if v._spec.ndim < ndim:
        v = reshape_to(v, (*(1,) * (ndim - v._spec.ndim), *v._spec.shape))
    if single:
        v = view_of_function(np.moveaxis, "Permute", v, 0, axis)
        count = v._spec.shape[axis]
    elif isinstance(obj, slice):
        count = len(range(*obj.indices(n)))
    else:
        count = np.count_nonzero(obj) if obj.dtype.kind == "b" else obj.size
    places = np.insert(np.arange(n), obj, n + np.arange(count))
    v = expand_to(v, (*x._spec.shape[:axis], count, *x._spec.shape[axis + 1 :]))
    return getitem(numpy_concatenate([x, v], axis), along(ndim, axis, places))


@implements(np.trim_zeros)
def numpy_trim_zeros(filt, trim="fb", axis=None):
    """`numpy.trim_zeros`; what is cut off depends on the values."""
    x = lift(filt)
    trim = trim.lower()
    if trim not in ("fb", "bf", "f", "b"):
        raise ValueError(f"unexpected character(s) in `trim`: {trim!r}")
    ndim = x._spec.ndim
    chosen = range(ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, ndim)
    places, key = np.argwhere(_plain(x)), [slice(None)] * ndim
    for d in chosen:
        if places.size == 0:
            key[d] = slice(0, 0)
            continue
        low, high = places[:, d].min(), places[:, d].max() + 1
        key[d] = slice(int(low) if "f" in trim else None, int(high) if "b" in trim else None)
    return getitem(x, tuple(key))


# --- sets ------------------------------------------------------------------------------------------------------------


def _ravel(a):
    x = lift(a)
    return reshape_to(x, (x._spec.size,))


@implements(np.union1d)
def numpy_union1d(ar1, ar2):
    """`numpy.union1d`."""
    return BY_FUNCTION[np.unique](numpy_concatenate([_ravel(ar1), _ravel(ar2)]))


@implements(np.intersect1d)
def numpy_intersect1d(ar1, ar2, assume_unique=False, return_indices=False):
    """`numpy.intersect1d`: the elements are those of the first array."""
    a, b = _ravel(ar1), _ravel(ar2)
    _, first, second = np.intersect1d(_plain(a), _plain(b), assume_unique, True)
    y = cast(getitem(a, first), np.result_type(a._spec.dtype, b._spec.dtype))
    return (y, first, second) if return_indices else y


@implements(np.setdiff1d)
def numpy_setdiff1d(ar1, ar2, assume_unique=False):
    """`numpy.setdiff1d`."""
    a = _ravel(ar1) if assume_unique else BY_FUNCTION[np.unique](lift(ar1))
    return getitem(a, np.isin(_plain(a), _plain(ar2), assume_unique=True, invert=True))


@implements(np.setxor1d)
def numpy_setxor1d(ar1, ar2, assume_unique=False):
    """`numpy.setxor1d`."""
    a, b = _ravel(ar1), _ravel(ar2)
    if not assume_unique:
        a, b = BY_FUNCTION[np.unique](a), BY_FUNCTION[np.unique](b)
    both = BY_FUNCTION[np.sort](numpy_concatenate([a, b]))
    values = _plain(both)
    new = np.concatenate(([True], values[1:] != values[:-1], [True]))
    return getitem(both, new[1:] & new[:-1])


def _unique_kind(function, result, **flags):
    def handler(x):
        found = BY_FUNCTION[np.unique](x, equal_nan=False, **flags)
        return found if result is None else getattr(np.lib._arraysetops_impl, result)(*found)

    handler.__name__, handler.__doc__ = f"numpy_{function.__name__}", f"`numpy.{function.__name__}`."
    implements(function)(handler)


_unique_kind(np.unique_all, "UniqueAllResult", return_index=True, return_inverse=True, return_counts=True)
_unique_kind(np.unique_counts, "UniqueCountsResult", return_counts=True)
_unique_kind(np.unique_inverse, "UniqueInverseResult", return_inverse=True)
_unique_kind(np.unique_values, None)
