"""The forward sweep over a tape: rows are turned into instructions, stretch by stretch, and run.

A sweep, forward or reverse, can stop anywhere — for memory, for a template that has not been lowered yet, for a
call-out, for an error — and go on where it stopped: all that it knows is in arrays which the caller holds. A status of
the `opcodes` module says why it came back.
"""

from __future__ import annotations

from .execute import execute
from .intrinsics import i32, i64
from .jit import jit
from .opcodes import (
    ALIAS,
    AT_ADDR,
    AT_CODE,
    AT_CONSTS,
    AT_FRAME,
    AT_IMPORTS,
    AT_LAST_WRITE,
    AT_PLANS,
    AT_ROOT,
    AT_SCRATCH,
    AT_TABLE,
    AT_TEMPLATES,
    AT_WORDS,
    BAD_ROW,
    BYTES,
    CALLED,
    CAPACITY,
    CODE_CAPACITY,
    CODE_LEN,
    CURRENT,
    DETAIL,
    FIELDS,
    FINISHED,
    FORWARD,
    FORWARD_LEN,
    FORWARD_NTEMPS,
    FORWARD_TEMPS,
    HAS_CALL,
    IMPORT,
    KERNEL,
    KIND,
    LAST,
    LOOK,
    LOOKED,
    MEMORY,
    MEMORY_END,
    N_IMPORTS,
    N_SIGNATURES,
    NEED_MEMORY,
    NEED_TEMPLATE,
    NIN,
    PATCHED,
    PC,
    POSITION,
    SIGNATURE_SHIFT,
    SLOT_BITS,
    SLOT_MASK,
    START,
    STATUS,
    TEMPS,
    TEMPS_CAPACITY,
    VIEW,
    WIDTH,
    WINDOW,
    WORK,
    WRITE,
)
from .rows import operand

__all__ = ["forward_sweep", "link"]


@jit
def forward_sweep(at):
    """Run rows up to ``state[LAST]``; new results take memory from ``state[MEMORY:MEMORY_END]``.

    Where ``addr[r]`` is set beforehand that memory is used. `root` and `last_write` are filled with each
    slot's buffer and each buffer's last writing row. `at` is the address of the sweep's state.
    """
    state = i64(at)
    words, addr = i64(state[AT_WORDS]), i64(state[AT_ADDR])
    root, last_write = i32(state[AT_ROOT]), i32(state[AT_LAST_WRITE])
    code = i32(state[AT_CODE])
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
            passed = _pass_by(r, s, words, addr, root, last_write, table, state)
            if passed < 0:
                state[STATUS], state[DETAIL] = BAD_ROW, r
                return
            if passed > 0:
                r += passed
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
            need = _memory_needed(r, s, addr, table, plans)
            if state[MEMORY] + need > state[MEMORY_END]:
                if n_code:
                    break
                state[STATUS], state[DETAIL] = NEED_MEMORY, need
                state[POSITION] = r
                return
            first_temp = _take_memory(r, s, n, words, addr, root, last_write, table, plans, state, scratch)
            n_code = _emit_forward(
                words,
                r,
                templates,
                table[s * FIELDS + FORWARD],
                length,
                table[s * FIELDS + NIN],
                first_temp,
                addr,
                code,
                n_code,
            )
            if table[s * FIELDS + HAS_CALL]:  # if Python fails there, all rows before this one have run
                state[CURRENT] = r
                r += table[s * FIELDS + WIDTH]
                break
            r += table[s * FIELDS + WIDTH]
        state[POSITION] = r
        state[CODE_LEN] = n_code


@jit
def _align(nbytes):
    return (nbytes + 15) & ~15 if nbytes < 512 else (nbytes + 63) & ~63


@jit
def _pass_by(r, s, words, addr, root, last_write, table, state):
    """Words of a row that computes nothing, whose address is known now; 0 for one that does, -1 for one not valid."""
    kind = table[s * FIELDS + KIND]
    last_write[r] = -1
    if kind == IMPORT:
        index = words[r] & ((1 << SIGNATURE_SHIFT) - 1)
        if index >= state[N_IMPORTS]:
            return -1
        addr[r], root[r] = i64(state[AT_IMPORTS])[index], r
        return 1
    for k in range(table[s * FIELDS + NIN]):
        if operand(words, r, k) >= r:
            return -1
    if kind == WINDOW or kind == VIEW or kind == PATCHED:
        a = (words[r] >> SLOT_BITS) & SLOT_MASK
        addr[r] = addr[a] + (0 if kind == PATCHED else words[r + 1])
        root[r] = root[a]
        return table[s * FIELDS + WIDTH]
    return 0


@jit
def _memory_needed(r, s, addr, table, plans):
    """Bytes for a row's result, unless it has an address, and for its temporaries."""
    need = 0
    if table[s * FIELDS + KIND] == KERNEL and addr[r] == 0:
        need = _align(table[s * FIELDS + BYTES])
    for t in range(table[s * FIELDS + FORWARD_NTEMPS]):
        size = plans[table[s * FIELDS + FORWARD_TEMPS] + t]
        if size > 0:
            need += _align(size)
    return need


@jit
def _take_memory(r, s, n, words, addr, root, last_write, table, plans, state, scratch):
    """Give a row's result and temporaries their addresses; returns the index of the first temporary's."""
    if table[s * FIELDS + KIND] == WRITE:
        a = (words[r] >> SLOT_BITS) & SLOT_MASK
        addr[r], root[r] = addr[a], root[a]
        last_write[root[a]] = r
    else:
        root[r] = r
        if addr[r] == 0:
            addr[r] = state[MEMORY]
            state[MEMORY] += _align(table[s * FIELDS + BYTES])
    first_temp, ntemps = n + state[TEMPS], table[s * FIELDS + FORWARD_NTEMPS]
    for t in range(ntemps):
        size = plans[table[s * FIELDS + FORWARD_TEMPS] + t]
        if size > 0:
            addr[first_temp + t] = state[MEMORY]
            state[MEMORY] += _align(size)
        elif size < 0:
            addr[first_temp + t] = scratch - size - 1
    state[TEMPS] += ntemps
    return first_temp


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
