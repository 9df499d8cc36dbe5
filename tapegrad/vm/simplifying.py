"""One pass over rows that rewrites what is known, done before, or the same to the last bit.

See `tapegrad.compiler.simplify`.
"""

from __future__ import annotations

from .intrinsics import i32, i64
from .jit import jit
from .opcodes import (
    BYTES,
    FIELDS,
    IMPORT,
    KERNEL,
    KIND,
    NIN,
    PATCHED,
    SIGNATURE_SHIFT,
    SLOT_BITS,
    VIEW,
    WINDOW,
    WRITE,
)
from .rows import operand, put_operand
from .traits import (
    ADD,
    ANSWER,
    ANSWERED,
    AT_START,
    BARE,
    BROADCASTS,
    COLUMNS,
    COMPUTED,
    DIFFERENCE,
    DIVIDE,
    FILLED,
    FOLDS,
    GIVEN,
    ITSELF,
    MARKS,
    MINUS_ONE,
    MINUS_ZERO,
    MULTIPLY,
    NEGATED,
    NEGATES,
    NEGATIVE,
    NUMBER,
    ONE,
    QUESTION,
    RESULT,
    RULE,
    SIGNATURE,
    SPREADS,
    SUBTRACT,
    SUM,
    SWAPS,
    TYPE,
    WHICH,
    ZERO,
)

__all__ = ["mark_constants", "read_numbers", "simplify"]

UNKNOWN = -2  # the answer to a question that has not been asked
PRIME = 0x9E3779B97F4A7C1


@jit
def mark_constants(words, starts, count, table, traits, root, written, live, constant, room):
    """Mark rows that have the same value in each replay, as imports are that are marked already.

    Rows that have to be computed may take `room` bytes in all. Returns their number.
    """
    found = 0
    for i in range(count):
        r = starts[i]
        s = words[r] >> SIGNATURE_SHIFT
        if not live[r] or not traits[s * COLUMNS + MARKS] & FOLDS or written[root[r]]:
            continue
        known = True
        for k in range(table[s * FIELDS + NIN]):
            q = operand(words, r, k)
            if not constant[q] or written[root[q]]:
                known = False
        if known and table[s * FIELDS + KIND] != KERNEL:
            constant[r] = GIVEN
        elif known and table[s * FIELDS + BYTES] <= room:
            room -= table[s * FIELDS + BYTES]
            constant[r] = COMPUTED
            found += 1
    return found


@jit
def read_numbers(addr, count, size, numbered):
    """Say which of the floating numbers at these addresses are 1, -1, 0 or -0; they have 8 bytes, or 4."""
    for k in range(count):
        if size == 8:
            bits, one, minus = i64(addr[k])[0], 0x3FF0000000000000, -0x8000000000000000
        else:
            bits, one, minus = i32(addr[k])[0], 0x3F800000, -0x80000000
        numbered[k] = 0
        if bits == one:
            numbered[k] = ONE
        elif bits == one + minus:
            numbered[k] = MINUS_ONE
        elif bits == 0:
            numbered[k] = ZERO
        elif bits == minus:
            numbered[k] = MINUS_ZERO
    return 0


@jit
def simplify(
    words, starts, i, count, table, traits, root, written, live, constant, numbered, results, same, met, mask,
    answered, most, question,
):  # fmt: skip
    """Rewrite rows from the one of index `i` on; returns the index of one of which something has to be asked first.

    written, live, constant, numbered, results
        By slot: whether memory is written in place, whether a row matters, whether it is constant and which number,
        and whether it is a result or the memory of one.
    same
        Becomes, by slot, the slot that stands for it; itself to begin with.
    met, mask
        Slots of rows by their hash, one more each; of ``mask + 1`` elements.
    answered, most, question
        Answers by their hash, of ``most + 1`` elements; and the question, with its answer when the pass goes on.
    """
    if question[QUESTION]:
        _remember(question, answered, most)
        question[QUESTION] = 0
    while i < count:
        r = starts[i]
        if live[r] and table[(words[r] >> SIGNATURE_SHIFT) * FIELDS + KIND] != IMPORT:
            if _resolve(words, r, table, root, written, same):
                if not constant[r]:
                    if not _take_bare(words, r, table, traits, answered, most, question):
                        return i
                    known = _identity(words, r, table, traits, numbered, answered, most, question)
                    if known == UNKNOWN:
                        return i
                    if known >= 0 and _may_be(words, r, known, table, traits, root, results):
                        same[r] = known
                        i += 1
                        continue
                elif constant[r] == GIVEN and traits[(words[r] >> SIGNATURE_SHIFT) * COLUMNS + MARKS] & FILLED:
                    numbered[r] = numbered[operand(words, r, 0)]
                same[r] = _first(words, r, table, traits, met, mask)
        i += 1
    return i


@jit
def _resolve(words, r, table, root, written, same):
    """Let a row read what stands for its operands; says whether no memory of it is written in place."""
    s = (words[r] >> SIGNATURE_SHIFT) * FIELDS
    for k in range(table[s + NIN]):
        q = operand(words, r, k)
        if same[q] != q:
            put_operand(words, r, k, same[q])
    kind = table[s + KIND]
    if kind == WINDOW or kind == VIEW or kind == PATCHED or kind == WRITE:
        root[r] = root[operand(words, r, 0)]
    stable = not written[root[r]]
    for k in range(table[s + NIN]):
        if written[root[operand(words, r, k)]]:
            stable = False
    return stable


@jit
def _take_bare(words, r, table, traits, answered, most, question):
    """Elementwise rows broadcast by themselves: they read what a `broadcast_to` among their operands reads."""
    s = words[r] >> SIGNATURE_SHIFT
    if not traits[s * COLUMNS + MARKS] & SPREADS:
        return True
    for k in range(table[s * FIELDS + NIN]):
        q = operand(words, r, k)
        if traits[(words[q] >> SIGNATURE_SHIFT) * COLUMNS + MARKS] & BROADCASTS:
            source = operand(words, q, 0)
            found = _ask(BARE, k, words[r] >> SIGNATURE_SHIFT, _type(words, source, traits), answered, most, question)
            if found == UNKNOWN:
                return False
            if found >= 0:
                _become(words, r, found)
                put_operand(words, r, k, source)
    return True


@jit
def _become(words, r, signature):
    """Let a row be one of another signature that takes as many words."""
    words[r] = signature << SIGNATURE_SHIFT | (words[r] & ((1 << SIGNATURE_SHIFT) - 1))


@jit
def _type(words, r, traits):
    """Number of the type of a row's result."""
    return traits[(words[r] >> SIGNATURE_SHIFT) * COLUMNS + RESULT]


@jit
def _identity(words, r, table, traits, numbered, answered, most, question):
    """The slot with the same value, -1, or UNKNOWN; a row that may be a cheaper one becomes that."""
    s = words[r] >> SIGNATURE_SHIFT
    rule = traits[s * COLUMNS + RULE]
    if rule == 0:
        return -1
    x = operand(words, r, 0)
    if rule == ITSELF or (rule == AT_START and words[r + 1] == 0):
        return x
    if rule == NEGATIVE:
        return operand(words, x, 0) if _negates(words, x, traits) else -1
    if rule == DIVIDE:
        return x if numbered[operand(words, r, 1)] == ONE else -1
    if rule == MULTIPLY or rule == ADD or rule == SUBTRACT:
        for k in range(1, -1 if rule != SUBTRACT else 0, -1):
            x, y = operand(words, r, 1 - k), operand(words, r, k)
            if numbered[y] == (ONE if rule == MULTIPLY else MINUS_ZERO if rule == ADD else ZERO):
                return x
            found = -1
            if rule == MULTIPLY:
                if numbered[y] == MINUS_ONE:
                    found = _ask(NEGATED, 1 - k, s, 0, answered, most, question)
                    y = 0
            elif _negates(words, y, traits):
                y = operand(words, y, 0)
                ask = DIFFERENCE if rule == ADD else SUM
                found = _ask(ask, k, s, _type(words, y, traits), answered, most, question)
            if found == UNKNOWN:
                return UNKNOWN
            if found >= 0:
                words[r] = found << SIGNATURE_SHIFT | x << SLOT_BITS | y
                return -1
    return -1


@jit
def _negates(words, r, traits):
    return traits[(words[r] >> SIGNATURE_SHIFT) * COLUMNS + MARKS] & NEGATES != 0


@jit
def _may_be(words, r, other, table, traits, root, results):
    """Whether another slot can stand for this one: in the same layout, and a result's memory is no argument's."""
    if _type(words, r, traits) != _type(words, other, traits):
        return False
    return not results[r] or table[(words[root[other]] >> SIGNATURE_SHIFT) * FIELDS + KIND] == KERNEL


@jit
def _first(words, r, table, traits, met, mask):
    """The first row that does the same with the same operands: this one, if it is new."""
    s = words[r] >> SIGNATURE_SHIFT
    nin, kind, does = table[s * FIELDS + NIN], table[s * FIELDS + KIND], traits[s * COLUMNS + NUMBER]
    swaps = traits[s * COLUMNS + MARKS] & SWAPS
    at = 1 if kind == WINDOW or kind == VIEW or kind == PATCHED else 0  # the word with the offset
    a = operand(words, r, 0)
    b = operand(words, r, 1) if nin > 1 else 0
    if swaps and b < a:
        a, b = b, a
    key = ((does * PRIME + a) * PRIME + b) * PRIME + at * words[r + at]
    for k in range(2, nin):
        key = key * PRIME + operand(words, r, k)
    h = key >> 24 & mask
    while met[h]:
        q = met[h] - 1
        if (
            traits[(words[q] >> SIGNATURE_SHIFT) * COLUMNS + NUMBER] == does
            and at * (words[q + at] - words[r + at]) == 0
        ):
            c = operand(words, q, 0)
            d = operand(words, q, 1) if nin > 1 else 0
            equal = (a == c and b == d) or (swaps and a == d and b == c)
            for k in range(2, nin):
                equal = equal and operand(words, q, k) == operand(words, r, k)
            if equal:
                return q
        h = (h + 1) & mask
    met[h] = r + 1
    return r


@jit
def _ask(what, which, signature, kind, answered, most, question):
    """The answer to a question; UNKNOWN where it has to be asked first."""
    key = (what << 32 | which) << 32 | signature
    h = (key * PRIME + kind) * PRIME >> 24 & most
    while answered[ANSWERED * h]:
        if answered[ANSWERED * h] == key and answered[ANSWERED * h + 1] == kind:
            return answered[ANSWERED * h + 2]
        h = (h + 1) & most
    question[QUESTION], question[WHICH], question[SIGNATURE], question[TYPE] = what, which, signature, kind
    return UNKNOWN


@jit
def _remember(question, answered, most):
    """Note the answer to a question."""
    key = (question[QUESTION] << 32 | question[WHICH]) << 32 | question[SIGNATURE]
    h = (key * PRIME + question[TYPE]) * PRIME >> 24 & most
    while answered[ANSWERED * h]:
        h = (h + 1) & most
    answered[ANSWERED * h], answered[ANSWERED * h + 1] = key, question[TYPE]
    answered[ANSWERED * h + 2] = question[ANSWER]
