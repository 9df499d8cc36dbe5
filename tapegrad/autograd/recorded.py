"""The recorded reverse: cotangents as tensors, each rule's operations on the tape, so they can be differentiated."""

from __future__ import annotations

import heapq

from ..primitives.shape import view
from ..tape.current import new_tensor
from ..tape.state import grad_mode, local
from ..tape.tape import Tape
from ..vm import opcodes as op
from . import messages
from .contributions import complete, joined, windowed
from .hooks import finish_sweep, run_node_hooks, run_tensor_hooks, watchers
from .repeated import is_repeatable, ones, repeated_sweep
from .saved import revive
from .straight import straight_sweep

__all__ = [
    "Graph",
    "check_saved",
    "home_of",
    "leading_cotangents",
    "place_of",
    "placed_with",
    "recorded_sweep",
    "row_cotangents",
    "source_of",
    "tape_of",
]


def home_of(tensor):
    """Tape and slot of the row that computed a tensor."""
    return tensor._home or (tensor._tape, tensor._slot)


class Graph:
    """Rows that lead from some inputs to some outputs, over all tapes."""

    def __init__(self, inputs, ends=()):
        self.handles: dict = {}
        self.leads: dict = {}
        self.ends = {home_of(t) for t in ends}
        self.oldest = (
            None if any(t._leaf for t in inputs) else min([place_of(home_of(t)) for t in inputs], default=None)
        )
        for t in inputs:
            key = id(t) if t._leaf else home_of(t)
            self.leads[key] = True
            self.handles[key] = t

    def handle(self, tape, slot):
        """A tensor for a slot; one for each, so that it is imported once."""
        key = tape, slot
        found = self.handles.get(key)
        if found is None:
            found = self.handles[key] = new_tensor(tape, slot, tape.signature(slot).out)
        return found

    def sources(self, key):
        """What a row's operands are: rows, or leaves, keyed."""
        if key in self.ends:
            return []
        tape, slot = key
        if not isinstance(tape, Tape):
            homes = [home for *_, home in tape.imports]
            return [home if home is None or isinstance(home, tuple) else id(home) for home in homes]
        source = source_of(tape, slot)
        if source is not None:
            return [source]
        row = tape.signature(slot)
        if row.kind == op.IMPORT:
            home = tape.imported(slot)[2]
            return [] if home is None else [home if isinstance(home, tuple) else id(home)]
        return [(tape, k) for k in tape.operands(slot)]

    def mark(self, roots):
        """Find which rows lead to an input (without recursion); an input may lead to another one."""
        leads, oldest, met = self.leads, self.oldest, set()
        stack = [(r, False) for r in roots]
        while stack:
            key, back = stack.pop()
            if back:
                leads[key] = leads.get(key, False) or any(leads.get(s, False) for s in self.sources(key))
                continue
            if key in met:
                continue
            met.add(key)
            leads.setdefault(key, False)
            if not isinstance(key, tuple):
                continue
            if isinstance(key[0], Tape) and not key[0].signature(key[1]).out.requires_grad:
                continue
            if oldest is None or place_of(key) > oldest:  # nothing older leads to an input
                stack.append((key, True))
                stack += [(s, False) for s in self.sources(key) if s not in met]


def recorded_sweep(outputs, seeds, inputs, create_graph, retained=None, ends=(), visit=False, part_of=None):
    """Cotangents of `inputs`, recorded on the tape.

    Parameters
    ----------
    outputs, seeds : list of Tensor
        Same shapes pairwise; None in place of the seeds, for a one each.
    inputs : list of Tensor
    create_graph : bool
        Whether the cotangents can be differentiated in turn.
    retained : list, optional
        Extended by pairs of a tensor that retains its gradient and that gradient.
    ends : sequence of Tensor
        Those of the inputs beyond which the sweep does not go, though they have a history. No leaves.
    visit : bool
        As in `engine.sweep`.
    part_of : InterleavedSweep, optional
        Of which this is a part: it is told what was visited, and hooks of leaves and of `ends` are left to others.

    Returns
    -------
    list of Tensor or None
        None for an input that no output depends on.
    """
    tape = local.state.tape
    if inputs and retained is None and not ends and not visit and _is_straight(tape, (*inputs, *outputs)):
        seeds = ones(outputs) if seeds is None else seeds
        found = straight_sweep(tape, outputs, seeds, inputs, create_graph, row_cotangents)
        finish_sweep()
        return found

    def by_rules(seeds):
        return _swept(outputs, seeds, inputs, create_graph, retained, ends, visit, part_of)

    if inputs and not ends and part_of is None and is_repeatable(tape, outputs, inputs):
        found = repeated_sweep(tape, "reverse", create_graph, outputs, inputs, seeds, by_rules)
    else:
        found = by_rules(ones(outputs) if seeds is None else seeds)
    if part_of is None:
        finish_sweep()
    return found


def _swept(outputs, seeds, inputs, create_graph, retained, ends, visit, part_of):
    """The same, row by row."""
    keys = [id(t) if t._leaf else home_of(t) for t in inputs]
    roots = [id(t) if t._leaf else home_of(t) for t in outputs]
    graph = Graph(inputs, ends)
    graph.mark(roots)
    run = _Sweep(graph, keys, create_graph, retained, visit, part_of)
    with grad_mode(create_graph):
        for key, output, seed in zip(roots, outputs, seeds, strict=True):
            run.reach(key, placed_with(seed, output._spec))
        run.run()
        run.end()
    return [run.done.get(key) for key in keys]


class _Sweep:
    """A recorded sweep under way; rows and calls are keyed by who they belong to and their number, leaves by `id`.

    Attributes
    ----------
    bars : dict
        Cotangents of what has been reached and not been visited.
    done : dict
        Those of the inputs, complete.
    ending : dict
        Cotangents of the results of calls that are visited, though nothing is wanted beyond them.
    asked : object or None
        Who is told which rows of a recording are visited.
    """

    def __init__(self, graph, targets, create_graph, retained, visit, part_of):
        self.graph, self.targets, self.create_graph = graph, set(targets), create_graph
        self.retained, self.visit, self.part_of = retained, visit, part_of
        self.bars, self.done, self.ending = {}, {}, {}
        self.heap, self.ranks = [], {}
        self.asked = None

    def reach(self, key, bar):
        """Add to the cotangent of a row, of a call's result, or of a leaf."""
        bars = self.bars
        if not self.graph.leads.get(key, False):
            return
        if key in bars:
            bars[key] = joined(bars[key], bar)
            return
        bars[key] = bar
        if isinstance(key, tuple):
            rank = self.ranks.setdefault(tape_of(key[0]), key[0].rank)  # a tape may be sealed under way
            heapq.heappush(self.heap, (-rank, -place_of(key)[1], id(key[0]), key))

    def run(self):
        """Visit what has been reached, the latest first."""
        while self.heap:
            *_, key = heapq.heappop(self.heap)
            if key not in self.bars:
                continue  # another result of the same call came first
            if self.part_of is not None and key in self.graph.ends:  # its hooks are its own tape's, or call's, part
                self.done[key] = self.bars.pop(key)
            elif isinstance(key[0], Tape):
                self._through_row(key, self.bars.pop(key))
            else:
                self._through_call(key[0])

    def _through_row(self, key, bar):
        tape, slot = key
        if tape.questions is not None:
            self.asked = tape.questions
            self.asked.follow(slot)
        if key not in self.targets and _is_window(tape, slot):
            self.reach(*_through_window(key, bar))
            return
        bar = complete(bar, tape.signature(slot).out)
        notes = tape.notes.get(slot) if tape.notes else None
        if notes is not None:
            bar = run_tensor_hooks(notes.tensor, bar)
        if key in self.targets:
            self.done[key] = bar
        _retain(key, bar, self.retained)
        sources = self.graph.sources(key)
        if not any(self.graph.leads.get(s, False) for s in sources):
            if self.visit and key in self.targets:
                self._end_at(key, bar)
            return
        if self.part_of is not None:
            self.part_of.visited.add(slot)
        for source, x_bar in zip(sources, leading_cotangents(self.graph, key, bar), strict=True):
            if x_bar is not None:
                self.reach(source, x_bar)

    def _end_at(self, key, bar):
        """Visit an input's row, or call, although nothing is wanted beyond."""
        tape, slot = key
        source = source_of(tape, slot)
        if source is None:
            check_saved(tape, slot, tape.signature(slot))
        else:
            self.ending.setdefault(source[0], {})[source[1]] = bar

    def _through_call(self, call):
        """Through a call of a `Function`, all of whose results' cotangents are known."""
        graph, given = self.graph, {}
        for k in range(len(call.types)):
            bar = self.bars.pop((call, k), None)
            if bar is not None:
                given[k] = bar
        call.run_tensor_hooks(given)
        for k in given:
            if (call, k) in self.targets:
                self.done[call, k] = given[k]
            _retain((call, k), given[k], self.retained)
        sources = graph.sources((call, 0))
        wanted = [s is not None and graph.leads.get(s, False) for s in sources]
        if not any(wanted):
            return
        for source, x_bar in zip(sources, call.cotangents(given, wanted, self.create_graph), strict=True):
            if x_bar is not None:
                self.reach(source, x_bar)
        if self.part_of is not None:
            self.part_of.calls.append(call)

    def end(self):
        """Call what waits for the last row: calls that end the sweep, and hooks of leaves."""
        for call, given in self.ending.items():
            call.cotangents(given, [None] * len(call.homes), self.create_graph)
            if self.part_of is not None:
                self.part_of.calls.append(call)
        if self.asked is not None:
            self.asked.follow(None)
        for key, bar in self.bars.items():
            leaf = self.graph.handles.get(key) if self.part_of is None else None
            if leaf is not None and leaf._hooks is not None:
                bar = run_tensor_hooks(leaf._hooks.tensor, bar)
                (bar,) = run_node_hooks(leaf._hooks.before, (bar,))
            self.done[key] = bar


def placed_with(tensor, spec):
    """A cotangent where its value stands: it is brought to the device, if that is on one."""
    if tensor._spec.device is spec.device:
        return tensor
    return spec.device.bring(tensor) if tensor._spec.device is None else tensor._spec.device.fetch(tensor)


def _retain(key, bar, retained):
    """Note a cotangent for the tensor that retains it, if there is one and that is wanted."""
    reference = key[0].retaining.get(key[1])
    tensor = reference() if reference is not None else None
    if tensor is not None and retained is not None:
        retained.append((tensor, bar))


def tape_of(owner):
    """The tape that a tape is, or between whose rows a call lies; a call that lies elsewhere itself."""
    return owner if isinstance(owner, Tape) else owner.tape() or owner


def source_of(tape, slot):
    """The call of a `Function` that a row only stands for, and which of its results; else None."""
    return tape.sources.get(slot) if tape.sources else None


def _is_straight(tape, tensors):
    """Whether tensors stand on a tape under compilation to whose rows nothing is attached."""
    if not tape.tracing or tape.device is not None or tape.notes or tape.sources or tape.retaining or watchers:
        return False
    if tape.questions is not None and tape.questions.lines is not None:
        return False
    return all([t._tape is tape and not t._leaf and t._home is None for t in tensors])


def _is_window(tape, slot):
    """Whether a row is a view whose cotangent can wait, as a window, until that of its base is complete.

    That is so while a function is compiled, which then has one row for all windows. Elsewhere each program would have
    another such row, and rows of another kind are remembered for good.
    """
    if not tape.tracing or tape.device is not None or slot in tape.notes or slot in tape.retaining or watchers:
        return False
    return tape.signature(slot).kind == op.WINDOW


def _through_window(key, bar):
    """A view's base, and what the view's cotangent contributes to the base's."""
    tape, slot = key
    row = tape.signature(slot)
    (source,) = tape.operands(slot)
    return (tape, source), windowed(bar, row.out, row.specs[0].bar, row.attrs["strides"], tape.rows[slot + 1])


def leading_cotangents(graph, key, bar):
    """Cotangents of a row's operands, as far as they lead somewhere."""
    tape, slot = key
    row = tape.signature(slot)
    if row.kind == op.IMPORT or source_of(tape, slot) is not None:
        return [bar]
    operands = tape.operands(slot)
    wanted = tuple(
        spec.requires_grad and graph.leads.get((tape, k), False) for spec, k in zip(row.specs, operands, strict=True)
    )
    notes = tape.notes.get(slot)
    if notes is not None and notes.before:
        (bar,) = run_node_hooks(notes.before, (bar,))
    for watcher in watchers:
        watcher.before(tape, slot)
    bars = row_cotangents(tape, slot, bar, wanted, graph.handle)
    if notes is not None and notes.after:
        bars = run_node_hooks(notes.after, tuple(bars), (bar,))
    if not tape.tracing:
        for watcher in watchers:
            watcher.after(tape, slot, bars)
    return bars


def row_cotangents(tape, slot, bar, wanted, handle=None):
    """Cotangents of a row's operands by its rule; None for those that are not wanted.

    Parameters
    ----------
    tape : Tape
    slot : int
    bar : Tensor
        The result's cotangent.
    wanted : tuple of bool
    handle : callable, optional
        ``handle(tape, slot) -> Tensor``.
    """
    row = tape.signature(slot)
    handle = handle or _handle
    packed = {}
    notes = tape.notes.get(slot)
    if notes is not None and notes.packed:
        packed = {k: _unpack(tape, slot, k, *how) for k, how in notes.packed.items()}
    check_saved(tape, slot, row, packed)
    xs = [packed[k] if k in packed else handle(tape, q) for k, q in enumerate(tape.operands(slot))]
    y = packed[-1] if -1 in packed else handle(tape, slot)
    attrs = row.attrs
    if row.primitive is view or row.kind == op.PATCHED:
        attrs = {**attrs, "offset": tape.rows[slot + 1]}
    if tape.device is not None:
        with tape.device.rules():
            bars = row.primitive.transpose_at(bar, y, xs, wanted, attrs)
            return [b if b is None else placed_with(b, s) for b, s in zip(bars, row.specs, strict=True)]
    return row.primitive.transpose_at(bar, y, xs, wanted, attrs)


def saved_value(tape, slot, k):
    """A value that a row saved: operand k, or its result (-1).

    Raises
    ------
    RuntimeError
        If it was freed, or overwritten.
    """
    notes = tape.notes.get(slot)
    packed = notes.packed if notes is not None else {}
    check_saved(tape, slot, tape.signature(slot), packed)
    if k in packed:
        return _unpack(tape, slot, k, *packed[k])
    source = slot if k < 0 else tape.operands(slot)[k]
    home = tape.imported(source)[2] if tape.signature(source).kind == op.IMPORT else None
    if home is not None and not isinstance(home, tuple):
        return home
    tape.flush()
    return _handle(tape, source)


def _handle(tape, slot):
    return new_tensor(tape, slot, tape.signature(slot).out)


def _unpack(tape, slot, k, packed, unpack):
    """A saved value as its hook gives it back, with the history of the value that it stands for."""
    source = slot if k < 0 else tape.operands(slot)[k]
    spec = tape.signature(source).out
    made = revive(unpack(packed), spec)
    if spec.requires_grad:
        tape.seal()
        made._spec, made._home = made._spec.replace(requires_grad=True), (tape, source)
    return made


def check_saved(tape, slot, row, packed=()):
    """Refuse to use a value that was overwritten or freed; one that was packed was kept elsewhere."""
    freed = tape.freed is not None and slot < len(tape.freed) and tape.freed[slot]
    if not (freed or tape.stamps.last or tape.foreign_writes):
        return
    needs = row.needs
    if not needs:
        return
    if freed:
        raise messages.freed(tape, slot)
    for k, operand in enumerate([slot, *tape.operands(slot)]):
        if k - 1 in packed:
            continue
        root = tape.root_of(operand)
        limit = slot - (row.kind == op.WRITE and k > 0)  # a write leaves its result, and takes its operand away
        if needs >> min(k, 62) & 1 and (tape.stamps.last.get(root, -1) > limit or root in tape.foreign_writes):
            raise messages.stale(tape, slot, k - 1)


def place_of(key):
    """Place of a row, or of a call of a `Function`, in the order of all: its tape's, and that within the tape."""
    return key[0].rank, key[1] if isinstance(key[0], Tape) else key[0].position
