"""Makers of loops that compute vectors with the bits of another loop, which is asked where these are in doubt.

A function of vectors gives a result here, and in which lanes it may not be the other loop's. The operands of those are
handed to the other loop together, after each tile; a branch for each vector would be foreseen by no processor.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from .error_function import erf
from .intrinsics import call_loop, copy_bytes, f32, f64, i64, u8
from .jit import intrinsic, jit
from .log_sums import logaddexp
from .memory import address_of, gather, scatter, scratch
from .powers import signed_power
from .registers import vector_type
from .sines import cos, sin
from .vectors import lanes

__all__ = ["TILE", "asker", "attempt", "loop"]

TILE = 256  # elements, so that a place among them is a byte
FUNCTIONS = {f.__name__: f for f in (sin, cos, erf, logaddexp, signed_power)}
READERS = {"f": f32, "d": f64}


@intrinsic(prefer_literal=True)
def attempt(typingctx, name, operands, y, flags, dtype):
    """Vector at address y = the named function of as many of those at `operands` as it takes; flags where in doubt."""
    function = FUNCTIONS[name.literal_value]
    count = function.__code__.co_argcount - 1

    def codegen(context, builder, signature, values):
        _, operands, y, flags, _ = values
        vector, size = vector_type(context, dtype), dtype.dtype.bitwidth // 8
        addresses = cgutils.unpack_tuple(builder, operands)[:count]
        loaded = [builder.load(builder.inttoptr(a, vector.as_pointer()), align=size) for a in addresses]
        result, doubtful = function(builder, *loaded)
        builder.store(result, builder.inttoptr(y, vector.as_pointer()), align=size)
        octets = ir.VectorType(ir.IntType(8), vector.count)
        builder.store(builder.zext(doubtful, octets), builder.inttoptr(flags, octets.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(name, operands, types.int64, types.int64, dtype), codegen


def asker(nin: int, char: str):
    """A function that puts another loop's results where flags are set among those of a tile."""
    size, numbers = np.dtype(char).itemsize, READERS[char]
    room, rooms = TILE * size, 3 * TILE * size

    @jit
    def ask(flags, m, a, step_a, b, step_b, y, words):
        chosen, call = scratch(rooms), scratch(56)
        which, found, x, z = u8(flags), u8(scratch(TILE)), numbers(chosen), numbers(y)
        count = 0
        for i in range(m):
            found[count] = i
            count += which[i]
        if count == 0:
            return
        for k in range(count):
            x[k] = numbers(a + found[k] * step_a)[0]
            x[TILE + k] = numbers(b + found[k] * step_b)[0]
        given = i64(call)
        for k in range(3):
            given[k], given[4 + k] = chosen + k * room, size
        given[nin], given[3] = chosen + 2 * room, count
        call_loop(words[0], call, call + 24, call + 32, words[1])
        for k in range(count):
            z[found[k]] = x[2 * TILE + k]

    return ask


def loop(function: str, nin: int, char: str):
    """Loop y = f(a) or f(a, b) for a name in `FUNCTIONS`; `data` points at the other loop: its address and its data."""
    dtype, size = np.dtype(char).type, np.dtype(char).itemsize
    room, ask, both = TILE * size, asker(nin, char), nin == 2

    def loop(args, dims, steps, data):
        """One or two operands; b is a where there is one."""
        words = i64(address_of(data))
        n, a, b, y = dims[0], args[0], args[nin - 1], args[nin]
        step_a, step_b, step_y = steps[0], steps[nin - 1], steps[nin]
        first, second, found, flags, width = scratch(room), scratch(room), scratch(room), scratch(TILE), lanes(dtype)
        for start in range(0, n, TILE):
            m = min(TILE, n - start)
            padded = (m + width - 1) // width * width
            at_a, at_b, at_y = a + start * step_a, b + start * step_b, y + start * step_y
            x, z = at_a, at_b
            if m < padded or step_a != size:
                gather(first, at_a, step_a, m, padded, dtype)
                x = first
            if both and (m < padded or step_b != size):
                gather(second, at_b, step_b, m, padded, dtype)
                z = second
            for i in range(0, padded, width):
                attempt(function, (x + i * size, z + i * size), found + i * size, flags + i, dtype)
            ask(flags, m, at_a, step_a, at_b, step_b, found, words)
            if step_y == size:
                copy_bytes(at_y, found, m * size)
            else:
                scatter(at_y, step_y, found, m, dtype)

    return loop
