"""Compiled functions as text: their rows, and where their time goes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tape.site import describe
from ..tape.spec import Spec
from ..vm import opcodes as op
from .listing import short

if TYPE_CHECKING:
    from ..compiler.program import Program

__all__ = ["Profile", "Timing", "list_program"]

_QUIET = ("strides", "base_strides", "label")


def row_text(plan: Any, slot: int) -> str:
    """A row's opcode, operands and attributes."""
    row = plan.signatures[slot]
    if row.kind == op.IMPORT:
        return "argument" if slot in plan.inputs else "constant"
    operands = [f"%{k}" for k in plan._operands(slot)]
    attrs = [f"{k}={short(v)}" for k, v in row.attrs.items() if k not in _QUIET]
    return f"{row.primitive.name}({', '.join(operands + attrs)})"


def list_program(program: Program, limit: int = 60) -> str:
    """A recorded path as text: a line a row, with what it is, its type, and the user's line where that was noted."""
    plan = program.plan
    lines = []
    for slot in plan.signatures:
        marks = "  -> result" if slot in plan.outputs[: program.count] else ""
        line = f"%{slot:<5} = {row_text(plan, slot)}".ljust(52) + f"  {plan.signatures[slot].out.plain!r}"
        place = _place(program, slot)
        lines.append(line.ljust(82) + (f"  {place}" if place else "") + marks)
    if len(lines) > limit:
        half = limit // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} rows ...", *lines[-half:]]
    guards = [f"guard: {g} = {g.shown(v)}" for g, v in zip(program.guards, program.outcomes, strict=True)]
    memory = f"{program.summary()}, {plan.memory.nbytes:,} bytes of memory"
    return "\n".join([memory, *guards[:20], *lines])


def _place(program: Program, slot: int) -> str:
    if program.lines is None:
        return ""
    site = program.lines.get(program.plan.origins[slot])
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
    """

    text: str
    place: str
    seconds: float
    nbytes: int
    outside: bool


class Profile:
    """Time and bytes of a compiled function, by row and by line; printed as tables.

    Parameters
    ----------
    program : Program
        Recorded with lines.
    arrays : list of numpy.ndarray
        The arguments.
    repeats : int
    """

    def __init__(self, program: Program, arrays: list[np.ndarray], repeats: int):
        plan = program.plan
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
        self.timings = [
            Timing(
                "; ".join(f"{_name(plan, slot)}" for slot in slots),
                _place(program, slots[0]),
                seconds,
                sum(_traffic(plan, slot) for slot in slots),
                any(_is_outside(plan, slot) for slot in slots),
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
            Timing(text(g[0], len(g)), g[0].place, sum(t.seconds for t in g), sum(t.nbytes for t in g), g[0].outside)
            for g in groups.values()
        ]
        return sorted(found, key=lambda t: -t.seconds)

    def table(self, rows: int = 20) -> str:
        """Both tables, of so many rows each."""
        whole = sum(t.seconds for t in self.timings) or 1.0
        parts = [f"{1e6 * self.total:.1f} µs a replay; {1e6 * whole:.1f} µs row by row, {len(self.timings)} rows"]
        for title, timings in (("by line", self.by_line()), ("by row", self.by_row())):
            parts.append(f"\n{title}:")
            for t in timings[:rows]:
                python = "  (Python)" if t.outside else ""
                label = f"{t.place}  {t.text}" if title == "by line" else t.text
                parts.append(f"{1e6 * t.seconds:10.1f} µs {t.seconds / whole:6.1%} {t.nbytes:14,} B  {label}{python}")
        return "\n".join(parts)

    def __str__(self) -> str:
        return self.table()


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
    return int(np.prod(counts, dtype=np.int64)) * spec.dtype.itemsize if spec.size else 0


def _is_outside(plan: Any, slot: int) -> bool:
    from ..vm.pools import pools

    return bool(pools.table[plan.signatures[slot].index, op.HAS_CALL])
