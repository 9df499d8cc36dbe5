"""Jacobians and Hessians of functions on plain NumPy arrays, and linear maps of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from .autograd.pushforward import pushforward
from .batching import vmap
from .errors import BatchedValueError
from .functional import (
    _argument_numbers,
    _release,
    _settle,
    _split_pair,
    _trace_arguments,
    grad,
    jvp,
    vjp,
)
from .primitives.core import lift
from .tape.handle import Tensor
from .tape.state import grad_mode, local
from .transformation import Transformation, is_within

__all__ = ["hessian", "hvp", "jacfwd", "jacobian", "jacrev", "linearize"]


def jacrev(
    fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False, *, chunk_size: int | None = None
) -> Callable:
    """The Jacobian of a function, by reverse mode: one sweep, with a cotangent for each element of its result.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy; returns an array or a container of such (or ``(result, aux)``).
    argnums : int or tuple of int, default 0
        Positional arguments to differentiate with respect to.
    has_aux : bool, default False
    chunk_size : int, optional
        Cotangents that are swept together, where all of them would take too much memory.

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
    return _jacobian(fun, argnums, has_aux, _by_rows, chunk_size)


def jacfwd(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable:
    """The Jacobian of a function, by forward mode: one sweep, with a tangent for each element of its arguments.

    Parameters
    ----------
    fun, argnums, has_aux, chunk_size
        As in `jacrev`.
    randomness : str
        Accepted as in PyTorch: the function is called once, so that all columns are of the same random numbers.

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
    return _jacobian(fun, argnums, has_aux, _by_columns, chunk_size)


def jacobian(
    fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False, *, chunk_size: int | None = None
) -> Callable:
    """The Jacobian of a function, in the cheaper mode: forward if there are fewer arguments than results.

    Parameters
    ----------
    fun, argnums, has_aux, chunk_size
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
    return _jacobian(fun, argnums, has_aux, _by_shape, chunk_size)


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


def hvp(fun: Callable, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The product of a scalar function's Hessian with a vector: forward over reverse mode.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy; returns a real scalar.
    primals, tangents : tuple
        All arguments of `fun`, and a vector of the same structure and shapes.

    Returns
    -------
    array, or container of such
        In the structure of the argument; a tuple of such if there are several.

    Notes
    -----
    One forward sweep over the gradient's rows: the Hessian itself is not computed.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.hvp(lambda x: np.prod(x), (np.array([1.0, 2.0, 3.0]),), (np.array([1.0, 0.0, 0.0]),))
    array([0., 3., 2.])
    """
    slopes = grad(fun, tuple(range(len(primals))))
    _, found = jvp(slopes, primals, tangents)
    return found if len(primals) > 1 else found[0]


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
    with Transformation() as trace:
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
        with Transformation():
            found = pushforward(moving, leaves, [lift(d, t._spec.dtype) for t, d in zip(leaves, flat, strict=True)])
        dots = iter(found)
        filled = []
        for y in outputs:
            dot = next(dots) if isinstance(y, Tensor) and y._spec.requires_grad else None
            filled.append(lift(np.zeros(np.shape(y))) if dot is None else dot)
        tree: Any = optree.tree_unflatten(outdef, filled)
        if is_within():
            return tree
        return _settle(tree) if keep else _release(tree)

    if not keep:
        return _release(result), push
    return (result if trace.nested else _settle(result)), push


def _by_rows(call: Callable, primals: Any, chunk_size: int | None) -> Any:
    value, pullback = vjp(call, *primals)
    return _rows(value, pullback, primals, chunk_size)


def _rows(value: Any, pullback: Callable, primals: Any, chunk_size: int | None) -> Any:
    """The pullback of all unit cotangents at once."""
    _check_holomorphic(value, primals)
    if _turns_complex(value, primals):
        raise TypeError(
            "jacrev: a complex result of real arguments has a Jacobian of twice as many sweeps; use jacfwd, or the "
            "real and imaginary parts"
        )
    outputs, outdef = optree.tree_flatten(value)
    basis: Any = optree.tree_unflatten(outdef, _basis(outputs))
    found = _mapped(lambda bar: optree.tree_leaves(pullback(bar)), basis, primals, chunk_size)
    indef = optree.tree_structure(primals)
    columns = [_apart(bars, outputs) for bars in found]
    return outdef, [_of_arguments(indef, list(row)) for row in zip(*columns, strict=True)]


def _by_columns(call: Callable, primals: Any, chunk_size: int | None) -> Any:
    """The pushforward of all unit tangents at once."""
    value, push = linearize(call, *primals)
    _check_holomorphic(value, primals)
    inputs, indef = optree.tree_flatten(primals)
    basis: Any = optree.tree_unflatten(indef, _basis(inputs))
    found = _mapped(lambda dots: optree.tree_leaves(push(*dots)), basis, primals, chunk_size)
    rows = []
    for dots in found:
        parts = _apart(dots, inputs)
        rows.append(_of_arguments(indef, [_turned(p, np.ndim(x)) for p, x in zip(parts, inputs, strict=True)]))
    return optree.tree_structure(value), rows


def _by_shape(call: Callable, primals: Any, chunk_size: int | None) -> Any:
    value, pullback = vjp(call, *primals)
    results, arguments = (sum(np.size(x) for x in optree.tree_leaves(t)) for t in (value, primals))
    if arguments < results or _turns_complex(value, primals):
        return _by_columns(call, primals, chunk_size)
    return _rows(value, pullback, primals, chunk_size)


def _mapped(function: Callable, basis: Any, primals: Any, chunk_size: int | None) -> list:
    """A linear map of all of a basis; without a graph, where nobody could differentiate it."""
    tensors = [x for x in optree.tree_leaves(primals) if isinstance(x, Tensor)]
    keep = is_within() or bool(tensors)
    if any(x._spec.device is not None for x in tensors):
        return _one_by_one(function, basis)
    if keep:
        basis = optree.tree_map(lift, basis)
    with grad_mode(keep and local.state.grad_enabled):
        try:
            found = vmap(function, randomness="same", chunk_size=chunk_size)(basis)
        except BatchedValueError:  # a rule of the user's own looks at cotangents' values
            found = _one_by_one(function, basis)
    return _settle(found) if keep and not is_within() else found


def _one_by_one(function: Callable, basis: Any) -> list:
    """The same by a call for each of a basis, for what is not recorded for many examples at once."""
    rows, structure = optree.tree_flatten(basis)
    each = [function(optree.tree_unflatten(structure, [row[k] for row in rows])) for k in range(len(rows[0]))]
    return [np.stack(parts) for parts in zip(*each, strict=True)]


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


def _jacobian(
    fun: Callable, argnums: int | Sequence[int], has_aux: bool, compute: Callable, chunk_size: int | None
) -> Callable:
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

        outdef, rows = compute(call, tuple(args[k] for k in numbers), chunk_size)
        tree = optree.tree_unflatten(outdef, rows if several else [row[0] for row in rows])
        return (tree, _outside(kept[0], args)) if has_aux else tree

    return wrapped


def _outside(aux: Any, args: tuple) -> Any:
    """What a function gave beside its result, without the traces that have ended."""
    if is_within():
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


def _basis(arrays: Sequence[Any]) -> list[np.ndarray]:
    """Unit vectors of all arrays together: for each array its part of them, one after the other."""
    sizes = [int(np.size(x)) for x in arrays]
    found, start, total = [], 0, sum(sizes)
    for x, size in zip(arrays, sizes, strict=True):
        dtype = _dtype(x)
        part = np.eye(total, size, -start, dtype if dtype.kind in "fc" else float)
        found.append(part.reshape(total, *np.shape(x)))
        start += size
    return found


def _apart(stacked: Any, arrays: Sequence[Any]) -> list:
    """What is stacked for each unit vector of some arrays, in the shape of each array."""
    found, start = [], 0
    for x in arrays:
        stop = start + int(np.size(x))
        part = stacked if len(arrays) == 1 else stacked[start:stop]
        found.append(np.reshape(part, (*np.shape(x), *np.shape(stacked)[1:])))
        start = stop
    return found


def _turned(stacked: Any, n: int) -> Any:
    """Move the first n axes behind the others."""
    return np.transpose(stacked, (*range(n, stacked.ndim), *range(n)))
