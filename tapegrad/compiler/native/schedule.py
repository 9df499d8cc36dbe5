"""Which rows are written out together: steps, and the lanes of each row.

Even steps are native, odd ones the interpreter's. A row comes as early as its operands allow: into the step of an
operand whose lanes it goes along with, into the next native step where it needs other lanes' values (a sum, a shifted
window), behind the interpreter's step where that computes an operand. In a native step the rows without lanes come
first, then those of each number of lanes, a loop each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...vm import opcodes as op
from .choosing import MOST_STEPS, Chooser
from .graph import Graph
from .group import Choice, Group
from .rolling import find_script
from .step import Order, Step, table_places

__all__ = ["Schedule", "make_schedule"]

TRIES = ((64, 512), (2, 512), (64, 64), (2, 64), (64, 16))
"""Elements of a row that is written out without lanes, and for each lane, at most."""
MOST_WRITTEN = 12_000
"""Elements that are written out in all: LLVM takes some 0.1 ms for each."""
MOST_UNROLLED = 50_000_000
"""The same, before loops are found again."""
MOST_FOLDED = 4096
"""Lanes that a loop's row may be folded over: such sums are added up one by one."""
LONG = 3000
"""Rows from which on the first two schedules are compared, not all."""
ONE_STEP = 30.0
"""What a step costs, roughly, in nanoseconds."""
NOWHERE = np.iinfo(np.int64).min
"""The group of what no row computes."""


@dataclass
class Schedule:
    """What is run, in order.

    Attributes
    ----------
    order : Order
        Native steps, and slots of the interpreter's rows: with imports first and views behind what they are views of.
    cost : float
        Roughly what a run takes, in nanoseconds.
    """

    order: Order
    cost: float


def make_schedule(graph: Graph, outputs: list[int]) -> Schedule | None:
    """Divide the rows of a program into steps; None where there is nothing to gain.

    Parameters
    ----------
    graph : Graph
    outputs : list of int
        Slots whose values are read from memory in the end.

    Returns
    -------
    Schedule or None
    """
    if not graph.is_pure():
        return None
    facts: dict[Any, tuple] = {}
    best = None
    for k, most in enumerate(TRIES):
        made = _Scheduler(graph, Chooser(graph, *most, facts)).run(outputs)
        if made is not None and (best is None or made.cost < best.cost):
            best = made
        if k and best is not None and len(graph.slots) > LONG:
            break
    return best


class _Scheduler:
    """Puts rows into steps as a chooser says.

    Attributes
    ----------
    slots : numpy.ndarray of int32
        Of the rows that compute something.
    """

    def __init__(self, graph: Graph, chooser: Chooser):
        self.graph, self.chooser = graph, chooser
        self.slots = graph.of_kind(op.KERNEL)
        self.steps: dict[int, Any] = {}

    def run(self, outputs: list[int]) -> Schedule | None:
        """The schedule; None where it would be too much to write out."""
        if not len(self.slots) or not self.chooser.run():
            return None
        numbers, choices = self.chooser.numbers[self.slots], self.chooser.choices
        if _of_each(choices, numbers, "elements").sum() > MOST_UNROLLED:
            return None
        groups = _of_each(choices, numbers, "at") << 32 | _of_each(choices, numbers, "lanes")
        self._fill(numbers, groups)
        native = [step for step in self.steps.values() if isinstance(step, Step)]
        if not 0 < len(native) <= MOST_STEPS:
            return None
        self._note_stored(groups, numbers, outputs)
        order = self._order()
        if self._find_loops(native, table_places(self.graph, order)[0]) > MOST_WRITTEN:
            return None
        return Schedule(order, float(_of_each(choices, numbers, "cost").sum()) + ONE_STEP * len(native))

    def _fill(self, numbers: np.ndarray, groups: np.ndarray) -> None:
        """Steps in order, with their groups in the order of their lanes; slots where the interpreter has the step."""
        order = np.argsort(groups, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
            key = int(groups[rows[0]])
            at, lanes = key >> 32, key & 0xFFFFFFFF
            if lanes:
                group = Group(self.graph, self.slots[rows], numbers[rows], self.chooser.choices)
                self.steps.setdefault(at, Step()).groups[lanes] = group
            else:
                self.steps[at] = self.slots[rows]

    def _note_stored(self, groups: np.ndarray, numbers: np.ndarray, outputs: list[int]) -> None:
        """Note which values others read from memory."""
        graph, root = self.graph, self.graph.rows.root
        home = np.full(len(root), NOWHERE, np.int64)
        home[self.slots] = groups
        reader, read = np.repeat(home[graph.slots], np.diff(graph.first)), root[graph.sources]
        stored = np.zeros(len(root), np.bool_)
        stored[read[(reader != home[read]) & (reader != NOWHERE)]] = True
        stored[root[outputs]] = True
        in_memory = np.array([choice.in_memory for choice in self.chooser.choices], np.bool_)
        stored[self.slots[in_memory[numbers]]] = True
        order = np.argsort(reader, kind="stable")
        reader, read = reader[order] >> 32, read[order]
        for at, step in self.steps.items():
            if isinstance(step, Step):
                own = step.slots
                step.stored = set(own[stored[own]].tolist())
                used = np.zeros(len(root), np.bool_)
                used[read[np.searchsorted(reader, at) : np.searchsorted(reader, at, "right")]] = True
                used[own] = False
                step.reads = np.flatnonzero(used)

    def _find_loops(self, native: list[Step], places: np.ndarray) -> int:
        """Find the loops of all groups; elements that are written out in all."""
        of_steps = np.full(len(places), -1, np.int64)
        for step in native:
            of_steps[step.slots] = places[step.slots]
        written = 0
        for step in native:
            for lanes, group in step.groups.items():
                found = find_script(group, step.stored, of_steps, folds=lanes <= MOST_FOLDED)
                step.scripts[lanes] = found
                written += found.written(group.of_each(_elements))
        return written

    def _order(self) -> Order:
        graph, root = self.graph, self.graph.rows.root
        views = graph.of_kind(*op.WITH_OFFSET)
        views = views[np.argsort(root[views], kind="stable")]
        roots = root[views]

        def views_of(slots: np.ndarray) -> np.ndarray:
            known = np.sort(slots)
            at = np.minimum(np.searchsorted(known, roots), len(known) - 1)
            return views[known[at] == roots] if len(known) else views[:0]

        def with_views(slots: np.ndarray) -> np.ndarray:
            return np.sort(np.concatenate([slots, views_of(slots)]))

        order: Order = [with_views(graph.of_kind(op.IMPORT))]
        for step in self.steps.values():
            order += [step, np.sort(views_of(step.slots))] if isinstance(step, Step) else [with_views(step)]
        return order


def _elements(choice: Choice) -> int:
    return choice.elements


def _of_each(choices: list[Choice], numbers: np.ndarray, name: str) -> np.ndarray:
    """By row, what its choice has under a name."""
    return np.array([getattr(choice, name) for choice in choices])[numbers]
