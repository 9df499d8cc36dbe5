"""Working memory of the interpreter: some for each thread, and more where sweeps nest."""

from __future__ import annotations

import struct
import threading
from typing import Any

import numpy as np

from ..vm import opcodes as op
from ..vm.pools import pools
from .memory import address_of

__all__ = ["Workspace", "workspace"]

FRAME = 256
CODE_WORDS = 1 << 14
_CLEAR = (*[0] * op.LAST, 0, 0, 0, CODE_WORDS)
_PACK = struct.Struct(f"{len(_CLEAR)}q").pack_into
_PACK_AT = struct.Struct(f"{op.AT_STARTS - op.AT_CODE}q").pack_into


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
        self.state: Any = np.zeros(op.STATE_FIELDS, np.int64)  # also a buffer, which NumPy's types do not say
        self.at = address_of(self.state)
        self.fixed = [address_of(a) for a in (self.code, self.frame, self.scratch, self.heads)]
        self.busy = False

    def prepare(self, words, addr, root, last_write, imports=0):
        """Clear the state and fill in addresses; the caller adds what is particular to its sweep."""
        _PACK(self.state, 0, *_CLEAR)
        _PACK_AT(self.state, 8 * op.AT_CODE, *self.fixed, words, addr, root, last_write, imports)
        self.point()
        return self.state

    def point(self):
        """Fill in where the pools stand now: lowering may have moved them."""
        self.state[op.AT_TABLE : op.AT_CODE] = pools.addresses
        self.state[op.N_SIGNATURES] = pools.n_signatures


_local = threading.local()


def workspace() -> Workspace:
    """A workspace that nobody in this thread is using (sweeps nest when a hook runs a sweep)."""
    spaces = _local.__dict__.setdefault("spaces", [])
    for space in spaces:
        if not space.busy:
            return space
    spaces.append(Workspace())
    return spaces[-1]
