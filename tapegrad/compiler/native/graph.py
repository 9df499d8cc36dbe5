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
    specs : sequence of Spec
        Of the operands.
    kind : int
    """

    __slots__ = ("attrs", "kind", "name", "out", "signature", "slot", "sources", "specs")

    def __init__(self, slot: int, signature: Any, sources: tuple[int, ...]):
        self.slot, self.sources, self.signature = slot, sources, signature
        self.name, self.attrs = signature.primitive.name, signature.attrs
        self.out, self.kind, self.specs = signature.out, signature.kind, signature.specs

    def reading(self, sources: tuple[int, ...]) -> Row:
        """The same row of other operands."""
        return self.formed(self.name, self.out, self.specs, self.attrs, sources)

    def formed(self, name: str, out: Any, specs: Any, attrs: dict, sources: tuple[int, ...]) -> Row:
        """The same row in another shape (see `forms`)."""
        made = Row(self.slot, self.signature, sources)
        made.name, made.out, made.specs, made.attrs = name, out, specs, attrs
        return made


class Graph:
    """Rows by slot, in order.

    Attributes
    ----------
    rows : dict
    root, shift : dict
        Per slot, the slot whose memory it is a window of, and the byte offset in it.
    constants : dict
        Arrays, by slot.
    seen : dict
        Slots that stand for another one in another shape: that one, and the shape.
    """

    def __init__(self, tape: Any, slots: list[int], inputs: list[int]):
        self.rows: dict[int, Row] = {}
        self.root: dict[int, int] = {}
        self.shift: dict[int, int] = {}
        self.constants: dict[int, np.ndarray] = {}
        self.seen: dict[int, tuple[int, Any]] = {}
        self._places: dict[tuple[int, Any], int] = {}
        self._next = max(slots, default=0) + 2
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
        return self.rows[slot].out if slot in self.rows else self.seen[slot][1]

    def is_whole(self, slot: int) -> bool:
        """Whether a slot is no window of another one, whatever its shape."""
        return self.root[slot] == (slot if slot in self.rows else self.seen[slot][0])

    def see(self, slot: int, spec: Any) -> int:
        """A slot that stands for another one in another shape, its elements where they are."""
        if spec is self.spec(slot):
            return slot
        found = self._places.get((slot, spec))
        if found is None:
            found = self._places[slot, spec] = self._next
            self._next += 1
            self.seen[found] = slot, spec
            self.root[found], self.shift[found] = self.root[slot], self.shift[slot]
        return found


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
