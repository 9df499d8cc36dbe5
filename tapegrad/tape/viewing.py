"""Recording: views, which are rows that compute nothing."""

from __future__ import annotations

from _thread import get_ident

from ..vm import opcodes as op
from .buffer import buffer_of
from .current import current_tape, mark_careful
from .handle import Tensor, ViewFacts
from .importing import slot_of
from .memory import array_at
from .record import append, keep
from .signature import DEFER_BYTES, FAST, fast_index, signature_of
from .state import local
from .tape import Elsewhere

__all__ = ["KEYS", "brief", "indexed", "record_view", "remember_method", "remember_view", "view_again"]


def record_view(primitive, tensor, attrs, offset, detached=False):
    """Record a view of a tensor, `offset` bytes from its first element; one that is detached has no base."""
    state = local.state
    if tensor._base is not None and not detached:
        tensor._refresh_view()
    signature = signature_of(primitive, (tensor._spec,), attrs, state.grad_enabled)
    tape = current_tape(state)
    try:
        slot = slot_of(tensor, state, tape)
    except Elsewhere as elsewhere:
        with elsewhere.device.recording(state):
            return record_view(primitive, tensor, attrs, offset)
    tape = state.tape
    view = append(state, tape, signature, [slot], (tensor,), offset)
    base = tensor._base if tensor._base is not None else tensor
    buffer = buffer_of(base)
    facts = ViewFacts(base, buffer, tensor._offset + offset, buffer.history)
    view._rare = facts.open() if detached else facts
    buffer.add_view(view, base)
    if base._memory is not None and not state.deferred and tape.device is None:
        if view._spec.extent > DEFER_BYTES:
            tape.flush()
            view._memory = array_at(int(tape.arrays.addr[view._slot]), view._spec, base._memory)
        elif tensor._slot == slot and not (base._leaf or base._spec.nbytes <= DEFER_BYTES):
            keep(tape, slot, base._memory)  # rows that read the view may run after the base is gone
            tape.flush()
            view._memory = array_at(int(tape.arrays.addr[view._slot]), view._spec, base._memory)
    if buffer.copies_reads:
        mark_careful(state)
    if detached:
        view._base = None  # a write to it is no write to a view: the other's history stays as it is
        return view
    if tensor._unrecorded or not state.grad_enabled:
        view._unrecorded = "inference" if state.inference else True
    if tensor._one_of_many or tensor._made_by:
        view._one_of_many, view._made_by = tensor._one_of_many, tensor._made_by
    return view


def view_again(tensor, plan):
    """The view that a plan (attributes and offset) describes, where it was recorded before and needs no thought.

    That holds for small tensors on the thread's tape, views aside whose base was written since. Else, None. The plan
    is one that is kept, as it is known by its identity.
    """
    try:
        slot, tape = tensor._slot, tensor._tape
        code, spec = tape.fast[_VIEWS][id(plan)]
    except (KeyError, AttributeError):  # not met before; a tensor on no tape
        return None
    return _viewed(tensor, slot, tape, code, spec, plan[1])


def indexed(tensor, key):
    """``tensor[key]`` for an integer; as `view_again`."""
    try:
        slot, tape = tensor._slot, tensor._tape
        code, spec, offset, _ = tape.fast[KEYS][tensor._spec][key]
    except (KeyError, AttributeError):
        return None
    return _viewed(tensor, slot, tape, code, spec, offset)


def _viewed(tensor, slot, tape, code, spec, offset):
    rare = tensor._rare
    base, buffer, rows = rare._base, rare._buffer, tape.rows
    row = len(rows)
    if tape.thread != get_ident() or row >= tape.limit:
        return None
    if buffer is None or buffer.copies_reads or rare._unrecorded or rare._made_by:
        return None
    if base is not None and (buffer.history != rare._seen or rare._one_of_many):
        return None
    rows += (code + (slot << op.SLOT_BITS), offset)
    tape.noted += (row, slot, None)
    view = Tensor()
    view._tape, view._slot, view._spec = tape, row, spec
    base = tensor if base is None else base
    view._rare = ViewFacts(base, buffer, rare._offset + offset, buffer.history)
    buffer.add_view(view, base)
    return view


_VIEWS = fast_index()


KEYS = fast_index()
"""Views by the form of a key: by the spec and that, code, result, offset in bytes, and whether it is one element."""


def brief(form):
    """The form of a key under which the fast tables know it: one integer, or one slice, has no tuple around it.

    A slice has its type behind its parts, so that ``x[1:2:3]`` is not ``x[1, 2, 3]``.
    """
    if len(form) != 1:
        return form
    (part,) = form
    return part if part.__class__ is int else (*part, slice) if part.__class__ is tuple else form


def remember_view(plan, spec, view, form=None):
    """Enter a view into the fast tables, if the next one by the same plan or key may simply be recorded.

    The plan is for tensors of that spec; one that was out of date has got another, with a gradient, as it was recorded.
    """
    small = view._rare._base._spec.nbytes <= DEFER_BYTES
    row = view._tape.signature(view._slot)
    if local.state.grad_enabled and small and view._rare._memory is None and row.specs[0] is spec:
        FAST[True][_VIEWS][id(plan)] = row.code, view._spec
        if form is None:
            return
        FAST[True][KEYS].setdefault(spec, {})[brief(form)] = row.code, view._spec, plan[1], not view._spec.shape


def remember_method(index, tensor, numbers, view):
    """Enter the view that a method with these numbers made of a tensor into the fast table at `index`; as `KEYS`."""
    facts, tape, slot = view._rare, view._tape, view._slot
    if type(facts) is not ViewFacts or tape is not tensor._tape or not local.state.grad_enabled:
        return
    row, base = tape.signature(slot), facts._base._spec  # type: ignore[union-attr]
    if row.specs == (tensor._spec,) and tape.operands(slot) == [tensor._slot] and base.nbytes <= DEFER_BYTES:
        made = row.code, view._spec, tape.rows[slot + 1], False
        FAST[True][index].setdefault(tensor._spec, {})[numbers] = made
