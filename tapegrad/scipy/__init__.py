"""SciPy's functions that cannot see tensors by themselves, for tensors; the others are SciPy's own.

`scipy.special`'s ufuncs work on tensors as they are. `tapegrad.scipy.special`, `linalg`, `stats` and `signal` add the
functions that convert their arguments to arrays.
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("integrate", "interpolate", "linalg", "optimize", "signal", "sparse", "special", "stats"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"tapegrad.scipy has no {name!r}: it has linalg, signal, special and stats")
