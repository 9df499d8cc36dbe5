"""The rows of a recorded tape, with views resolved to windows of what they are views of."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...tape.rows import Rows
from ...tape.signature import by_index
from ...vm import opcodes as op
from ...vm.pools import pools

__all__ = ["MOST_LITERALS", "Graph", "Row", "indices", "offset_of"]

MOST_LITERALS = 64
"""Elements of a constant up to which they are written into the code."""


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
    """The live rows of a tape, as arrays; a row becomes an object when it is asked for.

    Parameters
    ----------
    tape : Tape
        Recorded, not run.
    inputs, outputs : list of int
        Slots.
    answers : list of int
        Those of the outputs that guards look at.

    Attributes
    ----------
    rows : Rows
        Of the tape, with the slot whose memory each shares, and the byte offset in it.
    slots, kinds : numpy.ndarray
        Slots of the live rows, in order, and the indices of their signatures.
    first, sources : numpy.ndarray
        The operands of row `i` are ``sources[first[i] : first[i + 1]]``, slots.
    constants : dict
        Arrays, by slot.
    decides : numpy.ndarray of uint8
        By slot, whether an answer depends on a row: it is to have the bits that it has elsewhere.
    seen : dict
        Slots that stand for another one in another shape: that one, and the shape.
    """

    def __init__(self, tape: Any, inputs: list[int], outputs: list[int], answers: list[int]):
        self.tape, self.rows = tape, Rows(tape.rows)
        rows = self.rows
        live = rows.live(inputs, outputs)
        self.decides = rows.live(inputs, answers) if answers else np.zeros_like(live)
        self.slots = np.flatnonzero(live).astype(np.int32)
        self.kinds = rows.words[self.slots] >> op.SIGNATURE_SHIFT
        self.first, self.sources = rows.all_operands(self.slots)
        self._words, self._root, self._shift = rows.words.data, rows.root.data, rows.shift.data
        self.seen: dict[int, tuple[int, Any]] = {}
        self._places: dict[tuple[int, Any], int] = {}
        imports = set(self.of_kind(op.IMPORT).tolist()) - set(inputs)
        self.constants: dict[int, np.ndarray] = {slot: tape.imported(slot)[1] for slot in sorted(imports)}

    @functools.cached_property
    def literals(self) -> np.ndarray:
        """By slot, a number for the contents of a constant that is written into the code; 0 for all else."""
        found = np.zeros(len(self._words), np.int32)
        known: dict[tuple, int] = {}
        for slot, constant in self.constants.items():
            if constant.size <= MOST_LITERALS:
                key = constant.dtype.char, constant.shape, constant.tobytes()
                found[slot] = known.setdefault(key, len(known) + 1)
        return found

    def of_kind(self, *kinds: int) -> np.ndarray:
        """Slots of the live rows of some of the kinds of `tapegrad.vm.opcodes`."""
        return self.slots[np.isin(pools.table[self.kinds, op.KIND], kinds)]

    def is_pure(self) -> bool:
        """Whether nothing is written in place, so that only operands order the rows."""
        return not len(self.of_kind(op.WRITE, op.PATCHED))

    def row(self, slot: int) -> Row:
        """The row of a slot."""
        return Row(slot, self._signature(slot), tuple(self.tape.operands(slot)))

    def _signature(self, slot: int) -> Any:
        return by_index[self._words[slot] >> op.SIGNATURE_SHIFT]

    def spec(self, slot: int) -> Any:
        """Type of a slot's value."""
        return self.seen[slot][1] if slot in self.seen else self._signature(slot).out

    def root(self, slot: int) -> int:
        """The slot whose memory a slot is a window of."""
        return self._root[self.seen[slot][0] if slot in self.seen else slot]

    def shift(self, slot: int) -> int:
        """The byte offset in that."""
        return self._shift[self.seen[slot][0] if slot in self.seen else slot]

    def is_whole(self, slot: int) -> bool:
        """Whether a slot is no window of another one, whatever its shape."""
        return self.root(slot) == (self.seen[slot][0] if slot in self.seen else slot)

    def see(self, slot: int, spec: Any) -> int:
        """A slot that stands for another one in another shape, its elements where they are."""
        if spec is self.spec(slot):
            return slot
        found = self._places.get((slot, spec))
        if found is None:
            found = self._places[slot, spec] = len(self._words) + 1 + len(self.seen)
            self.seen[found] = slot, spec
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
