"""From steps to LLVM's assembly: a function for each step, a loop for each group of rows with the same lanes."""

from __future__ import annotations

from .body import NEUTRAL, SCALAR, Body, Number, Text
from .functions import FUNCTIONS
from .graph import Graph, Row
from .rules import RULES, Axes
from .step import Step

__all__ = ["write_module"]

BLOCK = 256
"""Rounds of a loop whose sums are added up before they go into the whole: rounding errors grow with the rounds."""
LANES = ((48, 32), (200, 16))
"""Elements written for each lane up to which so many lanes are taken at a time: short chains of dependences overlap."""


def write_module(graph: Graph, steps: list[Step], places: dict[int, int], vector_bytes: int) -> str:
    """LLVM assembly with functions ``step_0``, ``step_1`` ...; each takes the address table's address.

    Parameters
    ----------
    graph : Graph
    steps : list of Step
    places : dict
        Where in the address table a slot's address stands.
    vector_bytes : int
        Size of the processor's vectors.
    """
    declared: set[str] = set()
    functions = []
    for k, step in enumerate(steps):
        text = Text()
        memory = _Memory(text, places, step)
        for lanes, rows in step.groups.items():
            _write_group(text, graph, memory, step, lanes, rows, vector_bytes)
        declared |= text.declared
        functions.append(
            "\n".join([f"define void @step_{k}(ptr %table) {{", "entry:", *text.first, *text.lines, "  ret void", "}"])
        )
    return "\n".join([*sorted(declared), *functions, "!0 = !{}", ""])


class _Memory:
    """Where values stand in memory."""

    def __init__(self, text: Text, places: dict[int, int], step: Step):
        self.text, self.places, self.step = text, places, step
        self.known: dict[int, str] = {}

    def address(self, slot: int) -> str:
        """Pointer to a value's first element."""
        found = self.known.get(slot)
        if found is None:
            place = self.text.at_entry(f"getelementptr i64, ptr %table, i64 {self.places[slot]}")
            found = self.known[slot] = self.text.at_entry(f"load ptr, ptr {place}, align 8")
        return found

    def never_written(self, slot: int) -> bool:
        """Whether the step leaves a value as it is."""
        return slot not in self.step.stored


def _write_group(text, graph, memory, step, lanes, rows, vector_bytes):
    for row, _ in rows:
        RULES[row.name].prepare(Body(text, graph, memory, step.stored, 0, "0"), row)
    if lanes == 1:
        _write_rows(Body(text, graph, memory, step.stored, 0, "0"), rows)
        return
    width = _width(graph, rows, lanes, vector_bytes)
    rounds, rest = divmod(lanes, width)
    totals: dict = {}
    if rounds == 1:
        _sum_up(totals, _one_round(text, graph, memory, step, width, "0", rows))
    elif rounds:
        _sum_up(totals, _loop(text, graph, memory, step, width, rounds, rows))
    if rest:
        _sum_up(totals, _one_round(text, graph, memory, step, rest, str(rounds * width), rows))
    _finish(text, graph, memory, totals)


def _write_rows(body: Body, rows: list[tuple[Row, Axes]]) -> Body:
    for row, axes in rows:
        RULES[row.name].emit(body, row, axes)
    return body


def _width(graph, rows, lanes, vector_bytes):
    """Lanes at a time."""
    size = max([s.dtype.itemsize for row, _ in rows for s in (row.out, *map(graph.spec, row.sources)) if s.size > 1])
    one = vector_bytes // max(size, 4)
    if lanes <= 2 * one:
        return lanes
    written = sum(max(row.out.size // lanes, 1) for row, _ in rows)
    return next((wide for most, wide in LANES if written <= most and lanes >= 2 * wide), one)


def _one_round(text, graph, memory, step, width, lane, rows):
    """All rows once, for `width` lanes; returns sums over those lanes."""
    body = _write_rows(Body(text, graph, memory, step.stored, width, lane), rows)
    return [
        (row, at, combine, count, x.char, body.over_lanes(combine, x)) for row, at, x, combine, count in body.reductions
    ]


def _loop(text, graph, memory, step, width, rounds, rows):
    """All rows again and again; returns sums over all lanes of all rounds."""
    label = f"g{text.count}"
    blocks = rounds > 2 * BLOCK
    counter = text.at_entry("alloca i64, align 8")
    text.lines += [f"  store i64 0, ptr {counter}", f"  br label %{label}.block", f"{label}.block:"]
    start = len(text.lines)
    text.lines += [f"  br label %{label}.round", f"{label}.round:"]
    lane = text.set(f"load i64, ptr {counter}")
    body = _write_rows(Body(text, graph, memory, step.stored, width, lane), rows)
    sums, totals = [], []
    for _, _, x, combine, _ in body.reductions:
        kind = body.kind(x)
        sums.append(text.at_entry(f"alloca {kind}, align 64"))
        neutral = body.widened(body.constant(NEUTRAL[combine], x.char))
        old = Number(text.set(f"load {kind}, ptr {sums[-1]}"), x.char, x.wide)
        text.lines.append(f"  store {kind} {FUNCTIONS[combine](body, old, x).text}, ptr {sums[-1]}")
        text.first.append(f"  store {kind} {neutral.text}, ptr {sums[-1]}")
        if blocks:
            totals.append(text.at_entry(f"alloca {kind}, align 64"))
            text.first.append(f"  store {kind} {neutral.text}, ptr {totals[-1]}")
    following = text.set(f"add i64 {lane}, {width}")
    text.lines.append(f"  store i64 {following}, ptr {counter}")
    end = rounds * width
    if not blocks:
        more = text.set(f"icmp ult i64 {following}, {end}")
        text.lines += [f"  br i1 {more}, label %{label}.round, label %{label}.end", f"{label}.end:"]
        totals = sums
    else:
        stop = text.name()
        last = text.name()
        text.lines.insert(start, f"  {stop} = load i64, ptr {counter}")
        reach = text.name()
        text.lines[start + 1 : start + 1] = [
            f"  {reach} = add i64 {stop}, {BLOCK * width}",
            f"  {last} = call i64 @llvm.umin.i64(i64 {reach}, i64 {end})",
        ]
        text.declared.add("declare i64 @llvm.umin.i64(i64, i64)")
        more = text.set(f"icmp ult i64 {following}, {last}")
        text.lines += [f"  br i1 {more}, label %{label}.round, label %{label}.sum", f"{label}.sum:"]
        for (_, _, x, combine, _), part, total in zip(body.reductions, sums, totals, strict=True):
            kind = body.kind(x)
            pair = [Number(text.set(f"load {kind}, ptr {p}"), x.char, x.wide) for p in (total, part)]
            text.lines.append(f"  store {kind} {FUNCTIONS[combine](body, *pair).text}, ptr {total}")
            neutral = body.widened(body.constant(NEUTRAL[combine], x.char))
            text.lines.append(f"  store {kind} {neutral.text}, ptr {part}")
        again = text.set(f"icmp ult i64 {following}, {end}")
        text.lines += [f"  br i1 {again}, label %{label}.block, label %{label}.end", f"{label}.end:"]
    found = []
    for (row, at, x, combine, count), total in zip(body.reductions, totals, strict=True):
        whole = Number(text.set(f"load {body.kind(x)}, ptr {total}"), x.char, x.wide)
        found.append((row, at, combine, count, x.char, body.over_lanes(combine, whole)))
    return found


def _sum_up(totals, parts):
    for row, at, combine, count, char, register in parts:
        totals.setdefault((row.slot, at, combine, count, char), []).append(register)


def _finish(text, graph, memory, totals):
    """Write what was folded over lanes."""
    body = Body(text, graph, memory, set(), 0, "0")
    for (slot, at, combine, count, char), registers in totals.items():
        found = Number(registers[0], char, False)
        for register in registers[1:]:
            found = FUNCTIONS[combine](body, found, Number(register, char, False))
        if count != 1:
            found = FUNCTIONS["divide"](body, found, body.constant(float(count), char))
        pointer = body._pointer(slot, at, 0)
        text.lines.append(f"  store {SCALAR[char]} {found.text}, ptr {pointer}")
