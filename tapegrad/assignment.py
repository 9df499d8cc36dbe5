"""Assignment: ``x[key] = value``, a write into a part of a tensor."""

from __future__ import annotations

from _thread import get_ident
from sys import _getframe

from .descriptors import Operator
from .inplace import check_target, patch, write
from .operators import STEP, described, hand_over, waiting
from .primitives.core import lift, ops
from .primitives.indexing import advanced_key, basic_view, index_put, key_form
from .primitives.shape import view_of
from .tape.handle import Tensor
from .tape.signature import FAST, fast_index, signature_of
from .tape.site import inside
from .tape.state import local
from .updates import attach_in_place

__all__ = ["assign"]

_ASSIGNED = fast_index()


def assign(self, key, value):
    """``x[key] = value``: in place, on the tape, as ``x[key]`` would select.

    Where nothing needs thought (see `updates.in_place`; a key and a tensor as met before), it takes three rows: the
    view, the write into it, and the whole after the write.
    """
    form, kind = None, value.__class__
    try:
        tape, buffer = self._tape, self._rare._buffer
        rows, frame = tape.rows, _getframe(1)
        code = frame.f_code
        if (
            kind is Tensor
            and value._tape is tape
            and buffer.quiet is tape
            and tape.thread == get_ident()
            and len(rows) < tape.limit
            and not inside[code.co_filename]
        ):
            form = key if key.__class__ is int else key_form(key)
            seen, offset, head, after, shift, out = tape.fast[_ASSIGNED][self._spec][form][value._spec]
            i, j, region, roots = self._slot, value._slot, len(rows), tape.roots
            rows += (seen + i * STEP, offset, head + region * STEP + j)
            root = roots[region] = roots[i] if i in roots else i
            tape.note_write(region + 2, region, (code, frame.f_lasti), buffer)
            if after:
                rows += (after + i * STEP + region + 2, shift)
                roots[region + 3] = root
                self._slot, self._spec = region + 3, out
            return
    except (KeyError, AttributeError):  # an assignment not met before, a tensor elsewhere or without a buffer
        pass
    if assign in waiting:
        hand_over(assign)
    _assign(self, key, value, form)


def _assign(self, key, value, form):
    """An assignment that needs thought; `form` is the key's, if the next one like it may do without."""
    plan = basic_view(self, key)
    whole = plan is None or plan == (self._spec.shape, self._spec.strides, 0)
    check_target(self, local.state, part=not whole)
    if plan is None:
        form, indices, unique = advanced_key(self, key)
        attrs = (("key", form), ("unique", unique or not indices))
        write(self, index_put, (self, _cast(value, self._spec.dtype), *indices), attrs)
        return
    spec, region = self._spec, _region(self, *plan)
    view = region._tape.signature(region._slot)
    write(region, ops.copy, (_cast(value, self._spec.dtype),))
    if self._base is not None:
        self._refresh_view()
        return
    alone = not (self._leaf or self._foreign or self._retains) and self._buffer.is_alone(self._tape)
    if alone and self._home is None:  # see `inplace._take_over`
        self._buffer.quiet = self._tape
    if form is not None and value._spec.shape == plan[0] and value._spec.dtype == spec.dtype:
        _remember_assignment(form, spec, view, plan, value._spec, self._spec)


def _remember_assignment(form, spec, view, plan, value, out):
    """Enter an assignment into the fast table; see `assign`."""
    state = local.state
    written = signature_of(ops.copy.writer, (view.out, value), (), state.grad_enabled)
    if not (state.grad_enabled and written.deferrable):
        return
    after = shift = 0
    if out.requires_grad:
        signature, shift = patch(spec, written.out, plan[1], plan[2], True)
        after = signature.code
    entries = FAST[True][_ASSIGNED].setdefault(spec, {}).setdefault(form, {})
    entries[value] = view.code, plan[2], written.code, after, shift, out


def _cast(value, dtype):
    """A value for assignment, cast as NumPy does (``unsafe``, but complex to real is refused)."""
    value = lift(value)
    if value._spec.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError("a complex value cannot be assigned to a real tensor: take .real or abs() first")
    return lift(value, dtype)


def _region(x, shape, strides, offset):
    """A view for writing, of which no other tensor knows."""
    viewed = x._buffer is not None and x._buffer.viewed
    region = view_of(x, shape, strides, offset, "Slice")
    region._buffer.viewed = viewed
    return region


assign.__name__ = assign.__qualname__ = "__setitem__"
described[assign] = Operator(assign, 3, _ASSIGNED, writes=True)
attach_in_place(__setitem__=assign)
