"""Other names for the same memory: with less history, or with a new one."""

from __future__ import annotations

import numpy as np

from ..tape.viewing import record_view
from ..vm import opcodes as op
from .core import ZERO, Primitive, primitive

__all__ = ["detach", "track"]


class _Alias(Primitive):
    """All of an array under another name."""

    kind = op.VIEW
    samples = (((np.array([[1.0, -2.0, 0.5]]),), {}), ((np.array(3.0),), {}))

    def infer(self, specs, attrs):
        return specs[0], op.VIEW

    def compute(self, x):
        return x

    def __call__(self, x):
        return record_view(self, x, (), 0)


class _Detach(_Alias):
    def carries_grad(self, specs, out):
        return False

    def __call__(self, x):
        made = record_view(self, x, (), 0, detached=True)
        made._foreign = (x if x._base is None else x._base)._foreign
        return made


@primitive(base=_Detach)
class detach:
    """The same values, cut off from their history."""

    derivative = ZERO


class _Track(_Alias):
    def carries_grad(self, specs, out):
        return True


@primitive(base=_Track)
class track:
    """The same values, differentiable from here on: what a transformation differentiates with respect to."""

    def pullback(y_bar, y, x):
        return y_bar
