"""Rows of a group, written out: one by one, and as the loops that were found in them (see `rolling`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, pairwise

from .body import Body
from .graph import Graph, Row, indices, offset_of
from .group import Group
from .instructions import NEUTRAL, SCALAR, Number
from .likeness import is_fold
from .rolling import Operand, Roll, Script
from .rules import RULES, WHOLE, Axes

__all__ = ["write_neutral", "write_rows"]

Rows = list[tuple[Row, Axes]]


class Homes:
    """Where values of loops that are written are kept."""

    def __init__(self, rows: Group):
        self.rows = rows
        self.rolls: list[Roll] = []

    def add(self, roll: Roll) -> None:
        """Note that a loop is written."""
        self.rolls.append(roll)

    def find(self, slot: int) -> tuple[Roll, int, int] | None:
        """The loop, the row of its iteration, and the iteration of a value that cells keep; None for others."""
        place = self.rows.place(slot) if self.rolls else -1
        for roll in self.rolls:
            if roll.first <= place < roll.stop - roll.period:
                iteration, row = divmod(place - roll.first, roll.period)
                return (roll, row, iteration) if row in roll.kept else None
        return None


def write_rows(body: Body, rows: Group, script: Script) -> Body:
    """Write all rows of a group to a body; returns it."""
    body.homes = Homes(rows)
    at = 0
    for roll in script.rolls:
        _write_straight(body, rows, script, at, roll.first)
        _Loop(body, rows, roll).write()
        at = roll.stop
    _write_straight(body, rows, script, at, len(rows))
    return body


def _write_straight(body: Body, rows: Group, script: Script, first: int, stop: int) -> None:
    for chain in _chains(rows[first:stop], body.graph):
        _emit_chain(body, chain)
    for k in sorted(k for k in script.copies if first <= k < stop):
        for roll, j, iteration in script.copies[k]:
            for at, number in body.made[int(rows.slots[k])].items():
                body.store_cell(roll.cell(j, at, iteration), "", 0, number)


def _chains(rows: Rows, graph: Graph) -> Iterator[Rows]:
    """Elementwise rows that go along with each other, one behind the other; any other row alone."""
    chain: Rows = []
    made: set[int] = set()
    for row, axes in rows:
        if chain and not (_is_alike(chain[0], row, axes) and _is_straight(row, made, graph)):
            yield chain
            chain, made = [], set()
        chain.append((row, axes))
        made.add(row.slot)
    if chain:
        yield chain


def _is_alike(first: tuple[Row, Axes], row: Row, axes: Axes) -> bool:
    rules = RULES[first[0].name], RULES[row.name]
    if rules[0].element is None or rules[1].element is None:
        return False
    return (first[0].out.shape, first[1][0]) == (row.out.shape, axes[0])


def _is_straight(row: Row, made: set[int], graph: Graph) -> bool:
    """Whether a row reads of those rows what stands at the same index."""
    return all(
        graph.root(s) not in made or (graph.is_whole(s) and graph.spec(s).shape == row.out.shape) for s in row.sources
    )


def _emit_chain(body: Body, chain: Rows) -> None:
    """Write rows out index by index, so that few values are alive at a time."""
    row, axes = chain[0]
    decides = body.graph.decides
    if len(chain) == 1:
        body.is_exact = bool(decides[row.slot])
        RULES[row.name].emit(body, row, axes)
    else:
        for index in indices(row.out.shape, axes[0]):
            for row, axes in chain:
                body.is_exact = bool(decides[row.slot])
                RULES[row.name].element(body, row, axes, index)
    body.flush()


def write_neutral(body: Body, rows: Group, roll: Roll) -> None:
    """What rows of a loop fold over lanes begins with: written to memory before the lanes."""
    folds = [row for row, axes in rows[roll.first : roll.first + roll.period] if is_fold(axes)]
    if not folds:
        return
    with body.counting(roll.count) as count:
        for row in folds:
            pointer = body.memory.moving(row.slot, count, roll.period)
            char = row.out.dtype.char
            start = body.constant(NEUTRAL[RULES[row.name].combine(row)], char)
            for index in indices(row.out.shape, None):
                place = body.moved(pointer, offset_of(index, row.out.strides))
                body.text.lines.append(f"  store {SCALAR[char]} {start.text}, ptr {place}")


class _Loop:
    """One loop while it is written: the rows of its first iteration stand for those of all.

    Operands are given to the rules as negative slots, each its own, as one slot may be read as the value of all
    iterations here and as that of the last iteration there.

    Attributes
    ----------
    operands : dict
        By negative slot.
    """

    def __init__(self, body: Body, rows: Group, roll: Roll):
        self.body, self.rows, self.roll = body, rows, roll
        self.operands: dict[int, Operand] = {}
        self.own = set(rows.slots[roll.first : roll.first + roll.period].tolist())
        self.carried: dict[tuple[int, int, int], list[str]] = {}
        self.pointers: dict[tuple[int, int, int], str] = {}

    def write(self) -> None:
        """Write the loop, and note what it leaves behind."""
        body, roll = self.body, self.roll
        self.before, self.outer = body.text.lines, body.known
        with body.counting(roll.count) as self.count:
            body.loop, body.known = self, self.outer.copy()
            rows = self.rows[roll.first : roll.first + roll.period]
            proxies = iter([(self._proxy(row, j), axes) for j, (row, axes) in enumerate(rows)])
            for chain in _chains(rows, body.graph):
                _emit_chain(body, list(islice(proxies, len(chain))))
            for j, (row, _) in enumerate(rows):
                if j in roll.kept:
                    for at, number in body.made[row.slot].items():
                        body.store_cell(roll.cell(j, at, 0), self.count, len(roll.cells), number)
            self._carry()
            body.loop, body.known = None, self.outer
        self._leave()

    def _proxy(self, row: Row, j: int) -> Row:
        """The row, with operands that are looked up here."""
        slots = []
        for operand in self.roll.operands[j]:
            slots.append(-1 - len(self.operands))
            self.operands[slots[-1]] = operand
        return row.reading(tuple(slots))

    def _carry(self) -> None:
        """Move on what later iterations read."""
        for (root, at, _), places in self.carried.items():
            j = (self.rows.place(root) - self.roll.first) % self.roll.period
            for place, following in pairwise(places):
                self.body.store_number(place, self.body.load_number(following, self._char(root)))
            made = self.body.made[int(self.rows.slots[self.roll.first + j])]
            self.body.store_number(places[-1], made[at])

    def _leave(self) -> None:
        """Values of the last iteration are at hand, those of others in cells."""
        made, roll, slots = self.body.made, self.roll, self.rows.slots
        for j in range(roll.period):
            values = made.pop(int(slots[roll.first + j]), None)
            if values is not None:  # else it is in memory, folded over lanes
                made[int(slots[roll.stop - roll.period + j])] = values
        self.body.homes.add(roll)

    def _char(self, slot: int) -> str:
        return self.body.spec(slot).dtype.char

    # --- operands ------------------------------------------------------------------------------------------------

    def read(self, operand: Operand, axis: int | None, index: tuple[int, ...]) -> Number:
        """An element of an operand."""
        body, graph, slot = self.body, self.body.graph, operand.slot
        spec, root = graph.spec(slot), graph.root(slot)
        at = graph.shift(slot) + offset_of(index, spec.strides)
        if operand.kind == "same":
            with self._outside():
                return body.read(slot, axis, index)
        if operand.kind == "inside":
            return body.made[root][at]
        if operand.kind == "carried":
            return self._read_carried(operand, root, at)
        if operand.kind == "cell":
            roll = operand.roll
            assert roll is not None
            cell = roll.cell(operand.row, at, operand.start)
            return body.load_cell(cell, self.count, operand.step * len(roll.cells), self._char(root))
        stride = 0 if axis is None else spec.dtype.itemsize if axis == WHOLE else spec.strides[axis]
        return body.load(self._moving(operand, root), root, at, stride, spec, index)

    @contextmanager
    def _outside(self) -> Iterator[None]:
        """Write to what stands before the loop: what is the same for all iterations is read once."""
        body = self.body
        lines, known = body.text.lines, body.known
        body.loop, body.text.lines, body.known = None, self.before, self.outer
        yield
        body.loop, body.text.lines, body.known = self, lines, known

    def _read_carried(self, operand: Operand, root: int, at: int) -> Number:
        """What an iteration before has computed; the last few stand on the stack, the oldest first."""
        key = root, at, operand.back
        if key not in self.carried:
            places = self.carried[key] = self.body.room(self._char(root), operand.back)
            with self._outside():
                for i, place in enumerate(places):
                    slot = int(self.rows.slots[self.rows.place(root) + i * self.roll.period])
                    self.body.store_number(place, self.body.element(slot, at))
        return self.body.load_number(self.carried[key][0], self._char(root))

    def address(self, root: int) -> str:
        """Pointer to a value's first element: to that of the iteration, for the loop's own."""
        if root not in self.own:
            return self.body.memory.address(root)
        return self._at(root, self.roll.period, 0)

    def _moving(self, operand: Operand, root: int) -> str:
        return self._at(root, operand.step, operand.shift)

    def _at(self, root: int, step: int, shift: int) -> str:
        """Pointer to a value, so many words of the table and bytes further on for each iteration."""
        key = root, step, shift
        if key not in self.pointers:
            memory, text = self.body.memory, self.body.text
            pointer = memory.moving(root, self.count, step) if step else memory.address(root)
            if shift:
                far = text.set(f"mul i64 {self.count}, {shift}")
                pointer = text.set(f"getelementptr i8, ptr {pointer}, i64 {far}")
            self.pointers[key] = pointer
        return self.pointers[key]
