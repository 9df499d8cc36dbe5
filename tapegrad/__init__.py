"""tapegrad: gradients of NumPy code, from a flat tape run by a JIT-compiled interpreter."""

import importlib
from typing import TYPE_CHECKING, Any

from . import assignment, autograd, dispatch, methods, operators, selection, updates  # noqa: F401 -- most attach to Tensor
from .autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled
from .autograd.inference import inference_mode, is_inference_mode_enabled
from .autograd.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .batching import vmap
from .checking import check_grads
from .checkpointing import checkpoint
from .compiler.program import compile
from .compiler.saving import load
from .creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    manual_seed,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .custom import custom_jvp, custom_vjp
from .external import primitive
from .functional import elementwise_grad, grad, jvp, value_and_grad, vjp
from .implicit import implicit_minimum, implicit_root
from .inspect.listing import format_tape
from .jacobians import hessian, hvp, jacfwd, jacobian, jacrev, linearize
from .methods.facts import is_tensor
from .methods.standard import from_dlpack
from .stopping import stop_gradient
from .tape.exactness import is_numpy_loops_enabled, set_numpy_loops
from .tape.handle import Tensor
from .tape.state import is_deferral_enabled, set_deferral
from .values import TracedValueError
from .vm.threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from . import cuda, func, nn
    from .catalogue import support
    from .inspect.drawing import make_dot
    from .inspect.sketching import draw

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "TracedValueError",
    "arange",
    "as_tensor",
    "autograd",
    "check_grads",
    "checkpoint",
    "compile",
    "cuda",
    "custom_jvp",
    "custom_vjp",
    "draw",
    "elementwise_grad",
    "empty",
    "empty_like",
    "enable_grad",
    "eye",
    "format_tape",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "func",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "implicit_minimum",
    "implicit_root",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_deferral_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_numpy_loops_enabled",
    "is_tensor",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linearize",
    "linspace",
    "load",
    "logspace",
    "make_dot",
    "manual_seed",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "primitive",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "set_deferral",
    "set_grad_enabled",
    "set_num_threads",
    "set_numpy_loops",
    "stop_gradient",
    "support",
    "tensor",
    "value_and_grad",
    "vjp",
    "vmap",
    "zeros",
    "zeros_like",
]

_LATE = {
    "compat": None,
    "cuda": None,
    "dask": None,
    "func": None,
    "nn": None,
    "numpy": None,
    "scipy": None,
    "draw": "inspect.sketching",
    "make_dot": "inspect.drawing",
    "support": "catalogue",
}
"""What few programs use: imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        from .naming import elsewhere

        raise AttributeError(f"module 'tapegrad' has no attribute {name!r}{elsewhere(name)}")
    module = importlib.import_module(f".{_LATE[name] or name}", __name__)
    globals()[name] = found = getattr(module, name) if _LATE[name] else module
    return found
