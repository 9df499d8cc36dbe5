"""SciPy's remaining functions: trigonometry in degrees, power transformations, integrals and complex error functions.

Equations are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov.
"""

from __future__ import annotations

import cmath
import math

from .core import ZERO, ops
from .domain import Above, Between, Integers, Normal
from .scipy_entropy import power_slope
from .scipy_loader import NO_ORDER, scipy_ufunc, scipy_ufunc_in_double

DEGREE = math.pi / 180.0
SQRT_PI = math.sqrt(math.pi)
EIGHTH_TURN = cmath.exp(0.25j * math.pi)


# --- elementary functions --------------------------------------------------------------------------------------------


@scipy_ufunc
class sindg:
    """Sine of an angle in degrees."""

    def partials(y, x):
        return DEGREE * ops.cosdg(x)

    domain = Normal(90.0)
    probes = (0.0, 30.0, -200.0)


@scipy_ufunc
class cosdg:
    """Cosine of an angle in degrees."""

    def partials(y, x):
        return -DEGREE * ops.sindg(x)

    domain = Normal(90.0)
    probes = (10.0, 60.0, -200.0)


@scipy_ufunc
class tandg:
    """Tangent of an angle in degrees."""

    def partials(y, x):
        return DEGREE * (1.0 + y * y)

    domain = Between(-80.0, 80.0)
    probes = (10.0, 60.0, -200.0)


@scipy_ufunc
class cotdg:
    """Cotangent of an angle in degrees."""

    def partials(y, x):
        return -DEGREE * (1.0 + y * y)

    domain = Between(10.0, 170.0)
    probes = (10.0, 60.0, -200.0)


@scipy_ufunc
class radian:
    """Radians of an angle in degrees, minutes and seconds."""

    def partials(y, d, m, s):
        return DEGREE, DEGREE / 60.0, DEGREE / 3600.0

    probes = ((10.0, 20.0, 30.0), (-1.0, 2.0, 0.5))


@scipy_ufunc
class cosm1:
    """Cosine minus one, without cancellation."""

    def partials(y, x):
        return -ops.sin(x)

    probes = (0.0, 1e-9, 2.0)


@scipy_ufunc
class exp10:
    """Ten to the power of x."""

    def partials(y, x):
        return math.log(10.0) * y

    probes = (0.0, -2.0, 1.5)


@scipy_ufunc_in_double
class powm1:
    """Power minus one, without cancellation."""

    def partials(y, x, p):
        return p * x ** (p - 1.0), ops.xlogy(1.0 + y, x)

    domain = (Above(0.2), Normal())
    probes = ((2.0, 0.5), (1.0, 1e-9), (0.5, -2.0))


@scipy_ufunc
class gammasgn:
    """Sign of the gamma function."""

    derivative = ZERO
    probes = (0.5, -0.5, -1.5)


# --- power transformations -------------------------------------------------------------------------------------------


def _inverse_slopes(x, y, p):
    """Of ``x = (1 + p y)**(1 / p)``: x / (1 + p y) and x (u / (1 + u) - log1p(u)) / p² at u = p y, near 0 by series."""
    u = p * y
    total = 1.0 + u
    end = total == 0.0
    by_y = ops.where(end, ops.where(end, x, 1.0) ** (1.0 - p), x / ops.where(end, 1.0, total))
    near = ops.absolute(u) < 0.05
    small, far, p = ops.where(near, u, 0.0), ops.where(near, 1.0, u), ops.where(near, 1.0, p)
    series = 0.0
    for k in range(14, -1, -1):
        series = series * small + (-1.0) ** (k + 1) * (k + 1) / (k + 2)
    apart = (far / (1.0 + far) - ops.log1p(far)) / p / p
    return by_y, x * ops.where(near, ops.where(near, y, 0.0) ** 2.0 * series, apart)


@scipy_ufunc
class boxcox1p:
    """Box-Cox transformation of 1 + x."""

    def partials(y, x, p):
        log_x = ops.log1p(x)
        return ops.exp((p - 1.0) * log_x), power_slope(log_x, p)

    domain = (Above(-0.8), Normal())
    probes = ((2.0, 0.5), (3.0, 0.0), (-0.5, -2.0))


@scipy_ufunc_in_double
class inv_boxcox:
    """Inverse of the Box-Cox transformation, (1 + p y)**(1/p)."""

    def partials(x, y, p):
        return _inverse_slopes(x, y, p)

    domain = (Between(-0.8, 0.8), Between(-1.0, 1.0))
    probes = ((0.5, 0.5), (1.0, 0.0), (-0.5, -1.0))


@scipy_ufunc_in_double
class inv_boxcox1p:
    """Inverse of the Box-Cox transformation of 1 + x."""

    def partials(x, y, p):
        return _inverse_slopes(x + 1.0, y, p)

    domain = (Between(-0.8, 0.8), Between(-1.0, 1.0))
    probes = ((0.5, 0.5), (1.0, 0.0), (-0.5, -1.0))


# --- Lambert and omega -----------------------------------------------------------------------------------------------


@scipy_ufunc
class lambertw:
    """Branch k of Lambert's function, w exp(w) = z (DLMF 4.13.4)."""

    scipy_name = "_lambertw"

    def partials(w, z, k, tol):
        return ops.exp(-w) / (1.0 + w), "the branch of lambertw is a constant", "the tolerance is a constant"

    fixed = (2,)
    domain = (Above(0.2), Integers(0, 2), Between(1e-9, 1e-8))
    probes = ((1.0, 0, 1e-8), (0.0, 0, 1e-8), (2.0, 1, 1e-8))


@scipy_ufunc
class wrightomega:
    """Wright's omega function, the Lambert function of exp(z)."""

    def partials(w, z):
        return w / (1.0 + w)

    probes = (0.0, 2.0, -3.0)


# --- integrals -------------------------------------------------------------------------------------------------------


@scipy_ufunc
class expn:
    """Generalised exponential integral of integer order (DLMF 8.19.13)."""

    def partials(y, n, x):
        n = ops.trunc(n)  # as SciPy does
        first = n == 0
        lower = ops.expn(ops.where(first, 0, n - 1), x)
        return NO_ORDER, ops.where(first, -y * (1.0 + 1.0 / x), -lower)

    fixed = (0,)
    domain = (Integers(0, 4), Above(0.2))
    probes = ((0, 1.0), (1, 0.5), (3, 2.0))


def _ratio(function, x):
    """``function(x) / x`` for a function with slope 1 at 0."""
    zero = x == 0.0
    return ops.where(zero, 1.0, function(x) / ops.where(zero, 1.0, x))


def _but_at_zero(y, x):
    """``y / x``; 0 at x = 0, where the integral itself is minus infinity."""
    zero = x == 0.0
    return ops.where(zero, 0.0, y / ops.where(zero, 1.0, x))


@scipy_ufunc
class sici:
    """Sine and cosine integrals (DLMF 6.2.9 and 6.2.11)."""

    samples = (([0.5, 2.0],), ([1.0 + 0.5j, 0.3 - 1.0j],))

    def partials(ys, x):
        return (_ratio(ops.sin, x),), (_but_at_zero(ops.cos(x), x),)


@scipy_ufunc
class shichi:
    """Hyperbolic sine and cosine integrals (DLMF 6.2.15 and 6.2.16)."""

    samples = (([0.5, 2.0],), ([1.0 + 0.5j, 0.3 - 1.0j],))

    def partials(ys, x):
        return (_ratio(ops.sinh, x),), (_but_at_zero(ops.cosh(x), x),)


@scipy_ufunc
class fresnel:
    """Fresnel integrals S and C (DLMF 7.2.7 and 7.2.8)."""

    samples = (([0.0, 0.5, -2.0],), ([1.0 + 0.5j, 0.3 - 0.4j],))

    def partials(ys, x):
        turn = 0.5 * math.pi * x * x
        return (ops.sin(turn),), (ops.cos(turn),)


@scipy_ufunc
class modfresnelp:
    """Modified Fresnel integrals F+ and K+."""

    samples = (([0.5, 1.0],),)  # SciPy's values left of 0 are not those of the integrals

    def partials(ys, x):
        turn = ops.exp(x * x * 1j)
        return (-turn,), (ys[1] * x * -2j - EIGHTH_TURN.conjugate() / SQRT_PI,)


@scipy_ufunc
class modfresnelm:
    """Modified Fresnel integrals F- and K-."""

    samples = (([0.5, 1.0],),)  # SciPy's values left of 0 are not those of the integrals

    def partials(ys, x):
        turn = ops.exp(x * x * -1j)
        return (-turn,), (ys[1] * x * 2j - EIGHTH_TURN / SQRT_PI,)


# --- complex error functions -----------------------------------------------------------------------------------------


@scipy_ufunc
class wofz:
    """Faddeeva function (DLMF 7.10.2)."""

    def partials(w, z):
        near = z * w * -2.0 + 2j / SQRT_PI
        if z._spec.dtype.kind != "c":
            return near
        # Far out, but not below the real axis, the asymptotic series of w (DLMF 7.12.1), differentiated.
        far = ops.logical_and(ops.absolute(z) > 50.0, ops.imag(z) >= 0.0)
        r = 1.0 / ops.where(far, z, 50.0)
        square = 0.5 * r * r
        series = 1.0 + square * (3.0 + square * (15.0 + square * (105.0 + square * 945.0)))
        return ops.where(far, r * r * series * (-1j / SQRT_PI), near)

    probes = (0.0, 1.0, -2.0)


@scipy_ufunc_in_double
class voigt_profile:
    """Voigt profile: a normal distribution folded with a Cauchy distribution (DLMF 7.19.1)."""

    def partials(y, x, sigma, gamma):
        # y = Re w(z) / (sigma sqrt(2 pi)) at z = c / (sigma sqrt(2)), c = x + i gamma
        gamma = ops.minimum(gamma, 1e300)  # the product of infinity and 1j has a part that is NaN
        far = ops.logical_and(x * x + gamma * gamma > 5e5 * sigma * sigma, gamma >= 0.0)
        wide = ops.where(far, 1.0, sigma)
        c = x + gamma * 1j
        z = ops.where(far, 1.0, c) / (wide * math.sqrt(2.0))
        slope = z * ops.wofz(z) * -2.0 + 2j / SQRT_PI
        scale = 1.0 / (2.0 * SQRT_PI * wide * wide)
        # Far out, and without sigma, where it is Cauchy's density, by its series in (sigma / c)² (DLMF 7.12.1).
        r = 1j / ops.where(far, c, 1.0)
        r2 = r * r
        square = ops.where(far, sigma * sigma, 0.0) * r2
        by_c = (r2 / math.pi) * (1.0 - square * (3.0 - 15.0 * square))

        def by_sigma():
            series = r * r2 * (1.0 - square * (6.0 - 45.0 * square))
            near = -y / wide - ops.real(slope * z) * math.sqrt(2.0) * scale
            return ops.where(far, sigma * ops.real(series) * (-2.0 / math.pi), near)

        def by_gamma():
            return -ops.where(far, ops.real(by_c), ops.imag(slope) * scale)

        return ops.where(far, -ops.imag(by_c), ops.real(slope) * scale), by_sigma, by_gamma

    domain = (Normal(), Above(0.3), Above(0.2))
    probes = ((0.5, 1.0, 0.3), (-1.0, 0.5, 1.0))
