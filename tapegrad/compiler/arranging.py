"""Memory of a program: each value and temporary gets a place in one block, which others had before it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..tape.passes import run
from ..tape.rows import Rows
from ..vm import opcodes as op
from ..vm.pools import pools

__all__ = ["Arranged", "arrange"]


class Arranged(NamedTuple):
    """Offsets in the block.

    Attributes
    ----------
    offsets : numpy.ndarray of int64
        By slot; -1 for rows without memory of their own.
    temps : numpy.ndarray of int64
        Of all rows' temporaries, in order.
    nbytes : int
        What the block takes.
    """

    offsets: np.ndarray
    temps: np.ndarray
    nbytes: int


def arrange(rows: Rows, sizes: np.ndarray, last_read: np.ndarray) -> Arranged:
    """Give values places.

    Parameters
    ----------
    rows : Rows
        Lowered.
    sizes : numpy.ndarray of int64
        By slot, bytes of values with memory of their own, else -1.
    last_read : numpy.ndarray of int32
        By slot, the row after which a value's memory is free; -1 for never.
    """
    starts, kinds = rows.starts, rows.signatures()
    n, count = len(rows.words), len(starts)
    wanted, many = np.unique(kinds, return_counts=True)
    first, ntemps = pools.table[wanted, op.FORWARD_TEMPS], temporaries(wanted)
    needed = [pools.plans[at : at + k] for at, k in zip(first.tolist(), ntemps.tolist(), strict=True)]
    sizes = np.where(sizes < 0, -1, rounded(sizes))
    classes = np.unique(np.concatenate([[64], sizes[sizes > 0], *map(rounded, needed)]).astype(np.int64))
    total = int((ntemps * many).sum())
    free, ends = np.full(len(classes), -1, np.int32), np.full(n, -1, np.int32)
    chain, places = np.empty(count + total, np.int32), np.empty(count + total, np.int64)
    pieces, temps = np.full(n, -1, np.int32), np.empty(total, np.int32)
    nbytes = run(
        "arranging.arrange", rows.words, starts, count, pools.table, pools.plans, sizes, last_read, ends,
        classes, len(classes), free, chain, places, pieces, temps,
    )  # fmt: skip
    places = np.append(places, -1)  # what has no piece has number -1
    return Arranged(places[pieces], places[temps], nbytes)


def temporaries(kinds: np.ndarray) -> np.ndarray:
    """How many temporaries rows of these signatures need."""
    return np.where(computes(kinds), pools.table[kinds, op.FORWARD_NTEMPS], 0)


def computes(kinds: np.ndarray) -> np.ndarray:
    """Which of these signatures have instructions."""
    kind = pools.table[kinds, op.KIND]
    return (kind == op.KERNEL) | (kind == op.WRITE)


def rounded(sizes: np.ndarray) -> np.ndarray:
    """Bytes of pieces of memory."""
    return (np.maximum(sizes, 8) + 63) & ~63
