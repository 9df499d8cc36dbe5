"""Calls of a `Function`, as the sweeps meet them.

A call on little data lies between two rows of the tape: each of its results is a row that says where it comes from, and
`tapegrad.autograd.interleaved` sweeps over such a tape. So it is while a function is compiled, whatever the size.
Another call ends the tape that its operands stand on and takes a place of its own in the order of tapes: sweeps, which
go from the latest tape to the earliest, meet it there and ask it for cotangents as they ask a tape.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..primitives.core import ops, unbroadcast
from ..renewal import adopt_written
from ..tape.buffer import buffer_of
from ..tape.current import new_tensor, rotate
from ..tape.handle import NOTHING, Tensor
from ..tape.importing import slot_of
from ..tape.signature import CAREFUL, DEFER_BYTES, signature_of
from ..tape.spec import spec_of_array
from ..tape.state import grad_mode, local
from ..tape.tape import SEGMENT_ROWS, Tape, next_rank
from ..values import value_of
from ..vm.opcodes import SLOT_BITS
from .hooks import run_node_hooks, run_tensor_hooks, tensor_over, watchers
from .littleness import keeps_little
from .recorded import recorded_sweep
from .saved import SavedSlot, SavedTensor, saved

__all__ = ["Call", "end_tape", "users_code"]

_NO_NOTES: dict = {}
_tracked: dict = {}
"""Code and result of the row that stands for a result of a call, by the result's spec."""
BETWEEN_CALLS = 64
"""Rows that may lie between calls on one tape: sweeps visit them in Python."""


@contextlib.contextmanager
def users_code(grad_enabled: bool, within: int = 0) -> Iterator[None]:
    """The user's own code runs: with values at hand, in the given gradient mode.

    It means what it means where it was called, so that many transformations were under way there.
    """
    state = local.state
    around = state.grad_enabled, state.depth, state.in_rule, state.within, state.forward
    try:
        if state.grad_enabled != grad_enabled:
            state.switch(grad_enabled)
        state.depth, state.in_rule, state.within = 0, grad_enabled, max(state.within, within)
        state.tape.sparing = state.is_sparing()
        yield
    finally:  # an interrupt may come with the first call: all is as it was by then
        state.tape.fast = CAREFUL
        state.grad_enabled, state.depth, state.in_rule, state.within, state.forward = around
        state.refresh()


def end_tape() -> None:
    """End the tape on which backwards recorded: it holds on to what they used."""
    state = local.state
    tape = state.tape
    if tape.rows and not tape.tracing:
        tape.flush()
        for *_, home, _, _ in tape.imports:
            if isinstance(home, Tensor) and home._tape is tape:
                home._tape = None
        rotate(state)


class Call:
    """One call of a `Function`, as the sweeps see it: like a tape, whose slots are the results.

    Attributes
    ----------
    imports : list of tuple
        ``(k, None, home)`` of each tensor argument.
    rank, position : float
        Where sweeps meet it: among the tapes, and within the tape between whose rows it lies.
    outs, types : list
        Specs of the results that carry gradients, and of all that are tensors; None for others.
    notes : dict
        Hooks of the results.
    within : int
        How many transformations were under way.
    """

    __slots__ = (
        "__weakref__", "_place", "_rank", "arguments", "arrays", "cls", "count", "ctx", "foreign_writes", "homes",
        "inputs", "notes", "outs", "position", "retaining", "specs", "types", "within",
    )  # fmt: skip

    notes: dict
    outs: Any
    types: Any
    inputs: list

    def __init__(self, cls: Any, ctx: Any, args: tuple, arguments: list[int], homes: list):
        self.cls, self.ctx = cls, ctx
        ctx._call = weakref.ref(self)
        self._place: weakref.ref | None = None  # between whose rows it lies; the tape holds the call
        self.arguments = tuple(arguments)
        self.specs = tuple([args[k]._spec for k in arguments])
        self.count, self.within = len(args), local.state.within
        self.arrays: Sequence[int] = ()
        if self.count > len(arguments):
            self.arrays = tuple([k for k, a in enumerate(args) if isinstance(a, np.ndarray)])
        self.homes = homes
        self.notes = self.retaining = self.foreign_writes = _NO_NOTES

    def stand_between_rows(self, tape: Tape) -> None:
        """Take the place before the tape's next row."""
        self._place, self.position = weakref.ref(tape), len(tape.rows) - 0.5
        for k, home in enumerate(self.homes):
            if home.__class__ is tuple:
                if home[0] is tape:
                    self.homes[k] = home[1]
                elif not tape.tracing:
                    home[0].seal()

    def stand_alone(self, args: tuple) -> None:
        """Take a place of its own among the tapes; those that the operands stand on end."""
        self.inputs = [args[k] for k in self.arguments]
        self.notes, self.retaining, self.foreign_writes = {}, {}, {}
        for home in self.homes:
            if isinstance(home, tuple):
                if home[0] is local.state.tape:
                    rotate(local.state)
                home[0].seal()
        self._rank, self.position = next_rank(), 0.0

    def tape(self) -> Tape | None:
        """The tape between whose rows the call lies."""
        return None if self._place is None else self._place()

    @property
    def rank(self) -> int:
        """Its tape's, or its own."""
        tape = self.tape()
        return self._rank if tape is None else tape.rank

    @property
    def imports(self) -> list:
        """Where the gradients of the arguments go."""
        tape = self.tape()
        return [(k, None, (tape, home) if home.__class__ is int else home) for k, home in enumerate(self.homes)]

    def retain(self, k: int, tensor: Tensor) -> None:
        """Have sweeps hand out a result's cotangent to a tensor, as long as that lives."""
        self.retaining[k] = weakref.ref(tensor)

    def root_of(self, k: int) -> int:
        """Results share no memory that rows of this call would read."""
        return k

    may_run = False
    """Nothing waits here."""

    def seal(self) -> None:
        """A call has its place in the order from the beginning."""

    def flush(self) -> None:
        """Nothing is ever pending."""

    # --- forward --------------------------------------------------------------------------------------

    def adopt(self, outputs: tuple, args: tuple) -> tuple:
        """Make the forward's results results of this call."""
        state = local.state
        tape = state.tape
        if tape.tracing:
            self.inputs = [args[k] for k in self.arguments]
            self.stand_between_rows(tape)
        elif self._is_small(outputs, args, state):
            return self._adopt_rows(outputs, state)
        else:
            self.stand_alone(args)
        ctx = self.ctx
        self.outs, self.types = [], []
        made = tuple(self._adopt(k, y) for k, y in enumerate(outputs))
        places = {id(y): k for k, y in enumerate(outputs) if isinstance(y, Tensor)}
        ctx._saved = [self._save(t, places, made) for t in ctx._to_save]
        ctx._saved_forward = [self._save(t, places, made) for t in ctx._to_save_forward]
        ctx._to_save = ctx._to_save_forward = ctx._dirty = ()
        if not tape.tracing:
            self.inputs = []
        return made

    def _is_small(self, outputs: tuple, args: tuple, state: Any) -> bool:
        """Whether the call can lie between rows of the thread's tape: little data, new results, no other concerns."""
        ctx, tape = self.ctx, state.tape
        if tape.fast is CAREFUL or tape.sealed is not None or tape.limit <= 0 or state.packing or state.devices:
            return False
        if len(tape.rows) - tape.called > BETWEEN_CALLS or ctx._dirty or ctx._plain:
            return False
        for spec in self.specs:
            if spec.nbytes > DEFER_BYTES or spec.device is not None:
                return False
        if not keeps_little(ctx):
            return False
        met = set(map(id, args))
        for y in outputs:
            if y.__class__ is not Tensor or id(y) in met:
                return False
            spec, rare = y._spec, y._rare
            if rare is not NOTHING and (rare._base is not None or rare._leaf):
                return False
            if spec.requires_grad or spec.nbytes > DEFER_BYTES or spec.dtype.kind not in "fc" or not spec.injective:
                return False
            met.add(id(y))
        return True

    def _adopt_rows(self, outputs: tuple, state: Any) -> tuple:
        """A row for each result, which becomes that row."""
        ctx = self.ctx
        slots = [slot_of(y, state, state.tape) for y in outputs]
        tape = state.tape
        self.stand_between_rows(tape)
        self.outs = self.types = tuple([y._spec for y in outputs])
        rows = tape.rows
        for k, (y, slot) in enumerate(zip(outputs, slots, strict=True)):
            row = len(rows)
            found = _tracked.get(y._spec)
            if found is None:
                signature = signature_of(ops.track, (y._spec,), (), True)
                found = _tracked[y._spec] = signature.code, signature.out
            rows += (found[0] + (slot << SLOT_BITS), 0)
            tape.noted += (row, slot, None)
            tape.sources[row] = self, k
            y._slot, y._spec = row, found[1]
        tape.called = len(rows)
        tape.limit = min(len(rows) + BETWEEN_CALLS, SEGMENT_ROWS)
        ctx._saved = tuple([None if t is None else saved(t, tape) for t in ctx._to_save])
        if ctx._to_save_forward:
            ctx._saved_forward = tuple([None if t is None else saved(t, tape) for t in ctx._to_save_forward])
        ctx._to_save = ctx._to_save_forward = ()
        return outputs

    def _adopt(self, k: int, y: Any) -> Any:
        if not isinstance(y, Tensor):
            self.outs.append(None)
            self.types.append(None)
            return y
        spec = y._spec
        self.types.append(spec)
        plain = spec.dtype.kind not in "fc" or any(y is t for t in self.ctx._plain)
        self.outs.append(None if plain else spec)
        passed = any(y is x for x in self.inputs)
        dirty = any(y is x for x in self.ctx._dirty)
        if plain:
            return ops.detach(y) if passed and not dirty else y
        if local.state.tape.tracing:
            return self._adopt_traced(k, y, passed, dirty)
        if dirty:
            return self._adopt_written(k, y)
        if passed:
            base, y = y, new_tensor(None, 0, spec)
            y._memory, y._buffer, y._base = value_of(base), buffer_of(base), base
            y._buffer.loose = True
            y._buffer.unsettle()
        viewed = y._base is not None
        self._become(k, y, value_of(y))
        if viewed:
            y._made_by = self.cls.__name__
            y._base = None
        return y

    def _become(self, k: int, y: Tensor, array: np.ndarray) -> None:
        y._memory, y._tape, y._slot = array, None, 0
        y._home, y._leaf = (self, k), False
        y._spec = spec_of_array(array, True)

    def _adopt_written(self, k: int, y: Tensor) -> Tensor:
        """An argument that was written in place: its history is this call, and its base's goes through it."""
        base = y._base
        self._become(k, y, value_of(y))
        buffer = buffer_of(y)
        buffer.version += 1
        buffer.history += 1
        y._seen = buffer.history
        if base is not None:
            adopt_written(y)
        return y

    def _adopt_traced(self, k: int, y: Tensor, passed: bool, dirty: bool) -> Tensor:
        with grad_mode(True):
            made = ops.track(y)
        tape = local.state.tape
        tape.sources[made._slot] = self, k
        if passed or y._base is not None:
            made._made_by = None if dirty else self.cls.__name__
            return made
        y._slot, y._spec = made._slot, made._spec  # a view of the value before would be written past this call
        return y

    def _save(self, t: Tensor | None, places: dict, made: tuple) -> Any:
        if t is None:
            return None
        k, tape = places.get(id(t)), local.state.tape
        if tape.tracing:
            kept = t if k is None or self.outs[k] is None else made[k]
            return SavedSlot(kept, tape) if kept._tape is tape else kept
        if k is not None and self.outs[k] is not None:
            return SavedTensor(made[k], output=k)
        return SavedTensor(t)

    # --- reverse --------------------------------------------------------------------------------------

    def cotangents(self, bars: dict, wanted: Sequence, create_graph: bool) -> list:
        """Cotangents of the tensor arguments, from those of the results by their numbers.

        Those for which `wanted` has None or False are left out.
        """
        given = [bars.get(k) for k in range(len(self.types))]
        if len(bars) < len(given) and self.ctx._materialize:
            given = [
                _zeros(spec) if bar is None and spec is not None else bar
                for bar, spec in zip(given, self.types, strict=True)
            ]
        for watcher in watchers:
            watcher.before(self, 0)
        with users_code(create_graph, self.within):
            notes = self.ctx._node_notes
            if notes is not None and notes.before:
                given = list(run_node_hooks(notes.before, tuple(given)))
            found = self.cls._backward_of()(self.ctx, *given)
            bars_in = self._check(found if isinstance(found, tuple) else (found,))
            if notes is not None and notes.after:
                bars_in = list(run_node_hooks(notes.after, tuple(bars_in), tuple(given)))
        for watcher in watchers:
            watcher.after(self, 0, bars_in)
        return [None if want is None or want is False else b for b, want in zip(bars_in, wanted, strict=True)]

    def _check(self, found: tuple) -> list:
        """One cotangent for each tensor argument, of its shape and dtype."""
        while len(found) > self.count and found[-1] is None:
            found = found[:-1]
        if len(found) != self.count:
            raise RuntimeError(
                f"function {self.ctx.name()} returned an incorrect number of gradients (expected {self.count}, got "
                f"{len(found)}): backward must return one for each argument of forward, None where there is none"
            )
        for k, g in enumerate(found):
            if g is not None and k not in self.arguments and k not in self.arrays:
                raise RuntimeError(
                    f"function {self.ctx.name()} returned a gradient different than None at position {k + 1}, but the "
                    f"corresponding forward input was not a Variable"
                )
        return [self._fit(k, found[k], spec) for k, spec in zip(self.arguments, self.specs, strict=True)]

    def _fit(self, k: int, g: Any, spec: Any) -> Tensor | None:
        if g is None or not spec.requires_grad:
            return None
        if g.__class__ is Tensor and g._spec.shape == spec.shape and g._spec.dtype is spec.dtype:
            return g
        name = self.ctx.name()
        if isinstance(g, (np.ndarray, np.generic)):
            g = tensor_over(np.array(g))
        if not isinstance(g, Tensor):
            raise RuntimeError(
                f"{name} must return tensors: expected Variable or None (got {type(g).__name__}) at index {k}"
            )
        if g._spec.shape != spec.shape:
            try:
                fits = np.broadcast_shapes(g._spec.shape, spec.shape) == g._spec.shape
            except ValueError:
                fits = False
            if not fits:
                raise RuntimeError(
                    f"Function {name} returned an invalid gradient at index {k} - got {list(g._spec.shape)} but "
                    f"expected shape compatible with {list(spec.shape)}"
                )
        return unbroadcast(g, _Like(spec))

    def forget(self) -> None:
        """Let go of what was saved, after the last sweep."""
        self.ctx._held = None  # it would be a circle
        if self.ctx._saved:
            self.ctx._saved = None

    def run_tensor_hooks(self, bars: dict) -> None:
        """Let the results' hooks replace their cotangents; the result whose first hook came first goes first."""
        for k, notes in list(self.notes.items()):
            if k in bars:
                bars[k] = run_tensor_hooks(notes.tensor, bars[k])

    # --- forward mode ---------------------------------------------------------------------------------

    def tangents(self, moving: list) -> list:
        """Tangents of the results, from those of the tensor arguments (None where one does not move)."""
        if not self.cls._has_jvp():
            return self._transposed(moving)
        given: list = [None] * self.count
        for k, spec, dot in zip(self.arguments, self.specs, moving, strict=True):
            given[k] = _zeros(spec) if dot is None and self.ctx._materialize else dot
        ctx = self.ctx
        saved = ctx._saved
        try:
            ctx._saved = ctx._saved_forward or saved
            with users_code(True, self.within):
                found = self.cls.jvp(ctx, *given)
        finally:
            ctx._saved = saved
        return list(found) if isinstance(found, tuple) else [found]

    def _transposed(self, moving: list) -> list:
        """The backward is linear in the results' cotangents: its transpose is the pushforward."""
        seeds = {k: ops.track(_zeros(spec)) for k, spec in enumerate(self.outs) if spec is not None}
        bars = self.cotangents(seeds, [d is not None for d in moving], True)
        pairs = [(b, d) for b, d in zip(bars, moving, strict=True) if b is not None and d is not None]
        pairs = [(b, d) for b, d in pairs if b._spec.requires_grad]
        if not pairs:
            return [None] * len(self.outs)
        dots = recorded_sweep([b for b, _ in pairs], [d for _, d in pairs], list(seeds.values()), True)
        found = dict(zip(seeds, dots, strict=True))
        return [found.get(k) for k in range(len(self.outs))]

    def sweep(self, seeds: dict) -> _CallSweep:
        """The part of a sweep in which this call was reached."""
        return _CallSweep(self, seeds)


class _Like:
    """Stands for a tensor of which only the type is asked."""

    def __init__(self, spec: Any):
        self._spec = spec


def _zeros(spec: Any) -> Tensor:
    return tensor_over(np.zeros(spec.shape, spec.dtype))


class _CallSweep:
    """A call's part of a sweep that is not recorded; has what `engine._TapeSweep` has."""

    def __init__(self, call: Call, seeds: dict):
        self.call, self.seeds = call, seeds
        self.visited = self.visits = False
        self.found: list = []

    def run(self, targets: dict, relevant: dict | None) -> None:
        """Ask the call for cotangents."""
        call = self.call
        bars = self.bars = {k: tensor_over(np.array(array)) for k, array in self.seeds.items()}
        if call.notes:
            with users_code(False):
                call.run_tensor_hooks(bars)
        wanted = [home is not None and (relevant is None or _leads(home, relevant)) for _, _, home in call.imports]
        if not any(wanted) and not (self.visits and any(call is home for home, _ in targets)):
            return
        self.visited = True
        self.found = call.cotangents(bars, wanted, False)

    def reached(self) -> Any:
        """(home, gradient) of each argument that has one."""
        for (_, _, home), bar in zip(self.call.imports, self.found, strict=False):
            if bar is not None:
                yield home, np.array(value_of(bar))

    def collected(self, targets: dict) -> dict:
        """Gradients of the results that were asked for."""
        return {
            id(t): np.array(value_of(self.bars[k]))
            for (call, k), tensors in targets.items()
            if call is self.call and k in self.bars
            for t in tensors
        }

    def retained(self) -> Any:
        """(tensor, gradient) of each result that retains its gradient."""
        for k, reference in self.call.retaining.items():
            tensor = reference()
            if tensor is not None and k in self.bars:
                yield tensor, np.array(value_of(self.bars[k]))

    def release(self):
        """Nothing to hand back: what a tape's sweep has of working memory."""

    def free(self) -> None:
        """Let go of what the call saved."""
        if self.visited:
            self.call.forget()
        end_tape()


def _leads(home: Any, relevant: dict) -> bool:
    if isinstance(home, tuple):
        return home in relevant["ends"] or bool(relevant[home[0]][home[1]])
    return id(home) in relevant["leaves"]
