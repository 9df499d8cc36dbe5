"""Maxima, minima, clipping. Operands that tie share the cotangent, as in PyTorch; in `fmax` the first has it all."""

from __future__ import annotations

import numpy as np
from numpy._core.umath import clip as clip_ufunc

from .core import implements, lift, ops, primitive
from .domain import Normal


def share(y_bar, x, other, loses):
    """Cotangent of `x`: none where it loses against `other`, half where they tie."""
    return ops.where(loses, 0.0, ops.where(x == other, 0.5 * y_bar, y_bar))


@primitive(np.maximum)
class maximum:
    """The greater of two operands; NaN if either is."""

    def pullback(y_bar, y, a, b):
        return share(y_bar, a, b, a < b), share(y_bar, b, a, b < a)

    probes = ((1.0, 2.0), (2.0, -1.0))
    kinks = {(1.0, 1.0): (0.5, 0.5), (0.0, 0.0): (0.5, 0.5), (np.nan, 1.0): (1.0, 1.0)}


@primitive(np.minimum)
class minimum:
    """The smaller of two operands; NaN if either is."""

    def pullback(y_bar, y, a, b):
        return share(y_bar, a, b, a > b), share(y_bar, b, a, b > a)

    probes = ((1.0, 2.0), (2.0, -1.0))
    kinks = {(1.0, 1.0): (0.5, 0.5), (0.0, 0.0): (0.5, 0.5), (np.nan, 1.0): (1.0, 1.0)}


@primitive(np.fmax)
class fmax:
    """The greater of two operands; where one is NaN, the other."""

    def pullback(y_bar, y, a, b):
        first = (a >= b) | ops.isnan(b)
        return ops.where(first, y_bar, 0.0), ops.where(first, 0.0, y_bar)

    probes = ((1.0, 2.0), (2.0, -1.0))
    kinks = {(1.0, 1.0): (1.0, 0.0), (np.nan, 1.0): (0.0, 1.0), (1.0, np.nan): (1.0, 0.0)}


@primitive(np.fmin)
class fmin:
    """The smaller of two operands; where one is NaN, the other."""

    def pullback(y_bar, y, a, b):
        first = (a <= b) | ops.isnan(b)
        return ops.where(first, y_bar, 0.0), ops.where(first, 0.0, y_bar)

    probes = ((1.0, 2.0), (2.0, -1.0))
    kinks = {(1.0, 1.0): (1.0, 0.0), (np.nan, 1.0): (0.0, 1.0), (1.0, np.nan): (1.0, 0.0)}


@primitive(clip_ufunc)
class clip:
    """First operand, held between a lower and an upper bound; on the bounds it still passes its cotangent."""

    grad_name = "Clamp"

    def pullback(y_bar, y, x, low, high):
        return (
            ops.where((x >= low) & (x <= high), y_bar, 0.0),
            ops.where((x < low) & (low < high), y_bar, 0.0),
            ops.where((x > high) | (high < low), y_bar, 0.0),
        )

    domain = (Normal(), Normal(0.1), Normal(0.1))
    probes = ((0.5, 0.0, 1.0), (-3.0, 0.0, 1.0), (3.0, 0.0, 1.0), (0.5, 2.0, 1.0))
    kinks = {(0.0, 0.0, 1.0): (1.0, 0.0, 0.0), (1.0, 0.0, 1.0): (1.0, 0.0, 0.0)}


_NO_BOUND = object()


@implements(np.clip)
def numpy_clip(a, a_min=_NO_BOUND, a_max=_NO_BOUND, out=None, *, min=_NO_BOUND, max=_NO_BOUND, dtype=None):
    """`numpy.clip`."""
    low = next((b for b in (a_min, min) if b is not _NO_BOUND), None)
    high = next((b for b in (a_max, max) if b is not _NO_BOUND), None)
    if low is None and high is None:
        result = ops.positive(lift(a))
    else:
        x, low, high = _bounded(a, low, high)
        result = clip(x, low, high)
    if dtype is not None:
        result = lift(result, np.dtype(dtype))
    if out is None:
        return result
    from ..inplace import write

    return write(out, ops.copy, (result,))


def _bounded(x, low, high):
    """Operands with a bound that never binds in place of a missing one."""
    if low is not None and high is not None:
        return x, low, high
    x, bound = maximum.lift((x, high if low is None else low))
    dtype = x._spec.dtype
    if dtype.kind == "b":
        return x, bound if low is not None else False, bound if high is not None else True
    if dtype.kind in "iu":
        lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
    else:
        lowest, highest = -np.inf, np.inf
    return x, lowest if low is None else bound, highest if high is None else bound
