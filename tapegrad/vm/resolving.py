"""Numba's typing, remembered: else it goes through all candidates at each ``a + b``, a third of its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import types

__all__ = ["Remembering", "remembering"]


def remembering(resolve: Callable) -> Callable:
    """A typing context's `resolve_function_type` that keeps what it found.

    Parameters
    ----------
    resolve : callable
        Takes a function's type and those of its arguments, positional and by name, and returns a signature.

    Returns
    -------
    callable
        The same. What is no function of Numba's library, such as a dispatcher, is looked up each time.
    """
    known: dict = {}

    def remembered(function: Any, args: Any, kws: Any) -> Any:
        if not callable(function) and not isinstance(function, types.BaseFunction):
            return resolve(function, args, kws)
        key = function, tuple(args), tuple(dict(kws).items())
        if key not in known:
            known[key] = resolve(function, args, kws)
        return known[key]

    return remembered


class Remembering:
    """A typing context that remembers; all else is the other's.

    Parameters
    ----------
    context : numba.core.typing.BaseContext
    """

    def __init__(self, context: Any):
        self._context = context
        self.resolve_function_type = remembering(context.resolve_function_type)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
