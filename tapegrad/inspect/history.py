"""The rows that some tensors depend on, as a graph: what drawings are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..autograd.messages import version_at
from ..autograd.node import name_and_site
from ..autograd.recorded import home_of, source_of
from ..tape.handle import Tensor
from ..tape.tape import Tape
from ..vm import opcodes as op

__all__ = ["History", "Row", "Saved", "history_of"]


@dataclass
class Saved:
    """A value that a row's reverse reads.

    Attributes
    ----------
    label : str
        Which value of the row, as PyTorch names them: ``result``, ``self``, ``other``.
    shape : tuple of int
    version : int
        In-place writes to its memory when the row was recorded.
    overwritten : bool
        Whether there were more writes since: a sweep would refuse.
    """

    label: str
    shape: tuple[int, ...]
    version: int
    overwritten: bool


@dataclass
class Row:
    """A differentiable row of a tape, or a leaf.

    Attributes
    ----------
    name : str
        Of the backward function; of a leaf, what the caller named it.
    shape : tuple of int or None
        None for what stands for several rows.
    sources : list
        Keys of the rows and leaves that its gradient goes to.
    leaf : Tensor or None
    version : int
        Of its memory: after the row, or, for a leaf, now.
    writes : bool
        Whether the row wrote in place.
    freed : bool
        Whether a sweep has passed and freed what it saved.
    attrs : dict
    saved : list of Saved
    """

    name: str
    shape: tuple[int, ...] | None
    sources: list = field(default_factory=list)
    leaf: Any = None
    version: int = 0
    writes: bool = False
    freed: bool = False
    attrs: dict = field(default_factory=dict)
    saved: list[Saved] = field(default_factory=list)


@dataclass
class History:
    """Rows by key, in an order in which sources come first; `outputs` are the keys of the tensors asked for."""

    rows: dict
    outputs: list


def history_of(tensors: list[Tensor], names: dict[int, str], details: bool) -> History:
    """The history of tensors, without recursion.

    Parameters
    ----------
    tensors : list of Tensor
    names : dict
        Names of leaves, and of other tensors, by ``id``.
    details : bool
        Whether versions, attributes and saved values are wanted.
    """
    outputs = [_key(t) for t in tensors]
    rows: dict = {}
    stack = [(key, False) for key in reversed(outputs)]
    begun: dict = {}
    while stack:
        key, back = stack.pop()
        if back:
            rows[key] = begun[key]
            continue
        if key in begun:
            continue
        row = begun[key] = _leaf_row(key, names) if isinstance(key, Tensor) else _tape_row(key, details)
        stack.append((key, True))
        stack += [(s, False) for s in reversed(row.sources)]
    return History(rows, outputs)


def _key(t: Tensor) -> Any:
    if t._leaf:
        return t
    if t._base is not None:
        t._refresh_view()
    return _home(home_of(t))


def _home(home: Any) -> Any:
    """The key for where a value comes from: a leaf, a row, or the call of a `Function`, whatever its result."""
    if not isinstance(home, tuple):
        return home
    tape, slot = home
    if isinstance(tape, Tape):
        tape, slot = source_of(tape, slot) or home
    return (tape, slot) if isinstance(tape, Tape) else (tape, 0)


def _leaf_row(t: Tensor, names: dict[int, str]) -> Row:
    return Row(names.get(id(t), ""), t._spec.shape, leaf=t, version=t._version)


def _tape_row(key: Any, details: bool) -> Row:
    tape, slot = key
    name, _ = name_and_site(tape, slot)
    if not isinstance(tape, Tape):
        homes = [_home(home) for *_, home in tape.imports if home is not None]
        return Row(name, tape.types[0].shape if tape.types and tape.types[0] else None, list(dict.fromkeys(homes)))
    signature = tape.signature(slot)
    writes = signature.kind == op.WRITE
    row = Row(name, signature.out.shape, writes=writes)
    operands, specs = tape.operands(slot), signature.specs
    sources: dict = {}  # a set would do, but for the order; leaves are compared by identity, through their hash
    first = 1 if writes and signature.primitive.inner.name != "copy" else 0  # the target's old value is operand 1 too
    for k in range(first, len(operands)):
        if specs[k].requires_grad:
            source = _source(tape, operands[k])
            if source is not None:
                sources[source] = True
    row.sources = list(sources)
    row.freed = bool(tape.freed is not None and slot < len(tape.freed) and tape.freed[slot])
    if details:
        row.version = version_at(tape, tape.root_of(slot), slot) if tape.stamps.last else 0
        row.attrs = dict(signature.attrs)
        row.saved = list(_saved(tape, slot, signature))
    return row


def _source(tape, slot):
    """The key of the row or leaf that computed a slot; None if nothing that takes a gradient did."""
    key = _home((tape, slot))
    if key[0] is not tape or tape.signature(slot).kind != op.IMPORT:
        return key
    return _home(tape.imported(slot)[2])


_LABELS = ("result", "self", "other", "third", "fourth")


def _saved(tape, slot, signature):
    if not signature.out.requires_grad:
        return
    elsewhere = dict(tape.written_elsewhere())
    operands, write = tape.operands(slot), signature.kind == op.WRITE
    for k, operand in enumerate([slot, *operands]):
        if not signature.needs >> min(k, 62) & 1:
            continue
        root = tape.root_of(operand)
        label = _LABELS[k - (write and k > 1)] if k < len(_LABELS) else f"operand {k}"
        limit = slot - (write and k > 0)
        stale = tape.stamps.last.get(root, -1) > limit or root in elsewhere
        yield Saved(label, tape.signature(operand).out.shape, version_at(tape, root, limit), stale)
