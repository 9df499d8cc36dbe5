"""A native step: rows of a program that one function of machine code computes, and the instruction that calls it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...tape.record import pack
from ...tape.rows import Gathered
from ...tape.signature import Signature, by_index, import_codes
from ...tape.spec import spec_of
from ...vm import opcodes as op
from ...vm.pools import pools

if TYPE_CHECKING:
    from .graph import Graph
    from .group import Group
    from .layout import Layout
    from .rolling import Script

__all__ = ["ADDRESS", "NO_STEPS", "NativeRows", "Order", "Step", "gather_steps", "native_signature", "table_places"]

ADDRESS = spec_of((), np.dtype(np.int64))
"""Type of a slot that stands for an address."""


@dataclass(eq=False)
class Step:
    """Rows that one function computes.

    Attributes
    ----------
    groups : dict of Group
        Rows with their axes (see `tapegrad.compiler.native.rules`), by their number of lanes.
    stored : set of int
        Slots whose values others read from memory.
    reads : numpy.ndarray of int
        Slots from before whose memory the rows read.
    scripts, layouts : dict
        The loops in each group, and its rounds.
    scratch : int
        Bytes of memory that the step needs for itself.
    """

    groups: dict[int, Group] = field(default_factory=dict)
    stored: set[int] = field(default_factory=set)
    reads: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    scripts: dict[int, Script] = field(default_factory=dict)
    layouts: dict[int, Layout] = field(default_factory=dict)
    scratch: int = 0

    @property
    def slots(self) -> np.ndarray:
        """Slots of the rows, group by group."""
        return np.concatenate([group.slots for group in self.groups.values()])

    @property
    def n_written(self) -> int:
        """Rows that the machine code is written for: of a loop, those of one iteration."""
        rolls = [roll for script in self.scripts.values() for roll in script.rolls]
        return len(self.slots) - sum([roll.period * (roll.count - 1) for roll in rolls])


Order = list["Step | np.ndarray"]
"""Native steps, and between them slots of rows that stay the interpreter's."""


class NativeRows(NamedTuple):
    """Rows of a plan that have to do with native steps.

    Attributes
    ----------
    steps : dict of Step
        By the slot of the row that calls it.
    members : dict of range
        By that slot, the slots of rows that it computes: they stand before it.
    reads : dict of numpy.ndarray
        By that slot, what it reads.
    table : int
        The slot that stands for the address of the address table; -1 where there are no steps.
    """

    steps: dict[int, Step]
    members: dict[int, range]
    reads: dict[int, np.ndarray]
    table: int


NO_STEPS = NativeRows({}, {}, {}, -1)


def table_places(graph: Graph, order: Order) -> tuple[np.ndarray, int]:
    """By slot of the tape, that in a plan, whose address table has a word for each; and how many there are.

    The first slot stands for the table itself. A step's rows take a word each, and it takes the next one. What is not
    in the plan is at -1.
    """
    places, at = np.full(len(graph.rows.words), -1, np.int64), 1
    for part in order:
        if isinstance(part, Step):
            slots = part.slots
            places[slots] = np.arange(at, at + len(slots))
            at += len(slots) + 1
        else:
            widths = pools.table[graph.rows.words[part] >> op.SIGNATURE_SHIFT, op.WIDTH]
            places[part] = at + np.cumsum(widths) - widths
            at += int(widths.sum())
    return places, at


def gather_steps(graph: Graph, order: Order) -> tuple[Gathered, NativeRows]:
    """Rows of a tape in an order in which each step stands for many: with imports for what it computes.

    Parameters
    ----------
    graph : Graph
    order : Order

    Returns
    -------
    gathered : Gathered
    native : NativeRows
    """
    words, native = graph.rows.words, NativeRows({}, {}, {}, 0)
    places, n = table_places(graph, order)
    for step in order:
        if isinstance(step, Step):
            slots = places[step.slots]
            at = int(slots[-1]) + 1
            native.steps[at], native.members[at], native.reads[at] = step, range(slots[0], at), places[step.reads]
    rows = np.concatenate([part for part in order if not isinstance(part, Step)])
    packed, origins = np.zeros(n, np.int64), np.full(n, -1, np.int32)
    packed[0] = import_codes[ADDRESS]
    packed[list(native.steps)] = pack(native_signature(), [0])
    for step in native.steps.values():
        origins[places[step.slots]] = step.slots
        packed[places[step.slots]] = _imports(words[step.slots] >> op.SIGNATURE_SHIFT)
    origins[places[rows]] = rows
    graph.rows.copy(rows, places, packed)
    return Gathered(packed, origins, places), native


def _imports(kinds: np.ndarray) -> np.ndarray:
    """Rows of imports of what rows of those signatures compute."""
    found, which = np.unique(kinds, return_inverse=True)
    return np.array([import_codes[by_index[k].out] for k in found.tolist()], np.int64)[which]


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
