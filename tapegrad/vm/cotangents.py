"""Memory for cotangents: a pool of blocks by size, and windows of other cotangents for those of views."""

from __future__ import annotations

from .jit import jit
from .opcodes import (
    BAR_BYTES,
    BAR_COPY,
    BAR_LOW,
    DETAIL,
    DONE,
    FIELDS,
    FULL,
    GIVEN,
    HEADS,
    KIND,
    MEMORY,
    MEMORY_END,
    NONE,
    OWNED,
    PART,
    SIGNATURE_SHIFT,
    SLOT_BITS,
    SLOT_MASK,
    WINDOW,
    ZERO,
)

__all__ = ["can_move", "cotangent", "finish", "give", "size_class", "take", "zero"]


@jit
def size_class(nbytes):
    """Class of a size (in 64-byte units), eight to an octave, and the size rounded up to it."""
    units = max((nbytes + 63) >> 6, 1)
    if units <= 8:
        return units, units << 6
    shift = 0
    while (units - 1) >> shift >= 16:
        shift += 1
    top = ((units - 1) >> shift) + 1
    return 8 + 8 * shift + top - 8, (top << shift) << 6


@jit
def take(nbytes, state, heads):
    """Memory from the pool, or 0 if there is not enough: a freed block of the class, else fresh memory.

    A free block's first word is the address of the next one of its class; the pool's own blocks are
    all that these addresses can be.
    """
    c, size = size_class(nbytes)
    if heads[c * HEADS] > 0:
        heads[c * HEADS] -= 1
        return heads[c * HEADS + heads[c * HEADS] + 1]
    at = state[MEMORY]
    if at + size > state[MEMORY_END]:
        return 0
    state[MEMORY] = at + size
    return at


@jit
def give(address, nbytes, heads):
    """Hand memory back to the pool; what finds no place in the class's short list is left unused."""
    c, _ = size_class(nbytes)
    if heads[c * HEADS] + 2 <= HEADS:
        heads[c * HEADS + heads[c * HEADS] + 1] = address
        heads[c * HEADS] += 1


@jit
def cotangent(q, words, n, addr, bar, kept, wanted, table, state, heads, code, n_code):
    """Give slot `q`'s cotangent memory, a window of its base's where it is a view; new windows' bases are zeroed.

    Returns the code length, or -1 where memory ran out (nothing is half-done then: try again).
    """
    if bar[q] != NONE:
        return n_code
    top = q  # walk up views to the first slot that has memory or owns its own
    while (
        bar[top] == NONE
        and not kept[top]
        and table[(words[top] >> SIGNATURE_SHIFT) * FIELDS + KIND] == WINDOW
        and wanted[(words[top] >> SLOT_BITS) & SLOT_MASK]
    ):
        top = (words[top] >> SLOT_BITS) & SLOT_MASK
    if bar[top] == NONE:
        s = words[top] >> SIGNATURE_SHIFT
        at = take(table[s * FIELDS + BAR_BYTES], state, heads)
        if at == 0:
            state[DETAIL] = table[s * FIELDS + BAR_BYTES]
            return -1
        addr[n + top] = at - table[s * FIELDS + BAR_LOW]
        bar[top] = OWNED + 16  # memory, no value yet
    if top != q:
        if bar[top] >= 16 or bar[top] == GIVEN:
            n_code = zero(top, words, n, table, code, n_code)
            bar[top] = bar[top] - 16 if bar[top] >= 16 else FULL
        top_address = addr[n + top]
        offset, v = 0, q
        while v != top:
            offset += words[v + 1]
            v = (words[v] >> SLOT_BITS) & SLOT_MASK
        addr[n + q] = top_address + offset
        bar[q] = PART
    return n_code


@jit
def zero(q, words, n, table, code, n_code):
    """Emit the instruction that sets slot q's cotangent to zero."""
    s = words[q] >> SIGNATURE_SHIFT
    code[n_code] = ZERO | 3 << 8
    code[n_code + 1] = table[s * FIELDS + BAR_COPY + 1]
    code[n_code + 2] = n + q
    return n_code + 3


@jit
def can_move(r, q, words, bar, kept, table):
    """Whether row r's finished cotangent may become slot q's without a copy."""
    return (
        bar[q] == NONE
        and bar[r] == OWNED
        and not kept[r]
        and not kept[q]
        and table[(words[q] >> SIGNATURE_SHIFT) * FIELDS + KIND] != WINDOW
    )


@jit
def finish(r, s, n, addr, bar, kept, table, heads, n_code):
    """Row r is done: its cotangent's memory goes back to the pool, unless somebody outside reads it."""
    if bar[r] == OWNED and not kept[r]:
        give(addr[n + r] + table[s * FIELDS + BAR_LOW], table[s * FIELDS + BAR_BYTES], heads)
        bar[r] = DONE
    return n_code
