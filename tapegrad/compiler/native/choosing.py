"""What is chosen for each row: its step, its lanes, and the axes along which they run.

Rows that are alike, and whose operands stand in like places, get the same: the choice is made once, here, and a pass in
machine code (`tapegrad.vm.choosing`) goes through the rows and comes back with those that are like none before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...tape.passes import run
from ...tape.signature import by_index
from ...vm import opcodes as op
from ...vm.pools import pools
from .forms import Form, forms_of
from .graph import Graph, Row, indices, offset_of
from .group import Choice
from .rules import RULES, WHOLE, Axes

__all__ = ["MOST_STEPS", "Chooser"]

MOST_APART = 128
"""Elements for each lane up to which lanes that lie apart in memory are as good as others."""
MOST_STEPS = 100

# What things cost, roughly, in nanoseconds: for comparing schedules.
ONE_ELEMENT, ONE_LANE, INTERPRETED_ROW, INTERPRETED_ELEMENT = 1.0, 0.2, 40.0, 0.6

GIVEN, LITERAL = 0, 1
"""Numbers of the places of values that no row computes."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands when it has been computed.

    Attributes
    ----------
    step, lanes : int
        Those of its row.
    dtype : str
    stride : int or None
        Bytes from lane to lane, if it has lanes.
    offsets : frozenset of int
        Bytes to each element of the first lane.
    """

    step: int
    lanes: int
    dtype: str
    stride: int | None = None
    offsets: frozenset[int] = frozenset()


class Chooser:
    """Chooses for all rows of a graph.

    Parameters
    ----------
    graph : Graph
    most_scalars, most_elements : int
        Elements of a row that is written out without lanes, and for each lane, at most.
    facts : dict
        What is known of signatures: filled here, and the same for all choosers.

    Attributes
    ----------
    choices : list of Choice
    numbers : numpy.ndarray of int32
        By slot, the number of the row's choice.
    """

    def __init__(self, graph: Graph, most_scalars: int, most_elements: int, facts: dict[Any, tuple]):
        self.graph, self.facts = graph, facts
        self.most_scalars, self.most_elements = most_scalars, most_elements
        self.choices: list[Choice] = []
        self._known: dict[Any, int] = {}
        self._places: list[_Place | None] = [None, None]
        self._place_numbers: dict[_Place, int] = {}
        n = len(graph.rows.words)
        self.numbers, self._placed = np.zeros(n, np.int32), np.zeros(n, np.int32)
        self._placed[graph.literals > 0] = LITERAL
        self.extents = self._votes()

    def run(self) -> bool:
        """Choose for all rows; says whether that takes no more than `MOST_STEPS`."""
        graph, rows, slots = self.graph, self.graph.rows, self.graph.slots
        count, at = len(slots), 0
        met = np.zeros(1 << (2 * count).bit_length(), np.int32)
        while True:
            at = run(
                "choosing.choose", rows.words, slots, at, count, pools.table, rows.root, rows.shift,
                graph.decides, self._placed, self.numbers, met, len(met) - 1,
            )  # fmt: skip
            if at == count:
                return True
            slot = int(slots[at])
            choice = self._choose(graph.row(slot))
            if choice.lanes and choice.at > 2 * MOST_STEPS:
                return False
            self.numbers[slot], self._placed[slot] = self._number(choice), self._place(choice)
            at += 1

    def _number(self, choice: Choice) -> int:
        decides = int(self.graph.decides[choice.row.slot])
        key = choice.row.signature.index, decides, choice.at, choice.lanes, choice.axes, id(choice.form)
        number = self._known.setdefault(key, len(self.choices))
        if number == len(self.choices):
            self.choices.append(choice)
        return number

    def _votes(self) -> list[int]:
        """Numbers of lanes worth trying, the one with most work first."""
        votes: Counter = Counter()
        kinds, first, counts = np.unique(self.graph.kinds, return_index=True, return_counts=True)
        for k in np.argsort(first).tolist():
            signature, count = by_index[kinds[k]], int(counts[k])
            if signature.kind != op.KERNEL:
                continue
            rule, work, forms = self._facts(self.graph.row(int(self.graph.slots[first[k]])))
            if rule is not None and work > self.most_scalars:
                shapes = [n for s in (signature.out, *signature.specs) for n in s.shape]
                longest = {n for n in shapes if n > self.most_scalars // 8 and n > 1}
                for n in {form.lanes: None for form in forms} | dict.fromkeys(longest):
                    if work // n <= self.most_elements:
                        votes[n] += work * count
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

    def _choose(self, row: Row) -> Choice:
        """What is best for a row: to come as early as can be."""
        rule, work, forms = self._facts(row)
        specs = row.signature.specs
        axes: Axes = (None, (None,) * len(specs))
        decides = bool(self.graph.decides[row.slot])
        if rule is None or (decides and not rule.is_exact(row)):
            return self._interpreted(row, axes)
        if work <= self.most_scalars and not rule.in_memory(row, axes):
            return Choice(row, self._earliest(rule, row, specs, 1, axes), 1, axes, work, work * ONE_ELEMENT)
        best: tuple[int, int, Axes, Form | None] | None = None
        apart = False
        for n in [*self.extents, row.out.size, *[s.size for s in specs]]:
            if n < 2 or work // n > self.most_elements:
                continue
            for axes in rule.lanes(row, specs, n):
                at, far = self._earliest(rule, row, specs, n, axes), work // n > MOST_APART and _is_apart(row, axes)
                if best is None or (at, far) < (best[0], apart):
                    best, apart = (at, n, axes, None), far
            for form in [form for form in forms if form.lanes == n]:
                its_rule, seen = RULES[form.name], row.formed(*form[:4], row.sources)
                if decides and not its_rule.is_exact(seen):
                    continue
                for axes in its_rule.lanes(seen, list(form.specs), n):
                    at = self._earliest(its_rule, seen, form.specs, n, axes)
                    if best is None or (at, False) < (best[0], apart):
                        best, apart = (at, n, axes, form), False
        if best is None:
            return self._interpreted(row, (None, (None,) * len(specs)))
        at, n, axes, chosen = best
        if chosen is not None:
            row = row.formed(*chosen[:4], row.sources)
        return Choice(row, at, n, axes, work // n, work // n * max(ONE_LANE * n, ONE_ELEMENT), chosen)

    def _interpreted(self, row: Row, axes: Axes) -> Choice:
        ready = max([-1 if place is None else place.step for place in map(self._place_of, row.sources)], default=0)
        sizes = [row.out.size, *[s.size for s in row.signature.specs]]
        return Choice(row, ready + 1 - ready % 2, 0, axes, 0, INTERPRETED_ROW + INTERPRETED_ELEMENT * max(sizes))

    def _earliest(self, rule: Any, row: Row, specs: Sequence[Any], lanes: int, axes: Axes) -> int:
        """The first step in which all operands can be read."""
        late = rule.from_memory(row, self.graph, lanes)
        found = 0
        for k, (s, axis) in enumerate(zip(row.sources, axes[1], strict=True)):
            ready, place = self._ready(s, lanes, axis, specs[k]), self._place_of(s)
            if k in late and place is not None and (place.step, place.lanes) == (ready, lanes):
                ready += 2
            found = max(found, ready)
        return found

    def _place(self, choice: Choice) -> int:
        """The number of a result's place: negative where it matters which part of it is read."""
        lane, out = choice.axes[0], choice.row.out
        place = _Place(choice.at, choice.lanes, out.dtype.char)
        has_lanes = choice.lanes > 1 and lane is not None
        if has_lanes:
            stride = out.dtype.itemsize if lane == WHOLE else out.strides[lane]
            offsets = frozenset([offset_of(i, out.strides) for i in indices(out.shape, lane)])
            place = _Place(choice.at, choice.lanes, out.dtype.char, stride, offsets)
        number = self._place_numbers.setdefault(place, len(self._places))
        if number == len(self._places):
            self._places.append(place)
        return -number if has_lanes else number

    def _place_of(self, slot: int) -> _Place | None:
        """Where a value stands; None for those that are given."""
        return self._places[abs(int(self._placed[self.graph.root(slot)]))]

    def _ready(self, slot: int, lanes: int, axis: int | None, spec: Any) -> int:
        """The first native step in which a row with those lanes can read an operand."""
        place = self._place_of(slot)
        if place is None:
            return 0
        if place.lanes == 0:
            return place.step + 1
        if place.lanes == 1:
            return place.step
        if place.lanes != lanes or place.stride is None or axis is None:
            return place.step + 2
        stride = spec.dtype.itemsize if axis == WHOLE else spec.strides[axis]
        if stride != place.stride or spec.dtype.char != place.dtype:
            return place.step + 2
        shift = self.graph.shift(slot)
        inside = all(shift + offset_of(i, spec.strides) in place.offsets for i in indices(spec.shape, axis))
        return place.step if inside else place.step + 2


def _is_apart(row: Row, axes: Axes) -> bool:
    """Whether a result's lanes are not one behind the other in memory."""
    lane, out = axes[0], row.out
    return lane is not None and lane != WHOLE and out.strides[lane] != out.dtype.itemsize
