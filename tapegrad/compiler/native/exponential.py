"""The exponential of all lanes, written out: at a call of glibc's every register would go to memory and come back.

x = k log 2 + r, |r| <= log(2) / 2, so that exp x = 2^k exp r. The reduction is Cody and Waite's, with log 2 in two
parts, of which the first one's products with whole numbers are exact; exp r is its Taylor polynomial of degree 13,
whose next term is 4e-18, summed in pairs (Estrin). The result is within 1.1 ulp; what is too large, too small or NaN
is as it is in the C library.
"""

from __future__ import annotations

import math
import struct
from typing import Any

__all__ = ["write_exp"]

MAGIC = 1.5 * 2.0**52
"""Adding it rounds to a whole number, which then stands in the low bits."""
LOG2_HIGH, LOG2_LOW = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
BEYOND = 1000.0
"""Where exp is infinite, and at its negative zero."""
DEGREE = 13
EXPONENT_BITS, EXPONENT_BIAS = 52, 1023


def write_exp(body: Any, x: Any) -> Any:
    """The exponential of a float64 number."""

    def number(value: float) -> Any:
        return body.constant(value, "d")

    def plus_product(start: Any, a: Any, b: Any) -> Any:
        return body.arithmetic("add", body.arithmetic("mul", a, b), start)

    x = body.select(body.compare("ogt", x, number(BEYOND)), number(BEYOND), x)  # a NaN stays one
    x = body.select(body.compare("olt", x, number(-BEYOND)), number(-BEYOND), x)
    shifted = plus_product(number(MAGIC), x, number(1 / math.log(2)))
    k = body.arithmetic("sub", shifted, number(MAGIC))
    r = plus_product(x, k, number(-LOG2_HIGH))
    r = plus_product(r, k, number(-LOG2_LOW))
    square = body.arithmetic("mul", r, r)
    terms = [number(1 / math.factorial(n)) for n in range(2, DEGREE + 1)]
    power = r
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        terms = [plus_product(a, b, power) for a, b in pairs] + terms[len(terms) & ~1 :]
        power = body.arithmetic("mul", power, power)
    of_rest = body.arithmetic("add", number(1.0), plus_product(r, square, terms[0]))
    half = plus_product(number(MAGIC), k, number(0.5))  # 2^k itself need not be a number
    first = _whole(body, half)
    second = body.arithmetic("sub", _whole(body, shifted), first)
    scaled = body.arithmetic("mul", of_rest, _power_of_two(body, first))
    return body.arithmetic("mul", scaled, _power_of_two(body, second))


def _whole(body: Any, shifted: Any) -> Any:
    """The whole number in a sum with `MAGIC`."""
    (bits,) = struct.unpack("q", struct.pack("d", MAGIC))
    return body.arithmetic("sub", body.cast("bitcast", shifted, "l"), body.constant(bits, "l"))


def _power_of_two(body: Any, k: Any) -> Any:
    biased = body.arithmetic("add", k, body.constant(EXPONENT_BIAS, "l"))
    return body.cast("bitcast", body.bitwise("shl", biased, body.constant(EXPONENT_BITS, "l")), "d")
