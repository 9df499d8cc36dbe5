"""The interpreter: runs instructions over memory, and knows nothing of rows, shapes or derivatives.

Inline opcodes take a few float64 elements and cost a few nanoseconds; `LOOP` and `GUFUNC` call an inner
loop by address over any number of dimensions; `GROUP` runs a stretch of loops tile by tile, so that what
lies between them stays in the first-level cache; `NATIVE` calls code that was made for one program; `CALL`
returns to Python. Plans are laid out by `tapegrad.vm.plans`.

Python's signals wait while compiled code runs. So the interpreter counts the elements that it has worked on, and after
`LOOK` of them, a few milliseconds, returns between two instructions or tiles as if there were a call-out.
"""

from __future__ import annotations

from .inner import ARGS, DIMS, ODOMETER, SAVED, STEPS, address, run_inner, run_outer
from .intrinsics import call_loop, fill_zero, i32, i64, load, store
from .jit import jit
from .opcodes import (
    ACCUMULATE,
    ADD,
    ADD_ACC,
    AT_ADDR,
    AT_CODE,
    AT_CONSTS,
    AT_FRAME,
    AT_PLANS,
    AT_SCRATCH,
    CALL,
    CHUNK,
    CODE_LEN,
    COPY,
    COPY_ACC,
    COUNT_BITS,
    CUT,
    DIV,
    DIV_ACC,
    GROUP,
    GUFUNC,
    LOOK,
    LOOP,
    LOOP_ACC,
    MUL,
    MUL_ACC,
    NATIVE,
    NEG,
    NEG_ACC,
    PC,
    SCRATCH_TILES,
    SHARED,
    START,
    STEP_A,
    STEP_B,
    SUB,
    SUB_ACC,
    SUM,
    SUM_ACC,
    TILE,
    TILE_BYTES,
    WORK,
    ZERO,
)
from .sharing import divide, may_divide, may_share, share

__all__ = ["execute", "run"]

COUNT_MASK = (1 << COUNT_BITS) - 1


@jit
def _run_gufunc(plans, p, frame, base):
    """A generalised loop: plan = fn, data, nops, ncore, nsteps, batch, ndim, dims, steps, outer dimensions.

    Returns a number of elements that take as long.
    """
    nops, ncore, nsteps, ndim = plans[p + 2], plans[p + 3], plans[p + 4], plans[p + 6]
    q = p + 7
    for j in range(nops):
        frame[SAVED + j] = frame[ARGS + j]
    outer = q + ncore + nops + nsteps
    work = plans[p + 5]
    for d in range(ndim):
        frame[ODOMETER + d] = 0
        work *= plans[outer + d * (nops + 1)]
    if work == 0:
        return 0
    for d in range(ncore):
        work *= max(plans[q + d], 1)
    while True:
        frame[DIMS] = plans[p + 5]
        for d in range(ncore):
            frame[DIMS + 1 + d] = plans[q + d]
        for j in range(nops):
            frame[ARGS + j] = frame[SAVED + j]
        for j in range(nops + nsteps):
            frame[STEPS + j] = plans[q + ncore + j]
        call_loop(plans[p], base, base + 8 * DIMS, base + 8 * STEPS, plans[p + 1])
        d = 0
        while d < ndim:
            w = outer + d * (nops + 1)
            frame[ODOMETER + d] += 1
            if frame[ODOMETER + d] < plans[w]:
                for j in range(nops):
                    frame[SAVED + j] += plans[w + 1 + j]
                break
            for j in range(nops):
                frame[SAVED + j] -= plans[w + 1 + j] * (plans[w] - 1)
            frame[ODOMETER + d] = 0
            d += 1
        if d == ndim:
            return work >> 2


@jit
def _run_inline(code, pc, end, addr, consts):
    """Run inline opcodes until another one comes; a loop of its own, so that all it needs stays in registers."""
    while pc < end:
        head = code[pc]
        op, words = head & 255, (head >> 8) & 255
        if op >= LOOP:
            return pc
        plan = code[pc + 1]
        n = plan & COUNT_MASK
        d = address(code[pc + 2], addr, consts)
        p = address(code[pc + 3], addr, consts)
        i = 8 if plan & STEP_A else 0
        q, j = p, i
        if words > 4:
            q = address(code[pc + 4], addr, consts)
            j = 8 if plan & STEP_B else 0
        stop = d + 8 * n
        if op == MUL:
            while d < stop:
                store(d, load(p) * load(q))
                d, p, q = d + 8, p + i, q + j
        elif op == ADD:
            while d < stop:
                store(d, load(p) + load(q))
                d, p, q = d + 8, p + i, q + j
        elif op == MUL_ACC:
            while d < stop:
                store(d, load(d) + load(p) * load(q))
                d, p, q = d + 8, p + i, q + j
        elif op == COPY_ACC:
            while d < stop:
                store(d, load(d) + load(p))
                d, p, q = d + 8, p + i, q + j
        elif op == COPY:
            while d < stop:
                store(d, load(p))
                d, p, q = d + 8, p + i, q + j
        elif op == SUB:
            while d < stop:
                store(d, load(p) - load(q))
                d, p, q = d + 8, p + i, q + j
        elif op == DIV:
            while d < stop:
                store(d, load(p) / load(q))
                d, p, q = d + 8, p + i, q + j
        elif op == NEG:
            while d < stop:
                store(d, -load(p))
                d, p, q = d + 8, p + i, q + j
        elif op == SUM or op == SUM_ACC:
            total = 0.0
            for k in range(n):
                total += load(p + i * k)
            store(d, total if op == SUM else load(d) + total)
        elif op == NEG_ACC:
            while d < stop:
                store(d, load(d) - load(p))
                d, p, q = d + 8, p + i, q + j
        elif op == DIV_ACC:
            while d < stop:
                store(d, load(d) + load(p) / load(q))
                d, p, q = d + 8, p + i, q + j
        elif op == ADD_ACC:
            while d < stop:
                store(d, load(d) + (load(p) + load(q)))
                d, p, q = d + 8, p + i, q + j
        elif op == SUB_ACC:
            while d < stop:
                store(d, load(d) + (load(p) - load(q)))
                d, p, q = d + 8, p + i, q + j
        pc += words
    return pc


@jit
def execute(code, pc, end, addr, consts, plans, frame, base, scratch, most):
    """Run ``code[pc:end]``; return `end`, or where a CALL stands that Python must run, or after `most` elements.

    `frame` is int64 working memory that begins at address `base`; `scratch` that of the tiles.
    """
    group_pc, group_first, group_end, group_n, start = 0, 0, -1, 0, 0
    work = frame[WORK]
    scratch += (SCRATCH_TILES - 1) * TILE_BYTES
    while pc < end:
        head = code[pc]
        op, words = head & 255, (head >> 8) & 255
        plan = code[pc + 1]
        if op < LOOP:  # a group may end with these: what asks for its next tile is below
            pc, words = _run_inline(code, pc, end if group_end < 0 else group_end, addr, consts), 0
        elif op == LOOP or op == LOOP_ACC:
            nops = plans[plan + 2]
            for k in range(nops - 1):
                frame[ARGS + k] = address(code[pc + 3 + k], addr, consts)
            frame[ARGS + nops - 1] = address(code[pc + 2], addr, consts)
            if group_n:
                for k in range(nops):
                    frame[ARGS + k] += start * plans[plan + 8 + nops + k]
                run_inner(plans, plan, op >= LOOP + ACCUMULATE, min(TILE, group_n - start), frame, base, scratch)
                work += TILE
            elif plans[plan + 7] >= SHARED and may_share(
                code, pc, pc + words, addr, consts, plans, frame, plans[plan + 7]
            ):
                share(code, pc, pc + words, addr, consts, plans, frame, scratch, plans[plan + 7], 0, plans[plan + 7])
                work += plans[plan + 7]
            elif plans[plan + 8 + 2 * nops] == 0:
                run_inner(plans, plan, op >= LOOP + ACCUMULATE, plans[plan + 7], frame, base, scratch)
                work += plans[plan + 7]
            elif plans[plan + 5] >> CUT and may_divide(plans, plan, frame):
                work += divide(plans, plan, op >= LOOP + ACCUMULATE, frame)
            else:
                work += run_outer(plans, plan, op >= LOOP + ACCUMULATE, -1, 0, frame, base, scratch)
        elif op == GUFUNC:
            nops = plans[plan + 2]
            for k in range(nops - 1):
                frame[ARGS + k] = address(code[pc + 3 + k], addr, consts)
            frame[ARGS + nops - 1] = address(code[pc + 2], addr, consts)
            work += _run_gufunc(plans, plan, frame, base)
        elif op == NATIVE:
            call_loop(address(code[pc + 2], addr, consts), address(code[pc + 3], addr, consts), 0, 0, 0)
        elif op == ZERO:
            fill_zero(address(code[pc + 2], addr, consts) + plans[plan], plans[plan + 1])
            work += plans[plan + 1] >> 3
        elif op == CALL:
            frame[WORK] = 0
            return pc
        elif op == GROUP:
            group_n, start = plans[plan], frame[START]
            frame[START] = 0
            group_pc, group_first = pc, pc + words
            group_end = group_first + plans[plan + 1]
            if group_n >= SHARED and may_share(code, group_first, group_end, addr, consts, plans, frame, group_n):
                while start < group_n and work < most:
                    stop = min(start + CHUNK, group_n)
                    share(code, group_first, group_end, addr, consts, plans, frame, scratch, group_n, start, stop)
                    work += (stop - start) * (plans[plan + 1] >> 2)
                    start = stop
                if start < group_n:
                    frame[WORK], frame[START] = 0, start
                    return group_pc
                pc, words, group_n, group_end = group_end, 0, 0, -1
        pc += words
        if pc == group_end:
            start += TILE
            if start >= group_n:
                group_n, group_end = 0, -1
            elif work < most:
                pc = group_first
            else:
                frame[WORK], frame[START] = 0, start
                return group_pc
        if work >= most and group_end < 0 and pc < end:
            frame[WORK] = 0
            return pc
    frame[WORK] = work
    return end


@jit
def run(at):
    """Run a linked program from ``state[PC]`` on; it stops at ``state[CODE_LEN]``, at a call-out, or for a look."""
    state = i64(at)
    base = state[AT_FRAME]
    state[PC] = execute(
        i32(state[AT_CODE]), state[PC], state[CODE_LEN], i64(state[AT_ADDR]), i64(state[AT_CONSTS]),
        i64(state[AT_PLANS]), i64(base), base, state[AT_SCRATCH], LOOK,
    )  # fmt: skip
