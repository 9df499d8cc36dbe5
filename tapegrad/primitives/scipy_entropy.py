"""Logistic functions, entropies and losses of SciPy."""

from __future__ import annotations

import math

import numpy as np

from .core import ops
from .domain import Above, Between, Normal
from .scipy_loader import scipy_ufunc


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


def _exprel_slope(x):
    """``(exp(x) - exprel(x)) / x``; near 0, where that has no digits, the series: the sum of k x^(k-1) / (k+1)!."""
    near = ops.absolute(x) < 0.5
    small, large = ops.where(near, x, 0.0), ops.where(near, 1.0, x)
    series = 0.0
    for k in range(16, 0, -1):
        series = series * small + k / math.factorial(k + 1)
    return ops.where(near, series, (ops.exp(large) - ops.expm1(large) / large) / large)


def power_slope(log_x, p):
    """Derivative of ``(x**p - 1) / p`` with respect to p: log(x)² times the slope of `exprel` at p log(x)."""
    none = ops.logical_or(log_x == -np.inf, ops.logical_and(log_x == np.inf, p < 0.0))  # the power is 0
    log_x = ops.where(none, 0.0, log_x)
    return ops.where(none, ops.where(none, p, 1.0) ** -2.0, log_x * log_x * _exprel_slope(p * log_x))


@scipy_ufunc
class exprel:
    """Relative error exponential, (exp(x) - 1) / x."""

    def partials(y, x):
        return _exprel_slope(x)

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


def _log_ratio(a, b):
    """``log(a / b)``, also where the quotient is too large or too small for a number."""
    ratio = a / b
    far = ops.logical_or(ratio == 0.0, ratio == np.inf)
    return ops.where(far, ops.log(a) - ops.log(b), ops.log(ops.where(far, 1.0, ratio)))


@scipy_ufunc
class rel_entr:
    """Relative entropy, a log(a / b)."""

    def partials(y, a, b):
        return 1.0 + _log_ratio(a, b), -a / b

    domain = (Above(0.0), Above(0.0))
    probes = ((1.0, 2.0), (0.1, 0.1))


@scipy_ufunc
class kl_div:
    """Kullback-Leibler divergence, a log(a / b) - a + b."""

    def partials(y, a, b):
        return _log_ratio(a, b), 1.0 - a / b

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
        # As d (s - d), s = hypot(d, r): by d it is (s - d)² / s, where s - d = r² / (s + d).
        size = ops.hypot(d, r)
        safe = ops.where(size == 0.0, 1.0, size)

        def by_d():
            gap = r * (r / (safe + d))
            return gap * (gap / safe)

        def by_r():
            return r * (d / safe)

        return by_d, by_r

    domain = (Above(0.3), Normal())
    probes = ((1.0, 0.5), (1.0, -2.0))


@scipy_ufunc
class boxcox:
    """Box-Cox transformation, (x**p - 1) / p."""

    def partials(y, x, p):
        return x ** (p - 1.0), power_slope(ops.log(x), p)

    domain = (Above(0.0), Normal())
    probes = ((2.0, 0.5), (3.0, 0.0), (0.5, -2.0))
