"""Selecting and writing elements by indices, under PyTorch's names: gather, scatter, index and mask."""

from __future__ import annotations

import numpy as np

from ..errors import OutOfBoundsError, ShapeError
from ..primitives.core import BY_FUNCTION, lift, ops
from ..primitives.indexing import advanced_key, getitem
from ..primitives.keys import ARRAY
from ..primitives.picking import _along_key
from ..primitives.scan import along
from ..primitives.shape import expand_to, reshape_to
from ..tape.handle import Tensor, attach
from ..values import limits_of, value_of
from .reductions import _axis

__all__: list[str] = []


def _indices(name, x, index, dim, ndim=None):
    """Indices along an axis as a tensor, checked against its length; PyTorch has no negative ones."""
    index = lift(index)
    if index._spec.dtype.kind not in "iu":
        raise OutOfBoundsError(f"{name}(): Expected dtype int64 or int32 for index, and got {index._spec.dtype}")
    if ndim is not None and index._spec.ndim != ndim:
        raise ShapeError(
            f"{name}: Index tensor must have the same number of dimensions as input tensor ({ndim}); its shape is "
            f"{index._spec.shape}"
        )
    if index._tape is None or not index._tape.tracing:
        n = x._spec.shape[dim] if x._spec.ndim else 1
        low, high = limits_of(index)
        if low < 0 or high >= n:
            wrong = low if low < 0 else high
            raise OutOfBoundsError(f"{name}: index {wrong} is out of bounds for dimension {dim} with size {n}")
    return lift(index, np.dtype(np.intp))


def _gather(self, dim, index):
    """Elements along an axis by an array of indices: ``y[i, j] = x[index[i, j], j]`` for axis 0."""
    if self._spec.ndim == 0:
        return reshape_to(_gather(reshape_to(self, (1,)), dim, reshape_to(lift(index), (1,))), ())
    dim = _axis(self, dim)
    index = _indices("gather", self, index, dim, self._spec.ndim)
    _check_extent("gather", self, index, dim)
    form, others = _along_key(index._spec.shape, index._spec.shape, dim)
    others = [lift(o) for o in others]
    return ops.gather(self, *others[:dim], index, *others[dim:], key=form, unique=False)


def _check_extent(name, x, index, dim):
    for d, (n, m) in enumerate(zip(x._spec.shape, index._spec.shape, strict=True)):
        if d != dim and m > n:
            raise ShapeError(
                f"Size does not match at dimension {d} expected index {list(index._spec.shape)} to be no larger than "
                f"self {list(x._spec.shape)} apart from dimension {dim} ({name})"
            )


def _take_along_dim(self, indices, dim=None):
    """`numpy.take_along_axis` of the tensor."""
    return BY_FUNCTION[np.take_along_axis](self, indices, dim)


def _index_select(self, dim, index):
    """Places along an axis, by a vector of indices."""
    dim = _axis(self, dim)
    index = _indices("index_select", self, index, dim)
    return getitem(self, along(self._spec.ndim, dim, reshape_to(index, (index._spec.size,))))


def _masked_select(self, mask):
    """The elements where a mask is true, in one dimension."""
    mask = lift(mask)
    shape = np.broadcast_shapes(self._spec.shape, mask._spec.shape)
    return getitem(expand_to(self, shape), np.broadcast_to(value_of(mask), shape))


def _places(name, x, dim, index):
    """A key for the elements that an array of indices along an axis names, and its operands."""
    dim = _axis(x, dim)
    index = _indices(name, x, index, dim, x._spec.ndim)
    _check_extent(name, x, index, dim)
    form, others = _along_key(index._spec.shape, index._spec.shape, dim)
    others = [lift(o) for o in others]
    return form, (*others[:dim], index, *others[dim:]), index._spec.shape


def _source(name, x, src, shape):
    """Values to write, cut to the indices' shape; a number as it is."""
    if not isinstance(src, Tensor):
        return lift(src, x._spec.dtype)
    if src._spec.dtype != x._spec.dtype:
        raise RuntimeError(
            f"{name}(): Expected self.dtype to be equal to src.dtype; they are {x._spec.dtype} and {src._spec.dtype}"
        )
    if any(n < m for n, m in zip(src._spec.shape, shape, strict=False)):
        raise ShapeError(
            f"{name}: Expected index {list(shape)} to be no larger than src {list(src._spec.shape)} in any dimension"
        )
    return getitem(src, tuple(slice(0, m) for m in shape)) if src._spec.shape != shape else src


def _scatter(self, dim, index, src, *, reduce=None):
    """The tensor with elements written along an axis: ``y[index[i, j], j] = src[i, j]`` for axis 0."""
    if reduce == "add":
        return _scatter_add(self, dim, index, src)
    if reduce not in (None, "multiply"):
        raise RuntimeError(f"scatter: reduce argument must be either add or multiply, got {reduce!r}")
    form, indices, shape = _places("scatter", self, dim, index)
    if reduce == "multiply":
        src = expand_to(_source("scatter", self, src, shape), shape)
        return ops.combine_at(self, src, *indices, key=form, how="prod", own=True)
    return ops.index_put(self, _source("scatter", self, src, shape), *indices, key=form, unique=False)


def _scatter_add(self, dim, index, src):
    """The tensor with elements added along an axis: ``y[index[i, j], j] += src[i, j]`` for axis 0."""
    form, indices, shape = _places("scatter_add", self, dim, index)
    src = expand_to(_source("scatter_add", self, src, shape), shape)
    return self + ops.scatter_add(src, *indices, shape=self._spec.shape, key=form, unique=False)


def _axis_key(name, x, dim, index):
    dim = _axis(x, dim)
    index = _indices(name, x, index, dim)
    if index._spec.ndim > 1:
        raise IndexError(f"{name}: Index should have dimension 1 or 0 (got {index._spec.ndim})")
    index = reshape_to(index, (index._spec.size,))
    form = (*((None, None, None),) * dim, ARRAY)
    n = index._spec.size
    return form, index, (*x._spec.shape[:dim], n, *x._spec.shape[dim + 1 :])


def _fitting(name, x, source, shape):
    source = lift(source, x._spec.dtype)
    if source._spec.shape != shape:
        raise OutOfBoundsError(
            f"{name}: source has shape {source._spec.shape}, and {shape} is what the index selects from shape "
            f"{x._spec.shape}"
        )
    return source


def _index_add(self, dim, index, source, *, alpha=1):
    """The tensor with slices added at places along an axis; places may repeat."""
    form, index, shape = _axis_key("index_add", self, dim, index)
    source = _fitting("index_add", self, source, shape)
    source = source if alpha == 1 else source * alpha
    return self + ops.scatter_add(source, index, shape=self._spec.shape, key=form, unique=False)


def _index_copy(self, dim, index, source):
    """The tensor with slices written at places along an axis."""
    form, index, shape = _axis_key("index_copy", self, dim, index)
    return ops.index_put(self, _fitting("index_copy", self, source, shape), index, key=form, unique=False)


def _index_fill(self, dim, index, value):
    """The tensor with a value written at places along an axis."""
    form, index, _ = _axis_key("index_fill", self, dim, index)
    value = lift(value, self._spec.dtype)
    if value._spec.ndim:
        raise RuntimeError(
            f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value._spec.ndim} "
            f"dimension(s)."
        )
    return ops.index_put(self, value, index, key=form, unique=False)


def _index_put(self, indices, values, accumulate=False):
    """The tensor with values written, or added, at places given by a tuple of index arrays or masks."""
    form, arrays, unique = advanced_key(self, tuple(indices))
    values = lift(values, self._spec.dtype)
    if not accumulate:
        return ops.index_put(self, values, *arrays, key=form, unique=unique)
    shape = getitem(self.detach(), tuple(indices))._spec.shape
    return self + ops.scatter_add(expand_to(values, shape), *arrays, shape=self._spec.shape, key=form, unique=unique)


def _masked_scatter(self, mask, source):
    """The tensor with elements of `source`, one after another, where a mask is true."""
    mask = np.broadcast_to(value_of(lift(mask)), self._spec.shape)
    count, source = int(mask.sum()), lift(source, self._spec.dtype)
    if source._spec.size < count:
        raise RuntimeError(f"masked_scatter: expected source to have at least {count} elements: {source._spec.size}")
    form, arrays, unique = advanced_key(self, mask.copy())
    values = getitem(reshape_to(source, (source._spec.size,)), slice(0, count))
    return ops.index_put(self, values, *arrays, key=form, unique=unique)


def _nonzero(self, *, as_tuple=True):
    """`numpy.nonzero` of the tensor, plain arrays; with ``as_tuple=False`` PyTorch's table of indices."""
    return BY_FUNCTION[np.nonzero](self) if as_tuple else lift(BY_FUNCTION[np.argwhere](self))


def _argwhere(self):
    """`numpy.argwhere` of the tensor: a table of indices, a row for each element that is not zero."""
    return lift(BY_FUNCTION[np.argwhere](self))


attach(
    argwhere=_argwhere,
    gather=_gather,
    take_along_dim=_take_along_dim,
    index_select=_index_select,
    masked_select=_masked_select,
    scatter=_scatter,
    scatter_add=_scatter_add,
    index_add=_index_add,
    index_copy=_index_copy,
    index_fill=_index_fill,
    index_put=_index_put,
    masked_scatter=_masked_scatter,
    nonzero=_nonzero,
)
