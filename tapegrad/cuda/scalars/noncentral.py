"""Noncentral chi-square, F and t distributions, as mixtures of central ones by the weights of Poisson's distribution.

The sums are A&S 26.4.25, 26.6.20 and 26.7.10. They run from so far up that no weight is left there down to where none
is left: in that direction the central tails follow from each other by sums of positive terms (DLMF 8.8.5, 8.17.20).

SciPy's own inverses of the last two stop after 5 to 9 digits.
"""

from __future__ import annotations

from ..toolchain import math
from .gammas import stirling
from .incomplete import beta_parts, deviance, gamma_density, gamma_parts
from .registry import PI, filled, special
from .searching import root

__all__ = []

LAST = 1e-17


def top(half, product):
    """The first number from where on no term counts: sums run downwards from there.

    Poisson's weights end somewhat above `half`. Terms that are central tails far below their mean, too, follow each
    other as ``product / j**2``, and end above its root.
    """
    if not product > 1e-17:
        return 0.0
    r = math.sqrt(product)
    return math.floor(min(half + 12.0 * math.sqrt(half) + 40.0, r + 12.0 * math.sqrt(r) + 12.0)) * 1.0


def weight(half, j):
    """Weight of number j in Poisson's distribution: half^j e^-half / j!."""
    return math.exp(-half) if j == 0.0 or half == 0.0 else gamma_density(j, deviance(half, j)) / j


def chi_square(x, v, nc):
    """Lower tail of the noncentral chi-square distribution."""
    if not (x >= 0.0 and 0.0 <= v < 1e15 and 0.0 <= nc < 1e10):
        return math.nan
    if x == 0.0 or x == math.inf or v == 0.0:
        return 0.0 if x == 0.0 else 1.0
    half, x = 0.5 * nc, 0.5 * x
    j = top(half, half * x)
    a = 0.5 * v + j
    w = weight(half, j)
    tail, density = gamma_parts(a, x, False)
    density /= a
    total = 0.0
    while j >= 0.0:
        term = w * tail
        total += term
        if j < half and term < LAST * total:
            break
        w *= j / half
        density *= a / x
        tail += density
        a -= 1.0
        j -= 1.0
    return total


@special(digits=1e4)
def chndtr(x, v, nc):
    return chi_square(x, v, nc)


def _chi_by_place(s, v, nc, c, p):
    return chi_square(math.exp(s), v, nc) - p


def _chi_by_centre(s, x, v, c, p):
    return chi_square(x, v, math.exp(s)) - p


_chi_place = filled(root, curve=_chi_by_place)
_chi_centre = filled(root, curve=_chi_by_centre)


@special(digits=1e4)
def chndtrix(p, v, nc):
    return math.exp(_chi_place(-100.0, 23.0, v, nc, 0.0, p)) if p != 0.0 else 0.0


@special(digits=1e4, scale=1.0)
def chndtrinc(x, v, p):
    return math.exp(_chi_centre(-37.0, 9.2, x, v, 0.0, p))


def fisher(a, b, nc, x):
    """Lower tail of the noncentral F distribution."""
    if not (0.0 < a < 1e15 and 0.0 < b < 1e15 and 0.0 <= nc < 1e10 and x >= 0.0):
        return math.nan
    if x == 0.0 or x == math.inf:
        return 0.0 if x == 0.0 else 1.0
    n = a * x + b
    x, y = a * x / n, b / n
    b = 0.5 * b
    half = 0.5 * nc
    mean = half * x
    j = top(half, mean * (0.5 * a + b + mean))
    a = 0.5 * a + j
    w = weight(half, j)
    tail, density = beta_parts(a, b, x, y, False)
    density /= a
    total = 0.0
    while j >= 0.0:
        term = w * tail
        total += term
        if j < half and term < LAST * total:
            break
        w *= j / half
        density *= a / (x * (a + b - 1.0))
        tail += density
        a -= 1.0
        j -= 1.0
    return total


@special(digits=1e4)
def ncfdtr(a, b, nc, x):
    return fisher(a, b, nc, x)


def _fisher_by_place(s, a, b, nc, p):
    return fisher(a, b, nc, math.exp(s)) - p


def _fisher_by_first(s, b, nc, x, p):
    return fisher(math.exp(s), b, nc, x) - p


def _fisher_by_centre(s, a, b, x, p):
    return fisher(a, b, math.exp(s), x) - p


_fisher_place = filled(root, curve=_fisher_by_place)
_fisher_first = filled(root, curve=_fisher_by_first)
_fisher_centre = filled(root, curve=_fisher_by_centre)


@special(digits=1e4)
def ncfdtri(a, b, nc, p):
    return math.exp(_fisher_place(-100.0, 100.0, a, b, nc, p)) if p != 0.0 else 0.0


@special(digits=1e11)
def ncfdtridfn(p, b, nc, x):
    return math.exp(_fisher_first(-100.0, 23.0, b, nc, x, p))


@special(digits=1e12, scale=1.0)
def ncfdtrinc(a, b, p, x):
    return math.exp(_fisher_centre(-37.0, 9.2, a, b, x, p))


def student(v, nc, t):
    """Lower tail of the noncentral t distribution."""
    if not 0.0 < v < 1e15 or not math.fabs(nc) < 1e4 or t != t:
        return math.nan
    if math.fabs(t) > 1e150:
        return 0.0 if t < 0.0 else 1.0
    sign = 1.0
    if t < 0.0:
        sign, t, nc = -1.0, -t, -nc
    half = 0.5 * nc * nc
    total = 0.0
    if t > 0.0:
        x, y = t * t / (v + t * t), v / (v + t * t)
        b = 0.5 * v
        j = top(half, half * x * (b + 1.0 + half * x))
        p = 0.5 * weight(half, j)
        q = 0.5 * nc * math.sqrt(0.5 / (2.0 * PI)) * math.exp(_half_weight(half, j))
        tail = other = density = slope = 0.0
        for k in range(2):
            a = j + 0.5 + 0.5 * k
            tail, density = other, slope
            other, slope = beta_parts(a, b, x, y, False)
            slope /= a
        while j >= 0.0:
            total += p * tail + q * other
            p *= j / half if half > 0.0 else 0.0
            q *= (j + 0.5) / half if half > 0.0 else 0.0
            density *= (j + 0.5) / (x * (j + b - 0.5))
            slope *= (j + 1.0) / (x * (j + b))
            tail += density
            other += slope
            j -= 1.0
    total += 0.5 * math.erfc(nc * 0.7071067811865476)
    return total if sign > 0.0 else 1.0 - total


def _half_weight(half, j):
    """Logarithm of half^j e^-half sqrt(2 pi) / gamma(j + 3/2)."""
    return (
        (j * math.log(half) if j > 0.0 else 0.0) - half - ((j + 1.0) * math.log(j + 1.5) - j - 1.5 + stirling(j + 1.5))
    )


@special(digits=1e4, scale=0.1)
def nctdtr(v, nc, t):
    return student(v, nc, t)


def _student_by_degrees(s, nc, t, c, p):
    return student(math.exp(s), nc, t) - p


def _student_by_centre(s, v, t, c, p):
    return student(v, s, t) - p


def _student_by_place(s, v, nc, c, p):
    return student(v, nc, math.sinh(s)) - p


_student_degrees = filled(root, curve=_student_by_degrees)
_student_centre = filled(root, curve=_student_by_centre)
_student_place = filled(root, curve=_student_by_place)


@special(digits=1e9)
def nctdtridf(p, nc, t):
    return math.exp(_student_degrees(-50.0, 23.0, nc, t, 0.0, p))


@special(digits=1e9, scale=1.0)
def nctdtrinc(v, p, t):
    return _student_centre(-37.5, 37.5, v, t, 0.0, p)


@special(digits=1e4, scale=1.0)
def nctdtrit(v, nc, p):
    return math.sinh(_student_place(-50.0, 50.0, v, nc, 0.0, p))
