"""The gamma function and its relatives."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .registry import PI, scalar, special, truncated


@special(digits=1e3)
def gamma(x: Any) -> Any:
    if is_pole(x):
        return math.copysign(math.inf, x) if x == 0.0 else math.nan
    return math.gamma(x)


def sin_pi(x):
    """sin(pi x), zero at whole numbers, by its series: the compiler's own sine is made for numbers of any size."""
    r = x - 2.0 * math.floor(0.5 * x + 0.5)  # from -1 to 1
    r = math.copysign(1.0 - math.fabs(r), r) if math.fabs(r) > 0.5 else r
    w = r * r
    return r * (3.141592653589793 - w * (5.16771278004997 - w * (2.5501640398773455 - w * (
        0.5992645293207921 - w * (0.08214588661112823 - w * (0.0073704309457143504 - w * (
        0.00046630280576761255 - w * (2.1915353447830217e-05 - w * (7.952054001475513e-07 - w * (
        2.2948428997269873e-08 - w * (5.392664662608129e-10 - w * 1.0518471716932065e-11)))))))))))  # fmt: skip


def _log_gamma(x: Any) -> Any:
    """Logarithm of the gamma function's magnitude, by Stirling's series (A&S 6.1.41) beyond 10: CUDA's own spills."""
    if x != x or x == math.inf:
        return x
    reflected = x < 0.5
    factor = 1.0
    if reflected:
        if x == math.floor(x):
            return math.inf
        factor = PI / math.fabs(sin_pi(x))
        x = 1.0 - x
    y = x
    while y < 10.0:
        factor *= y
        y += 1.0
    w = 1.0 / (y * y)
    series = (
        0.08333333333333333 - w * (0.002777777777777778 - w * (0.0007936507936507937 - w * (
            0.0005952380952380953 - w * (0.0008417508417508417 - w * 0.0019175269175269176))))
    ) / y  # fmt: skip
    value = (y - 0.5) * math.log(y) - y + 0.9189385332046727 + series
    return math.log(factor) - value if reflected else value - math.log(factor)


def log_gammas(a, b, c, d):
    """Logarithm of the magnitude of gamma(a) gamma(b) / (gamma(c) gamma(d)).

    In a loop, as in other places here: compilers put a function in at each place that calls it.
    """
    total = 0.0
    for k in range(4):
        y = _log_gamma(a if k == 0 else b if k == 1 else c if k == 2 else d)
        total += y if k < 2 else -y
    return total


def is_pole(x):
    """Whether the gamma function has a pole there."""
    return x <= 0.0 and x == math.floor(x)


def gamma_quotient(a, b, c, d):
    """gamma(a) gamma(b) / (gamma(c) gamma(d)); zero where c or d is a pole."""
    if is_pole(c) or is_pole(d):
        return 0.0
    sign = 1.0
    for k in range(4):
        sign *= gammasgn(a if k == 0 else b if k == 1 else c if k == 2 else d)
    return sign * math.exp(log_gammas(a, b, c, d))


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
    if is_pole(x):
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


def stirling_of_beta(a, b):
    """The rests of Stirling's formula in the beta function."""
    total = 0.0
    for k in range(3):
        y = stirling(a if k == 0 else b if k == 1 else a + b)
        total += y if k < 2 else -y
    return total


def log_beta(a, b):
    """Logarithm of the beta function of positive numbers."""
    total = 0.9189385332046727 + stirling_of_beta(a, b) - 0.5 * math.log(a + b)
    for _ in range(2):
        total += (0.5 - a) * math.log1p(b / a)
        a, b = b, a
    return total


@special(digits=1e3, scale=1.0)
def betaln(a: Any, b: Any) -> Any:
    return log_beta(a, b) if a > 0.0 and b > 0.0 else log_gammas(a, b, a + b, 1.0)


@special(digits=1e4)
def beta(a: Any, b: Any) -> Any:
    return math.exp(log_beta(a, b)) if a > 0.0 and b > 0.0 else gamma_quotient(a, b, a + b, 1.0)


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


@special(digits=1e4)
def poch(a, m):
    if m == math.floor(m) and math.fabs(m) < 100.0:
        y = product(a if m >= 0.0 else a + m, math.fabs(m))
        return y if m >= 0.0 else 1.0 / y
    if a > 0.0 and a + m > 0.0:
        return math.exp(log_pochhammer(a, m))
    top, bottom = a + m, a
    if is_pole(top):
        if not is_pole(a):
            return math.inf
        top, bottom = 1.0 - a, 1.0 - top
    return gamma_quotient(top, 1.0, bottom, 1.0)


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
    return gamma_quotient(n + 1.0, 1.0, k + 1.0, n - k + 1.0)
