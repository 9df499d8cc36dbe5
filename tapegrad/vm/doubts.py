"""Lanes of vectors in which a result may round either way, or a method does not hold: there another function is asked.

A result is a sum of two numbers, the first of which is the sum, rounded. The other function's result is within 0.52
units of the last place (ulp) of the right value; where the sum of the two numbers is not within 0.03 ulp of the middle
between two neighbours, both round alike.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from .registers import constant, lanewise

__all__ = ["asked", "beyond", "is_doubtful"]

STRETCH = 1.0625  # what is left, stretched to this, still rounds away: it is below 0.4706 ulp

_INDEX = ir.IntType(32)


def is_doubtful(builder, y, rest, stretch=STRETCH):
    """Whether y + rest, where y is the rounded sum, may be rounded otherwise; NaN is."""
    return builder.fcmp_unordered("!=", y, builder.fadd(y, builder.fmul(rest, constant(y.type, stretch))))


def beyond(builder, x, relation, bound):
    """|x| < bound, or |x| > bound; the latter holds for NaN too."""
    compare = builder.fcmp_unordered if relation == ">" else builder.fcmp_ordered
    return compare(relation, lanewise(builder, "fabs", x), constant(x.type, bound))


def asked(builder, name, x, y, doubtful):
    """y, with the result of the C library's function `name` of x in the lanes that a mask names."""
    kind, bits = x.type.element, ir.IntType(x.type.count)
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
    operands, results = (cgutils.alloca_once(builder, ir.ArrayType(kind, x.type.count)) for _ in range(2))
    result = cgutils.alloca_once_value(builder, y)
    mask = builder.bitcast(doubtful, bits)
    with builder.if_then(builder.icmp_unsigned("!=", mask, bits(0)), likely=False):
        for vector, place in (x, operands), (y, results):
            builder.store(vector, builder.bitcast(place, vector.type.as_pointer()), align=4)
        left = cgutils.alloca_once_value(builder, mask)
        with cgutils.for_range(builder, builder.ctpop(mask)):
            mask = builder.load(left)
            place = [_INDEX(0), builder.zext(builder.cttz(mask, ir.IntType(1)(1)), _INDEX)]
            found = builder.call(function, [builder.load(builder.gep(operands, place))])
            builder.store(found, builder.gep(results, place))
            builder.store(builder.and_(mask, builder.sub(mask, bits(1))), left)
        builder.store(builder.load(builder.bitcast(results, y.type.as_pointer()), align=4), result)
    return builder.load(result)
