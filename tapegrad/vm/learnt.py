"""What rules leave on a tape, by keys: the recorded reverse looks there for what it has met before.

A rule is a run of words: how many words it leaves, and these, in which the slots are missing that differ from row to
row; how many such places there are, and for each the word, the bit, and what belongs there; how many of the rows are
views, and for each its first word and of what it is a view; and for each operand what its cotangent is: NOTHING;
TENSOR, and which; or SEVERAL, their form, how many, and which. What belongs somewhere is ~slot of a constant, the place
among what was given (the row itself, its operands and the slots of its cotangent), or, counted on from there, one of
the words.
"""

from __future__ import annotations

from .intrinsics import i32, i64
from .jit import jit
from .opcodes import SIGNATURE_SHIFT
from .sweep_fields import (
    COLUMNS,
    CURSOR,
    ENTRY,
    FRAME,
    GIVEN,
    KEY,
    KEYS,
    LEARNT,
    LENGTH,
    MARGIN,
    MOST_RULES,
    NOTHING,
    PARTED,
    PARTS,
    PARTS_LENGTH,
    PARTS_ROOM,
    POOL,
    ROOM,
    ROOT,
    RULES,
    SHARED,
    SHORT,
    TENSOR,
    TRAITS,
    TYPE,
    WORDS,
)

__all__ = ["append", "form", "give", "look_up", "made", "note_key", "remember", "result", "type_of"]

PRIME = 0x9E3779B97F4A7C1


@jit
def made(given, state):
    """The cotangent that the rule for the state's key makes of what was given; 0 if there is none, or no room."""
    p, n = look_up(state), state[LENGTH]
    if p:
        p = append(p, given, state)
    return result(p, n, state) if p else 0


@jit
def append(p, given, state):
    """Append the words that a rule leaves; where the rule goes on, or 0 if there is no room for them."""
    words, root, pool, frame = i64(state[WORDS]), i32(state[ROOT]), i64(state[POOL]), i64(state[FRAME])
    n, count = state[LENGTH], pool[p]
    state[GIVEN] = given
    if n + count + MARGIN > state[ROOM] or state[PARTS_LENGTH] + MARGIN > state[PARTS_ROOM]:
        state[SHORT] = 1
        return 0
    state[LENGTH] = n + count
    for k in range(count):
        words[n + k] = pool[p + 1 + k]
        root[n + k] = n + k
    p += 1 + count
    for k in range(pool[p]):
        at = p + 1 + 3 * k
        words[n + pool[at]] |= _slot(pool[at + 2], n, given, frame) << pool[at + 1]
    p += 1 + 3 * pool[p]
    for k in range(pool[p]):
        at = p + 1 + 2 * k
        root[n + pool[at]] = root[_slot(pool[at + 1], n, given, frame)]
        state[SHARED] += 1
    return p + 1 + 2 * pool[p]


@jit
def result(p, n, state):
    """The cotangent that a rule has at `p`, whose words were appended from `n` on; 0 for none."""
    pool, frame, parts, given = i64(state[POOL]), i64(state[FRAME]), i64(state[PARTS]), state[GIVEN]
    if pool[p] == NOTHING:
        state[CURSOR] = p + 1
        return 0
    if pool[p] == TENSOR:
        state[CURSOR] = p + 2
        return 1 + _slot(pool[p + 1], n, given, frame)
    at, count = state[PARTS_LENGTH], pool[p + 2]
    parts[at], parts[at + 1] = pool[p + 1], count
    for k in range(count):
        parts[at + 2 + k] = _slot(pool[p + 3 + k], n, given, frame)
    state[PARTS_LENGTH], state[CURSOR] = at + 2 + count, p + 3 + count
    return PARTED - at


@jit
def _slot(place, n, given, frame):
    """The slot that a place stands for: a constant, a given one, or one of the words appended from `n` on."""
    if place < 0:
        return ~place
    return frame[place] if place < given else n + place - given


@jit
def give(cotangent, given, state):
    """Put the slots of a cotangent into the frame behind those that were given; how many there are then."""
    frame, parts = i64(state[FRAME]), i64(state[PARTS])
    if cotangent > 0:
        frame[given] = cotangent - 1
        return given + 1
    at = PARTED - cotangent
    for k in range(parts[at + 1]):
        frame[given + k] = parts[at + 2 + k]
    return given + parts[at + 1]


@jit
def form(cotangent, state):
    """What stands for the types of a cotangent's parts in a key."""
    return type_of(cotangent - 1, state) if cotangent > 0 else -1 - i64(state[PARTS])[PARTED - cotangent]


@jit
def type_of(r, state):
    """The type of a row's result, with its gradient flag."""
    return i64(state[TRAITS])[(i64(state[WORDS])[r] >> SIGNATURE_SHIFT) * COLUMNS + TYPE]


@jit
def note_key(state, a, b, c, given, e):
    """Note a key: what is wanted, of what types, and which of the given slots are the same."""
    frame = i64(state[FRAME])
    alike = 0
    for k in range(given):
        first = 0
        while frame[first] != frame[k]:
            first += 1
        alike |= first << 4 * k
    state[GIVEN], state[LEARNT] = given, 0
    state[KEY], state[KEY + 1], state[KEY + 2], state[KEY + 3], state[KEY + 4] = a, b, c, alike, e


@jit
def _place(state):
    """Index of the entry with the state's key, or of an empty one."""
    rules, most = i64(state[RULES]), state[MOST_RULES]
    h = 0
    for k in range(KEYS):
        h = (h + state[KEY + k]) * PRIME
    h = h >> 24 & most
    while rules[ENTRY * h]:
        same = True
        for k in range(KEYS):
            same = same and rules[ENTRY * h + k] == state[KEY + k]
        if same:
            break
        h = (h + 1) & most
    return ENTRY * h


@jit
def look_up(state):
    """What was learnt for the state's key; 0 if nothing."""
    return i64(state[RULES])[_place(state) + KEYS]


@jit
def remember(state):
    """Enter what was learnt."""
    rules, at = i64(state[RULES]), _place(state)
    for k in range(KEYS + 1):
        rules[at + k] = state[KEY + k]
