"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..inplace import write
from ..primitives.core import lift, ops
from ..primitives.memo import remembered
from ..tape.handle import Tensor
from .operands import lifted

__all__ = [
    "elu",
    "gelu",
    "glu",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
]


def _applied(record: Any, x: Any, inplace: bool = False) -> Tensor:
    if inplace:
        if not isinstance(x, Tensor):
            raise TypeError(f"{record.name}: inplace=True needs a tensor, not {type(x).__name__}")
        return write(x, record, (x,))
    return record(x)


@remembered
def relu(input: Any, inplace: bool = False) -> Tensor:
    """The positive part; at 0 it passes no gradient."""
    return _applied(ops.relu, input, inplace)


@remembered
def sigmoid(input: Any) -> Tensor:
    """Logistic function, 1 / (1 + exp(-x))."""
    return ops.sigmoid(input)


@remembered
def tanh(input: Any) -> Tensor:
    """Hyperbolic tangent."""
    return ops.tanh(input)


@remembered
def silu(input: Any, inplace: bool = False) -> Tensor:
    """The operand times its logistic function (also called swish)."""
    return _applied(ops.silu, input, inplace)


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """The operand times the normal distribution function of x, or an approximation of it by tanh.

    Parameters
    ----------
    input : Tensor or array_like
    approximate : {'none', 'tanh'}
        Without the approximation, SciPy is needed.
    """
    if approximate == "none":
        return ops.gelu(input)
    if approximate != "tanh":
        raise RuntimeError("approximate argument must be either none or tanh.")
    (x,) = lifted(input)
    # Hendrycks, Gimpel 2016, "Gaussian error linear units".
    return 0.5 * x * (1.0 + ops.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta x)) / beta``; x itself where ``beta x`` is above the threshold."""
    (x,) = lifted(input)
    scaled = x if beta == 1 else x * beta
    y = ops.logaddexp(scaled, 0.0)
    return ops.where(scaled > threshold, x, y if beta == 1 else y / beta)


def logsigmoid(input: Any) -> Tensor:
    """Logarithm of the logistic function."""
    (x,) = lifted(input)
    return -ops.logaddexp(-x, 0.0)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """The operand where it is positive, else a small multiple of it."""
    (x,) = lifted(input)
    return ops.where(x > 0, x, x * negative_slope)


def elu(input: Any, alpha: float = 1.0) -> Tensor:
    """The operand where it is positive, else ``alpha (exp(x) - 1)``."""
    (x,) = lifted(input)
    return ops.where(x > 0, x, alpha * ops.expm1(ops.where(x > 0, 0.0, x)))


def selu(input: Any) -> Tensor:
    """`elu`, scaled so that layers keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return 1.0507009873554804934193349852946 * elu(input, 1.6732632423543772848170429916717)


def mish(input: Any) -> Tensor:
    """The operand times the hyperbolic tangent of `softplus`."""
    (x,) = lifted(input)
    return x * ops.tanh(softplus(x))


def softsign(input: Any) -> Tensor:
    """``x / (1 + |x|)``."""
    (x,) = lifted(input)
    return x / (1.0 + ops.absolute(x))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """The operand held between two bounds; at the bounds it passes no gradient."""
    (x,) = lifted(input)
    y = ops.where(x > min_val, x, np.full((), min_val, x._spec.dtype))
    return ops.where(x < max_val, y, np.full((), max_val, x._spec.dtype))


def relu6(input: Any) -> Tensor:
    """The operand held between 0 and 6."""
    return hardtanh(input, 0.0, 6.0)


def glu(input: Any, dim: int = -1) -> Tensor:
    """The first half of an axis times the logistic function of the second."""
    (x,) = lifted(input)
    n = x._spec.shape[dim]
    if n % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {n}")
    a, b = x.split(n // 2, dim)
    return a * ops.sigmoid(b)


@remembered
def softmax(input: Any, dim: int = -1, dtype: Any = None) -> Tensor:
    """Exponentials along an axis, divided by their sum."""
    return lift(input).softmax(dim, dtype)


def softmin(input: Any, dim: int = -1, dtype: Any = None) -> Tensor:
    """`softmax` of the negative."""
    return (-lift(input)).softmax(dim, dtype)


@remembered
def log_softmax(input: Any, dim: int = -1, dtype: Any = None) -> Tensor:
    """Logarithm of `softmax`."""
    return lift(input).log_softmax(dim, dtype)
