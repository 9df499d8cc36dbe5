"""NumPy's namespace with creation functions that take part in differentiation.

``import tapegrad.numpy as np`` in place of ``import numpy as np`` lets arrays be built from traced values and filled in
place::

    >>> import tapegrad as tg
    >>> import tapegrad.numpy as np
    >>> def f(x):
    ...     y = np.zeros(3)
    ...     for i in range(3):
    ...         y[i] = x[i] ** 2
    ...     return np.sum(y * np.array([x[0], 1.0, x[2]]))
    >>> tg.grad(f)(np.arange(1.0, 4.0).numpy())
    array([ 3.,  4., 27.])

Creation functions return tensors. Every other function is NumPy's own, which calls tapegrad when it meets a tensor;
lists that hold tensors are made tensors first.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as _numpy

from ._creation import (
    arange,
    array,
    asanyarray,
    asarray,
    ascontiguousarray,
    c_,
    copy,
    empty,
    empty_like,
    eye,
    fromfunction,
    full,
    full_like,
    holds_tensor,
    identity,
    indices,
    linspace,
    ones,
    ones_like,
    r_,
    tri,
    vectorize,
    zeros,
    zeros_like,
)

__all__ = [
    "arange",
    "array",
    "asanyarray",
    "asarray",
    "ascontiguousarray",
    "c_",
    "copy",
    "empty",
    "empty_like",
    "eye",
    "fromfunction",
    "full",
    "full_like",
    "identity",
    "indices",
    "linspace",
    "ones",
    "ones_like",
    "r_",
    "tri",
    "vectorize",
    "zeros",
    "zeros_like",
]

_OF_SEQUENCES = {
    "append", "block", "broadcast_arrays", "choose", "column_stack", "concat", "concatenate", "dstack", "einsum",
    "hstack", "ix_", "lexsort", "meshgrid", "multi_dot", "piecewise", "select", "stack", "vstack",
}  # fmt: skip
"""Functions whose lists are lists of arrays."""


def _joined(x: Any) -> Any:
    return array(x) if isinstance(x, (list, tuple)) and holds_tensor(x) else x


def forwarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that takes lists of tensors as arrays."""
    if function.__name__ in _OF_SEQUENCES:
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*map(_joined, args), **{k: _joined(v) for k, v in kwargs.items()})

    return call


def __getattr__(name: str) -> Any:
    if name in ("fft", "linalg"):
        return importlib.import_module(f"{__name__}.{name}")
    found = getattr(_numpy, name)
    if callable(found) and not isinstance(found, (type, _numpy.ufunc)):
        found = forwarded(found)
        globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*dir(_numpy), *__all__})
