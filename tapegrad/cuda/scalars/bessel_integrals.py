"""Integrals of Bessel, Airy and Struve functions: series near 0; beyond, integrals of the integrals in `bessel`.

There e^{t w} is integrated over t from x on, under the sum, to -e^{x w} / w; over t with 1 / t it gives an exponential
integral.
"""

from __future__ import annotations

from ..toolchain import math
from .bessel import cos_pi
from .gammas import sin_pi
from .integrals import EULER, exp1
from .registry import PI, special

__all__ = []

LAST = 1e-17
ROOT_THIRD = 0.5773502691896258
CONSTANT = 0.41754494859211226
"""What is left of the integral of Y_0 / t from x on when x falls to 0, besides logarithms: pi / 6 - gamma^2 / pi."""


def hankel_tail(v, x, first, second, divided):
    """The integral of ``first`` J_v + ``second`` Y_v from x on, for v < 1 and x >= 2; `divided`: over the variable."""
    h = min(0.15, 2.0 * PI / (v + 13.0 * math.sqrt(x)))
    real = 0.0
    imaginary = 0.0
    for side in range(2):
        u = -h * side
        exponent = 0.0
        while exponent > -42.0:
            s = math.sinh(u)
            c = math.hypot(1.0, s)  # cosh u
            q = s * s / c
            exponent = -x * q - v * u
            size = math.exp(exponent)
            turns = v * math.atan(s) / PI
            o = cos_pi(turns)
            i = sin_pi(turns)
            f = complex(size * (o + i / c), size * (o / c - i))
            f = f * exponential_part(x, q) if divided else f / complex(q, -1.0)
            real += f.real
            imaginary += f.imag
            u += h - 2.0 * h * side
    o = math.cos(x - 0.5 * PI * v)
    i = math.sin(x - 0.5 * PI * v)
    return (first * (real * i + imaginary * o) + second * (imaginary * i - real * o)) * h / PI


def exponential_part(x, q):
    """e^z E_1(z) at z = x (q - i), by its continued fraction (DLMF 6.9.1)."""
    b = complex(x * q + 1.0, -x)
    d = 1.0 / b
    c = complex(1e300, 0.0)
    total = d
    change = complex(2.0, 0.0)
    k = 1.0
    while math.fabs(change.real - 1.0) + math.fabs(change.imag) > 1e-16:
        b = b + 2.0
        d = 1.0 / (b - k * k * d)
        c = b - k * k / c
        change = c * d
        total = total * change
        k += 1.0
    return total


def bessel_series(x, sign, second, divided):
    """Integrals of J_0, Y_0 (sign -1), I_0, -2/pi K_0 (sign 1) from 0 on, from A&S 9.1.12, 9.1.13, 9.6.12, 9.6.13.

    `divided`: over the variable, without the terms in its power 0.
    """
    logarithm = math.log(0.5 * x) + EULER if second else 0.0
    square = 0.25 * sign * x * x
    term = 1.0
    total = 0.0
    harmonic = 0.0
    k = 0.0
    while math.fabs(term) > LAST * math.fabs(total) or k < 4.0:
        n = 2.0 * k if divided else 2.0 * k + 1.0
        if n > 0.0:
            total += term / n * ((logarithm - 1.0 / n - harmonic) if second else 1.0)
        k += 1.0
        harmonic += 1.0 / k
        term *= square / (k * k)
    total = total if divided else x * total
    return 2.0 / PI * total if second else total


def integral(x, second):
    """The integral of J_0, or Y_0, from 0 to x > 0."""
    if x < 4.0:
        return bessel_series(x, -1.0, second, False)
    return (0.0 if second else 1.0) - hankel_tail(0.0, x, 0.0 if second else 1.0, 1.0 if second else 0.0, False)


def divided_integral(x, second):
    """The integral of (1 - J_0) / t from 0 to x, or of Y_0 / t from x on."""
    if x < 4.0:
        y = bessel_series(x, -1.0, second, True)
        t = math.log(0.5 * x)
        return CONSTANT - y - 2.0 / PI * (0.5 * t * t + EULER * t) if second else -y
    y = hankel_tail(0.0, x, 0.0 if second else 1.0, 1.0 if second else 0.0, True)
    return y if second else math.log(0.5 * x) + EULER + y


@special("itj0y0 0", digits=1e4, scale=1.0)
def itj0(x):
    return x if x == 0.0 or x != x else math.copysign(integral(math.fabs(x), False), x)


@special("itj0y0 1", digits=1e4, scale=1.0)
def ity0(x):
    return x if x == 0.0 else math.nan if not x > 0.0 else integral(x, True)


@special("it2j0y0 0", digits=1e4, scale=1.0)
def it2j0(x):
    return 0.0 if x == 0.0 else x if x != x else divided_integral(math.fabs(x), False)


@special("it2j0y0 1", digits=1e4, scale=1.0)
def it2y0(x):
    return -math.inf if x == 0.0 else math.nan if not x > 0.0 else divided_integral(x, True)


@special("iti0k0 0", digits=1e4, scale=1.0)
def iti0(x):
    return x if x == 0.0 or x != x else bessel_series(x, 1.0, False, False)


@special("iti0k0 1", digits=1e4, scale=1.0)
def itk0(x):
    if not x > 0.0:
        return x if x == 0.0 else math.nan
    return -0.5 * PI * bessel_series(x, 1.0, True, False) if x < 1.0 else 0.5 * PI - modified_tail(x, False)


@special("it2i0k0 0", digits=1e4, scale=1.0)
def it2i0(x):
    return math.fabs(x) if x == 0.0 or x != x else bessel_series(x, 1.0, False, True)


@special("it2i0k0 1", digits=1e4, scale=1.0)
def it2k0(x):
    return math.inf if x == 0.0 else math.nan if not x > 0.0 else modified_tail(x, True)


def modified_tail(x, divided):
    """The integral of K_0, or K_0 / t, from x on."""
    total = 0.5 * (exp1(x) if divided else math.exp(-x))
    h = min(0.2, 0.7 / math.sqrt(x))
    t = h
    term = 1.0
    while term > LAST * total:
        c = math.cosh(t)
        term = exp1(x * c) if divided else math.exp(-x * c) / c
        total += term
        t += h
    return h * total


# --- Airy ------------------------------------------------------------------------------------------------------------


def airy_series(x, second):
    """The integral of Ai, or Bi, from 0 to x, from DLMF 9.4.1 and 9.4.3."""
    total = 0.0
    for odd in range(2):
        n = 1.0 + odd
        term = (-0.2588194037928068 if odd == 1 else 0.3550280538878172) * x
        term = term * x if odd == 1 else term
        if second:
            term *= -1.7320508075688772 if odd == 1 else 1.7320508075688772
        part = term / n
        while math.fabs(term) > LAST * math.fabs(part):
            term *= x * x * x / ((n + 1.0) * (n + 2.0))
            n += 3.0
            part += term / n
        total += part
    return total


def airy_integral(x, second):
    """The integral of Ai, or Bi, from 0 to x."""
    if x != x:
        return x
    if math.fabs(x) < 2.0 or (second and x > 0.0):
        return airy_series(x, second)
    zeta = 2.0 / 3.0 * math.fabs(x) * math.sqrt(math.fabs(x))
    if x > 0.0:  # by K of order 1/3, DLMF 9.6.2
        h = min(0.2, 0.7 / math.sqrt(zeta))
        total = 0.5 * math.exp(-zeta)
        t = h
        term = 1.0
        while term > LAST * total:
            c = math.cosh(t)
            term = math.exp(-zeta * c) * math.cosh(t / 3.0) / c
            total += term
            t += h
        return 1.0 / 3.0 - h * total / (PI * 1.7320508075688772)
    y = hankel_tail(1.0 / 3.0, zeta, ROOT_THIRD if second else 1.0, 1.0 if second else -ROOT_THIRD, False)
    return -0.5 * y if second else -(2.0 / 3.0) + 0.5 * y  # DLMF 9.6.6, 9.6.8


@special("itairy 0", digits=1e10, scale=1.0)  # SciPy's own have 6 digits
def itairy_ai(x):
    return airy_integral(x, False)


@special("itairy 1", digits=1e4, scale=1.0)
def itairy_bi(x):
    return airy_integral(x, True)


@special("itairy 2", digits=1e4, scale=1.0)
def itairy_ai_of_negative(x):
    return -airy_integral(-x, False)


@special("itairy 3", digits=1e4, scale=1.0)
def itairy_bi_of_negative(x):
    return -airy_integral(-x, True)


# --- Struve ----------------------------------------------------------------------------------------------------------


def struve_series(x, sign, divided):
    """The integral of H_0 (sign -1) or L_0 from 0 to x, or of H_0 / t; from DLMF 11.2.1."""
    term = 2.0 / PI * x
    total = 0.0
    k = 1.0
    while math.fabs(term) > LAST * math.fabs(total):
        total += term / k if divided else term * x / (k + 1.0)
        k += 2.0
        term *= sign * x * x / (k * k)
    return total


def struve_tail(x, divided):
    """What is added to the integrals of Y_0: those of H_0 - Y_0 (DLMF 11.5.2), under the exponential of a variable."""
    total = 0.0
    for side in range(2):
        s = 0.2 * side - math.log(x)
        term = 1.0
        while term > LAST * total:
            t = math.exp(s)
            term = (t * exp1(x * t) if divided else -math.expm1(-x * t)) / math.hypot(1.0, t)
            total += term
            s += 0.4 * side - 0.2
    return 0.4 / PI * total


@special(digits=1e4, scale=1.0)
def itstruve0(x):
    x = math.fabs(x)
    return struve_series(x, -1.0, False) if x < 5.0 or x != x else integral(x, True) + struve_tail(x, False)


@special(digits=1e4, scale=1.0)
def it2struve0(x):
    size = math.fabs(x)
    if size < 5.0 or x != x:
        y = 0.5 * PI - struve_series(size, -1.0, True)
    else:
        y = divided_integral(size, True) + struve_tail(size, True)
    return PI - y if x < 0.0 else y


@special(digits=1e4, scale=1.0)
def itmodstruve0(x):
    return struve_series(math.fabs(x), 1.0, False)
