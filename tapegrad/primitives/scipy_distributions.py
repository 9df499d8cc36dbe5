"""Distribution functions of SciPy, and their inverses.

The derivative of a distribution function with respect to its variable is the density; an inverse has its reciprocal.
Shape parameters have no closed form, and say so. Step functions of an integer variable are constant in it.
"""

from __future__ import annotations

import math

from .core import ops
from .domain import Above, Between, Integers, Normal
from .special import NO_PARAMETER, scipy_ufunc

SQRT_2PI = math.sqrt(2.0 * math.pi)
COUNT = "it counts, and has no derivative: make it a constant"
NO_INVERSE = (
    "the inverse with respect to this parameter has no derivative in closed form; solve for it with an optimiser and "
    "differentiate implicitly"
)
PROBABILITY = Between(0.05, 0.95)


# --- densities -------------------------------------------------------------------------------------------------------


def gamma_density(a, x):
    """Density of the standard gamma distribution."""
    return ops.exp(ops.xlogy(a - 1.0, x) - x - ops.gammaln(a))


def beta_density(a, b, x):
    """Density of the beta distribution."""
    return ops.exp(ops.xlogy(a - 1.0, x) + ops.xlog1py(b - 1.0, -x) - ops.betaln(a, b))


def chi2_density(v, x):
    """Density of the chi-square distribution."""
    return 0.5 * gamma_density(0.5 * v, 0.5 * x)


def f_density(n, d, x):
    """Density of the F distribution: that of beta at u = n x / (n x + d), times du / dx."""
    total = n * x + d
    return beta_density(0.5 * n, 0.5 * d, n * x / total) * n * d / (total * total)


def t_density(v, t):
    """Density of Student's t distribution."""
    return ops.exp(-0.5 * (v + 1.0) * ops.log1p(t * t / v) - ops.betaln(0.5 * v, 0.5)) / ops.sqrt(v)


def noncentral_chi2_density(x, df, nc):
    """Density of the noncentral chi-square distribution; the central one where `nc` is 0."""
    central = nc == 0.0
    shift = ops.where(central, 1.0, nc)
    root = ops.sqrt(shift * x)
    scale = 0.5 * ops.exp(root - 0.5 * (x + shift)) * (x / shift) ** (0.25 * df - 0.5)
    return ops.where(central, chi2_density(df, x), scale * ops.ive(0.5 * df - 1.0, root))


def noncentral_f_density(n, d, nc, x):
    """Density of the noncentral F distribution, as the central one times Kummer's function."""
    u = n * x / (n * x + d)
    return f_density(n, d, x) * ops.exp(-0.5 * nc) * ops.hyp1f1(0.5 * (n + d), 0.5 * n, 0.5 * nc * u)


def noncentral_f_shift(n, d, nc, x, y):
    """Derivative of the noncentral F distribution with respect to `nc`: of a Poisson mixture of beta distributions."""
    return 0.5 * (ops.ncfdtr(n + 2.0, d, nc, x * n / (n + 2.0)) - y)


def noncentral_t_density(df, nc, t):
    """Density of the noncentral t distribution."""
    zero = t == 0.0
    safe = ops.where(zero, 1.0, t)
    step = ops.nctdtr(df + 2.0, nc, safe * ops.sqrt(1.0 + 2.0 / df)) - ops.nctdtr(df, nc, safe)
    at_zero = ops.exp(-0.5 * nc * nc - ops.betaln(0.5 * df, 0.5)) / ops.sqrt(df)
    return ops.where(zero, at_zero, df / safe * step)


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
        return NO_PARAMETER, 1.0 / gamma_density(a, y)

    fixed = (0,)
    domain = (Above(0.5), PROBABILITY)
    probes = ((2.0, 0.3), (0.5, 0.8))


@scipy_ufunc
class gammainccinv:
    """Inverse of gammaincc (DLMF 8.8.14)."""

    def partials(y, a, p):
        return NO_PARAMETER, -1.0 / gamma_density(a, y)

    fixed = (0,)
    domain = (Above(0.5), PROBABILITY)
    probes = ((2.0, 0.3), (0.5, 0.8))


@scipy_ufunc
class chdtr:
    """Chi-square distribution function."""

    def partials(y, v, x):
        return NO_PARAMETER, chi2_density(v, x)

    fixed = (0,)
    domain = (Above(1.0), Above(0.0))
    probes = ((2.0, 1.0), (5.0, 3.0))


@scipy_ufunc
class chdtrc:
    """Chi-square survival function."""

    def partials(y, v, x):
        return NO_PARAMETER, -chi2_density(v, x)

    fixed = (0,)
    domain = (Above(1.0), Above(0.0))
    probes = ((2.0, 1.0), (5.0, 3.0))


@scipy_ufunc
class chdtri:
    """Inverse of the chi-square survival function."""

    def partials(y, v, p):
        return NO_PARAMETER, -1.0 / chi2_density(v, y)

    fixed = (0,)
    domain = (Above(1.0), PROBABILITY)
    probes = ((2.0, 0.3), (5.0, 0.8))


@scipy_ufunc
class chndtr:
    """Noncentral chi-square distribution function."""

    def partials(y, x, df, nc):
        return noncentral_chi2_density(x, df, nc), NO_PARAMETER, -noncentral_chi2_density(x, df + 2.0, nc)

    fixed = (1,)
    domain = (Above(0.2), Above(2.0), Above(0.2))
    probes = ((1.0, 3.0, 0.5), (4.0, 2.5, 2.0))


@scipy_ufunc
class chndtrix:
    """Inverse of the noncentral chi-square distribution function."""

    def partials(y, p, df, nc):
        density = noncentral_chi2_density(y, df, nc)
        return 1.0 / density, NO_PARAMETER, noncentral_chi2_density(y, df + 2.0, nc) / density

    fixed = (1,)
    domain = (PROBABILITY, Above(2.0), Above(0.2))
    probes = ((0.3, 3.0, 0.5), (0.8, 2.5, 2.0))


@scipy_ufunc
class chndtrinc:
    """Noncentrality at which the chi-square distribution function has a given value."""

    def partials(y, x, df, p):
        slope = noncentral_chi2_density(x, df + 2.0, y)
        return noncentral_chi2_density(x, df, y) / slope, NO_PARAMETER, -1.0 / slope

    fixed = (1,)
    domain = (Between(3.0, 4.0), Between(2.2, 2.8), Between(0.3, 0.5))
    probes = ((3.0, 2.5, 0.3), (4.0, 2.5, 0.5))


@scipy_ufunc
class gdtr:
    """Gamma distribution function, with a rate."""

    def partials(y, a, b, x):
        density = gamma_density(b, a * x)
        return x * density, NO_PARAMETER, a * density

    fixed = (1,)
    domain = (Above(0.3), Above(0.5), Above(0.1))
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 2.0))


@scipy_ufunc
class gdtrc:
    """Gamma survival function, with a rate."""

    def partials(y, a, b, x):
        density = gamma_density(b, a * x)
        return -x * density, NO_PARAMETER, -a * density

    fixed = (1,)
    domain = (Above(0.3), Above(0.5), Above(0.1))
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 2.0))


@scipy_ufunc
class gdtrix:
    """Inverse of the gamma distribution function, with a rate."""

    def partials(y, a, b, p):
        return -y / a, NO_PARAMETER, 1.0 / (a * gamma_density(b, a * y))

    fixed = (1,)
    domain = (Above(0.3), Above(0.5), PROBABILITY)
    probes = ((1.0, 2.0, 0.5), (0.5, 1.5, 0.8))


@scipy_ufunc
class gdtria:
    """Rate at which the gamma distribution function has a given value."""

    def partials(y, p, b, x):
        return 1.0 / (x * gamma_density(b, y * x)), NO_PARAMETER, -y / x

    fixed = (1,)
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
        return NO_PARAMETER, NO_PARAMETER, -beta_density(a, b, x)

    fixed = (0, 1)
    domain = (Above(0.5), Above(0.5), Between(0.0, 1.0))
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))


@scipy_ufunc
class betaincinv:
    """Inverse of betainc (DLMF 8.17.20)."""

    def partials(y, a, b, p):
        return NO_PARAMETER, NO_PARAMETER, 1.0 / beta_density(a, b, y)

    fixed = (0, 1)
    domain = (Above(0.5), Above(0.5), PROBABILITY)
    probes = ((2.0, 3.0, 0.3), (0.5, 0.5, 0.8))


@scipy_ufunc
class betainccinv:
    """Inverse of betaincc (DLMF 8.17.20)."""

    def partials(y, a, b, p):
        return NO_PARAMETER, NO_PARAMETER, -1.0 / beta_density(a, b, y)

    fixed = (0, 1)
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
        return NO_PARAMETER, NO_PARAMETER, f_density(n, d, x)

    fixed = (0, 1)
    domain = (Above(1.0), Above(1.0), Above(0.1))
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 2.0))


@scipy_ufunc
class fdtrc:
    """F survival function."""

    def partials(y, n, d, x):
        return NO_PARAMETER, NO_PARAMETER, -f_density(n, d, x)

    fixed = (0, 1)
    domain = (Above(1.0), Above(1.0), Above(0.1))
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 2.0))


@scipy_ufunc
class fdtri:
    """Inverse of the F distribution function."""

    def partials(y, n, d, p):
        return NO_PARAMETER, NO_PARAMETER, 1.0 / f_density(n, d, y)

    fixed = (0, 1)
    domain = (Above(2.0), Above(2.0), PROBABILITY)
    probes = ((2.0, 3.0, 0.5), (5.0, 4.0, 0.8))


@scipy_ufunc
class ncfdtr:
    """Noncentral F distribution function."""

    def partials(y, n, d, nc, x):
        return NO_PARAMETER, NO_PARAMETER, noncentral_f_shift(n, d, nc, x, y), noncentral_f_density(n, d, nc, x)

    fixed = (0, 1)
    domain = (Between(2.0, 5.0), Between(3.0, 6.0), Between(0.5, 2.0), Between(0.5, 2.0))
    probes = ((2.0, 3.0, 1.0, 0.5), (5.0, 4.0, 0.5, 2.0))


@scipy_ufunc
class ncfdtri:
    """Inverse of the noncentral F distribution function."""

    def partials(y, n, d, nc, p):
        density = noncentral_f_density(n, d, nc, y)
        return NO_PARAMETER, NO_PARAMETER, -noncentral_f_shift(n, d, nc, y, p) / density, 1.0 / density

    fixed = (0, 1)
    domain = (Between(2.0, 5.0), Between(3.0, 6.0), Between(0.5, 2.0), Between(0.3, 0.7))
    probes = ((2.0, 3.0, 1.0, 0.5), (5.0, 4.0, 0.5, 0.7))


# --- Student's t -----------------------------------------------------------------------------------------------------


@scipy_ufunc
class stdtr:
    """Student's t distribution function."""

    def partials(y, v, t):
        return NO_PARAMETER, t_density(v, t)

    fixed = (0,)
    domain = (Above(1.0), Normal())
    probes = ((2.0, 1.0), (5.0, -0.3), (3.0, 0.0))


@scipy_ufunc
class stdtrit:
    """Inverse of Student's t distribution function."""

    def partials(y, v, p):
        return NO_PARAMETER, 1.0 / t_density(v, y)

    fixed = (0,)
    domain = (Above(1.0), Between(0.1, 0.9))
    probes = ((2.0, 0.3), (5.0, 0.8))


@scipy_ufunc
class nctdtr:
    """Noncentral t distribution function."""

    def partials(y, df, nc, t):
        return NO_PARAMETER, NO_PARAMETER, noncentral_t_density(df, nc, t)

    fixed = (0, 1)
    domain = (Between(3.0, 6.0), Between(-1.0, 1.0), Between(0.3, 2.0))
    probes = ((4.0, 0.5, 0.8), (5.0, -0.3, 1.5))


@scipy_ufunc
class nctdtrit:
    """Inverse of the noncentral t distribution function."""

    def partials(y, df, nc, p):
        return NO_PARAMETER, NO_PARAMETER, 1.0 / noncentral_t_density(df, nc, y)

    fixed = (0, 1)
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


def _refused(name, count):
    members = {
        "__doc__": f"`scipy.special.{name}`, without derivative.",
        "derivative": NO_INVERSE,
        "probes": ((0.4, 0.5, 0.6, 0.7)[:count],),
    }
    return type(name, (), members)


for _name, _count in (
    ("bdtrik", 3), ("bdtrin", 3), ("btdtria", 3), ("btdtrib", 3), ("chdtriv", 2), ("chndtridf", 3), ("fdtridfd", 3),
    ("gdtrib", 3), ("nbdtrik", 3), ("nbdtrin", 3), ("ncfdtridfd", 4), ("ncfdtridfn", 4), ("ncfdtrinc", 4),
    ("nctdtridf", 3), ("nctdtrinc", 3), ("pdtrik", 2), ("stdtridf", 2),
):  # fmt: skip
    scipy_ufunc(_refused(_name, _count))
