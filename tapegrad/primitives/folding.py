"""Methods of ufuncs on tensors: `reduce`, `accumulate`, `reduceat`, `outer` and `at`."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..tape.handle import Tensor
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .combining import numpy_stack
from .core import BY_FUNCTION, ZERO, Elementwise, NoRuleError, _kind, lift, ops, primitive
from .folded import by_numpy
from .indexing import advanced_key, getitem, is_traced
from .picking import _plain, gather_along
from .reduction import axes_of_ufunc, given, start_of
from .scan import along
from .shape import cast, expand_to, reshape_to

__all__ = ["cast_for", "methods_of_ufuncs"]

_REDUCTIONS = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}
_SCANS = {np.add: np.cumsum, np.multiply: np.cumprod}
_INVERSES = {np.subtract: np.add, np.divide: np.multiply}


@primitive()
class extremum_so_far:
    """Index of the first (or latest) extremum up to each element along an axis; NaN counts as the extremum."""

    derivative = ZERO
    samples = (
        ((np.array([[1.0, 3.0, -2.0, 3.0], [0.5, 0.0, 4.0, np.nan]]),), {"axis": 1, "largest": True}),
        ((np.array([[1.0, 3.0, -2.0, 3.0], [0.5, 0.0, 4.0, -1.0]]),), {"axis": 0, "largest": False}),
    )

    def infer(specs, attrs):
        return spec_of(specs[0].shape, np.dtype(np.intp)), op.KERNEL

    def compute(x, axis, largest, latest=False):
        best = (np.maximum if largest else np.minimum).accumulate(x, axis)
        if latest:
            place = np.arange(x.shape[axis]).reshape([-1 if d == axis else 1 for d in range(x.ndim)])
            return np.maximum.accumulate(np.where((x == best) | (x != x), place, 0), axis)
        first = along(x.ndim, axis, slice(0, 1))
        rest, before = along(x.ndim, axis, slice(1, None)), along(x.ndim, axis, slice(0, -1))
        with np.errstate(invalid="ignore"):
            new = (best[rest] != best[before]) & ~((best[rest] != best[rest]) & (best[before] != best[before]))
        place = np.arange(x.shape[axis]).reshape([-1 if d == axis else 1 for d in range(x.ndim)])
        starts = np.concatenate([np.zeros(x[first].shape, np.intp), np.where(new, place[rest], 0)], axis)
        return np.maximum.accumulate(starts, axis)


def cast_for(ufunc, inputs, dtype, casting="same_kind"):
    """The operands in the dtypes of the loop that `dtype=` and `casting=` ask for, or NumPy's own error."""
    given = [x._spec.dtype if isinstance(x, Tensor) else _kind(x) for x in inputs]
    if ufunc.signature is None:  # NumPy itself says what is wrong: `resolve_dtypes` crashes for some castings
        empty = [np.empty(0, k) if isinstance(k, np.dtype) else x for x, k in zip(inputs, given, strict=True)]
        ufunc(*empty, dtype=dtype, casting=casting)
    signature = (None,) * ufunc.nin + (dtype if dtype is None else np.dtype(dtype),) * ufunc.nout
    found = ufunc.resolve_dtypes((*given, *[None] * ufunc.nout), signature=signature, casting="unsafe")
    return tuple(lift(x, d) for x, d in zip(inputs, found, strict=False))


def _requires_grad(xs):
    return any(isinstance(x, Tensor) and x._spec.requires_grad for x in xs)


def _by_values(ufunc, method, inputs, kwargs):
    """NumPy's own result, as a tensor."""
    kwargs = {k: _plain(v) if isinstance(v, Tensor) else v for k, v in kwargs.items()}
    return lift(np.asarray(getattr(ufunc, method)(*[_plain(x) for x in inputs], **kwargs)))


def methods_of_ufuncs(ufunc, handler, method, inputs, kwargs):
    """The result of a ufunc's method, without `out=`.

    Parameters
    ----------
    ufunc : numpy.ufunc
    handler : callable or None
        What the ufunc does to tensors.
    method : str
    inputs : tuple
    kwargs : dict

    Returns
    -------
    Tensor, or None for ``at``

    Raises
    ------
    NotImplementedError
        If there is a gradient, and no rule.
    """
    y = _exactly(ufunc, method, inputs, kwargs)
    if y is not None:
        return y
    known = isinstance(handler, Elementwise)
    constant = known and handler.derivative is ZERO
    folds = method in ("reduce", "accumulate", "reduceat")
    if known and method in _METHODS and not (constant and folds and not _passes_on(handler, inputs[0])):
        return _METHODS[method](ufunc, handler, *inputs, **kwargs)
    if method == "outer" and handler is not None:
        return _outer(ufunc, handler, *inputs, **kwargs)
    if ufunc in _REDUCTIONS and method == "reduce":
        return _reduce(ufunc, handler, *inputs, **kwargs)
    if _requires_grad(inputs) and not constant:
        raise NoRuleError(
            f"numpy.{ufunc.__name__}.{method} has no derivative rule in tapegrad yet; write it with array functions"
        )
    if method == "at":
        return _at(ufunc, handler, *inputs)
    return _by_values(ufunc, method, inputs, kwargs)


def _exactly(ufunc, method, inputs, kwargs):
    """What NumPy's own method gives where nobody asks for a gradient; None where rows give the same, or have one."""
    if method not in ("reduce", "accumulate", "reduceat") or not isinstance(inputs[0], Tensor):
        return None
    options = dict(zip(_PARAMETERS[method], inputs[1:], strict=False)) | kwargs
    if method == "reduce" and ufunc in _REDUCTIONS and not options.keys() & {"initial", "where", "dtype"}:
        return None  # a row of its own
    if method == "accumulate" and ufunc in _SCANS and options.get("dtype") is None:
        return None
    if method != "accumulate" and ufunc is np.arctan2:
        return None  # NumPy 2.4's vector loop reads the result before it is written
    x, operands = inputs[0], {}
    initial, where = options.pop("initial", None), options.pop("where", True)
    if initial is not np._NoValue and ("initial" in kwargs or len(inputs) > 5):
        if initial is None:
            return None  # no beginning at all, not even the identity
        dtype = options.get("dtype") or ufunc.reduce(np.ones((2,) * max(x._spec.ndim, 1), x._spec.dtype), 0).dtype
        operands["initial"] = start_of(initial, np.dtype(dtype))
    if where is not True and where is not np._NoValue:
        operands["where"] = lift(where)
    if method == "reduceat":
        operands["indices"] = lift(np.asarray(_plain(options.pop("indices")), np.intp))
    options.pop("out", None)
    if options.get("dtype") is None:
        options.pop("dtype", None)
    else:
        options["dtype"] = np.dtype(options["dtype"])
    axis = options.get("axis", 0)
    options["axis"] = tuple(map(operator.index, axis)) if isinstance(axis, (tuple, list)) else axis
    if options.get("keepdims") is np._NoValue:
        options.pop("keepdims")
    return by_numpy(ufunc, method, x, options, operands)


_PARAMETERS = {
    "reduce": ("axis", "dtype", "out", "keepdims", "initial", "where"),
    "accumulate": ("axis", "dtype", "out"),
    "reduceat": ("indices", "axis", "dtype", "out"),
}


def _passes_on(handler, x):
    """Whether a step function gives floats: its folds leave first elements as they are, which so have a gradient."""
    dtype = lift(x)._spec.dtype
    return dtype.kind in "fc" and handler.function.nin == 2 and handler.resolve((dtype, dtype))[-1].kind in "fc"


def _lead(x, axis, dtype):
    x = lift(x) if dtype is None else lift(x, np.dtype(dtype))
    if x._spec.ndim == 0:
        raise TypeError("cannot accumulate on a scalar")
    return x, np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)


def _reduce(ufunc, handler, array, axis=0, dtype=None, keepdims=False, initial=None, where=True):
    """`ufunc.reduce`."""
    options = {}
    if given(initial):
        options["initial"] = initial
    if where is not True:
        options["where"] = where
    if ufunc in _REDUCTIONS:
        if dtype is not None:
            array = lift(array, np.dtype(dtype))
            options |= {"dtype": dtype} if ufunc in (np.add, np.multiply) else {}
        if ufunc in (np.logical_and, np.logical_or) and "initial" in options:
            start = options.pop("initial")
            return handler(start, _reduce(ufunc, handler, array, axis, None, keepdims, **options))
        return BY_FUNCTION[_REDUCTIONS[ufunc]](array, axis=axis, keepdims=keepdims, **options)
    x = lift(array) if dtype is None else lift(array, np.dtype(dtype))
    axes = axes_of_ufunc(axis, x._spec.ndim)
    if given(initial):
        initial = start_of(initial, x._spec.dtype)
    if not axes and where is True:
        start = initial if given(initial) else ufunc.identity
        return x if start is None else handler(start, x)
    if len(axes) > 1:
        ufunc.reduce(np.ones((1,) * x._spec.ndim, x._spec.dtype), axes)  # NumPy's own error, if the order matters
    shape = x._spec.shape
    if where is not True:
        y = _fold_where(ufunc, handler, x, axes, where, initial)
        return reshape_to(y, tuple(1 if d in axes else n for d, n in enumerate(shape))) if keepdims else y
    for d in sorted(axes, reverse=True):
        x = _fold(ufunc, handler, x, d, initial if d == axes[-1] else None)
    return reshape_to(x, tuple(1 if d in axes else n for d, n in enumerate(shape))) if keepdims else x


def _fold(ufunc, handler, x, axis, initial):
    """``x[0] op x[1] op x[2] ...``: in halves where the order does not matter, else one after another."""
    ndim, n = x._spec.ndim, x._spec.shape[axis]
    if n == 0:
        if initial is None:
            ufunc.reduce(np.empty(x._spec.shape), axis)  # NumPy's own error, if there is no identity
        start = ufunc.identity if initial is None else initial
        shape = (*x._spec.shape[:axis], *x._spec.shape[axis + 1 :])
        return expand_to(start_of(start, x._spec.dtype), shape)
    if ufunc in _INVERSES and n > 1:  # a - b - c = a - (b + c)
        rest = _fold(_INVERSES[ufunc], BY_FUNCTION[_INVERSES[ufunc]], _cut(x, axis, 1, n), axis, None)
        first = getitem(x, along(ndim, axis, 0))
        if initial is not None:
            first = handler(initial, first)
        return handler(first, rest)
    if ufunc in _ASSOCIATIVE:
        while n > 1:
            half = n // 2
            y = handler(_cut(x, axis, 0, half), _cut(x, axis, half, 2 * half))
            if n % 2:
                y = BY_FUNCTION[np.concatenate]([y, _cut(x, axis, n - 1, n)], axis)
            x, n = y, y._spec.shape[axis]
        y = getitem(x, along(ndim, axis, 0))
        return y if initial is None else handler(initial, y)
    y = getitem(x, along(ndim, axis, 0))
    if initial is not None:
        y = handler(initial, y)
    for k in range(1, n):
        y = handler(y, getitem(x, along(ndim, axis, k)))
    return y


def _fold_where(ufunc, handler, x, axes, where, initial):
    """A reduction over the elements that a mask chooses, one after another."""
    start = ufunc.identity if not given(initial) else initial
    if start is None:
        raise ValueError(
            f"reduction operation '{ufunc.__name__}' does not have an identity, so to use a where mask one has to "
            f"specify 'initial'"
        )
    rest = tuple(d for d in range(x._spec.ndim) if d not in axes)
    order = (*axes, *rest)
    lines = (math.prod(x._spec.shape[d] for d in axes), *[x._spec.shape[d] for d in rest])
    mask = np.broadcast_to(_plain(where), x._spec.shape).transpose(order).reshape(lines)
    x = BY_FUNCTION[np.reshape](BY_FUNCTION[np.transpose](x, order), lines)
    y = expand_to(start_of(start, x._spec.dtype), mask.shape[1:])
    for k in range(len(mask)):
        y = ops.where(mask[k], handler(y, getitem(x, k)), y)
    return y


_ASSOCIATIVE = (
    np.add, np.multiply, np.logaddexp, np.logaddexp2, np.hypot, np.fmax, np.fmin, np.maximum, np.minimum,
    np.logical_and, np.logical_or, np.logical_xor,
)  # fmt: skip


def _cut(x, axis, start, stop):
    return getitem(x, along(x._spec.ndim, axis, slice(start, stop)))


def _accumulate(ufunc, handler, array, axis=0, dtype=None):
    """`ufunc.accumulate`."""
    x, axis = _lead(array, axis, dtype)
    if ufunc in _SCANS:
        y = BY_FUNCTION[_SCANS[ufunc]](x, axis=axis)
        return y if dtype is None else cast(y, dtype)
    if ufunc in (np.maximum, np.minimum):
        return gather_along(x, extremum_so_far(x, axis=axis, largest=ufunc is np.maximum), axis)
    n = x._spec.shape[axis]
    if n == 0:
        return x
    parts = [getitem(x, along(x._spec.ndim, axis, 0))]
    for k in range(1, n):
        parts.append(handler(parts[-1], getitem(x, along(x._spec.ndim, axis, k))))
    return numpy_stack(parts, axis)


def _reduceat(ufunc, handler, array, indices, axis=0, dtype=None):
    """`ufunc.reduceat`."""
    x, axis = _lead(array, axis, dtype)
    n = x._spec.shape[axis]
    places = np.asarray(_plain(indices)).tolist()
    if any(not 0 <= k < n for k in places):
        bad = next(k for k in places if not 0 <= k < n)
        raise IndexError(f"index {bad} out-of-bounds in {ufunc.__name__}.reduceat [0, {n})")
    parts = []
    for k, start in enumerate(places):
        stop = places[k + 1] if k + 1 < len(places) else n
        part = _cut(x, axis, start, max(stop, start + 1))
        parts.append(_reduce(ufunc, handler, part, axis))
    return numpy_stack(parts, axis)


def _outer(ufunc, handler, a, b, **kwargs):
    """`ufunc.outer`."""
    dtype = kwargs.pop("dtype", None)
    if kwargs:
        raise TypeError(f"{ufunc.__name__}.outer: tapegrad does not support {', '.join(kwargs)} on tensors")
    a, b = map(lift, (a, b) if dtype is None else cast_for(ufunc, (a, b), dtype))
    return handler(reshape_to(a, a._spec.shape + (1,) * b._spec.ndim), b)


def _at(ufunc, handler, a, indices, b=None):
    """`ufunc.at`: in place; each round of a repeated index reads what the one before wrote."""
    from ..inplace import write
    from ..values import TracedValueError

    if not isinstance(a, Tensor):
        if _requires_grad((b,)):
            raise TracedValueError(
                f"numpy.{ufunc.__name__}.at with a plain array would lose the gradient of its operand: make the array "
                f"a tensor with tapegrad.tensor(array)"
            )
        ufunc.at(a, _plain_key(indices), *(() if b is None else (_plain(b),)))
        return None
    if not _has_symbols(indices):
        places = np.arange(a._spec.size).reshape(a._spec.shape)[_plain_key(indices)]
        operands = {"places": lift(places.ravel())}
        if b is not None:
            operands["b"] = reshape_to(BY_FUNCTION[np.broadcast_to](lift(b), places.shape), (places.size,))
        y = by_numpy(ufunc, "at", a, {}, operands)
        if y is not None:
            write(a, ops.copy, (y,))
            return None
    if ufunc in (np.add, np.subtract):
        form, places, unique = advanced_key(a, indices)
        shape = getitem(lift(np.empty(a._spec.shape, np.bool_)), indices)._spec.shape
        value = BY_FUNCTION[np.broadcast_to](lift(b, a._spec.dtype), shape)
        if places:
            added = ops.scatter_add(value, *places, shape=a._spec.shape, key=form, unique=unique)
            write(a, handler, (a, added))
        else:
            a[indices] = handler(getitem(a, indices), value)
        return None
    places = np.arange(a._spec.size).reshape(a._spec.shape)[_plain_key(indices)]
    operands = () if b is None else (reshape_to(BY_FUNCTION[np.broadcast_to](lift(b), places.shape), (places.size,)),)
    places = places.ravel()
    for chosen in _rounds(places):
        key = np.unravel_index(places[chosen], a._spec.shape)
        value = handler(getitem(a, key), *(getitem(o, chosen) for o in operands))
        if not np.can_cast(value._spec.dtype, a._spec.dtype, "same_kind"):
            raise TypeError(
                f"numpy.{ufunc.__name__}.at: the result is {value._spec.dtype.name}, and cannot be written into "
                f"{a._spec.dtype.name}; convert the array first"
            )
        a[key] = value
    return None


def _rounds(places):
    """Positions in a list of places, in rounds in which no place comes twice: first occurrences, then second ..."""
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(places[order]) != 0])
    turn = np.empty(places.size, np.intp)
    turn[order] = np.arange(places.size) - np.repeat(starts, np.diff(np.r_[starts, places.size]))
    return [np.flatnonzero(turn == k) for k in range(turn.max(initial=-1) + 1)]


def _has_symbols(key):
    """Whether a key has values that are not known yet, since a function is being compiled."""
    if isinstance(key, tuple):
        return any(map(_has_symbols, key))
    return isinstance(key, Tensor) and is_traced(key)


def _plain_key(key):
    if isinstance(key, tuple):
        return tuple(map(_plain_key, key))
    return _plain(key) if isinstance(key, Tensor) else key


_METHODS = {"reduce": _reduce, "accumulate": _accumulate, "reduceat": _reduceat, "outer": _outer, "at": _at}
