"""Assignment: ``x[key] = value``, a write into a part of a tensor."""

from __future__ import annotations

import contextlib
from sys import _getframe

from .descriptors import Operator
from .inplace import check_target, look_after_views, write
from .operators import NUMBERS, STEP, described, hand_over, waiting
from .primitives.core import lift, ops
from .primitives.indexing import advanced_key, basic_view, gathered_shape, index_put, key_form
from .primitives.shape import reshape_to, view_of
from .prompt import patch_of, prepared, written
from .renewal import patch, renew_views
from .tape.handle import Tensor
from .tape.importing import slot_of
from .tape.signature import FAST, fast_index, signature_of
from .tape.site import site_of
from .tape.state import local
from .tape.viewing import brief
from .updates import attach_in_place

__all__ = ["assign"]

_ASSIGNED = fast_index()
"""By the spec, the key's form, or a mask's spec, and the value's spec or type: see `_remember_assignment`."""


def assign(self, key, value):
    """``x[key] = value``: in place, on the tape, as ``x[key]`` would select.

    Where nothing needs thought (see `prompt.prepared`; a key and a tensor as met before), it takes three rows: the
    view, the write into it, and the whole after the write. One more, before the write, broadcasts a value.
    """
    form, kind = None, value.__class__
    region = row = -1
    if key.__class__ is Tensor and key._spec.dtype.kind == "b" and _written_where(self, key, value):
        return
    try:
        if kind is Tensor and value._rare._base is self and _stands_there(self, key, value):
            if assign in waiting:
                hand_over(assign)
            return
        tape, i, buffer, base = prepared(self, value)
        rows, site = tape.rows, site_of(_getframe(1))
        if site is not None and value is not base:
            form = key if key.__class__ is int else _brief_form(key)
            entry, j = _met_before(self, form, value, kind, tape)
            seen, offset, head, after, _, _, spread, _, patches = entry
            patched = patches[base._spec] if after and base is not None else None
            region = len(rows)
            rows += (seen + i * STEP, offset)
            if spread:
                rows += (spread + j * STEP, 0)
                j = region + 2
            row = len(rows)
            rows.append(head + region * STEP + j)
            tape.noted += (region, i, None)
            tape.note_write(row, region, site, buffer)
            if after:
                _become_whole(self, base, row, entry, patched)
            return
    except (KeyError, AttributeError):  # an assignment not met before, a tensor elsewhere or without a buffer
        pass
    except BaseException:  # an interrupt
        if region >= 0 and tape.takes_back(region, row) and after and self._slot == i:
            _become_whole(self, base, row, entry, patched)
        raise
    if assign in waiting:
        hand_over(assign)
    _assign(self, key, value, form)


def _written_where(x, mask, value):
    """Write a value to the places where a mask is true, if such a write was met before; returns whether that was done.

    See `updates.in_place`.
    """
    kind, row = value.__class__, -1
    try:
        tape, i, buffer, base = prepared(x, value)
        rows, site = tape.rows, site_of(_getframe(2))
        if site is None or value is x or value is base:
            return False
        entry = tape.fast[_ASSIGNED][x._spec][mask._spec][value._spec if kind is Tensor else kind]
        head, out, _, char, patches = entry
        if kind is Tensor and value._tape is not tape:
            return False
        j = value._slot if kind is Tensor else tape.numbers[char][value]
        patched = None if base is None or out is None else patch_of(x, out, patches)
        k = slot_of(mask, local.state, tape)
        row = len(rows)
        rows += (head + i * STEP + k, j * STEP + i)
        tape.note_write(row, i, site, buffer)
        if out is not None:
            written(x, base, row, out, patched)
        buffer.end = len(rows)
        return True
    except (KeyError, AttributeError):
        return False
    except BaseException:  # an interrupt
        if row >= 0 and tape.takes_back(row, row) and out is not None:
            written(x, base, row, out, patched)
        raise


def _brief_form(key):
    """The form of a key under which the fast tables know it, or None."""
    form = key_form(key)
    return None if form is None else brief(form)


def _become_whole(x, base, row, entry, patched):
    """Note what a tensor has become, a part of which row `row` has written; and its base, if it is a view of one."""
    tape, rows, last = x._tape, x._tape.rows, len(x._tape.rows)
    _, offset, _, after, shift, out, *_ = entry
    if base is None:
        rows += (after + x._slot * STEP + row, shift)
        tape.noted += (last, row, None)
        x._slot, x._spec = last, out
        renew_views(x, x)
        return
    code, spec, again, out = patched
    start = x._rare._offset
    rows += (code + base._slot * STEP + row, start + offset, again + last * STEP, start)
    tape.noted += (last, row, None, last + 2, row, None)
    base._slot, base._spec = last, spec
    x._slot, x._spec = last + 2, out
    renew_views(base, x)


def _met_before(x, form, value, kind, tape):
    """The entry of an assignment in the fast tables, and the slot of its value; KeyError if there is none."""
    entries = tape.fast[_ASSIGNED][x._spec][form]
    if kind is Tensor:
        if value._tape is not tape or value is x:
            raise KeyError(value)
        return entries[value._spec], value._slot
    entry = entries[kind]
    return entry, tape.numbers[entry[7]][value]


def _stands_there(x, key, value):
    """Whether a value is the view that it is to be assigned to, and was just written.

    That is so in ``x[key] += y``. Nothing is left to be done then, but a second write is counted, as in PyTorch.
    """
    buffer, tape = value._rare._buffer, value._tape
    if buffer.end != len(tape.rows) or x._tape is not tape or not (buffer.settled is tape or tape.tracing):
        return False
    spec = value._spec
    if basic_view(x, key) != (spec.shape, spec.strides, value._rare._offset):
        return False
    buffer.version += 1
    tape.noted += (None, value._slot, None)
    return True


def _assign(self, key, value, form):
    """An assignment that needs thought; `form` is the key's, if the next one like it may do without."""
    plan = basic_view(self, key)
    whole = plan is None or plan == (self._spec.shape, self._spec.strides, 0)
    check_target(self, local.state, part=not whole)
    if plan is None and _is_mask(self, key) and lift(value)._spec.shape in ((), (1,)):
        spec, mask = self._spec, reshape_to(key, key._spec.shape + (1,) * (self._spec.ndim - key._spec.ndim))
        operand = _cast(value, spec.dtype)
        write(self, ops.where, (mask, operand, self))
        if mask is key and operand._spec.dtype == spec.dtype:
            _remember_masked(spec, mask._spec, value.__class__, operand._spec)
        return
    if plan is None:
        form, indices, unique = advanced_key(self, key)
        attrs = (("key", form), ("unique", unique or not indices))
        value = _cast(value, self._spec.dtype)
        if value._spec.shape[:1] == (1,):  # which may be one axis too many
            chosen = gathered_shape(self._spec.shape, form, [t._spec for t in indices])
            value = _with_axes(value, len(chosen))
        write(self, index_put, (self, value, *indices), attrs)
        return
    spec, kind = self._spec, value.__class__
    region = view_of(self, plan[0], plan[1], plan[2], "Slice")
    view = region._tape.signature(region._slot)
    value = _with_axes(_cast(value, spec.dtype), len(plan[0]))
    write(region, ops.copy, (value,), passing=True)
    del region
    if self._base is not None:
        self._refresh_view()
    else:
        alone = not (self._leaf or self._foreign or self._retains) and self._buffer.is_alone(self._tape)
        if alone and self._home is None:  # see `inplace._take_over`
            self._buffer.settle(self._tape)
    if self._spec.requires_grad and local.state.grad_enabled:
        look_after_views(self)
    if form is not None and value._spec.dtype == spec.dtype and spec.device is None:
        _remember_assignment(self, form, spec, view, plan, kind, value._spec)


def _remember_assignment(x, form, spec, view, plan, kind, value):
    """Enter an assignment to a tensor, which was of a spec then, into the fast table; see `assign`.

    The view's code and offset, the write's code, those of the row for the whole and of that, what the whole is then,
    the code of the row that broadcasts the value, the dtype's character, and, where the tensor is a view itself, what
    `prompt.patch_of` finds, by the specs of its bases.
    """
    state, out = local.state, x._spec
    if not state.grad_enabled or not (kind is Tensor or (kind in NUMBERS and spec.dtype.char in "fd")):
        return
    given, spread = value, 0
    if value.shape != plan[0] and (value.shape or value.requires_grad):
        expanded = signature_of(ops.broadcast_to, (value,), (("shape", plan[0]),), True)
        value, spread = expanded.out, expanded.code
    written = signature_of(ops.copy.writer, (view.out, value), (), True)
    if not written.deferrable:
        return
    after = shift = 0
    if out.requires_grad:
        signature, shift = patch(spec, written.out, plan[1], plan[2], True)
        after = signature.code
    entries = FAST[True][_ASSIGNED].setdefault(spec, {}).setdefault(form, {})
    which = given if kind is Tensor else kind
    patches = entries[which][-1] if which in entries else {}
    entries[which] = view.code, plan[2], written.code, after, shift, out, spread, spec.dtype.char, patches
    if x._base is not None and after:
        with contextlib.suppress(KeyError):  # there are no such rows for every view
            patches[x._base._spec] = patch_of(x, written.out, {}, plan[1])


def _remember_masked(spec, mask, kind, value):
    """Enter an assignment of one value where a mask is true into the fast table; as `inplace._remember`."""
    grad_enabled = local.state.grad_enabled
    if not (kind is Tensor or kind in NUMBERS) or spec.dtype.char not in "fd":  # no mask shares such memory
        return
    written = signature_of(ops.where.writer, (spec, mask, value, spec), (), grad_enabled)
    if written.deferrable:
        entries = FAST[grad_enabled][_ASSIGNED].setdefault(spec, {}).setdefault(mask, {})
        out = written.out if written.out.requires_grad else None
        entries[value if kind is Tensor else kind] = written.code, out, 0, spec.dtype.char, {}


def _is_mask(x, key):
    """Whether a key is a mask over leading axes; how many elements it selects matters to no single value."""
    if not isinstance(key, Tensor) or key._spec.dtype.kind != "b" or key._spec.device is not x._spec.device:
        return False
    return key._spec.ndim > 0 and key._spec.shape == x._spec.shape[: key._spec.ndim]


def _with_axes(value, most):
    """A value without the leading axes of length one by which it has more than so many."""
    shape = value._spec.shape
    extra = len(shape) - most
    return reshape_to(value, shape[extra:]) if extra > 0 and all([n == 1 for n in shape[:extra]]) else value


def _cast(value, dtype):
    """A value for assignment, cast as NumPy does (``unsafe``, but complex to real is refused)."""
    value = lift(value)
    if value._spec.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError("a complex value cannot be assigned to a real tensor: take .real or abs() first")
    return lift(value, dtype)


assign.__name__ = assign.__qualname__ = "__setitem__"
described[assign] = Operator(assign, "writing.assign", _ASSIGNED)
attach_in_place(__setitem__=assign)
