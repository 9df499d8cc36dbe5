"""NumPy's functions as they stand in `tapegrad.numpy`, whose names hide Python's own `any`, `map` or `sum` there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..dispatch import as_tensor
from ..primitives.nesting import holds_tensor, joined
from ..tape.handle import Tensor

__all__ = ["forwarded"]

_OF_SEQUENCES = {
    "append", "block", "choose", "column_stack", "concat", "concatenate", "dstack", "einsum", "hstack", "lexsort",
    "multi_dot", "piecewise", "select", "stack", "vstack",
}  # fmt: skip
"""Functions whose lists are lists of arrays."""


def forwarded(found: Any) -> Any:
    """What NumPy has under a name; a function takes lists of tensors as arrays, and gives tensors if it got one.

    Parameters
    ----------
    found : object

    Returns
    -------
    object
        Ufuncs, classes and whatever is no function as they are.
    """
    if not callable(found) or isinstance(found, (type, np.ufunc)):
        return found
    prepare: Callable[[Any], Any] = _as_it_is if found.__name__ in _OF_SEQUENCES else joined

    @functools.wraps(found)
    def call(*args: Any, **kwargs: Any) -> Any:
        y = found(*map(prepare, args), **{k: prepare(v) for k, v in kwargs.items()})
        if isinstance(y, Tensor) or not any(holds_tensor(x) for x in (*args, *kwargs.values())):
            return y
        return _adopted(y)

    return call


def _as_it_is(x: Any) -> Any:
    return x


def _adopted(y: Any) -> Any:
    """Plain arrays and NumPy's numbers in a result as tensors."""
    if isinstance(y, (np.ndarray, np.generic)):
        return as_tensor(y)
    if isinstance(y, (tuple, list)):
        made = map(_adopted, y)
        return type(y)(*made) if hasattr(y, "_fields") else type(y)(made)
    return y
