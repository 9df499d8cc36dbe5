"""Results of compiled functions into arrays that are given: ``step(x, out=arrays)``."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optree

__all__ = ["Made", "check_targets", "fill", "takes_out"]


class Made(NamedTuple):
    """What a result is like."""

    shape: tuple[int, ...]
    dtype: np.dtype


def takes_out(fun: Callable) -> bool:
    """Whether a function has a parameter named ``out`` of its own."""
    try:
        return "out" in inspect.signature(fun).parameters
    except (TypeError, ValueError):  # built in
        return False


def fill(out: Any, result: Any, name: str) -> Any:
    """Copy a function's result into arrays in containers of the same structure; returns `out`.

    Raises
    ------
    ValueError, TypeError
        As `check_targets`. Nothing has been written then.
    """
    values, structure = optree.tree_flatten(result)
    arrays = list(map(np.asarray, values))
    targets = check_targets(out, structure, [Made(x.shape, x.dtype) for x in arrays], name)
    for target, value in zip(targets, arrays, strict=True):
        np.copyto(target, value)
    return out


def check_targets(out: Any, structure: optree.PyTreeSpec, made: Sequence[Made], name: str) -> list[np.ndarray]:
    """The arrays in `out`, if they can take what a function returns.

    Parameters
    ----------
    out : Any
        Arrays in containers.
    structure : optree.PyTreeSpec
        Of what the function returns.
    made : sequence of Made
        Its leaves.
    name : str
        The function's.

    Raises
    ------
    ValueError
        If structures or shapes differ, or arrays overlap or are read-only.
    TypeError
        If there is something else than arrays in `out`, or a dtype differs.
    """
    targets, given = optree.tree_flatten(out)
    if given != structure:
        raise ValueError(
            f"out must have the structure of what {name} returns: {structure} is returned, and out is {given}; pass "
            f"arrays in the same containers"
        )
    for place, target, value in zip(optree.treespec_paths(structure), targets, made, strict=True):
        _check(target, value, name, "out" + "".join(f"[{k!r}]" for k in place))
    for a, b in itertools.combinations(targets, 2):
        if np.may_share_memory(a, b) and np.shares_memory(a, b):
            raise ValueError(f"two arrays in out of {name} share memory, and hold two results; pass one for each")
    return targets


def _check(target: Any, value: Made, name: str, place: str) -> None:
    if not isinstance(target, np.ndarray):
        raise TypeError(
            f"results of {name} go into NumPy arrays: {place} is {type(target).__name__}; pass an array of shape "
            f"{value.shape}, dtype {value.dtype}"
        )
    if target.dtype != value.dtype:
        raise TypeError(
            f"{place} of {name} is {target.dtype}, and the result {value.dtype}; pass an array of that dtype"
        )
    if target.shape != value.shape:
        raise ValueError(
            f"{place} of {name} has shape {target.shape}, and the result {value.shape}; pass one of that shape"
        )
    if not target.flags.writeable:
        raise ValueError(f"{place} of {name} is read-only; pass an array that may be written")
