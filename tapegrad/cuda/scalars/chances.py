"""Kolmogorov and Smirnov's distributions, Owen's function, Tukey's lambda distribution, and inverses in logarithms."""

from __future__ import annotations

from ..toolchain import math
from .normal import log_ndtr, ndtri
from .registry import PI, filled, special, truncated
from .searching import root

__all__ = ["kolmogorov_tail"]


def kolmogorov_tail(x, upper):
    """A tail of Kolmogorov's distribution: theta functions, DLMF 20.2.4 and 20.7.32."""
    if not x > 0.0:
        return x if x != x else 1.0 if upper else 0.0
    if x < 1.0:
        total = 0.0
        k = 1.0
        while k < 8.0:
            total += math.exp(-(k * k) * (1.2337005501361697 / (x * x)))
            k += 2.0
        total *= 2.5066282746310002 / x
        return 1.0 - total if upper else total
    total = 0.0
    k = 4.0
    while k > 0.0:
        total = math.exp(-(2.0 * k - 1.0) * 2.0 * x * x) * (1.0 - total)
        k -= 1.0
    return 2.0 * total if upper else 1.0 - 2.0 * total


@special(digits=1e3)
def kolmogorov(x):
    return kolmogorov_tail(x, True)


def _kolmogorov_difference(s, a, b, c, p):
    tail = kolmogorov_tail(math.exp(s), p < 0.5)
    return p - tail if p < 0.5 else tail - (1.0 - p)


_kolmogorov_place = filled(root, curve=_kolmogorov_difference)


@special(digits=1e4)
def kolmogi(p):
    if not 0.0 <= p <= 1.0:
        return math.nan
    if p == 0.0 or p == 1.0:
        return 0.0 if p == 1.0 else math.inf
    return math.exp(_kolmogorov_place(-5.0, 4.0, 0.0, 0.0, 0.0, p))


def smirnov_sum(n, d, slope):
    """Upper tail of Smirnov's distribution, or its derivative (Birnbaum and Tingey 1951)."""
    if n > 1e5:  # what it becomes for large n (Maag and Dicaire 1971)
        u = 6.0 * n * d + 1.0
        return math.exp(-u * u / (18.0 * n)) * (-2.0 / 3.0 * u if slope else 1.0)
    total = 0.0
    logarithm = 0.0
    j = 0.0
    while j <= n * (1.0 - d) and j < n:
        left = d + j / n
        right = 1.0 - d - j / n
        if right <= 0.0:
            break
        term = math.exp(logarithm + (j - 1.0) * math.log(left) + (n - j) * math.log(right)) * d
        if slope:
            term *= 1.0 / d + (j - 1.0) / left - (n - j) / right
        total += term
        logarithm += math.log((n - j) / (j + 1.0))
        j += 1.0
    return total


@special(digits=1e4)
def smirnov(n, d):
    if not (n > 0.0 and n == math.floor(n) and 0.0 <= d <= 1.0):
        return math.nan
    return 1.0 if d == 0.0 else 0.0 if d == 1.0 else smirnov_sum(n, d, False)


@special(digits=1e4)
def smirnovp(n, d):
    if not (n > 0.0 and n == math.floor(n) and 0.0 <= d <= 1.0):
        return math.nan
    if n == 1.0:
        return -1.0
    return -1.0 if d == 0.0 else 0.0 if d == 1.0 else smirnov_sum(n, d, True)


def _smirnov_difference(d, n, b, c, p):
    return smirnov_sum(n, d, False) - p if d > 0.0 else 1.0 - p


_smirnov_place = filled(root, curve=_smirnov_difference)


@special(digits=1e4)
def smirnovi(n, p):
    if not (n > 0.0 and n == math.floor(n) and 0.0 <= p <= 1.0):
        return math.nan
    return 0.0 if p == 1.0 else 1.0 if p == 0.0 else _smirnov_place(0.0, 1.0, n, 0.0, 0.0, p)


# --- Owen ------------------------------------------------------------------------------------------------------------


def owen_integral(h, a):
    """Owen's integral for 0 < a <= 1, by the double exponential rule (Takahasi and Mori 1974)."""
    total = 0.0
    t = -3.3
    while t < 3.35:
        e = math.exp(-PI * math.sinh(t))
        x = a / (1.0 + e)
        weight = x * (e / (1.0 + e)) * PI * math.cosh(t)
        total += weight * math.exp(-0.5 * h * h * (1.0 + x * x)) / (1.0 + x * x)
        t += 0.1
    return 0.1 * total / (2.0 * PI)


@special(digits=1e4)
def owens_t(h, a):
    if h != h or a != a:
        return math.nan
    h = math.fabs(h)
    size = math.fabs(a)
    if size == 0.0 or h == math.inf:
        return 0.0 * math.copysign(1.0, a)
    tail = 0.5 * math.erfc(h * 0.7071067811865476)
    if size == math.inf:
        return math.copysign(0.5 * tail, a)
    if size <= 1.0:
        return math.copysign(owen_integral(h, size), a)
    other = 0.5 * math.erfc(h * size * 0.7071067811865476)
    return math.copysign(0.5 * (tail + other) - tail * other - owen_integral(h * size, 1.0 / size), a)


# --- inverses --------------------------------------------------------------------------------------------------------


@special(digits=1e4, scale=1.0)
def ndtri_exp(y):
    """`ndtri` of e^y: for small e^y by Newton's method, which climbs the concave `log_ndtr` from the left."""
    if y > -2.0 or y != y or y == -math.inf:
        x = ndtri(-math.expm1(y) if y > -0.1 else math.exp(y))
        return -x if y > -0.1 else x
    x = -math.sqrt(-2.0 * y)
    for _ in range(30):
        f = log_ndtr(x)
        step = (f - y) * math.exp(f + 0.5 * x * x) * 2.5066282746310002 if f + 0.5 * x * x > -30.0 else (y - f) / x
        x -= step
        if not math.fabs(step) > 1e-16 * math.fabs(x):
            break
    return x


def _tukey_difference(s, x, power, c, p):
    """The quantile at the probability whose logit is s, less x."""
    low = -math.log1p(math.exp(-s)) if s > 0.0 else s - math.log1p(math.exp(s))
    high = low - s
    return (math.expm1(power * low) - math.expm1(power * high)) / power - x


_tukey_place = filled(root, curve=_tukey_difference)


@special(digits=1e4)
def tklmbda(x, power):
    if x != x or power != power:
        return math.nan
    if power > 0.0 and math.fabs(x) * power >= 1.0:
        return 1.0 if x > 0.0 else 0.0
    if math.fabs(power) < 1e-9:
        return 1.0 / (1.0 + math.exp(-x))
    s = _tukey_place(-700.0, 700.0, x, power, 0.0, 0.0)
    return 1.0 / (1.0 + math.exp(-s))


@special(digits=1e3)
def wrightomega(x):
    """w + log w = x, by the iteration of Fritsch, Shafer and Crowley (CACM 16, 1973)."""
    if x < -50.0 or x != x:
        return math.exp(x)
    if x > 1e20:
        return x
    w = math.exp(x) if x < -2.0 else math.exp(2.0 / 3.0 * (x - 1.0)) if x < 1.0 else x - math.log(x) * (x - 1.0) / x
    for _ in range(3):
        r = x - w - math.log(w)
        q = 2.0 * (1.0 + w) * (1.0 + w + 2.0 / 3.0 * r)
        w *= 1.0 + r / (1.0 + w) * (q - r) / (q - 2.0 * r)
    return w


# --- degrees ---------------------------------------------------------------------------------------------------------


def tangent(x, cotangent):
    """The tangent or cotangent of degrees, right at multiples of 45."""
    if math.fabs(x) > 1e14:  # SciPy gives up there, too
        return 0.0
    r = truncated(x, 180.0)
    r = r + 180.0 if r < 0.0 else r  # from 0 to 180
    sign = 1.0
    if r > 90.0:
        r = 180.0 - r
        sign = -1.0
    if r == 0.0 or r == 90.0:
        return math.inf if cotangent == (r == 0.0) else 0.0
    if r == 45.0:
        return sign
    small = math.tan((r if r < 45.0 else 90.0 - r) * (PI / 180.0))
    return sign * small if cotangent == (r > 45.0) else sign / small


@special(digits=100, scale=1.0)
def tandg(x):
    return tangent(x, False)


@special(digits=100, scale=1.0)
def cotdg(x):
    return tangent(x, True)


# --- where densities have fallen -------------------------------------------------------------------------------------


FALL = 45.0
"""As in `tapegrad.primitives.scipy_parameters`, whose formulas these are."""


@special(digits=1e4)
def gamma_reach(a, x):
    sign = 1.0 if x > a else -1.0
    s = math.log1p(80.0 / x) if x > a else (FALL + x) / a
    for _ in range(60):
        value = sign * a * s - x * math.expm1(sign * s) + FALL
        step = value / (sign * (a - x * math.exp(sign * s)))
        s = s - step if math.isfinite(step) else s
    return s


@special(digits=1e4)
def beta_reach(a, b, x):
    s = (FALL - (a + b) * math.log1p(-x)) / a
    for _ in range(60):
        inner = x * math.expm1(-s)
        value = -a * s - (a + b) * math.log1p(inner) + FALL
        step = value / (-a + (a + b) * x * math.exp(-s) / (1.0 + inner))
        s = s - step if math.isfinite(step) else s
    return s


@special(digits=1e4)
def t_reach(df):
    sign = 1.0 if df > 0.0 else -1.0
    n = math.fabs(df)
    s = 1.0
    for _ in range(60):
        u = sign * s
        step = (n * (u - 0.5 * math.expm1(2.0 * u)) + FALL) / (sign * n * (1.0 - math.exp(2.0 * u)))
        s = s - step if math.isfinite(step) else s
    return s
