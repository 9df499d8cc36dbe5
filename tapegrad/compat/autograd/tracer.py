"""autograd's questions about values: whether one is traced, and what it is."""

from __future__ import annotations

from typing import Any

from ...tape.handle import Tensor
from ...values import value_of
from .extend import Box, notrace_primitive, primitive

__all__ = ["Box", "getval", "isbox", "notrace_primitive", "primitive"]


def isbox(x: Any) -> bool:
    """Whether a value is traced."""
    return isinstance(x, Tensor)


def getval(x: Any) -> Any:
    """The value itself, through which no gradient goes."""
    return value_of(x).copy()[()] if isinstance(x, Tensor) else x
