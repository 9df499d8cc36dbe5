"""`numpy.emath`: functions that become complex where a real operand leaves their domain; values decide it."""

from __future__ import annotations

import numpy as np

from .core import implements, lift, ops
from .picking import _plain


def _widened(x, outside):
    """The operand, complex if any element is outside; integers as floats."""
    x = lift(x)
    if x._spec.dtype.kind in "biu":
        x = lift(x, np.dtype(float))
    if x._spec.dtype.kind == "c" or not np.any(outside(_plain(x))):
        return x
    return lift(x, np.result_type(x._spec.dtype, np.complex64))


def _negative(x):
    return x < 0


def _beyond_one(x):
    return np.abs(x) > 1


def _register(name, record, outside):
    def handler(x):
        return getattr(ops, record)(_widened(x, outside))

    handler.__name__, handler.__doc__ = f"emath_{name}", f"`numpy.emath.{name}`."
    implements(getattr(np.emath, name))(handler)


for _name, _outside in (
    ("sqrt", _negative),
    ("log", _negative),
    ("log2", _negative),
    ("log10", _negative),
    ("arccos", _beyond_one),
    ("arcsin", _beyond_one),
    ("arctanh", _beyond_one),
):
    _register(_name, _name, _outside)


@implements(np.emath.logn)
def emath_logn(n, x):
    """`numpy.emath.logn`."""
    return ops.log(_widened(x, _negative)) / ops.log(_widened(n, _negative))


@implements(np.emath.power)
def emath_power(x, p):
    """`numpy.emath.power`; negative integer powers of integers are those of floats."""
    p = lift(p)
    whole = p._spec.dtype.kind in "biu" and np.any(_plain(p) < 0)
    return ops.power(_widened(x, _negative), lift(p, np.dtype(float)) if whole else p)
