"""The shape of operands that are broadcast together."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError

__all__ = ["broadcast_shapes"]


def broadcast_shapes(primitive, shapes):
    """The common shape, or an error that shows the operands' shapes."""
    if len(shapes) == 1:
        return shapes[0]
    if shapes[0] == shapes[1] and len(shapes) == 2:
        return shapes[0]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{primitive.name}: operands could not be broadcast together with shapes "
            f"{', '.join(str(s) for s in shapes)}{_mismatch(shapes)}"
        ) from None


def _mismatch(shapes):
    """Which lengths of two shapes differ, in PyTorch's words."""
    if len(shapes) != 2:
        return ""
    a, b = shapes
    for d in range(1, min(len(a), len(b)) + 1):
        if a[-d] != b[-d] and 1 not in (a[-d], b[-d]):
            return (
                f": The size of tensor a ({a[-d]}) must match the size of tensor b ({b[-d]}) at non-singleton "
                f"dimension {max(len(a), len(b)) - d}"
            )
    return ""
