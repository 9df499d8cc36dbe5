"""A compiled function over a batch: chunks of examples, each one replay of one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import optree

__all__ = ["map_chunks"]

CHUNK_BYTES = 1 << 21
"""Bytes of the largest argument in a chunk: machine code keeps what lies between in registers, and has threads for
long loops; the memory that the interpreter needs until then stays within bounds."""


def map_chunks(
    call: Callable, flat: Sequence[Any], mapped: Sequence[bool], chunk_size: int | None, threads: int
) -> Any:
    """Results of a function of batches for all of a batch, put together from chunks.

    Parameters
    ----------
    call : callable
        ``call(leaves, out=...)`` computes a chunk; its results have the batch first.
    flat : list
        The arguments' leaves, with the batch as the first axis of those that are `mapped`.
    mapped : list of bool
    chunk_size : int or None
    threads : int

    Returns
    -------
    Any
        As the function's result.
    """
    if threads < 1 or (chunk_size is not None and chunk_size < 1):
        raise ValueError(f"map: chunk_size and threads must be positive, not {chunk_size} and {threads}")
    stacks = [x for x, m in zip(flat, mapped, strict=True) if m]
    count = len(stacks[0])
    size = min(chunk_size or _fitting(stacks), count)

    def part(start: int) -> list:
        return [x[start : start + size] if m else x for x, m in zip(flat, mapped, strict=True)]

    first = call(part(0))
    if size == count:
        return first
    leaves, treedef = optree.tree_flatten(first)
    whole = [np.empty((count, *np.shape(y)[1:]), np.asarray(y).dtype) for y in leaves]
    for y, chunk in zip(whole, leaves, strict=True):
        y[:size] = chunk

    def run(start: int) -> None:
        call(part(start), out=optree.tree_unflatten(treedef, [y[start : start + size] for y in whole]))

    starts = range(size, count - size + 1, size)
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, starts))
    else:
        for start in starts:
            run(start)
    if count % size:
        run(count - size)  # some examples once more: that needs no program of another size
    return optree.tree_unflatten(treedef, whole)


def _fitting(stacks: Sequence[np.ndarray]) -> int:
    """Examples of a chunk."""
    return max(1, CHUNK_BYTES // max(1, *[x[:1].nbytes for x in stacks]))
