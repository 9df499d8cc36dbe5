"""Loops: where their operands stand, a call of one of them, and calls along outer dimensions."""

from __future__ import annotations

from .intrinsics import call_loop
from .jit import jit
from .opcodes import OWN, TILE

__all__ = ["ARGS", "DIMS", "ODOMETER", "SAVED", "STEPS", "address", "run_inner", "run_outer"]

# fields of `frame`: arguments, dimensions, steps, saved arguments (twice), indices of the outer dimensions
ARGS, DIMS, STEPS, BASES, SAVED, ODOMETER = 0, 8, 16, 40, 64, 128


@jit
def address(identity, addr, consts):
    """Where an operand stands: in a table of its own if it is a constant."""
    return addr[identity] if identity >= 0 else consts[~identity]


@jit
def run_inner(plans, p, accumulate, count, frame, base, scratch):
    """One inner loop of `count` elements; frame[ARGS:] holds the operands' addresses, the result last."""
    nops = plans[p + 2]
    if count == 0:
        return
    if not accumulate:
        frame[DIMS] = count
        for j in range(nops):
            frame[STEPS + j] = plans[p + 8 + j]
        call_loop(plans[p], base, base + 8 * DIMS, base + 8 * STEPS, plans[p + 1])
        return
    if plans[p + 5] & OWN:  # a loop of its own that accumulates
        frame[DIMS] = count
        for j in range(nops):
            frame[STEPS + j] = plans[p + 8 + j]
        call_loop(plans[p + 3], base, base + 8 * DIMS, base + 8 * STEPS, plans[p + 4])
        return
    size = plans[p + 6]  # else compute into scratch memory, then add
    for j in range(nops):
        frame[BASES + j] = frame[ARGS + j]
    for start in range(0, count, TILE):
        m = min(TILE, count - start)
        frame[DIMS] = m
        for j in range(nops - 1):
            stride = plans[p + 8 + j]
            frame[ARGS + j] = frame[BASES + j] + start * stride
            frame[STEPS + j] = stride
        frame[ARGS + nops - 1] = scratch
        frame[STEPS + nops - 1] = size
        call_loop(plans[p], base, base + 8 * DIMS, base + 8 * STEPS, plans[p + 1])
        stride = plans[p + 8 + nops - 1]
        target = frame[BASES + nops - 1] + start * stride
        frame[ARGS], frame[ARGS + 1], frame[ARGS + 2] = target, scratch, target
        frame[STEPS], frame[STEPS + 1], frame[STEPS + 2] = stride, size, stride
        frame[DIMS] = m
        call_loop(plans[p + 3], base, base + 8 * DIMS, base + 8 * STEPS, plans[p + 4])


@jit
def run_outer(plans, p, accumulate, cut, length, frame, base, scratch):
    """The inner loop at each point of the outer dimensions; returns the number of elements.

    Dimension `cut`, counted from within, has that length; -1: all are as long as the plan says.
    """
    nops, count, ndim = plans[p + 2], plans[p + 7], plans[p + 8 + 2 * plans[p + 2]]
    q = p + 9 + 2 * nops
    for j in range(nops):
        frame[SAVED + j] = frame[ARGS + j]
    elements = count
    for d in range(ndim):
        frame[ODOMETER + d] = 0
        elements *= length if d == cut else plans[q + d * (nops + 1)]
    if elements == 0:
        return 0
    while True:
        for j in range(nops):
            frame[ARGS + j] = frame[SAVED + j]
        run_inner(plans, p, accumulate, count, frame, base, scratch)
        d = 0
        while d < ndim:
            w = q + d * (nops + 1)
            n = length if d == cut else plans[w]
            frame[ODOMETER + d] += 1
            if frame[ODOMETER + d] < n:
                for j in range(nops):
                    frame[SAVED + j] += plans[w + 1 + j]
                break
            for j in range(nops):
                frame[SAVED + j] -= plans[w + 1 + j] * (n - 1)
            frame[ODOMETER + d] = 0
            d += 1
        if d == ndim:
            return elements
