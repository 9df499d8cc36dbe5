"""Makers of the loops of `tapegrad.vm.kernels`; imported only when one of them has to be compiled.

All take any byte strides.  Accumulating loops add to their destination; with a destination step of 0 they are
reductions, summed in blocks of blocks, so that the rounding error hardly grows with the length.
"""

from __future__ import annotations

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from .jit import intrinsic
from .memory import element

__all__ = ["accumulating", "cast", "copy", "share", "where"]

BLOCK, SUPERBLOCK = 512, 64 * 512  # elements; a block is summed in the lanes of vectors


# --- accumulating loops ------------------------------------------------------------------------------------------
#
# A term takes and returns numbers as lists of their real components.  `contract` allows a fused multiply-add.

CONTRACT = ("contract",)


def first(builder, a, b):
    """The operand itself; for loops of one operand."""
    return a


def product(builder, a, b):
    """Product a * b, real or complex."""
    if len(a) == 1:
        return [builder.fmul(a[0], b[0], flags=CONTRACT)]
    real, imag = [[builder.fmul(x, y, flags=CONTRACT) for x, y in zip(a, pair, strict=True)] for pair in (b, b[::-1])]
    return [builder.fsub(*real, flags=CONTRACT), builder.fadd(*imag, flags=CONTRACT)]


def quotient(builder, a, b):
    """Quotient a / b."""
    return [builder.fdiv(a[0], b[0])]


def tanh_bar(builder, y, y_bar):
    """y_bar * (1 - y * y), the pullback of y = tanh(x)."""
    slope = builder.fsub(y[0].type(1.0), builder.fmul(y[0], y[0], flags=CONTRACT), flags=CONTRACT)
    return [builder.fmul(y_bar[0], slope, flags=CONTRACT)]


def sigmoid_bar(builder, y, y_bar):
    """y_bar * y * (1 - y), the pullback of y = expit(x)."""
    slope = builder.fmul(y[0], builder.fsub(y[0].type(1.0), y[0]))
    return [builder.fmul(y_bar[0], slope, flags=CONTRACT)]


def relu_bar(builder, y, y_bar):
    """y_bar where y = max(x, 0) is positive or NaN, else 0."""
    zero = y[0].type(0.0)
    return [builder.select(builder.fcmp_ordered("<=", y[0], zero), zero, y_bar[0])]


TERMS = {f.__name__: f for f in (first, product, quotient, tanh_bar, sigmoid_bar, relu_bar)}


def _components(context, dtype):
    """LLVM type of a component, and how many a number has."""
    number = dtype.dtype
    if isinstance(number, types.Complex):
        return context.get_value_type(number.underlying_float), 2
    return context.get_value_type(number), 1


def _load(builder, base, index, step, kind, count):
    pointer = element(builder, base, index, step, kind)
    return [builder.load(builder.gep(pointer, [ir.IntType(32)(k)])) for k in range(count)]


def _store(builder, numbers, base, index, step, kind):
    pointer = element(builder, base, index, step, kind)
    for k, number in enumerate(numbers):
        builder.store(number, builder.gep(pointer, [ir.IntType(32)(k)]))


@intrinsic(prefer_literal=True)
def accumulate(typingctx, term, sign, n, a, step_a, b, step_b, dst, step, dtype):
    """Accumulate dst += sign * term(a, b), element by element."""

    def codegen(context, builder, signature, values):
        n, a, step_a, b, step_b, dst, step = values[2:9]
        kind, count = _components(context, dtype)
        combine = builder.fadd if sign.literal_value > 0 else builder.fsub
        with cgutils.for_range(builder, n) as loop:
            x = _load(builder, a, loop.index, step_a, kind, count)
            y = _load(builder, b, loop.index, step_b, kind, count)
            new = TERMS[term.literal_value](builder, x, y)
            old = _load(builder, dst, loop.index, step, kind, count)
            numbers = [combine(*pair, flags=CONTRACT) for pair in zip(old, new, strict=True)]
            _store(builder, numbers, dst, loop.index, step, kind)
        return context.get_dummy_value()

    return types.void(term, sign, *[types.int64] * 7, dtype), codegen


@intrinsic(prefer_literal=True)
def block_sum(typingctx, term, start, stop, a, step_a, b, step_b, dtype):
    """The sum of term(a, b) from index start to stop.

    The additions alone may be reordered, to run in the lanes of vectors; NaN and infinities are kept.
    """

    def codegen(context, builder, signature, values):
        start, stop, a, step_a, b, step_b = values[1:7]
        kind, count = _components(context, dtype)
        totals = [cgutils.alloca_once_value(builder, kind(0.0)) for _ in range(count)]
        with cgutils.for_range(builder, stop, start=start) as loop:
            x = _load(builder, a, loop.index, step_a, kind, count)
            y = _load(builder, b, loop.index, step_b, kind, count)
            values = TERMS[term.literal_value](builder, x, y)
            for total, value in zip(totals, values, strict=True):
                builder.store(builder.fadd(builder.load(total), value, flags=("contract", "reassoc")), total)
        numbers = [builder.load(total) for total in totals]
        if count == 1:
            return numbers[0]
        return context.make_complex(builder, dtype.dtype, cgutils.make_anonymous_struct(builder, numbers))._getvalue()

    return dtype.dtype(term, *[types.int64] * 6, dtype), codegen


@intrinsic(prefer_literal=True)
def add_number(typingctx, sign, dst, value):
    """Accumulate dst += sign * value, for one number."""

    def codegen(context, builder, signature, values):
        _, dst, value = values
        pointer = builder.inttoptr(dst, context.get_value_type(signature.args[2]).as_pointer())
        old = builder.load(pointer, align=4)
        symbol = operator.add if sign.literal_value > 0 else operator.sub
        kind = signature.args[2]
        add = context.get_function(symbol, kind(kind, kind))
        builder.store(add(builder, (old, value)), pointer, align=4)
        return context.get_dummy_value()

    return types.void(sign, types.int64, value), codegen


def accumulating(term: str, sign: int, nin: int, char: str):
    """Loop dst += sign * term(a, b), for a name in TERMS, 1 or 2 operands and a type character."""
    dtype, unit = np.dtype(char).type, np.dtype(char).itemsize
    wide = {"f": np.float64, "F": np.complex128}.get(char, dtype)  # of sums of blocks

    def loop(args, dims, steps, data):
        """Accumulate dst += sign * term(a, b); a is b where there is one operand."""
        n, a, b, dst = dims[0], args[0], args[nin - 1], args[nin]
        step_a, step_b, step = steps[0], steps[nin - 1], steps[nin]
        contiguous = step_a == unit and step_b == unit
        if step == 0 and n > 1:  # one element takes the ordinary way, so that its rounding is the same
            total = wide(0)
            for outer in range(0, n, SUPERBLOCK):
                subtotal = wide(0)
                for start in range(outer, min(outer + SUPERBLOCK, n), BLOCK):
                    stop = min(start + BLOCK, n)
                    if contiguous:
                        subtotal += block_sum(term, start, stop, a, unit, b, unit, dtype)
                    else:
                        subtotal += block_sum(term, start, stop, a, step_a, b, step_b, dtype)
                total += subtotal
            add_number(sign, dst, dtype(total))
        elif step == unit and contiguous:
            accumulate(term, sign, n, a, unit, b, unit, dst, unit, dtype)
        elif step == unit and step_a == unit and step_b == 0:
            accumulate(term, sign, n, a, unit, b, 0, dst, unit, dtype)
        elif step == unit and step_a == 0 and step_b == unit:
            accumulate(term, sign, n, a, 0, b, unit, dst, unit, dtype)
        else:
            accumulate(term, sign, n, a, step_a, b, step_b, dst, step, dtype)

    return loop


# --- select, copy and cast ---------------------------------------------------------------------------------------


def _bits(size):
    """LLVM type and alignment that move items of `size` bytes; complex numbers need no more than 8."""
    return ir.IntType(8 * size), min(size, 8)


@intrinsic(prefer_literal=True)
def select(typingctx, size, n, condition, step_c, a, step_a, b, step_b, out, step):
    """Select out = a where the condition's byte is not zero, else b, for items of `size` bytes."""
    kind, align = _bits(size.literal_value)

    def codegen(context, builder, signature, values):
        _, n, condition, step_c, a, step_a, b, step_b, out, step = values
        byte = ir.IntType(8)
        with cgutils.for_range(builder, n) as loop:
            x = builder.load(element(builder, a, loop.index, step_a, kind), align=align)
            y = builder.load(element(builder, b, loop.index, step_b, kind), align=align)
            flag = builder.load(element(builder, condition, loop.index, step_c, byte))
            chosen = builder.select(builder.icmp_unsigned("!=", flag, byte(0)), x, y)
            builder.store(chosen, element(builder, out, loop.index, step, kind), align=align)
        return context.get_dummy_value()

    return types.void(size, *[types.int64] * 9), codegen


def where(unit: int):
    """Loop out = a where the condition holds, else b, for items of `unit` bytes."""

    def loop(args, dims, steps, data):
        """Select: out = a where the condition holds, else b."""
        n, condition, a, b, out = dims[0], args[0], args[1], args[2], args[3]
        step_c, step_a, step_b, step = steps[0], steps[1], steps[2], steps[3]
        if step_c == 1 and step == unit and step_a == unit and step_b == unit:
            select(unit, n, condition, 1, a, unit, b, unit, out, unit)
        elif step_c == 1 and step == unit and step_a == unit and step_b == 0:
            select(unit, n, condition, 1, a, unit, b, 0, out, unit)
        elif step_c == 1 and step == unit and step_a == 0 and step_b == unit:
            select(unit, n, condition, 1, a, 0, b, unit, out, unit)
        else:
            select(unit, n, condition, step_c, a, step_a, b, step_b, out, step)

    return loop


@intrinsic(prefer_literal=True)
def share_out(typingctx, n, a, step_a, b, step_b, y_bar, step_y, out, step, dtype):
    """Share out = y_bar where a > b or either is NaN, half of it where a == b, else 0."""

    def codegen(context, builder, signature, values):
        n, a, step_a, b, step_b, y_bar, step_y, out, step, _ = values
        kind = context.get_value_type(dtype.dtype)
        with cgutils.for_range(builder, n) as loop:
            x = builder.load(element(builder, a, loop.index, step_a, kind))
            other = builder.load(element(builder, b, loop.index, step_b, kind))
            whole = builder.load(element(builder, y_bar, loop.index, step_y, kind))
            part = builder.select(builder.fcmp_ordered("<", x, other), kind(0.0), whole)
            part = builder.select(builder.fcmp_ordered("==", x, other), builder.fmul(whole, kind(0.5)), part)
            builder.store(part, element(builder, out, loop.index, step, kind))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9, dtype), codegen


def share(char: str):
    """Loop out = y_bar where a > b or either is NaN, half of it where a == b, else 0, for a type character."""
    dtype, unit = np.dtype(char).type, np.dtype(char).itemsize

    def loop(args, dims, steps, data):
        """Pullback of the greater of two numbers: out = y_bar, y_bar / 2 or 0."""
        n, a, b, y_bar, out = dims[0], args[0], args[1], args[2], args[3]
        if steps[0] == unit and steps[1] == 0 and steps[2] == unit and steps[3] == unit:
            share_out(n, a, unit, b, 0, y_bar, unit, out, unit, dtype)
        else:
            share_out(n, a, steps[0], b, steps[1], y_bar, steps[2], out, steps[3], dtype)

    return loop


@intrinsic(prefer_literal=True)
def move(typingctx, size, n, a, step_a, out, step):
    """Copy out = a, for items of `size` bytes."""
    kind, align = _bits(size.literal_value)

    def codegen(context, builder, signature, values):
        _, n, a, step_a, out, step = values
        with cgutils.for_range(builder, n) as loop:
            value = builder.load(element(builder, a, loop.index, step_a, kind), align=align)
            builder.store(value, element(builder, out, loop.index, step, kind), align=align)
        return context.get_dummy_value()

    return types.void(size, *[types.int64] * 5), codegen


def copy(unit: int):
    """Loop out = a, for items of `unit` bytes."""

    def loop(args, dims, steps, data):
        """Copy: out = a."""
        n, a, out, step_a, step = dims[0], args[0], args[1], steps[0], steps[1]
        if step == unit and step_a == unit:
            move(unit, n, a, unit, out, unit)
        elif step == unit and step_a == 0:
            move(unit, n, a, 0, out, unit)
        else:
            move(unit, n, a, step_a, out, step)

    return loop


@intrinsic(prefer_literal=True)
def convert(typingctx, is_half, n, a, step_a, out, step, source, target):
    """Cast out = a, as a C cast makes it; the real part of a complex number, non-zero for bool."""

    def codegen(context, builder, signature, values):
        _, n, a, step_a, out, step, _, _ = values
        with cgutils.for_range(builder, n) as loop:
            pointer = element(builder, a, loop.index, step_a, context.get_data_type(source.dtype))
            number, kind = context.unpack_value(builder, source.dtype, pointer), source.dtype
            if is_half.literal_value:
                number, kind = _half_to_float(builder, number), types.float32
            number = _cast(context, builder, number, kind, target.dtype)
            pointer = element(builder, out, loop.index, step, context.get_data_type(target.dtype))
            context.pack_value(builder, target.dtype, number, pointer)
        return context.get_dummy_value()

    return types.void(is_half, *[types.int64] * 5, source, target), codegen


def _cast(context, builder, number, source, target):
    if target == types.boolean:
        return context.is_true(builder, source, number)
    if isinstance(source, types.Complex) and not isinstance(target, types.Complex):
        number, source = builder.extract_value(number, 0), source.underlying_float
    return context.cast(builder, number, source, target)


def _half_to_float(builder, half):
    """A float16, given as its bits, as float32: shifted into place and scaled, exactly, subnormals included."""
    word, real = ir.IntType(32), ir.FloatType()
    bits = builder.zext(half, word)
    magnitude = builder.shl(builder.and_(bits, word(0x7FFF)), word(13))
    sign = builder.shl(builder.and_(bits, word(0x8000)), word(16))
    scaled = builder.bitcast(builder.fmul(builder.bitcast(magnitude, real), real(2.0**112)), word)
    special = builder.or_(magnitude, word(0x7F800000))  # infinity or NaN
    magnitude = builder.select(builder.icmp_unsigned(">=", magnitude, word(0x0F800000)), special, scaled)
    return builder.bitcast(builder.or_(magnitude, sign), real)


def cast(char_in: str, char: str):
    """Loop out = a, from one type character to another."""
    is_half = int(char_in == "e")
    source, target = np.dtype("H" if is_half else char_in).type, np.dtype(char).type
    unit_in, unit = np.dtype(char_in).itemsize, np.dtype(char).itemsize

    def loop(args, dims, steps, data):
        """Cast: out = a, converted."""
        n, a, out, step_a, step = dims[0], args[0], args[1], steps[0], steps[1]
        if step_a == unit_in and step == unit:
            convert(is_half, n, a, unit_in, out, unit, source, target)
        else:
            convert(is_half, n, a, step_a, out, step, source, target)

    return loop
