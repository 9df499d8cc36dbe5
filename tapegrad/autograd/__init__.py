"""PyTorch's names for automatic differentiation, and the reverse sweep behind them."""

import importlib
from typing import TYPE_CHECKING, Any

from . import attributes, data, function, graph  # noqa: F401 -- the first two attach to Tensor
from .anomaly import detect_anomaly, set_detect_anomaly
from .api import backward, grad
from .function import Function
from .inference import inference_mode
from .modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

if TYPE_CHECKING:
    from . import functional, profiler
    from .checking import GradcheckError, gradcheck, gradgradcheck

__all__ = [
    "Function",
    "GradcheckError",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
]

_LATE = {
    "functional": None,
    "profiler": None,
    "GradcheckError": "checking",
    "gradcheck": "checking",
    "gradgradcheck": "checking",
}
"""What few programs use: imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'tapegrad.autograd' has no attribute {name!r}")
    module = importlib.import_module(f".{_LATE[name] or name}", __name__)
    globals()[name] = found = getattr(module, name) if _LATE[name] else module
    return found
