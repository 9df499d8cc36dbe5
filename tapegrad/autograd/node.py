"""`grad_fn`: a row of the tape as PyTorch's users know it, made when somebody asks."""

from __future__ import annotations

from ..primitives.core import ZERO
from ..tape.tape import Tape
from ..vm import opcodes as op
from .hooks import Notes, notes_of
from .messages import backward_name
from .recorded import home_of, saved_value, source_of

__all__ = ["AccumulateGrad", "Node", "edge_to", "is_stepwise", "name_and_site", "node_of"]


class _NodeType(type):
    """Calls of a `Function` are nodes as well, by their contexts."""

    def __instancecheck__(cls, instance):
        return type.__instancecheck__(cls, instance) or getattr(type(instance), "_is_node", False)


class Node(metaclass=_NodeType):
    """A row of the tape, seen as a node of the backward graph.

    Parameters
    ----------
    tape : Tape
    slot : int
    """

    def __init__(self, tape, slot):
        self._tape, self._slot = tape, slot

    def name(self):
        """Name of the backward function, such as ``'MulBackward0'``."""
        return backward_name(self._tape.signature(self._slot))

    def __getattr__(self, name):
        """What the row saved: ``_saved_self``, ``_saved_other``, ``_saved_result``, and its attributes."""
        if not name.startswith("_saved_"):
            raise AttributeError(f"a node has no attribute {name!r}")
        tape, slot = self._tape, self._slot
        row = tape.signature(slot)
        what = name.removeprefix("_saved_")
        if what in row.attrs:
            return row.attrs[what]
        k = _SAVED.get(what)
        if k is None or k >= len(row.specs) or (k < 0 and not row.needs & 1):
            raise AttributeError(f"{self.name()} saves no {what!r}: it saves {', '.join(self._saves()) or 'nothing'}")
        return saved_value(tape, slot, k) if row.needs >> (k + 1) & 1 else None

    def _saves(self):
        row = self._tape.signature(self._slot)
        names = [f"_saved_{n}" for n, k in _SAVED.items() if k < len(row.specs) and row.needs >> (k + 1) & 1]
        return [*names, *[f"_saved_{n}" for n in row.attrs]]

    def __dir__(self):
        return [*super().__dir__(), *self._saves()]

    @property
    def next_functions(self):
        """Nodes that the gradient goes to, each with an output number; ``(None, 0)`` where it ends."""
        row, operands = self._tape.signature(self._slot), self._tape.operands(self._slot)
        edges = [
            edge_to((self._tape, k)) if spec.requires_grad else (None, 0)
            for k, spec in zip(operands, row.specs, strict=True)
            if spec.dtype.kind in "fc"
        ]
        return tuple(self._edges_of_write(operands, edges) if row.kind == op.WRITE else edges)

    def _edges_of_write(self, operands, edges):
        """Of a row that writes in place: a function reads the target's old value, or a copy of that, as an operand."""
        tape, target = self._tape, operands[0]
        if tape.signature(self._slot).primitive.inner.name == "where":  # ``x[mask] = v``
            return edges[:2]
        for k, slot in enumerate(operands[1:], start=1):
            row = tape.signature(slot)
            copied = row.kind == op.KERNEL and row.primitive.name == "copy" and tape.operands(slot) == [target]
            if slot == target or copied:
                edges[k] = edges[0]
                return edges[1:]
        return edges

    @property
    def metadata(self):
        """A dictionary for the user's own notes on this node."""
        return self._notes().metadata

    def _notes(self):
        return self._tape.notes.setdefault(self._slot, Notes())

    def register_hook(self, hook):
        """Have a function called after this node ran in a sweep.

        Parameters
        ----------
        hook : callable
            ``hook(grad_inputs, grad_outputs) -> tuple or None``: the cotangents of the operands, and of the result; a
            tuple takes the place of the former.

        Returns
        -------
        RemovableHandle
        """
        return self._notes().after.add(hook)

    def register_prehook(self, hook):
        """Have a function called before this node runs in a sweep.

        Parameters
        ----------
        hook : callable
            ``hook(grad_outputs) -> tuple or None``; a tuple takes the place of its argument.

        Returns
        -------
        RemovableHandle
        """
        return self._notes().before.add(hook)

    def __eq__(self, other):
        return isinstance(other, Node) and self._tape is other._tape and self._slot == other._slot

    def __hash__(self):
        return hash((id(self._tape), self._slot))

    def __repr__(self):
        return f"<{self.name()}>"


_SAVED = {"self": 0, "other": 1, "mat2": 1, "exponent": 1, "tensor": 1, "result": -1}
"""Which operand stands under PyTorch's names for saved values; -1 is the result."""


class AccumulateGrad:
    """Where a gradient is added to a leaf's ``grad``.

    Parameters
    ----------
    variable : Tensor
        The leaf.
    """

    _is_node = True
    next_functions = ()

    def __init__(self, variable):
        self.variable = variable

    def name(self):
        """``'AccumulateGrad'``."""
        return "AccumulateGrad"

    @property
    def metadata(self):
        """A dictionary for the user's own notes on this node."""
        return notes_of(self.variable).metadata

    def register_hook(self, hook):
        """Have ``hook((), grad_outputs)`` called after the gradient was added."""
        return notes_of(self.variable).after.add(hook)

    def register_prehook(self, hook):
        """Have ``hook(grad_outputs)`` called before the gradient is added; a tuple takes its argument's place."""
        return notes_of(self.variable).before.add(hook)

    def __eq__(self, other):
        return isinstance(other, AccumulateGrad) and self.variable is other.variable

    def __hash__(self):
        return id(self.variable)

    def __repr__(self):
        return "<AccumulateGrad>"


def _node(tape, slot):
    if not isinstance(tape, Tape):
        return _held(tape)
    source = source_of(tape, slot)
    if source is not None:
        return _held(source[0])
    row = tape.signature(slot)
    if row.kind != op.IMPORT:
        return Node(tape, slot)
    home = tape.imported(slot)[2]
    if home is None:
        return None
    return _node(*home) if isinstance(home, tuple) else AccumulateGrad(home)


def _held(call):
    """The node of a call; from now on it holds the call, and the tape between whose rows that lies."""
    call.ctx._held = call.tape() or call
    return call.ctx


def edge_to(home):
    """The node where a gradient goes from here, and the number of its result."""
    if home is None:
        return None, 0
    if not isinstance(home, tuple):
        return AccumulateGrad(home), 0
    tape, slot = home
    if isinstance(tape, Tape):
        tape, slot = source_of(tape, slot) or (tape, slot)
    if not isinstance(tape, Tape):
        return _held(tape), slot
    return (edge_to(tape.imported(slot)[2])) if tape.signature(slot).kind == op.IMPORT else (Node(tape, slot), 0)


def name_and_site(tape, slot):
    """Name of a row's (or call's) backward function, and the line that recorded it, if that was noted."""
    if not isinstance(tape, Tape):
        return tape.ctx.name(), tape.ctx._notes.site
    notes = tape.notes.get(slot)
    return Node(tape, slot).name(), None if notes is None else notes.site


def node_of(tensor):
    """The node that computed a tensor; None for leaves and for tensors without history."""
    if tensor._leaf or not tensor.requires_grad:
        return None
    return _node(*home_of(tensor))


def is_stepwise(tensor):
    """Whether a value's derivative is 0 throughout: what it depends on has passed through `floor`, `sign` and the like.

    Looked for among the 64 nodes next to it.
    """
    waiting, looked_at = [node_of(tensor)], 0
    while waiting:
        node = waiting.pop()
        looked_at += 1
        if type(node) is not Node or looked_at > 64:  # leaves and calls say that they are nodes, too
            return False
        if not _is_step(node._tape.signature(node._slot)):
            ahead = [following for following, _ in node.next_functions if following is not None]
            if not ahead:  # an argument of what is being recorded
                return False
            waiting += ahead
    return True


def _is_step(row):
    primitive = row.primitive
    return primitive.derivative is ZERO or (primitive.name == "sign" and row.specs[0].dtype.kind == "f")
