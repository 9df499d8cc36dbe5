"""Python's integers: how they stand in memory, and lists of them as arrays."""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
from array import array
from typing import Any

from .entry import integer_reader
from .fields import HEADER, ITEMS, SIZE

__all__ = ["DIGIT_BITS", "SIGNED", "TAGGED", "layout", "read"]

DIGIT_BITS = 30
SIGNED, TAGGED = 1, 2
"""Layouts: the number of digits with the integer's sign (Python 3.11), or three bits up with the sign below (3.12)."""
_FEW = [struct.Struct(f"{n}q").pack_into for n in range(33)]
"""Writers of so many words, for which a call of machine code is too much."""
_SAMPLES = 0, 1, -1, 255, 256, -(2**29), 2**30 - 1, 2**30, 2**60, -(2**60) - 1, 2**62 + 2**31 + 5


@functools.cache
def layout() -> int:
    """Which layout this Python's integers have; 0 for one that is not known."""
    known = (
        sys.implementation.name == "cpython"
        and sys.int_info.bits_per_digit == DIGIT_BITS
        and object.__basicsize__ == HEADER + 8
        and ctypes.sizeof(ctypes.c_void_p) == 8
    )
    for kind in (SIGNED, TAGGED) if known else ():
        if all(_value(n, kind) == n for n in _SAMPLES):
            return kind
    return 0


def _value(n: int, kind: int) -> int:
    """An integer's value by its memory; something else if that is laid out otherwise."""
    size = ctypes.c_int64.from_address(id(n) + SIZE).value
    count, negative = (size >> 3, size & 3 == 2) if kind == TAGGED else (abs(size), size < 0)
    if count > 3:
        return 0
    digits = (ctypes.c_uint32 * count).from_address(id(n) + ITEMS)
    value = sum(digit << DIGIT_BITS * k for k, digit in enumerate(digits))
    return -value if negative else value


def read(things: list[int], first: int, last: int, words: Any, address: int) -> None:
    """Write items of a list to an array of 64-bit words that begins at an address.

    Parameters
    ----------
    things : list of int
    first, last : int
        Items from the one to before the other.
    words : numpy.ndarray
        Is overwritten from place `first` on.
    address : int
        Where `words` begins.
    """
    if last - first < len(_FEW):
        _FEW[last - first](words, 8 * first, *things[first:last])
        return
    if layout() and type(things) is list:
        first = integer_reader()(things, first, last, address + 8 * first, id(int), layout())
    if first < last:
        words[first:last] = array("q", things[first:last])
