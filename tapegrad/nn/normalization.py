"""Normalisation: to mean 0 and variance 1 over a batch, a layer or groups of channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.modes import no_grad
from ..primitives.core import BY_FUNCTION, lift, ops
from ..tape.handle import Tensor
from .operands import lifted

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "normalize"]


def _by_channel(v, ndim):
    """A vector of channels in a shape that broadcasts along axis 1."""
    return v.reshape(-1, *(1,) * (ndim - 2))


def _scaled(y, weight, bias, shape=None):
    if weight is not None:
        y = y * (weight if shape is None else weight.reshape(shape))
    return y if bias is None else y + (bias if shape is None else bias.reshape(shape))


def batch_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Each channel to mean 0 and variance 1, by the batch's moments or by running ones.

    Parameters
    ----------
    input : (N, C, ...)
    running_mean, running_var : (C,), optional
        Tensors or arrays. While training they are moved towards the batch's moments, in place.
    weight, bias : (C,), optional
        What the result is multiplied with, and what is added.
    training : bool
        Whether the batch's moments are used.
    momentum : float
        How far the running moments are moved.
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor
        Of the shape of `input`.
    """
    x, w, b = lifted(input, weight, bias)
    ndim, shape = x._spec.ndim, x._spec.shape
    if ndim < 2:
        raise ValueError(f"batch_norm: expected at least 2 axes, (N, C, ...), and got shape {shape}")
    axes = (0, *range(2, ndim))
    wide = (-1, *(1,) * (ndim - 2))
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
        mean, var = (_by_channel(lift(v, x._spec.dtype), ndim) for v in (running_mean, running_var))
        return _scaled((x - mean) / ops.sqrt(var + eps), w, b, wide)
    count = math.prod(shape) // max(shape[1], 1)
    if count < 2:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")
    _move(x, axes, running_mean, running_var, momentum, count)
    return _scaled(ops.standardize(x, axis=axes, eps=float(eps)), w, b, wide)


def _move(x, axes, running_mean, running_var, momentum, count):
    """Move running moments towards the batch's."""
    if running_mean is None and running_var is None:
        return
    with no_grad():
        x = x.detach()
        moments = (
            (running_mean, lambda: BY_FUNCTION[np.mean](x, axes)),
            (running_var, lambda: BY_FUNCTION[np.var](x, axes, ddof=1)),
        )
        for running, moment in moments:
            if isinstance(running, Tensor):
                running.mul_(1.0 - momentum).add_(moment(), alpha=momentum)
            elif running is not None:
                running *= 1.0 - momentum
                running += momentum * moment().numpy()


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-05) -> Tensor:
    """Each element of the batch to mean 0 and variance 1 over its last axes.

    Parameters
    ----------
    input : ``(..., *normalized_shape)``
    normalized_shape : int or sequence of int
    weight, bias : normalized_shape, optional
    eps : float
        Added to the variance.
    """
    x, w, b = lifted(input, weight, bias)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    ndim = x._spec.ndim
    if not shape or x._spec.shape[ndim - len(shape) :] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but "
            f"got input of size{list(x._spec.shape)}"
        )
    axes = tuple(range(ndim - len(shape), ndim))
    return _scaled(ops.standardize(x, axis=axes, eps=float(eps)), w, b)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-05) -> Tensor:
    """Each group of channels of each element to mean 0 and variance 1."""
    x, w, b = lifted(input, weight, bias)
    shape = x._spec.shape
    if shape[1] % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(shape)} "
            f"and num_groups={num_groups}"
        )
    grouped = x.reshape(shape[0], num_groups, -1)
    y = ops.standardize(grouped, axis=(2,), eps=float(eps)).reshape(*shape)
    return _scaled(y, w, b, (-1, *(1,) * (len(shape) - 2)))


def instance_norm(input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-05) -> Tensor:
    """Each channel of each element to mean 0 and variance 1."""
    (x,) = lifted(input)
    return group_norm(x, x._spec.shape[1], weight, bias, eps)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Divided by the norm along an axis, or by `eps` where that is smaller."""
    (x,) = lifted(input)
    return x / ops.maximum(x.norm(p, dim, True), eps)
