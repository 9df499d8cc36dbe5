"""What belongs to a thread: the tape under recording, the gradient mode, working memory of the interpreter."""

from __future__ import annotations

import os
import threading

import numpy as np

from ..vm import opcodes as op
from ..vm.pools import pools

__all__ = ["State", "Workspace", "local", "set_deferral", "is_deferral_enabled"]

FRAME = 256
CODE_WORDS = 1 << 14


class Workspace:
    """Memory that compiled code of one thread works in; made when first needed.

    Attributes
    ----------
    state : numpy.ndarray of int64
        Fields of the sweep under way, see `tapegrad.vm.opcodes`.
    at : int
        Its address, the one argument of the sweeps.
    """

    def __init__(self):
        self.frame = np.zeros(FRAME, np.int64)
        self.scratch = np.zeros(op.SCRATCH_TILES * op.TILE_BYTES, np.uint8)
        self.code = np.zeros(CODE_WORDS, np.int32)
        self.heads = np.zeros((op.CLASSES, op.HEADS), np.int64)
        self.state = np.zeros(op.STATE_FIELDS, np.int64)
        self.at = self.state.ctypes.data
        self.fixed = [a.ctypes.data for a in (self.code, self.frame, self.scratch, self.heads)]
        self.busy = False

    def prepare(self, words, addr, root, last_write, imports=0):
        """Clear the state and fill in addresses; the caller adds what is particular to its sweep."""
        state = self.state
        state[: op.LAST] = 0
        state[op.CODE_CAPACITY] = CODE_WORDS
        state[op.AT_CODE : op.AT_STARTS] = [*self.fixed, words, addr, root, last_write, imports]
        self.point()
        return state

    def point(self):
        """Fill in where the pools stand now: lowering may have moved them."""
        self.state[op.AT_TABLE : op.AT_CODE] = pools.addresses
        self.state[op.N_SIGNATURES] = pools.n_signatures


class State:
    """One thread's recording state.

    Attributes
    ----------
    tape : Tape
        Where rows go.
    fast : list of dict
        Per operator, the signatures that may be recorded without further thought, by operand specs; the
        list is swapped as a whole with the gradient mode.
    grad_enabled : bool
    deferred : bool
        Record everything, run nothing: while a rule is lowered or a function compiled.
    depth : int
        Nesting of functional transformations; inside one, a traced value refuses to become a float.
    """

    __slots__ = ("careful", "deferred", "depth", "fast", "grad_enabled", "tape", "workspaces")

    def __init__(self):
        from .signature import FAST
        from .tape import Tape

        self.tape = Tape()
        self.grad_enabled = True
        self.careful = False
        self.deferred = False
        self.depth = 0
        self.fast = FAST[True]
        self.workspaces: list[Workspace] = []

    def workspace(self) -> Workspace:
        """A workspace that nobody in this thread is using (sweeps nest when a hook runs a sweep)."""
        for space in self.workspaces:
            if not space.busy:
                return space
        self.workspaces.append(Workspace())
        return self.workspaces[-1]

    def refresh(self):
        """Choose the fast tables that fit the mode: none at all while views may be out of date."""
        from .signature import CAREFUL, FAST

        self.fast = CAREFUL if self.careful or self.tape.escaped or not _deferral else FAST[self.grad_enabled]


class _Local(threading.local):
    def __init__(self):
        self.state = State()


local = _Local()
_deferral = os.environ.get("TAPEGRAD_DEFERRAL", "1") != "0"


def set_deferral(enabled: bool) -> bool:
    """Switch deferral on or off for the whole process; off, every operation runs when it is called.

    Parameters
    ----------
    enabled : bool

    Returns
    -------
    bool
        The setting before.

    Notes
    -----
    Values are the same either way: this is a switch for debugging. The environment variable
    ``TAPEGRAD_DEFERRAL=0`` does the same from outside. Other threads notice at their next new tape.
    """
    global _deferral
    before, _deferral = _deferral, bool(enabled)
    local.state.refresh()
    return before


def is_deferral_enabled() -> bool:
    """Whether small operations are recorded first and run when a value is asked for."""
    return _deferral
