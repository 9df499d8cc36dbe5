"""Recording: how operations become rows."""

from __future__ import annotations

from _thread import get_ident

import numpy as np

from ..vm import opcodes as op
from .buffer import buffer_of
from .handle import NOTHING, Rare, Tensor, ViewFacts
from .memory import address_of, array_at, copy_array, empty_array
from .signature import DEFER_BYTES, FAST, fast_index, import_signature, signature_of
from .spec import spec_of, spec_of_array
from .state import is_deferral_enabled, local
from .tape import MAX_ROWS, Elsewhere, Tape, TapeError

__all__ = [
    "KEYS",
    "ForeignLeaf",
    "constant",
    "escape",
    "import_array",
    "import_leaf",
    "indexed",
    "is_inference",
    "new_tensor",
    "record",
    "record_view",
    "remember_view",
    "renewed",
    "rotate",
    "slot_of",
    "stands_ready",
    "view_again",
]

_SHARING = (*op.WITH_OFFSET, op.WRITE)
COPY_BYTES = DEFER_BYTES
"""Constants up to this size are copied when they are recorded; rows that read larger ones run at once."""


def escape(tensor):
    """A NumPy array outside shares the tensor's memory from now on: rows of tapes that see it run at once."""
    buffer = buffer_of(tensor)
    buffer.escaped = True
    buffer.unsettle()
    state = local.state
    if tensor._tape is state.tape:
        mark_escaped(state, tensor._tape)


def mark_escaped(state, tape):
    """Defer nothing more on this tape."""
    if not tape.escaped:
        tape.escaped = True
        state.refresh()


def rotate(state) -> Tape:
    """End the thread's tape and begin a new one."""
    old = state.tape
    old.seal()
    state.careful = False
    state.tape = old.successor()
    if state.forward is not None:
        state.forward.leave(old)
        state.forward.follow(state.tape)
    state.refresh()
    return state.tape


def current_tape(state) -> Tape:
    """The thread's tape, with room for a row."""
    tape = state.tape
    if tape.sealed is None and len(tape.rows) < tape.limit:
        return tape
    if state.paused is not None and tape is state.paused[0]:
        return state.step_aside()
    if tape.tracing:
        raise TapeError(f"a function that records more than {MAX_ROWS:,} rows cannot be compiled; compile parts of it")
    tape.flush()
    return rotate(state)


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
    return slot


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
    return home is None or (home.done == len(home.rows) and not home.inference)


def _import_at_once(tensor, tape) -> int:
    spec, rare = tensor._spec, tensor._rare
    buffer, data = rare._buffer, rare._memory
    slot = tape.bring(spec, data, address_of(data), tensor if spec.requires_grad else None, buffer)
    buffer.stands(tape, slot)
    tensor._tape = None  # in this order, see `_import_tensor`
    tensor._slot = slot
    tensor._tape = tape
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


def new_tensor(tape, slot, spec):
    """A handle for a slot."""
    tensor = object.__new__(Tensor)
    tensor._tape, tensor._slot, tensor._spec = tape, slot, spec
    tensor._rare = NOTHING
    return tensor


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


def mark_careful(state):
    """Take the long way until the tape ends."""
    if not state.careful:
        state.careful = True
        state.refresh()


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
            tape.roots[slot] = tape.roots.get(slots[0], slots[0])
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
        tape.roots.pop(slot, None)
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
        tensor._memory = np.empty(signature.out.shape, signature.out.dtype)
        tape.preset[slot] = tensor._memory
    if signature.out.requires_grad and not local.state.packing:  # else the user keeps what the reverse reads
        needs = signature.needs
        if needs & 1 and tensor._memory is not None:
            tape.kept[slot] = tensor._memory
        for k, operand in enumerate(tensors):
            if needs >> (k + 1) & 1 and operand is not None and operand._rare._memory is not None:
                keep(tape, slots[k], operand._memory)
    tape.flush()


def keep(tape, slot, data):
    """Keep the memory of a slot's buffer as long as the tape, which does so with imports anyhow."""
    if tape.signature(slot).kind == op.IMPORT:
        return
    tape.flush()
    tape.kept.setdefault(int(tape.arrays.root[slot]), _owner(data))


def _owner(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


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
    roots = tape.roots
    roots[row] = roots[slot] if slot in roots else slot
    view = Tensor()
    view._tape, view._slot, view._spec = tape, row, spec
    base = tensor if base is None else base
    view._rare = ViewFacts(base, buffer, rare._offset + offset, buffer.history)
    buffer.add_view(view, base)
    return view


_VIEWS = fast_index()
KEYS = fast_index()
"""Views by the form of a key: by the spec and that, code, result, offset in bytes, and whether it is one element."""


def remember_view(plan, spec, view, form):
    """Enter a view into the fast tables, if the next one by the same plan or key may simply be recorded.

    The plan is for tensors of that spec; one that was out of date has got another, with a gradient, as it was recorded.
    """
    small = view._rare._base._spec.nbytes <= DEFER_BYTES
    row = view._tape.signature(view._slot)
    if local.state.grad_enabled and small and view._rare._memory is None and row.specs[0] is spec:
        FAST[True][_VIEWS][id(plan)] = row.code, view._spec
        form = form[0] if len(form) == 1 and form[0].__class__ is int else form
        FAST[True][KEYS].setdefault(spec, {})[form] = row.code, view._spec, plan[1], not view._spec.shape


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
    data = array if frozen or borrowed else array.copy()
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
            array = array.copy()
        spec = spec_of_array(array).differentiable
        kind = spec, import_signature(spec).code, array.nbytes <= COPY_BYTES
        if flags.c_contiguous and spec.dtype == dtype:
            _leaf_kinds[array.shape, dtype] = kind
    elif kind[2]:
        array = array.copy()
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


def constant(value, dtype):
    """A 0-d constant tensor of a Python number, on the thread's tape."""
    tape = current_tape(local.state)
    return new_tensor(tape, tape.numbers[dtype.char][value], spec_of((), dtype))
