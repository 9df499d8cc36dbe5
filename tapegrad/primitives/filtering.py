"""Functions of sampled signals: convolution, correlation, numerical gradients, interpolation, unwrapping."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .combining import numpy_concatenate
from .core import BY_FUNCTION, implements, lift, ops, primitive
from .indexing import getitem
from .layout import view_of_function
from .matmul import conjugated
from .nesting import joined
from .picking import _plain
from .scan import along, numpy_diff
from .shape import cast, expand_to, reshape_to

__all__ = ["numpy_convolve"]


@primitive()
class convolve:
    """All of the convolution of two vectors."""

    multilinear = True
    samples = (
        ((np.array([1.0, -2.0, 3.0, 0.5]), np.array([0.5, 1.0])), {}),
        ((np.array([1.0, -2.0]), np.array([0.5, 1.0, 4.0])), {}),
        ((np.array([1.0 + 1.0j, -2.0]), np.array([0.5j, 1.0, 4.0])), {}),
    )

    def infer(specs, attrs):
        a, v = specs
        return spec_of((a.size + v.size - 1,), a.dtype), op.KERNEL

    def compute(a, v):
        return np.convolve(a, v)

    def pullback(y_bar, y, a, v):
        # The adjoint of a convolution is a correlation: a_bar[i] is the sum of y_bar[i + j] conj(v[j]).
        n, m = a._spec.size, v._spec.size
        a_bar = getitem(convolve(y_bar, _reverse(conjugated(v))), slice(m - 1, m - 1 + n))
        v_bar = getitem(convolve(y_bar, _reverse(conjugated(a))), slice(n - 1, n - 1 + m))
        return a_bar, v_bar

    def batching(row):
        # The windows of one vector, times the other one backwards.
        long, short = (0, 1) if row.specs[0].size >= row.specs[1].size else (1, 0)
        m = row.specs[short].size
        a, v = row.whole(long), view_of_function(np.flip, "Flip", row.whole(short), 1)
        zeros = expand_to(lift(np.zeros((), a._spec.dtype)), (row.size, m - 1))
        padded = ops.concatenate(zeros, a, zeros, axis=1)
        windows = view_of_function(np.lib.stride_tricks.sliding_window_view, "Unfold", padded, m, axis=1)
        return reshape_to(ops.matmul(windows, reshape_to(v, (row.size, m, 1))), (row.size, *row.out.shape))


def _reverse(x):
    return view_of_function(np.flip, "Flip", x, 0)


def _vectors(a, v, name):
    a, v = lift(a), lift(v)
    a, v = (reshape_to(x, (1,)) if x._spec.ndim == 0 else x for x in (a, v))
    if a._spec.ndim > 1 or v._spec.ndim > 1:
        raise ValueError("object too deep for desired array")
    for x, label in ((a, "a"), (v, "v")):
        if x._spec.size == 0:
            raise ValueError(f"{label} cannot be empty")
    dtype = np.result_type(a._spec.dtype, v._spec.dtype)
    return cast(a, dtype), cast(v, dtype)


def _cut(y, n, m, mode):
    """The part of a full convolution that a mode stands for; n >= m."""
    mode = {0: "valid", 1: "same", 2: "full"}.get(mode, mode)
    if mode == "full":
        return y
    if mode == "same":
        start = (m - 1) // 2
        return getitem(y, slice(start, start + n))
    if mode == "valid":
        return getitem(y, slice(m - 1, n))
    raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")


@implements(np.convolve)
def numpy_convolve(a, v, mode="full"):
    """`numpy.convolve`."""
    a, v = _vectors(a, v, "convolve")
    if v._spec.size > a._spec.size:
        a, v = v, a
    return _cut(convolve(a, v), a._spec.size, v._spec.size, mode)


@implements(np.correlate)
def numpy_correlate(a, v, mode="valid"):
    """`numpy.correlate`."""
    a, v = _vectors(a, v, "correlate")
    if v._spec.size > a._spec.size:
        return _reverse(conjugated(numpy_correlate(v, a, mode)))
    y = convolve(a, _reverse(conjugated(v)))
    return _cut(y, a._spec.size, v._spec.size, mode)


# --- numerical gradients ---------------------------------------------------------------------------------------------


def _spacings(f, varargs, axes):
    """For each axis a number, or the differences of its coordinates."""
    if len(varargs) == 0:
        return [1.0] * len(axes)
    if len(varargs) == 1 and np.ndim(varargs[0]) == 0:
        return list(varargs) * len(axes)
    if len(varargs) != len(axes):
        raise TypeError("invalid number of arguments")
    found = []
    for axis, h in zip(axes, varargs, strict=True):
        if np.ndim(h) == 0:
            found.append(h)
            continue
        h = lift(h)
        if h._spec.ndim != 1:
            raise ValueError("distances must be either scalars or 1d")
        if h._spec.shape[0] != f._spec.shape[axis]:
            raise ValueError("when 1d, distances must match the length of the corresponding dimension")
        if h._spec.dtype.kind in "iu":
            h = cast(h, np.dtype(float))
        found.append(numpy_diff(h))
    return found


@implements(np.gradient)
def numpy_gradient(f, *varargs, axis=None, edge_order=1):
    """`numpy.gradient`; equal spacings that are given as coordinates are treated as unequal ones."""
    f = lift(f)
    ndim = f._spec.ndim
    axes = tuple(range(ndim)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, ndim)
    spacings = _spacings(f, [joined(h) for h in varargs], axes)
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    if f._spec.dtype.kind in "biu":
        f = cast(f, np.dtype(float))
    for d in axes:
        if f._spec.shape[d] < edge_order + 1:
            raise ValueError(
                "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are "
                "required."
            )
    found = [_slopes(f, d, h, edge_order) for d, h in zip(axes, spacings, strict=True)]
    return found[0] if len(found) == 1 else tuple(found)


def _slopes(f, axis, h, edge_order):
    ndim = f._spec.ndim

    def at(index):
        return getitem(f, along(ndim, axis, index))

    def part(x, index):
        """Of the spacings, in the direction of the axis."""
        x = getitem(x, index)
        return reshape_to(x, (x._spec.size, *(1,) * (ndim - axis - 1)))

    even = not (hasattr(h, "_spec") and h._spec.ndim == 1)
    if even:
        inner = (at(slice(2, None)) - at(slice(None, -2))) / (2.0 * h)
    else:
        left, right = part(h, slice(0, -1)), part(h, slice(1, None))
        low, middle, high = at(slice(None, -2)), at(slice(1, -1)), at(slice(2, None))
        inner = (
            low * (-right / (left * (left + right)))
            + middle * ((right - left) / (left * right))
            + high * (left / (right * (left + right)))
        )
    first, last = (_edge(at, part, h, even, edge_order, end) for end in (0, -1))
    return numpy_concatenate([first, inner, last], axis)


def _edge(at, part, h, even, edge_order, end):
    """The one-sided difference at the first or the last place, as an array of one element along the axis."""
    places = (slice(0, 1), slice(1, 2), slice(2, 3)) if end == 0 else (slice(-1, None), slice(-2, -1), slice(-3, -2))
    steps = (slice(0, 1), slice(1, 2)) if end == 0 else (slice(-1, None), slice(-2, -1))
    sign = 1.0 if end == 0 else -1.0
    near = h if even else part(h, steps[0])
    if edge_order == 1:
        return sign * (at(places[1]) - at(places[0])) / near
    far = h if even else part(h, steps[1])
    total = near + far
    a = -(2.0 * near + far) / (near * total)
    b = total / (near * far)
    c = -near / (far * total)
    return sign * (a * at(places[0]) + b * at(places[1]) + c * at(places[2]))


# --- interpolation ---------------------------------------------------------------------------------------------------


@implements(np.interp)
def numpy_interp(x, xp, fp, left=None, right=None, period=None):
    """`numpy.interp`, differentiable in all of its arrays; at a knot the slope is that to the right of it."""
    x, xp, fp = lift(x), lift(xp), lift(fp)
    dtype = np.dtype(complex) if fp._spec.dtype.kind == "c" else np.dtype(float)
    x, xp, fp = cast(x, np.dtype(float)), cast(xp, np.dtype(float)), cast(fp, dtype)
    if xp._spec.ndim != 1 or fp._spec.ndim != 1:
        raise ValueError("Data points must be 1-D sequences")
    if xp._spec.shape != fp._spec.shape:
        raise ValueError("fp and xp are not of the same length.")
    if period is not None:
        left = right = None
        x, xp, fp = _periodic(x, xp, fp, period)
    n = xp._spec.size
    if n == 0:
        raise ValueError("array of sample points is empty")
    first, last = getitem(xp, 0), getitem(xp, n - 1)
    below = getitem(fp, 0) if left is None else left
    above = getitem(fp, n - 1) if right is None else right
    if n == 1:
        inner = expand_to(getitem(fp, 0), x._spec.shape)
    else:
        place = BY_FUNCTION[np.searchsorted](xp, x, "right") - 1
        place = ops.minimum(ops.maximum(place, 0), n - 2)
        x0, f0 = getitem(xp, place), getitem(fp, place)
        inner = (getitem(fp, place + 1) - f0) / (getitem(xp, place + 1) - x0) * (x - x0) + f0
    y = ops.where(x < first, below, ops.where(x > last, above, inner))
    return ops.where(ops.isnan(x), x, y)


def _periodic(x, xp, fp, period):
    if _plain(period) == 0:
        raise ValueError("period must be a non-zero value")
    period = np.absolute(period)
    x, xp = x % period, xp % period
    order = np.argsort(_plain(xp), kind="stable")
    xp, fp = getitem(xp, order), getitem(fp, order)
    xp = numpy_concatenate([getitem(xp, slice(-1, None)) - period, xp, getitem(xp, slice(0, 1)) + period])
    fp = numpy_concatenate([getitem(fp, slice(-1, None)), fp, getitem(fp, slice(0, 1))])
    return x, xp, fp


@implements(np.unwrap)
def numpy_unwrap(p, discont=None, axis=-1, *, period=2.0 * np.pi):
    """`numpy.unwrap`: what is added is constant almost everywhere."""
    p = lift(p)
    ndim = p._spec.ndim
    axis = np.lib.array_utils.normalize_axis_index(axis, ndim)
    step = numpy_diff(p, axis=axis)
    discont = period / 2 if discont is None else lift(discont)
    whole = p._spec.dtype.kind in "iu" and isinstance(period, (int, np.integer))
    high, edge = divmod(period, 2) if whole else (period / 2, True)
    edge = edge == 0 if whole else edge
    turned = ops.remainder(step + high, period) - high
    if edge:
        turned = ops.where((turned == -high) & (step > 0), high, turned)
    correction = ops.where(ops.absolute(step) < discont, 0 if whole else 0.0, turned - step)
    rest = getitem(p, along(ndim, axis, slice(1, None))) + BY_FUNCTION[np.cumsum](correction, axis)
    return numpy_concatenate([getitem(p, along(ndim, axis, slice(0, 1))), rest], axis)
