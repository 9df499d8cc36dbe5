"""Loops that NumPy lacks, with NumPy's inner loop signature: accumulate, select, cast, copy.

All take any byte strides.  Accumulating loops add to their destination; with a destination step of 0 they are
reductions, summed pairwise over blocks like NumPy's own.
"""

from __future__ import annotations

import functools

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tapegrad.vm.jit import LoopKernel, inlined
from tapegrad.vm.memory import peek, poke, scratch

__all__ = ["extra_loop"]

BLOCK = 512  # elements summed straight on, in the lanes of vectors
PARTIAL_SUMS = 16 * 64  # bytes; one for each bit of a count of blocks

BY_SIZE = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}
CAST_FROM, CAST_TO = "?bBhHiIlLqQefdFD", "?ilqfdFD"


@functools.cache
def extra_loop(name: str, signature: str) -> int:
    """Address of one of tapegrad's own loops, compiled at the first request and read from the cache later.

    Parameters
    ----------
    name : str
        ``'where'`` with ``'?dd->d'`` and the like: out = a where the condition holds, else b; any type whose
        items have 1, 2, 4, 8 or 16 bytes.
        ``'copy'`` with ``'d->d'``: out = a, for the same sizes.
        ``'cast'`` with ``'i->d'``: out = a, as `numpy.ndarray.astype` with ``casting='unsafe'``.
        ``'add_into'``, ``'sub_into'`` with ``'d->d'``: dst += a, dst -= a.
        ``'multiply_add'``, ``'multiply_sub'``, ``'divide_add'``, ``'divide_sub'`` with ``'dd->d'``:
        dst += a * b, and so on; the product may be fused with the sum.
        ``'tanh_bar'``, ``'sigmoid_bar'``, ``'relu_bar'`` with ``'dd->d'``: pullbacks that accumulate, of operands
        y (the primal result), y_bar: dst += y_bar * (1 - y * y), dst += y_bar * y * (1 - y), dst += y_bar where
        not y <= 0.
    signature : str
        Type characters; accumulating loops have f, d, and all but the pullbacks F, D.

    Returns
    -------
    int
        Address of ``void loop(char **args, npy_intp *dims, npy_intp *steps, void *data)``; the destination is
        the last of `args`.  A destination step of 0 makes an accumulating loop a reduction.

    Raises
    ------
    KeyError
        If there is no such loop.
    """
    chars_in, _, char = signature.partition("->")
    if name == "where" and len(chars_in) == 3 and chars_in == "?" + 2 * char and _size(char) in BY_SIZE:
        return _where_kernel(_size(char)).address
    if name == "copy" and chars_in == char and _size(char) in BY_SIZE:
        return _copy_kernel(_size(char)).address
    if name == "cast" and len(chars_in) == len(char) == 1 and chars_in in CAST_FROM and char in CAST_TO:
        return _cast_kernel(chars_in, char).address
    if name in ACCUMULATE:
        term, sign, nin, chars = ACCUMULATE[name]
        if char and char in chars and chars_in == char * nin:
            return _accumulate_kernel(name, term, sign, nin, char).address
    raise KeyError(f"no loop {name!r} with signature {signature!r}")


def _size(char: str) -> int:
    return np.dtype(char).itemsize if len(char) == 1 and char in np.typecodes["All"] else 0


# --- accumulating loops ------------------------------------------------------------------------------------------


@inlined
def first(a, b, one):
    """a; for loops of one operand."""
    return a


@inlined(fastmath={"contract"})
def product(a, b, one):
    """a * b."""
    return a * b


@inlined
def quotient(a, b, one):
    """a / b."""
    return a / b


@inlined(fastmath={"contract"})
def tanh_bar(y, y_bar, one):
    """y_bar * (1 - y * y), the pullback of y = tanh(x)."""
    return y_bar * (one - y * y)


@inlined
def sigmoid_bar(y, y_bar, one):
    """y_bar * y * (1 - y), the pullback of y = expit(x)."""
    return y_bar * (y * (one - y))


@inlined
def relu_bar(y, y_bar, one):
    """y_bar where y = max(x, 0) is positive or NaN, else 0."""
    return one - one if y <= one - one else y_bar


# name -> term, sign, number of operands, types
ACCUMULATE = {
    "add_into": (first, 1, 1, "fdFD"),
    "sub_into": (first, -1, 1, "fdFD"),
    "multiply_add": (product, 1, 2, "fdFD"),
    "multiply_sub": (product, -1, 2, "fdFD"),
    "divide_add": (quotient, 1, 2, "fdFD"),
    "divide_sub": (quotient, -1, 2, "fdFD"),
    "tanh_bar": (tanh_bar, 1, 2, "fd"),
    "sigmoid_bar": (sigmoid_bar, 1, 2, "fd"),
    "relu_bar": (relu_bar, 1, 2, "fd"),
}


@inlined(fastmath={"contract"})
def accumulate_run(term, sign, n, a, step_a, b, step_b, dst, step, dtype):
    """dst += sign * term(a, b), element by element."""
    for i in range(n):
        value = term(peek(a, i * step_a, dtype), peek(b, i * step_b, dtype), dtype(1))
        old = peek(dst, i * step, dtype)
        poke(dst, i * step, dtype(old + value) if sign > 0 else dtype(old - value))


# `reassoc` lets the sum run in the lanes of vectors; unlike the full fastmath it keeps NaN and infinities.
@inlined(fastmath={"contract", "reassoc"})
def block_sum(term, n, a, step_a, b, step_b, dtype):
    """The sum of term(a, b) over a block."""
    total = dtype(0)
    for i in range(n):
        total += term(peek(a, i * step_a, dtype), peek(b, i * step_b, dtype), dtype(1))
    return total


@inlined
def pairwise_sum(term, n, a, step_a, b, step_b, unit_step, dtype):
    """The sum of term(a, b); partial sums of equal length meet, as the carries of a binary counter do."""
    partial = scratch(PARTIAL_SUMS)
    blocks = 0
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        if step_a == unit_step and step_b == unit_step:
            total = block_sum(term, m, a + start * unit_step, unit_step, b + start * unit_step, unit_step, dtype)
        else:
            total = block_sum(term, m, a + start * step_a, step_a, b + start * step_b, step_b, dtype)
        level, carry = 0, blocks
        while carry & 1:
            total = dtype(peek(partial, 16 * level, dtype) + total)
            level += 1
            carry >>= 1
        poke(partial, 16 * level, total)
        blocks += 1
    result, level = dtype(0), 0
    while blocks >> level:
        if blocks >> level & 1:
            result = dtype(peek(partial, 16 * level, dtype) + result)
        level += 1
    return result


@functools.cache
def _accumulate_kernel(name: str, term, sign: int, nin: int, char: str) -> LoopKernel:
    dtype = np.dtype(char).type
    unit = np.dtype(char).itemsize

    def accumulate(args, dims, steps, data):
        """dst += sign * term(a, b); a is b where there is one operand."""
        n, a, b, dst = dims[0], args[0], args[nin - 1], args[nin]
        step_a, step_b, step = steps[0], steps[nin - 1], steps[nin]
        if step == 0 and n > 1:  # one element takes the ordinary way, so that its rounding is the same
            total = pairwise_sum(term, n, a, step_a, b, step_b, unit, dtype)
            old = peek(dst, 0, dtype)
            poke(dst, 0, dtype(old + total) if sign > 0 else dtype(old - total))
        elif step == unit and step_a == unit and step_b == unit:
            accumulate_run(term, sign, n, a, unit, b, unit, dst, unit, dtype)
        elif nin == 2 and step == unit and step_a == unit and step_b == 0:
            accumulate_run(term, sign, n, a, unit, b, 0, dst, unit, dtype)
        elif nin == 2 and step == unit and step_a == 0 and step_b == unit:
            accumulate_run(term, sign, n, a, 0, b, unit, dst, unit, dtype)
        else:
            accumulate_run(term, sign, n, a, step_a, b, step_b, dst, step, dtype)

    return LoopKernel(accumulate, f"{name}_{char}")


# --- select and copy ---------------------------------------------------------------------------------------------


@inlined
def where_run(n, condition, step_c, a, step_a, b, step_b, out, step, dtype):
    """out = a where the condition is not zero, else b."""
    for i in range(n):
        x, y = peek(a, i * step_a, dtype), peek(b, i * step_b, dtype)
        poke(out, i * step, x if peek(condition, i * step_c, np.uint8) != 0 else y)


@functools.cache
def _where_kernel(unit: int) -> LoopKernel:
    dtype = BY_SIZE[unit]

    def where(args, dims, steps, data):
        """out = a where the condition holds, else b."""
        n, condition, a, b, out = dims[0], args[0], args[1], args[2], args[3]
        step_c, step_a, step_b, step = steps[0], steps[1], steps[2], steps[3]
        if step_c == 1 and step == unit and step_a == unit and step_b == unit:
            where_run(n, condition, 1, a, unit, b, unit, out, unit, dtype)
        elif step_c == 1 and step == unit and step_a == unit and step_b == 0:
            where_run(n, condition, 1, a, unit, b, 0, out, unit, dtype)
        elif step_c == 1 and step == unit and step_a == 0 and step_b == unit:
            where_run(n, condition, 1, a, 0, b, unit, out, unit, dtype)
        else:
            where_run(n, condition, step_c, a, step_a, b, step_b, out, step, dtype)

    return LoopKernel(where, f"where_{unit}")


@inlined
def copy_run(n, a, step_a, out, step, dtype):
    """out = a."""
    for i in range(n):
        poke(out, i * step, peek(a, i * step_a, dtype))


@functools.cache
def _copy_kernel(unit: int) -> LoopKernel:
    dtype = BY_SIZE[unit]

    def copy(args, dims, steps, data):
        """out = a."""
        if steps[0] == unit and steps[1] == unit:
            copy_run(dims[0], args[0], unit, args[1], unit, dtype)
        elif steps[0] == 0 and steps[1] == unit:
            copy_run(dims[0], args[0], 0, args[1], unit, dtype)
        else:
            copy_run(dims[0], args[0], steps[0], args[1], steps[1], dtype)

    return LoopKernel(copy, f"copy_{unit}")


# --- casts -------------------------------------------------------------------------------------------------------


@intrinsic
def convert(typingctx, value, dtype):
    """`value` as a C cast makes it `dtype`; the real part of a complex number, non-zero for bool."""
    source, target = value, dtype.dtype

    def codegen(context, builder, signature, values):
        number, kind = values[0], source
        if target == types.boolean:
            return context.is_true(builder, kind, number)
        if isinstance(kind, types.Complex) and not isinstance(target, types.Complex):
            number, kind = builder.extract_value(number, 0), kind.underlying_float
        return context.cast(builder, number, kind, target)

    return target(source, dtype), codegen


@intrinsic
def float_of_bits(typingctx, bits):
    """The float32 with the given bit pattern."""

    def codegen(context, builder, signature, values):
        return builder.bitcast(values[0], ir.FloatType())

    return types.float32(types.uint32), codegen


@inlined
def half_to_float(half):
    """A float16, given as uint16, as float32: shifted into place and scaled, exactly, subnormals included."""
    bits = np.uint32(half)
    magnitude = np.uint32((bits & np.uint32(0x7FFF)) << np.uint32(13))
    sign = np.uint32((bits & np.uint32(0x8000)) << np.uint32(16))
    if magnitude >= np.uint32(0x0F800000):  # infinity or NaN
        return float_of_bits(np.uint32(sign | magnitude | np.uint32(0x7F800000)))
    value = float_of_bits(magnitude) * np.float32(2.0**112)
    return np.float32(-value) if sign != np.uint32(0) else value


@inlined
def cast_run(n, a, step_a, out, step, source, target, is_half):
    """out = a, converted."""
    for i in range(n):
        if is_half:
            poke(out, i * step, convert(half_to_float(peek(a, i * step_a, np.uint16)), target))
        else:
            poke(out, i * step, convert(peek(a, i * step_a, source), target))


@functools.cache
def _cast_kernel(char_in: str, char: str) -> LoopKernel:
    is_half = char_in == "e"
    source, target = np.dtype("H" if is_half else char_in).type, np.dtype(char).type
    unit_in, unit = np.dtype(char_in).itemsize, np.dtype(char).itemsize

    def cast(args, dims, steps, data):
        """out = a, converted."""
        if steps[0] == unit_in and steps[1] == unit:
            cast_run(dims[0], args[0], unit_in, args[1], unit, source, target, is_half)
        else:
            cast_run(dims[0], args[0], steps[0], args[1], steps[1], source, target, is_half)

    # '?' is no letter for a file name, and letters differing in case alone are one file on some systems
    return LoopKernel(cast, f"cast_{np.dtype(char_in).num}_{np.dtype(char).num}")
