"""From steps to LLVM's assembly: a function for each step, and one for each loop, which threads may share."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...vm.threads import Threads
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
WORTH_A_THREAD = 200_000
"""Elements that a loop computes from which on it is shared: to wake a thread takes as long as some ten thousand."""


@dataclass
class _Fold:
    """An element that is folded over all lanes: where it goes, and its parts so far."""

    row: Row
    at: int
    combine: str
    count: int
    char: str
    parts: list[Number] = field(default_factory=list)


class _Memory:
    """Where values stand in memory, for one function."""

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


def write_module(
    graph: Graph, steps: list[Step], places: dict[int, int], vector_bytes: int, threads: Threads | None
) -> str:
    """LLVM assembly with functions ``step_0``, ``step_1`` ...; each takes the address table's address.

    Parameters
    ----------
    graph : Graph
    steps : list of Step
    places : dict
        Where in the address table a slot's address stands.
    vector_bytes : int
        Size of the processor's vectors.
    threads : Threads or None
        Who shares long loops.
    """
    module = _Module(graph, places, vector_bytes, threads)
    for k, step in enumerate(steps):
        module.add_step(k, step)
    return "\n".join([*sorted(module.declared), *module.functions, "!0 = !{}", ""])


class _Module:
    def __init__(self, graph: Graph, places: dict[int, int], vector_bytes: int, threads: Threads | None):
        self.graph, self.places, self.vector_bytes, self.threads = graph, places, vector_bytes, threads
        self.declared: set[str] = set()
        self.functions: list[str] = []

    def add_step(self, k: int, step: Step) -> None:
        """A function that computes the rows of a step."""
        text = Text()
        memory = _Memory(text, self.places, step)

        def body(width: int = 0, lane: str = "0") -> Body:
            return Body(text, self.graph, memory, step.stored, width, lane)

        for lanes, rows in step.groups.items():
            for row, _ in rows:
                RULES[row.name].prepare(body(), row)
            if lanes == 1:
                _write_rows(body(), rows)
                continue
            width = self._width(rows, lanes)
            rounds, rest = divmod(lanes, width)
            folds: dict[tuple, _Fold] = {}
            if rounds == 1:
                _fold_lanes(folds, _write_rows(body(width), rows))
            elif rounds:
                self._share(text, step, folds, rows, width, rounds)
            if rest:
                _fold_lanes(folds, _write_rows(body(rest, str(rounds * width)), rows))
            for fold in folds.values():
                _finish(body(), memory, fold)
        self._add(f"void @step_{k}(ptr %table)", text)

    def _add(self, head: str, text: Text) -> None:
        self.declared |= text.declared
        self.functions.append("\n".join([f"define {head} {{", "entry:", *text.first, *text.lines, "  ret void", "}"]))

    def _width(self, rows: list[tuple[Row, Axes]], lanes: int) -> int:
        """Lanes at a time."""
        specs = [s for row, _ in rows for s in (row.out, *map(self.graph.spec, row.sources))]
        one = self.vector_bytes // max([4, *[s.dtype.itemsize for s in specs if s.size > 1]])
        if lanes <= 2 * one:
            return lanes
        written = sum(max(row.out.size // lanes, 1) for row, _ in rows)
        return next((wide for most, wide in LANES if written <= most and lanes >= 2 * wide), one)

    def _share(self, text: Text, step: Step, folds: dict, rows: list, width: int, rounds: int) -> None:
        """Call a loop over all rounds, in one piece or in several at once; takes in what each has folded."""
        name, made = self._loop(step, rows, width)
        pieces = self._pieces(rows, rounds)
        sums = text.at_entry(f"alloca [{max(pieces * len(made), 1)} x i64], align 64")
        if pieces == 1:
            text.lines.append(f"  call void {name}(ptr %table, i64 0, i64 {rounds}, ptr {sums})")
        else:
            assert self.threads is not None
            arguments = f"ptr {name}, ptr %table, i64 {rounds}, ptr {sums}, i64 {8 * len(made)}"
            text.lines.append(f"  call void inttoptr (i64 {self.threads.share} to ptr)({arguments})")
        for piece in range(pieces):
            for k, (key, fold) in enumerate(made.items()):
                place = text.set(f"getelementptr i64, ptr {sums}, i64 {piece * len(made) + k}")
                found = text.set(f"load {SCALAR[fold.char]}, ptr {place}, align 8")
                folds.setdefault(key, fold).parts.append(Number(found, fold.char, False))

    def _pieces(self, rows: list[tuple[Row, Axes]], rounds: int) -> int:
        """How many threads share a loop; none where several would add to the same places."""
        if self.threads is None or rounds < self.threads.count or any(RULES[r.name].always_stored for r, _ in rows):
            return 1
        work = sum(max([row.out.size, *[self.graph.spec(s).size for s in row.sources]]) for row, _ in rows)
        return self.threads.count if work >= WORTH_A_THREAD else 1

    def _loop(self, step: Step, rows: list[tuple[Row, Axes]], width: int) -> tuple[str, dict[tuple, _Fold]]:
        """A function of the rounds from `first` up to `last`: its name, and what it writes to `sums`."""
        text = Text()
        memory = _Memory(text, self.places, step)
        counter = text.at_entry("alloca i64, align 8")
        text.lines += [f"  store i64 %first, ptr {counter}", "  br label %block", "block:"]
        start = text.set(f"load i64, ptr {counter}")
        reach = text.set(f"add i64 {start}, {BLOCK}")
        text.declared.add("declare i64 @llvm.umin.i64(i64, i64)")
        stop = text.set(f"call i64 @llvm.umin.i64(i64 {reach}, i64 %last)")
        text.lines += ["  br label %round", "round:"]
        count = text.set(f"load i64, ptr {counter}")
        lane = text.set(f"mul i64 {count}, {width}")
        body = _write_rows(Body(text, self.graph, memory, step.stored, width, lane), rows)
        sums = [_Accumulator(body, x, combine) for _, _, x, combine, _ in body.reductions]
        for accumulator, (_, _, x, _, _) in zip(sums, body.reductions, strict=True):
            accumulator.take(x)
        following = text.set(f"add i64 {count}, 1")
        text.lines.append(f"  store i64 {following}, ptr {counter}")
        more = text.set(f"icmp ult i64 {following}, {stop}")
        text.lines += [f"  br i1 {more}, label %round, label %sum", "sum:"]
        for accumulator in sums:
            accumulator.close_block()
        again = text.set(f"icmp ult i64 {following}, %last")
        text.lines += [f"  br i1 {again}, label %block, label %end", "end:"]
        folds: dict[tuple, _Fold] = {}
        for k, (accumulator, (row, at, x, combine, n)) in enumerate(zip(sums, body.reductions, strict=True)):
            folds[row.slot, at] = _Fold(row, at, combine, n, x.char)
            place = text.set(f"getelementptr i64, ptr %sums, i64 {k}")
            text.lines.append(f"  store {SCALAR[x.char]} {accumulator.result()}, ptr {place}, align 8")
        name = f"@loop_{len(self.functions)}"
        self._add(f"internal void {name}(ptr %table, i64 %first, i64 %last, ptr %sums)", text)
        return name, folds


class _Accumulator:
    """What is folded round by round: a block's part and the whole, both on the stack, that is, in registers."""

    def __init__(self, body: Body, x: Number, combine: str):
        self.body, self.combine, self.x = body, combine, x
        self.kind = body.kind(x)
        self.neutral = body.widened(body.constant(NEUTRAL[combine], x.char)).text
        self.part, self.whole = [body.text.at_entry(f"alloca {self.kind}, align 64") for _ in range(2)]
        for place in (self.part, self.whole):
            body.text.first.append(f"  store {self.kind} {self.neutral}, ptr {place}")

    def _load(self, place: str) -> Number:
        return self.x._replace(text=self.body.text.set(f"load {self.kind}, ptr {place}"))

    def _fold_into(self, place: str, x: Number) -> None:
        made = FUNCTIONS[self.combine](self.body, self._load(place), x)
        self.body.text.lines.append(f"  store {self.kind} {made.text}, ptr {place}")

    def take(self, x: Number) -> None:
        """Fold in a round's number."""
        self._fold_into(self.part, x)

    def close_block(self) -> None:
        """Fold the block's part into the whole."""
        self._fold_into(self.whole, self._load(self.part))
        self.body.text.lines.append(f"  store {self.kind} {self.neutral}, ptr {self.part}")

    def result(self) -> str:
        """All lanes of the whole, folded."""
        return self.body.over_lanes(self.combine, self._load(self.whole))


def _write_rows(body: Body, rows: list[tuple[Row, Axes]]) -> Body:
    for row, axes in rows:
        RULES[row.name].emit(body, row, axes)
    return body


def _fold_lanes(folds: dict[tuple, _Fold], body: Body) -> None:
    """Fold what a single round has over its lanes."""
    for row, at, x, combine, count in body.reductions:
        fold = folds.setdefault((row.slot, at), _Fold(row, at, combine, count, x.char))
        fold.parts.append(Number(body.over_lanes(combine, x), x.char, False))


def _finish(body: Body, memory: _Memory, fold: _Fold) -> None:
    """Write to memory what was folded over lanes."""
    found = fold.parts[0]
    for part in fold.parts[1:]:
        found = FUNCTIONS[fold.combine](body, found, part)
    if fold.count != 1:
        found = FUNCTIONS["divide"](body, found, body.constant(float(fold.count), fold.char))
    place = body.text.set(f"getelementptr i8, ptr {memory.address(fold.row.slot)}, i64 {fold.at}")
    body.text.lines.append(f"  store {SCALAR[fold.char]} {body.shown(found)}, ptr {place}")
