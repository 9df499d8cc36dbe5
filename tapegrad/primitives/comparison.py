"""Comparisons, logic and other functions whose derivative is zero."""
from __future__ import annotations
import numpy as np
from .core import ZERO, primitive


@primitive(np.less)
class less:
    """Whether a < b."""
    derivative = ZERO


@primitive(np.less_equal)
class less_equal:
    """Whether a <= b."""
    derivative = ZERO


@primitive(np.greater)
class greater:
    """Whether a > b."""
    derivative = ZERO


@primitive(np.greater_equal)
class greater_equal:
    """Whether a >= b."""
    derivative = ZERO


@primitive(np.equal)
class equal:
    """Whether a == b."""
    derivative = ZERO


@primitive(np.not_equal)
class not_equal:
    """Whether a != b."""
    derivative = ZERO


@primitive(np.bitwise_and)
class bitwise_and:
    """Bitwise and."""
    derivative = ZERO


@primitive(np.bitwise_or)
class bitwise_or:
    """Bitwise or."""
    derivative = ZERO


@primitive(np.bitwise_xor)
class bitwise_xor:
    """Bitwise exclusive or."""
    derivative = ZERO


@primitive(np.invert)
class invert:
    """Bitwise not."""
    derivative = ZERO
