"""A compiled function over a batch: chunks of examples, each one replay of one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import optree

from .outputs import Made, check_targets

__all__ = ["Batch", "apart", "map_chunks"]

CHUNK_BYTES = 1 << 21
"""Bytes of the largest argument in a chunk: machine code keeps what lies between in registers, and has threads for
long loops; the memory that the interpreter needs until then stays within bounds."""


class Batch:
    """Arguments of a mapped function, to be taken in chunks.

    Parameters
    ----------
    flat : list
        The arguments' leaves, with the batch as the first axis of those that are `mapped`.
    mapped : list of bool
    chunk_size : int or None

    Attributes
    ----------
    count : int
        Examples.
    size : int
        Of a chunk.
    """

    def __init__(self, flat: Sequence[Any], mapped: Sequence[bool], chunk_size: int | None):
        self.flat, self.mapped = flat, mapped
        stacks = [x for x, m in zip(flat, mapped, strict=True) if m]
        self.count = len(stacks[0])
        self.size = min(chunk_size or _fitting(stacks, self.count), self.count)

    def part(self, start: int) -> list:
        """The leaves of the chunk that begins there."""
        return [x[start : start + self.size] if m else x for x, m in zip(self.flat, self.mapped, strict=True)]

    def starts(self) -> range:
        """Where whole chunks begin."""
        return range(0, self.count - self.size + 1, max(self.size, 1))


def map_chunks(
    call: Callable, batch: Batch, threads: int, out: Any, known: tuple[Any, Sequence[Any]] | None, name: str
) -> Any:
    """Results of a function of batches for all of a batch, put together from chunks.

    Parameters
    ----------
    call : callable
        ``call(leaves, out=...)`` computes a chunk; its results have the batch first.
    batch : Batch
        Apart from `out` in memory.
    threads : int
    out : Any
        Arrays for the results, in containers; None for new ones.
    known : tuple or None
        The results' structure, and leaves of a chunk's results or what they are like; None if nothing is known yet.
    name : str
        The function's.

    Returns
    -------
    Any
        As the function's result, with the batch first; `out`, if it was given.
    """
    count, size = batch.count, batch.size
    if out is None and size == count:
        return call(batch.part(0))
    leaves = None
    if known is None:
        leaves, structure = optree.tree_flatten(call(batch.part(0)))
        known = structure, list(map(np.asarray, leaves))
    structure, chunk = known
    made = [Made((count, *y.shape[1:]), y.dtype) for y in chunk]
    whole = [np.empty(*y) for y in made] if out is None else check_targets(out, structure, made, name)

    def run(start: int) -> None:
        call(batch.part(start), out=optree.tree_unflatten(structure, [y[start : start + size] for y in whole]))

    starts = batch.starts()
    if leaves is not None:
        for y, part in zip(whole, leaves, strict=True):
            y[:size] = part
        starts = starts[1:]
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, starts))
    else:
        for start in starts:
            run(start)
    if size and count % size:
        run(count - size)  # some examples once more: that needs no program of another size
    return optree.tree_unflatten(structure, whole) if out is None else out


def apart(tree: Any, out: Any) -> Any:
    """The same containers, with copies of arrays that share memory with one in `out`: later chunks read them, too."""
    targets = [y for y in optree.tree_leaves(out) if isinstance(y, np.ndarray)]

    def own(x: Any) -> Any:
        shared = isinstance(x, np.ndarray) and any(np.may_share_memory(x, y) for y in targets)
        return x.copy() if shared else x

    return optree.tree_map(own, tree)


def _fitting(stacks: Sequence[np.ndarray], count: int) -> int:
    """Examples of a chunk: of equal ones, as what they overlap by is computed twice."""
    most = max(1, CHUNK_BYTES // max(1, *[x[:1].nbytes for x in stacks]))
    chunks = -(-count // most)
    return -(-count // max(1, chunks))
