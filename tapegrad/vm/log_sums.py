"""log(exp(a) + exp(b)) of vectors, step by step as NumPy has it from the C library, so that the bits are NumPy's.

It is the greater operand plus log1p(exp(-distance)). That logarithm is the GNU C Library's, which is FDLIBM's [1]_: of
x, or of half of 1 + x with what rounding that sum loses, by a polynomial in the square of f / (2 + f), that of float64
with fused multiply-adds.

References
----------
.. [1] Sun Microsystems, "FDLIBM, Freely Distributable LIBM", 1993, https://www.netlib.org/fdlibm, file ``s_log1p.c``:
   the coefficients and the method.
"""

from __future__ import annotations

from llvmlite import ir

from .doubts import beyond, is_doubtful
from .exponentials import LEAST as LEAST_POWER
from .exponentials import exp, near_exp
from .registers import constant, element_bytes, fma, lanewise

__all__ = ["logaddexp"]

LN2 = {8: (0.6931471803691238, 1.9082149292705877e-10), 4: (0.69313812256, 9.0580006145e-06)}  # a sum, by bytes
COEFFICIENTS = {
    8: (0.6666666666666735, 0.3999999999940942, 0.2857142874366239, 0.22222198432149784, 0.1818357216161805,
        0.15313837699209373, 0.14798198605116586),
    4: (0.66666668653, 0.40000000596, 0.28571429849, 0.22222198546, 0.1818357259, 0.15313838422, 0.1479819864),
}  # fmt: skip
HALVED = {8: 0.4142136573791504, 4: 0.4142138659954071}  # from here on, 1 + x is halved; near sqrt(2) - 1
BESIDE = 2.0**-20  # that near to it, float32 is halved or not by another bound
NEAR_ONE = 1.0 - 2.0**-12  # from here on, it is computed in another way
SMALL = 2.0**-29  # below, two terms of the series are enough
LEAST = {8: LEAST_POWER, 4: -70.0}  # below, exp(x), or what is left of it when it is rounded, would be subnormal


def logaddexp(builder, a, b):
    """log(exp(a) + exp(b)), and where it is in doubt; NaN if an operand is, infinite if the greater one is."""
    distance = builder.fsub(a, b)
    greater = builder.select(builder.fcmp_ordered(">", distance, constant(a.type, 0.0)), a, b)
    equal = builder.fcmp_ordered("==", a, b)
    below = builder.select(equal, constant(a.type, -1.0), builder.fneg(lanewise(builder, "fabs", distance)))
    x, doubtful = _exp(builder, below)
    logarithm, is_unlike = _log1p(builder, x)
    y = builder.select(equal, builder.fadd(a, constant(a.type, 0.6931471805599453)), builder.fadd(greater, logarithm))
    return y, builder.and_(builder.or_(doubtful, is_unlike), builder.not_(equal))


def _exp(builder, x):
    """exp(x) for x <= 0, and where the C library's is in doubt; there x may be NaN, too."""
    size = element_bytes(x.type)
    is_least = builder.fcmp_unordered("<", x, constant(x.type, LEAST[size]))
    x = builder.select(is_least, constant(x.type, LEAST[size]), x)
    if size == 8:
        y, doubtful = exp(builder, x)
    else:
        near = near_exp(builder, builder.fpext(x, ir.VectorType(ir.DoubleType(), x.type.count)))
        y = builder.fptrunc(near, x.type)
        rest = builder.fptrunc(builder.fsub(near, builder.fpext(y, near.type)), x.type)
        doubtful = is_doubtful(builder, y, rest, 1.0 + 2.0**-6)  # it is never more than 0.503 ulp away
    return y, builder.or_(doubtful, is_least)


def _log1p(builder, x):
    """log(1 + x) for 0 <= x <= 1, and where the C library has another way."""
    kind, size = x.type, element_bytes(x.type)
    one, half = (constant(kind, v) for v in (1.0, 0.5))
    is_halved = builder.fcmp_ordered(">=", x, constant(kind, HALVED[size]))
    above = builder.fadd(one, x)
    lost = builder.fdiv(builder.fsub(x, builder.fsub(above, one)), above)
    f = builder.select(is_halved, builder.fsub(builder.fmul(above, half), one), x)
    power, rest = (constant(kind, v) for v in LN2[size])
    square = builder.fmul(builder.fmul(half, f), f)
    s = builder.fdiv(f, builder.fadd(constant(kind, 2.0), f))
    series = builder.fmul(s, builder.fadd(square, _series(builder, builder.fmul(s, s), COEFFICIENTS[size])))
    plain = builder.fsub(f, builder.fsub(square, series))
    inner = builder.fsub(builder.fsub(square, builder.fadd(series, builder.fadd(rest, lost))), f)
    y = builder.select(is_halved, builder.fsub(power, inner), plain)
    short = builder.fsub(x, builder.fmul(builder.fmul(x, x), half))
    y = builder.select(beyond(builder, x, "<", SMALL), short, y)
    doubtful = builder.fcmp_unordered(">=", x, constant(kind, NEAR_ONE))
    beside = builder.fsub(x, constant(kind, HALVED[size]))
    doubtful = builder.or_(doubtful, beyond(builder, beside, "<", BESIDE))
    return y, doubtful


def _series(builder, z, coefficients):
    """The polynomial, without its constant term: of float64 in pairs, of float32 step by step."""
    if element_bytes(z.type) == 4:
        c = [constant(z.type, value) for value in coefficients]
        y = c[-1]
        for coefficient in c[-2::-1]:
            y = builder.fadd(coefficient, builder.fmul(z, y))
        return builder.fmul(z, y)
    z2 = builder.fmul(z, z)
    z4 = builder.fmul(z2, z2)
    pairs = [fma(builder, z, coefficients[k + 1], coefficients[k]) for k in (1, 3, 5)]
    y = fma(builder, z, coefficients[0], builder.fmul(z2, pairs[0]))
    return fma(builder, pairs[2], builder.fmul(z4, z2), fma(builder, pairs[1], z4, y))
