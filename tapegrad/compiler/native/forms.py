"""Rows whose first axes are seen as one: lanes can run through all of them.

What is added to the last axis of a batch of images, or summed over all others, has no axis that is long enough for the
rest to be written out; its first axes together have.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ...tape.spec import spec_of
from .graph import Row

__all__ = ["Form", "forms_of"]

MOST_BEHIND = 256
"""Elements of the other axes."""
_REDUCTIONS = ("sum", "mean", "amax", "amin")


class Form(NamedTuple):
    """A row in another shape, its elements where they were.

    Attributes
    ----------
    name : str
        Of the primitive.
    out : Spec
    specs : tuple of Spec
        Of the operands.
    attrs : dict
    lanes : int
        Elements along the first axis.
    """

    name: str
    out: Any
    specs: tuple
    attrs: dict
    lanes: int = 0


def forms_of(row: Row, is_elementwise: bool) -> list[Form]:
    """The shapes in which a row's first axes are one, the longest of those first.

    Parameters
    ----------
    row : Row
    is_elementwise : bool
    """
    form = Form(row.name, row.out, tuple(row.signature.specs), row.attrs)
    if row.name == "place" and _is_copy(form):
        (v,) = form.specs
        form, is_elementwise = Form("copy", spec_of(v.shape, v.dtype), form.specs, {}), True
    ndim = form.specs[0].ndim if row.name in _REDUCTIONS else form.out.ndim
    if not is_elementwise and row.name not in _REDUCTIONS:
        return []
    merge = _merged_elementwise if is_elementwise else _merged_reduction
    return [found for k in range(ndim - 1, 1, -1) if (found := merge(form, k)) is not None]


def _is_copy(form: Form) -> bool:
    """Whether a window is all of the result, in its order."""
    (v,), out = form.specs, form.out
    dense = spec_of(v.shape, v.dtype)
    return (
        out.contiguous and v.size == out.size and form.attrs["offset"] == 0 and dense.strides == form.attrs["strides"]
    )


def _merged_elementwise(form: Form, k: int) -> Form | None:
    out = _merged(form.out, k)
    if out is None or math.prod(out.shape[1:]) > MOST_BEHIND:
        return None
    specs = []
    for s in form.specs:
        lead = k - (form.out.ndim - s.ndim)  # axes of the operand among those that become one
        merged = s if lead <= 0 else _merged(s, lead) if s.shape[:lead] == form.out.shape[:k] else _without(s, lead)
        if merged is None:
            return None
        specs.append(merged)
    return form._replace(out=out, specs=tuple(specs), lanes=out.shape[0])


def _merged_reduction(form: Form, k: int) -> Form | None:
    (x,), reduced, keeps = form.specs, form.attrs["axis"], form.attrs["keepdims"]
    merged = _merged(x, k)
    if merged is None or math.prod(merged.shape[1:]) > MOST_BEHIND:
        return None
    among = [d in reduced for d in range(k)]
    if any(among) and not all(among):
        return None
    gone = k if all(among) and not keeps else 0
    out = form.out if gone else _merged(form.out, k)
    if out is None:
        return None
    axis = tuple(([0] if all(among) else []) + [d - k + 1 for d in reduced if d >= k])
    return form._replace(out=out, specs=(merged,), attrs={**form.attrs, "axis": axis}, lanes=merged.shape[0])


def _merged(spec: Any, k: int) -> Any:
    """The type with its first axes as one; None where their elements are not evenly apart."""
    for d in range(k - 1):
        if spec.strides[d] != spec.strides[d + 1] * spec.shape[d + 1]:
            return None
    strides = (spec.strides[k - 1], *spec.strides[k:])
    return spec_of((math.prod(spec.shape[:k]), *spec.shape[k:]), spec.dtype, strides)


def _without(spec: Any, k: int) -> Any:
    """The type without its first axes, which are broadcast; None where they are not."""
    if any(n != 1 for n in spec.shape[:k]):
        return None
    return spec_of(spec.shape[k:], spec.dtype, spec.strides[k:])
