"""Rows of a group as numbers: what is computed, and where operands stand; and which rows are alike in both."""

from __future__ import annotations

import numpy as np

from .group import Choice, Group
from .rules import RULES, Axes

__all__ = ["Likeness", "is_fold"]

LEAST_COUNT = 3
"""Iterations: two would not show that strides are constant."""
MOST_OPERANDS = 8
"""Operands of a row within a loop."""
MOST_PERIODS, ROUNDS = 24, 4
"""Periods that are tried; how far around a row one looks for its like."""
APART = 1 << 36
"""Between the places of unrelated values, so that no stride leads from one to the other."""


def is_fold(axes: Axes) -> bool:
    """Whether a row is folded over lanes."""
    return axes[0] is None and any(axis is not None for axis in axes[1])


class Likeness:
    """Rows as numbers.

    Parameters
    ----------
    group : Group
    stored : set of int
        Slots whose values go to memory.
    places : numpy.ndarray of int64
        By slot, for values that a native step computes, where their addresses stand in the table; -1 for all others.
    folds : bool
        Whether rows that are folded over lanes may be in loops.

    Attributes
    ----------
    count : int
        Rows.
    first, sources : numpy.ndarray
        The operands of row `i` are ``sources[first[i] : first[i + 1]]``: rows of the group, and other places, which
        are below zero or from `count` on.
    kinds : numpy.ndarray of int64
        Equal for rows that do the same; negative for rows that no loop may have.
    at, shift : numpy.ndarray
        Of the rows that loops may have, the operands again, a row each, and how many bytes they are from the
        beginning of that memory.
    """

    def __init__(self, group: Group, stored: set[int], places: np.ndarray, folds: bool):
        self.group, self.count = group, len(group)
        rows = group.graph.rows
        self.first, slots = rows.all_operands(group.slots)
        literals = group.graph.literals[rows.root[slots]]
        self.sources = self._places(rows.root[slots], literals > 0, places)
        counts = np.diff(self.first)
        rolls = (group.of_each(lambda choice: _may_roll(choice, folds)) > 0) & (counts <= MOST_OPERANDS)
        width, mine = int(counts[rolls].max(initial=0)), np.repeat(rolls, counts)
        where = self._where(counts, mine)

        def table(values: np.ndarray, nothing: int, dtype: type = np.int64) -> np.ndarray:
            made: np.ndarray = np.full((self.count, width), nothing, dtype)
            made[where] = values[mine]
            return made

        self.at, self.shift = table(self.sources, -APART), table(rows.shift[slots], 0)
        self.kinds = self._kinds(rolls, stored, table(literals, 0, np.int32))

    def _places(self, roots: np.ndarray, are_literals: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The `sources`, of operands that share those slots' memory."""
        found, computed = self.group.places(roots), places[roots]
        other = found < 0
        found[other] = np.where(computed >= 0, self.count + APART + computed, -APART * (2 + roots.astype(np.int64)))[
            other
        ]
        found[other & are_literals] = -APART
        return found

    def _where(self, counts: np.ndarray, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column, in a table with a row each, of the operands that are marked."""
        row = np.repeat(np.arange(self.count, dtype=np.int32), counts)
        column = np.arange(len(row), dtype=np.int32) - np.repeat(self.first[:-1].astype(np.int32), counts)
        return row[mine], column[mine]

    def _kinds(self, rolls: np.ndarray, stored: set[int], marks: np.ndarray) -> np.ndarray:
        kinds = 2 * self.group.numbers.astype(np.int64)
        at = self.group.places(np.fromiter(stored, np.int64, len(stored)))
        kinds[at[at >= 0]] += 1
        for column in marks.T:
            if column.any():
                kinds = np.unique(kinds * (column.max() + 1) + column, return_inverse=True)[1]
        return np.where(rolls, kinds, -1 - np.arange(self.count))

    def periods(self) -> list[int]:
        """Distances between rows that are alike, with what they read and what that reads; the most frequent first.

        What other groups compute counts as alike.
        """
        n, found = self.count, self.kinds.astype(np.uint64)
        for _ in range(ROUNDS):
            mixed = found * np.uint64(0x9E3779B97F4A7C15)
            for i, at in enumerate(self.at.T):
                inside = (at >= 0) & (at < n)
                read = np.where(inside, found[np.where(inside, at, 0)], np.minimum(at, n).astype(np.uint64))
                mixed = (mixed ^ (read + np.uint64(i))) * np.uint64(0xD6E8FEB86659FD93)
                mixed ^= mixed >> np.uint64(29)
            found = mixed
        order = np.argsort(found, kind="stable")
        alike = found[order[1:]] == found[order[:-1]]
        counts = np.bincount((order[1:] - order[:-1])[alike])
        common = np.argsort(-counts, kind="stable")[:MOST_PERIODS]
        return [p for p in common.tolist() if counts[p] > 1]

    def runs(self, period: int) -> list[tuple[int, int]]:
        """Where each row goes on as the one a period before: first rows, and lengths, of at least three periods."""
        p, found = period, []
        if self.count < LEAST_COUNT * p:
            return []
        for start, stop in _stretches(self.kinds[:-p] == self.kinds[p:], (LEAST_COUNT - 1) * p):
            at, shift = self.at[start : stop + p], self.shift[start : stop + p]
            steps, shifts = at[p:] - at[:-p], shift[p:] - shift[:-p]
            even = ((steps[:-p] == steps[p:]) & (abs(steps[:-p]) < APART) & (shifts[:-p] == shifts[p:])).all(1)
            found += [(start + s, e - s + 2 * p) for s, e in _stretches(even, p)]
        return found


def _stretches(marks: np.ndarray, least: int) -> list[tuple[int, int]]:
    """Where marks follow one another: first and behind the last, of at least so many."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return [(s, e) for s, e in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True) if e - s >= least]


def _may_roll(choice: Choice, folds: bool) -> bool:
    row, axes = choice.row, choice.axes
    if RULES[row.name].in_memory(row, axes):
        return False
    return not is_fold(axes) or (folds and row.name != "mean")
