"""Transformations of functions under the names of ``torch.func``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import optree

from . import functional
from .batching import vmap
from .functional import conjugated, jvp, value_and_grad
from .jacobians import hessian, jacfwd, jacrev, linearize

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp", "vmap"]


def _conjugated(tree: Any) -> Any:
    return optree.tree_map(conjugated, tree)


def grad(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A scalar function's gradient, as `tapegrad.grad`; by complex arguments the conjugate of that, as in PyTorch.

    Parameters
    ----------
    fun, argnums, has_aux
        As in `tapegrad.grad`.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns the gradient, or ``(gradient, aux)``.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.func.grad(lambda z: abs(z) ** 2)(1.0 + 2.0j)
    np.complex128(2+4j)
    """
    both = grad_and_value(fun, argnums, has_aux)

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        slope, value = both(*args, **kwargs)
        return (slope, value[1]) if has_aux else slope

    return gradient


def vjp(fun: Callable, *primals: Any, has_aux: bool = False) -> Any:
    """A function's value and pullback, as `tapegrad.vjp`; with complex cotangents as PyTorch defines them.

    Parameters
    ----------
    fun, *primals, has_aux
        As in `tapegrad.vjp`.

    Returns
    -------
    value, pullback
        And ``aux``, if `has_aux`.
    """
    value, pullback, *aux = functional.vjp(fun, *primals, has_aux=has_aux)

    def conjugate(cotangent: Any) -> Any:
        return _conjugated(pullback(_conjugated(cotangent)))

    return (value, conjugate, *aux)


def grad_and_value(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A scalar function's gradient and value, in this order.

    Parameters
    ----------
    fun, argnums, has_aux
        As in `grad`.

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
        return _conjugated(slope), value

    return swapped
