"""Transformations of functions on plain NumPy arrays: gradients of functions, as functions."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from .autograd.engine import one, sweep
from .autograd.pushforward import pushforward
from .autograd.recorded import recorded_sweep
from .errors import NotScalarError
from .primitives.core import lift, ops
from .tape.handle import Tensor
from .tape.importing import ForeignLeaf, import_leaf
from .tape.state import local
from .tape.subclasses import refuse_other_algebra
from .transformation import Transformation, is_within
from .values import scalar_of, value_of

__all__ = ["elementwise_grad", "grad", "jvp", "value_and_grad", "vjp"]


def grad(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False) -> Callable:
    """The gradient of a scalar function.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy; returns a real scalar (or ``(scalar, aux)``).
    argnums : int or tuple of int, default 0
        Positional arguments to differentiate with respect to. Each is a real or complex floating number or array,
        or a container of such (lists, tuples, dicts ... : anything optree knows).
    has_aux : bool, default False
        Whether `fun` returns ``(scalar, aux)``.
    holomorphic : bool, default False
        Whether `fun` is a holomorphic function of complex arguments, whose derivative is wanted.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns the gradient, in the structure, shapes and dtypes of the argument
        (a tuple of such if `argnums` is a tuple), or ``(gradient, aux)``.

    Raises
    ------
    TypeError
        If an argument to differentiate is integer or not numeric, or the result is not a real scalar (a complex one, if
        `holomorphic`).

    Notes
    -----
    For a real function ``f(x + iy)`` the gradient is ``f_x - i f_y``, as in JAX and HIPS autograd; PyTorch's ``.grad``
    and `tapegrad.func` have the conjugate, ``f_x + i f_y``, which points uphill.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> def f(x):
    ...     return np.sum(np.sin(x) ** 2)
    >>> tg.grad(f)(np.array([0.0, np.pi / 4]))
    array([0., 1.])
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic)

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return gradient


def value_and_grad(
    fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable:
    """A scalar function's value and gradient, in one go.

    Parameters
    ----------
    fun, argnums, has_aux, holomorphic
        As in `grad`.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns ``(value, gradient)``, or ``((value, aux), gradient)``.

    Raises
    ------
    TypeError
        As in `grad`.

    Examples
    --------
    >>> import tapegrad as tg
    >>> value, slope = tg.value_and_grad(lambda x: x**3)(2.0)
    >>> float(value), float(slope)
    (8.0, 12.0)
    """
    numbers = _argument_numbers(argnums)

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def both(*args: Any, **kwargs: Any) -> Any:
        with Transformation() as trace:
            traced, leaves, treedef = _trace_arguments(args, numbers, "grad")
            result = fun(*traced, **kwargs)
            value, aux = _split_pair(result, fun) if has_aux else (result, None)
            _check_scalar(value, fun, holomorphic)
            if holomorphic:
                _check_complex(leaves)
            grads = _gradients(value, leaves, trace.nested)
        keep = trace.nested
        for t in leaves:
            if t._rare.__class__ is not ForeignLeaf:  # else the gradient is as it should be
                grads = [conjugated(g) for g in grads]
                keep = keep or any([t._user for t in leaves])
                grads = grads if keep else [_plain(g, t) for g, t in zip(grads, leaves, strict=True)]
                break
        tree: Any = treedef.unflatten(grads)
        if not keep:
            value, aux = _release(value), _release(aux)
        elif not trace.nested:
            tree, value, aux = _settle((tree, value, aux))
        return ((value, aux) if has_aux else value), (tree if isinstance(argnums, (tuple, list)) else tree[0])

    return both


def _argument_numbers(argnums: int | Sequence[int]) -> tuple[int, ...]:
    numbers = tuple(argnums) if isinstance(argnums, (tuple, list)) else (argnums,)
    try:
        return tuple(operator.index(k) for k in numbers)
    except TypeError:
        raise TypeError(f"argnums must be an int or a tuple of int, not {argnums!r}") from None


def _split_pair(result: Any, fun: Callable, what: str = "grad") -> tuple[Any, Any]:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        name = getattr(fun, "__name__", "the function")
        found = f"{len(result)} values" if isinstance(result, (tuple, list)) else type(result).__name__
        first = "scalar" if what == "grad" else "result"
        raise TypeError(f"{what}: with has_aux=True, {name} must return a pair ({first}, aux), and returned {found}")
    return result[0], result[1]


def _trace_arguments(
    args: tuple[Any, ...], numbers: tuple[int, ...], what: str
) -> tuple[list[Any], list[Tensor], optree.PyTreeSpec]:
    """Replace the arguments to differentiate by traced ones; returns all, the traced leaves and their structure."""
    count = len(args)
    for k in numbers:
        if not -count <= k < count:
            raise ValueError(
                f"{what}: argnums names argument {k}, but the function was called with {count} positional arguments"
            )
    if len(numbers) > 1 and len({k % count for k in numbers}) < len(numbers):
        raise ValueError(f"{what}: argnums {numbers} names an argument twice")
    chosen: Any = tuple([args[k] for k in numbers])
    flat, treedef = optree.tree_flatten(chosen)
    leaves = [_trace(x, what) for x in flat]
    traced: Any = treedef.unflatten(leaves)
    filled = list(args)
    for k, x in zip(numbers, traced, strict=True):
        filled[k] = x
    return filled, leaves, treedef


def _trace(x: Any, what: str) -> Tensor:
    """A traced value for an argument's leaf."""
    if x.__class__ is np.ndarray and x.dtype.char in "fd" and not local.state.tape.tracing:
        return import_leaf(x)
    if isinstance(x, Tensor):
        _check_floating(x._spec.dtype, what)
        traced = ops.track(x)
        traced._user = True
        return traced
    if not isinstance(x, (np.ndarray, np.generic, float, int, complex)):
        raise TypeError(
            f"{what} needs real floating numbers or arrays to differentiate with respect to, not {type(x).__name__}; "
            f"containers are lists, tuples, dictionaries, and classes that optree.register_pytree_node was told of"
        )
    refuse_other_algebra(x)
    array = np.asarray(x)
    _check_floating(array.dtype, what)
    if local.state.tape.tracing:
        return ops.track(lift(array))
    return import_leaf(array, not isinstance(x, np.ndarray))


def _check_floating(dtype: np.dtype, what: str) -> None:
    if dtype.kind in "fc":
        return
    if dtype.kind in "iub":
        raise TypeError(
            f"{what} differentiates with respect to floating values, and got {dtype.name}, which has no derivative: "
            f"convert it with float(x) or x.astype(float)"
        )
    raise TypeError(f"{what} differentiates with respect to floating values, and got dtype {dtype.name}")


def _check_complex(leaves: list[Tensor]) -> None:
    for t in leaves:
        if t._spec.dtype.kind != "c":
            raise TypeError(
                f"grad: with holomorphic=True the arguments must be complex, and one is {t._spec.dtype.name}: convert "
                f"it with complex(x) or x.astype(complex)"
            )


def conjugated(x: Any) -> Any:
    """The conjugate of a complex array or tensor; anything else as it is.

    Sweeps compute the cotangent ``f_x + i f_y``, as PyTorch does; JAX's transformations are its conjugate.
    """
    dtype = x._spec.dtype if isinstance(x, Tensor) else np.asarray(x).dtype
    return np.conjugate(x) if dtype.kind == "c" else x


def _check_scalar(value: Any, fun: Callable, holomorphic: bool = False) -> None:
    name = getattr(fun, "__name__", "the function")
    if isinstance(value, Tensor):
        shape, dtype = value._spec.shape, value._spec.dtype
    elif isinstance(value, (float, int, np.generic, np.ndarray)):
        shape, dtype = np.shape(value), np.asarray(value).dtype
    else:
        raise TypeError(
            f"grad: {name} must return a real scalar, not {type(value).__name__}; with has_aux=True, (scalar, aux)"
        )
    if shape != ():
        raise NotScalarError(
            f"grad: {name} must return a scalar, and returned shape {shape}; sum it, or use tapegrad.vjp for "
            f"vector-valued functions"
        )
    if holomorphic and dtype.kind != "c":
        raise TypeError(f"grad: with holomorphic=True {name} must return a complex scalar, and returned {dtype.name}")
    if dtype.kind == "c":
        if holomorphic:
            return
        raise TypeError(
            f"grad: {name} must return a real scalar, and returned {dtype.name}; take its real part or absolute value, "
            f"or say holomorphic=True if it is a holomorphic function"
        )
    if dtype.kind != "f" and not isinstance(value, (float, int)):
        raise TypeError(
            f"grad: {name} must return a real floating scalar, and returned {dtype.name}, which has no derivative"
        )


def _gradients(value: Any, leaves: list[Tensor], nested: bool) -> list[Any]:
    """Cotangents of the leaves for a unit cotangent of the value; zeros where it does not depend on them."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return [_zeros_like(t) for t in leaves]
    if nested or not all([t._leaf for t in leaves]):
        found = recorded_sweep([value], None, leaves, _is_differentiated_again())
        return [_zeros_like(t) if g is None else g for g, t in zip(found, leaves, strict=True)]
    reached, _ = sweep([(value, one((), value._spec.dtype))], leaves)
    for t in leaves:
        t._tape = None
    return [reached[id(t)][1] if id(t) in reached else np.zeros(t._spec.shape, t._spec.dtype) for t in leaves]


def _is_differentiated_again() -> bool:
    """Whether a recorded gradient may be differentiated: all but the outermost one of a function under compilation."""
    state = local.state
    return state.depth > 1 or state.in_rule or state.tape.symbolic or not state.tape.tracing


def _zeros_like(t: Tensor) -> Any:
    zeros = np.zeros(t._spec.shape, t._spec.dtype)
    return zeros if t._leaf else lift(zeros)


def _plain(g: Any, t: Tensor) -> Any:
    """What the caller gets: arrays for arrays, NumPy scalars for numbers."""
    array = value_of(g) if isinstance(g, Tensor) else g
    return array[()] if t._scalar else array


def _release(tree: Any) -> Any:
    """Replace traced values in a result by plain ones."""
    return None if tree is None else _released(tree) if isinstance(tree, Tensor) else optree.tree_map(_released, tree)


def _released(x: Any) -> Any:
    """The plain value of a traced one; anything else as it is."""
    if not isinstance(x, Tensor):
        return x
    return scalar_of(x) if x._spec.shape == () else value_of(x).copy()


def _settle(tree: Any) -> Any:
    """Results for a caller who gave tensors: those from which no leaf can be reached carry no history."""
    from .autograd.graph import reachable_leaves

    def settle(x: Any) -> Any:
        loose = isinstance(x, Tensor) and x._spec.requires_grad and not reachable_leaves([x])
        return ops.detach(x) if loose else x

    return optree.tree_map(settle, tree)


def vjp(fun: Callable, *primals: Any, has_aux: bool = False) -> Any:
    """Value of a function, and the map from cotangents of its result to cotangents of its arguments.

    Parameters
    ----------
    fun : callable
    *primals
        Real or complex floating numbers or arrays, or containers of such.
    has_aux : bool, default False
        Whether `fun` returns ``(result, aux)``.

    Returns
    -------
    value
        ``fun(*primals)``.
    pullback : callable
        Takes a cotangent in the structure of the value; returns a tuple, one cotangent an argument. It may be called
        again and again.
    aux
        If `has_aux`.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> y, pullback = tg.vjp(np.sin, np.array([0.0, np.pi]))
    >>> pullback(np.array([1.0, 1.0]))[0]
    array([ 1., -1.])
    """
    with Transformation() as trace:
        args, leaves, treedef = _trace_arguments(primals, tuple(range(len(primals))), "vjp")
        result = fun(*args)
        result, aux = _split_pair(result, fun, "vjp") if has_aux else (result, None)
        outputs, outdef = optree.tree_flatten(result)
    keep = trace.nested or any(t._user for t in leaves)

    def pullback(cotangent: Any) -> Any:
        flat, structure = optree.tree_flatten(cotangent)
        if structure != outdef:
            raise ValueError(f"vjp: the cotangent has structure {structure}, the function's result {outdef}")
        pairs = []
        for y, y_bar in zip(outputs, flat, strict=True):
            if not isinstance(y, Tensor) or not y.requires_grad:
                continue
            if np.shape(y_bar) != y._spec.shape:
                raise ValueError(f"vjp: a cotangent has shape {np.shape(y_bar)}, the result {y._spec.shape}")
            pairs.append((y, y_bar))
        if keep or any(isinstance(b, Tensor) for _, b in pairs):
            seeds = [conjugated(lift(b, y._spec.dtype)) for y, b in pairs]
            again = local.state.grad_enabled
            found = recorded_sweep([y for y, _ in pairs], seeds, leaves, again) if pairs else [None] * len(leaves)
            bars = [
                lift(np.zeros(t._spec.shape, t._spec.dtype)) if g is None else conjugated(g)
                for g, t in zip(found, leaves, strict=True)
            ]
        else:
            seeds = [(y, conjugated(np.array(b, y._spec.dtype))) for y, b in pairs]
            reached, _ = sweep(seeds, leaves, retain_graph=True) if pairs else ({}, {})
            bars = [
                conjugated(_plain(reached[id(t)][1] if id(t) in reached else np.zeros(t._spec.shape, t._spec.dtype), t))
                for t in leaves
            ]
        tree: Any = optree.tree_unflatten(treedef, bars)
        return _settle(tree) if keep and not (trace.nested or is_within()) else tree

    if not keep:
        result, aux = _release(result), _release(aux)
    elif not trace.nested:
        result, aux = _settle((result, aux))
    return (result, pullback, aux) if has_aux else (result, pullback)


def jvp(fun: Callable, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """Value and directional derivative of a function: forward mode.

    Parameters
    ----------
    fun : callable
    primals, tangents : tuple
        Arguments, and their directions in the same structure and shapes.
    has_aux : bool, default False
        Whether `fun` returns ``(result, aux)``.

    Returns
    -------
    value, tangent
        ``fun(*primals)`` and its derivative along the tangents, in the same structure.
    aux
        If `has_aux`.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> y, y_dot = tg.jvp(np.exp, (np.array([0.0, 1.0]),), (np.array([1.0, 0.0]),))
    >>> y_dot
    array([1., 0.])
    """
    with Transformation() as trace:
        args, leaves, treedef = _trace_arguments(tuple(primals), tuple(range(len(primals))), "jvp")
        directions: Any = tuple(tangents)
        flat, structure = optree.tree_flatten(directions)
        if structure != treedef:
            raise ValueError(f"jvp: tangents have structure {structure}, primals {treedef}")
        for t, d in zip(leaves, flat, strict=True):
            if np.shape(d) != t._spec.shape:
                raise ValueError(f"jvp: a tangent has shape {np.shape(d)}, its primal {t._spec.shape}")
        result = fun(*args)
        result, aux = _split_pair(result, fun, "jvp") if has_aux else (result, None)
        outputs, outdef = optree.tree_flatten(result)
        traced = [y for y in outputs if isinstance(y, Tensor) and y.requires_grad]
        dots = iter(pushforward(traced, leaves, [lift(d, t._spec.dtype) for t, d in zip(leaves, flat, strict=True)]))
        found = []
        for y in outputs:
            moving = isinstance(y, Tensor) and y.requires_grad
            dot = next(dots) if moving else None
            found.append(lift(np.zeros(np.shape(y))) if dot is None else dot)
    keep = trace.nested or any(t._user for t in leaves)
    y_dot = optree.tree_unflatten(outdef, found)
    if not keep:
        result, y_dot, aux = _release(result), _release(y_dot), _release(aux)
    elif not trace.nested:
        result, y_dot, aux = _settle((result, y_dot, aux))
    return (result, y_dot, aux) if has_aux else (result, y_dot)


def elementwise_grad(fun: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """The derivative of a function that works on each element by itself.

    Parameters
    ----------
    fun : callable
        Returns an array whose elements depend on one element of each argument, up to broadcasting.
    argnums : int or tuple of int, default 0

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns the derivative, in the shape of the argument.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.elementwise_grad(tg.elementwise_grad(np.sin))(np.array([0.0, np.pi / 2]))
    array([-0., -1.])
    """

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def total(*args: Any, **kwargs: Any) -> Any:
        return np.sum(fun(*args, **kwargs))

    return grad(total, argnums)
