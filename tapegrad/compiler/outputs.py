"""Results of compiled functions into arrays that are given: ``step(x, out=arrays)``."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

__all__ = ["fill", "takes_out"]


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
    ValueError
        If structures or shapes differ, or arrays overlap or are read-only. Nothing has been written then.
    TypeError
        If there is something else than arrays in `out`, or a dtype differs.
    """
    targets, structure = optree.tree_flatten(out)
    values, expected = optree.tree_flatten(result)
    if structure != expected:
        raise ValueError(
            f"out must have the structure of what {name} returns: {expected} is returned, and out is {structure}; pass "
            f"arrays in the same containers"
        )
    for place, target, value in zip(optree.treespec_paths(expected), targets, values, strict=True):
        _check(target, np.asarray(value), name, "out" + "".join(f"[{k!r}]" for k in place))
    for a, b in itertools.combinations(targets, 2):
        if np.may_share_memory(a, b) and np.shares_memory(a, b):
            raise ValueError(f"two arrays in out of {name} share memory, and hold two results; pass one for each")
    for target, value in zip(targets, values, strict=True):
        np.copyto(target, value)
    return out


def _check(target: Any, value: np.ndarray, name: str, place: str) -> None:
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
