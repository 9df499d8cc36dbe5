"""Views of memory that was written through another tensor: recorded anew, from their base as it is then."""

from __future__ import annotations

from .primitives.core import ops
from .primitives.patching import copy_slices
from .primitives.shape import view_attrs, view_of
from .tape.current import current_tape
from .tape.handle import Rare, ViewFacts, attach
from .tape.importing import slot_of
from .tape.record import append
from .tape.signature import signature_of
from .tape.state import grad_mode, local
from .vm import opcodes as op

__all__ = [
    "MOST_RENEWED",
    "adopt_written",
    "check_kind_of_view",
    "is_renewed",
    "patch",
    "rebase",
    "rebind",
    "renew_views",
]

MOST_RENEWED = 8
"""Views that are recorded anew at once where another tensor was written that has their memory."""


def patch(base, value, strides, offset, grad_enabled):
    """Signature, and offset word, of the row for a base of which a window, given by strides and offset, was written."""
    signature = signature_of(copy_slices, (base, value), (("strides", strides),), grad_enabled)
    if signature.kind == op.PATCHED:
        return signature, offset
    return signature_of(copy_slices, (base, value), (("offset", offset), ("strides", strides)), grad_enabled), 0


def rebase(base, target, result, state, tape):
    """The base's history goes through what was written into its view."""
    base_slot = slot_of(base, state, tape)
    signature, offset = patch(base._spec, result._spec, target._spec.strides, target._offset, state.grad_enabled)
    rebased = append(state, tape, signature, [base_slot, result._slot], (base, result), offset)
    rebind(base, rebased)
    base._buffer.history += 1  # every view of it is recorded anew when it is next used


def adopt_written(target):
    """A view that was written without a row, and has its new history already, brings that into its base."""
    state = local.state
    tape = current_tape(state)
    slot_of(target, state, tape)
    rebase(target._base, target, target, state, tape)
    target._seen = target._buffer.history
    if not state.careful:
        state.careful = True
        state.refresh()


def rebind(tensor, result):
    """Let a tensor stand for another's slot; what it retains is the gradient of the value that it has now."""
    if tensor._retains:
        tape, slot = tensor._home or (tensor._tape, tensor._slot)
        tape.retaining.pop(slot, None)
        result._tape.retain(result._slot, tensor)
    if tensor._home is not None:
        tensor._home = None
    tensor._slot, tensor._tape, tensor._spec = result._slot, result._tape, result._spec


def check_kind_of_view(view, done):
    """Refuse views whose history cannot follow a write to their memory; `done` tells what was written, and when."""
    if view._made_by is not None:
        raise RuntimeError(
            f"Output 0 of {view._made_by} is a view and {done} modified inplace. This view was created inside a custom "
            f"Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would "
            f"override the custom backward associated with the custom Function, leading to incorrect gradients. This "
            f"behavior is forbidden: clone() the output of the custom Function."
        )
    if view._unrecorded:
        mode = "inference mode" if view._unrecorded == "inference" else "no_grad mode"
        now = "in normal mode" if view._unrecorded == "inference" else "with grad mode enabled"
        raise RuntimeError(
            f"A view was created in {mode} and {done} modified inplace {now}: whether the write should be "
            f"differentiated cannot be told. Make both the view and the write under `tapegrad.no_grad()` (or "
            f"`inference_mode()`), or neither."
        )
    if view._one_of_many:
        raise RuntimeError(
            f"Output of {view._one_of_many} is a view and {done} modified inplace. This view is the output of a "
            f"function that returns multiple views. Such functions do not allow the output views to be modified "
            f"inplace: write to a part taken by itself (`x[2:4]`, `x.narrow(...)`), or to a copy."
        )


def _is_stale_view(self):
    return self._base is not None and self._buffer.history != self._seen


def _is_cut_off(self):
    """Whether the view's history cannot follow the write that came after it: it can be read, but not used."""
    return self._is_stale_view() and bool(self._unrecorded or self._one_of_many or self._made_by)


def _refresh_view(self, anyway=False):
    """Record the view again, from its base as it is now, if that was written since (or `anyway`)."""
    if not (_is_stale_view(self) or anyway):
        return
    base, history = self._base, self._buffer.history
    if not (base._spec.requires_grad or self._spec.requires_grad):
        self._seen = history
        return
    if local.state.grad_enabled and self._is_cut_off():
        check_kind_of_view(self, "its base or another view of its base has been")
    with grad_mode(True):  # whatever the mode in which it is looked at, it has its base's history
        fresh = view_of(base, self._spec.shape, self._spec.strides, self._offset, "AsStrided", self._spec.dtype)
    rebind(self, fresh)
    self._seen = history
    facts = self._rare
    if type(fresh._rare) is ViewFacts and type(facts) is Rare:
        if all([name in _OF_VIEWS or fact is getattr(Rare, name) for name, fact in vars(facts).items()]):
            self._rare = fresh._rare  # which machine code knows, on whatever tape the view was made


_OF_VIEWS = {*ViewFacts.__slots__, "_memory"}


def is_renewed(view, base, tape, history):
    """Whether `renew_views` can record a view anew, of a base of that spec whose `Buffer.history` is given."""
    rare, known = view._rare, _again.get((base, view._spec), False)
    if type(rare) is not ViewFacts or view._tape is not tape or rare._seen != history:
        return False
    if known is False:
        attrs = view_attrs(base, (view._spec.shape, view._spec.strides, 0), None, "AsStrided")
        plain = view._spec.requires_grad and view._spec.dtype == base.dtype and "offset" not in dict(attrs)
        known = _again[base, view._spec] = signature_of(ops.view, (base,), attrs, True) if plain else None
    return known is not None and known.out is view._spec


_again: dict = {}
"""Signature of the row that records a view anew, by the base's and the view's spec; None where that needs thought."""


def renew_views(base, target):
    """Record the views of a base anew, but for a target, after a write to that went by look-up."""
    buffer, tape = base._rare._buffer, base._tape
    if not buffer.views or buffer.quiet is tape:
        return
    for view in buffer.views_beside(target):
        known, rows = _again[base._spec, view._spec], tape.rows
        last = len(rows)
        rows += (known.code + (base._slot << op.SLOT_BITS), view._rare._offset)
        tape.noted += (last, base._slot, None)
        view._slot = last


attach(_is_cut_off=_is_cut_off, _is_stale_view=_is_stale_view, _refresh_view=_refresh_view)
