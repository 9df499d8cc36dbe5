"""What a recorded tape need not do: rows that nothing depends on."""

from __future__ import annotations

from ..vm import opcodes as op

__all__ = ["live_rows"]


def live_rows(tape, inputs, outputs):
    """Rows that the outputs depend on, in order; and in-place writes to memory that is read afterwards.

    Parameters
    ----------
    tape : Tape
    inputs, outputs : list of int
        Slots; inputs are kept in any case.

    Returns
    -------
    list of int
    """
    if not any(tape.signature(slot).kind == op.WRITE for slot in tape.write_sites):
        return _reached(tape, inputs, outputs)
    starts, slot = [], 0
    while slot < len(tape.rows):
        starts.append(slot)
        slot += tape.signature(slot).width
    live = {*inputs, *outputs}
    read = {tape.root_of(k) for k in outputs}
    for slot in reversed(starts):
        if slot in live or (tape.signature(slot).kind == op.WRITE and tape.root_of(slot) in read):
            live.add(slot)
            for k in tape.operands(slot):
                live.add(k)
                read.add(tape.root_of(k))
    return sorted(live)


def _reached(tape, inputs, outputs):
    live = set(inputs)
    stack = list(outputs)
    while stack:
        slot = stack.pop()
        if slot not in live:
            live.add(slot)
            stack += tape.operands(slot)
    return sorted(live)
