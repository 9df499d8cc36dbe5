"""The recorded reverse over one tape on which nothing is attached to rows, as while a function is compiled.

A rule is asked once for each kind of row: the rows that it leaves are the same for all others, but for the slots. So
most of a long program's reverse is written by appending integers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..primitives.core import RECORDS
from ..tape.current import current_tape, new_tensor
from ..tape.importing import slot_of
from ..tape.numbers import Numbers
from ..tape.record import pack
from ..tape.signature import by_index
from ..tape.state import grad_mode, local
from ..vm import opcodes as op
from ..vm.native import without_collection
from .contributions import complete, joined, overwritten, windowed

__all__ = ["Rules", "straight_sweep"]

_LEARNT = (op.KERNEL, op.WINDOW, op.VIEW)
_NEW, MET = object(), object()
"""Stand for what a rule leaves of a kind of row not met before, and met once."""


class _Rule(NamedTuple):
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


def straight_sweep(tape, outputs, seeds, inputs, create_graph, row_cotangents):
    """As `recorded_sweep`, for tensors that all stand on one tape.

    Parameters
    ----------
    tape : Tape
        With no hooks, notes or lines.
    row_cotangents : callable
        Asks a row's rule, see `tapegrad.autograd.recorded`.
    """
    sweep = _Sweep(tape, {t._slot for t in inputs}, row_cotangents)
    with grad_mode(create_graph), without_collection():
        for output, seed in zip(outputs, seeds, strict=True):
            sweep.reach(output._slot, seed)
        sweep.run(max([t._slot for t in outputs], default=-1))
    return [sweep.done.get(t._slot) for t in inputs]


class Rules:
    """What rules leave on a tape to which the sweep's rows are appended.

    Parameters
    ----------
    tape : Tape
    row_cotangents : callable
    first : object
        `MET`: a rule is asked once for each kind of row; by default twice, as short programs have few of a kind.

    Attributes
    ----------
    known : dict
        By kind of row; None for one that must be asked each time.
    """

    def __init__(self, tape, row_cotangents, first=_NEW):
        self.tape, self.row_cotangents, self.first = tape, row_cotangents, first
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
        if tape.writes:
            return self.row_cotangents(tape, slot, bar, wanted)
        rule = self.known.get(key, self.first)
        if rule.__class__ is _Rule:
            return self._follow(rule, given)
        if rule is _NEW:
            self.known[key] = MET
        if rule is not MET or RECORDS.get(row.primitive.name) is not row.primitive:
            return self.row_cotangents(tape, slot, bar, wanted)  # a rule of somebody else's may look at values
        start, numbers = len(tape.rows), tape.numbers
        tape.numbers = Numbers(tape)  # so that a number of the rule's is no operand, though that may be equal to it
        try:
            bars = self.row_cotangents(tape, slot, bar, wanted)
        finally:
            tape.numbers = numbers
        self.known[key] = _learn(tape, start, given, bars)
        return bars

    def _follow(self, rule, given):
        """Append the rows that a rule leaves."""
        tape = current_tape(local.state)
        rows, roots = tape.rows, tape.roots
        slots = given + rule.constants
        for row, places, offset in rule.rows:
            slot = len(rows)
            slots.append(slot)
            if len(places) == 2:
                rows.append(row.code | slots[places[0]] << op.SLOT_BITS | slots[places[1]])
                continue
            rows.extend(pack(row, [slots[k] for k in places], offset))
            if row.kind != op.KERNEL:
                source = slots[places[0]]
                roots[slot] = roots.get(source, source)
        return [new_tensor(tape, slots[b], tape.signature(slots[b]).out) if type(b) is int else b for b in rule.results]


class _Sweep:
    """The sweep under way.

    Attributes
    ----------
    leads : set of int
        Rows that lead to an input.
    bars : dict
        Contributions, by slot.
    done : dict
        Cotangents of inputs.
    """

    def __init__(self, tape, targets, row_cotangents):
        self.tape, self.targets, self.rules = tape, targets, Rules(tape, row_cotangents, MET)
        self.leads = set(targets)
        self.bars: dict[int, Any] = {}
        self.done: dict[int, Any] = {}
        self.starts: list[int] = []
        self._mark()

    def _mark(self):
        """Find the rows that lead to an input, from the first input on."""
        tape, leads, starts = self.tape, self.leads, self.starts
        rows, operands = tape.rows, tape.operands
        slot, last = min(leads), len(rows)
        while slot < last:
            row = by_index[rows[slot] >> op.SIGNATURE_SHIFT]
            starts.append(slot)
            if row.out.requires_grad and not leads.isdisjoint(operands(slot)):
                leads.add(slot)
            slot += row.width

    def reach(self, slot, bar):
        """A contribution comes to a slot's cotangent."""
        if slot in self.leads:
            self.bars[slot] = joined(self.bars[slot], bar) if slot in self.bars else bar

    def run(self, last):
        """Visit the rows from the last to the first."""
        tape, bars = self.tape, self.bars
        for slot in reversed(self.starts):
            if slot > last or slot not in bars:
                continue
            bar, row = bars.pop(slot), tape.signature(slot)
            if row.kind == op.WINDOW and slot not in self.targets:
                (source,) = tape.operands(slot)
                self.reach(source, windowed(bar, row.out, row.specs[0].bar, row.attrs["strides"], tape.rows[slot + 1]))
                continue
            if row.kind == op.PATCHED and slot not in self.targets and row.out.contiguous and row.specs[1].size:
                self._through_write(slot, row, bar)
                continue
            bar = complete(bar, row.out)
            if slot in self.targets:
                self.done[slot] = bar
            operands = tape.operands(slot)
            wanted = tuple([s.requires_grad and k in self.leads for s, k in zip(row.specs, operands, strict=True)])
            if row.kind == op.WRITE and tape.signature(operands[0]).kind == op.WINDOW:
                wanted = (False, *wanted[1:])  # what stood there has none; its base is reached by the row after this
            if any(wanted):
                for source, x_bar in zip(
                    operands, self.rules.cotangents(slot, row, operands, wanted, bar), strict=True
                ):
                    if x_bar is not None:
                        self.reach(source, x_bar)

    def _through_write(self, slot, row, bar):
        """Carry the cotangent of an array of which a window was written to what stood there and what was written."""
        base, value = self.tape.operands(slot)
        at = row.attrs["strides"], self.tape.rows[slot + 1]
        before, written = overwritten(bar, row.out.bar, row.specs[1], *at)
        if written is not None and row.specs[1].requires_grad:
            self.reach(value, written)
        if row.specs[0].requires_grad:
            self.reach(base, before)


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
    return _Rule(constants, rows, [places[b._slot] if b is not None and b._tape is tape else b for b in bars])
