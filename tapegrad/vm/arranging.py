"""Where values stand in one block of memory: what has been read for the last time makes room for what comes later."""

from __future__ import annotations

from .jit import jit
from .opcodes import FIELDS, FORWARD_NTEMPS, FORWARD_TEMPS, KERNEL, KIND, NIN, SIGNATURE_SHIFT, WRITE
from .rows import operand

__all__ = ["arrange", "last_reads"]


@jit
def last_reads(words, starts, count, table, root, last_read):
    """Note which row reads each memory last; what nobody reads keeps its -1."""
    for i in range(count):
        r = starts[i]
        for k in range(table[(words[r] >> SIGNATURE_SHIFT) * FIELDS + NIN]):
            last_read[root[operand(words, r, k)]] = r
    return 0


@jit
def arrange(
    words, starts, count, table, plans, sizes, last_read, ends, grades, n_grades, free, chain, places, pieces, temps
):
    """Give values and temporaries places in one block of memory; returns its size.

    sizes, last_read
        By slot, the bytes that a value takes, or -1; and the row after which there is room for what comes later. The
        latter is overwritten.
    ends
        By slot, -1.
    grades, n_grades
        All sizes, sorted.
    free, chain, places
        By class, -1; for each piece of memory to come, room for the next free one, and for its offset.
    pieces, temps
        Become the numbers of pieces: by slot, and for all rows' temporaries in order.
    """
    for i in range(count - 1, -1, -1):  # lists of what ends at a row: its first, and from each to the next
        r = starts[i]
        end = last_read[r]
        if sizes[r] >= 0 and end >= 0:
            last_read[r], ends[end] = ends[end], r
    taken = n_temps = 0
    top = 0
    for i in range(count):
        r = starts[i]
        for k in range(-1 if sizes[r] >= 0 else 0, _temporaries(words, r, table)):
            size = sizes[r] if k < 0 else _room(plans[_first_temporary(words, r, table) + k])
            c = _grade_of(size, grades, n_grades)
            piece = free[c]
            if piece >= 0:
                free[c] = chain[piece]
            else:
                piece = taken
                places[piece] = top
                taken += 1
                top += size
            if k < 0:
                pieces[r] = piece
            else:
                temps[n_temps + k] = piece
        for k in range(_temporaries(words, r, table)):
            c = _grade_of(_room(plans[_first_temporary(words, r, table) + k]), grades, n_grades)
            chain[temps[n_temps + k]], free[c] = free[c], temps[n_temps + k]
        n_temps += _temporaries(words, r, table)
        q = ends[r]
        while q >= 0:
            c = _grade_of(sizes[q], grades, n_grades)
            chain[pieces[q]], free[c] = free[c], pieces[q]
            q = last_read[q]
    return top


@jit
def _temporaries(words, r, table):
    """How many temporaries the instructions of a row need."""
    s = (words[r] >> SIGNATURE_SHIFT) * FIELDS
    return table[s + FORWARD_NTEMPS] if table[s + KIND] == KERNEL or table[s + KIND] == WRITE else 0


@jit
def _first_temporary(words, r, table):
    """Where their sizes stand."""
    return table[(words[r] >> SIGNATURE_SHIFT) * FIELDS + FORWARD_TEMPS]


@jit
def _room(size):
    """Bytes of a piece of memory."""
    return (max(size, 8) + 63) & ~63


@jit
def _grade_of(size, grades, n_grades):
    """Index of a size among all, by halving."""
    low, high = 0, n_grades - 1
    while low < high:
        middle = (low + high) // 2
        if grades[middle] < size:
            low = middle + 1
        else:
            high = middle
    return low
