"""A pass that lets rows be treated as rows before them that are alike: see `tapegrad.compiler.native.schedule`."""

from __future__ import annotations

from .jit import jit
from .opcodes import FIELDS, KERNEL, KIND, NIN, SIGNATURE_SHIFT
from .rows import operand

__all__ = ["choose"]

PRIME = 0x9E3779B97F4A7C1


@jit
def choose(words, starts, i, count, table, root, shift, decides, placed, choices, met, mask):
    """Choose for rows what was chosen for those like them; returns the index of the first that is like none before.

    Rows are alike if they have the same signature, and their operands stand in places of the same number; where that
    is negative, as many bytes on from its beginning, too; and if both, or neither, decide a guard's answer.

    starts, i, count
        Slots of the rows, and of which one to begin with.
    placed, choices
        By slot: the number of a value's place, and what was chosen for the row. They are known up to row `i`.
    met, mask
        Slots of rows by their hash, one more each; of ``mask + 1`` elements.
    """
    while i < count:
        r = starts[i]
        if table[(words[r] >> SIGNATURE_SHIFT) * FIELDS + KIND] == KERNEL:
            q = _first_alike(words, r, table, root, shift, decides, placed, met, mask)
            if q == r:
                return i
            placed[r], choices[r] = placed[q], choices[q]
        i += 1
    return i


@jit
def _first_alike(words, r, table, root, shift, decides, placed, met, mask):
    s = words[r] >> SIGNATURE_SHIFT
    nin = table[s * FIELDS + NIN]
    key = 2 * s + decides[r]
    for k in range(nin):
        q = operand(words, r, k)
        key = key * PRIME + placed[root[q]]
        if placed[root[q]] < 0:
            key = key * PRIME + shift[q]
    h = (key * PRIME) >> 24 & mask
    while met[h]:
        q = met[h] - 1
        alike = words[q] >> SIGNATURE_SHIFT == s and decides[q] == decides[r]
        if alike and _is_alike(words, r, q, nin, root, shift, placed):
            return q
        h = (h + 1) & mask
    met[h] = r + 1
    return r


@jit
def _is_alike(words, r, q, nin, root, shift, placed):
    for k in range(nin):
        a, b = operand(words, r, k), operand(words, q, k)
        if placed[root[a]] != placed[root[b]]:
            return False
        if placed[root[a]] < 0 and shift[a] != shift[b]:
            return False
    return True
