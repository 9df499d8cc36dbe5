"""Copies of whole tensors: `copy.deepcopy` and pickling."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import tensor
from ..primitives.core import ops
from ..tape.handle import Tensor, attach
from ..tape.state import local
from ..values import refuse_traced, value_of

__all__: list[str] = []


def _deepcopy(self: Tensor, memo: dict) -> Tensor:
    """A leaf of its own, its gradient included; in a function under transformation, a copy with the history.

    Raises
    ------
    RuntimeError
        If the tensor has a history.
    """
    if self._spec.requires_grad and local.state.within:
        return memo.setdefault(id(self), ops.copy(self))
    if self._spec.requires_grad and not self._leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment: "
            "this one was computed. Use x.detach().clone() for the values alone."
        )
    if id(self) in memo:
        return memo[id(self)]
    made = memo[id(self)] = tensor(value_of(self), requires_grad=self._leaf)
    if self._grad is not None:
        made._grad = _deepcopy(self._grad.detach(), memo)
    return made


def _rebuild(array: np.ndarray, requires_grad: bool) -> Tensor:
    return tensor(array, requires_grad=requires_grad)


def _reduce(self: Tensor) -> tuple[Any, ...]:
    """Values and the flag; the history and the gradient stay behind, as in PyTorch.

    Raises
    ------
    TracedValueError
        If the value is being differentiated.
    """
    refuse_traced(self, "pickling", "Use the value itself, or pickle tapegrad.stop_gradient(x).")
    return _rebuild, (np.array(value_of(self)), self._spec.requires_grad)


def _clone(self: Tensor) -> Tensor:
    """A copy with the same history."""
    return ops.copy(self)


def _copy(self: Tensor, order: str = "C") -> Tensor:
    """`numpy.copy` of the tensor; the order of its elements in memory is tapegrad's to choose."""
    return ops.copy(self)


attach(clone=_clone, copy=_copy, __copy__=_clone, __deepcopy__=_deepcopy, __reduce__=_reduce)
