"""Hypergeometric functions: series where they converge well, and the formulas that lead there (DLMF 13, 15)."""

from __future__ import annotations

from ..toolchain import math
from .bessel import first_kind, modified_first
from .gammas import _log_gamma, gammasgn
from .registry import special

__all__ = ["series_of_gauss"]

LAST = 1e-17


def is_pole(x):
    """Whether the gamma function has a pole there."""
    return x <= 0.0 and x == math.floor(x)


def gamma_quotient(a, b, c, d):
    """gamma(a) gamma(b) / (gamma(c) gamma(d)); zero where c or d is a pole."""
    if is_pole(c) or is_pole(d):
        return 0.0
    sign = gammasgn(a) * gammasgn(b) * gammasgn(c) * gammasgn(d)
    return sign * math.exp(_log_gamma(a) + _log_gamma(b) - _log_gamma(c) - _log_gamma(d))


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
    if x < 0.0:
        return gammasgn(v) * math.exp(_log_gamma(v) + (1.0 - v) * math.log(root)) * first_kind(v - 1.0, 2.0 * root)
    head = _log_gamma(v) + (1.0 - v) * math.log(root) + 2.0 * root
    return gammasgn(v) * math.exp(head) * modified_first(v - 1.0, 2.0 * root, True)


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
    return gammasgn(b) * gammasgn(a) * math.exp(_log_gamma(b) - _log_gamma(a) + (a - b) * math.log(x)) * total


@special(digits=1e4, scale=1.0)
def hyp1f1(a, b, x):
    if a != a or b != b or x != x:
        return math.nan
    if is_pole(b) and not (is_pole(a) and a >= b):
        return math.inf
    if a == 0.0 or x == 0.0:
        return 1.0
    if is_pole(a):
        return series_of_kummer(a, b, x)
    flip = x < 0.0  # Kummer's transformation, DLMF 13.2.39
    if flip:
        a = b - a
        x = -x
    if x > 60.0 + 2.0 * (math.fabs(a) + math.fabs(b)) and not is_pole(a):
        y = large_kummer(a, b, x)
        return y if flip else y * math.exp(0.5 * x) * math.exp(0.5 * x)
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
        low = integral_of_tricomi(a + 1.0 - k, b, x)
        if steps == 0.0:
            low = integral_of_tricomi(a, b, x)
            break
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


def gauss_near_one(a, b, c, x):
    """2F1 for 0 <= x < 1: its series, or close to 1 the one in 1 - x (DLMF 15.8.4)."""
    s = c - a - b
    if x < 0.9 or math.fabs(s - math.floor(s + 0.5)) < 1e-3:  # where the two parts are nearly opposite
        if s < 0.0:
            return math.pow(1.0 - x, s) * series_of_gauss(c - a, c - b, c, x)
        return series_of_gauss(a, b, c, x)
    y = 1.0 - x
    total = 0.0
    for k in range(2):
        f = gamma_quotient(c, s, c - a, c - b)
        if f != 0.0:
            total += f * series_of_gauss(a, b, 1.0 - s, y) * (math.pow(y, -s) if k == 1 else 1.0)
        a, b, s = c - a, c - b, -s
    return total


@special(digits=1e4, scale=1.0)
def hyp2f1(a, b, c, x):
    if a != a or b != b or c != c or x != x:
        return math.nan
    if x == 0.0 or a == 0.0 or b == 0.0:
        return 1.0
    ends = (is_pole(a) and (not is_pole(c) or a >= c)) or (is_pole(b) and (not is_pole(c) or b >= c))
    if is_pole(c) and not ends:
        return math.inf
    if ends:
        return series_of_gauss(a, b, c, x)
    if x >= 1.0:
        if x > 1.0 or c - a - b <= 0.0:
            return math.inf
        return gamma_quotient(c, c - a - b, c - a, c - b)
    if x >= 0.0:
        return gauss_near_one(a, b, c, x)
    if x > -0.3:
        return series_of_gauss(a, b, c, x)
    if math.fabs(a) > math.fabs(b):
        a, b = b, a
    return math.pow(1.0 - x, -a) * gauss_near_one(a, c - b, c, x / (x - 1.0))  # DLMF 15.8.1


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
            term = (k * math.log(x) if k > 0.0 else 0.0) - _log_gamma(k + 1.0) - _log_gamma(at)
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
