"""Selections by rank or count along an axis: running extrema, modes, medians without NaN, unique elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import BY_FUNCTION, lift, ops
from ..primitives.folding import methods_of_ufuncs
from ..primitives.indexing import getitem
from ..primitives.picking import gather_along
from ..primitives.scan import along
from ..primitives.shape import reshape_to
from ..tape.handle import Tensor, attach
from ..values import value_of
from .reductions import ValuesAndIndices, _axis, _chosen

__all__: list[str] = []


def _running(largest: bool) -> Any:
    def method(self: Tensor, dim: int) -> ValuesAndIndices:
        if self._spec.ndim == 0:
            _axis(self, dim)
            return ValuesAndIndices(ops.copy(self), lift(np.zeros((), np.intp)))
        axis = _axis(self, dim)
        indices = ops.extremum_so_far(self, axis=axis, largest=largest, latest=True)
        return ValuesAndIndices(gather_along(self, indices, axis), indices)

    word = "maximum" if largest else "minimum"
    method.__name__ = method.__qualname__ = "cummax" if largest else "cummin"
    method.__doc__ = f"The {word} up to each element along an axis, and where it stands last."
    return method


def _logcumsumexp(self: Tensor, dim: int) -> Tensor:
    """Logarithm of the cumulative sum of exponentials along an axis, without overflow."""
    if self._spec.ndim == 0:
        return ops.copy(self)
    axis = _axis(self, dim)
    return methods_of_ufuncs(np.logaddexp, BY_FUNCTION[np.logaddexp], "accumulate", (self, axis), {})


def _mode(self: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The element that is met most often along an axis (the smallest of those), and where it stands last."""
    if self._spec.ndim == 0:
        return ValuesAndIndices(ops.copy(self), lift(np.zeros((), np.intp)))
    axis = _axis(self, dim)
    return _chosen(self, ops.mode_index(self, axis=axis), axis, keepdim)


def _nanmedian(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of the elements that are not NaN, the lower one of the middle two."""
    if dim is None:
        flat = reshape_to(self, (self._spec.size,))
        return _nanmedian(getitem(flat, ~np.isnan(value_of(flat))), 0).values if flat._spec.size else np.median(flat)
    if self._spec.ndim == 0:
        return ValuesAndIndices(ops.copy(self), lift(np.zeros((), np.intp)))
    axis = _axis(self, dim)
    ranks = ops.argsort(self, axis=axis, kind="stable")  # NaN stands last
    count = ops.sum(lift(~ops.isnan(self), np.dtype(np.intp)), axis=(axis,), keepdims=True)
    middle = ops.maximum((count + 1) // 2 - 1, lift(0, np.dtype(np.intp)))
    return _chosen(self, gather_along(ranks, middle, axis), axis, keepdim)


def _msort(self: Tensor) -> Tensor:
    """Sorted along the first axis."""
    return BY_FUNCTION[np.sort](self, 0)


def _unique(
    self: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """`numpy.unique` of the tensor."""
    del sorted  # always are
    found = BY_FUNCTION[np.unique](self, False, return_inverse, return_counts, dim)
    return tuple([lift(part) for part in found]) if return_inverse or return_counts else found


def _unique_consecutive(
    self: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of each run of equal elements; with an axis, of equal slices."""
    x = reshape_to(self, (self._spec.size,)) if dim is None else self
    axis = 0 if dim is None else _axis(self, dim)
    rows = np.moveaxis(value_of(x), axis, 0).reshape(x._spec.shape[axis], -1)
    starts = np.ones(len(rows), np.bool_)
    starts[1:] = (rows[1:] != rows[:-1]).any(1)
    first = np.flatnonzero(starts)
    found = [getitem(x, along(x._spec.ndim, axis, first))]
    if return_inverse:
        inverse = np.cumsum(starts) - 1
        found.append(lift(inverse.reshape(self._spec.shape) if dim is None else inverse))
    if return_counts:
        found.append(lift(np.diff(np.append(first, len(rows)))))
    return found[0] if len(found) == 1 else tuple(found)


def _bincount(self: Tensor, weights: Any = None, minlength: int = 0) -> Tensor:
    """`numpy.bincount` of the tensor; differentiable in the weights."""
    return lift(BY_FUNCTION[np.bincount](self, weights, minlength))


def _histc(self: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of some bins of equal width, without a gradient."""
    values = value_of(self)
    low, high = (values.min(), values.max()) if min == max and values.size else (min, max)
    counts, _ = np.histogram(values, bins, (low, high))
    return lift(counts.astype(self._spec.dtype))


attach(
    bincount=_bincount,
    histc=_histc,
    cummax=_running(True),
    cummin=_running(False),
    logcumsumexp=_logcumsumexp,
    mode=_mode,
    nanmedian=_nanmedian,
    msort=_msort,
    unique=_unique,
    unique_consecutive=_unique_consecutive,
)
