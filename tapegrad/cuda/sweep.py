"""The reverse sweep over a device's tape: rules are recorded on the device, and run in groups.

The engine meets it where it would sweep a tape of the host; what it gives and takes are arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd.hooks import run_node_hooks, run_tensor_hooks, tensor_over, watchers
from ..autograd.recorded import row_cotangents
from ..primitives.core import RECORDS
from ..tape.state import grad_mode
from ..values import value_of
from ..vm import opcodes as op
from .memory import DeviceArray

__all__ = ["DeviceSweep"]


class DeviceSweep:
    """One tape's part of a sweep; has what `engine._TapeSweep` has.

    Parameters
    ----------
    tape : DeviceTape
    seeds : dict
        Cotangents (arrays of the host or the device) by slot.
    """

    def __init__(self, tape: Any, seeds: dict):
        tape.flush()
        self.tape, self.seeds = tape, seeds
        self.found: dict[int, Any] = {}
        self.kept: dict[int, list] = {}
        self.visited: set[int] = set()

    def run(self, targets: dict, relevant: dict | None) -> None:
        """Carry cotangents from the latest row to the imports."""
        tape = self.tape
        wanted = None if relevant is None else relevant[tape]
        homes = {slot: home for slot, _, home, *_ in tape.imports if home is not None}
        bars: dict[int, Any] = {}
        with grad_mode(False):
            for slot, seed in self.seeds.items():
                bars[slot] = self._tensor(seed, tape.signature(slot).out)
            rows = [s for s in _slots(tape, max(bars)) if tape.signature(s).out.requires_grad]
            for slot in reversed(rows):
                bar = bars.pop(slot, None)
                if bar is None:
                    continue
                bar = self._hooked(slot, bar)
                takers = len(targets.get((tape, slot), ())) + (slot in tape.retaining)
                if takers:
                    self.kept[slot] = [_own(bar) for _ in range(takers)]
                if tape.signature(slot).kind == op.IMPORT:
                    if slot in homes:
                        self.found[slot] = homes[slot], _own(bar)
                    continue
                self._row(slot, bar, bars, wanted)

    def _tensor(self, seed: Any, spec: Any) -> Any:
        if isinstance(seed, DeviceArray):
            return self.tape.device.tensor_over(seed)
        if spec.device is None:
            return tensor_over(np.array(seed))
        return self.tape.device.tensor_over(self.tape.device.upload(np.asarray(seed, spec.dtype)))

    def _hooked(self, slot: int, bar: Any) -> Any:
        notes = self.tape.notes.get(slot) if self.tape.notes else None
        return bar if notes is None else run_tensor_hooks(notes.tensor, bar)

    def _row(self, slot: int, bar: Any, bars: dict, wanted: Any) -> None:
        """Add what a row contributes to its operands' cotangents."""
        tape = self.tape
        row, operands = tape.signature(slot), tape.operands(slot)
        leads = tuple(
            [s.requires_grad and (wanted is None or wanted[k]) for s, k in zip(row.specs, operands, strict=True)]
        )
        if not any(leads):
            return
        self.visited.add(slot)
        notes = tape.notes.get(slot) if tape.notes else None
        if notes is not None and notes.before:
            (bar,) = run_node_hooks(notes.before, (bar,))
        for watcher in watchers:
            watcher.before(tape, slot)
        found = row_cotangents(tape, slot, bar, leads)
        if notes is not None and notes.after:
            found = run_node_hooks(notes.after, tuple(found), (bar,))
        for watcher in watchers:
            watcher.after(tape, slot, found)
        for k, part in zip(operands, found, strict=True):
            if part is not None:
                bars[k] = bars[k] + part if k in bars else part

    def _array(self, bar: Any) -> Any:
        """The elements of a cotangent that nobody else has."""
        return np.array(value_of(bar)) if bar._spec.device is None else self.tape.device.array_of(bar)

    def reached(self) -> Iterator[tuple]:
        """(home, gradient) of each import that a cotangent reached."""
        for home, bar in self.found.values():
            yield home, self._array(bar)

    def collected(self, targets: dict) -> dict:
        """Gradients of the tensors on this tape that were asked for."""
        return {
            id(tensor): self._array(self.kept[slot].pop())
            for (tape, slot), tensors in targets.items()
            if tape is self.tape and slot in self.kept
            for tensor in tensors
        }

    def retained(self) -> Iterator[tuple]:
        """(tensor, gradient) of each tensor on this tape that retains its gradient and was reached."""
        for slot, reference in self.tape.retaining.items():
            tensor = reference()
            if tensor is not None and slot in self.kept:
                yield tensor, self._array(self.kept[slot].pop())

    def free(self) -> None:
        """Give up what the visited rows saved."""
        tape = self.tape
        with tape.lock:
            freed = bytearray(len(tape.rows) if tape.freed is None else max(len(tape.freed), len(tape.rows)))
            if tape.freed is not None:
                freed[: len(tape.freed)] = tape.freed
            for slot in self.visited:
                freed[slot] = 1
            tape.freed = bytes(freed)
            for *_, home, _, _ in tape.imports:  # a leaf would keep the tape alive, and the tape the leaf
                if home is not None and not isinstance(home, tuple) and home._tape is tape:
                    home._tape = None
        tape.device.leave(tape)

    def release(self) -> None:
        """Nothing to hand back."""


def _own(bar: Any) -> Any:
    """A cotangent in memory of its own: its copy is a row like the others, and runs with them."""
    return bar if bar._spec.device is None else RECORDS["copy"](bar)


def _slots(tape: Any, last: int) -> Iterator[int]:
    slot = 0
    while slot <= last:
        yield slot
        slot += tape.signature(slot).width


def relevant_slots(tape: Any, leads: Any, targets: dict) -> np.ndarray:
    """Which slots of a device's tape lead to an input of the sweep."""
    wanted = np.zeros(len(tape.rows), np.bool_)
    for slot, _, home, *_ in tape.imports:
        wanted[slot] = home is not None and leads(home)
    asked = {slot for other, slot in targets if other is tape}
    for slot in _slots(tape, len(tape.rows) - 1):
        wanted[slot] = wanted[slot] or slot in asked or any(wanted[k] for k in tape.operands(slot))
    return wanted
