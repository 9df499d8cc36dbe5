"""Relatives of the Bessel functions in SciPy: scaled ones, Hankel, Airy, Kelvin and Struve functions, their integrals.

Equations are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov.
"""

from __future__ import annotations

import math

from .core import ops
from .domain import Above, Between, Integers
from .scipy_bessel import far_out, over
from .scipy_loader import NO_ORDER, NO_PARAMETER, scipy_ufunc


def scaled_by_modulus(name, z):
    """Reason why a function scaled by a modulus has no complex derivative."""
    if z._spec.dtype.kind != "c":
        return None
    return (
        f"{name} at complex numbers is not holomorphic, as its scale is a modulus: use {name[:-1]}(v, z) and scale it "
        f"with np.exp and np.abs"
    )


# --- Bessel functions of integer order, and scaled ones --------------------------------------------------------------


@scipy_ufunc
class kn:
    """Modified Bessel function of the second kind of integer order (DLMF 10.29.1)."""

    def partials(y, n, x):
        n = ops.trunc(n)  # as SciPy does
        return NO_ORDER, -0.5 * (ops.kv(n - 1.0, x) + ops.kv(n + 1.0, x))

    domain = (Integers(0, 4), Above(0.5))
    probes = ((2, 1.0), (0, 3.0))


@scipy_ufunc
class yn:
    """Bessel function of the second kind of integer order (DLMF 10.6.1)."""

    def partials(y, n, x):
        n = ops.trunc(n)  # as SciPy does
        return NO_ORDER, 0.5 * (ops.yv(n - 1.0, x) - ops.yv(n + 1.0, x))

    domain = (Integers(0, 4), Above(0.5))
    probes = ((2, 1.0), (0, 3.0))


@scipy_ufunc
class jve:
    """Bessel function of the first kind, scaled by exp(-abs(z.imag)) (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, scaled_by_modulus("jve", z) or 0.5 * (ops.jve(v - 1.0, z) - ops.jve(v + 1.0, z))

    fixed = (0,)
    complex_orders = 0
    domain = (Above(0.0), Above(0.2))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class yve:
    """Bessel function of the second kind, scaled by exp(-abs(z.imag)) (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, scaled_by_modulus("yve", z) or 0.5 * (ops.yve(v - 1.0, z) - ops.yve(v + 1.0, z))

    fixed = (0,)
    complex_orders = 0
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class ive:
    """Modified Bessel function of the first kind, scaled by exp(-abs(z.real)) (DLMF 10.29.1)."""

    def partials(y, v, z):
        reason, sign = scaled_by_modulus("ive", z), ops.sign(z)
        slope = 0.5 * (ops.ive(v - 1.0, z) + ops.ive(v + 1.0, z)) - sign * y
        return NO_ORDER, reason or far_out(slope, y, v, z, -sign)

    fixed = (0,)
    complex_orders = 0
    domain = (Above(0.0), Above(0.2))
    probes = ((2.0, 1.0), (0.5, 300.0))


@scipy_ufunc
class kve:
    """Modified Bessel function of the second kind, scaled by exp(z) (DLMF 10.29.1)."""

    def partials(y, v, z):
        return NO_ORDER, far_out(y - 0.5 * (ops.kve(v - 1.0, z) + ops.kve(v + 1.0, z)), y, v, z, 1.0)

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 300.0))


# --- Hankel functions ----------------------------------------------------------------------------------------------


@scipy_ufunc
class hankel1:
    """Hankel function of the first kind (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, 0.5 * (ops.hankel1(v - 1.0, z) - ops.hankel1(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class hankel2:
    """Hankel function of the second kind (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, 0.5 * (ops.hankel2(v - 1.0, z) - ops.hankel2(v + 1.0, z))

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class hankel1e:
    """Hankel function of the first kind, scaled by exp(-1j z) (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, far_out(0.5 * (ops.hankel1e(v - 1.0, z) - ops.hankel1e(v + 1.0, z)) - y * 1j, y, v, z, 1j)

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))


@scipy_ufunc
class hankel2e:
    """Hankel function of the second kind, scaled by exp(1j z) (DLMF 10.6.1)."""

    def partials(y, v, z):
        return NO_ORDER, far_out(0.5 * (ops.hankel2e(v - 1.0, z) - ops.hankel2e(v + 1.0, z)) + y * 1j, y, v, z, -1j)

    fixed = (0,)
    domain = (Above(0.0), Above(0.5))
    probes = ((2.0, 1.0), (0.5, 3.0))


# --- Airy functions ------------------------------------------------------------------------------------------------


@scipy_ufunc
class airy:
    """Airy functions Ai, Ai', Bi and Bi' (DLMF 9.2.1)."""

    samples = (([0.5, -2.0, 3.0],), ([[1.0 + 0.5j, -0.3 - 1.0j]],))

    def partials(ys, z):
        ai, aip, bi, bip = ys
        return (aip,), (z * ai,), (bip,), (z * bi,)


@scipy_ufunc
class airye:
    """Airy functions scaled by exp(2/3 z sqrt(z)), and by its reciprocal modulus for Bi (DLMF 9.2.1)."""

    samples = (([0.5, 3.0],),)

    def partials(ys, z):
        ai, aip, bi, bip = ys
        if z._spec.dtype.kind == "c":
            reason = (
                "airye at complex numbers is not holomorphic, as its scale is a modulus: use airy(z) and scale it with "
                "np.exp"
            )
            return ((reason,),) * 4
        # The scales are exp(w) and exp(-abs(w)) with w = 2/3 z sqrt(z), so w' = sqrt(z); left of 0 Bi has none, and Ai
        # is NaN: its slope is 0 there, as a product of NaN and no cotangent would spoil that of Bi.
        root = ops.sqrt(ops.maximum(z, 0.0))
        ai, aip = [ops.where(z < 0.0, 0.0, value) for value in (ai, aip)]
        return (aip + root * ai,), (z * ai + root * aip,), (bip - root * bi,), (z * bi - root * bip,)


@scipy_ufunc
class itairy:
    """Integrals of Ai and Bi from 0 to x and to -x."""

    samples = (([0.5, 2.0],),)

    def partials(ys, x):
        airy, mirrored = ops.airy(x), ops.airy(-x)
        return (airy[0],), (airy[2],), (mirrored[0],), (mirrored[2],)


# --- Kelvin functions ----------------------------------------------------------------------------------------------


@scipy_ufunc
class ber:
    """Kelvin function ber."""

    def partials(y, x):
        return ops.berp(x)

    domain = Above(0.2)
    probes = (1.0, 3.0)


@scipy_ufunc
class bei:
    """Kelvin function bei."""

    def partials(y, x):
        return ops.beip(x)

    domain = Above(0.2)
    probes = (1.0, 3.0)


@scipy_ufunc
class ker:
    """Kelvin function ker."""

    def partials(y, x):
        return ops.kerp(x)

    domain = Above(0.2)
    probes = (1.0, 3.0)


@scipy_ufunc
class kei:
    """Kelvin function kei."""

    def partials(y, x):
        return ops.keip(x)

    domain = Above(0.2)
    probes = (1.0, 3.0)


@scipy_ufunc
class berp:
    """Derivative of the Kelvin function ber (DLMF 10.61.3)."""

    def partials(y, x):
        return -ops.bei(x) - y / ops.where(x == 0.0, 1.0, x)

    domain = Above(0.2)
    probes = (1.0, 3.0)
    kinks = {(0.0,): (0.0,)}


@scipy_ufunc
class beip:
    """Derivative of the Kelvin function bei (DLMF 10.61.3)."""

    def partials(y, x):
        return ops.ber(x) - over(y, x)

    domain = Above(0.2)
    probes = (1.0, 3.0)


@scipy_ufunc
class kerp:
    """Derivative of the Kelvin function ker (DLMF 10.61.3)."""

    def partials(y, x):
        return -ops.kei(x) - y / x

    domain = Above(0.2)
    probes = (1.0, 3.0)


@scipy_ufunc
class keip:
    """Derivative of the Kelvin function kei (DLMF 10.61.3)."""

    def partials(y, x):
        return ops.ker(x) - y / x

    domain = Above(0.2)
    probes = (1.0, 3.0)


@scipy_ufunc
class kelvin:
    """Kelvin functions ber + i bei, ker + i kei and their derivatives (DLMF 10.61.3)."""

    samples = (([0.5, 2.0],),)

    def partials(ys, x):
        be, ke, bep, kep = ys

        def of_kep(x):
            return ke * 1j - kep / x

        by_kep = _right_of_zero(of_kep, x, math.inf)
        zero = x == 0.0
        by_bep = ops.where(zero, 0.5j, be * 1j - bep / ops.where(zero, 1.0, x))
        return (bep,), (kep,), (by_bep,), (by_kep,)


def _right_of_zero(slope, x, at_zero):
    """A slope that exists for positive x only; of the others it is a constant, so that second derivatives skip them."""
    right = x > 0.0
    return ops.where(right, slope(ops.where(right, x, 1.0)), ops.where(x == 0.0, at_zero, math.nan))


def _minus_y0_over(x):
    return -ops.y0(x) / x


def _minus_k0_over(x):
    return -ops.k0(x) / x


# --- integrals of Bessel functions, Struve functions -----------------------------------------------------------------


@scipy_ufunc
class itj0y0:
    """Integrals of j0 and y0 from 0 to x."""

    samples = (([0.5, 2.0],),)

    def partials(ys, x):
        return (ops.j0(x),), (_right_of_zero(ops.y0, x, -math.inf),)


@scipy_ufunc
class iti0k0:
    """Integrals of i0 and k0 from 0 to x."""

    samples = (([0.5, 2.0],),)

    def partials(ys, x):
        return (ops.i0(x),), (_right_of_zero(ops.k0, x, math.inf),)


@scipy_ufunc
class it2j0y0:
    """Integrals of (1 - j0(t)) / t from 0 to x, and of y0(t) / t from x on."""

    samples = (([0.5, 2.0],),)

    def partials(ys, x):
        near = ops.absolute(x) < 0.02
        small, far = ops.where(near, x, 0.0), ops.where(near, 1.0, x)
        square = small * small
        series = small * (1.0 - square * (1.0 - square / 36.0) / 16.0) / 4.0  # DLMF 10.2.2
        return (ops.where(near, series, (1.0 - ops.j0(far)) / far),), (_right_of_zero(_minus_y0_over, x, math.inf),)


@scipy_ufunc
class it2i0k0:
    """Integrals of (i0(t) - 1) / t from 0 to x, and of k0(t) / t from x on."""

    samples = (([0.5, 2.0],),)

    def partials(ys, x):
        near = ops.absolute(x) < 0.02
        small, far = ops.where(near, x, 0.0), ops.where(near, 1.0, x)
        square = small * small
        series = small * (1.0 + square * (1.0 + square / 36.0) / 16.0) / 4.0  # DLMF 10.25.2
        return (ops.where(near, series, (ops.i0(far) - 1.0) / far),), (_right_of_zero(_minus_k0_over, x, -math.inf),)


@scipy_ufunc
class besselpoly:
    """Integral of x**l jv(v, 2 a x) from 0 to 1 (DLMF 10.6.1)."""

    def partials(y, a, power, v):
        slope = ops.besselpoly(a, power + 1.0, v - 1.0) - ops.besselpoly(a, power + 1.0, v + 1.0)
        return slope, NO_PARAMETER, NO_ORDER

    fixed = (1, 2)
    domain = (Between(0.2, 2.0), Between(0.5, 2.0), Between(2.0, 4.0))
    probes = ((0.5, 1.0, 2.5), (1.5, 0.5, 3.0))


@scipy_ufunc
class struve:
    """Struve function (DLMF 11.4.27)."""

    def partials(y, v, x):
        return NO_ORDER, ops.struve(v - 1.0, x) - v * (y / ops.where(x == 0.0, 1.0, x))

    fixed = (0,)
    domain = (Between(0.5, 3.0), Above(0.3))
    probes = ((1.0, 2.0), (0.5, 3.0))


@scipy_ufunc
class modstruve:
    """Modified Struve function (DLMF 11.4.29)."""

    def partials(y, v, x):
        return NO_ORDER, ops.modstruve(v - 1.0, x) - v * (y / ops.where(x == 0.0, 1.0, x))

    fixed = (0,)
    domain = (Between(0.5, 3.0), Above(0.3))
    probes = ((1.0, 2.0), (0.5, 3.0))


@scipy_ufunc
class itstruve0:
    """Integral of the Struve function of order 0 from 0 to x."""

    def partials(y, x):
        return ops.struve(0.0, x)

    domain = Above(0.2)
    probes = (1.0, 3.0)


@scipy_ufunc
class it2struve0:
    """Integral of the Struve function of order 0 over t, from x on."""

    def partials(y, x):
        at_zero = x == 0.0
        return ops.where(at_zero, -2.0 / math.pi, -ops.struve(0.0, x) / ops.where(at_zero, 1.0, x))

    domain = Above(0.2)
    probes = (1.0, 3.0)
    kinks = {(0.0,): (-2.0 / math.pi,)}


@scipy_ufunc
class itmodstruve0:
    """Integral of the modified Struve function of order 0 from 0 to x."""

    def partials(y, x):
        return ops.modstruve(0.0, x)

    domain = Above(0.2)
    probes = (1.0, 3.0)


# --- Wright's Bessel function ----------------------------------------------------------------------------------------


@scipy_ufunc
class wright_bessel:
    """Wright's generalised Bessel function, the sum of x**k / (k! gamma(a k + b)) (DLMF 10.46.1)."""

    def partials(y, a, b, x):
        return NO_PARAMETER, NO_PARAMETER, ops.wright_bessel(a, a + b, x)

    fixed = (0, 1)
    domain = (Between(0.5, 1.5), Between(0.5, 2.0), Above(0.0))
    probes = ((1.0, 1.5, 0.5), (0.5, 1.0, 2.0))


@scipy_ufunc
class log_wright_bessel:
    """Logarithm of Wright's generalised Bessel function (DLMF 10.46.1)."""

    def partials(y, a, b, x):
        return NO_PARAMETER, NO_PARAMETER, ops.exp(ops.log_wright_bessel(a, a + b, x) - y)

    fixed = (0, 1)
    domain = (Between(0.5, 1.5), Between(0.5, 2.0), Above(0.0))
    probes = ((1.0, 1.5, 0.5), (0.5, 1.0, 2.0))
