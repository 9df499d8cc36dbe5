"""Fixed points, with implicit derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....custom import custom_vjp
from ....functional import vjp
from ....tape.handle import Tensor
from ....values import value_of

__all__ = ["fixed_point"]


def _plain(x: Any) -> Any:
    return value_of(x) if isinstance(x, Tensor) else x


def _iterate(step: Callable, x: Any, distance: Callable, tol: float) -> Any:
    while True:
        new = step(x)
        if distance(_plain(new), _plain(x)) <= tol:
            return new
        x = new


def fixed_point(f: Callable, a: Any, x0: Any, distance: Callable, tol: float) -> Any:
    """The x with ``f(a)(x) == x``, from iteration; differentiable in `a`.

    Notes
    -----
    With u the fixed point of ``u = g + (df/dx)^T u``, the cotangent of `a` is ``(df/da)^T u``.
    """

    def forward(a: Any) -> tuple[Any, Any]:
        x = _iterate(f(a), x0, distance, tol)
        return x, (a, x)

    def backward(residuals: Any, g: Any) -> tuple[Any]:
        a, x = residuals
        _, by_x = vjp(f(a), x)
        _, by_a = vjp(lambda a: f(a)(x), a)
        u = _iterate(lambda u: g + by_x(u)[0], g, distance, tol)
        return (by_a(u)[0],)

    solve = custom_vjp(lambda a: _iterate(f(a), x0, distance, tol))
    solve.defvjp(forward, backward)
    return solve(a)
