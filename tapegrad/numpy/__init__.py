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

This is also the namespace of the Array API standard, which `Tensor.__array_namespace__` returns: with its extensions
`linalg` and `fft`, tensors for all arrays that functions of tensors return, and DLPack both ways.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as _numpy

from ..methods.standard import from_dlpack
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
    fromiter,
    full,
    full_like,
    identity,
    indices,
    linspace,
    ndenumerate,
    ones,
    ones_like,
    r_,
    tri,
    zeros,
    zeros_like,
)
from ._forwarding import forwarded
from ._standard import __array_api_version__, __array_namespace_info__, argsort, astype, sort
from ._vectorizing import vectorize

__all__ = [
    "__array_api_version__",
    "__array_namespace_info__",
    "arange",
    "argsort",
    "array",
    "asanyarray",
    "asarray",
    "ascontiguousarray",
    "astype",
    "c_",
    "copy",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "fromfunction",
    "fromiter",
    "full",
    "full_like",
    "identity",
    "indices",
    "linspace",
    "ndenumerate",
    "ones",
    "ones_like",
    "r_",
    "sort",
    "tri",
    "vectorize",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    if name in ("fft", "linalg", "special"):
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            raise AttributeError(f"tapegrad.numpy.{name} needs SciPy") from error
    found = globals()[name] = forwarded(getattr(_numpy, name))
    return found


def __dir__() -> list[str]:
    return sorted({*dir(_numpy), *__all__})
