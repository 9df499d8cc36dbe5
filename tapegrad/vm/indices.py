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
from .loops import _bits, _components, accumulate, move
from .memory import address_of
from .registers import spread

__all__ = ["gather", "scatter", "scatter_add"]

NOWHERE = -(2**62)

AHEAD = 8
"""Indices that are looked at together."""
SOMEWHERE, IN_A_ROW = 1, 2
"""All are inside of the axis, from its beginning; they are one behind the other, too."""

_WORD = ir.IntType(64)


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


@intrinsic
def look_ahead(typingctx, index, length):
    """What the next indices are: SOMEWHERE, IN_A_ROW, or 0 where they have to be looked at one by one."""

    def codegen(context, builder, signature, values):
        index, length = values
        words = ir.VectorType(_WORD, AHEAD)
        found = builder.load(builder.inttoptr(index, words.as_pointer()), align=8)
        inside = _all(builder, builder.icmp_unsigned("<", found, spread(builder, length, words)))
        first = spread(builder, builder.extract_element(found, ir.IntType(32)(0)), words)
        row = builder.add(first, ir.Constant(words, list(range(AHEAD))))
        kind = builder.select(_all(builder, builder.icmp_signed("==", found, row)), _WORD(IN_A_ROW), _WORD(SOMEWHERE))
        return builder.select(inside, kind, _WORD(0))

    return types.int64(types.int64, types.int64), codegen


def _all(builder, lanes):
    bits = ir.IntType(AHEAD)
    return builder.icmp_unsigned("==", builder.bitcast(lanes, bits), bits(2**AHEAD - 1))


@intrinsic(prefer_literal=True)
def move_row(typingctx, size, a, out):
    """Copy as many items of `size` bytes, one behind the other, as are looked at together."""
    kind, align = _bits(size.literal_value)

    def codegen(context, builder, signature, values):
        pointer = ir.VectorType(kind, AHEAD).as_pointer()
        value = builder.load(builder.inttoptr(values[1], pointer), align=align)
        builder.store(value, builder.inttoptr(values[2], pointer), align=align)
        return context.get_dummy_value()

    return types.void(size, types.int64, types.int64), codegen


@intrinsic
def add_row(typingctx, a, out, dtype):
    """Add as many numbers, one behind the other, as are looked at together."""

    def codegen(context, builder, signature, values):
        kind, count = _components(context, dtype)
        pointer, align = ir.VectorType(kind, count * AHEAD).as_pointer(), context.get_abi_sizeof(kind)
        pointers = [builder.inttoptr(value, pointer) for value in values[:2]]
        numbers = [builder.load(p, align=align) for p in pointers]
        builder.store(builder.fadd(*numbers), pointers[1], align=align)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, dtype), codegen


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
        ahead, k = words[1] == 1 and steps[1] == 8 and step_x == 0 and step == unit, 0
        while k < n:
            index = args[1] + 8 * k
            kind = look_ahead(index, words[2]) if ahead and k + AHEAD <= n else 0
            if kind == 0:
                at = find(args, steps, words, k)
                if at == NOWHERE:
                    fill_zero(out + k * step, unit)
                else:
                    move(unit, 1, x + k * step_x + at, unit, out + k * step, unit)
                k += 1
                continue
            if kind == IN_A_ROW and words[3] == unit:
                move_row(unit, x + i64(index)[0] * unit, out + k * unit)
            else:
                for j in range(AHEAD):
                    move(unit, 1, x + i64(index)[j] * words[3], unit, out + (k + j) * unit, unit)
            k += AHEAD

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
        ahead, k = words[1] == 1 and steps[1] == 8 and step_v == unit and step == 0, 0
        while k < n:
            index, p = args[1] + 8 * k, v + k * step_v
            kind = look_ahead(index, words[2]) if ahead and k + AHEAD <= n else 0
            if kind == 0:
                at = find(args, steps, words, k)
                if at != NOWHERE:
                    accumulate("first", 1, 1, p, unit, p, unit, out + k * step + at, unit, dtype)
                k += 1
                continue
            if kind == IN_A_ROW and words[3] == unit:
                add_row(p, out + i64(index)[0] * unit, dtype)
            else:
                for j in range(AHEAD):
                    q = p + j * unit
                    accumulate("first", 1, 1, q, unit, q, unit, out + i64(index)[j] * words[3], unit, dtype)
            k += AHEAD

    return loop
