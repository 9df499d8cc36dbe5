"""What tensors know of autograd, under PyTorch's names: gradient, whether it is required, place in the graph."""

from __future__ import annotations

import sys
from typing import Any

from numpy.typing import ArrayLike

from ..creation import check_differentiable
from ..primitives.core import ops
from ..tape.buffer import Buffer, buffer_of
from ..tape.current import new_tensor
from ..tape.handle import Tensor, attach
from ..tape.importing import is_inference
from ..tape.memory import copied
from ..tape.signature import DEFER_BYTES
from ..tape.state import local
from ..tape.tape import Tape
from ..values import value_of
from .api import Tensors, backward
from .node import node_of
from .recorded import home_of

__all__: list[str] = []


def _backward(
    self: Tensor,
    gradient: Tensor | ArrayLike | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Accumulate this tensor's gradient into the leaves; see `tapegrad.autograd.backward`."""
    backward(self, gradient, retain_graph, create_graph, inputs)


def _retain_grad(self: Tensor) -> None:
    """Keep this tensor's gradient in ``grad`` when a sweep passes it, though it is no leaf."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self._leaf or self._retains:
        return
    self._retains = True
    if self._base is not None:
        self._buffer.retain()
    elif self._buffer is not None:
        self._buffer.unsettle()  # a write must take what is retained with it
    tape, slot = home_of(self)
    tape.retain(slot, self)


def _get_grad(self: Tensor) -> Tensor | None:
    return self._grad


def _set_grad(self: Tensor, value: Tensor | None) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got {type(value).__name__}")
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value._spec.shape != self._spec.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size {value._spec.shape} to a tensor of size {self._spec.shape}"
            )
        if value._spec.dtype != self._spec.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient of dtype {value._spec.dtype} to a tensor of dtype {self._spec.dtype}"
            )
    self._grad = value


def _delete_grad(self: Tensor) -> None:
    self._grad = None


def _get_requires_grad(self: Tensor) -> bool:
    if self._base is not None and not self._is_cut_off():
        self._refresh_view()  # it may have begun to require grad with its base
    return self._spec.requires_grad


def _set_requires_grad(self: Tensor, value: bool) -> None:
    if bool(value) == self._spec.requires_grad and (self._leaf or not value):
        return
    if self._spec.requires_grad and not self._leaf:
        raise RuntimeError(
            "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
            "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
        )
    if value:
        check_differentiable(self._spec.dtype)
        if is_inference(self) and not local.state.inference:
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed. Make a clone to "
                "get a normal tensor."
            )
        if self._memory is None:
            self._memory = value_of(self)
        elif self._tape is not None:
            self._tape.flush()
        self._tape = None
        if self._buffer is not None and self._base is None:
            self._buffer.history += 1  # views made before lead here from now on; in PyTorch their gradient is lost
    self._spec = self._spec.replace(requires_grad=bool(value))
    self._leaf = bool(value)
    if value and local.state.forward is not None:
        local.state.forward.own(self)
    if not value:
        self._tape = None


def _requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Change whether operations on this leaf are recorded; returns it."""
    if requires_grad and self._spec.requires_grad:
        return self
    _set_requires_grad(self, requires_grad)
    return self


def _detach(self: Tensor) -> Tensor:
    """The same memory without the history; writes to one are seen, and noticed, in the other."""
    if _stands_apart(self):
        alias = new_tensor(None, 0, self._spec.plain)
        alias._memory = self._memory
        alias._buffer = buffer_of(self)
        return alias
    alias = ops.detach(self)
    if self._buffer is None:
        self._buffer = Buffer()
    alias._buffer = self._buffer
    if is_inference(self):
        alias._inference = True
    return alias


def _stands_apart(tensor: Tensor) -> bool:
    """Whether a result has memory of its own, beside a tape that has ended: its alias needs no row, nor that tape.

    A few elements that nobody else can see, as a loss's, get such memory.
    """
    state, tape, rare = local.state, tensor._tape, tensor._rare
    if type(tape) is not Tape or tape.sealed is None or tape.inference or tape.done != len(tape.rows):
        return False
    if rare._base is not None or rare._leaf or rare._inference or state.tape.tracing or state.observers:
        return False
    spec = tensor._spec
    if rare._memory is None and rare._buffer is None and spec.contiguous and spec.nbytes <= DEFER_BYTES:
        if _is_looked_at(tape, tensor._slot):
            return False
        tensor._memory = copied(tape.arrays.addr[tensor._slot], spec)
    return tensor._memory is not None


def _is_looked_at(tape: Any, slot: int) -> bool:
    """Whether there may be an array over the memory of a slot, or of one near it."""
    owner = tape.owner(slot)
    return sys.getrefcount(owner) > _UNSEEN


_UNSEEN = 3
"""References to a tape's memory that only it holds, one of them for a moment: no Python has more."""


def _is_leaf(self: Tensor) -> bool:
    return self._leaf or not _get_requires_grad(self)


def _version(self: Tensor) -> int:
    if is_inference(self):
        raise RuntimeError("Inference tensors do not track version counter.")
    return self._buffer.version if self._buffer is not None else 0


attach(
    backward=_backward,
    retain_grad=_retain_grad,
    retains_grad=property(lambda self: self._retains),
    grad=property(_get_grad, _set_grad, _delete_grad, doc="Accumulated gradient of a leaf, or what a tensor retains."),
    requires_grad=property(_get_requires_grad, _set_requires_grad),
    requires_grad_=_requires_grad_,
    detach=_detach,
    is_leaf=property(_is_leaf),
    _version=property(_version),
    grad_fn=property(node_of),
)
