"""How many lanes a group takes at a time, who shares its rounds, and the memory that its loops need."""

from __future__ import annotations

from dataclasses import dataclass

from .functions import WRITTEN_OUT, is_called
from .likeness import is_fold
from .rolling import Script
from .step import Step

__all__ = ["BLOCK", "Layout", "lanes_at_a_time", "lay_out"]

BLOCK = 256
"""Rounds of a loop whose sums are added up before they go into the whole: rounding errors grow with the rounds."""
LANES = ((48, 32), (200, 16))
"""Elements written for each lane up to which so many lanes are taken at a time: short chains of dependences overlap."""
MOST_SCRATCH = 1 << 20
"""Bytes of memory for loops up to which more lanes are taken: they should stay in the cache."""
WORTH_A_THREAD = 60_000
"""Elements that a loop computes from which on it is shared: to wake a thread takes as long as some ten thousand."""


@dataclass
class Layout:
    """A group's rounds.

    Attributes
    ----------
    script : Script
    width : int
        Lanes at a time; 0 where there are none.
    rounds, rest : int
        Full rounds, and lanes that remain.
    pieces : int
        Threads that share the rounds.
    size : int
        Bytes of the largest type.
    writes_out : bool
        Whether functions that can be are written out: where no other one is called, which would clear the registers
        of what they have there, and no loop or sum waits for each.
    """

    script: Script
    width: int = 0
    rounds: int = 0
    rest: int = 0
    pieces: int = 1
    size: int = 8
    writes_out: bool = False

    @property
    def scratch(self) -> int:
        """Bytes of memory that each piece needs for cells."""
        return self.script.cells * max(self.width, 1) * self.size + 63 & ~63


def lay_out(steps: list[Step], vector_bytes: int, threads: int) -> None:
    """Note the layout of all groups, and the memory that each step needs.

    Parameters
    ----------
    steps : list of Step
        Changed.
    vector_bytes : int
        Size of the processor's vectors.
    threads : int
    """
    for step in steps:
        for lanes, script in step.scripts.items():
            made = step.layouts[lanes] = _layout(step, lanes, script, vector_bytes, threads)
            step.scratch = max(step.scratch, made.scratch * made.pieces)


def _layout(step: Step, lanes: int, script: Script, vector_bytes: int, threads: int) -> Layout:
    group = step.groups[lanes]
    kinds = group.kinds()
    specs = [s for choice, _ in kinds for s in (choice.row.out, *choice.row.specs)]
    size = max([4, *[s.dtype.itemsize for s in specs if s.size > 1 or lanes == 1]])
    if lanes == 1:
        return Layout(script, size=size)
    sizes = group.of_each(lambda choice: max(choice.row.out.size // lanes, 1))
    folds = group.of_each(lambda choice: is_fold(choice.axes))
    called = {choice.row.name for choice, _ in kinds if is_called(choice.row.name)}
    writes_out = bool(called) and called <= WRITTEN_OUT and not script.rolls and not folds.any()
    width = lanes_at_a_time(lanes, script, script.written(sizes), size, vector_bytes)
    if writes_out and lanes > vector_bytes // size:  # it takes nearly all registers
        width = vector_bytes // size
    rounds, rest = divmod(lanes, width)
    folded = any(folds[roll.first : roll.first + roll.period].any() for roll in script.rolls)
    pieces = threads
    if rounds < threads or folded or any(choice.in_memory for choice, _ in kinds):
        pieces = 1  # several would add to the same places
    elif sum([n * max([s.size for s in (c.row.out, *c.row.specs)]) for c, n in kinds]) < WORTH_A_THREAD:
        pieces = 1
    return Layout(script, width, rounds, rest, pieces, size, writes_out)


def lanes_at_a_time(lanes: int, script: Script, written: int, size: int, vector_bytes: int) -> int:
    """Lanes at a time of rows of which so many elements are written out."""
    one = vector_bytes // size
    if lanes <= 2 * one:
        return lanes
    for most, wide in LANES:
        if written <= most and lanes >= 2 * wide and script.cells * wide * size <= MOST_SCRATCH:
            return wide
    return one
