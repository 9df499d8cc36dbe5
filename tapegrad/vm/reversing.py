"""The recorded reverse, as far as it is known what a row's rule leaves: integers are appended to a tape.

See `tapegrad.autograd.straight`. A rule is a run of words: how many words it leaves, and these, in which the slots are
missing that differ from row to row; how many such places there are, and for each the word, the bit, and what belongs
there; how many of the rows are views, and for each its first word and of what it is a view; and for each operand
whether it has a cotangent, and which. What belongs somewhere is ~slot of a constant, the place among the row itself,
its operands and its cotangent, or, counted on from there, one of the words.
"""

from __future__ import annotations

from .intrinsics import i32, i64, u8
from .jit import jit
from .opcodes import (
    FIELDS,
    KIND,
    NIN,
    PATCHED,
    REQUIRES_GRAD,
    SIGNATURE_SHIFT,
    SLOT_BITS,
    VIEW,
    WINDOW,
    WRITE,
)
from .rows import operand
from .sweep_fields import (
    ALWAYS,
    AT,
    BARS,
    COLUMNS,
    CONTRIBUTION,
    ENTRY,
    FINISHED,
    FRAME,
    FULL,
    GRADS,
    HELD,
    KEY,
    KEYS,
    LEADS,
    LEARNT,
    LENGTH,
    MARGIN,
    MOST_OPERANDS,
    MOST_RULES,
    MOST_SUMS,
    NEXT,
    POOL,
    QUEUE,
    REASON,
    ROOM,
    ROOT,
    ROW,
    RULES,
    SHARED,
    STARTS,
    SUMS,
    TABLE,
    TARGETS,
    TRAITS,
    TYPE,
    WAITING,
    WORDS,
    WRITTEN,
)

__all__ = ["mark_leads", "reverse_rows"]

PRIME = 0x9E3779B97F4A7C1


@jit
def mark_leads(words, starts, count, table, leads):
    """Mark rows that lead from those that are marked already."""
    for i in range(count):
        r = starts[i]
        s = (words[r] >> SIGNATURE_SHIFT) * FIELDS
        if table[s + REQUIRES_GRAD]:
            for k in range(table[s + NIN]):
                if leads[operand(words, r, k)]:
                    leads[r] = 1
    return 0


@jit
def reverse_rows(at):
    """Carry cotangents through rows, from the last to the first, until something has to be done in Python.

    The arrays of the state at that address are

    - `words`, `starts`, `root`: the tape, with room for what is appended; where the rows begin that there are; whose
      memory each shares;
    - `leads`, `targets`, `written`, `bars`: by slot, whether an input is reached from there, whether its cotangent is
      asked for, whether its memory is written in place, and its cotangent: the slot, one more, 0 or HELD;
    - `rules`, `totals`, `pool`: where rules begin in the pool, and signatures of sums by the types of what is added,
      both by their keys' hash;
    - `frame`, `queue`: room for the slots that a rule speaks of, and for contributions: to what, and which slot.
    """
    state = i64(at)
    words, starts, root = i64(state[WORDS]), i32(state[STARTS]), i32(state[ROOT])
    table, traits, bars = i64(state[TABLE]), i64(state[TRAITS]), i32(state[BARS])
    leads, targets, written = u8(state[LEADS]), u8(state[TARGETS]), u8(state[WRITTEN])
    rules, most_rules, totals, most_totals = i64(state[RULES]), state[MOST_RULES], i64(state[SUMS]), state[MOST_SUMS]
    pool, frame, queue = i64(state[POOL]), i64(state[FRAME]), i64(state[QUEUE])
    if state[KEY] and state[LEARNT]:
        if state[REASON] == ROW:
            _remember(state, rules, most_rules)
        else:
            _remember(state, totals, most_totals)
    state[REASON] = FINISHED
    while state[REASON] == FINISHED:
        while state[NEXT] < state[WAITING]:
            k = 2 * state[NEXT]
            if not _contribute(queue[k], queue[k + 1], words, root, state, traits, leads, bars, totals, most_totals):
                state[REASON] = CONTRIBUTION
                return 0
            state[NEXT] += 1
        if state[AT] < 0:
            return 0
        r = starts[state[AT]]
        if bars[r]:
            p = _rule(r, words, root, state, table, traits, leads, targets, written, bars, rules, most_rules, frame)
            if p == ALWAYS:
                state[REASON] = ROW
            elif p and state[LENGTH] + pool[p] + MARGIN > state[ROOM]:
                state[REASON] = FULL
            elif p:
                _follow(p, table[(words[r] >> SIGNATURE_SHIFT) * FIELDS + NIN], words, root, state, pool, frame, queue)
        if state[REASON] == FINISHED:
            state[AT] -= 1
    return 0


@jit
def _contribute(q, slot, words, root, state, traits, leads, bars, totals, most_totals):
    """Add to the cotangent of `q`; says whether that was done."""
    state[KEY] = 0
    if not leads[q]:
        return True
    if bars[q] == 0:
        bars[q] = slot + 1
        return True
    if bars[q] == HELD:
        return False
    before = bars[q] - 1
    _key(state, 1 + _type(words, before, traits), _type(words, slot, traits), 0, 0, 0)
    signature = _look_up(state, totals, most_totals)
    if signature == 0:
        return False
    n = state[LENGTH]
    words[n], root[n] = signature << SIGNATURE_SHIFT | before << SLOT_BITS | slot, n
    state[LENGTH], bars[q] = n + 1, n + 1
    return True


@jit
def _type(words, r, traits):
    return traits[(words[r] >> SIGNATURE_SHIFT) * COLUMNS + TYPE]


@jit
def _rule(r, words, root, state, table, traits, leads, targets, written, bars, rules, most_rules, frame):
    """Where the rule for a row begins; 0 if it has nothing to do, ALWAYS if Python is to do it.

    The row's slot, its operands and its cotangent come to `frame`.
    """
    s = words[r] >> SIGNATURE_SHIFT
    nin, kind = table[s * FIELDS + NIN], table[s * FIELDS + KIND]
    state[KEY] = 0
    if bars[r] == HELD or nin > MOST_OPERANDS or kind == WRITE or written[root[r]]:
        return ALWAYS
    if (kind == WINDOW or kind == PATCHED) and not targets[r]:
        return ALWAYS
    wanted, stable = 0, True
    frame[0], frame[nin + 1] = r, bars[r] - 1
    for k in range(nin):
        q = operand(words, r, k)
        frame[k + 1] = q
        stable = stable and not written[root[q]]
        if leads[q] and traits[s * COLUMNS + GRADS] >> k & 1:
            wanted |= 1 << k
    if wanted == 0:
        return 0
    if not stable:
        return ALWAYS
    alike = 0  # which of them are the same slot
    for k in range(nin + 2):
        first = 0
        while frame[first] != frame[k]:
            first += 1
        alike |= first << 4 * k
    offset = words[r + 1] if kind == VIEW or kind == WINDOW or kind == PATCHED else 0
    _key(state, s + 1, wanted, _type(words, bars[r] - 1, traits), alike, offset)
    found = _look_up(state, rules, most_rules)
    return found if found else ALWAYS


@jit
def _follow(p, nin, words, root, state, pool, frame, queue):
    """Append the words that a rule leaves, and put its contributions in the queue."""
    n, count = state[LENGTH], pool[p]
    state[LENGTH] = n + count
    for k in range(count):
        words[n + k] = pool[p + 1 + k]
        root[n + k] = n + k
    p += 1 + count
    for k in range(pool[p]):
        at = p + 1 + 3 * k
        words[n + pool[at]] |= _slot(pool[at + 2], n, nin, frame) << pool[at + 1]
    p += 1 + 3 * pool[p]
    for k in range(pool[p]):
        at = p + 1 + 2 * k
        root[n + pool[at]] = root[_slot(pool[at + 1], n, nin, frame)]
        state[SHARED] += 1
    p += 1 + 2 * pool[p]
    state[NEXT] = 0
    waiting = 0
    for k in range(nin):
        if pool[p + 2 * k]:
            queue[waiting] = frame[k + 1]
            queue[waiting + 1] = _slot(pool[p + 2 * k + 1], n, nin, frame)
            waiting += 2
    state[WAITING] = waiting // 2


@jit
def _slot(place, n, nin, frame):
    """The slot that a place stands for: a constant, a given one, or one of the words appended from `n` on."""
    if place < 0:
        return ~place
    return frame[place] if place < nin + 2 else n + place - nin - 2


@jit
def _key(state, a, b, c, d, e):
    state[KEY], state[KEY + 1], state[KEY + 2], state[KEY + 3], state[KEY + 4], state[LEARNT] = a, b, c, d, e, 0


@jit
def _place(state, learnt, most):
    """Index of the entry with the state's key, or of an empty one."""
    h = 0
    for k in range(KEYS):
        h = (h + state[KEY + k]) * PRIME
    h = h >> 24 & most
    while learnt[ENTRY * h]:
        same = True
        for k in range(KEYS):
            same = same and learnt[ENTRY * h + k] == state[KEY + k]
        if same:
            break
        h = (h + 1) & most
    return ENTRY * h


@jit
def _look_up(state, learnt, most):
    """What was learnt for the state's key; 0 if nothing."""
    return learnt[_place(state, learnt, most) + KEYS]


@jit
def _remember(state, learnt, most):
    """Enter what was learnt."""
    at = _place(state, learnt, most)
    for k in range(KEYS + 1):
        learnt[at + k] = state[KEY + k]
