"""Writes in place that need no thought: to memory that nobody else knows, as they were met before."""

from __future__ import annotations

from _thread import get_ident
from typing import Any

from . import sparing
from .primitives.core import ops
from .primitives.shape import view_attrs
from .renewal import MOST_RENEWED, is_renewed, patch, renew_views
from .tape.buffer import buffer_of
from .tape.handle import Tensor
from .tape.importing import is_plain, slot_of
from .tape.needed import is_needed
from .tape.record import pack
from .tape.signature import FAST, fast_index, signature_of
from .tape.site import user_site
from .tape.state import local
from .vm import opcodes as op

__all__ = [
    "is_made_here",
    "is_number",
    "may_be_written",
    "patch_of",
    "prepared",
    "remember_again",
    "written",
    "written_again",
]


def is_number(tensor) -> bool:
    """Whether NumPy would have a number here, to which nothing can be written: ``s += x`` makes a new one.

    That is so for 0-d tensors in a function under transformation, but for views and those made to be filled.
    """
    if tensor._spec.shape:
        return False
    state, base, buffer = local.state, tensor._base, tensor._buffer
    if not (state.within or state.tape.tracing) or (buffer is not None and buffer.copies_reads):
        return False
    return base is None or not may_be_written(base, state)


def may_be_written(base, state):
    """Whether a function under transformation may write to a tensor: not where it was made outside."""
    return not (base._leaf or base._foreign or (state.tape.tracing and not is_made_here(base, state.tape)))


def is_made_here(tensor, tape):
    """Whether each replay of a tape under compilation makes a tensor's memory anew."""
    return tensor._tape is tape and tape.signature(tape.root_of(tensor._slot)).kind != op.IMPORT


def settle(target):
    """Have a tensor's buffer say that it may be written without further thought but for views, if that is so.

    That holds for a tensor that is no view, stands on the thread's tape or nowhere yet, and whose memory no leaf, array
    outside or other tape shares.
    """
    state, rare = local.state, target._rare
    tape = state.tape
    if rare._base is not None or rare._leaf or rare._foreign or rare._retains or rare._home is not None:
        return
    if rare._borrowed or rare._inference or rare._unrecorded or rare._made_by or tape.inference:
        return
    if target._tape not in (tape, None) or not state.grad_enabled:
        return
    if tape.tracing and not is_made_here(target, tape):
        return
    spec = target._spec
    if spec.device is not None or not spec.injective or (rare._memory is not None and not rare._memory.flags.writeable):
        return
    if is_number(target) or (rare._buffer is not None and rare._buffer.escaped):
        return
    slot_of(target, state, tape)
    buffer = buffer_of(target)
    if tape is state.tape and not buffer.copies_reads and not buffer.loose and buffer.is_here(tape):
        buffer.settle(tape)


def prepared(target, operand=None):
    """Tape, slot, buffer and, of a view, the base of a tensor that may be written without further thought.

    Raises
    ------
    KeyError
        If a write needs thought, as one does whose other operand shares the memory;
        in a function under transformation, if a derivative will read what is there.
    """
    rare, tape = target._rare, target._tape
    base = rare._base
    if base is not None and tape.sparing and is_needed(tape, target._slot):
        sparing.move(target)
        rare, tape = target._rare, target._tape
    buffer = rare._buffer
    if base is None:
        if buffer is None or buffer.settled is None:
            settle(target)
            tape, buffer = target._tape, target._rare._buffer
        known = buffer is not None and (buffer.quiet is tape or _resumes(buffer, tape, target, target))
    else:
        known = rare._seen == buffer.history and rare._memory is None
        known = known and not (rare._unrecorded or rare._one_of_many or rare._made_by or rare._retains)
        if known and buffer.settled is None:
            settle(base)
        known = known and base._tape is tape and _resumes(buffer, tape, target, base)
    slot = target._slot  # read before the tape: see `importing._import_tensor`
    if known and tape.sparing and (buffer.saved or is_needed(tape, slot)):
        known = False
    if known and operand.__class__ is Tensor and operand._rare._buffer is buffer and operand is not target:
        known = False
    if not known or target._tape is not tape or tape.thread != get_ident() or len(tape.rows) >= tape.limit:
        raise KeyError(target)
    return tape, slot, buffer, base


def _resumes(buffer, tape, target, base):
    """Whether a tensor may be written on the tape without further thought, other views being gone or renewed after."""
    if buffer.resumes(tape, target):
        return True
    if buffer.settled is not tape or buffer.loose or not base._spec.requires_grad:
        return False
    views = buffer.views_beside(target)
    return len(views) <= MOST_RENEWED and all([is_renewed(view, base._spec, tape, buffer.history) for view in views])


def patch_of(view, value, known, strides=None):
    """Codes and results of two rows: the base of a view after `value` was written into that, and the view of it then.

    What was found before is `known`, by the base's spec; `strides` are a value's that was written into a part of it.

    Raises
    ------
    KeyError
        If there are no such rows.
    """
    base, spec = view._rare._base._spec, view._spec
    if base not in known:
        rebased, _ = patch(base, value, spec.strides if strides is None else strides, 0, True)
        attrs = view_attrs(rebased.out, (spec.shape, spec.strides, 0), None, "AsStrided")
        again = None
        if rebased.kind == op.PATCHED and spec.dtype == base.dtype and "offset" not in dict(attrs):
            again = signature_of(ops.view, (rebased.out,), attrs, True)
        known[base] = None if again is None else (rebased.code, rebased.out, again.code, again.out)
    found = known[base]
    if found is None:
        raise KeyError(base)
    return found


def written(target, base, row, out, entry):
    """Note that row `row` is what a tensor has become; with `patch_of`'s entry, what its base and it are then."""
    tape, rows = target._tape, target._tape.rows
    if base is None:
        target._slot, target._spec = row, out
        renew_views(target, target)
        return
    code, spec, again, out = entry
    offset, last = target._rare._offset, len(rows)
    rows += (code + (base._slot << op.SLOT_BITS) + row, offset, again + (last << op.SLOT_BITS), offset)
    tape.noted += (last, row, None, last + 2, row, None)
    base._slot, base._spec = last, spec
    target._slot, target._spec = last + 2, out
    renew_views(base, target)


_WRITES = fast_index()
"""By function, attributes and the specs of target and operands: see `remember_again`."""


def written_again(target: Tensor, made: Any, operands: Any, attrs: Any) -> bool:
    """Write ``made(*operands)`` into a tensor by look-up, if that was done before; returns whether it was done.

    As `updates.in_place`, for functions of any number of operands, with attributes.
    """
    start = row = -1
    try:
        tape, i, buffer, base = prepared(target)
        state, site = local.state, user_site()
        if site is None:
            return False
        kinds = [_kind(x, target, base, buffer, tape) for x in operands]
        key = (made, attrs, target._spec, state.is_sparing(), *kinds)
        signature, out, copied, chars, patches = tape.fast[_WRITES][key]
        patched = None if base is None or out is None else patch_of(target, out, patches)
        slots = [
            i if x is target else slot_of(x, state, tape) if char is None else tape.numbers[char][x]
            for x, char in zip(operands, chars, strict=True)
        ]
        rows = tape.rows
        if state.tape is not tape or len(rows) >= tape.limit:
            return False
        start = len(rows)
        if copied:
            rows.append(copied + (i << op.SLOT_BITS))
            slots = [start if x is target else slot for x, slot in zip(operands, slots, strict=True)]
        row = len(rows)
        rows += pack(signature, [i, *slots])
        tape.note_write(row, i, site, buffer)
        if out is not None:
            written(target, base, row, out, patched)
        buffer.end = len(rows)
        return True
    except (KeyError, AttributeError, TypeError):  # not met before, a tensor elsewhere, or an array among the operands
        return False
    except BaseException:  # an interrupt
        if start >= 0 and tape.takes_back(start, row) and out is not None:
            written(target, base, row, out, patched)
        raise


def _kind(x: Any, target: Tensor, base: Any, buffer: Any, tape: Any) -> Any:
    """What is known of an operand; KeyError if it needs thought."""
    if x is target:
        return None
    if x.__class__ is not Tensor:
        if x.__class__ in _NUMBERS:
            return x.__class__
        raise KeyError(x)
    rare = x._rare
    if x is base or rare._buffer is buffer or rare._base is not None or rare._borrowed or not is_plain(x, tape):
        raise KeyError(x)
    return x._spec


_NUMBERS = (int, float)


def remember_again(target, spec, made, attrs, operands, lifted, separate, signature):
    """Enter a write for `written_again`: its signature, result, a copy's code, numbers' dtypes, and as `patch_of`.

    Parameters
    ----------
    target, spec : Tensor, Spec
        What was written, and its type before.
    made, attrs : Primitive, tuple
    operands, lifted, separate : sequence
        As they were given, as tensors, and those that were read: copies, where the write changes them meanwhile.
    signature : Signature
        Of the row.
    """
    state, copied = local.state, 0
    kinds: list = []
    chars: list = []
    for x, t, read in zip(operands, lifted, separate, strict=True):
        char = None
        if x is target:
            kinds.append(None)
            if read is not t:
                copied = signature_of(ops.copy, (spec,), (), state.grad_enabled).code
        elif read is t and x is t:
            kinds.append(t._spec)
        elif read is t and x.__class__ in _NUMBERS and t._spec.dtype.char in "fd" and not t._spec.shape:
            kinds.append(x.__class__)
            char = t._spec.dtype.char
        else:
            return
        chars.append(char)
    if signature.deferrable:
        out = signature.out if signature.out.requires_grad else None
        key = (made, attrs, spec, state.is_sparing(), *kinds)
        FAST[state.grad_enabled][_WRITES][key] = signature, out, copied, chars, {}
