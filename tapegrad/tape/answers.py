"""What a tape tells of its rows: what they are, whose memory they have, and what was written to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..vm import opcodes as op
from ..vm.entry import spread
from .memory import address_of, array_at
from .signature import by_index
from .workspace import workspace

if TYPE_CHECKING:
    from .blocks import RowArrays
    from .stamps import Stamps

__all__ = ["Answers", "TapeError"]

MANY_NOTED = 192
"""So many items of `Tape.noted` are not entered for a question that rows which have run can answer."""


class TapeError(RuntimeError):
    """A tape's rows or slots are inconsistent: a defect in tapegrad or in a rule given to it."""


class Answers:
    """The part of a `Tape` that changes nothing, but that it enters what was noted of writes."""

    __slots__ = ()

    arrays: RowArrays
    cap: int
    chunks: list[np.ndarray]
    device: Any
    done: int
    foreign_writes: dict
    imports: list
    kept: dict
    noted: list
    rows: list[int]
    shared_imports: list[tuple[int, int]]
    sources: dict
    _stamps: Stamps

    @property
    def stamps(self) -> Stamps:
        """Who owns each slot's memory, and what was written to it."""
        if self.noted:
            self._stamps.enter(self.noted)
        return self._stamps

    def view(self, slot, spec) -> np.ndarray:
        """A NumPy array over a slot's memory, which it keeps alive."""
        owner = self.owner(slot)
        if owner is None:
            raise TapeError(f"the memory of row {slot} is gone; please report this")
        return array_at(int(self.arrays.addr[slot]), spec, owner)

    def owner(self, slot):
        """The array that owns a slot's memory."""
        root = int(self.arrays.root[slot])
        kept = self.kept.get(root)
        if kept is not None:
            return kept
        signature = by_index[self.arrays.words[root] >> op.SIGNATURE_SHIFT]
        if signature.kind == op.IMPORT:
            return self.imported(root)[1]
        address = int(self.arrays.addr[root])
        for chunk in self.chunks:
            start = address_of(chunk)
            if start <= address < start + chunk.nbytes:
                return chunk
        return None

    def written_elsewhere(self):
        """(slot, buffer) of memory that was written through another tape since this one used it."""
        yield from self.foreign_writes.items()
        yield from self.outdated()

    def outdated(self) -> list:
        """(slot, buffer) of imports whose memory was written through another tape since."""
        changed = [
            (slot, buffer, version)
            for slot, _, _, buffer, version in self.imports
            if buffer is not None and buffer.version != version
        ]
        counts = self._write_counts() if changed else {}
        return [(slot, b) for slot, b, version in changed if b.version != version + counts.get(self.root_of(slot), 0)]

    def _write_counts(self) -> dict[int, int]:
        """How often each buffer was written on this tape, by its first slot."""
        if not self._tells_roots(len(self.rows) - 1):
            return self.stamps.counts
        return self._stamps.counts_with(self.noted, self.arrays.root)

    def root_of(self, slot) -> int:
        """The slot that a slot's memory belongs to: views and writes share their operand's."""
        if self._tells_roots(slot):
            return int(self.arrays.root[slot])
        return self.stamps.roots.get(slot, slot)

    def _tells_roots(self, slot) -> bool:
        """Whether what was noted need not be entered to say whose memory the slots up to that one have.

        Rows that have run say it, but of imports that turned out to be the same memory, and of results of calls.
        """
        told = slot < self.done and self.device is None and not (self.shared_imports or self.sources)
        return told and len(self.noted) > MANY_NOTED

    def signature(self, slot):
        """Signature of the row that gave a slot."""
        return by_index[self.rows[slot] >> op.SIGNATURE_SHIFT]

    def imported(self, slot) -> tuple:
        """The entry of `imports` that an import's row stands for."""
        return self.imports[self.rows[slot] & ((1 << op.SIGNATURE_SHIFT) - 1)]

    def spread(self, marked):
        """Mark the differentiable rows, of those that have run, that depend on marked ones; a flag for each slot."""
        space = workspace()
        state = space.prepare(self.done, self.cap, 0, self.arrays.at)
        state[op.AT_WANTED] = address_of(marked)
        spread(space.at)

    def operands(self, slot) -> list[int]:
        """Operand slots of a row."""
        word = self.rows[slot]
        signature = by_index[word >> op.SIGNATURE_SHIFT]
        count = len(signature.specs)
        if count == 2:
            return [word >> op.SLOT_BITS & op.SLOT_MASK, word & op.SLOT_MASK]
        if count == 1:
            return [word >> op.SLOT_BITS & op.SLOT_MASK]
        rows = self.rows
        return [rows[slot + k // 2] >> (0 if k & 1 else op.SLOT_BITS) & op.SLOT_MASK for k in range(count)]
