"""Scans along an axis: cumulative sums and products, differences, and what integrates or differentiates samples."""

from __future__ import annotations

import itertools

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .combining import numpy_concatenate
from .core import BY_FUNCTION, implements, lift, ops, primitive
from .indexing import getitem
from .layout import view_of_function
from .memo import remembered
from .reduction import given, numpy_sum, refuse
from .shape import cast, expand_to, reshape_to

__all__ = ["along"]


def along(ndim, axis, index):
    """A key that indexes one axis and takes the others whole."""
    return (*(slice(None),) * axis, index, *(slice(None),) * (ndim - axis - 1))


def _flip(x, axis):
    return view_of_function(np.flip, "Flip", x, axis)


def _accumulate(emitter, ufunc, out, operands, axis, record):
    """``y[0] = x[0]; y[i] = y[i - 1] op x[i]``, by the ufunc's loop over shifted operands."""
    from ..tape.lower import copy_loops
    from ..vm.bridge import loop_address

    (code, y), ((source, x),) = out, operands
    c = y.dtype.char
    copy, _ = copy_loops(y)
    if copy is None or source < 0 or y.size == 0 or f"{c}{c}->{c}" not in ufunc.types:
        emitter.call(record, {"axis": axis}, out, operands)
        return
    n = y.shape[axis]
    one = (*y.shape[:axis], 1, *y.shape[axis + 1 :])
    emitter.loop(copy, (code, spec_of(one, y.dtype, y.strides)), [(source, spec_of(one, x.dtype, x.strides))])
    if n == 1:
        return
    rest = (*y.shape[:axis], n - 1, *y.shape[axis + 1 :])
    before, after = spec_of(rest, y.dtype, y.strides), spec_of(rest, x.dtype, x.strides)
    target = emitter.shifted(code, y.strides[axis])
    addend = emitter.shifted(source, x.strides[axis])
    emitter.loop(loop_address(ufunc, f"{c}{c}->{c}"), (target, before), [(code, before), (addend, after)])


_X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
_SAMPLES = (
    ((_X,), {"axis": 0}),
    ((_X,), {"axis": 1}),
    ((np.sin(np.arange(24.0)).reshape(2, 3, 4),), {"axis": 1}),
    ((np.array([2.0]),), {"axis": 0}),
    ((np.ones((0, 3)),), {"axis": 1}),
)


@primitive()
class cumsum:
    """Cumulative sum along an axis."""

    linear = True
    grad_name = "Cumsum"
    samples = _SAMPLES

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def kernel(emitter, out, operands, attrs):
        _accumulate(emitter, np.add, out, operands, attrs["axis"], cumsum)

    def compute(x, axis):
        return np.cumsum(x, axis=axis)

    def pullback(y_bar, y, x, axis):
        return _flip(cumsum(_flip(y_bar, axis), axis=axis), axis)


@primitive()
class linear_scan:
    """Linear recurrence along an axis: s[0] = b[0], s[i] = a[i] s[i - 1] + b[i] (a[0] is not read)."""

    samples = (
        ((_X, _X + 1.0), {"axis": 0}),
        ((_X, _X + 1.0), {"axis": 1}),
        ((np.array([2.0, 0.0, 3.0]), np.array([1.0, 2.0, 3.0])), {"axis": 0}),
        ((np.ones((0, 3)), np.ones((0, 3))), {"axis": 0}),
    )

    def infer(specs, attrs):
        a, b = specs
        if a.shape != b.shape or a.dtype != b.dtype:
            raise ValueError(f"linear_scan: operands differ in shape or dtype: {a!r} and {b!r}")
        return b.dense, op.KERNEL

    def compute(a, b, axis):
        if b.size == 0:
            return b
        n = b.shape[axis]
        lanes = b.size // n
        shape = np.moveaxis(b, axis, 0).shape
        a, b = (np.moveaxis(v, axis, 0).reshape(n, lanes) for v in (a, b))
        s = np.empty((n, lanes), b.dtype)
        if lanes < 8:
            for k in range(lanes):
                steps = zip(a[1:, k].tolist(), b[1:, k].tolist(), strict=True)
                s[:, k] = list(itertools.accumulate(steps, _step, initial=b[0, k].item()))
        else:
            s[0] = b[0]
            for i in range(1, n):
                np.multiply(a[i], s[i - 1], out=s[i])
                s[i] += b[i]
        return np.moveaxis(s.reshape(shape), 0, axis)

    def pullback(y_bar, y, a, b, axis):
        # The adjoint recurrence runs backwards: b_bar[i] = y_bar[i] + a[i + 1] b_bar[i + 1].
        b_bar = _adjoint(y_bar, a, axis)
        earlier = ops.conjugate(y) if y._spec.dtype.kind == "c" else y
        return b_bar * _delayed(earlier, axis, 0.0), b_bar


def _step(state, pair):
    return pair[0] * state + pair[1]


def _delayed(x, axis, first):
    """The elements one place later along an axis, after `first`."""
    n = x._spec.shape[axis]
    if n == 0:
        return x
    shape = (*x._spec.shape[:axis], 1, *x._spec.shape[axis + 1 :])
    head = lift(np.full(shape, first, x._spec.dtype))
    return ops.concatenate(head, getitem(x, along(len(shape), axis, slice(0, n - 1))), axis=axis)


def _adjoint(y_bar, factors, axis):
    """Solve s[i] = y_bar[i] + conj(factors[i + 1]) s[i + 1] from the end."""
    if factors._spec.dtype.kind == "c":
        factors = ops.conjugate(factors)
    reverse = _flip(factors, axis)
    return _flip(linear_scan(_delayed(reverse, axis, 0.0), _flip(y_bar, axis), axis=axis), axis)


@primitive()
class cumprod:
    """Cumulative product along an axis; its gradient is right at zeros."""

    samples = (*_SAMPLES, ((np.array([2.0, 0.0, 3.0, 0.0, 1.5]),), {"axis": 0}))

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def kernel(emitter, out, operands, attrs):
        _accumulate(emitter, np.multiply, out, operands, attrs["axis"], cumprod)

    def compute(x, axis):
        return np.cumprod(x, axis=axis)

    def pullback(y_bar, y, x, axis):
        before = _delayed(y, axis, 1.0)
        return _adjoint(y_bar, x, axis) * (ops.conjugate(before) if y._spec.dtype.kind == "c" else before)


@primitive()
class exclusive_product:
    """Product of all elements before each one along an axis."""

    samples = _SAMPLES[:-1]

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import compose

        def definition(x):
            return _delayed(cumprod(x, axis=attrs["axis"]), attrs["axis"], 1.0)

        compose(emitter, out, operands, definition)

    def compute(x, axis):
        y = np.roll(np.cumprod(x, axis=axis), 1, axis)
        y[along(x.ndim, axis, slice(0, 1))] = 1
        return y

    def pullback(y_bar, y, x, axis):
        # y[i + 1] = y[i] x[i]: the adjoint recurrence starts one place further on.
        reverse = _flip(x, axis)
        if x._spec.dtype.kind == "c":
            reverse = ops.conjugate(reverse)
        moved = _delayed(_flip(y_bar, axis), axis, 0.0)  # y_bar[i + 1] at i
        s = _flip(linear_scan(_delayed(reverse, axis, 0.0), moved, axis=axis), axis)
        return s * (ops.conjugate(y) if y._spec.dtype.kind == "c" else y)


def _scan(record, function, a, axis, dtype, out):
    refuse(record.name, out=out)
    x = lift(a)
    if axis is None or (x._spec.ndim == 0 and axis in (0, -1)):
        x, axis = reshape_to(x, (x._spec.size,)), 0
    axis = np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)
    if dtype is not None:
        x = cast(x, np.dtype(dtype))
    elif x._spec.dtype.kind in "biu":
        x = cast(x, function(np.empty(0, x._spec.dtype)).dtype)
    return record(x, axis=axis)


@implements(np.cumsum)
@remembered
def numpy_cumsum(a, axis=None, dtype=None, out=None):
    """`numpy.cumsum`."""
    return _scan(cumsum, np.cumsum, a, axis, dtype, out)


@implements(np.cumprod)
@remembered
def numpy_cumprod(a, axis=None, dtype=None, out=None):
    """`numpy.cumprod`."""
    return _scan(cumprod, np.cumprod, a, axis, dtype, out)


def _cumulative(record, function, x, axis, dtype, out, include_initial, first):
    x = lift(x)
    if x._spec.ndim == 0:
        x = reshape_to(x, (1,))
    if axis is None:
        if x._spec.ndim != 1:
            raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
        axis = 0
    y = _scan(record, function, x, axis, dtype, out)
    if not include_initial:
        return y
    shape = list(y._spec.shape)
    shape[axis] = 1
    return numpy_concatenate([np.full(shape, first, y._spec.dtype), y], axis=axis)


if hasattr(np, "cumulative_sum"):  # since NumPy 2.1

    @implements(np.cumulative_sum)
    def numpy_cumulative_sum(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
        """`numpy.cumulative_sum`."""
        return _cumulative(cumsum, np.cumsum, x, axis, dtype, out, include_initial, 0)

    @implements(np.cumulative_prod)
    def numpy_cumulative_prod(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
        """`numpy.cumulative_prod`."""
        return _cumulative(cumprod, np.cumprod, x, axis, dtype, out, include_initial, 1)


@implements(np.nancumsum)
def numpy_nancumsum(a, axis=None, dtype=None, out=None):
    """`numpy.nancumsum`."""
    from .statistics import _without_nan

    return numpy_cumsum(_without_nan(a, 0)[0], axis, dtype, out)


@implements(np.nancumprod)
def numpy_nancumprod(a, axis=None, dtype=None, out=None):
    """`numpy.nancumprod`."""
    from .statistics import _without_nan

    return numpy_cumprod(_without_nan(a, 1)[0], axis, dtype, out)


@implements(np.diff)
def numpy_diff(a, n=1, axis=-1, prepend=None, append=None):
    """`numpy.diff`."""
    if n == 0:
        return a
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    x = lift(a)
    ndim = x._spec.ndim
    if ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = np.lib.array_utils.normalize_axis_index(axis, ndim)
    parts = [x]
    for extra, at in ((prepend, 0), (append, 2)):
        if given(extra):
            e = lift(extra)
            if e._spec.ndim == 0:
                e = expand_to(e, (*x._spec.shape[:axis], 1, *x._spec.shape[axis + 1 :]))
            parts.insert(at, e)
    if len(parts) > 1:
        x = numpy_concatenate(parts, axis=axis)
    later, earlier = along(ndim, axis, slice(1, None)), along(ndim, axis, slice(None, -1))
    for _ in range(n):
        if x._spec.dtype.kind == "b":
            x = ops.not_equal(getitem(x, later), getitem(x, earlier))
        else:
            x = getitem(x, later) - getitem(x, earlier)
    return x


@implements(np.ediff1d)
def numpy_ediff1d(ary, to_end=None, to_begin=None):
    """`numpy.ediff1d`."""
    x = lift(ary)
    x = reshape_to(x, (x._spec.size,))
    parts = [numpy_diff(x)]
    if to_begin is not None:
        parts.insert(0, cast(BY_FUNCTION[np.ravel](to_begin), x._spec.dtype))
    if to_end is not None:
        parts.append(cast(BY_FUNCTION[np.ravel](to_end), x._spec.dtype))
    return parts[0] if len(parts) == 1 else numpy_concatenate(parts)


@implements(np.trapezoid, getattr(np, "trapz", np.trapezoid))
def numpy_trapezoid(y, x=None, dx=1.0, axis=-1):
    """`numpy.trapezoid`."""
    y = lift(y)
    ndim = y._spec.ndim
    if x is None:
        d = dx
    else:
        d = lift(x)
        if d._spec.ndim == 1:
            d = numpy_diff(d)
            shape = [1] * ndim
            shape[axis] = d._spec.size
            d = reshape_to(d, tuple(shape))
        else:
            d = numpy_diff(d, axis=axis)
    place = np.lib.array_utils.normalize_axis_index(axis, ndim)
    later, earlier = along(ndim, place, slice(1, None)), along(ndim, place, slice(None, -1))
    return numpy_sum(d * (getitem(y, later) + getitem(y, earlier)) / 2.0, axis)
