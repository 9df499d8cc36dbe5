"""Passes over rows of integers: where they begin, and which of them matter.

Rows are as on a tape, see `tapegrad.vm.opcodes`: `starts` holds the first word of each. What is known of a row stands
at the index of its first word, its *slot*.
"""

from __future__ import annotations

from .jit import jit
from .opcodes import FIELDS, IMPORT, KIND, NIN, PATCHED, SIGNATURE_SHIFT, VIEW, WIDTH, WINDOW, WRITE
from .rows import operand, put_operand

__all__ = ["gather", "live_rows", "survey"]

NOBODY = -1


@jit
def survey(words, last, table, starts, root, shift):
    """Find where rows begin, whose memory each shares, and how many bytes further on; returns the number of rows."""
    count = r = 0
    while r < last:
        s = (words[r] >> SIGNATURE_SHIFT) * FIELDS
        kind = table[s + KIND]
        starts[count] = r
        count += 1
        root[r], shift[r] = r, 0
        if kind == WINDOW or kind == VIEW or kind == PATCHED or kind == WRITE:
            q = operand(words, r, 0)
            root[r], shift[r] = root[q], shift[q]
            if kind == WINDOW or kind == VIEW:
                shift[r] += words[r + 1]
        r += table[s + WIDTH]
    return count


@jit
def live_rows(words, starts, count, table, root, leaves, live, read):
    """Mark rows that live ones depend on, and in-place writes to memory that is read later.

    To begin with, `live` and `read` mark the outputs, and what memory they stand in. What `leaves` marks depends on
    nothing.
    """
    for i in range(count - 1, -1, -1):
        r = starts[i]
        s = (words[r] >> SIGNATURE_SHIFT) * FIELDS
        if table[s + KIND] == WRITE and read[root[r]]:
            live[r] = 1
        if live[r] and not leaves[r]:
            for k in range(table[s + NIN]):
                q = operand(words, r, k)
                live[q] = 1
                read[root[q]] = 1
    return 0


@jit
def gather(words, starts, count, table, live, places, packed, origins):
    """Copy the rows that are marked, with slots counted anew, which `places` gets; returns the number of words.

    An import's row gets its number among the imports. `origins` gets the slots that rows come from, and -1.
    """
    n = imports = 0
    for i in range(count):
        r = starts[i]
        if not live[r]:
            continue
        code = words[r] >> SIGNATURE_SHIFT
        s = code * FIELDS
        kind, width = table[s + KIND], table[s + WIDTH]
        places[r], origins[n] = n, r
        packed[n] = code << SIGNATURE_SHIFT
        for k in range(1, width):
            packed[n + k], origins[n + k] = 0, NOBODY
        if kind == IMPORT:
            packed[n] |= imports
            imports += 1
        elif kind == WINDOW or kind == VIEW or kind == PATCHED:
            packed[n + 1] = words[r + 1]
        for k in range(table[s + NIN]):
            put_operand(packed, n, k, places[operand(words, r, k)])
        n += width
    return n
