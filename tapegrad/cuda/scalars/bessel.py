"""Bessel functions of real order and argument, by sums over points of integrals that fall doubly exponentially.

For such integrals the trapezoidal rule is right to the last digits (Trefethen and Weideman, SIAM Review 56, 2014).
For Hankel's function the path of DLMF 10.9.18 is that of steepest descent for order 0, t = u + i (pi/2 + gd(u)), on
which sinh t = i - sinh u tanh u. The modified function of the second kind is DLMF 10.32.9. Where the functions of the
first kind are the small ones, they follow from the others by the continued fraction for the quotient of neighbouring
orders (10.10.1, 10.33.1) and the Wronskian (10.5.3, 10.28.2).
"""

from __future__ import annotations

from ..toolchain import math
from .gammas import _log_gamma, sin_pi
from .registry import PI, special

__all__ = ["cylinders", "first_kind", "hankel_sum", "modified", "modified_first", "second_kind"]

DEEP = 42.0
"""Exponents that are left out are smaller than the largest one by this."""
MOST = 1e6
"""The highest order that is reached step by step; SciPy has a limit, too."""


def cos_pi(x):
    """cos(pi x), zero in the middle between whole numbers."""
    return sin_pi(x + 0.5)


def hankel_sum(v, x, first, second):
    """``first`` J + ``second`` Y, the parts of Hankel's function, for v >= 0 and x > 0."""
    h = min(0.15, 2.0 * PI / (v + 13.0 * math.sqrt(x)))
    turn = math.asinh(v / x)
    peak = v * (turn - v / math.hypot(x, v))
    real = 0.0
    imaginary = 0.0
    for side in range(2):
        u = -h * side
        step = h - 2.0 * h * side
        exponent = peak
        while exponent > peak - DEEP or -turn < u < 0.0:
            s = math.sinh(u)
            c = math.hypot(1.0, s)  # cosh u
            exponent = -x * s * s / c - v * u
            size = math.exp(exponent)
            turns = v * math.atan(s) / PI
            o = cos_pi(turns)
            i = sin_pi(turns)
            real += size * (o + i / c)
            imaginary += size * (o / c - i)
            u += step
    # times h e^{i (x - v pi / 2)} / (pi i)
    o = cos_pi(0.5 * v)
    i = sin_pi(0.5 * v)
    p = math.cos(x)
    q = math.sin(x)
    cosine = p * o + q * i
    sine = q * o - p * i
    return (first * (real * sine + imaginary * cosine) - second * (real * cosine - imaginary * sine)) * h / PI


def quotient(v, x, sign):
    """J_{v+1} / J_v (sign -1) or I_{v+1} / I_v (sign 1), for x > 0."""
    b = 2.0 * (v + 1.0) / x
    c = 1e300
    d = 1.0 / b
    total = d
    change = 2.0
    while math.fabs(change - 1.0) > 1e-16:
        b += 2.0 / x
        d = 1.0 / (b + sign * d)
        c = b + sign / c
        change = c * d
        total *= change
    return total


def leading(v, x):
    """(x / 2)^v / gamma(v + 1), the first term of both series."""
    return math.exp(v * math.log(0.5 * x) - _log_gamma(v + 1.0))


def cylinder(v, x, second):
    """J, or Y if `second`, for v >= 0, x > 0: upwards from an order below 1, as far as that is stable."""
    if not second and x * x < 1e-15 * (v + 1.0):
        return leading(v, x)
    if v > MOST:
        return math.nan
    direct = second or v <= x
    order = v - math.floor(v)
    low = 0.0
    high = 0.0
    for k in range(2):
        low = high
        y = second or not direct
        high = hankel_sum(order + k, x, 0.0 if y else 1.0, 1.0 if y else 0.0)
        if direct and order == v:
            return high
    while order < v and math.fabs(high) < 1e300:
        low, high = high, 2.0 * (order + 1.0) / x * high - low
        order += 1.0
    if order < v:
        return -math.inf if second else 0.0
    return low if direct else 2.0 / (PI * x) / (quotient(v, x, -1.0) * low - high)


def cylinders(v, x, first, second):
    """``first`` J + ``second`` Y for v >= 0, x > 0; what has no weight is not computed."""
    total = 0.0
    for k in range(2):
        factor = first if k == 0 else second
        if factor != 0.0:
            total += factor * cylinder(v, x, k == 1)
    return total


def first_kind(v, x):
    """J at any real numbers."""
    if v != v or x != x:
        return math.nan
    whole = v == math.floor(v)
    if x < 0.0 and not whole:
        return math.nan
    size = math.fabs(x)
    sign = -1.0 if x < 0.0 and v != 2.0 * math.floor(0.5 * v) else 1.0
    if v < 0.0 and whole:
        v = -v
        sign = sign if v == 2.0 * math.floor(0.5 * v) else -sign
    if size == 0.0:
        return 1.0 if v == 0.0 else 0.0 if v > 0.0 else math.inf
    if size == math.inf:
        return 0.0
    return cylinders(math.fabs(v), size, sign if v >= 0.0 else cos_pi(v), 0.0 if v >= 0.0 else sin_pi(v))


def second_kind(v, x):
    """Y at any real numbers."""
    if v != v or not x >= 0.0:
        return math.nan
    if x == 0.0:
        return -math.inf
    if x == math.inf:
        return 0.0
    return cylinders(math.fabs(v), x, 0.0 if v >= 0.0 else -sin_pi(v), 1.0 if v >= 0.0 else cos_pi(v))


@special(digits=1e4, scale=1.0)
def j0(x):
    return first_kind(0.0, x)


@special(digits=1e4, scale=1.0)
def j1(x):
    return first_kind(1.0, x)


@special("jv", "jve", digits=1e4, scale=1.0)
def jv(v, x):
    return first_kind(v, x)


@special(digits=1e4, scale=1.0)
def y0(x):
    return second_kind(0.0, x)


@special(digits=1e4, scale=1.0)
def y1(x):
    return second_kind(1.0, x)


@special("yv", "yve", "yn", digits=1e4, scale=1.0)
def yv(v, x):
    return second_kind(v, x)


# --- modified --------------------------------------------------------------------------------------------------------


def besselk(v, x):
    """e^x K_v(x) for v >= 0, x > 0."""
    h = min(0.25, 0.5 / math.sqrt(math.hypot(x, v)))
    t = math.asinh(v / x)
    s = math.sinh(0.5 * t)
    peak = v * t - 2.0 * x * s * s
    start = math.floor(t / h) * h
    total = 0.0
    for side in range(2):
        t = start + h * side
        exponent = peak
        while exponent > peak - DEEP and t > -0.5 * h:
            s = math.sinh(0.5 * t)
            exponent = v * t - 2.0 * x * s * s
            term = math.exp(exponent) * (1.0 + math.exp(-2.0 * v * t))
            total += 0.5 * term if t < 0.5 * h else term
            t += 2.0 * h * side - h
    return 0.5 * h * total


def modified(v, x, first, second):
    """``first`` e^-x I + ``second`` e^x K for v >= 0, x > 0."""
    low = 0.0
    high = 0.0
    for k in range(2):
        low = high
        high = besselk(v + k, x)
        if first == 0.0:
            return second * high
    if x * x < 1e-15 * (v + 1.0):
        y = leading(v, x) * math.exp(-x)
    elif x > 40.0 and x > v * v:
        term = 1.0  # DLMF 10.40.1
        total = 1.0
        k = 1.0
        while math.fabs(term) > 1e-17 and k < 2.0 * x:
            term *= -(4.0 * v * v - (2.0 * k - 1.0) * (2.0 * k - 1.0)) / (8.0 * k * x)
            total += term
            k += 1.0
        y = total / math.sqrt(2.0 * PI * x)
    else:
        y = 1.0 / (x * (high + quotient(v, x, 1.0) * low))
    return first * y + (second * low if second != 0.0 else 0.0)


def modified_first(v, x, scaled):
    """I at any real numbers, or e^-|x| I."""
    if v != v or x != x:
        return math.nan
    whole = v == math.floor(v)
    if whole:
        v = math.fabs(v)
    if x < 0.0 and not whole:
        return math.nan
    size = math.fabs(x)
    if size == 0.0:
        return 1.0 if v == 0.0 else 0.0 if v > 0.0 else math.inf
    if size == math.inf:
        return 0.0 if scaled else math.copysign(math.inf, x)
    y = modified(math.fabs(v), size, 1.0, 2.0 / PI * sin_pi(-v) * math.exp(-2.0 * size) if v < 0.0 else 0.0)
    if not scaled:
        half = math.exp(0.5 * size)
        y = y * half * half
    return -y if x < 0.0 and v != 2.0 * math.floor(0.5 * v) else y


def modified_second(v, x, scaled):
    """K at any real numbers, or e^x K."""
    if v != v or not x >= 0.0:
        return math.nan
    if x == 0.0 or x == math.inf:
        return math.inf if x == 0.0 else 0.0
    y = besselk(math.fabs(v), x)
    return y if scaled else y * math.exp(-x)


@special("i0", "numpy_i0", digits=1e3)
def i0(x):
    return modified_first(0.0, x, False)


@special(digits=1e3)
def i1(x):
    return modified_first(1.0, x, False)


@special(digits=1e3)
def i0e(x):
    return modified_first(0.0, x, True)


@special(digits=1e3)
def i1e(x):
    return modified_first(1.0, x, True)


@special(digits=1e4)
def iv(v, x):
    return modified_first(v, x, False)


@special(digits=1e4)
def ive(v, x):
    return modified_first(v, x, True)


@special(digits=1e3)
def k0(x):
    return modified_second(0.0, x, False)


@special(digits=1e3)
def k1(x):
    return modified_second(1.0, x, False)


@special(digits=1e3)
def k0e(x):
    return modified_second(0.0, x, True)


@special(digits=1e3)
def k1e(x):
    return modified_second(1.0, x, True)


@special("kv", "kn", digits=1e4)
def kv(v, x):
    return modified_second(v, x, False)


@special(digits=1e4)
def kve(v, x):
    return modified_second(v, x, True)
