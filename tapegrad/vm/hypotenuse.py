"""Length of the hypotenuse as code for one vector, step by step that of glibc since 2.35, so that the bits are NumPy's.

References
----------
.. [1] C. F. Borges, "Algorithm 1014: An Improved Algorithm for hypot(x, y)", ACM Transactions on Mathematical Software
   47 (2020), 9: the root of the sum of squares, less the remainder of its square over twice the root.
"""

from __future__ import annotations

from llvmlite import ir

from .registers import constant, element_bytes, lanewise

__all__ = ["hypot"]

LARGE, TINY = 2.0**511, 2.0**-459  # beyond, and below, squares are not to be trusted: numbers are scaled
SCALE = 2.0**600
NEGLIGIBLE = 2.0**-54


def hypot(builder, unused, a, b):
    """The root of the sum of the squares; infinite if an operand is, even beside NaN."""
    a, b = lanewise(builder, "fabs", a), lanewise(builder, "fabs", b)
    y = _of_floats(builder, a, b) if element_bytes(a.type) == 4 else _of_doubles(builder, a, b)
    infinity = constant(a.type, float("inf"))
    for operand in a, b:
        y = builder.select(builder.fcmp_ordered("==", operand, infinity), infinity, y)
    return y


def _of_floats(builder, a, b):
    """By float64, in which squares of float32 are exact."""
    wide = ir.VectorType(ir.DoubleType(), a.type.count)
    squares = [builder.fmul(x, x) for x in (builder.fpext(a, wide), builder.fpext(b, wide))]
    return builder.fptrunc(lanewise(builder, "sqrt", builder.fadd(*squares)), a.type)


def _of_doubles(builder, a, b):
    lesser = builder.fcmp_ordered("<", a, b)
    large, small = builder.select(lesser, b, a), builder.select(lesser, a, b)
    one = constant(a.type, 1.0)
    too_large = builder.fcmp_ordered(">", large, constant(a.type, LARGE))
    too_small = builder.fcmp_ordered("<", small, constant(a.type, TINY))
    up, down = constant(a.type, SCALE), constant(a.type, 1 / SCALE)
    factor = builder.select(too_large, down, builder.select(too_small, up, one))
    back = builder.select(too_large, up, builder.select(too_small, down, one))
    y = builder.fmul(_root(builder, builder.fmul(large, factor), builder.fmul(small, factor)), back)
    negligible = builder.fcmp_ordered("<=", small, builder.fmul(large, constant(a.type, NEGLIGIBLE)))
    return builder.select(negligible, builder.fadd(large, small), y)


def _root(builder, large, small):
    """What is above, where large >= small > 0 and their squares are finite and normal."""
    add, subtract, multiply = builder.fadd, builder.fsub, builder.fmul
    two, four = constant(large.type, 2.0), constant(large.type, 4.0)
    h = lanewise(builder, "sqrt", add(multiply(large, large), multiply(small, small)))
    steep = builder.fcmp_ordered("<=", h, multiply(two, small))
    over = subtract(h, builder.select(steep, small, large))
    twice = multiply(two, over)
    steep_parts = (
        multiply(large, subtract(twice, large)),
        multiply(subtract(over, multiply(two, subtract(large, small))), over),
    )
    flat_parts = (
        multiply(twice, subtract(large, multiply(two, small))),
        add(multiply(subtract(multiply(four, over), small), small), multiply(over, over)),
    )
    first, second = [builder.select(steep, *pair) for pair in zip(steep_parts, flat_parts, strict=True)]
    return subtract(h, builder.fdiv(add(first, second), multiply(two, h)))
