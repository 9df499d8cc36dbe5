"""Reductions and scans: with NumPy's ``axis=``/``keepdims=``, or with PyTorch's ``dim=``/``keepdim=`` and meaning."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..primitives.core import BY_FUNCTION, lift, ops
from ..primitives.indexing import getitem
from ..primitives.picking import gather_along
from ..primitives.scan import along
from ..primitives.shape import insert_axis, reshape_to
from ..tape.handle import Tensor, attach
from .naming import axes_of, in_numpy_words, named

__all__ = ["ValuesAndIndices"]


class ValuesAndIndices(NamedTuple):
    """What PyTorch's selections along an axis give."""

    values: Any
    indices: Any


def _reduction(name, function):
    handler = BY_FUNCTION[function]

    def method(self, *args, **kwargs):
        if kwargs:
            if self._spec.ndim == 0 and kwargs.get("dim") in (0, -1):  # PyTorch: a number has an axis, if need be
                kwargs["dim"] = None
            kwargs = in_numpy_words(kwargs)
        if len(args) > 1 and type(args[1]) is bool:  # PyTorch's second argument is keepdim, NumPy's dtype
            kwargs["keepdims"] = args[1]
            args = (args[0], *args[2:])
        if args and type(args[0]) is list:
            args = (tuple(args[0]), *args[1:])
        return handler(self, *args, **kwargs)

    named(name, method, f"`numpy.{function.__name__}` of the tensor; also with ``dim=`` and ``keepdim=``.")


for _name, _function in {
    "sum": np.sum, "prod": np.prod, "mean": np.mean, "any": np.any, "all": np.all, "ptp": np.ptp, "amax": np.amax,
    "amin": np.amin, "cumsum": np.cumsum, "cumprod": np.cumprod, "nansum": np.nansum, "nanmean": np.nanmean,
    "argmax": np.argmax, "argmin": np.argmin, "count_nonzero": np.count_nonzero, "diff": np.diff,
}.items():  # fmt: skip
    _reduction(_name, _function)


def _spread_method(name, function):
    def method(self, axis=None, *args, dim=_unset, unbiased=None, correction=None, keepdim=False, **kwargs):
        if isinstance(axis, bool):  # PyTorch's x.std(unbiased)
            unbiased, axis = axis, None
        if dim is _unset and unbiased is None and correction is None:
            return BY_FUNCTION[function](self, axis, *args, **_with_keepdims(kwargs, keepdim))
        if dim is not _unset:
            axis = axes_of(dim)
        if correction is None:
            correction = 1 if unbiased is None else int(unbiased)
        return BY_FUNCTION[function](self, axis, *args, ddof=correction, **_with_keepdims(kwargs, keepdim))

    doc = (
        f"`numpy.{function.__name__}` of the tensor. With ``dim=``, ``unbiased=`` or ``correction=`` it is PyTorch's, "
        f"which divides by n - 1 unless told otherwise."
    )
    named(name, method, doc)


def _with_keepdims(kwargs, keepdim):
    return {**kwargs, "keepdims": True} if keepdim else kwargs


_unset = object()
_spread_method("std", np.std)
_spread_method("var", np.var)


def _axis(x, dim):
    """An axis counted from the front."""
    ndim = max(x._spec.ndim, 1)
    if not -ndim <= dim < ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})")
    return dim % ndim


def _chosen(x, indices, dim, keepdim):
    """Elements by indices along an axis that they keep, and the indices."""
    values = gather_along(x, indices, dim)
    if not keepdim:
        values, indices = (reshape_to(t, _without(t._spec.shape, dim)) for t in (values, indices))
    return ValuesAndIndices(values, indices)


def _without(shape, dim):
    return (*shape[:dim], *shape[dim + 1 :])


def _extremum(name, function, arg, pair):
    def method(self, axis=None, *args, dim=_unset, keepdim=False, other=None, **kwargs):
        if isinstance(axis, Tensor) or other is not None:
            return pair(self, axis if other is None else other)
        if dim is _unset:
            return BY_FUNCTION[function](self, axis, *args, **_with_keepdims(kwargs, keepdim))
        if self._spec.ndim == 0:
            return ValuesAndIndices(ops.copy(self), BY_FUNCTION[arg](self))
        dim = _axis(self, dim)
        return _chosen(self, BY_FUNCTION[arg](self, dim, keepdims=True), dim, keepdim)

    doc = (
        f"`numpy.{name}` of the tensor. With ``dim=`` it is PyTorch's: values and indices along an axis, where the "
        f"gradient goes to the element at the index. With another tensor it is `numpy.{name}imum`."
    )
    named(name, method, doc)


_extremum("max", np.max, np.argmax, np.maximum)
_extremum("min", np.min, np.argmin, np.minimum)


def _sort(self, *args, dim=-1, descending=False, stable=True, **kwargs):
    """PyTorch's sort, with a keyword: sorted values and their indices.

    Raises
    ------
    TypeError
        Without ``dim=`` or ``descending=``: NumPy's method of that name sorts in place.
    """
    del stable  # equal elements always keep their order
    ndim = self._spec.ndim
    if ndim == 0:
        return ValuesAndIndices(ops.copy(self), lift(np.zeros((), np.intp)))
    axis = _axis(self, dim)
    indices = _ranks(self, axis, descending)
    return ValuesAndIndices(gather_along(self, indices, axis), indices)


def _ranks(x, axis, descending):
    """Indices that sort along an axis, equal elements in their order."""
    if not descending:
        return ops.argsort(x, axis=axis, kind="stable")
    backwards = getitem(x, along(x._spec.ndim, axis, slice(None, None, -1)))
    ranks = ops.argsort(backwards, axis=axis, kind="stable")
    ranks = getitem(ranks, along(x._spec.ndim, axis, slice(None, None, -1)))
    return x._spec.shape[axis] - 1 - ranks


def _sort_or_refuse(self, *args, **kwargs):
    if args or not ({"dim", "descending"} & kwargs.keys()):
        raise TypeError(
            "sorting in place is not supported: use y = np.sort(x), which is differentiable, or PyTorch's "
            "x.sort(dim=-1), which gives values and indices"
        )
    return _sort(self, **kwargs)


def _argsort(self, axis=-1, kind=None, *args, dim=None, descending=False, stable=False):
    """`numpy.argsort` of the tensor; also with ``dim=`` and ``descending=``."""
    if isinstance(kind, bool):
        descending, kind = kind, None
    if dim is None and not descending:
        return BY_FUNCTION[np.argsort](self, axis, kind, *args, stable=stable)
    return _ranks(self, _axis(self, axis if dim is None else dim), descending)


def _topk(self, k, dim=-1, largest=True, sorted=True):
    """The `k` largest (or smallest) elements along an axis, in order, and their indices."""
    axis = _axis(self, dim)
    n = self._spec.shape[axis] if self._spec.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(f"selected index k out of range: k is {k}, and there are {n} elements along axis {dim}")
    if self._spec.ndim == 0:
        return _sort(self)
    indices = getitem(_ranks(self, axis, largest), along(self._spec.ndim, axis, slice(0, k)))
    return ValuesAndIndices(gather_along(self, indices, axis), indices)


def _kthvalue(self, k, dim=-1, keepdim=False):
    """The k-th smallest element along an axis, and its index."""
    axis = _axis(self, dim)
    n = self._spec.shape[axis] if self._spec.ndim else 1
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}: k is {k} of {n}")
    if self._spec.ndim == 0:
        return _sort(self)
    indices = getitem(_ranks(self, axis, False), along(self._spec.ndim, axis, slice(k - 1, k)))
    return _chosen(self, ops.copy(indices), axis, keepdim)


def _median(self, dim=None, keepdim=False):
    """The median as PyTorch defines it: of an even number of elements the lower one of the middle two."""
    if dim is None:
        flat = reshape_to(self, (self._spec.size,))
        middle = _kthvalue(flat.detach(), (flat._spec.size + 1) // 2).values
        if not self.requires_grad:
            return middle
        ties = (flat == middle) | (ops.isnan(flat) & ops.isnan(middle))
        return BY_FUNCTION[np.max](ops.where(ties, flat, -np.inf))  # which share the gradient
    n = self._spec.shape[_axis(self, dim)] if self._spec.ndim else 1
    return _kthvalue(self, (n + 1) // 2, dim, keepdim)


def _logsumexp(self, dim, keepdim=False):
    """Logarithm of the sum of exponentials along axes."""
    axes = axes_of(dim)
    top = BY_FUNCTION[np.max](self.detach(), axes, keepdims=True)
    top = ops.where(ops.isfinite(top), top, np.zeros((), top._spec.dtype))
    total = ops.log(BY_FUNCTION[np.sum](ops.exp(self - top), axes, keepdims=True)) + top
    if keepdim:
        return total
    shape = BY_FUNCTION[np.sum](self.detach(), axes)._spec.shape
    return reshape_to(total, shape)


def _norm(self, p="fro", dim=None, keepdim=False, dtype=None):
    """The vector norm of order `p` over axes, or of all elements."""
    x = self if dtype is None else lift(self, np.dtype(dtype))
    order = 2 if p in ("fro", None) else {"inf": np.inf, "-inf": -np.inf}.get(p, p)
    return BY_FUNCTION[np.linalg.vector_norm](x, axis=axes_of(dim), keepdims=keepdim, ord=order)


def _softmax(self, dim, dtype=None):
    """Exponentials along an axis, divided by their sum."""
    return _along(ops.softmax, self, dim, dtype)


def _log_softmax(self, dim, dtype=None):
    """Logarithm of `softmax`."""
    return _along(ops.log_softmax, self, dim, dtype)


def _along(record, x, dim, dtype):
    x = lift(x, None if dtype is None else np.dtype(dtype))
    if x._spec.dtype.kind not in "f":
        raise NotImplementedError(
            f'"{record.name}" not implemented for {x._spec.dtype.name}: it needs a floating dtype, such as dtype=float'
        )
    if x._spec.ndim == 0:
        _axis(x, dim)
        return reshape_to(record(insert_axis(x, 0), axis=0), ())
    return record(x, axis=_axis(x, dim))


def _quantile(self, q, dim=None, keepdim=False, interpolation="linear"):
    """`numpy.quantile` of the tensor."""
    return BY_FUNCTION[np.quantile](self, q, axes_of(dim), method=interpolation, keepdims=keepdim)


def _nanquantile(self, q, dim=None, keepdim=False, interpolation="linear"):
    """`numpy.nanquantile` of the tensor."""
    return BY_FUNCTION[np.nanquantile](self, q, axes_of(dim), method=interpolation, keepdims=keepdim)


def _aminmax(self, dim=None, keepdim=False):
    """Smallest and largest element, along an axis or of all."""
    axis = axes_of(dim)
    return MinAndMax(*[BY_FUNCTION[f](self, axis, keepdims=keepdim) for f in (np.min, np.max)])


class MinAndMax(NamedTuple):
    """What `aminmax` gives."""

    min: Any
    max: Any


attach(
    sort=_sort_or_refuse,
    argsort=_argsort,
    topk=_topk,
    kthvalue=_kthvalue,
    median=_median,
    logsumexp=_logsumexp,
    norm=_norm,
    softmax=_softmax,
    log_softmax=_log_softmax,
    quantile=_quantile,
    nanquantile=_nanquantile,
    aminmax=_aminmax,
)
