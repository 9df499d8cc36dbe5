"""Sine and cosine of vectors of float64, within 0.8 ulp, as code for one vector; see `tapegrad.vm.vectors`.

An angle is a multiple of pi/2 and a remainder, which is kept as a sum of two numbers, as its error would be the
result's. Of sine and cosine of the remainder the multiple chooses one, and the sign.

References
----------
.. [1] W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", Prentice-Hall, 1980, chapter 8.
.. [2] D. E. Knuth, "The Art of Computer Programming", volume 2, section 4.2.2, theorem B: the error of a sum.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from .registers import constant, lanewise

__all__ = ["cos", "sin"]

LARGE = 1e6  # beyond, the reduction by pi/2 loses digits
TINY = 1e-8  # below, sin(x) rounds to x; keeps the sign of zero
HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
TO_INTEGER = 1.5 * 2.0**52  # added to a small number, it leaves the nearest integer in the lowest bits

# Of sin(r)/r - 1 and of cos(r) - 1 + r²/2 in r², highest first: found by fits that make the largest error on
# |r| <= pi/4 small, each coefficient rounded before those of higher powers are fitted; errors 3.5e-18 and 4.8e-20.
SIN_COEFFICIENTS = (
    1.5896892387747325e-10,
    -2.5050759992991123e-08,
    2.7557313705724704e-06,
    -0.00019841269829855163,
    0.008333333333322488,
    -0.16666666666666632,
)
COS_COEFFICIENTS = (
    -1.1359923180164593e-11,
    2.087572910053162e-09,
    -2.7557314399974747e-07,
    2.480158728966896e-05,
    -0.0013888888888874472,
    0.0416666666666666,
)


def sin(builder, unused, x):
    """sin(x)."""
    y = builder.select(_is_beyond(builder, x, "<", TINY), x, _of_quadrant(builder, x, 0))
    return _large_by_libm(builder, x, y, "sin")


def cos(builder, unused, x):
    """cos(x), which is sin(x + pi/2)."""
    return _large_by_libm(builder, x, _of_quadrant(builder, x, 1), "cos")


def _of_quadrant(builder, x, quadrants):
    """sin(x + quadrants * pi/2)."""
    words = ir.VectorType(ir.IntType(64), x.type.count)

    def word(value):
        return ir.Constant(words, [value] * words.count)

    shifted = _fma(builder, x, 1 / HALF_PI[0], TO_INTEGER)
    multiple = builder.fsub(shifted, constant(x.type, TO_INTEGER))
    quadrant = builder.add(builder.bitcast(shifted, words), word(quadrants))
    high, low = _remainder(builder, x, builder.fneg(multiple))
    odd = builder.icmp_unsigned("!=", builder.and_(quadrant, word(1)), word(0))
    y = builder.select(odd, _cos_near_zero(builder, high, low), _sin_near_zero(builder, high, low))
    sign = builder.shl(builder.and_(quadrant, word(2)), word(62))
    return builder.bitcast(builder.xor(builder.bitcast(y, words), sign), x.type)


def _remainder(builder, x, minus):
    """X plus `minus` times pi/2, as a sum of two numbers."""
    first = _fma(builder, minus, HALF_PI[0], x)  # exact, but next to the zero of the other function
    second = builder.fmul(minus, constant(x.type, HALF_PI[1]))
    rest = _fma(builder, minus, HALF_PI[1], builder.fneg(second))
    high = builder.fadd(first, second)
    part = builder.fsub(high, first)
    lost = builder.fadd(builder.fsub(first, builder.fsub(high, part)), builder.fsub(second, part))
    return high, builder.fadd(lost, _fma(builder, minus, HALF_PI[2], rest))


def _sin_near_zero(builder, r, low):
    """sin(r + low) = r + (c₁ r³ + (low (1 - r²/2) + r⁵ (c₂ + ...)))."""
    square = builder.fmul(r, r)
    cube = builder.fmul(square, r)
    series = _polynomial(builder, square, SIN_COEFFICIENTS[:-1])
    inner = _fma(builder, _fma(builder, square, -0.5, 1.0), low, builder.fmul(cube, builder.fmul(square, series)))
    return builder.fadd(r, _fma(builder, cube, SIN_COEFFICIENTS[-1], inner))


def _cos_near_zero(builder, r, low):
    """cos(r + low) = w + ((1 - w - r²/2) + (r⁴ (c₁ + ...) - r low)), where w = 1 - r²/2, rounded."""
    one = constant(r.type, 1.0)
    square = builder.fmul(r, r)
    half = builder.fmul(square, constant(r.type, 0.5))
    w = builder.fsub(one, half)
    lost = builder.fsub(builder.fsub(one, w), half)
    series = _polynomial(builder, square, COS_COEFFICIENTS)
    inner = _fma(builder, builder.fmul(square, square), series, builder.fneg(builder.fmul(r, low)))
    return builder.fadd(w, builder.fadd(lost, inner))


def _polynomial(builder, x, coefficients):
    y = constant(x.type, coefficients[0])
    for coefficient in coefficients[1:]:
        y = _fma(builder, y, x, coefficient)
    return y


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
    vector = next(v.type for v in operands if not isinstance(v, float))
    return lanewise(builder, "fma", *(constant(vector, v) if isinstance(v, float) else v for v in operands))
