"""Compiled functions from outside: their rows, as text and as data, and where their time goes.

Listings, drawings and reports are made from `rows_of` and `Profile`; nothing else here knows how programs are kept.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tape.site import describe
from ..tape.spec import Spec
from ..vm import opcodes as op
from .listing import short
from .work import operations

if TYPE_CHECKING:
    from ..compiler.recorded import Program

__all__ = ["Profile", "ProgramRow", "Timing", "list_program", "rows_of"]

_QUIET = ("strides", "base_strides", "label")


@dataclass(frozen=True)
class ProgramRow:
    """A row of a compiled program.

    Attributes
    ----------
    slot : int
    name : str
        Of its primitive, or ``argument`` or ``constant``.
    text : str
        With operands and attributes.
    operands : tuple of int
        Slots.
    root : int
        The slot whose memory it stands in: its own, unless it is a view or writes in place.
    spec : Spec
        What it computes.
    phase : str
        ``input``, ``forward`` or ``reverse``; ``reverse`` only where that was noted (``lines=True``).
    place : str
        ``file:line`` in the user's code, if that was noted.
    is_result : bool
    traffic : int
        Bytes that it reads and writes.
    operations : float
        Additions and multiplications, roughly.
    """

    slot: int
    name: str
    text: str
    operands: tuple[int, ...]
    root: int
    spec: Spec
    phase: str
    place: str
    is_result: bool
    traffic: int
    operations: float

    @property
    def nbytes(self) -> int:
        """Bytes that its value takes; none for a view."""
        return self.spec.nbytes if self.root == self.slot else 0


def rows_of(program: Program) -> list[ProgramRow]:
    """The rows of a recorded path, in the order in which they run."""
    plan, found = program.rows_plan(), []
    roots: dict[int, int] = {}
    results = set(plan.outputs[: program.count])
    for slot, row in plan.signatures.items():
        given = row.kind == op.IMPORT
        operands = () if given else tuple(plan.sources[slot])
        name = ("argument" if slot in plan.inputs else "constant") if given else row.primitive.name
        roots[slot] = roots[operands[0]] if row.kind in (*op.WITH_OFFSET, op.WRITE) else slot
        late = program.pullbacks is not None and plan.origins[slot] in program.pullbacks
        found.append(
            ProgramRow(
                slot,
                name,
                row_text(plan, slot),
                operands,
                roots[slot],
                row.out.plain,
                "input" if given else "reverse" if late else "forward",
                _place(program, plan, slot),
                slot in results,
                0 if given else _traffic(plan, slot),
                0.0 if given else operations(name, list(row.specs), row.out),
            )
        )
    return found


def row_text(plan: Any, slot: int) -> str:
    """A row's opcode, operands and attributes."""
    row = plan.signatures[slot]
    if row.kind == op.IMPORT:
        return "argument" if slot in plan.inputs else "constant"
    operands = [f"%{k}" for k in plan.sources[slot]]
    attrs = [f"{k}={short(v)}" for k, v in row.attrs.items() if k not in _QUIET]
    return f"{row.primitive.name}({', '.join(operands + attrs)})"


def list_program(program: Program, limit: int = 60) -> str:
    """A recorded path as text: a line a row, with what it is, its type, and the user's line where that was noted."""
    plan = program.rows_plan()
    lines = []
    for slot in plan.signatures:
        marks = "  -> result" if slot in plan.outputs[: program.count] else ""
        line = f"%{slot:<5} = {row_text(plan, slot)}".ljust(52) + f"  {plan.signatures[slot].out.plain!r}"
        place = _place(program, plan, slot)
        lines.append(line.ljust(82) + (f"  {place}" if place else "") + marks)
    if len(lines) > limit:
        half = limit // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} rows ...", *lines[-half:]]
    guards = [f"guard: {g} = {g.shown(v)}" for g, v in zip(program.guards, program.outcomes, strict=True)]
    memory = f"{program.summary()}, {program.plan.memory.nbytes:,} bytes of memory"
    if program.plan.steps:
        memory += "; " + _written(program.plan)
    if program.native_failure is not None:
        memory += f"; no machine code: {program.native_failure!r}"
    return "\n".join([memory, *guards[:20], *lines])


def _written(plan: Any) -> str:
    """How much of a program is machine code, and how many rows that has where loops were found again."""
    rows, steps = int(plan.is_member.sum()), plan.steps.values()
    rolled = sum([len(step.slots) - step.n_written for step in steps])
    text = f"machine code for {rows} rows in {len(steps)} step{'s' * (len(steps) > 1)}"
    return f"{text}, with loops: {rows - rolled} rows are written out" if rolled else text


def _place(program: Program, plan: Any, slot: int) -> str:
    if program.lines is None:
        return ""
    site = program.lines.get(plan.origins[slot])
    if site is None:
        return ""
    return os.path.relpath(describe(site)) if describe(site).startswith(os.getcwd()) else describe(site)


@dataclass
class Timing:
    """What a stretch of a program took.

    Attributes
    ----------
    text : str
        The row; several, where they run together.
    place : str
        ``file:line`` in the user's code.
    seconds : float
    nbytes : int
        Read and written.
    outside : bool
        Whether it leaves the interpreter: Python runs it.
    slots : list of int
        The rows.
    """

    text: str
    place: str
    seconds: float
    nbytes: int
    outside: bool
    slots: list[int] = field(default_factory=list)


@dataclass
class MachineCode:
    """A program's machine code: how long a replay takes, and how many rows it holds, in how many steps."""

    seconds: float
    rows: int
    steps: int

    def __str__(self) -> str:
        return f"{1e6 * self.seconds:.1f} µs a replay, with machine code for {self.rows} rows in {self.steps} steps"


def _machine_code(program: Program, arrays: list[np.ndarray], repeats: int) -> MachineCode | None:
    """Make a program's machine code, if it gets any, and time it."""
    program.make_native()
    if not program.plan.steps:
        return None
    fastest = np.inf
    for _ in range(max(repeats, 1)):
        began = time.perf_counter()
        program.run(arrays)
        fastest = min(fastest, time.perf_counter() - began)
    return MachineCode(float(fastest), int(program.plan.is_member.sum()), len(program.plan.steps))


class Profile:
    """Time and bytes of a compiled function, by row and by line; printed as tables.

    Parameters
    ----------
    program : Program
        Recorded with lines.
    arrays : list of numpy.ndarray
        The arguments.
    repeats : int
    native : bool, default False
        Also make the program's machine code, and time that.

    Attributes
    ----------
    total : float
        Seconds of a replay by the interpreter.
    native : MachineCode or None
        What replays take once it is there.
    timings : list of Timing
        In the order in which rows run.
    """

    def __init__(self, program: Program, arrays: list[np.ndarray], repeats: int, native: bool = False):
        plan = program.rows_plan()
        self.program = program
        self.total = np.inf
        stretches = plan.stretches()
        fastest = [np.inf] * len(stretches)
        for _ in range(max(repeats, 1)):
            began = time.perf_counter()
            program.run(arrays)
            self.total = min(self.total, time.perf_counter() - began)
            results = plan.bind(arrays)
            for k, (_, first, last) in enumerate(stretches):
                began = time.perf_counter()
                plan.run(first, last)
                fastest[k] = min(fastest[k], time.perf_counter() - began)
            del results
        self.native = _machine_code(program, arrays, repeats) if native else None
        self.timings = [
            Timing(
                "; ".join(f"{_name(plan, slot)}" for slot in slots),
                _place(program, plan, slots[0]),
                seconds,
                sum(_traffic(plan, slot) for slot in slots),
                any(_is_outside(plan, slot) for slot in slots),
                list(slots),
            )
            for (slots, _, _), seconds in zip(stretches, fastest, strict=True)
        ]

    def by_line(self) -> list[Timing]:
        """Sums over the rows of each line of the user's code, the slowest first."""
        return self._summed(lambda t: t.place, lambda t, n: f"{n} rows")

    def by_row(self) -> list[Timing]:
        """Sums over rows of the same kind and types, the slowest first."""
        return self._summed(lambda t: t.text, lambda t, n: f"{t.text}" + (f"  x{n}" if n > 1 else ""))

    def _summed(self, key: Callable, text: Callable) -> list[Timing]:
        groups: dict[Any, list[Timing]] = {}
        for t in self.timings:
            groups.setdefault(key(t), []).append(t)
        found = [
            Timing(
                text(g[0], len(g)),
                g[0].place,
                sum(t.seconds for t in g),
                sum(t.nbytes for t in g),
                g[0].outside,
                [slot for t in g for slot in t.slots],
            )
            for g in groups.values()
        ]
        return sorted(found, key=lambda t: -t.seconds)

    def table(self, rows: int = 20) -> str:
        """Both tables, of so many rows each."""
        whole = sum(t.seconds for t in self.timings) or 1.0
        code = f"{self.native}; interpreted " if self.native else ""
        parts = [f"{code}{1e6 * self.total:.1f} µs a replay, {1e6 * whole:.1f} µs row by row; {len(self.timings)} rows"]
        for title, timings in (("by line", self.by_line()), ("by row", self.by_row())):
            parts.append(f"\n{title}:")
            for t in timings[:rows]:
                python = "  (Python)" if t.outside else ""
                label = f"{t.place}  {t.text}" if title == "by line" else t.text
                parts.append(f"{1e6 * t.seconds:10.1f} µs {t.seconds / whole:6.1%} {t.nbytes:14,} B  {label}{python}")
        return "\n".join(parts)

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        from .notebook import profile_html

        return profile_html(self)


def _name(plan: Any, slot: int) -> str:
    row = plan.signatures[slot]
    return f"{row.primitive.name}({', '.join(repr(s.plain) for s in row.specs)}) -> {row.out.plain!r}"


def _traffic(plan: Any, slot: int) -> int:
    """Bytes that a row reads and writes."""
    row = plan.signatures[slot]
    return sum(_distinct(s) for s in (*row.specs, row.out))


def _distinct(spec: Spec) -> int:
    """Bytes of the elements that stand at places of their own."""
    counts = [n for n, s in zip(spec.shape, spec.strides, strict=True) if s]
    return math.prod(counts) * spec.dtype.itemsize if spec.size else 0


def _is_outside(plan: Any, slot: int) -> bool:
    linked = plan.linked.get(plan.signatures[slot].index)
    return linked is not None and bool(linked[2])
