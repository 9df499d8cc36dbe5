"""SciPy's functions that cannot see tensors by themselves, for tensors; the others are SciPy's own.

`scipy.special`'s ufuncs, and sparse matrices in products, work on tensors as they are. The modules of
`tapegrad.scipy` add the functions that convert their arguments to arrays, and the solvers, whose results they
differentiate.
"""

from __future__ import annotations

import importlib
from typing import Any

MODULES = ("integrate", "interpolate", "linalg", "optimize", "signal", "sparse", "special", "stats")


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"tapegrad.scipy has no {name!r}: it has {', '.join(MODULES)}")


def __dir__() -> list[str]:
    return sorted(MODULES)
