"""Lanes of vectors in which a result may round either way: there another function is asked; see `tapegrad.vm.asking`.

A result is a sum of two numbers, the first of which is the sum, rounded. The other function's result is within 0.52
units of the last place (ulp) of the right value; where the sum of the two numbers is not within 0.03 ulp of the middle
between two neighbours, both round alike.
"""

from __future__ import annotations

from .registers import constant, lanewise

__all__ = ["beyond", "is_doubtful"]

STRETCH = 1.0625  # what is left, stretched to this, still rounds away: it is below 0.4706 ulp


def is_doubtful(builder, y, rest, stretch=STRETCH):
    """Whether y + rest, where y is the rounded sum, may be rounded otherwise; NaN is."""
    return builder.fcmp_unordered("!=", y, builder.fadd(y, builder.fmul(rest, constant(y.type, stretch))))


def beyond(builder, x, relation, bound):
    """|x| < bound, or |x| > bound; the latter holds for NaN too."""
    compare = builder.fcmp_unordered if relation == ">" else builder.fcmp_ordered
    return compare(relation, lanewise(builder, "fabs", x), constant(x.type, bound))
