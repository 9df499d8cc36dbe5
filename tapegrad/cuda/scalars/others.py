"""Scalar functions of records that are no ufuncs."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .registry import scalar


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
