"""The recorded reverse, as far as it is known what a row's rule leaves: integers are appended to a tape.

See `tapegrad.autograd.straight`; of what a rule consists, `tapegrad.vm.learnt` says. There are rules for rows, for sums
of two contributions, and for the completion of a cotangent that is no single row.
"""

from __future__ import annotations

from .intrinsics import i32, i64, u8
from .jit import jit
from .learnt import append, form, give, look_up, made, note_key, remember, result, type_of
from .opcodes import (
    FIELDS,
    KIND,
    NEEDS,
    NIN,
    PATCHED,
    REQUIRES_GRAD,
    REVERSE,
    SIGNATURE_SHIFT,
    VIEW,
    WIDTH,
    WINDOW,
    WRITE,
)
from .rows import operand
from .sweep_fields import (
    ADDS,
    ALWAYS,
    AT,
    BARS,
    COLUMNS,
    COMPLETE,
    CONTRIBUTION,
    CURSOR,
    FINISHED,
    FLAGS,
    FRAME,
    GIVEN,
    GRADS,
    HELD,
    KEEPING,
    KEEPS,
    KEPT,
    KEY,
    LAST_WRITE,
    LEADS,
    LEARNT,
    LENGTH,
    MOST_GIVEN,
    MOST_OPERANDS,
    NEXT,
    PLAIN,
    QUEUE,
    REASON,
    ROOT,
    ROW,
    STARTS,
    STRIDES,
    SUM,
    TABLE,
    TARGETS,
    TRAITS,
    WAITING,
    WORDS,
)

__all__ = ["mark_leads", "reverse_rows"]


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

    - `words`, `starts`, `root`, `last_write`: the tape, with room for what is appended; where the rows begin that
      there are; whose memory each shares; and, by the slot whose memory it is, the row that wrote there last, or -1;
    - `leads`, `targets`, `kept`, `bars`: by slot, whether an input is reached from there, whether its cotangent is
      asked for, whether it was added to what stood in its place, and its cotangent: the slot, one more, 0, HELD, or
      PARTED less its place in `parts`: a form, how many slots, and these;
    - `rules`, `pool`: where rules begin in the pool, by their keys' hash;
    - `frame`, `queue`: room for the slots that a rule speaks of, and for contributions: to what, and which cotangent.
    """
    state = i64(at)
    starts, bars, queue = i32(state[STARTS]), i32(state[BARS]), i64(state[QUEUE])
    if state[KEY] and state[LEARNT]:
        remember(state)
    state[REASON] = FINISHED
    while True:
        while state[NEXT] < state[WAITING]:
            if not _contribute(queue[2 * state[NEXT]], queue[2 * state[NEXT] + 1], state):
                state[REASON] = CONTRIBUTION
                return 0
            state[NEXT] += 1
        if state[AT] < 0:
            return 0
        r = starts[state[AT]]
        if bars[r] and not _carry(r, state):
            state[REASON] = ROW
            return 0
        state[AT] -= 1


@jit
def _carry(r, state):
    """Carry the cotangent of a row to its operands; says whether that was done."""
    words, table, traits = i64(state[WORDS]), i64(state[TABLE]), i64(state[TRAITS])
    bars, targets = i32(state[BARS]), u8(state[TARGETS])
    s = words[r] >> SIGNATURE_SHIFT
    kind = table[s * FIELDS + KIND]
    state[KEEPS] = 0
    if targets[r] or not (kind == WINDOW or (kind == PATCHED and traits[s * COLUMNS + FLAGS] & PLAIN)):
        if bars[r] < 0 and not _complete(r, state):
            return False
    elif kind == PATCHED:
        state[KEEPS] = _keeps(r, state)
    rule = _rule(r, state)
    if rule == ALWAYS:
        return False
    return rule == 0 or _follow(rule, r, state)


@jit
def _complete(r, state):
    """Put a cotangent of several parts together; says whether that was done."""
    bars = i32(state[BARS])
    if bars[r] == HELD:
        return False
    given = give(bars[r], 0, state)
    note_key(state, COMPLETE, type_of(r, state), form(bars[r], state), given, 0)
    whole = made(given, state)
    if whole:
        bars[r] = whole
    return whole != 0


@jit
def _contribute(q, cotangent, state):
    """Add to the cotangent of `q`; says whether that was done."""
    bars, leads = i32(state[BARS]), u8(state[LEADS])
    state[KEY] = 0
    if not leads[q]:
        return True
    if bars[q] == 0:
        bars[q] = cotangent
        return True
    if bars[q] == HELD:
        return False
    given = give(cotangent, give(bars[q], 0, state), state)
    if given > MOST_GIVEN:
        return False
    note_key(state, SUM, form(bars[q], state), form(cotangent, state), given, 0)
    total = made(given, state)
    if total:
        bars[q] = total
    return total != 0


@jit
def _keeps(r, state):
    """Whether what was written to a window is the sum of what stood there and something else.

    Then what stood there has the cotangent of what stands there, and so has the array.
    """
    words, table, traits = i64(state[WORDS]), i64(state[TABLE]), i64(state[TRAITS])
    w = operand(words, r, 1)
    s, written = words[r] >> SIGNATURE_SHIFT, words[w] >> SIGNATURE_SHIFT
    if not traits[written * COLUMNS + FLAGS] & ADDS or i32(state[BARS])[w] or u8(state[TARGETS])[w]:
        return False
    d = operand(words, w, 0)
    window = words[d] >> SIGNATURE_SHIFT
    if w + table[written * FIELDS + WIDTH] != r or table[window * FIELDS + KIND] != WINDOW:
        return False
    if operand(words, w, 1) != d or operand(words, w, 2) == d or operand(words, d, 0) != operand(words, r, 0):
        return False
    return words[d + 1] == words[r + 1] and traits[window * COLUMNS + STRIDES] == traits[s * COLUMNS + STRIDES]


@jit
def _rule(r, state):
    """Where the rule for a row begins; 0 if it has nothing to do, ALWAYS if Python is to do it.

    The row's slot, its operands and its cotangent come to the frame.
    """
    words, table = i64(state[WORDS]), i64(state[TABLE])
    bars, frame = i32(state[BARS]), i64(state[FRAME])
    s = words[r] >> SIGNATURE_SHIFT
    nin, kind = table[s * FIELDS + NIN], table[s * FIELDS + KIND]
    state[KEY] = 0
    if bars[r] == HELD or nin > MOST_OPERANDS:
        return ALWAYS
    frame[0] = r
    for k in range(nin):
        frame[k + 1] = operand(words, r, k)
    wanted = _wanted(r, state)
    if wanted == 0:
        return 0
    if not _is_stable(r, state):
        return ALWAYS
    given = give(bars[r], nin + 1, state)
    if given > MOST_GIVEN:
        return ALWAYS
    offset = words[r + 1] if kind == VIEW or kind == WINDOW or kind == PATCHED else 0
    note_key(state, s + 1, wanted | (KEEPING if state[KEEPS] else 0), form(bars[r], state), given, offset)
    rule = look_up(state)
    return rule if rule else ALWAYS


@jit
def _wanted(r, state):
    """Which operands' cotangents are wanted, a bit each."""
    words, table, traits = i64(state[WORDS]), i64(state[TABLE]), i64(state[TRAITS])
    leads = u8(state[LEADS])
    s = words[r] >> SIGNATURE_SHIFT
    first, wanted = 0, 0
    if table[s * FIELDS + KIND] == WRITE:
        if table[(words[operand(words, r, 0)] >> SIGNATURE_SHIFT) * FIELDS + KIND] == WINDOW:
            first = 1  # what stood there has none; its base is reached by the row after this
        if u8(state[KEPT])[r]:
            first = 2
    for k in range(first, table[s * FIELDS + NIN]):
        if leads[operand(words, r, k)] and traits[s * COLUMNS + GRADS] >> k & 1:
            wanted |= 1 << k
    if state[KEEPS] and wanted & 2:  # of what was added
        w = operand(words, r, 1)
        if not (leads[operand(words, w, 2)] and traits[(words[w] >> SIGNATURE_SHIFT) * COLUMNS + GRADS] >> 2 & 1):
            wanted ^= 2
    return wanted


@jit
def _is_stable(r, state):
    """Whether all values that a row's rule reads are those that it read itself; of a rule never asked, who knows."""
    words, table = i64(state[WORDS]), i64(state[TABLE])
    root, last_write = i32(state[ROOT]), i32(state[LAST_WRITE])
    s = (words[r] >> SIGNATURE_SHIFT) * FIELDS
    needs = table[s + NEEDS] if table[s + REVERSE] >= 0 else -1
    if needs & 1 and last_write[root[r]] > r:
        return False
    limit = r - 1 if table[s + KIND] == WRITE else r  # a write takes its operand away
    for k in range(table[s + NIN]):
        if needs >> (k + 1) & 1 and last_write[root[operand(words, r, k)]] > limit:
            return False
    return True


@jit
def _follow(p, r, state):
    """Append what a row's rule leaves, and put its contributions in the queue; says whether there was room."""
    words, table = i64(state[WORDS]), i64(state[TABLE])
    frame, queue = i64(state[FRAME]), i64(state[QUEUE])
    n, waiting = state[LENGTH], 0
    p = append(p, state[GIVEN], state)
    if p == 0:
        return False
    if state[KEEPS]:
        u8(state[KEPT])[frame[2]] = 1
    for k in range(table[(words[r] >> SIGNATURE_SHIFT) * FIELDS + NIN]):
        cotangent = result(p, n, state)
        p = state[CURSOR]
        if cotangent:
            queue[2 * waiting], queue[2 * waiting + 1] = frame[k + 1], cotangent
            waiting += 1
    state[NEXT], state[WAITING] = 0, waiting
    return True
