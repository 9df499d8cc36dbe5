"""The tape on which a thread records, when one ends and the next begins, and handles on it."""

from __future__ import annotations

from .buffer import buffer_of
from .forgetting import forget
from .handle import NOTHING, Tensor
from .spec import spec_of
from .state import local
from .tape import MAX_ROWS, Tape, TapeError

__all__ = ["begin_anew", "constant", "current_tape", "escape", "mark_careful", "mark_escaped", "new_tensor", "rotate"]

CHAIN = 16
"""After how many tapes that filled up, with no sweep between, it is looked what the last needs of the others."""


def escape(tensor):
    """A NumPy array outside shares the tensor's memory from now on: rows of tapes that see it run at once."""
    state, buffer = local.state, buffer_of(tensor)
    while buffer is not None:
        buffer.escaped = True
        buffer.unsettle()
        if tensor._tape is state.tape or buffer.place_on(state.tape) is not None:
            mark_escaped(state, state.tape)
        buffer = buffer.source


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


def begin_anew(state) -> Tape:
    """Let the thread's tape be all that holds its values, where an operation uses none of them: it goes with them."""
    tape = state.tape
    if tape.tracing or tape.device is not None or state.paused is not None or state.depth:
        return tape
    tape.flush()
    following = rotate(state)
    tape.dismiss()
    return following


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
    if tape.followed % CHAIN == CHAIN - 1:  # so that what nobody needs on it does not keep the tapes before it
        forget(tape)
    following = rotate(state)
    following.followed = tape.followed + 1
    return following


def new_tensor(tape, slot, spec):
    """A handle for a slot."""
    tensor = object.__new__(Tensor)
    tensor._tape, tensor._slot, tensor._spec = tape, slot, spec
    tensor._rare = NOTHING
    return tensor


def mark_careful(state):
    """Take the long way until the tape ends."""
    if not state.careful:
        state.careful = True
        state.refresh()


def constant(value, dtype):
    """A 0-d constant tensor of a Python number, on the thread's tape."""
    tape = current_tape(local.state)
    return new_tensor(tape, tape.numbers[dtype.char][value], spec_of((), dtype))
