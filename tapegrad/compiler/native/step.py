"""A native step: rows of a program that one function of machine code computes, and the instruction that calls it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tape.signature import Signature
from ...tape.spec import spec_of
from ...vm import opcodes as op
from ...vm.pools import pools

if TYPE_CHECKING:
    from .layout import Layout
    from .rolling import Script

__all__ = ["ADDRESS", "Step", "native_signature"]

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
