"""What runs on a worker: a carried function on one piece, and sums of results."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree

from .carrying import Carried, UnrecordedError

__all__ = ["Box", "Part", "add_parts", "evaluate", "noting_worker"]


class Box:
    """A value that Dask is not to look into."""

    __slots__ = ("content",)

    def __init__(self, content: Any):
        self.content = content


class Part:
    """What a stretch of partitions adds up to: arrays, in one structure, and the number of rows."""

    __slots__ = ("leaves", "rows", "treedef")

    def __init__(self, leaves: list[np.ndarray], treedef: optree.PyTreeSpec, rows: int):
        self.leaves, self.treedef, self.rows = leaves, treedef, rows


def evaluate(carried: Carried, whole: Box, places: tuple[int, ...], mean: bool, finite: bool, *blocks: Any) -> Any:
    """A partition's part of the sum (of the mean, times its rows), or an `UnrecordedError`."""
    arguments = list(whole.content)
    for k, block in zip(places, blocks, strict=True):
        arguments[k] = block
    with noting_worker():
        try:
            result = carried.call(tuple(arguments))
        except UnrecordedError as error:
            return error.with_traceback(None)
        leaves, treedef = optree.tree_flatten(result)
        for path, leaf in zip(treedef.paths(), leaves, strict=True):
            if not isinstance(leaf, (np.ndarray, np.generic, float, int, complex)):
                raise TypeError(
                    f"results are summed over partitions, and result{list(path)} is a {type(leaf).__name__}"
                )
            if finite and not np.all(np.isfinite(leaf)):
                raise FloatingPointError(f"result{list(path) or ''} is not finite here")
    rows = _rows(blocks)
    return Part([np.multiply(x, rows) if mean else np.asarray(x) for x in leaves], treedef, rows)


def _rows(blocks: tuple) -> int:
    shape = np.shape(optree.tree_leaves(blocks[0])[0])
    return shape[0] if shape else 1


def add_parts(parts: list[Part]) -> Part:
    """The sum of parts, from the left to the right."""
    first = parts[0]
    leaves = [np.array(x) for x in first.leaves]
    for part in parts[1:]:
        if part.treedef != first.treedef or [x.shape for x in part.leaves] != [x.shape for x in leaves]:
            raise ValueError(
                f"partitions are summed, so their results must have the same structure and shapes: "
                f"{[x.shape for x in leaves]} and {[x.shape for x in part.leaves]}"
            )
        leaves = [total + x for total, x in zip(leaves, part.leaves, strict=True)]
    return Part(leaves, first.treedef, sum(part.rows for part in parts))


class noting_worker:
    """Exceptions that pass through note on which worker they were raised."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            return
        try:
            from distributed import get_worker

            error.worker = get_worker().address  # type: ignore[attr-defined]
        except (ImportError, ValueError, AttributeError):  # in threads, or an exception without attributes
            return
