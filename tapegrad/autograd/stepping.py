"""The reverse sweep where Python looks in: compiled from stop to stop.

A stop is a row with hooks, with saved values that were packed, or, while somebody watches (`detect_anomaly`,
`profile`), every row. The sweep over a tape that has none of these never comes here.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..tape.current import rotate
from ..tape.handle import Tensor
from ..tape.memory import address_of
from ..tape.state import grad_mode, local
from ..values import value_of
from ..vm import opcodes as op
from .hooks import hooks_added, run_node_hooks, run_tensor_hooks, tensor_over, watchers
from .recorded import row_cotangents

__all__ = ["leave", "step_through"]


def leave(tape) -> bool:
    """Whether sweeps over a tape stop; then nothing more is recorded on it, since hooks may record."""
    if not watchers and not any(notes.stops for notes in tape.notes.values()):
        return False
    if local.state.tape is tape:
        rotate(local.state)
    return True


def step_through(run, state):
    """Run a tape's rows from the last to the first, stopping where somebody looks in."""
    tape, bar, kept, wanted = run.tape, run.arrays.bar, run.arrays.kept, run.arrays.wanted
    count = state[op.POSITION] + 1
    rows = run.arrays.starts[:count]
    first = address_of(rows)

    def drive(low, high):
        if low < high:
            state[op.AT_STARTS], state[op.POSITION] = first + 4 * low, high - low - 1
            run.drive(state)

    stops: Iterable[int] = range(count - 1, -1, -1) if watchers else _stops(run, rows, count)
    high = count
    for k in stops:
        drive(k + 1, high)
        high = k + 1
        r = int(rows[k])
        if bar[r] in (op.NONE, op.GIVEN):
            continue
        notes = tape.notes.get(r)
        if notes is not None and notes.tensor:
            with grad_mode(False):
                run.replace(r, value_of(run_tensor_hooks(notes.tensor, tensor_over(run.cotangent(r)))))
        row = tape.signature(r)
        if row.kind == op.IMPORT or kept[r] == op.KEPT_UNVISITED or bar[r] == op.PART or not row.out.requires_grad:
            continue
        for watcher in watchers:
            watcher.before(tape, r)
        bars = None
        if (notes is not None and notes.needs_rule) or any(w.python for w in watchers):
            bars = _run_row(run, r, row, notes, wanted)
            high = k
        elif watchers:
            drive(k, k + 1)
            high = k
        for watcher in watchers:
            watcher.after(tape, r, bars)
    drive(0, high)


def _stops(run, rows, high):
    """Rows with hooks or packed values, from the last to the first; hooks that are added under way count."""
    tape, bar, kept = run.tape, run.arrays.bar, run.arrays.kept
    left, added = [], -1
    while True:
        if added != hooks_added():
            added = hooks_added()
            slots = [slot for slot, notes in tape.notes.items() if notes.stops]
            left = sorted(int(k) for k in np.searchsorted(rows, slots) if k < high)
            for k in left:
                if bar[rows[k]] == op.NONE and kept[rows[k]] == 0:
                    kept[rows[k]] = op.KEPT
        if not left:
            return
        high = left.pop()
        yield high


def _run_row(run, r, row, notes, wanted):
    """A row's reverse by its recorded rule, with its hooks around it."""
    tape = run.tape
    operands = tape.operands(r)
    asked = tuple(spec.requires_grad and bool(wanted[k]) for spec, k in zip(row.specs, operands, strict=True))
    with grad_mode(False):
        bar: Tensor = tensor_over(run.cotangent(r))
        if notes is not None and notes.before:
            (bar,) = run_node_hooks(notes.before, (bar,))
        bars = row_cotangents(tape, r, bar, asked)
        if notes is not None and notes.after:
            bars = run_node_hooks(notes.after, tuple(bars), (bar,))
        for q, x_bar in zip(operands, bars, strict=True):
            if x_bar is not None and wanted[q]:
                run.contribute(q, value_of(x_bar))
    return bars
