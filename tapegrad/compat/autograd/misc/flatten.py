"""Containers as vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from ....tape.handle import Tensor

__all__ = ["flatten", "flatten_func"]


def flatten(value: Any) -> tuple[Any, Callable]:
    """A container's numbers as one vector, and the map back; both are differentiable."""
    leaves, treedef = optree.tree_flatten(value)
    shapes = [np.shape(x) for x in leaves]
    ends = np.cumsum([int(np.prod(s)) for s in shapes])[:-1].tolist()
    vector: Any = np.concatenate([np.ravel(x) for x in leaves]) if leaves else np.zeros(0)

    def unflatten(vector: Any) -> Any:
        if not shapes:
            return optree.tree_unflatten(treedef, [])
        parts = [np.reshape(p, s) for p, s in zip(np.split(vector, ends), shapes, strict=True)]
        return optree.tree_unflatten(treedef, [p if isinstance(p, Tensor) else p[()] for p in parts])

    return vector, unflatten


def flatten_func(func: Callable, example: Any) -> tuple[Callable, Callable, Any]:
    """A function of containers as one of vectors: the function, the map back, and the example as a vector."""
    vector, unflatten = flatten(example)

    def flat(vector: Any, *args: Any, **kwargs: Any) -> Any:
        return flatten(func(unflatten(vector), *args, **kwargs))[0]

    return flat, unflatten, vector
