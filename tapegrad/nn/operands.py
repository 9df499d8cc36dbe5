"""What the functions of this package do to their arguments: common dtypes, and lengths for two axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import lift

__all__ = ["lifted", "pair", "reduced"]


def lifted(*operands: Any) -> list[Any]:
    """Operands as tensors of one floating dtype; those that are None stay so."""
    tensors = [None if x is None else lift(x) for x in operands]
    dtypes = [t._spec.dtype for t in tensors if t is not None]
    dtype = dtypes[0]
    if dtypes.count(dtype) == len(dtypes) and dtype.kind not in "biu":
        return tensors
    dtype = np.result_type(*dtypes)
    if dtype.kind in "biu":
        dtype = np.dtype(float)
    return [None if t is None else lift(t, dtype) for t in tensors]


def pair(value: Any, name: str) -> tuple[int, int]:
    """One length for both axes, or two."""
    if isinstance(value, (int, np.integer)):
        return int(value), int(value)
    made = tuple(int(v) for v in value)
    if len(made) == 1:
        made *= 2
    if len(made) != 2:
        raise ValueError(f"{name} must be one number or two, not {value!r}")
    return made[0], made[1]


def reduced(losses: Any, reduction: str) -> Any:
    """The mean, the sum, or the losses themselves."""
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses
    raise ValueError(f"{reduction} is not a valid value for reduction: use 'mean', 'sum' or 'none'")
