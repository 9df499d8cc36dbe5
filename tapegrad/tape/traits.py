"""What a pass asks of each kind of row: looked up once for all rows of the kind, and kept in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..vm.pools import pools
from .signature import Signature, by_index

__all__ = ["Numbered", "Traits"]


class Traits:
    """A table with a row for each signature.

    Parameters
    ----------
    columns : int
    traits : callable
        Makes a signature's row.
    """

    def __init__(self, columns: int, traits: Callable[[Signature], Sequence[int]]):
        self._traits = traits
        self._table = np.zeros((256, columns), np.int64)
        self._known = np.zeros(256, np.bool_)

    def of(self, kinds: np.ndarray) -> np.ndarray:
        """The table, in which the rows of these signatures' indices are filled in; it is never written there again."""
        with pools.lock:
            while len(self._table) < len(by_index):
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])
                self._known = np.concatenate([self._known, np.zeros_like(self._known)])
            for k in np.unique(kinds[~self._known[kinds]]).tolist():
                self._table[k] = self._traits(by_index[k])
                self._known[k] = True
            return self._table


class Numbered:
    """Things by number, each once."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._things: list[Any] = []

    def number(self, thing: Any) -> int:
        """The number of a thing."""
        with pools.lock:
            number = self._numbers.setdefault(thing, len(self._things))
            if number == len(self._things):
                self._things.append(thing)
            return number

    def __getitem__(self, number: int) -> Any:
        return self._things[number]
