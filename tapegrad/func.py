"""Transformations of functions under the names of ``torch.func``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .batching import vmap
from .functional import grad, jvp, value_and_grad, vjp
from .jacobians import hessian, jacfwd, jacrev, linearize

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp", "vmap"]


def grad_and_value(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A scalar function's gradient and value, in this order.

    Parameters
    ----------
    fun, argnums, has_aux
        As in `tapegrad.grad`.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns ``(gradient, value)``, or ``(gradient, (value, aux))``.

    Examples
    --------
    >>> import tapegrad as tg
    >>> slope, value = tg.func.grad_and_value(lambda x: x**3)(2.0)
    >>> float(slope), float(value)
    (12.0, 8.0)
    """
    both = value_and_grad(fun, argnums, has_aux)

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def swapped(*args: Any, **kwargs: Any) -> Any:
        value, slope = both(*args, **kwargs)
        return slope, value

    return swapped
