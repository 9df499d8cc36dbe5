"""Exponential, sine and cosine integrals, Dawson's and Fresnel's integrals, dilogarithms and zeta functions."""

from __future__ import annotations

from ..toolchain import math
from .gammas import _log_gamma, psi
from .registry import PI, special

__all__ = ["exponential_fraction"]

EULER = 0.5772156649015329
LAST = 1e-17


# --- exponential integrals -------------------------------------------------------------------------------------------


def exponential_fraction(n, x):
    """e^x E_n(x) by its continued fraction (DLMF 8.19.17), which converges for x from 1 on."""
    b = x + n
    c = 1e300
    d = 1.0 / b
    total = d
    change = 2.0
    k = 1.0
    while math.fabs(change - 1.0) > 1e-16:
        a = -k * (n - 1.0 + k)
        b += 2.0
        d = 1.0 / (a * d + b)
        c = b + a / c
        change = c * d
        total *= change
        k += 1.0
    return total


def exponential_series(x):
    """x + x^2 / (2 2!) + x^3 / (3 3!) + ..., DLMF 6.6.1."""
    term = x
    total = x
    k = 2.0
    while math.fabs(term) > LAST * math.fabs(total):
        term *= x / k
        total += term / k
        k += 1.0
    return total


@special(digits=1e3)
def exp1(x):
    if not x > 0.0:
        return math.inf if x == 0.0 else math.nan
    if x < 1.0:
        return -EULER - math.log(x) - exponential_series(-x)
    return math.exp(-x) * exponential_fraction(1.0, x) if x < 800.0 else 0.0


def large_integral(x):
    """Ei(x) for x > 0: its series, or where that is long, the asymptotic one up to its least term (DLMF 6.12.2)."""
    if x < 45.0:
        return EULER + math.log(x) + exponential_series(x)
    if x > 720.0:
        return math.inf
    term = 1.0
    total = 1.0
    k = 1.0
    while k < x and term > LAST:
        term *= k / x
        total += term
        k += 1.0
    return math.exp(0.5 * x) * (math.exp(0.5 * x) / x * total)


@special(digits=1e3, scale=1.0)
def expi(x):
    if x > 0.0:
        return large_integral(x)
    if x < -800.0:
        return -0.0
    return -math.inf if x == 0.0 else -exp1(-x)


@special(digits=1e3)
def expn(n, x):
    n = math.floor(n) * 1.0
    if not (n >= 0.0 and x >= 0.0):
        return math.nan
    if x == 0.0:
        return 1.0 / (n - 1.0) if n > 1.0 else math.inf
    if x > 800.0:
        return 0.0
    if n == 0.0:
        return math.exp(-x) / x
    if x >= 1.0 or n > 60.0:
        return math.exp(-x) * exponential_fraction(n, x)
    term = 1.0  # DLMF 8.19.8
    total = -1.0 / (1.0 - n) if n > 1.0 else 0.0
    k = 1.0
    while math.fabs(term) > LAST * math.fabs(total) or k < n + 2.0:
        term *= -x / k
        if k == n - 1.0:
            total += term * (psi(n) - math.log(x))
        else:
            total -= term / (k - n + 1.0)
        k += 1.0
    return total + psi(n) - math.log(x) if n == 1.0 else total


# --- sine and cosine integrals ---------------------------------------------------------------------------------------


def sine_integral(x, cosine):
    """Si(x) or Ci(x) for x > 0: series (DLMF 6.6.5, 6.6.6), or the continued fraction of E_1(ix)."""
    if x == math.inf:
        return 0.0 if cosine else 0.5 * PI
    if x < 3.0:
        term = 1.0 if cosine else x
        total = 0.0 if cosine else x
        k = 2.0 if cosine else 3.0
        while math.fabs(term) > LAST * math.fabs(total) or k < 4.0:
            term *= -x * x / (k * (k - 1.0))
            total += term / k
            k += 2.0
        return EULER + math.log(x) + total if cosine else total
    c = complex(1e300, 0.0)  # e^{ix} E_1(ix)
    b = complex(1.0, x)
    d = 1.0 / b
    total_z = d
    change = complex(2.0, 0.0)
    k = 1.0
    while math.fabs(change.real - 1.0) + math.fabs(change.imag) > 1e-16:
        b = b + 2.0
        d = 1.0 / (b - k * k * d)
        c = b - k * k / c
        change = c * d
        total_z = total_z * change
        k += 1.0
    s = math.sin(x)
    o = math.cos(x)
    if cosine:
        return -(total_z.real * o + total_z.imag * s)
    return 0.5 * PI + (total_z.imag * o - total_z.real * s)


@special("sici 0", digits=1e3)
def sici_of_sine(x):
    return x if x == 0.0 or x != x else math.copysign(sine_integral(math.fabs(x), False), x)


@special("sici 1", digits=1e3, scale=1.0)
def sici_of_cosine(x):
    x = math.fabs(x)
    return x if x != x else -math.inf if x == 0.0 else sine_integral(x, True)


@special("shichi 0", digits=1e3)
def shichi_of_sine(x):
    size = math.fabs(x)
    if size > 2.0:
        return math.copysign(0.5 * (large_integral(size) + exp1(size)), x)
    term = x
    total = x
    k = 3.0
    while math.fabs(term) > LAST * math.fabs(total):
        term *= x * x / (k * (k - 1.0))
        total += term / k
        k += 2.0
    return total


@special("shichi 1", digits=1e3, scale=1.0)
def shichi_of_cosine(x):
    x = math.fabs(x)
    return x if x != x else -math.inf if x == 0.0 else 0.5 * (large_integral(x) - exp1(x))


# --- dilogarithm and zeta --------------------------------------------------------------------------------------------


def dilogarithm_near(z):
    """Li2(z) for -1 <= z <= 1/2, by powers of -log(1 - z) with Bernoulli's numbers (Lewin 1981, 1.9)."""
    u = -math.log1p(-z)
    w = u * u
    return u * (1.0 - 0.25 * u + w * (0.027777777777777776 + w * (-0.0002777777777777778 + w * (4.72411186696901e-06
        + w * (-9.185773074661964e-08 + w * (1.8978869988971e-09 + w * (-4.0647616451442256e-11
        + w * (8.921691020456452e-13 + w * (-1.9939295860721074e-14 + w * 4.518980029619918e-16)))))))))  # fmt: skip


@special(digits=1e3)
def spence(x):
    """Li2(1 - x); the cases are DLMF 25.12.4 and 25.12.6."""
    if not x > 0.0:
        return PI * PI / 6.0 if x == 0.0 else math.nan
    if x == math.inf:
        return -math.inf
    if x < 0.5:
        return PI * PI / 6.0 - (math.log(x) * math.log1p(-x) if x > 0.0 else 0.0) - dilogarithm_near(x)
    if x <= 2.0:
        return dilogarithm_near(1.0 - x)
    y = math.log(x - 1.0)
    return -PI * PI / 6.0 - 0.5 * y * y - dilogarithm_near(1.0 / (1.0 - x))


def hurwitz(s, q):
    """Sum of (q + k)^-s for s > 1, q > 0, by Euler and Maclaurin's formula (DLMF 25.11.5)."""
    total = 0.0
    last = 1.0
    while q < 12.0 + 0.5 * s and last > 1e-17 * total:
        last = math.pow(q, -s)
        total += last
        q += 1.0
    if not last > 1e-17 * total:
        return total
    front = math.pow(q, -s)
    w = 1.0 / (q * q)
    rest = front * (q / (s - 1.0) + 0.5)
    factor = front * s / q
    rest += factor * 0.08333333333333333
    factor *= (s + 1.0) * (s + 2.0) * w
    rest -= factor * 0.001388888888888889
    factor *= (s + 3.0) * (s + 4.0) * w
    rest += factor * 3.306878306878307e-05
    factor *= (s + 5.0) * (s + 6.0) * w
    rest -= factor * 8.267195767195768e-07
    factor *= (s + 7.0) * (s + 8.0) * w
    rest += factor * 2.08767569878681e-08
    factor *= (s + 9.0) * (s + 10.0) * w
    rest -= factor * 5.284190138687493e-10
    factor *= (s + 11.0) * (s + 12.0) * w
    return total + (rest + factor * 1.3382536530684679e-11)


@special(digits=1e3)
def zeta(s, q):
    if s != s or q != q or s < 1.0:
        return math.nan
    if s == 1.0:
        return math.inf
    if q <= 0.0:
        if q == math.floor(q):
            return math.inf
        if s != math.floor(s):
            return math.nan
        total = 0.0
        while q < 0.0:
            total += math.pow(q, -s)
            q += 1.0
        return total + hurwitz(s, q)
    if s == math.inf:
        return math.nan if q == 1.0 else 0.0 if q > 1.0 else math.inf
    return math.pow(q, 1.0 - s) * (1.0 / (s - 1.0) + 0.5 / q) if q > 1e8 else hurwitz(s, q)


@special(digits=1e4)
def zetac(x):
    if x > 1.0:
        return hurwitz(x, 2.0)
    if x == 1.0 or x != x:
        return math.inf if x == 1.0 else x
    if x > -0.5:  # the alternating sum of 64 terms, smoothed (Borwein 2000, algorithm 2 in the form of Cohen et al.)
        d = 0.5 * (math.pow(5.82842712474619, 28.0) + math.pow(5.82842712474619, -28.0))
        b = -1.0
        c = -d
        total = 0.0
        for k in range(28):
            c = b - c
            total += c * math.pow(k + 1.0, -x)
            b *= (k + 28.0) * (k - 28.0) / ((k + 0.5) * (k + 1.0))
        return total / d / -math.expm1((1.0 - x) * 0.6931471805599453) - 1.0
    if x == 2.0 * math.floor(0.5 * x):
        return -1.0
    half = 0.5 * x  # DLMF 25.4.1
    s = math.sin(PI * (half - 2.0 * math.floor(0.5 * half)))
    return (
        2.0 * math.exp((x - 1.0) * 1.8378770664093453 + _log_gamma(1.0 - x)) * s * (1.0 + hurwitz(1.0 - x, 2.0)) - 1.0
    )


# --- Dawson's integral -----------------------------------------------------------------------------------------------


@special(digits=1e3)
def dawsn(x):
    """By Rybicki's sum over exponentials (Computers in Physics 3, 1989), whose error at this step is below 1e-26."""
    size = math.fabs(x)
    if size < 0.2:
        term = x
        total = x
        k = 1.0
        while math.fabs(term) > LAST * math.fabs(total):
            term *= -2.0 * x * x / (2.0 * k + 1.0)
            total += term
            k += 1.0
        return total
    if size > 50.0:
        w = 1.0 / (x * x) if size < 1e150 else 0.0
        return 0.5 / x * (1.0 + 0.5 * w * (1.0 + 1.5 * w * (1.0 + 2.5 * w * (1.0 + 3.5 * w * (1.0 + 4.5 * w)))))
    h = 0.2
    n = 2.0 * math.floor(0.5 * size / h + 0.5)
    rest = size - n * h
    total = 0.0
    k = 1.0
    while k < 34.0:
        up = rest - k * h
        down = rest + k * h
        total += math.exp(-up * up) / (n + k) + math.exp(-down * down) / (n - k)
        k += 2.0
    return math.copysign(0.5641895835477563 * total, x)


@special(digits=1e3)
def erfi(x):
    if math.fabs(x) < 26.7:
        return 1.1283791670955126 * math.exp(x * x) * dawsn(x)
    return math.copysign(math.inf, x) if x == x else x
