"""Arithmetic."""

from __future__ import annotations

import numpy as np

from ..errors import PowerError
from ..tape.spec import spec_of
from ..vm import opcodes as op
from ..vm.pools import pools
from .batching import stacked
from .core import ZERO, Elementwise, implements, lift, ops, primitive
from .domain import Above, Integers, Normal


@primitive(np.add)
class add:
    """Sum of two operands."""

    inline = op.ADD

    def partials(y, a, b):
        return 1.0, 1.0

    probes = ((1.0, 2.0), (1e6, -1.0))


@primitive(np.subtract)
class subtract:
    """Difference of two operands."""

    grad_name = "Sub"
    inline = op.SUB

    def partials(y, a, b):
        return 1.0, -1.0

    probes = ((1.0, 2.0), (-0.0, 0.0))


@primitive(np.multiply)
class multiply:
    """Product of two operands."""

    grad_name = "Mul"
    inline = op.MUL

    def partials(y, a, b):
        return b, a

    probes = ((3.0, -2.0), (0.0, 5.0), (0.0, 0.0))


@primitive(np.divide)
class divide:
    """Quotient of two operands."""

    grad_name = "Div"
    inline = op.DIV

    def partials(y, a, b):
        r = 1.0 / b
        return r, -(a * r) * r

    domain = (Normal(), Above(0.5))
    probes = ((1.0, 3.0), (0.0, 2.0), (3.0, -0.5))


@primitive(np.negative)
class negative:
    """Negation."""

    grad_name = "Neg"
    inline = op.NEG

    def kernel(emitter, out, operands, attrs):
        # NumPy's loop takes the wrong elements where both strides are the square of the item's size: in 2.4.6,
        # np.negative(a[:, 0], out=a[:, 0]) for eight columns of float64. A product with -1 is the same, and right.
        ((_, x),) = operands
        if (x.contiguous and out[1].contiguous) or x.dtype.char not in "fdilqILQ":
            Elementwise.kernel(negative, emitter, out, operands, attrs)
            return
        minus_one = pools.add_const(np.array(-1).astype(x.dtype)), spec_of((), x.dtype)
        loop, accumulate = multiply.loops(2 * x.dtype.char, out[1].dtype.char)
        emitter.loop(loop, out, [minus_one, *operands], accumulate=accumulate)

    def partials(y, x):
        return -1.0

    probes = (0.0, 1.5)


@primitive(np.positive)
class positive:
    """The operand itself."""

    inline = op.COPY

    def partials(y, x):
        return 1.0

    probes = (0.0, -1.5)


@primitive(np.absolute)
class absolute:
    """Absolute value; 0 has derivative 0."""

    grad_name = "Abs"

    def pullback(y_bar, y, x):
        return y_bar * ops.sign(x)

    probes = (-2.0, 1e-3)
    kinks = {(0.0,): (0.0,)}


@primitive(np.fabs)
class fabs:
    """Absolute value of a real number; 0 has derivative 0."""

    grad_name = "Abs"

    def partials(y, x):
        return ops.sign(x)

    probes = (-2.0, 1e-3)
    kinks = {(0.0,): (0.0,)}


@primitive(np.sign)
class sign:
    """Sign; for complex numbers x / |x|."""

    grad_name = "Sgn"

    def pullback(y_bar, y, x):
        if x._spec.dtype.kind != "c":
            return ops.where(False, y_bar, 0.0)
        r = absolute(x)
        at_zero = r == 0.0
        turned = y_bar - y * ops.real(ops.conjugate(y) * y_bar)
        return ops.where(at_zero, 0.0, turned / ops.where(at_zero, 1.0, r))

    probes = (-2.0, 3.0)
    kinks = {(0.0,): (0.0,)}


@primitive(np.square)
class square:
    """Square."""

    grad_name = "Pow"

    def partials(y, x):
        return 2.0 * x

    probes = (-3.0, 0.0, 0.5)


@primitive(np.sqrt)
class sqrt:
    """Square root."""

    def partials(y, x):
        return 0.5 / y

    domain = Above(0.0)
    probes = (1e-2, 1.0, 100.0)
    kinks = {(0.0,): (np.inf,)}


@primitive(np.cbrt)
class cbrt:
    """Cube root."""

    def partials(y, x):
        root = 1.0 / y
        return root * root * (1.0 / 3.0)

    domain = Above(0.0)
    probes = (-8.0, 1e-2, 27.0)
    kinks = {(0.0,): (np.inf,)}


@primitive(np.reciprocal)
class reciprocal:
    """One divided by the operand."""

    def partials(y, x):
        return -y * y

    domain = Above(0.2)
    probes = (-2.0, 0.5)


def within(x):
    """A real number, or the largest one in place of infinity: its product with 0 is 0."""
    if x._spec.dtype.kind != "f":
        return x
    most = float(np.finfo(x._spec.dtype).max)
    return ops.clip(x, -most, most)


def power_partials(y, a, b):
    """Of ``a ** b``; without NaN where the base is 0, or one of them infinite and the result 0."""
    at_zero = a == 0.0
    slope = within(b) * ops.where(at_zero & (b == 0.0), 1.0, a) ** (b - 1.0)
    base = within(ops.where(at_zero & (b >= 0.0), 1.0, a))  # 0**b does not change with b > 0
    return slope, y * ops.log(base)


def power_kernel(emitter, out, operands, attrs):
    """Integers by a call-out, as their loop raises an exception at negative exponents; real numbers by our own."""
    if out[1].dtype.kind in "iu":
        emitter.call(power, attrs, out, operands)
        return
    chars = "".join([s.dtype.char for _, s in operands])
    if chars not in ("ff", "dd"):
        type(power).kernel(power, emitter, out, operands, attrs)
        return
    from ..vm.kernels import composed_loop

    loop, accumulate = power.loops(chars, chars[0])
    emitter.loop(composed_loop("power", chars[0], loop), out, operands, accumulate=accumulate)


def integers_only(specs):
    """Integer powers raise for negative exponents: found where the operation is called, so not deferred."""
    return all(s.dtype.kind in "iu" for s in specs)


@primitive(np.power)
class power:
    """First operand to the power of the second."""

    def compute(a, b):
        try:
            return np.power(a, b)
        except ValueError:
            raise PowerError(
                "Integers to negative integer powers are not allowed. Make the base a float: x.astype(float)."
            ) from None

    grad_name = "Pow"
    runs_at_once = integers_only
    kernel = power_kernel
    partials = power_partials

    domain = (Above(0.0), Normal())
    probes = ((2.0, 3.0), (1.5, -0.5), (3.0, 0.0), (1e-3, 2.0))
    kinks = {
        (0.0, 0.0): (0.0, 0.0),
        (0.0, 1.0): (1.0, 0.0),
        (0.0, 2.0): (0.0, 0.0),
        (0.0, 0.5): (np.inf, 0.0),
        (-2.0, 3.0): (12.0, np.nan),
    }


@primitive(np.float_power)
class float_power:
    """First operand to the power of the second, at least in double precision."""

    grad_name = "Pow"
    partials = power_partials

    domain = (Above(0.0), Normal())
    probes = ((2.0, 3.0), (1.5, -0.5), (3.0, 0.0))
    kinks = {(0.0, 0.0): (0.0, 0.0), (0.0, 2.0): (0.0, 0.0)}


@primitive(np.floor_divide)
class floor_divide:
    """Floor of the quotient."""

    derivative = ZERO

    domain = (Normal(3.0), Above(0.5))
    probes = ((7.0, 2.0), (-7.0, 2.0), (7.0, -2.0))


@primitive(np.remainder)
class remainder:
    """Remainder with the divisor's sign."""

    def partials(y, a, b):
        return 1.0, -ops.floor_divide(a, b)

    domain = (Normal(3.0), Above(0.5))
    probes = ((7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (0.3, 2.0))


@primitive(np.fmod)
class fmod:
    """Remainder with the dividend's sign."""

    def partials(y, a, b):
        return 1.0, -ops.rint((a - y) / b)

    domain = (Normal(3.0), Above(0.5))
    probes = ((7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (0.3, 2.0))


@primitive(np.ldexp)
class ldexp:
    """First operand times two to the power of an integer."""

    def pullback(y_bar, y, x, n):
        return ldexp(y_bar, n), None

    domain = (Normal(), Integers(-3, 4))
    probes = ((1.5, 3), (-0.5, -2))


@primitive(np.gcd)
class gcd:
    """Greatest common divisor."""

    derivative = ZERO
    domain = (Integers(-20, 20), Integers(-20, 20))
    probes = ((12, 18), (0, 5), (-4, 6))


@primitive(np.lcm)
class lcm:
    """Least common multiple."""

    derivative = ZERO
    domain = (Integers(-9, 9), Integers(-9, 9))
    probes = ((4, 6), (0, 5), (-4, 6))


@implements(np.divmod)
def numpy_divmod(a, b):
    """`numpy.divmod`: floor of the quotient, and the remainder."""
    return floor_divide(a, b), remainder(a, b)


@implements(np.modf)
def numpy_modf(x):
    """`numpy.modf`: fractional and integral part, both with the operand's sign."""
    x = lift(x)
    x = lift(x, np.modf.resolve_dtypes((x._spec.dtype, None, None))[0])
    fraction = ops.copysign(ops.where(ops.isinf(x), 0.0, fmod(x, 1.0)), x)
    return fraction, ops.trunc(x)


@primitive()
class exponent:
    """Exponent of a floating-point number, as `numpy.frexp` gives it."""

    batching = stacked
    derivative = ZERO
    samples = [(np.array([1.0, 0.5, -3.0, 0.0, 1e300]),)]

    def infer(specs, attrs):
        return spec_of(specs[0].shape, np.dtype(np.int32)), op.KERNEL

    def compute(x):
        return np.frexp(x)[1]


@implements(np.frexp)
def numpy_frexp(x):
    """`numpy.frexp`: mantissa and exponent."""
    (x,) = sqrt.lift((x,))
    e = exponent(x)
    return ldexp(x, -e), e
