"""Derivatives of incomplete gamma and beta functions, and of Student's t, with respect to their parameters.

They have no closed form. They are integrals of a density f times the derivative of its logarithm (a score), over one of
the tails; the score's mean is zero, so the other tail has the same with another sign. With t = x e^-s (gamma) or
t / (1 - t) = x / (1 - x) e^-s (beta) the integrand falls from its value at the end of the tail, s = 0, as the
exponential of a concave function. It is cut where that has fallen by e^-45, the *reach*, and the rest is left to
Gauss's rule: 64 points give 10 digits and more for parameters from 1e-3 to several thousand. Parameters below 1, for
which it falls slowly, are raised by 1 by a recurrence (DLMF 8.8.5, 8.17.20).

All but the reach is made of primitives, so derivatives of any order exist.
"""

from __future__ import annotations

import math

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import aligned
from .broadcasting import broadcast_shapes
from .core import ZERO, Primitive, lift, ops, primitive
from .shape import insert_axis

__all__ = ["beta_by_parameters", "gamma_by_parameter", "t_by_parameters"]

FALL = 45.0
STEPS = 60
TINY = 1e-280
"""Takes the place of a parameter that is 0."""
NORMAL = 1e15
"""Degrees of freedom beyond which Student's t distribution is the normal one to all digits."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
NODES, WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS


class _Reach(Primitive):
    """Where a concave function from 0 on has fallen by `FALL`; as a place to cut an integral, it is no variable."""

    derivative = ZERO

    def batching(self, row):
        return aligned(row)

    def infer(self, specs, attrs):
        return spec_of(broadcast_shapes(self, [s.shape for s in specs]), specs[0].dtype), op.KERNEL


def _descend(s, curve):
    """Newton's method on a concave function: from anywhere it steps beyond the root, and then comes back to it."""
    for _ in range(STEPS):
        value, slope = curve(s)
        step = (value + FALL) / slope
        s = np.where(np.isfinite(step), s - step, s)
    return s


@primitive(base=_Reach)
class gamma_reach:
    """Reach of the tail of a gamma density, in the logarithm of its variable."""

    samples = ((np.array([2.0, 0.5]), np.array([1.0, 3.0])),)

    def compute(a, x):
        a, x = np.asarray(a, float), np.asarray(x, float)
        sign = np.where(x > a, 1.0, -1.0)

        def curve(s):
            return sign * a * s - x * np.expm1(sign * s), sign * (a - x * np.exp(sign * s))

        return _descend(np.where(x > a, np.log1p(80.0 / x), (FALL + x) / a), curve)


@primitive(base=_Reach)
class beta_reach:
    """Reach of the lower tail of a beta density, in the logarithm of t / (1 - t)."""

    samples = ((np.array([2.0, 1.5]), np.array([3.0, 0.5]), np.array([0.3, 0.4])),)

    def compute(a, b, x):
        a, b, x = (np.asarray(v, float) for v in (a, b, x))

        def curve(s):
            inner = x * np.expm1(-s)
            return -a * s - (a + b) * np.log1p(inner), -a + (a + b) * x * np.exp(-s) / (1.0 + inner)

        return _descend((FALL - (a + b) * np.log1p(-x)) / a, curve)


def _spread(*xs):
    """Operands with a last axis, for the nodes."""
    return [insert_axis(x, -1) for x in xs]


def _nodes(reach):
    """Places from 0 to the reach, along a last axis."""
    return insert_axis(reach, -1) * lift(NODES.astype(reach._spec.dtype))


def _integral(values, reach):
    """Gauss's rule along the last axis."""
    weighed = values * lift(WEIGHTS.astype(values._spec.dtype))
    return reach * ops.sum(weighed, axis=(values._spec.ndim - 1,), keepdims=False)


# --- gamma -----------------------------------------------------------------------------------------------------------


def gamma_by_parameter(a, x):
    """Derivative of `gammainc` with respect to its parameter.

    The integral of f(t) (log t - psi(a)) up to x, or with another sign from x on.
    """
    outside = ops.logical_or(ops.logical_or(x <= 0.0, x == np.inf), a == np.inf)
    x, a = ops.where(outside, 1.0, x), ops.where(outside, 1.0, ops.where(a == 0.0, TINY, a))
    above = x > a
    small = ops.logical_and(ops.logical_not(above), a < 1.0)
    b = ops.where(small, a + 1.0, a)
    reach = ops.gamma_reach(b, x)
    b_, x_, above_ = _spread(b, x, above)
    s = _nodes(reach)
    s = ops.where(above_, s, -s)
    fall = ops.exp(b_ * s - x_ * ops.expm1(s))
    tail = _integral(fall * (ops.log(x_) + s - ops.psi(b_)), reach) * ops.exp(ops.xlogy(b, x) - x - ops.gammaln(b))
    raised = ops.exp(ops.xlogy(a, x) - x - ops.gammaln(a + 1.0)) * (ops.log(x) - ops.psi(a + 1.0))
    y = ops.where(above, -tail, ops.where(small, tail + raised, tail))
    return ops.where(outside, 0.0, y)


# --- beta ------------------------------------------------------------------------------------------------------------


def beta_by_parameters(a, b, x):
    """Derivatives of `betainc` with respect to both its parameters.

    The integrals of f(t) (log t - psi(a) + psi(a + b)) and f(t) (log(1 - t) - psi(b) + psi(a + b)) up to x. Above the
    mean, those of the other tail, which is the lower one of the beta distribution with its parameters exchanged.
    """
    outside = ops.logical_or(x <= 0.0, x >= 1.0)
    x = ops.where(outside, 0.5, x)
    a, b = ops.where(a == 0.0, TINY, a), ops.where(b == 0.0, TINY, b)
    above = ops.logical_and(x * (a + b) > a, x > 1e-8)  # of smaller ones 1 - x has too few digits
    p, q, z = ops.where(above, b, a), ops.where(above, a, b), ops.where(above, 1.0 - x, x)
    by_p, by_q = _lower_beta(p, q, z)
    by_a = ops.where(outside, 0.0, ops.where(above, -by_q, by_p))
    return by_a, ops.where(outside, 0.0, ops.where(above, -by_p, by_q))


def _lower_beta(a, b, x):
    """The same, where x is below the mean."""
    small = a < 1.0
    r = ops.where(small, a + 1.0, a)
    reach = ops.beta_reach(r, b, x)
    r_, b_, x_ = _spread(r, b, x)
    s = _nodes(reach)
    inner = ops.log1p(x_ * ops.expm1(-s))
    fall = ops.exp(-r_ * s - (r_ + b_) * inner)
    total = ops.psi(r_ + b_)
    scale = ops.exp(ops.xlogy(r, x) + ops.xlog1py(b, -x) - ops.betaln(r, b))
    by_a = scale * _integral(fall * (ops.log(x_) - s - inner - ops.psi(r_) + total), reach)
    by_b = scale * _integral(fall * (ops.log1p(-x_) - inner - ops.psi(b_) + total), reach)
    raised = ops.exp(ops.xlogy(a, x) + ops.xlog1py(b, -x) - ops.betaln(a, b)) / a
    total = ops.psi(a + b)
    by_a = ops.where(small, by_a + raised * (ops.log(x) - ops.psi(a + 1.0) + total), by_a)
    return by_a, ops.where(small, by_b + raised * (ops.log1p(-x) - ops.psi(b) + total), by_b)


# --- t ---------------------------------------------------------------------------------------------------------------


def t_by_parameters(df, nc, t):
    """Derivatives of the noncentral t distribution function with respect to both its parameters.

    T = (Z + nc) / R, where df R**2 is chi-square with df degrees of freedom. So the function is the integral of
    Phi(t r - nc) over r, times the density of R; its derivatives are those of what is integrated. In u = log r that
    density is the exponential of df (u - e^2u / 2), whose reach is taken to both sides of its maximum at 0.
    """
    normal = df > NORMAL
    df = ops.where(normal, 1.0, df)
    upper, lower = _t_parts(df, nc, t, 1.0), _t_parts(df, nc, t, -1.0)
    by_df, by_nc = upper[0] + lower[0], upper[1] + lower[1]
    return ops.where(normal, 0.0, by_df), ops.where(normal, -normal_density(t - nc), by_nc)


def normal_density(x):
    """Density of the normal distribution."""
    return ops.exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi))


def _t_parts(df, nc, t, sign):
    """The parts of the integrals on one side of the maximum."""
    reach = ops.t_reach(sign * df)
    df, nc, t = _spread(df, nc, t)
    u = sign * _nodes(reach)
    half = 0.5 * df
    growth = 2.0 * u - ops.expm1(2.0 * u)
    scale, mean = _at_maximum(half)
    density = 2.0 * scale * ops.exp(half * growth)
    score = 0.5 * (mean + growth)
    at = t * ops.exp(u) - nc
    by_nc = -density * normal_density(at)
    rise = ops.ndtr(at) - ops.ndtr(t - nc)  # the score's mean is zero
    return _integral(rise * density * score, reach), _integral(by_nc, reach)


def _at_maximum(a):
    """``a**a exp(-a) / gamma(a)`` and ``log(a) - psi(a)``; of large a, where digits are lost, by series (DLMF 5.11)."""
    large = a > 100.0
    r, a = 1.0 / ops.where(large, a, 1.0), ops.where(large, 1.0, a)
    square, log = r * r, ops.log(a)
    rest = r * (1.0 - square * (1.0 - square * 2.0 / 7.0) / 30.0) / 12.0
    scale = ops.where(large, ops.exp(-rest) / ops.sqrt(2.0 * math.pi * r), ops.exp(a * (log - 1.0) - ops.gammaln(a)))
    series = r * (0.5 + r * (1.0 - square * (0.1 - square / 21.0)) / 12.0)
    return scale, ops.where(large, series, log - ops.psi(a))


@primitive(base=_Reach)
class t_reach:
    """Reach of the density of log R, upwards; downwards if the degrees of freedom are negative."""

    samples = ((np.array([2.0, -5.0]),),)

    def compute(df):
        sign, n = np.sign(df), np.abs(np.asarray(df, float))

        def curve(s):
            u = sign * s
            return n * (u - 0.5 * np.expm1(2.0 * u)), sign * n * (1.0 - np.exp(2.0 * u))

        return _descend(np.ones(n.shape), curve)
