"""The one module that knows where CUDA's compiler comes from: NVIDIA's `numba-cuda`, or Numba's simulator.

Both answer to ``numba.cuda``. Their successor will be another import, and this is the place for it. Kernels are plain
Python functions over the names `cuda` and `math`; `build` makes of one what runs: machine code for a device, machine
code for the CPU (to test scalar functions against NumPy), or steps of `tapegrad.cuda.stepper`, which takes the
place of a device where ``NUMBA_ENABLE_CUDASIM=1``.
"""

from __future__ import annotations

import functools
import math
import os
import types
from typing import Any

import numpy as np

__all__ = ["SIMULATED", "build", "compiler", "cuda", "math", "on_cpu", "single"]

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
"""Whether kernels run in Python: decided when the process starts, as it is for Numba."""

PACKAGE = __name__.rpartition(".")[0]


@functools.cache
def compiler() -> Any:
    """The module that compiles kernels.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If none is installed.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Numba itself has is deprecated in favour of NVIDIA's package
        try:
            from numba import cuda as found
        except ImportError as error:
            raise ImportError(
                "tensors on a GPU need the package numba-cuda: pip install 'tapegrad[cuda12]' or 'tapegrad[cuda13]', "
                "as the driver of the card asks for"
            ) from error
    return found


class _Late:
    """Stands for `numba.cuda` in modules of kernels, so that importing them imports no compiler."""

    def __getattr__(self, name: str) -> Any:
        return getattr(compiler(), name)


cuda: Any = _Late()


def build(function: Any, wrap: Any, names: dict, _made: dict | None = None, constants: Any = None) -> Any:
    """A copy of a function, and of those of this package that it calls, with other names in scope.

    Parameters
    ----------
    function : function
    wrap : callable
        Applied to each copy: a decorator that compiles.
    names : dict
        What stands for a name such as ``cuda`` and ``math``.
    constants : callable, optional
        Applied to the numbers that stand in the code.

    Returns
    -------
    object
        What `wrap` returned.
    """
    made: dict = {} if _made is None else _made
    if function in made:
        return made[function]
    scope = dict(function.__globals__)
    made[function] = None  # a function that calls itself would not compile
    for name in _names_in(function.__code__):
        found = scope.get(name)
        if name in names:
            scope[name] = names[name]
        elif isinstance(found, types.FunctionType) and found.__module__.startswith(PACKAGE):
            scope[name] = build(found, wrap, names, made, constants)
    code = function.__code__
    if constants is not None:
        code = code.replace(co_consts=tuple([constants(c) for c in code.co_consts]))
    copy = types.FunctionType(code, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    made[function] = wrap(copy)
    return made[function]


def _names_in(code: types.CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names_in(constant)
    return found


def single(constant: Any) -> Any:
    """A number that stands in the code of a single-precision function: a product with a Python float is double."""
    return np.float32(constant) if type(constant) is float else constant


@functools.cache
def on_cpu(function: Any, precision: str = "d") -> Any:
    """A scalar function compiled for the CPU."""
    import numba

    wrap = numba.njit(error_model="numpy")
    return build(function, wrap, {"math": math}, constants=single if precision == "f" else None)
