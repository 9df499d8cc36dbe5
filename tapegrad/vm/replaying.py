"""A compiled program as a C function, ``replay(table, inputs, outputs, answers)``, without Python and its lock.

Any number of threads may be in it at once. Each takes an *instance* of the plan -- the interpreter's state, a table of
addresses, and the block in which values stand -- from a pool, or makes a new one, and gives it back. The pool is a row
of words that are exchanged atomically, so that no thread waits for another.
"""

from __future__ import annotations

from .call_fields import (
    ADDRESSES,
    ALLOCATE_ZERO,
    ANOTHER_PATH,
    ANSWER_BYTES,
    ANSWER_EXPECTED,
    ANSWER_MOVES,
    ANSWER_N_MOVES,
    ANSWER_SLOT,
    ANSWER_WORDS,
    ANSWERS,
    CALL_OUT,
    CHECK_SIGNALS,
    COPIED,
    DIMS,
    DONE,
    FAILED,
    FAULTS,
    FETCH,
    FRAME_BYTES,
    HOLD,
    ITEMSIZE,
    KIND,
    LENGTH,
    LET_GO,
    MEMORY,
    MEMORY_BYTES,
    MOVED_INPUTS,
    MOVES,
    N_ADDRESSES,
    N_ANSWERS,
    N_MOVED_INPUTS,
    N_MOVES,
    N_OUTPUTS,
    NBYTES,
    NDIM,
    NO_MEMORY,
    OUT_OF_RANGE,
    OUTPUT_WORDS,
    OUTPUTS,
    POOL,
    POOLED,
    RAISED,
    RELEASE_BLOCK,
    RUN,
    SCRATCH_BYTES,
    STATE,
    TABLE,
)
from .intrinsics import call_python, copy_bytes, exchange, i32, i64, put_if_empty, u8
from .jit import jit
from .opcodes import AT_ADDR, AT_CODE, AT_FRAME, AT_SCRATCH, CALL, CODE_LEN, PC, START, STATE_FIELDS

__all__ = ["replay"]

ODOMETER = 128  # in the interpreter's frame, as there


@jit
def block_of(instance, at):
    """Where the values of an instance stand: behind its state, frame and addresses; the plan's own elsewhere."""
    p = i64(at)
    if instance == p[STATE]:
        return p[MEMORY]
    return (instance + 8 * STATE_FIELDS + p[FRAME_BYTES] + 8 * p[N_ADDRESSES] + 63) & ~63


@jit
def new_instance(at):
    """Another instance like the plan's own; 0 where there is no memory."""
    p = i64(at)
    n, block = p[N_ADDRESSES], p[MEMORY_BYTES]
    head = 8 * STATE_FIELDS + p[FRAME_BYTES] + 8 * n
    made = call_python(p[ALLOCATE_ZERO], 1, head + block + p[SCRATCH_BYTES] + 128, 0)
    if made == 0:
        return 0
    fresh, first = i64(made), i64(p[STATE])
    for k in range(STATE_FIELDS):
        fresh[k] = first[k]
    start = block_of(made, at)
    fresh[AT_FRAME] = made + 8 * STATE_FIELDS
    fresh[AT_ADDR] = fresh[AT_FRAME] + p[FRAME_BYTES]
    fresh[AT_SCRATCH] = (start + block + 63) & ~63
    own, original = i64(fresh[AT_ADDR]), i64(p[ADDRESSES])
    for k in range(n):
        address = original[k]
        inside = p[MEMORY] <= address and address < p[MEMORY] + block
        own[k] = address + start - p[MEMORY] if inside else address
    if p[TABLE] >= 0:
        own[p[TABLE]] = fresh[AT_ADDR]
    return made


@jit
def take(at):
    """An instance that nobody else uses, by the address of its state; 0 where there is no memory."""
    for k in range(POOL, POOL + POOLED):
        if i64(at)[k] != 0:
            found = exchange(at + 8 * k, 0)
            if found != 0:
                return found
    return new_instance(at)


@jit
def give(instance, at):
    """Hand an instance back."""
    for k in range(POOL, POOL + POOLED):
        if i64(at)[k] == 0 and put_if_empty(at + 8 * k, instance) != 0:
            return
    if instance != i64(at)[STATE]:
        call_python(i64(at)[RELEASE_BLOCK], instance, 0, 0)


@jit
def move(moves, n, own, to):
    """Let slots stand at offsets from an address; `own` is the address table's."""
    for k in range(n):
        i64(own)[i64(moves)[2 * k]] = to + i64(moves)[2 * k + 1]


@jit
def copy_out(to, source, which, frame):
    """An output's elements, one after the other, wherever they stand; `which` is the address of what is known of it."""
    o = i64(which)
    ndim, size = o[NDIM], o[ITEMSIZE]
    if ndim == 0:
        copy_bytes(to, source, o[NBYTES])
        return
    counts = o[DIMS]
    strides, last = counts + 8 * ndim, to + o[NBYTES]
    for d in range(ndim):
        frame[ODOMETER + d] = 0
    while to < last:
        if size == 8:
            i64(to)[0] = i64(source)[0]
        else:
            for k in range(size):
                u8(to)[k] = u8(source)[k]
        to += size
        d = ndim - 1
        while d >= 0:
            frame[ODOMETER + d] += 1
            source += i64(strides)[d]
            if frame[ODOMETER + d] < i64(counts)[d]:
                break
            source -= i64(strides)[d] * i64(counts)[d]
            frame[ODOMETER + d] = 0
            d -= 1


@jit
def is_the_path(own, at):
    """Whether all questions have the answers that the program was recorded with."""
    p = i64(at)
    for k in range(p[N_ANSWERS]):
        a = i64(p[ANSWERS] + 8 * ANSWER_WORDS * k)
        found, expected = i64(own)[a[ANSWER_SLOT]], a[ANSWER_EXPECTED]
        for j in range(a[ANSWER_BYTES]):
            if u8(found)[j] != u8(expected)[j]:
                return 0
    return 1


@jit
def see_to_signals(at):
    """Let Python run the handlers of signals that have come; returns whether one raised, which is kept aside then."""
    p = i64(at)
    held = call_python(p[HOLD], 0, 0, 0) & 0xFFFFFFFF
    raised = call_python(p[CHECK_SIGNALS], 0, 0, 0) & 0xFFFFFFFF
    if raised != 0:
        call_python(p[FETCH], p[RAISED], p[RAISED] + 8, p[RAISED] + 16)
    call_python(p[LET_GO], held, 0, 0)
    return raised


@jit
def run_to_the_end(instance, at):
    """All instructions; Python runs those that have no loop, and sees to signals. Returns whether that went well."""
    p, now = i64(at), i64(instance)
    now[PC], now[CODE_LEN] = 0, p[LENGTH]
    i64(now[AT_FRAME])[START] = 0  # the replay before may have been interrupted
    call_python(p[RUN], instance, 0, 0)
    while now[PC] < p[LENGTH]:
        if see_to_signals(at) != 0:
            return 0
        if i32(now[AT_CODE])[now[PC]] & 255 == CALL and call_python(p[CALL_OUT], instance, 0, 0) != 0:
            return 0
        call_python(p[RUN], instance, 0, 0)
    return 1


def replay(at, inputs, outputs, answers):
    """Run the program of a table: reads what stands at `inputs`, writes `outputs` and, unless that is 0, `answers`.

    All three are addresses of addresses. Returns how it ended; outputs are right only if it is DONE. Answers that are
    asked for are not compared with those of the recording.
    """
    p = i64(at)
    instance = take(at)
    if instance == 0:
        return NO_MEMORY
    own, block = i64(instance)[AT_ADDR], block_of(instance, at)
    for k in range(p[N_MOVED_INPUTS]):
        pair = i64(p[MOVED_INPUTS] + 16 * k)
        move(pair[0], pair[1], own, i64(inputs)[k])
    for k in range(p[N_OUTPUTS]):
        o = i64(p[OUTPUTS] + 8 * OUTPUT_WORDS * k)
        if o[KIND] != COPIED:
            move(o[MOVES], o[N_MOVES], own, i64(outputs)[k])
    for k in range(p[N_ANSWERS]):
        a = i64(p[ANSWERS] + 8 * ANSWER_WORDS * k)
        move(a[ANSWER_MOVES], a[ANSWER_N_MOVES], own, block)
    status, faults = DONE, i64(p[FAULTS])[0]
    if run_to_the_end(instance, at) == 0:
        status = FAILED
    elif i64(p[FAULTS])[0] != faults:
        status = OUT_OF_RANGE
    elif answers != 0:
        for k in range(p[N_ANSWERS]):
            a = i64(p[ANSWERS] + 8 * ANSWER_WORDS * k)
            copy_bytes(i64(answers)[k], i64(own)[a[ANSWER_SLOT]], a[ANSWER_BYTES])
    elif is_the_path(own, at) == 0:
        status = ANOTHER_PATH
    if status == DONE:
        for k in range(p[N_OUTPUTS]):
            o = p[OUTPUTS] + 8 * OUTPUT_WORDS * k
            if i64(o)[KIND] == COPIED:
                copy_out(i64(outputs)[k], i64(own)[i64(o)[MOVES]], o, i64(i64(instance)[AT_FRAME]))
    give(instance, at)
    return status
