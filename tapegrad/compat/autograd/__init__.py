"""HIPS autograd's public names: ``import tapegrad.compat.autograd as autograd``.

Values that are traced are tapegrad's tensors; results of the operators below are NumPy arrays, as autograd's are. For a
real function of complex arguments, `grad` is the conjugate of PyTorch's, as in autograd: ``u_x - i u_y``.
"""

from __future__ import annotations

import importlib
import sys

from ... import numpy
from . import builtins, extend, misc, numpy_boxes, operators, test_util, tracer
from .builtins import dict, isinstance, list, tuple, type
from .extend import primitive
from .operators import (
    checkpoint,
    deriv,
    elementwise_grad,
    grad,
    grad_and_aux,
    grad_named,
    hessian,
    hessian_tensor_product,
    hessian_vector_product,
    holomorphic_grad,
    jacobian,
    make_ggnvp,
    make_hvp,
    make_jvp,
    make_vjp,
    multigrad_dict,
    tensor_jacobian_product,
    value_and_grad,
    vector_jacobian_product,
)


def _alias(name: str, module: object) -> None:
    """Let a module be imported under autograd's name."""
    sys.modules[f"{__name__}.{name}"] = module  # type: ignore[assignment]


def __getattr__(name: str) -> object:
    if name == "scipy":
        return importlib.import_module(f"{__name__}.scipy")
    raise AttributeError(f"tapegrad.compat.autograd has no {name!r}")


_alias("numpy", numpy)
_alias("numpy.linalg", numpy.linalg)
_alias("numpy.fft", numpy.fft)
_alias("numpy.random", numpy.random)
_alias("numpy.numpy_boxes", numpy_boxes)
_alias("differential_operators", operators)

__all__ = [
    "builtins",
    "checkpoint",
    "deriv",
    "dict",
    "elementwise_grad",
    "extend",
    "grad",
    "grad_and_aux",
    "grad_named",
    "hessian",
    "hessian_tensor_product",
    "hessian_vector_product",
    "holomorphic_grad",
    "isinstance",
    "jacobian",
    "list",
    "make_ggnvp",
    "make_hvp",
    "make_jvp",
    "make_vjp",
    "misc",
    "multigrad_dict",
    "numpy",
    "primitive",
    "tensor_jacobian_product",
    "test_util",
    "tracer",
    "tuple",
    "type",
    "value_and_grad",
    "vector_jacobian_product",
]
