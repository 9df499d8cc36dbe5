"""What laying out a program asks of each kind of row, looked up once for all rows of the kind."""

from __future__ import annotations

import functools
from typing import NamedTuple

from ..tape.signature import Signature
from ..vm import opcodes as op
from ..vm.pools import pools

__all__ = ["Lowered", "lowered"]


class Lowered(NamedTuple):
    """A row's instructions, as far as their layout goes.

    Attributes
    ----------
    length : int
        Words of the template.
    temps : list of int
        Bytes of each temporary.
    calls : bool
        Whether they leave the interpreter.
    aliases : list of (int, int, int)
        For each temporary that is a view of the result (0), an operand (from 1 on) or an earlier one: its code, the
        code of what it is a view of, and the byte offset.
    """

    length: int
    temps: list[int]
    calls: bool
    aliases: list[tuple[int, int, int]]


def lowered(row: Signature) -> Lowered:
    """The instructions of a row that computes something."""
    if pools.table[row.index, op.FORWARD] < 0:
        row.lower_forward()
    return _lowered(row, int(pools.table[row.index, op.FORWARD]))


@functools.cache
def _lowered(row: Signature, at: int) -> Lowered:
    """The same of instructions that begin at a place: `tapegrad.set_numpy_loops` has rows lowered anew."""
    fields = pools.table[row.index].tolist()
    length = fields[op.FORWARD_LEN]
    first, count = fields[op.FORWARD_TEMPS], fields[op.FORWARD_NTEMPS]
    template, aliases, p = pools.templates[at : at + length].tolist(), [], 0
    while p < length:
        if template[p] & 255 == op.ALIAS:
            aliases.append((template[p + 2], template[p + 3], template[p + 1]))
        p += template[p] >> 8 & 255
    return Lowered(length, pools.plans[first : first + count].tolist(), bool(fields[op.HAS_CALL]), aliases)
