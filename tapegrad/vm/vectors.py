"""Loops over functions of vector registers: any length, any strides, every element by the same vector function.

A function here is code for one vector: a call to an address (libmvec's functions take and return vectors), or
arithmetic written out.  Elements that do not fill a vector in place, the tail and strided operands, pass through a
padded tile on the stack; so a value's result depends neither on its position nor on the length of its array.

References
----------
.. [1] N. Shibata and F. Petrogalli, "SLEEF: A Portable Vectorized Library of C Standard Mathematical Functions",
   IEEE Transactions on Parallel and Distributed Systems 31 (2020), section 4.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from .jit import intrinsic
from .memory import address_of, gather, scatter, scratch
from .registers import constant, lanewise, spread, vector_type

__all__ = ["binary", "unary"]

TILE = 64  # elements; at most 512 bytes on the stack for each operand


# --- functions of vectors ----------------------------------------------------------------------------------------


def call(builder, address, *operands):
    """The function at an address."""
    vector = operands[0].type
    function = ir.FunctionType(vector, [vector] * len(operands))
    return builder.call(builder.inttoptr(address, function.as_pointer()), operands)


def expit(builder, exp, x):
    """1 / (1 + exp(-x)); both tails from e = exp(-|x|), which cannot overflow."""
    one = constant(x.type, 1.0)
    e = call(builder, exp, builder.fneg(lanewise(builder, "fabs", x)))
    numerator = builder.select(builder.fcmp_ordered("<", x, constant(x.type, 0.0)), e, one)
    return builder.fdiv(numerator, builder.fadd(one, e))


LARGE = 1e6  # beyond, the reduction by pi loses digits
TINY = 1e-8  # below, sin(x) rounds to x; keeps the sign of zero
PI_PARTS = (3.141592653589793, 1.2246467991473532e-16, -2.9947698097183397e-33)
SIN_COEFFICIENTS = (  # of SLEEF's sin_u35 [1]_, highest first
    -7.97255955009037868891952e-18,
    2.81009972710863200091251e-15,
    -7.64712219118158833288484e-13,
    1.60590430605664501629054e-10,
    -2.50521083763502045810755e-08,
    2.75573192239198747630416e-06,
    -0.000198412698412696162806809,
    0.00833333333333332974823815,
    -0.166666666666666657414808,
)


def sin(builder, unused, x):
    """sin(x) from the distance to the nearest multiple of pi."""
    k = lanewise(builder, "floor", _fma(builder, x, 1 / math.pi, 0.5))
    y = _sin_of_remainder(builder, x, k, k)
    y = builder.select(_is_beyond(builder, x, "<", TINY), x, y)
    return _large_by_libm(builder, x, y, "sin")


def cos(builder, unused, x):
    """cos(x) from the distance to the nearest odd multiple of pi/2."""
    k = lanewise(builder, "floor", builder.fmul(x, constant(x.type, 1 / math.pi)))
    y = _sin_of_remainder(builder, x, builder.fadd(k, constant(x.type, 0.5)), k)
    return _large_by_libm(builder, x, builder.fneg(y), "cos")


def _sin_of_remainder(builder, x, multiple, k):
    """(-1)^k sin(x - multiple * pi).

    The remainder is good to the last digit even next to a zero, as its first difference is exact there.
    """
    minus, d = builder.fneg(multiple), x
    for part in PI_PARTS:
        d = _fma(builder, minus, part, d)
    s = builder.fmul(d, d)
    u = constant(x.type, SIN_COEFFICIENTS[0])
    for coefficient in SIN_COEFFICIENTS[1:]:
        u = _fma(builder, u, s, coefficient)
    y = _fma(builder, s, builder.fmul(u, d), d)
    half = builder.fmul(k, constant(x.type, 0.5))
    fraction = builder.fsub(half, lanewise(builder, "floor", half))  # 0 for even k, else 1/2
    return builder.fmul(y, _fma(builder, fraction, -4.0, 1.0))


def _large_by_libm(builder, x, y, name):
    """y, with the C library's result in lanes where x is large, infinite or NaN."""
    lanes = x.type.count
    large = _is_beyond(builder, x, ">", LARGE)
    result = cgutils.alloca_once_value(builder, y)
    any_large = builder.icmp_unsigned("!=", builder.bitcast(large, ir.IntType(lanes)), ir.IntType(lanes)(0))
    with builder.if_then(any_large, likely=False):
        scalar = cgutils.get_or_insert_function(builder.module, ir.FunctionType(x.type.element, [x.type.element]), name)
        exact = y
        for lane in range(lanes):
            index = ir.IntType(32)(lane)
            value = builder.call(scalar, [builder.extract_element(x, index)])
            exact = builder.insert_element(exact, value, index)
        builder.store(builder.select(large, exact, y), result)
    return builder.load(result)


def _is_beyond(builder, x, relation, bound):
    """|x| < bound, or |x| > bound; the latter holds for NaN too."""
    compare = builder.fcmp_unordered if relation == ">" else builder.fcmp_ordered
    return compare(relation, lanewise(builder, "fabs", x), constant(x.type, bound))


def _fma(builder, *operands):
    """Return a * b + c, rounded once."""
    vector = operands[0].type
    return lanewise(builder, "fma", *(constant(vector, v) if isinstance(v, float) else v for v in operands))


FUNCTIONS = {f.__name__: f for f in (call, expit, sin, cos)}


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
