"""Large blocks of memory between two uses.

What the C library gets back in pieces of some megabytes it returns to the operating system, and each page of what it
hands out next is cleared again, at the first touch: on arrays of a million elements that takes as long as computing.
So some large blocks are kept for the next that asks for as much, until a full collection of garbage.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LARGE", "MOST_SPARE", "borrowed", "drop_spare", "give_large", "take_large"]

LARGE = 1 << 20
"""From so many bytes on a block may be kept."""
MOST_SPARE = 1 << 27
"""Bytes that are kept at most."""

_spare: dict[int, np.ndarray] = {}
"""Blocks that nobody uses, by `id`, the oldest first. Finalizers change it at any time: each step stands by itself."""


def take_large(nbytes: int) -> np.ndarray:
    """A block of at least that many bytes, with anything in it."""
    for key, block in list(_spare.items()):
        if nbytes <= block.nbytes <= nbytes + nbytes // 4:
            found = _spare.pop(key, None)
            if found is not None:
                return found
    _shrink(sum([block.nbytes for block in list(_spare.values())]) - nbytes)  # no more in all than there was
    try:
        return np.empty(nbytes, np.uint8)
    except MemoryError:
        if not _spare:
            raise
        _spare.clear()
        return np.empty(nbytes, np.uint8)


def give_large(block: np.ndarray) -> None:
    """Keep a block for the next; nothing may refer to its memory any more."""
    _spare[id(block)] = block
    _shrink(MOST_SPARE)


def _shrink(most: int) -> None:
    """Let go of the oldest blocks, until there are `most` bytes at most."""
    blocks = list(_spare.items())
    total = sum([block.nbytes for _, block in blocks])
    for key, block in blocks:
        if total <= most:
            break
        _spare.pop(key, None)
        total -= block.nbytes


def drop_spare() -> None:
    """Let go of all blocks."""
    _spare.clear()


class _Loan:
    """What an array's memory belongs to: a large block, which is given back with the last array that looks at it."""

    __slots__ = ("__array_interface__", "block")

    def __init__(self, block, interface):
        self.block = block
        self.__array_interface__ = interface

    def __del__(self, give=give_large):
        give(self.block)


def borrowed(shape: tuple, dtype: np.dtype, nbytes: int, line: int) -> np.ndarray:
    """An uninitialised array in a large block, which begins at a multiple of `line` bytes."""
    block = take_large(nbytes + line - 1)
    at = block.__array_interface__["data"][0]
    interface = {"data": (at + -at % line, False), "shape": shape, "typestr": dtype.str, "version": 3}
    return np.asarray(_Loan(block, interface))
