"""Selection: ``x[key]``, a view of a part of a tensor, or a copy of some elements."""

from __future__ import annotations

from .descriptors import Operator
from .operators import attach_operators, described, hand_over, waiting
from .primitives.core import ops
from .primitives.indexing import getitem
from .prompt import may_be_written
from .tape.state import local
from .tape.viewing import KEYS, indexed

__all__ = ["element"]


def element(x, key):
    """``x[key]``; a single element is a number in NumPy, so that later writes to the array do not reach it.

    It is copied in a function under transformation, and where arrays were made to be filled; else a view, as in
    PyTorch.
    """
    state, rare = local.state, x._rare
    if key.__class__ is int and (rare._leaf or not (state.within or state.tape.tracing)):
        y = indexed(x, key)
        if y is not None:
            return y
    if element in waiting:
        hand_over(element)
    y = getitem(x, key)
    base = y._base
    if y._spec.shape or base is None:
        return y
    if not (state.within or state.tape.tracing or base._buffer.copies_reads) or not may_be_written(base, state):
        return y
    if key is Ellipsis or (type(key) is tuple and any([k is Ellipsis for k in key])):
        return y
    return ops.copy(y) if y._spec.dtype.kind == "b" else +y  # which is recorded by a look-up


element.__name__ = element.__qualname__ = "__getitem__"
described[element] = Operator(element, "viewing.select", KEYS)
attach_operators(__getitem__=element)
