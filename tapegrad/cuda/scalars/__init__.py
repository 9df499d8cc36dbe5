"""Scalar functions of ufuncs: one Python function each, compiled for the device and for the CPU alike.

They use `math` and operators only, as both compilers and the stepper know them. A function stands under the name of
its record and the kinds of dtype that it is right for (``f``: real floating, ``c``: complex, ``i``: integers,
``b``: bool). Those of `scipy.special` that need double precision have it at every real dtype.

All are written from published formulas: the numbers of equations are those of the Digital Library of Mathematical
Functions (DLMF, https://dlmf.nist.gov) and of M. Abramowitz, I. A. Stegun, "Handbook of Mathematical Functions" (A&S).
"""

from __future__ import annotations

import importlib

from .arithmetic import add, both, either, floor_divide, fmod, maximum, minimum, multiply, remainder
from .others import truth
from .registry import DIGITS, DOUBLE, SCALARS, SCALES, precision, truncated

__all__ = [
    "DIGITS",
    "DOUBLE",
    "FAMILIES",
    "SCALARS",
    "SCALES",
    "add",
    "both",
    "either",
    "floor_divide",
    "fmod",
    "maximum",
    "minimum",
    "multiply",
    "precision",
    "remainder",
    "truncated",
    "truth",
]

FAMILIES = (
    "logic", "transcendental", "complex_numbers", "logarithmic", "normal", "gammas", "incomplete", "distributions",
    "searching", "noncentral", "chances", "integrals", "bessel", "bessel_integrals", "waves", "elliptic",
    "hypergeometric", "polynomials", "faddeeva",
)  # fmt: skip
"""Modules whose functions are registered besides those that are imported above."""

for _name in FAMILIES:
    importlib.import_module(f".{_name}", __package__)
