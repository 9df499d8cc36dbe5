"""`vmap`: a function of one example, as a function of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from .carrying import Carrier
from .primitives.core import lift
from .tape.handle import Tensor
from .tape.state import local
from .values import value_of

__all__ = ["vmap"]


def vmap(
    fun: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """A function of batches, from one of single examples.

    Parameters
    ----------
    fun : callable
        Takes arrays, tensors, or containers of such; returns arrays or a container of such.
    in_dims : int, None or a container, default 0
        Axis of each argument that is mapped over; None for one that is the same for all examples. A container in the
        structure of the arguments (or of a part of it) says it one by one.
    out_dims : int, None or a tuple, default 0
        Axis of the results along which examples are put together; None takes the first one's.
    randomness, chunk_size
        Accepted as in PyTorch; they mean nothing here.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If no argument is mapped, an axis is out of bounds, or the arguments' sizes along it differ.

    Notes
    -----
    The function is called once for each example: what a batch saves is the writing of the loop. Each operation of an
    example is a row of the tape, so gradients, nesting and `tapegrad.compile` go through it.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> a, b = np.arange(6.0).reshape(3, 2), np.array([1.0, 10.0])
    >>> tg.vmap(np.dot, in_dims=(0, None))(a, b)
    array([10., 32., 54.])
    """

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def mapped(*args: Any, **kwargs: Any) -> Any:
        given: Any = args
        flat, treedef = optree.tree_flatten(given, none_is_leaf=True)
        dims = _axes(in_dims, args, "in_dims")
        count = _batch_size(flat, dims, fun)
        carrier = Carrier(count)
        stacks = [x if d is None else _batch_first(x, d) for x, d in zip(flat, dims, strict=True)]
        with carrier.recording():
            parts = [x if d is None else carrier.stand(x) for x, d in zip(stacks, dims, strict=True)]
            example: Any = optree.tree_unflatten(treedef, parts)
            result = fun(*example, **kwargs)
        leaves, outdef = optree.tree_flatten(result)
        places = [k for k, y in enumerate(leaves) if isinstance(y, Tensor)]
        found = dict(zip(places, carrier.over([leaves[k] for k in places]), strict=True))
        outs = []
        for k, (y, d) in enumerate(zip(leaves, _axes(out_dims, result, "out_dims"), strict=True)):
            y, batched = found.get(k, (y, False))
            outs.append(_placed(y, batched, d, count, fun))
        tree: Any = optree.tree_unflatten(outdef, outs)
        keep = local.state.depth or local.state.tape.tracing or any(isinstance(x, Tensor) for x in flat)
        return tree if keep else _released(tree)

    return mapped


def _batch_first(x: Any, axis: int) -> Tensor:
    """A stack of examples."""
    if isinstance(x, Tensor):
        return np.moveaxis(x, axis, 0) if axis % x.ndim else x
    return lift(np.ascontiguousarray(np.moveaxis(x, axis, 0)))


def _placed(y: Any, batched: bool, axis: int | None, count: int, fun: Callable) -> Any:
    """A result with the batch along an axis; None where it has none."""
    if axis is None:
        if batched:
            name = getattr(fun, "__name__", "the function")
            raise ValueError(
                f"vmap({name}): out_dims is None for a result that is another one for each example, of shape "
                f"{y.shape[1:]}: name the axis along which they are to be put together"
            )
        return y
    if not batched:
        y = np.broadcast_to(y, (count, *np.shape(y)))
    ndim = np.ndim(y)
    if not -ndim <= axis < ndim:
        raise ValueError(f"vmap: out_dims names axis {axis} of a result of shape {np.shape(y)}")
    return np.moveaxis(y, 0, axis) if axis else y


def _released(tree: Any) -> Any:
    """Arrays, for a caller who gave arrays; what carries a gradient to something captured stays a tensor."""

    def plain(x: Any) -> Any:
        if not isinstance(x, Tensor) or x._spec.requires_grad:
            return x
        array = value_of(x)
        return array[()] if array.ndim == 0 else array.copy()

    return optree.tree_map(plain, tree)


def _axes(dims: Any, tree: Any, what: str) -> list[int | None]:
    """An axis (or None) for each leaf of a tree, from an int or a container that may stop above the leaves."""
    if dims is None or isinstance(dims, int):
        return [dims] * len(optree.tree_leaves(tree, none_is_leaf=True))
    if isinstance(dims, list) and isinstance(tree, tuple):
        dims = tuple(dims)
    try:
        spread = optree.broadcast_prefix(dims, tree, none_is_leaf=True)
    except ValueError:
        raise ValueError(
            f"vmap: {what}={dims!r} does not fit the structure of what it is for: an int or None for all, or one for "
            f"each of the {len(tree) if isinstance(tree, tuple) else 1}"
        ) from None
    for d in spread:
        if d is not None and not isinstance(d, int):
            raise ValueError(f"vmap: {what} holds axes (int or None), and {d!r} is neither")
    return spread


def _batch_size(flat: Sequence[Any], dims: Sequence[int | None], fun: Callable) -> int:
    name = getattr(fun, "__name__", "the function")
    sizes = []
    for x, d in zip(flat, dims, strict=True):
        if d is None:
            continue
        if not isinstance(x, (Tensor, np.ndarray)):
            raise ValueError(
                f"vmap({name}): a mapped argument is {type(x).__name__}, which has no axes; give None for it in in_dims"
            )
        if not -x.ndim <= d < x.ndim:
            raise ValueError(f"vmap({name}): in_dims names axis {d} of an argument of shape {x.shape}")
        sizes.append(x.shape[d])
    if not sizes:
        raise ValueError(f"vmap({name}): at least one argument must be mapped, and in_dims is None for all")
    if len(set(sizes)) > 1:
        raise ValueError(
            f"vmap({name}): Expected all tensors to have the same size in the mapped dimension, got sizes {sizes}"
        )
    if sizes[0] == 0:
        raise ValueError(f"vmap({name}): the mapped dimension is empty, so that the result's shape cannot be known")
    return sizes[0]
