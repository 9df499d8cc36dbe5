"""The error function and the normal distribution."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .registry import scalar, special

SQRT_HALF = 0.7071067811865476


@scalar("f")
def erf(x: Any) -> Any:
    return math.erf(x)


@scalar("f")
def erfc(x: Any) -> Any:
    return math.erfc(x)


@scalar("f")
def ndtr(x: Any) -> Any:
    return 0.5 * math.erfc(-x * SQRT_HALF)


@special(digits=1e3)
def erfcx(x: Any) -> Any:
    if x < 6.0:
        return math.exp(x * x) * math.erfc(x) if x > -26.7 else math.inf
    # The continued fraction A&S 7.1.14, from its tail; it converges the faster, the larger x is.
    t = x
    k = math.floor(8.0 + 132.0 / x) * 1.0
    while k > 0.0:
        t = x + 0.5 * k / t
        k -= 1.0
    return 0.5641895835477563 / t


@special(digits=1e3)
def log_ndtr(x: Any) -> Any:
    if x > -1.0:
        return math.log1p(-0.5 * math.erfc(x * SQRT_HALF))
    t = -x * SQRT_HALF
    return math.log(0.5 * erfcx(t)) - t * t


def _normal_quantile(p: Any) -> Any:
    """Quantile of the normal distribution for p up to 0.5, by Newton's method on its logarithm.

    It starts from the rational functions of P. J. Acklam, "An algorithm for computing the inverse normal cumulative
    distribution function" (2003).
    """
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


@special()
def ndtri(p: Any) -> Any:
    if p <= 0.0 or p >= 1.0 or p != p:
        return -math.inf if p == 0.0 else math.inf if p == 1.0 else math.nan
    x = _normal_quantile(min(p, 1.0 - p))
    return x if p <= 0.5 else -x


@special()
def erfinv(y: Any) -> Any:
    if y == 0.0:
        return y
    if math.fabs(y) >= 1.0:
        return math.copysign(math.inf, y) if math.fabs(y) == 1.0 else math.nan
    if math.fabs(y) > 0.5:
        return SQRT_HALF * ndtri(0.5 * (1.0 + y))
    x = y * 0.8862269254527580
    for _ in range(3):
        d = (math.erf(x) - y) * 0.8862269254527580 * math.exp(x * x)
        x -= d / (1.0 + x * d)  # Halley's step
    return x


@special()
def erfcinv(y: Any) -> Any:
    return -SQRT_HALF * ndtri(0.5 * y)
