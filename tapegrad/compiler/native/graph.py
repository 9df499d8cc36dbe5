"""The rows of a recorded tape, with views resolved to windows of what they are views of."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...vm import opcodes as op

__all__ = ["Graph", "Row", "indices", "offset_of"]


class Row:
    """One row: what is computed, from which slots.

    Attributes
    ----------
    slot : int
    signature : Signature
    name : str
        Of the primitive.
    attrs : dict
    sources : tuple of int
        Slots of the operands.
    out : Spec
    kind : int
    """

    __slots__ = ("attrs", "kind", "name", "out", "signature", "slot", "sources")

    def __init__(self, slot: int, signature: Any, sources: tuple[int, ...]):
        self.slot, self.sources, self.signature = slot, sources, signature
        self.name, self.attrs = signature.primitive.name, signature.attrs
        self.out, self.kind = signature.out, signature.kind

    def reading(self, sources: tuple[int, ...]) -> Row:
        """The same row of other operands."""
        return Row(self.slot, self.signature, sources)


class Graph:
    """Rows by slot, in order.

    Attributes
    ----------
    rows : dict
    root, shift : dict
        Per slot, the slot whose memory it is a window of, and the byte offset in it.
    constants : dict
        Arrays, by slot.
    """

    def __init__(self, tape: Any, slots: list[int], inputs: list[int]):
        self.rows: dict[int, Row] = {}
        self.root: dict[int, int] = {}
        self.shift: dict[int, int] = {}
        self.constants: dict[int, np.ndarray] = {}
        given = set(inputs)
        for slot in slots:
            signature = tape.signature(slot)
            sources = tuple(tape.operands(slot))
            self.rows[slot] = Row(slot, signature, sources)
            if signature.kind in op.WITH_OFFSET:
                self.root[slot] = self.root[sources[0]]
                self.shift[slot] = self.shift[sources[0]] + int(tape.rows[slot + 1])
            else:
                self.root[slot], self.shift[slot] = slot, 0
            if signature.kind == op.IMPORT and slot not in given:
                self.constants[slot] = tape.imported(slot)[1]

    def is_pure(self) -> bool:
        """Whether nothing is written in place, so that only operands order the rows."""
        return not any(row.kind in (op.WRITE, op.PATCHED) for row in self.rows.values())

    def spec(self, slot: int) -> Any:
        """Type of a slot's value."""
        return self.rows[slot].out


def indices(shape: tuple[int, ...], lane: int | None) -> Any:
    """All indices of an array, with 0 along the axis of the lanes (-1: all axes are lanes)."""
    if lane == -1:
        return [(0,) * len(shape)]
    return np.ndindex(*[1 if d == lane else n for d, n in enumerate(shape)])


def offset_of(index: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Bytes from an array's first element to another one."""
    total = 0
    for i, step in zip(index, strides, strict=True):
        total += i * step
    return total
