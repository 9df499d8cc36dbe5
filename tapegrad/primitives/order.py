"""Order statistics of arrays with missing elements: NaN is left out, lane by lane."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from .core import NoRuleError, implements, lift, ops
from .layout import view_of_function
from .picking import _plain, numpy_take_along_axis
from .reduction import given, refuse
from .shape import cast, reshape_to
from .sorting import (
    _sorted_for,
    between,
    dtype_of_q,
    numpy_median,
    numpy_percentile,
    numpy_quantile,
    quantile_dtype,
    virtual_index,
)
from .weighted import weighted_quantile


def _constant(q, name):
    if isinstance(q, Tensor) and q._spec.requires_grad:
        raise NoRuleError(f"{name} has no derivative by q in tapegrad; use tapegrad.stop_gradient(q), or {name[3:]}")
    return _plain(q)


def _nan_quantile(a, q, axis, method, keepdims, name, by=None):
    """Quantiles of the elements that are not NaN: how many there are is looked up in the values."""
    q = np.asarray(q, float)
    if ((q < 0) | (q > 1)).any():
        raise ValueError("Quantiles must be in the range [0, 1]")
    s, kept = _sorted_for(a, axis, name, None)
    counts = np.count_nonzero(~np.isnan(_plain(s)), -1, keepdims=True)
    below, above, way = virtual_index(q.ravel(), counts, method)
    low, high = numpy_take_along_axis(s, below, -1), numpy_take_along_axis(s, above, -1)
    if name == "nanmedian":
        y = ops.where(way == 0.0, low, (low + high) / 2.0)
    else:
        y = between(low, high, way, s._spec.dtype if by is None else None)
        y = cast(y, quantile_dtype(lift(a)._spec.dtype, s._spec.dtype, by, method))
    y = ops.where(counts == 0, np.asarray(np.nan, s._spec.dtype), y)
    y = view_of_function(np.moveaxis, "Permute", y, -1, 0)
    return reshape_to(y, (*q.shape, *(kept if keepdims else y._spec.shape[1:])))


def _has_nan(a):
    return lift(a)._spec.dtype.kind == "f"


@implements(np.nanquantile)
def numpy_nanquantile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=np._NoValue, *, weights=None
):
    """`numpy.nanquantile`; `q` is taken as a constant."""
    refuse("nanquantile", out=out)
    keep = keepdims is not np._NoValue and bool(keepdims)
    if given(weights):
        return weighted_quantile(np.nanquantile, a, q, axis, method, keep, weights)
    if not _has_nan(a) or lift(a)._spec.size == 0:
        return numpy_quantile(a, q, axis, method=method, keepdims=keep)
    return _nan_quantile(a, _constant(q, "nanquantile"), axis, method, keep, "nanquantile", dtype_of_q(q, method))


@implements(np.nanpercentile)
def numpy_nanpercentile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=np._NoValue, *, weights=None
):
    """`numpy.nanpercentile`; `q` is taken as a constant."""
    refuse("nanpercentile", out=out)
    keep = keepdims is not np._NoValue and bool(keepdims)
    if given(weights):
        return weighted_quantile(np.nanquantile, a, np.asarray(_plain(q)) / 100.0, axis, method, keep, weights)
    if not _has_nan(a) or lift(a)._spec.size == 0:
        return numpy_percentile(a, q, axis, method=method, keepdims=keep)
    q = q / 100.0 if type(q) in (int, float) else np.asarray(_constant(q, "nanpercentile")) / 100.0
    return _nan_quantile(a, q, axis, method, keep, "nanpercentile", dtype_of_q(q, method))


@implements(np.nanmedian)
def numpy_nanmedian(a, axis=None, out=None, overwrite_input=False, keepdims=np._NoValue):
    """`numpy.nanmedian`."""
    refuse("nanmedian", out=out)
    keep = keepdims is not np._NoValue and bool(keepdims)
    if not _has_nan(a) or lift(a)._spec.size == 0:
        return numpy_median(a, axis, keepdims=keep)
    return _nan_quantile(a, 0.5, axis, "linear", keep, "nanmedian")
