"""Mathieu, spheroidal and parabolic cylinder functions of SciPy.

Each comes with its derivative, and its differential equation gives the second one. Below x = 2 SciPy's radial functions
of the second kind are not exact; the derivatives are those of the equation.

Orders, and the parameters of the differential equations, are constants.
Equations are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov.
"""

from __future__ import annotations

import math

import numpy as np

from .core import ops
from .domain import Above, Integers
from .indexing import getitem
from .scipy_loader import NO_ORDER, NO_PARAMETER, scipy_ufunc, scipy_ufunc_in_double

DEGREE = math.pi / 180.0


# --- parabolic cylinder functions ----------------------------------------------------------------------------------


@scipy_ufunc
class pbdv:
    """Parabolic cylinder function D and its derivative (DLMF 12.2.4)."""

    samples = (([0.5, 1.5], [0.8, -1.0]),)
    fixed = (0,)

    def partials(ys, v, x):
        return (NO_ORDER, ys[1]), (NO_ORDER, (0.25 * x * x - v - 0.5) * ys[0])


@scipy_ufunc
class pbvv:
    """Parabolic cylinder function V and its derivative (DLMF 12.2.4)."""

    samples = (([0.5, 1.5], [0.8, 1.0]),)
    fixed = (0,)

    def partials(ys, v, x):
        return (NO_ORDER, ys[1]), (NO_ORDER, (0.25 * x * x - v - 0.5) * ys[0])


@scipy_ufunc
class pbwa:
    """Parabolic cylinder function W and its derivative (DLMF 12.14.1)."""

    samples = (([0.5, 1.5], [0.8, -1.0]),)
    fixed = (0,)

    def partials(ys, a, x):
        return (NO_PARAMETER, ys[1]), (NO_PARAMETER, (a - 0.25 * x * x) * ys[0])


# --- Mathieu functions -----------------------------------------------------------------------------------------------


def _angular(ys, m, q, x, value):
    """The angle is in degrees, the second result the derivative with respect to radians (DLMF 28.2.1)."""
    second = (2.0 * q * ops.cos(2.0 * DEGREE * x) - value) * ys[0]
    return (NO_ORDER, NO_PARAMETER, DEGREE * ys[1]), (NO_ORDER, NO_PARAMETER, DEGREE * second)


def _modified(ys, m, q, x, value):
    """The modified equation, DLMF 28.20.1."""
    second = (value - 2.0 * q * ops.cosh(2.0 * x)) * ys[0]
    return (NO_ORDER, NO_PARAMETER, ys[1]), (NO_ORDER, NO_PARAMETER, second)


def _mean(weight, function, nodes, weights):
    """Mean of a function of x under the density that another function's square is, by a rule of quadrature."""
    total, norm = 0.0, 0.0
    for x, w in zip(nodes, weights, strict=True):
        square = function(x) ** 2 * w
        total, norm = total + square * weight(x), norm + square
    return total / norm


def _by_q(function, m, q):
    """Derivative of a characteristic value with respect to q: the mean of 2 cos 2x under the function's square.

    That is Hellmann and Feynman's theorem for Mathieu's equation (DLMF 28.2.1); for periodic functions the rule of
    equal steps is as precise as numbers are.
    """

    def values(x):
        return getitem(function(m, q, x), 0)

    def weight(x):
        return 2.0 * math.cos(2.0 * DEGREE * x)

    count = 40
    return _mean(weight, values, [90.0 * k / count for k in range(count + 1)], [0.5, *[1.0] * (count - 1), 0.5])


@scipy_ufunc_in_double
class mathieu_a:
    """Characteristic value of the even Mathieu functions."""

    def partials(y, m, q):
        return NO_ORDER, _by_q(ops.mathieu_cem, m, q)

    fixed = (0,)
    real_orders = 1
    domain = (Integers(0, 4), Above(0.2))
    probes = ((0, 0.5), (1, 2.0), (3, 5.0), (2, 0.0))


@scipy_ufunc_in_double
class mathieu_b:
    """Characteristic value of the odd Mathieu functions."""

    def partials(y, m, q):
        return NO_ORDER, _by_q(ops.mathieu_sem, m, q)

    fixed = (0,)
    real_orders = 1
    domain = (Integers(1, 4), Above(0.2))
    probes = ((1, 0.5), (2, 2.0), (3, 5.0), (2, 0.0))


_ANGLES = (([2.0, 1.0], [1.5, 0.5], [30.0, 100.0]),)
_RADII = (([2.0, 1.0], [1.5, 0.5], [0.3, 0.8]),)


@scipy_ufunc
class mathieu_cem:
    """Even Mathieu function of an angle in degrees, and its derivative."""

    samples, fixed = _ANGLES, (0, 1)
    in_double = True

    def partials(ys, m, q, x):
        return _angular(ys, m, q, x, ops.mathieu_a(m, q))


@scipy_ufunc
class mathieu_sem:
    """Odd Mathieu function of an angle in degrees, and its derivative."""

    samples, fixed = _ANGLES, (0, 1)
    in_double = True

    def partials(ys, m, q, x):
        return _angular(ys, m, q, x, ops.mathieu_b(m, q))


@scipy_ufunc
class mathieu_modcem1:
    """Even modified Mathieu function of the first kind, and its derivative."""

    samples, fixed = _RADII, (0, 1)
    in_double = True

    def partials(ys, m, q, x):
        return _modified(ys, m, q, x, ops.mathieu_a(m, q))


@scipy_ufunc
class mathieu_modcem2:
    """Even modified Mathieu function of the second kind, and its derivative."""

    samples, fixed = _RADII, (0, 1)
    in_double = True

    def partials(ys, m, q, x):
        return _modified(ys, m, q, x, ops.mathieu_a(m, q))


@scipy_ufunc
class mathieu_modsem1:
    """Odd modified Mathieu function of the first kind, and its derivative."""

    samples, fixed = _RADII, (0, 1)
    in_double = True

    def partials(ys, m, q, x):
        return _modified(ys, m, q, x, ops.mathieu_b(m, q))


@scipy_ufunc
class mathieu_modsem2:
    """Odd modified Mathieu function of the second kind, and its derivative."""

    samples, fixed = _RADII, (0, 1)
    in_double = True

    def partials(ys, m, q, x):
        return _modified(ys, m, q, x, ops.mathieu_b(m, q))


# --- spheroidal wave functions ---------------------------------------------------------------------------------------


def _wave(ys, count, second):
    """Partials of a function and its derivative, where only the last of `count` operands moves."""
    others = (NO_PARAMETER,) * (count - 1)
    return (*others, ys[1]), (*others, second)


def _prolate(ys, m, c, cv, x):
    """Second derivative of a prolate wave function, angular or radial (DLMF 30.2.1)."""
    rest = 1.0 - x * x
    return (2.0 * x * ys[1] - (cv - c * c * x * x - m * m / rest) * ys[0]) / rest


def _oblate_angular(ys, m, c, cv, x):
    """Second derivative of an angular oblate wave function (DLMF 30.2.1, with -c² for c²)."""
    rest = 1.0 - x * x
    return (2.0 * x * ys[1] - (cv + c * c * x * x - m * m / rest) * ys[0]) / rest


def _oblate_radial(ys, m, c, cv, x):
    """Second derivative of a radial oblate wave function (DLMF 30.2.1, with -c² for c² and i x for x)."""
    rest = 1.0 + x * x
    return ((cv - c * c * x * x - m * m / rest) * ys[0] - 2.0 * x * ys[1]) / rest


_INNER = (([1.0, 0.0], [2.0, 1.0], [1.2, 0.5], [0.3, -0.4]),)
_OUTER = (([1.0, 0.0], [2.0, 1.0], [1.2, 0.5], [2.0, 3.0]),)
_VALUES = {  # the characteristic values of these orders, degrees and sizes
    "prolate": [6.6091276799902365, 2.1495704863910534],
    "oblate": [5.374755920351873, 1.8495723909825106],
}


def _given(samples, kind):
    ((m, n, c, x),) = samples
    return ((m, n, c, _VALUES[kind], x),)


def _value(name):
    """A record for characteristic values; in single precision SciPy's loop does not end, so all go through double."""

    def kernel(emitter, out, operands, attrs):
        emitter.call(getattr(ops, name), attrs, out, operands)

    def compute(m, n, c):
        from scipy import special

        found = getattr(special, name)(*[np.asarray(x, float) for x in (m, n, c)])
        return found.astype(np.result_type(m, n, c))

    def partials(y, m, n, c):
        # Hellmann and Feynman's theorem for DLMF 30.2.1: a mean of x² under the angular function's square.
        angular = getattr(ops, name.replace("cv", "ang1"))

        def values(x):
            return getitem(angular(m, n, c, x), 0)

        def weight(x):
            return x * x

        mean = _mean(weight, values, *_HALF_LINE)
        return NO_ORDER, NO_ORDER, (2.0 if name == "pro_cv" else -2.0) * c * mean

    members = {
        "__doc__": f"`scipy.special.{name}`, a characteristic value of spheroidal functions.",
        "partials": partials,
        "real_orders": 1,
        "fixed": (0, 1),
        "probes": ((1.0, 2.0, 1.2), (0.0, 1.0, 0.5)),
        "domain": (Integers(0, 1), Integers(1, 3), Above(0.2)),
        "kernel": kernel,
        "compute": compute,
    }
    return type(name, (), members)


_HALF_LINE = [v[20:].tolist() for v in np.polynomial.legendre.leggauss(40)]
"""Nodes and weights on [0, 1] for even functions."""

for _name in ("pro_cv", "obl_cv"):
    scipy_ufunc(_value(_name))


@scipy_ufunc
class pro_ang1:
    """Prolate angular function of the first kind, and its derivative."""

    samples, fixed = _INNER, (0, 1, 2)
    in_double = True

    def partials(ys, m, n, c, x):
        return _wave(ys, 4, _prolate(ys, m, c, ops.pro_cv(m, n, c), x))


@scipy_ufunc
class pro_rad1:
    """Prolate radial function of the first kind, and its derivative."""

    samples, fixed = _OUTER, (0, 1, 2)
    in_double = True

    def partials(ys, m, n, c, x):
        return _wave(ys, 4, _prolate(ys, m, c, ops.pro_cv(m, n, c), x))


@scipy_ufunc
class pro_rad2:
    """Prolate radial function of the second kind, and its derivative."""

    samples, fixed = _OUTER, (0, 1, 2)
    in_double = True

    def partials(ys, m, n, c, x):
        return _wave(ys, 4, _prolate(ys, m, c, ops.pro_cv(m, n, c), x))


@scipy_ufunc
class obl_ang1:
    """Oblate angular function of the first kind, and its derivative."""

    samples, fixed = _INNER, (0, 1, 2)
    in_double = True

    def partials(ys, m, n, c, x):
        return _wave(ys, 4, _oblate_angular(ys, m, c, ops.obl_cv(m, n, c), x))


@scipy_ufunc
class obl_rad1:
    """Oblate radial function of the first kind, and its derivative."""

    samples, fixed = _OUTER, (0, 1, 2)
    in_double = True

    def partials(ys, m, n, c, x):
        return _wave(ys, 4, _oblate_radial(ys, m, c, ops.obl_cv(m, n, c), x))


@scipy_ufunc
class obl_rad2:
    """Oblate radial function of the second kind, and its derivative."""

    samples, fixed = _OUTER, (0, 1, 2)
    in_double = True

    def partials(ys, m, n, c, x):
        return _wave(ys, 4, _oblate_radial(ys, m, c, ops.obl_cv(m, n, c), x))


@scipy_ufunc
class pro_ang1_cv:
    """Prolate angular function of the first kind for a characteristic value, and its derivative."""

    samples, fixed = _given(_INNER, "prolate"), (0, 1, 2, 3)
    in_double = True

    def partials(ys, m, n, c, cv, x):
        return _wave(ys, 5, _prolate(ys, m, c, cv, x))


@scipy_ufunc
class pro_rad1_cv:
    """Prolate radial function of the first kind for a characteristic value, and its derivative."""

    samples, fixed = _given(_OUTER, "prolate"), (0, 1, 2, 3)
    in_double = True

    def partials(ys, m, n, c, cv, x):
        return _wave(ys, 5, _prolate(ys, m, c, cv, x))


@scipy_ufunc
class pro_rad2_cv:
    """Prolate radial function of the second kind for a characteristic value, and its derivative."""

    samples, fixed = _given(_OUTER, "prolate"), (0, 1, 2, 3)
    in_double = True

    def partials(ys, m, n, c, cv, x):
        return _wave(ys, 5, _prolate(ys, m, c, cv, x))


@scipy_ufunc
class obl_ang1_cv:
    """Oblate angular function of the first kind for a characteristic value, and its derivative."""

    samples, fixed = _given(_INNER, "oblate"), (0, 1, 2, 3)
    in_double = True

    def partials(ys, m, n, c, cv, x):
        return _wave(ys, 5, _oblate_angular(ys, m, c, cv, x))


@scipy_ufunc
class obl_rad1_cv:
    """Oblate radial function of the first kind for a characteristic value, and its derivative."""

    samples, fixed = _given(_OUTER, "oblate"), (0, 1, 2, 3)
    in_double = True

    def partials(ys, m, n, c, cv, x):
        return _wave(ys, 5, _oblate_radial(ys, m, c, cv, x))


@scipy_ufunc
class obl_rad2_cv:
    """Oblate radial function of the second kind for a characteristic value, and its derivative."""

    samples, fixed = _given(_OUTER, "oblate"), (0, 1, 2, 3)
    in_double = True

    def partials(ys, m, n, c, cv, x):
        return _wave(ys, 5, _oblate_radial(ys, m, c, cv, x))
