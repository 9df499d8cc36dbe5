"""SciPy's solvers call functions that may use tensors: here they get them as functions of plain arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from ..autograd.call import users_code
from ..autograd.captures import captured_by
from ..implicit import plain, stacked
from ..primitives.core import lift
from ..tape.handle import Tensor
from ..tape.state import local

__all__ = ["depends", "in_precision_of", "outside", "plain", "plain_tree", "stacked", "values_of"]


def outside() -> contextlib.AbstractContextManager[None]:
    """Within this block nothing is recorded for differentiation, and values are at hand."""
    return users_code(False)


def plain_tree(tree: Any) -> Any:
    """A container with arrays in place of tensors."""
    return optree.tree_map(plain, tree)


def values_of(function: Callable, *args: Any) -> Callable:
    """A function of plain arrays to plain arrays; to be called `outside`."""

    def call(*given: Any) -> Any:
        return np.asarray(plain(stacked(function(*given, *args))))

    return call


def depends(function: Callable, *args: Any) -> bool:
    """Whether a function's result depends on something that is being differentiated."""
    if not local.state.grad_enabled:
        return False
    tensors = [lift(a) if isinstance(a, (np.ndarray, float)) else a for a in args]
    return bool(captured_by(lambda: stacked(function(*tensors)))[1])


def in_precision_of(x: Any, constant: Any) -> np.ndarray:
    """A real constant as precise as a tensor of floating numbers is."""
    dtype = x._spec.dtype
    return np.asarray(constant, np.empty(0, dtype).real.dtype if dtype.kind in "fc" else None)


def requires_grad(values: Sequence[Any]) -> bool:
    """Whether there is a tensor among some values, or in containers of such, that is being differentiated."""
    found: Any = list(values)
    return any(isinstance(x, Tensor) and x._spec.requires_grad for x in optree.tree_leaves(found))
