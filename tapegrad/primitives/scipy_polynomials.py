"""Orthogonal polynomials, Legendre functions and hypergeometric functions of SciPy.

Degrees and parameters are constants: there is no closed form for derivatives with respect to them.
Equations are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov.
"""

from __future__ import annotations

from .core import ops
from .domain import Above, Between, Integers, Normal
from .scipy_loader import NO_ORDER, NO_PARAMETER, scipy_ufunc, scipy_ufunc_in_double

DEGREE = Integers(0, 6)
INSIDE = Between(-1.0, 1.0)


def lower(name, n, *operands):
    """A polynomial of degree n - 1, which is 0 for n = 0."""
    return _without(n == 0, name, n, *operands)


def _without(nothing, name, n, *operands):
    """A polynomial of degree n - 1, and 0 at some places."""
    return ops.where(nothing, 0.0, getattr(ops, name)(ops.where(nothing, 0, n - 1), *operands))


def _second_kind(n, x):
    """Half the slope of the Chebyshev polynomial U of degree n, which is -U of degree -n - 2, and so 0 for -1."""
    mirrored = n < -1
    n = ops.where(mirrored, -n - 2, n)
    slope = _without(ops.logical_or(n == 0, n == -1), "eval_gegenbauer", n, 2.0, x)
    return ops.where(mirrored, -slope, slope)


def _legendre_slope(n, x):
    """Slope of the Legendre polynomial of degree n, which is that of degree -n - 1."""
    return lower("eval_gegenbauer", ops.where(n < 0, -n - 1, n), 1.5, x)


@scipy_ufunc
class eval_legendre:
    """Legendre polynomial (DLMF 18.9.19)."""

    def partials(y, n, x):
        return NO_ORDER, _legendre_slope(n, x)

    fixed = (0,)
    domain = (DEGREE, INSIDE)
    probes = ((0, 0.5), (3, 1.0), (4, -0.2))


@scipy_ufunc
class eval_sh_legendre:
    """Shifted Legendre polynomial (DLMF 18.9.19)."""

    def partials(y, n, x):
        return NO_ORDER, 2.0 * _legendre_slope(n, 2.0 * x - 1.0)

    fixed = (0,)
    domain = (DEGREE, Between(0.0, 1.0))
    probes = ((0, 0.5), (3, 1.0), (4, 0.2))


@scipy_ufunc
class eval_chebyt:
    """Chebyshev polynomial of the first kind (DLMF 18.9.21)."""

    def partials(y, n, x):
        return NO_ORDER, n * lower("eval_chebyu", n, x)

    fixed = (0,)
    domain = (DEGREE, INSIDE)
    probes = ((0, 0.5), (3, 1.0), (4, -0.2))


@scipy_ufunc
class eval_chebyu:
    """Chebyshev polynomial of the second kind (DLMF 18.7.4 and 18.9.19)."""

    def partials(y, n, x):
        return NO_ORDER, 2.0 * _second_kind(n, x)

    fixed = (0,)
    domain = (DEGREE, INSIDE)
    probes = ((0, 0.5), (3, 1.0), (4, -0.2))


@scipy_ufunc
class eval_chebyc:
    """Chebyshev polynomial of the first kind on [-2, 2] (DLMF 18.9.21)."""

    def partials(y, n, x):
        return NO_ORDER, n * lower("eval_chebyu", n, 0.5 * x)

    fixed = (0,)
    domain = (DEGREE, Between(-2.0, 2.0))
    probes = ((0, 0.5), (3, 2.0), (4, -0.2))


@scipy_ufunc
class eval_chebys:
    """Chebyshev polynomial of the second kind on [-2, 2] (DLMF 18.9.19)."""

    def partials(y, n, x):
        return NO_ORDER, _second_kind(n, 0.5 * x)

    fixed = (0,)
    domain = (DEGREE, Between(-2.0, 2.0))
    probes = ((0, 0.5), (3, 2.0), (4, -0.2))


@scipy_ufunc
class eval_sh_chebyt:
    """Shifted Chebyshev polynomial of the first kind (DLMF 18.9.21)."""

    def partials(y, n, x):
        return NO_ORDER, 2.0 * n * lower("eval_chebyu", n, 2.0 * x - 1.0)

    fixed = (0,)
    domain = (DEGREE, Between(0.0, 1.0))
    probes = ((0, 0.5), (3, 1.0), (4, 0.2))


@scipy_ufunc
class eval_sh_chebyu:
    """Shifted Chebyshev polynomial of the second kind (DLMF 18.9.19)."""

    def partials(y, n, x):
        return NO_ORDER, 4.0 * _second_kind(n, 2.0 * x - 1.0)

    fixed = (0,)
    domain = (DEGREE, Between(0.0, 1.0))
    probes = ((0, 0.5), (3, 1.0), (4, 0.2))


@scipy_ufunc
class eval_gegenbauer:
    """Gegenbauer polynomial (DLMF 18.9.19); one of negative degree is 0."""

    def partials(y, n, a, x):
        nothing = ops.logical_and(n <= 0, n == ops.rint(n * 1.0))
        return NO_ORDER, NO_PARAMETER, 2.0 * a * _without(nothing, "eval_gegenbauer", n, a + 1.0, x)

    fixed = (0, 1)
    domain = (DEGREE, Between(0.5, 2.0), INSIDE)
    probes = ((0, 1.0, 0.5), (3, 0.5, 1.0), (4, 1.5, -0.2))


@scipy_ufunc
class eval_jacobi:
    """Jacobi polynomial (DLMF 18.9.15)."""

    def partials(y, n, a, b, x):
        slope = 0.5 * (n + a + b + 1.0) * lower("eval_jacobi", n, a + 1.0, b + 1.0, x)
        return NO_ORDER, NO_PARAMETER, NO_PARAMETER, slope

    fixed = (0, 1, 2)
    domain = (DEGREE, Between(0.5, 2.0), Between(0.5, 2.0), INSIDE)
    probes = ((0, 1.0, 0.5, 0.3), (3, 0.5, 1.0, 0.9), (4, 1.5, 1.0, -0.2))


@scipy_ufunc_in_double
class eval_sh_jacobi:
    """Shifted Jacobi polynomial (DLMF 18.1.2 and 18.9.15)."""

    def partials(y, n, p, q, x):
        slope = lower("eval_jacobi", n, p - q + 1.0, q, 2.0 * x - 1.0)
        return NO_ORDER, NO_PARAMETER, NO_PARAMETER, (n + p) * slope / ops.binom(2.0 * n + p - 1.0, n * 1.0)

    fixed = (0, 1, 2)
    domain = (DEGREE, Between(2.0, 3.0), Between(0.5, 2.0), Between(0.0, 1.0))
    probes = ((0, 2.0, 0.5, 0.3), (3, 2.5, 1.0, 0.9), (4, 3.0, 1.0, 0.2))


@scipy_ufunc
class eval_laguerre:
    """Laguerre polynomial (DLMF 18.9.23)."""

    def partials(y, n, x):
        return NO_ORDER, -lower("eval_genlaguerre", n, 1.0, x)

    fixed = (0,)
    domain = (DEGREE, Above(0.0))
    probes = ((0, 0.5), (3, 1.0), (4, 2.0))


@scipy_ufunc
class eval_genlaguerre:
    """Generalised Laguerre polynomial (DLMF 18.9.23)."""

    def partials(y, n, a, x):
        return NO_ORDER, NO_PARAMETER, -lower("eval_genlaguerre", n, a + 1.0, x)

    fixed = (0, 1)
    domain = (DEGREE, Between(0.5, 2.0), Above(0.0))
    probes = ((0, 1.0, 0.5), (3, 0.5, 1.0), (4, 1.5, 2.0))


@scipy_ufunc
class eval_hermite:
    """Hermite polynomial (DLMF 18.9.25)."""

    def partials(y, n, x):
        return NO_ORDER, 2.0 * n * lower("eval_hermite", n, x)

    domain = (DEGREE, Normal())
    probes = ((0, 0.5), (3, 1.0), (4, -2.0))


@scipy_ufunc
class eval_hermitenorm:
    """Hermite polynomial with leading coefficient 1 (DLMF 18.9.27)."""

    def partials(y, n, x):
        return NO_ORDER, n * lower("eval_hermitenorm", n, x)

    domain = (DEGREE, Normal())
    probes = ((0, 0.5), (3, 1.0), (4, -2.0))


@scipy_ufunc
class lpmv:
    """Associated Legendre function of integer order and real degree (DLMF 14.10.5)."""

    def partials(y, m, v, x):
        return NO_ORDER, NO_ORDER, (v * x * y - (v + m) * ops.lpmv(m, v - 1.0, x)) / (x * x - 1.0)

    fixed = (0, 1)
    domain = (Integers(0, 3), Between(2.2, 3.8), Between(-0.9, 0.9))
    probes = ((1, 2.5, 0.3), (0, 3.0, -0.5))


# --- hypergeometric functions --------------------------------------------------------------------------------------


@scipy_ufunc
class hyp0f1:
    """Confluent hypergeometric limit function 0F1 (DLMF 16.3.1)."""

    def partials(y, b, z):
        return NO_PARAMETER, ops.hyp0f1(b + 1.0, z) / b

    fixed = (0,)
    domain = (Above(0.5), Normal())
    probes = ((1.0, 0.5), (2.5, -1.0))


@scipy_ufunc
class hyp1f1:
    """Kummer's confluent hypergeometric function (DLMF 13.3.15)."""

    def partials(y, a, b, z):
        return NO_PARAMETER, NO_PARAMETER, a / b * ops.hyp1f1(a + 1.0, b + 1.0, z)

    fixed = (0, 1)
    domain = (Between(0.5, 2.0), Between(1.0, 3.0), Normal())
    probes = ((1.0, 2.0, 0.5), (0.5, 2.5, -1.0))


@scipy_ufunc
class hyp2f1:
    """Gauss's hypergeometric function (DLMF 15.5.1)."""

    def partials(y, a, b, c, z):
        factor = a * b / c
        slope = ops.where(
            factor == 0.0, 0.0, factor * ops.hyp2f1(a + 1.0, b + 1.0, c + 1.0, z)
        )  # even where that is NaN
        return NO_PARAMETER, NO_PARAMETER, NO_PARAMETER, slope

    fixed = (0, 1, 2)
    domain = (Between(0.5, 2.0), Between(0.5, 2.0), Between(2.5, 3.0), Between(-0.5, 0.5))
    probes = ((1.0, 2.0, 2.5, 0.3), (0.5, 1.5, 1.0, -0.4))


@scipy_ufunc_in_double
class hyperu:
    """Tricomi's confluent hypergeometric function (DLMF 13.3.22)."""

    def partials(y, a, b, x):
        # With b + 1 SciPy has none next to 0, and NaN elsewhere: x U' = a (1 + a - b) U(a + 1) - a U (DLMF 13.3.25).
        missing = ops.isnan(ops.hyperu(a + 1.0, b + 1.0, ops.detach(x)))
        near = ops.logical_or(x < 1e-8, missing)
        slope = -a * ops.hyperu(a + 1.0, b + 1.0, ops.where(near, 1.0, x))
        x = ops.where(near, x, 1.0)
        quotient = a * ((1.0 + a - b) * ops.hyperu(a + 1.0, b, x) - ops.hyperu(a, b, x)) / x
        return NO_PARAMETER, NO_PARAMETER, ops.where(near, quotient, slope)

    fixed = (0, 1)
    domain = (Between(0.5, 2.0), Between(1.1, 1.9), Between(0.5, 3.0))
    probes = ((1.0, 1.5, 0.5), (0.5, 1.2, 2.0))
