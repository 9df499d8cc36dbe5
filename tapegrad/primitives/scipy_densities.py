"""Densities of distributions, and slopes of distribution functions: their derivatives with respect to each operand.

A slope is a tensor, the reason why there is none, or a function that gives it, where it is an integral.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from .core import ops
from .domain import Between
from .scipy_parameters import beta_by_parameters, gamma_by_parameter, normal_density, t_by_parameters

NO_SHAPE = (
    "the derivative of a noncentral distribution with respect to its degrees of freedom has no closed form; make them "
    "constants"
)
COUNT = "it counts, and has no derivative: make it a constant"
PROBABILITY = Between(0.05, 0.95)
"""Where inverses are probed."""


# --- densities -------------------------------------------------------------------------------------------------------


def gamma_density(a, x):
    """Density of the standard gamma distribution."""
    none = ops.logical_or(x == np.inf, a == np.inf)
    a, x = ops.where(none, 1.0, a), ops.where(none, 1.0, x)
    zero = x == 0.0  # where the logarithm has no slopes, and the power has
    at_zero = ops.where(zero, x, 1.0) ** ops.where(zero, a - 1.0, 1.0)
    log = (a - 1.0) * ops.log(ops.where(zero, 1.0, x))
    return ops.where(none, 0.0, ops.exp(log - x - ops.gammaln(a)) * at_zero)


def beta_density(a, b, x):
    """Density of the beta distribution."""
    zero, one = x == 0.0, x == 1.0  # where one of the logarithms has no slopes, and its power has
    end = ops.logical_or(zero, one)
    base, exponent = ops.where(one, 1.0 - x, x), ops.where(one, b, a) - 1.0
    at_end = ops.where(end, base, 1.0) ** ops.where(end, exponent, 1.0)
    log = (a - 1.0) * ops.log(ops.where(zero, 1.0, x)) + (b - 1.0) * ops.log1p(-ops.where(one, 0.0, x))
    return ops.exp(log - ops.betaln(a, b)) * at_end


def chi2_density(v, x):
    """Density of the chi-square distribution."""
    return 0.5 * gamma_density(0.5 * v, 0.5 * x)


def _f_as_beta(n, d, x):
    """Of u = n x / (n x + d): is it the larger share? Then shapes of the smaller one's beta distribution, it, n x + d.

    The F distribution function is betainc(n / 2, d / 2, u); close to 1 u has no digits, and the other share has them.
    """
    scaled = n * x
    upper, total = scaled > d, scaled + d
    a, b = ops.where(upper, d, n), ops.where(upper, n, d)
    return upper, 0.5 * a, 0.5 * b, ops.where(upper, d, scaled) / total, total


def f_density(n, d, x):
    """Density of the F distribution: that of beta, times du / dx."""
    end = x == np.inf
    x = ops.where(end, 1.0, x)
    _, a, b, share, total = _f_as_beta(n, d, x)
    return ops.where(end, 0.0, beta_density(a, b, share) * (n / total) * (d / total))


def t_density(v, t):
    """Density of Student's t distribution."""
    return ops.exp(-0.5 * (v + 1.0) * ops.log1p(t * t / v) - ops.betaln(0.5 * v, 0.5)) / ops.sqrt(v)


def noncentral_chi2_density(x, df, nc):
    """Density of the noncentral chi-square distribution, by Bessel's function, or by 0F1 where that would underflow."""
    apart = x - df - nc
    none = ops.logical_not(apart * (apart / (x + df + 2.0 * nc + 1.0)) < 3200.0)  # it is less than e^-800
    x, nc = ops.where(none, 1.0, x), ops.where(none, 1.0, nc)
    product = x * nc
    near = ops.logical_or(product < 1e-12, ops.logical_and(df > 100.0, product < 1e5))
    x_, shift = ops.where(near, 1.0, x), ops.where(near, 1.0, nc)
    root = ops.sqrt(x_ * shift)
    scale = 0.5 * ops.exp(root - 0.5 * (x_ + shift)) * (x_ / shift) ** (0.25 * df - 0.5)
    central = chi2_density(df, x) * ops.exp(-0.5 * nc) * ops.hyp0f1(0.5 * df, ops.where(near, 0.25 * product, 0.0))
    return ops.where(none, 0.0, ops.where(near, central, scale * ops.ive(0.5 * df - 1.0, root)))


def noncentral_f_density(n, d, nc, x):
    """Density of the noncentral F distribution, as the central one times Kummer's function."""
    u = n * x / (n * x + d)
    return f_density(n, d, x) * ops.exp(-0.5 * nc) * ops.hyp1f1(0.5 * (n + d), 0.5 * n, 0.5 * nc * u)


def noncentral_f_shift(n, d, nc, x, y):
    """Derivative of the noncentral F distribution with respect to `nc`: of a Poisson mixture of beta distributions."""
    return 0.5 * (ops.ncfdtr(n + 2.0, d, nc, x * n / (n + 2.0)) - y)


def noncentral_t_density(df, nc, t):
    """Density of the noncentral t distribution, the mean of R phi(t R - nc), by values of its integral.

    Where these are too close, first terms of series take their place: next to t = 0, and for many degrees of freedom,
    in 1 / df. The mean square of R is 1, and its mean 1 - 1 / (4 df) then.
    """
    light = df > 1e6 * (1.0 + t * t)
    z = t - nc
    of_light = normal_density(z) * (1.0 + (t * z * (t * z - 1.0) - t * t - 1.0) / (4.0 * df))
    df = ops.where(light, 1.0, df)
    near = ops.absolute(t) * (1.0 + ops.absolute(nc)) < 1e-4
    safe, small = ops.where(near, 1.0, t), ops.where(near, t, 0.0)
    step = ops.nctdtr(df + 2.0, nc, safe * ops.sqrt(1.0 + 2.0 / df)) - ops.nctdtr(df, nc, safe)
    mean = math.sqrt(2.0 * math.pi) * ops.exp(-ops.betaln(0.5 * df, 0.5)) / ops.sqrt(df)
    bend = 0.5 * small * small * (nc * nc - 1.0) * (1.0 + 1.0 / df)
    of_near = normal_density(nc) * (mean * (1.0 + bend) + nc * small)
    return ops.where(light, of_light, ops.where(near, of_near, df / safe * step))


# --- slopes ----------------------------------------------------------------------------------------------------------


def once(function, *xs):
    """A slope that is much work: made where it is wanted, and then kept."""
    return functools.cache(functools.partial(function, *xs))


def both(function, *xs):
    """Two slopes that come from one call."""
    found = once(function, *xs)

    def first():
        return found()[0]

    def second():
        return found()[1]

    return first, second


def negated(slopes):
    """The slopes of a function's complement."""

    def minus(slope):
        return -given(slope)

    return tuple(s if isinstance(s, str) else functools.partial(minus, s) for s in slopes)


def inverse(slopes, k):
    """Partial derivatives of the inverse of a function in its operand k, whose place the function's value takes."""

    def by_value():
        return 1.0 / given(slopes[k])

    def by(slope):
        slope, along = given(slope), given(slopes[k])
        usual = ops.logical_and(along != 0.0, ops.isfinite(along))
        none = ops.logical_and(slope == 0.0, ops.logical_not(usual))  # both can be 0 where the quantile of 0 is 0
        return ops.where(none, 0.0, -slope) / ops.where(none, 1.0, along)

    return tuple(
        by_value if j == k else s if isinstance(s, str) else functools.partial(by, s) for j, s in enumerate(slopes)
    )


def bounded(slopes_of, y, k, low=0.0, high=np.inf):
    """The same of an inverse that SciPy looks for from `low` to `high`: one that is an end is constant."""
    end = ops.logical_or(y <= low, y >= high)
    slopes = inverse(slopes_of(ops.where(end, 1.0, y)), k)
    return tuple(s if isinstance(s, str) else functools.partial(_unless, end, s) for s in slopes)


def _unless(none, slope):
    """A slope, and 0 at some places."""
    return ops.where(none, 0.0, given(slope))


def given(slope):
    """A slope itself."""
    return slope() if callable(slope) else slope


def gamma_slopes(a, x):
    """Of `gammainc` (DLMF 8.8.13)."""
    return once(gamma_by_parameter, a, x), gamma_density(a, x)


def rate_slopes(a, b, x):
    """Of `gdtr`."""
    density = gamma_density(b, a * x)
    # Where the other operand does not matter, and the density can be infinite.
    fixed, none = ops.logical_or(x == 0.0, x == np.inf), a == 0.0
    by_a = ops.where(fixed, 0.0, x * ops.where(fixed, 0.0, density))
    return by_a, once(gamma_by_parameter, b, a * x), ops.where(none, 0.0, a * ops.where(none, 0.0, density))


def chi2_slopes(v, x):
    """Of `chdtr`."""

    def by_v():
        return 0.5 * gamma_by_parameter(0.5 * v, 0.5 * x)

    return functools.cache(by_v), chi2_density(v, x)


def poisson_slopes(k, m):
    """Of `pdtr`, taken as a function of a real k."""
    return negated(gamma_slopes(k + 1.0, m))


def beta_slopes(a, b, x):
    """Of `betainc` (DLMF 8.17.20)."""
    return *both(beta_by_parameters, a, b, x), beta_density(a, b, x)


def binomial_slopes(k, n, p):
    """Of `bdtr`, taken as a function of a real k and n: it is betainc(n - k, k + 1, 1 - p)."""
    by_n, by_rest = both(beta_by_parameters, n - k, k + 1.0, 1.0 - p)

    def by_k():
        return by_rest() - by_n()

    return by_k, by_n, -beta_density(n - k, k + 1.0, 1.0 - p)


def negative_binomial_slopes(k, n, p):
    """Of `nbdtr`, taken as a function of a real k and n: it is betainc(n, k + 1, p)."""
    by_n, by_k = both(beta_by_parameters, n, k + 1.0, p)
    return by_k, by_n, beta_density(n, k + 1.0, p)


def f_slopes(n, d, x):
    """Of `fdtr`."""

    def by_both():
        end = x == np.inf
        upper, a, b, share, _ = _f_as_beta(n, d, ops.where(end, 1.0, x))
        by_a, by_b = beta_by_parameters(a, b, share)
        by_n, by_d = ops.where(upper, -by_b, by_a), ops.where(upper, -by_a, by_b)
        none = share == 0.0
        at_zero = ops.where(none, share, 1.0) ** ops.where(none, a, 1.0)
        log = a * ops.log(ops.where(none, 1.0, share)) + b * ops.log1p(-share)
        weight = ops.exp(log - ops.betaln(a, b)) * at_zero
        return ops.where(end, 0.0, 0.5 * by_n + weight / n), ops.where(end, 0.0, 0.5 * by_d - weight / d)

    return *both(by_both), f_density(n, d, x)


def t_slopes(df, t):
    """Of `stdtr`."""
    df = ops.where(df == np.inf, 1e30, df)  # the normal distribution, too

    def by_df():
        light = df > 30.0
        of_light = t_by_parameters(ops.where(light, df, 30.0), 0.0 * t, t)[0]
        return ops.where(light, of_light, _heavy_t_by_df(ops.where(light, 30.0, df), t))

    return functools.cache(by_df), t_density(df, t)


def _heavy_t_by_df(df, t):
    """Derivative of `stdtr` with respect to `df`, odd in t, where tails are heavy; of light ones it loses digits.

    Of the squares of t the part up to t² is betainc(1/2, df/2, t² / total), where the total is df + t², and the part
    beyond betainc(df/2, 1/2, df / total). The part whose last operand is at most 1/2 keeps its digits. Next to 0 the
    derivative is t times that of the density at 0.
    """
    square = t * t
    none = square == np.inf
    near = ops.logical_or(none, square < 1e-16 * ops.minimum(df, 1.0))
    square = ops.where(near, 1.0, square)
    total = df + square
    far, half = square > df, 0.5 * df
    a, b = ops.where(far, half, 0.5), ops.where(far, 0.5, half)
    x = ops.where(far, df, square) / total
    by_a, by_b = beta_by_parameters(a, b, x)
    by_x = beta_density(a, b, x) * square / (total * total)
    part = ops.where(far, -0.5 * by_a - by_x, 0.5 * by_b - by_x)
    at_zero = t_density(df, 0.0) * (0.5 * (ops.psi(half + 0.5) - ops.psi(half)) - 0.5 / df)
    return ops.where(near, ops.where(none, 0.0, t) * at_zero, 0.5 * ops.sign(t) * part)


def noncentral_t_slopes(df, nc, t):
    """Of `nctdtr`."""
    return *both(t_by_parameters, df, nc, t), noncentral_t_density(df, nc, t)


def noncentral_chi2_slopes(x, df, nc):
    """Of `chndtr`."""
    return noncentral_chi2_density(x, df, nc), NO_SHAPE, -noncentral_chi2_density(x, df + 2.0, nc)


def noncentral_f_slopes(n, d, nc, x, y):
    """Of `ncfdtr`, whose value is y."""
    return NO_SHAPE, NO_SHAPE, noncentral_f_shift(n, d, nc, x, y), noncentral_f_density(n, d, nc, x)
