"""Scalar functions of SciPy's special functions."""

from __future__ import annotations

__all__ = ["DIGITS", "DOUBLE", "SCALES", "load"]

DOUBLE: set = set()
"""Records whose functions work in double precision for every dtype: their series need its digits."""
DIGITS: dict = {}
"""How many units in the last place a record's function may be off, where that is more than a few."""
SCALES: dict = {"sinc": 1.0}
"""Size of the terms of functions that are differences of larger numbers."""


def load() -> None:
    """Register the functions."""
