"""Working memory of the interpreter: some for each thread, and more where sweeps nest."""

from __future__ import annotations

import struct
import threading
from typing import Any

import numpy as np

from ..vm import helpers
from ..vm import opcodes as op
from ..vm.pools import pools
from .memory import address_of

__all__ = ["Workspace", "workspace"]

FRAME = 256
CODE_WORDS = 1 << 14
_SCALARS = struct.Struct(f"{op.AT_TABLE}q").pack_into
_ARRAYS = struct.Struct(f"{op.AT_STARTS - op.AT_WORDS}q").pack_into
_FLAGS = struct.Struct(f"{op.STATE_USED - op.AT_STARTS}q").pack_into


class Workspace:
    """Memory that compiled code of one thread works in; made when first needed.

    Attributes
    ----------
    state : memoryview
        Fields of the sweep under way, see `tapegrad.vm.opcodes`.
    at : int
        Its address, the one argument of the sweeps.
    expected : int
        Bytes that the next reverse sweep will probably need for cotangents.
    room : autograd.room.Room or None
        The last one's memory for them.
    """

    def __init__(self):
        self.frame = np.zeros(FRAME, np.int64)
        self.scratch = np.zeros(op.SCRATCH_TILES * op.TILE_BYTES, np.uint8)
        self.code = np.zeros(CODE_WORDS, np.int32)
        self.heads = np.zeros((op.CLASSES, op.HEADS), np.int64)
        state = np.zeros(op.STATE_FIELDS, np.int64)
        fixed: list[np.ndarray] = [self.code, self.frame, self.scratch, self.heads]
        state[op.AT_CODE : op.AT_CODE + len(fixed)] = [address_of(array) for array in fixed]
        self.state, self.at = state.data, address_of(state)
        self.pools: Any = None
        self.busy = False
        self.expected = 0
        self.room: Any = None

    def prepare(self, last, capacity, temporaries, arrays, imports=0, n_imports=0, position=0, memory=0, end=0):
        """Set up the state for a sweep.

        Parameters
        ----------
        last, capacity, temporaries : int
            Rows to run, rows that the arrays hold, and temporaries that the address table holds.
        arrays : tuple of int
            Addresses of words, addr, root and last_write.
        imports, n_imports : int
            Address and length of the imports' addresses.
        position, memory, end : int
            Where to begin, and the memory that is left from before.
        """
        _SCALARS(
            self.state, 0, position, 0, 0, 0, 0, 0, memory, end, 0, 0,
            last, capacity, temporaries, CODE_WORDS, pools.n_signatures, n_imports,
        )  # fmt: skip
        _ARRAYS(self.state, 8 * op.AT_WORDS, *arrays, imports)
        if self.pools is not pools.addresses:
            self.point()
        return self.state

    def flags(self, *addresses):
        """Fill in the addresses of a reverse sweep's arrays."""
        _FLAGS(self.state, 8 * op.AT_STARTS, *addresses)

    def point(self):
        """Fill in where the pools stand now: lowering may have moved them."""
        self.pools = pools.addresses
        for k, address in enumerate(self.pools):
            self.state[op.AT_TABLE + k] = address
        self.state[op.N_SIGNATURES] = pools.n_signatures
        self.frame[op.SHARE : op.SHARE + len(helpers.helping)] = helpers.helping


_local = threading.local()


def workspace() -> Workspace:
    """A workspace that nobody in this thread is using (sweeps nest when a hook runs a sweep)."""
    spaces = _local.__dict__.setdefault("spaces", [])
    for space in spaces:
        if not space.busy:
            return space
    spaces.append(Workspace())
    return spaces[-1]
