"""tapegrad: gradients of NumPy code, from a flat tape run by a JIT-compiled interpreter."""

from . import autograd, dispatch, inplace, methods, operators  # noqa: F401 -- all but the first attach to Tensor
from .autograd.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .compiler.program import compile
from .creation import (
    arange,
    empty,
    eye,
    from_numpy,
    full,
    linspace,
    ones,
    ones_like,
    rand,
    randn,
    tensor,
    zeros,
    zeros_like,
)
from .functional import grad, jvp, stop_gradient, value_and_grad, vjp
from .inspect.listing import format_tape
from .support import support
from .tape.handle import Tensor
from .tape.state import is_deferral_enabled, set_deferral
from .values import TracedValueError

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "TracedValueError",
    "arange",
    "autograd",
    "compile",
    "empty",
    "enable_grad",
    "eye",
    "format_tape",
    "from_numpy",
    "full",
    "grad",
    "is_deferral_enabled",
    "is_grad_enabled",
    "jvp",
    "linspace",
    "no_grad",
    "ones",
    "ones_like",
    "rand",
    "randn",
    "set_deferral",
    "set_grad_enabled",
    "stop_gradient",
    "support",
    "tensor",
    "value_and_grad",
    "vjp",
    "zeros",
    "zeros_like",
]
