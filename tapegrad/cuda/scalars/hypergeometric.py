"""Hypergeometric functions: series where they converge well, and the formulas that lead there (DLMF 13, 15)."""

from __future__ import annotations

from ..toolchain import math
from .bessel import first_kind, modified_first
from .gammas import _log_gamma, gamma_quotient, gammasgn, is_pole, log_gammas
from .registry import special

__all__ = ["gauss", "series_of_kummer"]

LAST = 1e-17


# --- 0F1 and 1F1 -----------------------------------------------------------------------------------------------------


@special(digits=1e4, scale=1.0)
def hyp0f1(v, x):
    """DLMF 16.2.1, or by Bessel functions, 10.39.9."""
    if v != v or x != x or is_pole(v):
        return math.nan
    if x == 0.0:
        return 1.0
    if math.fabs(x) < 4.0 + math.fabs(v):
        term = 1.0
        total = 1.0
        k = 0.0
        while math.fabs(term) > LAST * math.fabs(total) or k < -v:
            term *= x / ((v + k) * (k + 1.0))
            total += term
            k += 1.0
        return total
    root = math.sqrt(math.fabs(x))
    head = _log_gamma(v) + (1.0 - v) * math.log(root) + (2.0 * root if x > 0.0 else 0.0)
    y = first_kind(v - 1.0, 2.0 * root) if x < 0.0 else modified_first(v - 1.0, 2.0 * root, True)
    return gammasgn(v) * math.exp(head) * y


def series_of_kummer(a, b, x):
    """1F1 by its series, DLMF 13.2.2."""
    term = 1.0
    total = 1.0
    k = 0.0
    while (math.fabs(term) > LAST * math.fabs(total) or k < math.fabs(a) or k < -b) and k < 2e4 and term != 0.0:
        term *= (a + k) * x / ((b + k) * (k + 1.0))
        total += term
        k += 1.0
    return total


def large_kummer(a, b, x):
    """e^-x 1F1 for large positive x, DLMF 13.7.1."""
    term = 1.0
    total = 1.0
    k = 0.0
    least = 1.0
    while math.fabs(term) > LAST * math.fabs(total) and k < 500.0:
        term *= (b - a + k) * (1.0 - a + k) / ((k + 1.0) * x)
        if math.fabs(term) > least and k > math.fabs(a) + math.fabs(b):
            break
        least = math.fabs(term)
        total += term
        k += 1.0
    return gammasgn(b) * gammasgn(a) * math.exp(log_gammas(b, 1.0, a, 1.0) + (a - b) * math.log(x)) * total


@special(digits=1e4, scale=1.0)
def hyp1f1(a, b, x):
    if a != a or b != b or x != x:
        return math.nan
    if is_pole(b) and not (is_pole(a) and a >= b):
        return math.inf
    if a == 0.0 or x == 0.0:
        return 1.0
    ends = is_pole(a)
    flip = x < 0.0 and not ends  # Kummer's transformation, DLMF 13.2.39
    if flip:
        a = b - a
        x = -x
    if not ends and x > 60.0 + 2.0 * (math.fabs(a) + math.fabs(b)) and not is_pole(a):
        half = 1.0 if flip else math.exp(0.5 * x)
        return large_kummer(a, b, x) * half * half
    y = series_of_kummer(a, b, x)
    return math.exp(-x) * y if flip else y


# --- U ---------------------------------------------------------------------------------------------------------------


def integral_of_tricomi(a, b, x):
    """U for a > 0, by the trapezoidal rule for DLMF 13.4.4 with the exponential of another variable."""
    h = min(0.25, 0.7 / math.sqrt(a + 1.0))
    start = math.log((a + 1.0) / (x + math.fabs(b) + a))
    peak = -1e300
    for _ in range(20):  # on to the top, roughly
        e = math.exp(start)
        slope = a - x * e + (b - a - 1.0) * e / (1.0 + e)
        start += min(max(slope / (a + 1.0), -0.5), 0.5)
    start = math.floor(start / h) * h
    e = math.exp(start)
    peak = a * start - x * e + (b - a - 1.0) * math.log1p(e)
    total = 0.0
    for side in range(2):
        s = start + h * side
        exponent = 0.0
        while exponent > -45.0:
            e = math.exp(s)
            exponent = a * s - x * e + (b - a - 1.0) * math.log1p(e) - peak
            total += math.exp(exponent)
            s += 2.0 * h * side - h
    return h * total * math.exp(peak - _log_gamma(a))


@special(digits=1e4, scale=1.0)
def hyperu(a, b, x):
    if not math.fabs(a) < 1e4 or not math.fabs(b) < 1e4 or not x >= 0.0:
        return math.nan
    if x == 0.0:
        if b > 1.0:
            return math.inf
        return gamma_quotient(1.0 - b, 1.0, a - b + 1.0, 1.0)  # DLMF 13.2.16
    front = 1.0
    if a < 0.5 and a - b + 1.0 > a:  # DLMF 13.2.40
        front = math.pow(x, 1.0 - b)
        a = a - b + 1.0
        b = 2.0 - b
    steps = 0.0
    while a < 0.5:
        a += 1.0
        steps += 1.0
    low = 0.0
    high = 0.0
    for k in range(2):
        high = low
        if k == 1 or steps > 0.0:
            low = integral_of_tricomi(a + 1.0 - k, b, x)
    while steps > 0.0:  # DLMF 13.3.7
        low, high = (x + 2.0 * a - b) * low - a * (a - b + 1.0) * high, low
        a -= 1.0
        steps -= 1.0
    return front * low


# --- 2F1 -------------------------------------------------------------------------------------------------------------


def series_of_gauss(a, b, c, x):
    """2F1 by its series, DLMF 15.2.1."""
    term = 1.0
    total = 1.0
    k = 0.0
    while (math.fabs(term) > LAST * math.fabs(total) or k < -c) and k < 1e5 and term != 0.0:
        term *= (a + k) * (b + k) * x / ((c + k) * (k + 1.0))
        total += term
        k += 1.0
    return total


def gauss(a, b, c, x, ends):
    """2F1 for x <= 1; at any x if its series `ends`."""
    front = 1.0
    if x <= -0.3 and not ends:  # Pfaff's transformation, DLMF 15.8.1
        if math.fabs(a) > math.fabs(b):
            a, b = b, a
        front = math.pow(1.0 - x, -a)
        b = c - b
        x = x / (x - 1.0)
    s = c - a - b
    # close to 1 by the series in 1 - x (DLMF 15.8.4), but where its two parts are nearly opposite
    near = not ends and x >= 0.9 and (x == 1.0 or math.fabs(s - math.floor(s + 0.5)) >= 1e-3)
    power = math.pow(1.0 - x, s)
    if not ends and not near and x >= 0.0 and s < 0.0:  # Euler's transformation
        front *= power
        a, b = c - a, c - b
    y = 0.0
    for k in range(2):
        f = gamma_quotient(c, s, c - a, c - b) if near else 1.0
        if f != 0.0:
            f *= power if k == 1 else 1.0
            y += f * series_of_gauss(a, b, 1.0 - s if near else c, 1.0 - x if near else x)
        if not near or x == 1.0:
            break
        a, b, s = c - a, c - b, -s
    return front * y


@special(digits=1e4, scale=1.0)
def hyp2f1(a, b, c, x):
    if a != a or b != b or c != c or x != x:
        return math.nan
    if x == 0.0 or a == 0.0 or b == 0.0:
        return 1.0
    ends = (is_pole(a) and (not is_pole(c) or a >= c)) or (is_pole(b) and (not is_pole(c) or b >= c))
    if not ends and (is_pole(c) or x > 1.0 or (x == 1.0 and c - a - b <= 0.0)):
        return math.inf
    return gauss(a, b, c, x, ends)


# --- Wright ----------------------------------------------------------------------------------------------------------


def log_wright(a, b, x):
    """Logarithm of the sum of x^k / (k! gamma(a k + b)), whose terms are all positive (DLMF 10.46.1)."""
    largest = -math.inf
    total = 0.0
    k = 0.0
    term = 0.0
    while (term > largest - 42.0 or k < 2.0) and k < 2e4:
        at = a * k + b
        if at > 0.0:
            term = (k * math.log(x) if k > 0.0 else 0.0) + log_gammas(1.0, 1.0, k + 1.0, at)
            if term > largest:
                total = 1.0 + (total * math.exp(largest - term) if k > 0.0 else 0.0)
                largest = term
            else:
                total += math.exp(term - largest)
        k += 1.0
    return largest + math.log(total) if k < 2e4 else math.nan


def wright(a, b, x):
    """The same, at any arguments."""
    if not (a >= 0.0 and b >= 0.0 and x >= 0.0):
        return math.nan
    if math.isinf(a) or math.isinf(b):
        return math.nan
    if x == math.inf:
        return math.inf
    if x == 0.0:
        return -_log_gamma(b) if b > 0.0 else -math.inf
    return x - _log_gamma(b) if a == 0.0 and b > 0.0 else log_wright(a, b, x) if a > 0.0 else -math.inf


@special(digits=1e4)
def wright_bessel(a, b, x):
    return math.exp(wright(a, b, x))


@special(digits=1e4, scale=1.0)
def log_wright_bessel(a, b, x):
    return wright(a, b, x)
