"""Recording: how operations become rows."""

from __future__ import annotations

import numpy as np

from ..vm import opcodes as op
from .current import begin_anew, current_tape, new_tensor
from .importing import INFERENCE_SAVED, is_inference, slot_of
from .memory import aligned, copy_array
from .signature import DEFER_BYTES, signature_of
from .state import is_deferral_enabled, local
from .tape import SEGMENT_HELD, Elsewhere

__all__ = ["append", "keep", "own_borrowed", "pack", "record", "renewed"]


_SHARING = (*op.WITH_OFFSET, op.WRITE)


def record(primitive, tensors, attrs=()):
    """Record a primitive on tensors; returns the result's handle.

    Everything that can fail fails before the row is appended, so that an exception leaves the tape as it was;
    an operation that runs at once and fails is taken back.
    """
    state = local.state
    for t in tensors:
        if t._rare._base is not None:
            t._refresh_view()  # its base may have been written, and may have begun to require grad, since
    try:
        signature = signature_of(primitive, tuple([t._spec for t in tensors]), attrs, state.grad_enabled)
        if state.careful and signature.out.requires_grad:
            kept = copies_of_reads(signature, tensors)
            if kept is not tensors:
                return record(primitive, kept, attrs)
        tape = current_tape(state)
        if tape.held > SEGMENT_HELD and all([tape.is_outside(t) for t in tensors]):
            tape = begin_anew(state)
        own_borrowed(signature, tensors)
        slots = [slot_of(t, state, tape) for t in tensors]
    except Elsewhere as elsewhere:
        return elsewhere.device.record(primitive, tensors, attrs)
    tape = state.tape
    return append(state, tape, signature, slots, tensors)


def copies_of_reads(signature, tensors):
    """The operands, with copies of those that the reverse will read and whose memory asks for it."""
    places = [
        k
        for k, t in enumerate(tensors)
        if t._buffer is not None and t._buffer.copies_reads and signature.needs >> (k + 1) & 1
    ]
    if not places:
        return tensors
    from ..primitives.core import RECORDS

    return tuple([RECORDS["copy"](t) if k in places else t for k, t in enumerate(tensors)])


def renewed(tensor):
    """A constant that may be written later: in a compiled function, a copy that every replay makes anew."""
    if local.state.tape.tracing and tensor._spec.dtype.kind in "fc":
        from ..primitives.core import RECORDS

        return RECORDS["copy"](tensor)
    return tensor


def own_borrowed(signature, tensors):
    """Copy the caller's arrays that the reverse will read."""
    if signature.out.requires_grad:
        for k, t in enumerate(tensors):
            borrowed, inferred = t._rare._borrowed, is_inference(t)
            if (borrowed or inferred) and signature.needs >> (k + 1) & 1:
                if inferred:
                    raise RuntimeError(INFERENCE_SAVED)
                t._memory, t._borrowed = copy_array(t._memory, t._spec), False


def append(state, tape, signature, slots, tensors, offset=None):
    """Append a row for `signature` and run it if it may not wait."""
    words = pack(signature, slots, offset)
    slot = len(tape.rows)
    tensor = new_tensor(tape, slot, signature.out)
    try:
        tape.rows.extend(words)
        if signature.kind in _SHARING:
            tape.noted += (slot, slots[0], None)
        if tape.questions is not None:
            tape.questions.note(slot)
        waits = state.deferred or (signature.deferrable and not tape.escaped and is_deferral_enabled())
        if waits and not state.observers:
            return tensor
        if not waits:
            _run_now(tape, signature, slots, slot, tensor, tensors)
        if not tape.tracing:
            for observe in state.observers:
                observe(tape, signature, slot, tensors, tensor)
    except BaseException:
        if signature.kind == op.WRITE and tape.done > slot:
            raise  # memory has changed: `inplace.write` brings to an end what goes with it
        del tape.rows[slot:]
        tape.done = min(tape.done, slot)
        tape.kept.pop(slot, None)
        tape.preset.pop(slot, None)
        tape.stamps.roots.pop(slot, None)
        tape.notes.pop(slot, None)
        raise
    return tensor


def pack(signature, slots, offset=None) -> list[int]:
    """Row words of a signature and operand slots (and a view's byte offset)."""
    n = len(slots)
    words = [signature.code | (slots[0] << op.SLOT_BITS if n else 0) | (slots[1] if n > 1 else 0)]
    if signature.kind in op.WITH_OFFSET:
        words.append(offset or 0)
        return words
    for k in range(2, n, 2):
        words.append(slots[k] << op.SLOT_BITS | (slots[k + 1] if k + 1 < n else 0))
    return words


def _run_now(tape, signature, slots, slot, tensor, tensors):
    """Run a row at once. A large result gets memory of its own, kept by the tape only where the reverse reads it."""
    if tape.device is not None:
        tape.flush()
        return
    if signature.kind == op.KERNEL and signature.out.nbytes > DEFER_BYTES:
        tensor._memory = aligned(signature.out.shape, signature.out.dtype)
        tape.preset[slot] = tensor._memory
    if signature.out.requires_grad and not local.state.packing:  # else the user keeps what the reverse reads
        needs = signature.needs
        if needs & 1 and tensor._memory is not None:
            tape.keep(slot, tensor._memory)
        elif needs & 1 and signature.kind == op.WRITE and tensors[0]._rare._memory is not None:
            keep(tape, slots[0], tensors[0]._memory)
        for k, operand in enumerate(tensors):
            if needs >> (k + 1) & 1 and operand is not None and operand._rare._memory is not None:
                keep(tape, slots[k], operand._memory)
    tape.flush()


def keep(tape, slot, data):
    """Keep the memory of a slot's buffer as long as the tape, which does so with imports anyhow."""
    if tape.signature(slot).kind == op.IMPORT:
        return
    tape.flush()
    tape.keep(int(tape.arrays.root[slot]), _owner(data))


def _owner(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
