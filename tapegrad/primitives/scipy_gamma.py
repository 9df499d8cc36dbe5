"""Gamma and beta functions of SciPy, zeta, and their incomplete relatives.

References
----------
.. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov: chapter and equation in each rule.
"""

from __future__ import annotations

import math

from scipy.special import _ufuncs

from .core import NoRuleError, implements, lift, ops
from .domain import Above, Between
from .scipy_densities import beta_slopes, gamma_slopes, negated
from .scipy_loader import scipy_ufunc, scipy_ufunc_in_double


@scipy_ufunc
class gamma:
    """Gamma function."""

    def partials(y, x):
        return y * ops.psi(x)

    domain = Above(0.2)
    probes = (0.5, 1.0, 5.0, -1.5)


@scipy_ufunc
class gammaln:
    """Logarithm of the absolute value of the gamma function."""

    grad_name = "Lgamma"

    def partials(y, x):
        return ops.psi(x)

    domain = Above(0.2)
    probes = (0.5, 1.0, 5.0, -1.5)


@scipy_ufunc
class loggamma:
    """Logarithm of the gamma function, its principal branch."""

    def partials(y, x):
        return ops.psi(x)

    domain = Above(0.2)
    probes = (0.5, 1.0, 5.0)


def _rgamma_slope(y, x):
    """Slope of the reciprocal y of the gamma function.

    Left of 1/2 by reflection (DLMF 5.5.3): y = gamma(1 - x) sin(pi x) / pi, also where y is 0 and psi infinite.
    """
    left = (ops.real(x) if x._spec.dtype.kind == "c" else x) < 0.5
    u, v = ops.where(left, 1.0 - x, 1.0), ops.where(left, 1.0, x)
    turn = math.pi * x
    reflected = ops.gamma(u) * (ops.cos(turn) - ops.psi(u) * ops.sin(turn) / math.pi)
    return ops.where(left, reflected, -y * ops.psi(v))


@scipy_ufunc
class rgamma:
    """Reciprocal of the gamma function."""

    def partials(y, x):
        return _rgamma_slope(y, x)

    domain = Above(0.2)
    probes = (0.5, 1.0, 5.0, -1.5, 0.0, -1.0, -2.0)


@scipy_ufunc
class psi:
    """Digamma function, the derivative of gammaln."""

    grad_name = "Digamma"

    def partials(y, x):
        if x._spec.dtype.kind == "c":
            return complex_trigamma(x)
        return trigamma(x)

    domain = Above(0.2)
    probes = (0.5, 1.0, 5.0, -1.5)


def trigamma(x):
    """Second derivative of gammaln; left of 0.5 by reflection (DLMF 5.15.6)."""
    left = x < 0.5
    positive = ops.zeta(2.0, ops.where(left, 1.0 - x, x))
    slope = math.pi / ops.sin(math.pi * ops.where(left, x - ops.rint(x), 0.5))
    return ops.where(left, slope * slope - positive, positive)


BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
"""The even Bernoulli numbers from the second on (DLMF 24.2)."""
STEPS = 12


def complex_trigamma(x):
    """`trigamma` of complex numbers, which SciPy's zeta does not take.

    By the asymptotic series (DLMF 5.15.8) at x + 12, from there by recurrence (5.15.5); left of 1/2 by reflection.
    """
    left = ops.real(x) < 0.5
    z = ops.where(left, 1.0 - x, x)
    p = 1.0 / (z + float(STEPS))
    square = p * p
    series = BERNOULLI[-1] * square
    for number in BERNOULLI[-2::-1]:
        series = (series + number) * square
    positive = p + 0.5 * square + p * series
    for k in range(STEPS):
        p = 1.0 / (z + float(k))
        positive = positive + p * p
    turning = ops.logical_and(left, ops.absolute(ops.imag(x)) < 100.0)  # beyond, the square below is 0
    slope = math.pi / ops.sin(math.pi * ops.where(turning, x - ops.rint(ops.real(x)), 0.5))
    return ops.where(left, ops.where(turning, slope * slope, 0.0) - positive, positive)


def psi_rise(x, m):
    """``psi(x + m) - psi(x)``.

    Far out, where the difference has no digits, by the asymptotic series (DLMF 5.11.2); left of 1/2, if m is whole, by
    reflection (DLMF 5.5.4), since psi is infinite at 0, -1, ...
    """
    left = ops.logical_and(ops.logical_and(x < 0.5, x + m < 0.5), m == ops.rint(m))
    x, m = ops.where(left, 1.0 - x, x), ops.where(left, -m, m)
    far = ops.logical_and(x > 100.0, x + m > 100.0)
    x_, m_ = ops.where(far, 1.0, x), ops.where(far, 1.0, m)
    p = 1.0 / ops.where(far, x, 1.0)
    q = 1.0 / ops.where(far, x + m, 1.0)
    step = ops.where(far, m, 0.0) * p
    series = ops.log1p(step) + step * q * (0.5 + (p + q) * (10.0 - p * p - q * q) / 120.0)
    return ops.where(far, series, ops.psi(x_ + m_) - ops.psi(x_))


BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
"""The first of those with even index."""


def _zeta_slope(s, q):
    """Derivative of the Hurwitz zeta function with respect to s: Euler and Maclaurin's formula (DLMF 25.11.5)."""
    count, total = 10, 0.0
    s = ops.where(s == math.inf, 1e30, s)  # infinite times the logarithm of 1 would be NaN
    for k in range(count):
        log = ops.log(q + k)
        total = total - log * ops.exp(-s * log)
    a = q + count
    log = ops.log(a)
    power = ops.exp(-s * log)
    s = ops.where(power == 0.0, 2.0, s)  # whose powers would be infinite, and are multiplied by 0
    total = total - power * (a * (log / (s - 1.0) + 1.0 / (s - 1.0) ** 2) + 0.5 * log)
    rising, slope = s, 1.0  # s (s + 1) ... and its derivative
    scale = power / a
    for j, b in enumerate(BERNOULLI, 1):
        total = total + (b / math.factorial(2 * j)) * scale * (slope - rising * log)
        for i in (2 * j - 1, 2 * j):
            slope, rising = slope * (s + i) + rising, rising * (s + i)
        scale = scale / (a * a)
    return total


@scipy_ufunc_in_double
class zeta:
    """Hurwitz zeta function (DLMF 25.11.17)."""

    scipy_name = "_zeta"
    grad_name = "SpecialZeta"

    def partials(y, s, q):
        return _zeta_slope(s, q), -s * ops.zeta(s + 1.0, q)

    domain = (Above(1.2), Above(0.2))
    probes = ((2.0, 1.0), (3.0, 0.5), (1.1, 4.0), (20.0, 1.0))


@scipy_ufunc
class zetac:
    """Riemann zeta function minus one."""

    def partials(y, x):
        # Left of -1 by the functional equation (DLMF 25.4.1), with u = 1 - x; near 0 it would lose digits.
        left = x < -1.0
        u, right = ops.where(left, 1.0 - x, 2.0), ops.where(left, 2.0, x)
        turn = 0.5 * math.pi * u
        value = ops.zeta(u, 1.0)
        grown = (ops.psi(u) - math.log(2.0 * math.pi)) * value + _zeta_slope(u, 1.0)
        factor = ops.gamma(u) * ops.exp(-u * math.log(2.0 * math.pi)) * 2.0
        reflected = factor * (0.5 * math.pi * ops.sin(turn) * value - ops.cos(turn) * grown)
        return ops.where(left, reflected, _zeta_slope(right, lift(1.0, x.dtype)))

    domain = Above(1.2)
    probes = (2.0, 0.5, 0.0, -0.5, -2.0, -3.5, 20.0)


@implements(_ufuncs._riemann_zeta)
def riemann_zeta(x):
    """`scipy.special.zeta` of one operand."""
    x = lift(x)
    if x._spec.dtype.kind != "c":
        return ops.zetac(x) + 1.0
    if x._spec.requires_grad:
        raise NoRuleError(
            f"the derivative of zeta at complex numbers is not in SciPy, and {x._spec!r} was given; make it a constant "
            f"with tapegrad.stop_gradient(x)"
        )
    from ..values import value_of

    return lift(_ufuncs._riemann_zeta(value_of(x)))


@scipy_ufunc_in_double
class poch:
    """Pochhammer symbol, gamma(x + m) / gamma(x)."""

    def partials(y, x, m):
        # psi is infinite at 0, -1, ...: there by reflection, or by 1 / gamma(x), which has a slope.
        left = x < 0.5
        both = ops.logical_and(left, ops.logical_and(x + m < 0.5, m == ops.rint(m)))
        one = ops.logical_and(left, ops.logical_not(both))
        rise = psi_rise(ops.where(one, 1.0, x), ops.where(one, 1.0, m))
        end = ops.where(one, x + m, 1.0)
        by_one = y * ops.psi(end) + ops.gamma(end) * _rgamma_slope(1.0, ops.where(one, x, 0.0))
        return ops.where(one, by_one, y * rise), y * ops.psi(x + m)

    domain = (Above(0.2), Above(0.2))
    probes = ((1.0, 2.0), (0.5, 0.5), (0.0, 2.0), (-1.5, 3.5))


def _beta_slope(y, a, b):
    """Slope of the beta function y in a; where it is 0, a + b being 0, -1, ..., by that of 1 / gamma(a + b)."""
    total = a + b
    pole = ops.logical_and(y == 0.0, ops.logical_and(total <= 0.0, total == ops.rint(total)))
    a_, b_ = ops.where(pole, a, 1.0), ops.where(pole, b, 1.0)
    by_total = ops.gamma(a_) * ops.gamma(b_) * _rgamma_slope(0.0, ops.where(pole, total, 0.0))
    return ops.where(pole, by_total, -y * psi_rise(ops.where(pole, 1.0, a), ops.where(pole, 1.0, b)))


@scipy_ufunc_in_double
class beta:
    """Beta function."""

    def partials(y, a, b):
        return _beta_slope(y, a, b), _beta_slope(y, b, a)

    domain = (Above(0.2), Above(0.2))
    probes = ((1.0, 2.0), (0.5, 0.5))


@scipy_ufunc_in_double
class betaln:
    """Logarithm of the absolute value of the beta function."""

    def partials(y, a, b):
        return -psi_rise(a, b), -psi_rise(b, a)

    domain = (Above(0.2), Above(0.2))
    probes = ((1.0, 2.0), (0.5, 0.5))


def _binom_beyond(n, k):
    """Derivatives of `binom` with k > n, where it is sin(pi z) / pi beta(n + 1, z), z = k - n (DLMF 5.5.3)."""
    z = k - n
    turn = math.pi * (k - 2.0 * ops.rint(0.5 * k) - n)
    scale = ops.beta(n + 1.0, z)
    wave = ops.sin(turn) / math.pi * scale
    by_z = ops.cos(turn) * scale
    return wave * (ops.psi(n + 1.0) - ops.psi(z)) - by_z, by_z - wave * psi_rise(z, n + 1.0)


@scipy_ufunc_in_double
class binom:
    """Binomial coefficient of two real numbers."""

    def partials(y, n, k):
        below = k < -0.5  # as good as k = n - k
        outside = ops.logical_or(below, k > n + 0.5)
        mirrored = ops.where(below, n - k, k)
        n_beyond, k_beyond = _binom_beyond(ops.where(outside, n, 1.0), ops.where(outside, mirrored, 2.0))
        inner = ops.where(outside, 0.5 * n, k)
        rest = n - inner + 1.0
        by_n = ops.where(below, n_beyond + k_beyond, n_beyond)
        by_k = ops.where(below, -k_beyond, k_beyond)
        return (
            ops.where(outside, by_n, y * psi_rise(rest, inner)),
            ops.where(outside, by_k, y * (ops.psi(rest) - ops.psi(inner + 1.0))),
        )

    domain = (Above(3.0), Between(0.3, 2.7))
    probes = ((5.0, 2.0), (4.5, 1.5), (5.0, 6.0), (2.5, -3.5))


@scipy_ufunc_in_double
class gammainc:
    """Regularised lower incomplete gamma function (DLMF 8.8.13)."""

    def partials(y, a, x):
        return gamma_slopes(a, x)

    domain = (Above(0.5), Above(0.0))
    probes = ((2.0, 1.0), (0.5, 0.3))


@scipy_ufunc_in_double
class gammaincc:
    """Regularised upper incomplete gamma function (DLMF 8.8.14)."""

    def partials(y, a, x):
        return negated(gamma_slopes(a, x))

    domain = (Above(0.5), Above(0.0))
    probes = ((2.0, 1.0), (0.5, 0.3))


@scipy_ufunc_in_double
class betainc:
    """Regularised incomplete beta function (DLMF 8.17.20)."""

    def partials(y, a, b, x):
        return beta_slopes(a, b, x)

    domain = (Above(0.5), Above(0.5), Between(0.0, 1.0))
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))
