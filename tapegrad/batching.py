"""`vmap`: a function of one example, as a function of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from .carrying import Carrier
from .compiler.captured import Captured, Draws
from .primitives.core import lift
from .tape.handle import Tensor
from .tape.state import local
from .tape.subclasses import refuse_other_algebra
from .values import value_of

__all__ = ["vmap"]

_RANDOMNESS = ("error", "different", "same")


def vmap(
    fun: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
    in_axes: Any = ...,
    out_axes: Any = ...,
) -> Callable:
    """A function of batches, from one of single examples.

    Parameters
    ----------
    fun : callable
        Takes arrays, tensors, or containers of such; returns arrays or a container of such.
    in_dims : int, None or a container, default 0
        Axis of each positional argument that is mapped over; None for one that is the same for all examples. A
        container in the structure of the arguments (or of a part of it) says it one by one.
    out_dims : int, None or a container, default 0
        Axis of the results along which examples are put together; None for one that is the same for all.
    randomness : {"error", "different", "same"}
        What to do where `fun` draws random numbers: refuse, draw anew for each example (`fun` is called for each then),
        or use the same for all.
    chunk_size : int, optional
        Examples that are computed together, where all of them would take too much memory.
    in_axes, out_axes
        JAX's names of `in_dims` and `out_dims`. Where one of them is used, keyword arguments are mapped over their
        first axis, as in JAX; else they are the same for all examples, as in PyTorch.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If no argument is mapped, an axis is out of bounds, the arguments' sizes along it differ, or `out_dims` is None
        for a result that differs between examples.
    TypeError
        If `fun` asks for a value that differs between examples, as ``if x > 0`` does. Also a `RuntimeError`.
    RuntimeError
        If `fun` draws random numbers and `randomness` is "error".

    Notes
    -----
    The function is called once, with arguments that stand for one example. What it records is carried over the batch
    row by row, each operation becoming one on all examples, which can be differentiated, compiled and mapped again.
    Operations without a rule for batches (functions of plain arrays by `tapegrad.primitive`, and few others) are done
    one example after the other.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> a, b = np.arange(6.0).reshape(3, 2), np.array([1.0, 10.0])
    >>> tg.vmap(np.dot, in_dims=(0, None))(a, b)
    array([10., 32., 54.])
    """
    as_in_jax = in_axes is not ... or out_axes is not ...
    in_dims = in_dims if in_axes is ... else in_axes
    out_dims = out_dims if out_axes is ... else out_axes
    if randomness not in _RANDOMNESS:
        raise ValueError(f"vmap: randomness is 'error', 'different' or 'same', not {randomness!r}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"vmap: Chunk size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def mapped(*args: Any, **kwargs: Any) -> Any:
        given: Any = args, kwargs
        flat, treedef = optree.tree_flatten(given, none_is_leaf=True)
        dims = _axes(in_dims, args, "in_dims")
        dims += [0 if as_in_jax else None] * (len(flat) - len(dims))
        count = _batch_size(flat, dims, fun)
        if randomness == "different" and count:
            one: Any = [optree.tree_unflatten(treedef, _part(flat, dims, k)) for k in range(count)]
            return _joined([_stretched(fun(*a, **k), out_dims) for a, k in one], out_dims)
        step = chunk_size or max(count, 1)
        parts = [
            _at_once(fun, _part(flat, dims, slice(start, start + step)), treedef, dims, out_dims, randomness)
            for start in range(0, max(count, 1), step)
        ]
        return parts[0] if len(parts) == 1 else _joined(parts, out_dims)

    return mapped


def _at_once(
    fun: Callable, flat: list, treedef: Any, dims: Sequence[int | None], out_dims: Any, randomness: str
) -> Any:
    """The function's result for all examples, from one call."""
    carrier = Carrier(_batch_size(flat, dims, fun))
    stacks = [_whole(x, d) for x, d in zip(flat, dims, strict=True)]
    with carrier.recording():
        parts = [
            carrier.stand(x, d is not None) if d is not None or isinstance(given, np.ndarray) else x
            for x, given, d in zip(stacks, flat, dims, strict=True)
        ]
        call: Any = optree.tree_unflatten(treedef, parts)
        draws = Draws(Captured(fun).generators) if randomness == "error" else None
        result = fun(*call[0], **call[1])
        if draws is not None and draws.drawn() is not None:
            raise RuntimeError(
                f"vmap: called random operation while in randomness error mode: {_name(fun)} drew random numbers (from "
                f"{draws.drawn()}). Please either use the 'same' or 'different' randomness flags on vmap, or draw them "
                f"outside and pass them as an argument"
            )
    leaves, outdef = optree.tree_flatten(result)
    places = [k for k, y in enumerate(leaves) if isinstance(y, Tensor)]
    found = dict(zip(places, carrier.over([leaves[k] for k in places]), strict=True))
    outs = []
    for k, (y, d) in enumerate(zip(leaves, _axes(out_dims, result, "out_dims"), strict=True)):
        y, batched = found.get(k, (y, False))
        outs.append(_placed(y, batched, d, carrier.size, fun))
    tree: Any = optree.tree_unflatten(outdef, outs)
    keep = local.state.depth or local.state.tape.tracing or any(isinstance(x, Tensor) for x in flat)
    return tree if keep else _released(tree)


def _name(fun: Callable) -> str:
    return getattr(fun, "__name__", "the function")


# --- arguments ------------------------------------------------------------------------------------


def _axes(dims: Any, tree: Any, what: str) -> list[int | None]:
    """An axis (or None) for each leaf of a tree, from an int or a container that may stop above the leaves."""
    if dims is None or isinstance(dims, int):
        return [dims] * len(optree.tree_leaves(tree, none_is_leaf=what == "in_dims"))
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
    name = _name(fun)
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
    return sizes[0]


def _whole(x: Any, axis: int | None) -> Any:
    """A stack of examples as a tensor, the batch first; so is an array for all of them, which examples may index."""
    refuse_other_algebra(x)
    if axis is None:
        return lift(x) if isinstance(x, np.ndarray) else x
    if isinstance(x, Tensor):
        return np.moveaxis(x, axis, 0) if axis % x.ndim else x  # type: ignore[type-var]
    return lift(np.ascontiguousarray(np.moveaxis(x, axis, 0)))


def _part(flat: list, dims: Sequence[int | None], key: int | slice) -> list:
    """The arguments of one example, or of some."""
    if isinstance(key, slice) and key.start == 0:
        if all(d is None or x.shape[d] <= key.stop for x, d in zip(flat, dims, strict=True)):
            return flat
    return [x if d is None else x[(slice(None),) * (d % x.ndim) + (key,)] for x, d in zip(flat, dims, strict=True)]


def arranged(fun: Callable, in_dims: Any, args: tuple) -> tuple[list, list[bool], Any]:
    """Arguments of a mapped function: their leaves with the batch first, which are mapped, and their structure."""
    given: Any = args
    flat, treedef = optree.tree_flatten(given, none_is_leaf=True)
    dims = _axes(in_dims, args, "in_dims")
    _batch_size(flat, dims, fun)
    first = [x if d is None else np.ascontiguousarray(np.moveaxis(x, d, 0)) for x, d in zip(flat, dims, strict=True)]
    return first, [d is not None for d in dims], treedef


# --- results --------------------------------------------------------------------------------------


def _placed(y: Any, batched: bool, axis: int | None, count: int, fun: Callable) -> Any:
    """A result with the batch along an axis; None where it has none."""
    if axis is None:
        if batched:
            raise ValueError(
                f"vmap({_name(fun)}): out_dims is None for a result that is another one for each example, of shape "
                f"{y.shape[1:]}: name the axis along which they are to be put together"
            )
        return y
    if not batched:
        y = np.broadcast_to(y, (count, *np.shape(y)))
    ndim = np.ndim(y)
    if not -ndim <= axis < ndim:
        raise ValueError(f"vmap({_name(fun)}): out_dims names axis {axis} of a result of shape {np.shape(y)}")
    return np.moveaxis(y, 0, axis) if axis else y


def _released(tree: Any) -> Any:
    """Arrays, for a caller who gave arrays; what carries a gradient to something captured stays a tensor."""

    def plain(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return np.array(x) if isinstance(x, np.ndarray) else x
        if x._spec.requires_grad:
            return x
        array = value_of(x)
        return array[()] if array.ndim == 0 else array.copy()

    return optree.tree_map(plain, tree)


def _stretched(tree: Any, out_dims: Any) -> Any:
    """A single example's results as a batch of one."""
    leaves, treedef = optree.tree_flatten(tree)
    dims = _axes(out_dims, tree, "out_dims")
    return optree.tree_unflatten(
        treedef, [y if d is None else np.expand_dims(y, d) for y, d in zip(leaves, dims, strict=True)]
    )


def _joined(parts: list, out_dims: Any) -> Any:
    """The results of parts of the batch, put together; what is the same for all is the first part's."""
    first = parts[0]
    leaves, treedef = optree.tree_flatten(first)
    dims = _axes(out_dims, first, "out_dims")
    columns = zip(*[optree.tree_leaves(part) for part in parts], strict=True)
    joined: list[Any] = []
    for d, column, example in zip(dims, columns, leaves, strict=True):
        joined.append(example if d is None else np.concatenate(column, axis=d))
    return optree.tree_unflatten(treedef, joined)
