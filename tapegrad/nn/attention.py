"""Attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..primitives.core import lift, ops
from ..tape.handle import Tensor
from .dropout import dropout
from .operands import lifted

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Means of values, weighted by how well keys fit queries.

    Parameters
    ----------
    query : (..., L, E)
    key : (..., S, E)
    value : (..., S, V)
    attn_mask : (..., L, S), optional
        Which keys a query may see (bool), or what is added to the scores.
    dropout_p : float
    is_causal : bool
        A query sees only keys up to its own place.
    scale : float, optional
        By default ``1 / sqrt(E)``.

    Returns
    -------
    Tensor of shape (..., L, V)
    """
    q, k, v = lifted(query, key, value)
    scale = 1.0 / math.sqrt(q._spec.shape[-1]) if scale is None else scale
    scores = ops.matmul(q * scale, k.mT)
    if is_causal:
        if attn_mask is not None:
            raise RuntimeError("is_causal and attn_mask cannot both be given")
        attn_mask = np.tril(np.ones(scores._spec.shape[-2:], np.bool_))
    if attn_mask is not None:
        mask = lift(attn_mask)
        if mask._spec.dtype.kind == "b":
            scores = ops.where(mask, scores, np.full((), -np.inf, scores._spec.dtype))
        else:
            scores = scores + lift(mask, scores._spec.dtype)
    weights = scores.softmax(-1)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return ops.matmul(weights, v)
