"""Programs that write in place, as programs that do not: what is written becomes a value of its own.

Rows are gone through in the order in which they would run. Of memory that is written it is noted which value each
element has; a write notes others, and is no row any more, but for what it computes. Who reads a window of that memory
reads the value that stands there, if it is one, or what a row puts together. So ``x[i] = y`` is another name for `y`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...primitives.core import ops
from ...primitives.shape import is_packed, view
from ...tape.record import pack
from ...tape.rows import Rows
from ...tape.signature import Signature, by_index, signature_of
from ...tape.spec import spec_of
from ...tape.tape import Tape
from ...vm import opcodes as op
from ...vm.pools import pools
from ..simplify import simplify
from .graph import offset_of

__all__ = ["without_writes"]

MOST_ELEMENTS = 4096
"""Of an array that is written; larger ones are as well left where they are."""
MOST_ROWS, MOST_WINDOWS = 200_000, 50_000
"""That are written anew, and put together."""


class _UnfitError(Exception):
    """The program cannot be written so, or need not be."""


def without_writes(tape: Any, inputs: list[int], outputs: list[int]) -> tuple[Any, list[int]] | None:
    """A tape with the same rows, and behind them rows that compute the same without a write.

    Parameters
    ----------
    tape : Tape
        Recorded, not run; left as it is.
    inputs, outputs : list of int
        Slots.

    Returns
    -------
    tape : Tape
        Inputs are where they were.
    outputs : list of int
        Slots of that tape; None in place of both where there is no such program.
    """
    made = Tape()
    made.imports, made.import_addr = list(tape.imports), tape.import_addr[:]
    try:
        renaming = _Renaming(tape, inputs, outputs)
        renaming.run()
        found = [renaming.output(slot) for slot in outputs]
    except _UnfitError:
        return None
    made.rows = [*tape.rows, *renaming.words]
    return made, simplify(made, inputs, found)


class _Written:
    """Memory that is written: the value that each element has.

    Attributes
    ----------
    values : list of tuple
        Slots and types.
    which, at : numpy.ndarray of int
        By element, the number of its value, and the byte offset in that.
    known : dict
        Slots of what was read since the last write, by type and byte offset.
    """

    def __init__(self, slot: int, spec: Any):
        if not is_packed(spec) or spec.size > MOST_ELEMENTS or not spec.size:
            raise _UnfitError
        self.dtype = spec.dtype
        self.values: list[tuple[int, Any]] = [(slot, spec)]
        self.which, self.at = np.zeros(spec.size, np.int64), np.arange(spec.size) * spec.dtype.itemsize
        self.known: dict[tuple, int] = {}

    def places(self, spec: Any, shift: int) -> np.ndarray:
        """Numbers of the elements of a window."""
        if spec.dtype != self.dtype or not spec.size:
            raise _UnfitError
        return (shift + _offsets(spec)) // self.dtype.itemsize

    def write(self, places: np.ndarray, slot: int, spec: Any) -> None:
        """Note what these elements have become."""
        self.which[places], self.at[places] = len(self.values), _offsets(spec)
        self.values.append((slot, spec))
        self.known.clear()


class _Renaming:
    """The program that is written.

    Attributes
    ----------
    words : list of int
        Rows behind those of the tape.
    names : dict
        Slots that stand for those of the tape.
    written : dict of _Written
        By the slot whose memory it is; None until its row has been met.
    """

    def __init__(self, tape: Any, inputs: list[int], outputs: list[int]):
        self.rows = rows = Rows(tape.rows)
        live = rows.live(inputs, outputs)
        self.slots = np.flatnonzero(live).tolist()
        kinds = rows.words[self.slots] >> op.SIGNATURE_SHIFT
        self.kinds = kinds.tolist()
        writes = np.asarray(self.slots)[pools.table[kinds, op.KIND] == op.WRITE]
        self.written: dict[int, _Written | None] = dict.fromkeys(rows.root[writes].tolist())
        self.roots, self.shifts = rows.root.data, rows.shift.data
        self.names: dict[int, int] = {}
        self.words: list[int] = []
        self.made: dict[int, tuple[Signature, list[int]]] = {}
        self.windows = 0

    def run(self) -> None:
        """Go through the rows."""
        for slot, kind in zip(self.slots, self.kinds, strict=True):
            row = by_index[kind]
            if row.kind == op.WRITE:
                self._write(slot, row)
            elif self.roots[slot] not in self.written:
                self._read(slot, row)
            elif row.kind == op.KERNEL:
                self.written[slot] = _Written(self._again(slot, row, self._operands(slot)), row.out.plain)
            elif row.kind == op.IMPORT:
                raise _UnfitError

    def output(self, slot: int) -> int:
        """The slot of an output, in memory of the program's own."""
        found, spec = self._value(slot), self._spec(slot)
        source = found
        while self._row(source).kind in (op.WINDOW, op.VIEW):
            source = self._sources(source)[0]
        if self._row(source).kind == op.IMPORT or self._spec(found) is not spec:
            found = self._add(signature_of(ops.copy, (self._spec(found),), (), False), [found])
            if self._spec(found) is not spec:
                raise _UnfitError
        return found

    # --- rows --------------------------------------------------------------------------------------------------------

    def _row(self, slot: int) -> Signature:
        return self.made[slot][0] if slot in self.made else by_index[self.rows.words[slot] >> op.SIGNATURE_SHIFT]

    def _sources(self, slot: int) -> list[int]:
        return self.made[slot][1] if slot in self.made else self.rows.operands(slot)

    def _spec(self, slot: int) -> Any:
        return self._row(slot).out.plain

    def _add(self, row: Signature, operands: list[int], offset: int = 0) -> int:
        """Write a row; returns its slot."""
        slot = len(self.rows.words) + len(self.words)
        if len(self.made) >= MOST_ROWS or slot >= op.SLOT_MASK:
            raise _UnfitError
        self.words += pack(row, operands, offset)
        self.made[slot] = row, operands
        return slot

    def _again(self, slot: int, row: Signature, operands: list[int]) -> int:
        """Write a row of the tape, of other operands."""
        specs = tuple([self._spec(s) for s in operands])
        if any(mine is not its.plain for mine, its in zip(specs, row.specs, strict=True)):
            out = row.out.plain
            if row.kind != op.KERNEL:  # where its elements stand depends on the operand's layout
                raise _UnfitError
            row = self._signature(row.primitive, specs, row.attrs)
            if row.out.plain is not out:
                raise _UnfitError
        return self._add(row, operands, int(self.rows.words[slot + 1]) if row.kind in op.WITH_OFFSET else 0)

    def _signature(self, primitive: Any, specs: tuple, attrs: dict) -> Signature:
        return signature_of(primitive, specs, tuple(sorted(attrs.items())), False)

    def _operands(self, slot: int) -> list[int]:
        return [self._value(s) for s in self.rows.operands(slot)]

    def _read(self, slot: int, row: Signature) -> None:
        """A row in memory that is not written."""
        operands = self._operands(slot)
        if operands != self.rows.operands(slot):
            self.names[slot] = self._again(slot, row, operands)

    def _write(self, slot: int, row: Signature) -> None:
        target, *sources = self.rows.operands(slot)
        written, spec = self.written[self.roots[target]], row.specs[0]
        if written is None:
            raise _UnfitError
        operands, inner = [self._value(s) for s in sources], row.primitive.inner
        if inner is ops.copy:
            (value,) = operands
        else:
            specs = tuple([self._spec(s) for s in operands])
            value = self._add(self._signature(inner, specs, row.attrs), operands)
        written.write(written.places(spec, self.shifts[target]), value, self._spec(value))

    # --- what stands in memory that is written -----------------------------------------------------------------------

    def _value(self, slot: int) -> int:
        """The slot that has a slot's value as it is now."""
        root = self.roots[slot]
        if root not in self.written:
            return self.names.get(slot, slot)
        written, spec, shift = self.written[root], self._spec(slot), self.shifts[slot]
        if written is None:
            raise _UnfitError
        found = written.known.get((spec, shift))
        if found is None:
            found = written.known[spec, shift] = self._stands(written, spec, written.places(spec, shift))
        return found

    def _stands(self, written: _Written, spec: Any, places: np.ndarray) -> int:
        which, at = written.which[places], written.at[places]
        if (which == which[0]).all():
            strides = _strides(at.reshape(spec.shape), spec)
            if strides is not None:
                return self._window(
                    *written.values[int(which[0])], spec_of(spec.shape, spec.dtype, strides), int(at[0])
                )
        made = self._together(written, spec, which, at)
        if len(np.unique(places)) == len(written.which):
            written.write(places, made, self._spec(made))
        return made

    def _window(self, slot: int, whole: Any, spec: Any, offset: int) -> int:
        """A window of a value."""
        if spec is whole and not offset:
            return slot
        attrs = {"label": "View", "shape": spec.shape, "strides": spec.strides}
        return self._add(self._signature(view, (whole,), attrs), [slot], offset)

    def _together(self, written: _Written, spec: Any, which: np.ndarray, at: np.ndarray) -> int:
        """A row that puts elements together: windows that go along with the result, in order."""
        item, operands, windows, start = spec.dtype.itemsize, [], [], 0
        steps = np.where(np.diff(which) == 0, np.diff(at), np.iinfo(np.int64).min)
        while start < len(which):
            stop = start + 1
            while stop < len(which) and steps[stop - 1] == steps[start] != np.iinfo(np.int64).min:
                stop += 1
            shape, strides = ((stop - start,), (int(steps[start]),)) if stop > start + 1 else ((), ())
            part = spec_of(shape, spec.dtype, strides)
            operands.append(self._window(*written.values[int(which[start])], part, int(at[start])))
            windows.append(((item,) * len(shape), start * item))
            start = stop
        self.windows += len(windows)
        if spec.dtype.kind not in "iufc" or self.windows > MOST_WINDOWS:
            raise _UnfitError
        dense = spec_of(spec.shape, spec.dtype)
        attrs = {"shape": dense.shape, "base_strides": dense.strides, "windows": tuple(windows)}
        return self._add(self._signature(ops.assemble, tuple([self._spec(s) for s in operands]), attrs), operands)


def _offsets(spec: Any) -> np.ndarray:
    """Bytes from the first element to each, in the order of their indices."""
    total = np.zeros((1,) * spec.ndim, np.int64)
    for d, (n, step) in enumerate(zip(spec.shape, spec.strides, strict=True)):
        total = total + (np.arange(n) * step).reshape([-1 if e == d else 1 for e in range(spec.ndim)])
    return total.ravel()


def _strides(at: np.ndarray, spec: Any) -> tuple[int, ...] | None:
    """The strides with which elements that stand at those bytes are an array; None if they are none."""
    first = (0,) * at.ndim
    strides = list(spec.strides)
    for d, n in enumerate(at.shape):
        if n > 1:
            strides[d] = int(at[(*first[:d], 1, *first[d + 1 :])] - at[first])
    found = tuple(strides)
    last = tuple([n - 1 for n in at.shape])
    fits = at[last] - at[first] == offset_of(last, found)
    return found if fits and (at.ravel() - at[first] == _offsets(spec_of(at.shape, spec.dtype, found))).all() else None
