"""Rows of a tape: where their operands stand in their words."""

from __future__ import annotations

from .jit import jit
from .opcodes import (
    FIELDS,
    NEEDS,
    REVERSE,
    SLOT_BITS,
    SLOT_MASK,
)

__all__ = ["operand", "put_operand", "saves"]


@jit
def operand(words, r, k):
    """Slot of operand `k` of row `r`: two in the row's own word, two in each word after it."""
    if k == 0:
        return (words[r] >> SLOT_BITS) & SLOT_MASK
    if k == 1:
        return words[r] & SLOT_MASK
    return (words[r + k // 2] >> (0 if k & 1 else SLOT_BITS)) & SLOT_MASK


@jit
def put_operand(words, r, k, slot):
    """Let operand `k` of row `r` be another slot."""
    at = r + k // 2
    if k & 1:
        words[at] = (words[at] & ~SLOT_MASK) | slot
    else:
        words[at] = (words[at] & ~(SLOT_MASK << SLOT_BITS)) | slot << SLOT_BITS


@jit
def saves(s, table):
    """Whether a differentiable row of signature `s` reads saved values; before it is lowered, who knows."""
    return table[s * FIELDS + REVERSE] < 0 or table[s * FIELDS + NEEDS] != 0
