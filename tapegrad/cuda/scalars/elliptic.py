"""Elliptic integrals by Carlson's symmetric forms and duplication (DLMF 19.36), elliptic functions by the AGM.

References
----------
.. [1] B. C. Carlson, "Numerical computation of real or complex elliptic integrals", Numerical Algorithms 10 (1995).
"""

from __future__ import annotations

from ..toolchain import math
from .registry import PI, special

__all__ = ["carlson_d", "carlson_f"]

CLOSE = 0.0025
"""How near the arguments are to their mean when the series in their distances, to the 7th power, takes over."""


def carlson_f(x, y, z):
    """R_F, DLMF 19.36.1."""
    mean = (x + y + z) / 3.0
    while max(math.fabs(mean - x), math.fabs(mean - y), math.fabs(mean - z)) > CLOSE * math.fabs(mean):
        r = math.sqrt(x) * math.sqrt(y) + math.sqrt(y) * math.sqrt(z) + math.sqrt(z) * math.sqrt(x)
        x = 0.25 * (x + r)
        y = 0.25 * (y + r)
        z = 0.25 * (z + r)
        mean = 0.25 * (mean + r)
    p = 1.0 - x / mean
    q = 1.0 - y / mean
    r = -p - q
    e = p * q - r * r
    f = p * q * r
    return (
        1.0 - e / 10.0 + f / 14.0 + e * e / 24.0 - 3.0 * e * f / 44.0 - 5.0 * e * e * e / 208.0 + 3.0 * f * f / 104.0
        + e * e * f / 16.0
    ) / math.sqrt(mean)  # fmt: skip


def series_of_five(e2, e3, e4, e5):
    """The series that R_D and R_J end in, DLMF 19.36.2."""
    return (
        1.0 - 3.0 * e2 / 14.0 + e3 / 6.0 + 9.0 * e2 * e2 / 88.0 - 3.0 * e4 / 22.0 - 9.0 * e2 * e3 / 52.0
        + 3.0 * e5 / 26.0 - e2 * e2 * e2 / 16.0 + 3.0 * e3 * e3 / 40.0 + 3.0 * e2 * e4 / 20.0
        + 45.0 * e2 * e2 * e3 / 272.0 - 9.0 * (e3 * e4 + e2 * e5) / 68.0
    )  # fmt: skip


def carlson_d(x, y, z):
    """R_D, DLMF 19.36.2 with p = z."""
    mean = (x + y + 3.0 * z) / 5.0
    total = 0.0
    factor = 1.0
    while max(math.fabs(mean - x), math.fabs(mean - y), math.fabs(mean - z)) > CLOSE * math.fabs(mean):
        r = math.sqrt(x) * math.sqrt(y) + math.sqrt(y) * math.sqrt(z) + math.sqrt(z) * math.sqrt(x)
        total += factor / (math.sqrt(z) * (z + r))
        factor *= 0.25
        x = 0.25 * (x + r)
        y = 0.25 * (y + r)
        z = 0.25 * (z + r)
        mean = 0.25 * (mean + r)
    p = 1.0 - x / mean
    q = 1.0 - y / mean
    r = -(p + q) / 3.0
    pq = p * q
    return (
        factor
        * series_of_five(pq - 6.0 * r * r, (3.0 * pq - 8.0 * r * r) * r, 3.0 * (pq - r * r) * r * r, pq * r * r * r)
        / (mean * math.sqrt(mean))
        + 3.0 * total
    )


def carlson_c(x, y):
    """R_C, DLMF 19.36.1 with two equal arguments, for y > 0."""
    mean = (x + 2.0 * y) / 3.0
    while math.fabs(mean - x) > CLOSE * mean:
        r = y + 2.0 * math.sqrt(x) * math.sqrt(y)
        x = 0.25 * (x + r)
        y = 0.25 * (y + r)
        mean = 0.25 * (mean + r)
    s = (y - mean) / mean
    return (
        1.0 + s * s * (0.3 + s * (1.0 / 7.0 + s * (0.375 + s * (9.0 / 22.0 + s * (159.0 / 208.0 + s * 1.125)))))
    ) / math.sqrt(mean)


def carlson_j(x, y, z, p):
    """R_J for p > 0, DLMF 19.36.2."""
    mean = (x + y + z + 2.0 * p) / 5.0
    total = 0.0
    factor = 1.0
    delta = (p - x) * (p - y) * (p - z)
    while max(math.fabs(mean - x), math.fabs(mean - y), math.fabs(mean - z), math.fabs(mean - p)) > CLOSE * mean:
        s = math.sqrt(p)
        d = (s + math.sqrt(x)) * (s + math.sqrt(y)) * (s + math.sqrt(z))
        total += factor / d * carlson_c(1.0, 1.0 + delta / (d * d))
        r = math.sqrt(x) * math.sqrt(y) + math.sqrt(y) * math.sqrt(z) + math.sqrt(z) * math.sqrt(x)
        factor *= 0.25
        delta /= 64.0
        x = 0.25 * (x + r)
        y = 0.25 * (y + r)
        z = 0.25 * (z + r)
        p = 0.25 * (p + r)
        mean = 0.25 * (mean + r)
    x = 1.0 - x / mean
    y = 1.0 - y / mean
    z = 1.0 - z / mean
    p = -0.5 * (x + y + z)
    e2 = x * y + x * z + y * z - 3.0 * p * p
    xyz = x * y * z
    e3 = xyz + 2.0 * e2 * p + 4.0 * p * p * p
    e4 = (2.0 * xyz + e2 * p + 3.0 * p * p * p) * p
    return factor * series_of_five(e2, e3, e4, xyz * p * p) / (mean * math.sqrt(mean)) + 6.0 * total


def inside(x, y, z):
    """Whether arguments are those of a symmetric integral, with at most one zero."""
    return min(x, y, z) >= 0.0 and x + y > 0.0 and y + z > 0.0 and x + z > 0.0


@special(digits=1e3)
def elliprf(x, y, z):
    if not (x >= 0.0 and y >= 0.0 and z >= 0.0):
        return math.nan
    if not inside(x, y, z):
        return math.inf
    return 0.0 if max(x, y, z) == math.inf else carlson_f(x, y, z)


@special(digits=1e3)
def elliprd(x, y, z):
    if not (x >= 0.0 and y >= 0.0 and z >= 0.0):
        return math.nan
    if not (x + y > 0.0 and z > 0.0):
        return math.inf
    return 0.0 if max(x, y, z) == math.inf else carlson_d(x, y, z)


@special(digits=1e3)
def elliprc(x, y):
    if not x >= 0.0 or y != y:
        return math.nan
    if y == 0.0:
        return math.inf
    if max(x, math.fabs(y)) == math.inf:
        return 0.0
    return math.sqrt(x / (x - y)) * carlson_c(x - y, -y) if y < 0.0 else carlson_c(x, y)  # DLMF 19.2.20


@special(digits=1e3)
def elliprg(x, y, z):
    """DLMF 19.21.10, with z between the others."""
    if not (x >= 0.0 and y >= 0.0 and z >= 0.0):
        return math.nan
    low = min(x, y, z)
    high = max(x, y, z)
    z = max(min(x, y), min(max(x, y), z))
    if high == math.inf:
        return high
    if z == 0.0:
        return 0.5 * math.sqrt(high)
    rest = (high - z) * (z - low) / 3.0
    return 0.5 * (
        z * carlson_f(low, high, z)
        + (rest * carlson_d(low, high, z) if rest > 0.0 else 0.0)
        + math.sqrt(low * high / z)
    )


@special(digits=1e4)
def elliprj(x, y, z, p):
    if not (x >= 0.0 and y >= 0.0 and z >= 0.0) or p != p:
        return math.nan
    if p == 0.0 or not inside(x, y, z):
        return math.inf
    if max(x, y, z, math.fabs(p)) == math.inf:
        return 0.0
    if p > 0.0:
        return carlson_j(x, y, z, p)
    low = min(x, y, z)  # the principal value, DLMF 19.20.14
    high = max(x, y, z)
    y = max(min(x, y), min(max(x, y), z))
    q = -p
    p = (high * (low + y + q) - low * y) / (high + q)
    s = low * y + p * q
    return (
        (p - high) * carlson_j(low, y, high, p)
        - 3.0 * carlson_f(low, y, high)
        + 3.0 * math.sqrt(low * y * high / s) * carlson_c(s, p * q)
    ) / (q + high)


# --- Legendre's integrals and the arithmetic-geometric mean ----------------------------------------------------------


def mean_of(a, b):
    """The arithmetic-geometric mean of positive numbers."""
    while math.fabs(a - b) > 1e-15 * a:
        a, b = 0.5 * (a + b), math.sqrt(a) * math.sqrt(b)
    return a


@special(digits=100)
def agm(a, b):
    if a != a or b != b:
        return math.nan
    if a == 0.0 or b == 0.0:
        return math.nan if math.isinf(a) or math.isinf(b) else 0.0
    if (a < 0.0) != (b < 0.0):
        return math.nan
    if math.isinf(a) or math.isinf(b):
        return a + b
    return math.copysign(mean_of(math.fabs(a), math.fabs(b)), a)


@special(digits=100)
def ellipkm1(p):
    if not p > 0.0:
        return math.inf if p == 0.0 else math.nan
    return 0.0 if p == math.inf else 0.5 * PI / mean_of(1.0, math.sqrt(p))


@special(digits=100)
def ellipk(m):
    return ellipkm1(1.0 - m)


@special(digits=1e3)
def ellipe(m):
    """DLMF 19.8.6; negative parameters by 19.7.2."""
    if not m <= 1.0:
        return math.nan
    if m == 1.0 or m == -math.inf:
        return 1.0 if m == 1.0 else math.inf
    factor = 1.0
    if m < 0.0:
        factor = math.sqrt(1.0 - m)
        m = m / (m - 1.0)
    a = 1.0
    b = math.sqrt(1.0 - m)
    total = 0.5 * m
    power = 1.0
    while math.fabs(a - b) > 1e-15 * a:
        c = 0.5 * (a - b)
        a, b = 0.5 * (a + b), math.sqrt(a * b)
        total += power * c * c
        power *= 2.0
    return factor * 0.5 * PI / a * (1.0 - total)


def incomplete(phi, m, second):
    """F(phi | m) or E(phi | m), DLMF 19.25.5, 19.25.9; multiples of pi add twice the complete integral."""
    if phi != phi or not m <= 1.0:
        return math.nan
    if math.isinf(phi) or m == -math.inf:
        return phi if not math.isinf(m) else math.nan
    turns = math.floor(phi / PI + 0.5)
    s = math.sin(phi - turns * PI)
    c = math.cos(phi - turns * PI)
    if m == 1.0 and math.fabs(phi) >= 0.5 * PI and not second:
        return math.copysign(math.inf, phi)
    d = 1.0 - m * s * s
    y = s * carlson_f(c * c, d, 1.0)
    if second:
        y -= m * s * s * s / 3.0 * carlson_d(c * c, d, 1.0)
    if turns != 0.0:
        y += 2.0 * turns * (ellipe(m) if second else ellipk(m))
    return y


@special(digits=1e3)
def ellipkinc(phi, m):
    return incomplete(phi, m, False)


@special(digits=1e3)
def ellipeinc(phi, m):
    return incomplete(phi, m, True)


# --- Jacobi's functions ----------------------------------------------------------------------------------------------


def amplitude(u, m):
    """The amplitude, by descending Landen's transformations (DLMF 22.20.3).

    The means are made anew on each level: there are a few, and this needs no memory for them.
    """
    if m == 1.0:
        return 2.0 * math.atan(math.tanh(0.5 * u))
    levels = 0
    a = 1.0
    b = math.sqrt(1.0 - m)
    while math.fabs(a - b) > 1e-15 * a and levels < 12:
        a, b = 0.5 * (a + b), math.sqrt(a * b)
        levels += 1
    phi = math.ldexp(a, levels) * u
    while levels > 0:
        a = 1.0
        b = math.sqrt(1.0 - m)
        c = 0.0
        for _ in range(levels):
            c = 0.5 * (a - b)
            a, b = 0.5 * (a + b), math.sqrt(a * b)
        phi = 0.5 * (phi + math.asin(min(max(c / a * math.sin(phi), -1.0), 1.0)))
        levels -= 1
    return phi


def jacobi(u, m, which):
    """sn, cn, dn or the amplitude."""
    if not 0.0 <= m <= 1.0 or u != u or math.isinf(u):
        return math.nan
    phi = amplitude(u, m)
    s = math.sin(phi)
    if which == 0:
        return s
    if which == 3:
        return phi
    c = 1.0 / math.cosh(u) if m == 1.0 else math.cos(phi)
    return c if which == 1 else math.sqrt(c * c + (1.0 - m) * s * s)


@special("ellipj 0", digits=1e4, scale=1.0)
def ellipj_sn(u, m):
    return jacobi(u, m, 0)


@special("ellipj 1", digits=1e4, scale=1.0)
def ellipj_cn(u, m):
    return jacobi(u, m, 1)


@special("ellipj 2", digits=1e4, scale=1.0)
def ellipj_dn(u, m):
    return jacobi(u, m, 2)


@special("ellipj 3", digits=1e4, scale=1.0)
def ellipj_ph(u, m):
    return jacobi(u, m, 3)
