"""Tangents of a row's result from those of its operands, where the record says more than a pullback.

Elementwise functions scale tangents by their partial derivatives, views are taken of them, linear functions are applied
to them, and products to each of them with the other factors. For the rest see `tapegrad.autograd.pushforward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..primitives.batching import repeat
from ..primitives.combining import numpy_stack
from ..primitives.core import NoRuleError, lift, zero_like
from ..primitives.packed import Packed
from ..primitives.shape import expand_to, view, window_of
from ..tape.handle import Tensor

__all__ = ["direct_tangent"]


def direct_tangent(
    row: Any, y: Tensor, xs: Sequence[Tensor], dots: Sequence[Tensor | None], offset: int
) -> Tensor | None:
    """The result's tangent.

    Parameters
    ----------
    row : Signature
    y, xs : Tensor, list of Tensor
        Result and operands.
    dots : list of Tensor or None
        Tangents of the operands; None for those that stand still, of which there is at least one that does not.
    offset : int
        A view's, in bytes.

    Returns
    -------
    Tensor or None
        None where the transposed pullback is the way to get it.
    """
    primitive, attrs = row.primitive, row.attrs
    if primitive is view:
        return window_of(dots[0], row.specs[0], row.out.shape, attrs["strides"], offset, attrs.get("dtype"))
    if primitive.partials is not None and primitive.elementwise:
        return _fitted(_scaled(primitive.partials_at(y, xs), dots), row.out)
    if isinstance(primitive, Packed):
        inner = row.out.shape[1:]
        parts = [_scaled(partials, dots) for partials in primitive.partials_at(y, xs)]
        blank = zero_like(y[0])
        return numpy_stack([blank if p is None else expand_to(lift(p, row.out.dtype), inner) for p in parts])
    linear = primitive.linear
    if linear:
        moving = [linear is True or k in linear for k in range(len(xs))]
        if any(d is not None and not m for d, m in zip(dots, moving, strict=True)):
            return None
        given = [(zero_like(x) if d is None else d) if m else x for x, d, m in zip(xs, dots, moving, strict=True)]
        return repeat(primitive, given, attrs, offset)
    if primitive.multilinear:
        terms = [repeat(primitive, [*xs[:k], d, *xs[k + 1 :]], attrs) for k, d in enumerate(dots) if d is not None]
        return _sum(terms)
    return None


def _scaled(partials: Sequence[Any], dots: Sequence[Tensor | None]) -> Tensor | None:
    """The sum of tangents times partial derivatives; None where all of these are zero."""
    terms = []
    for p, d in zip(partials, dots, strict=True):
        if d is not None and callable(p):
            p = p()
        if d is None or p is None:
            continue
        if isinstance(p, str):
            raise NoRuleError(p)
        number = isinstance(p, (int, float))
        terms.append(d if number and p == 1 else -d if number and p == -1 else p * d)
    return _sum(terms) if terms else None


def _sum(terms: Sequence[Any]) -> Tensor:
    total = terms[0]
    for t in terms[1:]:
        total = total + t
    return total


def _fitted(dot: Tensor | None, out: Any) -> Tensor | None:
    """A tangent in the result's shape and dtype."""
    return None if dot is None else expand_to(lift(dot, out.dtype), out.shape)
