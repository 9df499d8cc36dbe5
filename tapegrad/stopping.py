"""Values cut off from their history, in containers too."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree

from .primitives.core import ops
from .tape.handle import Tensor

__all__ = ["stop_gradient"]


def stop_gradient(x: Any) -> Any:
    """The same value, cut off from its history: its gradient is zero from here on.

    Parameters
    ----------
    x : Tensor, array or number
        Or a container of such.

    Returns
    -------
    Tensor, or `x` itself where it is no tensor; containers as they came

    Raises
    ------
    TypeError
        If another library differentiates `x`: nothing would be cut off there.

    Examples
    --------
    >>> import tapegrad as tg
    >>> float(tg.grad(lambda x: x * tg.stop_gradient(x))(3.0))
    3.0
    """
    if isinstance(x, Tensor):
        return ops.detach(x)
    if isinstance(x, (np.ndarray, np.generic, float, int, complex)):
        return x
    return optree.tree_map(_cut_off, x)


_ELSEWHERE = {"jax": "jax.lax.stop_gradient(x)", "torch": "x.detach()", "autograd": "autograd.tracer.getval(x)"}
"""What cuts off the values of other libraries, by the module of the values' type."""


def _cut_off(x: Any) -> Any:
    """A leaf of a container without its history."""
    if isinstance(x, Tensor):
        return ops.detach(x)
    remedy = _ELSEWHERE.get(type(x).__module__.partition(".")[0])
    if remedy is not None and getattr(x, "requires_grad", True):
        raise TypeError(
            f"stop_gradient cuts off tapegrad's values; this {type(x).__name__} is another library's, which would "
            f"go on to differentiate it: write {remedy} for it"
        )
    return x
