"""The number of elements, which is NumPy's ``x.size`` and answers PyTorch's ``x.size()``."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["Size"]


class Size(int):
    """Number of elements, as NumPy's ``x.size``; called, it is PyTorch's ``x.size()``: the shape or one length."""

    shape: tuple[int, ...]

    def __new__(cls, shape: tuple[int, ...]) -> Size:
        """The size of an array of that shape."""
        made = super().__new__(cls, math.prod(shape))
        made.shape = shape
        return made

    def __call__(self, dim: int | None = None) -> Any:
        """The shape, or the length of one axis."""
        if dim is None:
            return self.shape
        ndim = max(len(self.shape), 1)
        if not self.shape or not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})"
            )
        return self.shape[dim]

    def __reduce__(self) -> tuple:
        return Size, (self.shape,)
