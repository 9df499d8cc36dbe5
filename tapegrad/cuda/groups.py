"""Running pending rows: neighbours that work element by element go into one launch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..vm import opcodes as op
from .elementwise import MOST_ARRAYS, MOST_STEPS, Step, launch_fused
from .table import operand, run_alone, steps_of

__all__ = ["run_rows"]


def run_rows(tape: Any, first: int, last: int) -> None:
    """Run the rows of a stretch of a device's tape."""
    program = None
    try:
        with tape.device.collecting() as program:
            _run(tape, first, last)
    except BaseException:
        if program is not None and program.failed:  # memory was taken for results that were never computed
            for slot, row in _rows(tape, first, last):
                if row.kind != op.IMPORT:
                    tape.values.pop(slot, None)
        raise


def _rows(tape: Any, first: int, last: int) -> Iterator[tuple[int, Any]]:
    """Slots and signatures of the rows of a stretch."""
    slot = first
    while slot < last:
        row = tape.signature(slot)
        yield slot, row
        slot += row.width


def _run(tape: Any, first: int, last: int) -> None:
    rows = [(slot, row, tape.operands(slot)) for slot, row in _rows(tape, first, last)]
    kept, readers = _kept(tape, rows)
    group = _Group(tape, kept, readers)
    for slot, row, operands in rows:
        if row.kind == op.IMPORT:
            tape.values[slot] = tape.imported(slot)[1]
        elif row.kind in (op.WINDOW, op.VIEW):
            if operands[0] in group.places:
                group.run()
            tape.values[slot] = _view(tape, slot, row, operands[0])
        elif row.kind == op.PATCHED:  # a window of it was written by the row that gave operand 1
            group.run()
            tape.values[slot] = tape.values[operands[0]]
        elif row.kind == op.KERNEL and slot not in kept and not readers.get(slot):
            continue  # nobody will look
        elif not group.takes(slot, row, operands):
            group.run()
            if not group.takes(slot, row, operands):
                run_alone(tape, slot, row, operands)
    group.run()
    for slot, row, _ in rows:
        if slot not in kept and row.kind == op.KERNEL:
            tape.values.pop(slot, None)


def _kept(tape: Any, rows: list) -> tuple[set[int], dict[int, list[int]]]:
    """Slots whose values somebody may ask for later (a tensor, a view, a rule), and who reads each slot here."""
    kept: set[int] = set()
    readers: dict[int, list[int]] = {}
    for slot, row, operands in reversed(rows):
        handle = tape.handles.get(slot)
        if handle is None or handle() is not None or slot in tape.retaining:
            kept.add(slot)
        if row.kind == op.IMPORT:
            continue
        if row.kind in (op.WINDOW, op.VIEW, op.WRITE, op.PATCHED):  # they share memory: what they stand on is kept
            kept.update(operands)
        if row.out.requires_grad and tape.followed:
            needs = row.needs
            if needs & 1:
                kept.add(slot)
            kept.update(operand for k, operand in enumerate(operands) if needs >> min(k + 1, 62) & 1)
        if slot in kept or readers.get(slot) or row.kind != op.KERNEL:
            for k in operands:
                readers.setdefault(k, []).append(slot)
    return kept, readers


def _view(tape: Any, slot: int, row: Any, base: int) -> Any:
    offset = tape.rows[slot + 1]
    found = tape.values[base]
    if isinstance(found, np.ndarray):  # of what was fetched to the host
        from ..tape.memory import address_of, array_at

        return array_at(address_of(found) + offset, row.out, found)
    return found.view(row.out, offset)


class _Group:
    """Rows that wait for one launch.

    Attributes
    ----------
    places : dict
        Place of each row's result among the group's values, by slot.
    """

    def __init__(self, tape: Any, kept: set[int], readers: dict[int, list[int]]):
        self.tape, self.kept, self.readers = tape, kept, readers
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.steps: list[tuple[str, tuple, tuple, Any]] = []
        self.slots: list[tuple[int, Any]] = []
        self.inputs: list[Any] = []
        self.known: dict[int, int] = {}
        self.places: dict[int, int] = {}
        self.shape: tuple | None = None

    def takes(self, slot: int, row: Any, operands: list[int]) -> bool:
        """Add a row, if it can run with those that wait."""
        if row.kind != op.KERNEL:
            return False
        plan = steps_of(row)
        if plan is None:
            return False
        if self.shape is None:
            self.shape = row.out.shape
        fresh = [k for k in operands if k not in self.places and k not in self.known]
        full = len(self.inputs) + len(fresh) + len(self.steps) >= MOST_ARRAYS or len(self.steps) >= MOST_STEPS
        if self.shape != row.out.shape or full:
            return False
        for k in fresh:
            self.known[k] = len(self.inputs)
            self.inputs.append(k)
        given: list[Any] = [("row", k) if k in self.places else ("in", k) for k in operands]
        for name, places, kinds, dtype in plan:
            mine = tuple([given[p] for p in places])
            self.steps.append((name, mine, kinds, dtype))
            given.append(("step", len(self.steps) - 1))
        self.places[slot] = len(self.steps) - 1
        self.slots.append((slot, row))
        return True

    def run(self) -> None:
        """Launch what waits."""
        if not self.slots:
            return
        tape, base = self.tape, len(self.inputs)
        inputs = [operand(tape.device, tape.values[k]) for k in self.inputs]

        def place(what: tuple) -> int:
            kind, k = what
            if kind == "in":
                return self.known[k]
            return base + (self.places[k] if kind == "row" else k)

        steps = [Step(name, tuple([place(w) for w in mine]), kinds, dtype) for name, mine, kinds, dtype in self.steps]
        outputs = []
        for slot, row in self.slots:
            if slot in self.kept or any(reader not in self.places for reader in self.readers.get(slot, ())):
                array = tape.values[slot] = tape.device.empty(row.out)
                outputs.append((base + self.places[slot], array))
        shape = self.shape or ()
        self.clear()
        if outputs:
            launch_fused(tape.device, steps, inputs, outputs, shape)
