"""From recorded rows to a replay: which rows matter, where each value stands, and the instructions."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np

from ..tape.callout import run_call
from ..tape.memory import address_of, array_at
from ..tape.passes import run
from ..tape.rows import Gathered, Rows, gather
from ..tape.signature import by_index
from ..tape.tape import TapeError
from ..tape.workspace import Workspace
from ..vm import opcodes as op
from ..vm.entry import execute, link
from ..vm.pools import pools
from .arranging import arrange, computes, temporaries
from .layout import lowered
from .native.step import NO_STEPS

__all__ = ["Plan", "plan_program"]

FRESH_BYTES = 1024
"""Results from this size on are computed where the caller has them; smaller ones are copied there."""


def plan_program(tape, inputs, outputs):
    """Prune the rows, lay out memory, and link.

    Parameters
    ----------
    tape : Tape
        Recorded, not run.
    inputs, outputs : list of int
        Slots.

    Returns
    -------
    Plan
    """
    rows = Rows(tape.rows)
    return Plan(tape, gather(rows, rows.live(inputs, outputs)), inputs, outputs)


class Plan:
    """Linked instructions, and where inputs and outputs stand.

    Parameters
    ----------
    tape : Tape
    gathered : Gathered
        The rows in the order in which they are to run.
    inputs, outputs : list of int
        Slots of the tape.
    native : NativeRows, optional
        Which rows call machine code, see `tapegrad.compiler.native`.

    Attributes
    ----------
    rows : Rows
    origins : numpy.ndarray of int32
        Per slot, that of the tape, or -1.
    offsets, temps : numpy.ndarray of int64
        Where values and temporaries stand, see `Arranged`.
    kinds : numpy.ndarray of int64
        Per row, the index of its signature.
    is_member : numpy.ndarray of bool
        By slot, whether a native step computes it.
    constants : dict
        Arrays of imports, by slot; None for inputs.
    steps, members, reads, table
        As of `NativeRows`.
    linked : dict of tuple
        By a signature's index: where its instructions begin in the pool, how many words they are, and whether they
        leave the interpreter. It is what they were when the plan was made: see `tapegrad.set_numpy_loops`.
    scratch : list of int
        Where in the address table that of each native step's own memory stands.
    """

    def __init__(self, tape, gathered: Gathered, inputs, outputs, native=NO_STEPS):
        self.tape, self.origins = tape, gathered.origins
        self.steps, self.members, self.reads, self.table = native
        self.rows = Rows(gathered.words)
        self.inputs, self.outputs = gathered.places[inputs].tolist(), gathered.places[outputs].tolist()
        self.kinds = self.rows.signatures()
        self.is_member = np.zeros(len(gathered.words), np.bool_)
        for members in self.members.values():
            self.is_member[members.start : members.stop] = True
        self.constants = self._constants()
        self._lower()
        self._arrange()
        self._bind()
        self._link()

    def _constants(self):
        imports = self.rows.starts[pools.table[self.kinds, op.KIND] == op.IMPORT]
        imports = imports[~self.is_member[imports]].tolist()
        origins, tape = self.origins, self.tape
        return {slot: tape.imported(int(origins[slot]))[1] for slot in imports if slot != self.table}

    def _lower(self):
        """See to it that all that computes has instructions."""
        found = np.unique(self.kinds)
        for k in found[computes(found)].tolist():
            lowered(by_index[k])

    def _arrange(self):
        """Offsets in one block of memory; what is read for the last time makes room for what comes later."""
        rows, root = self.rows, self.rows.root
        n, starts = len(rows.words), rows.starts
        own = starts[pools.table[self.kinds, op.KIND] == op.KERNEL]
        sizes, last_read = np.full(n, -1, np.int64), np.full(n, -1, np.int32)
        sizes[own] = pools.table[rows.words[own] >> op.SIGNATURE_SHIFT, op.BYTES]
        run("arranging.last_reads", rows.words, starts, len(starts), pools.table, root, last_read)
        for slot, step in self.steps.items():
            sizes[slot] = step.scratch or -1
            read = root[self.reads[slot]]
            last_read[read] = np.maximum(last_read[read], slot)
            members = np.arange(self.members[slot].start, slot)
            stored = members[np.isin(self.origins[members], list(step.stored))]
            sizes[stored] = self.member_bytes(stored)
            last_read[stored] = np.maximum(last_read[stored], slot)
        unread = own[last_read[own] < 0]
        last_read[unread] = unread
        last_read[root[self.outputs]] = last_read[root[self.inputs]] = -1
        self.offsets, self.temps, nbytes = arrange(rows, sizes, last_read)
        self.memory = np.zeros(nbytes + 64, np.uint8)

    def _bind(self):
        """Addresses of all slots; those that share an input's or an output's memory move with it at each replay."""
        rows, n = self.rows, len(self.rows.words)
        start = (address_of(self.memory) + 63) & ~63
        base = np.where(self.offsets < 0, 0, start + self.offsets)
        for slot, owner in self.constants.items():
            if owner is not None:
                base[slot] = address_of(owner)
        addr = np.zeros(n + len(self.temps) + len(self.steps) + 8, np.int64)
        addr[rows.starts] = base[rows.root[rows.starts]] + rows.shift[rows.starts]
        addr[n : n + len(self.temps)] = start + self.temps
        self.scratch = list(range(n + len(self.temps), n + len(self.temps) + len(self.steps)))
        addr[self.scratch] = start + self.offsets[list(self.steps)]
        self.addr = addr
        self.addresses = self.addr.data  # items of a memoryview are set in less than half the time
        shared = self._shared()
        self.bound_inputs = [shared(slot) for slot in self.inputs]
        self.bound_outputs: list = []
        inputs = set(self.inputs)
        often = Counter(rows.root[self.outputs].tolist())
        for slot in self.outputs:
            root, spec = int(rows.root[slot]), self.row(slot).out
            is_own = self.offsets[root] >= 0
            if root == slot and is_own and often[root] == 1 and spec.contiguous and spec.nbytes >= FRESH_BYTES:
                self.bound_outputs.append((spec, shared(root), None))
                continue
            if root in inputs:
                raise TapeError("an output shares memory with an input")
            view = array_at(int(addr[slot]), spec, self.memory if is_own else self.constants[root])
            self.bound_outputs.append((spec, None, view))

    def _shared(self):
        """A function from a slot to all that moves with it."""
        starts, root, shift = self.rows.starts, self.rows.root, self.rows.shift
        found = np.array(list(self._aliases()), np.int64).reshape(-1, 3)
        places = np.concatenate([starts, found[:, 0]])
        roots = np.concatenate([root[starts], found[:, 1]])
        shifts = np.concatenate([shift[starts], found[:, 2]])
        order = np.argsort(roots, kind="stable")
        roots = roots[order]

        def shared(slot):
            group = order[np.searchsorted(roots, slot) : np.searchsorted(roots, slot, "right")]
            return _Bound(places[group], shifts[group])

        return shared

    def _aliases(self):
        """Temporaries that are views of a slot: place in the address table, the slot's root, and offset in that."""
        kinds, rows = self.kinds, self.rows
        found = np.unique(kinds)
        known = {k: lowered(by_index[k]).aliases for k in found[computes(found)].tolist()}
        chosen = np.flatnonzero(np.isin(kinds, [k for k, aliases in known.items() if aliases]))
        if not len(chosen):
            return
        first = len(rows.words) + np.cumsum(temporaries(kinds)) - temporaries(kinds)
        for k in chosen.tolist():
            slot, row = int(rows.starts[k]), by_index[int(kinds[k])]
            codes: dict = dict(enumerate([(slot, 0), *[(s, 0) for s in self.operands(slot)]]))
            for made, code, offset in known[int(kinds[k])]:
                if code in codes:
                    source, before = codes[code]
                    codes[made] = source, before + offset
                    place = int(first[k]) + made - len(row.specs) - 1
                    yield place, int(rows.root[source]), int(rows.shift[source]) + before + offset

    def _link(self):
        """Instructions for all rows, in one go."""
        run = self.kinds[computes(self.kinds)]
        found = np.unique(run)
        fields = pools.table[found][:, [op.FORWARD, op.FORWARD_LEN, op.HAS_CALL]]
        self.linked = dict(zip(found.tolist(), map(tuple, fields.tolist()), strict=True))
        total = int(pools.table[run, op.FORWARD_LEN].sum()) + 64
        self.code = np.zeros(total, np.int32)
        words = self.rows.words
        n = len(words)
        self.space = space = Workspace()
        self.frame = space.frame.data
        root, last_write = np.zeros(n, np.int32), np.full(n, -1, np.int32)
        arrays = tuple([address_of(a) for a in (words, self.addr, root, last_write)])
        state = space.prepare(n, n, len(self.addr) - n, arrays)
        state[op.AT_CODE], state[op.CODE_CAPACITY] = address_of(self.code), total
        link(space.at)
        if state[op.STATUS] != op.FINISHED:
            raise TapeError(f"row {state[op.DETAIL]} could not be linked (status {state[op.STATUS]})")
        self.length = int(state[op.CODE_LEN])
        self.calls = bool(pools.table[run, op.HAS_CALL].any())

    def attach(self, machine):
        """Take the machine code of the native steps, in order."""
        self.machine = machine
        self.addr[self.table] = address_of(self.addr)
        self.addr[list(self.steps)] = machine.addresses

    def member_bytes(self, slots):
        """Bytes of what rows of native steps compute."""
        words = np.asarray(self.tape.rows, np.int64)[self.origins[slots]]
        return pools.table[words >> op.SIGNATURE_SHIFT, op.BYTES]

    # Replays of whole programs: see `tapegrad.compiler.replays`. What follows is for those who look inside.

    @property
    def count(self) -> int:
        """Rows of the tape that it has."""
        return int((self.origins >= 0).sum())

    def row(self, slot):
        """What a row is."""
        words, at = (self.tape.rows, self.origins[slot]) if self.is_member[slot] else (self.rows.words, slot)
        return by_index[words[at] >> op.SIGNATURE_SHIFT]

    def operands(self, slot):
        """The slots that a row reads."""
        return self.reads[slot].tolist() if slot in self.reads else self.rows.operands(slot)

    @cached_property
    def signatures(self) -> dict[int, Any]:
        """Per slot, what the row is."""
        return {slot: self.row(slot) for slot in self.rows.starts.tolist()}

    @cached_property
    def sources(self) -> dict[int, list[int]]:
        """Per slot, the slots that the row reads."""
        return {slot: self.operands(slot) for slot in self.rows.starts.tolist()}

    def stretches(self):
        """Slots of rows and the words of code that run them, in order.

        Returns
        -------
        list of tuple
            ``(slots, first, last)``; words ``first`` to ``last - 1`` run those rows.
        """
        found, at = [], 0
        for slot, row in self.signatures.items():
            if row.kind in (op.KERNEL, op.WRITE) and not self.is_member[slot]:
                start, count, _ = self.linked[row.index]
                words = pools.templates[start : start + count].tolist()
                p, length = 0, 0
                while p < len(words):
                    length += 0 if words[p] & 255 == op.ALIAS else words[p] >> 8 & 255
                    p += words[p] >> 8 & 255
                found.append((list(self.members.get(slot, [slot])), at, at + length))
                at += length
        return found

    def bind(self, arrays):
        """Say where inputs and new outputs stand; returns the outputs, None for those that are copied in the end."""
        for x, bound in zip(arrays, self.bound_inputs, strict=True):
            self._move(bound, address_of(x))
        results: list = []
        for spec, bound, _ in self.bound_outputs:
            array = None
            if bound is not None:
                array = np.empty(spec.shape, spec.dtype)
                self._move(bound, address_of(array))
            results.append(array)
        return results

    def _move(self, bound, at):
        """Let slots stand at another address."""
        if bound.few:
            addresses = self.addresses
            for slot, offset in bound.few:
                addresses[slot] = at + offset
        else:
            self.addr[bound.slots] = bound.offsets + at

    def run(self, first, last):
        """Run a stretch of the code."""
        space = self.space
        state = space.state
        state[op.PC], state[op.CODE_LEN] = first, last
        self.frame[op.START] = 0  # a replay before may have been interrupted
        execute(space.at)
        while state[op.PC] < last:
            run_call(self.code, state, self.addr, pools.consts)
            execute(space.at)


class _Bound:
    """Slots that stand in an array of the caller's, and their byte offsets: a list of pairs where they are few."""

    __slots__ = ("few", "offsets", "slots")

    def __init__(self, slots, offsets):
        self.few = list(zip(slots.tolist(), offsets.tolist(), strict=True)) if len(slots) <= 8 else None
        self.slots, self.offsets = slots, offsets
