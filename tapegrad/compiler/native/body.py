"""What rules write to: the rows' numbers, and where they stand in memory."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import numpy as np

from ...tape.memory import address_of
from ...vm.kernels import faults
from .functions import FUNCTIONS
from .graph import MOST_LITERALS, Graph, Row, offset_of
from .instructions import IN_MEMORY, SCALAR, Instructions, Known, Number, Text
from .rules import WHOLE
from .squares import LEAST, load_square, side_at, store_square

__all__ = ["Body"]

FAULTS_ADDRESS = faults.ctypes.data
"""Where indices that are out of range are counted."""


class Body(Instructions):
    """Rows of one number of lanes, `width` of them at a time.

    Attributes
    ----------
    lane : str
        Register with the first lane's place.
    made : dict
        By slot and byte offset, the numbers that rows have made.
    homes : object or None
        Finds where values of loops are kept (see `loops`).
    loop : object or None
        The loop that is being written (see `loops`), in which negative slots are its operands.
    writes_out : bool
        Whether functions that can be are written out (see `layout`).
    rounds : str or None
        In a function of many rounds, the register with the first lane's place at its beginning.
    """

    def __init__(self, text: Text, graph: Graph, memory: Any, stored: set[int], width: int, lane: str, size: int = 8):
        super().__init__(text, width)
        self.graph, self.memory, self.stored, self.lane = graph, memory, stored, lane
        self.cell_bytes = max(width, 1) * size
        self.made: dict[int, dict[int, Number]] = {}
        self.homes: Any = None
        self.loop: Any = None
        self.reductions: list[tuple] = []
        self.rounds: str | None = None
        self.writes_out = False
        self.carries: list[tuple[Row, str, int, int]] = []
        self.apart: dict[tuple[int, int], dict[int, Number]] = {}

    # --- values ----------------------------------------------------------------------------------------------------

    def spec(self, slot: int) -> Any:
        """Type of a slot's value."""
        return self.graph.spec(slot if slot >= 0 else self.loop.operands[slot].slot)

    def read(self, slot: int, axis: int | None, index: tuple[int, ...]) -> Number:
        """An element of an operand: the one at hand, or from memory."""
        if slot < 0:
            return self.loop.read(self.loop.operands[slot], axis, index)
        root, spec = self.graph.root(slot), self.graph.spec(slot)
        at = self.graph.shift(slot) + offset_of(index, spec.strides)
        if root in self.made or (self.homes is not None and self.homes.find(root) is not None):
            return self.element(root, at)
        constant = self.graph.constants.get(root)
        stride = 0 if axis is None else spec.dtype.itemsize if axis == WHOLE else spec.strides[axis]
        if constant is not None and constant.size <= MOST_LITERALS and stride == 0:
            return self._literal_of(constant, at, spec.dtype)
        return self.load(self._address(root), root, at, stride, spec, index)

    def element(self, root: int, at: int) -> Number:
        """An element that a row has made."""
        made = self.made.get(root)
        if made is not None:
            return made[at]
        roll, row, iteration = self.homes.find(root)
        return self.load_cell(roll.cell(row, at, iteration), "", 0, self.graph.spec(root).dtype.char)

    def put(self, row: Row, lane: int | None, index: tuple[int, ...], number: Number) -> None:
        """Note an element of a row's result, and write it to memory if others read it there."""
        at = offset_of(index, row.out.strides)
        self.made.setdefault(row.slot, {})[at] = number
        if row.slot in self.stored:
            stride = 0 if lane is None else row.out.dtype.itemsize if lane == WHOLE else row.out.strides[lane]
            if stride in (0, row.out.dtype.itemsize) or number.char == "?":
                self._store(row.slot, at, stride, number)
            else:
                self.apart.setdefault((row.slot, stride), {})[at] = number

    def flush(self) -> None:
        """Write to memory what rows have put in places that lie apart for the lanes: squares where there are some."""
        for (slot, stride), numbers in self.apart.items():
            size, places = np.dtype(self.spec(slot).dtype).itemsize, sorted(numbers)
            while places:
                count = next((k for k, at in enumerate(places) if at != places[0] + k * size), len(places))
                run, places = places[:count], places[count:]
                while len(run) >= LEAST:
                    side, _ = side_at(0, len(run))
                    square = [numbers[at] for at in run[:side]]
                    pointer = self._pointer(self._address(slot), run[0], stride)
                    store_square(self, pointer, stride, square[0].char, [self.shown(self.widened(x)) for x in square])
                    rest = run[side:]
                    run = run[-LEAST:] if 0 < len(rest) < LEAST else rest
                for at in run:
                    self._store(slot, at, stride, numbers[at])
        self.apart.clear()

    def reduce(self, row: Row, index: tuple[int, ...], number: Number, combine: str, count: int) -> None:
        """Fold an element over all lanes; the result is there when all lanes are through."""
        at, number = offset_of(index, row.out.strides), self.widened(number)
        if self.loop is None:
            self.reductions.append((row, at, number, combine, count))
            return
        place = self.moved(self._address(row.slot), at)
        whole = number._replace(text=self.text.set(f"load {SCALAR[number.char]}, ptr {place}"), wide=False)
        part = whole._replace(text=self.over_lanes(combine, number))
        self._store_at(place, FUNCTIONS[combine](self, whole, part))

    # --- loops -----------------------------------------------------------------------------------------------------

    @contextmanager
    def counting(self, count: int) -> Iterator[str]:
        """What is written within is a loop of so many rounds: gives the round's number."""
        text, before = self.text, self.text.lines
        counter, label = text.at_entry("alloca i64, align 8"), text.name()[1:]
        before.append(f"  store i64 0, ptr {counter}")
        text.lines = [f"  br label %{label}", f"{label}:"]
        number = text.set(f"load i64, ptr {counter}")
        yield number
        following = text.set(f"add i64 {number}, 1")
        more = text.set(f"icmp ult i64 {following}, {count}")
        text.lines += [f"  store i64 {following}, ptr {counter}", f"  br i1 {more}, label %{label}, label %{label}.end"]
        before += [*text.lines, f"{label}.end:"]
        text.lines = before

    def _cell(self, cell: int, count: str, step: int) -> str:
        """Pointer to a cell, `step` cells further on for each of `count`."""
        pointer = self.memory.scratch
        if step:
            far = self.text.set(f"mul i64 {count}, {step * self.cell_bytes}")
            pointer = self.text.set(f"getelementptr i8, ptr {pointer}, i64 {far}")
        return self.moved(pointer, cell * self.cell_bytes)

    def store_cell(self, cell: int, count: str, step: int, number: Number) -> None:
        """Keep a number."""
        self._store_at(self._cell(cell, count, step), self.widened(number))

    def load_cell(self, cell: int, count: str, step: int, char: str) -> Number:
        """A number that was kept."""
        key = "cell", cell, count, step
        found = self.known.loads.get(key)
        if found is None:
            found = self.known.loads[key] = self.load_number(self._cell(cell, count, step), char)
        return found

    def room(self, char: str, count: int) -> list[str]:
        """Places on the stack, that is, registers."""
        kind = self._kind(IN_MEMORY[char], bool(self.width))
        return [self.text.at_entry(f"alloca {kind}, align 64") for _ in range(count)]

    def store_number(self, place: str, number: Number) -> None:
        """Put a number there."""
        self._store_at(place, self.widened(number))

    def load_number(self, place: str, char: str) -> Number:
        """The number there."""
        wide = bool(self.width)
        found = self.load_at(place, self._kind(IN_MEMORY[char], wide), np.dtype(char).itemsize, False)
        return self._from_memory(found, char, wide)

    # --- places that are known only when the code runs -------------------------------------------------------------

    def note_fault(self, inside: Number) -> None:
        """Count a fault if an index is not inside, in any lane."""
        outside = self.bitwise("xor", inside, self.constant(1, "?"))
        register = outside.text
        if outside.wide:
            symbol = f"@llvm.vector.reduce.or.v{self.width}i1"
            self.text.declared.add(f"declare i1 {symbol}({self.kind(outside)})")
            register = self.text.set(f"call i1 {symbol}({self.kind(outside)} {outside.text})")
        pointer = f"inttoptr (i64 {FAULTS_ADDRESS} to ptr)"
        more = self.text.set(f"zext i1 {register} to i64")
        count = self.text.set(f"load i64, ptr {pointer}")
        self.text.lines.append(f"  store i64 {self.text.set(f'add i64 {count}, {more}')}, ptr {pointer}")

    def _lane_pointers(self, base: str, strides: tuple[int, ...], numbers: list[Number]) -> list[str]:
        """A pointer for each lane (one, if the indices are the same for all)."""
        total = self.constant(0, "l")
        for x, stride in zip(numbers, strides, strict=False):
            total = self.arithmetic("add", total, self.arithmetic("mul", x, self.constant(stride, "l")))
        if not total.wide:
            return [self.text.set(f"getelementptr i8, ptr {base}, i64 {total.text}")]
        found = []
        for k in range(self.width):
            offset = self.text.set(f"extractelement {self.kind(total)} {total.text}, i64 {k}")
            found.append(self.text.set(f"getelementptr i8, ptr {base}, i64 {offset}"))
        return found

    def _pointers(self, slot: int, numbers: list[Number], at: int, stride: int) -> list[str]:
        key = slot, at, stride, *[x.text for x in numbers]
        found = self.known.pointers.get(key)
        if found is None:
            base = self._pointer(self._address(self.graph.root(slot)), at, stride)
            strides = self.graph.spec(slot).strides
            found = self.known.pointers[key] = self._lane_pointers(base, strides, numbers)
        return found

    def read_at(self, slot: int, axis: int | None, numbers: list[Number], inner: tuple[int, ...]) -> Number:
        """An element of an operand in memory at indices into its first axes, and at `inner` in the others."""
        slot = slot if slot >= 0 else self.loop.operands[slot].slot
        spec = self.graph.spec(slot)
        at = self.graph.shift(slot) + offset_of(inner, spec.strides[len(numbers) :])
        stride = 0 if axis is None else spec.strides[axis]
        shift = self.graph.shift(slot)
        pointers = self._pointers(slot, numbers, shift, 0) if not stride else None
        char, size = spec.dtype.char, spec.dtype.itemsize
        again = self.memory.never_written(self.graph.root(slot))
        if pointers is None:  # lanes along another axis than the indices'
            base = self._pointers(slot, numbers, shift, stride)[0]
            return self._load_lanes(self.moved(base, at - shift), stride, char, size, again)
        if len(pointers) == 1:
            place = self.moved(pointers[0], at - shift)
            return self._from_memory(self.load_at(place, IN_MEMORY[char], size, again), char, False)
        elements = [self.load_at(self.moved(p, at - shift), IN_MEMORY[char], size, again) for p in pointers]
        return self._from_memory(self._packed(elements, char), char, True)

    def clear(self, row: Row, first: int, stop: int) -> None:
        """Set bytes of a result to zero, in memory."""
        self.text.declared.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        pointer = self.moved(self.memory.address(row.slot), first)
        self.text.lines.append(f"  call void @llvm.memset.p0.i64(ptr {pointer}, i8 0, i64 {stop - first}, i1 false)")

    def put_shifted(self, row: Row, windows: list[tuple[int, Number]]) -> None:
        """Add up numbers for each lane in memory, each so many bytes on.

        Bytes before the last window's begin are sums already, of lanes before; those behind it are not set yet.
        """
        windows = sorted(windows, key=itemgetter(0), reverse=True)
        size = row.out.dtype.itemsize
        if self.rounds is not None and windows[0][0] - windows[-1][0] <= self.width * size:
            self._put_aligned(row, windows, size)
            return
        for k, (at, x) in enumerate(windows):
            if k:
                x = FUNCTIONS["add"](self, self._load(self._address(row.slot), row.slot, at, size, row.out.dtype), x)
            self._store(row.slot, at, size, x)

    def _put_aligned(self, row: Row, windows: list[tuple[int, Number]], size: int) -> None:
        """The same in a loop: what lies beyond a round's lanes is carried to the next one in a register."""
        first, char = windows[-1][0], row.out.dtype.char
        reach = (windows[0][0] - first) // size
        kind, carried, zero = self._kind(SCALAR[char], True), [], Number("zeroinitializer", char, True)
        assert self.rounds is not None
        (place,) = self.room(char, 1)
        self.carries.append((row, place, first, reach))
        sums = [self.load_number(place, char)]
        for at, x in windows:
            x, shift = self.widened(x), (at - first) // size
            if shift:
                carried.append(self._shuffled(x, zero, self.width - shift, kind))
            sums.append(self._shuffled(zero, x, self.width - shift, kind) if shift else x)
        self._store(row.slot, first, size, self._sum(sums))
        self.store_number(place, self._sum(carried or [zero]))

    def _sum(self, numbers: list[Number]) -> Number:
        return functools.reduce(functools.partial(FUNCTIONS["add"], self), numbers)

    def _shuffled(self, x: Number, y: Number, first: int, kind: str) -> Number:
        """The lanes of both, from one of them on."""
        mask = ", ".join(f"i32 {k}" for k in range(first, first + self.width))
        operands = f"{kind} {x.text}, {kind} {y.text}"
        return x._replace(text=self.text.set(f"shufflevector {operands}, <{self.width} x i32> <{mask}>"))

    def begin_carries(self) -> None:
        """At the function's beginning: sums of lanes before, from memory."""
        lines, self.text.lines = self.text.lines, self.text.first
        lane, self.lane, known, self.known = self.lane, self.rounds or "0", self.known, Known()
        for row, place, first, reach in self.carries:
            self.store_number(place, Number("zeroinitializer", row.out.dtype.char, True))
            if reach:
                self._copy(self._carry_pointer(row, first), place, row, reach)
        self.text.lines, self.lane, self.known = lines, lane, known

    def end_carries(self, lane: str) -> None:
        """At its end: sums that later lanes are to be added to, to memory."""
        self.lane = lane
        for row, place, first, reach in self.carries:
            if reach:
                self._copy(place, self._carry_pointer(row, first), row, reach)

    def _carry_pointer(self, row: Row, first: int) -> str:
        return self._pointer(self._address(row.slot), first, row.out.dtype.itemsize)

    def _copy(self, source: str, target: str, row: Row, count: int) -> None:
        kind, size = f"<{count} x {SCALAR[row.out.dtype.char]}>", row.out.dtype.itemsize
        found = self.load_at(source, kind, size, False)
        self.text.lines.append(f"  store {kind} {found}, ptr {target}, align {size}")

    def add_at(self, row: Row, numbers: list[Number], inner: tuple[int, ...], x: Number) -> None:
        """Add a number to a result in memory, lane by lane."""
        at = offset_of(inner, row.out.strides[len(numbers) :])
        x = self.widened(x)
        scalar, size = SCALAR[x.char], row.out.dtype.itemsize
        pointers = self._pointers(row.slot, numbers, 0, 0)
        for k in range(self.width or 1):
            place = self.moved(pointers[k if len(pointers) > 1 else 0], at)
            new = self.text.set(f"extractelement {self.kind(x)} {self.shown(x)}, i64 {k}") if x.wide else self.shown(x)
            old = self.text.set(f"load {scalar}, ptr {place}, align {size}")
            self.text.lines.append(f"  store {scalar} {self.text.set(f'fadd {scalar} {old}, {new}')}, ptr {place}")

    def moved(self, pointer: str, at: int) -> str:
        """A pointer so many bytes on."""
        return self.text.set(f"getelementptr i8, ptr {pointer}, i64 {at}") if at else pointer

    # --- memory ----------------------------------------------------------------------------------------------------

    def _address(self, root: int) -> str:
        """Pointer to a value's first element."""
        return self.memory.address(root) if self.loop is None else self.loop.address(root)

    def _pointer(self, base: str, at: int, stride: int) -> str:
        if stride:
            step = f"mul i64 {self.lane}, {stride}"
            base = self.text.set(f"getelementptr i8, ptr {base}, i64 {self.text.set(step)}")
        return self.text.set(f"getelementptr i8, ptr {base}, i64 {at}") if at else base

    def load(self, base: str, root: int, at: int, stride: int, spec: Any, index: tuple[int, ...]) -> Number:
        """An element in memory, or one for each lane, `stride` bytes apart; `index` is its place in the operand."""
        key = base, at, stride
        found = self.known.loads.get(key)
        if found is None:
            size = spec.dtype.itemsize
            inner = next((d for d, step in enumerate(spec.strides) if step == size and spec.shape[d] >= LEAST), None)
            if stride in (0, size) or inner is None or spec.dtype.char == "?":
                found = self.known.loads[key] = self._load(base, root, at, stride, spec.dtype)
            else:
                found = self._load_square(base, root, at, stride, spec, inner, index[inner])
        return found

    def _literal_of(self, constant: np.ndarray, at: int, dtype: np.dtype) -> Number:
        found = np.frombuffer(ctypes.string_at(address_of(constant) + at, dtype.itemsize), dtype)[0]
        return self.constant(found, dtype.char)

    def _load_square(self, base: str, root: int, at: int, stride: int, spec: Any, inner: int, place: int) -> Number:
        """Elements that lie together with one, for all lanes; returns that one."""
        char, size = spec.dtype.char, spec.dtype.itemsize
        side, within = side_at(place, spec.shape[inner])
        pointer = self._pointer(base, at - within * size, stride)
        square = load_square(self, pointer, stride, char, side, self.memory.never_written(root))
        for k, register in enumerate(square):
            self.known.loads.setdefault((base, at + (k - within) * size, stride), Number(register, char, True))
        return self.known.loads[base, at, stride]

    def _load(self, base: str, root: int, at: int, stride: int, dtype: np.dtype) -> Number:
        char, size = dtype.char, dtype.itemsize
        pointer = self._pointer(base, at, stride)
        again = self.memory.never_written(root)
        if stride == 0:
            return self._from_memory(self.load_at(pointer, IN_MEMORY[char], size, again), char, False)
        return self._load_lanes(pointer, stride, char, size, again)

    def _load_lanes(self, pointer: str, stride: int, char: str, size: int, again: bool) -> Number:
        if stride == size:
            vector = self.load_at(pointer, f"<{self.width} x {IN_MEMORY[char]}>", size, again)
            return self._from_memory(vector, char, True)
        places = [self.moved(pointer, k * stride) for k in range(self.width)]
        elements = [self.load_at(place, IN_MEMORY[char], size, again) for place in places]
        return self._from_memory(self._packed(elements, char), char, True)

    def _packed(self, elements: list[str], char: str) -> str:
        """Numbers from memory, one for each lane, as a vector."""
        vector, scalar = "poison", IN_MEMORY[char]
        for k, element in enumerate(elements):
            vector = self.text.set(f"insertelement <{self.width} x {scalar}> {vector}, {scalar} {element}, i64 {k}")
        return vector

    def load_at(self, pointer: str, kind: str, align: int, again: bool) -> str:
        """What a pointer leads to, of a type of LLVM's."""
        return self.text.set(f"load {kind}, ptr {pointer}, align {align}{', !invariant.load !0' if again else ''}")

    def _from_memory(self, register: str, char: str, wide: bool) -> Number:
        if char == "?":
            zero = "zeroinitializer" if wide else "0"
            register = self.text.set(f"icmp ne {self._kind(IN_MEMORY[char], wide)} {register}, {zero}")
        return Number(register, char, wide)

    def _store(self, slot: int, at: int, stride: int, number: Number) -> None:
        if stride:
            number = self.widened(number)
        pointer, size = self._pointer(self._address(slot), at, stride), np.dtype(number.char).itemsize
        if stride in (0, size):
            self._store_at(pointer, number)
            return
        kind, register = self._in_memory(number)
        for k in range(self.width):
            place = self.moved(pointer, k * stride)
            element = self.text.set(f"extractelement {kind} {register}, i64 {k}")
            self.text.lines.append(f"  store {IN_MEMORY[number.char]} {element}, ptr {place}, align {size}")

    def _in_memory(self, number: Number) -> tuple[str, str]:
        """Type and register of a number as memory has it."""
        kind, register = self._kind(IN_MEMORY[number.char], number.wide), self.shown(number)
        if number.char == "?":
            register = self.text.set(f"zext {self.kind(number)} {register} to {kind}")
        return kind, register

    def _store_at(self, pointer: str, number: Number) -> None:
        kind, register = self._in_memory(number)
        size = np.dtype(number.char).itemsize
        self.text.lines.append(f"  store {kind} {register}, ptr {pointer}, align {size}")
