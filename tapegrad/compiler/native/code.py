"""From steps to LLVM's assembly: a function for each step, and one for each loop, which threads may share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .body import Body
from .functions import FUNCTIONS
from .graph import Graph, Row
from .group import Group
from .instructions import NEUTRAL, SCALAR, Number, Text
from .layout import BLOCK, Layout
from .loops import write_neutral, write_rows
from .rules import RULES
from .step import Step

__all__ = ["write_module"]


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

    def __init__(self, text: Text, places: Sequence[int], step: Step):
        self.text, self.places, self.step = text, places, step
        self.known: dict[int, str] = {}
        self.scratch = ""

    def address(self, slot: int) -> str:
        """Pointer to a value's first element."""
        found = self.known.get(slot)
        if found is None:
            found = self.known[slot] = self.entry(self.places[slot])
        return found

    def entry(self, place: int) -> str:
        """An address in the table, read at the function's beginning."""
        at = self.text.at_entry(f"getelementptr i64, ptr %table, i64 {place}")
        return self.text.at_entry(f"load ptr, ptr {at}, align 8")

    def moving(self, slot: int, count: str, step: int) -> str:
        """Pointer to the value whose address stands `step` words further on for each of `count`."""
        far = self.text.set(f"mul i64 {count}, {step}")
        start = self.text.set(f"getelementptr i64, ptr %table, i64 {self.places[slot]}")
        place = self.text.set(f"getelementptr i64, ptr {start}, i64 {far}")
        return self.text.set(f"load ptr, ptr {place}, align 8")

    def never_written(self, slot: int) -> bool:
        """Whether the step leaves a value as it is."""
        return slot not in self.step.stored


def write_module(graph: Graph, steps: list[Step], places: Sequence[int], scratch: list[int], share: int) -> str:
    """LLVM assembly with functions ``step_0``, ``step_1`` ...; each takes the address table's address.

    Parameters
    ----------
    graph : Graph
    steps : list of Step
        Laid out.
    places : sequence of int
        Where in the address table a slot's address stands.
    scratch : list of int
        Where in the table that of each step's own memory stands.
    share : int
        Address of the function that shares long loops, if there are threads for that.
    """
    module = _Module(graph, places, share)
    for k, step in enumerate(steps):
        module.add_step(k, step, scratch[k])
    return "\n".join([*sorted(module.declared), *module.functions, "!0 = !{}", ""])


class _Module:
    def __init__(self, graph: Graph, places: Sequence[int], share: int):
        self.graph, self.places, self.share = graph, places, share
        self.declared: set[str] = set()
        self.functions: list[str] = []

    def add_step(self, k: int, step: Step, scratch: int) -> None:
        """A function that computes the rows of a step."""
        text = Text()
        memory = _Memory(text, self.places, step)
        if step.scratch:
            memory.scratch = memory.entry(scratch)
        for lanes, rows in step.groups.items():
            layout = step.layouts[lanes]

            def body(width: int = 0, lane: str = "0", layout: Layout = layout) -> Body:
                made = Body(text, self.graph, memory, step.stored, width, lane, layout.size)
                made.writes_out = layout.writes_out
                return made

            for place in rows.in_memory().tolist():
                row, axes = rows[place]
                RULES[row.name].prepare(body(), row, axes)
            if lanes == 1:
                write_rows(body(), rows, layout.script)
                continue
            for roll in layout.script.rolls:
                write_neutral(body(), rows, roll)
            folds: dict[tuple, _Fold] = {}
            width, rounds, rest = layout.width, layout.rounds, layout.rest
            if rounds == 1:
                _fold_lanes(folds, write_rows(body(width), rows, layout.script))
            elif rounds:
                self._call_loop(text, memory, step, folds, rows, layout)
            if rest:
                _fold_lanes(folds, write_rows(body(rest, str(rounds * width)), rows, layout.script))
            for fold in folds.values():
                _finish(body(), memory, fold)
        self._add(f"void @step_{k}(ptr %table)", text)

    def _add(self, head: str, text: Text) -> None:
        self.declared |= text.declared
        self.functions.append("\n".join([f"define {head} {{", "entry:", *text.first, *text.lines, "  ret void", "}"]))

    def _call_loop(self, text: Text, memory: _Memory, step: Step, folds: dict, rows: Group, layout: Layout) -> None:
        """Call a loop over all rounds, in one piece or in several at once; takes in what each has folded.

        Each piece has words of its own: the address of its memory, and behind that its sums.
        """
        name, made = self._loop(step, rows, layout)
        pieces, words = layout.pieces, 1 + len(made)
        sums = text.at_entry(f"alloca [{pieces * words} x i64], align 64")
        for piece in range(pieces if layout.scratch else 0):
            place = text.set(f"getelementptr i64, ptr {sums}, i64 {piece * words}")
            own = text.set(f"getelementptr i8, ptr {memory.scratch}, i64 {piece * layout.scratch}")
            text.lines.append(f"  store ptr {own}, ptr {place}, align 8")
        if pieces == 1:
            text.lines.append(f"  call void {name}(ptr %table, i64 0, i64 {layout.rounds}, ptr {sums})")
        else:
            arguments = f"ptr {name}, ptr %table, i64 {layout.rounds}, ptr {sums}, i64 {8 * words}"
            text.lines.append(f"  call void inttoptr (i64 {self.share} to ptr)({arguments})")
        for piece in range(pieces):
            for k, (key, fold) in enumerate(made.items(), piece * words + 1):
                place = text.set(f"getelementptr i64, ptr {sums}, i64 {k}")
                found = text.set(f"load {SCALAR[fold.char]}, ptr {place}, align 8")
                folds.setdefault(key, fold).parts.append(Number(found, fold.char, False))

    def _loop(self, step: Step, rows: Group, layout: Layout) -> tuple[str, dict[tuple, _Fold]]:
        """A function of the rounds from `first` up to `last`: its name, and what it writes to `sums`."""
        text = Text()
        memory = _Memory(text, self.places, step)
        if layout.scratch:
            memory.scratch = text.at_entry("load ptr, ptr %sums, align 8")
        counter = text.at_entry("alloca i64, align 8")
        text.lines += [f"  store i64 %first, ptr {counter}", "  br label %block", "block:"]
        start = text.set(f"load i64, ptr {counter}")
        reach = text.set(f"add i64 {start}, {BLOCK}")
        text.declared.add("declare i64 @llvm.umin.i64(i64, i64)")
        stop = text.set(f"call i64 @llvm.umin.i64(i64 {reach}, i64 %last)")
        text.lines += ["  br label %round", "round:"]
        count = text.set(f"load i64, ptr {counter}")
        lane = text.set(f"mul i64 {count}, {layout.width}")
        body = Body(text, self.graph, memory, step.stored, layout.width, lane, layout.size)
        body.rounds = text.at_entry(f"mul i64 %first, {layout.width}")
        body.writes_out = layout.writes_out
        write_rows(body, rows, layout.script)
        body.begin_carries()
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
        body.end_carries(text.set(f"mul i64 %last, {layout.width}") if body.carries else "0")
        folds: dict[tuple, _Fold] = {}
        for k, (accumulator, (row, at, x, combine, n)) in enumerate(zip(sums, body.reductions, strict=True), 1):
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
