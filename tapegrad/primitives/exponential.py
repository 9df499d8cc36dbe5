"""Exponential functions and logarithms."""

from __future__ import annotations

import math

import numpy as np

from .core import ops, primitive
from .domain import Above, Normal

LN2, LN10 = math.log(2.0), math.log(10.0)


@primitive(np.exp)
class exp:
    """Exponential."""

    def partials(y, x):
        return y

    probes = (-40.0, 0.0, 2.0)


@primitive(np.exp2)
class exp2:
    """Two to the power of the operand."""

    def partials(y, x):
        return y * LN2

    probes = (-10.0, 0.0, 3.0)


@primitive(np.expm1)
class expm1:
    """Exponential minus one."""

    def partials(y, x):
        return ops.exp(x)  # y + 1 would lose the digits of small results

    probes = (-40.0, -1e-12, 0.0, 2.0)


@primitive(np.log)
class log:
    """Natural logarithm."""

    def partials(y, x):
        return 1.0 / x

    domain = Above(0.0)
    probes = (1e-2, 1.0, 1e5)
    kinks = {(0.0,): (np.inf,)}


@primitive(np.log2)
class log2:
    """Logarithm to base 2."""

    def partials(y, x):
        return 1.0 / (x * LN2)

    domain = Above(0.0)
    probes = (1e-2, 1.0, 8.0)


@primitive(np.log10)
class log10:
    """Logarithm to base 10."""

    def partials(y, x):
        return 1.0 / (x * LN10)

    domain = Above(0.0)
    probes = (1e-2, 1.0, 1000.0)


@primitive(np.log1p)
class log1p:
    """Natural logarithm of one plus the operand."""

    grad_name = "Log1P"

    def partials(y, x):
        return 1.0 / (1.0 + x)

    domain = Above(-1.0)
    probes = (-0.5, 0.0, 1e-12, 3.0)


def finite_sum(y):
    """The sum's logarithm, or 0 where it is that of nothing: -inf less -inf has no value."""
    return ops.where(y == -np.inf, 0.0, y)


@primitive(np.logaddexp)
class logaddexp:
    """Logarithm of the sum of two exponentials; where both operands are -inf the derivatives are 0."""

    def partials(y, a, b):
        y = finite_sum(y)
        return ops.exp(a - y), ops.exp(b - y)

    domain = (Normal(3.0), Normal(3.0))
    probes = ((0.0, 0.0), (500.0, -500.0), (1.0, 1.5))
    kinks = {(-np.inf, 1.0): (0.0, 1.0)}


@primitive(np.logaddexp2)
class logaddexp2:
    """Logarithm to base 2 of the sum of two powers of 2; where both operands are -inf the derivatives are 0."""

    def partials(y, a, b):
        y = finite_sum(y)
        return ops.exp2(a - y), ops.exp2(b - y)

    domain = (Normal(3.0), Normal(3.0))
    probes = ((0.0, 0.0), (500.0, -500.0), (1.0, 1.5))
    kinks = {(-np.inf, 1.0): (0.0, 1.0)}
