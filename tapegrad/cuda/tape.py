"""A tape whose rows run on a device: what is pending runs in groups, each one launch."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ..tape.signature import CAREFUL, by_index
from ..tape.tape import Elsewhere, Tape, TapeError
from ..vm import opcodes as op
from .groups import run_rows
from .memory import DeviceArray

__all__ = ["DeviceTape", "import_elsewhere"]

SEGMENT_ROWS = 1 << 12
"""A tape longer than this is followed by a new one; what nobody can reach then goes with it."""


class DeviceTape(Tape):
    """Rows of one thread on one device.

    Attributes
    ----------
    values : dict
        What rows computed, by slot: arrays on the device, or on the host what was fetched.
    failure : str
        What went wrong when rows were run. (The error itself would keep alive what its frames hold.)
    numbers_here : dict
        Slots of numbers, by their bytes and dtype.
    followed : bool
        Whether reverse sweeps may follow, whose rules read what rows computed.
    handles : dict
        Weak references to the tensors that stand for rows: what has none, and no rule reads, need not be kept.
    """

    __slots__ = ("device", "failure", "followed", "handles", "numbers_here", "values")

    def __init__(self, device: Any, tracing: bool = False):
        super().__init__(tracing)
        self.device = device
        self.failure = ""
        self.followed = True
        self.values: dict[int, Any] = {}
        self.numbers_here: dict[tuple[bytes, str], int] = {}
        self.handles: dict[int, Any] = {}
        self.limit = SEGMENT_ROWS

    @property
    def fast(self):
        """No fast tables: every operation is looked at."""
        return CAREFUL

    @fast.setter
    def fast(self, tables):
        pass

    def successor(self):
        """The tape that follows this one."""
        return DeviceTape(self.device, self.tracing)

    def seal(self):
        """Import nothing more onto this tape; what is pending runs, since others will read it."""
        super().seal()
        self.flush()

    def stands(self, slot: int, tensor: Any) -> None:
        """Note the tensor that stands for a row."""
        self.handles[slot] = weakref.ref(tensor)

    def constant_of(self, array: np.ndarray, spec: Any) -> int:
        """Slot of a number."""
        key = (array.tobytes(), array.dtype.char)
        slot = self.numbers_here.get(key)
        if slot is None:
            slot = self.numbers_here[key] = self.bring(spec, array, 0)
        return slot

    def number(self, slot: int, spec: Any) -> np.ndarray | None:
        """The value of a number that became a constant; None of anything else."""
        return _number(self, slot, spec)

    # --- running --------------------------------------------------------------------------------------

    def flush(self):
        """Run all rows that have not been run."""
        if self.done == len(self.rows):
            return
        with self.lock:
            first, last = self.done, len(self.rows)
            if first < last:
                self.done = last  # what fails is not tried again: it would fail for every later value as well
                try:
                    run_rows(self, first, last)
                except BaseException as error:
                    self.failure = str(error) or type(error).__name__
                    raise

    # --- reading --------------------------------------------------------------------------------------

    def view(self, slot: int, spec: Any) -> Any:
        """The array of a slot's value."""
        found = self.values.get(slot)
        if found is None:
            if self.failure:
                raise RuntimeError(
                    f"a value on {self.device} was not computed, since an operation before it failed: {self.failure}"
                )
            raise TapeError(f"the value of row {slot} was not kept; please report this")
        return found

    def owner(self, slot: int) -> Any:
        """The array of a slot's value."""
        return self.values.get(slot)

    def relevant(self, leads: Any, targets: dict) -> np.ndarray:
        """Which slots lead to an input of a sweep; ``leads(home)`` tells it of what was imported."""
        from .sweep import relevant_slots

        return relevant_slots(self, leads, targets)

    def sweep(self, seeds: dict) -> Any:
        """The part of a sweep in which this tape was reached."""
        from .sweep import DeviceSweep

        return DeviceSweep(self, seeds)


def import_elsewhere(tensor: Any, state: Any, tape: Any) -> int:
    """Bring a tensor onto a tape, where one of both belongs to a device.

    Raises
    ------
    Elsewhere
        If the tape is the host's: the operation is to be recorded on the device's.
    """
    spec = tensor._spec
    if tape.device is None:
        raise Elsewhere(spec.device)
    home_tape, home_slot = tensor._tape, tensor._slot
    number = _number(home_tape, home_slot, spec)
    if number is not None:
        return tape.constant_of(number, spec)
    if home_tape is not None:
        home_tape.flush()
    data = tensor._memory if tensor._memory is not None else home_tape.view(home_slot, spec)
    home = None
    if spec.requires_grad:
        if tensor._leaf:
            home = tensor
        else:
            if home_tape is not None:
                home_tape.seal()
            home = tensor._home or (home_tape, home_slot)
    from ..tape.buffer import buffer_of

    buffer_of(tensor)
    slot = tape.bring(spec, data, 0, home, tensor._buffer)
    tensor._buffer.stands(tape, slot)
    if spec.device is None:
        return slot  # a host tensor stays where it is
    tape.stands(slot, tensor)
    if not tensor._leaf and spec.requires_grad:
        tensor._home = home
    if isinstance(data, DeviceArray):
        tensor._memory = data
    tensor._tape = None
    tensor._slot = slot
    tensor._tape = tape
    return slot


def _number(tape: Any, slot: int, spec: Any) -> np.ndarray | None:
    """The value of a number that was made a constant on a host's tape."""
    if tape is None or spec.shape or spec.requires_grad or spec.device is not None:
        return None
    row = by_index[tape.rows[slot] >> op.SIGNATURE_SHIFT]
    if row.kind != op.IMPORT:
        return None
    array = tape.imported(slot)[1]
    return array if isinstance(array, np.ndarray) and not array.flags.writeable else None
