"""Jacobians and Hessians of functions on plain NumPy arrays, and linear maps of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from .autograd.recorded import pushforward
from .functional import _argument_numbers, _release, _settle, _split_pair, _trace_arguments, _Traced, vjp
from .primitives.core import lift
from .tape.handle import Tensor
from .tape.state import local

__all__ = ["hessian", "jacfwd", "jacobian", "jacrev", "linearize"]


def jacrev(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The Jacobian of a function, by reverse mode: one sweep for each element of its result.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy; returns an array or a container of such (or ``(result, aux)``).
    argnums : int or tuple of int, default 0
        Positional arguments to differentiate with respect to.
    has_aux : bool, default False

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns for each array of its result (in their structure) the derivatives in
        the structure of the argument, each of shape ``result.shape + argument.shape``; or ``(jacobian, aux)``.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.jacrev(lambda x: np.cumsum(x**2))(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 4.]])
    """
    return _jacobian(fun, argnums, has_aux, _by_rows)


def jacfwd(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The Jacobian of a function, by forward mode: one sweep for each element of its arguments.

    Parameters
    ----------
    fun, argnums, has_aux
        As in `jacrev`.

    Returns
    -------
    callable
        As in `jacrev`.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.jacfwd(lambda x: np.cumsum(x**2))(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 4.]])
    """
    return _jacobian(fun, argnums, has_aux, _by_columns)


def jacobian(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The Jacobian of a function, in the mode of fewer sweeps: forward if there are fewer arguments than results.

    Parameters
    ----------
    fun, argnums, has_aux
        As in `jacrev`. The function is called twice where forward mode is taken.

    Returns
    -------
    callable
        As in `jacrev`.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.jacobian(lambda x: np.cumsum(x**2))(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 4.]])
    """
    return _jacobian(fun, argnums, has_aux, _by_shape)


def hessian(fun: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """The second derivatives of a function: forward over reverse mode.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy; mostly a scalar function.
    argnums : int or tuple of int, default 0

    Returns
    -------
    callable
        Takes the arguments of `fun`; for a scalar function of an array, an array of shape ``x.shape + x.shape``.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.hessian(lambda x: np.prod(x))(np.array([1.0, 2.0, 3.0]))
    array([[0., 3., 2.],
           [3., 0., 1.],
           [2., 1., 0.]])
    """
    return jacfwd(jacrev(fun, argnums), argnums)


def linearize(fun: Callable, *primals: Any) -> tuple[Any, Callable]:
    """Value of a function, and the map from tangents of its arguments to tangents of its result.

    Parameters
    ----------
    fun : callable
    *primals
        Real or complex floating numbers or arrays, or containers of such.

    Returns
    -------
    value
        ``fun(*primals)``.
    pushforward : callable
        Takes one tangent an argument; returns the tangent of the value. The function is not called again.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> y, push = tg.linearize(np.exp, np.array([0.0, 1.0]))
    >>> push(np.array([1.0, 0.0]))
    array([1., 0.])
    """
    with _Traced() as trace:
        args, leaves, treedef = _trace_arguments(primals, tuple(range(len(primals))), "linearize")
        result = fun(*args)
        outputs, outdef = optree.tree_flatten(result)
    keep = trace.nested or any(t._user for t in leaves)
    moving = [y for y in outputs if isinstance(y, Tensor) and y._spec.requires_grad]

    def push(*tangents: Any) -> Any:
        given: Any = tangents
        flat, structure = optree.tree_flatten(given)
        if structure != treedef:
            raise ValueError(f"linearize: the tangents have structure {structure}, the primals {treedef}")
        for t, d in zip(leaves, flat, strict=True):
            if np.shape(d) != t._spec.shape:
                raise ValueError(f"linearize: a tangent has shape {np.shape(d)}, its primal {t._spec.shape}")
        with _Traced():
            found = pushforward(moving, leaves, [lift(d, t._spec.dtype) for t, d in zip(leaves, flat, strict=True)])
        dots = iter(found)
        filled = []
        for y in outputs:
            dot = next(dots) if isinstance(y, Tensor) and y._spec.requires_grad else None
            filled.append(lift(np.zeros(np.shape(y))) if dot is None else dot)
        tree: Any = optree.tree_unflatten(outdef, filled)
        if not keep:
            return _release(tree)
        return tree if trace.nested or local.state.depth else _settle(tree)

    if not keep:
        return _release(result), push
    return (result if trace.nested else _settle(result)), push


def _by_rows(call: Callable, primals: Any) -> Any:
    value, pullback = vjp(call, *primals)
    return _rows(value, pullback, primals)


def _rows(value: Any, pullback: Callable, primals: Any) -> Any:
    _check_holomorphic(value, primals)
    outputs, outdef = optree.tree_flatten(value)
    if _turns_complex(value, primals):
        raise TypeError(
            "jacrev: a complex result of real arguments has a Jacobian of twice as many sweeps; use jacfwd, or the "
            "real and imaginary parts"
        )
    rows: list = []
    for k, y in enumerate(outputs):
        zeros = [np.zeros(np.shape(z), _dtype(z)) for z in outputs]
        basis = _basis(y)
        found = []
        for row in basis:
            zeros[k] = row
            bar: Any = optree.tree_unflatten(outdef, list(zeros))
            found.append(optree.tree_leaves(pullback(bar)))
        rows.append([_stack(parts, np.shape(y)) for parts in zip(*found, strict=True)])
    indef = optree.tree_structure(primals)
    return outdef, [_of_arguments(indef, row) for row in rows]


def _by_columns(call: Callable, primals: Any) -> Any:
    value, push = linearize(call, *primals)
    _check_holomorphic(value, primals)
    outdef = optree.tree_structure(value)
    inputs, indef = optree.tree_flatten(primals)
    columns: list = []
    for k, x in enumerate(inputs):
        zeros: list = [np.zeros(np.shape(z), _dtype(z)) for z in inputs]
        found = []
        for column in _basis(x):
            zeros[k] = column
            dots: Any = optree.tree_unflatten(indef, list(zeros))
            found.append(optree.tree_leaves(push(*dots)))
        columns.append([_turned(_stack(parts, np.shape(x)), np.ndim(x)) for parts in zip(*found, strict=True)])
    return outdef, [_of_arguments(indef, list(row)) for row in zip(*columns, strict=True)]


def _by_shape(call: Callable, primals: Any) -> Any:
    value, pullback = vjp(call, *primals)
    results, arguments = (sum(np.size(x) for x in optree.tree_leaves(t)) for t in (value, primals))
    if arguments < results or _turns_complex(value, primals):
        return _by_columns(call, primals)
    return _rows(value, pullback, primals)


def _turns_complex(value: Any, primals: Any) -> bool:
    """Whether real arguments have a complex result."""
    return any(_dtype(y).kind == "c" for y in optree.tree_leaves(value)) and not _all_complex(primals)


def _all_complex(primals: Any) -> bool:
    return all(_dtype(x).kind == "c" for x in optree.tree_leaves(primals))


def _check_holomorphic(value: Any, primals: Any) -> None:
    """A complex argument has a Jacobian where the function is holomorphic, so that its result is complex, too."""
    leaves: Any = (value, primals)
    if any(_dtype(x).kind == "c" for x in optree.tree_leaves(primals)) and not _all_complex(leaves):
        raise TypeError(
            "jacobian: with complex arguments all arguments and results must be complex, and the function holomorphic; "
            "take real and imaginary parts, or use grad for a real function"
        )


def _jacobian(fun: Callable, argnums: int | Sequence[int], has_aux: bool, compute: Callable) -> Callable:
    """A function of all arguments that differentiates with respect to some."""
    numbers = _argument_numbers(argnums)
    several = isinstance(argnums, (tuple, list))

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        for k in numbers:
            if not -len(args) <= k < len(args):
                raise ValueError(
                    f"jacobian: argnums names argument {k}, but the function was called with {len(args)} positional "
                    f"arguments"
                )
        kept: list = []

        def call(*chosen: Any) -> Any:
            filled = list(args)
            for k, x in zip(numbers, chosen, strict=True):
                filled[k] = x
            result = fun(*filled, **kwargs)
            if has_aux:
                result, aux = _split_pair(result, fun)
                kept.append(aux)
            return result

        outdef, rows = compute(call, tuple(args[k] for k in numbers))
        tree = optree.tree_unflatten(outdef, rows if several else [row[0] for row in rows])
        return (tree, _outside(kept[0], args)) if has_aux else tree

    return wrapped


def _outside(aux: Any, args: tuple) -> Any:
    """What a function gave beside its result, without the traces that have ended."""
    if local.state.depth or local.state.tape.tracing:
        return aux
    given: Any = args
    tensors = any(isinstance(x, Tensor) for x in optree.tree_leaves(given))
    return _settle(aux) if tensors else _release(aux)


def _of_arguments(indef: optree.PyTreeSpec, row: list) -> tuple:
    """One entry an argument, each in the argument's structure."""
    tree: Any = optree.tree_unflatten(indef, row)
    return tuple(tree)


def _dtype(x: Any) -> np.dtype:
    return x._spec.dtype if isinstance(x, Tensor) else np.asarray(x).dtype


def _basis(x: Any) -> list[np.ndarray]:
    """Unit arrays in the shape of x."""
    shape, dtype = np.shape(x), _dtype(x)
    size = int(np.prod(shape, dtype=int))
    return [row.reshape(shape) for row in np.eye(size, dtype=dtype if dtype.kind in "fc" else float)]


def _stack(parts: Sequence[Any], shape: tuple[int, ...]) -> Any:
    together: Any = np.stack(list(parts))
    return np.reshape(together, shape + together.shape[1:])


def _turned(stacked: Any, n: int) -> Any:
    """Move the first n axes behind the others."""
    return np.transpose(stacked, (*range(n, stacked.ndim), *range(n)))
