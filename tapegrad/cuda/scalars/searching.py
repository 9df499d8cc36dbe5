"""Parameters of distributions where a tail has a given size: roots of functions of one variable.

SciPy's own have 10 digits; so much is asked of these, too.

References
----------
.. [1] T. R. Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function
   without using derivatives", Advances in Engineering Software 28 (1997).
"""

from __future__ import annotations

from ..toolchain import math
from .distributions import student
from .incomplete import beta_cdf, gamma_cdf
from .registry import filled, special

__all__ = ["root"]

WIDE = 230.0
"""Logarithm of the largest parameter that is looked for."""


def curve(s, a, b, c, p):  # `filled` puts another in its place
    return s


def root(low, high, a, b, c, p):
    """Where ``curve(s, a, b, c, p)`` changes its sign, by Chandrupatla's method; NaN where it does not.

    The curve is called at one place only, also for both ends: compilers put it in at each.
    """
    x = y = z = m = low
    f = g = h = 0.0
    for k in range(200):
        v = curve(m, a, b, c, p)
        if k == 0:
            x = z = m
            f = h = v
            m = high
            continue
        if k == 1:
            y = m
            g = v
            if not f * g <= 0.0:
                return math.nan
            m = 0.5 * (x + y)
            continue
        if v == 0.0:
            return m
        if (v > 0.0) == (f > 0.0):
            z, h = x, f
        else:
            z, h, y, g = y, g, x, f
        x, f = m, v
        best = x if math.fabs(f) < math.fabs(g) else y
        t = (2e-16 * math.fabs(best) + 1e-17) / math.fabs(y - x)
        if not t < 0.5:
            return best
        xi = (x - y) / (z - y)
        phi = (f - g) / (h - g)
        if phi * phi < xi and (1.0 - phi) * (1.0 - phi) < 1.0 - xi:
            w = f / (g - f) * h / (g - h) + (z - x) / (y - x) * f / (h - f) * g / (h - g)
            m = x + min(max(w, t), 1.0 - t) * (y - x)
        else:
            m = x + 0.5 * (y - x)
    return m


def difference(tail, p):
    """How far the lower tail is below p, from the tail that is the smaller one: the upper one, if p is above 1/2."""
    return tail - (1.0 - p) if p > 0.5 else p - tail


def _gamma_difference(s, x, b, c, p):
    """For the parameter e^s."""
    return difference(gamma_cdf(math.exp(s), x, p > 0.5), p)


_gamma_parameter = filled(root, curve=_gamma_difference)


def gamma_parameter(x, p):
    """Logarithm of the parameter of the gamma distribution whose lower tail at x is p."""
    return math.nan if not (0.0 < x < math.inf and 0.0 < p < 1.0) else _gamma_parameter(-WIDE, WIDE, x, 0.0, 0.0, p)


@special(digits=5e5)
def chdtriv(p, x):
    return 2.0 * math.exp(gamma_parameter(0.5 * x, p))


@special(digits=5e5)
def gdtrib(a, p, x):
    return math.exp(gamma_parameter(a * x, p))


@special(digits=5e5, scale=1.0)
def pdtrik(p, m):
    return max(math.expm1(gamma_parameter(m, 1.0 - p)), 0.0)


def _beta_difference(s, b, x, c, p):
    """For the first parameter e^s."""
    a = math.exp(s)
    return difference(beta_cdf(a, b, x, 1.0 - x, p > 0.5), p)


_beta_parameter = filled(root, curve=_beta_difference)


def beta_parameter(b, x, p):
    """Logarithm of the first parameter of the beta distribution whose lower tail at x is p."""
    if not (b > 0.0 and 0.0 < x < 1.0 and 0.0 < p < 1.0):
        return math.nan
    return _beta_parameter(-WIDE, 23.0, b, x, 0.0, p)


@special(digits=5e5)
def btdtria(p, b, x):
    return math.exp(beta_parameter(b, x, p))


@special(digits=5e5)
def btdtrib(a, p, x):
    return math.exp(beta_parameter(a, 1.0 - x, 1.0 - p))


@special(digits=5e5)
def nbdtrin(k, y, p):
    return math.exp(beta_parameter(k + 1.0, p, y))


@special(digits=5e5, scale=1.0)
def nbdtrik(y, n, p):
    return max(math.expm1(beta_parameter(n, 1.0 - p, 1.0 - y)), 0.0)


@special(digits=5e5, scale=1.0)
def bdtrin(k, y, p):
    return k + math.exp(beta_parameter(k + 1.0, 1.0 - p, y))


def _binomial_difference(k, n, p, c, y):
    """For the number of successes."""
    if k >= n:
        return y - 1.0
    return -difference(beta_cdf(k + 1.0, n - k, p, 1.0 - p, y < 0.5), 1.0 - y)


_binomial_count = filled(root, curve=_binomial_difference)


@special(digits=5e5, scale=1.0)
def bdtrik(y, n, p):
    if not (0.0 < y < 1.0 and n > 0.0 and 0.0 < p < 1.0):
        return math.nan
    if n * math.log1p(-p) >= math.log(y):  # more than y already at 0
        return 0.0
    return _binomial_count(0.0, n, n, p, 0.0, y)


def _fisher_difference(s, a, x, c, p):
    """For the second number of degrees of freedom."""
    b = math.exp(s)
    n = a * x + b
    y = a * x / n
    return difference(beta_cdf(0.5 * a, 0.5 * b, y, b / n, p > 0.5), p)


_fisher_second = filled(root, curve=_fisher_difference)


@special(digits=5e5)
def fdtridfd(a, p, x):
    if not (0.0 < a < 1e15 and 0.0 < p < 1.0 and x > 0.0):
        return math.nan
    return math.exp(_fisher_second(-WIDE, 23.0, a, x, 0.0, p))


def _student_difference(s, t, b, c, p):
    """For the number of degrees of freedom."""
    return student(math.exp(s), t) - p


_student_degrees = filled(root, curve=_student_difference)


@special(digits=5e5)
def stdtridf(p, t):
    return math.nan if not 0.0 < p < 1.0 else math.exp(_student_degrees(-WIDE, 23.0, t, 0.0, 0.0, p))
