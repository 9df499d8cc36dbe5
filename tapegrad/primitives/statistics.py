"""Means, variances, norms: reductions with a rule of their own, or put together from others."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from .core import BY_FUNCTION, implements, lift, ops, primitive
from .memo import remembered
from .reduction import (
    count_of,
    given,
    normal_axes,
    numpy_max,
    numpy_min,
    numpy_prod,
    numpy_sum,
    reduced_row,
    refuse,
    spread,
    sum_,
)
from .shape import cast, expand_to, reverse_axes

_X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
_MEAN_SAMPLES = (
    ((_X,), {"axis": (0,), "keepdims": False}),
    ((_X,), {"axis": (1,), "keepdims": True}),
    ((np.sin(np.arange(24.0)).reshape(2, 3, 4),), {"axis": (0, 2), "keepdims": False}),
    ((np.array(2.0),), {"axis": (), "keepdims": False}),
)


@primitive()
class mean:
    """Arithmetic mean over axes."""

    linear = True
    samples = _MEAN_SAMPLES

    def infer(specs, attrs):
        return reduced_row(specs, attrs)

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import compose

        n = count_of(operands[0][1].shape, attrs["axis"])

        def definition(x):
            return sum_(x, **attrs) / float(n)

        compose(emitter, out, operands, definition)

    def compute(x, axis, keepdims):
        return np.mean(x, axis=axis, keepdims=keepdims)

    def pullback(y_bar, y, x, axis, keepdims):
        return spread(y_bar / float(max(count_of(x._spec.shape, axis), 1)), x, axis)


def _floating(x, dtype):
    """A tensor in the dtype that NumPy averages in, and the dtype of the result."""
    if dtype is not None:
        x = cast(x, np.dtype(dtype))
    if x._spec.dtype.kind in "biu":
        x = cast(x, np.dtype(float))
    if x._spec.dtype.char == "e" and dtype is None:
        return cast(x, np.dtype(np.float32)), x._spec.dtype
    return x, x._spec.dtype


def _keep(keepdims):
    return bool(given(keepdims) and keepdims)


@implements(np.mean)
@remembered
def numpy_mean(a, axis=None, dtype=None, out=None, keepdims=False, *, where=None):
    """`numpy.mean`."""
    refuse("mean", out=out)
    x, result = _floating(lift(a), dtype)
    if given(where):
        count = numpy_sum(expand_to(lift(where), x._spec.shape), axis, keepdims=_keep(keepdims))
        return cast(numpy_sum(x, axis, keepdims=_keep(keepdims), where=where) / count, result)
    return cast(mean(x, axis=normal_axes(axis, x._spec.ndim), keepdims=_keep(keepdims)), result)


def _real_dtype(dtype):
    return np.empty(0, dtype).real.dtype


_VAR_SAMPLES = (
    ((_X,), {"axis": (0,), "ddof": 0, "keepdims": False}),
    ((_X,), {"axis": (0, 1), "ddof": 1, "keepdims": True}),
    ((np.sin(np.arange(24.0)).reshape(2, 3, 4),), {"axis": (1,), "ddof": 0.5, "keepdims": False}),
)


def _deviations(x, axis):
    return x - mean(x, axis=axis, keepdims=True)


def _squares(d):
    return ops.real(d * ops.conjugate(d)) if d._spec.dtype.kind == "c" else d * d


def _freedom(shape, axis, ddof):
    return float(max(count_of(shape, axis) - ddof, 0))


def _variance(x, axis, ddof, keepdims):
    return sum_(_squares(_deviations(x, axis)), axis=axis, keepdims=keepdims) / _freedom(x._spec.shape, axis, ddof)


def _check_ddof(ddof):
    if not isinstance(ddof, (int, float, np.number)):
        raise TypeError(f"ddof must be a number, the degrees of freedom to take off, and it is {ddof!r}")


@primitive()
class var:
    """Variance over axes, with `ddof` degrees of freedom taken off."""

    samples = _VAR_SAMPLES

    def infer(specs, attrs):
        _check_ddof(attrs["ddof"])
        return reduced_row(specs, attrs, _real_dtype(specs[0].dtype))

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import compose

        def definition(x):
            return _variance(x, **attrs)

        compose(emitter, out, operands, definition)

    def compute(x, axis, ddof, keepdims):
        return np.var(x, axis=axis, ddof=ddof, keepdims=keepdims)

    def pullback(y_bar, y, x, axis, ddof, keepdims):
        n = _freedom(x._spec.shape, axis, ddof)
        return spread(y_bar * (2.0 / n if n else np.nan), x, axis) * _deviations(x, axis)


@primitive()
class std:
    """Standard deviation over axes; its gradient is 0 where it is 0."""

    samples = _VAR_SAMPLES

    def infer(specs, attrs):
        _check_ddof(attrs["ddof"])
        return reduced_row(specs, attrs, _real_dtype(specs[0].dtype))

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import compose

        def definition(x):
            return ops.sqrt(_variance(x, **attrs))

        compose(emitter, out, operands, definition)

    def compute(x, axis, ddof, keepdims):
        return np.std(x, axis=axis, ddof=ddof, keepdims=keepdims)

    def pullback(y_bar, y, x, axis, ddof, keepdims):
        n = _freedom(x._spec.shape, axis, ddof)
        scale = y_bar / (ops.where(y == 0.0, np.ones((), y._spec.dtype), y) * (n if n else np.nan))
        return spread(scale, x, axis) * _deviations(x, axis)


def _spread_of(record, a, axis, dtype, out, ddof, keepdims, where, mean, correction):
    refuse(record.name, out=out)
    x, result = _floating(lift(a), dtype)
    ddof = correction if given(correction) else ddof
    if given(where) or given(mean):
        y = _variance_of(x, axis, ddof, _keep(keepdims), where, mean)
        return cast(_root(y) if record is std else y, _real_dtype(result))
    y = record(x, axis=normal_axes(axis, x._spec.ndim), ddof=ddof, keepdims=_keep(keepdims))
    return cast(y, _real_dtype(result))


def _root(y):
    """Square root of a variance, whose gradient is 0 where it is 0, as that of `std` is."""
    none = y == 0.0
    return ops.where(none, y, ops.sqrt(ops.where(none, np.ones((), y._spec.dtype), y)))


def _variance_of(x, axis, ddof, keepdims, where, mean):
    """Variance of chosen elements, or about a mean that was given."""
    chosen = expand_to(lift(where), x._spec.shape) if given(where) else None
    count = count_of(x._spec.shape, normal_axes(axis, x._spec.ndim))
    if chosen is not None:
        count = numpy_sum(chosen, axis, keepdims=True)
    centre = mean if given(mean) else numpy_sum(x, axis, keepdims=True, where=where) / count
    squares = _squares(x - centre)
    freedom = count - ddof
    if chosen is not None:
        freedom = ops.maximum(freedom, 0.0)
    y = numpy_sum(squares, axis, keepdims=True, where=where) / freedom
    return y if keepdims else numpy_sum(y, axis)


@implements(np.var)
def numpy_var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=None, mean=None, correction=None):
    """`numpy.var`."""
    return _spread_of(var, a, axis, dtype, out, ddof, keepdims, where, mean, correction)


@implements(np.std)
def numpy_std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=None, mean=None, correction=None):
    """`numpy.std`."""
    return _spread_of(std, a, axis, dtype, out, ddof, keepdims, where, mean, correction)


@implements(np.average)
def numpy_average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    """`numpy.average`."""
    x = lift(a)
    if weights is None:
        y = numpy_mean(x, axis, keepdims=keepdims)
        total = count_of(x._spec.shape, normal_axes(axis, x._spec.ndim))
        return (y, np.full(y._spec.shape, total, y._spec.dtype)) if returned else y
    w = lift(weights)
    if w._spec.shape != x._spec.shape:
        if axis is None:
            raise TypeError("Axis must be specified when shapes of a and weights differ.")
        axes = normal_axes(axis, x._spec.ndim)
        given_axes = np.lib.array_utils.normalize_axis_tuple(axis, x._spec.ndim)
        if w._spec.shape != tuple(x._spec.shape[d] for d in given_axes):
            raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
        if given_axes != axes:
            w = BY_FUNCTION[np.transpose](w, tuple(int(k) for k in np.argsort(given_axes)))
        w = BY_FUNCTION[np.reshape](w, tuple(n if d in axes else 1 for d, n in enumerate(x._spec.shape)))
        w = expand_to(w, x._spec.shape)
    dtypes = x._spec.dtype, w._spec.dtype
    w = cast(w, np.result_type(*dtypes, *([np.float64] if x._spec.dtype.kind in "biu" else [])))
    total = numpy_sum(w, axis, keepdims=keepdims)
    y = numpy_sum(x * w, axis, keepdims=keepdims) / total
    return (y, expand_to(total, y._spec.shape)) if returned else y


# --- without NaN -------------------------------------------------------------------------------------------------


def _without_nan(a, fill):
    """A tensor with its NaN replaced, and where they were (None where the dtype has none)."""
    x = lift(a)
    if x._spec.dtype.kind not in "fc":
        return x, None
    nan = ops.isnan(x)
    return ops.where(nan, np.asarray(fill, x._spec.dtype), x), nan


@implements(np.nansum)
def numpy_nansum(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.nansum`."""
    return numpy_sum(_without_nan(a, 0)[0], axis, dtype, out, keepdims, initial, where)


@implements(np.nanprod)
def numpy_nanprod(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.nanprod`."""
    return numpy_prod(_without_nan(a, 1)[0], axis, dtype, out, keepdims, initial, where)


@implements(np.nanmean)
def numpy_nanmean(a, axis=None, dtype=None, out=None, keepdims=False, *, where=None):
    """`numpy.nanmean`."""
    x, nan = _without_nan(a, 0)
    if nan is None:
        return numpy_mean(x, axis, dtype, out, keepdims, where=where)
    count = numpy_sum(~nan, axis, keepdims=keepdims, where=where)
    total = numpy_sum(x, axis, dtype, out, keepdims, where=where)
    return total / cast(count, total._spec.dtype)


def _nan_extremum(function, a, axis, out, keepdims, initial, where, fill):
    x, nan = _without_nan(a, fill)
    y = function(x, axis, out, keepdims, initial, where)
    if nan is None or given(initial):
        return y
    return ops.where(BY_FUNCTION[np.all](nan, axis, keepdims=keepdims), np.asarray(np.nan, x._spec.dtype), y)


@implements(np.nanmax)
def numpy_nanmax(a, axis=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.nanmax`."""
    return _nan_extremum(numpy_max, a, axis, out, keepdims, initial, where, -np.inf)


@implements(np.nanmin)
def numpy_nanmin(a, axis=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.nanmin`."""
    return _nan_extremum(numpy_min, a, axis, out, keepdims, initial, where, np.inf)


@implements(np.nanvar)
def numpy_nanvar(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=None, mean=None, correction=None):
    """`numpy.nanvar`."""
    refuse("nanvar", out=out)
    x, nan = _without_nan(a, 0)
    if nan is None:
        return numpy_var(x, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean, correction=correction)
    ddof = correction if given(correction) else ddof
    if given(where):
        nan = nan | ~lift(np.asarray(where) if not isinstance(where, Tensor) else where)
        x = ops.where(nan, np.zeros((), x._spec.dtype), x)
    count = cast(numpy_sum(~nan, axis, keepdims=True), x._spec.dtype)
    centre = mean if given(mean) else numpy_sum(x, axis, keepdims=True) / count
    d = ops.where(nan, np.zeros((), x._spec.dtype), x - centre)
    freedom = numpy_sum(~nan, axis, keepdims=keepdims) - ddof
    freedom = cast(ops.where(freedom > 0, freedom, np.nan), _real_dtype(x._spec.dtype))
    return numpy_sum(_squares(d), axis, dtype, keepdims=keepdims) / freedom


@implements(np.nanstd)
def numpy_nanstd(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=None, mean=None, correction=None):
    """`numpy.nanstd`."""
    return _root(numpy_nanvar(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))


@implements(np.cov)
def numpy_cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    """`numpy.cov`; frequencies are constants, other weights take part."""
    atleast_2d, concatenate = BY_FUNCTION[np.atleast_2d], BY_FUNCTION[np.concatenate]
    parts = []
    for a in (m,) if y is None else (m, y):
        x = atleast_2d(cast(lift(a), np.result_type(lift(a)._spec.dtype, np.float64) if dtype is None else dtype))
        parts.append(reverse_axes(x) if not rowvar and x._spec.shape[0] != 1 else x)
    x = parts[0] if len(parts) == 1 else concatenate(parts, axis=0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if fweights is None and aweights is None:
        d, w, freedom = _deviations(x, (1,)), None, _freedom(x._spec.shape, (1,), ddof)
    else:
        d, w, freedom = _weighted_deviations(x, fweights, aweights, ddof)
    other = reverse_axes(ops.conjugate(d) if d._spec.dtype.kind == "c" else d)
    return BY_FUNCTION[np.squeeze](ops.matmul(d if w is None else d * w, other) / freedom)


def _weighted_deviations(x, fweights, aweights, ddof):
    """Deviations from the weighted means, the weights, and the degrees of freedom as `numpy.cov` counts them."""
    for w, name in ((fweights, "fweights"), (aweights, "aweights")):
        if w is not None and lift(w)._spec.shape != (x._spec.shape[1],):
            raise RuntimeError(f"cov: {name} must be a vector with as many elements as there are observations")
    w = 1.0
    for part in (fweights, aweights):
        w = w if part is None else w * cast(lift(part), np.dtype(float))
    total = numpy_sum(w)
    if ddof == 0:
        freedom = total
    elif aweights is None:
        freedom = total - ddof
    else:
        freedom = total - ddof * numpy_sum(w * cast(lift(aweights), np.dtype(float))) / total
    return x - numpy_sum(x * w, 1, keepdims=True) / total, w, freedom


@implements(np.corrcoef)
def numpy_corrcoef(x, y=None, rowvar=True, *, dtype=None):
    """`numpy.corrcoef`, without clipping to [-1, 1]."""
    c = numpy_cov(x, y, rowvar, dtype=dtype)
    if c._spec.ndim == 0:
        return c / c
    d = BY_FUNCTION[np.diag](c)
    s = ops.sqrt(ops.real(d) if d._spec.dtype.kind == "c" else d)
    n = s._spec.size
    return c / BY_FUNCTION[np.reshape](s, (n, 1)) / s
