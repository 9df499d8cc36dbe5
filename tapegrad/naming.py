"""Where a name of PyTorch's is, if it is not in `tapegrad` itself: for the message that it is missing."""

from __future__ import annotations

import functools
import importlib

from .catalogue import support

__all__ = ["elsewhere"]

OTHER_NAMES = {
    "bmm": "matmul", "cat": "concatenate", "clamp": "clip", "eq": "equal", "ge": "greater_equal", "gt": "greater",
    "le": "less_equal", "lt": "less", "mm": "matmul", "mul": "multiply", "mv": "matmul", "ne": "not_equal",
    "neg": "negative", "norm": "linalg.norm", "permute": "transpose", "sub": "subtract", "unsqueeze": "expand_dims",
}  # fmt: skip
"""NumPy's functions that PyTorch calls otherwise."""


@functools.cache
def elsewhere(name: str) -> str:
    """The end of a message: what to write for a name that is missing; empty where nothing is known of it."""
    if name.startswith("_"):
        return ""
    known = OTHER_NAMES.get(name, name)
    if name in OTHER_NAMES or f"numpy.{name}: supported" in support(name):
        return f": functions are NumPy's, write np.{known}(...), which takes tensors"
    if name in ("optim", "Module"):
        return ": there are no modules and optimisers, a step is a few lines (docs/guides/eager.md)"
    functional = importlib.import_module("tapegrad.nn.functional")
    if name in functional.__all__:
        return f": write tapegrad.nn.functional.{name}"
    return ""
