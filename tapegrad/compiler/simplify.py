"""One pass over recorded rows: what is known while recording, done before, or the same to the last bit, goes.

Rows are rewritten where they stand: operands are replaced by equal ones, and a row by a cheaper one that gives the same
bits. What no longer matters afterwards is found by `tapegrad.compiler.passes`. Values that are written in place, and
rows that read them, are left as they are: the same operands may have other values by then.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ..primitives.core import Elementwise, ops
from ..tape.memory import address_of
from ..tape.record import pack
from ..tape.signature import Signature, by_index, import_signature, signature_of
from ..tape.tape import Tape
from ..vm import opcodes as op
from ..vm.pools import pools

__all__ = ["simplify"]

FOLDED_BYTES = 1 << 16
"""Results up to this size are computed once for all if nothing but constants goes into them."""

_INDEX = (1 << op.SIGNATURE_SHIFT) - 1


class _Known(NamedTuple):
    """What the pass asks of a signature."""

    row: Signature
    kind: int
    width: int
    arity: int
    number: int
    """Equal for rows that do the same, whatever their gradient flags."""
    swaps: bool
    """Whether the operands may change places."""
    rule: Any
    spreads: bool
    """Whether operands are broadcast anyway."""
    tells: bool
    """Whether rows that read it may come to another one."""
    plain: bool
    """Whether it has one operand and no rule, or two of which rules ask no more than whether they are telling."""
    folds: bool
    """Whether it is computed at once where all its operands are constants, or is a view of a constant."""


_numbers: dict[tuple, int] = {}


@functools.cache
def _known(index: int) -> _Known:
    row = by_index[index]
    primitive = row.primitive
    if row.kind == op.IMPORT:
        return _Known(row, row.kind, 1, 0, 0, False, None, False, False, False, False)
    specs = tuple([s.plain for s in row.specs])
    number = _numbers.setdefault((primitive, tuple(row.attrs.items()), specs), len(_numbers))
    swaps = primitive in (ops.add, ops.multiply) and specs[0] is specs[1]
    spreads = isinstance(primitive, Elementwise) and row.kind == op.KERNEL and len(specs) > 1
    tells = primitive in (ops.negative, ops.broadcast_to)
    rule = _RULES.get(primitive.name)
    plain = row.width == 1 and (len(specs) == 2 or (len(specs) == 1 and rule is None))
    return _Known(row, row.kind, row.width, len(specs), number, swaps, rule, spreads, tells, plain, _folds(row))


def _folds(row):
    if row.kind in (op.WINDOW, op.VIEW):
        return True
    if row.kind != op.KERNEL or row.width != 1 or row.out.nbytes > FOLDED_BYTES or not row.deferrable:
        return False
    if pools.table[row.index, op.FORWARD] < 0:
        row.lower_forward()
    return not pools.table[row.index, op.HAS_CALL]


def simplify(tape, inputs, outputs):
    """Rewrite a recorded tape's rows.

    Parameters
    ----------
    tape : Tape
    inputs, outputs : list of int
        Slots.

    Returns
    -------
    list of int
        Slots at which the outputs stand now.
    """
    work = _Pass(tape, inputs, outputs)
    work.run()
    return [work.same.get(k, k) for k in outputs]


class _Pass:
    """The pass under way.

    Attributes
    ----------
    same : dict
        The slot that stands for another one.
    constants : dict
        Arrays of the slots that are the same in each replay; None as long as an array is not computed.
    numbers : dict
        Values of constants of one element, and of what they are broadcast to; see `number`.
    unknown : set of int
        Constants that have not been computed, and views of them.
    wanted : set of int
        Those among them that other rows read.
    telling : set of int
        Zeros and ones, negated and broadcast values, and what is unknown: what lets a row be another one.
    met : dict
        The first row of each key.
    written : set of int
        Slots whose memory is written in place.
    """

    def __init__(self, tape, inputs, outputs):
        self.tape, self.rows = tape, tape.rows
        self.inputs, self.outputs = set(inputs), {*outputs, *map(tape.root_of, outputs)}
        self.same: dict[int, int] = {}
        self.constants: dict[int, np.ndarray | None] = {}
        self.numbers: dict[int, float] = {}
        self.unknown: set[int] = set()
        self.wanted: set[int] = set()
        self.telling: set[int] = set()
        self.met: dict[int | tuple, int] = {}
        self.written = {tape.root_of(k) for k in tape.write_sites if self.signature(k).kind == op.WRITE}
        self.folding = _Folding()

    def run(self):
        """Visit all rows, from the first to the last."""
        rows, same, constants, telling = self.rows, self.same, self.constants, self.telling
        met, written, slot, last = self.met, self.written, 0, len(self.rows)
        while slot < last:
            word = rows[slot]
            known = _known(word >> op.SIGNATURE_SHIFT)
            # What most rows are: operands of which nothing is known. The same as in `_visit`, in fewer steps.
            a = word >> op.SLOT_BITS & op.SLOT_MASK
            b = word & op.SLOT_MASK if known.arity == 2 else a
            if not known.plain or written or a in same or b in same or a in telling or b in telling:
                self._visit(slot, known)
            else:
                if known.swaps and b < a:
                    a, b = b, a
                first = met.setdefault(known.number << op.SIGNATURE_SHIFT | a << op.SLOT_BITS | b, slot)
                if first != slot:
                    same[slot] = first
                elif known.folds and a in constants and b in constants:
                    self._fold(slot, known, [a, b])
                elif known.tells:
                    telling.add(slot)
            slot += known.width
        self._compute(self.unknown.intersection(self.wanted | self.outputs))

    def _visit(self, slot, known):
        """Rewrite a row, or find out which one it is the same as."""
        same, constants, telling = self.same, self.constants, self.telling
        if known.kind == op.IMPORT:
            self._import(slot)
            return
        operands = self.operands(slot)
        if any([k in same for k in operands]):
            operands = [same.get(k, k) for k in operands]
            self._replace(slot, known.row, operands)
        if self.written and not self._is_stable(slot, operands):
            return
        folds = known.folds and all([k in constants for k in operands])
        if not folds and (known.arity == 1 or any([k in telling for k in operands])):
            known, operands = self._without_broadcasts(slot, known, operands)
            found = known.rule(self, slot, known.row, operands) if known.rule is not None else None
            if isinstance(found, int):
                if self._may_be(slot, found):
                    same[slot] = found
                    return
            elif found is not None:
                signature, operands = found
                self._replace(slot, signature, operands)
                known = _known(signature.index)
        if known.tells:
            telling.add(slot)
        if known.swaps:
            operands.sort()
        first = self.met.setdefault(self._key(slot, known, operands), slot)
        if first != slot:
            same[slot] = first
        elif folds:
            self._fold(slot, known, operands)
        else:
            self.wanted.update(self.unknown.intersection(operands))

    def _key(self, slot, known, operands):
        """What is equal for rows that have the same value."""
        if known.width == 1 and known.arity <= 2:
            return known.number << op.SIGNATURE_SHIFT | operands[0] << op.SLOT_BITS | operands[-1]
        return known.number, self.rows[slot + 1] if known.kind in op.WITH_OFFSET else 0, *operands

    def operands(self, slot):
        """Operand slots of a row."""
        rows, word = self.rows, self.rows[slot]
        count = _known(word >> op.SIGNATURE_SHIFT).arity
        if count == 1:
            return [word >> op.SLOT_BITS & op.SLOT_MASK]
        if count == 2:
            return [word >> op.SLOT_BITS & op.SLOT_MASK, word & op.SLOT_MASK]
        return [rows[slot + k // 2] >> (0 if k & 1 else op.SLOT_BITS) & op.SLOT_MASK for k in range(count)]

    def signature(self, slot):
        """What a row is."""
        return _known(self.rows[slot] >> op.SIGNATURE_SHIFT).row

    def _replace(self, slot, signature, operands):
        offset = self.rows[slot + 1] if signature.kind in op.WITH_OFFSET else None
        words = pack(signature, operands, offset)
        self.rows[slot : slot + len(words)] = words
        if signature.kind in op.WITH_OFFSET:
            self.tape.roots[slot] = self.tape.root_of(operands[0])

    def _import(self, slot):
        owner = self.tape.imported(slot)[1]
        if slot in self.inputs or owner is None or slot in self.written:
            return
        self.constants[slot] = owner
        if owner.size == 1 and owner.dtype.kind == "f":
            self._note_number(slot, owner.item())

    def _note_number(self, slot, value):
        self.numbers[slot] = value
        if abs(value) in (0.0, 1.0):
            self.telling.add(slot)

    def _is_stable(self, slot, operands):
        """Whether neither the row's value nor what it reads is written in place, before or after."""
        root_of, written = self.tape.root_of, self.written
        return root_of(slot) not in written and not any(root_of(k) in written for k in operands)

    def _may_be(self, slot, other):
        """Whether another slot can stand for this one: in the same layout, and an output's memory is no argument's."""
        if self.signature(slot).out.plain is not self.signature(other).out.plain:
            return False
        if slot not in self.outputs:
            return True
        return self.signature(self.tape.root_of(other)).kind == op.KERNEL

    def _without_broadcasts(self, slot, known, operands):
        """Elementwise rows broadcast by themselves: they read what a `broadcast_to` among their operands reads."""
        if not known.spreads:
            return known, operands
        for k, operand in enumerate(operands):
            if self.signature(operand).primitive is not ops.broadcast_to:
                continue
            (source,) = self.operands(operand)
            specs = [self.signature(p).out.plain for p in operands]
            specs[k] = self.signature(source).out.plain
            if np.broadcast_shapes(*[s.shape for s in specs]) != known.row.out.shape:
                continue
            signature = signature_of(known.row.primitive, tuple(specs), tuple(known.row.attrs.items()), False)
            if signature.out is known.row.out.plain:
                operands = [*operands[:k], source, *operands[k + 1 :]]
                self._replace(slot, signature, operands)
                known = _known(signature.index)
        return known, operands

    def _fold(self, slot, known, operands):
        """Leave a row of constants to be computed with others, or note that a view is one of a constant."""
        if known.kind == op.KERNEL:
            self.folding.place(self, slot)
            self.constants[slot] = None
        else:
            (source,) = operands
            self.constants[slot] = self.constants[source]
            if source not in self.unknown:
                if source in self.numbers and known.row.out.size:
                    self._note_number(slot, self.numbers[source])
                return
        self.unknown.add(slot)
        self.telling.add(slot)

    def number(self, slot):
        """The value of a constant of one element, or of what it is broadcast to; else None."""
        if slot in self.unknown:
            self._compute([slot])
        return self.numbers.get(slot)

    def _compute(self, slots):
        """Make imports of rows of constants, and of those that views are of."""
        for slot in slots:
            chain = [slot]
            while self.signature(chain[-1]).kind in (op.WINDOW, op.VIEW):
                chain += self.operands(chain[-1])
            if chain[-1] in self.unknown:
                self._bring(chain[-1])
            for view in chain[-2::-1]:
                self.constants[view] = self.constants[chain[-1]]
                if chain[-1] in self.numbers and self.signature(view).out.size:
                    self._note_number(view, self.numbers[chain[-1]])
            self.unknown.difference_update(chain)

    def _bring(self, slot):
        row, value, tape = self.signature(slot), self.folding.value(self, slot), self.tape
        tape.imports.append((slot, value, None, None, 0))
        tape.import_addr.append(address_of(value))
        self.rows[slot] = import_signature(row.out.plain).code | (len(tape.imports) - 1)
        self._import(slot)


class _Folding:
    """Runs rows of constants, on a tape of its own, by the loops that would run them in a replay."""

    def __init__(self):
        self.tape = Tape()
        self.places: dict[int, int] = {}

    def value(self, work, slot):
        """The value of a row that has its place; all rows that wait are run."""
        place = self.places[slot]
        self.tape.flush()
        found = np.array(self.tape.view(place, work.signature(slot).out))
        found.flags.writeable = False
        return found

    def place(self, work, slot):
        """The slot's place here; what it reads is brought first."""
        place = self.places.get(slot)
        if place is None:
            row, tape = work.signature(slot), self.tape
            if row.kind == op.IMPORT:
                owner = work.constants[slot]
                place = tape.bring(row.out, owner, address_of(owner))
            else:
                operands = [self.place(work, k) for k in work.operands(slot)]
                place = len(tape.rows)
                offset = work.rows[slot + 1] if row.kind in op.WITH_OFFSET else None
                tape.rows.extend(pack(row, operands, offset))
                if row.kind in op.WITH_OFFSET:
                    tape.roots[place] = tape.root_of(operands[0])
            self.places[slot] = place
        return place


# --- identities that give the same bits ------------------------------------------------------------------------------


def _signed(work, slot):
    """What a row negates, or None."""
    return work.operands(slot)[0] if work.signature(slot).primitive is ops.negative else None


def _row(work, primitive, operands):
    return signature_of(primitive, tuple([work.signature(k).out.plain for k in operands]), (), False), operands


def _multiply(work, slot, row, operands):
    for x, factor in (operands, operands[::-1]):
        if work.number(factor) == 1.0:
            return x
        if work.number(factor) == -1.0 and work.signature(x).out.shape == row.out.shape:
            return _row(work, ops.negative, [x])
    return None


def _divide(work, slot, row, operands):
    return operands[0] if work.number(operands[1]) == 1.0 else None


def _add(work, slot, row, operands):
    for x, y in (operands, operands[::-1]):
        number = work.number(y)
        if number == 0.0 and np.signbit(number):
            return x
        negated = _signed(work, y)
        if negated is not None:
            return _row(work, ops.subtract, [x, negated])
    return None


def _subtract(work, slot, row, operands):
    x, y = operands
    number = work.number(y)
    if number == 0.0 and not np.signbit(number):
        return x
    negated = _signed(work, y)
    return None if negated is None else _row(work, ops.add, [x, negated])


def _negative(work, slot, row, operands):
    return _signed(work, operands[0])


def _itself(work, slot, row, operands):
    return operands[0]


def _view(work, slot, row, operands):
    return operands[0] if work.rows[slot + 1] == 0 else None


_RULES = {
    "multiply": _multiply, "divide": _divide, "add": _add, "subtract": _subtract, "negative": _negative,
    "positive": _itself, "copy": _itself, "track": _itself, "detach": _itself, "view": _view,
}  # fmt: skip
