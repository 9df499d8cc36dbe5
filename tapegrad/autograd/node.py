"""`grad_fn`: a row of the tape as PyTorch's users know it, made when somebody asks."""

from __future__ import annotations

from ..tape.tape import Tape
from ..vm import opcodes as op
from .hooks import Notes, notes_of
from .recorded import home_of, source_of

__all__ = ["AccumulateGrad", "Node", "edge_to", "name_and_site", "node_of"]


class Node:
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
        primitive = self._tape.signature(self._slot).primitive
        if primitive.grad_name == "View":
            return self._tape.signature(self._slot).attrs["label"] + "Backward0"
        return primitive.grad_name + ("" if primitive.grad_name == "CopySlices" else "Backward0")

    @property
    def next_functions(self):
        """Nodes that the gradient goes to, each with an output number; ``(None, 0)`` where it ends."""
        found = []
        row = self._tape.signature(self._slot)
        for k, spec in zip(self._tape.operands(self._slot), row.specs, strict=True):
            found.append(edge_to((self._tape, k)) if spec.requires_grad else (None, 0))
        return tuple(found)

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


class AccumulateGrad:
    """Where a gradient is added to a leaf's ``grad``.

    Parameters
    ----------
    variable : Tensor
        The leaf.
    """

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
        return tape.ctx
    source = source_of(tape, slot)
    if source is not None:
        return source[0].ctx
    row = tape.signature(slot)
    if row.kind != op.IMPORT:
        return Node(tape, slot)
    home = tape.imported(slot)[2]
    if home is None:
        return None
    return _node(*home) if isinstance(home, tuple) else AccumulateGrad(home)


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
        return tape.ctx, slot
    return (edge_to(tape.imported(slot)[2])) if tape.signature(slot).kind == op.IMPORT else (Node(tape, slot), 0)


def name_and_site(tape, slot):
    """Name of a row's (or call's) backward function, and the line that recorded it, if that was noted."""
    if not isinstance(tape, Tape):
        return tape.ctx.name(), tape.node_notes.site
    notes = tape.notes.get(slot)
    return Node(tape, slot).name(), None if notes is None else notes.site


def node_of(tensor):
    """The node that computed a tensor; None for leaves and for tensors without history."""
    if tensor._leaf or not tensor.requires_grad:
        return None
    return _node(*home_of(tensor))
