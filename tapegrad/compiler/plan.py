"""From recorded rows to a replay: which rows matter, where each value stands, and the instructions."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..tape.callout import run_call
from ..tape.memory import address_of, array_at
from ..tape.record import pack
from ..tape.signature import by_index, import_signature
from ..tape.tape import TapeError
from ..tape.workspace import Workspace
from ..vm import opcodes as op
from ..vm.entry import execute, link
from ..vm.pools import pools
from .layout import lowered
from .native.step import ADDRESS, Step, native_signature
from .passes import live_rows

__all__ = ["Plan", "plan_program"]

_SHARING = (*op.WITH_OFFSET, op.WRITE)


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
    return Plan(tape, live_rows(tape, inputs, outputs), inputs, outputs)


class Plan:
    """Linked instructions, and where inputs and outputs stand.

    Parameters
    ----------
    tape : Tape
    order : list
        Slots of rows in the order in which they are to run, and native steps (`tapegrad.compiler.native`), each of
        which stands for several rows.
    inputs, outputs : list of int
        Slots.

    Attributes
    ----------
    signatures : dict
        Per slot of the plan, what the row is.
    sources : dict
        Per slot, the slots that the row reads.
    origins : dict
        Per slot, that of the tape.
    steps : dict
        Native steps, by the slot that calls them.
    members : dict
        Rows that a native step computes, and the slot of the step.
    scratch : list of int
        Where in the address table that of each native step's own memory stands.
    """

    def __init__(self, tape, order, inputs, outputs):
        self.tape = tape
        self.place = place = self._renumber(tape, order)
        self.inputs = [place[k] for k in inputs]
        self.outputs = [place[k] for k in outputs]
        roots = self._roots()
        self._arrange(roots)
        self._bind(roots)
        self._link()

    def _renumber(self, tape, order):
        """Rows that stay, with slots counted anew."""
        place: dict = {}
        words: list[int] = []
        self.signatures: dict = {}
        self.sources: dict = {}
        self.constants: dict = {}
        self.origins: dict = {}
        self.steps: dict = {}
        self.members: dict = {}

        def add(row, code, sources, slot=None):
            new = len(words)
            self.signatures[new], self.sources[new] = row, sources
            if slot is not None:
                place[slot], self.origins[new] = new, slot
            words.extend(code)
            return new

        if any(isinstance(slot, Step) for slot in order):
            self.table = add(import_signature(ADDRESS), [import_signature(ADDRESS).code], [])
        rows, steps = tape.rows, bool(words)
        for slot in order:
            if steps and isinstance(slot, Step):
                made = [
                    add(tape.signature(k), [import_signature(tape.signature(k).out).code], [], k) for k in slot.rows
                ]
                sources = [place[k] for k in slot.reads]
                step = add(native_signature(), pack(native_signature(), [self.table], None), sources)
                self.steps[step] = slot
                self.members.update(dict.fromkeys(made, step))
                continue
            word = rows[slot]
            row = by_index[word >> op.SIGNATURE_SHIFT]
            count = len(row.specs)
            if row.kind == op.IMPORT:
                self.constants[add(row, [row.code], [], slot)] = tape.imported(slot)[1]
            elif row.width == 1 and count == 2:
                a, b = place[word >> op.SLOT_BITS & op.SLOT_MASK], place[word & op.SLOT_MASK]
                add(row, (row.code | a << op.SLOT_BITS | b,), (a, b), slot)
            elif row.width == 1 and count == 1:
                a = place[word >> op.SLOT_BITS & op.SLOT_MASK]
                add(row, (row.code | a << op.SLOT_BITS,), (a,), slot)
            else:
                operands = [place[k] for k in tape.operands(slot)]
                add(row, pack(row, operands, rows[slot + 1] if row.kind in op.WITH_OFFSET else None), operands, slot)
        self.words = np.array(words, np.int64)
        return place

    def _roots(self):
        """Per slot, the slot whose memory it shares."""
        roots: dict = {}
        for slot, row in self.signatures.items():
            roots[slot] = roots[self.sources[slot][0]] if row.kind in _SHARING else slot
        return roots

    def _arrange(self, roots):
        """Offsets in one block of memory; what is read for the last time makes room for what comes later."""
        last: dict = {}
        for slot in self.signatures:
            for k in self.sources[slot]:
                last[roots[k]] = slot
        ends: dict = {}
        for root, slot in last.items():
            ends.setdefault(slot, []).append(root)
        held = {roots[k] for k in self.outputs} | {roots[k] for k in self.inputs}
        free: dict = {}
        self.offsets: dict = {}
        self.temps: dict = {}
        self.own_memory: list = []
        top = 0

        def take(size):
            nonlocal top
            size = (max(size, 8) + 63) & ~63
            stack = free.get(size)
            if stack:
                return stack.pop(), size
            at, top = top, top + size
            return at, size

        sizes: dict = {}
        offsets, members, steps = self.offsets, self.members, self.steps
        needs: dict = {}  # by signature: bytes of the result, or None where that is elsewhere; bytes of temporaries
        for slot, row in self.signatures.items():
            if slot in members:
                if self.origins[slot] in steps[members[slot]].stored:
                    offsets[slot], sizes[slot] = take(row.out.nbytes)
            elif slot in steps:
                need = steps[slot].scratch
                if need:
                    at, size = take(need)
                    free.setdefault(size, []).append(at)
                self.own_memory.append(at if need else 0)
            else:
                if row not in needs:
                    temps = lowered(row).temps if row.kind in (op.KERNEL, op.WRITE) else ()
                    needs[row] = row.out.nbytes if row.kind == op.KERNEL else None, temps
                nbytes, temps = needs[row]
                if nbytes is not None:
                    offsets[slot], sizes[slot] = take(nbytes)
                    if slot not in last and slot not in held:
                        free.setdefault(sizes[slot], []).append(offsets[slot])
                if temps:
                    found = [take(size) for size in temps]
                    self.temps[slot] = [at for at, _ in found]
                    for at, size in found:
                        free.setdefault(size, []).append(at)
            for root in ends.get(slot, ()):
                if root in offsets and root not in held:
                    free.setdefault(sizes[root], []).append(offsets[root])
        self.memory = np.zeros(top + 64, np.uint8)

    def _bind(self, roots):
        """Addresses of all slots; those that share an input's or an output's memory move with it at each replay."""
        start = (address_of(self.memory) + 63) & ~63
        addr, shift = [0] * len(self.words), dict.fromkeys(roots, 0)
        for slot, row in self.signatures.items():
            if row.kind == op.KERNEL:
                addr[slot] = start + self.offsets.get(slot, 0)
            elif row.kind == op.IMPORT:
                owner = self.constants.get(slot)
                addr[slot] = address_of(owner) if owner is not None else 0
            else:
                offset = int(self.words[slot + 1]) if row.kind in (op.WINDOW, op.VIEW) else 0
                shift[slot] = shift[self.sources[slot][0]] + offset
                addr[slot] = addr[roots[slot]] + shift[slot]
        addr += [start + at for places in self.temps.values() for at in places]
        self.scratch = list(range(len(addr), len(addr) + len(self.own_memory)))
        addr += [start + at for at in self.own_memory]
        self.addr = np.array(addr + [0] * 8, np.int64)
        members: dict = {}
        for slot, root in roots.items():
            members.setdefault(root, []).append((slot, shift[slot]))
        for place, source, offset in self._aliases():
            members[roots[source]].append((place, shift[source] + offset))
        self.addresses = self.addr.data  # items of a memoryview are set in less than half the time
        self.bound_inputs = [_Bound(members[slot]) for slot in self.inputs]
        self.bound_outputs: list = []
        shared = Counter(roots[slot] for slot in self.outputs)
        for slot in self.outputs:
            root, spec = roots[slot], self.signatures[slot].out
            fresh = root == slot and root in self.offsets and shared[root] == 1 and spec.contiguous
            if fresh and spec.nbytes >= 1024:
                self.bound_outputs.append((spec, _Bound(members[root]), None))
            else:
                if root in self.inputs:
                    raise TapeError("an output shares memory with an input")
                owner = self.memory if root in self.offsets else self.constants[root]
                view = array_at(int(self.addr[slot]), spec, owner)
                self.bound_outputs.append((spec, None, view))

    def _aliases(self):
        """Temporaries that are views of a slot: (place in the address table, slot, byte offset)."""
        first_temp = len(self.words)
        for slot, places in self.temps.items():
            row = self.signatures[slot]
            nin = len(row.specs)
            known = {0: (slot, 0), **{k + 1: (s, 0) for k, s in enumerate(self.sources[slot])}}
            for made, code, offset in lowered(row).aliases:
                if code in known:
                    source, before = known[code]
                    known[made] = source, before + offset
                    yield first_temp + made - nin - 1, source, before + offset
            first_temp += len(places)

    def _link(self):
        """Instructions for all rows, in one go."""
        run = [row for slot, row in self.signatures.items() if slot not in self.members]
        run = [lowered(row) for row in run if row.kind in (op.KERNEL, op.WRITE)]
        total = sum([row.length for row in run]) + 64
        self.code = np.zeros(total, np.int32)
        n = len(self.words)
        self.space = space = Workspace()
        self.frame = space.frame.data
        root, last_write = np.zeros(n, np.int32), np.full(n, -1, np.int32)
        arrays = tuple([address_of(a) for a in (self.words, self.addr, root, last_write)])
        state = space.prepare(n, n, len(self.addr) - n, arrays)
        state[op.AT_CODE], state[op.CODE_CAPACITY] = address_of(self.code), total
        link(space.at)
        if state[op.STATUS] != op.FINISHED:
            raise TapeError(f"row {state[op.DETAIL]} could not be linked (status {state[op.STATUS]})")
        self.length = int(state[op.CODE_LEN])
        self.calls = any([row.calls for row in run])

    def attach(self, machine):
        """Take the machine code of the native steps, in order."""
        self.machine = machine
        self.addr[self.table] = address_of(self.addr)
        self.addr[list(self.steps)] = machine.addresses

    def stretches(self):
        """Slots of rows and the words of code that run them, in order: for those who look inside.

        Returns
        -------
        list of tuple
            ``(slots, first, last)``; words ``first`` to ``last - 1`` run those rows.
        """
        found, at = [], 0
        for slot, row in self.signatures.items():
            if row.kind in (op.KERNEL, op.WRITE) and slot not in self.members:
                start = int(pools.table[row.index, op.FORWARD])
                words = pools.templates[start : start + int(pools.table[row.index, op.FORWARD_LEN])].tolist()
                p, length = 0, 0
                while p < len(words):
                    length += 0 if words[p] & 255 == op.ALIAS else words[p] >> 8 & 255
                    p += words[p] >> 8 & 255
                found.append(([k for k, step in self.members.items() if step == slot] or [slot], at, at + length))
                at += length
        return found

    # Replays of whole programs: see `tapegrad.compiler.replays`. What follows is for those who look inside.

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

    def __init__(self, group):
        self.few = group if len(group) <= 8 else None
        self.slots, self.offsets = np.array([s for s, _ in group]), np.array([o for _, o in group])
