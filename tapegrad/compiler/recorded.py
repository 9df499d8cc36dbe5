"""One recorded path of a compiled function: its tape, its guards, and the plan that is replayed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from ..primitives.core import ops
from ..tape.current import new_tensor
from ..tape.handle import Tensor
from ..tape.lower import tracing
from ..tape.spec import spec_of
from ..tape.state import local
from ..tape.tape import Tape
from ..values import value_of
from ..vm import opcodes as op
from ..vm.native import without_collection
from .entries import Entry, Watch
from .guards import Guard, Questions
from .native.background import making, request
from .plan import Plan, plan_program
from .replays import Replays
from .simplify import simplify
from .trials import Trial

__all__ = ["Program"]

NATIVE_AFTER = 3
"""Replays of a program after which machine code of its own is made for it."""

_linking = threading.RLock()


class Program:
    """One recorded tape, linked to memory of its own.

    Attributes
    ----------
    plan : Plan
        May be swapped for another one of the same rows at any time: read it once for each use.
    guards : list of Guard
        What was asked of values, in order.
    outcomes : list of bytes
        The answers that this path is right for.
    lines : dict or None
        Where in the user's code rows come from, if that was noted.
    pullbacks : dict or None
        Of the rows of a reverse, the rows whose pullbacks they are part of, if that was noted.
    chunks, expected : list
        Which answers stand together in an output, and that output's bytes.
    plan : Plan
        What is replayed: the rows one by one, later with machine code for most of them.
    is_wanted_native : bool
        Whether machine code is made once the program has been replayed several times.
    native_failure : Exception or None
        Why there is none, if its making failed.
    trial : Trial or None
        Times of replays, until it is known that machine code is faster than the interpreter.
    """

    __slots__ = ("__dict__", "__weakref__", "plan")  # where machine code finds it

    is_wanted_native = False
    native_failure: Exception | None = None
    trial: Trial | None = None
    replayed = 0

    def __new__(cls, *_: Any, **__: Any) -> Program:
        """A program without rows, as one that is read from a file begins."""
        made = super().__new__(cls)
        made._linked, made._known, made._hits, made._seen = None, {}, 0, 0
        return made

    _linked: Replays | None
    _known: dict[tuple, Entry]
    _hits: int  # of entries that are known no more
    _seen: int

    def __init__(self, fun: Callable, flat: list, treedef: optree.PyTreeSpec, lines: bool = False, device: Any = None):
        if device is not None:  # what is recorded is the same for arrays of the host
            flat = [value_of(x) if isinstance(x, Tensor) else x for x in flat]
        with tracing() as tape:
            local.state.grad_enabled = True
            inputs = []
            traced = []
            arrays = []
            for x in flat:
                if isinstance(x, (np.ndarray, np.generic, float)):
                    array = np.asarray(x)
                    spec = spec_of(array.shape, array.dtype)
                    t = new_tensor(tape, tape.bring(spec, None, 0), spec)
                    t._foreign = True
                    inputs.append(t._slot)
                    arrays.append(array)
                    traced.append(t)
                else:
                    traced.append(x)
            questions = tape.questions = Questions(tape, inputs, arrays, lines)
            local.state.refresh()
            args, kwargs = optree.tree_unflatten(treedef, traced)
            result = fun(*args, **kwargs)
            flat_result, self.treedef = optree.tree_flatten(result)
            outputs = self._collect(flat_result, tape)
            self.guards: list[Guard] = questions.guards
            self.outcomes: list[bytes] = questions.outcomes
            self.chunks = questions.outputs()
            self.expected = [b"".join([self.outcomes[k] for k in chunk]) for chunk in self.chunks]
            answers = questions.slots(self.chunks)
            questions.release()
            tape.questions = None
            self.lines, self.pullbacks = questions.lines, questions.pullbacks
        with without_collection():
            self.recorded = tape, inputs, simplify(tape, inputs, outputs + answers)
            if device is None:
                self.plan = plan_program(*self.recorded)
            else:
                from ..cuda.replay import DevicePlan

                self.plan = DevicePlan(device, *self.recorded, answers=len(answers))

    def _collect(self, flat_result: list, tape: Tape) -> list[int]:
        """Slots of the outputs; notes, per leaf of the result, its output number or its constant value."""
        self.results: list = []
        outputs: list = []
        for x in flat_result:
            if isinstance(x, Tensor):
                if x._tape is not tape:
                    self.results.append((None, value_of(x).copy()))
                    continue
                if tape.signature(tape.root_of(x._slot)).kind == op.IMPORT:
                    x = ops.copy(x)  # an argument itself: the caller gets an array of its own
                self.results.append((len(outputs), x._spec))
                outputs.append(x._slot)
            else:
                self.results.append((None, x))
        self.count = len(outputs)
        return outputs

    def run(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Replay on new arrays; returns outputs, and the answers to the guards behind them.

        Raises
        ------
        IndexFault
            If an index was out of range, here or in another thread at the same time.
        """
        self.replayed += 1
        if self.is_wanted_native:
            if self.replayed == 1:
                self.trial = Trial()
            elif self.replayed == NATIVE_AFTER:
                request(self)
        trial, linked = self.trial, self.linked
        if trial is None:
            return linked.replay(arrays)
        start = time.thread_time()
        found = linked.replay(arrays)
        trial.note(bool(linked.plan.steps), time.thread_time() - start)
        if linked.plan.steps and trial.is_over:
            self._end_trial(trial, linked.plan)
        return found

    def _end_trial(self, trial: Trial, plan: Plan) -> None:
        """Keep machine code, or go back to the interpreter."""
        with making():
            if self.trial is trial and self.plan is plan:
                self.trial = None
                if trial.is_lost:
                    self.plan = plan_program(*self.recorded)

    @property
    def is_on_trial(self) -> bool:
        """Whether machine code is being timed, so that calls must come this way."""
        return self.trial is not None and bool(self.plan.steps)

    @property
    def linked(self) -> Replays:
        """The plan, as it is now, made callable."""
        plan, linked = self.plan, self._linked
        if not isinstance(plan, Plan):  # a device's, which replays itself
            return plan
        if linked is not None and linked.plan is plan:
            return linked
        with _linking:  # two tables for one plan would lend its memory to two threads at once
            plan, linked = self.plan, self._linked
            if linked is None or linked.plan is not plan:
                linked = self._linked = Replays(plan, self.count, self.expected)
                self._forget_entries()
            return linked

    def _forget_entries(self) -> None:
        """Let go of the memory of plans before this one."""
        for key, entry in list(self._known.items()):
            if entry.plan is not self.plan and self._known.pop(key, None) is not None:
                self._hits += entry.hits

    def entry(self, watch: Watch, args: tuple, kwargs: dict, treedef: optree.PyTreeSpec, given: bool) -> Entry:
        """How machine code recognises calls like this one: made once for each form of call and plan.

        Raises
        ------
        UnusualError
            If it cannot.
        """
        call: Any = args, kwargs
        types = [x.dtype if type(x) is np.ndarray else type(x) for x in optree.tree_leaves(call)]
        key = treedef, *kwargs, given, *types
        entry = self._known.get(key)
        if entry is None or entry.plan is not self.plan or entry.watch is not watch:
            self._hits += 0 if entry is None else entry.hits
            entry = self._known[key] = Entry(self, watch, args, kwargs, treedef, given)
        return entry

    def new_hits(self) -> int:
        """Calls that machine code has answered since this was asked last."""
        total = self._hits + sum([entry.hits for entry in list(self._known.values())])
        self._seen, new = total, total - self._seen
        return new

    def make_native(self, on_trial: bool = False) -> None:
        """Replace the plan by one with machine code, if there is a better one; for good, if it is not `on_trial`."""
        from .native import native_plan

        with making():
            self.is_wanted_native = False
            if not on_trial:
                self.trial = None
            if self.plan.steps:
                return
            plan = native_plan(*self.recorded, answers=self.recorded[2][self.count :])
            if plan is not None:
                self.plan = plan

    def rows_plan(self) -> Plan:
        """A plan that runs row by row: for those who look inside."""
        return plan_program(*self.recorded) if self.plan.steps else self.plan

    def result(self, found: list) -> Any:
        """What the function returns, from a replay's outputs."""
        flat = []
        for k, x in self.results:
            if k is not None:
                is_array = found[k].ndim or isinstance(found[k], Tensor)
                flat.append(found[k] if is_array else found[k][()])  # a number for an array of no dimensions
            else:
                flat.append(x.copy() if isinstance(x, np.ndarray) else x)
        return optree.tree_unflatten(self.treedef, flat)

    def summary(self) -> str:
        """Its size, in words."""
        rows, asked = self.plan.count, len(self.guards)
        return f"a path of {rows} rows" + (f" and {asked} guard{'s' * (asked > 1)}" if asked else "")

    def __repr__(self) -> str:
        shown = [f"{g} = {g.shown(v)}" for g, v in zip(self.guards[:20], self.outcomes, strict=False)]
        more = ["..."] if len(self.guards) > 20 else []
        return "\n    ".join([f"<{self.summary()}>", *shown, *more])
