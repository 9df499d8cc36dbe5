"""The recorded reverse over one tape on which nothing is attached to rows, as while a function is compiled.

A rule is asked once for each kind of row: the rows that it leaves are the same for all others, but for the slots. So
most of a long program's reverse is written by appending integers, which compiled code does
(`tapegrad.vm.reversing`); it comes back here for what it has not met.
"""

from __future__ import annotations

import numpy as np

from ..primitives.core import ops
from ..tape.current import new_tensor
from ..tape.importing import slot_of
from ..tape.memory import address_of
from ..tape.passes import run
from ..tape.record import pack
from ..tape.rows import Rows
from ..tape.signature import by_index
from ..tape.state import grad_mode, local
from ..tape.traits import Numbered, Traits
from ..vm import opcodes as op
from ..vm import sweep_fields as f
from ..vm.native import without_collection
from ..vm.pools import pools
from .contributions import Parts, complete, joined, overwritten, windowed
from .rules import Rule, asked

__all__ = ["straight_sweep"]

_types = Numbered()
TRAITS = Traits(
    f.COLUMNS, lambda row: (_types.number(row.out), sum([s.requires_grad << k for k, s in enumerate(row.specs[:60])]))
)


def straight_sweep(tape, outputs, seeds, inputs, create_graph, row_cotangents):
    """As `recorded_sweep`, for tensors that all stand on one tape.

    Parameters
    ----------
    tape : Tape
        With no hooks, notes or lines.
    row_cotangents : callable
        Asks a row's rule, see `tapegrad.autograd.recorded`.
    """
    sweep = _Sweep(tape, [t._slot for t in inputs], row_cotangents)
    with grad_mode(create_graph), without_collection():
        for output, seed in zip(outputs, seeds, strict=True):
            sweep.reach(output._slot, seed)
        sweep.run(max([t._slot for t in outputs], default=-1))
    return [sweep.bar(t._slot) for t in inputs]


class _Sweep:
    """The sweep under way.

    Attributes
    ----------
    words, root : numpy.ndarray
        The tape's rows, with room for more, and whose memory each shares; `known` words are the same on the tape.
    leads, targets, written : numpy.ndarray of uint8
        By slot: whether it leads to an input, is one, or its memory is written in place.
    bars : numpy.ndarray of int32
        By slot, its cotangent: a slot, one more; 0, or HELD, if it stands in `held`.
    held : dict
        Cotangents that are put together yet, by slot.
    rules, sums, pool : numpy.ndarray of int64
        What was learnt, see `tapegrad.vm.reversing`.
    unlearnt : set
        Kinds of rows of which the rule must be asked each time.
    """

    def __init__(self, tape, targets, row_cotangents):
        self.tape, self.row_cotangents = tape, row_cotangents
        rows = Rows(tape.rows)
        self.known = n = len(rows.words)
        self.words, self.root, self.starts = rows.words, rows.root, rows.starts
        self.leads, self.targets, self.written = np.zeros((3, n), np.uint8)
        self.leads[targets] = self.targets[targets] = 1
        self.written[[*tape.stamps.last, *tape.foreign_writes]] = 1
        run("reversing.mark_leads", self.words, self.starts, len(self.starts), pools.table, self.leads)
        self.bars, self.held = np.zeros(n, np.int32), {}
        self.rules, self.sums = np.zeros((2, 64, f.ENTRY), np.int64)
        self.pool, self.unlearnt = np.zeros(1, np.int64), set()
        self.frame, self.queue = np.zeros((2, 2 * f.MOST_OPERANDS), np.int64)
        state = np.zeros(f.FIELDS, np.int64)
        self.state, self.at, self.signatures = state.data, address_of(state), 0

    # --- cotangents ---------------------------------------------------------------------------------------

    def reach(self, slot, bar):
        """A contribution comes to a slot's cotangent."""
        if self.leads[slot]:
            before = self.bar(slot)
            bar = bar if before is None else joined(before, bar)
            if isinstance(bar, Parts):
                self.held[slot], self.bars[slot] = bar, f.HELD
            else:
                self.bars[slot] = 1 + slot_of(bar, local.state, self.tape)

    def bar(self, slot):
        """A slot's cotangent so far: a tensor, parts, or None."""
        bar = self.bars[slot] - 1
        if bar < 0:
            return self.held.pop(slot, None)
        return self._tensor(int(bar))

    def _tensor(self, slot):
        return new_tensor(self.tape, slot, self.tape.signature(slot).out)

    # --- rows ---------------------------------------------------------------------------------------------

    def run(self, last):
        """Visit the rows from the last to the first."""
        state = self.state
        state[f.AT] = int(np.searchsorted(self.starts, last, "right")) - 1
        while True:
            self._follow()
            reason = state[f.REASON]
            if reason == f.FINISHED:
                return
            if reason == f.ROW or (reason == f.FULL and not self._make_room()):
                self._through_row(int(self.starts[state[f.AT]]))
                state[f.AT] -= 1
            elif reason == f.CONTRIBUTION:
                self._contribute(*self.queue[2 * state[f.NEXT] : 2 * state[f.NEXT] + 2].tolist())
                state[f.NEXT] += 1

    def _follow(self):
        """Append what is known, as far as that goes, and bring the tape up to date."""
        tape, state, n = self.tape, self.state, len(self.tape.rows)
        if n != self.known:
            self._take_in(n)
        if self.signatures != len(by_index):
            self._point()
        state[f.LENGTH], state[f.SHARED] = n, 0
        run("reversing.reverse_rows", self.at)
        self.known = state[f.LENGTH]
        if n != self.known:
            tape.rows.extend(self.words[n : self.known].tolist())
        if state[f.SHARED]:
            root = self.root[n : self.known]
            shared = np.flatnonzero(root != np.arange(n, self.known))
            tape.stamps.roots.update(zip((n + shared).tolist(), root[shared].tolist(), strict=True))

    def _take_in(self, n):
        """Note what was recorded meanwhile."""
        tape, first, self.known = self.tape, self.known, n
        while n + f.MARGIN > len(self.words):
            self._make_room()
        self.words[first:n] = tape.rows[first:n]
        roots = tape.stamps.roots
        self.root[first:n] = [roots.get(slot, slot) for slot in range(first, n)]

    def _make_room(self):
        """Make the arrays longer; says whether they were not longer than a tape can be."""
        n = len(self.words)
        self.words, self.root = (np.append(a, np.zeros(n + 1024, a.dtype)) for a in (self.words, self.root))
        self.signatures = 0
        return n <= self.tape.limit

    def _point(self):
        """Say where the arrays stand, which have grown, and tell of new signatures."""
        self.signatures = len(by_index)
        state, traits = self.state, TRAITS.of(np.arange(self.signatures))
        self.arrays = (
            self.words, self.starts, self.root, pools.table, traits, self.leads, self.targets, self.written, self.bars,
            self.rules, self.sums, self.pool, self.frame, self.queue,
        )  # fmt: skip
        for k, a in enumerate(self.arrays):
            state[f.ADDRESSES + k] = address_of(a)
        state[f.ROOM] = min(len(self.words), self.tape.limit)
        state[f.MOST_RULES], state[f.MOST_SUMS] = len(self.rules) - 1, len(self.sums) - 1

    def _through_row(self, slot):
        """Carry a cotangent through a row."""
        tape = self.tape
        bar, row = self.bar(slot), tape.signature(slot)
        if row.kind == op.WINDOW and not self.targets[slot]:
            (source,) = tape.operands(slot)
            self.reach(source, windowed(bar, row.out, row.specs[0].bar, row.attrs["strides"], tape.rows[slot + 1]))
            return
        if row.kind == op.PATCHED and not self.targets[slot] and row.out.contiguous and row.specs[1].size:
            self._through_write(slot, row, bar)
            return
        bar = complete(bar, row.out)
        self.bars[slot] = 1 + slot_of(bar, local.state, tape)
        operands = tape.operands(slot)
        wanted = tuple([s.requires_grad and bool(self.leads[k]) for s, k in zip(row.specs, operands, strict=True)])
        if row.kind == op.WRITE and tape.signature(operands[0]).kind == op.WINDOW:
            wanted = (False, *wanted[1:])  # what stood there has none; its base is reached by the row after this
            if row.primitive is ops.copy.writer and wanted[1]:
                self.reach(operands[1], bar)  # without asking the rule: of a loop that fills an array, this is each row
                return
        if any(wanted):
            for source, x_bar in zip(operands, self._cotangents(slot, row, operands, wanted), strict=True):
                if x_bar is not None:
                    self.reach(source, x_bar)

    def _through_write(self, slot, row, bar):
        """Carry the cotangent of an array of which a window was written to what stood there and what was written."""
        base, value = self.tape.operands(slot)
        at = row.attrs["strides"], self.tape.rows[slot + 1]
        before, written = overwritten(bar, row.out.bar, row.specs[1], *at)
        if written is not None and row.specs[1].requires_grad:
            self.reach(value, written)
        if before is not None and row.specs[0].requires_grad:
            self.reach(base, before)

    def _cotangents(self, slot, row, operands, wanted):
        """Cotangents of a row's operands by its rule, which is learnt if the row was looked for in vain."""
        tape, bar, state = self.tape, self._tensor(int(self.bars[slot]) - 1), self.state
        key = tuple(state[f.KEY : f.KEY + f.KEYS])
        if not key[0] or key in self.unlearnt:
            return self._ask(tape, slot, bar, wanted)
        bars, rule = asked(self._ask, tape, row, bar, wanted, [slot, *operands, bar._slot])
        if rule is None:
            self.unlearnt.add(key)
            return bars
        state[f.LEARNT] = len(self.pool)
        self.pool = np.append(self.pool, _words(rule, 2 + len(operands)))
        self.rules, self.signatures = self._with_room(self.rules), 0
        return bars

    def _ask(self, tape, slot, bar, wanted):
        """Cotangents of a row's operands, on the tape."""
        bars = self.row_cotangents(tape, slot, bar, wanted)
        return [b if b is None else new_tensor(tape, slot_of(b, local.state, tape), b._spec) for b in bars]

    def _contribute(self, slot, contribution):
        """Add to a cotangent, and note by which signature that is done."""
        tape, before, start = self.tape, self.bar(slot), len(self.tape.rows)
        total = joined(before, self._tensor(contribution))
        if isinstance(total, Parts):
            self.held[slot], self.bars[slot] = total, f.HELD
            return
        self.bars[slot] = 1 + total._slot
        if self.state[f.KEY] and total._slot == start == len(tape.rows) - 1:
            row = tape.signature(start)
            if row.primitive is ops.add and tape.operands(start) == [before._slot, contribution]:
                self.state[f.LEARNT] = row.index
                self.sums, self.signatures = self._with_room(self.sums), 0

    def _with_room(self, table):
        """A table in which there is room; what is forgotten will be learnt again."""
        return (
            table if 2 * np.count_nonzero(table[:, 0]) < len(table) else np.zeros((2 * len(table), f.ENTRY), np.int64)
        )


def _words(rule: Rule, given: int) -> list[int]:
    """A rule for so many given slots, as `tapegrad.vm.reversing` reads it."""
    places = [*range(given), *[~slot for slot in rule.constants]]
    words: list[int] = []
    blanks: list[int] = []
    shared: list[int] = []
    for row, operands, offset in rule.rows:
        at = len(words)
        words += pack(row, [0] * len(operands), offset)
        for k, place in enumerate(operands):
            blanks += [at + k // 2, 0 if k & 1 else op.SLOT_BITS, places[place]]
        if row.kind != op.KERNEL:
            shared += [at, places[operands[0]]]
        places.append(given + at)
    found = [len(words), *words, len(blanks) // 3, *blanks, len(shared) // 2, *shared]
    for place in rule.results:
        found += [0, 0] if place is None else [1, places[place]]
    return found
