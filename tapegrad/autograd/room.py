"""Memory of a reverse sweep: blocks for cotangents, and what goes back while the sweep is under way.

A small cotangent's memory is used again for others of its size. A large one has a block of its own, which goes back
to the operating system when the sweep asks for more and nobody uses it; so do saved values that no row will read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape.blocks import give_block, take_block
from ..tape.memory import address_of
from ..vm import opcodes as op
from ..vm.entry import note_needed

__all__ = ["LARGE", "Room", "drop_saved", "size_class"]

FIRST_BLOCK = 1 << 15
KEPT_BLOCK = 1 << 22
"""A first block of so many bytes, or less, is kept for the next sweep."""
LARGE = 1 << 20
"""A cotangent of that many bytes has a block of its own."""


def size_class(nbytes: int) -> tuple[int, int]:
    """Class of a size, and the size rounded up to it: as `vm.cotangents.size_class`."""
    units = max((nbytes + 63) >> 6, 1)
    shift = max((units - 1).bit_length() - 4, 0) if units > 8 else 0
    top = ((units - 1) >> shift) + 1
    return 8 * shift + top, (top << shift) << 6


class Room:
    """The blocks in which a sweep's cotangents stand; one sweep after another, in one workspace.

    Parameters
    ----------
    state, heads : memoryview, numpy.ndarray
        Of the workspace: where the next cotangent goes, and the free places by class of size.
    """

    def __init__(self, state: Any, heads: np.ndarray):
        self.state, self.heads = state, heads
        self.blocks: list[np.ndarray] = []
        self.taken = 0  # bytes of the blocks
        self.large: dict[tuple[int, int], np.ndarray] = {}
        self.rest = (0, 0)  # what was left of a block when a large one came

    def begin(self, expected: int) -> None:
        """Memory for a sweep whose small cotangents will probably take so many bytes."""
        if self.taken > expected:
            self.rest = (0, 0)
            self._fill(self.blocks[0])
            return
        self.release(keep=0)
        self.rest = (0, 0)
        self._add_block(max(FIRST_BLOCK, expected + 1))  # so that the next sweep of the same kind finds it large enough

    def _fill(self, block: np.ndarray) -> None:
        state, address = self.state, address_of(block)
        state[op.MEMORY], state[op.MEMORY_END] = (address + 63) & ~63, address + block.nbytes

    def grow(self, need: int) -> None:
        """Memory for a cotangent of `need` bytes, or for several that take as much."""
        state = self.state
        begin, end = self.rest
        if need >= LARGE:
            self._give_back()
            if state[op.MEMORY_END] - state[op.MEMORY] > end - begin:
                self.rest = state[op.MEMORY], state[op.MEMORY_END]
            kind, size = size_class(need)
            block = take_block(size + 64)
            at = address_of(block) + 63 & ~63
            self.large[kind, at] = block
            state[op.MEMORY], state[op.MEMORY_END] = at, at + size
        elif end - begin >= 2 * need + 64:
            state[op.MEMORY], state[op.MEMORY_END], self.rest = begin, end, (0, 0)
        else:
            self._add_block(max(FIRST_BLOCK << min(len(self.blocks), 5), need + need // 8 + 128))

    def _add_block(self, nbytes: int) -> None:
        block = take_block(nbytes)
        self.blocks.append(block)
        self.taken += block.nbytes
        self._fill(block)

    def _give_back(self) -> None:
        """Let go of the large blocks that stand in the lists of free places."""
        for kind, at in list(self.large):
            places = self.heads[kind]
            count = int(places[0])
            found = np.flatnonzero(places[1 : 1 + count] == at)
            if len(found):
                places[1 + found[0]] = places[count]
                places[0] = count - 1
                give_block(self.large.pop((kind, at)))

    @property
    def used(self) -> int:
        """Bytes that small cotangents have taken."""
        begin, end = self.rest
        left = end - begin + self.state[op.MEMORY_END] - self.state[op.MEMORY]
        return max(self.taken - left, 0)

    def release(self, keep: int = KEPT_BLOCK) -> None:
        """Hand all memory back, but for a first block of at most `keep` bytes."""
        if len(self.blocks) == 1 and self.taken <= keep and not self.large:
            return
        first = [block for block in self.blocks[:1] if block.nbytes <= keep]
        for block in (*self.blocks[len(first) :], *self.large.values()):
            give_block(block)
        self.blocks, self.taken = first, sum([block.nbytes for block in first])
        self.large.clear()


def drop_saved(run: Any, state: Any) -> None:
    """Let go of large saved values that no row reads any more, while a sweep that frees its graph stands between rows.

    Parameters
    ----------
    run : the sweep
        Its ``passed`` becomes the slot at which it stands, if something went: all after that has been freed then.
    state : memoryview
    """
    tape, position = run.tape, state[op.POSITION]
    if position < 0 or not tape.kept:
        return
    needed = np.zeros(run.n, np.uint8)
    state[op.DETAIL], state[op.DETAIL2] = address_of(needed), tape.done
    note_needed(run.space.at)
    for slot in [slot for slot in tape.kept if not needed[slot]]:
        del tape.kept[slot]
        run.passed = int(run.arrays.starts[position])
