"""Programs: launches that wait to become one.

While rows of a tape are run, what is asked for on small arrays is written down as rows of integers, and memory for
the results is taken at once, so that views of them can be had. Where something else is to happen, and at the end, the
program is sent and interpreted by one launch, of several blocks if they can wait for each other. A large group of
elementwise rows is interpreted by itself as long as it is new: only what comes again is worth the compiler's time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tape.spec import spec_of
from . import interpreter as it
from .elementwise import broadcast_steps, layout
from .interpreter import interpreter, opcode_of

__all__ = ["Program"]

SMALL = 4096
"""Elements of the largest array for which one block of threads is enough."""
MOST_WORK = 1 << 16
"""Products and sums of a row that one block takes upon itself."""
MOST_BLOCKS = 16
"""Blocks that share a program, if they can wait for each other: so many times may it be as large."""
LAPS = 4
"""Elements of a row for each thread up to which one block is sooner done than several, which wait longer."""
MOST_ROWS = 512
_INT = np.dtype(np.int64)
_Place = tuple[int, int, tuple[int, ...]]
"""Address (or register, or a number's bits), kind, and steps in bytes."""
_NONE: _Place = (0, it.NOTHING, ())


class Program:
    """Rows that wait to be sent to a device.

    Parameters
    ----------
    device : Device

    Attributes
    ----------
    real : numpy.dtype or None
        Of all numbers in it; None as long as there are none.
    alone : callable or None
        What runs its only elementwise group by a kernel of its own.
    failed : bool
        Whether rows were lost, since they could not be sent.
    """

    def __init__(self, device: Any):
        self.device = device
        self.failed = False
        self.most_blocks = min(device.driver.together, MOST_BLOCKS)
        self._clear()

    def _clear(self) -> None:
        self.rows: list[np.ndarray] = []
        self.held: list[Any] = []
        self.real: np.dtype | None = None
        self.groups = 0
        self.alone: Callable | None = None

    # --- what it takes --------------------------------------------------------------------------------------

    def elementwise(
        self,
        steps: Sequence[Any],
        inputs: Sequence[Any],
        outputs: Sequence[tuple[int, Any]],
        shape: tuple,
        run: Callable,
    ) -> bool:
        """Take a group of elementwise steps, or leave it to a kernel of its own, which `run` launches.

        Parameters are those of `elementwise.launch_fused`.
        """
        codes = [opcode_of(s.name, s.kinds, s.dtype) for s in steps]
        known = [c for c in codes if c is not None]
        if len(known) < len(codes) or len([n for n in shape if n != 1]) > it.AXES or not _plain(inputs):
            return False
        real = _common("".join(letter for _, letter in known))
        if real is None or len(steps) > it.MOST_REGISTERS:
            return False
        size = int(np.prod(shape, dtype=np.int64))
        key = (tuple(steps), tuple([k for k, _ in outputs]))
        opcodes = [opcode for opcode, _ in known]
        if size > SMALL * self.most_blocks:
            return self._large(key, opcodes, real, inputs, outputs, steps, shape)
        self._make_room(real, len(steps))
        self.groups += 1
        self.alone = run if not self.rows and not self._cold(key) else None
        first = len(inputs)
        kept = dict(outputs)
        scratch = self.device.empty(spec_of((len(steps) * size,), self.real or real))
        self.held += [scratch.block, *[a.block for _, a in outputs], *_blocks(inputs)]
        places = [_place(x, shape, real) for x in inputs]
        dense = spec_of(shape, real).strides
        for k, (opcode, step) in enumerate(zip(opcodes, steps, strict=True)):
            target = kept.get(first + k)
            if target is None:
                places.append((scratch.address + k * size * real.itemsize, it.REAL, dense))
            else:
                places.append(_place(target, shape, real))
            self.rows.append(_row(opcode, *_merged([*[places[p] for p in step.operands], places[-1]], shape), size))
        return True

    def _cold(self, key: Any) -> bool:
        """Whether a group is new: it is counted."""
        heat = self.device.heat
        heat[key] += 1
        return heat[key] <= self.device.cold_launches

    def _large(
        self, key: Any, opcodes: list, real: np.dtype, inputs: Any, outputs: Any, steps: Any, shape: tuple
    ) -> bool:
        """Interpret a group over a large shape, if it is new."""
        if not self._cold(key):
            return False
        self.settle()
        self.failed = True
        arrays = [_place(x, shape, real) for x in [*inputs, *[array for _, array in outputs]]]
        lengths, arrays = _merged(arrays, shape)  # one order of elements for all rows
        results = dict(zip([k for k, _ in outputs], arrays[len(inputs) :], strict=True))
        places = arrays[: len(inputs)] + [(k, it.REGISTER, ()) for k in range(len(steps))]
        size = int(np.prod(shape, dtype=np.int64))
        for k, (opcode, step) in enumerate(zip(opcodes, steps, strict=True)):
            out = results.get(len(inputs) + k, _NONE)
            self.rows.append(_row(opcode, lengths, [*[places[p] for p in step.operands], out], size))
        self.real = real
        self.held += _blocks(inputs)
        rows, code, held = self._sent()
        kernel = self.device.kernel(interpreter("interpret_elements", real, self.device.driver.max_threads))
        self.device.launch(kernel, size, (size, rows, code.flat(), code.start))
        del held
        self.failed = False
        return True

    def reduction(self, x: Any, made: Any, kept: tuple, gone: tuple, n: int, name: str, identity: Any) -> bool:
        """Take a reduction of a record's name over merged axes, if it is small.

        Parameters
        ----------
        kept, gone : (tuple of int, tuple of int)
            Lengths and steps in elements of the axes that stay and that go.
        """
        real = x.dtype
        outs = made.spec.size
        if real.char not in "df" or made.dtype != real or name not in it.COMBINING:
            return False
        if self._too_large(outs, outs * n) or max(len(kept[0]), len(gone[0])) > it.AXES:
            return False
        self._make_room(real, 1)
        item = real.itemsize
        a = (x.address, it.REAL, tuple([s * item for s in kept[1]]))
        start = (_bits(identity, real), it.NUMBER, ())
        out = (made.address, it.REAL, spec_of(kept[0], real).strides)
        row = _row(it.COMBINING.index(name), *_merged([a, _NONE, start, out], kept[0]), outs)
        self._inner(row, n, gone[0], tuple([s * item for s in gone[1]]), ())
        self.held += [x.block, made.block]
        return True

    def product(self, a: Any, b: Any, made: Any, batch: tuple[int, ...]) -> bool:
        """Take a product of stacks of matrices, if it is small."""
        real = made.dtype
        (m, k), n = a.shape[-2:], b.shape[-1]
        shape = (*batch, m, n)
        if real.char not in "df" or len([w for w in shape if w != 1]) > it.AXES:
            return False
        if self._too_large(made.spec.size, made.spec.size * k):
            return False
        self._make_room(real, 1)
        left, right = a.spec.strides, b.spec.strides
        over = broadcast_steps(a.shape[:-2], left[:-2], batch)
        under = broadcast_steps(b.shape[:-2], right[:-2], batch)
        operands = [
            (a.address, it.REAL, (*over, left[-2], 0)),
            (b.address, it.REAL, (*under, 0, right[-1])),
            (_bits(0.0, real), it.NUMBER, ()),
            (made.address, it.REAL, spec_of(shape, real).strides),
        ]
        row = _row(it.COMBINING.index("add"), *_merged(operands, shape), made.spec.size)
        self._inner(row, k, (k,), (left[-1],), (right[-2],))
        self.held += [a.block, b.block, made.block]
        return True

    def _too_large(self, outs: int, work: int) -> bool:
        return outs > SMALL * self.most_blocks or work > MOST_WORK * self.most_blocks

    def _inner(self, row: np.ndarray, n: int, lengths: tuple, steps: tuple, others: tuple) -> None:
        """Complete a row that combines over inner places."""
        row[it.INNER], row[it.INNER_AXES] = n, len(lengths)
        _fill(row, it.INNER_LENGTHS, lengths[1:], 1, it.AXES - 1)
        _fill(row, it.STEPS_A, steps, 0, it.AXES)
        _fill(row, it.STEPS_B, others, 0, it.AXES)
        self.groups += 1
        self.alone = None
        self.rows.append(row)

    def _make_room(self, real: np.dtype, rows: int) -> None:
        """Send what waits if it is of another dtype, or too long."""
        if (self.real is not None and self.real != real) or len(self.rows) + rows > MOST_ROWS:
            self.settle()
        self.real = real

    # --- sending --------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Run what waits."""
        if not self.rows:
            return
        alone = self.alone if self.groups == 1 else None
        self.failed = True
        if alone is not None:
            held = self.held  # the results' memory
            self._clear()
            alone()
        else:
            real, blocks, threads = self.real, self._blocks(), self.device.driver.max_threads
            rows, code, held = self._sent()
            kernel = self.device.kernel(interpreter("interpret", real, threads, blocks > 1))
            self.device.launch_blocks(kernel, (blocks, 1, 1), (threads, 1, 1), (rows, code.flat(), code.start))
        del held
        self.failed = False

    def _blocks(self) -> int:
        """How many blocks of threads are to share the program."""
        threads = self.device.driver.max_threads
        work = max(int(row[it.SIZE] * max(row[it.INNER], 1)) for row in self.rows)
        return 1 if work <= LAPS * threads else min(self.most_blocks, -(-work // threads))

    def _sent(self) -> tuple[int, Any, list]:
        """Number of rows, where they are on the device, and what must live until they have been run."""
        rows = np.stack(self.rows)
        held = self.held
        self._clear()
        code = self.device.empty(spec_of((rows.size,), _INT))
        starts = code.address + 8 * it.ROW * np.arange(len(rows))
        for k, at in enumerate((it.A, it.B, it.C)):
            chosen = rows[:, at + 1] == it.NUMBER
            bits = rows[chosen, at].copy()
            rows[chosen, it.NUMBERS + k] = bits
            rows[chosen, at] = starts[chosen] + 8 * (it.NUMBERS + k)
            rows[chosen, at + 1] = it.REAL
        self.device.send(code, rows.reshape(-1))
        return len(rows), code, held


def _common(letters: str) -> np.dtype | None:
    """The real dtype of several steps; double where none has any."""
    kinds = set(letters)
    return np.dtype(kinds.pop() if kinds else "d") if len(kinds) < 2 else None


def _plain(inputs: Sequence[Any]) -> bool:
    return all(x.dtype.char in "df?" for x in inputs)


def _blocks(inputs: Sequence[Any]) -> list:
    return [x.block for x in inputs if not isinstance(x, np.generic)]


def _place(x: Any, shape: tuple, real: np.dtype) -> _Place:
    """An array or number as an operand, or as where a result goes."""
    if isinstance(x, np.generic):
        return _bits(x, real), it.NUMBER, ()
    kind = it.BYTE if x.dtype.char == "?" else it.REAL
    return x.address, kind, broadcast_steps(x.shape, x.spec.strides, shape)


def _bits(number: Any, real: np.dtype) -> int:
    """A number as it stands in a word."""
    word = np.zeros(8 // real.itemsize, real)
    word[0] = number
    return int(word.view(_INT)[0])


def _merged(places: list[_Place], shape: tuple) -> tuple[tuple[int, ...], list[_Place]]:
    """Lengths of few axes instead of a shape's, and operands with their steps along them; the last is the result."""
    stepping = [k for k, (_, kind, _) in enumerate(places) if kind in (it.REAL, it.BYTE)]
    lengths, merged = layout(shape, [places[k][2] for k in stepping])
    found = list(places)
    for k, steps in zip(stepping, merged, strict=True):
        found[k] = (*places[k][:2], steps)
    return lengths, found


def _row(opcode: int, lengths: tuple, places: list[_Place], size: int) -> np.ndarray:
    """An elementwise row; the last place is where its result goes."""
    row = np.zeros(it.ROW, _INT)
    row[it.OP], row[it.SIZE], row[it.INNER], row[it.AXES_HERE] = opcode, size, -1, len(lengths)
    _fill(row, it.LENGTHS, lengths[1:], 1, it.AXES - 1)
    for at, (address, kind, steps) in zip((it.A, it.B, it.C), places[:-1], strict=False):
        row[at], row[at + 1] = address, kind
        _fill(row, at + 2, steps, 0, it.AXES)
    address, kind, steps = places[-1]
    row[it.Y], row[it.Y + 1] = address, kind
    _fill(row, it.Y + 2, steps, 0, it.AXES)
    return row


def _fill(row: np.ndarray, at: int, values: tuple, rest: int, count: int) -> None:
    row[at : at + count] = (*values, *[rest] * (count - len(values)))
