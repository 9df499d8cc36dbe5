"""Elementwise primitives as LLVM instructions on numbers, which are scalars or have a value for each lane.

A vector's functions are glibc's libmvec, within 4 ulp, called by address, but for `exponential`; a scalar's are the C
library's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...vm.simd import vector_function
from .exponential import write_exp

__all__ = ["FUNCTIONS", "WRITTEN_OUT", "available", "convert", "is_called", "is_rounded"]

FUNCTIONS: dict[str, Callable] = {}
"""By the primitive's name: ``function(body, *numbers) -> Number``."""


WRITTEN_OUT = frozenset(["exp", "sigmoid", "expit"])
"""Functions that may be no call, but many instructions."""


def _function(*names: str) -> Callable:
    def register(function: Callable) -> Callable:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return register


def convert(body: Any, x: Any, char: str) -> Any:
    """A number in another type, as C converts it."""
    if x.char == char:
        return x
    if char == "?":
        return body.compare("une" if x.char in "df" else "ne", x, body.constant(0, x.char))
    if x.char == "?":
        return body.cast("uitofp" if char in "df" else "zext", x, char)
    if x.char in "df" and char in "df":
        return body.cast("fpext" if char == "d" else "fptrunc", x, char)
    if char in "df":
        return body.cast("sitofp", x, char)
    return body.cast("fptosi", x, char)


# --- arithmetic -----------------------------------------------------------------------------------------------------


@_function("add")
def add(body, x, y):
    if body.is_zero(x):  # nothing was placed there
        return y
    if body.is_zero(y):
        return x
    return body.arithmetic("add", x, y)


@_function("subtract")
def subtract(body, x, y):
    if body.is_zero(y):
        return x
    return body.arithmetic("sub", x, y)


@_function("multiply")
def multiply(body, x, y):
    return body.arithmetic("mul", x, y)


@_function("divide")
def divide(body, x, y):
    return body.arithmetic("div", x, y)


@_function("negative")
def negative(body, x):
    return body.negate(x)


@_function("positive", "copy", "real", "conjugate")
def positive(body, x):
    return x


@_function("square")
def square(body, x):
    return body.arithmetic("mul", x, x)


@_function("reciprocal")
def reciprocal(body, x):
    return body.arithmetic("div", body.constant(1.0, x.char), x)


@_function("power")
def power(body, x, y):
    exponent = body.literal(y)
    if exponent == 2.0:
        return square(body, x)
    if exponent == 3.0:
        return multiply(body, square(body, x), x)
    if exponent == 0.5:
        return body.intrinsic("sqrt", x)
    if exponent == 1.0:
        return x
    if exponent == -1.0:
        return reciprocal(body, x)
    return body.call("pow", x, y)


for _name, _intrinsic in {
    "absolute": "fabs",
    "fabs": "fabs",
    "sqrt": "sqrt",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "rint": "rint",
    "maximum": "maximum",
    "minimum": "minimum",
    "copysign": "copysign",
}.items():

    def _by_intrinsic(body, *numbers, name=_intrinsic):
        return body.intrinsic(name, *numbers)

    FUNCTIONS[_name] = _by_intrinsic


@_function("sign")
def sign(body, x):
    zero = body.constant(0.0, x.char)
    one = body.intrinsic("copysign", body.constant(1.0, x.char), x)
    return body.select(body.compare("one", x, zero), one, x)


@_function("deg2rad", "radians")
def deg2rad(body, x):
    return multiply(body, x, body.constant(math.pi / 180, x.char))


@_function("rad2deg", "degrees")
def rad2deg(body, x):
    return multiply(body, x, body.constant(180 / math.pi, x.char))


# --- comparisons and choices ------------------------------------------------------------------------------------------


for _name, (_ordered, _signed) in {
    "less": ("olt", "slt"),
    "less_equal": ("ole", "sle"),
    "greater": ("ogt", "sgt"),
    "greater_equal": ("oge", "sge"),
    "equal": ("oeq", "eq"),
    "not_equal": ("une", "ne"),
}.items():

    def _by_comparison(body, x, y, names=(_ordered, _signed)):
        return body.compare(names[x.char not in "df"], x, y)

    FUNCTIONS[_name] = _by_comparison


@_function("isnan")
def isnan(body, x):
    return body.compare("uno", x, x)


@_function("isinf")
def isinf(body, x):
    return body.compare("oeq", body.intrinsic("fabs", x), body.constant(math.inf, x.char))


@_function("isfinite")
def isfinite(body, x):
    return body.compare("olt", body.intrinsic("fabs", x), body.constant(math.inf, x.char))


@_function("logical_and")
def logical_and(body, x, y):
    return body.bitwise("and", convert(body, x, "?"), convert(body, y, "?"))


@_function("logical_or")
def logical_or(body, x, y):
    return body.bitwise("or", convert(body, x, "?"), convert(body, y, "?"))


@_function("logical_not")
def logical_not(body, x):
    return body.bitwise("xor", convert(body, x, "?"), body.constant(1, "?"))


@_function("where")
def where(body, condition, x, y):
    return body.select(convert(body, condition, "?"), x, y)


@_function("share")
def share(body, x, y, bar):
    """The cotangent of x, where the greater one is the result: half of it where they tie."""
    half = body.arithmetic("mul", body.constant(0.5, bar.char), bar)
    whole = body.select(body.compare("oeq", x, y), half, bar)
    return body.select(body.compare("olt", x, y), body.constant(0.0, bar.char), whole)


# --- functions of the C library ----------------------------------------------------------------------------------

_C_NAMES = {
    **{name: name for name in ("exp2", "expm1", "log", "log2", "log1p", "sin", "cos", "tan", "sinh", "cosh")},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{"tanh": "tanh", "erf": "erf", "erfc": "erfc", "arctan2": "atan2", "hypot": "hypot"},
}

for _name, _c_name in _C_NAMES.items():

    def _by_call(body, *numbers, name=_c_name):
        return body.call(name, *numbers)

    FUNCTIONS[_name] = _by_call


@_function("exp")
def exp(body, x):
    return write_exp(body, x) if body.writes_out and x.wide and x.char == "d" else body.call("exp", x)


@_function("sigmoid", "expit")
def expit(body, x):
    """1 / (1 + exp(-x)), as SciPy computes it: 0 where exp(-x) overflows."""
    one = body.constant(1.0, x.char)
    return divide(body, one, body.arithmetic("add", one, exp(body, body.negate(x))))


_CALLED = {**_C_NAMES, **dict.fromkeys(WRITTEN_OUT, "exp"), "power": "pow"}


def is_called(name: str) -> bool:
    """Whether a primitive takes a call of the C library or its vector library."""
    return name in _CALLED


def is_rounded(name: str) -> bool:
    """Whether a primitive has one right result for each number, so that it is the same bits here and in NumPy."""
    return name in FUNCTIONS and name not in _CALLED


def available(name: str, char: str) -> bool:
    """Whether a primitive's numbers of that type can be computed here."""
    return name in FUNCTIONS and (name not in _CALLED or vector_function(_CALLED[name], char) is not None)
