"""What the reverse sweep says when it must refuse, in PyTorch's words and with the line that did it."""

from __future__ import annotations

import numpy as np

from ..tape.site import describe
from ..tape.tape import Tape
from ..vm import opcodes as op

__all__ = ["backward_name", "freed", "stale"]


def stale(tape, row, operand):
    """The error for a saved value that was overwritten."""
    slot = row if operand < 0 else tape.operands(row)[operand]
    spec = tape.signature(slot).out
    root = tape.root_of(slot)
    write = tape.stamps.last.get(root, -1)
    foreign = {s: b for s, b in tape.written_elsewhere()}.get(root)
    name = tape.signature(row).primitive.grad_name
    before = version_at(tape, root, row)
    now = foreign.version if foreign is not None else version_at(tape, root, write)
    producer = _producer(tape, slot) if operand < 0 else _owner(tape, slot, write)
    which = f", which is output 0 of {producer}," if producer and spec.requires_grad else ""
    site = foreign.site if foreign is not None else tape.stamps.sites.get(write)
    notes = tape.notes.get(row)
    recorded = f", recorded at {describe(notes.site)}" if notes is not None and notes.site else ""
    where = f" It was written at {describe(site)}." if site else ""
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{np.dtype(spec.dtype).name} {list(spec.shape)}]{which} is at version {now}; expected version {before} "
        f"instead (needed by {name}Backward0{recorded}).{where} Write to a copy (`x = x.clone()`), or use an operation "
        f"that makes a new array, where the old value is still needed."
    )


def backward_name(signature):
    """Name of a row's backward function, such as ``'MulBackward0'``."""
    name = signature.primitive.grad_name
    if name == "View":
        name = signature.attrs["label"]
    elif name == "Mm":
        ranks = tuple(min(s.ndim, 3) for s in signature.specs)
        name = {(1, 1): "Dot", (1, 2): "Mv", (2, 1): "Mv", (2, 2): "Mm"}.get(ranks, "Bmm")
    return name if name in ("CopySlices", "CopyBackwards") else name + "Backward0"


def _producer(tape, slot):
    """Name of the operation that computed a value that was overwritten, or None for a leaf's."""
    while tape.signature(slot).kind == op.IMPORT:
        home = tape.imported(slot)[2]
        if not isinstance(home, tuple):
            return None
        tape, slot = home
        if not isinstance(tape, Tape):
            return tape.ctx.name().removesuffix("Backward")
    return backward_name(tape.signature(slot)).removesuffix("Backward0")


def _owner(tape, slot, write):
    """Name of the operation that an operand came from, after it was overwritten: what its `grad_fn` is now."""
    if _is_view(tape, slot):
        return "AsStrided"
    if write < 0 or not tape.signature(write).out.requires_grad:
        return _producer(tape, slot)
    through = _is_view(tape, tape.operands(write)[0])
    return "CopySlices" if through else backward_name(tape.signature(write)).removesuffix("Backward0")


def _is_view(tape, slot):
    signature = tape.signature(slot)
    return signature.kind != op.IMPORT and signature.primitive.grad_name == "View"


def version_at(tape, root, row):
    """In-place writes to a buffer up to and including a row."""
    base = next((version for slot, _, _, _, version in tape.imports if slot == root), 0)
    return base + sum(r <= row and tape.root_of(r) == root for r in tape.stamps.sites)


def freed(tape, row):
    """The error for a second sweep over freed rows."""
    name = tape.signature(row).primitive.grad_name
    return RuntimeError(
        f"Trying to backward through the graph a second time: the values that {name}Backward0 saved were freed by "
        f"the first backward(). Specify retain_graph=True there if you need to sweep the graph twice."
    )
