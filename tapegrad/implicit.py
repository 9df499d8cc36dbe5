"""Implicit differentiation: roots and minima that any solver found, as differentiable functions of what defines them.

References
----------
.. [1] M. Blondel et al., "Efficient and modular implicit differentiation", NeurIPS 2022: section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .autograd.captures import captured_by, fresh_tape, pull_back, refuse_tracing, tracked
from .autograd.function import Function
from .functional import grad
from .primitives.core import lift
from .tape.handle import Tensor
from .tape.state import as_in_grad, local
from .values import value_of

__all__ = ["implicit_minimum", "implicit_root"]

FAR = 1e-2
"""A point from which a Newton step leads further than this, relative to its size, is not taken for a root."""


def stacked(y: Any) -> Any:
    """A function's result as an array or tensor, where it may be a list of numbers and tensors."""
    if isinstance(y, (list, tuple)):
        from .numpy import array

        return array(y)
    return y


def plain(x: Any) -> Any:
    """The values of a tensor; other things as they are."""
    return value_of(x) if isinstance(x, Tensor) else x


class _Root(Function):
    """A root, of which the residual's derivatives tell how it moves."""

    @staticmethod
    def forward(ctx: Any, residual: Callable, x: np.ndarray, jacobian: Any, name: str, *captured: Tensor) -> Any:
        """The root as it was found."""
        y = lift(x.copy())
        ctx.residual, ctx.known, ctx.label, ctx.captured = residual, jacobian, name, captured
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, bar: Any) -> Any:
        """Blondel et al. [1]_, eq. 2: with J = dF/dx and J^T u = x_bar, what F reads gets the pullback of -u."""
        again = local.state.grad_enabled
        fresh_tape()
        x = tracked(ctx.saved_tensors[0])
        r = _residual(ctx.residual, x, ctx.label)
        n = x._spec.size
        jacobian: Any = np.zeros((0, 0)) if n == 0 else ctx.known
        if jacobian is None or again:
            rows = [pull_back([r], [e.reshape(r._spec.shape)], [x], (), again)[0] for e in np.eye(n)]
            jacobian = np.stack([np.zeros(n) if row is None else np.reshape(row, (n,)) for row in rows])
        _refuse_singular(plain(jacobian), ctx.label)
        _refuse_elsewhere(plain(jacobian), plain(r), plain(x), ctx.label)
        u = np.linalg.solve(np.transpose(jacobian), np.reshape(bar, (n,))) if n else bar
        _, *found = pull_back([r], [-np.reshape(u, r._spec.shape)], [x], ctx.captured, again)
        return (None, None, None, None, *found)


def _residual(residual: Callable, x: Tensor, name: str) -> Tensor:
    with as_in_grad():
        r = lift(stacked(residual(x)))
    if r._spec.size != x._spec.size:
        raise ValueError(
            f"{name}: the residual has {r._spec.size} numbers and the unknown {x._spec.size}; they must be as many"
        )
    return r


def _refuse_singular(jacobian: np.ndarray, name: str) -> None:
    """Refuse where the implicit function theorem says nothing."""
    n = len(jacobian)
    s = np.linalg.svd(jacobian, compute_uv=False) if np.all(np.isfinite(jacobian)) else np.full(n, np.nan)
    if n and not s[-1] > 10.0 * n * np.finfo(float).eps * s[0]:
        rank = int(np.sum(s > 10.0 * n * np.finfo(float).eps * s[0]))
        raise np.linalg.LinAlgError(
            f"{name}: the derivative with respect to the unknown is singular at the solution (rank {rank} of {n}), so "
            f"that the solution is no differentiable function of the parameters there; fix what is not determined, or "
            f"stop its gradient with tapegrad.stop_gradient"
        )


def _refuse_elsewhere(jacobian: np.ndarray, r: np.ndarray, x: np.ndarray, name: str) -> None:
    """Refuse where what was given is no root: the theorem is about roots."""
    step = np.linalg.solve(jacobian, r.reshape(-1)) if r.size else r
    if not np.max(np.abs(step), initial=0.0) <= FAR * (1.0 + np.max(np.abs(x), initial=0.0)):
        raise ValueError(
            f"{name}: what is to be differentiated is no solution: a Newton step from it goes "
            f"{np.max(np.abs(step)):.2g} far. Let the solver converge (tol=...), and look whether it is at a bound "
            f"or a kink"
        )


def implicit_root(
    fun: Callable, x: Any, *args: Any, jacobian: np.ndarray | None = None, name: str = "implicit_root"
) -> Any:
    """A root that was found by any means, as a differentiable function of what `fun` depends on.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns as many numbers as `x` has; they are 0 at the root. It may use values from outside:
        those that are being differentiated are found.
    x : array_like
        The root: a number or an array of any shape, to the precision that its solver reached.
    *args
        Passed on to `fun`.
    jacobian : numpy.ndarray, shape (x.size, x.size), optional
        The derivative of `fun` with respect to `x` at the root, if it is known.
    name : str
        For messages.

    Returns
    -------
    Tensor, or numpy.ndarray where nothing is being differentiated
        The same values as `x`.

    Raises
    ------
    ValueError
        If the residual has not as many numbers as `x`.
        In the reverse, if `x` is far from a root.
    numpy.linalg.LinAlgError
        In the reverse, if the derivative of `fun` with respect to `x` is singular.

    Notes
    -----
    One call of `fun` here; in the reverse one call, a sweep for each element of `x`, and a linear system of that size.
    Derivatives of any order exist.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> def root_of(a):
    ...     x = np.sqrt(tg.stop_gradient(a))
    ...     return tg.implicit_root(lambda x: x * x - a, x)
    >>> tg.grad(root_of)(4.0)
    np.float64(0.25)
    """
    refuse_tracing(name)
    array = np.array(plain(x), float)

    def residual(x: Any) -> Any:
        return fun(x, *args)

    def call(x: Any) -> Any:
        return _residual(residual, x, name)

    if not local.state.grad_enabled:
        return array
    _, captured = captured_by(call, lift(array))
    if not captured:
        return array
    return _Root.apply(residual, array, jacobian, name, *captured)


def implicit_minimum(fun: Callable, x: Any, *args: Any, name: str = "implicit_minimum") -> Any:
    """A minimum that was found by any means, as a differentiable function of what `fun` depends on.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns a number; its gradient is 0 at `x`.
    x : array_like
        The minimum (or maximum, or saddle point).
    *args
        Passed on to `fun`.
    name : str
        For messages.

    Returns
    -------
    Tensor, or numpy.ndarray where nothing is being differentiated

    Raises
    ------
    numpy.linalg.LinAlgError
        In the reverse, if the second derivative of `fun` is singular.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> def best(a):
    ...     return np.sum(tg.implicit_minimum(lambda x: np.sum((x - a**2) ** 2), tg.stop_gradient(a) ** 2))
    >>> tg.grad(best)(np.array([1.0, 3.0]))
    array([2., 6.])
    """
    return implicit_root(grad(fun), x, *args, name=name)
