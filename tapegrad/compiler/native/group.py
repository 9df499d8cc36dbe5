"""Rows that are written out together, as arrays: which they are, and what was chosen for each kind of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from .forms import Form
from .graph import Graph, Row
from .rules import RULES, Axes

__all__ = ["Choice", "Group"]


@dataclass(eq=False, slots=True)
class Choice:
    """What is chosen for rows that are alike.

    Attributes
    ----------
    row : Row
        One of them, in its form.
    at : int
        Their step.
    lanes : int
        Of the group that they are in; 0 for rows that the interpreter runs.
    axes : Axes
        See `tapegrad.compiler.native.rules`.
    elements : int
        Elements that are written out.
    cost : float
        Roughly what a row takes, in nanoseconds.
    form : Form or None
        The shape in which a row is written.
    """

    row: Row
    at: int
    lanes: int
    axes: Axes
    elements: int
    cost: float
    form: Form | None = None

    @property
    def in_memory(self) -> bool:
        """Whether the result is put together in memory."""
        return self.lanes > 0 and RULES[self.row.name].in_memory(self.row, self.axes)


class Group:
    """Rows of a step with the same number of lanes: a sequence of rows and their axes, made when they are asked for.

    Attributes
    ----------
    slots : numpy.ndarray of int32
        In order.
    numbers : numpy.ndarray of int32
        By row, the number of its choice.
    choices : list of Choice
    """

    def __init__(self, graph: Graph, slots: np.ndarray, numbers: np.ndarray, choices: list[Choice]):
        self.graph, self.slots, self.numbers, self.choices = graph, slots, numbers, choices

    def __len__(self) -> int:
        return len(self.slots)

    def __iter__(self) -> Iterator[tuple[Row, Axes]]:
        return iter(self[:])

    @overload
    def __getitem__(self, k: int) -> tuple[Row, Axes]: ...
    @overload
    def __getitem__(self, k: slice) -> list[tuple[Row, Axes]]: ...

    def __getitem__(self, k: Any) -> Any:
        if not isinstance(k, slice):
            return self._row(int(self.slots[k]), self.choices[self.numbers[k]])
        pairs = zip(self.slots[k].tolist(), self.numbers[k].tolist(), strict=True)
        return [self._row(slot, self.choices[number]) for slot, number in pairs]

    def _row(self, slot: int, choice: Choice) -> tuple[Row, Axes]:
        row, form = self.graph.row(slot), choice.form
        if form is not None:
            sources = [self.graph.see(s, spec) for s, spec in zip(row.sources, form.specs, strict=True)]
            row = row.formed(*form[:4], tuple(sources))
        return row, choice.axes

    def kinds(self) -> list[tuple[Choice, int]]:
        """The choices, and how many rows each has."""
        counts = np.bincount(self.numbers, minlength=len(self.choices))
        return [(self.choices[k], int(counts[k])) for k in np.flatnonzero(counts).tolist()]

    def of_each(self, fact: Callable[[Choice], int]) -> np.ndarray:
        """By row, a number that its choice has."""
        facts = np.zeros(len(self.choices), np.int64)
        for k in np.flatnonzero(np.bincount(self.numbers, minlength=len(facts))).tolist():
            facts[k] = fact(self.choices[k])
        return facts[self.numbers]

    def in_memory(self) -> np.ndarray:
        """Which rows put their results together in memory."""
        return np.flatnonzero(self.of_each(_in_memory))

    def places(self, slots: np.ndarray) -> np.ndarray:
        """Where in the group slots are; -1 for those that are not."""
        found = np.minimum(np.searchsorted(self.slots, slots), len(self.slots) - 1)
        return np.where(self.slots[found] == slots, found, -1)

    def place(self, slot: int) -> int:
        """Where in the group a slot is; -1 if it is not."""
        k = int(np.searchsorted(self.slots, slot))
        return k if k < len(self.slots) and self.slots[k] == slot else -1


def _in_memory(choice: Choice) -> bool:
    return choice.in_memory
