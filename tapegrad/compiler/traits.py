"""What simplifying asks of each kind of row, looked up once for all rows of the kind."""

from __future__ import annotations

from ..primitives.core import Elementwise, ops
from ..tape.signature import Signature
from ..tape.traits import Numbered, Traits
from ..vm import opcodes as op
from ..vm import traits as t
from ..vm.pools import pools

__all__ = ["TRAITS", "TYPES"]

FOLDED_BYTES = 1 << 16
"""Results up to this size are computed once for all if nothing but constants goes into them."""
RULES = {
    "multiply": t.MULTIPLY, "divide": t.DIVIDE, "add": t.ADD, "subtract": t.SUBTRACT, "negative": t.NEGATIVE,
    "positive": t.ITSELF, "copy": t.ITSELF, "track": t.ITSELF, "detach": t.ITSELF, "view": t.AT_START,
}  # fmt: skip

TYPES = Numbered()
"""Types of values, whatever their gradient flags."""
_functions = Numbered()


def _traits(row: Signature) -> tuple[int, int, int, int]:
    if row.kind == op.IMPORT:
        return -1, TYPES.number(row.out.plain), 0, 0
    primitive = row.primitive
    specs = tuple([s.plain for s in row.specs])
    number = _functions.number((primitive, tuple(row.attrs.items()), specs))
    marks = {
        t.SWAPS: primitive in (ops.add, ops.multiply) and specs[0] is specs[1],
        t.FOLDS: _folds(row),
        t.SPREADS: isinstance(primitive, Elementwise) and row.kind == op.KERNEL and len(specs) > 1,
        t.BROADCASTS: primitive is ops.broadcast_to,
        t.NEGATES: primitive is ops.negative,
        t.FILLED: row.out.size > 0,
    }
    rule = RULES.get(primitive.name, 0)
    return number, TYPES.number(row.out.plain), rule, sum([mark for mark, has in marks.items() if has])


def _folds(row: Signature) -> bool:
    if row.kind in (op.WINDOW, op.VIEW):
        return True
    if row.kind != op.KERNEL or row.width != 1 or row.out.nbytes > FOLDED_BYTES or not row.deferrable:
        return False
    if pools.table[row.index, op.FORWARD] < 0:
        row.lower_forward()
    return not pools.table[row.index, op.HAS_CALL]


TRAITS = Traits(t.COLUMNS, _traits)
"""See `tapegrad.vm.traits`."""
