"""Numbers kept as a sum of two, the first of which is the sum, rounded: what roundings of vectors lose.

References
----------
.. [1] D. E. Knuth, "The Art of Computer Programming", volume 2, section 4.2.2, theorems B and C: the error of a sum.
.. [2] T. J. Dekker, "A floating-point technique for extending the available precision", Numerische Mathematik 18
   (1971), 224-242. A fused multiply-add makes the error of a product one operation.
"""

from __future__ import annotations

from .registers import constant, fma

__all__ = ["SIXTH", "TWENTY_FOURTH", "difference", "product", "scaled", "total"]

SIXTH = (0.16666666666666666, 9.25185853854297e-18)
TWENTY_FOURTH = (0.041666666666666664, 2.3129646346357427e-18)


def total(builder, a, b):
    """A + b, where the magnitude of a is the greater one."""
    y = builder.fadd(a, b)
    return y, builder.fadd(builder.fsub(a, y), b)


def difference(builder, a, b):
    """A - b, where the magnitude of a is the greater one."""
    y = builder.fsub(a, b)
    return y, builder.fsub(builder.fsub(a, y), b)


def product(builder, a, b):
    """A * b."""
    y = builder.fmul(a, b)
    return y, fma(builder, a, b, builder.fneg(y))


def scaled(builder, a, rest, factor):
    """(a + rest) times a factor that is known to the compiler, itself a sum of two."""
    y = builder.fmul(a, constant(a.type, factor[0]))
    left = fma(builder, a, factor[0], builder.fneg(y))
    return y, fma(builder, rest, factor[0], fma(builder, a, factor[1], left))
