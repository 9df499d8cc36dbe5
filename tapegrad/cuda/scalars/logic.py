"""Comparisons, logic, bits and rounding."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .others import exponent
from .registry import scalar


@scalar("fib")
def less(a: Any, b: Any) -> Any:
    return a < b


@scalar("fib")
def less_equal(a: Any, b: Any) -> Any:
    return a <= b


@scalar("fib")
def greater(a: Any, b: Any) -> Any:
    return a > b


@scalar("fib")
def greater_equal(a: Any, b: Any) -> Any:
    return a >= b


@scalar("fcib")
def equal(a: Any, b: Any) -> Any:
    return a == b


@scalar("fcib", "not_equal")
def not_equal(a: Any, b: Any) -> Any:
    return a != b


@scalar("b", "logical_xor", "bitwise_xor")
def differ(a: Any, b: Any) -> Any:
    return a != b


@scalar("fci")
def logical_and(a: Any, b: Any) -> Any:
    return a != 0 and b != 0


@scalar("fci")
def logical_or(a: Any, b: Any) -> Any:
    return a != 0 or b != 0


@scalar("fci")
def logical_xor(a: Any, b: Any) -> Any:
    return (a != 0) != (b != 0)


@scalar("fci")
def logical_not(x: Any) -> Any:
    return x == 0


@scalar("b", "logical_not", "invert")
def not_(x: Any) -> Any:
    return not x


@scalar("f")
def isnan(x: Any) -> Any:
    return x != x


@scalar("c", "isnan")
def isnan_of_complex(x: Any) -> Any:
    return x.real != x.real or x.imag != x.imag


@scalar("f")
def isinf(x: Any) -> Any:
    return math.isinf(x)


@scalar("c", "isinf")
def isinf_of_complex(x: Any) -> Any:
    return math.isinf(x.real) or math.isinf(x.imag)


@scalar("f")
def isfinite(x: Any) -> Any:
    return math.isfinite(x)


@scalar("c", "isfinite")
def isfinite_of_complex(x: Any) -> Any:
    return math.isfinite(x.real) and math.isfinite(x.imag)


@scalar("ib", "isnan", "isinf")
def never(x: Any) -> Any:
    return x != x


@scalar("ib", "isfinite")
def always(x: Any) -> Any:
    return x == x


@scalar("f")
def signbit(x: Any) -> Any:
    return math.copysign(1.0, x) < 0.0


@scalar("i")
def bitwise_and(a: Any, b: Any) -> Any:
    return a & b


@scalar("i")
def bitwise_or(a: Any, b: Any) -> Any:
    return a | b


@scalar("i")
def bitwise_xor(a: Any, b: Any) -> Any:
    return a ^ b


@scalar("i")
def invert(x: Any) -> Any:
    return ~x


@scalar("i")
def left_shift(a: Any, b: Any) -> Any:
    return a << b


@scalar("i")
def right_shift(a: Any, b: Any) -> Any:
    return a >> b


@scalar("i")
def bitwise_count(x: Any) -> Any:
    x = abs(x)
    count = 0
    while x != 0:
        x = x & (x - 1)
        count += 1
    return count


@scalar("u", "bitwise_count")
def bitwise_count_of_unsigned(x: Any) -> Any:
    count = 0
    while x != 0:
        x = x & (x - x // x)  # less 1, which by itself is signed: the difference would be a floating number
        count += 1
    return count


@scalar("f")
def floor(x: Any) -> Any:
    return x if math.fabs(x) >= 4503599627370496.0 or x != x else math.copysign(math.floor(x) * 1.0, x)


@scalar("f")
def ceil(x: Any) -> Any:
    return x if math.fabs(x) >= 4503599627370496.0 or x != x else math.copysign(math.ceil(x) * 1.0, x)


@scalar("f")
def trunc(x: Any) -> Any:
    return math.copysign(floor(math.fabs(x)), x)


@scalar("f")
def rint(x: Any) -> Any:
    size = math.fabs(x)
    if size >= 4503599627370496.0 or x != x:
        return x
    r = floor(size)
    over = size - r
    if over > 0.5 or (over == 0.5 and r - 2.0 * floor(0.5 * r) == 1.0):
        r += 1.0
    return math.copysign(r, x)


@scalar("ib", "floor", "ceil", "trunc")
def whole(x: Any) -> Any:
    return x


@scalar("f")
def heaviside(x: Any, h: Any) -> Any:
    if x > 0.0:
        return 1.0
    if x < 0.0:
        return 0.0
    return h if x == 0.0 else x


@scalar("f")
def copysign(a: Any, b: Any) -> Any:
    return math.copysign(a, b)


# --- neighbours ------------------------------------------------------------------------------------------------------


def ulp(size: Any) -> Any:
    """Distance from a finite number that is not negative to the next larger one."""
    wide = 1e-300 > 0.0  # not in the copy for single precision, where that is no number but 0
    digits = 53 if wide else 24
    least = -1074 if wide else -149
    power = exponent(size) - digits if size > 0.0 else least
    power = power if power > least else least
    half = power // 2  # the power itself may be too small for a factor
    return math.pow(2.0, half) * math.pow(2.0, power - half)


@scalar("f")
def spacing(x: Any) -> Any:
    size = math.fabs(x)
    step = ulp(size) if math.isfinite(x) else math.nan
    step = step if size + step < math.inf or step != step else math.inf
    return -step if x < 0.0 else step


@scalar("f")
def nextafter(a: Any, b: Any) -> Any:
    if a != a or b != b or a == b:
        return a + b if a != b else b
    if a == 0.0:
        return math.copysign(ulp(a), b)
    size = math.fabs(a)
    if (a < b) == (a > 0.0):
        return math.copysign(size + ulp(size), a)
    if math.isinf(a):
        bits, power = (52, 1023) if 1e-300 > 0.0 else (23, 127)
        return math.copysign((2.0 - math.pow(2.0, -bits)) * math.pow(2.0, power), a)
    step = ulp(size)
    below = size - 0.5 * step  # a power of two has a nearer neighbour below
    return math.copysign(below if 0.0 < size - below < step else size - step, a)
