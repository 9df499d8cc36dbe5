"""Arithmetic."""

from __future__ import annotations

import numpy as np

from ..vm import opcodes as op
from .core import ZERO, primitive


@primitive(np.add)
class add:
    """Sum of two operands."""

    inline = op.ADD

    def partials(y, a, b):
        return 1.0, 1.0


@primitive(np.subtract)
class subtract:
    """Difference of two operands."""

    grad_name = "Sub"
    inline = op.SUB

    def partials(y, a, b):
        return 1.0, -1.0


@primitive(np.multiply)
class multiply:
    """Product of two operands."""

    grad_name = "Mul"
    inline = op.MUL

    def partials(y, a, b):
        return b, a


@primitive(np.divide)
class divide:
    """Quotient of two operands."""

    grad_name = "Div"
    inline = op.DIV

    def partials(y, a, b):
        r = 1.0 / b
        return r, -y * r


@primitive(np.negative)
class negative:
    """Negation."""

    grad_name = "Neg"
    inline = op.NEG

    def partials(y, x):
        return -1.0


_ = ZERO
