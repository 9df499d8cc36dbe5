"""Incomplete gamma and beta functions and their inverses, from which most distributions are made.

Densities are written by Stirling's formula with its rest, so that parameters of any size leave no cancellation. Tails
are a series on their own side of the mean (DLMF 8.11.4) and a continued fraction (8.9.2, 8.17.22) by Lentz's method.
Inverses are Newton's method on the logarithm of the tail as a function of log x or log (x / (1 - x)): it is concave, so
that the method converges from anywhere.
"""

from __future__ import annotations

from ..toolchain import math
from .gammas import stirling, stirling_of_beta
from .registry import PI, special

__all__ = ["beta_cdf", "beta_logit", "beta_parts", "beta_quantile", "deviance", "gamma_cdf", "gamma_density"]

TINY = 1e-300
LAST = 1e-16


def deviance(x, mean):
    """log(x / mean) - (x - mean) / mean, without cancellation where both are near each other."""
    u = (x - mean) / mean
    if math.fabs(u) > 0.5:
        return min(math.log(x / mean), 1e3) - u
    r = u / (2.0 + u)  # log(1 + u) = 2 artanh(r), DLMF 4.38.2
    power = 2.0 * r * r * r
    total = -u * r
    k = 3.0
    while math.fabs(power) > LAST * math.fabs(total):
        total += power / k
        power *= r * r
        k += 2.0
    return total


# --- gamma -----------------------------------------------------------------------------------------------------------


def gamma_density(a, deviation):
    """x^a e^-x / gamma(a), for positive arguments; `deviation` is ``deviance(x, a)``."""
    return math.sqrt(a / (2.0 * PI)) * math.exp(a * deviation - stirling(a))


def _log_gamma_after_1(a):
    """log gamma(1 + a) for 0 < a < 0.2, right to the last digits of small numbers (DLMF 5.7.3)."""
    return -math.log1p(a) + a * (0.42278433509846714 + a * (0.3224670334241132 + a * (-0.0673523010531981 + a * (
        0.020580808427784546 + a * (-0.007385551028673986 + a * (0.0028905103307415234 + a * (-0.001192753911703261
        + a * (0.0005096695247430425 + a * (-0.00022315475845357939 + a * (9.945751278180853e-05
        + a * (-4.492623673813314e-05 + a * (2.050721277567069e-05 - a * 9.439488275268397e-06))))))))))))  # fmt: skip


def _upper_of_small(a, x):
    """The upper tail for a < 0.2 and x < 1, where both it and its difference from 1 may be small (DLMF 8.7.1)."""
    head = a * math.log(x) - _log_gamma_after_1(a)
    term = 1.0
    total = 0.0
    k = 1.0
    while math.fabs(term) > LAST * math.fabs(total):
        term *= -x / k
        total += term / (a + k)
        k += 1.0
    return -math.expm1(head) - math.exp(head) * a * total


def _uniform_tail(a, x, upper, deviation):
    """A tail where a is so large that two terms of its expansion near the mean are enough (DLMF 8.12)."""
    u = (x - a) / a
    eta = math.copysign(math.sqrt(-2.0 * deviation), u)
    rest = -1.0 / 3.0 + eta * (1.0 / 12.0 - eta * (2.0 / 135.0)) if math.fabs(eta) < 1e-3 else 1.0 / u - 1.0 / eta
    rest *= math.exp(-0.5 * a * eta * eta) / math.sqrt(2.0 * PI * a)
    eta *= math.sqrt(0.5 * a)
    return 0.5 * math.erfc(eta if upper else -eta) + (rest if upper else -rest)


def gamma_parts(a, x, upper):
    """A tail of the gamma distribution for positive arguments, and x^a e^-x / gamma(a)."""
    deviation = deviance(x, a)
    front = gamma_density(a, deviation)
    if a > 1e6 and math.fabs(x - a) < 0.5 * a:
        return _uniform_tail(a, x, upper, deviation), front
    if upper and a < 0.2 and x < 1.0:
        return _upper_of_small(a, x), front
    return _gamma_tail(a, x, upper, front), front


def _gamma_tail(a, x, upper, front):
    """A tail by a series, or by a continued fraction."""
    if x < (1.0 if a < 0.2 else a + 1.0):
        term = 1.0 / a
        total = term
        k = a + 1.0
        while term > LAST * total:
            term *= x / k
            total += term
            k += 1.0
        return 1.0 - front * total if upper else front * total
    b = x + 1.0 - a
    d = 1.0 / b
    c = 1.0 / TINY
    total = d
    change = 2.0
    k = 1.0
    while math.fabs(change - 1.0) > LAST:
        n = -k * (k - a)
        b += 2.0
        d = n * d + b
        c = b + n / c
        d = 1.0 / (d if math.fabs(d) > TINY else TINY)
        c = c if math.fabs(c) > TINY else TINY
        change = c * d
        total *= change
        k += 1.0
    return front * total if upper else 1.0 - front * total


def gamma_cdf(a, x, upper):
    """A tail of the gamma distribution, at any arguments."""
    if x != x or a != a or a < 0.0 or x < 0.0:
        return math.nan
    if a == 0.0:
        return math.nan if x == 0.0 else 0.0 if upper else 1.0
    if x == 0.0:
        return 1.0 if upper else 0.0
    if a == math.inf:
        return math.nan if x == math.inf else 1.0 if upper else 0.0
    if x == math.inf:
        return 0.0 if upper else 1.0
    tail, _ = gamma_parts(a, x, upper)
    return tail


@special(digits=4e3)
def gammainc(a, x):
    return gamma_cdf(a, x, False)


@special(digits=4e3)
def gammaincc(a, x):
    return gamma_cdf(a, x, True)


def gamma_log_quantile(a, p, q):
    """Logarithm of the place where the lower tail is p and the upper one q, of which the smaller counts."""
    upper = q < p
    aim = math.log(q if upper else p)
    if upper:  # beyond the quantile (Laurent and Massart 2000, lemma 1)
        t = max(aim, -650.0)
        t = math.log(a + math.sqrt(-2.0 * a * t) - t)
    else:  # before it, and not so far that its tail is too small a number
        first = (aim + stirling(a) + (a + 0.5) * math.log(a) - a + 0.9189385332046727) / a
        if first < -650.0:
            return first  # x^a / gamma(1 + a) is all there is of the tail
        t = max(first, math.log(a) - math.sqrt(-2.0 * aim / a))
    for _ in range(100):
        x = math.exp(t)
        tail, density = gamma_parts(a, x, upper)
        slope = density / tail
        step = (math.log(tail) - aim) / (-slope if upper else slope)
        step = min(max(step, -40.0), 40.0)
        t -= step
        if not math.fabs(step) > 1e-15 * (1.0 + math.fabs(t)):
            break
    return t


def gamma_quantile(a, p, q):
    """The place where the lower tail of the gamma distribution is p and the upper one q, at any arguments."""
    if not (0.0 <= a < math.inf and p >= 0.0 and q >= 0.0):
        return math.nan
    if q == 0.0:
        return math.inf
    if p == 0.0 or a == 0.0:
        return 0.0
    return math.exp(gamma_log_quantile(a, p, q))


@special(digits=1e4)
def gammaincinv(a, p):
    return gamma_quantile(a, p, 1.0 - p)


@special(digits=1e4)
def gammainccinv(a, q):
    return gamma_quantile(a, 1.0 - q, q)


# --- beta ------------------------------------------------------------------------------------------------------------


def beta_density(a, b, x, y):
    """x^a y^b / B(a, b), for positive arguments with x + y = 1."""
    n = a + b
    total = -stirling_of_beta(a, b)
    for k in range(2):
        c = b if k == 0 else a
        total += c * deviance((y if k == 0 else x) * n, c)
    return math.sqrt(a * (b / n) / (2.0 * PI)) * math.exp(total)


def beta_parts(a, b, x, y, upper):
    """A tail of the beta distribution for positive arguments with x + y = 1, and x^a y^b / B(a, b)."""
    front = beta_density(a, b, x, y)
    if x * (a + b + 2.0) > a + 1.0:
        a, b, x = b, a, y
        upper = not upper
    c = 1.0
    d = 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if math.fabs(d) > TINY else TINY)
    total = d
    change = 2.0
    m = 1.0
    while math.fabs(change - 1.0) > LAST and m < 2e4:
        n = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        d = 1.0 + n * d
        c = 1.0 + n / c
        d = 1.0 / (d if math.fabs(d) > TINY else TINY)
        c = c if math.fabs(c) > TINY else TINY
        total *= c * d
        n = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        d = 1.0 + n * d
        c = 1.0 + n / c
        d = 1.0 / (d if math.fabs(d) > TINY else TINY)
        c = c if math.fabs(c) > TINY else TINY
        change = c * d
        total *= change
        m += 1.0
    lower = front * total / a
    return (1.0 - lower if upper else lower), front


def beta_cdf(a, b, x, y, upper):
    """A tail of the beta distribution, at any arguments with x + y = 1."""
    if not (a >= 0.0 and b >= 0.0 and x >= 0.0 and y >= 0.0):
        return math.nan
    if x == 0.0 or y == 0.0:
        return 1.0 if upper == (x == 0.0) else 0.0
    if a == 0.0 or b == math.inf:  # all of it at 0
        return math.nan if b == 0.0 or a == math.inf else 0.0 if upper else 1.0
    if b == 0.0 or a == math.inf:
        return 1.0 if upper else 0.0
    tail, _ = beta_parts(a, b, x, y, upper)
    return tail


@special(digits=4e3)
def betainc(a, b, x):
    return beta_cdf(a, b, x, 1.0 - x, False)


@special(digits=4e3)
def betaincc(a, b, x):
    return beta_cdf(a, b, x, 1.0 - x, True)


def beta_logit(a, b, p, q):
    """log(x / (1 - x)) where the lower tail of the beta distribution is p and the upper one q: the smaller counts."""
    upper = q < p
    aim = math.log(q if upper else p)
    if upper:
        a, b = b, a
    t = math.log(a / b)
    right = t
    for _ in range(200):
        e = math.exp(-math.fabs(t))
        x = 1.0 / (1.0 + e)
        y = e * x
        if t < 0.0:
            x, y = y, x
        tail, density = beta_parts(a, b, x, y, False)
        if tail < 1e-300 and t < right:  # a step too far, to where nothing is left
            t = 0.5 * (t + right)
            continue
        step = (math.log(tail) - aim) * tail / density
        if step > 0.0:
            right = t
        t -= min(max(step, -100.0), 100.0)
        if not math.fabs(step) > 1e-15 * (1.0 + math.fabs(t)) or t < -700.0:
            break
    return -t if upper else t


def beta_quantile(a, b, p, q):
    """The place where the lower tail of the beta distribution is p and the upper one q, at any arguments."""
    if not (a > 0.0 and b > 0.0 and p >= 0.0 and q >= 0.0):
        return math.nan
    if p == 0.0 or q == 0.0:
        return 0.0 if p == 0.0 else 1.0
    if a == math.inf or b == math.inf:
        return math.nan
    t = beta_logit(a, b, p, q)
    return 1.0 / (1.0 + math.exp(-t)) if t > 0.0 else math.exp(t) / (1.0 + math.exp(t))


@special(digits=1e4)
def betaincinv(a, b, p):
    return beta_quantile(a, b, p, 1.0 - p)


@special(digits=1e4)
def betainccinv(a, b, q):
    return beta_quantile(a, b, 1.0 - q, q)
