"""The two sweeps over the tape: rows are turned into instructions, stretch by stretch, and run.

Both sweeps can stop anywhere — for memory, for a template that has not been lowered yet, for a call-out,
for an error — and go on where they stopped: all that they know is in arrays which the caller holds. A
status of the `opcodes` module says why a sweep came back.
"""

from __future__ import annotations

from .execute import execute
from .intrinsics import i32, i64, u8
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
    AT_IMPORTS,
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
    BYTES,
    CALLED,
    CAPACITY,
    CLASSES,
    CODE_CAPACITY,
    CODE_LEN,
    CONTRIBUTES,
    CURRENT,
    DETAIL,
    DETAIL2,
    DONE,
    FIELDS,
    FINISHED,
    FORWARD,
    FORWARD_LEN,
    FORWARD_NTEMPS,
    FORWARD_TEMPS,
    FORWARDED,
    FREED,
    FULL,
    GIVEN,
    HAS_CALL,
    HEADS,
    IDENTITY,
    IMPORT,
    KEPT_UNVISITED,
    KERNEL,
    KIND,
    LAST,
    LOOK,
    LOOKED,
    LOOP,
    MEMORY,
    MEMORY_END,
    N_IMPORTS,
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
    VIEW,
    WIDTH,
    WINDOW,
    WORK,
    WRITE,
    ZERO,
)

__all__ = ["begin_reverse", "forward_sweep", "link", "reads_left", "reverse_sweep", "spread"]

MARGIN = 512  # code words kept free for one row's instructions beyond its template


@jit
def operand(words, r, k):
    """Slot of operand `k` of row `r`: two in the row's own word, two in each word after it."""
    if k == 0:
        return (words[r] >> SLOT_BITS) & SLOT_MASK
    if k == 1:
        return words[r] & SLOT_MASK
    return (words[r + k // 2] >> (0 if k & 1 else SLOT_BITS)) & SLOT_MASK


@jit
def begin_reverse(at):
    """Clear a reverse sweep's arrays and fill in the first word of each row up to ``state[LAST]``.

    ``state[AT_VALUES]`` are the addresses of the rows' values, which are copied. ``state[POSITION]`` becomes the index
    of the last row in `starts`.
    """
    state = i64(at)
    words, table, starts, last = i64(state[AT_WORDS]), i64(state[AT_TABLE]), i32(state[AT_STARTS]), state[LAST]
    bar, kept, wanted, freed = u8(state[AT_BAR]), u8(state[AT_KEPT]), u8(state[AT_WANTED]), u8(state[AT_FREED])
    addr, values, heads = i64(state[AT_ADDR]), i64(state[AT_VALUES]), i64(state[AT_HEADS])
    for k in range(CLASSES):
        heads[k * HEADS] = 0
    for k in range(state[CAPACITY]):
        bar[k] = kept[k] = freed[k] = 0
        wanted[k] = 1
    for k in range(last):
        addr[k] = values[k]
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
def _saves(s, table):
    """Whether a differentiable row of signature `s` reads saved values; before it is lowered, who knows."""
    return table[s * FIELDS + REVERSE] < 0 or table[s * FIELDS + NEEDS] != 0


@jit
def reads_left(at):
    """Whether a differentiable row up to ``state[LAST]`` that is not freed will read saved values."""
    state = i64(at)
    words, table, freed, last = i64(state[AT_WORDS]), i64(state[AT_TABLE]), u8(state[AT_FREED]), state[LAST]
    r = 0
    while r < last:
        s = words[r] >> SIGNATURE_SHIFT
        if table[s * FIELDS + REQUIRES_GRAD] and table[s * FIELDS + KIND] != IMPORT and not freed[r]:
            if _saves(s, table):
                return 1
        r += table[s * FIELDS + WIDTH]
    return 0


@jit
def _align(nbytes):
    return (nbytes + 15) & ~15 if nbytes < 512 else (nbytes + 63) & ~63


@jit
def forward_sweep(at):
    """Run rows up to ``state[LAST]``; new results take memory from ``state[MEMORY:MEMORY_END]``.

    Where ``addr[r]`` is set beforehand that memory is used. `root` and `last_write` are filled with each
    slot's buffer and each buffer's last writing row. `at` is the address of the sweep's state.
    """
    state = i64(at)
    words, addr = i64(state[AT_WORDS]), i64(state[AT_ADDR])
    root, last_write = i32(state[AT_ROOT]), i32(state[AT_LAST_WRITE])
    import_addr, code = i64(state[AT_IMPORTS]), i32(state[AT_CODE])
    table, templates = i64(state[AT_TABLE]), i32(state[AT_TEMPLATES])
    plans, consts = i64(state[AT_PLANS]), i64(state[AT_CONSTS])
    base, scratch = state[AT_FRAME], state[AT_SCRATCH]
    frame = i64(base)
    last, n = state[LAST], state[CAPACITY]
    while True:
        if state[PC] < state[CODE_LEN]:
            # Never left within a stretch but for a call-out, with which it ends: no row is run a second time.
            pc = execute(code, state[PC], state[CODE_LEN], addr, consts, plans, frame, base, scratch, 1 << 62)
            state[PC] = pc
            if pc < state[CODE_LEN]:
                state[STATUS] = CALLED
                return
            if frame[WORK] >= LOOK:
                frame[WORK] = 0
                state[STATUS], state[CURRENT] = LOOKED, state[POSITION]
                return
        r = state[POSITION]
        if r >= last:
            state[STATUS] = FINISHED
            return
        state[PC] = state[CODE_LEN] = frame[START] = 0
        state[TEMPS] = 0
        n_code = 0
        state[CURRENT] = r
        while r < last:
            s = words[r] >> SIGNATURE_SHIFT
            if s < 0 or s >= state[N_SIGNATURES]:
                state[STATUS], state[DETAIL] = BAD_ROW, r
                return
            kind = table[s * FIELDS + KIND]
            last_write[r] = -1
            if kind == IMPORT:
                index = words[r] & ((1 << SIGNATURE_SHIFT) - 1)
                if index >= state[N_IMPORTS]:
                    state[STATUS], state[DETAIL] = BAD_ROW, r
                    return
                addr[r] = import_addr[index]
                root[r] = r
                r += 1
                continue
            nin = table[s * FIELDS + NIN]
            for k in range(nin):
                if operand(words, r, k) >= r:
                    state[STATUS], state[DETAIL] = BAD_ROW, r
                    return
            a = (words[r] >> SLOT_BITS) & SLOT_MASK
            if kind == WINDOW or kind == VIEW or kind == PATCHED:
                addr[r] = addr[a] + (0 if kind == PATCHED else words[r + 1])
                root[r] = root[a]
                r += table[s * FIELDS + WIDTH]
                continue
            if table[s * FIELDS + FORWARD] < 0:
                if n_code:
                    break
                state[STATUS], state[DETAIL] = NEED_TEMPLATE, s
                state[POSITION] = r
                return
            length, ntemps = table[s * FIELDS + FORWARD_LEN], table[s * FIELDS + FORWARD_NTEMPS]
            if n_code + length > state[CODE_CAPACITY] or state[TEMPS] + ntemps > state[TEMPS_CAPACITY]:
                if n_code:
                    break
                state[STATUS], state[DETAIL] = BAD_ROW, r
                return
            need = 0
            if kind == KERNEL and addr[r] == 0:
                need = _align(table[s * FIELDS + BYTES])
            for t in range(ntemps):
                size = plans[table[s * FIELDS + FORWARD_TEMPS] + t]
                if size > 0:
                    need += _align(size)
            if state[MEMORY] + need > state[MEMORY_END]:
                if n_code:
                    break
                state[STATUS], state[DETAIL] = NEED_MEMORY, need
                state[POSITION] = r
                return
            if kind == WRITE:
                addr[r], root[r] = addr[a], root[a]
                last_write[root[a]] = r
            else:
                root[r] = r
                if addr[r] == 0:
                    addr[r] = state[MEMORY]
                    state[MEMORY] += _align(table[s * FIELDS + BYTES])
            first_temp = n + state[TEMPS]
            for t in range(ntemps):
                size = plans[table[s * FIELDS + FORWARD_TEMPS] + t]
                if size > 0:
                    addr[first_temp + t] = state[MEMORY]
                    state[MEMORY] += _align(size)
                elif size < 0:
                    addr[first_temp + t] = scratch - size - 1
            state[TEMPS] += ntemps
            n_code = _emit_forward(
                words, r, templates, table[s * FIELDS + FORWARD], length, nin, first_temp, addr, code, n_code
            )
            if table[s * FIELDS + HAS_CALL]:  # if Python fails there, all rows before this one have run
                state[CURRENT] = r
                r += table[s * FIELDS + WIDTH]
                break
            r += table[s * FIELDS + WIDTH]
        state[POSITION] = r
        state[CODE_LEN] = n_code


@jit
def link(at):
    """Turn all rows up to ``state[LAST]`` into one run of instructions; every address is set beforehand."""
    state = i64(at)
    words, addr, code = i64(state[AT_WORDS]), i64(state[AT_ADDR]), i32(state[AT_CODE])
    table, templates = i64(state[AT_TABLE]), i32(state[AT_TEMPLATES])
    n_code = r = 0
    state[TEMPS] = 0
    state[STATUS] = FINISHED
    while r < state[LAST]:
        s = words[r] >> SIGNATURE_SHIFT
        kind, nin = table[s * FIELDS + KIND], table[s * FIELDS + NIN]
        if kind == KERNEL or kind == WRITE:
            length, ntemps = table[s * FIELDS + FORWARD_LEN], table[s * FIELDS + FORWARD_NTEMPS]
            if table[s * FIELDS + FORWARD] < 0 or n_code + length > state[CODE_CAPACITY]:
                state[STATUS], state[DETAIL] = BAD_ROW, r
                return
            first_temp = state[CAPACITY] + state[TEMPS]
            state[TEMPS] += ntemps
            n_code = _emit_forward(
                words, r, templates, table[s * FIELDS + FORWARD], length, nin, first_temp, addr, code, n_code
            )
        r += table[s * FIELDS + WIDTH]
    state[CODE_LEN] = n_code


@jit
def _emit_forward(words, r, templates, first, length, nin, first_temp, addr, code, n_code):
    """Copy a forward template, its operand codes replaced by ids: 0 the result, 1..nin operands, then temporaries."""
    p = first
    while p < first + length:
        head = templates[p]
        nwords = (head >> 8) & 255
        if head & 255 == ALIAS:
            d = first_temp + templates[p + 2] - nin - 1
            c = templates[p + 3]
            source = r if c == 0 else operand(words, r, c - 1) if c <= nin else first_temp + c - nin - 1
            addr[d] = addr[source] + templates[p + 1]
            p += nwords
            continue
        code[n_code] = head & 0xFFFF
        code[n_code + 1] = templates[p + 1]
        for w in range(2, nwords):
            c = templates[p + w]
            if c == 0:
                c = r
            elif c > nin:
                c = first_temp + c - nin - 1
            elif c > 0:
                c = operand(words, r, c - 1)
            code[n_code + w] = c
        n_code += nwords
        p += nwords
    return n_code


@jit
def _size_class(nbytes):
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
def _take(nbytes, state, heads):
    """Memory from the pool, or 0 if there is not enough: a freed block of the class, else fresh memory.

    A free block's first word is the address of the next one of its class; the pool's own blocks are
    all that these addresses can be.
    """
    c, size = _size_class(nbytes)
    if heads[c * HEADS] > 0:
        heads[c * HEADS] -= 1
        return heads[c * HEADS + heads[c * HEADS] + 1]
    at = state[MEMORY]
    if at + size > state[MEMORY_END]:
        return 0
    state[MEMORY] = at + size
    return at


@jit
def _give(address, nbytes, heads):
    """Hand memory back to the pool; what finds no place in the class's short list is left unused."""
    c, _ = _size_class(nbytes)
    if heads[c * HEADS] + 2 <= HEADS:
        heads[c * HEADS + heads[c * HEADS] + 1] = address
        heads[c * HEADS] += 1


@jit
def _cotangent(q, words, n, addr, bar, kept, wanted, table, state, heads, code, n_code):
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
        at = _take(table[s * FIELDS + BAR_BYTES], state, heads)
        if at == 0:
            state[DETAIL] = table[s * FIELDS + BAR_BYTES]
            return -1
        addr[n + top] = at - table[s * FIELDS + BAR_LOW]
        bar[top] = OWNED + 16  # memory, no value yet
    if top != q:
        if bar[top] >= 16 or bar[top] == GIVEN:
            n_code = _zero(top, words, n, table, code, n_code)
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
def _zero(q, words, n, table, code, n_code):
    s = words[q] >> SIGNATURE_SHIFT
    code[n_code] = ZERO | 3 << 8
    code[n_code + 1] = table[s * FIELDS + BAR_COPY + 1]
    code[n_code + 2] = n + q
    return n_code + 3


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
                if _saves(s, table) and not freed[r]:
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
    if table[s * FIELDS + KIND] == WINDOW:  # a view whose cotangent stands apart: add it into its base's
        a = (words[r] >> SLOT_BITS) & SLOT_MASK
        if wanted[a]:
            grown = _cotangent(a, words, n, addr, bar, kept, wanted, table, state, heads, code, n_code)
            if grown < 0:
                return -n_code - 1
            n_code = grown
            if bar[a] >= 16 or bar[a] == GIVEN:
                n_code = _zero(a, words, n, table, code, n_code)
                bar[a] = bar[a] - 16 if bar[a] >= 16 else FULL
            window = 2 * n + state[TEMPS]
            state[TEMPS] += 1
            addr[window] = addr[n + a] + words[r + 1]
            code[n_code] = (LOOP + ACCUMULATE) | 4 << 8
            code[n_code + 1] = table[s * FIELDS + BAR_COPY]
            code[n_code + 2] = window
            code[n_code + 3] = n + r
            n_code += 4
        return _finish(r, s, n, addr, bar, kept, table, heads, n_code)
    patched = table[s * FIELDS + KIND] == PATCHED
    first_temp = 2 * n + state[TEMPS]
    first, length = table[s * FIELDS + REVERSE], table[s * FIELDS + REVERSE_LEN]
    # Memory first: this can fail, and must leave nothing half-done.
    moved = False
    p = first
    while p < first + length:
        flags = templates[p] >> 16
        if flags & (CONTRIBUTES | ONLY_ACCUMULATES):
            q = operand(words, r, templates[p + 2] - nin - 2)
            if wanted[q] and flags & IDENTITY and not moved and _can_move(r, q, words, bar, kept, table):
                moved = True  # only one operand can have it
            elif wanted[q]:
                grown = _cotangent(q, words, n, addr, bar, kept, wanted, table, state, heads, code, n_code)
                if grown < 0:
                    return -n_code - 1
                n_code = grown
                if flags & ONLY_ACCUMULATES and (bar[q] >= 16 or bar[q] == GIVEN):
                    n_code = _zero(q, words, n, table, code, n_code)
                    bar[q] = bar[q] - 16 if bar[q] >= 16 else FULL
        p += (templates[p] >> 8) & 255
    ntemps = table[s * FIELDS + REVERSE_NTEMPS]
    for t in range(ntemps):
        size = plans[table[s * FIELDS + REVERSE_TEMPS] + t]
        if size > 0:
            at = _take(size, state, heads)
            if at == 0:
                need = 0  # for all of them: the lists may not hold what is given back until the next try
                for u in range(ntemps):
                    other = plans[table[s * FIELDS + REVERSE_TEMPS] + u]
                    if other > 0:
                        _, rounded = _size_class(other)
                        need += rounded
                        if u < t:
                            _give(addr[first_temp + u], other, heads)
                state[DETAIL] = need
                return -n_code - 1
            addr[first_temp + t] = at
        elif size < 0:
            addr[first_temp + t] = scratch - size - 1
    state[TEMPS] += ntemps
    copied = patched and (bar[r] != OWNED or kept[r] != 0)
    if patched:
        if copied:  # somebody else reads the cotangent, of which the window is to be set to zero
            at = _take(table[s * FIELDS + BAR_BYTES], state, heads)
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
        _give(addr[first_temp] + table[s * FIELDS + BAR_LOW], table[s * FIELDS + BAR_BYTES], heads)
    for t in range(ntemps):
        size = plans[table[s * FIELDS + REVERSE_TEMPS] + t]
        if size > 0:
            _give(addr[first_temp + t], size, heads)
    return _finish(r, s, n, addr, bar, kept, table, heads, n_code)


@jit
def _can_move(r, q, words, bar, kept, table):
    """Whether row r's finished cotangent may become slot q's without a copy."""
    return (
        bar[q] == NONE
        and bar[r] == OWNED
        and not kept[r]
        and not kept[q]
        and table[(words[q] >> SIGNATURE_SHIFT) * FIELDS + KIND] != WINDOW
    )


@jit
def _finish(r, s, n, addr, bar, kept, table, heads, n_code):
    """Row r is done: its cotangent's memory goes back to the pool, unless somebody outside reads it."""
    if bar[r] == OWNED and not kept[r]:
        _give(addr[n + r] + table[s * FIELDS + BAR_LOW], table[s * FIELDS + BAR_BYTES], heads)
        bar[r] = DONE
    return n_code


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
            if flags & IDENTITY and _can_move(r, q, words, bar, kept, table):
                addr[n + q] = addr[n + r]
                bar[q], bar[r] = OWNED, DONE
                p += nwords
                continue
            if flags & ONLY_ACCUMULATES or (bar[q] < 16 and bar[q] != GIVEN):
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
