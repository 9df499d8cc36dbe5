"""Distribution functions of SciPy, and their inverses.

The derivative of a distribution function with respect to its variable is the density; an inverse has its reciprocal.
Those with respect to parameters are integrals (`scipy_parameters.py`). Step functions of an integer variable are
constant in it.
"""

from __future__ import annotations

import math

from .core import ops
from .domain import Above, Between, Integers, Normal
from .scipy_densities import (
    NO_SHAPE,
    beta_density,
    beta_slopes,
    binomial_slopes,
    chi2_slopes,
    f_slopes,
    gamma_density,
    gamma_slopes,
    inverse,
    negated,
    negative_binomial_slopes,
    noncentral_chi2_slopes,
    noncentral_f_slopes,
    noncentral_t_slopes,
    poisson_slopes,
    rate_slopes,
    t_slopes,
)
from .special import scipy_ufunc

SQRT_2PI = math.sqrt(2.0 * math.pi)
COUNT = "it counts, and has no derivative: make it a constant"
PROBABILITY = Between(0.05, 0.95)


# --- normal ----------------------------------------------------------------------------------------------------------


@scipy_ufunc
class ndtri_exp:
    """Inverse of the logarithm of the normal distribution function."""

    def partials(y, x):
        return SQRT_2PI * ops.exp(x + 0.5 * y * y)

    domain = Between(-4.0, -0.1)
    probes = (-1.0, -0.3)


@scipy_ufunc
class nrdtrimn:
    """Mean of the normal distribution that has a given quantile."""

    def partials(y, p, std, x):
        q = ops.ndtri(p)
        return -std * SQRT_2PI * ops.exp(0.5 * q * q), -q, 1.0

    domain = (PROBABILITY, Above(0.2), Normal())
    probes = ((0.3, 1.0, 0.5), (0.8, 2.0, -1.0))


@scipy_ufunc
class nrdtrisd:
    """Standard deviation of the normal distribution that has a given quantile."""

    def partials(y, mn, p, x):
        q = ops.ndtri(p)
        return -1.0 / q, -y / q * SQRT_2PI * ops.exp(0.5 * q * q), 1.0 / q

    domain = (Between(-1.0, 0.0), Between(0.6, 0.9), Between(1.0, 2.0))
    probes = ((0.0, 0.8, 1.0), (-1.0, 0.7, 2.0))


@scipy_ufunc
class owens_t:
    """Owen's T function."""

    def partials(y, h, a):
        by_h = -0.5 / SQRT_2PI * ops.exp(-0.5 * h * h) * ops.erf(a * h / math.sqrt(2.0))
        spread = 1.0 + a * a
        return by_h, ops.exp(-0.5 * h * h * spread) / (2.0 * math.pi * spread)

    domain = (Normal(), Normal())
    probes = ((0.5, 1.0), (-1.0, 0.3), (1.0, -2.0))


# --- gamma, chi-square, Poisson --------------------------------------------------------------------------------------


@scipy_ufunc
class gammaincinv:
    """Inverse of gammainc (DLMF 8.8.13)."""

    def partials(y, a, p):
        return inverse(gamma_slopes(a, y), 1)

    domain = (Above(0.5), PROBABILITY)
    probes = ((2.0, 0.3), (0.5, 0.8))


@scipy_ufunc
class gammainccinv:
    """Inverse of gammaincc (DLMF 8.8.14)."""

    def partials(y, a, p):
        return inverse(negated(gamma_slopes(a, y)), 1)

    domain = (Above(0.5), PROBABILITY)
    probes = ((2.0, 0.3), (0.5, 0.8))


@scipy_ufunc
class chdtr:
    """Chi-square distribution function."""

    def partials(y, v, x):
        return chi2_slopes(v, x)

    domain = (Above(1.0), Above(0.0))
    probes = ((2.0, 1.0), (5.0, 3.0))


@scipy_ufunc
class chdtrc:
    """Chi-square survival function."""

    def partials(y, v, x):
        return negated(chi2_slopes(v, x))

    domain = (Above(1.0), Above(0.0))
    probes = ((2.0, 1.0), (5.0, 3.0))


@scipy_ufunc
class chdtri:
    """Inverse of the chi-square survival function."""

    def partials(y, v, p):
        return inverse(negated(chi2_slopes(v, y)), 1)

    domain = (Above(1.0), PROBABILITY)
    probes = ((2.0, 0.3), (5.0, 0.8))


@scipy_ufunc
class chndtr:
    """Noncentral chi-square distribution function."""

    def partials(y, x, df, nc):
        return noncentral_chi2_slopes(x, df, nc)

    fixed = (1,)
    domain = (Above(0.2), Above(2.0), Above(0.2))
    probes = ((1.0, 3.0, 0.5), (4.0, 2.5, 2.0))


@scipy_ufunc
class chndtrix:
    """Inverse of the noncentral chi-square distribution function."""

    def partials(y, p, df, nc):
        return inverse(noncentral_chi2_slopes(y, df, nc), 0)

    fixed = (1,)
    domain = (PROBABILITY, Above(2.0), Above(0.2))
    probes = ((0.3, 3.0, 0.5), (0.8, 2.5, 2.0))


@scipy_ufunc
class chndtrinc:
    """Noncentrality at which the chi-square distribution function has a given value."""

    def partials(y, x, df, p):
        return inverse(noncentral_chi2_slopes(x, df, y), 2)

    fixed = (1,)
    domain = (Between(3.0, 4.0), Between(2.2, 2.8), Between(0.3, 0.5))
    probes = ((3.0, 2.5, 0.3), (4.0, 2.5, 0.5))


@scipy_ufunc
class gdtr:
    """Gamma distribution function, with a rate."""

    def partials(y, a, b, x):
        return rate_slopes(a, b, x)

    domain = (Above(0.3), Above(0.5), Above(0.1))
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 2.0))


@scipy_ufunc
class gdtrc:
    """Gamma survival function, with a rate."""

    def partials(y, a, b, x):
        return negated(rate_slopes(a, b, x))

    domain = (Above(0.3), Above(0.5), Above(0.1))
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 2.0))


@scipy_ufunc
class gdtrix:
    """Inverse of the gamma distribution function, with a rate."""

    def partials(y, a, b, p):
        return inverse(rate_slopes(a, b, y), 2)

    domain = (Above(0.3), Above(0.5), PROBABILITY)
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 0.8))


@scipy_ufunc
class gdtria:
    """Rate at which the gamma distribution function has a given value."""

    def partials(y, p, b, x):
        return inverse(rate_slopes(y, b, x), 0)

    domain = (PROBABILITY, Above(0.5), Above(0.3))
    probes = ((0.5, 2.0, 1.0), (0.8, 1.5, 0.5))


@scipy_ufunc
class pdtr:
    """Poisson distribution function."""

    def partials(y, k, m):
        return COUNT, -gamma_density(ops.floor(k) + 1.0, m)

    fixed = (0,)
    domain = (Between(0.1, 5.9), Above(0.1))
    probes = ((2.0, 1.0), (0.0, 0.5))


@scipy_ufunc
class pdtrc:
    """Poisson survival function."""

    def partials(y, k, m):
        return COUNT, gamma_density(ops.floor(k) + 1.0, m)

    fixed = (0,)
    domain = (Between(0.1, 5.9), Above(0.1))
    probes = ((2.0, 1.0), (0.0, 0.5))


@scipy_ufunc
class pdtri:
    """Poisson mean at which the distribution function has a given value."""

    def partials(y, k, p):
        return COUNT, -1.0 / gamma_density(k + 1.0, y)

    domain = (Integers(0, 5), PROBABILITY)
    probes = ((2, 0.3), (0, 0.8))


# --- beta, binomial, F -----------------------------------------------------------------------------------------------


@scipy_ufunc
class betaincc:
    """Complement of the regularised incomplete beta function (DLMF 8.17.20)."""

    def partials(y, a, b, x):
        return negated(beta_slopes(a, b, x))

    domain = (Above(0.5), Above(0.5), Between(0.0, 1.0))
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))


@scipy_ufunc
class betaincinv:
    """Inverse of betainc (DLMF 8.17.20)."""

    def partials(y, a, b, p):
        return inverse(beta_slopes(a, b, y), 2)

    domain = (Above(0.5), Above(0.5), PROBABILITY)
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))


@scipy_ufunc
class betainccinv:
    """Inverse of betaincc (DLMF 8.17.20)."""

    def partials(y, a, b, p):
        return inverse(negated(beta_slopes(a, b, y)), 2)

    domain = (Above(0.5), Above(0.5), PROBABILITY)
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))


def _binomial_slope(k, n, p):
    """Derivative of the binomial survival function with respect to the probability."""
    k = ops.floor(k)
    full = k >= n
    return ops.where(full, 0.0, beta_density(k + 1.0, ops.where(full, 1.0, n - k), p))


@scipy_ufunc
class bdtr:
    """Binomial distribution function (DLMF 8.17.5)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, -_binomial_slope(k, n, p)

    domain = (Between(0.1, 3.9), Integers(5, 9), Between(0.1, 0.9))
    fixed = (0,)
    probes = ((2.0, 5, 0.3), (0.0, 3, 0.8))


@scipy_ufunc
class bdtrc:
    """Binomial survival function (DLMF 8.17.5)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, _binomial_slope(k, n, p)

    domain = (Between(0.1, 3.9), Integers(5, 9), Between(0.1, 0.9))
    fixed = (0,)
    probes = ((2.0, 5, 0.3), (0.0, 3, 0.8))


@scipy_ufunc
class bdtri:
    """Probability at which the binomial distribution function has a given value (DLMF 8.17.5)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, -1.0 / _binomial_slope(k, n, y)

    domain = (Between(0.1, 3.9), Integers(5, 9), PROBABILITY)
    fixed = (0,)
    probes = ((2.0, 5, 0.3), (0.0, 3, 0.8))


@scipy_ufunc
class nbdtr:
    """Negative binomial distribution function (DLMF 8.17.24)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, beta_density(n * 1.0, k + 1.0, p)

    domain = (Integers(0, 5), Integers(1, 6), Between(0.1, 0.9))
    probes = ((2, 3, 0.3), (0, 1, 0.8))


@scipy_ufunc
class nbdtrc:
    """Negative binomial survival function (DLMF 8.17.24)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, -beta_density(n * 1.0, k + 1.0, p)

    domain = (Integers(0, 5), Integers(1, 6), Between(0.1, 0.9))
    probes = ((2, 3, 0.3), (0, 1, 0.8))


@scipy_ufunc
class nbdtri:
    """Probability at which the negative binomial distribution function has a given value (DLMF 8.17.24)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, 1.0 / beta_density(n * 1.0, k + 1.0, y)

    domain = (Integers(0, 5), Integers(1, 6), PROBABILITY)
    probes = ((2, 3, 0.3), (0, 1, 0.8))


@scipy_ufunc
class fdtr:
    """F distribution function."""

    def partials(y, n, d, x):
        return f_slopes(n, d, x)

    domain = (Above(1.0), Above(1.0), Above(0.1))
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 2.0))


@scipy_ufunc
class fdtrc:
    """F survival function."""

    def partials(y, n, d, x):
        return negated(f_slopes(n, d, x))

    domain = (Above(1.0), Above(1.0), Above(0.1))
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 2.0))


@scipy_ufunc
class fdtri:
    """Inverse of the F distribution function."""

    def partials(y, n, d, p):
        return inverse(f_slopes(n, d, y), 2)

    domain = (Above(2.0), Above(2.0), PROBABILITY)
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 0.8))


@scipy_ufunc
class ncfdtr:
    """Noncentral F distribution function."""

    def partials(y, n, d, nc, x):
        return noncentral_f_slopes(n, d, nc, x, y)

    fixed = (0, 1)
    domain = (Between(2.0, 5.0), Between(3.0, 6.0), Between(0.5, 2.0), Between(0.5, 2.0))
    probes = ((2.0, 3.0, 1.0, 0.5), (5.0, 4.0, 0.5, 2.0))


@scipy_ufunc
class ncfdtri:
    """Inverse of the noncentral F distribution function."""

    def partials(y, n, d, nc, p):
        return inverse(noncentral_f_slopes(n, d, nc, y, p), 3)

    fixed = (0, 1)
    domain = (Between(2.0, 5.0), Between(3.0, 6.0), Between(0.5, 2.0), Between(0.3, 0.7))
    probes = ((2.0, 3.0, 1.0, 0.5), (5.0, 4.0, 0.5, 0.7))


# --- Student's t -----------------------------------------------------------------------------------------------------


@scipy_ufunc
class stdtr:
    """Student's t distribution function."""

    def partials(y, v, t):
        return t_slopes(v, t)

    domain = (Above(1.0), Normal())
    probes = ((2.0, 1.0), (5.0, -0.3), (3.0, 0.0))


@scipy_ufunc
class stdtrit:
    """Inverse of Student's t distribution function."""

    def partials(y, v, p):
        return inverse(t_slopes(v, y), 1)

    domain = (Above(1.0), Between(0.1, 0.9))
    probes = ((2.0, 0.3), (5.0, 0.8))


@scipy_ufunc
class nctdtr:
    """Noncentral t distribution function."""

    def partials(y, df, nc, t):
        return noncentral_t_slopes(df, nc, t)

    domain = (Between(3.0, 6.0), Between(-1.0, 1.0), Between(0.3, 2.0))
    probes = ((4.0, 0.5, 0.8), (5.0, -0.3, 1.5))


@scipy_ufunc
class nctdtrit:
    """Inverse of the noncentral t distribution function."""

    def partials(y, df, nc, p):
        return inverse(noncentral_t_slopes(df, nc, y), 2)

    domain = (Between(3.0, 6.0), Between(0.2, 1.0), Between(0.6, 0.9))
    probes = ((4.0, 0.5, 0.8), (5.0, 0.3, 0.7))


# --- Kolmogorov, Tukey -----------------------------------------------------------------------------------------------


def _kolmogorov_slope(x):
    """Derivative of the survival function: its series, term by term; below 0.1 it is 0 to the last digit."""
    safe = ops.maximum(x, 0.1)
    squares, total = -2.0 * safe * safe, 0.0
    for k in range(30, 0, -1):
        total = total + (-1.0) ** k * k * k * ops.exp(squares * float(k * k))
    return ops.where(x < 0.1, 0.0, 8.0 * safe * total)


@scipy_ufunc
class kolmogorov:
    """Survival function of Kolmogorov's distribution."""

    def partials(y, x):
        return _kolmogorov_slope(x)

    domain = Between(0.4, 2.0)
    probes = (0.5, 1.0, 0.01)


@scipy_ufunc
class kolmogi:
    """Inverse of the survival function of Kolmogorov's distribution."""

    def partials(y, p):
        return 1.0 / _kolmogorov_slope(y)

    domain = Between(0.05, 0.9)
    probes = (0.3, 0.8)


@scipy_ufunc
class smirnov:
    """Kolmogorov-Smirnov survival function."""

    def partials(y, n, d):
        return COUNT, ops.smirnovp(n, d)

    real_orders = 1
    domain = (Integers(3, 9), Between(0.1, 0.9))
    probes = ((3, 0.3), (5, 0.25))


@scipy_ufunc
class smirnovp:
    """Derivative of the Kolmogorov-Smirnov survival function."""

    scipy_name = "_smirnovp"
    derivative = "the second derivative of smirnov is not in SciPy"
    probes = ((3, 0.3), (5, 0.25))
    domain = (Integers(3, 9), Between(0.1, 0.9))


@scipy_ufunc
class smirnovi:
    """Inverse of the Kolmogorov-Smirnov survival function."""

    def partials(y, n, p):
        return COUNT, 1.0 / ops.smirnovp(n, y)

    real_orders = 1
    domain = (Integers(3, 9), Between(0.1, 0.9))
    probes = ((3, 0.3), (5, 0.25))


@scipy_ufunc
class tklmbda:
    """Distribution function of Tukey's lambda distribution."""

    def partials(y, x, lam):
        # The quantile function is Q(p) = (p^l - (1 - p)^l) / l, so x' = 1 / Q'(p) and l' = -Q_l / Q'.
        p, rest = y, 1.0 - y
        density = 1.0 / (p ** (lam - 1.0) + rest ** (lam - 1.0))
        left, right = p**lam, rest**lam
        by_lam = (left * ops.log(p) - right * ops.log(rest)) / lam - (left - right) / (lam * lam)
        return density, -by_lam * density

    domain = (Between(-0.8, 0.8), Between(0.2, 0.9))
    probes = ((0.5, 0.3), (-0.3, 0.8))


# --- inverses with respect to parameters -----------------------------------------------------------------------------


@scipy_ufunc
class gdtrib:
    """Shape at which the gamma distribution function has a given value."""

    def partials(y, a, p, x):
        return inverse(rate_slopes(a, y, x), 1)

    domain = (Above(0.5), PROBABILITY, Above(0.5))
    probes = ((1.0, 0.4, 2.0), (2.0, 0.7, 1.5))


@scipy_ufunc
class chdtriv:
    """Degrees of freedom at which the chi-square distribution function has a given value."""

    def partials(y, p, x):
        return inverse(chi2_slopes(y, x), 0)

    domain = (PROBABILITY, Above(0.5))
    probes = ((0.4, 2.0), (0.8, 5.0))


@scipy_ufunc
class pdtrik:
    """Real number of events at which the Poisson distribution function has a given value."""

    def partials(y, p, m):
        return inverse(poisson_slopes(y, m), 0)

    domain = (Between(0.4, 0.8), Between(1.0, 5.0))
    probes = ((0.5, 2.0), (0.7, 4.0))


@scipy_ufunc
class btdtria:
    """First parameter at which the beta distribution function has a given value."""

    def partials(y, p, b, x):
        return inverse(beta_slopes(y, b, x), 0)

    domain = (PROBABILITY, Above(0.5), Between(0.1, 0.9))
    probes = ((0.4, 2.0, 0.5), (0.7, 1.5, 0.3))


@scipy_ufunc
class btdtrib:
    """Second parameter at which the beta distribution function has a given value."""

    def partials(y, a, p, x):
        return inverse(beta_slopes(a, y, x), 1)

    domain = (Above(0.5), PROBABILITY, Between(0.1, 0.9))
    probes = ((2.0, 0.4, 0.5), (1.5, 0.7, 0.3))


@scipy_ufunc
class bdtrik:
    """Real number of successes at which the binomial distribution function has a given value."""

    def partials(y, q, n, p):
        return inverse(binomial_slopes(y, n, p), 0)

    domain = (Between(0.4, 0.7), Between(6.0, 9.0), Between(0.3, 0.7))
    probes = ((0.5, 8.0, 0.4), (0.6, 7.0, 0.6))


@scipy_ufunc
class bdtrin:
    """Real number of trials at which the binomial distribution function has a given value."""

    def partials(y, k, q, p):
        return inverse(binomial_slopes(k, y, p), 1)

    domain = (Between(2.0, 5.0), Between(0.3, 0.7), Between(0.3, 0.7))
    probes = ((3.0, 0.5, 0.4), (4.0, 0.6, 0.6))


@scipy_ufunc
class nbdtrik:
    """Real number of failures at which the negative binomial distribution function has a given value."""

    def partials(y, q, n, p):
        return inverse(negative_binomial_slopes(y, n, p), 0)

    domain = (Between(0.5, 0.8), Between(3.0, 6.0), Between(0.3, 0.6))
    probes = ((0.6, 4.0, 0.4), (0.7, 5.0, 0.5))


@scipy_ufunc
class nbdtrin:
    """Real number of successes at which the negative binomial distribution function has a given value."""

    def partials(y, k, q, p):
        return inverse(negative_binomial_slopes(k, y, p), 1)

    domain = (Between(3.0, 6.0), Between(0.3, 0.6), Between(0.3, 0.6))
    probes = ((4.0, 0.5, 0.4), (5.0, 0.4, 0.5))


@scipy_ufunc
class fdtridfd:
    """Second degrees of freedom at which the F distribution function has a given value."""

    def partials(y, n, p, x):
        return inverse(f_slopes(n, y, x), 1)

    domain = (Between(2.0, 4.0), Between(0.55, 0.65), Between(1.1, 1.4))
    probes = ((3.0, 0.6, 1.3), (2.0, 0.6, 1.2))


@scipy_ufunc
class stdtridf:
    """Degrees of freedom at which Student's t distribution function has a given value."""

    def partials(y, p, t):
        return inverse(t_slopes(y, t), 0)

    domain = (Between(0.8, 0.84), Between(1.05, 1.3))
    probes = ((0.8, 1.1), (0.82, 1.2))


@scipy_ufunc
class nctdtridf:
    """Degrees of freedom at which the noncentral t distribution function has a given value."""

    def partials(y, p, nc, t):
        return inverse(noncentral_t_slopes(y, nc, t), 0)

    coarse = 1e-5
    domain = (Between(0.63, 0.65), Between(0.45, 0.55), Between(0.95, 1.05))
    probes = ((0.64, 0.5, 1.0),)


@scipy_ufunc
class nctdtrinc:
    """Noncentrality at which the t distribution function has a given value."""

    def partials(y, df, p, t):
        return inverse(noncentral_t_slopes(df, y, t), 1)

    domain = (Between(3.0, 6.0), Between(0.3, 0.7), Between(0.5, 2.0))
    probes = ((4.0, 0.5, 1.0), (5.0, 0.6, 1.5))


@scipy_ufunc
class ncfdtrinc:
    """Noncentrality at which the F distribution function has a given value."""

    def partials(y, n, d, p, x):
        return inverse(noncentral_f_slopes(n, d, y, x, p), 2)

    coarse = 1e-3
    fixed = (0, 1)
    domain = (Between(2.0, 4.0), Between(3.0, 6.0), Between(0.3, 0.4), Between(2.0, 3.0))
    probes = ((2.0, 3.0, 0.35, 2.0), (3.0, 5.0, 0.3, 3.0))


def _refused(name, count):
    members = {
        "__doc__": f"`scipy.special.{name}`, without derivative.",
        "derivative": NO_SHAPE,
        "probes": ((0.4, 0.5, 0.6, 0.7)[:count],),
    }
    return type(name, (), members)


for _name, _count in (("chndtridf", 3), ("ncfdtridfd", 4), ("ncfdtridfn", 4)):
    scipy_ufunc(_refused(_name, _count))
