"""What a tape keeps for rows that nobody can reach any more: saved values, arrays of the caller's, other tapes.

Tapes that fill up follow each other, and a value that is used on the next one keeps the tape that it came from. Where
no sweep frees them (losses that are only looked at), dead values would keep tape after tape. So now and then a tape's
rows are marked from the tensors that live; what only others have saved or used goes, and these count as freed. A full
collection, by which memory is asked for back, drops what the thread's tape keeps if no tensor of it lives.
"""

from __future__ import annotations

import gc
import sys
from types import CellType, FrameType, SimpleNamespace
from typing import Any

from .handle import Tensor
from .numbers import Numbers
from .signature import DEFER_BYTES
from .spare import drop_spare
from .state import State, local
from .tape import Tape

__all__ = ["forget"]


def forget(tape: Any) -> None:
    """Let go of what only rows saved whose results nobody can reach, if it is known who can."""
    tape.flush()
    if tape.sources or tape.device is not None or not tape.done:
        return
    roots = _reached(tape)
    if roots is None:
        return
    marked, root = bytearray(len(tape.rows)), tape.arrays.root
    needed: set[int] = set()
    todo = list(roots)
    while todo:
        slot = todo.pop()
        if marked[slot]:
            continue
        marked[slot] = 1
        operands = tape.operands(slot)
        needed.update([int(root[k]) for k in (slot, *operands)])
        todo += operands
    for slot in [slot for slot in tape.kept if slot not in needed]:
        del tape.kept[slot]
    freed = bytearray(1 - mark for mark in marked)
    if tape.freed is not None:
        for slot, flag in enumerate(tape.freed[: len(freed)]):
            freed[slot] |= flag
    tape.freed = bytes(freed)
    for k, (slot, owner, home, buffer, version) in enumerate(tape.imports):
        if marked[slot] or slot in needed:
            continue
        if type(home) is tuple:  # another tape, which may go now
            tape.imports[k] = slot, owner, None, buffer, version
        elif home is None and owner is not None and owner.nbytes > DEFER_BYTES:
            tape.imports[k] = slot, None, None, None, 0


def _reached(tape: Any) -> set[int] | None:
    """Slots that somebody refers to: tensors, and imports of other tapes. None if there are others who refer to it."""
    found = set()
    for who in gc.get_referrers(tape):
        if isinstance(who, Tensor):
            found.add(who._slot)
        elif type(who) is tuple and len(who) == 2 and who[0] is tape:
            found.add(who[1])
        elif not isinstance(who, (State, Numbers, FrameType, CellType)):
            return None
    return found


def _references(holder: Any) -> int:
    """How many references there are to a tape that a thread, or something else with a `tape`, has."""
    tape = holder.tape
    return sys.getrefcount(tape)


_UNUSED = _references(SimpleNamespace(tape=Tape()))


def _when_collected(phase: str, info: dict) -> None:
    """Give back what a full collection is called for: first what no result needs, at last the spare blocks."""
    if phase == "start" or info["generation"] < 2:
        return
    state = local.state
    if state.tape.kept and not (state.tape.running or state.tape.tracing):
        if _references(state) - len(state.tape.visitors()) == _UNUSED:
            state.tape.kept.clear()
    drop_spare()


gc.callbacks.append(_when_collected)
