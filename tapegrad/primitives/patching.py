"""A part of memory that was written, seen from the whole."""

from __future__ import annotations

from typing import Any

from ..vm import opcodes as op
from .core import ops, primitive
from .shape import placed, window_of

__all__ = ["copy_slices"]


@primitive()
class copy_slices:
    """A base after one of its views was written: the view's region from the new value, the rest from the old."""

    kind = op.PATCHED
    grad_name = "CopySlices"

    def infer(specs: Any, attrs):
        base, value = specs
        plain = base.dtype == value.dtype and base.injective and value.injective
        return base, op.PATCHED if plain and base.bar_strides == base.strides else op.VIEW

    def compute(base, value, strides, offset):
        return base

    def pullback(y_bar, y, base, value, strides, offset):
        layout = base._spec.bar
        inside = window_of(y_bar, layout, value._spec.shape, strides, offset, value._spec.dtype)
        outside = y_bar - placed(inside, layout, strides, offset)
        return outside, ops.copy(inside)
