"""Trigonometric functions and their inverses."""

from __future__ import annotations

import math

import numpy as np

from ..tape.lower import compose
from .batching import aligned
from .core import Elementwise, implements, lift, ops, primitive
from .domain import Between, Normal

DEGREE = math.pi / 180.0


@primitive(np.sin)
class sin:
    """Sine."""

    def partials(y, x):
        return ops.cos(x)

    probes = (0.0, 0.5, -3.0, 100.0)


@primitive(np.cos)
class cos:
    """Cosine."""

    def partials(y, x):
        return -ops.sin(x)

    probes = (0.0, 0.5, -3.0, 100.0)


@primitive(np.tan)
class tan:
    """Tangent."""

    def partials(y, x):
        return 1.0 + y * y

    domain = Between(-1.4, 1.4)
    probes = (0.0, 0.5, -1.2)


def _cosine(x):
    """Cosine of the inverse sine; of complex numbers on a branch cut, on that side which the zero's sign tells.

    ``1 - z`` would lose the sign, ``-(z - 1)`` keeps it: Kahan, Branch cuts for complex elementary functions (1987).
    """
    if x._spec.dtype.kind == "c":
        return ops.sqrt(-((x - 1.0) * (x - (-1.0))))
    return ops.sqrt((1.0 - x) * (1.0 + x))


@primitive(np.arcsin)
class arcsin:
    """Inverse sine."""

    grad_name = "Asin"

    def partials(y, x):
        return 1.0 / _cosine(x)

    domain = Between(-1.0, 1.0)
    probes = (0.0, 0.5, -0.9)
    kinks = {(1.0,): (np.inf,)}


@primitive(np.arccos)
class arccos:
    """Inverse cosine."""

    grad_name = "Acos"

    def partials(y, x):
        return -1.0 / _cosine(x)

    domain = Between(-1.0, 1.0)
    probes = (0.0, 0.5, -0.9)
    kinks = {(1.0,): (-np.inf,)}


@primitive(np.arctan)
class arctan:
    """Inverse tangent."""

    grad_name = "Atan"

    def partials(y, x):
        return 1.0 / (1.0 + x * x)

    probes = (0.0, 0.5, -3.0)


@primitive(np.arctan2)
class arctan2:
    """Angle of the point (b, a); at the origin the derivatives are 0."""

    grad_name = "Atan2"

    def partials(y, a, b):
        r = ops.hypot(a, b)  # a * a + b * b would overflow, or vanish
        r = ops.where(r == 0.0, 1.0, r)
        return b / r / r, -(a / r) / r

    domain = (Normal(), Normal())
    probes = ((0.5, 1.0), (0.0, 1.0), (-1.0, -1.0), (2.0, 0.0))
    kinks = {(0.0, 0.0): (0.0, 0.0), (1e200, 1e200): (5e-201, -5e-201)}


@primitive(np.hypot)
class hypot:
    """Length of the vector (a, b); at the origin the derivatives are 0."""

    def partials(y, a, b):
        r = ops.where(y == 0.0, 1.0, y)
        return a / r, b / r

    domain = (Normal(), Normal())
    probes = ((3.0, 4.0), (0.0, 1.0), (-1.0, 1e-3))
    kinks = {(0.0, 0.0): (0.0, 0.0), (1e200, 0.0): (1.0, 0.0)}


@primitive(np.deg2rad)
class deg2rad:
    """Angle in radians from degrees."""

    grad_name = "Deg2Rad"

    def partials(y, x):
        return DEGREE

    domain = Normal(90.0)
    probes = (0.0, 90.0)


@primitive(np.radians)
class radians:
    """Angle in radians from degrees."""

    grad_name = "Deg2Rad"

    def partials(y, x):
        return DEGREE

    domain = Normal(90.0)
    probes = (0.0, 90.0)


@primitive(np.rad2deg)
class rad2deg:
    """Angle in degrees from radians."""

    grad_name = "Rad2Deg"

    def partials(y, x):
        return 1.0 / DEGREE

    probes = (0.0, 1.0)


@primitive(np.degrees)
class degrees:
    """Angle in degrees from radians."""

    grad_name = "Rad2Deg"

    def partials(y, x):
        return 1.0 / DEGREE

    probes = (0.0, 1.0)


def sinc_quotient(x):
    """NumPy's definition of sinc."""
    y = math.pi * ops.where(x == 0.0, 1e-20, x)
    return ops.sin(y) / y


SINC_SLOPE = [(-1) ** (k + 1) * (2 * k + 2) / math.factorial(2 * k + 3) for k in range(10)]
"""Coefficients of d/dz (sin z / z) = z * sum(c[k] * z**(2 k)); ten give all digits for z < 1."""


class _Sinc(Elementwise):
    elementwise = accumulates = False  # several loops, with temporaries
    batching = staticmethod(aligned)

    def resolve(self, dtypes):
        return ops.sin.resolve(dtypes)


@primitive(np.sinc, base=_Sinc)
class sinc:
    """Normalised sinc function, sin(pi x) / (pi x)."""

    def kernel(emitter, out, operands, attrs):
        compose(emitter, out, operands, sinc_quotient)

    def partials(y, x):
        z = math.pi * x
        near = abs(z) < 1.0
        z_near, z_far = ops.where(near, z, 0.0), ops.where(near, 1.0, z)
        square, slope = z_near * z_near, 0.0
        for c in reversed(SINC_SLOPE):
            slope = slope * square + c
        return math.pi * ops.where(near, z_near * slope, (ops.cos(z_far) - ops.sin(z_far) / z_far) / z_far)

    probes = (0.0, 1e-9, 0.1, 0.5, 1.0, -2.3)


@implements(np.angle)
def numpy_angle(z, deg=False):
    """`numpy.angle`."""
    z = lift(z)
    if z._spec.dtype.kind == "c":
        angle = ops.arctan2(ops.imag(z), ops.real(z))
    else:
        (z,) = sin.lift((z,))
        angle = ops.where(ops.isnan(z), z, ops.where(ops.signbit(z), math.pi, 0.0))
        if z._spec.dtype.kind == "f":
            angle = lift(angle, z._spec.dtype)
    return rad2deg(angle) if deg else angle
