"""Which values lead from the inputs that are asked for: a sweep goes nowhere else."""

from __future__ import annotations

import operator

import numpy as np

from ..tape.chains import leading
from ..tape.tape import Tape

__all__ = ["only_leads_to", "relevant_slots"]


def only_leads_to(tapes, inputs):
    """Whether the tapes import nothing differentiable but these leaves, so that every row is relevant."""
    ids = {id(t) for t in inputs}
    for tape in tapes:
        if type(tape) is Tape and tape.sources:
            return False
        for entry in tape.imports:
            if entry[2] is not None and id(entry[2]) not in ids:
                return False
    return True


def relevant_slots(pending, inputs, targets, ends=()):
    """Per tape, which slots lead to an input: the sweep goes nowhere else."""
    leaf_ids = {id(t) for t in inputs if t._leaf}
    found: dict = {"leaves": leaf_ids, "ends": ends}

    def leads(home):
        if home in ends:
            return True
        if isinstance(home, tuple):
            return visit(home[0])[home[1]]
        return home is not None and id(home) in leaf_ids

    def visit(tape):
        if tape in found:
            return found[tape]
        if not isinstance(tape, Tape):  # a call of a user's function
            through = any([leads(home) for *_, home in tape.imports])
            found[tape] = {k: through or (tape, k) in targets for k in range(len(tape.types))}
            return found[tape]
        if type(tape) is Tape and tape.sources:
            found[tape] = leading(tape, leads, targets)
            return found[tape]
        tape.flush()
        if tape.device is not None:
            found[tape] = tape.relevant(leads, targets)  # type: ignore[attr-defined]
            return found[tape]
        wanted = np.zeros(tape.cap, np.bool_)
        found[tape] = wanted
        for slot, _, home, *_ in tape.imports:
            if slot >= tape.cap or home is None:
                continue
            wanted[slot] = leads(home)
        for (other, slot), _ in targets.items():
            if other is tape:
                wanted[slot] = True
        tape.spread(wanted)
        return wanted

    for tape in _behind(pending):
        visit(tape)
    return found


def _behind(tapes):
    """Tapes and those whose results they use, the first ones first: they may be thousands, one behind another."""
    found, todo = set(), list(tapes)
    while todo:
        tape = todo.pop()
        if tape not in found:
            found.add(tape)
            todo += [entry[2][0] for entry in tape.imports if entry[2].__class__ is tuple]
    return sorted(found, key=operator.attrgetter("rank"))
