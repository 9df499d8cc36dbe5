"""A native step: rows of a program that one function of machine code computes, and the instruction that calls it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...tape.record import pack
from ...tape.rows import Gathered
from ...tape.signature import Signature, import_signature
from ...tape.spec import spec_of
from ...vm import opcodes as op
from ...vm.pools import pools

if TYPE_CHECKING:
    from .layout import Layout
    from .rolling import Script

__all__ = ["ADDRESS", "NO_STEPS", "NativeRows", "Step", "gather_steps", "native_signature"]

ADDRESS = spec_of((), np.dtype(np.int64))
"""Type of a slot that stands for an address."""


@dataclass(eq=False)
class Step:
    """Rows that one function computes.

    Attributes
    ----------
    groups : dict
        Rows with their axes (see `tapegrad.compiler.native.rules`), by their number of lanes.
    stored : set of int
        Slots whose values others read from memory.
    reads : list of int
        Slots from before whose memory the rows read.
    scripts, layouts : dict
        The loops in each group, and its rounds.
    scratch : int
        Bytes of memory that the step needs for itself.
    """

    groups: dict[int, list[tuple[Any, Any]]] = field(default_factory=dict)
    stored: set[int] = field(default_factory=set)
    reads: list[int] = field(default_factory=list)
    scripts: dict[int, Script] = field(default_factory=dict)
    layouts: dict[int, Layout] = field(default_factory=dict)
    scratch: int = 0

    @property
    def rows(self) -> list[int]:
        """Slots of the rows, group by group."""
        return [row.slot for rows in self.groups.values() for row, _ in rows]


class NativeRows(NamedTuple):
    """Rows of a plan that have to do with native steps.

    Attributes
    ----------
    steps : dict
        Steps, by the slot of the row that calls them.
    members : dict
        Slots of rows that a step computes, and the slot of the step.
    reads : dict
        What a step reads, by its slot.
    table : int
        The slot that stands for the address of the address table; -1 where there are no steps.
    """

    steps: dict[int, Step]
    members: dict[int, int]
    reads: dict[int, list[int]]
    table: int


NO_STEPS = NativeRows({}, {}, {}, -1)


def gather_steps(tape: Any, order: list[int | Step]) -> tuple[Gathered, NativeRows]:
    """Rows of a tape in an order in which each step stands for many: with imports for what it computes.

    Parameters
    ----------
    tape : Tape
    order : list of int or Step
        Slots of rows, and steps.

    Returns
    -------
    gathered : Gathered
    native : NativeRows
    """
    table = import_signature(ADDRESS)
    words, origins = [table.code], [-1]
    places = np.full(len(tape.rows), -1, np.int64)
    native = NativeRows({}, {}, {}, 0)

    def add(code: list[int], slot: int) -> int:
        new = len(words)
        words.extend(code)
        origins.extend([slot] + [-1] * (len(code) - 1))
        if slot >= 0:
            places[slot] = new
        return new

    for slot in order:
        if isinstance(slot, Step):
            made = [add([import_signature(tape.signature(k).out).code], k) for k in slot.rows]
            step = add(pack(native_signature(), [0]), -1)
            native.steps[step], native.reads[step] = slot, places[slot.reads].tolist()
            native.members.update(dict.fromkeys(made, step))
            continue
        row = tape.signature(slot)
        offset = tape.rows[slot + 1] if row.kind in op.WITH_OFFSET else None
        add(pack(row, places[tape.operands(slot)].tolist(), offset), slot)
    return Gathered(np.array(words, np.int64), np.array(origins, np.int32), places), native


class _Native:
    """Stands for the rows of a step."""

    name = "native"

    def runs_at_once(self, specs):
        return False

    def __repr__(self):
        return "native"


@functools.cache
def native_signature() -> Signature:
    """Signature of the row that calls a step: its operand is the address table, its own address that of the code."""
    with pools.lock:
        made = Signature(_Native(), (ADDRESS,), {}, ADDRESS, op.KERNEL)
        words = [op.NATIVE | 4 << 8, 0, 0, 1]
        at = pools.add_template(words)
        row = pools.table[made.index]
        row[op.HAS_CALL], row[op.FORWARD_LEN], row[op.FORWARD_TEMPS], row[op.FORWARD_NTEMPS] = 0, len(words), 0, 0
        row[op.FORWARD] = at
    return made
