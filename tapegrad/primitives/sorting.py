"""Sorting, order statistics and unique elements."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import ZERO, implements, lift, ops, primitive
from .indexing import getitem
from .layout import view_of_function
from .picking import _plain, gather_along
from .reduction import given, kept_shape, normal_axes, refuse
from .scan import along
from .shape import reshape_to
from .statistics import _floating, mean

_INT = np.dtype(np.intp)
_X = np.array([[1.0, -2.0, 3.0, 1.5], [0.5, 4.0, -1.0, 0.0]])


@primitive()
class argsort:
    """Indices that sort along an axis."""

    derivative = ZERO
    samples = (((_X,), {"axis": 0, "kind": None}), ((_X,), {"axis": 1, "kind": "stable"}))

    def infer(specs, attrs):
        return spec_of(specs[0].shape, _INT), op.KERNEL

    def compute(x, axis, kind):
        return np.argsort(x, axis=axis, kind=kind)


@primitive()
class sort:
    """Elements in ascending order along an axis."""

    samples = (
        ((_X,), {"axis": 0}),
        ((_X,), {"axis": 1}),
        ((np.array([2.0, -1.0, 0.5]),), {"axis": 0}),
        ((np.ones((0, 3)),), {"axis": 0}),
    )

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def compute(x, axis):
        return np.sort(x, axis=axis, kind="stable")

    def pullback(y_bar, y, x, axis):
        rank = argsort(argsort(x, axis=axis, kind="stable"), axis=axis, kind="stable")
        return gather_along(y_bar, rank, axis)


def _axis_of(a, axis):
    x = lift(a)
    if axis is None:
        return reshape_to(x, (x._spec.size,)), 0
    return x, np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)


@implements(np.sort)
def numpy_sort(a, axis=-1, kind=None, order=None, *, stable=None):
    """`numpy.sort`."""
    x, axis = _axis_of(a, axis)
    return sort(x, axis=axis)


@implements(np.argsort)
def numpy_argsort(a, axis=-1, kind=None, order=None, *, stable=None):
    """`numpy.argsort`."""
    x, axis = _axis_of(a, axis)
    return argsort(x, axis=axis, kind="stable" if given(stable) and stable else kind)


@primitive()
class argpartition:
    """Indices that put the element of rank `kth` in its place, smaller ones before it and larger ones after."""

    derivative = ZERO
    samples = (((_X,), {"axis": 1, "kth": 2}),)

    def infer(specs, attrs):
        return spec_of(specs[0].shape, _INT), op.KERNEL

    def compute(x, axis, kth):
        return np.argpartition(x, kth, axis=axis)


@implements(np.argpartition)
def numpy_argpartition(a, kth, axis=-1, kind="introselect", order=None):
    """`numpy.argpartition`."""
    x, axis = _axis_of(a, axis)
    kth = int(kth) if np.ndim(kth) == 0 else tuple(int(k) for k in kth)
    ranks, n = np.atleast_1d(kth), x._spec.shape[axis]
    if ((ranks < -n) | (ranks >= n)).any():
        raise ValueError(f"kth(={kth}) out of bounds ({n})")
    return argpartition(x, axis=axis, kth=kth)


@implements(np.partition)
def numpy_partition(a, kth, axis=-1, kind="introselect", order=None):
    """`numpy.partition`."""
    x, axis = _axis_of(a, axis)
    return gather_along(x, numpy_argpartition(x, kth, axis), axis)


def _merge(x, lead):
    shape = x._spec.shape
    n = 1
    for m in shape[lead:]:
        n *= m
    return reshape_to(x, (*shape[:lead], n))


def _sorted_for(a, axis, name, out):
    refuse(name, out=out)
    x, _ = _floating(lift(a), None)
    axes = normal_axes(axis, x._spec.ndim)
    kept = kept_shape(x._spec.shape, axes)
    if x._spec.ndim == 0:
        x = reshape_to(x, (1,))
        axes = (0,)
    lead = tuple(d for d in range(x._spec.ndim) if d not in axes)
    flat = _merge(view_of_function(np.transpose, "Permute", x, (*lead, *axes)), len(lead))
    s = sort(flat, axis=flat._spec.ndim - 1)
    return s, kept


def _nan_where_nan(y, s):
    """NaN is sorted to the end: where there is one, the result is NaN."""
    last = getitem(s, (Ellipsis, -1))
    return ops.where(ops.isnan(last), last, y)


@implements(np.median)
def numpy_median(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    """`numpy.median`."""
    s, kept = _sorted_for(a, axis, "median", out)
    n = s._spec.shape[-1]
    if n == 0:
        raise ValueError("median: there is no element along the axis, and no median")
    middle = getitem(s, (Ellipsis, slice((n - 1) // 2, n // 2 + 1)))
    y = _nan_where_nan(mean(middle, axis=(middle._spec.ndim - 1,), keepdims=False), s)
    return reshape_to(y, kept) if keepdims else y


def _virtual_index(q, n, method):
    """Ranks below and above each quantile, and the way between them."""
    at = q * (n - 1)
    if method == "lower":
        at = np.floor(at)
    elif method == "higher":
        at = np.ceil(at)
    elif method == "nearest":
        at = np.round(at)  # halves go to even ranks
    elif method == "midpoint":
        at = 0.5 * (np.floor(at) + np.ceil(at))
    elif method != "linear":
        raise NotImplementedError(
            f"quantile: the method {method!r} is not supported for tensors; use 'linear', 'lower', 'higher', "
            f"'nearest' or 'midpoint'"
        )
    below = np.clip(np.floor(at), 0, max(n - 1, 0)).astype(np.intp)
    above = np.minimum(below + 1, n - 1)
    return below, above, at - below


_PERCENT = "Percentiles must be in the range [0, 100]"


def _quantile(a, q, axis, out, method, keepdims, name):
    weak = isinstance(q, (int, float))
    q = _plain(q).astype(float)
    if ((q < 0) | (q > 1)).any():
        raise ValueError({"quantile": "Quantiles must be in the range [0, 1]"}.get(name, _PERCENT))
    s, kept = _sorted_for(a, axis, name, out)
    n = s._spec.shape[-1]
    if n == 0:
        raise IndexError(f"{name}: there is no element along the axis")
    below, above, t = _virtual_index(q.ravel(), n, method)
    y = getitem(s, (Ellipsis, below))
    if method in ("linear", "midpoint"):
        t = t.astype(s._spec.dtype) if weak else t
        upper = getitem(s, (Ellipsis, above))
        step = upper - y
        # Measured from the nearer end, as NumPy does.
        y = ops.where(t >= 0.5, upper - step * (1 - t), y + step * t)
    y = _nan_where_nan(y, _expand_last(s))
    y = view_of_function(np.moveaxis, "Permute", y, -1, 0)
    return reshape_to(y, (*q.shape, *(kept if keepdims else y._spec.shape[1:])))


def _expand_last(s):
    shape = s._spec.shape
    return reshape_to(s, (*shape[:-1], 1, shape[-1]))


@implements(np.quantile)
def numpy_quantile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None):
    """`numpy.quantile`; `q` is taken as a constant."""
    refuse("quantile", weights=weights)
    return _quantile(a, q, axis, out, method, keepdims, "quantile")


@implements(np.percentile)
def numpy_percentile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None
):
    """`numpy.percentile`; `q` is taken as a constant."""
    refuse("percentile", weights=weights)
    return _quantile(
        a, q / 100.0 if isinstance(q, (int, float)) else _plain(q) / 100.0, axis, out, method, keepdims, "percentile"
    )


@implements(np.unique)
def numpy_unique(
    ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True, sorted=True
):
    """`numpy.unique`; the gradient goes to the first element of each group, indices and counts are plain arrays."""
    x = lift(ar)
    _, index, inverse, counts = np.unique(_plain(ar), True, True, True, axis, equal_nan=equal_nan)
    if axis is None:
        values = getitem(reshape_to(x, (x._spec.size,)), index)
    else:
        values = getitem(x, along(x._spec.ndim, axis % x._spec.ndim, index))
    flags = return_index, return_inverse, return_counts
    extra = [v for v, wanted in zip((index, inverse, counts), flags, strict=True) if wanted]
    return (values, *extra) if extra else values
