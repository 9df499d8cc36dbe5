"""Arithmetic."""

from __future__ import annotations

import numpy as np

from ..vm import opcodes as op
from .core import ZERO, ops, primitive


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
        return r, -(a * r) * r


@primitive(np.negative)
class negative:
    """Negation."""

    grad_name = "Neg"
    inline = op.NEG

    def partials(y, x):
        return -1.0


@primitive(np.positive)
class positive:
    """The operand itself."""

    inline = op.COPY

    def partials(y, x):
        return 1.0


@primitive(np.absolute)
class absolute:
    """Absolute value."""

    grad_name = "Abs"

    def partials(y, x):
        return ops.sign(x)


@primitive(np.sign)
class sign:
    """Sign; for complex numbers x / |x|."""

    derivative = ZERO


@primitive(np.power)
class power:
    """First operand to the power of the second."""

    grad_name = "Pow"

    def partials(y, a, b):
        # 0**0 = 1 has derivative 0 in the exponent where the base is 0: log is kept away from 0.
        base = ops.where(a == 0, ops.where(b >= 0, 1.0, a), a)
        return ops.where(b == 0, 0.0, b * a ** ops.where(b == 0, 1.0, b - 1.0)), y * ops.log(base)


@primitive(np.floor_divide)
class floor_divide:
    """Floor of the quotient."""

    derivative = ZERO


@primitive(np.remainder)
class remainder:
    """Remainder with the divisor's sign."""

    def partials(y, a, b):
        return 1.0, -ops.floor_divide(a, b)


@primitive(np.conjugate)
class conjugate:
    """Complex conjugate."""

    grad_name = "Conj"

    def pullback(y_bar, y, x):
        return conjugate(y_bar)
