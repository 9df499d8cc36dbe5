"""Elliptic integrals and functions of SciPy.

The parameter is m = k². Derivatives with respect to it are Carlson's integrals, which need no division by it. Partial
derivatives of those are quotients of differences; where two arguments are close, they are extrapolated from arguments
that are not.

Equations are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov.
"""

from __future__ import annotations

import functools
import math

from .core import ops
from .domain import Above, Between
from .scipy_loader import scipy_ufunc, scipy_ufunc_in_double


def _whole_turns(phi):
    """How many half turns there are in an angle, and the sine and squared cosine of what is left."""
    turns = ops.detach(ops.rint(phi / math.pi))
    rest = phi - turns * math.pi
    return turns, ops.sin(rest), ops.cos(rest) ** 2


def _times_complete(turns, slope):
    """What the half turns add to a derivative, which is infinite at m = 1 if there are any."""
    none = turns == 0.0
    return ops.where(none, 0.0, 2.0 * turns * ops.where(none, 0.0, slope))


def _slope_of_f(turns, s, c2, m):
    """Derivative of F with respect to m (DLMF 19.25.5, differentiated by 19.18.1)."""
    delta2 = 1.0 - m * s * s
    whole = ops.elliprd(0.0, 1.0, 1.0 - ops.where(turns == 0.0, 0.0, m)) / 6.0
    return s**3 * ops.elliprd(c2, 1.0, delta2) / 6.0 + _times_complete(turns, whole)


@scipy_ufunc_in_double
class ellipkm1:
    """Complete elliptic integral of the first kind around m = 1, as a function of 1 - m (DLMF 19.25.1)."""

    def partials(y, p):
        return ops.elliprd(0.0, 1.0, p) / -6.0

    domain = Between(0.05, 0.9)
    probes = (0.5, 1e-3, 1.0, 2.0)


@scipy_ufunc_in_double
class ellipkinc:
    """Incomplete elliptic integral of the first kind (DLMF 19.2.4 and 19.25.5)."""

    def partials(y, phi, m):
        turns, s, c2 = _whole_turns(phi)
        return 1.0 / ops.sqrt(1.0 - m * s * s), _slope_of_f(turns, s, c2, m)

    domain = (Between(-1.4, 1.4), Between(0.1, 0.9))
    probes = ((0.5, 0.3), (1.2, -1.0), (0.5, 0.0), (4.0, 0.5), (-3.0, -0.5))


@scipy_ufunc_in_double
class ellipeinc:
    """Incomplete elliptic integral of the second kind (DLMF 19.2.5 and 19.25.9)."""

    def partials(y, phi, m):
        turns, s, c2 = _whole_turns(phi)
        delta2 = 1.0 - m * s * s
        whole = ops.elliprd(0.0, 1.0 - ops.where(turns == 0.0, 0.0, m), 1.0) / -6.0
        return ops.sqrt(delta2), s**3 * ops.elliprd(c2, delta2, 1.0) / -6.0 + _times_complete(turns, whole)

    domain = (Between(-1.4, 1.4), Between(0.1, 0.9))
    probes = ((0.5, 0.3), (1.2, -1.0), (0.5, 0.0), (4.0, 0.5), (-3.0, -0.5))


@scipy_ufunc
class ellipj:
    """Jacobian elliptic functions sn, cn, dn and the amplitude (DLMF 22.13.1 to 22.13.3)."""

    samples = (([0.5, -1.2, 4.0], [0.3, 0.7, 0.2]), ([0.5, -1.2], [1e-3, 0.999]))

    def partials(ys, u, m):
        sn, cn, dn, ph = ys
        # From F(ph | m) = u: ph_m = -dn F_m(ph | m).
        turns = ops.detach(ops.rint(ph / math.pi))
        turn = -dn * _slope_of_f(turns, sn * ops.cos(turns * math.pi), cn * cn, m)
        slope = -(sn * sn + 2.0 * m * sn * cn * turn) / (2.0 * dn)
        return (cn * dn, cn * turn), (-sn * dn, -sn * turn), (-m * sn * cn, slope), (dn, turn)


# --- Carlson's symmetric integrals (DLMF 19.18) --------------------------------------------------------------------


STEPS = (0.02, 0.04, 0.06, 0.08)
"""Distances, relative to the arguments, from which a quotient of differences is extrapolated."""


def _weights(places, at):
    """Lagrange's weights of some places for the value at another."""
    found = []
    for k, p in enumerate(places):
        w = 1.0
        for j, q in enumerate(places):
            if j != k:
                w = w * (at - q) / (p - q)
        found.append(w)
    return found


def _symmetric_quotient(function, x, z):
    """``(function(x, z) - function(z, x)) / (2 (z - x))``, and its limit where x and z coincide.

    It is an even function of half the difference, so four distances give it to some eleven digits.
    """
    middle, half = 0.5 * (x + z), 0.5 * (z - x)
    near = ops.absolute(half) < 0.01 * middle
    a, b = ops.where(near, 0.5, x), ops.where(near, 1.5, z)
    apart = (function(a, b) - function(b, a)) / (2.0 * (b - a))
    centre = ops.where(near, middle, 1.0)
    share = ops.where(near, half / centre, 0.0)
    close = 0.0
    for h, w in zip(STEPS, _weights([h * h for h in STEPS], share * share), strict=True):
        low, high = centre * (1.0 - h), centre * (1.0 + h)
        close = close + w * ((function(low, high) - function(high, low)) / (2.0 * (high - low)))
    return ops.where(near, close, apart)


def _quotient(function, limit, x, p):
    """``(function(p) - limit) / (2 (p - x))``, where the numerator is 0 at p = x."""
    near = ops.absolute(p - x) < 0.01 * x
    apart = (function(p) - limit) / (2.0 * ops.where(near, 1.0, p - x))
    centre = ops.where(near, x, 1.0)
    share = ops.where(near, p / centre - 1.0, 0.0)
    close, places = 0.0, [s * h for h in STEPS for s in (-1.0, 1.0)]
    for h, w in zip(places, _weights(places, share), strict=True):
        close = close + w * ((function(centre * (1.0 + h)) - limit) / (2.0 * h * centre))
    return ops.where(near, close, apart)


@scipy_ufunc_in_double
class elliprc:
    """Carlson's degenerate integral RC (DLMF 19.18.6, 19.6.15)."""

    def partials(y, x, z):
        # RC(x, z) = RF(x, z, z); for negative z it is a principal value, and x and z cannot coincide.
        right = (ops.real(z) if z._spec.dtype.kind == "c" else z) > 0.0
        safe, other = ops.where(right, z, 1.0), ops.where(right, -1.0, z)
        root = ops.sqrt(x)
        by_x = (y - 1.0 / root) / (2.0 * (other - x))
        by_z = (y - root / other) / (2.0 * (x - other))
        return (
            ops.where(right, ops.elliprd(safe, safe, x) / -6.0, by_x),
            ops.where(right, ops.elliprd(x, safe, safe) / -3.0, by_z),
        )

    domain = (Between(0.2, 0.8), Between(1.2, 2.0))
    probes = ((0.5, 1.5), (2.0, 0.7), (1.0, 1.0))


@scipy_ufunc_in_double
class elliprf:
    """Carlson's integral of the first kind RF (DLMF 19.18.1)."""

    def partials(w, x, y, z):
        return ops.elliprd(y, z, x) / -6.0, ops.elliprd(z, x, y) / -6.0, ops.elliprd(x, y, z) / -6.0

    domain = (Between(0.2, 0.8), Between(1.2, 2.0), Between(2.5, 3.0))
    probes = ((0.5, 1.5, 2.5), (2.0, 0.7, 1.0), (1.0, 1.0, 1.0), (1.0, 2.0, 1.0), (2.0, 1.0, 1.001))


def _but_at_zero(slope, x):
    """A slope at x, and minus infinity at 0, where infinities in its formula would make second derivatives NaN."""
    zero = x == 0.0
    return ops.where(zero, -math.inf, slope(ops.where(zero, 1.0, x)))


def _share(x, by_x):
    """A partial's share in a function that is homogeneous of degree -3/2: none at 0, nor at infinity."""
    none = ops.logical_or(x == 0.0, ops.isinf(x))
    return ops.where(none, 0.0, x * ops.where(none, 0.0, by_x))


@scipy_ufunc_in_double
class elliprd:
    """Carlson's integral of the second kind RD, symmetric in its first two arguments (DLMF 19.18.4)."""

    def partials(w, x, y, z):
        def in_x(a, b):
            return ops.elliprd(a, y, b)

        def in_y(a, b):
            return ops.elliprd(x, a, b)

        by_x = _but_at_zero(functools.partial(_symmetric_quotient, in_x, z=z), x)
        by_y = _but_at_zero(functools.partial(_symmetric_quotient, in_y, z=z), y)
        return by_x, by_y, -(1.5 * w + _share(x, by_x) + _share(y, by_y)) / z

    domain = (Between(0.2, 0.8), Between(1.2, 2.0), Between(2.5, 3.0))
    probes = ((0.5, 1.5, 2.5), (2.0, 0.7, 1.0), (1.0, 1.0, 1.0), (1.0, 2.0, 1.0), (2.0, 1.0, 1.001))


def _vanishing(x, y, z):
    """``x RD(y, z, x)``, which is 0 at x = 0."""
    nothing = x == 0.0
    return ops.where(nothing, 0.0, x * ops.elliprd(y, z, ops.where(nothing, 1.0, x)))


@scipy_ufunc_in_double
class elliprg:
    """Carlson's completely symmetric integral of the second kind RG (DLMF 19.16.3)."""

    def partials(w, x, y, z):
        first = ops.elliprf(x, y, z)
        return (
            (first - _vanishing(x, y, z) / 3.0) * 0.25,
            (first - _vanishing(y, z, x) / 3.0) * 0.25,
            (first - _vanishing(z, x, y) / 3.0) * 0.25,
        )

    domain = (Between(0.2, 0.8), Between(1.2, 2.0), Between(2.5, 3.0))
    probes = ((0.5, 1.5, 2.5), (2.0, 0.7, 1.0), (1.0, 1.0, 1.0), (1.0, 2.0, 1.0), (2.0, 1.0, 1.001))


@scipy_ufunc_in_double
class elliprj:
    """Carlson's integral of the third kind RJ (DLMF 19.18.4)."""

    def partials(w, x, y, z, p):
        def along(q):
            return ops.elliprj(x, y, z, q)

        def slope(a, b, c):
            return _quotient(along, ops.elliprd(a, b, c), c, p)

        by_x = _but_at_zero(functools.partial(slope, y, z), x)
        by_y = _but_at_zero(functools.partial(slope, z, x), y)
        by_z = _but_at_zero(functools.partial(slope, x, y), z)
        shares = _share(x, by_x) + _share(y, by_y) + _share(z, by_z)
        return by_x, by_y, by_z, -(1.5 * w + shares) / p

    domain = (Between(0.2, 0.6), Between(1.2, 1.6), Between(2.2, 2.6), Between(3.2, 3.6))
    probes = ((0.5, 1.5, 2.5, 1.2), (2.0, 0.7, 1.0, 3.0), (1.0, 1.0, 1.0, 1.0), (0.5, 1.5, 2.5, 1.5))


def _agm_slope(y, x, total, part):
    """Slope of the arithmetic-geometric mean y in one of its operands, whose sum is the total: infinite at 0."""
    zero = ops.logical_and(x == 0.0, total != 0.0)
    return ops.where(zero, math.inf, y / total * (1.0 + part * (y / ops.where(zero, 1.0, x))))


@scipy_ufunc_in_double
class agm:
    """Arithmetic-geometric mean (DLMF 19.8.5)."""

    def partials(y, a, b):
        # M = pi (a + b) / (4 K(r²)), r = (a - b) / (a + b). K'(r²) is RD(0, 1, q) / 6 with q = 1 - r², and q K' is
        # 1 / 2 where q is next to 0.
        total = a + b
        q = 4.0 * (a / total) * (b / total)
        far = q < 1e-20
        near = ops.where(far, 1.0, q)
        part = ops.where(far, 0.5, near * ops.elliprd(0.0, 1.0, near) / 6.0) * (a - b) / total * (4.0 / math.pi)
        return _agm_slope(y, a, total, -part), _agm_slope(y, b, total, part)

    domain = (Above(1.5), Between(0.3, 1.2))
    probes = ((1.0, 2.0), (3.0, 0.5))


@scipy_ufunc_in_double
class ellipk:
    """Complete elliptic integral of the first kind (DLMF 19.4.1, with parameter m = k²)."""

    def partials(y, m):
        return ops.elliprd(0.0, 1.0, 1.0 - m) / 6.0

    domain = Between(0.1, 1.0)
    probes = (0.5, -1.0, 0.0, 1e-4)


@scipy_ufunc_in_double
class ellipe:
    """Complete elliptic integral of the second kind (DLMF 19.4.2, with parameter m = k²)."""

    def partials(y, m):
        return ops.elliprd(0.0, 1.0 - m, 1.0) / -6.0

    domain = Between(0.1, 1.0)
    probes = (0.5, -1.0, 0.0, 1e-4)
