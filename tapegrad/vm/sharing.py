"""Long stretches of elementwise loops, shared by threads: each takes tiles of its own, or part of an outer dimension.

What the threads need stands in a table that all of them read. A thread's frame is on its stack; its tiles are the
caller's if it is the caller, else memory that it asks for. No result depends on how many threads there are: loops are
shared only where no element knows of another.
"""

from __future__ import annotations

from .inner import ARGS, address, run_inner, run_outer
from .intrinsics import call_words, i32, i64
from .jit import jit
from .memory import address_of, scratch
from .opcodes import (
    ACCUMULATE,
    ALLOCATE,
    CLEAN,
    CUT,
    LOOP,
    LOOP_ACC,
    PARTS,
    PIECES,
    RELEASE,
    SCRATCH_TILES,
    SHARE,
    TILE,
    TILE_BYTES,
)

__all__ = ["divide", "may_divide", "may_share", "parts", "share", "tiles"]

CODE, FIRST, END, ADDR, CONSTS, PLANS, ROOM, ELEMENTS, BEGIN, GET, GIVE_BACK, TABLE = range(12)
TABLE_BYTES, FRAME_BYTES, ROOM_BYTES = 8 * TABLE, 8 * 256, SCRATCH_TILES * TILE_BYTES


@jit
def may_share(code, pc, end, addr, consts, plans, frame, n):
    """Whether the instructions of a stretch go through n elements one by one, and threads are there."""
    if frame[SHARE] == 0 or i64(frame[SHARE])[0] == 0:
        return False
    while pc < end:
        op, plan = code[pc] & 255, code[pc + 1]
        if (op != LOOP and op != LOOP_ACC) or not plans[plan + 5] & CLEAN:
            return False
        nops = plans[plan + 2]
        if plans[plan + 7] != n or plans[plan + 8 + 2 * nops] != 0:
            return False
        target, step, advance = address(code[pc + 2], addr, consts), plans[plan + 7 + nops], plans[plan + 7 + 2 * nops]
        if step == 0:
            return False  # a sum
        if advance != 0:  # not a tile
            low, high = min(target, target + (n - 1) * step), max(target, target + (n - 1) * step)
            for k in range(nops - 1):
                at, its = address(code[pc + 3 + k], addr, consts), plans[plan + 8 + k]
                first, last = min(at, at + (n - 1) * its), max(at, at + (n - 1) * its)
                if (at != target or its != step) and first <= high and last >= low:
                    return False  # a result may be another element's operand
        pc += (code[pc] >> 8) & 255
    return True


@jit
def share(code, pc, end, addr, consts, plans, frame, room, n, start, stop):
    """Run a stretch that may be shared, of n elements, from element `start`, where a tile begins, to `stop`.

    `room` is the last one of the caller's tiles.
    """
    place = scratch(TABLE_BYTES)
    t = i64(place)
    t[FIRST], t[END], t[ELEMENTS], t[BEGIN] = pc, end, n, start
    t[CODE], t[ADDR], t[CONSTS], t[PLANS] = address_of(code), address_of(addr), address_of(consts), address_of(plans)
    t[ROOM] = room - (SCRATCH_TILES - 1) * TILE_BYTES
    t[GET], t[GIVE_BACK] = frame[ALLOCATE], frame[RELEASE]
    rounds = (stop - start + TILE - 1) // TILE
    call_words(i64(frame[SHARE])[0], frame[PIECES], place, rounds, 0, 1, 0, 0, 0)


@jit
def _run_tile(table, code, addr, consts, plans, frame, base, room, start):
    pc, end, n, moved = table[FIRST], table[END], table[ELEMENTS], room - table[ROOM]
    while pc < end:
        head, plan = code[pc], code[pc + 1]
        nops = plans[plan + 2]
        for k in range(nops):
            at = address(code[pc + (3 + k if k < nops - 1 else 2)], addr, consts)
            if table[ROOM] <= at < table[ROOM] + ROOM_BYTES:
                at += moved
            frame[ARGS + k] = at + start * plans[plan + 8 + nops + k]
        last = room + (SCRATCH_TILES - 1) * TILE_BYTES
        run_inner(plans, plan, (head & 255) >= LOOP + ACCUMULATE, min(TILE, n - start), frame, base, last)
        pc += (head >> 8) & 255


@jit
def tiles(table, first, last, sums):
    """Run a stretch for some of its tiles; `sums` is 0 for the caller's own thread."""
    base = scratch(FRAME_BYTES)
    room = table[ROOM] if sums == 0 else call_words(table[GET], ROOM_BYTES, 0, 0, 0, 0, 0, 0, 0)
    code, addr, consts, plans = i32(table[CODE]), i64(table[ADDR]), i64(table[CONSTS]), i64(table[PLANS])
    for k in range(first, last):
        _run_tile(table, code, addr, consts, plans, i64(base), base, room, table[BEGIN] + k * TILE)
    if sums != 0:
        call_words(table[GIVE_BACK], room, 0, 0, 0, 0, 0, 0, 0)


# --- outer dimensions --------------------------------------------------------------------------------------------

PLAN, ACCUMULATES, OPERANDS = 1, 2, 3  # words of a table; the address of all plans is the first one


@jit
def _end(plans, p, j, at, last):
    """Where operand j begins, or where its last element does."""
    nops = plans[p + 2]
    reach = plans[p + 8 + j] * (plans[p + 7] - 1)
    at += reach if (reach > 0) == (last > 0) else 0
    for d in range(plans[p + 8 + 2 * nops]):
        w = p + 9 + 2 * nops + d * (nops + 1)
        reach = plans[w + 1 + j] * (plans[w] - 1)
        at += reach if (reach > 0) == (last > 0) else 0
    return at


@jit
def _is_result(plans, p, j, frame):
    """Whether operand j is the result, element by element."""
    nops = plans[p + 2]
    if frame[ARGS + j] != frame[ARGS + nops - 1] or plans[p + 8 + j] != plans[p + 7 + nops]:
        return False
    for d in range(plans[p + 8 + 2 * nops]):
        w = p + 9 + 2 * nops + d * (nops + 1)
        if plans[w + 1 + j] != plans[w + nops]:
            return False
    return True


@jit
def may_divide(plans, p, frame):
    """Whether threads are there, and no element of a loop's result is another one's operand."""
    if frame[SHARE] == 0 or i64(frame[SHARE])[0] == 0:
        return False
    result = plans[p + 2] - 1
    low, high = _end(plans, p, result, frame[ARGS + result], 0), _end(plans, p, result, frame[ARGS + result], 1)
    for j in range(result):
        if not _is_result(plans, p, j, frame):
            at = frame[ARGS + j]
            if _end(plans, p, j, at, 0) < high + WIDEST and low < _end(plans, p, j, at, 1) + WIDEST:
                return False
    return True


WIDEST = 32
"""No element has more bytes."""


@jit
def divide(plans, p, accumulate, frame):
    """Run a loop whose outer dimension may be divided; returns the number of elements."""
    place = scratch(TABLE_BYTES)
    t, nops = i64(place), plans[p + 2]
    t[0], t[PLAN], t[ACCUMULATES] = address_of(plans), p, accumulate
    for j in range(nops):
        t[OPERANDS + j] = frame[ARGS + j]
    elements = plans[p + 7]
    for d in range(plans[p + 8 + 2 * nops]):
        elements *= plans[p + 9 + 2 * nops + d * (nops + 1)]
    rounds = plans[p + 9 + 2 * nops + ((plans[p + 5] >> CUT) - 1) * (nops + 1)]
    call_words(i64(frame[SHARE])[0], frame[PARTS], place, rounds, 0, 1, 0, 0, 0)
    return elements


@jit
def parts(table, first, last, sums):
    """Run a loop along part of its outer dimension."""
    base, tile = scratch(FRAME_BYTES), scratch(TILE_BYTES)
    plans, p, frame = i64(table[0]), table[PLAN], i64(base)
    nops, cut = plans[p + 2], (plans[p + 5] >> CUT) - 1
    for j in range(nops):
        frame[ARGS + j] = table[OPERANDS + j] + first * plans[p + 10 + 2 * nops + cut * (nops + 1) + j]
    run_outer(plans, p, table[ACCUMULATES], cut, last - first, frame, base, tile)
