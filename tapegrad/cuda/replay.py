"""Compiled functions on a device: the rows that were recorded on the host, run there again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..compiler.passes import live_rows
from ..tape.faults import IndexFault
from ..tape.memory import address_of, array_at
from ..tape.record import pack
from ..vm import opcodes as op
from .groups import run_rows
from .indexing import Key, limits
from .tape import DeviceTape

__all__ = ["DevicePlan"]


_KEYED = {"gather": 1, "scatter_add": 1, "index_put": 2, "last_written": 0}
"""Records with a key, and the first of their operands that is an array of indices."""


def _nobody() -> None:
    """What stands for a row that no tensor stands for."""


class DevicePlan:
    """A recorded tape that is replayed on a device; has what `compiler.plan.Plan` has.

    Parameters
    ----------
    device : Device
    tape : Tape
        Recorded on the host, not run.
    inputs, outputs : list of int
        Slots.
    answers : int
        How many of the outputs, the last ones, are answers to guards: they come to the host.
    """

    def __init__(self, device: Any, tape: Any, inputs: list[int], outputs: list[int], answers: int):
        self.device, self.answers = device, answers
        self.lock = threading.Lock()
        self.memory = np.empty(0, np.uint8)  # of the host
        self.steps: dict = {}  # of machine code for the host
        self.tape = DeviceTape(device)
        self.tape.followed = False
        place = self._copy(tape, live_rows(tape, inputs, outputs), set(inputs))
        self.count = len(place)
        self.inputs = [place[k] for k in inputs]
        self.outputs = [place[k] for k in outputs]
        self.checks = list(self._checks())
        kept = {*self.outputs, *[slot for slot, _, _ in self.checks]}
        self.tape.handles = {slot: _nobody for slot in self.signatures if slot not in kept}

    def _copy(self, tape: Any, rows: list[int], inputs: set[int]) -> dict:
        """The rows that stay, on the device's tape; what is constant is brought to the device."""
        place: dict[int, int] = {}
        self.signatures: dict[int, Any] = {}
        self.origins: dict[int, int] = {}
        self.sources: dict[int, list[int]] = {}
        for slot in rows:
            row = tape.signature(slot)
            place[slot] = new = len(self.tape.rows)
            self.signatures[new] = row
            self.origins[new] = slot
            if row.kind == op.IMPORT:
                owner = None if slot in inputs else tape.imported(slot)[1]
                value = None if owner is None else self._given(array_at(address_of(owner), row.out, owner))
                self.tape.bring(row.out, value, 0)
                continue
            offset = tape.rows[slot + 1] if row.kind in op.WITH_OFFSET else None
            self.sources[new] = [place[k] for k in tape.operands(slot)]
            self.tape.rows += pack(row, self.sources[new], offset)
        return place

    def _checks(self) -> Iterator[tuple[int, int, int]]:
        """Slots of indices, and between what they must be."""
        for slot, row in self.signatures.items():
            name, sources = row.primitive.name, self.sources.get(slot, [])
            if name in _KEYED:
                indices = range(_KEYED[name], len(sources))
                shape = row.attrs["shape"] if "shape" in row.attrs else row.specs[0].shape
                key = Key(shape, row.attrs["key"], [row.specs[k].shape for k in indices])
                yield from [(sources[k], -n, n) for k, (n, _, _) in zip(indices, key.arrays, strict=True)]
            elif name in ("nll_loss", "nll_loss_spread"):
                shape = row.specs[0].shape if name == "nll_loss" else row.out.shape
                yield sources[1], 0, shape[1 if len(shape) > 1 else 0]

    def _check(self) -> None:
        """Indices are looked at where they are; what a kernel meets beyond an axis it passes over.

        Raises
        ------
        IndexFault
            If one is out of range.
        """
        for slot, first, end in self.checks:
            x = self.tape.values[slot]
            low, high = (x.min(initial=0), x.max(initial=-1)) if isinstance(x, np.ndarray) else limits(x)
            if low < first or high >= end:
                raise IndexFault

    def _given(self, array: Any) -> Any:
        """An array as rows read it: on the device, but for numbers, which are passed by value."""
        return self.device.upload(array) if isinstance(array, np.ndarray) and array.ndim else array

    def replay(self, arrays: list) -> list:
        """Run on new arguments, arrays of the device or the host; outputs are tensors, answers arrays."""
        tape, device = self.tape, self.device
        device.tape_of(None).flush()  # what is pending may write to an argument
        with self.lock:
            for slot, array in zip(self.inputs, arrays, strict=True):
                index = tape.rows[slot] & ((1 << op.SIGNATURE_SHIFT) - 1)
                tape.imports[index] = (slot, self._given(array), *tape.imports[index][2:])
            try:
                run_rows(tape, 0, len(tape.rows))
                self._check()
                found = [tape.values[k] for k in self.outputs]
                own = {id(tape.imported(k)[1]) for k, row in self.signatures.items() if row.kind == op.IMPORT}
            finally:
                tape.values.clear()
        count = len(found) - self.answers
        made = [self._made(x, id(x) in own or any(_meet(x, y) for y in found[:k])) for k, x in enumerate(found[:count])]
        return made + [x if isinstance(x, np.ndarray) else x.to_host() for x in found[count:]]

    def _made(self, found: Any, shared: bool) -> Any:
        """An output in memory of its own, as a tensor."""
        if isinstance(found, np.ndarray):
            array = self.device.upload(found)
        else:
            array = found.copy() if shared or not found.spec.contiguous else found
        return self.device.tensor_over(array)


def _meet(x: Any, y: Any) -> bool:
    return getattr(x, "block", None) is not None and x.block is getattr(y, "block", None)
