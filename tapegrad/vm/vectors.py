"""Loops over functions of vector registers: any length, any strides, every element by the same vector function.

A function here is code for one vector: a call to an address (libmvec's functions take and return vectors), or
arithmetic written out.  Elements that do not fill a vector in place, the tail and strided operands, pass through a
padded tile on the stack; so a value's result depends neither on its position nor on the length of its array.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from .hypotenuse import hypot
from .jit import intrinsic
from .memory import address_of, gather, scatter, scratch
from .registers import spread, vector_type

__all__ = ["binary", "unary"]

TILE = 64  # elements; at most 512 bytes on the stack for each operand


# --- functions of vectors ----------------------------------------------------------------------------------------


def call(builder, address, *operands):
    """The function at an address."""
    vector = operands[0].type
    function = ir.FunctionType(vector, [vector] * len(operands))
    return builder.call(builder.inttoptr(address, function.as_pointer()), operands)


FUNCTIONS = {f.__name__: f for f in (call, hypot)}


# --- vectors from and to memory ----------------------------------------------------------------------------------


@intrinsic
def lanes(typingctx, dtype):
    """Number of elements of `dtype` in a vector: a constant to the compiler."""

    def codegen(context, builder, signature, values):
        return ir.IntType(64)(vector_type(context, dtype).count)

    return types.int64(dtype), codegen


@intrinsic(prefer_literal=True)
def apply(typingctx, name, function, operands, y, dtype):
    """Vector at address y = the named function of the vectors at the addresses `operands`."""

    def codegen(context, builder, signature, values):
        _, function, operands, y, _ = values
        vector, size = vector_type(context, dtype), dtype.dtype.bitwidth // 8
        addresses = cgutils.unpack_tuple(builder, operands)
        loaded = [builder.load(builder.inttoptr(a, vector.as_pointer()), align=size) for a in addresses]
        result = FUNCTIONS[name.literal_value](builder, function, *loaded)
        builder.store(result, builder.inttoptr(y, vector.as_pointer()), align=size)
        return context.get_dummy_value()

    return types.void(name, types.int64, operands, types.int64, dtype), codegen


@intrinsic(prefer_literal=True)
def apply_to_one(typingctx, name, function, operands, y, dtype):
    """Number at address y = the named function of the numbers at `operands`, spread over a vector in registers."""

    def codegen(context, builder, signature, values):
        _, function, operands, y, _ = values
        vector = vector_type(context, dtype)
        number = vector.element.as_pointer()
        loaded = [builder.load(builder.inttoptr(a, number)) for a in cgutils.unpack_tuple(builder, operands)]
        vectors = [spread(builder, value, vector) for value in loaded]
        result = FUNCTIONS[name.literal_value](builder, function, *vectors)
        builder.store(builder.extract_element(result, ir.IntType(32)(0)), builder.inttoptr(y, number))
        return context.get_dummy_value()

    return types.void(name, types.int64, operands, types.int64, dtype), codegen


# --- loops -------------------------------------------------------------------------------------------------------


def unary(function: str, char: str):
    """Loop y = f(x) for a name in FUNCTIONS and a type character; its `data` is the address f calls, if any."""
    dtype, size = np.dtype(char).type, np.dtype(char).itemsize
    room = TILE * size

    def loop(args, dims, steps, data):
        """One operand: y = f(x)."""
        f = address_of(data)
        n, x, y, step_x, step_y = dims[0], args[0], args[1], steps[0], steps[1]
        if n == 1:
            apply_to_one(function, f, (x,), y, dtype)
            return
        width = lanes(dtype)
        start = 0
        if step_x == size and step_y == size:
            while start + width <= n:
                apply(function, f, (x + start * size,), y + start * size, dtype)
                start += width
        tile = scratch(room)
        while start < n:
            m = min(TILE, n - start)
            padded = (m + width - 1) // width * width
            gather(tile, x + start * step_x, step_x, m, padded, dtype)
            for i in range(0, padded, width):
                apply(function, f, (tile + i * size,), tile + i * size, dtype)
            scatter(y + start * step_y, step_y, tile, m, dtype)
            start += m

    return loop


def binary(function: str, char: str):
    """Loop y = f(a, b), as `unary`."""
    dtype, size = np.dtype(char).type, np.dtype(char).itemsize
    room = TILE * size

    def loop(args, dims, steps, data):
        """Two operands: y = f(a, b)."""
        f = address_of(data)
        n, a, b, y = dims[0], args[0], args[1], args[2]
        step_a, step_b, step_y = steps[0], steps[1], steps[2]
        if n == 1:
            apply_to_one(function, f, (a, b), y, dtype)
            return
        width = lanes(dtype)
        start = 0
        if step_a == size and step_b == size and step_y == size:
            while start + width <= n:
                apply(function, f, (a + start * size, b + start * size), y + start * size, dtype)
                start += width
        tile_a = scratch(room)
        tile_b = scratch(room)
        while start < n:
            m = min(TILE, n - start)
            padded = (m + width - 1) // width * width
            gather(tile_a, a + start * step_a, step_a, m, padded, dtype)
            gather(tile_b, b + start * step_b, step_b, m, padded, dtype)
            for i in range(0, padded, width):
                apply(function, f, (tile_a + i * size, tile_b + i * size), tile_a + i * size, dtype)
            scatter(y + start * step_y, step_y, tile_a, m, dtype)
            start += m

    return loop
