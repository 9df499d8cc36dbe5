"""Working memory that is recycled: what one tape or sweep gives back, the next one takes.

Small programs are recorded and swept thousands of times a second; fresh pages from the operating system, and the
arrays over them, would cost more than the work that is done in them.
"""

from __future__ import annotations

import numpy as np

from .memory import address_of
from .spare import LARGE, give_large, take_large

__all__ = [
    "MOST_EXPECTED",
    "ROW_TEMPORARIES",
    "SWEEP_TEMPORARIES",
    "RowArrays",
    "SweepArrays",
    "give_block",
    "recycled",
    "take_block",
]

ROW_TEMPORARIES = 1024
SWEEP_TEMPORARIES = 8192
MOST_EXPECTED = 1 << 22
"""A tape, and a sweep, begin with as much memory as the last one used, but with no more than this."""
CLASS_BYTES = 1 << 22
"""Spare memory kept for each size of block."""
_SPARE_ARRAYS = 8
"""Spare row or sweep arrays kept for each capacity."""

_blocks: dict[int, list[np.ndarray]] = {}
_arrays: dict[tuple, list] = {}


def take_block(nbytes: int) -> np.ndarray:
    """Uninitialised memory of at least that many bytes; sizes are rounded up, so that they come again."""
    shift = max(nbytes.bit_length() - 3, 0)
    size = max(((nbytes - 1 >> shift) + 1) << shift, 4096)
    if size >= LARGE:
        return take_large(size)
    spare = _blocks.get(size)
    if spare:
        try:
            return spare.pop()
        except IndexError:  # another thread was quicker
            pass
    return np.empty(size, np.uint8)


def give_block(block: np.ndarray) -> None:
    """Hand a block back; nothing may refer to its memory any more."""
    if block.nbytes >= LARGE:
        give_large(block)
        return
    spare = _blocks.setdefault(block.nbytes, [])
    if (len(spare) + 1) * block.nbytes <= CLASS_BYTES:
        spare.append(block)


def recycled(kind, capacity: int):
    """Arrays of that kind and capacity, used before or new."""
    spare = _arrays.get((kind, capacity))
    if spare:
        try:
            return spare.pop()
        except IndexError:
            pass
    return kind(capacity)


class _Arrays:
    """Several arrays in one block."""

    __slots__ = ("capacity",)

    capacity: int

    def release(self) -> None:
        """Hand the arrays back; nobody may use them any more."""
        spare = _arrays.setdefault((type(self), self.capacity), [])
        if len(spare) < _SPARE_ARRAYS:
            spare.append(self)


class RowArrays(_Arrays):
    """A tape's rows as compiled code reads them; temporaries' addresses stand behind the rows' in `addr`.

    Attributes
    ----------
    words, addr, root, last_write : numpy.ndarray
    at : tuple of int
        Their addresses, in this order.
    """

    __slots__ = ("addr", "at", "last_write", "root", "words")

    def __init__(self, capacity: int):
        self.capacity = n = capacity
        memory = np.empty(3 * n + ROW_TEMPORARIES, np.int64)
        self.words, self.addr = memory[:n], memory[n : 2 * n + ROW_TEMPORARIES]
        self.root, self.last_write = memory[2 * n + ROW_TEMPORARIES :].view(np.int32).reshape(2, n)
        self.at = tuple([address_of(a) for a in (self.words, self.addr, self.root, self.last_write)])


class SweepArrays(_Arrays):
    """What a reverse sweep notes of each row.

    Attributes
    ----------
    addr : memoryview
        Addresses of the rows' values, of their cotangents, and of temporaries.
    bar, kept : memoryview
        State of the cotangents, and which somebody will read.
    wanted, freed : numpy.ndarray
    at : tuple of int
        Addresses of `starts`, `bar`, `kept`, `wanted`, `freed`.
    addr_at : int
    """

    __slots__ = ("addr", "addr_at", "at", "bar", "freed", "kept", "starts", "wanted")

    def __init__(self, capacity: int):
        self.capacity = n = capacity
        bar, kept, self.wanted, self.freed = flags = np.empty((4, n), np.uint8)
        self.starts, addr = np.empty(n, np.int32), np.empty(2 * n + SWEEP_TEMPORARIES, np.int64)
        self.bar, self.kept, self.addr = bar.data, kept.data, addr.data
        self.addr_at = address_of(addr)
        self.at = (address_of(self.starts), *[address_of(f) for f in flags])
