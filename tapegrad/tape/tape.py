"""The tape: rows of integers, what they import, and the memory of their results.

A tape belongs to the thread that records on it. It ends when its graph is freed by a backward sweep or when
it has grown long; tensors that outlive it are imported by the tape that uses them next. A tape from which
something was imported is *sealed*: nothing is recorded on it any more. So tapes form an order, and a sweep
can cross them from the latest to the earliest.
"""

from __future__ import annotations

import functools
import itertools
import sys
import threading
import weakref
from typing import Any

import numpy as np

from ..vm import opcodes as op
from ..vm.entry import forward_sweep
from ..vm.pools import pools
from .callout import run_call
from .memory import address_of, array_at
from .signature import CAREFUL, by_index, import_signature
from .spec import spec_of
from .workspace import workspace

__all__ = ["MAX_ROWS", "Tape", "TapeError", "next_rank"]

MAX_ROWS = op.SLOT_MASK - 4096
"""Rows that fit on one tape."""
SEGMENT_ROWS = 1 << 13
"""A tape longer than this is run, and followed by a new one: what nobody can reach then goes with it."""
SEGMENT_BYTES = 1 << 25
"""So is a tape whose results take more memory than this."""
FIRST_CHUNK = 1 << 15
TEMPORARIES = 1024

_clock = itertools.count()


def next_rank() -> int:
    """A place in the order of tapes after all that have been sealed."""
    return next(_clock)


_spare_chunks: list[np.ndarray] = []
_SPARE = 8


class TapeError(RuntimeError):
    """A tape's rows or slots are inconsistent: a defect in tapegrad or in a rule given to it."""


class _Numbers(dict):
    """Slots of Python numbers as float64 constants; a number not met before is brought onto the tape."""

    __slots__ = ("imports", "places", "rows")

    def __init__(self, tape):
        self.rows, self.imports, self.places = tape.rows, tape.imports, tape.import_addr

    def __missing__(self, value):
        array = _arrays.get(value) if value != 0 else None  # 0.0 == -0.0, yet they differ
        if array is None:
            array = np.array(value, np.float64)
            array.flags.writeable = False
            if value != 0 and len(_arrays) < _MOST_NUMBERS:
                _arrays[value] = array
        slot = len(self.rows)
        self.imports.append((slot, array, None, None, 0))
        self.places.append(address_of(array))
        self.rows.append(_number_code() | len(self.imports) - 1)
        if value != 0:
            self[value] = slot
        return slot


_arrays: dict = {}
_MOST_NUMBERS = 10_000


@functools.cache
def _number_code():
    return import_signature(spec_of((), np.dtype(np.float64))).code


class Tape:
    """Rows, imports and result memory of one recording.

    Attributes
    ----------
    rows : list of int
        Row words: signature and two operand slots; further operands in words that follow.
    done : int
        Rows before this one have been run.
    imports : list of tuple
        ``(slot, owner array, home, buffer, version)`` of each value from outside; `home` is the leaf tensor,
        the ``(tape, slot)`` that computed it, or None where it needs no gradient.
    numbers : dict
        Slots of Python numbers used with float64 operands.
    fast : list of dict
        Per operator, the signatures that may be recorded without further thought, by operand specs; swapped as a
        whole with the gradient mode.
    limit : int
        Rows after which the tape ends.
    thread : int
        The thread that records here.
    kept : dict
        Memory outside the arena that the reverse sweep will read, by slot.
    writes : dict
        Last row that wrote to each buffer, by the buffer's first slot.
    foreign_writes : dict
        Buffer that was written through another tape, by the slot that it has here.
    write_sites : dict
        File and line of each writing row.
    notes : dict
        What users attached to rows: hooks and the like, see `tapegrad.autograd.hooks`.
    """

    __slots__ = (
        "__weakref__",
        "addr",
        "at",
        "cap",
        "chunks",
        "constants",
        "done",
        "escaped",
        "fast",
        "numbers",
        "freed",
        "import_addr",
        "imports",
        "inference",
        "kept",
        "last_write",
        "limit",
        "lock",
        "memory",
        "memory_end",
        "notes",
        "preset",
        "retaining",
        "root",
        "rows",
        "sealed",
        "words",
        "foreign_writes",
        "write_counts",
        "write_sites",
        "writes",
        "thread",
        "tracing",
    )

    words: np.ndarray  # these four, and their addresses, are made when rows are first run
    addr: np.ndarray
    root: np.ndarray
    last_write: np.ndarray
    at: tuple[int, int, int, int]

    def __init__(self, tracing=False):
        self.rows: list[int] = []
        self.done = 0
        self.cap = 0
        self.imports: list = []
        self.import_addr: list[int] = []
        self.numbers = _Numbers(self)
        self.fast = CAREFUL
        self.thread = threading.get_ident()
        self.constants: dict = {}
        self.kept: dict = {}
        self.preset: dict = {}
        self.write_sites: dict = {}
        self.writes: dict = {}
        self.write_counts: dict = {}
        self.foreign_writes: dict = {}
        self.retaining: dict = {}
        self.notes: dict = {}
        self.chunks: list[np.ndarray] = []
        self.memory = self.memory_end = 0
        self.freed: Any = None
        self.sealed = None
        self.escaped = False
        self.tracing = tracing
        self.inference = False
        self.limit = MAX_ROWS if tracing else SEGMENT_ROWS
        self.lock = threading.RLock()

    def __len__(self):
        return len(self.rows)

    def seal(self):
        """Import nothing more onto this tape; from now on others may import from it."""
        if self.sealed is None:
            self.sealed = next(_clock)
            self.fast = CAREFUL

    @property
    def rank(self):
        """Sweeps visit tapes of higher rank first: a tape only imports from tapes sealed before it."""
        return float("inf") if self.sealed is None else self.sealed

    # --- recording ------------------------------------------------------------------------------------

    def note_write(self, row, site):
        """Remember an in-place write: which buffer, how often, and where in the user's code."""
        root = self.root_of(row)
        self.writes[root] = row
        self.write_counts[root] = self.write_counts.get(root, 0) + 1
        self.write_sites[row] = site

    def retain(self, slot, tensor):
        """Have sweeps hand out a slot's cotangent to a tensor, as long as that lives."""
        self.retaining[slot] = weakref.ref(tensor)

    def bring(self, spec, owner, address, home=None, buffer=None) -> int:
        """Record a value from outside; returns its slot. `owner` keeps the memory at `address` alive."""
        index = len(self.imports)
        slot = len(self.rows)
        self.imports.append((slot, owner, home, buffer, buffer.version if buffer is not None else 0))
        self.import_addr.append(address)
        self.rows.append(import_signature(spec).code | index)
        return slot

    def constant(self, array: np.ndarray, spec) -> int:
        """Slot of a constant whose memory nobody else can change."""
        return self.bring(spec, array, address_of(array))

    # --- running --------------------------------------------------------------------------------------

    def flush(self):
        """Run all rows that have not been run."""
        if self.done == len(self.rows):
            return
        if self.tracing:
            raise TapeError("a tape under compilation has no values yet")
        with self.lock:
            self._run()

    def _run(self):
        first, last = self.done, len(self.rows)
        if first >= last:
            return
        if last > self.cap:
            self._grow(last)
        self.words[first:last] = np.fromiter(self.rows[first:last] if first else self.rows, np.int64, last - first)
        self.addr[first:last] = 0
        for slot, array in self.preset.items():
            self.addr[slot] = address_of(array)
        self.preset.clear()
        imports = np.array(self.import_addr, np.int64) if self.import_addr else _no_imports
        space = workspace()
        space.busy = True
        state = space.prepare(*self.at, address_of(imports))
        state[op.POSITION], state[op.MEMORY], state[op.MEMORY_END] = first, self.memory, self.memory_end
        state[op.LAST], state[op.CAPACITY], state[op.TEMPS_CAPACITY] = last, self.cap, TEMPORARIES
        state[op.N_IMPORTS] = len(imports)
        try:
            while True:
                forward_sweep(space.at)
                status = state[op.STATUS]
                if status == op.FINISHED:
                    break
                if status == op.NEED_MEMORY:
                    self._chunk(int(state[op.DETAIL]), state)
                elif status == op.NEED_TEMPLATE:
                    by_index[state[op.DETAIL]].lower_forward()
                    space.point()
                elif status == op.CALLED:
                    run_call(space.code, state, self.addr, pools.consts)
                else:
                    raise TapeError(f"row {state[op.DETAIL]} of this tape is not valid")
            self.done = last
        except BaseException:
            self.done = int(state[op.CURRENT])  # what has not run will be tried again
            raise
        finally:
            self.memory, self.memory_end = int(state[op.MEMORY]), int(state[op.MEMORY_END])
            space.busy = False

    def _grow(self, need):
        """Room for more rows; temporaries' addresses stand behind the rows' in `addr`."""
        cap = max(256, 2 * self.cap, need)
        old, n = self.cap, self.done
        words, addr = np.zeros(cap, np.int64), np.zeros(cap + TEMPORARIES, np.int64)
        root, last_write = np.zeros(cap, np.int32), np.full(cap, -1, np.int32)
        if old:
            words[:n], addr[:n] = self.words[:n], self.addr[:n]
            root[:n], last_write[:n] = self.root[:n], self.last_write[:n]
        self.words, self.addr, self.root, self.last_write, self.cap = words, addr, root, last_write, cap
        self.at = address_of(words), address_of(addr), address_of(root), address_of(last_write)

    def _chunk(self, need, state):
        """More memory for results."""
        size = max(FIRST_CHUNK << min(len(self.chunks), 7), need + 64)
        chunk = None
        if size == FIRST_CHUNK and _spare_chunks:
            chunk = _spare_chunks.pop()
        if chunk is None:
            chunk = np.empty(size >> 3, np.float64)
        self.chunks.append(chunk)
        if sum(c.nbytes for c in self.chunks) > SEGMENT_BYTES and not self.tracing:
            self.limit = 0
        address = address_of(chunk)
        start = (address + 63) & ~63
        state[op.MEMORY], state[op.MEMORY_END] = start, address + chunk.nbytes

    # --- reading --------------------------------------------------------------------------------------

    def view(self, slot, spec) -> np.ndarray:
        """A NumPy array over a slot's memory, which it keeps alive."""
        owner = self.owner(slot)
        if owner is None:
            raise TapeError(f"the memory of row {slot} is gone; please report this")
        return array_at(int(self.addr[slot]), spec, owner)

    def owner(self, slot):
        """The array that owns a slot's memory."""
        root = int(self.root[slot])
        kept = self.kept.get(root)
        if kept is not None:
            return kept
        signature = by_index[self.words[root] >> op.SIGNATURE_SHIFT]
        if signature.kind == op.IMPORT:
            return self.imported(root)[1]
        address = int(self.addr[root])
        for chunk in self.chunks:
            start = address_of(chunk)
            if start <= address < start + chunk.nbytes:
                return chunk
        return None

    def drop_kept(self):
        """Let go of memory that no row will read again: all of it, once no differentiable row is left to visit."""
        for slot in self._starts():
            row = by_index[int(self.words[slot]) >> op.SIGNATURE_SHIFT]
            if row.out.requires_grad and row.kind != op.IMPORT and not self.freed[slot] and row.needs:
                return
        self.kept.clear()

    def _starts(self):
        slot = 0
        while slot < self.done:
            yield slot
            slot += by_index[int(self.words[slot]) >> op.SIGNATURE_SHIFT].width

    def written_elsewhere(self):
        """(slot, buffer) of memory that was written through another tape since this one used it."""
        yield from self.foreign_writes.items()
        for slot, _, _, buffer, version in self.imports:
            if buffer is not None and buffer.version != version + self.write_counts.get(slot, 0):
                yield slot, buffer

    def root_of(self, slot) -> int:
        """The slot that a slot's memory belongs to: views and writes share their operand's."""
        while self.signature(slot).kind in (op.WINDOW, op.VIEW, op.WRITE):
            slot = (self.rows[slot] >> op.SLOT_BITS) & op.SLOT_MASK
        return slot

    def signature(self, slot):
        """Signature of the row that gave a slot."""
        return by_index[self.rows[slot] >> op.SIGNATURE_SHIFT]

    def imported(self, slot) -> tuple:
        """The entry of `imports` that an import's row stands for."""
        return self.imports[self.rows[slot] & ((1 << op.SIGNATURE_SHIFT) - 1)]

    def operands(self, slot) -> list[int]:
        """Operand slots of a row."""
        signature = self.signature(slot)
        if signature.kind == op.IMPORT:
            return []
        rows, found = self.rows, []
        for k in range(len(signature.specs)):
            if k < 2:
                word = rows[slot]
            else:
                word = rows[slot + k // 2]
            found.append((word >> (0 if k & 1 else op.SLOT_BITS)) & op.SLOT_MASK)
        return found

    def __del__(self):
        while self.chunks:
            chunk = self.chunks.pop()
            if chunk.nbytes == FIRST_CHUNK and len(_spare_chunks) < _SPARE and sys.getrefcount(chunk) == 2:
                _spare_chunks.append(chunk)


_no_imports = np.zeros(1, np.int64)
