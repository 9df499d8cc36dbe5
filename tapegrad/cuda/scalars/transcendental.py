"""Exponentials, logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .registry import LN2, PI, scalar


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
