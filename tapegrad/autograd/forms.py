"""Cotangents of several parts, by number: in which machine code can tell those that are alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape.record import pack
from ..vm import opcodes as op
from ..vm import sweep_fields as f
from .contributions import Parts
from .rules import Rule

__all__ = ["Forms", "rule_words"]

MOST_MARKS = 256
"""Elements of arrays whose cotangents have a form, if some of them count as zero: which ones is part of it."""


class Forms:
    """Of which types and places the parts of cotangents are, each once."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._forms: list[Any] = []

    def of(self, parts: Parts) -> tuple[int, list] | None:
        """The number of a cotangent's form, and its tensors; None if it is too large to have one."""
        if len(parts.windows) >= f.MOST_PARTS or (parts.zeros is not None and parts.zeros.size > MOST_MARKS):
            return None
        windows = sorted(parts.windows.items(), key=lambda item: item[0])
        tensors = [v for _, v in windows]
        whole = None if parts.whole is None else parts.whole._spec
        marks = None if parts.zeros is None else parts.zeros.tobytes()
        form = (whole, marks, *[(at, v._spec) for at, v in windows])
        number = self._numbers.setdefault(form, len(self._forms))
        if number == len(self._forms):
            self._forms.append(form)
        return number, (tensors if whole is None else [parts.whole, *tensors])

    def parts(self, number: int, tensors: list) -> Parts:
        """The cotangent of a form that consists of these tensors."""
        whole, marks, *windows = self._forms[number]
        first = None if whole is None else tensors[0]
        rest = tensors if whole is None else tensors[1:]
        zeros = None if marks is None else np.frombuffer(marks, np.bool_).copy()
        return Parts(first, {at: v for (at, _), v in zip(windows, rest, strict=True)}, zeros)


def rule_words(rule: Rule, given: int, forms: list) -> list[int]:
    """A rule for so many given slots, as `tapegrad.vm.learnt` says.

    Parameters
    ----------
    rule : Rule
        Its results are the tensors of all cotangents.
    given : int
    forms : list
        By cotangent, its form and how many tensors it is of; None for one that is a tensor, or is none.
    """
    places = [*range(given), *[~slot for slot in rule.constants]]
    words: list[int] = []
    blanks: list[int] = []
    shared: list[int] = []
    for row, operands, offset in rule.rows:
        at = len(words)
        words += pack(row, [0] * len(operands), offset)
        for k, place in enumerate(operands):
            blanks += [at + k // 2, 0 if k & 1 else op.SLOT_BITS, places[place]]
        if row.kind != op.KERNEL:
            shared += [at, places[operands[0]]]
        places.append(given + at)
    found = [len(words), *words, len(blanks) // 3, *blanks, len(shared) // 2, *shared]
    results = iter(rule.results)
    for form in forms:
        if form is not None:
            number, count = form
            found += [f.SEVERAL, number, count, *[places[next(results)] for _ in range(count)]]
            continue
        result = next(results)
        found += [f.NOTHING] if result is None else [f.TENSOR, places[result]]
    return found
