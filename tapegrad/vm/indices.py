"""Makers of the loops that select elements by indices; imported only when one of them has to be compiled.

Operands stand as the key's arrays are broadcast: along axes that indices select, the array that is read or written has
a step of 0, and each index adds its own. ``data`` points to int64 numbers: the address of the count of faults, how many
indices there are, and for each the length and the byte stride of the axis that it selects on.  What an index beyond
its axis would reach is left alone and counted as a fault.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types

from .intrinsics import fill_zero, i64
from .jit import intrinsic, jit
from .loops import accumulate, move
from .memory import address_of

__all__ = ["gather", "scatter", "scatter_add"]

NOWHERE = -(2**62)


@intrinsic
def count_fault(typingctx, address):
    """Add one to the int64 at an address, also where other threads do."""

    def codegen(context, builder, signature, values):
        pointer = builder.inttoptr(values[0], ir.IntType(64).as_pointer())
        builder.atomic_rmw("add", pointer, ir.IntType(64)(1), "monotonic")
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@jit
def find(args, steps, words, k):
    """Byte offset that the indices of element k add; NOWHERE if one is beyond its axis."""
    at = 0
    for j in range(words[1]):
        index, length = i64(args[1 + j] + k * steps[1 + j])[0], words[2 + 2 * j]
        if index < 0:
            index += length
        if index < 0 or index >= length:
            count_fault(words[0])
            return NOWHERE
        at += index * words[3 + 2 * j]
    return at


@jit
def is_fixed(steps, words):
    """Whether the indices are the same for all elements of an inner loop."""
    for j in range(words[1]):
        if steps[1 + j] != 0:
            return False
    return True


def gather(unit: int):
    """Loop out = x at the indices, for items of `unit` bytes; zero bytes where an index is beyond its axis."""

    def loop(args, dims, steps, data):
        """Gather: out = x[indices]."""
        words = i64(address_of(data))
        n, x, step_x, out, step = dims[0], args[0], steps[0], args[1 + words[1]], steps[1 + words[1]]
        if n > 0 and is_fixed(steps, words):
            at = find(args, steps, words, 0)
            if at == NOWHERE:
                for k in range(n):
                    fill_zero(out + k * step, unit)
            elif step_x == unit and step == unit:
                move(unit, n, x + at, unit, out, unit)
            else:
                move(unit, n, x + at, step_x, out, step)
            return
        for k in range(n):
            at = find(args, steps, words, k)
            if at == NOWHERE:
                fill_zero(out + k * step, unit)
            else:
                move(unit, 1, x + k * step_x + at, unit, out + k * step, unit)

    return loop


def scatter(unit: int):
    """Loop out at the indices = v, for items of `unit` bytes; of elements that meet the last one stays."""

    def loop(args, dims, steps, data):
        """Scatter: out[indices] = v."""
        words = i64(address_of(data))
        n, v, step_v, out, step = dims[0], args[0], steps[0], args[1 + words[1]], steps[1 + words[1]]
        if n > 0 and is_fixed(steps, words):
            at = find(args, steps, words, 0)
            if at != NOWHERE:
                move(unit, n, v, step_v, out + at, step)
            return
        for k in range(n):
            at = find(args, steps, words, k)
            if at != NOWHERE:
                move(unit, 1, v + k * step_v, unit, out + k * step + at, unit)

    return loop


def scatter_add(char: str):
    """Loop out at the indices += v, for a type character."""
    dtype, unit = np.dtype(char).type, np.dtype(char).itemsize

    def loop(args, dims, steps, data):
        """Scatter: out[indices] += v."""
        words = i64(address_of(data))
        n, v, step_v, out, step = dims[0], args[0], steps[0], args[1 + words[1]], steps[1 + words[1]]
        if n > 0 and is_fixed(steps, words):
            at = find(args, steps, words, 0)
            if at == NOWHERE:
                return
            if step_v == unit and step == unit:
                accumulate("first", 1, n, v, unit, v, unit, out + at, unit, dtype)
            else:
                accumulate("first", 1, n, v, step_v, v, step_v, out + at, step, dtype)
            return
        for k in range(n):
            at = find(args, steps, words, k)
            if at != NOWHERE:
                p = v + k * step_v
                accumulate("first", 1, 1, p, unit, p, unit, out + k * step + at, unit, dtype)

    return loop
