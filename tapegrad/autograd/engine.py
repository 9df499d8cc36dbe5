"""The engine: cotangents from outputs to inputs, tape by tape, in compiled code."""

from __future__ import annotations

import functools
import heapq

import numpy as np

from ..tape.blocks import MOST_EXPECTED, SWEEP_TEMPORARIES, SweepArrays, recycled
from ..tape.chains import leads_beyond, let_go
from ..tape.current import rotate
from ..tape.memory import address_of, aligned, array_at, empty_array
from ..tape.signature import by_index
from ..tape.state import local
from ..tape.tape import Tape, TapeError
from ..tape.workspace import workspace
from ..vm import opcodes as op
from ..vm.entry import begin_reverse, reads_left, reverse_sweep
from ..vm.pools import pools
from . import messages
from .hooks import finish_sweep, run_leaf_hooks, watchers
from .interleaved import InterleavedSweep
from .recorded import home_of
from .relevance import only_leads_to, relevant_slots
from .room import LARGE, Room, drop_saved
from .stepping import leave, step_through

__all__ = ["one", "sweep"]


@functools.cache
def one(shape, dtype):
    """The cotangent of a result of one element, of which nothing else is known; sweeps change no seed."""
    ones = np.ones(shape, dtype)
    ones.flags.writeable = False
    return ones


def sweep(seeds, inputs=None, retain_graph=False, ends=(), visit=False):
    """Propagate cotangents from outputs to inputs.

    Parameters
    ----------
    seeds : list of (Tensor, numpy.ndarray)
        Outputs, and the cotangent of each (same shape and dtype; not kept, not changed).
    inputs : list of Tensor, optional
        Where to; by default every leaf that requires grad.
    retain_graph : bool
        Whether what the sweep visits may be visited again.
    ends : sequence of Tensor
        Those of the inputs beyond which the sweep does not go.
    visit : bool
        Whether rows that computed an input are visited although nothing beyond is wanted: as in PyTorch's
        ``backward(inputs=)``, their saved values are checked and freed.

    Returns
    -------
    leaves : dict
        ``id(tensor) -> (tensor, gradient array)`` of the leaves reached.
    others : dict
        ``id(tensor) -> gradient array`` of inputs that are not leaves; under ``"retained"``, pairs of a tensor that
        retains its gradient and that gradient.

    Raises
    ------
    RuntimeError
        Where a value that a rule needs was overwritten or freed. No gradient has been handed out then.
    """
    if len(seeds) == 1:
        ((tensor, seed),) = seeds
        alone = _sweep_alone(tensor, seed, inputs, retain_graph)
        if alone is not None:
            return alone, {}
    targets: dict = {}
    for tensor in inputs or ():
        if not tensor._leaf:
            targets.setdefault(home_of(tensor), []).append(tensor)
    front = _Front({home_of(t) for t in ends if not t._leaf})
    for tensor, seed in seeds:
        if tensor._leaf:
            front.reach_leaf(tensor, seed.copy())
        else:
            front.reach(home_of(tensor), seed)
    everything = inputs is None or (not targets and only_leads_to(front.pending, inputs))
    relevant = None if everything else relevant_slots(front.pending, inputs, targets, front.ended)
    others: dict = {}
    visited = []
    while front.heap:
        tape, cotangents = front.last()
        run = _part(tape, cotangents)
        run.visits, run.frees = visit, not retain_graph
        run.run(targets, relevant)
        visited.append(run)
        for home, array in run.reached():
            if isinstance(home, tuple):
                front.reach(home, array)
            else:
                front.reach_leaf(home, array)
        others.update(run.collected(targets))
        others.setdefault("retained", []).extend(run.retained())
    others.update({id(t): bar for home, bar in front.ended.items() if bar is not None for t in targets[home]})
    for run in visited:
        if not retain_graph:
            run.free()
        run.release()
    for key, (leaf, array) in front.leaves.items():
        if leaf._hooks is not None:
            front.leaves[key] = leaf, run_leaf_hooks(leaf, array)
    finish_sweep()
    return front.leaves, others


class _Front:
    """How far a sweep has come: cotangents that are on their way, tape by tape, and those that have arrived.

    Attributes
    ----------
    pending : dict
        By tape, cotangents by slot.
    heap : list
        The tapes of them that have not been swept, those that began last first.
    leaves : dict
        ``id(tensor) -> (tensor, gradient array)``.
    ended : dict
        By home of a tensor beyond which the sweep does not go, the cotangent that came to it, or None.
    """

    def __init__(self, ends):
        self.pending: dict = {}
        self.heap: list = []
        self.leaves: dict = {}
        self.ended: dict = dict.fromkeys(ends)

    def reach(self, home, array):
        """Add to the cotangent of a slot."""
        if home in self.ended:
            before = self.ended[home]
            self.ended[home] = np.array(array) if before is None else np.asarray(before + array)
            return
        tape, slot = home
        cotangents = self.pending.get(tape)
        if cotangents is None:
            cotangents = self.pending[tape] = {}
            heapq.heappush(self.heap, (-tape.rank, id(tape), tape))
        cotangents[slot] = _total(cotangents[slot], array) if slot in cotangents else array

    def reach_leaf(self, leaf, array):
        """Add to the gradient of a leaf, which comes last from now on."""
        if id(leaf) in self.leaves:
            array = _total(self.leaves.pop(id(leaf))[1], array)
        self.leaves[id(leaf)] = leaf, array

    def last(self):
        """The tape that began last, and its cotangents; it is done with."""
        _, _, tape = heapq.heappop(self.heap)
        return tape, self.pending[tape]


def _part(tape, seeds):
    """A tape's, or a call's, part of a sweep."""
    if type(tape) is not Tape:
        return tape.sweep(seeds)
    return InterleavedSweep(tape, seeds) if tape.sources else _TapeSweep(tape, seeds)


def _sweep_alone(tensor, seed, inputs, retain_graph):
    """The leaves' gradients where one tape is all there is, and nobody looks on; None where it is not so simple."""
    tape = tensor._tape
    if type(tape) is not Tape or tensor._home is not None or tensor._leaf:
        return None
    if tape.notes or tape.sources or tape.retaining or watchers:
        return None
    if inputs is not None:
        wanted = {id(t) for t in inputs if t._leaf}
        if len(wanted) < len(inputs):
            return None
    beyond = False
    for entry in tape.imports:
        home = entry[2]
        if home.__class__ is tuple:
            beyond = True
        elif home is not None and (home._rare._hooks is not None or (inputs is not None and id(home) not in wanted)):
            return None
    if beyond and leads_beyond(tape)[tensor._slot]:
        return None
    run = _TapeSweep(tape, {tensor._slot: seed})
    run.frees = not retain_graph
    run.run((), None)
    leaves: dict = {}
    bar = run.arrays.bar
    for slot, (leaf, array) in reversed(run.grads.items()):
        if bar[slot] == op.FULL:
            key = id(leaf)
            leaves[key] = leaf, (_total(leaves[key][1], array) if key in leaves else array)
    if not retain_graph:
        run.free()
    else:
        run.set_apart()
    run.release()
    finish_sweep()
    return leaves


def _total(a, b):
    """The sum of two cotangents of one value."""
    total = a + b
    return np.asarray(total) if isinstance(total, np.generic) else total  # which a sum of 0-d arrays is


class _TapeSweep:
    """The reverse sweep over one tape."""

    def __init__(self, tape, seeds):
        tape.flush()
        self.tape, self.seeds = tape, seeds
        self.n = tape.cap
        self.arrays = recycled(SweepArrays, self.n)
        self.visits = False
        self.ends = False  # whether the sweep may end at rows that it reaches but does not visit
        self.unread = True  # whether rows may be left whose saved values nobody has read
        self.frees = False  # whether saved values may go as soon as their last reader is done
        self.passed: int | None = None  # where the sweep stood when some went
        self.replaced: list[np.ndarray] = []
        self.grads: dict = {}

    def run(self, targets, relevant):
        tape, n, arrays = self.tape, self.n, self.arrays
        bar, kept, wanted, addr = arrays.bar, arrays.kept, arrays.wanted, arrays.addr
        top = max(self.seeds)
        space = workspace()
        space.busy = True
        try:
            words, values, root, last_write = tape.arrays.at
            state = space.prepare(top + 1, n, SWEEP_TEMPORARIES, (words, arrays.addr_at, root, last_write))
            space.flags(*arrays.at, values)
            begin_reverse(space.at)
            if state[op.STATUS] == op.BAD_ROW:
                raise TapeError(f"row {state[op.DETAIL]} of this tape is not valid")
            if relevant is not None:
                wanted[:] = relevant[tape]
            if tape.freed is not None:
                arrays.freed[: len(tape.freed)] = np.frombuffer(tape.freed, np.uint8)
            for slot, seed in self.seeds.items():
                array = seed  # or a number: np.conj makes one of an array of no axes
                if seed.__class__ is not np.ndarray or not seed.flags.c_contiguous:
                    array = np.ascontiguousarray(seed)
                if array is seed and slot < top:
                    array = seed.copy()  # rows after it may add to it
                spec = tape.signature(slot).out
                if spec.bar_strides != array.strides and not spec.bar.contiguous:
                    array = _copy_like(array, spec.bar)
                self.seeds[slot] = array
                addr[n + slot], bar[slot] = address_of(array), op.FULL
            grads, rows = self.grads, tape.rows
            for slot, _ in tape.outdated():
                tape.arrays.last_write[slot] = n
            for slot, _, home, _, _ in tape.imports:
                if home is None or slot > top or not wanted[slot]:
                    continue
                spec = by_index[rows[slot] >> op.SIGNATURE_SHIFT].out
                array = aligned(spec.shape, spec.dtype) if spec.contiguous else empty_array(spec.bar)
                grads[slot] = home, array
                if bar[slot]:
                    array[...] = self.seeds[slot]
                else:
                    bar[slot] = op.GIVEN
                addr[n + slot] = address_of(array)
            for other, slot in targets:
                if other is tape:  # where nothing beyond it is wanted, the row itself is not visited
                    self.ends = not self.visits
                    passed = self.visits or any(wanted[k] for k in tape.operands(slot))
                    kept[slot] = op.KEPT if passed else op.KEPT_UNVISITED
            if tape.retaining or tape.notes:
                for slot in (*tape.retaining, *tape.notes):
                    if slot < n:
                        kept[slot] = kept[slot] or op.KEPT
            if tape.shared_imports or tape.foreign_writes:
                self._note_writes()
            self.space = space
            self.room = space.room or Room(state, space.heads)
            space.room = None
            self.room.begin(space.expected)
            if (tape.notes or watchers) and leave(tape):
                self.frees = False
                step_through(self, state)
            else:
                self.drive(state)
            self.unread = state[op.UNREAD] or top + tape.signature(top).width < tape.done
            space.expected = min(self.room.used, MOST_EXPECTED)
        except BaseException:
            if self.passed is not None:  # what has gone cannot be visited again
                tape.freed = self._visited(self.passed)
            raise
        finally:
            space.busy = False

    def _note_writes(self):
        """Tell rows of writes that their own slots do not show."""
        tape, written = self.tape, self.tape.arrays.last_write
        for slot, owner in tape.shared_imports:  # of memory that came in twice, both must know the last write
            written[owner] = max(written[slot], written[owner])
        for slot, owner in tape.shared_imports:
            written[slot] = written[owner]
        for slot in tape.foreign_writes:
            written[slot] = self.n

    def drive(self, state):
        """Run the rows at which the state stands."""
        space = self.space
        while True:
            reverse_sweep(space.at)
            status = state[op.STATUS]
            if status == op.FINISHED:
                break
            self._serve(status, state, space)

    def _serve(self, status, state, space):
        """What the sweep stopped for."""
        if status == op.NEED_MEMORY:
            need = state[op.DETAIL]
            if self.frees and need >= LARGE:
                drop_saved(self, state)
            self.room.grow(need)
        elif status == op.NEED_TEMPLATE:
            by_index[state[op.DETAIL]].lower_reverse()
            space.point()
        elif status == op.CALLED:
            from ..tape.callout import run_call

            run_call(space.code, state, self.arrays.addr, pools.consts)
        elif status == op.STALE:
            raise messages.stale(self.tape, state[op.DETAIL], state[op.DETAIL2])
        elif status == op.FREED:
            raise messages.freed(self.tape, state[op.DETAIL])
        else:
            raise TapeError(f"row {state[op.DETAIL]} of this tape is not valid")

    def reached(self):
        """(home, gradient) of each import that a cotangent reached."""
        for slot, (home, array) in reversed(self.grads.items()):  # what was used last is complete first
            if self.arrays.bar[slot] == op.FULL:
                yield home, array

    def retained(self):
        """(tensor, gradient) of each tensor on this tape that retains its gradient and was reached."""
        for slot, reference in self.tape.retaining.items():
            tensor = reference()
            if tensor is not None and slot < self.n and self.arrays.bar[slot] not in (op.NONE, op.GIVEN):
                yield tensor, self.cotangent(slot)

    def cotangent(self, slot):
        """A copy of a slot's cotangent."""
        spec = self.tape.signature(slot).out
        return array_at(self.arrays.addr[self.n + slot], spec.bar).copy()

    def replace(self, slot, array):
        """Give a slot another cotangent."""
        spec = self.tape.signature(slot).out.bar
        if self.arrays.bar[slot] == op.FULL and slot in self.grads:
            self.grads[slot][1][...] = array
            return
        own = _copy_like(array, spec)
        self.replaced.append(own)
        self.arrays.addr[self.n + slot], self.arrays.bar[slot] = address_of(own), op.FULL

    def contribute(self, slot, array):
        """Add to a slot's cotangent what Python computed."""
        spec = self.tape.signature(slot).out.bar
        if self.arrays.bar[slot] == op.NONE:
            self.replace(slot, array)
            return
        target = array_at(int(self.arrays.addr[self.n + slot]), spec)
        if self.arrays.bar[slot] == op.GIVEN:
            target[...] = array
            self.arrays.bar[slot] = op.FULL
        else:
            np.add(target, array, out=target)

    def collected(self, targets):
        """Gradients of the tensors on this tape that were asked for."""
        found = {}
        for (tape, slot), tensors in targets.items():
            if tape is self.tape and self.arrays.bar[slot] not in (op.NONE, op.GIVEN):
                for tensor in tensors:
                    found[id(tensor)] = self.cotangent(slot)
        return found

    def free(self):
        """Give up what the visited rows saved; rows that saved nothing can be visited again."""
        tape = self.tape
        with tape.lock:
            tape.freed = self._visited()
            if tape.kept and not (self.unread and self._reads_left()):
                tape.kept.clear()
            tape.dismiss()
        state = local.state
        if state.tape is tape:
            rotate(state)
        let_go(tape)

    def set_apart(self):
        """Let a graph that stays, and keeps large values, be all that its tape holds: it goes with its tensors."""
        tape, state = self.tape, local.state
        if tape.kept and state.tape is tape:
            rotate(state)
            tape.dismiss()

    def _visited(self, passed=-1):
        """A flag for each row after `passed` that this sweep, or each that an earlier one, has visited."""
        bar, kept, before = self.arrays.bar, self.arrays.kept, self.tape.freed
        if before is None and not self.ends and passed < 0:
            return bytes(bar)
        visited = (np.array(bar) != op.NONE) & (np.array(kept) != op.KEPT_UNVISITED)
        visited[: passed + 1] = False
        if before is not None:
            visited[: len(before)] |= np.frombuffer(before, np.uint8) != 0
        return visited.tobytes()

    def _reads_left(self):
        """Whether a row of the tape has yet to read what it saved."""
        tape, space = self.tape, workspace()
        freed = np.frombuffer(tape.freed, np.uint8)
        state = space.prepare(tape.done, tape.cap, 0, tape.arrays.at)
        state[op.AT_FREED] = address_of(freed)
        return reads_left(space.at)

    def release(self):
        """Hand back the working memory; what was found is in memory of its own."""
        self.arrays.release()
        self.room.release()
        self.space.room = self.room


def _copy_like(array, spec):
    copy = empty_array(spec)
    copy[...] = array
    return copy
