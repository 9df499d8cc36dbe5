"""Distribution functions of SciPy that rest on the beta distribution, the rest of them, and their inverses.

The derivative of a distribution function with respect to its variable is the density; an inverse has its reciprocal.
Those with respect to parameters are integrals (`scipy_parameters.py`). Step functions of an integer variable are
constant in it.
"""

from __future__ import annotations

from .core import ops
from .domain import Above, Between, Integers, Normal
from .scipy_densities import (
    COUNT,
    PROBABILITY,
    beta_density,
    beta_slopes,
    f_slopes,
    inverse,
    negated,
    noncentral_f_slopes,
    noncentral_t_slopes,
    t_slopes,
)
from .scipy_entropy import power_slope
from .scipy_loader import scipy_ufunc_in_double

# --- beta, binomial, F -----------------------------------------------------------------------------------------------


@scipy_ufunc_in_double
class betaincc:
    """Complement of the regularised incomplete beta function (DLMF 8.17.20)."""

    def partials(y, a, b, x):
        return negated(beta_slopes(a, b, x))

    domain = (Above(0.5), Above(0.5), Between(0.0, 1.0))
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))


@scipy_ufunc_in_double
class betaincinv:
    """Inverse of betainc (DLMF 8.17.20)."""

    def partials(y, a, b, p):
        return inverse(beta_slopes(a, b, y), 2)

    domain = (Above(0.5), Above(0.5), PROBABILITY)
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))


@scipy_ufunc_in_double
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


@scipy_ufunc_in_double
class bdtr:
    """Binomial distribution function (DLMF 8.17.5)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, -_binomial_slope(k, n, p)

    domain = (Between(0.1, 3.9), Integers(5, 9), Between(0.1, 0.9))
    fixed = (0,)
    probes = ((2.0, 5, 0.3), (0.0, 3, 0.8))


@scipy_ufunc_in_double
class bdtrc:
    """Binomial survival function (DLMF 8.17.5)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, _binomial_slope(k, n, p)

    domain = (Between(0.1, 3.9), Integers(5, 9), Between(0.1, 0.9))
    fixed = (0,)
    probes = ((2.0, 5, 0.3), (0.0, 3, 0.8))


@scipy_ufunc_in_double
class bdtri:
    """Probability at which the binomial distribution function has a given value (DLMF 8.17.5)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, -1.0 / _binomial_slope(k, n, y)

    domain = (Between(0.1, 3.9), Integers(5, 9), PROBABILITY)
    fixed = (0,)
    probes = ((2.0, 5, 0.3), (0.0, 3, 0.8))


@scipy_ufunc_in_double
class nbdtr:
    """Negative binomial distribution function (DLMF 8.17.24)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, beta_density(n * 1.0, k + 1.0, p)

    domain = (Integers(0, 5), Integers(1, 6), Between(0.1, 0.9))
    probes = ((2, 3, 0.3), (0, 1, 0.8))


@scipy_ufunc_in_double
class nbdtrc:
    """Negative binomial survival function (DLMF 8.17.24)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, -beta_density(n * 1.0, k + 1.0, p)

    domain = (Integers(0, 5), Integers(1, 6), Between(0.1, 0.9))
    probes = ((2, 3, 0.3), (0, 1, 0.8))


@scipy_ufunc_in_double
class nbdtri:
    """Probability at which the negative binomial distribution function has a given value (DLMF 8.17.24)."""

    def partials(y, k, n, p):
        return COUNT, COUNT, 1.0 / beta_density(n * 1.0, k + 1.0, y)

    domain = (Integers(0, 5), Integers(1, 6), PROBABILITY)
    probes = ((2, 3, 0.3), (0, 1, 0.8))


@scipy_ufunc_in_double
class fdtr:
    """F distribution function."""

    def partials(y, n, d, x):
        return f_slopes(n, d, x)

    domain = (Above(1.0), Above(1.0), Above(0.1))
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 2.0))


@scipy_ufunc_in_double
class fdtrc:
    """F survival function."""

    def partials(y, n, d, x):
        return negated(f_slopes(n, d, x))

    domain = (Above(1.0), Above(1.0), Above(0.1))
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 2.0))


@scipy_ufunc_in_double
class fdtri:
    """Inverse of the F distribution function."""

    def partials(y, n, d, p):
        return inverse(f_slopes(n, d, y), 2)

    domain = (Above(2.0), Above(2.0), PROBABILITY)
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 0.8))


@scipy_ufunc_in_double
class ncfdtr:
    """Noncentral F distribution function."""

    def partials(y, n, d, nc, x):
        return noncentral_f_slopes(n, d, nc, x, y)

    fixed = (0, 1)
    domain = (Between(2.0, 5.0), Between(3.0, 6.0), Between(0.5, 2.0), Between(0.5, 2.0))
    probes = ((2.0, 3.0, 1.0, 0.5), (5.0, 4.0, 0.5, 2.0))


@scipy_ufunc_in_double
class ncfdtri:
    """Inverse of the noncentral F distribution function."""

    def partials(y, n, d, nc, p):
        return inverse(noncentral_f_slopes(n, d, nc, y, p), 3)

    fixed = (0, 1)
    domain = (Between(2.0, 5.0), Between(3.0, 6.0), Between(0.5, 2.0), Between(0.3, 0.7))
    probes = ((2.0, 3.0, 1.0, 0.5), (5.0, 4.0, 0.5, 0.7))


# --- Student's t -----------------------------------------------------------------------------------------------------


@scipy_ufunc_in_double
class stdtr:
    """Student's t distribution function."""

    def partials(y, v, t):
        return t_slopes(v, t)

    domain = (Above(1.0), Normal())
    probes = ((2.0, 1.0), (5.0, -0.3), (3.0, 0.0))


@scipy_ufunc_in_double
class stdtrit:
    """Inverse of Student's t distribution function."""

    def partials(y, v, p):
        return inverse(t_slopes(v, y), 1)

    domain = (Above(1.0), Between(0.1, 0.9))
    probes = ((2.0, 0.3), (5.0, 0.8))


@scipy_ufunc_in_double
class nctdtr:
    """Noncentral t distribution function."""

    def partials(y, df, nc, t):
        return noncentral_t_slopes(df, nc, t)

    domain = (Between(3.0, 6.0), Between(-1.0, 1.0), Between(0.3, 2.0))
    probes = ((4.0, 0.5, 0.8), (5.0, -0.3, 1.5))


@scipy_ufunc_in_double
class nctdtrit:
    """Inverse of the noncentral t distribution function."""

    def partials(y, df, nc, p):
        return inverse(noncentral_t_slopes(df, nc, y), 2)

    domain = (Between(3.0, 6.0), Between(0.2, 1.0), Between(0.6, 0.9))
    probes = ((4.0, 0.5, 0.8), (5.0, 0.3, 0.7))


# --- Kolmogorov, Tukey -----------------------------------------------------------------------------------------------


def _kolmogorov_slope(x):
    """Derivative of the survival function: its series, term by term; it is 0 below 0.1 and above 30."""
    safe = ops.clip(x, 0.1, 30.0)
    squares, total = -2.0 * safe * safe, 0.0
    for k in range(30, 0, -1):
        total = total + (-1.0) ** k * k * k * ops.exp(squares * float(k * k))
    return ops.where(x < 0.1, 0.0, 8.0 * safe * total)


@scipy_ufunc_in_double
class kolmogorov:
    """Survival function of Kolmogorov's distribution."""

    def partials(y, x):
        return _kolmogorov_slope(x)

    domain = Between(0.4, 2.0)
    probes = (0.5, 1.0, 0.01)


@scipy_ufunc_in_double
class kolmogi:
    """Inverse of the survival function of Kolmogorov's distribution."""

    def partials(y, p):
        return 1.0 / _kolmogorov_slope(y)

    domain = Between(0.05, 0.9)
    probes = (0.3, 0.8)


@scipy_ufunc_in_double
class smirnov:
    """Kolmogorov-Smirnov survival function."""

    def partials(y, n, d):
        return COUNT, ops.smirnovp(n, d)

    real_orders = 1
    domain = (Integers(3, 9), Between(0.1, 0.9))
    probes = ((3, 0.3), (5, 0.25))


@scipy_ufunc_in_double
class smirnovp:
    """Derivative of the Kolmogorov-Smirnov survival function."""

    scipy_name = "_smirnovp"
    derivative = "the second derivative of smirnov is not in SciPy"
    probes = ((3, 0.3), (5, 0.25))
    domain = (Integers(3, 9), Between(0.1, 0.9))


@scipy_ufunc_in_double
class smirnovi:
    """Inverse of the Kolmogorov-Smirnov survival function."""

    def partials(y, n, p):
        return COUNT, 1.0 / ops.smirnovp(n, y)

    real_orders = 1
    domain = (Integers(3, 9), Between(0.1, 0.9))
    probes = ((3, 0.3), (5, 0.25))


@scipy_ufunc_in_double
class tklmbda:
    """Distribution function of Tukey's lambda distribution."""

    def partials(y, x, lam):
        # The quantile function is Q(p) = (p^l - (1 - p)^l) / l, so x' = 1 / Q'(p) and l' = -Q_l / Q'.
        # Where x is beyond 1 / l the value is 0 or 1.
        flat = ops.logical_or(y == 0.0, y == 1.0)
        p = ops.where(flat, 0.5, y)
        rest = 1.0 - p
        density = 1.0 / (p ** (lam - 1.0) + rest ** (lam - 1.0))
        by_lam = power_slope(ops.log(p), lam) - power_slope(ops.log(rest), lam)
        return ops.where(flat, 0.0, density), ops.where(flat, 0.0, -by_lam * density)

    domain = (Between(-0.8, 0.8), Between(0.2, 0.9))
    probes = ((0.5, 0.3), (-0.3, 0.8))
