"""Comparisons, logic, bits and rounding: functions that are constant almost everywhere."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import stacked
from .core import RECORDS, ZERO, Elementwise, implements, lift, ops, primitive
from .domain import Above, Integers, Normal

ORDERED = ((1.0, 2.0), (2.0, 1.0), (1.0, 1.0), (np.nan, 1.0))
TRUTHS = ((0.0, 0.0), (0.0, 1.0), (2.0, 0.0), (2.0, -1.0))
SPECIAL = (0.0, -0.0, 1.0, -np.inf, np.inf, np.nan)
HALVES = (-1.5, -0.5, 0.5, 1.5, 2.5, 0.0)
BITS = ((6, 3), (0, 5), (-1, 7))


class _Comparison(Elementwise):
    """Comparisons, which know about Python's integers that an array's dtype does not have."""

    beyond = True

    def lift(self, operands):
        try:
            return super().lift(operands)
        except OverflowError:  # larger than all elements, or smaller
            return super().lift([_beyond(x) if type(x) is int else lift(x, np.dtype(np.float64)) for x in operands])


def _beyond(x):
    return np.inf if x > 0 else -np.inf


@primitive(np.less, base=_Comparison)
class less:
    """Whether a < b."""

    derivative = ZERO
    probes = ORDERED


@primitive(np.less_equal, base=_Comparison)
class less_equal:
    """Whether a <= b."""

    derivative = ZERO
    probes = ORDERED


@primitive(np.greater, base=_Comparison)
class greater:
    """Whether a > b."""

    derivative = ZERO
    probes = ORDERED


@primitive(np.greater_equal, base=_Comparison)
class greater_equal:
    """Whether a >= b."""

    derivative = ZERO
    probes = ORDERED


@primitive(np.equal, base=_Comparison)
class equal:
    """Whether a == b."""

    derivative = ZERO
    probes = ORDERED


@primitive(np.not_equal, base=_Comparison)
class not_equal:
    """Whether a != b."""

    derivative = ZERO
    probes = ORDERED


@primitive(np.logical_and)
class logical_and:
    """Whether both operands are true."""

    derivative = ZERO
    probes = TRUTHS


@primitive(np.logical_or)
class logical_or:
    """Whether an operand is true."""

    derivative = ZERO
    probes = TRUTHS


@primitive(np.logical_xor)
class logical_xor:
    """Whether just one operand is true."""

    derivative = ZERO
    probes = TRUTHS


@primitive(np.logical_not)
class logical_not:
    """Whether the operand is false."""

    derivative = ZERO
    probes = (0.0, 1.0, -2.0)


def _with_gaps(name, definition):
    """The kernel of a test of one operand, which goes by its definition where elements do not lie side by side.

    NumPy's loops for float32 and float64 write 16 results and more to the wrong places there: in 2.4.6,
    ``np.isfinite(a[:, 0], out=b[:, 0])``.
    """

    def kernel(emitter, out, operands, attrs):
        ((_, x),) = operands
        if x.dtype.char in "fd" and not (x.contiguous and out[1].contiguous):
            from ..tape.lower import compose

            compose(emitter, out, operands, definition)
        else:
            Elementwise.kernel(RECORDS[name], emitter, out, operands, attrs)

    return kernel


def _differs_from_itself(x):
    return x != x


def _is_beyond_all(x):
    return ops.absolute(x) == np.inf


def _is_below_infinity(x):
    return ops.absolute(x) < np.inf


def _has_minus(x):
    return ops.copysign(np.ones((), x._spec.dtype), x) < 0.0


@primitive(np.isnan)
class isnan:
    """Whether not a number."""

    kernel = _with_gaps("isnan", _differs_from_itself)
    derivative = ZERO
    probes = SPECIAL


@primitive(np.isinf)
class isinf:
    """Whether infinite."""

    kernel = _with_gaps("isinf", _is_beyond_all)
    derivative = ZERO
    probes = SPECIAL


@primitive(np.isfinite)
class isfinite:
    """Whether neither infinite nor NaN."""

    kernel = _with_gaps("isfinite", _is_below_infinity)
    derivative = ZERO
    probes = SPECIAL


@primitive(np.isnat)
class isnat:
    """Whether a date or a time difference is missing."""

    derivative = ZERO
    samples = [(np.array(["2000-01-01", "NaT"], "M8[s]"),)]


@primitive(np.signbit)
class signbit:
    """Whether the sign bit is set."""

    kernel = _with_gaps("signbit", _has_minus)
    derivative = ZERO
    probes = SPECIAL


@primitive(np.bitwise_and)
class bitwise_and:
    """Bitwise and."""

    derivative = ZERO
    domain = (Integers(-9, 9), Integers(-9, 9))
    probes = BITS


@primitive(np.bitwise_or)
class bitwise_or:
    """Bitwise or."""

    derivative = ZERO
    domain = (Integers(-9, 9), Integers(-9, 9))
    probes = BITS


@primitive(np.bitwise_xor)
class bitwise_xor:
    """Bitwise exclusive or."""

    derivative = ZERO
    domain = (Integers(-9, 9), Integers(-9, 9))
    probes = BITS


@primitive(np.invert)
class invert:
    """Bitwise not."""

    derivative = ZERO
    domain = Integers(-9, 9)
    probes = (0, -1, 5)


@primitive(np.left_shift)
class left_shift:
    """Bits moved to the left."""

    derivative = ZERO
    domain = (Integers(-9, 9), Integers(0, 4))
    probes = ((1, 3), (-5, 1))


@primitive(np.right_shift)
class right_shift:
    """Bits moved to the right."""

    derivative = ZERO
    domain = (Integers(-90, 90), Integers(0, 4))
    probes = ((17, 3), (-5, 1))


@primitive(np.bitwise_count)
class bitwise_count:
    """Number of one-bits of the absolute value."""

    derivative = ZERO
    domain = Integers(-90, 90)
    probes = (0, 7, -8)


@primitive(np.floor)
class floor:
    """Greatest integer not above the operand."""

    derivative = ZERO
    probes = HALVES


@primitive(np.ceil)
class ceil:
    """Smallest integer not below the operand."""

    derivative = ZERO
    probes = HALVES


@primitive(np.trunc)
class trunc:
    """Integer part."""

    derivative = ZERO
    probes = HALVES


@primitive(np.rint)
class rint:
    """Nearest integer, the even one of two."""

    grad_name = "Round"
    derivative = ZERO
    probes = HALVES


@primitive()
class round_to:
    """Nearest multiple of a power of ten."""

    batching = stacked
    grad_name = "Round"
    derivative = ZERO
    samples = [((np.array([1.25, -0.35, 1234.5]),), {"decimals": k}) for k in (1, -2)]

    def infer(specs, attrs):
        return spec_of(specs[0].shape, specs[0].dtype), op.KERNEL

    def compute(x, decimals):
        return np.round(x, decimals)


@implements(np.round, np.around)
def numpy_round(a, decimals=0, out=None):
    """`numpy.round`."""
    x = lift(a)
    kind = x._spec.dtype.kind
    if kind == "b":
        x = lift(x, np.dtype(np.float16))
    if kind in "iu" and decimals >= 0:
        result = ops.positive(x)
    else:
        result = rint(x) if decimals == 0 else round_to(x, decimals=int(decimals))
    if out is None:
        return result
    from ..inplace import write

    return write(out, ops.copy, (result,))


@implements(np.fix)
def numpy_fix(x, out=None):
    """`numpy.fix`."""
    return trunc(x)


@primitive(np.spacing)
class spacing:
    """Distance to the next floating-point number."""

    derivative = ZERO
    probes = (0.0, 1.0, -1e5)


@primitive(np.nextafter)
class nextafter:
    """The next floating-point number towards the second operand."""

    derivative = (
        "nextafter steps from one floating-point number to the next, which no derivative describes; stop its gradient "
        "on purpose with tapegrad.stop_gradient(x)"
    )
    probes = ((1.0, 2.0), (1.0, 0.0), (0.0, 0.0))


@primitive(np.heaviside)
class heaviside:
    """Step function: 0 below 0, 1 above, and the second operand at 0."""

    def pullback(y_bar, y, x, h):
        return None, ops.where(x == 0.0, y_bar, 0.0)

    fixed = (0,)
    probes = ((1.0, 0.5), (-1.0, 0.5), (0.0, 0.5))
    kinks = {(0.0, 0.5): (0.0, 1.0)}


@primitive(np.copysign)
class copysign:
    """Magnitude of the first operand with the sign of the second."""

    def partials(y, a, b):
        return ops.sign(a) * copysign(1.0, b), 0.0

    domain = (Normal(), Above(0.0))
    probes = ((1.5, -2.0), (-1.5, 3.0))
    kinks = {(0.0, 1.0): (0.0, 0.0), (2.0, -0.0): (-1.0, 0.0)}


# --- what NumPy composes of these ----------------------------------------------------------------------------------


@implements(np.isclose)
def numpy_isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """`numpy.isclose`."""
    a, b = ops.subtract.lift((lift(a), lift(b)))
    close = (ops.absolute(a - b) <= atol + rtol * ops.absolute(b)) & isfinite(b) | (a == b)
    return close | isnan(a) & isnan(b) if equal_nan else close


@implements(np.allclose)
def numpy_allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """`numpy.allclose`."""
    return bool(np.all(numpy_isclose(a, b, rtol, atol, equal_nan)))


@implements(np.array_equal)
def numpy_array_equal(a1, a2, equal_nan=False):
    """`numpy.array_equal`."""
    a, b = lift(a1), lift(a2)
    if a._spec.shape != b._spec.shape:
        return False
    same = a == b
    if equal_nan:
        same = same | isnan(a) & isnan(b)
    return bool(np.all(same))


@implements(np.isposinf)
def numpy_isposinf(x, out=None):
    """`numpy.isposinf`."""
    return x == np.inf


@implements(np.isneginf)
def numpy_isneginf(x, out=None):
    """`numpy.isneginf`."""
    return x == -np.inf
