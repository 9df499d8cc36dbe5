"""Linear maps."""

from __future__ import annotations

from typing import Any

from ..primitives.core import ops
from ..tape.handle import Tensor
from .operands import lifted

__all__ = ["bilinear", "linear"]


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """``input @ weight.T + bias`` over the last axis.

    Parameters
    ----------
    input : (..., I)
    weight : (O, I)
    bias : (O,), optional

    Returns
    -------
    Tensor of shape (..., O)
    """
    x, w, b = lifted(input, weight, bias)
    if w._spec.ndim == 1:
        y = ops.matmul(x, w)
        return y if b is None else y + b
    return ops.linear(x, w) if b is None else ops.linear(x, w, b)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """``input1 @ weight[k] @ input2`` for each output k, over the last axes.

    Parameters
    ----------
    input1 : (..., I)
    input2 : (..., J)
    weight : (O, I, J)
    bias : (O,), optional

    Returns
    -------
    Tensor of shape (..., O)
    """
    a, b, w, c = lifted(input1, input2, weight, bias)
    outputs, n, m = w._spec.shape
    partial = ops.matmul(a, w.permute(1, 0, 2).reshape(n, outputs * m))
    partial = partial.reshape(*a._spec.shape[:-1], outputs, m)
    y = ops.matmul(partial, b.unsqueeze(-1)).squeeze(dim=-1)
    return y if c is None else y + c
