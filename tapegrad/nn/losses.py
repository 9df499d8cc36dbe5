"""Losses: one number for how far a prediction is from its target."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import lift, ops
from ..primitives.memo import remembered_pair
from ..tape.handle import Tensor
from ..values import are_below, value_of
from .activation import log_softmax, logsigmoid
from .operands import lifted, reduced

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_similarity",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]

_INDEX = np.dtype(np.intp)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Squared difference."""
    x, y = lifted(input, target)
    return reduced(ops.square(x - y), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Absolute difference."""
    x, y = lifted(input, target)
    return reduced(ops.absolute(x - y), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Half the squared difference up to `delta`, and beyond that a straight line."""
    x, y = lifted(input, target)
    d = ops.absolute(x - y)
    return reduced(ops.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """`huber_loss` divided by `beta`, its `delta`; `l1_loss` for ``beta=0``."""
    if beta == 0:
        return l1_loss(input, target, reduction)
    return huber_loss(input, target, reduction, beta) / beta


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood of classes.

    Parameters
    ----------
    input : (N, C, ...) or (C,)
        Log-probabilities.
    target : (N, ...) or ()
        Class numbers.
    weight : (C,), optional
        One for each class.
    ignore_index : int
        Targets that count for nothing.
    reduction : {'mean', 'sum', 'none'}
        The mean is weighted.
    """
    x, w = lifted(input, weight)
    return _picked(x, target, w, ignore_index, reduction)


def _picked(x, target, w, ignore_index, reduction):
    """`nll_loss` of operands that are tensors of one dtype."""
    if reduction not in ("mean", "sum", "none"):
        reduced(x, reduction)
    target = _classes(x, target, ignore_index)
    if w is not None and w._spec.requires_grad:
        raise NotImplementedError("nll_loss: class weights are taken as constants; pass weight.detach()")
    if w is None:
        return _picked_alike(x, target, ignore_index, reduction)
    return ops.nll_loss(x, target, w, ignore_index=ignore_index, reduction=reduction)


@remembered_pair
def _picked_alike(x, target, ignore_index, reduction):
    return ops.nll_loss(x, target, ignore_index=ignore_index, reduction=reduction)


def _classes(x, target, ignore_index):
    """Class numbers as a tensor of indices, checked."""
    target = lift(target)
    if target._spec.dtype.kind not in "iu":
        raise RuntimeError(f"expected class numbers of an integer dtype, and got {target._spec.dtype}")
    if target._tape is None or not target._tape.tracing:
        n = x._spec.shape[1 if x._spec.ndim > 1 else 0]
        if are_below(target, n):
            return lift(target, _INDEX)
        values = value_of(target)
        wrong = values[(values != ignore_index) & ((values < 0) | (values >= n))]
        if wrong.size:
            raise IndexError(f"Target {int(wrong.flat[0])} is out of bounds: there are {n} classes.")
    return lift(target, _INDEX)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy between logits and class numbers, or probabilities of classes.

    Parameters
    ----------
    input : (N, C, ...) or (C,)
        Logits.
    target : (N, ...) of integers, or the shape of `input`
    weight : (C,), optional
        One for each class.
    ignore_index : int
        Class numbers that count for nothing.
    reduction : {'mean', 'sum', 'none'}
    label_smoothing : float
        How much of the target is spread evenly over all classes.
    """
    x, w = lifted(input, weight)
    target = lift(target)
    axis = 1 if x._spec.ndim > 1 else 0
    logs = log_softmax(x, axis)
    if target._spec.dtype.kind in "iu":
        if not label_smoothing:
            return _picked(logs, target, w, ignore_index, reduction)
        return _smoothed(logs, target, w, ignore_index, reduction, label_smoothing, axis)
    n = x._spec.shape[axis]
    target = lift(target, x._spec.dtype)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / n
    terms = logs * target
    if w is not None:
        terms = terms * w.reshape(-1, *(1,) * (x._spec.ndim - axis - 1))
    losses = -terms.sum(axis=axis)
    if reduction == "mean":
        return losses.sum() / float(max(losses._spec.size, 1))
    return reduced(losses, reduction)


def _smoothed(logs, target, weight, ignore_index, reduction, smoothing, axis):
    sharp = nll_loss(logs, target, weight, ignore_index, reduction)
    counts = ops.not_equal(target, ignore_index)
    spread = logs if weight is None else logs * weight.reshape(-1, *(1,) * (logs._spec.ndim - axis - 1))
    flat = ops.where(counts, -spread.sum(axis=axis), np.zeros((), logs._spec.dtype))
    if reduction == "mean":
        safe = ops.where(counts, target, np.zeros((), np.intp))
        weights = lift(counts, logs._spec.dtype)
        if weight is not None:
            weights = weights * weight[safe]
        flat = flat.sum() / weights.sum()
    else:
        flat = reduced(flat, reduction)
    return (1.0 - smoothing) * sharp + (smoothing / logs._spec.shape[axis]) * flat


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Cross entropy between probabilities and targets from 0 to 1; logarithms stop at -100."""
    p, y, w = lifted(input, target, weight)
    _same_shape("binary_cross_entropy", p, y)
    if p._tape is None or not p._tape.tracing:
        values = value_of(p)
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise RuntimeError(
                f"binary_cross_entropy: all elements of input should be between 0 and 1, and they lie from "
                f"{values.min()} to {values.max()}: pass what `sigmoid` gives, or logits to "
                f"`binary_cross_entropy_with_logits`"
            )
    losses = -(y * ops.maximum(ops.log(p), -100.0) + (1.0 - y) * ops.maximum(ops.log1p(-p), -100.0))
    return reduced(losses if w is None else losses * w, reduction)


def _same_shape(name, x, y):
    if x._spec.shape != y._spec.shape:
        raise ValueError(
            f"{name}: Target size ({list(y._spec.shape)}) must be the same as input size ({list(x._spec.shape)})"
        )


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """Cross entropy between logits and targets from 0 to 1.

    Parameters
    ----------
    input, target : tensors of one shape
    weight : optional
        Broadcast against the losses.
    reduction : {'mean', 'sum', 'none'}
    pos_weight : optional
        Weight of the positive targets.
    """
    x, y, w, q = lifted(input, target, weight, pos_weight)
    _same_shape("binary_cross_entropy_with_logits", x, y)
    losses = ops.logaddexp(x, 0.0) - x * y if q is None else (1.0 - y) * x - (1.0 + (q - 1.0) * y) * logsigmoid(x)
    return reduced(losses if w is None else losses * w, reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Kullback-Leibler divergence of log-probabilities from target probabilities, element by element."""
    x, y = lifted(input, target)
    if log_target:
        losses = ops.exp(y) * (y - x)
    else:
        logs = ops.log(ops.where(y > 0, y, np.ones((), y._spec.dtype)))
        losses = y * (logs - x)
    if reduction == "batchmean":
        return losses.sum() / float(x._spec.shape[0])
    return reduced(losses, reduction)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-08) -> Tensor:
    """Cosine of the angle between vectors along an axis."""
    a, b = lifted(x1, x2)
    norms = [ops.maximum(v.norm(2, dim, True), eps) for v in (a, b)]
    return ((a / norms[0]) * (b / norms[1])).sum(axis=dim)
