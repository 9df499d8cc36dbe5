"""The reverse sweep over a tape: from the last row to the first, cotangents are carried to the operands.

It stops and goes on as the forward sweep does, see `forward.py`.
"""

from __future__ import annotations

from .cotangents import can_move, cotangent, finish, give, size_class, take, zero
from .execute import execute
from .intrinsics import copy_bytes, fill_zero, i32, i64, u8
from .jit import jit
from .opcodes import (
    ACCUMULATE,
    ALIAS,
    AT_ADDR,
    AT_BAR,
    AT_CODE,
    AT_CONSTS,
    AT_FRAME,
    AT_FREED,
    AT_HEADS,
    AT_KEPT,
    AT_LAST_WRITE,
    AT_PLANS,
    AT_ROOT,
    AT_SCRATCH,
    AT_STARTS,
    AT_TABLE,
    AT_TEMPLATES,
    AT_VALUES,
    AT_WANTED,
    AT_WORDS,
    BAD_ROW,
    BAR_BYTES,
    BAR_COPY,
    BAR_LOW,
    CALLED,
    CAPACITY,
    CLASSES,
    CODE_CAPACITY,
    CODE_LEN,
    CONTRIBUTES,
    DETAIL,
    DETAIL2,
    DONE,
    FIELDS,
    FINISHED,
    FORWARDED,
    FREED,
    FULL,
    GIVEN,
    HEADS,
    IDENTITY,
    IMPORT,
    KEPT_UNVISITED,
    KIND,
    LAST,
    LAST_READER,
    LOOK,
    LOOP,
    N_SIGNATURES,
    NEED_MEMORY,
    NEED_TEMPLATE,
    NEEDS,
    NIN,
    NONE,
    NOP,
    ONLY_ACCUMULATES,
    OWNED,
    PART,
    PATCHED,
    PC,
    POSITION,
    REQUIRES_GRAD,
    REVERSE,
    REVERSE_LEN,
    REVERSE_NTEMPS,
    REVERSE_TEMPS,
    SIGNATURE_SHIFT,
    SLOT_BITS,
    SLOT_MASK,
    STALE,
    START,
    STATUS,
    TEMPS,
    TEMPS_CAPACITY,
    UNREAD,
    WIDTH,
    WINDOW,
    WRITE,
)
from .rows import operand, saves

__all__ = ["begin_reverse", "note_needed", "reads_left", "reverse_sweep", "spread"]

MARGIN = 512  # code words kept free for one row's instructions beyond its template


@jit
def begin_reverse(at):
    """Clear a reverse sweep's arrays and fill in the first word of each row up to ``state[LAST]``.

    ``state[AT_VALUES]`` are the addresses of the rows' values, which are copied. ``state[POSITION]`` becomes the index
    of the last row in `starts`.
    """
    state = i64(at)
    words, table, starts, last = i64(state[AT_WORDS]), i64(state[AT_TABLE]), i32(state[AT_STARTS]), state[LAST]
    wanted, heads = u8(state[AT_WANTED]), i64(state[AT_HEADS])
    for k in range(CLASSES):
        heads[k * HEADS] = 0
    for flags in (AT_BAR, AT_KEPT, AT_FREED):
        fill_zero(state[flags], state[CAPACITY])
    for k in range(state[CAPACITY]):
        wanted[k] = 1
    copy_bytes(state[AT_ADDR], state[AT_VALUES], 8 * last)
    r = k = 0
    while r < last:
        s = words[r] >> SIGNATURE_SHIFT
        if s < 0 or s >= state[N_SIGNATURES]:
            state[STATUS], state[DETAIL] = BAD_ROW, r
            return
        starts[k] = r
        k += 1
        r += table[s * FIELDS + WIDTH]
    state[POSITION] = k - 1


@jit
def spread(at):
    """Mark in `wanted` every differentiable row that depends on a marked one."""
    state = i64(at)
    words, table, wanted, last = i64(state[AT_WORDS]), i64(state[AT_TABLE]), u8(state[AT_WANTED]), state[LAST]
    r = 0
    while r < last:
        s = words[r] >> SIGNATURE_SHIFT
        for k in range(table[s * FIELDS + NIN]):
            if wanted[operand(words, r, k)] and table[s * FIELDS + REQUIRES_GRAD]:
                wanted[r] = 1
        r += table[s * FIELDS + WIDTH]


@jit
def reads_left(at):
    """Whether a differentiable row up to ``state[LAST]`` that is not freed will read saved values."""
    state = i64(at)
    words, table, freed, last = i64(state[AT_WORDS]), i64(state[AT_TABLE]), u8(state[AT_FREED]), state[LAST]
    r = 0
    while r < last:
        s = words[r] >> SIGNATURE_SHIFT
        if table[s * FIELDS + REQUIRES_GRAD] and table[s * FIELDS + KIND] != IMPORT and not freed[r]:
            if saves(s, table):
                return 1
        r += table[s * FIELDS + WIDTH]
    return 0


@jit
def note_needed(at):
    """Mark, in the flags at ``state[DETAIL]``, slots whose memory rows will read.

    These are the next row in turn and those before it; and rows after it, up to ``state[DETAIL2]``, that this sweep
    has not visited.
    """
    state = i64(at)
    words, table, root, starts = i64(state[AT_WORDS]), i64(state[AT_TABLE]), i32(state[AT_ROOT]), i32(state[AT_STARTS])
    bar, kept, freed = u8(state[AT_BAR]), u8(state[AT_KEPT]), u8(state[AT_FREED])
    needed, here = u8(state[DETAIL]), starts[state[POSITION]]
    r = 0
    while r < state[DETAIL2]:
        s = words[r] >> SIGNATURE_SHIFT
        if table[s * FIELDS + REQUIRES_GRAD] and table[s * FIELDS + KIND] != IMPORT and not freed[r]:
            if saves(s, table) and (r <= here or bar[r] == NONE or kept[r] == KEPT_UNVISITED):
                needs = table[s * FIELDS + NEEDS] if table[s * FIELDS + REVERSE] >= 0 else -1
                if needs & 1:
                    needed[root[r]] = 1
                for k in range(table[s * FIELDS + NIN]):
                    if needs >> min(k + 1, 62) & 1:
                        needed[root[operand(words, r, k)]] = 1
        r += table[s * FIELDS + WIDTH]


@jit
def reverse_sweep(at):
    """Propagate cotangents from the rows that have one (``bar[r] != NONE``) to the imports.

    ``addr[n + r]`` is the address of row r's cotangent. Rows are visited from the last to the first; a row
    without a cotangent, or whose result needs no gradient, is passed over. ``starts`` holds each row's first
    word. ``state[POSITION]`` counts down the index into `starts`; `at` is the address of that state.
    """
    state = i64(at)
    words, addr = i64(state[AT_WORDS]), i64(state[AT_ADDR])
    root, last_write = i32(state[AT_ROOT]), i32(state[AT_LAST_WRITE])
    starts, code, heads = i32(state[AT_STARTS]), i32(state[AT_CODE]), i64(state[AT_HEADS])
    bar, kept, wanted, freed = u8(state[AT_BAR]), u8(state[AT_KEPT]), u8(state[AT_WANTED]), u8(state[AT_FREED])
    table, templates = i64(state[AT_TABLE]), i32(state[AT_TEMPLATES])
    plans, consts = i64(state[AT_PLANS]), i64(state[AT_CONSTS])
    base, scratch = state[AT_FRAME], state[AT_SCRATCH]
    frame = i64(base)
    n = state[CAPACITY]
    while True:
        if state[PC] < state[CODE_LEN]:
            pc = execute(code, state[PC], state[CODE_LEN], addr, consts, plans, frame, base, scratch, LOOK)
            state[PC] = pc
            if pc < state[CODE_LEN]:
                state[STATUS] = CALLED
                return
        if state[POSITION] < 0:
            state[STATUS] = FINISHED
            return
        state[PC] = state[CODE_LEN] = frame[START] = 0
        state[TEMPS] = 0
        n_code = 0
        while state[POSITION] >= 0:
            r = starts[state[POSITION]]
            s = words[r] >> SIGNATURE_SHIFT
            if s < 0 or s >= state[N_SIGNATURES]:
                state[STATUS], state[DETAIL] = BAD_ROW, r
                return
            kind = table[s * FIELDS + KIND]
            if kind == IMPORT or not table[s * FIELDS + REQUIRES_GRAD]:
                state[POSITION] -= 1
                continue
            if bar[r] == NONE or kept[r] == KEPT_UNVISITED:
                if saves(s, table) and not freed[r]:
                    state[UNREAD] = 1
                state[POSITION] -= 1
                continue
            if kind == WINDOW and bar[r] == PART:
                state[POSITION] -= 1
                continue
            if table[s * FIELDS + REVERSE] < 0 and kind != WINDOW:
                if n_code:
                    break
                state[STATUS], state[DETAIL] = NEED_TEMPLATE, s
                return
            length = n_code + table[s * FIELDS + REVERSE_LEN] + 8 * table[s * FIELDS + NIN] + MARGIN
            temps = state[TEMPS] + table[s * FIELDS + REVERSE_NTEMPS] + 1
            if length > state[CODE_CAPACITY] or temps > state[TEMPS_CAPACITY]:
                if n_code:
                    break
                state[STATUS], state[DETAIL] = BAD_ROW, r
                return
            problem = _check(r, s, words, freed, root, last_write, table, state)
            if problem != FINISHED:
                if n_code:
                    break
                state[STATUS] = problem
                return
            grown = _reverse_row(
                r, s, words, n, addr, bar, kept, wanted, table, templates, plans, state, heads, code, n_code, scratch
            )
            if grown < 0:  # what was emitted before memory ran out still counts
                n_code = -grown - 1
                if n_code:
                    break
                state[STATUS] = NEED_MEMORY
                return
            n_code = grown
            state[POSITION] -= 1
        state[CODE_LEN] = n_code


@jit
def _check(r, s, words, freed, root, last_write, table, state):
    """FREED if the row's saved values are gone, STALE if one was overwritten since, else FINISHED."""
    needs = table[s * FIELDS + NEEDS]
    if needs == 0:
        return FINISHED
    state[DETAIL] = r
    if freed[r]:
        return FREED
    if needs & 1 and last_write[root[r]] > r:
        state[DETAIL2] = -1
        return STALE
    first = r - (table[s * FIELDS + KIND] == WRITE)
    for k in range(table[s * FIELDS + NIN]):
        if needs >> min(k + 1, 62) & 1 and last_write[root[operand(words, r, k)]] > first:
            state[DETAIL2] = k
            return STALE
    return FINISHED


@jit
def _reverse_row(r, s, words, n, addr, bar, kept, wanted, table, templates, plans, state, heads, code, n_code, scratch):
    """Instructions that carry row r's cotangent to its operands.

    Returns the code length, or ``-length - 1`` where memory ran out (what was emitted until then is valid, and the
    row is to be tried again).
    """
    nin = table[s * FIELDS + NIN]
    if table[s * FIELDS + KIND] == WINDOW:
        n_code = _add_to_base(r, words, n, addr, bar, kept, wanted, table, state, heads, code, n_code)
        return n_code if n_code < 0 else finish(r, s, n, addr, bar, kept, table, heads, n_code)
    patched = table[s * FIELDS + KIND] == PATCHED
    first_temp = 2 * n + state[TEMPS]
    first, length = table[s * FIELDS + REVERSE], table[s * FIELDS + REVERSE_LEN]
    # Memory first: this can fail, and must leave nothing half-done.
    n_code = _room_for_operands(
        r, words, n, nin, addr, bar, kept, wanted, table, templates, first, length, state, heads, code, n_code
    )
    if n_code < 0 or not _take_temporaries(s, first_temp, addr, table, plans, state, heads, scratch):
        return n_code if n_code < 0 else -n_code - 1
    state[TEMPS] += table[s * FIELDS + REVERSE_NTEMPS]
    copied = patched and (bar[r] != OWNED or kept[r] != 0)
    if patched:
        if copied:  # somebody else reads the cotangent, of which the window is to be set to zero
            at = take(table[s * FIELDS + BAR_BYTES], state, heads)
            if at == 0:
                state[DETAIL] = table[s * FIELDS + BAR_BYTES]
                return -n_code - 1
            addr[first_temp] = at - table[s * FIELDS + BAR_LOW]
            code[n_code] = LOOP | 4 << 8
            code[n_code + 1] = table[s * FIELDS + BAR_COPY]
            code[n_code + 2] = first_temp
            code[n_code + 3] = n + r
            n_code += 4
        else:
            addr[first_temp] = addr[n + r]
        addr[first_temp + 1] = addr[first_temp] + words[r + 1]
    n_code = _emit_reverse(
        r, words, n, nin, addr, bar, kept, wanted, table, templates, first, length, first_temp, code, n_code
    )
    if copied:
        give(addr[first_temp] + table[s * FIELDS + BAR_LOW], table[s * FIELDS + BAR_BYTES], heads)
    _give_temporaries(s, table[s * FIELDS + REVERSE_NTEMPS], first_temp, addr, table, plans, heads)
    return finish(r, s, n, addr, bar, kept, table, heads, n_code)


@jit
def _add_to_base(r, words, n, addr, bar, kept, wanted, table, state, heads, code, n_code):
    """Add the cotangent of a view, which stands apart, into its base's; returns as `_reverse_row`."""
    a = (words[r] >> SLOT_BITS) & SLOT_MASK
    if not wanted[a]:
        return n_code
    grown = cotangent(a, words, n, addr, bar, kept, wanted, table, state, heads, code, n_code)
    if grown < 0:
        return -n_code - 1
    n_code = _zeroed(a, words, n, bar, table, code, grown)
    window = 2 * n + state[TEMPS]
    state[TEMPS] += 1
    addr[window] = addr[n + a] + words[r + 1]
    code[n_code] = (LOOP + ACCUMULATE) | 4 << 8
    code[n_code + 1] = table[(words[r] >> SIGNATURE_SHIFT) * FIELDS + BAR_COPY]
    code[n_code + 2] = window
    code[n_code + 3] = n + r
    return n_code + 4


@jit
def _zeroed(q, words, n, bar, table, code, n_code):
    """Have a cotangent that has memory, and no value yet, begin with zeros."""
    if bar[q] >= 16 or bar[q] == GIVEN:
        n_code = zero(q, words, n, table, code, n_code)
        bar[q] = bar[q] - 16 if bar[q] >= 16 else FULL
    return n_code


@jit
def _room_for_operands(
    r, words, n, nin, addr, bar, kept, wanted, table, templates, first, length, state, heads, code, n_code
):
    """Give the cotangents memory to which row r contributes; returns as `_reverse_row`."""
    moved = False
    p = first
    while p < first + length:
        flags = templates[p] >> 16
        if flags & (CONTRIBUTES | ONLY_ACCUMULATES):
            q = operand(words, r, templates[p + 2] - nin - 2)
            moves = flags & (IDENTITY | LAST_READER)
            if wanted[q] and moves and not moved and can_move(r, q, words, bar, kept, table):
                moved = True  # only one operand can have it
            elif wanted[q]:
                grown = cotangent(q, words, n, addr, bar, kept, wanted, table, state, heads, code, n_code)
                if grown < 0:
                    return -n_code - 1
                n_code = _zeroed(q, words, n, bar, table, code, grown) if flags & ONLY_ACCUMULATES else grown
        p += (templates[p] >> 8) & 255
    return n_code


@jit
def _take_temporaries(s, first_temp, addr, table, plans, state, heads, scratch):
    """Give the temporaries of a row's reverse their addresses, all of them or, where memory ran out, none."""
    ntemps = table[s * FIELDS + REVERSE_NTEMPS]
    for t in range(ntemps):
        size = plans[table[s * FIELDS + REVERSE_TEMPS] + t]
        if size > 0:
            at = take(size, state, heads)
            if at == 0:
                need = 0  # for all of them: the lists may not hold what is given back until the next try
                for u in range(ntemps):
                    other = plans[table[s * FIELDS + REVERSE_TEMPS] + u]
                    if other > 0:
                        _, rounded = size_class(other)
                        need += rounded
                _give_temporaries(s, t, first_temp, addr, table, plans, heads)
                state[DETAIL] = need
                return False
            addr[first_temp + t] = at
        elif size < 0:
            addr[first_temp + t] = scratch - size - 1
    return True


@jit
def _give_temporaries(s, count, first_temp, addr, table, plans, heads):
    for t in range(count):
        size = plans[table[s * FIELDS + REVERSE_TEMPS] + t]
        if size > 0:
            give(addr[first_temp + t], size, heads)


@jit
def _emit_reverse(r, words, n, nin, addr, bar, kept, wanted, table, templates, first, length, first_temp, code, n_code):
    """Copy a reverse template.

    Operand codes: 0 the result, 1..nin operands, nin + 1 the result's cotangent, nin + 2 .. 2 nin + 1 the operands'
    cotangents, then temporaries.
    """
    p = first
    while p < first + length:
        at, head = p, templates[p]
        nwords, flags, op = (head >> 8) & 255, head >> 16, head & 255
        target = _identity(templates[p + 2], words, r, n, nin, first_temp) if nwords > 2 else 0
        if flags & FORWARDED:
            follower = p + nwords
            q = operand(words, r, templates[follower + 2] - nin - 2)
            if wanted[q] and (bar[q] >= 16 or bar[q] == GIVEN):
                bar[q] = bar[q] - 16 if bar[q] >= 16 else FULL
                target = n + q
                p = follower  # its words are passed over below, with this instruction's own
        elif flags & (CONTRIBUTES | ONLY_ACCUMULATES):
            q = operand(words, r, templates[p + 2] - nin - 2)
            if not wanted[q]:
                code[n_code] = NOP | nwords << 8  # keeps its length: groups count words
                code[n_code + 1] = 0
                for w in range(2, nwords):
                    code[n_code + w] = n + r
                n_code += nwords
                p += nwords
                continue
            if flags & (IDENTITY | LAST_READER) and can_move(r, q, words, bar, kept, table):
                addr[n + q] = addr[n + r]
                bar[q], bar[r] = OWNED, DONE
                if flags & IDENTITY:
                    p += nwords
                    continue
            elif flags & ONLY_ACCUMULATES or (bar[q] < 16 and bar[q] != GIVEN):
                op |= ACCUMULATE
            elif bar[q] >= 16:
                bar[q] -= 16
            else:
                bar[q] = FULL
        elif op == ALIAS:
            c = templates[p + 3]
            source = _identity(c, words, r, n, nin, first_temp)
            addr[_identity(templates[p + 2], words, r, n, nin, first_temp)] = addr[source] + templates[p + 1]
            p += nwords
            continue
        code[n_code] = op | nwords << 8
        code[n_code + 1] = templates[at + 1]
        code[n_code + 2] = target
        for w in range(3, nwords):
            code[n_code + w] = _identity(templates[at + w], words, r, n, nin, first_temp)
        n_code += nwords
        p += nwords if p == at else (templates[p] >> 8) & 255
    return n_code


@jit
def _identity(c, words, r, n, nin, first_temp):
    if c < 0:
        return c
    if c == 0:
        return r
    if c <= nin:
        return operand(words, r, c - 1)
    if c == nin + 1:
        return n + r
    if c <= 2 * nin + 1:
        return n + operand(words, r, c - nin - 2)
    return first_temp + c - 2 * nin - 2
