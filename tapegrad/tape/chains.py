"""Chains of tapes, each of which uses a result of the one before, and where they are cut.

A training step that looks at the loss of the one before (a running average, ``print(loss * 2)``) uses a result of its
tape. Dead rows that did so must not keep that tape, nor it the one before, without end. No cotangent of a tape that
nobody but later tapes refer to begins elsewhere than at what these use: if that leads nowhere beyond, the tape needs no
other. Nothing is let go of that a sweep could reach.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..vm import opcodes as op
from .tape import Tape

__all__ = ["follow", "leading", "leads_beyond", "let_go"]

FARTHEST = 1024
"""How many tapes back it is looked at most, at a time."""


def follow(tape: Any, before: Any) -> None:
    """Note that one tape uses a result of another, which is sealed; chains behind that are cut where they can be.

    At each second tape it is looked twice as far as at the others, at each fourth four times: what was alive when it
    was looked before may be dead.
    """
    if type(before) is not Tape:
        return
    if tape.behind <= before.behind:
        tape.behind = before.behind + 1
        _cut(before, min(2 * (tape.behind & -tape.behind), FARTHEST))


def let_go(tape: Any) -> None:
    """Let go of other tapes, if nothing more is recorded on this one and no cotangent here would go on to them.

    That is so where their results were only looked at, as a loss is under `no_grad`. Rows that have been swept count:
    those that saved nothing may be swept again.
    """
    beyond = [slot for slot, _, home, *_ in tape.imports if type(home) is tuple]
    if beyond and tape.sealed is not None:
        goes = leads_beyond(tape)
        goes[beyond] = False
        if not goes.any():
            _let_go(tape)


def leads_beyond(tape: Any) -> np.ndarray:
    """For each slot, whether a cotangent there would go on to other tapes."""
    tape.flush()
    if tape.sources:
        return leading(tape, lambda home: type(home) is tuple, ())
    marked = np.zeros(tape.cap, np.bool_)
    marked[[slot for slot, _, home, *_ in tape.imports if type(home) is tuple]] = True
    tape.spread(marked)
    return marked


def leading(tape: Any, leads: Callable[[Any], bool], targets: Any) -> np.ndarray:
    """For each slot of a tape between whose rows calls of `Function`s lie, whether a cotangent would go somewhere.

    Parameters
    ----------
    tape : Tape
    leads : callable
        Whether a home, which may be on this tape, leads there.
    targets : collection
        Tapes and slots that count as places to go to.
    """
    tape.flush()
    found = np.zeros(tape.cap, np.bool_)
    through: dict = {}
    slot, last = 0, len(tape.rows)
    while slot < last:
        row, source = tape.signature(slot), tape.sources.get(slot)
        if source is not None:
            call = source[0]
            if call not in through:
                through[call] = any([found[h] if h.__class__ is int else leads(h) for h in call.homes])
            found[slot] = through[call]
        elif row.kind == op.IMPORT:
            found[slot] = leads(tape.imported(slot)[2])
        elif row.out.requires_grad:
            found[slot] = any(found[k] for k in tape.operands(slot))
        found[slot] |= (tape, slot) in targets
        slot += row.width
    return found


def _cut(tape: Any, depth: int) -> None:
    """Look at so many tapes behind one, the last ones first."""
    found: dict[int, dict[int, tuple]] = {}  # homes on each tape, by its rank and their identity
    _enter(found, tape)
    while found and depth:
        depth -= 1
        homes = found.pop(max(found))
        behind = next(iter(homes.values()))[0]
        if type(behind) is Tape and _others(behind, homes) == _NONE and not leads_beyond(behind)[_slots(homes)].any():
            _let_go(behind)
        else:
            _enter(found, behind)


def _enter(found: dict[int, dict[int, tuple]], tape: Any) -> None:
    for entry in tape.imports:
        home = entry[2]
        if type(home) is tuple:
            found.setdefault(home[0].rank, {})[id(home)] = home


def _slots(homes: dict[int, tuple]) -> list[int]:
    return [slot for _, slot in homes.values()]


def _others(tape: Any, homes: dict[int, tuple]) -> int:
    """How many references to a tape there are beside these homes, those of the one who asks among them."""
    return sys.getrefcount(tape) - len(homes)


def _of_nobody() -> int:
    tape = Tape()
    home = tape, 0
    return _others(tape, {id(home): home})


_NONE = _of_nobody()


def _let_go(tape: Any) -> None:
    for k, (slot, owner, home, buffer, version) in enumerate(tape.imports):
        if type(home) is tuple:
            tape.imports[k] = slot, owner, None, buffer, version
