"""`grad_fn`: a row of the tape as PyTorch's users know it, made when somebody asks."""

from __future__ import annotations

from ..vm import opcodes as op
from .recorded import home_of

__all__ = ["AccumulateGrad", "Node", "node_of"]


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
            found.append((_node(self._tape, k) if spec.requires_grad else None, 0))
        return tuple(found)

    def __eq__(self, other):
        return isinstance(other, Node) and self._tape is other._tape and self._slot == other._slot

    def __hash__(self):
        return hash((id(self._tape), self._slot))

    def __repr__(self):
        return f"<{self.name()}>"


class AccumulateGrad:
    """Where a gradient is added to a leaf's ``grad``."""

    def __init__(self, variable):
        self.variable = variable
        self.next_functions = ()

    def name(self):
        """``'AccumulateGrad'``."""
        return "AccumulateGrad"

    def __repr__(self):
        return "<AccumulateGrad>"


def _node(tape, slot):
    row = tape.signature(slot)
    if row.kind != op.IMPORT:
        return Node(tape, slot)
    home = tape.imported(slot)[2]
    if home is None:
        return None
    return _node(*home) if isinstance(home, tuple) else AccumulateGrad(home)


def node_of(tensor):
    """The node that computed a tensor; None for leaves and for tensors without history."""
    if tensor._leaf or not tensor.requires_grad:
        return None
    return _node(*home_of(tensor))
