"""PyTorch's names for automatic differentiation, and the reverse sweep behind them."""

from . import function, graph
from .api import backward, grad
from .function import Function
from .modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "function",
    "grad",
    "graph",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
