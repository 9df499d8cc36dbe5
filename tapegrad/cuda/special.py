"""Scalar functions of SciPy's special functions, as far as they have short forms.

References
----------
.. [1] P. J. Acklam, "An algorithm for computing the inverse normal cumulative distribution function" (2003), whose
   rational function is the start of a Newton iteration here.
.. [2] M. Abramowitz, I. A. Stegun, "Handbook of Mathematical Functions" (1964): 6.3.18 (digamma), 7.1.23 (erfc).
"""

from __future__ import annotations

from typing import Any

from .scalars import PI, scalar, truncated
from .toolchain import math

__all__ = ["DIGITS", "DOUBLE", "SCALES", "load"]

DOUBLE = {
    "log_ndtr",
    "ndtri",
    "erfinv",
    "erfcinv",
    "erfcx",
    "psi",
    "beta",
    "betaln",
    "gammaln",
    "exprel",
    "boxcox",
    "powm1",
}
"""Records whose functions work in double precision for every dtype: their series need its digits."""
DIGITS = {
    "gamma": 1e3,
    "rgamma": 1e3,
    "beta": 1e4,
    "betaln": 1e3,
    "gammaln": 200.0,
    "log_ndtr": 1e3,
    "psi": 1e3,
    "erfcx": 1e3,
}
"""How many units in the last place a record's function may be off, where that is more than a few."""
SCALES = {"sinc": 1.0, "gammaln": 1.0, "betaln": 1.0, "psi": 1.0, "kl_div": 1.0, "sindg": 1.0, "cosdg": 1.0}
"""Size of the terms of functions that are differences of larger numbers."""
SQRT_HALF = 0.7071067811865476


def load() -> None:
    """Nothing more: the functions are registered when this module is imported."""


# --- logarithms and powers -------------------------------------------------------------------------------------------


@scalar("f")
def xlogy(x: Any, y: Any) -> Any:
    return x * math.log(y) if x != 0.0 or y != y else 0.0


@scalar("f")
def xlog1py(x: Any, y: Any) -> Any:
    return x * math.log1p(y) if x != 0.0 or y != y else 0.0


@scalar("f")
def entr(x: Any) -> Any:
    if x > 0.0:
        return -x * math.log(x)
    return x if x != x else 0.0 if x == 0.0 else -math.inf


@scalar("f")
def rel_entr(x: Any, y: Any) -> Any:
    if x != x or y != y:
        return x + y
    if x > 0.0 and y > 0.0:
        return x * math.log(x / y)
    return 0.0 if x == 0.0 and y >= 0.0 else math.inf


@scalar("f")
def kl_div(x: Any, y: Any) -> Any:
    if x != x or y != y:
        return x + y
    if x > 0.0 and y > 0.0:
        return x * math.log(x / y) - x + y
    return y if x == 0.0 and y >= 0.0 else math.inf


@scalar("f")
def huber(delta: Any, r: Any) -> Any:
    if delta < 0.0:
        return math.inf
    size = math.fabs(r)
    return 0.5 * r * r if size <= delta else delta * (size - 0.5 * delta)


@scalar("f")
def pseudo_huber(delta: Any, r: Any) -> Any:
    if delta < 0.0:
        return math.inf
    if delta == 0.0 or r == 0.0:
        return 0.0
    v = (r / delta) * (r / delta)
    return delta * delta * (v / (1.0 + math.sqrt(1.0 + v)))  # sqrt(1 + v) - 1, without cancellation


@scalar("f")
def logit(x: Any) -> Any:
    if 0.3 <= x <= 0.65:  # near 0, where the quotient is near 1
        s = 2.0 * (x - 0.5)
        return math.log1p(s) - math.log1p(-s)
    return math.log(x / (1.0 - x))


@scalar("f")
def log_expit(x: Any) -> Any:
    return x - math.log1p(math.exp(x)) if x < 0.0 else -math.log1p(math.exp(-x))


@scalar("f")
def exprel(x: Any) -> Any:
    if math.fabs(x) < 1e-16:
        return 1.0
    return math.inf if x > 717.0 else math.expm1(x) / x


@scalar("f")
def boxcox(x: Any, power: Any) -> Any:
    if math.fabs(power) < 1e-19:
        return math.log(x)
    return math.expm1(power * math.log(x)) / power


@scalar("f")
def boxcox1p(x: Any, power: Any) -> Any:
    t = math.log1p(x)
    return t if math.fabs(power) < 1e-19 or (math.fabs(t) < 1e-289) else math.expm1(power * t) / power


@scalar("f")
def inv_boxcox(x: Any, power: Any) -> Any:
    return math.exp(x) if power == 0.0 else math.exp(math.log1p(power * x) / power)


@scalar("f")
def inv_boxcox1p(x: Any, power: Any) -> Any:
    if power == 0.0:
        return math.expm1(x)
    if math.fabs(power * x) < 1e-154:
        return x
    return math.expm1(math.log1p(power * x) / power)


@scalar("f")
def exp10(x: Any) -> Any:
    return math.pow(10.0, x)


@scalar("f")
def powm1(x: Any, y: Any) -> Any:
    if x > 0.0 and (math.fabs(y * (x - 1.0)) < 0.5 or math.fabs(y) < 0.2):
        return math.expm1(y * math.log(x))
    return math.pow(x, y) - 1.0


# --- trigonometric functions -----------------------------------------------------------------------------------------


@scalar("f")
def cosm1(x: Any) -> Any:
    s = math.sin(0.5 * x)
    return -2.0 * s * s


def _turn(x: Any) -> Any:
    """Degrees brought to between -180 and 180."""
    r = truncated(x, 360.0)
    return r - 360.0 if r > 180.0 else r + 360.0 if r < -180.0 else r


@scalar("f")
def sindg(x: Any) -> Any:
    if math.fabs(x) > 1e14:  # SciPy gives up there, too
        return 0.0
    r = _turn(x)
    if math.fabs(r) == 180.0:
        return 0.0
    return math.cos((90.0 - r) * (PI / 180.0)) if 45.0 < r < 135.0 else math.sin(r * (PI / 180.0))


@scalar("f")
def cosdg(x: Any) -> Any:
    if math.fabs(x) > 1e14:
        return 0.0
    r = math.fabs(_turn(x))
    return math.sin((90.0 - r) * (PI / 180.0)) if 45.0 < r < 135.0 else math.cos(r * (PI / 180.0))


@scalar("f")
def radian(d: Any, m: Any, s: Any) -> Any:
    return ((d * 60.0 + m) * 60.0 + s) * (PI / 648000.0)


# --- the error function and the normal distribution ------------------------------------------------------------------


@scalar("f")
def erf(x: Any) -> Any:
    return math.erf(x)


@scalar("f")
def erfc(x: Any) -> Any:
    return math.erfc(x)


@scalar("f")
def ndtr(x: Any) -> Any:
    return 0.5 * math.erfc(-x * SQRT_HALF)


@scalar("f")
def erfcx(x: Any) -> Any:
    if x < 6.0:
        return math.exp(x * x) * math.erfc(x) if x > -26.7 else math.inf
    # The continued fraction of [2]_, 7.1.14, from its tail; it converges fast for such x.
    t = x
    for k in range(30, 0, -1):
        t = x + 0.5 * k / t
    return 0.5641895835477563 / t


@scalar("f")
def log_ndtr(x: Any) -> Any:
    if x > -1.0:
        return math.log1p(-0.5 * math.erfc(x * SQRT_HALF))
    t = -x * SQRT_HALF
    return math.log(0.5 * erfcx(t)) - t * t


def _normal_quantile(p: Any) -> Any:
    """Quantile of the normal distribution for p up to 0.5, by Newton's method on its logarithm."""
    if p < 0.02425:
        q = math.sqrt(-2.0 * math.log(p))
        x = (
            ((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838) * q
              - 2.549732539343734) * q + 4.374664141464968) * q + 2.938163982698783
        ) / (
            (((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q + 3.754408661907416) * q
            + 1.0
        )  # fmt: skip
    else:
        q = p - 0.5
        r = q * q
        x = (
            (((((-3.969683028665376e01 * r + 2.209460984245205e02) * r - 2.759285104469687e02) * r
               + 1.383577518672690e02) * r - 3.066479806614716e01) * r + 2.506628277459239) * q
        ) / (
            ((((-5.447609879822406e01 * r + 1.615858368580409e02) * r - 1.556989798598866e02) * r
              + 6.680131188771972e01) * r - 1.328068155288572e01) * r + 1.0
        )  # fmt: skip
    for _ in range(2):  # Newton: x -= (log Phi(x) - log p) Phi(x) / phi(x)
        t = -x * SQRT_HALF
        tail = 0.5 * erfcx(t)
        x -= (math.log(tail / p) - t * t) * tail * 2.5066282746310002
    return x


@scalar("f")
def ndtri(p: Any) -> Any:
    if p <= 0.0 or p >= 1.0 or p != p:
        return -math.inf if p == 0.0 else math.inf if p == 1.0 else math.nan
    return _normal_quantile(p) if p <= 0.5 else -_normal_quantile(1.0 - p)


@scalar("f")
def erfinv(y: Any) -> Any:
    if y == 0.0:
        return y
    if math.fabs(y) >= 1.0:
        return math.copysign(math.inf, y) if math.fabs(y) == 1.0 else math.nan
    x = SQRT_HALF * ndtri(0.5 * (1.0 + y)) if math.fabs(y) > 0.5 else y * 0.8862269254527580
    for _ in range(3 if math.fabs(y) <= 0.5 else 1):
        e = math.erf(x) - y if math.fabs(y) <= 0.5 else 0.0
        d = e * 0.8862269254527580 * math.exp(x * x)
        x -= d / (1.0 + x * d)  # Halley's step
    return x


@scalar("f")
def erfcinv(y: Any) -> Any:
    return -SQRT_HALF * ndtri(0.5 * y)


# --- the gamma function ----------------------------------------------------------------------------------------------


@scalar("f")
def gamma(x: Any) -> Any:
    if x == math.floor(x) and x <= 0.0:
        return math.copysign(math.inf, x) if x == 0.0 else math.nan
    return math.gamma(x)


def _log_gamma(x: Any) -> Any:
    """Logarithm of the gamma function's magnitude, by Stirling's series ([2]_, 6.1.41) beyond 10: CUDA's own spills."""
    if x != x or x == math.inf:
        return x
    reflected = x < 0.5
    shift = x * 0.0
    if reflected:
        if x == math.floor(x):
            return math.inf
        shift = math.log(PI / math.fabs(math.sin(PI * (x - math.floor(x)))))
        x = 1.0 - x
    factor = 1.0
    y = x
    while y < 10.0:
        factor *= y
        y += 1.0
    w = 1.0 / (y * y)
    series = (
        0.08333333333333333 - w * (0.002777777777777778 - w * (0.0007936507936507937 - w * (
            0.0005952380952380953 - w * (0.0008417508417508417 - w * 0.0019175269175269176))))
    ) / y  # fmt: skip
    value = (y - 0.5) * math.log(y) - y + 0.9189385332046727 + series - math.log(factor)
    return shift - value if reflected else value


@scalar("f")
def gammaln(x: Any) -> Any:
    return _log_gamma(x) if x > -math.inf or x != x else x


@scalar("f")
def gammasgn(x: Any) -> Any:
    if x != x or x == -math.inf:
        return math.nan
    if x > 0.0:
        return 1.0
    f = math.floor(x) * 1.0
    if x == f:
        return math.copysign(1.0, x) if x == 0.0 else math.nan
    return -1.0 if truncated(f, 2.0) != 0.0 else 1.0


@scalar("f")
def rgamma(x: Any) -> Any:
    if x == math.floor(x) and x <= 0.0:
        return 0.0
    return 1.0 / math.gamma(x)


@scalar("f")
def betaln(a: Any, b: Any) -> Any:
    return _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)


@scalar("f")
def beta(a: Any, b: Any) -> Any:
    return math.exp(betaln(a, b)) if a > 0.0 and b > 0.0 else math.gamma(a) / math.gamma(a + b) * math.gamma(b)


@scalar("f")
def psi(x: Any) -> Any:
    if x == 0.0:
        return math.copysign(math.inf, -x)
    shift = x * 0.0
    if x < 0.0:
        if x == math.floor(x):
            return math.nan
        shift = -PI / math.tan(PI * (x - math.floor(x)))  # reflection
        x = 1.0 - x
    while x < 10.0:
        shift -= 1.0 / x
        x += 1.0
    w = 1.0 / (x * x)
    series = w * (
        0.08333333333333333
        - w * (0.008333333333333333 - w * (0.003968253968253968 - w * (0.004166666666666667 - w * (
            0.007575757575757576 - w * (0.021092796092796094 - w * 0.08333333333333333)))))
    )  # fmt: skip
    return shift + math.log(x) - 0.5 / x - series
