"""Lanes that lie apart in memory, elements that lie together: squares of both are turned in registers.

Where a lane is a row of a matrix, its elements one behind the other, an element for all lanes takes an instruction for
each lane. Instead as many elements as lanes are loaded lane by lane, and the square is transposed: three shuffles for
each vector of a square of eight. Results go to memory in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["LEAST", "load_square", "side_at", "store_square"]

SIDES = (8, 4)
"""Elements on a side."""
LEAST = SIDES[-1]
"""Elements one behind the other from which on there are squares."""


def side_at(place: int, count: int) -> tuple[int, int]:
    """Side of the square in which an element stands, and its place in it.

    Parameters
    ----------
    place, count : int
        Place of the element among so many that lie together, at least `LEAST`. The last square may overlap another one.
    """
    side = next(s for s in SIDES if s <= count)
    return side, place - min(place // side * side, count - side)


def load_square(body: Any, pointer: str, stride: int, char: str, side: int, again: bool) -> list[str]:
    """Registers of so many elements from a pointer on, each with a value for each lane.

    Parameters
    ----------
    body : Body
    pointer : str
        To the first element of the first lane.
    stride : int
        Bytes from lane to lane.
    char : str
        Type of the elements, 'f' or 'd'.
    side : int
    again : bool
        Whether the memory does not change.
    """
    scalar, size = body.scalar(char), body.size_of(char)
    parts: list[list[str]] = [[] for _ in range(side)]
    for first in range(0, body.width, side):
        lanes = [body.moved(pointer, k * stride) for k in range(first, min(first + side, body.width))]
        rows = [body.load_at(lane, f"<{side} x {scalar}>", size, again) for lane in lanes]
        for part, column in zip(parts, _turned(body, rows, side, scalar), strict=True):
            part.append(column)
    return [body.joined(part, side, scalar) for part in parts]


def store_square(body: Any, pointer: str, stride: int, char: str, columns: Sequence[str]) -> None:
    """Write registers, each with a value for each lane, to memory: the transpose of `load_square`."""
    scalar, size, side = body.scalar(char), body.size_of(char), len(columns)
    whole = f"<{body.width} x {scalar}>"
    for first in range(0, body.width, side):
        lanes = range(first, min(first + side, body.width))
        mask = ", ".join([f"i32 {k}" if k < body.width else "i32 poison" for k in range(first, first + side)])
        parts = [
            body.text.set(f"shufflevector {whole} {column}, {whole} poison, <{side} x i32> <{mask}>")
            for column in columns
        ]
        for lane, row in zip(lanes, _turned(body, parts, side, scalar), strict=False):
            place = body.moved(pointer, lane * stride)
            body.text.lines.append(f"  store <{side} x {scalar}> {row}, ptr {place}, align {size}")


def _turned(body: Any, rows: list[str], side: int, scalar: str) -> list[str]:
    """Vectors of a square, transposed: blocks of half the size change places, then those within them."""
    square, kind = rows + ["poison"] * (side - len(rows)), f"<{side} x {scalar}>"
    half = side // 2
    while half:
        low = [k if not k & half else side + k - half for k in range(side)]
        high = [k + half if not k & half else side + k for k in range(side)]
        for k in range(side):
            if not k & half:
                pair = f"{kind} {square[k]}, {kind} {square[k + half]}"
                for place, lanes in ((k, low), (k + half, high)):
                    mask = ", ".join([f"i32 {lane}" for lane in lanes])
                    square[place] = body.text.set(f"shufflevector {pair}, <{side} x i32> <{mask}>")
        half //= 2
    return square
