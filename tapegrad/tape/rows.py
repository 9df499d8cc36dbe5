"""The rows of a tape as arrays, on which passes work."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..vm import opcodes as op
from ..vm.pools import pools
from .passes import run

__all__ = ["Gathered", "Rows", "gather"]


class Rows:
    """Rows of integers.

    Parameters
    ----------
    words : sequence of int
        As on a tape; an array of int64 is not copied.

    Attributes
    ----------
    words : numpy.ndarray of int64
    starts : numpy.ndarray of int32
        The first word of each row: its slot.
    root, shift : numpy.ndarray of int32, int64
        By slot, the slot whose memory a row shares, and the byte offset in that.
    """

    def __init__(self, words):
        self.words = words = np.asarray(words, np.int64)
        n = len(words)
        starts, self.root, self.shift = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int64)
        self.starts = starts[: run("surveying.survey", words, n, pools.table, starts, self.root, self.shift)]

    def signatures(self):
        """By row, the index of its signature."""
        return self.words[self.starts] >> op.SIGNATURE_SHIFT

    def operands(self, slot):
        """Operand slots of a row."""
        words = self.words
        count = int(pools.table[words[slot] >> op.SIGNATURE_SHIFT, op.NIN])
        return [int(words[slot + k // 2] >> (0 if k & 1 else op.SLOT_BITS) & op.SLOT_MASK) for k in range(count)]

    def all_operands(self, slots):
        """Operand slots of many rows.

        Parameters
        ----------
        slots : numpy.ndarray of int
            The rows.

        Returns
        -------
        first, operands : numpy.ndarray of int64, int32
            Those of row `i` are ``operands[first[i] : first[i + 1]]``.
        """
        first, k = self._numbered_operands(slots)
        words = self.words[np.repeat(slots, np.diff(first)) + k // 2]
        return first, (np.where(k & 1, words, words >> op.SLOT_BITS) & op.SLOT_MASK).astype(np.int32)

    def _numbered_operands(self, slots):
        """Where those of each row begin among all, and by operand, its number in the row."""
        counts = pools.table[self.words[slots] >> op.SIGNATURE_SHIFT, op.NIN]
        first = np.concatenate([[0], np.cumsum(counts)])
        return first, np.arange(first[-1], dtype=np.int32) - np.repeat(first[:-1].astype(np.int32), counts)

    def copy(self, slots, places, packed):
        """Copy rows to other slots.

        Parameters
        ----------
        slots : numpy.ndarray of int
            The rows.
        places : numpy.ndarray of int64
            By slot, where a row goes to, or where it is there already.
        packed : numpy.ndarray of int64
            The words that are changed: zeros, where rows go to.
        """
        kinds = self.words[slots] >> op.SIGNATURE_SHIFT
        packed[places[slots]] = kinds << op.SIGNATURE_SHIFT
        first, k = self._numbered_operands(slots)
        _, operands = self.all_operands(slots)
        at = np.repeat(places[slots], np.diff(first)) + k // 2
        for half, bits in ((0, op.SLOT_BITS), (1, 0)):
            mine = k & 1 == half
            packed[at[mine]] |= places[operands[mine]] << bits
        moved = slots[np.isin(pools.table[kinds, op.KIND], op.WITH_OFFSET)]
        packed[places[moved] + 1] = self.words[moved + 1]

    def live(self, inputs, outputs, leaves=None):
        """Which rows the outputs depend on; and in-place writes to memory that is read afterwards.

        Parameters
        ----------
        inputs, outputs : list of int
            Slots; inputs are live in any case.
        leaves : numpy.ndarray of uint8, optional
            Rows that depend on nothing.

        Returns
        -------
        numpy.ndarray of uint8
            1 or 0 by slot.
        """
        n = len(self.words)
        live, read = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
        live[inputs] = live[outputs] = 1
        read[self.root[outputs]] = 1
        leaves = np.zeros(n, np.uint8) if leaves is None else leaves
        run(
            "surveying.live_rows", self.words, self.starts, len(self.starts), pools.table, self.root, leaves, live, read
        )
        return live


class Gathered(NamedTuple):
    """Rows of a tape with slots counted anew.

    Attributes
    ----------
    words : numpy.ndarray of int64
        An import's row holds its number among the imports.
    origins : numpy.ndarray of int32
        By word, the slot of the tape, or -1.
    places : numpy.ndarray of int64
        By slot of the tape, that here.
    """

    words: np.ndarray
    origins: np.ndarray
    places: np.ndarray


def gather(rows: Rows, live: np.ndarray) -> Gathered:
    """The rows that are marked."""
    n = len(rows.words)
    places, words, origins = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int32)
    starts = rows.starts
    count = run("surveying.gather", rows.words, starts, len(starts), pools.table, live, places, words, origins)
    return Gathered(words[:count], origins[:count], places)
