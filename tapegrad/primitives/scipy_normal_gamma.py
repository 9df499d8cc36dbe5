"""Distribution functions of SciPy that rest on the normal and on the gamma distribution, and their inverses.

See `scipy_beta_binomial.py` for what the derivatives are.
"""

from __future__ import annotations

import math

from .core import ops
from .domain import Above, Between, Integers, Normal
from .scipy_densities import (
    COUNT,
    PROBABILITY,
    bounded,
    chi2_slopes,
    gamma_density,
    gamma_slopes,
    inverse,
    negated,
    noncentral_chi2_slopes,
    rate_slopes,
)
from .scipy_loader import scipy_ufunc_in_double

SQRT_2PI = math.sqrt(2.0 * math.pi)


# --- normal ----------------------------------------------------------------------------------------------------------


@scipy_ufunc_in_double
class ndtri_exp:
    """Inverse of the logarithm of the normal distribution function."""

    def partials(y, x):
        return 0.5 * SQRT_2PI * ops.erfcx(-math.sqrt(0.5) * y)  # exp(x + y²/2) would be a difference of large numbers

    domain = Between(-4.0, -0.1)
    probes = (-1.0, -0.3)


@scipy_ufunc_in_double
class nrdtrimn:
    """Mean of the normal distribution that has a given quantile."""

    def partials(y, p, std, x):
        q = ops.ndtri(p)
        return -std * SQRT_2PI * ops.exp(0.5 * q * q), -q, 1.0

    domain = (PROBABILITY, Above(0.2), Normal())
    probes = ((0.3, 1.0, 0.5), (0.8, 2.0, -1.0))


@scipy_ufunc_in_double
class nrdtrisd:
    """Standard deviation of the normal distribution that has a given quantile."""

    def partials(y, mn, p, x):
        q = ops.ndtri(p)
        return -1.0 / q, -y / q * SQRT_2PI * ops.exp(0.5 * q * q), 1.0 / q

    domain = (Between(-1.0, 0.0), Between(0.6, 0.9), Between(1.0, 2.0))
    probes = ((0.0, 0.8, 1.0), (-1.0, 0.7, 2.0))


@scipy_ufunc_in_double
class owens_t:
    """Owen's T function."""

    def partials(y, h, a):
        h, a = ops.clip(h, -1e150, 1e150), ops.clip(a, -1e150, 1e150)  # infinity times 0 would be NaN
        by_h = -0.5 / SQRT_2PI * ops.exp(-0.5 * h * h) * ops.erf(a * h / math.sqrt(2.0))
        spread = 1.0 + a * a
        return by_h, ops.exp(-0.5 * h * h * spread) / (2.0 * math.pi * spread)

    domain = (Normal(), Normal())
    probes = ((0.5, 1.0), (-1.0, 0.3), (1.0, -2.0))


# --- gamma, chi-square, Poisson --------------------------------------------------------------------------------------


@scipy_ufunc_in_double
class gammaincinv:
    """Inverse of gammainc (DLMF 8.8.13)."""

    def partials(y, a, p):
        return inverse(gamma_slopes(a, y), 1)

    domain = (Above(0.5), PROBABILITY)
    probes = ((2.0, 0.3), (0.5, 0.8))


@scipy_ufunc_in_double
class gammainccinv:
    """Inverse of gammaincc (DLMF 8.8.14)."""

    def partials(y, a, p):
        return inverse(negated(gamma_slopes(a, y)), 1)

    domain = (Above(0.5), PROBABILITY)
    probes = ((2.0, 0.3), (0.5, 0.8))


@scipy_ufunc_in_double
class chdtr:
    """Chi-square distribution function."""

    def partials(y, v, x):
        return chi2_slopes(v, x)

    domain = (Above(1.0), Above(0.0))
    probes = ((2.0, 1.0), (5.0, 3.0))


@scipy_ufunc_in_double
class chdtrc:
    """Chi-square survival function."""

    def partials(y, v, x):
        return negated(chi2_slopes(v, x))

    domain = (Above(1.0), Above(0.0))
    probes = ((2.0, 1.0), (5.0, 3.0))


@scipy_ufunc_in_double
class chdtri:
    """Inverse of the chi-square survival function."""

    def partials(y, v, p):
        return inverse(negated(chi2_slopes(v, y)), 1)

    domain = (Above(1.0), PROBABILITY)
    probes = ((2.0, 0.3), (5.0, 0.8))


@scipy_ufunc_in_double
class chndtr:
    """Noncentral chi-square distribution function."""

    def partials(y, x, df, nc):
        return noncentral_chi2_slopes(x, df, nc)

    fixed = (1,)
    domain = (Above(0.2), Above(2.0), Above(0.2))
    probes = ((1.0, 3.0, 0.5), (4.0, 2.5, 2.0))


@scipy_ufunc_in_double
class chndtrix:
    """Inverse of the noncentral chi-square distribution function."""

    def partials(y, p, df, nc):
        return inverse(noncentral_chi2_slopes(y, df, nc), 0)

    fixed = (1,)
    domain = (PROBABILITY, Above(2.0), Above(0.2))
    probes = ((0.3, 3.0, 0.5), (0.8, 2.5, 2.0))


@scipy_ufunc_in_double
class chndtrinc:
    """Noncentrality at which the chi-square distribution function has a given value."""

    def partials(y, x, df, p):
        def slopes(nc):
            return noncentral_chi2_slopes(x, df, nc)

        return bounded(slopes, y, 2, 1e-300, 1e4)

    fixed = (1,)
    domain = (Between(3.0, 4.0), Between(2.2, 2.8), Between(0.3, 0.5))
    probes = ((3.0, 2.5, 0.3), (4.0, 2.5, 0.5))


@scipy_ufunc_in_double
class gdtr:
    """Gamma distribution function, with a rate."""

    def partials(y, a, b, x):
        return rate_slopes(a, b, x)

    domain = (Above(0.3), Above(0.5), Above(0.1))
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 2.0))


@scipy_ufunc_in_double
class gdtrc:
    """Gamma survival function, with a rate."""

    def partials(y, a, b, x):
        return negated(rate_slopes(a, b, x))

    domain = (Above(0.3), Above(0.5), Above(0.1))
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 2.0))


@scipy_ufunc_in_double
class gdtrix:
    """Inverse of the gamma distribution function, with a rate."""

    def partials(y, a, b, p):
        return inverse(rate_slopes(a, b, y), 2)

    domain = (Above(0.3), Above(0.5), PROBABILITY)
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 0.8))


@scipy_ufunc_in_double
class gdtria:
    """Rate at which the gamma distribution function has a given value."""

    def partials(y, p, b, x):
        return inverse(rate_slopes(y, b, x), 0)

    domain = (PROBABILITY, Above(0.5), Above(0.3))
    probes = ((0.5, 2.0, 1.0), (0.8, 1.5, 0.5))


@scipy_ufunc_in_double
class pdtr:
    """Poisson distribution function."""

    def partials(y, k, m):
        return COUNT, -gamma_density(ops.floor(k) + 1.0, m)

    fixed = (0,)
    domain = (Between(0.1, 5.9), Above(0.1))
    probes = ((2.0, 1.0), (0.0, 0.5))


@scipy_ufunc_in_double
class pdtrc:
    """Poisson survival function."""

    def partials(y, k, m):
        return COUNT, gamma_density(ops.floor(k) + 1.0, m)

    fixed = (0,)
    domain = (Between(0.1, 5.9), Above(0.1))
    probes = ((2.0, 1.0), (0.0, 0.5))


@scipy_ufunc_in_double
class pdtri:
    """Poisson mean at which the distribution function has a given value."""

    def partials(y, k, p):
        return COUNT, -1.0 / gamma_density(k + 1.0, y)

    domain = (Integers(0, 5), PROBABILITY)
    probes = ((2, 0.3), (0, 0.8))
