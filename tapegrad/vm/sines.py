"""Sine and cosine of vectors of float64, with the bits of the C library's; see `tapegrad.vm.asking`.

An angle is a multiple of pi/2 and a remainder, which is kept as a sum of two numbers, as its error would be the
result's. Of sine and cosine of the remainder the multiple chooses one, and the sign. That result is a sum of two
numbers, too, within a hundredth of a unit of the last place (ulp): in most lanes it leaves no doubt to which number the
C library rounds [2]_, which is never more than 0.52 ulp away [3]_. In the others NumPy is asked.

References
----------
.. [1] W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", Prentice-Hall, 1980, chapter 8.
.. [2] A. Ziv, "Fast evaluation of elementary mathematical functions with correctly rounded last bit", ACM Transactions
   on Mathematical Software 17 (1991), 410-423: the test whether a rounding is certain.
.. [3] B. Gladman, V. Innocente, J. Mather and P. Zimmermann, "Accuracy of Mathematical Functions in Single, Double,
   Double Extended, and Quadruple Precision", 2024: 0.516 ulp at most were found for sine and cosine of the GNU C
   Library.
"""

from __future__ import annotations

from llvmlite import ir

from .doubts import beyond, is_doubtful
from .registers import constant, fma, polynomial
from .sums import SIXTH, TWENTY_FOURTH, difference, product, scaled, total

__all__ = ["cos", "sin"]

LARGE = 1e6  # beyond, the reduction by pi/2 loses digits
TINY = 1e-8  # below, sin(x) rounds to x; keeps the sign of zero
HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
TO_INTEGER = 1.5 * 2.0**52  # added to a small number, it leaves the nearest integer in the lowest bits

# Of (sin(r)/r - 1 + r²/6)/r⁴ and of (cos(r) - 1 + r²/2 - r⁴/24)/r⁶ in r², highest first: by interpolation at the
# zeros of a Chebyshev polynomial on |r| <= pi/4. Sine and cosine are within 3.5e-20 and 1.3e-20 with them.
SIN_COEFFICIENTS = (
    -7.595311747229399e-13,
    1.605868439953773e-10,
    -2.5052107236375065e-08,
    2.7557319222325077e-06,
    -0.00019841269841268963,
    0.008333333333333333,
)
COS_COEFFICIENTS = (
    4.7506609386415944e-14,
    -1.1470545820977877e-11,
    2.087675634917923e-09,
    -2.7557319223062734e-07,
    2.4801587301586814e-05,
    -0.001388888888888889,
)


def sin(builder, x):
    """sin(x), and where it is in doubt."""
    y, doubtful = _of_quadrant(builder, x, 0)
    return builder.select(beyond(builder, x, "<", TINY), x, y), doubtful


def cos(builder, x):
    """cos(x), which is sin(x + pi/2), and where it is in doubt."""
    return _of_quadrant(builder, x, 1)


def _of_quadrant(builder, x, quadrants):
    """sin(x + quadrants * pi/2), and where it is in doubt."""
    words = ir.VectorType(ir.IntType(64), x.type.count)

    def word(value):
        return ir.Constant(words, [value] * words.count)

    shifted = fma(builder, x, 1 / HALF_PI[0], TO_INTEGER)
    multiple = builder.fsub(shifted, constant(x.type, TO_INTEGER))
    quadrant = builder.add(builder.bitcast(shifted, words), word(quadrants))
    high, low = _remainder(builder, x, builder.fneg(multiple))
    odd = builder.icmp_unsigned("!=", builder.and_(quadrant, word(1)), word(0))
    sign = builder.shl(builder.and_(quadrant, word(2)), word(62))
    pairs = zip(_cos_near_zero(builder, high, low), _sin_near_zero(builder, high, low), strict=True)
    y, rest = [builder.select(odd, *pair) for pair in pairs]
    doubtful = builder.or_(is_doubtful(builder, y, rest), beyond(builder, x, ">", LARGE))
    return builder.bitcast(builder.xor(builder.bitcast(y, words), sign), x.type), doubtful


def _remainder(builder, x, minus):
    """X plus `minus` times pi/2, as a sum of two numbers."""
    first = fma(builder, minus, HALF_PI[0], x)  # exact, but next to the zero of the other function
    second = builder.fmul(minus, constant(x.type, HALF_PI[1]))
    rest = fma(builder, minus, HALF_PI[1], builder.fneg(second))
    high = builder.fadd(first, second)
    part = builder.fsub(high, first)
    lost = builder.fadd(builder.fsub(first, builder.fsub(high, part)), builder.fsub(second, part))
    return high, builder.fadd(lost, fma(builder, minus, HALF_PI[2], rest))


def _sin_near_zero(builder, r, low):
    """sin(r + low) = r - r³/6 + low cos(r) + r⁵ (c₁ + ...), the first two with what their rounding loses."""
    square, left = product(builder, r, r)
    cube, lost = product(builder, square, r)
    lost = fma(builder, left, r, lost)
    third, left = scaled(builder, cube, lost, SIXTH)
    y, lost = difference(builder, r, third)
    series = builder.fmul(cube, builder.fmul(square, polynomial(builder, square, SIN_COEFFICIENTS)))
    slope = polynomial(builder, square, (TWENTY_FOURTH[0], -0.5, 1.0))
    series = fma(builder, slope, low, builder.fsub(series, left))
    return total(builder, y, builder.fadd(lost, series))


def _cos_near_zero(builder, r, low):
    """cos(r + low) = 1 - r²/2 + r⁴/24 - low sin(r) + r⁶ (c₁ + ...), the first three with what their rounding loses."""
    square, left = product(builder, r, r)
    half = builder.fmul(square, constant(r.type, 0.5))
    w, lost = difference(builder, constant(r.type, 1.0), half)
    lost = fma(builder, left, -0.5, lost)
    power, rest = product(builder, square, square)
    rest = fma(builder, builder.fadd(square, square), left, rest)
    fourth, rest = scaled(builder, power, rest, TWENTY_FOURTH)
    y, less = total(builder, w, fourth)
    series = builder.fmul(power, builder.fmul(square, polynomial(builder, square, COS_COEFFICIENTS)))
    slope = builder.fmul(r, polynomial(builder, square, (SIXTH[0], -1.0)))
    series = fma(builder, slope, low, builder.fadd(series, builder.fadd(rest, lost)))
    return total(builder, y, builder.fadd(less, series))
