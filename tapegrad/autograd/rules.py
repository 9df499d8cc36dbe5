"""What rules leave on a tape: the same for all rows of a kind, but for the slots."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..primitives.core import RECORDS
from ..tape.current import current_tape, new_tensor
from ..tape.importing import slot_of
from ..tape.numbers import Numbers
from ..tape.record import pack
from ..tape.state import local
from ..vm import opcodes as op

__all__ = ["Rule", "Rules", "asked", "is_learnable", "learnt"]

_LEARNT = (op.KERNEL, op.WINDOW, op.VIEW)
_NEW, _MET = object(), object()
"""Stand for what a rule leaves of a kind of row not met before, and met once."""


class Rule(NamedTuple):
    """What a rule leaves, with places in a list of slots for operands: those given, constants, then its own rows.

    Attributes
    ----------
    constants : list of int
    rows : list of (Signature, tuple of int, int)
        With each operand's place, and the offset of a view.
    results : list
        The place of each cotangent, or what it is: None, or a tensor from outside the tape.
    """

    constants: list[int]
    rows: list[tuple[Any, tuple[int, ...], int]]
    results: list[Any]


class Rules:
    """What rules leave on a tape to which the sweep's rows are appended.

    Parameters
    ----------
    tape : Tape
    row_cotangents : callable

    Attributes
    ----------
    known : dict
        By kind of row; None for one that must be asked each time.
    """

    def __init__(self, tape, row_cotangents):
        self.tape, self.row_cotangents = tape, row_cotangents
        self.known: dict[tuple, Any] = {}

    def cotangents(self, slot, row, operands, wanted, bar):
        """Cotangents of a row's operands: by its rule, or as that left them for a row of the kind."""
        tape, given = self.tape, [slot, *operands]
        if bar._tape is tape:
            given.append(bar._slot)
        else:
            given.append(slot_of(bar, local.state, tape))
            bar = new_tensor(tape, given[-1], bar._spec)
        alike = None if len(set(given)) == len(given) else tuple([given.index(k) for k in given])
        offset = tape.rows[slot + 1] if row.kind in op.WITH_OFFSET else None
        key = (row.index, wanted, bar._spec, alike, offset)
        if tape.stamps.last:
            return self.row_cotangents(tape, slot, bar, wanted)
        rule = self.known.get(key, _NEW)
        if rule.__class__ is Rule:
            return self._follow(rule, given)
        if rule is _NEW:
            self.known[key] = _MET
        if rule is not _MET:
            return self.row_cotangents(tape, slot, bar, wanted)
        bars, self.known[key] = asked(self.row_cotangents, tape, row, bar, wanted, given)
        return bars

    def _follow(self, rule, given):
        """Append the rows that a rule leaves."""
        tape = current_tape(local.state)
        rows = tape.rows
        slots = given + rule.constants
        for row, places, offset in rule.rows:
            slot = len(rows)
            slots.append(slot)
            if len(places) == 2:
                rows.append(row.code | slots[places[0]] << op.SLOT_BITS | slots[places[1]])
                continue
            rows.extend(pack(row, [slots[k] for k in places], offset))
            if row.kind != op.KERNEL:
                tape.noted += (slot, slots[places[0]], None)
        return [new_tensor(tape, slots[b], tape.signature(slots[b]).out) if type(b) is int else b for b in rule.results]


def asked(row_cotangents, tape, row, bar, wanted, given):
    """Cotangents of a row's operands, and what its rule leaves for all rows of the kind; None if that is not known.

    Parameters
    ----------
    row_cotangents : callable
    tape : Tape
    row : Signature
    bar : Tensor
        On the tape.
    wanted : tuple of bool
    given : list of int
        Slots of the row, its operands, and its cotangent.
    """
    if not is_learnable(row):
        return row_cotangents(tape, given[0], bar, wanted), None
    return learnt(tape, given, lambda: row_cotangents(tape, given[0], bar, wanted))


def is_learnable(row):
    """Whether a row's rule is one of ours: that of somebody else may look at values."""
    made = row.primitive.inner if row.kind == op.WRITE else row.primitive
    return RECORDS.get(made.name) is made


def learnt(tape, given, make):
    """What a function makes on a tape of the given slots, and the rule for that; None if it is not the same for others.

    Parameters
    ----------
    tape : Tape
    given : list of int
    make : callable
        Returns a list of tensors, or of None.
    """
    start, numbers = len(tape.rows), tape.numbers
    tape.numbers = Numbers(tape)  # so that a number of the rule's is no operand, though that may be equal to it
    try:
        made = make()
    finally:
        tape.numbers = numbers
    return made, _learn(tape, start, given, made)


def _learn(tape, start, given, bars):
    """What a rule has left from a row on; None where another row of the kind may leave something else."""
    places: dict[int, int] = {}
    for k, slot in enumerate(given):
        places.setdefault(slot, k)
    constants: list[int] = []
    rows: list[tuple[Any, tuple[int, ...], int]] = []
    made: list[tuple[int, Any]] = []
    slot = start
    while slot < len(tape.rows):
        made.append((slot, tape.signature(slot)))
        slot += made[-1][1].width
    own = {slot for slot, row in made if row.kind != op.IMPORT}
    results = [b._slot for b in bars if b is not None and b._tape is tape]
    for k in (*[k for slot, _ in made for k in tape.operands(slot)], *results):
        if k not in places and k not in own:
            if tape.signature(k).kind != op.IMPORT:
                return None
            places[k] = len(given) + len(constants)
            constants.append(k)
    for slot, row in made:
        if row.kind == op.IMPORT:
            continue
        if row.kind not in _LEARNT:
            return None
        rows.append((row, tuple([places[k] for k in tape.operands(slot)]), tape.rows[slot + 1] if row.width > 1 else 0))
        places[slot] = len(given) + len(constants) + len(rows) - 1
    return Rule(constants, rows, [places[b._slot] if b is not None and b._tape is tape else b for b in bars])
