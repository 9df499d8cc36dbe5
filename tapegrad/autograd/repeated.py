"""Recorded sweeps over rows like those of one before: what that left is appended, with other slots.

A gradient inside of what is differentiated is recorded each time that the code around it runs, mostly over the same few
rows; so are tangents. What a sweep leaves depends on the rows between outputs and inputs, and on nothing else, as long
as nothing is attached to them and nothing was overwritten. So the key is what these rows are, each operand by its
number in the order of meeting, and what was left is words with blanks for slots. Rules look at no values, on which the
sweep in machine code relies as well; should one do so all the same, values are computed, and nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..primitives.core import lift, ops
from ..tape.buffer import buffer_of
from ..tape.current import new_tensor
from ..tape.handle import Tensor, ViewFacts
from ..tape.importing import slot_of
from ..tape.numbers import Numbers
from ..tape.signature import CAREFUL, DEFER_BYTES, by_index
from ..tape.state import local
from ..tape.tape import Tape
from ..vm import opcodes as op
from .hooks import watchers
from .rules import Rule, is_learnable, learnt

__all__ = ["is_repeatable", "ones", "repeated_sweep"]

MOST_ROWS = 2048
"""Of a sweep that is remembered."""
MOST_KNOWN = 1 << 16
"""Rows of all sweeps that are remembered; what is forgotten will be learnt again."""
MOST_CONSTANTS = 64
"""Numbers and arrays that such a sweep brings onto the tape."""
MOST_BYTES = 1024
"""Of an array that a rule makes, such as a mask, and that is kept."""


class _Known(dict):
    """By key, what a sweep leaves; True of one that was met once, False of one that must be done each time."""

    rows = 0

    def meet(self, key: tuple, rows: int) -> None:
        """Note a sweep over so many rows."""
        if self.rows + rows > MOST_KNOWN:
            self.clear()
            self.rows = 0
        self.rows += rows
        self[key] = True


_known = _Known()


class _Plan(NamedTuple):
    """What a sweep leaves. Places are those in a list of slots: 0, those given, constants, and then those of the words.

    Attributes
    ----------
    size : int
        Words that the tape must have room for.
    constants : list of tuple
        A number's dtype (its character) and the number; or an array's spec and the array.
    words : list of (int, int, int)
        What stands in a word anyhow, and the places of its two operands.
    views : list of (int, int)
        The first word of a view, and the place of what it is a view of.
    results : list
        By input, the place of its cotangent, the place of the memory that this is a view of, and the offset there;
        or None.
    """

    size: int
    constants: list[tuple[Any, Any]]
    words: list[tuple[int, int, int]]
    views: list[tuple[int, int]]
    results: list[tuple[int, int, int] | None]


def is_repeatable(tape: Tape, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether tensors stand on the thread's tape, to whose rows nothing is attached."""
    if tape.fast is CAREFUL or tape.tracing or tape.inference or tape.device is not None:
        return False
    if tape.notes or tape.sources or tape.retaining or tape.freed or tape.foreign_writes or watchers:
        return False
    for t in outputs:
        if t._tape is not tape or t._rare._leaf or t._rare._home is not None:
            return False
    for t in inputs:
        if t._tape is not tape or t._rare._home is not None or t._rare._hooks is not None:
            return False
    return tape.sealed is None


def repeated_sweep(
    tape: Tape,
    kind: str,
    graph: bool,
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    seeds: Sequence[Tensor] | None,
    by_rules: Callable[[Sequence[Tensor]], list],
) -> list[Tensor | None]:
    """What a sweep finds, for tensors that are `is_repeatable`.

    Parameters
    ----------
    tape : Tape
    kind : {"reverse", "forward", "batched"}
    graph : bool
        Whether what it leaves can be differentiated.
    outputs, inputs : sequence of Tensor
    seeds : sequence of Tensor, optional
        What it begins with; by default, `ones`.
    by_rules : callable
        Takes the seeds and does the sweep, row by row.
    """
    described = _described(tape, outputs, inputs)
    if described is None:
        return by_rules(ones(outputs) if seeds is None else seeds)
    number, words, order = described
    at = tuple([number.get(t._slot) for t in (*outputs, *inputs)])
    begin = None if seeds is None else _numbered(seeds, tape, number)
    key = (kind, graph, len(outputs), at, begin, words, order)
    plan = _known.get(key)
    if plan and plan is not True and tape.fast is not CAREFUL and plan.size < tape.limit - len(tape.rows):
        given = list(number)
        if seeds is None:
            given += [tape.numbers[t._spec.dtype.char][1.0] for t in outputs]
        return _follow(plan, tape, given, graph)
    if seeds is None:
        seeds = ones(outputs)
        _numbered(seeds, tape, number)
    if plan is True and tape.fast is not CAREFUL:
        found, _known[key] = _learnt(tape, list(number), lambda: by_rules(seeds))
        return found
    if plan is None:
        _known.meet(key, len(order))
    return by_rules(seeds)


def ones(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Cotangents to begin with: tensors of their own, which hooks may write to."""
    return [lift(np.ones(t._spec.shape, t._spec.dtype)) for t in outputs]


def _numbered(tensors: Sequence[Tensor], tape: Tape, number: dict[int, int]) -> tuple:
    """Tensors from elsewhere by number and type."""
    state = local.state
    found = []
    for t in tensors:
        if t._rare._base is not None:
            t._refresh_view()
        found.append((number.setdefault(slot_of(t, state, tape), len(number)), t._spec))
    return tuple(found)


def _described(
    tape: Tape, outputs: Sequence[Tensor], inputs: Sequence[Tensor]
) -> tuple[dict[int, int], tuple, tuple] | None:
    """The rows that may lead from inputs to outputs, in numbers.

    None if they are many, if there may be others elsewhere, or if memory of theirs was written.

    Returns
    -------
    number : dict of int
        By slot, its place in the order of meeting, from the outputs on.
    words : tuple of int
        Of each row between: its place, its signature, offset if it has one, and operands by number.
    order : tuple of int
        Of these rows, as recorded: that of the sums.
    """
    rows = tape.rows
    oldest = -1 if any([t._rare._leaf for t in inputs]) else min([t._slot for t in inputs])
    met = list(dict.fromkeys([t._slot for t in outputs]))
    number = {slot: n for n, slot in enumerate(met)}
    words: list[int] = []
    between: list[int] = []
    for place, slot in enumerate(met):  # which grows
        index = rows[slot] >> op.SIGNATURE_SHIFT
        row = by_index[index]
        if slot <= oldest or not row.out.requires_grad:
            continue
        if row.kind == op.IMPORT:
            home = tape.imported(slot)[2]
            if not isinstance(home, Tensor) or home._tape is not tape or home._slot != slot:
                return None
            continue
        between.append(slot)
        words += place, index
        if row.kind in op.WITH_OFFSET:
            words.append(rows[slot + 1])
        for k in tape.operands(slot):
            n = number.setdefault(k, len(met))
            if n == len(met):
                met.append(k)
            words.append(n)
        if len(between) > MOST_ROWS:
            return None
    stamps = tape.stamps
    if stamps.last and any([stamps.roots.get(slot, slot) in stamps.last for slot in met]):
        return None
    return number, tuple(words), tuple(sorted(range(len(between)), key=between.__getitem__))


def _follow(plan: _Plan, tape: Tape, given: list[int], graph: bool) -> list[Tensor | None]:
    """Append what a sweep leaves."""
    rows, numbers = tape.rows, tape.numbers
    slots = [0, *given]
    for kind, value in plan.constants:
        slots.append(numbers[kind][value] if kind.__class__ is str else tape.constant(value, kind))
    start = len(rows)
    slots.extend(range(start, start + len(plan.words)))
    rows.extend([word | slots[a] << op.SLOT_BITS | slots[b] for word, a, b in plan.words])
    for at, source in plan.views:
        tape.noted += (start + at, slots[source], None)
    made: dict[int, Tensor] = {}
    found = [None if r is None else _result(r, tape, slots, made) for r in plan.results]
    if not graph:
        for t in found:
            if t is not None and t._rare._base is not None:
                t._unrecorded = True
    return found


def _result(result: tuple[int, int, int], tape: Tape, slots: list[int], made: dict[int, Tensor]) -> Tensor:
    """The handle of a cotangent, or the one that there is; one that is a view knows of what."""
    place, root, offset = result
    found = made.get(place)
    if found is None:
        slot = slots[place]
        found = made[place] = new_tensor(tape, slot, tape.signature(slot).out)
        if root != place:
            base = _result((root, root, 0), tape, slots, made)
            buffer = buffer_of(base)
            found._rare = ViewFacts(base, buffer, offset, buffer.history)
            buffer.add_view(found, base)
    return found


# --- what is learnt -------------------------------------------------------------------------------


def _learnt(tape: Tape, given: list[int], sweep: Callable[[], list]) -> tuple[list, _Plan | bool]:
    """What a sweep finds, and what it leaves; False if that is not the same each time."""
    if tape.done == len(tape.rows):
        Numbers(tape)["d"][0.0]  # a row that has not run: it would, if a rule looked at a value
    start, done = len(tape.rows), tape.done
    found, rule = learnt(tape, given, sweep)
    if rule is None or local.state.tape is not tape or tape.done != done:
        return found, False
    rows = [tape.signature(slot) for slot in given]
    if not all([is_learnable(row) for row in rows if row.kind != op.IMPORT]):
        return found, False
    return found, _plan(rule, tape, len(given), start) or False


def _plan(rule: Rule, tape: Tape, given: int, start: int) -> _Plan | None:
    """A rule for so many given slots, as words; None if it cannot simply be repeated."""
    constants: list[tuple[Any, Any]] = []
    if len(rule.constants) > MOST_CONSTANTS:
        return None
    for slot in rule.constants:
        array, home = tape.imported(slot)[1:3]
        if slot < start or home is not None or array.nbytes > MOST_BYTES:
            return None
        number = array.shape == () and not array.flags.writeable
        constants.append((array.dtype.char, array.item()) if number else (tape.signature(slot).out, array))
    first = 1 + given + len(constants)
    places = list(range(1, first))
    words: list[tuple[int, int, int]] = []
    views: list[tuple[int, int]] = []
    for row, operands, offset in rule.rows:
        if not row.deferrable or max([max(s.nbytes, s.extent) for s in (*row.specs, row.out)]) > DEFER_BYTES:
            return None
        blanks = [*[places[k] for k in operands], 0, 0]
        places.append(first + len(words))
        if row.kind in op.WITH_OFFSET:
            views.append((len(words), blanks[0]))
            words += [(row.code, blanks[0], 0), (offset, 0, 0)]
        else:
            codes = [row.code, *[0] * (row.width - 1)]
            words += [(code, *blanks[2 * k : 2 * k + 2]) for k, code in enumerate(codes)]
    results = [None if r is None else _form(r, rule, places, first - 1) for r in rule.results]
    return None if False in results else _Plan(len(words) + len(constants) + given, constants, words, views, results)


def _form(result: Any, rule: Rule, places: list[int], own: int) -> Any:
    """A result as plans have it; False if it is no row of the rule's `own`, or a view of something else."""
    root, offset = result, 0
    while isinstance(root, int) and root >= own:
        row, operands, at = rule.rows[root - own]
        if row.kind == op.KERNEL:
            return places[result], places[root], offset
        if row.primitive is ops.detach:  # no view of what it stands for
            break
        root, offset = operands[0], offset + at
    return False
