"""Small whole powers of vectors of negative numbers, with the bits of NumPy's; see `tapegrad.vm.composed`.

NumPy's vector code leaves negative bases to scalar code, at fifty times the cost, whose results are within 0.51 units
of the last place. Here products are sums of two numbers: in most lanes there is no doubt to which number it rounds.
"""

from __future__ import annotations

from llvmlite import ir

from .doubts import is_doubtful
from .registers import constant, element_bytes, fma, lanewise
from .sums import product, total

__all__ = ["LARGEST", "signed_power"]

BITS = 6  # of exponents
LARGEST = 2.0**BITS - 1.0
RANGE = {8: (2.0**-900, 2.0**900), 4: (2.0**-100, 2.0**120)}  # of results that are not asked for; by bytes


def signed_power(builder, a, b, y):
    """Power a ** b in lanes where a is negative, else y; and where it is in doubt."""
    kind, size = a.type, element_bytes(a.type)
    negative = builder.fcmp_ordered("<", lanewise(builder, "copysign", constant(kind, 1.0), a), constant(kind, 0.0))
    wide = ir.VectorType(ir.DoubleType(), kind.count)
    operands = [v if size == 8 else builder.fpext(v, wide) for v in (lanewise(builder, "fabs", a), b)]
    high, low, is_odd, is_whole = _power(builder, *operands)
    if size == 8:
        found, rest = total(builder, high, low)
    else:
        found = builder.fptrunc(high, kind)
        rest = builder.fptrunc(builder.fadd(builder.fsub(high, builder.fpext(found, wide)), low), kind)
    least, most = (constant(kind, bound) for bound in RANGE[size])
    is_certain = is_whole
    for relation, bound in (">", least), ("<", most):
        is_certain = builder.and_(is_certain, builder.fcmp_ordered(relation, found, bound))
    is_certain = builder.and_(is_certain, builder.not_(is_doubtful(builder, found, rest)))
    y = builder.select(negative, builder.select(is_odd, builder.fneg(found), found), y)
    return y, builder.and_(negative, builder.not_(is_certain))


def _power(builder, a, b):
    """Power a ** b for a >= 0, as a sum of two numbers; whether b is odd, and whether it is whole and small."""
    kind, words = a.type, ir.VectorType(ir.IntType(64), a.type.count)
    one, count = constant(kind, 1.0), lanewise(builder, "fabs", b)
    is_small = builder.fcmp_ordered("<=", count, constant(kind, LARGEST))
    count = builder.select(is_small, count, one)
    bits = builder.fptosi(count, words)
    is_whole = builder.and_(is_small, builder.fcmp_ordered("==", builder.sitofp(bits, kind), count))
    bit = [
        builder.icmp_unsigned("!=", builder.and_(bits, ir.Constant(words, [1 << k] * kind.count)), words(None))
        for k in range(BITS)
    ]
    square, result = (a, constant(kind, 0.0)), (one, constant(kind, 0.0))
    for k in range(BITS):
        if k:
            square = _times(builder, square, square)
        multiplied = _times(builder, result, square)
        result = tuple(builder.select(bit[k], *pair) for pair in zip(multiplied, result, strict=True))
    inverse = _inverse(builder, *result)
    is_inverse = builder.fcmp_ordered("<", b, constant(kind, 0.0))
    high, low = (builder.select(is_inverse, *pair) for pair in zip(inverse, result, strict=True))
    return high, low, bit[0], is_whole


def _times(builder, a, b):
    high, low = product(builder, a[0], b[0])
    low = fma(builder, a[0], b[1], fma(builder, a[1], b[0], low))
    return total(builder, high, low)


def _inverse(builder, high, low):
    """1 / (high + low), by one step of Newton's method."""
    y = builder.fdiv(constant(high.type, 1.0), high)
    rest = builder.fsub(fma(builder, builder.fneg(y), high, 1.0), builder.fmul(y, low))
    return y, builder.fmul(y, rest)
