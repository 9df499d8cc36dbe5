"""Functions of single matrices over batches of them, one after another, as SciPy applies its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitives.core import lift


def over_batches(*ndims: int | str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function whose first arguments have so many axes: what has more is a batch, and batches broadcast.

    Parameters
    ----------
    *ndims : int or "1|2"
        ``"1|2"`` is a vector or a matrix: a batch has more than two axes.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        names = list(inspect.signature(function).parameters)[: len(ndims)]

        @functools.wraps(function)
        def batched(*args: Any, **options: Any) -> Any:
            while len(args) < len(names) and names[len(args)] in options:
                args = (*args, options.pop(names[len(args)]))
            count = min(len(args), len(names))
            arrays = [None if a is None else lift(a) for a in args[:count]]
            cores = [_core(a, n) for a, n in zip(arrays, ndims, strict=False)]
            lead = np.broadcast_shapes(
                *(a._spec.shape[: a._spec.ndim - n] for a, n in zip(arrays, cores, strict=True) if a is not None)
            )
            if not lead:
                return function(*args, **options)
            spread = [
                a if a is None else np.broadcast_to(a, (*lead, *a._spec.shape[a._spec.ndim - n :]))
                for a, n in zip(arrays, cores, strict=True)
            ]
            found = [
                function(*(a if a is None else a[index] for a in spread), *args[count:], **options)
                for index in np.ndindex(lead)
            ]
            return _stacked(found, lead)

        return batched

    return decorate


def _core(array: Any, ndim: int | str) -> int:
    if array is None:
        return 0
    return ndim if isinstance(ndim, int) else min(array._spec.ndim, 2)


def _stacked(found: list[Any], lead: tuple[int, ...]) -> Any:
    """Results of a batch, each part of them as one array."""
    if isinstance(found[0], tuple):
        return tuple(_stacked(list(parts), lead) for parts in zip(*found, strict=True))
    y = np.stack(found)
    return np.reshape(y, (*lead, *y.shape[1:]))
