"""Rows that have the same value in each replay: found, and computed by the loops that would run them in a replay."""

from __future__ import annotations

import numpy as np

from ..tape.memory import address_of
from ..tape.passes import run
from ..tape.rows import Rows, gather
from ..tape.signature import by_index, import_codes
from ..tape.tape import Tape
from ..vm import opcodes as op
from ..vm import traits as t
from ..vm.pools import pools

__all__ = ["Constants"]

MOST_BYTES = 1 << 28
"""Of constants that are computed in all."""
_NUMBERS = {"1.0": t.ONE, "-1.0": t.MINUS_ONE, "0.0": t.ZERO, "-0.0": t.MINUS_ZERO}


class Constants:
    """The constants among the rows of a tape.

    Attributes
    ----------
    known : numpy.ndarray of uint8
        By slot, 0, or `t.GIVEN` or `t.COMPUTED`.
    numbered : numpy.ndarray of uint8
        By slot, which number a constant of one element is, see `tapegrad.vm.traits`.
    """

    def __init__(self, tape, rows: Rows, inputs, traits: np.ndarray, written: np.ndarray, live: np.ndarray):
        self.tape, self.rows = tape, rows
        self.known, self.numbered = np.zeros((2, len(rows.words)), np.uint8)
        given = set(inputs)
        for slot, owner, *_ in tape.imports:
            if owner is not None and slot not in given and not written[slot]:
                self.known[slot] = t.GIVEN
                if owner.size == 1 and owner.dtype.kind == "f":
                    self.numbered[slot] = _NUMBERS.get(repr(owner.item()), 0)
        found = run(
            "simplifying.mark_constants", rows.words, rows.starts, len(rows.starts), pools.table, traits, rows.root,
            written, live, self.known, MOST_BYTES,
        )  # fmt: skip
        if found:
            self._compute(live)

    def _compute(self, live):
        """Run the rows on a tape of their own, and read those of one element."""
        rows = self.rows
        gathered = gather(rows, live & (self.known > 0))
        self.places, self.folded = gathered.places, Tape()
        self.folded.rows = gathered.words.tolist()
        imports = rows.starts[(self.known[rows.starts] > 0) & live[rows.starts].astype(bool)]
        imports = imports[pools.table[rows.words[imports] >> op.SIGNATURE_SHIFT, op.KIND] == op.IMPORT].tolist()
        for slot in imports:
            owner = self.tape.imported(slot)[1]
            self.folded.imports.append((int(self.places[slot]), owner, None, None, 0))
            self.folded.import_addr.append(address_of(owner))
        self.folded.flush()
        computed = np.flatnonzero(self.known == t.COMPUTED)
        kinds = rows.words[computed] >> op.SIGNATURE_SHIFT
        for k in np.unique(kinds).tolist():
            out = by_index[k].out
            if out.size == 1 and out.dtype.char in "df":
                slots = computed[kinds == k]
                addresses, found = self.folded.arrays.addr[self.places[slots]], np.empty(len(slots), np.uint8)
                run("simplifying.read_numbers", addresses, len(slots), out.dtype.itemsize, found)
                self.numbered[slots] = found

    def bring(self, live):
        """Make imports of the computed rows among those that are live; they must not be read before they are run."""
        words, tape = self.rows.words, self.tape
        for slot in np.flatnonzero(live & (self.known == t.COMPUTED)).tolist():
            out = by_index[words[slot] >> op.SIGNATURE_SHIFT].out
            value = np.array(self.folded.view(int(self.places[slot]), out))
            value.flags.writeable = False
            words[slot] = import_codes[out.plain] | len(tape.imports)
            tape.imports.append((slot, value, None, None, 0))
            tape.import_addr.append(address_of(value))
