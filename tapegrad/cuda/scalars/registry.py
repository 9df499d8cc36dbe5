"""The table of scalar functions, and what those of `scipy.special` need besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import toolchain
from ..toolchain import math

__all__ = [
    "DIGITS", "DOUBLE", "LN2", "LN10", "PI", "SCALARS", "SCALES", "filled", "precision", "scalar", "special",
    "truncated",
]  # fmt: skip

SCALARS: dict[tuple[str, str], Callable] = {}
"""Functions by record and kind of dtype."""
DOUBLE: set[str] = set()
"""Records whose functions are called in double precision for every real dtype: their series need its digits."""
DIGITS: dict[str, float] = {}
"""How many units in the last place a record's function may be off, where that is more than a few."""
SCALES: dict[str, float] = {"sinc": 1.0}
"""Size of the terms of functions that are differences of larger numbers."""

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


def special(*names: str, digits: float = 0.0, scale: float = 0.0) -> Callable:
    """Register a function that works in double precision for every real dtype.

    Parameters
    ----------
    *names : str
        Records, if the function's own name is none.
    digits, scale : float
        Rows of `DIGITS` and `SCALES`.
    """

    def register(function: Callable) -> Callable:
        for name in names or (function.__name__.strip("_"),):
            SCALARS[name, "f"] = function
            DOUBLE.add(name)
            if digits:
                DIGITS[name] = digits
            if scale:
                SCALES[name] = scale
        return function

    return register


def precision(name: str) -> float:
    """How many units in the last place a record may be off from the host's, where NumPy or SciPy computes it."""
    return DIGITS.get(name) or DIGITS.get(f"{name} 0", 64.0)


def filled(template: Callable, **names: Any) -> Any:
    """A copy of a function in which other functions and numbers stand for some of its global names."""
    return toolchain.build(template, lambda copy: copy, names)


def truncated(a: Any, b: Any) -> Any:
    """Remainder with the dividend's sign; Numba has it for the CPU under another name, see `toolchain.on_cpu`."""
    return math.fmod(a, b)
