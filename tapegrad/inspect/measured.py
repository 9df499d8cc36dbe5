"""What a report shows of a compiled function, as data: rows with times, memory over time, groups under a roof."""

from __future__ import annotations

import linecache
from dataclasses import dataclass

from .machine import Machine, measure
from .programs import MachineCode, Profile, ProgramRow, rows_of
from .work import kind_of

__all__ = ["Group", "Measured", "Span", "measured"]


@dataclass
class Span:
    """A stretch of rows that runs at once.

    Attributes
    ----------
    start, seconds : float
        From the first row on, with each stretch run by itself.
    rows : list of ProgramRow
    kind : str
        ``elementwise``, ``product``, ``reduction``, ``move`` or ``Python``.
    """

    start: float
    seconds: float
    rows: list[ProgramRow]
    kind: str

    @property
    def phase(self) -> str:
        """``forward`` or ``reverse``."""
        return self.rows[0].phase


@dataclass
class Group:
    """Rows of one primitive."""

    name: str
    kind: str
    count: int = 0
    seconds: float = 0.0
    nbytes: int = 0
    operations: float = 0.0


@dataclass
class Measured:
    """All of it.

    Attributes
    ----------
    rows : list of ProgramRow
    spans : list of Span
        In order.
    replay : float
        Seconds of a whole replay, by machine code where there is some.
    code : MachineCode or None
    live : list of (float, int)
        Times, and the bytes that are needed from then on: of values that are still to be read.
    inputs : int
        Bytes of arguments and constants.
    groups : list of Group
        The slowest first.
    machine : Machine
    """

    rows: list[ProgramRow]
    spans: list[Span]
    replay: float
    code: MachineCode | None
    live: list[tuple[float, int]]
    inputs: int
    groups: list[Group]
    machine: Machine

    @property
    def total(self) -> float:
        """Seconds of all spans."""
        return sum(span.seconds for span in self.spans)

    def seconds_of(self, phase: str) -> float:
        """Seconds of a phase's spans."""
        return sum(span.seconds for span in self.spans if span.phase == phase)

    def by_line(self) -> list[tuple[str, str, float, float, int]]:
        """Of each line of the user's code: place, text, seconds forward and in reverse, rows; the slowest first."""
        found: dict[str, list] = {}
        for span in self.spans:
            entry = found.setdefault(span.rows[0].place, [0.0, 0.0, 0])
            entry[span.phase == "reverse"] += span.seconds
            entry[2] += len(span.rows)
        lines = [(place, source_of(place), a, b, n) for place, (a, b, n) in found.items()]
        return sorted(lines, key=lambda line: -(line[2] + line[3]))


def measured(profile: Profile) -> Measured:
    """Put together what a profile has found out."""
    rows = rows_of(profile.program)
    by_slot = {row.slot: row for row in rows}
    spans, now = [], 0.0
    for timing in profile.timings:
        own = [by_slot[slot] for slot in timing.slots]
        kind = "Python" if timing.outside else _main_kind(own)
        spans.append(Span(now, timing.seconds, own, kind))
        now += timing.seconds
    inputs = sum(row.nbytes for row in rows if row.phase == "input")
    code = profile.native
    replay = float(profile.total) if code is None else code.seconds
    return Measured(rows, spans, replay, code, _live(rows, spans), inputs, _groups(spans), measure())


def _main_kind(rows: list[ProgramRow]) -> str:
    kinds = [kind_of(row.name) for row in rows]
    return next((kind for kind in ("product", "reduction", "elementwise") if kind in kinds), "move")


def _live(rows: list[ProgramRow], spans: list[Span]) -> list[tuple[float, int]]:
    """Bytes needed over time: a value counts from the row that computes it to the last that reads its memory."""
    last: dict[int, int] = {}
    roots = {row.slot: row.root for row in rows}
    results = {row.root for row in rows if row.is_result}
    for k, row in enumerate(rows):
        for operand in row.operands:
            last[roots[operand]] = k
    ends: dict[int, int] = {}
    place = {row.slot: k for k, row in enumerate(rows)}
    found, now = [(0.0, 0)], 0
    for span in spans:
        k = max(place[row.slot] for row in span.rows)
        for row in span.rows:
            if row.nbytes:
                now += row.nbytes
                if row.slot not in results:
                    ends[last.get(row.slot, k)] = ends.get(last.get(row.slot, k), 0) + row.nbytes
        found.append((span.start, now))
        now -= sum(ends.pop(end) for end in [end for end in ends if end <= k])
        found.append((span.start + span.seconds, now))
    return found


def _groups(spans: list[Span]) -> list[Group]:
    found: dict[str, Group] = {}
    for span in spans:
        name = " + ".join(dict.fromkeys(row.name for row in span.rows))
        group = found.setdefault(name, Group(name, span.kind))
        group.count += 1
        group.seconds += span.seconds
        group.nbytes += sum(row.traffic for row in span.rows)
        group.operations += sum(row.operations for row in span.rows)
    return sorted(found.values(), key=lambda group: -group.seconds)


def source_of(place: str) -> str:
    """The text of a ``file:line``, without its indentation; nothing where the file cannot be read."""
    name, _, line = place.rpartition(":")
    return linecache.getline(name, int(line)).strip() if name and line.isdigit() else ""
