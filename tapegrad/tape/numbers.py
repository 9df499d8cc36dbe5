"""Slots of the Python numbers that operations on a tape use, as constants of the operation's dtype."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from .memory import address_of
from .signature import import_codes
from .spec import spec_of

if TYPE_CHECKING:
    from array import array

    from .tape import Tape

__all__ = ["Numbers", "take_back"]

_MOST_NUMBERS = 10_000


class Numbers(dict):
    """By dtype (its character), the numbers of that dtype; made when first asked for."""

    __slots__ = ("parts",)

    def __init__(self, tape: Tape):
        self.parts = tape.rows, tape.imports, tape.import_addr  # the tape itself would be part of a cycle

    def __missing__(self, char: str) -> _NumbersOf:
        found = self[char] = _NumbersOf(_kind(char), *self.parts)
        return found


def take_back(slot: int, rows: list, imports: list, places: array) -> None:
    """After an interrupt: an import stands in all three lists or in none."""
    if len(rows) == slot:
        while imports and imports[-1][0] >= slot:
            imports.pop()
        del places[len(imports) :]


@functools.cache
def _kind(char: str) -> tuple[np.dtype, int, dict]:
    """The dtype of a character, the code of rows that bring such numbers, and the numbers brought before."""
    dtype = np.dtype(char)
    return dtype, import_codes[spec_of((), dtype)], {}


class _TooLargeError(OverflowError, KeyError):
    """A number that a dtype does not have; look-ups take it for one not met before, and the long way decides."""

    __str__ = Exception.__str__


class _NumbersOf(dict):
    """By number, its slot; a number not met before is brought onto the tape."""

    __slots__ = ("arrays", "code", "dtype", "imports", "places", "rows")

    def __init__(self, kind: tuple[np.dtype, int, dict], rows: list, imports: list, places: array):
        self.dtype, self.code, self.arrays = kind
        self.rows, self.imports, self.places = rows, imports, places

    def __missing__(self, value: float) -> int:
        key = value if value != 0 else repr(value)  # 0.0 == -0.0, yet they differ
        slot = self.get(key)
        if slot is not None:
            return slot
        array = self.arrays.get(key)
        if array is None:
            try:
                array = np.array(value, self.dtype)
            except OverflowError as error:
                raise _TooLargeError(*error.args) from None
            array.flags.writeable = False
            if len(self.arrays) < _MOST_NUMBERS:
                self.arrays[key] = array
        slot, address = len(self.rows), address_of(array)
        try:
            self.imports.append((slot, array, None, None, 0))
            self.places.append(address)
            self.rows.append(self.code | len(self.imports) - 1)
        except BaseException:
            take_back(slot, self.rows, self.imports, self.places)
            raise
        self[key] = slot
        return slot
