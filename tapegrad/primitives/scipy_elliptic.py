"""Elliptic integrals and functions of SciPy.

The parameter is m = k². Carlson's symmetric integrals have partial derivatives in closed form wherever their arguments
differ; where two that a formula divides by coincide, the derivative is NaN.

Equations are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov.
"""

from __future__ import annotations

from .core import ops
from .domain import Above, Between
from .special import scipy_ufunc


@scipy_ufunc
class ellipkm1:
    """Complete elliptic integral of the first kind around m = 1, as a function of 1 - m (DLMF 19.4.1)."""

    def partials(y, p):
        m = 1.0 - p
        return (p * y - ops.ellipe(m)) / (2.0 * m * p)

    domain = Between(0.05, 0.9)
    probes = (0.5, 1e-3, 2.0)


@scipy_ufunc
class ellipkinc:
    """Incomplete elliptic integral of the first kind (DLMF 19.2.4 and 19.4.6)."""

    def partials(y, phi, m):
        root = ops.sqrt(1.0 - m * ops.sin(phi) ** 2)
        rest = ops.sin(2.0 * phi) / (4.0 * (1.0 - m) * root)
        return 1.0 / root, ops.ellipeinc(phi, m) / (2.0 * m * (1.0 - m)) - y / (2.0 * m) - rest

    domain = (Between(-1.4, 1.4), Between(0.1, 0.9))
    probes = ((0.5, 0.3), (1.2, -1.0))


@scipy_ufunc
class ellipeinc:
    """Incomplete elliptic integral of the second kind (DLMF 19.2.5 and 19.4.7)."""

    def partials(y, phi, m):
        return ops.sqrt(1.0 - m * ops.sin(phi) ** 2), (y - ops.ellipkinc(phi, m)) / (2.0 * m)

    domain = (Between(-1.4, 1.4), Between(0.1, 0.9))
    probes = ((0.5, 0.3), (1.2, -1.0))


@scipy_ufunc
class ellipj:
    """Jacobian elliptic functions sn, cn, dn and the amplitude (DLMF 22.13.1 to 22.13.3)."""

    samples = (([0.5, -1.2], [0.3, 0.7]),)

    def partials(ys, u, m):
        sn, cn, dn, ph = ys
        # From F(ph | m) = u: ph_m = -dn F_m(ph | m), with F_m as in DLMF 19.4.6.
        turn = u * dn / (2.0 * m) - ops.ellipeinc(ph, m) * dn / (2.0 * m * (1.0 - m)) + sn * cn / (2.0 * (1.0 - m))
        slope = -(sn * sn + 2.0 * m * sn * cn * turn) / (2.0 * dn)
        return (cn * dn, cn * turn), (-sn * dn, -sn * turn), (-m * sn * cn, slope), (dn, turn)


# --- Carlson's symmetric integrals (DLMF 19.18) --------------------------------------------------------------------


@scipy_ufunc
class elliprc:
    """Carlson's degenerate integral RC (DLMF 19.18.6, 19.6.15)."""

    def partials(y, x, z):
        root = ops.sqrt(x)
        return (y - 1.0 / root) / (2.0 * (z - x)), (y - root / z) / (2.0 * (x - z))

    domain = (Between(0.2, 0.8), Between(1.2, 2.0))
    probes = ((0.5, 1.5), (2.0, 0.7))


@scipy_ufunc
class elliprf:
    """Carlson's integral of the first kind RF (DLMF 19.18.1)."""

    def partials(w, x, y, z):
        return ops.elliprd(y, z, x) / -6.0, ops.elliprd(z, x, y) / -6.0, ops.elliprd(x, y, z) / -6.0

    domain = (Between(0.2, 0.8), Between(1.2, 2.0), Between(2.5, 3.0))
    probes = ((0.5, 1.5, 2.5), (2.0, 0.7, 1.0))


@scipy_ufunc
class elliprd:
    """Carlson's integral of the second kind RD, symmetric in its first two arguments (DLMF 19.18.4)."""

    def partials(w, x, y, z):
        by_x = (w - ops.elliprd(y, z, x)) / (2.0 * (z - x))
        by_y = (w - ops.elliprd(z, x, y)) / (2.0 * (z - y))
        # It is homogeneous of degree -3/2; at 0, where a partial is infinite, its share in that is none.
        shares = ops.where(x == 0.0, 0.0, x * by_x) + ops.where(y == 0.0, 0.0, y * by_y)
        return by_x, by_y, -(1.5 * w + shares) / z

    domain = (Between(0.2, 0.8), Between(1.2, 2.0), Between(2.5, 3.0))
    probes = ((0.5, 1.5, 2.5), (2.0, 0.7, 1.0))


@scipy_ufunc
class elliprg:
    """Carlson's completely symmetric integral of the second kind RG (DLMF 19.16.3)."""

    def partials(w, x, y, z):
        first = ops.elliprf(x, y, z)
        return (
            (first - x * ops.elliprd(y, z, x) / 3.0) * 0.25,
            (first - y * ops.elliprd(z, x, y) / 3.0) * 0.25,
            (first - z * ops.elliprd(x, y, z) / 3.0) * 0.25,
        )

    domain = (Between(0.2, 0.8), Between(1.2, 2.0), Between(2.5, 3.0))
    probes = ((0.5, 1.5, 2.5), (2.0, 0.7, 1.0))


@scipy_ufunc
class elliprj:
    """Carlson's integral of the third kind RJ (DLMF 19.18.4)."""

    def partials(w, x, y, z, p):
        by_x = (w - ops.elliprd(y, z, x)) / (2.0 * (p - x))
        by_y = (w - ops.elliprd(z, x, y)) / (2.0 * (p - y))
        by_z = (w - ops.elliprd(x, y, z)) / (2.0 * (p - z))
        return by_x, by_y, by_z, -(1.5 * w + x * by_x + y * by_y + z * by_z) / p  # homogeneous of degree -3/2

    domain = (Between(0.2, 0.6), Between(1.2, 1.6), Between(2.2, 2.6), Between(3.2, 3.6))
    probes = ((0.5, 1.5, 2.5, 1.0), (2.0, 0.7, 1.0, 3.0))


@scipy_ufunc
class agm:
    """Arithmetic-geometric mean (DLMF 19.8.5)."""

    def partials(y, a, b):
        # M = pi (a + b) / (4 K(r²)), r = (a - b) / (a + b); K'(m) = RD(0, 1, 1 - m) / 6 has no division by m.
        total = a + b
        r = (a - b) / total
        m = r * r
        slope = y / ops.ellipk(m) * ops.elliprd(0.0, 1.0, 1.0 - m) / 6.0 * 2.0 * r
        return y / total - slope * 2.0 * b / total**2, y / total + slope * 2.0 * a / total**2

    domain = (Above(1.5), Between(0.3, 1.2))
    probes = ((1.0, 2.0), (3.0, 0.5))
