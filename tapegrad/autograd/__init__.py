"""PyTorch's names for automatic differentiation, and the reverse sweep behind them."""

from .api import backward, grad
from .modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = ["backward", "enable_grad", "grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]
