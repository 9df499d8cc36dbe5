"""The tape: rows of integers, what they import, and the memory of their results.

A tape belongs to the thread that records on it. It ends when its graph is freed by a backward sweep or when
it has grown long; tensors that outlive it are imported by the tape that uses them next. A tape from which
something was imported is *sealed*: nothing is recorded on it any more. So tapes form an order, and a sweep
can cross them from the latest to the earliest.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from _thread import RLock
from array import array
from typing import Any

import numpy as np

from ..errors import MixedDevicesError
from ..vm import opcodes as op
from ..vm.entry import forward_sweep
from ..vm.integers import read as read_integers
from ..vm.pools import pools
from .answers import Answers, TapeError
from .blocks import MOST_EXPECTED, ROW_TEMPORARIES, RowArrays, give_block, recycled, take_block
from .callout import run_call
from .floating import check_rows, is_strict
from .memory import address_of
from .numbers import Numbers, take_back
from .signature import CAREFUL, by_index, import_codes
from .stamps import Stamps
from .workspace import workspace

__all__ = ["MAX_ROWS", "SEGMENT_HELD", "SEGMENT_ROWS", "Elsewhere", "Tape", "TapeError", "next_rank"]

MAX_ROWS = op.SLOT_MASK - 4096
"""Rows that fit on one tape."""
SEGMENT_ROWS = 1 << 13
"""A tape longer than this is run, and followed by a new one: what nobody can reach then goes with it."""
SEGMENT_BYTES = 1 << 25
"""So is a tape whose results take more memory than this."""
SEGMENT_HELD = 1 << 25
"""A tape that holds more bytes of large values is followed by a new one where nothing on it is used any more."""
UNSEALED = 1 << 62
"""Rank of a tape on which things are still being recorded: above all that have been sealed."""
FIRST_CHUNK = 1 << 15
FIRST_ROWS = 256

_clock = itertools.count()


def next_rank() -> int:
    """A place in the order of tapes after all that have been sealed."""
    return next(_clock)


class Elsewhere(MixedDevicesError):
    """Raised where an operation of the host meets a tensor that stands on a device: it is recorded there then."""

    def __init__(self, device):
        super().__init__(
            f"Expected all tensors to be on the same device, but found at least two devices, {device} and cpu! Bring "
            f"the operands to one device with .to({str(device)!r}) or .cpu()"
        )
        self.device = device


class Tape(Answers):
    """Rows, imports and result memory of one recording.

    Attributes
    ----------
    rows : list of int
        Row words: signature and two operand slots; further operands in words that follow.
    done : int
        Rows before this one have been run.
    imports : list of tuple
        ``(slot, owner array, home, buffer, version)`` of each value from outside; `home` is the leaf tensor,
        the ``(tape, slot)`` that computed it, or None where it needs no gradient; the version leaves out writes here.
    captured : dict
        Tensors from outside that a tape under compilation uses, and their slots, by the tensor's id.
    numbers : dict
        Slots of Python numbers used with float64 operands.
    constants : dict
        Small arrays that took part as constants, by their identity: the array, its shape and bytes then, its type and
        slot.
    fast : list of dict
        Per operator, the signatures that may be recorded without further thought, by operand specs; swapped as a
        whole with the gradient mode.
    expected : int
        Bytes of the first chunk.
    limit : int
        Rows after which the tape ends.
    thread : int
        The thread that records here.
    kept : dict
        Memory outside the arena that the reverse sweep will read, by slot.
    held : int
        Bytes that have gone into `kept`, and of constants from outside.
    followed : int
        How many tapes came before it that filled up, since a sweep.
    behind : int
        Length of the longest chain of tapes, each of which used a result of the next one, that began with it.
    guests : list
        Weak references to tensors from outside that stand for a slot of this tape, but for leaves that require grad.
    foreign_writes : dict
        Buffer that was written through another tape, by the slot that it has here.
    noted : list
        Views and writes that were recorded since somebody asked for `stamps`, see `Stamps.enter`.
    shared_imports : list of tuple
        Imports of memory that this tape knew already, as of a view and its base that come apart, and who owns it.
    questions : Questions
        Answers what a function under compilation asks of values.
    needed : Needed or None
        Which memory the reverse will read, see `tapegrad.tape.needed`; made when somebody asks.
    notes : dict
        What users attached to rows: hooks and the like, see `tapegrad.autograd.hooks`.
    sources : dict
        By rows that only stand for a result of a call of a user's `Function`: the call, and the number of the result.
    sparing : bool
        What derivatives read is not overwritten, as `State.is_sparing` says.
    called : int
        Rows when the last of these calls was made.
    running : bool
        Rows are being run, by whoever holds the lock.
    symbolic : bool
        Of a tape under compilation: what it captures is known by type only, see `tapegrad.carrying`.
    level : int
        Of such a tape: its place above the tapes that it captures from, which are recorded on afterwards.
    """

    __slots__ = (
        "__weakref__",
        "arrays",
        "behind",
        "cap",
        "called",
        "captured",
        "chunk_bytes",
        "chunks",
        "constants",
        "done",
        "escaped",
        "expected",
        "followed",
        "guests",
        "held",
        "fast",
        "numbers",
        "freed",
        "import_addr",
        "imports",
        "inference",
        "kept",
        "level",
        "limit",
        "lock",
        "memory",
        "memory_end",
        "needed",
        "noted",
        "notes",
        "preset",
        "questions",
        "retaining",
        "rows",
        "running",
        "sealed",
        "sources",
        "sparing",
        "symbolic",
        "_stamps",
        "foreign_writes",
        "thread",
        "tracing",
        "shared_imports",
    )

    arrays: RowArrays  # made when rows are first run
    device: Any = None  # the host's tapes have none, see `tapegrad.cuda.tape`

    def __init__(self, tracing=False, expected=FIRST_CHUNK):
        self.expected = expected
        self.cap = self.done = 0
        self.rows: list[int] = []
        self.imports: list = []
        self.import_addr = array("q")
        self.numbers = Numbers(self)
        self.constants: dict = {}
        self.fast = CAREFUL
        self.thread = threading.get_ident()
        self.captured: dict = {}
        self.kept: dict = {}
        self.held = self.followed = self.behind = 0
        self.guests: list[weakref.ref] = []
        self.preset: dict = {}
        self.shared_imports: list[tuple[int, int]] = []
        self.noted: list = []
        self._stamps = Stamps()
        self.foreign_writes: dict = {}
        self.retaining: dict = {}
        self.notes: dict = {}
        self.needed: Any = None
        self.sources: dict = {}
        self.sparing = tracing
        self.called = 0
        self.running = False
        self.chunks: list[np.ndarray] = []
        self.memory = self.memory_end = self.chunk_bytes = 0
        self.freed: Any = None
        self.sealed = None
        self.escaped = False
        self.tracing = tracing
        self.symbolic = False
        self.level = 0
        self.inference = False
        self.questions: Any = None
        self.limit = MAX_ROWS if tracing else SEGMENT_ROWS
        self.lock = RLock()

    def __len__(self):
        return len(self.rows)

    def successor(self):
        """The tape that follows this one."""
        return Tape(self.tracing, min(max(self.used, FIRST_CHUNK), MOST_EXPECTED))

    def seal(self):
        """Import nothing more onto this tape; from now on others may import from it."""
        if self.sealed is None:
            self.sealed = next(_clock)
            self.fast = CAREFUL

    def keep(self, slot, memory):
        """Keep memory outside the arena for the reverse, unless it is there already."""
        if slot not in self.kept:
            self.kept[slot] = memory
            self.held += memory.nbytes

    def is_outside(self, tensor):
        """Whether a tensor is no result of this tape's rows."""
        return tensor._leaf or tensor._tape is not self or self.signature(tensor._slot).kind == op.IMPORT

    def visitors(self):
        """Leaves and constants that stand for a slot of this tape."""
        found = {id(home): home for *_, home, _, _ in self.imports if home is not None and not isinstance(home, tuple)}
        found.update({id(guest): guest for guest in [reference() for reference in self.guests] if guest is not None})
        return [t for t in found.values() if t._tape is self and self.is_outside(t)]

    def dismiss(self):
        """Have leaves and constants forget this tape, which they would keep alive: the next one imports them."""
        for *_, home, _, _ in self.imports:
            if home is not None and not isinstance(home, tuple) and home._tape is self:
                home._tape = None
        if self.done != len(self.rows):  # a row may have to write to a constant yet
            return
        for reference in self.guests:
            guest = reference()
            if guest is not None and guest._tape is self and self.signature(guest._slot).kind == op.IMPORT:
                guest._tape = None

    @property
    def used(self):
        """Bytes of memory that results have taken."""
        return self.chunk_bytes - self.memory_end + self.memory

    @property
    def rank(self):
        """Sweeps visit tapes of higher rank first: a tape only imports from tapes sealed before it."""
        return UNSEALED + self.level if self.sealed is None else self.sealed

    # --- recording ------------------------------------------------------------------------------------

    def note_write(self, row, target, site, buffer):
        """Remember an in-place write: which buffer, how often, and where in the user's code."""
        self.noted += (row, target, site)
        buffer.site = site
        buffer.version += 1

    def takes_back(self, start, row) -> bool:
        """After an interrupt of a write that took rows from `start` on: whether it is noted, and is to be finished.

        Else its rows are taken back. None of them has run.
        """
        stamps = self.stamps
        if row in stamps.sites:
            return True
        if start >= 0:
            for slot in range(start, len(self.rows)):
                stamps.roots.pop(slot, None)
            del self.rows[start:]
        return False

    def retain(self, slot, tensor):
        """Have sweeps hand out a slot's cotangent to a tensor, as long as that lives."""
        self.retaining[slot] = weakref.ref(tensor)

    def bring(self, spec, owner, address, home=None, buffer=None) -> int:
        """Record a value from outside; returns its slot. `owner` keeps the memory at `address` alive."""
        index = len(self.imports)
        slot = len(self.rows)
        version = 0
        if buffer is not None:
            version = buffer.version
            known = buffer.place_on(self) if buffer.places else None
            if known is not None:
                root = self.root_of(known)
                self.noted += (slot, root, None)
                self.shared_imports.append((slot, root))
                version -= self.stamps.counts.get(root, 0)
        code = import_codes[spec] | index
        try:
            self.imports.append((slot, owner, home, buffer, version))
            self.import_addr.append(address)
            self.rows.append(code)
        except BaseException:
            take_back(slot, self.rows, self.imports, self.import_addr)
            raise
        return slot

    def bring_by(self, code, owner, home=None) -> int:
        """The same for an array that no other tensor shares, by the code of its type's rows."""
        imports, address = self.imports, address_of(owner)
        slot = len(self.rows)
        try:
            imports.append((slot, owner, home, None, 0))
            self.import_addr.append(address)
            self.rows.append(code | len(imports) - 1)
        except BaseException:
            take_back(slot, self.rows, self.imports, self.import_addr)
            raise
        return slot

    def constant(self, array: np.ndarray, spec) -> int:
        """Slot of a constant whose memory nobody else can change."""
        return self.bring(spec, array, address_of(array))

    # --- running --------------------------------------------------------------------------------------

    @property
    def may_run(self):
        """Whether rows that wait can be run now: they are not being run, and have values."""
        return not (self.running or self.tracing)

    def flush(self):
        """Run all rows that have not been run."""
        if self.done == len(self.rows):
            return
        if self.symbolic:
            raise TapeError(
                "a value that stands for one example was used outside of the function that vmap called: return it from "
                "there, rather than keep it by a side effect"
            )
        if self.tracing:
            raise TapeError(
                "a value of a function under compilation was used in another thread, where it has no value yet: leave "
                "threads out of what tapegrad.compile records (its machine code uses threads by itself), or call the "
                "function as it is"
            )
        with self.lock:
            if self.running:
                raise TapeError(
                    "a finalizer asked for a value whose computation was under way when garbage was collected: keep "
                    "values that finalizers need in arrays (x.numpy().copy())"
                )
            try:
                self.running = True
                self._run()
            finally:
                self.running = False

    def _run(self):
        first, last = self.done, len(self.rows)
        if first >= last:
            return
        if last > self.cap:
            self._grow(last)
        arrays = self.arrays
        read_integers(self.rows, first, last, arrays.words, arrays.at[0])
        arrays.addr[first:last] = 0
        if self.preset:
            for slot, given in self.preset.items():
                arrays.addr[slot] = address_of(given)
        imports = self.import_addr[:]
        if not self.memory:
            self._chunk(0)
        space = workspace()
        space.busy = True
        state = space.prepare(
            last, self.cap, ROW_TEMPORARIES, arrays.at,
            imports.buffer_info()[0], len(imports), first, self.memory, self.memory_end,
        )  # fmt: skip
        try:
            while True:
                forward_sweep(space.at)
                status = state[op.STATUS]
                if status == op.FINISHED:
                    break
                if status == op.NEED_MEMORY:
                    self._chunk(state[op.DETAIL])
                    state[op.MEMORY], state[op.MEMORY_END] = self.memory, self.memory_end
                elif status == op.NEED_TEMPLATE:
                    by_index[state[op.DETAIL]].lower_forward()
                    space.point()
                elif status == op.CALLED:
                    run_call(space.code, state, arrays.addr, pools.consts)
                elif status != op.LOOKED:
                    raise TapeError(f"row {state[op.DETAIL]} of this tape is not valid")
            self.done = last
            self.preset.clear()
        except BaseException:  # what has not run will be tried again, and nothing that has run
            self.done = state[op.CURRENT] if state[op.PC] < state[op.CODE_LEN] else state[op.POSITION]
            raise
        finally:
            self.memory, self.memory_end = state[op.MEMORY], state[op.MEMORY_END]
            space.busy = False
        if is_strict():
            check_rows(self, first, last)

    def _grow(self, need):
        """Room for more rows."""
        cap = FIRST_ROWS
        while cap < need:
            cap *= 2
        arrays, n = recycled(RowArrays, cap), self.done
        if self.cap:
            old = self.arrays
            arrays.words[:n], arrays.addr[:n] = old.words[:n], old.addr[:n]
            arrays.root[:n], arrays.last_write[:n] = old.root[:n], old.last_write[:n]
            old.release()
        self.arrays, self.cap = arrays, cap

    def _chunk(self, need):
        """More memory for results; to begin with, as much as the tape before this one has used."""
        n = len(self.chunks)
        chunk = take_block(max(FIRST_CHUNK << min(n, 7) if n else self.expected, need + 64))
        self.chunks.append(chunk)
        self.chunk_bytes += chunk.nbytes
        if self.chunk_bytes > SEGMENT_BYTES and not self.tracing:
            self.limit = 0
        address = address_of(chunk)
        self.memory, self.memory_end = (address + 63) & ~63, address + chunk.nbytes

    def __del__(self):
        if not hasattr(self, "chunks"):  # an interrupt came when it was made
            return
        while self.chunks:
            chunk = self.chunks.pop()
            if sys.getrefcount(chunk) == 2:  # nobody looks at what stands there
                give_block(chunk)
        if self.cap:
            self.arrays.release()
