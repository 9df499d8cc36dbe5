"""What a recorded tape need not do: rows that nothing depends on, and rows that another one has done already."""

from __future__ import annotations

from ..vm import opcodes as op

__all__ = ["equal_rows", "live_rows"]


def live_rows(tape, inputs, outputs):
    """Rows that the outputs depend on, in order; in-place writes are all kept, since order is all they have.

    Parameters
    ----------
    tape : Tape
    inputs, outputs : list of int
        Slots; inputs are kept in any case.

    Returns
    -------
    list of int
    """
    live = set(inputs)
    stack = [*outputs, *tape.write_sites]
    while stack:
        slot = stack.pop()
        if slot not in live:
            live.add(slot)
            stack += tape.operands(slot)
    return sorted(live)


def equal_rows(tape, rows):
    """Rows that compute what an earlier row has computed, such as the forward's in the reverse.

    Two rows are equal if their primitive, attributes and operands are, whatever their gradient flags. On a tape with
    in-place writes none is taken for another: the same operands may have other values by then.

    Parameters
    ----------
    tape : Tape
    rows : list of int
        Slots, in order.

    Returns
    -------
    dict
        The earlier row, by row.
    """
    if tape.write_sites:
        return {}
    same: dict = {}
    met: dict = {}
    for slot in rows:
        row = tape.signature(slot)
        if row.kind == op.IMPORT:
            continue
        offset = tape.rows[slot + 1] if row.kind in op.WITH_OFFSET else 0
        operands = tuple([same.get(k, k) for k in tape.operands(slot)])
        specs = tuple([s.plain for s in row.specs])
        first = met.setdefault((row.primitive, tuple(row.attrs.items()), specs, operands, offset), slot)
        if first != slot:
            same[slot] = first
    return same
