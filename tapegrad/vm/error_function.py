"""The error function of vectors, step by step that of SciPy, which is Cephes's [1]_, so that the bits are SciPy's.

Up to 1 it is a quotient of polynomials; beyond, 1 less exp(-x²) times another, where the exponential is that of the C
library.

References
----------
.. [1] S. L. Moshier, "Methods and Programs for Mathematical Functions", Prentice-Hall, 1989; the Cephes library,
   https://www.netlib.org/cephes: the coefficients, and the order of operations.
"""

from __future__ import annotations

from llvmlite import ir

from .doubts import beyond
from .exponentials import exp, near_exp
from .registers import constant, element_bytes, lanewise

__all__ = ["erf"]

WHOLE = 6.0  # from here on, the function rounds to 1
NEARNESS = 2.0**-46  # of what is nearly the function
NEAR = (  # numerator and denominator of erf(x) / x in x², highest power first
    (9.60497373987051638749, 90.0260197203842689217, 2232.00534594684319226, 7003.32514112805075473,
     55592.3013010394962768),
    (1.0, 33.5617141647503099647, 521.357949780152679795, 4594.32382970980127987, 22629.0000613890934246,
     49267.3942608635921086),
)  # fmt: skip
FAR = (  # of erfc(x) exp(x²) in x
    (2.46196981473530512524e-10, 0.564189564831068821977, 7.46321056442269912687, 48.6371970985681366614,
     196.520832956077098242, 526.445194995477358631, 934.528527171957607540, 1027.55188689515710272,
     557.535335369399327526),
    (1.0, 13.2281951154744992508, 86.7072140885989742329, 354.937778887819891062, 975.708501743205489753,
     1823.90916687909736289, 2246.33760818710981792, 1656.66309194161350182, 557.535340817727675546),
)  # fmt: skip


def erf(builder, x):
    """The error function, and where it is in doubt; of float32 by float64, as in SciPy."""
    if element_bytes(x.type) == 8:
        return _of_doubles(builder, x, exp)
    wide = builder.fpext(x, ir.VectorType(ir.DoubleType(), x.type.count))
    undoubted = ir.Constant(ir.VectorType(ir.IntType(1), x.type.count), [0] * x.type.count)
    y, _ = _of_doubles(builder, wide, lambda *given: (near_exp(*given), undoubted))
    least, most = (builder.fptrunc(builder.fmul(y, constant(y.type, 1.0 + k * NEARNESS)), x.type) for k in (-1, 1))
    return least, builder.fcmp_unordered("!=", least, most)


def _of_doubles(builder, x, exponential):
    one, square, magnitude = constant(x.type, 1.0), builder.fmul(x, x), lanewise(builder, "fabs", x)
    is_far = builder.fcmp_ordered(">", magnitude, one)
    beside = lanewise(builder, "minnum", magnitude, constant(x.type, WHOLE))
    factor, doubtful = exponential(builder, builder.fmul(builder.fneg(beside), beside))
    near, far = (
        [_steps(builder, at, coefficients) for coefficients in pair] for at, pair in ((square, NEAR), (beside, FAR))
    )
    over = builder.fmul(builder.select(is_far, factor, x), builder.select(is_far, far[0], near[0]))
    quotient = builder.fdiv(over, builder.select(is_far, far[1], near[1]))
    whole = builder.select(beyond(builder, x, "<", WHOLE), builder.fsub(one, quotient), one)
    y = builder.select(is_far, lanewise(builder, "copysign", whole, x), quotient)
    return y, builder.and_(doubtful, is_far)


def _steps(builder, x, coefficients):
    """Value of a polynomial whose products and sums are rounded one by one."""
    y = constant(x.type, coefficients[0])
    for coefficient in coefficients[1:]:
        y = builder.fadd(builder.fmul(y, x), constant(x.type, coefficient))
    return y
