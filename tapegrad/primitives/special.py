"""SciPy's special functions.

They are registered when the first of them meets a tensor, see `scipy_loader`.

References
----------
.. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov: chapter and equation in each rule.
"""

from __future__ import annotations

import math

import numpy as np

from .core import ops
from .domain import Above, Between, Normal
from .scipy_densities import beta_slopes, gamma_slopes, negated
from .scipy_loader import scipy_ufunc

__all__ = ["NO_ORDER", "NO_PARAMETER", "over", "scipy_ufunc"]

SQRT_PI, SQRT_2PI = math.sqrt(math.pi), math.sqrt(2.0 * math.pi)
NO_ORDER = "the derivative with respect to the order has no closed form; make the order a constant"
NO_PARAMETER = "the derivative with respect to this parameter has no closed form; make the parameter a constant"


# --- error functions and the normal distribution -------------------------------------------------------------------


@scipy_ufunc
class erf:
    """Error function."""

    def partials(y, x):
        return 2.0 / SQRT_PI * ops.exp(-x * x)

    probes = (0.0, 1e-12, -0.5, 3.0)


@scipy_ufunc
class erfc:
    """Complementary error function, 1 - erf(x)."""

    def partials(y, x):
        return -2.0 / SQRT_PI * ops.exp(-x * x)

    probes = (0.0, -0.5, 3.0)


@scipy_ufunc
class erfcx:
    """Scaled complementary error function, exp(x²) erfc(x)."""

    grad_name = "SpecialErfcx"

    def partials(y, x):
        return 2.0 * x * y - 2.0 / SQRT_PI

    probes = (0.0, -0.5, 3.0)


@scipy_ufunc
class erfi:
    """Imaginary error function, -i erf(i x)."""

    def partials(y, x):
        return 2.0 / SQRT_PI * ops.exp(x * x)

    probes = (0.0, -0.5, 2.0)


@scipy_ufunc
class dawsn:
    """Dawson's integral (DLMF 7.10)."""

    def partials(y, x):
        return 1.0 - 2.0 * x * y

    probes = (0.0, -0.5, 2.0)


@scipy_ufunc
class erfinv:
    """Inverse error function."""

    def partials(y, x):
        return 0.5 * SQRT_PI * ops.exp(y * y)

    domain = Between(-1.0, 1.0)
    probes = (0.0, -0.5, 0.9)


@scipy_ufunc
class erfcinv:
    """Inverse complementary error function."""

    def partials(y, x):
        return -0.5 * SQRT_PI * ops.exp(y * y)

    domain = Between(0.0, 2.0)
    probes = (1.0, 0.1, 1.8)


@scipy_ufunc
class ndtr:
    """Distribution function of the normal distribution."""

    def partials(y, x):
        return ops.exp(-0.5 * x * x) / SQRT_2PI

    probes = (0.0, -3.0, 2.0)


@scipy_ufunc
class log_ndtr:
    """Logarithm of the normal distribution function."""

    grad_name = "SpecialLogNdtr"

    def partials(y, x):
        # The ratio of density and distribution, by functions that keep their digits on either side of 0.
        left = ops.where(x < 0.0, x, 0.0)
        right = ops.where(x < 0.0, 0.0, x)
        return ops.where(
            x < 0.0,
            math.sqrt(2.0 / math.pi) / ops.erfcx(-math.sqrt(0.5) * left),
            ops.exp(-0.5 * right * right) / (SQRT_2PI * ops.ndtr(right)),
        )

    probes = (0.0, -3.0, 2.0, -30.0, 30.0)


@scipy_ufunc
class ndtri:
    """Inverse of the normal distribution function."""

    def partials(y, x):
        return SQRT_2PI * ops.exp(0.5 * y * y)

    domain = Between(0.0, 1.0)
    probes = (0.5, 0.1, 0.9)


# --- logistic functions and entropies ------------------------------------------------------------------------------


@scipy_ufunc
class expit:
    """Logistic sigmoid, 1 / (1 + exp(-x))."""

    grad_name = "Sigmoid"

    def partials(y, x):
        return y * (1.0 - y)

    probes = (0.0, -30.0, 2.0)


@scipy_ufunc
class logit:
    """Inverse of the logistic sigmoid, log(x / (1 - x))."""

    grad_name = "Logit"

    def partials(y, x):
        return 1.0 / (x * (1.0 - x))

    domain = Between(0.0, 1.0)
    probes = (0.5, 0.1, 0.9)


@scipy_ufunc
class log_expit:
    """Logarithm of the logistic sigmoid."""

    grad_name = "LogSigmoid"

    def partials(y, x):
        return ops.expit(-x)

    probes = (0.0, -30.0, 30.0)


@scipy_ufunc
class exprel:
    """Relative error exponential, (exp(x) - 1) / x."""

    def partials(y, x):
        # d/dx = (exp(x) - y) / x; near 0 the difference has no digits, and the series is sum k x^(k-1) / (k+1)!
        near = ops.absolute(x) < 0.5
        small, large = ops.where(near, x, 0.0), ops.where(near, 1.0, x)
        series = 0.0
        for k in range(16, 0, -1):
            series = series * small + k / math.factorial(k + 1)
        return ops.where(near, series, (ops.exp(large) - ops.expm1(large) / large) / large)

    probes = (0.0, 1e-9, -0.3, 2.0)


@scipy_ufunc
class xlogy:
    """First operand times the logarithm of the second, and 0 where the first is 0."""

    def partials(y, a, b):
        nothing = a == 0.0
        return ops.log(ops.where(nothing & (b <= 0.0), 1.0, b)), a / ops.where(nothing & (b == 0.0), 1.0, b)

    domain = (Normal(), Above(0.0))
    probes = ((2.0, 3.0), (0.0, 2.0), (-1.0, 0.5))
    kinks = {(0.0, 0.0): (0.0, 0.0)}


@scipy_ufunc
class xlog1py:
    """First operand times log(1 + b), and 0 where the first is 0."""

    grad_name = "SpecialXlog1Py"

    def partials(y, a, b):
        nothing = a == 0.0
        return ops.log1p(ops.where(nothing & (b <= -1.0), 0.0, b)), a / (1.0 + ops.where(nothing & (b == -1.0), 0.0, b))

    domain = (Normal(), Above(-1.0))
    probes = ((2.0, 3.0), (0.0, 2.0), (-1.0, -0.5))
    kinks = {(0.0, -1.0): (0.0, 0.0)}


@scipy_ufunc
class entr:
    """Entropy, -x log(x)."""

    grad_name = "SpecialEntr"

    def partials(y, x):
        return -1.0 - ops.log(x)

    domain = Above(0.0)
    probes = (1.0, 0.1)
    kinks = {(0.0,): (np.inf,)}


@scipy_ufunc
class rel_entr:
    """Relative entropy, a log(a / b)."""

    def partials(y, a, b):
        return 1.0 + ops.log(a / b), -a / b

    domain = (Above(0.0), Above(0.0))
    probes = ((1.0, 2.0), (0.1, 0.1))


@scipy_ufunc
class kl_div:
    """Kullback-Leibler divergence, a log(a / b) - a + b."""

    def partials(y, a, b):
        return ops.log(a / b), 1.0 - a / b

    domain = (Above(0.0), Above(0.0))
    probes = ((1.0, 2.0), (0.1, 0.1))


@scipy_ufunc
class huber:
    """Huber loss: quadratic up to the first operand, linear beyond."""

    def partials(y, d, r):
        size = ops.absolute(r)
        return ops.where(size > d, size - d, 0.0), ops.clip(r, -d, d)

    domain = (Above(0.3), Normal())
    probes = ((1.0, 0.5), (1.0, -2.0))


@scipy_ufunc
class pseudo_huber:
    """Pseudo-Huber loss, d² (sqrt(1 + (r / d)²) - 1)."""

    def partials(y, d, r):
        # As d hypot(d, r) - d²
        size = ops.hypot(d, r)
        safe = ops.where(size == 0.0, 1.0, size)
        return size + d * (d / safe) - 2.0 * d, r * (d / safe)

    domain = (Above(0.3), Normal())
    probes = ((1.0, 0.5), (1.0, -2.0))


@scipy_ufunc
class boxcox:
    """Box-Cox transformation, (x**p - 1) / p."""

    def partials(y, x, p):
        log_x = ops.log(x)
        scaled = p * log_x  # d/dp = log(x)**2 times the slope of exprel at p log(x)
        near = ops.absolute(scaled) < 0.5
        small, large = ops.where(near, scaled, 0.0), ops.where(near, 1.0, scaled)
        series = 0.0
        for k in range(16, 0, -1):
            series = series * small + k / math.factorial(k + 1)
        slope = ops.where(near, series, (ops.exp(large) - ops.expm1(large) / large) / large)
        return x ** (p - 1.0), log_x * log_x * slope

    domain = (Above(0.0), Normal())
    probes = ((2.0, 0.5), (3.0, 0.0), (0.5, -2.0))


# --- gamma and its relatives ---------------------------------------------------------------------------------------


@scipy_ufunc
class gamma:
    """Gamma function."""

    def partials(y, x):
        return y * ops.psi(x)

    complex_orders = 1
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

    complex_orders = 1
    domain = Above(0.2)
    probes = (0.5, 1.0, 5.0)


@scipy_ufunc
class rgamma:
    """Reciprocal of the gamma function."""

    def partials(y, x):
        # Left of 1/2 by reflection (DLMF 5.5.3): y = gamma(1 - x) sin(pi x) / pi, also where y is 0 and psi infinite.
        left = (ops.real(x) if x._spec.dtype.kind == "c" else x) < 0.5
        u, v = ops.where(left, 1.0 - x, 1.0), ops.where(left, 1.0, x)
        turn = math.pi * x
        reflected = ops.gamma(u) * (ops.cos(turn) - ops.psi(u) * ops.sin(turn) / math.pi)
        return ops.where(left, reflected, -y * ops.psi(v))

    complex_orders = 1
    domain = Above(0.2)
    probes = (0.5, 1.0, 5.0, -1.5, 0.0, -1.0, -2.0)


@scipy_ufunc
class psi:
    """Digamma function, the derivative of gammaln."""

    grad_name = "Digamma"

    def partials(y, x):
        if x._spec.dtype.kind == "c":
            return "the derivative of psi at complex numbers, the trigamma function, is not in SciPy"
        return trigamma(x)

    complex_orders = 0
    domain = Above(0.2)
    probes = (0.5, 1.0, 5.0, -1.5)


def trigamma(x):
    """Second derivative of gammaln; left of 0.5 by reflection (DLMF 5.15.6)."""
    left = x < 0.5
    positive = ops.zeta(2.0, ops.where(left, 1.0 - x, x))
    slope = math.pi / ops.sin(math.pi * ops.where(left, x - ops.rint(x), 0.5))
    return ops.where(left, slope * slope - positive, positive)


BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
"""The first of those with even index."""


def _zeta_slope(s, q):
    """Derivative of the Hurwitz zeta function with respect to s: Euler and Maclaurin's formula (DLMF 25.11.5)."""
    count, total = 10, 0.0
    for k in range(count):
        log = ops.log(q + k)
        total = total - log * ops.exp(-s * log)
    a = q + count
    log = ops.log(a)
    power = ops.exp(-s * log)
    total = total - power * (a * (log / (s - 1.0) + 1.0 / (s - 1.0) ** 2) + 0.5 * log)
    rising, slope = s, 1.0  # s (s + 1) ... and its derivative
    scale = power / a
    for j, b in enumerate(BERNOULLI, 1):
        total = total + (b / math.factorial(2 * j)) * scale * (slope - rising * log)
        for i in (2 * j - 1, 2 * j):
            slope, rising = slope * (s + i) + rising, rising * (s + i)
        scale = scale / (a * a)
    return total


@scipy_ufunc
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
        return ops.where(left, reflected, _zeta_slope(right, 1.0))

    domain = Above(1.2)
    probes = (2.0, 0.5, 0.0, -0.5, -2.0, -3.5, 20.0)


@scipy_ufunc
class poch:
    """Pochhammer symbol, gamma(x + m) / gamma(x)."""

    def partials(y, x, m):
        total = ops.psi(x + m)
        return y * (total - ops.psi(x)), y * total

    domain = (Above(0.2), Above(0.2))
    probes = ((1.0, 2.0), (0.5, 0.5))


@scipy_ufunc
class beta:
    """Beta function."""

    def partials(y, a, b):
        total = ops.psi(a + b)
        return y * (ops.psi(a) - total), y * (ops.psi(b) - total)

    domain = (Above(0.2), Above(0.2))
    probes = ((1.0, 2.0), (0.5, 0.5))


@scipy_ufunc
class betaln:
    """Logarithm of the absolute value of the beta function."""

    def partials(y, a, b):
        total = ops.psi(a + b)
        return ops.psi(a) - total, ops.psi(b) - total

    domain = (Above(0.2), Above(0.2))
    probes = ((1.0, 2.0), (0.5, 0.5))


@scipy_ufunc
class binom:
    """Binomial coefficient of two real numbers."""

    def partials(y, n, k):
        rest = ops.psi(n - k + 1.0)
        return y * (ops.psi(n + 1.0) - rest), y * (rest - ops.psi(k + 1.0))

    domain = (Above(3.0), Between(0.3, 2.7))
    probes = ((5.0, 2.0), (4.5, 1.5))


@scipy_ufunc
class gammainc:
    """Regularised lower incomplete gamma function (DLMF 8.8.13)."""

    def partials(y, a, x):
        return gamma_slopes(a, x)

    domain = (Above(0.5), Above(0.0))
    probes = ((2.0, 1.0), (0.5, 0.3))


@scipy_ufunc
class gammaincc:
    """Regularised upper incomplete gamma function (DLMF 8.8.14)."""

    def partials(y, a, x):
        return negated(gamma_slopes(a, x))

    domain = (Above(0.5), Above(0.0))
    probes = ((2.0, 1.0), (0.5, 0.3))


@scipy_ufunc
class betainc:
    """Regularised incomplete beta function (DLMF 8.17.20)."""

    def partials(y, a, b, x):
        return beta_slopes(a, b, x)

    domain = (Above(0.5), Above(0.5), Between(0.0, 1.0))
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))


# --- integrals -----------------------------------------------------------------------------------------------------


@scipy_ufunc
class expi:
    """Exponential integral Ei."""

    def partials(y, x):
        return ops.exp(x) / x

    domain = Above(0.0)
    probes = (1.0, 2.0)


@scipy_ufunc
class exp1:
    """Exponential integral E1."""

    def partials(y, x):
        return -ops.exp(-x) / x

    domain = Above(0.0)
    probes = (1.0, 3.0)


@scipy_ufunc
class spence:
    """Spence's function, the integral of log(t) / (1 - t) from 1 to x."""

    def partials(y, x):
        # log(x) / (1 - x); near 1 by its series in 1 - x
        h = 1.0 - x
        near = ops.absolute(h) < 0.2
        small, far = ops.where(near, h, 0.0), ops.where(near, 2.0, x)
        series = 0.0
        for k in range(24, 0, -1):
            series = series * small - 1.0 / k
        return ops.where(near, series, ops.log(far) / (1.0 - far))

    domain = Above(0.0)
    probes = (1.0, 0.3, 1.0001, 4.0)


def _near_zero(m):
    """Where a quotient by m has no digits left, and m moved away from there."""
    near = ops.absolute(m) < 1e-3
    return near, ops.where(near, 0.5, m)


def _series(m, near, *coefficients):
    """Pi / 2 times a power series in m (DLMF 19.5.1 and 19.5.2, term by term)."""
    small, total = ops.where(near, m, 0.0), 0.0
    for c in reversed(coefficients):
        total = total * small + 0.5 * math.pi * c
    return total


@scipy_ufunc
class ellipk:
    """Complete elliptic integral of the first kind (DLMF 19.4.1, with parameter m = k²)."""

    def partials(y, m):
        near, safe = _near_zero(m)
        far = (ops.ellipe(safe) / (1.0 - safe) - ops.where(near, 1.0, y)) / (2.0 * safe)
        return ops.where(near, _series(m, near, 0.25, 9 / 32, 75 / 256, 1225 / 4096), far)

    domain = Between(0.1, 1.0)
    probes = (0.5, -1.0, 0.0, 1e-4)


@scipy_ufunc
class ellipe:
    """Complete elliptic integral of the second kind (DLMF 19.4.2, with parameter m = k²)."""

    def partials(y, m):
        near, safe = _near_zero(m)
        far = (ops.where(near, 1.0, y) - ops.ellipk(safe)) / (2.0 * safe)
        return ops.where(near, -_series(m, near, 0.25, 3 / 32, 15 / 256, 175 / 4096), far)

    domain = Between(0.1, 1.0)
    probes = (0.5, -1.0, 0.0, 1e-4)


# --- Bessel functions ----------------------------------------------------------------------------------------------


def over(y, x):
    """``y / x`` for a function with y(0) = 0 and slope 1/2 there."""
    at_zero = x == 0.0
    return ops.where(at_zero, 0.5, y / ops.where(at_zero, 1.0, x))


@scipy_ufunc
class j0:
    """Bessel function of the first kind of order 0."""

    grad_name = "SpecialBesselJ0"

    def partials(y, x):
        return -ops.j1(x)

    domain = Normal(3.0)
    probes = (0.0, 1.0, -20.0)


@scipy_ufunc
class j1:
    """Bessel function of the first kind of order 1 (DLMF 10.6.2)."""

    grad_name = "SpecialBesselJ1"

    def partials(y, x):
        return ops.j0(x) - over(y, x)

    domain = Normal(3.0)
    probes = (1.0, -20.0, 1e-3)
    kinks = {(0.0,): (0.5,)}


@scipy_ufunc
class y0:
    """Bessel function of the second kind of order 0."""

    grad_name = "SpecialBesselY0"

    def partials(y, x):
        return -ops.y1(x)

    domain = Above(0.2)
    probes = (1.0, 20.0)


@scipy_ufunc
class y1:
    """Bessel function of the second kind of order 1."""

    grad_name = "SpecialBesselY1"

    def partials(y, x):
        return ops.y0(x) - y / x

    domain = Above(0.2)
    probes = (1.0, 20.0)


@scipy_ufunc
class i0:
    """Modified Bessel function of the first kind of order 0."""

    def partials(y, x):
        return ops.i1(x)

    probes = (0.0, 1.0, -10.0)


@scipy_ufunc
class i1:
    """Modified Bessel function of the first kind of order 1 (DLMF 10.29.2)."""

    grad_name = "SpecialI1"

    def partials(y, x):
        return ops.i0(x) - over(y, x)

    probes = (1.0, -10.0, 1e-3)
    kinks = {(0.0,): (0.5,)}


@scipy_ufunc
class i0e:
    """exp(-|x|) i0(x)."""

    grad_name = "SpecialI0E"

    def partials(y, x):
        return ops.i1e(x) - ops.sign(x) * y

    probes = (1.0, -10.0, 300.0)
    kinks = {(0.0,): (0.0,)}


@scipy_ufunc
class i1e:
    """exp(-|x|) i1(x)."""

    grad_name = "SpecialI1E"

    def partials(y, x):
        return ops.i0e(x) - ops.sign(x) * y - over(y, x)

    probes = (1.0, -10.0, 300.0)
    kinks = {(0.0,): (0.5,)}


@scipy_ufunc
class k0:
    """Modified Bessel function of the second kind of order 0."""

    def partials(y, x):
        return -ops.k1(x)

    domain = Above(0.2)
    probes = (1.0, 10.0)


@scipy_ufunc
class k1:
    """Modified Bessel function of the second kind of order 1."""

    def partials(y, x):
        return -ops.k0(x) - y / x

    domain = Above(0.2)
    probes = (1.0, 10.0)


@scipy_ufunc
class k0e:
    """exp(x) k0(x)."""

    def partials(y, x):
        return y - ops.k1e(x)

    domain = Above(0.2)
    probes = (1.0, 10.0)


@scipy_ufunc
class k1e:
    """exp(x) k1(x)."""

    def partials(y, x):
        return y - ops.k0e(x) - y / x

    domain = Above(0.2)
    probes = (1.0, 10.0)


@scipy_ufunc
class jv:
    """Bessel function of the first kind of real order (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, 0.5 * (ops.jv(v - 1.0, z) - ops.jv(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.2))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class yv:
    """Bessel function of the second kind of real order (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, 0.5 * (ops.yv(v - 1.0, z) - ops.yv(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class iv:
    """Modified Bessel function of the first kind of real order (DLMF 10.29.1)."""

    def partials(y, v, z):
        return NO_ORDER, 0.5 * (ops.iv(v - 1.0, z) + ops.iv(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.2))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class kv:
    """Modified Bessel function of the second kind of real order (DLMF 10.29.1)."""

    def partials(y, v, z):
        return NO_ORDER, -0.5 * (ops.kv(v - 1.0, z) + ops.kv(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))
