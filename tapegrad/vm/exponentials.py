"""Exponentials of vectors of negative float64, with the bits of the C library's; see `tapegrad.vm.doubts`.

The exponent is a multiple of ln(2) and a remainder, which is kept as a sum of two numbers; so is the exponential of the
remainder, within a hundredth of a unit of the last place (ulp). That of the C library is within 0.52 ulp [1]_.

References
----------
.. [1] B. Gladman, V. Innocente, J. Mather and P. Zimmermann, "Accuracy of Mathematical Functions in Single, Double,
   Double Extended, and Quadruple Precision", 2024: 0.511 ulp at most were found for the GNU C Library.
"""

from __future__ import annotations

from llvmlite import ir

from .doubts import is_doubtful
from .registers import constant, fma, polynomial
from .sums import SIXTH, difference, product, scaled, total

__all__ = ["LEAST", "exp", "near_exp"]

LEAST = -708.0  # below, results are subnormal
LN2 = (0.6931471803691238, 1.9082149292705877e-10)  # the first with 32 bits, so that its multiples are exact
TO_INTEGER = 1.5 * 2.0**52  # added to a small number, it leaves the nearest integer in the lowest bits

# Of (exp(r) - 1 - r - r²/2 - r³/6)/r⁴ in r, highest first: by interpolation at the zeros of a Chebyshev polynomial on
# |r| <= ln(2)/2. The exponential is within 5.1e-20 with them.
EXP_COEFFICIENTS = (
    1.6082023509453773e-10,
    2.0911229795563617e-09,
    2.505208422844437e-08,
    2.7557282983917557e-07,
    2.7557319234349743e-06,
    2.4801587317135252e-05,
    0.00019841269841268285,
    0.0013888888888886554,
    0.008333333333333333,
    0.041666666666666664,
)


def exp(builder, x):
    """exp(x) for x from `LEAST` to 0, and where the C library's is in doubt."""
    power, r, low = _without_powers_of_2(builder, x)
    y, rest = _near_zero(builder, r, low)
    return _scaled(builder, y, power), is_doubtful(builder, y, rest)


def near_exp(builder, x):
    """exp(x) for x from `LEAST` to 0, within some units of the last place."""
    power, r, _ = _without_powers_of_2(builder, x)
    return _scaled(builder, polynomial(builder, r, (*EXP_COEFFICIENTS, SIXTH[0], 0.5, 1.0, 1.0)), power)


def _without_powers_of_2(builder, x):
    """The nearest multiple of ln(2), in the lowest bits of a number, and the remainder, as a sum of two."""
    shifted = fma(builder, x, 1.4426950408889634, TO_INTEGER)
    minus = builder.fsub(constant(x.type, TO_INTEGER), shifted)
    high = fma(builder, minus, LN2[0], x)  # exact
    return shifted, *difference(builder, high, builder.fneg(builder.fmul(minus, constant(x.type, LN2[1]))))


def _scaled(builder, y, power):
    """Y times a power of 2 that is in the lowest bits of a number."""
    words = ir.VectorType(ir.IntType(64), y.type.count)
    shifted = builder.shl(builder.bitcast(power, words), ir.Constant(words, [52] * words.count))
    return builder.bitcast(builder.add(builder.bitcast(y, words), shifted), y.type)


def _near_zero(builder, r, low):
    """exp(r + low) = 1 + r + r²/2 + r³/6 + low (1 + r) + r⁴ (c₁ + ...), the first four with what rounding loses."""
    square, left = product(builder, r, r)
    cube, lost = product(builder, square, r)
    third, rest = scaled(builder, cube, fma(builder, left, r, lost), SIXTH)
    y, lost = total(builder, constant(r.type, 1.0), r)
    rest = builder.fadd(fma(builder, left, 0.5, lost), rest)
    for term in builder.fmul(square, constant(r.type, 0.5)), third:
        y, lost = total(builder, y, term)
        rest = builder.fadd(rest, lost)
    series = builder.fmul(builder.fmul(square, square), polynomial(builder, r, EXP_COEFFICIENTS))
    slope = builder.fadd(r, constant(r.type, 1.0))
    return total(builder, y, builder.fadd(rest, fma(builder, slope, low, series)))
