"""Which rows are written out together: steps, and the lanes of each row.

Even steps are native, odd ones the interpreter's. A row comes as early as its operands allow: into the step of an
operand whose lanes it goes along with, into the next native step where it needs other lanes' values (a sum, a shifted
window), behind the interpreter's step where that computes an operand. In a native step the rows without lanes come
first, then those of each number of lanes, a loop each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...vm import opcodes as op
from .forms import Form, forms_of
from .graph import Graph, Row, indices, offset_of
from .rolling import find_script
from .rules import RULES, WHOLE, Axes
from .step import Step

__all__ = ["Schedule", "make_schedule"]

TRIES = ((64, 512), (2, 512), (64, 64), (2, 64), (64, 16))
"""Elements of a row that is written out without lanes, and for each lane, at most."""
MOST_WRITTEN = 12_000
"""Elements that are written out in all: LLVM takes some 0.1 ms for each."""
MOST_UNROLLED = 2_000_000
"""The same, before loops are found again."""
MOST_FOLDED = 4096
"""Lanes that a loop's row may be folded over: such sums are added up one by one."""
MOST_APART = 128
"""Elements for each lane up to which lanes that lie apart in memory are as good as others."""
MOST_STEPS = 100
LONG = 3000
"""Rows from which on the first two schedules are compared, not all."""

# What things cost, roughly, in nanoseconds: for comparing schedules.
ONE_ELEMENT, ONE_LANE, INTERPRETED_ROW, INTERPRETED_ELEMENT, ONE_STEP = 1.0, 0.2, 40.0, 0.6, 30.0


@dataclass
class Schedule:
    """Slots of the interpreter and native steps, in order, with imports first and views behind what they are views of.

    Attributes
    ----------
    order : list
    cost : float
        Roughly what a run takes, in nanoseconds.
    """

    order: list[int | Step]
    cost: float


@dataclass(slots=True)
class _Placed:
    step: int
    lanes: int
    stride: int | None
    offsets: set[int] | None


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
    facts: dict[Any, tuple[Any, int, list[Form]]] = {}
    tries: list[Schedule] = []
    for k, most in enumerate(TRIES):
        made = _Scheduler(graph, *most, facts).run(outputs)
        tries += [made] if made is not None else []
        if k and tries and len(graph.rows) > LONG:
            break
    return min(tries, key=lambda made: made.cost, default=None)


class _Scheduler:
    def __init__(self, graph: Graph, most_scalars: int, most_elements: int, facts: dict[Any, tuple]):
        self.graph, self.facts = graph, facts
        self.most_scalars, self.most_elements = most_scalars, most_elements
        self.placed: dict[int, _Placed] = {}
        self.sizes: dict[int, int] = {}
        self.written = 0
        self.cost = 0.0
        self.extents = self._votes()

    def run(self, outputs: list[int]) -> Schedule | None:
        graph = self.graph
        steps: dict[int, Any] = {}
        for slot, row in graph.rows.items():
            if row.kind != op.KERNEL:
                continue
            choice = self._choose(row)
            if choice is None:
                ready = max([self._ready_in_memory(s) for s in row.sources], default=0)
                at = ready + 1 if ready % 2 == 0 else ready
                steps.setdefault(at, []).append(slot)
                self.placed[slot] = _Placed(at, 0, None, None)
                sizes = [s.size for s in row.signature.specs]
                self.cost += INTERPRETED_ROW + INTERPRETED_ELEMENT * max([row.out.size, *sizes])
                continue
            at, lanes, axes, elements, form = choice
            if form is not None:
                sources = [graph.see(s, spec) for s, spec in zip(row.sources, form.specs, strict=True)]
                row = row.formed(*form[:4], tuple(sources))
            self.written += elements
            self.cost += elements * (ONE_ELEMENT if lanes == 1 else max(ONE_LANE * lanes, ONE_ELEMENT))
            if self.written > MOST_UNROLLED or at > 2 * MOST_STEPS:
                return None
            self.sizes[slot] = elements
            steps.setdefault(at, Step()).groups.setdefault(lanes, []).append((row, axes))
            self.placed[slot] = self._place(row, at, lanes, axes)
        native = sum(isinstance(step, Step) for step in steps.values())
        if not 0 < native <= MOST_STEPS:
            return None
        self._note_stored(steps, outputs)
        if self._find_loops(steps) > MOST_WRITTEN:
            return None
        return Schedule(self._order(steps), self.cost + ONE_STEP * native)

    def _votes(self) -> list[int]:
        """Numbers of lanes worth trying, the one with most work first."""
        votes: Counter = Counter()
        for row in self.graph.rows.values():
            rule, work, forms = self._facts(row) if row.kind == op.KERNEL else (None, 0, [])
            if rule is not None and work > self.most_scalars:
                specs = row.out, *row.signature.specs
                shapes = {n for s in specs for n in s.shape if n > self.most_scalars // 8 and n > 1}
                for n in {form.lanes: None for form in forms} | dict.fromkeys(shapes):
                    if work // n <= self.most_elements:
                        votes[n] += work
        return [n for n, _ in votes.most_common(8)]

    def _facts(self, row: Row) -> tuple[Any, int, list[Form]]:
        """The rule for a row, None where there is none; elements that it computes; its other shapes."""
        found = self.facts.get(row.signature)
        if found is None:
            rule, specs = RULES.get(row.name), list(row.signature.specs)
            found = None, 0, []
            if rule is not None and rule.fits(row, specs):
                found = rule, rule.work(row, specs), forms_of(row, rule.element is not None)
            self.facts[row.signature] = found
        return found

    def _choose(self, row: Row) -> tuple[int, int, Axes, int, Form | None] | None:
        """Step, lanes, axes, elements written and form of a row, as early as can be; None for the interpreter."""
        rule, work, forms = self._facts(row)
        if rule is None:
            return None
        specs = row.signature.specs
        axes: Axes = (None, (None,) * len(specs))
        if work <= self.most_scalars and not rule.in_memory(row, axes):
            return self._earliest(rule, row, specs, 1, axes), 1, axes, work, None
        best: tuple[int, int, Axes, int, Form | None] | None = None
        apart = False
        for n in [*self.extents, row.out.size, *[s.size for s in specs]]:
            if n < 2 or work // n > self.most_elements:
                continue
            for axes in rule.lanes(row, specs, n):
                at, far = self._earliest(rule, row, specs, n, axes), work // n > MOST_APART and _is_apart(row, axes)
                if best is None or (at, far) < (best[0], apart):
                    best, apart = (at, n, axes, work // n, None), far
            for form in [form for form in forms if form.lanes == n]:
                its_rule, seen = RULES[form.name], row.formed(*form[:4], row.sources)
                for axes in its_rule.lanes(seen, list(form.specs), n):
                    at = self._earliest(its_rule, seen, form.specs, n, axes)
                    if best is None or (at, False) < (best[0], apart):
                        best, apart = (at, n, axes, work // n, form), False
        return best

    def _earliest(self, rule: Any, row: Row, specs: Sequence[Any], lanes: int, axes: Axes) -> int:
        """The first step in which all operands can be read."""
        late = rule.from_memory(row, self.graph, lanes)
        found = 0
        for k, (s, axis) in enumerate(zip(row.sources, axes[1], strict=True)):
            ready = self._ready(s, lanes, axis, specs[k])
            placed = self.placed.get(self.graph.root[s])
            if k in late and placed is not None and (placed.step, placed.lanes) == (ready, lanes):
                ready += 2
            found = max(found, ready)
        return found

    def _place(self, row: Row, at: int, lanes: int, axes: Axes) -> _Placed:
        lane = axes[0]
        if lanes == 1 or lane is None:
            return _Placed(at, lanes, None, None)
        stride = row.out.dtype.itemsize if lane == WHOLE else row.out.strides[lane]
        return _Placed(at, lanes, stride, {offset_of(i, row.out.strides) for i in indices(row.out.shape, lane)})

    def _ready_in_memory(self, slot: int) -> int:
        """The step behind which a value can be read from memory; -1 for what is given."""
        placed = self.placed.get(self.graph.root[slot])
        return -1 if placed is None else placed.step

    def _ready(self, slot: int, lanes: int, axis: int | None, spec: Any) -> int:
        """The first native step in which a row with those lanes can read an operand."""
        placed = self.placed.get(self.graph.root[slot])
        if placed is None:
            return 0
        if placed.lanes == 0:
            return placed.step + 1
        if placed.lanes == 1:
            return placed.step
        if placed.lanes != lanes or placed.stride is None or axis is None:
            return placed.step + 2
        stride = spec.dtype.itemsize if axis == WHOLE else spec.strides[axis]
        if stride != placed.stride or spec.dtype != self.graph.spec(self.graph.root[slot]).dtype:
            return placed.step + 2
        shift = self.graph.shift[slot]
        known = placed.offsets or ()
        inside = all(shift + offset_of(i, spec.strides) in known for i in indices(spec.shape, axis))
        return placed.step if inside else placed.step + 2

    def _note_stored(self, steps: dict[int, Any], outputs: list[int]) -> None:
        """Note which values others read from memory."""
        root = self.graph.root
        read_outside = {root[s] for s in outputs}
        for at, step in steps.items():
            if isinstance(step, list):
                read_outside.update(root[s] for slot in step for s in self.graph.rows[slot].sources)
                continue
            for lanes, rows in step.groups.items():
                for source in {root[s] for row, _ in rows for s in row.sources}:
                    placed = self.placed.get(source)
                    if placed is not None and (placed.step, placed.lanes) != (at, lanes):
                        read_outside.add(source)
        for step in steps.values():
            if isinstance(step, Step):
                own = set(step.rows)
                step.stored = own & read_outside
                step.stored |= {
                    r.slot for rows in step.groups.values() for r, axes in rows if RULES[r.name].in_memory(r, axes)
                }
                used = {root[s] for rows in step.groups.values() for row, _ in rows for s in row.sources}
                step.reads = sorted(used - own)

    def _find_loops(self, steps: dict[int, Any]) -> int:
        """Find the loops of all groups; elements that are written out in all."""
        places: dict[int, int] = {}
        native = [step for step in steps.values() if isinstance(step, Step)]
        for step in native:
            step.groups = dict(sorted(step.groups.items()))
            for slot in step.rows:
                places[slot] = len(places)
        written = 0
        for step in native:
            for lanes, rows in step.groups.items():
                sizes = np.array([self.sizes[row.slot] for row, _ in rows])
                folds = lanes <= MOST_FOLDED
                found = find_script(rows, sizes, self.graph, step.stored, lambda slot: places.get(slot, -1), folds)
                step.scripts[lanes] = found
                written += found.written(sizes)
        return written

    def _order(self, steps: dict[int, Any]) -> list[int | Step]:
        views: dict[int, list[int]] = {}
        for slot, row in self.graph.rows.items():
            if row.kind in op.WITH_OFFSET:
                views.setdefault(self.graph.root[slot], []).append(slot)
        order: list[int | Step] = []

        def add(slot: int) -> None:
            order.extend([slot, *views.get(slot, ())])

        for slot, row in self.graph.rows.items():
            if row.kind == op.IMPORT:
                add(slot)
        for at in sorted(steps):
            step = steps[at]
            if isinstance(step, Step):
                order.append(step)
                for slot in step.rows:
                    order += views.get(slot, ())
            else:
                for slot in step:
                    add(slot)
        return order


def _is_apart(row: Row, axes: Axes) -> bool:
    """Whether a result's lanes are not one behind the other in memory."""
    lane, out = axes[0], row.out
    return lane is not None and lane != WHOLE and out.strides[lane] != out.dtype.itemsize
