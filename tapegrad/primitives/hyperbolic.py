"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import numpy as np

from .core import ops, primitive
from .domain import Above, Between


@primitive(np.sinh)
class sinh:
    """Hyperbolic sine."""

    def partials(y, x):
        return ops.cosh(x)

    probes = (0.0, 1e-12, -2.0)


@primitive(np.cosh)
class cosh:
    """Hyperbolic cosine."""

    def partials(y, x):
        return ops.sinh(x)

    probes = (0.0, 1e-12, -2.0)


@primitive(np.tanh)
class tanh:
    """Hyperbolic tangent."""

    def partials(y, x):
        return 1.0 - y * y

    probes = (0.0, 1e-12, -2.0, 20.0)


@primitive(np.arcsinh)
class arcsinh:
    """Inverse hyperbolic sine."""

    grad_name = "Asinh"

    def partials(y, x):
        square = x * x
        if x._spec.dtype.kind == "c":  # 1 + z would lose the sign of a zero, which tells the side of a branch cut
            return 1.0 / ops.sqrt(square - (-1.0))
        return 1.0 / ops.sqrt(1.0 + square)

    probes = (0.0, 1e-12, -2.0, 100.0)


@primitive(np.arccosh)
class arccosh:
    """Inverse hyperbolic cosine."""

    grad_name = "Acosh"

    def partials(y, x):
        return 1.0 / (ops.sqrt(x - 1.0) * ops.sqrt(x - (-1.0)))  # x + 1 would lose the sign of an imaginary zero

    domain = Above(1.0)
    probes = (1.1, 3.0)
    kinks = {(1.0,): (np.inf,)}


@primitive(np.arctanh)
class arctanh:
    """Inverse hyperbolic tangent."""

    grad_name = "Atanh"

    def partials(y, x):
        return 1.0 / ((1.0 - x) * (1.0 + x))

    domain = Between(-1.0, 1.0)
    probes = (0.0, 1e-12, -0.9)
    kinks = {(1.0,): (np.inf,)}
