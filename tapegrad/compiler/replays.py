"""A plan made callable: the table that machine code replays it by, and replays from Python.

See `tapegrad.vm.replaying`. Replays run without Python's lock, in as many threads as there are.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..descriptors import function_address
from ..tape.callout import run_call
from ..tape.faults import IndexFault
from ..tape.memory import address_of
from ..tape.tape import TapeError
from ..vm import call_fields as f
from ..vm import entry
from ..vm import opcodes as op
from ..vm.kernels import faults
from ..vm.native import addresses
from ..vm.pools import pools
from .arranging import computes

__all__ = ["Replays", "pending", "raise_interrupt"]

SMALL_BYTES, SMALL_ROWS = 1 << 15, 1000
"""What a program that takes a few microseconds may have; giving up Python's lock would be a good part of that."""

_pending: dict[int, BaseException] = {}  # what rows that Python runs have raised, by thread
_raised = np.zeros(3, np.int64)  # what a signal's handler has raised in the midst of a replay, as C functions have it
_restore = ctypes.PYFUNCTYPE(None, *[ctypes.c_void_p] * 3)(("PyErr_Restore", ctypes.pythonapi))


def raise_interrupt() -> None:
    """Raise what a signal's handler has raised in this thread's last replay; handlers run in the main thread only."""
    if threading.get_ident() == threading.main_thread().ident and _raised.any():
        words = _raised.tolist()
        _raised[:] = 0
        _restore(*words)


def pending() -> BaseException | None:
    """What a row that Python ran has raised in this thread's last replay."""
    return _pending.pop(threading.get_ident(), None)


_calloc, _free = ctypes.pythonapi.PyMem_RawCalloc, ctypes.pythonapi.PyMem_RawFree
_signals = [
    getattr(ctypes.pythonapi, name)
    for name in ("PyGILState_Ensure", "PyErr_CheckSignals", "PyErr_Fetch", "PyGILState_Release")
]
_CallOut = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_Replay = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)
_Words = ctypes.c_int64


def _call_out(code: np.ndarray, count: int) -> Any:
    """What machine code calls for a row that Python runs; `count` is the length of the address table."""

    def run(at: int) -> int:
        try:
            state = (_Words * op.STATE_FIELDS).from_address(at)
            run_call(code, state, (_Words * count).from_address(state[op.AT_ADDR]), pools.consts)
        except BaseException as error:  # raised again on the other side of the machine code
            _pending[threading.get_ident()] = error
            return 1
        return 0

    return _CallOut(run)


class Replays:
    """A plan, ready to be replayed from several threads at once.

    Parameters
    ----------
    plan : Plan
    count : int
        How many of its outputs are results; those behind answer guards.
    expected : list of bytes
        The answers.

    Attributes
    ----------
    at : int
        Address of the table.
    unlocks : bool
        Whether a replay takes long enough to give up Python's lock for.
    """

    def __init__(self, plan: Any, count: int, expected: list[bytes]):
        self.plan, self.count = plan, count
        self.kept: list[Any] = []
        self.words = np.zeros(f.POOL + f.POOLED, np.int64)
        self.at = address_of(self.words)
        specs = [spec for spec, _, _ in plan.bound_outputs]
        self.specs, self.answers = specs[:count], specs[count:]
        self.unlocks = plan.calls or _is_long(plan)
        self._fill(expected)
        weakref.finalize(self, _free_instances, self.words).atexit = False

    def _fill(self, expected: list[bytes]) -> None:
        plan, words, space = self.plan, self.words, self.plan.space
        words[f.RUN] = addresses(entry.FUNCTIONS)[entry.FUNCTIONS.index("execute.run")]
        words[f.ALLOCATE_ZERO], words[f.RELEASE_BLOCK] = map(function_address, (_calloc, _free))
        if plan.calls:
            call_out = _call_out(plan.code, len(plan.addr))
            self.kept.append(call_out)
            words[f.CALL_OUT] = function_address(call_out)
        words[f.FAULTS], words[f.RAISED] = address_of(faults), address_of(_raised)
        words[f.HOLD : f.RAISED] = list(map(function_address, _signals))
        words[f.LENGTH] = plan.length
        words[f.STATE] = words[f.POOL] = space.at
        words[f.FRAME_BYTES], words[f.SCRATCH_BYTES] = space.frame.nbytes, space.scratch.nbytes
        words[f.ADDRESSES], words[f.N_ADDRESSES] = self._keep(plan.addr), len(plan.addr)
        words[f.TABLE] = plan.table if plan.steps else -1  # where the address of the addresses stands
        words[f.MEMORY] = (address_of(plan.memory) + 63) & ~63
        words[f.MEMORY_BYTES] = plan.memory.nbytes - 64
        moves = [(self._moves(bound), len(bound.slots)) for bound in plan.bound_inputs]
        words[f.N_MOVED_INPUTS], words[f.MOVED_INPUTS] = len(moves), self._keep(moves)
        results = [self._output(k) for k in range(self.count)]
        words[f.N_OUTPUTS], words[f.OUTPUTS] = len(results), self._keep(results)
        answers = [self._answer(self.count + k, answer) for k, answer in enumerate(expected)]
        words[f.N_ANSWERS], words[f.ANSWERS] = len(answers), self._keep(answers)

    def _keep(self, items: Any) -> int:
        """The address of a copy of these words."""
        array = np.array(items, np.int64)
        self.kept.append(array)
        return address_of(array)

    def _moves(self, bound: Any, start: int = 0) -> int:
        return self._keep(np.stack([bound.slots, bound.offsets + start], axis=1))

    def _output(self, k: int) -> list[int]:
        spec, bound, _ = self.plan.bound_outputs[k]
        if bound is not None:
            return [f.MOVED, self._moves(bound), len(bound.slots), spec.nbytes, 0, 0, 0]
        slot = self.plan.outputs[k]
        if spec.contiguous:
            return [f.COPIED, slot, 0, spec.nbytes, 0, 0, 0]
        dims = self._keep([*spec.shape, *spec.strides])
        return [f.COPIED, slot, 0, spec.nbytes, spec.dtype.itemsize, len(spec.shape), dims]

    def _answer(self, k: int, expected: bytes) -> list[int]:
        """Answers stay in the instance; where they might have been moved away, they are moved back."""
        spec, bound, _ = self.plan.bound_outputs[k]
        if not spec.contiguous or spec.nbytes != len(expected):
            raise TapeError(f"the answers of guards are {spec!r} of {spec.nbytes} bytes, and {len(expected)} expected")
        slot = self.plan.outputs[k]
        self.kept.append(expected)
        at = ctypes.cast(ctypes.c_char_p(expected), ctypes.c_void_p).value or 0
        if bound is None:
            return [0, 0, slot, spec.nbytes, at]
        return [self._moves(bound, self.plan.offsets[slot]), len(bound.slots), slot, spec.nbytes, at]

    @property
    def address(self) -> int:
        """Of the machine code that replays, given the table's address and those of three arrays of addresses."""
        return _address()

    def replay(self, arrays: Sequence[np.ndarray], targets: Sequence[np.ndarray] | None = None) -> list:
        """Replay on these arrays; returns results and behind them the guards' answers, as arrays.

        Parameters
        ----------
        arrays : sequence of numpy.ndarray
            Aligned, C-contiguous, of the shapes and dtypes that were recorded.
        targets : sequence of numpy.ndarray, optional
            Where the results go: new arrays if omitted. As the arguments, and apart from them.

        Raises
        ------
        IndexFault
            If an index was out of range, here or in another thread at the same time.
        """
        results = [np.empty(s.shape, s.dtype) for s in self.specs] if targets is None else list(targets)
        answers = [np.empty(s.shape, s.dtype) for s in self.answers]
        try:
            status = _replay(self.at, _pointers(arrays), _pointers(results), _pointers(answers))
        except SystemError as error:
            raise entry.raised(error) from None
        if status == f.FAILED:
            raise_interrupt()
            raise pending() or TapeError("a row failed without an error")
        if status == f.NO_MEMORY:
            raise MemoryError(f"there is no memory for {self.words[f.MEMORY_BYTES]:,} bytes of intermediate values")
        if status == f.OUT_OF_RANGE:
            raise IndexFault
        return results + answers


def _pointers(arrays: Sequence[np.ndarray]) -> Any:
    return (_Words * max(len(arrays), 1))(*map(address_of, arrays))


def _is_long(plan: Any) -> bool:
    rows = plan.kinds[computes(plan.kinds)]
    members = np.flatnonzero(plan.is_member)
    nbytes = pools.table[rows, op.BYTES].sum() + plan.member_bytes(members).sum()
    return len(rows) + len(members) > SMALL_ROWS or nbytes > SMALL_BYTES


def _free_instances(words: np.ndarray) -> None:
    """Free what the pool of a table holds; nobody can be in it any more."""
    for instance in words[f.POOL :].tolist():
        if instance and instance != words[f.STATE]:
            _free(ctypes.c_void_p(instance))


def _replay(*pointers: Any) -> int:
    """Call the machine code; it is read, or made, at the first call."""
    global _replay
    _replay = _Replay(_address())
    return _replay(*pointers)


def _address() -> int:
    return addresses(("replaying.replay",))[0]
