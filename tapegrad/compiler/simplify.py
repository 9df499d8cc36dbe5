"""One pass over recorded rows: what is known while recording, done before, or the same to the last bit, goes.

Rows are rewritten where they stand: operands are replaced by equal ones, and a row by a cheaper one that gives the same
bits. What no longer matters afterwards is found by `tapegrad.compiler.passes`. Values that are written in place, and
rows that read them, are left as they are: the same operands may have other values by then.
"""

from __future__ import annotations

from array import array

import numpy as np

from ..tape.numbers import Numbers
from ..tape.passes import run
from ..tape.rows import Rows
from ..vm import opcodes as op
from ..vm import traits as t
from ..vm.pools import pools
from .constants import Constants
from .identities import answer
from .traits import TRAITS

__all__ = ["simplify"]

FEWEST_ANSWERS = 64


def simplify(tape, inputs, outputs):
    """Rewrite a recorded tape's rows.

    Parameters
    ----------
    tape : Tape
        Nothing is recorded on it any more: its rows become an array.
    inputs, outputs : list of int
        Slots.

    Returns
    -------
    list of int
        Slots at which the outputs stand now.
    """
    rows = Rows(tape.rows)
    live, kinds = rows.live(inputs, outputs), rows.signatures()
    traits = TRAITS.of(kinds)
    written, results = np.zeros(len(rows.words), np.uint8), np.zeros(len(rows.words), np.uint8)
    written[rows.root[rows.starts[pools.table[kinds, op.KIND] == op.WRITE]]] = 1
    results[outputs] = results[rows.root[outputs]] = 1
    constants = Constants(tape, rows, inputs, traits, written, live)
    same = _rewrite(rows, written, live, constants, results, traits)
    outputs = same[outputs].tolist()
    constants.bring(rows.live(inputs, outputs, constants.known == t.COMPUTED))
    tape.rows = array("q", rows.words.tobytes())
    tape.numbers = Numbers(tape)  # those from before hold on to the list
    return outputs


def _rewrite(rows, written, live, constants, results, traits):
    """Run the pass; returns, by slot, the slot that stands for it."""
    count = len(rows.starts)
    same, met = np.arange(len(rows.words), dtype=np.int32), np.zeros(1 << (2 * count).bit_length(), np.int32)
    question, answered, asked = np.zeros(5, np.int64), np.zeros((FEWEST_ANSWERS, t.ANSWERED), np.int64), 0
    at = 0
    while True:
        at = run(
            "simplifying.simplify", rows.words, rows.starts, at, count, pools.table, traits, rows.root,
            written, live, constants.known, constants.numbered, results, same, met, len(met) - 1,
            answered, len(answered) - 1, question,
        )  # fmt: skip
        if not question[t.QUESTION]:
            return same
        asked += 1
        if 2 * asked > len(answered):  # they will be asked again
            answered, asked = np.zeros((2 * len(answered), t.ANSWERED), np.int64), 1
        question[t.ANSWER] = answer(*question[: t.ANSWER].tolist())
        traits = TRAITS.of(question[t.ANSWER :][question[t.ANSWER :] >= 0])
