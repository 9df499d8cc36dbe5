"""Distributions that are incomplete gamma and beta functions of other arguments, and their quantiles.

References: A&S chapter 26 (26.4.19 chi-square and Poisson, 26.5.24 binomial, 26.5.27 Student's t, 26.6.2 F).
"""

from __future__ import annotations

from ..toolchain import math
from .incomplete import beta_cdf, beta_logit, beta_quantile, gamma_cdf, gamma_quantile
from .normal import ndtri
from .registry import special

__all__ = ["student"]

# --- of the gamma function -------------------------------------------------------------------------------------------


@special(digits=4e3)
def chdtr(v, x):
    return gamma_cdf(0.5 * v, 0.5 * x, False)


@special(digits=4e3)
def chdtrc(v, x):
    return gamma_cdf(0.5 * v, 0.5 * x, True)


@special(digits=1e4)
def chdtri(v, q):
    return 2.0 * gamma_quantile(0.5 * v, 1.0 - q, q)


@special(digits=4e3)
def gdtr(a, b, x):
    return gamma_cdf(b, a * x if x >= 0.0 else math.nan, False)


@special(digits=4e3)
def gdtrc(a, b, x):
    return gamma_cdf(b, a * x if x >= 0.0 else math.nan, True)


@special(digits=1e4)
def gdtrix(a, b, p):
    return gamma_quantile(b, p, 1.0 - p) / a


@special(digits=1e4)
def gdtria(p, b, x):
    return gamma_quantile(b, p, 1.0 - p) / x


@special(digits=4e3)
def pdtr(k, m):
    return math.nan if not (k >= 0.0 and m >= 0.0) else gamma_cdf(math.floor(k) + 1.0, m, True)


@special(digits=4e3)
def pdtrc(k, m):
    return math.nan if not (k >= 0.0 and m >= 0.0) else gamma_cdf(math.floor(k) + 1.0, m, False)


@special(digits=1e4)
def pdtri(k, y):
    return math.nan if not (k >= 0.0 and 0.0 <= y < 1.0) else gamma_quantile(math.floor(k) + 1.0, 1.0 - y, y)


# --- of the beta function --------------------------------------------------------------------------------------------


def binomial(k, n, p, upper):
    """A tail of the binomial distribution."""
    k = math.floor(k) * 1.0
    n = math.floor(n) * 1.0
    if not (0.0 <= p <= 1.0 and n >= k and math.isfinite(n)):
        return math.nan
    if k < 0.0:
        return 1.0 if upper else math.nan
    if k == n:
        return 0.0 if upper else 1.0
    return beta_cdf(n - k, k + 1.0, 1.0 - p, p, upper)


@special(digits=4e3)
def bdtr(k, n, p):
    return binomial(k, n, p, False)


@special(digits=4e3)
def bdtrc(k, n, p):
    return binomial(k, n, p, True)


@special(digits=1e4)
def bdtri(k, n, y):
    k = math.floor(k) * 1.0
    n = math.floor(n) * 1.0
    if not (0.0 <= y <= 1.0 and 0.0 <= k < n):
        return math.nan
    return beta_quantile(k + 1.0, n - k, 1.0 - y, y)


@special(digits=4e3)
def nbdtr(k, n, p):
    return math.nan if not (0.0 <= p <= 1.0 and k >= 0.0) else beta_cdf(n, k + 1.0, p, 1.0 - p, False)


@special(digits=4e3)
def nbdtrc(k, n, p):
    return math.nan if not (0.0 <= p <= 1.0 and k >= 0.0) else beta_cdf(n, k + 1.0, p, 1.0 - p, True)


@special(digits=1e4)
def nbdtri(k, n, y):
    return math.nan if not (0.0 <= y <= 1.0 and k >= 0.0) else beta_quantile(n, k + 1.0, y, 1.0 - y)


def fisher(a, b, x, upper):
    """A tail of Fisher's F distribution."""
    if not (a > 0.0 and b > 0.0 and x >= 0.0):
        return math.nan
    if x == math.inf:
        return 0.0 if upper else 1.0
    n = a * x + b
    return beta_cdf(0.5 * a, 0.5 * b, a * x / n, b / n, upper)


@special(digits=4e3)
def fdtr(a, b, x):
    return fisher(a, b, x, False)


@special(digits=4e3)
def fdtrc(a, b, x):
    return fisher(a, b, x, True)


@special(digits=1e4)
def fdtri(a, b, p):
    if not (a > 0.0 and b > 0.0 and 0.0 <= p <= 1.0):
        return math.nan
    return math.inf if p == 1.0 else 0.0 if p == 0.0 else b / a * math.exp(beta_logit(0.5 * a, 0.5 * b, p, 1.0 - p))


def student(v, t):
    """The lower tail of Student's t distribution."""
    if not v > 0.0 or t != t:
        return math.nan
    if math.isinf(t):
        return 0.0 if t < 0.0 else 1.0
    if v > 1e20:
        return 0.5 * math.erfc(-t * 0.7071067811865476)
    y = t * t / v
    tail = 0.5 * beta_cdf(0.5 * v, 0.5, 1.0 / (1.0 + y), y / (1.0 + y), False)
    return 1.0 - tail if t > 0.0 else tail


@special(digits=4e3)
def stdtr(v, t):
    return student(v, t)


@special(digits=1e4, scale=1.0)
def stdtrit(v, p):
    if not (v > 0.0 and 0.0 <= p <= 1.0):
        return math.nan
    if v > 1e20:
        return ndtri(p)
    q = min(p, 1.0 - p)
    if q == 0.5 or q == 0.0:
        return 0.0 if q == 0.5 else math.inf if p == 1.0 else -math.inf
    t = math.sqrt(v * math.exp(-beta_logit(0.5 * v, 0.5, 2.0 * q, 1.0 - 2.0 * q)))
    return -t if p < 0.5 else t


# --- of others -------------------------------------------------------------------------------------------------------


@special()
def nrdtrimn(p, std, x):
    return math.nan if not std > 0.0 else x - std * ndtri(p)


@special()
def nrdtrisd(mn, p, x):
    return (x - mn) / ndtri(p)
