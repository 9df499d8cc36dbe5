"""Subclasses of arrays whose operators mean something else than those of arrays: they do not become tensors unsaid."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["refuse_masked", "refuse_other_algebra"]


def refuse_other_algebra(operand: Any) -> None:
    """Refuse a matrix and a masked array as an operand or an argument.

    Raises
    ------
    TypeError
        A message that says what to use.
    """
    if isinstance(operand, np.matrix):
        raise TypeError(
            f"numpy.matrix, whose * is the matrix product, does not go together with tensors; this one has shape "
            f"{operand.shape}. Use np.asarray(m), and @ for products"
        )
    refuse_masked(operand)


def refuse_masked(operand: Any) -> None:
    """Refuse a masked array, whose mask would be dropped.

    Raises
    ------
    TypeError
        A message that says what to use.
    """
    masked = sys.modules.get("numpy.ma")  # if nobody has imported it, there are none
    if masked is not None and isinstance(operand, masked.MaskedArray):
        raise TypeError(
            f"numpy.ma.MaskedArray does not go together with tensors, which have no masks; this one has shape "
            f"{operand.shape}. Use m.filled(0.0), or what is not masked: x[~np.ma.getmaskarray(m)]"
        )
