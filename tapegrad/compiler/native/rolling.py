"""Loops found again: an unrolled Python loop leaves rows that repeat, and their body need be written out once.

Rows are compared with those one period before. What a row reads stands in each iteration a fixed number of rows, and of
bytes, further on: none (the same for all iterations), a period (this iteration's, or one of the last ones'), or what a
loop before has computed, forwards or backwards. Such values of past loops stand in *cells*: a record for each
iteration, one behind the other, in memory that belongs to the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .graph import Graph, Row, indices, offset_of
from .rules import MOST_LITERALS, RULES, Axes

__all__ = ["Operand", "Roll", "Script", "find_script", "is_fold"]

LEAST_SAVED = 128
"""Elements that a loop must save from being written out: what is short is faster without a loop."""
LEAST_COUNT = 3
"""Iterations: two would not show that strides are constant."""
MOST_OPERANDS, MOST_BACK = 8, 4
"""Operands of a row within a loop, and iterations that one may look back."""
MOST_PERIODS, ROUNDS = 24, 4
"""Periods that are tried; how far around a row one looks for its like."""
APART = 1 << 36
"""Between the places of unrelated values, so that no stride leads from one to the other."""


@dataclass(slots=True)
class Operand:
    """Where an operand of a loop's row comes from.

    Attributes
    ----------
    slot : int
        In the first iteration.
    kind : {"same", "inside", "carried", "cell", "memory"}
        The same for all iterations; computed before in the iteration; some iterations before; by an earlier loop; in
        memory, `step` words further on in the address table for each iteration.
    step, shift : int
        Words, and bytes, from one iteration to the next.
    back : int
        How many iterations before.
    roll, row, start : Roll, int, int
        For a cell: the loop, the row of its iteration, the iteration that is read first; `step` counts iterations.
    """

    slot: int
    kind: str
    step: int = 0
    shift: int = 0
    back: int = 0
    roll: Roll | None = None
    row: int = 0
    start: int = 0


@dataclass(eq=False)
class Roll:
    """Rows that are one loop.

    Attributes
    ----------
    first, period, count : int
        Place of the first row, rows of an iteration, iterations.
    operands : list of list of Operand
        Of each row of an iteration.
    kept : set of int
        Rows of an iteration whose values later rows read from cells.
    low, high : int
        The iterations that have cells; those that are not the loop's own are written out before or behind it.
    cells : dict
        By row and byte offset of the element, the number of the cell in an iteration's record.
    base : int
        Cells of the loops before.
    """

    first: int
    period: int
    count: int
    operands: list[list[Operand]] = field(default_factory=list)
    kept: set[int] = field(default_factory=set)
    low: int = 0
    high: int = 0
    cells: dict[tuple[int, int], int] = field(default_factory=dict)
    base: int = 0

    @property
    def stop(self) -> int:
        """Place behind the last row."""
        return self.first + self.period * self.count

    def cell(self, row: int, at: int, iteration: int) -> int:
        """Number of a cell among all of the group."""
        return self.base + (iteration - self.low) * len(self.cells) + self.cells[row, at]


@dataclass
class Script:
    """How the rows of a group are written: loops, and between them rows, one by one.

    Attributes
    ----------
    rolls : list of Roll
        In order.
    copies : dict
        For rows outside of loops that later loops read as a loop's: the cells, as (loop, row of the iteration,
        iteration), that their values go to.
    cells : int
        How many cells there are in all.
    """

    rolls: list[Roll] = field(default_factory=list)
    copies: dict[int, set[tuple[Roll, int, int]]] = field(default_factory=dict)
    cells: int = 0

    def written(self, sizes: np.ndarray) -> int:
        """Elements that are written out, of rows with so many."""
        return int(sizes.sum()) - sum([int(sizes[r.first + r.period : r.stop].sum()) for r in self.rolls])


def find_script(
    rows: list, sizes: np.ndarray, graph: Graph, stored: set[int], places: Callable[[int], int], folds: bool
) -> Script:
    """Find the loops in a group.

    Parameters
    ----------
    rows : list of tuple
        Rows and their axes.
    sizes : numpy.ndarray
        Elements that are written out for each.
    graph : Graph
    stored : set of int
        Slots whose values go to memory.
    places : callable
        ``places(slot)``: for values that another group of a step computes, a place such that those of rows one
        behind the other have their addresses one behind the other in the table; -1 for all other values.
    folds : bool
        Whether rows that are folded over lanes may be in loops.

    Returns
    -------
    Script
    """
    if sizes.sum() < LEAST_SAVED:
        return Script()
    table = _Table(rows, graph, stored, places, folds)
    rolls = _choose(table, sizes)
    return _Analysis(table, rows).run(rolls) if rolls else Script()


def is_fold(axes: Axes) -> bool:
    """Whether a row is folded over lanes."""
    return axes[0] is None and any(axis is not None for axis in axes[1])


class _Table:
    """Rows as numbers: what is computed, and where operands stand."""

    def __init__(self, rows: list, graph: Graph, stored: set[int], places: Callable[[int], int], folds: bool):
        self.count = len(rows)
        self.graph, self.places = graph, places
        own = {row.slot: k for k, (row, _) in enumerate(rows)}
        kinds, table, shifts = [], [], []
        nowhere, unmoved = [-APART] * MOST_OPERANDS, [0] * MOST_OPERANDS
        self.sources: list[list[int]] = []
        known: dict[Any, int] = {}
        outside: dict[int, tuple[int, Any]] = {}
        for k, (row, axes) in enumerate(rows):
            places_of, marks = [], []
            for slot in row.sources:
                root = graph.root[slot]
                at, mark = own.get(root, -1), None
                if at < 0:
                    if root not in outside:
                        outside[root] = self._outside(root)
                    at, mark = outside[root]
                places_of.append(at)
                marks.append(mark)
            self.sources.append(places_of)
            if self._may_roll(row, axes, folds):
                count = len(places_of)
                table.append(places_of + nowhere[count:])
                shifts.append([graph.shift[slot] for slot in row.sources] + unmoved[count:])
                kind = row.signature, row.out, tuple(row.specs), axes, row.slot in stored, tuple(marks)
                kinds.append(known.setdefault(kind, len(known)))
            else:
                table.append(nowhere)
                shifts.append(unmoved)
                kinds.append(-1 - k)
        self.kinds, self.at, self.shift = (np.array(words, np.int64) for words in (kinds, table, shifts))

    def _outside(self, root: int) -> tuple[int, Any]:
        """The place of a value that the group does not compute, and the contents of a literal."""
        constant = self.graph.constants.get(root)
        if constant is not None and constant.size <= MOST_LITERALS:
            return -APART, (constant.dtype.char, constant.shape, constant.tobytes())
        place = self.places(root)
        return (self.count + APART + place if place >= 0 else -APART * (2 + root)), None

    def _may_roll(self, row: Row, axes: Axes, folds: bool) -> bool:
        if len(row.sources) > MOST_OPERANDS or RULES[row.name].in_memory(row, axes):
            return False
        return not is_fold(axes) or (folds and row.name != "mean")

    def periods(self) -> list[int]:
        """Distances between rows that are alike, with what they read and what that reads; the most frequent first."""
        n, found = self.count, self.kinds.astype(np.uint64)
        inside = (self.at >= 0) & (self.at < n)
        own, others = np.where(inside, self.at, 0), np.where(inside, 0, self.at).astype(np.uint64)
        for _ in range(ROUNDS):
            mixed = found * np.uint64(0x9E3779B97F4A7C15)
            for i in range(MOST_OPERANDS):
                read = np.where(inside[:, i], found[own[:, i]], others[:, i])
                mixed = (mixed ^ (read + np.uint64(i))) * np.uint64(0xD6E8FEB86659FD93)
                mixed ^= mixed >> np.uint64(29)
            found = mixed
        order = np.argsort(found, kind="stable")
        alike = found[order[1:]] == found[order[:-1]]
        distances, counts = np.unique((order[1:] - order[:-1])[alike], return_counts=True)
        common = np.argsort(-counts, kind="stable")[:MOST_PERIODS]
        return [int(distances[k]) for k in common if counts[k] > 1]

    def runs(self, period: int) -> list[tuple[int, int]]:
        """Where each row goes on as the one a period before: first rows, and lengths, of at least three periods."""
        n, p = self.count, period
        if n < LEAST_COUNT * p:
            return []
        a, b, c = slice(0, n - 2 * p), slice(p, n - p), slice(2 * p, n)
        steps = self.at[b] - self.at[a]
        even = (self.kinds[a] == self.kinds[b]) & (self.kinds[b] == self.kinds[c])
        even &= (steps == self.at[c] - self.at[b]).all(1) & (abs(steps) < APART).all(1)
        even &= (self.shift[b] - self.shift[a] == self.shift[c] - self.shift[b]).all(1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], even, [False]]).astype(np.int8)))
        return [(int(s), int(e - s) + 2 * p) for s, e in zip(edges[::2], edges[1::2], strict=True) if e - s >= p]


def _choose(table: _Table, sizes: np.ndarray) -> list[Roll]:
    """Loops that do not overlap, those that save most first."""
    before = np.concatenate([[0], np.cumsum(sizes)])

    def saved(first: int, length: int, period: int) -> int:
        return int(before[first + length // period * period] - before[first + period])

    found = [(first, length, p) for p in table.periods() for first, length in table.runs(p)]
    free, chosen = [(0, table.count)], []
    for first, length, period in sorted(found, key=lambda run: -saved(*run)):
        for low, high in free:
            start, stop = max(first, low), min(first + length, high)
            count = (stop - start) // period
            if count >= LEAST_COUNT and saved(start, stop - start, period) >= LEAST_SAVED:
                chosen.append(Roll(start, period, count))
                free.remove((low, high))
                free += [(low, start), (start + count * period, high)]
                break
    return sorted(chosen, key=lambda roll: roll.first)


class _Analysis:
    """Whether all operands of loops can be found, and which values must be kept for that."""

    def __init__(self, table: _Table, rows: list):
        self.table, self.rows = table, rows
        self.owner: list[Roll | None] = [None] * table.count
        self.script = Script()

    def run(self, rolls: list[Roll]) -> Script:
        for roll in rolls:
            while roll.count >= LEAST_COUNT and not self._accept(roll):
                roll.first, roll.count = roll.first + roll.period, roll.count - 1
        for k, sources in enumerate(self.table.sources):
            if self.owner[k] is None:
                for at in sources:
                    self._keep(at)
        for roll in self.script.rolls:
            self._lay_cells(roll)
        return self.script

    def _accept(self, roll: Roll) -> bool:
        """Note where a loop's operands are; without success where one cannot be found."""
        table, p = self.table, roll.period
        roll.operands, roll.high = [], roll.count - 1
        for j in range(p):
            k = roll.first + j
            steps, shifts = table.at[k + p] - table.at[k], table.shift[k + p] - table.shift[k]
            row, found = self.rows[k][0], []
            for i, slot in enumerate(row.sources):
                operand = self._operand(roll, j, slot, int(table.at[k, i]), int(steps[i]), int(shifts[i]))
                if operand is None or (row.name == "gather" and i == 0 and operand.kind != "same"):
                    return False
                found.append(operand)
            roll.operands.append(found)
        for k in range(roll.first, roll.stop):
            self.owner[k] = roll
        for k, operands in enumerate(roll.operands, roll.first):
            for operand, at in zip(operands, table.sources[k], strict=True):
                if operand.kind == "cell":
                    self._keep_all(operand, roll.count)
                elif operand.kind in ("same", "carried"):
                    for i in range(max(operand.back, 1)):
                        self._keep(at + i * p)
        self.script.rolls.append(roll)
        return True

    def _operand(self, roll: Roll, j: int, slot: int, at: int, step: int, shift: int) -> Operand | None:
        if not 0 <= at < self.table.count:
            return Operand(slot, "memory" if step or shift else "same", step, shift)
        if shift:
            return None
        offset = at - roll.first
        if step == 0:
            return Operand(slot, "same") if offset < 0 else None
        if step == roll.period and offset >= 0:
            return Operand(slot, "inside") if offset < j else None
        if step == roll.period and -offset <= MOST_BACK * roll.period:
            return Operand(slot, "carried", back=-(offset // roll.period))
        return self._cell(roll, slot, at, step)

    def _cell(self, roll: Roll, slot: int, at: int, step: int) -> Operand | None:
        """Values of one earlier loop, and maybe of rows before or behind it."""
        places = range(at, at + step * roll.count, step)
        if max(places[0], places[-1]) >= roll.first:
            return None
        owners = {self.owner[k] for k in places} - {None}
        if len(owners) != 1:
            return None
        (other,) = owners
        assert other is not None
        if step % other.period:
            return None
        start, row = divmod(at - other.first, other.period)
        return Operand(slot, "cell", step // other.period, roll=other, row=row, start=start)

    def _keep(self, at: int) -> None:
        """A row's value is read behind its loop: from a register if it is the last iteration's."""
        roll = self.owner[at] if 0 <= at < self.table.count else None
        if roll is not None and at < roll.stop - roll.period:
            roll.kept.add((at - roll.first) % roll.period)

    def _keep_all(self, operand: Operand, count: int) -> None:
        """A later loop reads a row's values of many iterations."""
        roll = operand.roll
        assert roll is not None
        roll.kept.add(operand.row)
        ends = operand.start, operand.start + operand.step * (count - 1)
        roll.low, roll.high = min(roll.low, *ends), max(roll.high, *ends)
        for i in range(operand.start, operand.start + operand.step * count, operand.step):
            if not 0 <= i < roll.count:
                place = roll.first + i * roll.period + operand.row
                self.script.copies.setdefault(place, set()).add((roll, operand.row, i))

    def _lay_cells(self, roll: Roll) -> None:
        for j in sorted(roll.kept):
            row, axes = self.rows[roll.first + j]
            for index in indices(row.out.shape, axes[0]):
                roll.cells[j, offset_of(index, row.out.strides)] = len(roll.cells)
        roll.base = self.script.cells
        self.script.cells += len(roll.cells) * (roll.high - roll.low + 1)
