"""Sorting, order statistics and unique elements."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import ZERO, NoRuleError, implements, lift, ops, primitive
from .indexing import getitem
from .layout import view_of_function
from .picking import _plain, gather_along
from .reduction import given, kept_shape, normal_axes, refuse
from .scan import along
from .shape import cast, reshape_to
from .statistics import _floating, mean
from .weighted import weighted_quantile

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
        return _stable_order(x, axis) if kind == "stable" else np.argsort(x, axis=axis, kind=kind)


def _stable_order(x, axis):
    """`numpy.argsort` of kind "stable" by way of the others, which have vector code; equal elements follow later."""
    n = x.shape[axis]
    if n < WORTH_VECTORS:
        return np.argsort(x, axis=axis, kind="stable")
    x = np.moveaxis(x, axis, -1)
    order = np.argsort(x, axis=-1)
    values = np.take_along_axis(x, order, -1)
    before, after = values[..., :-1], values[..., 1:]
    differs = (before != after) & (before == before)  # NaN come last, and count as equal
    if not differs.all():
        starts = np.zeros(order.shape, np.int64)
        np.cumsum(differs, axis=-1, out=starts[..., 1:])
        starts *= n
        order += starts
        order.sort(axis=-1)
        order -= starts
    return np.moveaxis(order, -1, axis)


WORTH_VECTORS = 64
"""Elements along an axis from which on vector code makes up for the second look at equal ones."""


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
        return np.sort(x, axis=axis)

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
    x, axis = _axis_of(a, axis if np.ndim(a) else None)
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


_HYNDMAN_FAN = {  # alpha and beta of the methods that interpolate: n q + alpha + q (1 - alpha - beta) - 1
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "linear": (1.0, 1.0),
    "median_unbiased": (1.0 / 3.0, 1.0 / 3.0),
    "normal_unbiased": (3.0 / 8.0, 3.0 / 8.0),
}
_METHODS = (
    *_HYNDMAN_FAN, "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "lower", "higher", "midpoint",
    "nearest",
)  # fmt: skip


def virtual_index(q, n, method):
    """Ranks below and above each quantile of n elements (numbers or arrays), and the way between them."""
    if method not in _METHODS:
        raise ValueError(f"{method!r} is not a valid method. Use one of: {', '.join(_METHODS)}")
    if method in _HYNDMAN_FAN:
        alpha, beta = _HYNDMAN_FAN[method]
        at = q * (n - 1) if method == "linear" else n * q + (alpha + q * (1.0 - alpha - beta)) - 1.0
    elif method in ("inverted_cdf", "averaged_inverted_cdf"):
        at = n * q - 1.0
    elif method == "closest_observation":
        at = n * q - 1.5
    else:
        at = q * (n - 1)
    low = np.floor(at)
    way = at - low
    if method == "inverted_cdf":
        way = np.where(way > 0, 1.0, 0.0)
    elif method == "averaged_inverted_cdf":
        way = np.where(way > 0, 1.0, 0.5)
    elif method == "closest_observation":
        way = np.where((way == 0) & (low % 2 == 1), 0.0, 1.0)
    elif method == "lower":
        way = np.zeros_like(way)
    elif method == "higher":
        way = np.where(way > 0, 1.0, 0.0)
    elif method == "nearest":
        way = np.round(at) - low  # halves go to even ranks
    elif method == "midpoint":
        way = np.where(way > 0, 0.5, 0.0)
    below = np.clip(low, 0, np.maximum(n - 1, 0)).astype(np.intp)
    above = np.clip(low + 1, 0, np.maximum(n - 1, 0)).astype(np.intp)
    return below, above, way


_PERCENT = "Percentiles must be in the range [0, 100]"


def _quantile(a, q, axis, out, method, keepdims, name):
    by, given_q = dtype_of_q(q, method), q
    q = _plain(q).astype(float)
    if ((q < 0) | (q > 1)).any():
        raise ValueError({"quantile": "Quantiles must be in the range [0, 1]"}.get(name, _PERCENT))
    s, kept = _sorted_for(a, axis, name, out)
    if s._spec.dtype.kind == "c":
        raise TypeError("a must be an array of real numbers")
    n = s._spec.shape[-1]
    if n == 0:
        raise IndexError(f"{name}: there is no element along the axis")
    below, above, t = virtual_index(q.ravel(), n, method)
    if isinstance(given_q, Tensor) and given_q._spec.requires_grad:
        if method not in _HYNDMAN_FAN:
            raise NoRuleError(
                f"{name}: method {method!r} has steps in q, and so no derivative by it; use method='linear', or "
                f"tapegrad.stop_gradient(q)"
            )
        slope = n + 1.0 - sum(_HYNDMAN_FAN[method])
        t = t + slope * (reshape_to(given_q, (q.size,)) - q.ravel())
    y = between(getitem(s, (Ellipsis, below)), getitem(s, (Ellipsis, above)), t, s._spec.dtype if by is None else None)
    y = cast(_nan_where_nan(y, _expand_last(s)), quantile_dtype(lift(a)._spec.dtype, s._spec.dtype, by, method))
    y = view_of_function(np.moveaxis, "Permute", y, -1, 0)
    return reshape_to(y, (*q.shape, *(kept if keepdims else y._spec.shape[1:])))


def dtype_of_q(q, method):
    """The dtype by which `q` promotes quantiles: None of Python's numbers, and of integers that stay ranks."""
    if type(q) in (int, float):
        return None
    dtype = q._spec.dtype if isinstance(q, Tensor) else np.asarray(q).dtype
    return dtype if dtype.kind == "f" else None if method == "linear" else np.dtype(float)


def quantile_dtype(given, floating, by, method):
    """The dtype of quantiles: the array's where they are elements, else that of a mean by a `q` of dtype `by`."""
    if method in _ELEMENTS:
        return given
    return floating if by is None else np.result_type(floating, by)


_ELEMENTS = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")


def between(low, high, t, dtype=None):
    """The element `t` of the way from one to another; measured from the nearer end, as NumPy does."""
    if not isinstance(t, Tensor) and np.isin(t, (0.0, 1.0)).all():
        return ops.where(t == 1.0, high, low)
    t = t if dtype is None else t.astype(dtype)
    step = high - low
    return ops.where(t >= 0.5, high - step * (1 - t), low + step * t)


def _expand_last(s):
    shape = s._spec.shape
    return reshape_to(s, (*shape[:-1], 1, shape[-1]))


@implements(np.quantile)
def numpy_quantile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None):
    """`numpy.quantile`, differentiable by `q`, too."""
    if given(weights):
        refuse("quantile", out=out)
        return weighted_quantile(np.quantile, a, q, axis, method, keepdims, weights)
    return _quantile(a, q, axis, out, method, keepdims, "quantile")


@implements(np.percentile)
def numpy_percentile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None
):
    """`numpy.percentile`, differentiable by `q`, too."""
    q = (q if isinstance(q, (int, float, np.generic, Tensor)) else np.asarray(q)) / 100.0
    if given(weights):
        refuse("percentile", out=out)
        return weighted_quantile(np.quantile, a, q, axis, method, keepdims, weights)
    return _quantile(a, q, axis, out, method, keepdims, "percentile")


@primitive()
class mode_index:
    """Last index of the element that is met most often along an axis; of several, of the smallest."""

    derivative = ZERO
    samples = (((np.array([[1.0, 2.0, 2.0], [3.0, 1.0, 3.0]]),), {"axis": 1}),)

    def infer(specs, attrs):
        shape, axis = specs[0].shape, attrs["axis"]
        return spec_of((*shape[:axis], 1, *shape[axis + 1 :]), np.dtype(np.intp)), op.KERNEL

    def compute(x, axis):
        return np.expand_dims(np.apply_along_axis(_last_of_the_mode, axis, x), axis)


def _last_of_the_mode(lane):
    values, counts = np.unique(lane, return_counts=True)
    return np.flatnonzero(lane == values[counts.argmax()])[-1]


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
