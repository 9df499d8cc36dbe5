"""Writing into copies by places: reductions into places, and parts of a copy replaced by another tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import OutOfBoundsError, ShapeError
from ..inplace import write
from ..primitives.core import lift, ops
from ..primitives.shape import expand_to, reshape_to
from ..tape.handle import Tensor, attach
from .reductions import _axis
from .selecting import _axis_key, _fitting, _index_put, _indices, _places, _source

__all__: list[str] = []


def _reduced_at(x: Tensor, v: Tensor, indices: tuple, key: tuple, reduce: str, own: bool) -> Tensor:
    """``reduce`` of what stands at places (unless it is not `own`) and of all that is put there."""
    dtype, shape = x._spec.dtype, x._spec.shape

    def total(values: Tensor) -> Tensor:
        return ops.scatter_add(values, *indices, shape=shape, key=key, unique=False)

    if reduce in ("prod", "amax", "amin"):
        return ops.combine_at(x, v, *indices, key=key, how=reduce, own=own)
    if reduce not in ("sum", "mean"):
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce!r}: choose one of these"
        )
    count = total(lift(np.ones(v._spec.shape, dtype)))
    kept = x if own else ops.where(count == 0, x, lift(0, dtype))
    summed = kept + total(v)
    if reduce == "sum":
        return summed
    count = ops.maximum(count + lift(own, dtype), lift(1, dtype))
    return summed // count if dtype.kind in "iu" else summed / count


def _scatter_reduce(self: Tensor, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """Elements of `src` combined along an axis: ``y[index[i, j], j] = reduce(x[index[i, j], j], src[i, j], ...)``.

    Parameters
    ----------
    dim : int
    index : Tensor or array
    src : Tensor
    reduce : str
        ``"sum"``, ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
    include_self : bool
        Whether the tensor's own elements at these places take part.

    Returns
    -------
    Tensor
        Shape and dtype of the tensor.
    """
    form, indices, shape = _places("scatter_reduce", self, dim, index)
    src = expand_to(_source("scatter_reduce", self, src, shape), shape)
    return _reduced_at(self, src, indices, form, reduce, include_self)


def _index_reduce(self: Tensor, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """Slices of `source` combined at places along an axis, by ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``."""
    form, index, shape = _axis_key("index_reduce", self, dim, index)
    source = _fitting("index_reduce", self, source, shape)
    if reduce == "sum":
        raise RuntimeError("index_reduce(): reduce='sum' is what index_add does: use that")
    return _reduced_at(self, source, (index,), form, reduce, include_self)


def _put_(self: Tensor, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """Write (or add) elements at places of the flattened tensor, in place."""
    n = self._spec.size
    index, source = lift(index), lift(source, self._spec.dtype)
    if index._spec.size != source._spec.size:
        raise OutOfBoundsError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source._spec.size}, index.numel() = {index._spec.size}"
        )
    index = _indices("put_", reshape_to(self.detach(), (n,)), ops.where(index < 0, index + n, index), 0)
    flat = _index_put(reshape_to(self, (n,)), (index,), reshape_to(source, index._spec.shape), accumulate)
    return write(self, ops.copy, (reshape_to(flat, self._spec.shape),))


def _replaced(name: str, part: Callable) -> Callable:
    """A method that gives a copy of the tensor with a part, a view, replaced by another tensor."""

    def method(self: Tensor, src: Any, *args: Any, **kwargs: Any) -> Tensor:
        made = ops.copy(self)
        view, src = part(made, *args, **kwargs), lift(src, self._spec.dtype)
        if src._spec.shape != view._spec.shape:
            raise ShapeError(
                f"{name}: expected src to have a size equal to the slice of self. src size = "
                f"{list(src._spec.shape)}, slice size = {list(view._spec.shape)}"
            )
        write(view, ops.copy, (src,))
        return made

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"A copy of the tensor, with `src` in place of what `{part.__name__[1:]}` names."
    return method


def _select(x: Tensor, dim: int, index: int) -> Tensor:
    return x.select(dim, index)


def _slice(x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    return x[(*[slice(None)] * _axis(x, dim), slice(start, end, step))]


def _diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    return x.diagonal(offset, dim1, dim2)


def _diag_embed(self: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last axis on a diagonal and zeros elsewhere."""
    n = self._spec.shape[-1] + abs(offset)
    ndim = self._spec.ndim + 1
    a, b = dim1 % ndim, dim2 % ndim
    if a == b:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    shape = list(self._spec.shape[:-1])
    for axis in sorted((a, b)):
        shape.insert(axis, n)
    made = ops.copy(lift(np.zeros(shape, self._spec.dtype)))
    write(made.diagonal(offset, a, b), ops.copy, (self,))
    return made


attach(
    scatter_reduce=_scatter_reduce,
    index_reduce=_index_reduce,
    put_=_put_,
    select_scatter=_replaced("select_scatter", _select),
    slice_scatter=_replaced("slice_scatter", _slice),
    diagonal_scatter=_replaced("diagonal_scatter", _diagonal),
    diag_embed=_diag_embed,
)
