"""Arithmetic of real numbers, integers and truth values, and extrema."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .registry import scalar, truncated


@scalar("fci")
def add(a: Any, b: Any) -> Any:
    return a + b


@scalar("b", "add", "logical_or", "bitwise_or", "maximum", "fmax")
def either(a: Any, b: Any) -> Any:
    return a or b


@scalar("b", "multiply", "logical_and", "bitwise_and", "minimum", "fmin")
def both(a: Any, b: Any) -> Any:
    return a and b


@scalar("fci")
def subtract(a: Any, b: Any) -> Any:
    return a - b


@scalar("fci")
def multiply(a: Any, b: Any) -> Any:
    return a * b


@scalar("fc")
def divide(a: Any, b: Any) -> Any:
    return a / b


@scalar("fci")
def negative(x: Any) -> Any:
    return -x


@scalar("fcib")
def positive(x: Any) -> Any:
    return x


@scalar("f", "absolute", "fabs")
def absolute(x: Any) -> Any:
    return math.fabs(x)


@scalar("i", "absolute")
def absolute_of_integer(x: Any) -> Any:
    return -x if x < 0 else x


@scalar("u", "absolute")
def absolute_of_unsigned(x: Any) -> Any:
    return x


@scalar("c", "absolute")
def absolute_of_complex(x: Any) -> Any:
    return math.hypot(x.real, x.imag)


@scalar("f")
def sign(x: Any) -> Any:
    if x > 0.0:
        return 1.0
    if x < 0.0:
        return -1.0
    return x * x  # 0, or NaN


@scalar("i", "sign")
def sign_of_integer(x: Any) -> Any:
    return (x > 0) - (x < 0)


@scalar("fci")
def square(x: Any) -> Any:
    return x * x


@scalar("f")
def sqrt(x: Any) -> Any:
    return math.sqrt(x)


@scalar("f")
def cbrt(x: Any) -> Any:
    if x == 0.0 or math.isnan(x) or math.isinf(x):
        return x
    r = math.copysign(math.exp(math.log(math.fabs(x)) / 3.0), x)
    r -= (r - x / (r * r)) / 3.0  # Newton's step for r**3 = x
    return r - (r - x / (r * r)) / 3.0


@scalar("fc")
def reciprocal(x: Any) -> Any:
    return 1.0 / x


@scalar("f", "power", "float_power")
def power(a: Any, b: Any) -> Any:
    return math.pow(a, b)


@scalar("i", "power")
def power_of_integers(a: Any, b: Any) -> Any:
    result = a - a + 1
    while b > 0:
        if b & 1:
            result = result * a
        a = a * a
        b = b >> 1
    return result


@scalar("f")
def floor_divide(a: Any, b: Any) -> Any:
    if b == 0.0:
        return a / b
    r = truncated(a, b)
    q = (a - r) / b
    if r != 0.0 and (r < 0.0) != (b < 0.0):
        q -= 1.0
    if q == 0.0:
        return math.copysign(0.0, a / b)
    f = math.floor(q)
    if q - f > 0.5:
        f += 1.0
    return f


@scalar("i", "floor_divide")
def floor_divide_integers(a: Any, b: Any) -> Any:
    if b == 0:
        return a - a
    q = abs(a) // abs(b)
    if (a < 0) != (b < 0):
        return -q - (q * abs(b) != abs(a))
    return q


@scalar("u", "floor_divide")
def floor_divide_unsigned(a: Any, b: Any) -> Any:
    return a - a if b == 0 else a // b


@scalar("f")
def remainder(a: Any, b: Any) -> Any:
    r = truncated(a, b)
    if r == 0.0:
        return math.copysign(0.0, b)
    if (r < 0.0) != (b < 0.0):
        r += b
    return r


@scalar("i", "remainder")
def remainder_of_integers(a: Any, b: Any) -> Any:
    return a - a if b == 0 else a - floor_divide_integers(a, b) * b


@scalar("u", "remainder", "fmod")
def remainder_of_unsigned(a: Any, b: Any) -> Any:
    return a - a if b == 0 else a - a // b * b


@scalar("f")
def fmod(a: Any, b: Any) -> Any:
    return truncated(a, b)


@scalar("i", "fmod")
def fmod_of_integers(a: Any, b: Any) -> Any:
    if b == 0:
        return a - a
    r = abs(a) - (abs(a) // abs(b)) * abs(b)
    return -r if a < 0 else r


@scalar("f")
def ldexp(x: Any, n: Any) -> Any:
    half = n // 2  # the power itself may overflow
    return x * math.pow(2.0, half) * math.pow(2.0, n - half)


@scalar("i")
def gcd(a: Any, b: Any) -> Any:
    a, b = abs(a), abs(b)
    while b != 0:
        a, b = b, a - (a // b) * b
    return a


@scalar("u", "gcd")
def gcd_of_unsigned(a: Any, b: Any) -> Any:
    while b != 0:
        a, b = b, a - a // b * b
    return a


@scalar("u", "lcm")
def lcm_of_unsigned(a: Any, b: Any) -> Any:
    d = gcd_of_unsigned(a, b)
    return d if d == 0 else a // d * b


@scalar("i")
def lcm(a: Any, b: Any) -> Any:
    d = gcd(a, b)
    return d if d == 0 else abs(a) // d * abs(b)


@scalar("f")
def maximum(a: Any, b: Any) -> Any:
    return a if a >= b or a != a else b


@scalar("f")
def minimum(a: Any, b: Any) -> Any:
    return a if a <= b or a != a else b


@scalar("f")
def fmax(a: Any, b: Any) -> Any:
    return a if a >= b or b != b else b


@scalar("f")
def fmin(a: Any, b: Any) -> Any:
    return a if a <= b or b != b else b


@scalar("i", "maximum", "fmax")
def maximum_of_integers(a: Any, b: Any) -> Any:
    return max(a, b)


@scalar("i", "minimum", "fmin")
def minimum_of_integers(a: Any, b: Any) -> Any:
    return min(a, b)


@scalar("f")
def clip(x: Any, low: Any, high: Any) -> Any:
    return minimum(maximum(x, low), high)


@scalar("i", "clip")
def clip_integers(x: Any, low: Any, high: Any) -> Any:
    return min(max(x, low), high)
