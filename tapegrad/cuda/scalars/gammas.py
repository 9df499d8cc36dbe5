"""The gamma function and its relatives."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .registry import PI, scalar, special, truncated


@special(digits=1e3)
def gamma(x: Any) -> Any:
    if x == math.floor(x) and x <= 0.0:
        return math.copysign(math.inf, x) if x == 0.0 else math.nan
    return math.gamma(x)


def _log_gamma(x: Any) -> Any:
    """Logarithm of the gamma function's magnitude, by Stirling's series (A&S 6.1.41) beyond 10: CUDA's own spills."""
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


@special(digits=200, scale=1.0)
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


@special(digits=1e3)
def rgamma(x: Any) -> Any:
    if x == math.floor(x) and x <= 0.0:
        return 0.0
    return 1.0 / math.gamma(x)


def stirling(z):
    """The rest of Stirling's formula: log gamma(z) - (z - 1/2) log z + z - log(2 pi) / 2, for z > 0 (DLMF 5.11.1)."""
    rest = 0.0
    while z < 10.0:
        rest += (z + 0.5) * math.log1p(1.0 / z) - 1.0
        z += 1.0
    w = 1.0 / (z * z)
    return rest + (
        0.08333333333333333 - w * (0.002777777777777778 - w * (0.0007936507936507937 - w * (0.0005952380952380953
            - w * (0.0008417508417508417 - w * (0.0019175269175269176 - w * 0.00641025641025641)))))
    ) / z  # fmt: skip


def log_beta(a, b):
    """Logarithm of the beta function of positive numbers."""
    return (
        (0.5 - a) * math.log1p(b / a) + (0.5 - b) * math.log1p(a / b) - 0.5 * math.log(a + b)
        + 0.9189385332046727 + stirling(a) + stirling(b) - stirling(a + b)
    )  # fmt: skip


@special(digits=1e3, scale=1.0)
def betaln(a: Any, b: Any) -> Any:
    if a > 0.0 and b > 0.0:
        return log_beta(a, b)
    return _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)


@special(digits=1e4)
def beta(a: Any, b: Any) -> Any:
    return math.exp(betaln(a, b)) if a > 0.0 and b > 0.0 else math.gamma(a) / math.gamma(a + b) * math.gamma(b)


@special(digits=1e3, scale=1.0)
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


@special(digits=1e3, scale=1.0)
def loggamma(x):
    return math.nan if x < 0.0 or x == -math.inf else math.inf if x == 0.0 else _log_gamma(x)


def log_pochhammer(a, m):
    """Logarithm of gamma(a + m) / gamma(a) for positive arguments, without the cancellation of a difference."""
    return (a + m - 0.5) * math.log1p(m / a) + m * (math.log(a) - 1.0) + stirling(a + m) - stirling(a)


def product(a, count):
    """a (a + 1) ... (a + count - 1)."""
    result = 1.0
    k = 0.0
    while k < count:
        result *= a + k
        k += 1.0
    return result


def signed_gamma_ratio(a, b):
    """gamma(a) / gamma(b), where neither is a pole or only the second."""
    if b <= 0.0 and b == math.floor(b):
        return 0.0
    sign = gammasgn(a) * gammasgn(b)
    if a > 0.0 and b > 0.0:
        return math.exp(log_pochhammer(b, a - b))
    return sign * math.exp(_log_gamma(a) - _log_gamma(b))


@special(digits=1e4)
def poch(a, m):
    if m == math.floor(m) and math.fabs(m) < 100.0:
        return product(a, m) if m >= 0.0 else 1.0 / product(a + m, -m)
    if a + m <= 0.0 and a + m == math.floor(a + m):
        return math.inf if a > 0.0 or a != math.floor(a) else math.exp(_log_gamma(1.0 - a) - _log_gamma(1.0 - a - m))
    return signed_gamma_ratio(a + m, a)


@special(digits=1e4)
def binom(n, k):
    if n < 0.0 and n == math.floor(n):
        return math.nan
    whole = k == math.floor(k)
    if whole and n == math.floor(n) and k > 0.5 * n and n > 0.0:
        k = n - k
    if whole and math.fabs(k) < 60.0:
        return 0.0 if k < 0.0 else product(n - k + 1.0, k) / product(1.0, k)
    if n > k and k > -1.0:
        return math.exp(-log_beta(n - k + 1.0, k + 1.0)) / (n + 1.0)
    if (k <= 0.0 and whole) or (n - k < 0.0 and n - k == math.floor(n - k)):
        return 0.0
    return (
        gammasgn(n + 1.0)
        * gammasgn(k + 1.0)
        * gammasgn(n - k + 1.0)
        * math.exp(_log_gamma(n + 1.0) - _log_gamma(k + 1.0) - _log_gamma(n - k + 1.0))
    )
