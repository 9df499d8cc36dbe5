"""Which signature a row gets that becomes a cheaper one with the same bits: what the pass asks once for each kind."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..primitives.core import ops
from ..tape.signature import Signature, by_index, signature_of
from ..vm import traits as t
from .traits import TYPES

__all__ = ["answer"]


@functools.cache
def answer(question: int, which: int, signature: int, type_number: int) -> int:
    """Index of the signature that a row is of if its operand `which` is another one; -1 if it cannot be.

    Parameters
    ----------
    question : int
        See `tapegrad.vm.traits`.
    which : int
    signature : int
        Index of what the row is.
    type_number : int
        The other operand's type.
    """
    row = by_index[signature]
    specs = [s.plain for s in row.specs]
    if question == t.NEGATED:
        fits = specs[which].shape == row.out.shape
        return _index(row, ops.negative, (specs[which],), ()) if fits else -1
    specs[which] = TYPES[type_number]
    if question == t.BARE:
        if np.broadcast_shapes(*[s.shape for s in specs]) != row.out.shape:
            return -1
        return _index(row, row.primitive, tuple(specs), tuple(row.attrs.items()))
    primitive, x = ops.subtract if question == t.DIFFERENCE else ops.add, specs[1 - which]
    return _index(row, primitive, (x, specs[which]), ())


def _index(row: Signature, primitive: Any, specs: tuple, attrs: tuple) -> int:
    made = signature_of(primitive, specs, attrs, False)
    return made.index if made.out is row.out.plain else -1
