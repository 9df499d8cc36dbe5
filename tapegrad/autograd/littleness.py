"""Whether what a call of a `Function` holds on to is small, so that it may live between the rows of a tape."""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from ..tape.handle import Tensor
from ..tape.signature import DEFER_BYTES

__all__ = ["keeps_little"]

MOST_KEPT = 4096
"""Bytes of an array among a context's attributes beyond which its call does not wait for a tape to end."""
_LITTLE = {int, float, complex, bool, str, type(None), type, types.FunctionType, np.dtype}


def keeps_little(ctx: Any) -> bool:
    """Whether what a context holds on to is small: calls between rows live as long as the tape."""
    for t in (*ctx._to_save, *ctx._to_save_forward):
        if t is not None and t._spec.nbytes > DEFER_BYTES:
            return False
    return all([_is_little(value) for name, value in ctx.__dict__.items() if name[0] != "_"])


def _is_little(value: Any) -> bool:
    if value.__class__ in _LITTLE:
        return True
    if isinstance(value, Tensor):
        return value._spec.nbytes <= MOST_KEPT
    if isinstance(value, (np.ndarray, np.generic)):
        return value.nbytes <= MOST_KEPT
    return isinstance(value, tuple) and len(value) < 16 and all([_is_little(v) for v in value])
