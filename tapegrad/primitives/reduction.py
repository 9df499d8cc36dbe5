"""Reductions: sums, products, extrema, and what follows from them."""

from __future__ import annotations

import numpy as np

from ..errors import EmptyReductionError, ShapeError
from ..tape.handle import Tensor
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import implements, lift, ops, primitive
from .memo import remembered
from .shape import cast, expand_to, reshape_to

__all__ = [
    "axes_of_ufunc",
    "kept_shape",
    "normal_axes",
    "reduced_by_numpy",
    "reduced_shape",
    "refuse",
    "refuse_empty",
    "start_of",
]


def normal_axes(axis, ndim):
    """Axes as a sorted tuple of non-negative ints."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    axes = np.lib.array_utils.normalize_axis_tuple(axis, ndim, allow_duplicate=True)
    for d in axes:
        if axes.count(d) > 1:
            raise ShapeError(f"dim {d} appears multiple times in the list of dims: duplicate value in 'axis', {axis}")
    return tuple(sorted(axes))


def axes_of_ufunc(axis, ndim):
    """Axes of a ufunc's reduction: like NumPy's, it takes axis 0 or -1 of a number, and leaves that as it is."""
    return () if ndim == 0 and (axis == 0 or axis == -1) else normal_axes(axis, ndim)


def reduced_shape(shape, axes, keepdims):
    """Shape after a reduction."""
    if keepdims:
        return tuple([1 if d in axes else n for d, n in enumerate(shape)])
    return tuple([n for d, n in enumerate(shape) if d not in axes])


def reduced_row(specs, attrs, dtype=None):
    """What `infer` gives for a reduction: the result's spec, of the operand's dtype unless told, and the row's kind."""
    (x,) = specs
    return spec_of(reduced_shape(x.shape, attrs["axis"], attrs["keepdims"]), dtype or x.dtype), op.KERNEL


def kept_shape(shape, axes):
    """Shape after a reduction, with reduced axes of length one."""
    return reduced_shape(shape, axes, True)


def spread(y, x, axes):
    """A reduction's result, or its cotangent, over the shape that was reduced."""
    shape = x._spec.shape
    return expand_to(reshape_to(y, kept_shape(shape, axes)), shape)


def count_of(shape, axes):
    """How many elements go into each result."""
    n = 1
    for d in axes:
        n *= shape[d]
    return n


def refuse(name, **arguments):
    """Refuse arguments that were given and are not supported."""
    for key, value in arguments.items():
        if value is not None and value is not np._NoValue:
            raise NotImplementedError(
                f"{name}: the argument {key}= is not supported for tensors; leave it out and apply it to the result"
            )


def refuse_empty(function, spec, axis):
    """Raise NumPy's own error for what has nothing to choose from, as PyTorch's kinds of error, too."""
    try:
        function(np.empty(spec.shape, spec.dtype), axis=axis)
    except ValueError as error:
        raise EmptyReductionError(
            f"{error}; the array has shape {spec.shape}. Look at its size first, or give np.max and np.min initial="
        ) from None


def given(value):
    """Whether an optional argument was passed."""
    return value is not None and value is not np._NoValue


def _kept_spec(out, x, attrs):
    """The result's layout with reduced axes of length and stride as they are walked: standing still."""
    _, spec = out
    steps = iter(spec.strides)
    strides = []
    for d in range(x.ndim):
        if d in attrs["axis"]:
            if attrs["keepdims"]:
                next(steps)
            strides.append(0)
        else:
            strides.append(next(steps))
    return spec_of(kept_shape(x.shape, attrs["axis"]), spec.dtype, tuple(strides))


def _fold(emitter, ufunc, out, operands, attrs, call):
    """Copy the first element along the reduced axes, then fold all others in."""
    from ..tape.lower import copy_loops
    from ..vm.bridge import loop_address

    ((code, x),) = operands
    c = x.dtype.char
    copy, _ = copy_loops(x)
    if copy is None or code < 0 or x.size == 0 or f"{c}{c}->{c}" not in ufunc.types:
        emitter.call(call, attrs, out, operands)
        return
    kept = _kept_spec(out, x, attrs)
    first = spec_of(kept.shape, x.dtype, x.strides)
    emitter.loop(copy, (out[0], kept), [(code, first)])
    shape, at = x.shape, code
    if len(attrs["axis"]) == 0:
        return
    if len(attrs["axis"]) == 1:  # without the first element: one pass over the rest
        (d,) = attrs["axis"]
        shape = (*x.shape[:d], x.shape[d] - 1, *x.shape[d + 1 :])
        if shape[d] == 0:
            return
        at = emitter.shifted(code, x.strides[d])
        x = spec_of(shape, x.dtype, x.strides)
    elif ufunc is np.multiply:  # a second factor of the first element would be wrong: start from one
        emitter.call(call, attrs, out, operands)
        return
    emitter.loop(loop_address(ufunc, f"{c}{c}->{c}"), (out[0], kept), [(out[0], kept), (at, x)], shape=shape)


@primitive(name="sum")
class sum_:
    """Sum over axes."""

    linear = True
    accumulates = True
    samples = (
        ((np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]),), {"axis": (0,), "keepdims": False}),
        ((np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]),), {"axis": (1,), "keepdims": True}),
        ((np.arange(24.0).reshape(2, 3, 4),), {"axis": (0, 2), "keepdims": False}),
        ((np.arange(40.0),), {"axis": (0,), "keepdims": False}),
        ((np.array(2.0),), {"axis": (), "keepdims": False}),
        ((np.ones((0, 3)),), {"axis": (0,), "keepdims": False}),
    )

    def infer(specs, attrs):
        return reduced_row(specs, attrs)

    def kernel(emitter, out, operands, attrs):
        from ..vm.bridge import loop_address

        code, spec = out
        ((_, x),) = operands
        c = spec.dtype.char
        if f"{c}{c}->{c}" not in np.add.types:
            emitter.call(sum_, attrs, out, operands)
            return
        if spec.size == 1 and emitter._inline(op.SUM, out, operands, x.shape):
            return
        kept = _kept_spec(out, x, attrs)
        flags = emitter.flags
        if flags:
            emitter.flags = op.ONLY_ACCUMULATES
        else:
            emitter.zero(out)
        loop = loop_address(np.add, f"{c}{c}->{c}")
        emitter.loop(loop, (code, kept), [(code, kept), operands[0]], shape=x.shape, accumulate=(*loop, True))
        emitter.flags = flags

    def compute(x, axis, keepdims):
        return np.sum(x, axis=axis, keepdims=keepdims)

    def pullback(y_bar, y, x, axis, keepdims):
        return spread(y_bar, x, axis)


def _number(x, dtype, default):
    """A tensor in the dtype that NumPy sums in."""
    if dtype is not None:
        return cast(x, np.dtype(dtype))
    if x._spec.dtype.kind in "biu":
        return cast(x, default(np.empty(0, x._spec.dtype)).dtype)
    return x


def start_of(initial, dtype):
    """What a reduction begins with, in the dtype that it is made in, as NumPy converts it."""
    if isinstance(initial, Tensor):
        return cast(initial, dtype)
    return lift(np.full((), initial, dtype))


def reduced_by_numpy(ufunc, x, axes, keepdims, initial, where):
    """A reduction with NumPy's own order of steps, or None where it is made of rows with a derivative instead."""
    from .folded import by_numpy

    options = {"initial": start_of(initial, x._spec.dtype)} if given(initial) else {}
    if given(where) and where is not True:
        options["where"] = lift(where)
    return by_numpy(ufunc, "reduce", x, {"axis": axes, "keepdims": keepdims}, options)


@implements(np.sum)
@remembered
def numpy_sum(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.sum`."""
    if out is not None:
        refuse("sum", out=out)
    x = lift(a)
    if dtype is not None or x._spec.dtype.kind in "biu":
        x = _number(x, dtype, np.sum)
    axes, keep = axes_of_ufunc(axis, x._spec.ndim), bool(given(keepdims) and keepdims)
    if given(where) or given(initial):
        y = reduced_by_numpy(np.add, x, axes, keep, initial, where)
        if y is not None:
            return y
    if given(where):
        x = ops.where(where, x, np.zeros((), x._spec.dtype))
    y = sum_(x, axis=axes, keepdims=keep)
    return y + start_of(initial, x._spec.dtype) if given(initial) else y


@primitive()
class prod:
    """Product over axes."""

    samples = (
        ((np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]),), {"axis": (0,), "keepdims": False}),
        ((np.array([[1.0, 0.0, 3.0], [0.0, 0.0, -1.0]]),), {"axis": (1,), "keepdims": True}),
        ((np.linspace(0.5, 1.5, 24).reshape(2, 3, 4),), {"axis": (0, 2), "keepdims": False}),
        ((np.array(2.0),), {"axis": (), "keepdims": False}),
        ((np.ones((0, 3)),), {"axis": (0,), "keepdims": False}),
    )

    def infer(specs, attrs):
        return reduced_row(specs, attrs)

    def kernel(emitter, out, operands, attrs):
        _fold(emitter, np.multiply, out, operands, attrs, prod)

    def compute(x, axis, keepdims):
        return np.prod(x, axis=axis, keepdims=keepdims)

    def pullback(y_bar, y, x, axis, keepdims):
        # Each factor's cotangent is the product of all others, from the left and from the right: right at zeros too.
        others = rest_of_product(x, axis)
        return spread(y_bar, x, axis) * (ops.conjugate(others) if x._spec.dtype.kind == "c" else others)


def rest_of_product(x, axes):
    """For each element the product of all others along the axes."""
    from .layout import view_of_function

    shape = x._spec.shape
    if len(axes) == 0:
        return import_ones(x)
    n = count_of(shape, axes)
    back = tuple(range(len(shape) - len(axes), len(shape)))
    moved = view_of_function(np.moveaxis, "Permute", x, axes, back)
    lead = moved._spec.shape[: len(shape) - len(axes)]
    flat = reshape_to(moved, (*lead, n))
    left = ops.exclusive_product(flat, axis=len(lead))
    right = view_of_function(
        np.flip, "Flip", ops.exclusive_product(view_of_function(np.flip, "Flip", flat, -1), axis=len(lead)), -1
    )
    return view_of_function(np.moveaxis, "Permute", reshape_to(left * right, moved._spec.shape), back, axes)


def import_ones(x):
    """Ones of a tensor's shape and dtype."""
    return lift(np.ones(x._spec.shape, x._spec.dtype))


@implements(np.prod)
@remembered
def numpy_prod(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.prod`."""
    refuse("prod", out=out)
    x = _number(lift(a), dtype, np.prod)
    axes, keep = axes_of_ufunc(axis, x._spec.ndim), bool(given(keepdims) and keepdims)
    if given(where) or given(initial):
        y = reduced_by_numpy(np.multiply, x, axes, keep, initial, where)
        if y is not None:
            return y
    if given(where):
        x = ops.where(where, x, np.ones((), x._spec.dtype))
    y = prod(x, axis=axes, keepdims=keep)
    return y * start_of(initial, x._spec.dtype) if given(initial) else y


def _share(y_bar, y, x, axis):
    """A cotangent split evenly among the elements that equal the result."""
    hits = cast(ops.equal(x, spread(y, x, axis)), x._spec.dtype)
    count = sum_(hits, axis=axis, keepdims=True)
    return hits * expand_to(reshape_to(y_bar, count._spec.shape) / count, x._spec.shape)


_EXTREMA_SAMPLES = (
    ((np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]),), {"axis": (0,), "keepdims": False}),
    ((np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]),), {"axis": (0, 1), "keepdims": True}),
    ((np.sin(np.arange(24.0)).reshape(2, 3, 4),), {"axis": (1,), "keepdims": False}),
    ((np.sin(np.arange(24.0)).reshape(2, 3, 4),), {"axis": (0, 2), "keepdims": False}),
    ((np.array(2.0),), {"axis": (), "keepdims": False}),
)


@primitive()
class amax:
    """Maximum over axes; ties share the gradient equally."""

    samples = _EXTREMA_SAMPLES

    def infer(specs, attrs):
        return reduced_row(specs, attrs)

    def kernel(emitter, out, operands, attrs):
        _fold(emitter, np.maximum, out, operands, attrs, amax)

    def compute(x, axis, keepdims):
        return np.max(x, axis=axis, keepdims=keepdims)

    def pullback(y_bar, y, x, axis, keepdims):
        return _share(y_bar, y, x, axis)


@primitive()
class amin:
    """Minimum over axes; ties share the gradient equally."""

    samples = _EXTREMA_SAMPLES

    def infer(specs, attrs):
        return reduced_row(specs, attrs)

    def kernel(emitter, out, operands, attrs):
        _fold(emitter, np.minimum, out, operands, attrs, amin)

    def compute(x, axis, keepdims):
        return np.min(x, axis=axis, keepdims=keepdims)

    def pullback(y_bar, y, x, axis, keepdims):
        return _share(y_bar, y, x, axis)


def _extremum(record, function, combine, a, axis, out, keepdims, initial, where):
    refuse(record.name, out=out)
    x = lift(a)
    if given(initial):
        initial = start_of(initial, x._spec.dtype)
    if given(where) and where is not True:
        if not given(initial):
            raise ValueError(
                f"reduction operation '{combine.__name__}' does not have an identity, so to use a where mask one has "
                f"to specify 'initial'"
            )
        x = ops.where(where, x, initial)
    axes = axes_of_ufunc(axis, x._spec.ndim)
    if given(initial) and x._spec.size == 0:
        x = expand_to(initial, tuple([n or int(d in axes) for d, n in enumerate(x._spec.shape)]))
    elif count_of(x._spec.shape, axes) == 0:
        refuse_empty(function, x._spec, axes)
    y = record(x, axis=axes, keepdims=bool(given(keepdims) and keepdims))
    return combine(y, initial) if given(initial) else y


@implements(np.max, np.amax)
@remembered
def numpy_max(a, axis=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.max`."""
    return _extremum(amax, np.max, np.maximum, a, axis, out, keepdims, initial, where)


@implements(np.min, np.amin)
@remembered
def numpy_min(a, axis=None, out=None, keepdims=False, initial=None, where=None):
    """`numpy.min`."""
    return _extremum(amin, np.min, np.minimum, a, axis, out, keepdims, initial, where)


@implements(np.ptp)
def numpy_ptp(a, axis=None, out=None, keepdims=False):
    """`numpy.ptp`."""
    return numpy_max(a, axis, out, keepdims) - numpy_min(a, axis, out, keepdims)
