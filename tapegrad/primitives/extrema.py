"""Maxima, minima, clipping. Operands that tie share the cotangent, as in PyTorch; in `fmax` the first has it all."""

from __future__ import annotations

import numpy as np
from numpy._core.umath import clip as clip_ufunc

from ..tape.lower import compose
from ..tape.spec import spec_of
from ..vm import opcodes as op
from ..vm.bridge import loop_address
from ..vm.kernels import extra_loop
from .broadcasting import broadcast_shapes
from .core import Primitive, implements, lift, ops, primitive, unbroadcast
from .domain import Normal


class _Share(Primitive):
    elementwise = True
    accumulates = True

    def infer(self, specs, attrs):
        a, b, y_bar = specs
        if not a.dtype == b.dtype == y_bar.dtype:
            raise TypeError(f"share takes three operands of one dtype, and got {specs}")
        return spec_of(broadcast_shapes(self, [s.shape for s in specs]), a.dtype), op.KERNEL

    def kernel(self, emitter, out, operands, attrs):
        if hasattr(emitter, "take"):  # it asks what the definition is: see `tapegrad.cuda.table`
            compose(emitter, out, operands, _by_choice)
            return
        c = out[1].dtype.char
        accumulate = (*loop_address(np.add, f"{c}{c}->{c}"), False)
        emitter.loop((extra_loop("share", f"{c}{c}{c}->{c}"), 0), out, operands, accumulate=accumulate)

    def carries_grad(self, specs, out):
        return out.dtype.kind in "fc" and specs[2].requires_grad


@primitive(base=_Share)
class share:
    """Third operand where the first is greater than the second, half of it where they tie, 0 where it is less."""

    samples = (
        ((np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 4.0]), np.arange(3.0)), {}),
        ((np.array([1.0, 2.0, 4.0], "f"), np.array(3.0, "f"), np.ones(3, "f")), {}),
    )

    def compute(a, b, y_bar):
        return np.where(a < b, 0.0, np.where(a == b, 0.5 * y_bar, y_bar)).astype(y_bar.dtype)

    def pullback(y_bar, y, a, b, v):
        return None, None, unbroadcast(shared(a, b, y_bar), v)


def _by_choice(a, b, y_bar):
    return ops.where(a < b, 0.0, ops.where(a == b, 0.5 * y_bar, y_bar))


def shared(a, b, y_bar):
    """The cotangent of `a`, if the greater of a and b is the result: by one loop where there is one."""
    return share(a, b, y_bar) if a._spec.dtype.char in "fd" else _by_choice(a, b, y_bar)


@primitive(np.maximum)
class maximum:
    """The greater of two operands; NaN if either is."""

    def pullback(y_bar, y, a, b):
        return shared(a, b, y_bar), shared(b, a, y_bar)

    probes = ((1.0, 2.0), (2.0, -1.0))
    kinks = {(1.0, 1.0): (0.5, 0.5), (0.0, 0.0): (0.5, 0.5), (np.nan, 1.0): (1.0, 1.0)}


@primitive(np.minimum)
class minimum:
    """The smaller of two operands; NaN if either is."""

    def pullback(y_bar, y, a, b):
        return shared(b, a, y_bar), shared(a, b, y_bar)

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
