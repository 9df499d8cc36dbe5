"""Scalar functions of NumPy's ufuncs: one Python function each, compiled for the device and for the CPU alike.

They use `math` and operators only, as both compilers and the stepper know them. A function stands under the name of
its record and the kinds of dtype that it is right for (``f``: real floating, ``c``: complex, ``i``: integers,
``b``: bool).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .toolchain import math

__all__ = ["SCALARS", "scalar"]

SCALARS: dict[tuple[str, str], Callable] = {}
"""Functions by record and kind of dtype."""

PI = 3.141592653589793
LN2 = 0.6931471805599453
LN10 = 2.302585092994046


def scalar(kinds: str, *names: str) -> Callable:
    """Register a function under kinds of dtype, and records' names if its own is none."""

    def register(function: Callable) -> Callable:
        for name in names or (function.__name__.strip("_"),):
            for kind in kinds:
                SCALARS[name, kind] = function
        return function

    return register


def truncated(a: Any, b: Any) -> Any:
    """Remainder with the dividend's sign; Numba has it for the CPU under another name, see `toolchain.on_cpu`."""
    return math.fmod(a, b)


# --- arithmetic ------------------------------------------------------------------------------------------------------


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


# --- comparisons, logic, bits, rounding ------------------------------------------------------------------------------


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


# --- extrema ---------------------------------------------------------------------------------------------------------


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


# --- exponentials and logarithms -------------------------------------------------------------------------------------


@scalar("f")
def exp(x: Any) -> Any:
    return math.exp(x)


@scalar("f")
def exp2(x: Any) -> Any:
    return math.pow(2.0, x)


@scalar("f")
def expm1(x: Any) -> Any:
    return math.expm1(x)


@scalar("f")
def log(x: Any) -> Any:
    return math.log(x)


@scalar("f")
def log2(x: Any) -> Any:
    return math.log2(x)


@scalar("f")
def log10(x: Any) -> Any:
    return math.log10(x)


@scalar("f")
def log1p(x: Any) -> Any:
    return math.log1p(x)


@scalar("f")
def logaddexp(a: Any, b: Any) -> Any:
    if a == b:
        return a + LN2
    d = a - b
    if d > 0.0:
        return a + math.log1p(math.exp(-d))
    if d <= 0.0:
        return b + math.log1p(math.exp(d))
    return d


@scalar("f")
def logaddexp2(a: Any, b: Any) -> Any:
    if a == b:
        return a + 1.0
    d = a - b
    if d > 0.0:
        return a + math.log1p(math.pow(2.0, -d)) / LN2
    if d <= 0.0:
        return b + math.log1p(math.pow(2.0, d)) / LN2
    return d


# --- trigonometric and hyperbolic functions --------------------------------------------------------------------------


@scalar("f")
def sin(x: Any) -> Any:
    return math.sin(x)


@scalar("f")
def cos(x: Any) -> Any:
    return math.cos(x)


@scalar("f")
def tan(x: Any) -> Any:
    return math.tan(x)


@scalar("f")
def arcsin(x: Any) -> Any:
    return math.asin(x)


@scalar("f")
def arccos(x: Any) -> Any:
    return math.acos(x)


@scalar("f")
def arctan(x: Any) -> Any:
    return math.atan(x)


@scalar("f")
def arctan2(a: Any, b: Any) -> Any:
    return math.atan2(a, b)


@scalar("f")
def hypot(a: Any, b: Any) -> Any:
    return math.hypot(a, b)


@scalar("f", "deg2rad", "radians")
def deg2rad(x: Any) -> Any:
    return x * (PI / 180.0)


@scalar("f", "rad2deg", "degrees")
def rad2deg(x: Any) -> Any:
    return x * (180.0 / PI)


@scalar("f")
def sinc(x: Any) -> Any:
    y = PI * (1e-20 if x == 0.0 else x)
    return math.sin(y) / y


@scalar("f")
def sinh(x: Any) -> Any:
    return math.sinh(x)


@scalar("f")
def cosh(x: Any) -> Any:
    return math.cosh(x)


@scalar("f")
def tanh(x: Any) -> Any:
    return math.tanh(x)


@scalar("f")
def arcsinh(x: Any) -> Any:
    return math.asinh(x)


@scalar("f")
def arccosh(x: Any) -> Any:
    return math.acosh(x)


@scalar("f")
def arctanh(x: Any) -> Any:
    return math.atanh(x)


# --- complex numbers -------------------------------------------------------------------------------------------------


@scalar("c")
def conjugate(x: Any) -> Any:
    return x.conjugate()


@scalar("fi", "conjugate")
def conjugate_of_real(x: Any) -> Any:
    return x


@scalar("c", "sign")
def sign_of_complex(x: Any) -> Any:
    r = math.hypot(x.real, x.imag)
    return x if r == 0.0 else x / r


@scalar("c", "exp")
def exp_of_complex(x: Any) -> Any:
    r = math.exp(x.real)
    return complex(r * math.cos(x.imag), r * math.sin(x.imag))


@scalar("c", "log")
def log_of_complex(x: Any) -> Any:
    return complex(math.log(math.hypot(x.real, x.imag)), math.atan2(x.imag, x.real))


@scalar("c", "sqrt")
def sqrt_of_complex(x: Any) -> Any:
    r = math.hypot(x.real, x.imag)
    if r == 0.0:
        return x
    t = math.sqrt(0.5 * (r + math.fabs(x.real)))
    if x.real >= 0.0:
        return complex(t, 0.5 * x.imag / t)
    return complex(0.5 * math.fabs(x.imag) / t, math.copysign(t, x.imag))


@scalar("c", "sin")
def sin_of_complex(x: Any) -> Any:
    return complex(math.sin(x.real) * math.cosh(x.imag), math.cos(x.real) * math.sinh(x.imag))


@scalar("c", "cos")
def cos_of_complex(x: Any) -> Any:
    return complex(math.cos(x.real) * math.cosh(x.imag), -math.sin(x.real) * math.sinh(x.imag))


@scalar("c", "sinh")
def sinh_of_complex(x: Any) -> Any:
    return complex(math.sinh(x.real) * math.cos(x.imag), math.cosh(x.real) * math.sin(x.imag))


@scalar("c", "cosh")
def cosh_of_complex(x: Any) -> Any:
    return complex(math.cosh(x.real) * math.cos(x.imag), math.sinh(x.real) * math.sin(x.imag))


# --- records that are no ufuncs --------------------------------------------------------------------------------------


@scalar("fcib")
def where(condition: Any, a: Any, b: Any) -> Any:
    return a if condition else b


@scalar("f")
def relu(x: Any) -> Any:
    return x if x > 0.0 or x != x else x - x


@scalar("i", "relu")
def relu_of_integers(x: Any) -> Any:
    return max(x, 0)


@scalar("f", "sigmoid", "expit")
def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + math.exp(-x))


@scalar("f")
def silu(x: Any) -> Any:
    return x / (1.0 + math.exp(-x))


@scalar("f")
def gelu(x: Any) -> Any:
    return x * (0.5 * (1.0 + math.erf(x * 0.7071067811865476)))


@scalar("fcib")
def copy(x: Any) -> Any:
    return x


@scalar("fci")
def truth(x: Any) -> Any:
    return x != 0


@scalar("i")
def wrapped(index: Any, length: Any) -> Any:
    """A place that counts from the end where it is negative; -2**40 where it is outside."""
    at = index + length if index < 0 else index
    return at if 0 <= at < length else -1099511627776


@scalar("i")
def scaled(index: Any, step: Any) -> Any:
    """An index as a part of a flat place; one that is outside stays outside."""
    return index if index < 0 else index * step


@scalar("f")
def exponent(x: Any) -> Any:
    if x == 0.0 or not math.isfinite(x):
        return 0
    e = int(math.floor(math.log2(math.fabs(x)))) + 1  # right, or one off next to a power of two
    size = math.fabs(x) * math.pow(2.0, -e // 2) * math.pow(2.0, -e - (-e // 2))
    return e + 1 if size >= 1.0 else e - 1 if size < 0.5 else e


@scalar("c", "real")
def real_of_complex(x: Any) -> Any:
    return x.real


@scalar("c", "imag")
def imag_of_complex(x: Any) -> Any:
    return x.imag


@scalar("fib", "real")
def real_of_real(x: Any) -> Any:
    return x
