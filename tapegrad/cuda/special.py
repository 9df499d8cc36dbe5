"""Scalar functions of SciPy's special functions."""

from __future__ import annotations

DOUBLE: set = set()
"""Records whose functions work in double precision for every dtype: their series need its digits."""


def load() -> None:
    """Register the functions."""
