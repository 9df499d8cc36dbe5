"""Functions near Bessel's: Airy, Kelvin and Struve functions, and integrals of Bessel functions.

Kelvin functions are Bessel functions of an argument turned by an eighth of a circle (DLMF 10.61), again by trapezoidal
rules: over a period for the first kind (10.32.1), over the real line for the second (10.32.9).
"""

from __future__ import annotations

from ..toolchain import math
from .bessel import hankel_sum, modified, second_kind
from .gammas import _log_gamma, gammasgn, log_gammas
from .registry import PI, special

__all__ = []

ROOT_3 = 1.7320508075688772
ROOT_HALF = 0.7071067811865476


# --- Airy ------------------------------------------------------------------------------------------------------------


def airy_right(x, scaled, slope, second):
    """Airy functions for x > 0 (DLMF 9.6.2 to 9.6.5)."""
    v = 2.0 / 3.0 if slope else 1.0 / 3.0
    zeta = 2.0 / 3.0 * x * math.sqrt(x)
    front = x / ROOT_3 if slope else math.sqrt(x / 3.0)
    if second:
        half = 1.0 if scaled else math.exp(0.5 * zeta)
        return front * modified(v, zeta, 2.0, ROOT_3 / PI * math.exp(-2.0 * zeta)) * half * half
    return (-front if slope else front) / PI * modified(v, zeta, 0.0, 1.0 if scaled else math.exp(-zeta))


def airy_left(z, slope, second):
    """Airy functions at -z, for z > 0 (DLMF 9.6.6 to 9.6.9, with 10.2.3 and 10.4.7)."""
    v = 2.0 / 3.0 if slope else 1.0 / 3.0
    zeta = 2.0 / 3.0 * z * math.sqrt(z)
    front = 0.5 * z if slope else 0.5 * math.sqrt(z)
    if slope:
        return front * hankel_sum(v, zeta, 1.0 / ROOT_3 if second else 1.0, -1.0 if second else 1.0 / ROOT_3)
    return front * hankel_sum(v, zeta, -1.0 / ROOT_3 if second else 1.0, -1.0 if second else -1.0 / ROOT_3)


def airy(x, scaled, slope, second):
    """An Airy function: Bi if `second`, its derivative if `slope`."""
    if x != x:
        return x
    if math.fabs(x) < 1e-30:  # DLMF 9.2.3 to 9.2.6
        if slope:
            return 0.4482883573538264 if second else -0.2588194037928068
        return 0.6149266274460007 if second else 0.3550280538878172
    if x < 0.0:
        return math.nan if scaled and not second else airy_left(-x, slope, second)
    return airy_right(x, scaled, slope, second)


@special("airy 0", digits=1e4, scale=1.0)
def airy_ai(x):
    return airy(x, False, False, False)


@special("airy 1", digits=1e4, scale=1.0)
def airy_aip(x):
    return airy(x, False, True, False)


@special("airy 2", digits=1e4, scale=1.0)
def airy_bi(x):
    return airy(x, False, False, True)


@special("airy 3", digits=1e4, scale=1.0)
def airy_bip(x):
    return airy(x, False, True, True)


@special("airye 0", digits=1e4, scale=1.0)
def airye_ai(x):
    return airy(x, True, False, False)


@special("airye 1", digits=1e4, scale=1.0)
def airye_aip(x):
    return airy(x, True, True, False)


@special("airye 2", digits=1e4, scale=1.0)
def airye_bi(x):
    return airy(x, True, False, True)


@special("airye 3", digits=1e4, scale=1.0)
def airye_bip(x):
    return airy(x, True, True, True)


# --- Kelvin ----------------------------------------------------------------------------------------------------------


def kelvin_first(x, slope):
    """ber + i bei, or its derivative: the mean of cosh(z cos t), or of its derivative, over a period."""
    count = math.floor(24.0 + 0.8 * math.fabs(x)) * 1.0
    real = 0.0
    imaginary = 0.0
    k = 0.5
    while k < count:
        o = math.cos(0.5 * PI * k / count)
        a = ROOT_HALF * x * o
        if slope:
            p = math.sinh(a) * math.cos(a)
            q = math.cosh(a) * math.sin(a)
            if math.fabs(a) < 0.1:  # their difference, by its series
                w = a * a * a * a
                real += -2.0 / 3.0 * a * a * a * (1.0 - w / 210.0) * o
            else:
                real += (p - q) * o
            imaginary += (p + q) * o
        else:
            real += math.cosh(a) * math.cos(a)
            imaginary += math.sinh(a) * math.sin(a)
        k += 1.0
    scale = ROOT_HALF / count if slope else 1.0 / count
    return complex(real * scale, imaginary * scale)


def kelvin_second(x, slope):
    """ker + i kei, or its derivative, for x > 0."""
    b = ROOT_HALF * x
    h = min(0.125, 0.5 / math.sqrt(x))
    real = 0.5
    imaginary = 0.0
    t = h
    fall = 1.0
    while fall > 1e-18:
        s = math.sinh(0.5 * t)
        c = 2.0 * s * s
        fall = math.exp(-b * c)
        size = fall * (1.0 + c) if slope else fall
        real += size * math.cos(b * c)
        imaginary -= size * math.sin(b * c)
        t += h
    phase = b - 0.25 * PI if slope else b
    o = math.cos(phase)
    i = math.sin(phase)
    size = h * math.exp(-b)
    y = complex(size * (real * o + imaginary * i), size * (imaginary * o - real * i))
    return complex(-y.real, -y.imag) if slope else y


def kelvin(x, slope, second):
    """ber + i bei or ker + i kei, or the derivative."""
    if x != x or (second and x < 0.0) or math.fabs(x) > 1e3:
        y = 0.0 if second and x > 0.0 else math.nan  # nothing is left, or it is too large a number
        return complex(y, y)
    if second and x == 0.0:
        return complex(-math.inf, 0.0) if slope else complex(math.inf, -0.25 * PI)
    return kelvin_second(x, slope) if second else kelvin_first(x, slope)


@special(digits=1e4, scale=1.0)
def ber(x):
    return kelvin(x, False, False).real


@special(digits=1e4, scale=1.0)
def bei(x):
    return kelvin(x, False, False).imag


@special(digits=1e4, scale=1.0)
def berp(x):
    return kelvin(x, True, False).real


@special(digits=1e4, scale=1.0)
def beip(x):
    return kelvin(x, True, False).imag


@special(digits=1e4, scale=1.0)
def ker(x):
    return kelvin(x, False, True).real


@special(digits=1e4, scale=1.0)
def kei(x):
    return kelvin(x, False, True).imag


@special(digits=1e4, scale=1.0)
def kerp(x):
    return kelvin(x, True, True).real


@special(digits=1e4, scale=1.0)
def keip(x):
    return kelvin(x, True, True).imag


@special("kelvin 0", digits=1e4, scale=1.0)
def kelvin_be(x):
    return kelvin(x, False, False)


@special("kelvin 1", digits=1e4, scale=1.0)
def kelvin_ke(x):
    return kelvin(x, False, True)


@special("kelvin 2", digits=1e4, scale=1.0)
def kelvin_bep(x):
    return kelvin(x, True, False)


@special("kelvin 3", digits=1e4, scale=1.0)
def kelvin_kep(x):
    return kelvin(x, True, True)


# --- Struve ----------------------------------------------------------------------------------------------------------


def struve_series(v, x, sign):
    """H or L by its series, DLMF 11.2.1, 11.2.2."""
    square = 0.25 * x * x
    a = 1.5
    b = v + 1.5
    while b <= 0.0:  # on to where no gamma function has a pole
        a += 1.0
        b += 1.0
    skipped = a - 1.5
    head = math.exp((v + 1.0 + 2.0 * skipped) * math.log(0.5 * x) + log_gammas(1.0, 1.0, a, b))
    term = head if skipped == 2.0 * math.floor(0.5 * skipped) else sign * head
    total = term
    up = term
    k = 0.0
    while math.fabs(up) > 1e-17 * math.fabs(total):
        up *= sign * square / ((a + k) * (b + k))
        total += up
        k += 1.0
    p = a - 1.0
    q = b - 1.0
    while p > 1.0 and q != 0.0:  # and back
        term *= sign * p * q / square
        total += term
        p -= 1.0
        q -= 1.0
    return total


def struve_rest(v, x):
    """H - Y, by the trapezoidal rule for DLMF 11.5.2 with the exponential of another variable."""
    if v + 0.5 <= 0.0 and v + 0.5 == math.floor(v + 0.5):
        return 0.0
    total = 0.0
    h = 0.125
    for side in range(2):
        s = h * side - math.log(x)
        term = 1.0
        while math.fabs(term) > 1e-18 * total:
            t = math.exp(s)
            term = math.exp(s - x * t + (v - 0.5) * math.log1p(t * t))
            total += term
            s += 2.0 * h * side - h
    front = v * math.log(0.5 * x) - _log_gamma(v + 0.5)
    return gammasgn(v + 0.5) * 1.1283791670955126 * math.exp(front) * h * total


@special(digits=1e4, scale=1.0)
def struve(v, x):
    whole = v == math.floor(v)
    if not math.fabs(v) < 1e6 or x != x or (x < 0.0 and not whole):
        return math.nan
    size = math.fabs(x)
    if size == 0.0:
        return 0.0 if v > -1.0 else 2.0 / PI if v == -1.0 else math.inf
    if size < 4.0 or size < v:
        y = struve_series(v, size, -1.0)
    else:
        y = second_kind(v, size) + struve_rest(v, size)
    return -y if x < 0.0 and v == 2.0 * math.floor(0.5 * v) else y


@special(digits=1e4, scale=1.0)
def modstruve(v, x):
    whole = v == math.floor(v)
    if not math.fabs(v) < 1e6 or x != x or (x < 0.0 and not whole):
        return math.nan
    size = math.fabs(x)
    if size == 0.0:
        return 0.0 if v > -1.0 else 2.0 / PI if v == -1.0 else math.inf
    if size > 1400.0:
        return math.inf
    y = struve_series(v, size, 1.0)
    return -y if x < 0.0 and v == 2.0 * math.floor(0.5 * v) else y


@special(digits=1e4, scale=1.0)
def besselpoly(a, power, v):
    """The integral of t^power J_v(2 a t) from 0 to 1, by its series."""
    sign = 1.0
    if v < 0.0 and v == math.floor(v):
        v = -v
        sign = 1.0 if v == 2.0 * math.floor(0.5 * v) else -1.0
    if not math.fabs(a) < 1e4 or v != v:
        return math.nan
    if a == 0.0:
        return 1.0 / (power + 1.0) if v == 0.0 else 0.0
    if a < 0.0:
        a = -a
        sign = sign if v == 2.0 * math.floor(0.5 * v) else -sign
    term = gammasgn(v + 1.0) * math.exp(v * math.log(a) - _log_gamma(v + 1.0))
    total = 0.0
    k = 0.0
    while math.fabs(term) > 1e-17 * math.fabs(total) or k < a:
        total += term / (power + v + 2.0 * k + 1.0)
        k += 1.0
        term *= -a * a / (k * (v + k))
    return sign * total
