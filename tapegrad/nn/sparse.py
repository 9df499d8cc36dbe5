"""Looking things up by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import lift, ops
from ..tape.handle import Tensor
from ..values import value_of

__all__ = ["embedding", "one_hot"]


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """Rows of a table.

    Parameters
    ----------
    input : (...) of integers
        Row numbers.
    weight : (V, D)
    padding_idx : int, optional
        A row that gets no gradient.

    Returns
    -------
    Tensor of shape (..., D)
    """
    table, index = lift(weight), lift(input)
    if index._spec.dtype.kind not in "iu":
        raise RuntimeError(f"embedding: expected indices of an integer dtype, and got {index._spec.dtype}")
    rows = table._spec.shape[0]
    if index._tape is None or not index._tape.tracing:
        values = value_of(index)
        if values.size and (values.min() < 0 or values.max() >= rows):
            raise IndexError(f"index out of range in self: from {values.min()} to {values.max()}, of {rows} rows")
    found = table[index]
    if padding_idx is None:
        return found
    padding_idx = padding_idx + rows if padding_idx < 0 else padding_idx
    return ops.where(ops.equal(index, padding_idx).unsqueeze(-1), found.detach(), found)


def one_hot(input: Any, num_classes: int = -1) -> Tensor:
    """Vectors of zeros with a one at the given places."""
    index = value_of(lift(input))
    if index.size and index.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    most = int(index.max()) + 1 if index.size else 0
    n = most if num_classes == -1 else num_classes
    if most > n:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return lift((index[..., None] == np.arange(n)).astype(np.int64))
