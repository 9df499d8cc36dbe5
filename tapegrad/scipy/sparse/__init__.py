"""`scipy.sparse` for tensors: matrices are SciPy's own, and constants; `linalg` has solvers for tensors.

Products need nothing of this: ``A @ x``, ``A.T @ x`` and ``x @ A`` of a plain `scipy.sparse` array or matrix and a
tensor are tensors.
"""

from __future__ import annotations

import importlib
from typing import Any

import scipy.sparse as _sparse


def __getattr__(name: str) -> Any:
    if name == "linalg":
        return importlib.import_module(f"{__name__}.linalg")
    return getattr(_sparse, name)
