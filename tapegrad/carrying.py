"""Carrying a recording over a batch: each row of one example becomes rows that do the same for all examples at once.

A function is recorded on a tape of its own, with operands that stand for one example. `Carrier` then goes through the
rows and records, on the tape that was there before, what they are over a leading batch axis: a record's batching rule
where an operand differs between examples, else the row as it is. Since what is recorded are ordinary operations, it
can be differentiated, compiled, and carried over another batch; a transformation inside of the function left nothing
but rows. Writes in place are done in place, on tensors that stand to one another as those of the recording.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .autograd.call import Call
from .autograd.function import Function
from .errors import BatchedValueError
from .inplace import write
from .primitives.batching import BatchedRow, repeat, rule_of
from .primitives.core import lift, ops
from .primitives.patching import copy_slices
from .primitives.shape import expand_to
from .tape.current import constant, new_tensor
from .tape.handle import Tensor
from .tape.spec import spec_of
from .tape.state import local
from .tape.tape import Tape, next_rank
from .values import value_of
from .vm import opcodes as op

__all__ = ["Carrier"]


class Carrier:
    """A recording of one example, and what its values are over the batch.

    Parameters
    ----------
    size : int
        Examples.
    tape : Tape, optional
        What was recorded before; a new one is made else.

    Attributes
    ----------
    values : dict
        By slot: the tensor that stands for it, and whether that has a batch axis.
    """

    def __init__(self, size: int, tape: Tape | None = None):
        self.size = size
        self.tape = Tape(tracing=True) if tape is None else tape
        self.tape.symbolic = True
        self.tape.level = 1 + next_rank()
        self.values: dict[int, tuple[Tensor, bool]] = {}
        self.position = 0
        self._outside: Any = None
        self._careful = False
        self.calls: dict[int, dict[int, tuple[Tensor, bool]]] = {}

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Within, operations are recorded as those of one example."""
        state = local.state
        outside, enabled = self._outside, state.grad_enabled
        self._outside = _where(state)
        _go(state, (self.tape, enabled, True, self._careful))
        before, self.tape.questions = self.tape.questions, _Questions(self)
        try:
            yield
        finally:
            self._careful, self.tape.questions = state.careful, before
            _go(state, self._outside)
            self._outside = outside

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Within, operations are recorded where they were before the recording began."""
        state = local.state
        within = _where(state)
        _go(state, self._outside)
        try:
            yield
        finally:
            self._outside = _where(state)
            _go(state, within)

    def stand(self, tensor: Tensor, batched: bool = True) -> Tensor:
        """What stands in the recording for one example of a stack, or for a tensor that is the same for all."""
        if batched and not tensor._spec.contiguous:  # an example must lie in memory as the recording takes it to
            with self.outside():
                tensor = ops.copy(tensor)
        spec = tensor._spec
        one = spec_of(spec.shape[1:], spec.dtype, None, spec.requires_grad) if batched else spec
        made = new_tensor(self.tape, self.tape.bring(one, None, 0), one)
        made._foreign = True  # a function under transformation may not write to its arguments
        self.values[made._slot] = tensor, batched
        return made

    def __call__(self, tensor: Tensor) -> tuple[Tensor, bool]:
        """A tensor of the recording over the batch, and whether it has a batch axis at all."""
        return self.over([tensor])[0]

    def over(self, tensors: Sequence[Tensor]) -> list[tuple[Tensor, bool]]:
        """The same for several."""
        slots = [t._slot if t._tape is self.tape else None for t in tensors]
        self._run([s for s in slots if s is not None])
        return [(t, False) if s is None else self.values[s] for t, s in zip(tensors, slots, strict=True)]

    def _run(self, wanted: list[int]) -> None:
        """Carry over the rows that some slots need; where there are writes in place, all of them."""
        tape = self.tape
        if tape.stamps.last or tape.notes or tape.sources:
            first, self.position = self.position, len(tape.rows)
            order: Sequence[int] = [s for s in _slots(tape, first, self.position) if s not in self.values]
        else:
            order = self._needed(wanted)
        state = local.state
        enabled = recorded = state.grad_enabled
        try:
            for slot in order:
                if recorded != (enabled and not self._was_cut(slot)):
                    recorded = state.grad_enabled = not recorded
                    state.refresh()
                self.values[slot] = self._carry(slot)
        finally:
            if recorded != enabled:
                state.grad_enabled = enabled
                state.refresh()

    def _needed(self, wanted: list[int]) -> list[int]:
        """Slots without a value yet that others depend on, in order."""
        met, stack = set(), list(wanted)
        while stack:
            slot = stack.pop()
            if slot not in met and slot not in self.values:
                met.add(slot)
                stack += self.tape.operands(slot)
        return sorted(met)

    def _was_cut(self, slot: int) -> bool:
        """Whether a row was recorded without its gradient, under `no_grad`."""
        row = self.tape.signature(slot)
        if row.out.requires_grad or row.kind == op.IMPORT:
            return False
        return row.primitive.carries_grad(row.specs, row.out)

    # --- a row ------------------------------------------------------------------------------------------------

    def _carry(self, slot: int) -> tuple[Tensor, bool]:
        tape = self.tape
        row = tape.signature(slot)
        if row.kind == op.IMPORT:
            return self._brought(slot), False
        if slot in tape.sources:
            return self._through_call(*tape.sources[slot])
        notes = tape.notes.get(slot)
        if notes is not None:
            if notes.tensor or notes.before or notes.after or notes.packed:
                raise NotImplementedError(
                    "vmap: hooks of tensors and of nodes, and hooks of saved tensors, made inside the function have no "
                    "meaning for a batch: register them on what vmap returns"
                )
        operands = tape.operands(slot)
        found = [self.values[s] for s in operands]
        primitive = row.primitive
        if primitive is ops.track:
            return found[0]
        if row.kind == op.PATCHED or primitive is copy_slices:
            return found[0]  # the write into its window, which came before, has changed it
        offset = tape.rows[slot + 1] if row.kind in op.WITH_OFFSET else 0
        if row.kind == op.WRITE:
            return self._write(operands[0], row, found[1:])
        return self._do(primitive, row.specs, row.out, row.attrs, offset, found)

    def _do(
        self, primitive: Any, specs: Any, out: Any, attrs: dict, offset: int, found: list[tuple[Tensor, bool]]
    ) -> tuple[Tensor, bool]:
        xs = [x for x, _ in found]
        mapped = tuple([m for _, m in found])
        if primitive is ops.detach:
            return ops.detach(xs[0]), mapped[0]
        if True not in mapped:
            return repeat(primitive, xs, attrs, offset), False
        row = BatchedRow(primitive, specs, out, attrs, offset, xs, mapped, self.size)
        return rule_of(primitive, attrs)(row), True

    def _write(self, place: int, row: Any, found: list[tuple[Tensor, bool]]) -> tuple[Tensor, bool]:
        """Write in place what the row's operation gives."""
        inner, specs = row.primitive.inner, row.specs[1:]
        target, batched = self.values[place]
        mapped = any(m for _, m in found)
        if not (mapped or batched):
            return write(target, inner, tuple(x for x, _ in found), tuple(sorted(row.attrs.items()))), False
        value, has_batch = self._do(inner, specs, inner.infer(specs, row.attrs)[0], row.attrs, 0, found)
        if has_batch and not batched:
            self._spread(place)
            target, _ = self.values[place]
        return write(target, ops.copy, (value,)), True

    def _spread(self, place: int) -> None:
        """Give memory that was the same for all examples a batch axis, as something is to be written into it."""
        tape = self.tape
        root = tape.root_of(place)
        group = [s for s in sorted(self.values) if tape.root_of(s) == root]
        base = self.values[root][0]
        whole = ops.copy(expand_to(base, (self.size, *base._spec.shape)))
        for slot in group:
            row = tape.signature(slot)
            if slot == root or row.kind == op.PATCHED or row.primitive is copy_slices:
                self.values[slot] = whole, True
            elif row.kind == op.WRITE:
                self.values[slot] = self.values[tape.operands(slot)[0]]
            else:
                self.values[slot] = self._carry(slot)

    def _brought(self, slot: int) -> Tensor:
        """A value from outside of the recording: a tensor that it captured, or a constant."""
        for tensor, known in self.tape.captured.values():
            if known == slot:
                return tensor
        array = self.tape.imported(slot)[1]
        if array is None:
            raise RuntimeError("a value that stands for one example was used after vmap had ended")
        if array.ndim == 0 and array.dtype.char in "?lfdD":
            return constant(array.item(), array.dtype)
        return lift(array)

    # --- functions with a rule of the user's own ------------------------------------------------------------------

    def _through_call(self, call: Call, k: int) -> tuple[Tensor, bool]:
        """A result of a call of a `Function`: one call over the batch, whose backward is that call's, carried over."""
        made = self.calls.get(id(call))
        if made is None:
            made = self.calls[id(call)] = self._call_again(call)
        return made[k]

    def _call_again(self, call: Call) -> dict[int, tuple[Tensor, bool]]:
        tape = self.tape
        results = {}
        for slot, (other, k) in tape.sources.items():
            if other is call:
                results[k] = self.values[tape.operands(slot)[0]]
        operands = []
        for place, (tensor, (_, _, home)) in enumerate(zip(call.inputs, call.imports, strict=True)):
            if home is not None:
                here = isinstance(home, tuple) and home[0] is tape
                operands.append((place, *(self.values[home[1]] if here else (tensor, False))))
        carried = _CarriedCall(self, call, results, operands)
        made = _Carried.apply(carried, *[x for _, x, _ in operands])
        return {k: (y, batched) for y, (k, (_, batched)) in zip(made, results.items(), strict=True)}


class _CarriedCall:
    """A call of a `Function` in a recording, carried over a batch.

    Attributes
    ----------
    results : dict
        By number: what the forward gives over the batch, and whether that has a batch axis.
    operands : list of tuple
        Place among the call's tensor arguments, tensor, whether that has a batch axis; of those that carry gradients.
    """

    def __init__(self, carrier: Carrier, call: Call, results: dict, operands: list):
        self.carrier, self.call, self.results, self.operands = carrier, call, results, operands

    def cotangents(self, bars: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Of the operands, from those of the results."""
        given, call = {}, self.call
        wanted = [False] * len(call.imports)
        for place, *_ in self.operands:
            wanted[place] = True
        with self.carrier.recording():
            for (k, (_, batched)), bar in zip(self.results.items(), bars, strict=True):
                if bar is not None:
                    given[k] = self.carrier.stand(bar, batched)
            found = call.cotangents(given, wanted, local.state.grad_enabled)
        return [self._fitted(found[place], batched) for place, _, batched in self.operands]

    def _fitted(self, bar: Tensor | None, batched: bool) -> Tensor | None:
        """A cotangent for an operand: one for each example, or, where the operand is the same for all, their sum."""
        if bar is None:
            return None
        x, has_batch = self.carrier(bar)
        if has_batch and not batched:
            return ops.sum(x, axis=(0,), keepdims=False)
        return expand_to(x, (self.carrier.size, *x._spec.shape)) if batched and not has_batch else x

    def tangents(self, dots: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Of the results, from those of the operands."""
        moving: list = [None] * len(self.call.imports)
        carrier = self.carrier
        with carrier.recording():
            for (place, _, batched), dot in zip(self.operands, dots, strict=True):
                if dot is not None:
                    moving[place] = carrier.stand(dot, batched)
            found = self.call.tangents(moving)
        return [self._fitted(found[k], batched) for k, (_, batched) in self.results.items()]


class _Carried(Function):
    """What sweeps see of a `_CarriedCall`."""

    @staticmethod
    def forward(ctx: Any, carried: _CarriedCall, *xs: Tensor) -> tuple[Tensor, ...]:
        ctx.carried = carried
        ctx.set_materialize_grads(False)
        return tuple(ops.detach(y) for y, _ in carried.results.values())

    @staticmethod
    def backward(ctx: Any, *bars: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None, *ctx.carried.cotangents(bars))

    @staticmethod
    def jvp(ctx: Any, *dots: Tensor | None) -> tuple[Tensor | None, ...]:
        return tuple(ctx.carried.tangents(dots[1:]))


class _Questions:
    """Answers what a function asks of values while it is recorded for a batch."""

    lines = None

    def __init__(self, carrier: Carrier):
        self.carrier = carrier

    def note(self, slot: int) -> None:
        """Rows are not noted."""

    def follow(self, slot: int | None) -> None:
        """Nor where they come from."""

    def truth(self, tensor: Tensor) -> bool:
        """``bool(tensor)``."""
        return self._answer(tensor, "its truth was asked (`if`, `while`, `and`, bool())", bool)

    def number(self, tensor: Tensor, kind: type) -> Any:
        """``int(tensor)``, ``float(tensor)`` or ``complex(tensor)``."""
        return self._answer(tensor, f"{kind.__name__}() or item() was asked", kind)

    def value(self, tensor: Tensor) -> np.ndarray:
        """The elements."""
        return self._answer(tensor, "its elements were asked", value_of)

    def _answer(self, tensor: Tensor, asked: str, answer: Callable[[Tensor], Any]) -> Any:
        with self.carrier.outside():
            x, batched = self.carrier(tensor)
            if not batched:
                return answer(x)
        spec = tensor._spec
        raise BatchedValueError(
            f"vmap: {asked} of a value that is another one for each example, {spec.dtype.name}{list(spec.shape)}: "
            f"use `numpy.where` (or `numpy.select`) in place of data-dependent control flow and of masks as indices, "
            f"for a function that tapegrad cannot see its namesake in tapegrad.numpy or tapegrad.scipy, or a loop over "
            f"the examples"
        )


def _where(state: Any) -> tuple:
    """Where and how a thread records."""
    return state.tape, state.grad_enabled, state.deferred, state.careful


def _go(state: Any, where: tuple) -> None:
    state.tape, state.grad_enabled, state.deferred, state.careful = where
    state.refresh()


def _slots(tape: Tape, first: int, last: int) -> Iterator[int]:
    """Rows of a stretch of a tape."""
    slot = first
    while slot < last:
        yield slot
        slot += tape.signature(slot).width
