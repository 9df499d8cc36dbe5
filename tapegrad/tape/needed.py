"""What the reverse will read: memory that rows of a tape save, found when it is asked for."""

from __future__ import annotations

from ..vm.opcodes import IMPORT, SIGNATURE_SHIFT
from .signature import by_index
from .tape import Tape

__all__ = ["Needed", "is_needed", "note_needed"]


class Needed:
    """What is known of the rows before `until`: the roots of the memory that their rules read."""

    __slots__ = ("roots", "until")

    def __init__(self):
        self.until = 0
        self.roots: set[int] = set()

    def look_at(self, tape):
        """Look at the rows that came since."""
        rows, roots, slot = tape.rows, tape.stamps.roots, self.until
        end = len(rows)
        while slot < end:
            index = rows[slot] >> SIGNATURE_SHIFT
            needs, width = _facts[index] if index in _facts else _look_up(index)
            if needs:
                for k, read in enumerate((slot, *tape.operands(slot))):
                    if needs >> min(k, 62) & 1:
                        self.roots.add(roots.get(read, read))
            slot += width
        self.until = slot


_facts: dict[int, tuple[int, int]] = {}
"""Which values a row's rule reads, as `Signature.needs`, and the row's words, by the signature's number."""


def _look_up(index):
    signature = by_index[index]
    needs = signature.needs if signature.out.requires_grad and signature.kind != IMPORT else 0
    _facts[index] = needs, signature.width
    return _facts[index]


def _known(tape):
    if tape.needed is None:
        tape.needed = Needed()
    return tape.needed


def is_needed(tape, slot) -> bool:
    """Whether the rule of a row that is there reads the memory to which a slot belongs.

    What a call of a user's `Function` saves, it notes itself: by `note_needed`, or as ``Buffer.saved``. Each row is
    looked at once, however often this is asked: a loop over writes takes no more than its own length.
    """
    if not isinstance(tape, Tape):
        return False
    needed = _known(tape)
    if needed.until < len(tape.rows):
        needed.look_at(tape)
    return tape.root_of(slot) in needed.roots


def note_needed(tape, slot) -> None:
    """Note that the memory to which a slot belongs is read by more than the rules of rows."""
    _known(tape).roots.add(tape.root_of(slot))
