"""Inverses of SciPy's distribution functions with respect to a parameter."""

from __future__ import annotations

from .domain import Above, Between
from .scipy_densities import (
    NO_SHAPE,
    PROBABILITY,
    beta_slopes,
    binomial_slopes,
    bounded,
    chi2_slopes,
    f_slopes,
    inverse,
    negative_binomial_slopes,
    noncentral_f_slopes,
    noncentral_t_slopes,
    poisson_slopes,
    rate_slopes,
    t_slopes,
)
from .scipy_loader import scipy_ufunc, scipy_ufunc_in_double


@scipy_ufunc_in_double
class gdtrib:
    """Shape at which the gamma distribution function has a given value."""

    def partials(y, a, p, x):
        return inverse(rate_slopes(a, y, x), 1)

    domain = (Above(0.5), PROBABILITY, Above(0.5))
    probes = ((1.0, 0.4, 2.0), (2.0, 0.7, 1.5))


@scipy_ufunc_in_double
class chdtriv:
    """Degrees of freedom at which the chi-square distribution function has a given value."""

    def partials(y, p, x):
        return inverse(chi2_slopes(y, x), 0)

    domain = (PROBABILITY, Above(0.5))
    probes = ((0.4, 2.0), (0.8, 5.0))


@scipy_ufunc_in_double
class pdtrik:
    """Real number of events at which the Poisson distribution function has a given value."""

    def partials(y, p, m):
        def slopes(k):
            return poisson_slopes(k, m)

        return bounded(slopes, y, 0)

    domain = (Between(0.4, 0.8), Between(1.0, 5.0))
    probes = ((0.5, 2.0), (0.7, 4.0))


@scipy_ufunc_in_double
class btdtria:
    """First parameter at which the beta distribution function has a given value."""

    def partials(y, p, b, x):
        return inverse(beta_slopes(y, b, x), 0)

    domain = (PROBABILITY, Above(0.5), Between(0.1, 0.9))
    probes = ((0.4, 2.0, 0.5), (0.7, 1.5, 0.3))


@scipy_ufunc_in_double
class btdtrib:
    """Second parameter at which the beta distribution function has a given value."""

    def partials(y, a, p, x):
        return inverse(beta_slopes(a, y, x), 1)

    domain = (Above(0.5), PROBABILITY, Between(0.1, 0.9))
    probes = ((2.0, 0.4, 0.5), (1.5, 0.7, 0.3))


@scipy_ufunc_in_double
class bdtrik:
    """Real number of successes at which the binomial distribution function has a given value."""

    def partials(y, q, n, p):
        def slopes(k):
            return binomial_slopes(k, n, p)

        return bounded(slopes, y, 0)

    domain = (Between(0.4, 0.7), Between(6.0, 9.0), Between(0.3, 0.7))
    probes = ((0.5, 8.0, 0.4), (0.6, 7.0, 0.6))


@scipy_ufunc_in_double
class bdtrin:
    """Real number of trials at which the binomial distribution function has a given value."""

    def partials(y, k, q, p):
        return inverse(binomial_slopes(k, y, p), 1)

    domain = (Between(2.0, 5.0), Between(0.3, 0.7), Between(0.3, 0.7))
    probes = ((3.0, 0.5, 0.4), (4.0, 0.6, 0.6))


@scipy_ufunc_in_double
class nbdtrik:
    """Real number of failures at which the negative binomial distribution function has a given value."""

    def partials(y, q, n, p):
        def slopes(k):
            return negative_binomial_slopes(k, n, p)

        return bounded(slopes, y, 0)

    domain = (Between(0.5, 0.8), Between(3.0, 6.0), Between(0.3, 0.6))
    probes = ((0.6, 4.0, 0.4), (0.7, 5.0, 0.5))


@scipy_ufunc_in_double
class nbdtrin:
    """Real number of successes at which the negative binomial distribution function has a given value."""

    def partials(y, k, q, p):
        return inverse(negative_binomial_slopes(k, y, p), 1)

    domain = (Between(3.0, 6.0), Between(0.3, 0.6), Between(0.3, 0.6))
    probes = ((4.0, 0.5, 0.4), (5.0, 0.4, 0.5))


@scipy_ufunc_in_double
class fdtridfd:
    """Second degrees of freedom at which the F distribution function has a given value."""

    def partials(y, n, p, x):
        def slopes(d):
            return f_slopes(n, d, x)

        return bounded(slopes, y, 1, 1e-100, 1e100)

    domain = (Between(2.0, 4.0), Between(0.55, 0.65), Between(1.1, 1.4))
    probes = ((3.0, 0.6, 1.3), (2.0, 0.6, 1.2))


@scipy_ufunc_in_double
class stdtridf:
    """Degrees of freedom at which Student's t distribution function has a given value."""

    def partials(y, p, t):
        def slopes(df):
            return t_slopes(df, t)

        return bounded(slopes, y, 0, high=1e10)

    domain = (Between(0.8, 0.84), Between(1.05, 1.3))
    probes = ((0.8, 1.1), (0.82, 1.2))


@scipy_ufunc_in_double
class nctdtridf:
    """Degrees of freedom at which the noncentral t distribution function has a given value."""

    def partials(y, p, nc, t):
        return inverse(noncentral_t_slopes(y, nc, t), 0)

    coarse = 1e-5
    domain = (Between(0.63, 0.65), Between(0.45, 0.55), Between(0.95, 1.05))
    probes = ((0.64, 0.5, 1.0),)


@scipy_ufunc_in_double
class nctdtrinc:
    """Noncentrality at which the t distribution function has a given value."""

    def partials(y, df, p, t):
        return inverse(noncentral_t_slopes(df, y, t), 1)

    domain = (Between(3.0, 6.0), Between(0.3, 0.7), Between(0.5, 2.0))
    probes = ((4.0, 0.5, 1.0), (5.0, 0.6, 1.5))


@scipy_ufunc_in_double
class ncfdtrinc:
    """Noncentrality at which the F distribution function has a given value."""

    def partials(y, n, d, p, x):
        def slopes(nc):
            return noncentral_f_slopes(n, d, nc, x, p)

        return bounded(slopes, y, 2, high=1e4)

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
