"""What the reverse sweep says when it must refuse, in PyTorch's words and with the line that did it."""

from __future__ import annotations

import numpy as np

from ..tape.site import describe

__all__ = ["freed", "stale"]


def stale(tape, row, operand):
    """The error for a saved value that was overwritten."""
    slot = row if operand < 0 else tape.operands(row)[operand]
    spec = tape.signature(slot).out
    root = tape.root_of(slot)
    write = tape.writes.get(root, -1)
    foreign = {s: b for s, b in tape.written_elsewhere()}.get(root)
    name = tape.signature(row).primitive.grad_name
    before = version_at(tape, root, row)
    now = foreign.version if foreign is not None else version_at(tape, root, write)
    producer = tape.signature(slot)
    computed = spec.requires_grad and producer.specs
    which = f", which is output 0 of {producer.primitive.grad_name}Backward0" if computed else ""
    site = foreign.site if foreign is not None else tape.write_sites.get(write)
    notes = tape.notes.get(row)
    recorded = f", recorded at {describe(notes.site)}" if notes is not None and notes.site else ""
    where = f" It was written at {describe(site)}." if site else ""
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{np.dtype(spec.dtype).name} {list(spec.shape)}]{which}, is at version {now}; expected version {before} "
        f"instead (needed by {name}Backward0{recorded}).{where} Write to a copy (`x = x.clone()`), or use an operation "
        f"that makes a new array, where the old value is still needed."
    )


def version_at(tape, root, row):
    """In-place writes to a buffer up to and including a row."""
    base = next((version for slot, _, _, _, version in tape.imports if slot == root), 0)
    return base + sum(r <= row and tape.root_of(r) == root for r in tape.write_sites)


def freed(tape, row):
    """The error for a second sweep over freed rows."""
    name = tape.signature(row).primitive.grad_name
    return RuntimeError(
        f"Trying to backward through the graph a second time: the values that {name}Backward0 saved were freed by "
        f"the first backward(). Specify retain_graph=True there if you need to sweep the graph twice."
    )
