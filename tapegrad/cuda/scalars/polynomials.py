"""Orthogonal polynomials: recurrences for whole degrees (DLMF 18.9), hypergeometric series for the others (18.5)."""

from __future__ import annotations

from ..toolchain import math
from .gammas import binom, gamma_quotient, is_pole
from .hypergeometric import gauss, series_of_kummer
from .registry import special

__all__ = []

MOST = 1e5
"""The highest degree that is reached step by step."""


def below_one(a, b, c, x):
    """2F1 for x < 1, or anywhere if its series ends."""
    ends = is_pole(a) or is_pole(b)
    return gauss(a, b, c, x, ends) if x < 1.0 or ends else math.nan


# --- Jacobi, Gegenbauer, Legendre ------------------------------------------------------------------------------------


def jacobi(n, a, b, x, top):
    """Jacobi's polynomial over binom(top, n), or if `top` is NaN over 1."""
    if not math.fabs(n) < MOST:
        return math.nan
    upwards = n == math.floor(n) and n >= 0.0
    scale = 1.0
    for k in range(2):  # one place that calls `binom`
        if not upwards if k == 0 else top == top:
            f = binom(n + a if k == 0 else top, n)
            scale = f if k == 0 else scale / f
    if not upwards:
        return scale * below_one(-n, n + a + b + 1.0, a + 1.0, 0.5 * (1.0 - x))
    low = 0.0
    high = 1.0
    if n > 0.0:
        low = 1.0
        high = 0.5 * (2.0 * (a + 1.0) + (a + b + 2.0) * (x - 1.0))
    k = 1.0
    while k < n:
        t = 2.0 * k + a + b
        p = (t + 1.0) * ((t + 2.0) * t * x + (a - b) * (a + b))
        q = 2.0 * (k + a) * (k + b) * (t + 2.0)
        low, high = high, (p * high - q * low) / (2.0 * (k + 1.0) * (k + a + b + 1.0) * t)
        k += 1.0
    return scale * high


@special(digits=1e4, scale=1.0)
def eval_jacobi(n, a, b, x):
    return jacobi(n, a, b, x, math.nan)


@special(digits=1e4, scale=1.0)
def eval_sh_jacobi(n, p, q, x):
    return jacobi(n, p - q, q - 1.0, 2.0 * x - 1.0, 2.0 * n + p - 1.0)


@special(digits=1e4, scale=1.0)
def eval_gegenbauer(n, a, x):
    if not math.fabs(n) < MOST:
        return math.nan
    if n != math.floor(n) or n < 0.0:
        if is_pole(n + 1.0) or is_pole(2.0 * a):  # as SciPy has it, though there are limits
            return math.nan
        return gamma_quotient(n + 2.0 * a, 1.0, n + 1.0, 2.0 * a) * below_one(-n, n + 2.0 * a, a + 0.5, 0.5 * (1.0 - x))
    low = 0.0
    high = 1.0
    k = 0.0
    while k < n:
        low, high = high, (2.0 * (k + a) * x * high - (k + 2.0 * a - 1.0) * low) / (k + 1.0)
        k += 1.0
    return high


@special(digits=1e4, scale=1.0)
def eval_legendre(n, x):
    if not math.fabs(n) < MOST:
        return math.nan
    if n != math.floor(n):
        return below_one(-n, n + 1.0, 1.0, 0.5 * (1.0 - x))
    n = n if n >= 0.0 else -n - 1.0
    low = 0.0
    high = 1.0
    k = 0.0
    while k < n:
        low, high = high, ((2.0 * k + 1.0) * x * high - k * low) / (k + 1.0)
        k += 1.0
    return high


@special(digits=1e4, scale=1.0)
def eval_sh_legendre(n, x):
    return eval_legendre(n, 2.0 * x - 1.0)


@special(digits=1e4, scale=1.0)
def lpmv(m, v, x):
    """Associated Legendre functions of whole order on the cut, upwards in their degree (DLMF 14.10.3)."""
    if m != math.floor(m) or not math.fabs(m) < MOST or not math.fabs(v) < MOST or math.fabs(x) > 1.0 or x != x:
        return math.nan
    if v < 0.0:
        v = -v - 1.0
    whole = v == math.floor(v)
    front = 1.0
    if m < 0.0:  # DLMF 14.9.3
        m = -m
        if whole and m > v:
            return 0.0
        front = gamma_quotient(v - m + 1.0, 1.0, v + m + 1.0, 1.0)
        front = front if m == 2.0 * math.floor(0.5 * m) else -front
    if whole and m > v:
        return 0.0
    if math.fabs(x) == 1.0:
        if m > 0.0:
            return 0.0 if x == 1.0 or whole else math.inf
        return 1.0 if x == 1.0 else -math.inf if not whole else 1.0 if v == 2.0 * math.floor(0.5 * v) else -1.0
    degree = v - math.floor(v) + m if v >= m else v
    low = 0.0
    high = 0.0
    root = math.sqrt((1.0 - x) * (1.0 + x))
    for k in range(2):
        low = high
        u = degree + k
        # DLMF 14.3.1 with 15.8.1: both parameters are next to zero there
        scale = gamma_quotient(u + m + 1.0, 1.0, u - m + 1.0, m + 1.0)
        high = scale * math.pow(-0.5 * root, m) * below_one(m - u, u + m + 1.0, m + 1.0, 0.5 * (1.0 - x))
    while degree < v:
        low, high = high, ((2.0 * degree + 3.0) * x * high - (degree + m + 1.0) * low) / (degree - m + 2.0)
        degree += 1.0
    return front * low


# --- Chebyshev -------------------------------------------------------------------------------------------------------


def chebyshev(n, x, second):
    """T_n, or U_n if `second`; the half of x is counted so that both have the same recurrence."""
    if n != math.floor(n) or math.fabs(n) > MOST:
        if math.fabs(x) < 1.0:
            t = math.acos(x)
            return math.sin((n + 1.0) * t) / math.sin(t) if second else math.cos(n * t)
        if not x >= 1.0:
            return math.nan
        t = math.acosh(x)
        if second:
            return n + 1.0 if t == 0.0 else math.sinh((n + 1.0) * t) / math.sinh(t)
        return math.cosh(n * t)
    sign = 1.0
    if second and n < 0.0:
        if n == -1.0:
            return 0.0
        n = -n - 2.0
        sign = -1.0
    n = math.fabs(n)
    low = 0.0 if second else x
    high = 1.0
    k = 0.0
    while k < n:
        low, high = high, 2.0 * x * high - low
        k += 1.0
    return sign * high


@special(digits=1e4, scale=1.0)
def eval_chebyt(n, x):
    return chebyshev(n, x, False)


@special(digits=1e4, scale=1.0)
def eval_chebyu(n, x):
    return chebyshev(n, x, True)


@special(digits=1e4, scale=1.0)
def eval_chebyc(n, x):
    return 2.0 * chebyshev(n, 0.5 * x, False)


@special(digits=1e4, scale=1.0)
def eval_chebys(n, x):
    return chebyshev(n, 0.5 * x, True)


@special(digits=1e4, scale=1.0)
def eval_sh_chebyt(n, x):
    return chebyshev(n, 2.0 * x - 1.0, False)


@special(digits=1e4, scale=1.0)
def eval_sh_chebyu(n, x):
    return chebyshev(n, 2.0 * x - 1.0, True)


# --- Laguerre and Hermite --------------------------------------------------------------------------------------------


@special(digits=1e4, scale=1.0)
def eval_genlaguerre(n, a, x):
    if not a > -1.0 or not math.fabs(n) < MOST:
        return math.nan
    if n != math.floor(n) or n < 0.0:
        return binom(n + a, n) * series_of_kummer(-n, a + 1.0, x)
    low = 0.0
    high = 1.0
    k = 0.0
    while k < n:
        low, high = high, ((2.0 * k + 1.0 + a - x) * high - (k + a) * low) / (k + 1.0)
        k += 1.0
    return high


@special(digits=1e4, scale=1.0)
def eval_laguerre(n, x):
    return eval_genlaguerre(n, 0.0, x)


def hermite(n, x, weight):
    """Hermite's polynomials: H_n for weight 2, He_n for weight 1."""
    if not math.fabs(n) < MOST or x != x:
        return math.nan
    low = 0.0
    high = 1.0
    k = 0.0
    while k < n:
        low, high = high, weight * (x * high - k * low)
        k += 1.0
    return high if n >= 0.0 else 0.0


@special(digits=1e4, scale=1.0)
def eval_hermite(n, x):
    return hermite(n, x, 2.0)


@special(digits=1e4, scale=1.0)
def eval_hermitenorm(n, x):
    return hermite(n, x, 1.0)
