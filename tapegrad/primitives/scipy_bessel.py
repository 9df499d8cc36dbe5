"""Bessel functions of SciPy.

References
----------
.. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov: chapter and equation in each rule.
"""

from __future__ import annotations

from .core import ops
from .domain import Above, Normal
from .scipy_loader import NO_ORDER, scipy_ufunc

__all__ = ["far_out", "over"]

FAR = 1e4


def over(y, x):
    """``y / x`` for a function with y(0) = 0 and slope 1/2 there."""
    at_zero = x == 0.0
    return ops.where(at_zero, 0.5, y / ops.where(at_zero, 1.0, x))


def far_out(slope, y, v, z, turn):
    """The slope of a scaled function y of order v, whose asymptotic series has the terms a_k (turn / z)**k / sqrt(z).

    There recurrences are differences of near equals, and have no digits (DLMF 10.40.1, 10.40.2 and 10.17.5).
    """
    far = ops.absolute(z) > FAR * (1.0 + v * v)
    z = ops.where(far, z, 1.0)
    s = turn / z
    return ops.where(far, y / z * (-0.5 - (0.5 * v * v - 0.125) * s * (1.0 - s)), slope)


@scipy_ufunc
class j0:
    """Bessel function of the first kind of order 0."""

    grad_name = "SpecialBesselJ0"

    def partials(y, x):
        return -ops.j1(x)

    domain = Normal(3.0)
    probes = (0.0, 1.0, -20.0)


@scipy_ufunc
class j1:
    """Bessel function of the first kind of order 1 (DLMF 10.6.2)."""

    grad_name = "SpecialBesselJ1"

    def partials(y, x):
        return ops.j0(x) - over(y, x)

    domain = Normal(3.0)
    probes = (1.0, -20.0, 1e-3)
    kinks = {(0.0,): (0.5,)}


@scipy_ufunc
class y0:
    """Bessel function of the second kind of order 0."""

    grad_name = "SpecialBesselY0"

    def partials(y, x):
        return -ops.y1(x)

    domain = Above(0.2)
    probes = (1.0, 20.0)


@scipy_ufunc
class y1:
    """Bessel function of the second kind of order 1."""

    grad_name = "SpecialBesselY1"

    def partials(y, x):
        return ops.y0(x) - y / x

    domain = Above(0.2)
    probes = (1.0, 20.0)


@scipy_ufunc
class i0:
    """Modified Bessel function of the first kind of order 0."""

    def partials(y, x):
        return ops.i1(x)

    probes = (0.0, 1.0, -10.0)


@scipy_ufunc
class i1:
    """Modified Bessel function of the first kind of order 1 (DLMF 10.29.2)."""

    grad_name = "SpecialI1"

    def partials(y, x):
        return ops.i0(x) - over(y, x)

    probes = (1.0, -10.0, 1e-3)
    kinks = {(0.0,): (0.5,)}


@scipy_ufunc
class i0e:
    """exp(-|x|) i0(x)."""

    grad_name = "SpecialI0E"

    def partials(y, x):
        sign = ops.sign(x)
        return far_out(ops.i1e(x) - sign * y, y, 0.0, x, -sign)

    probes = (1.0, -10.0, 300.0)
    kinks = {(0.0,): (0.0,)}


@scipy_ufunc
class i1e:
    """exp(-|x|) i1(x)."""

    grad_name = "SpecialI1E"

    def partials(y, x):
        sign = ops.sign(x)
        return far_out(ops.i0e(x) - sign * y - over(y, x), y, 1.0, x, -sign)

    probes = (1.0, -10.0, 300.0)
    kinks = {(0.0,): (0.5,)}


@scipy_ufunc
class k0:
    """Modified Bessel function of the second kind of order 0."""

    def partials(y, x):
        return -ops.k1(x)

    domain = Above(0.2)
    probes = (1.0, 10.0)


@scipy_ufunc
class k1:
    """Modified Bessel function of the second kind of order 1."""

    def partials(y, x):
        return -ops.k0(x) - y / x

    domain = Above(0.2)
    probes = (1.0, 10.0)


@scipy_ufunc
class k0e:
    """exp(x) k0(x)."""

    def partials(y, x):
        return far_out(y - ops.k1e(x), y, 0.0, x, 1.0)

    domain = Above(0.2)
    probes = (1.0, 10.0)


@scipy_ufunc
class k1e:
    """exp(x) k1(x)."""

    def partials(y, x):
        return far_out(y - ops.k0e(x) - y / x, y, 1.0, x, 1.0)

    domain = Above(0.2)
    probes = (1.0, 10.0)


@scipy_ufunc
class jv:
    """Bessel function of the first kind of real order (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, 0.5 * (ops.jv(v - 1.0, z) - ops.jv(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.2))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class yv:
    """Bessel function of the second kind of real order (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, 0.5 * (ops.yv(v - 1.0, z) - ops.yv(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class iv:
    """Modified Bessel function of the first kind of real order (DLMF 10.29.1)."""

    def partials(y, v, z):
        return NO_ORDER, 0.5 * (ops.iv(v - 1.0, z) + ops.iv(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.2))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class kv:
    """Modified Bessel function of the second kind of real order (DLMF 10.29.1)."""

    def partials(y, v, z):
        return NO_ORDER, -0.5 * (ops.kv(v - 1.0, z) + ops.kv(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))
