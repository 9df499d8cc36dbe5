"""Nested lists that hold tensors, as one tensor."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor

__all__ = ["holds_tensor", "joined"]


def holds_tensor(x):
    """Whether there is a tensor somewhere in nested lists."""
    if isinstance(x, (list, tuple)):
        return any(holds_tensor(v) for v in x)
    return isinstance(x, Tensor)


def joined(x, dtype=None):
    """Nested lists that hold tensors as one tensor; anything else as it is."""
    if not isinstance(x, (list, tuple)) or not holds_tensor(x):
        return x
    from .core import BY_FUNCTION
    from .shape import reshape_to

    shape, leaves = [], []
    _flatten(x, shape, leaves, 0)
    y = BY_FUNCTION[np.stack](leaves, dtype=dtype)
    return reshape_to(y, (*shape, *y._spec.shape[1:]))


def _flatten(x, shape, leaves, depth):
    """Collect the leaves of nested lists, and the lists' lengths."""
    if not isinstance(x, (list, tuple)):
        if depth != len(shape):
            raise _ragged()
        leaves.append(x)
        return
    if depth == len(shape):
        if leaves:
            raise _ragged()
        shape.append(len(x))
    elif shape[depth] != len(x):
        raise _ragged()
    for v in x:
        _flatten(v, shape, leaves, depth + 1)


def _ragged():
    return ValueError(
        "array: nested lists whose parts differ in length or depth cannot be an array; give every part the same shape"
    )
