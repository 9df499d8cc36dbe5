"""Numbers in LLVM's text, scalars or with a value for each lane, and the instructions on them."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...vm.simd import vector_function

__all__ = ["IN_MEMORY", "NEUTRAL", "SCALAR", "SUFFIX", "Instructions", "Known", "Number", "Text"]

SCALAR = {"d": "double", "f": "float", "?": "i1", "l": "i64"}
IN_MEMORY = {"d": "double", "f": "float", "?": "i8", "l": "i64"}
SUFFIX = {"d": "f64", "f": "f32"}
NEUTRAL = {"add": 0.0, "maximum": -math.inf, "minimum": math.inf}
"""What folding begins with."""


class Number(NamedTuple):
    """An LLVM value.

    Attributes
    ----------
    text : str
        A register, or a literal.
    char : str
        Type character of the dtype.
    wide : bool
        Whether it has a value for each lane.
    """

    text: str
    char: str
    wide: bool


class Text:
    """A function's lines, and what the module declares."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.lines: list[str] = []
        self.declared: set[str] = set()
        self.count = 0

    def name(self) -> str:
        """A register of its own."""
        self.count += 1
        return f"%r{self.count}"

    def set(self, instruction: str) -> str:
        """Write an instruction; returns its register."""
        register = self.name()
        self.lines.append(f"  {register} = {instruction}")
        return register

    def at_entry(self, instruction: str) -> str:
        """Write an instruction to the function's beginning."""
        register = self.name()
        self.first.append(f"  {register} = {instruction}")
        return register


@dataclass
class Known:
    """Registers that can be used again: what was loaded, scalars in all lanes, pointers to indexed places."""

    loads: dict[tuple, Number] = field(default_factory=dict)
    splats: dict[str, str] = field(default_factory=dict)
    pointers: dict[tuple, list[str]] = field(default_factory=dict)

    def copy(self) -> Known:
        """The same, to be added to apart."""
        return Known(dict(self.loads), dict(self.splats), dict(self.pointers))


class Instructions:
    """What can be computed of numbers, `width` lanes at a time.

    Attributes
    ----------
    text : Text
        Where the instructions go.
    width : int
        Lanes in a number that is wide; 0 if there are none.
    known : Known
    is_exact : bool
        Whether products and sums are rounded apart, as NumPy's are.
    """

    def __init__(self, text: Text, width: int):
        self.text, self.width = text, width
        self.known = Known()
        self.is_exact = False

    # --- literals --------------------------------------------------------------------------------------------------

    def zero(self, char: str) -> Number:
        """A zero where nothing was placed."""
        return Number("zeroinitializer", char, False)

    def is_zero(self, x: Number) -> bool:
        """Whether a number is one of those."""
        return x.text == "zeroinitializer"

    def constant(self, value: float, char: str) -> Number:
        """A literal."""
        if char in "?l":
            return Number(str(int(value)), char, False)
        if char == "f":
            value = float(np.float32(value))
        return Number(f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}", char, False)

    def literal(self, x: Number) -> float | None:
        """The value of a literal."""
        if x.char not in "df" or not x.text.startswith("0x"):
            return None
        return struct.unpack("<d", struct.pack("<Q", int(x.text, 16)))[0]

    # --- instructions ----------------------------------------------------------------------------------------------

    def scalar(self, char: str) -> str:
        """LLVM's type of one number in memory."""
        return IN_MEMORY[char]

    def size_of(self, char: str) -> int:
        """Its bytes."""
        return np.dtype(char).itemsize

    def _kind(self, scalar: str, wide: bool) -> str:
        return f"<{self.width} x {scalar}>" if wide else scalar

    def kind(self, x: Number) -> str:
        """LLVM's type of a number."""
        return self._kind(SCALAR[x.char], x.wide)

    def shown(self, x: Number) -> str:
        """A number as an operand."""
        if x.text == "zeroinitializer" and not x.wide:
            return "0x0000000000000000" if x.char in "df" else "0"
        return x.text

    def widened(self, x: Number) -> Number:
        """A number with a value for each lane."""
        if x.wide or not self.width:
            return x
        if self.is_zero(x):
            return Number("zeroinitializer", x.char, True)
        found = self.known.splats.get(x.text + x.char)
        if found is None:
            scalar, vector = SCALAR[x.char], self._kind(SCALAR[x.char], True)
            if x.text.startswith("%"):
                one = self.text.set(f"insertelement {vector} poison, {scalar} {x.text}, i64 0")
                found = self.text.set(
                    f"shufflevector {vector} {one}, {vector} poison, <{self.width} x i32> zeroinitializer"
                )
            else:
                found = f"splat ({scalar} {x.text})"
            self.known.splats[x.text + x.char] = found
        return Number(found, x.char, True)

    def _alike(self, numbers: tuple[Number, ...]) -> list[Number]:
        if any(x.wide for x in numbers):
            return [self.widened(x) for x in numbers]
        return list(numbers)

    def arithmetic(self, name: str, x: Number, y: Number) -> Number:
        """Add, sub, mul or div."""
        x, y = self._alike((x, y))
        how = name
        if x.char in "df":
            how = f"f{name}" if self.is_exact else f"f{name} contract"
        return x._replace(text=self.text.set(f"{how} {self.kind(x)} {self.shown(x)}, {self.shown(y)}"))

    def bitwise(self, name: str, x: Number, y: Number) -> Number:
        """And, or, xor."""
        x, y = self._alike((x, y))
        return x._replace(text=self.text.set(f"{name} {self.kind(x)} {self.shown(x)}, {self.shown(y)}"))

    def negate(self, x: Number) -> Number:
        """The negative."""
        if self.is_zero(x):
            return x
        if x.char in "df":
            return x._replace(text=self.text.set(f"fneg {self.kind(x)} {self.shown(x)}"))
        return self.arithmetic("sub", self.constant(0, x.char), x)

    def compare(self, name: str, x: Number, y: Number) -> Number:
        """A comparison, ``'olt'`` or ``'slt'``, say."""
        x, y = self._alike((x, y))
        how = f"fcmp {name}" if x.char in "df" else f"icmp {name}"
        return Number(self.text.set(f"{how} {self.kind(x)} {self.shown(x)}, {self.shown(y)}"), "?", x.wide)

    def select(self, condition: Number, x: Number, y: Number) -> Number:
        """The first where the condition is true, else the second."""
        condition, x, y = self._alike((condition, x, y))
        operands = f"{self.kind(condition)} {self.shown(condition)}, {self.kind(x)} {self.shown(x)}"
        return x._replace(text=self.text.set(f"select {operands}, {self.kind(y)} {self.shown(y)}"))

    def cast(self, name: str, x: Number, char: str) -> Number:
        """A conversion."""
        to = Number("", char, x.wide)
        return to._replace(text=self.text.set(f"{name} {self.kind(x)} {self.shown(x)} to {self.kind(to)}"))

    def intrinsic(self, name: str, *numbers: Number) -> Number:
        """One of LLVM's functions."""
        numbers = tuple(self._alike(numbers))
        kind = self.kind(numbers[0])
        suffix = (f"v{self.width}" if numbers[0].wide else "") + SUFFIX[numbers[0].char]
        return numbers[0]._replace(text=self._called(f"@llvm.{name}.{suffix}", kind, numbers))

    def call(self, name: str, *numbers: Number) -> Number:
        """A function of the C library, or of its vector library."""
        numbers = tuple(self._alike(numbers))
        char = numbers[0].char
        if not numbers[0].wide:
            return numbers[0]._replace(text=self._called(f"@{name}{'f' * (char == 'f')}", SCALAR[char], numbers))
        found = vector_function(name, char)
        assert found is not None, name
        address, lanes = found
        parts = [self._call_part(address, lanes, first, numbers) for first in range(0, self.width, lanes)]
        return numbers[0]._replace(text=self.joined(parts, lanes, SCALAR[char]))

    def _called(self, symbol: str, kind: str, numbers: tuple[Number, ...]) -> str:
        self.text.declared.add(f"declare {kind} {symbol}({', '.join([kind] * len(numbers))})")
        return self.text.set(f"call {kind} {symbol}({', '.join(f'{kind} {self.shown(x)}' for x in numbers)})")

    def _call_part(self, address: int, lanes: int, first: int, numbers: tuple[Number, ...]) -> str:
        """A vector function of lanes from `first` on; those that are not there are ones."""
        scalar, arguments = SCALAR[numbers[0].char], []
        part, whole = f"<{lanes} x {scalar}>", f"<{self.width} x {scalar}>"
        for x in numbers:
            register = self.shown(x)
            if self.width != lanes:
                ones = f"splat ({scalar} 0x3FF0000000000000)"
                mask = ", ".join(f"i32 {k if k < self.width else self.width}" for k in range(first, first + lanes))
                register = self.text.set(f"shufflevector {whole} {register}, {whole} {ones}, <{lanes} x i32> <{mask}>")
            arguments.append(f"{part} {register}")
        return self.text.set(f"call {part} inttoptr (i64 {address} to ptr)({', '.join(arguments)})")

    def joined(self, parts: list[str], lanes: int, scalar: str) -> str:
        """Vectors of some lanes, as one of all."""
        while len(parts) > 1:
            both = f"<{lanes} x {scalar}>"
            mask = ", ".join(f"i32 {k}" for k in range(2 * lanes))
            pairs = []
            for a, b in zip(parts[::2], [*parts[1::2], "poison"][: (len(parts) + 1) // 2], strict=True):
                pairs.append(self.text.set(f"shufflevector {both} {a}, {both} {b}, <{2 * lanes} x i32> <{mask}>"))
            parts, lanes = pairs, 2 * lanes
        if lanes == self.width:
            return parts[0]
        both, mask = f"<{lanes} x {scalar}>", ", ".join(f"i32 {k}" for k in range(self.width))
        return self.text.set(f"shufflevector {both} {parts[0]}, {both} poison, <{self.width} x i32> <{mask}>")

    def over_lanes(self, combine: str, x: Number) -> str:
        """All lanes folded into one."""
        if not x.wide:
            return self.shown(x)
        scalar, kind = SCALAR[x.char], self.kind(x)
        if combine == "add":
            name, start, how = "fadd", f"{scalar} 0x8000000000000000, ", "reassoc "
        else:
            name, start, how = f"f{combine}", "", ""
        symbol = f"@llvm.vector.reduce.{name}.v{self.width}{SUFFIX[x.char]}"
        self.text.declared.add(f"declare {scalar} {symbol}({f'{scalar}, ' if start else ''}{kind})")
        return self.text.set(f"call {how}{scalar} {symbol}({start}{kind} {self.shown(x)})")
