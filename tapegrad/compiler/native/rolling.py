"""Loops found again: an unrolled Python loop leaves rows that repeat, and their body need be written out once.

Rows are compared with those one period before. What a row reads stands in each iteration a fixed number of rows, and of
bytes, further on: none (the same for all iterations), a period (this iteration's, or one of the last ones'), or what a
loop before has computed, forwards or backwards. Such values of past loops stand in *cells*: a record for each
iteration, one behind the other, in memory that belongs to the step.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np

from .graph import indices, offset_of
from .group import Group
from .likeness import LEAST_COUNT, Likeness

__all__ = ["Operand", "Roll", "Script", "find_script"]

LEAST_SAVED = 128
"""Elements that a loop must save from being written out: what is short is faster without a loop."""
MOST_BACK = 4
"""Iterations that a row within a loop may look back."""
MOST_LEFT_OUT = 16
"""First iterations that are written out before a loop, as they read what others do not."""


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


def find_script(group: Group, stored: set[int], places: np.ndarray, folds: bool) -> Script:
    """Find the loops in a group.

    Parameters
    ----------
    group : Group
    stored : set of int
        Slots whose values go to memory.
    places : numpy.ndarray of int64
        By slot, for values that a native step computes, where their addresses stand in the table; -1 for all others.
    folds : bool
        Whether rows that are folded over lanes may be in loops.

    Returns
    -------
    Script
    """
    sizes = group.of_each(lambda choice: choice.elements)
    if sizes.sum() < LEAST_SAVED:
        return Script()
    likeness = Likeness(group, stored, places, folds)
    rolls = _choose(likeness, sizes)
    return _Analysis(likeness).run(rolls) if rolls else Script()


def _choose(likeness: Likeness, sizes: np.ndarray) -> list[Roll]:
    """Loops that do not overlap, those that save most first."""
    before = np.concatenate([[0], np.cumsum(sizes)])

    def saved(first: int, length: int, period: int) -> int:
        return int(before[first + length // period * period] - before[first + period])

    found = [(first, length, p) for p in likeness.periods() for first, length in likeness.runs(p)]
    taken: list[tuple[int, int]] = [(0, 0), (likeness.count, likeness.count)]
    chosen = []
    for first, length, period in sorted(found, key=lambda run: -saved(*run)):
        k = bisect_right(taken, (first, likeness.count)) - 1
        while taken[k][0] < first + length and k + 1 < len(taken):
            start, stop = max(first, taken[k][1]), min(first + length, taken[k + 1][0])
            count = (stop - start) // period
            if count >= LEAST_COUNT and saved(start, stop - start, period) >= LEAST_SAVED:
                chosen.append(Roll(start, period, count))
                taken.insert(k + 1, (start, start + count * period))
                break
            k += 1
    return sorted(chosen, key=lambda roll: roll.first)


class _Analysis:
    """Whether all operands of loops can be found, and which values must be kept for that.

    Attributes
    ----------
    owner : numpy.ndarray of int32
        By row, the number of its loop; -1 for rows outside of loops.
    """

    def __init__(self, likeness: Likeness):
        self.likeness, self.group = likeness, likeness.group
        self.owner = np.full(likeness.count, -1, np.int32)
        self.script = Script()

    def run(self, rolls: list[Roll]) -> Script:
        for roll in rolls:
            most = roll.count - MOST_LEFT_OUT
            while roll.count >= max(LEAST_COUNT, most) and not self._accept(roll):
                roll.first, roll.count = roll.first + roll.period, roll.count - 1
        likeness = self.likeness
        outside = np.repeat(self.owner < 0, np.diff(likeness.first))
        self._keep(likeness.sources[outside])
        for roll in self.script.rolls:
            self._lay_cells(roll)
        return self.script

    def _accept(self, roll: Roll) -> bool:
        """Note where a loop's operands are; without success where one cannot be found."""
        likeness, p = self.likeness, roll.period
        roll.operands, roll.high = [], roll.count - 1
        for j, (row, _) in enumerate(self.group[roll.first : roll.first + p]):
            k = roll.first + j
            at = likeness.at[k].tolist()
            steps = (likeness.at[k + p] - likeness.at[k]).tolist()
            shifts = (likeness.shift[k + p] - likeness.shift[k]).tolist()
            found = []
            for i, slot in enumerate(row.sources):
                operand = self._operand(roll, j, slot, at[i], steps[i], shifts[i])
                if operand is None or (row.name == "gather" and i == 0 and operand.kind != "same"):
                    return False
                found.append(operand)
            roll.operands.append(found)
        self.owner[roll.first : roll.stop] = len(self.script.rolls)
        self.script.rolls.append(roll)
        for k, operands in enumerate(roll.operands, roll.first):
            for i, operand in enumerate(operands):
                if operand.kind == "cell":
                    self._keep_all(operand, roll.count)
                elif operand.kind in ("same", "carried"):
                    self._keep(likeness.at[k, i] + p * np.arange(max(operand.back, 1)))
        return True

    def _operand(self, roll: Roll, j: int, slot: int, at: int, step: int, shift: int) -> Operand | None:
        if not 0 <= at < self.likeness.count:
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
        last = at + step * (roll.count - 1)
        if max(at, last) >= roll.first or min(at, last) < 0:
            return None
        owners = np.unique(self.owner[min(at, last) : max(at, last) + 1 : abs(step)])
        owners = owners[owners >= 0]
        if len(owners) != 1:
            return None
        other = self.script.rolls[owners[0]]
        if step % other.period:
            return None
        start, row = divmod(at - other.first, other.period)
        return Operand(slot, "cell", step // other.period, roll=other, row=row, start=start)

    def _keep(self, places: np.ndarray) -> None:
        """Rows' values are read behind their loops: from a register if they are the last iteration's."""
        places = places[(places >= 0) & (places < self.likeness.count)]
        owners = self.owner[places]
        for k in np.unique(owners[owners >= 0]).tolist():
            roll = self.script.rolls[k]
            mine = places[(owners == k) & (places < roll.stop - roll.period)]
            roll.kept.update(np.unique((mine - roll.first) % roll.period).tolist())

    def _keep_all(self, operand: Operand, count: int) -> None:
        """A later loop reads a row's values of many iterations."""
        roll = operand.roll
        assert roll is not None
        roll.kept.add(operand.row)
        read = operand.start + operand.step * np.arange(count)
        roll.low, roll.high = min(roll.low, int(read.min())), max(roll.high, int(read.max()))
        for i in read[(read < 0) | (read >= roll.count)].tolist():
            place = roll.first + i * roll.period + operand.row
            self.script.copies.setdefault(place, set()).add((roll, operand.row, i))

    def _lay_cells(self, roll: Roll) -> None:
        for j in sorted(roll.kept):
            row, axes = self.group[roll.first + j]
            for index in indices(row.out.shape, axes[0]):
                roll.cells[j, offset_of(index, row.out.strides)] = len(roll.cells)
        roll.base = self.script.cells
        self.script.cells += len(roll.cells) * (roll.high - roll.low + 1)
