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
from ..tape.rows import Rows
from ..tape.signature import by_index
from ..tape.state import grad_mode, local
from ..tape.traits import Numbered, Traits
from ..vm import opcodes as op
from ..vm import sweep_fields as f
from ..vm.native import without_collection
from ..vm.pools import pools
from .contributions import Parts, complete, joined, overwritten, passed_on, windowed
from .forms import Forms, rule_words
from .rules import is_learnable, learnt

__all__ = ["straight_sweep"]

_types, _strides = Numbered(), Numbered()


def _traits(row):
    """What machine code asks of a kind of row; see `tapegrad.vm.sweep_fields`."""
    flags = 0
    if row.primitive is ops.add.writer or row.primitive is ops.subtract.writer:
        flags = f.ADDS
    elif row.kind == op.PATCHED and row.out.contiguous and row.specs[1].size:
        flags = f.PLAIN
    grads = sum([s.requires_grad << k for k, s in enumerate(row.specs[:60])])
    return _types.number(row.out), grads, _strides.number(row.attrs.get("strides")), flags


TRAITS = Traits(f.COLUMNS, _traits)


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
    last_write : numpy.ndarray of int32
        By slot, the last row that writes to its memory, or -1.
    leads, targets, kept : numpy.ndarray of uint8
        By slot: whether it leads to an input; is one; is written as the sum of what stood there and something else,
        and the cotangent of what stood there has been handed on.
    bars : numpy.ndarray of int32
        By slot, its cotangent: a slot, one more; 0; HELD, if it stands in `held`; or PARTED less a place in `parts`.
    held : dict
        Cotangents that are put together yet, by slot.
    rules, pool : numpy.ndarray of int64
        What was learnt, see `tapegrad.vm.reversing`; the `filled` first words of the pool.
    met, unlearnt : set
        Keys of rules: of those that may not be met again; of those that must be asked each time.
    """

    def __init__(self, tape, targets, row_cotangents):
        self.tape, self.row_cotangents = tape, row_cotangents
        rows = Rows(tape.rows)
        self.known = n = len(rows.words)
        self.words, self.root, self.starts = rows.words, rows.root, rows.starts
        self.leads, self.targets, self.kept = np.zeros((3, n), np.uint8)
        self.leads[targets] = self.targets[targets] = 1
        self.last_write = np.full(n, -1, np.int32)
        self.last_write[list(tape.stamps.last)] = list(tape.stamps.last.values())
        self.last_write[list(tape.foreign_writes)] = np.iinfo(np.int32).max
        run("reversing.mark_leads", self.words, self.starts, len(self.starts), pools.table, self.leads)
        self.bars, self.held, self.forms = np.zeros(n, np.int32), {}, Forms()
        self.rules, self.pool, self.filled = np.zeros((64, f.ENTRY), np.int64), np.zeros(1024, np.int64), 1
        self.met, self.unlearnt = set(), set()
        self.parts = np.zeros(1024, np.int64)
        self.frame, self.queue = np.zeros((2, 2 * f.MOST_OPERANDS), np.int64)
        state = np.zeros(f.FIELDS, np.int64)
        self.state, self.at, self.signatures = state.data, address_of(state), 0

    # --- cotangents ---------------------------------------------------------------------------------------

    def reach(self, slot, bar):
        """A contribution comes to a slot's cotangent."""
        if self.leads[slot]:
            before = self.bar(slot)
            self._put(slot, bar if before is None else joined(before, bar))

    def bar(self, slot):
        """A slot's cotangent so far: a tensor, parts, or None."""
        code = int(self.bars[slot])
        return self.held.pop(slot) if code == f.HELD else self._decoded(code)

    def _put(self, slot, bar):
        code = self._coded(bar)
        if code == f.HELD:
            self.held[slot] = bar
        self.bars[slot] = code

    def _coded(self, bar):
        """A cotangent as machine code knows it; HELD if it does not."""
        if not isinstance(bar, Parts):
            return 1 + self._slot(bar)
        form = self.forms.of(bar)
        if form is None:
            return f.HELD
        number, tensors = form
        at = self.state[f.PARTS_LENGTH]
        if at + f.MARGIN > len(self.parts):
            self._make_room()
        self.parts[at : at + 2 + len(tensors)] = [number, len(tensors), *[self._slot(v) for v in tensors]]
        self.state[f.PARTS_LENGTH] += 2 + len(tensors)
        return f.PARTED - at

    def _decoded(self, code):
        if code >= 0:
            return self._tensor(code - 1) if code else None
        at = f.PARTED - code
        number, count, *slots = self.parts[at : at + 2 + f.MOST_PARTS].tolist()
        return self.forms.parts(number, [self._tensor(slot) for slot in slots[:count]])

    def _tensor(self, slot):
        return new_tensor(self.tape, slot, self.tape.signature(slot).out)

    def _slot(self, tensor):
        return slot_of(tensor, local.state, self.tape)

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
            if state[f.SHORT] and self._make_room():
                continue
            if reason == f.ROW:
                self._through_row(int(self.starts[state[f.AT]]))
            else:
                self._contribute(*self.queue[2 * state[f.NEXT] : 2 * state[f.NEXT] + 2].tolist())
                state[f.NEXT] += 1

    def _follow(self):
        """Append what is known, as far as that goes, and bring the tape up to date."""
        tape, state, n = self.tape, self.state, len(self.tape.rows)
        if n != self.known:
            self._take_in(n)
        if self.signatures != len(by_index):
            self._point()
        state[f.LENGTH], state[f.SHARED], state[f.SHORT] = n, 0, 0
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
        """Make the arrays that are full longer; says whether they were not longer than a tape can be."""
        self.signatures = 0
        if self.state[f.PARTS_LENGTH] + f.MARGIN > len(self.parts):
            self.parts = _longer(self.parts)
            return True
        n = len(self.words)
        self.words, self.root = _longer(self.words), _longer(self.root)
        return n <= self.tape.limit

    def _point(self):
        """Say where the arrays stand, which have grown, and tell of new signatures."""
        self.signatures = len(by_index)
        state, traits = self.state, TRAITS.of(np.arange(self.signatures))
        self.arrays = (
            self.words, self.starts, self.root, self.last_write, pools.table, traits, self.leads, self.targets,
            self.kept, self.bars, self.parts, self.rules, self.pool, self.frame, self.queue,
        )  # fmt: skip
        for k, a in enumerate(self.arrays):
            state[f.ADDRESSES + k] = address_of(a)
        state[f.ROOM], state[f.PARTS_ROOM] = min(len(self.words), self.tape.limit), len(self.parts)
        state[f.MOST_RULES] = len(self.rules) - 1

    def _through_row(self, slot):
        """Carry a cotangent through a row."""
        tape, state = self.tape, self.state
        bar, row, operands = self.bar(slot), tape.signature(slot), tape.operands(slot)
        waits = not self.targets[slot]
        if row.kind == op.WINDOW and waits:
            base, at = row.specs[0].bar, (row.attrs["strides"], tape.rows[slot + 1])
            bars = self._made(lambda: [windowed(bar, row.out, base, *at)])
        elif row.kind == op.PATCHED and waits and row.out.contiguous and row.specs[1].size:
            at = row.attrs["strides"], tape.rows[slot + 1]
            if state[f.KEEPS]:
                self.kept[operands[1]] = 1
                wanted = self._wanted(operands[1], tape.signature(operands[1]), tape.operands(operands[1]))[2]
                bars = self._made(lambda: passed_on(bar, row.out.bar, row.specs[1], *at) if wanted else (bar, None))
            else:
                bars = self._made(lambda: overwritten(bar, row.out.bar, row.specs[1], *at))
        elif isinstance(bar, Parts):
            self._put(slot, self._made(lambda: [complete(bar, row.out)])[0])
            return  # machine code goes on from here, or comes back
        else:
            bars = self._through_rule(slot, row, operands, bar)
        state[f.AT] -= 1
        self._send(operands, bars)

    def _wanted(self, slot, row, operands):
        """Which operands' cotangents are wanted."""
        wanted = [s.requires_grad and bool(self.leads[k]) for s, k in zip(row.specs, operands, strict=True)]
        if row.kind == op.WRITE and self.tape.signature(operands[0]).kind == op.WINDOW:
            wanted[0] = False  # what stood there has none; its base is reached by the row after this
        if self.kept[slot]:
            wanted[:2] = False, False
        return tuple(wanted)

    def _through_rule(self, slot, row, operands, bar):
        """Cotangents of a row's operands, by its own rule."""
        wanted = self._wanted(slot, row, operands)
        if not any(wanted):
            return ()
        if row.primitive is ops.copy.writer and not wanted[0]:  # of a loop that fills an array, this is each row
            return self._made(lambda: [None, bar])
        return self._made(lambda: self.row_cotangents(self.tape, slot, bar, wanted), is_learnable(row))

    def _send(self, slots, bars):
        """Have contributions added to cotangents: by machine code, as far as it can."""
        queue: list[int] = []
        for slot, bar in zip(slots, bars, strict=False):
            if bar is None or not self.leads[slot]:
                continue
            code = self._coded(bar)
            if code == f.HELD or len(queue) == len(self.queue):
                self.reach(slot, bar)
            else:
                queue += [slot, code]
        self.queue[: len(queue)] = queue
        self.state[f.NEXT], self.state[f.WAITING] = 0, len(queue) // 2

    def _contribute(self, slot, code):
        """Add to a cotangent."""
        before, bar = self.bar(slot), self._decoded(code)
        (total,) = self._made(lambda: [joined(before, bar)])
        self._put(slot, total)

    # --- rules --------------------------------------------------------------------------------------------

    def _made(self, make, may_learn=True):
        """Cotangents that a function makes of what is in the frame; that is learnt, if it is the same for others."""
        state, given = self.state, self.frame[: self.state[f.GIVEN]].tolist()
        key = tuple(state[f.KEY : f.KEY + f.KEYS])
        if not (may_learn and self._is_to_be_learnt(key)):
            return make()
        bars: list = []
        forms: list = []

        def tensors():
            bars.extend(make())
            forms.extend([self.forms.of(b) if isinstance(b, Parts) else (None, [b]) for b in bars])
            return [v if v is None else self._tensor(self._slot(v)) for form in forms if form for v in form[1]]

        _, rule = learnt(self.tape, given, tensors)
        if rule is None or None in forms:
            self.unlearnt.add(key)
        else:
            counts = [None if number is None else (number, len(parts)) for number, parts in forms]
            self._remember(rule_words(rule, len(given), counts))
        return bars

    def _is_to_be_learnt(self, key):
        """Whether a rule is learnt now: one that may never be met again, the second time that it is met."""
        if not key[0] or key in self.unlearnt:
            return False
        common = key[4] == 0 and key[1] >= 0 and key[2] >= 0  # no place in an array, and no cotangents of parts
        if not common and key not in self.met:
            self.met.add(key)
            return False
        return True

    def _remember(self, words):
        """Let machine code find a rule under the key that it looked for."""
        start, end = self.filled, self.filled + len(words)
        if end > len(self.pool):
            self.pool = np.append(self.pool, np.zeros(end, np.int64))
        self.pool[start:end] = words
        if 2 * np.count_nonzero(self.rules[:, 0]) >= len(self.rules):  # what is forgotten will be learnt again
            self.rules = np.zeros((2 * len(self.rules), f.ENTRY), np.int64)
        self.state[f.LEARNT], self.filled, self.signatures = start, end, 0


def _longer(array):
    return np.append(array, np.zeros(len(array) + 1024, array.dtype))
