"""Values from outside that come onto a tape: leaves, constants, results of other tapes, arrays of the caller."""

from __future__ import annotations

import weakref

import numpy as np

from ..vm import opcodes as op
from .buffer import buffer_of
from .chains import follow
from .current import current_tape, mark_careful, mark_escaped, new_tensor
from .handle import Rare, Tensor
from .memory import address_of, aligned_copy, empty_array
from .signature import DEFER_BYTES, import_codes
from .spec import spec_of_array
from .state import local
from .tape import TapeError

__all__ = [
    "COPY_BYTES",
    "ForeignLeaf",
    "INFERENCE_SAVED",
    "import_array",
    "import_leaf",
    "is_inference",
    "is_plain",
    "slot_of",
    "stands_ready",
]


COPY_BYTES = DEFER_BYTES
"""Constants up to this size are copied when they are recorded; rows that read larger ones run at once."""


def slot_of(tensor, state, tape) -> int:
    """The tensor's slot on the tape under recording; it is imported if it comes from elsewhere."""
    slot = tensor._slot  # read before the tape: see `_import_tensor`
    if tensor._tape is tape:
        return slot
    return _import_tensor(tensor, state, tape)


def _import_tensor(tensor, state, tape) -> int:
    if stands_ready(tensor, tape):
        return _import_at_once(tensor, tape)
    if tensor._spec.device is not None or tape.device is not None:
        from ..cuda.tape import import_elsewhere

        return import_elsewhere(tensor, state, tape)
    if tape.tracing:
        return _capture(tensor, tape)
    home_tape, home_slot, spec = tensor._tape, tensor._slot, tensor._spec
    data = tensor._memory
    if home_tape is not None:
        number = home_tape.number(home_slot, spec) if home_tape.device is not None else None
        if number is not None:  # a device's rows need not run for a number that its rules read
            return tape.constant(number, spec)
        home_tape.flush()
    if data is None:
        data = home_tape.view(home_slot, spec)
    address = address_of(data)
    home = None
    if spec.requires_grad:
        if tensor._leaf:
            home = tensor
        else:
            if home_tape is not None:
                home_tape.seal()
            home = tensor._home or (home_tape, home_slot)
            follow(tape, home[0])
    buffer_of(tensor)
    slot = tape.bring(spec, data, address, home, tensor._buffer)
    tensor._buffer.stands(tape, slot)
    if tensor._buffer.escaped:
        mark_escaped(state, tape)
    if tensor._buffer.copies_reads:
        mark_careful(state)
    if home_tape is not None and home_tape.inference and is_inference(tensor):
        tensor._inference = True
    if tensor._inference and not tape.inference:
        tensor._memory = data
        return slot  # it stays where it is, so that each use is looked at
    # Another thread, or the code that a finalizer interrupts, may look at the tensor while it is rebound: the slot is
    # read before the tape there.
    if not tensor._leaf and spec.requires_grad:
        tensor._home = home
    tensor._memory = data
    tensor._tape = None
    tensor._slot = slot
    tensor._tape = tape
    if home is None:
        _stay(tensor, tape)
    return slot


def _stay(guest, tape):
    """Note that a constant stands on a tape, and its memory with it."""
    tape.guests.append(weakref.ref(guest))
    tape.held += guest._spec.nbytes


def stands_ready(tensor, tape) -> bool:
    """Whether a leaf or constant was brought onto a tape before, and this one need know no more of it."""
    rare, home = tensor._rare, tensor._tape
    buffer = rare._buffer
    if buffer is None or rare._memory is None or rare._inference or buffer.escaped or buffer.copies_reads:
        return False
    if tape.tracing or tape.device is not None or tensor._spec.device is not None:
        return False
    if tensor._spec.requires_grad and not rare._leaf:
        return False
    return home is None or (home.device is None and home.done == len(home.rows) and not home.inference)


def is_plain(tensor, tape) -> bool:
    """Whether a tensor is on the tape, or on none, with nothing about it that needs thought."""
    if tensor._tape is tape:
        return True
    rare = tensor._rare
    if rare._borrowed or rare._inference or rare._base is not None:
        return False
    return tensor._tape is None or stands_ready(tensor, tape)


def _import_at_once(tensor, tape) -> int:
    spec, rare = tensor._spec, tensor._rare
    buffer, data = rare._buffer, rare._memory
    slot = tape.bring(spec, data, address_of(data), tensor if spec.requires_grad else None, buffer)
    buffer.stands(tape, slot)
    tensor._tape = None  # in this order, see `_import_tensor`
    tensor._slot = slot
    tensor._tape = tape
    if not spec.requires_grad:
        _stay(tensor, tape)
    return slot


def _capture(tensor, tape) -> int:
    """Bring a tensor's value, copied, onto a tape under compilation; the tensor itself stays what and where it is."""
    found = tape.captured.get(id(tensor))
    if found is not None:
        return found[1]
    home_tape, spec, data = tensor._tape, tensor._spec, tensor._memory
    home = tensor if tensor._leaf and spec.requires_grad else None
    if tape.symbolic:
        if spec.requires_grad and not tensor._leaf:
            home = tensor._home or (home_tape, tensor._slot)
            if home[0].rank >= tape.rank:
                raise TapeError("a value that stands for one example was used by a function that vmap called before")
        slot = tape.bring(spec, None, 0, home)
        tape.captured[id(tensor)] = tensor, slot
        return slot
    if home_tape is not None:
        home_tape.flush()
    if data is None:
        data = home_tape.view(tensor._slot, spec)
    if spec.injective:
        own = empty_array(spec)
        own[...] = data
        data = own
    slot = tape.bring(spec, data, address_of(data), home)
    tape.captured[id(tensor)] = tensor, slot
    return slot


INFERENCE_SAVED = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
    "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in "
    "autograd, or use `tapegrad.no_grad()` instead of `tapegrad.inference_mode()`."
)


def is_inference(tensor) -> bool:
    """Whether a tensor was made in inference mode; on such a tape everything was that came from nowhere else."""
    if tensor._base is not None:
        tensor = tensor._base
    tape = tensor._tape
    if tensor._inference or tape is None or not tape.inference:
        return tensor._inference
    return tape.signature(tape.root_of(tensor._slot)).kind != op.IMPORT


def import_array(array: np.ndarray, copy: bool = False):
    """A tensor over a NumPy array that takes part as a constant.

    Small arrays are copied, since the caller may change them before the row runs; large ones are not: the
    operation runs at once, and copies what its reverse will read.
    """
    array = np.asarray(array)
    if array.dtype.kind in "OSUV":
        raise TypeError(
            f"an operation on tensors takes numbers, and got an operand of dtype {array.dtype}: convert it to an array "
            f"of numbers first"
        )
    if not array.dtype.isnative or not array.flags.aligned:
        array = array.astype(array.dtype.newbyteorder("="))
    frozen = not array.flags.writeable and array.base is None
    borrowed = not (copy or frozen or local.state.deferred or array.nbytes <= COPY_BYTES)
    data = array if frozen or borrowed else aligned_copy(array)
    tensor = new_tensor(None, 0, spec_of_array(data))
    tensor._memory = data
    tensor._borrowed = borrowed
    return tensor


class ForeignLeaf(Rare):
    """What is known of a leaf over a caller's array of real floating numbers."""

    _leaf = _foreign = True


class _OtherLeaf(ForeignLeaf):
    """Of a leaf over a complex array, or over a number."""


_leaf_kinds: dict = {}
"""Type of a leaf over a C-contiguous array, and the code of the row that brings it, by the array's shape and dtype."""


def import_leaf(array: np.ndarray, scalar: bool = False):
    """A leaf over a caller's array of floating numbers, on the thread's tape at once."""
    flags, dtype = array.flags, array.dtype
    kind = _leaf_kinds.get((array.shape, dtype)) if flags.c_contiguous and flags.aligned else None
    if kind is None:
        if not (flags.aligned and dtype.isnative):
            array = array.astype(dtype.newbyteorder("="))
        elif array.nbytes <= COPY_BYTES:
            array = aligned_copy(array)
        spec = spec_of_array(array).differentiable
        kind = spec, import_codes[spec], array.nbytes <= COPY_BYTES
        if flags.c_contiguous and spec.dtype == dtype:
            _leaf_kinds[array.shape, dtype] = kind
    elif kind[2]:
        array = aligned_copy(array)
    spec, code, _ = kind
    state = local.state
    tape = state.tape
    if tape.sealed is not None or len(tape.rows) >= tape.limit:
        tape = current_tape(state)
    tensor = Tensor()
    tensor._rare = rare = _OtherLeaf() if scalar or dtype.kind == "c" else ForeignLeaf()
    rare._memory = array
    if scalar:
        rare._scalar = True
    tensor._spec, tensor._tape = spec, tape
    tensor._slot = tape.bring_by(code, array, tensor)
    if state.forward is not None:
        state.forward.own(tensor)
    return tensor
