"""The steps of a Runge-Kutta method, taken again on tensors: what SciPy's solver did, as differentiable operations.

References
----------
.. [1] E. Hairer and G. Wanner, "Solving ordinary differential equations II", 2nd ed., Springer 1996: section IV.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.integrate as _integrate

from ..autograd.captures import fresh_tape
from ..functional import vjp
from ..implicit import implicit_root
from ._plain import outside, plain, values_of

__all__ = ["Explicit", "Radau", "Segment"]

S6 = math.sqrt(6.0)
RADAU_C = np.array([(4.0 - S6) / 10.0, (4.0 + S6) / 10.0, 1.0])
RADAU_A = np.array(
    [
        [(88.0 - 7.0 * S6) / 360.0, (296.0 - 169.0 * S6) / 1800.0, (-2.0 + 3.0 * S6) / 225.0],
        [(296.0 + 169.0 * S6) / 1800.0, (88.0 + 7.0 * S6) / 360.0, (-2.0 - 3.0 * S6) / 225.0],
        [(16.0 - S6) / 36.0, (16.0 + S6) / 36.0, 1.0 / 9.0],
    ]
)
"""Radau IIA of order 5 (Hairer and Wanner [1]_, table 5.6)."""
RADAU_P = np.linalg.inv(RADAU_C[:, None] ** np.arange(1, 4))
"""From the stages' increments to the coefficients of the polynomial through them."""


def combination(weights: np.ndarray, stages: list[Any]) -> Any:
    """The sum of stages times weights."""
    total: Any = None
    for w, k in zip(weights, stages, strict=True):
        if w != 0.0:
            term = k * float(w)
            total = term if total is None else total + term
    return total


class Segment:
    """One step: where it went, and the polynomial in between.

    Attributes
    ----------
    t_old, h
        Numbers or tensors.
    y_old, y : Tensor, shape (n,)
    """

    def __init__(self, t_old: Any, h: Any, y_old: Any, y: Any, coefficients: Callable[[], Any]):
        self.t_old, self.h, self.y_old, self.y = t_old, h, y_old, y
        self._make = coefficients
        self._made: Any = None

    def __call__(self, t: Any) -> Any:
        """The state at times within the step: shape (n,) for a number, (n, k) for k of them."""
        if self._made is None:
            self._made = self._make()
        x = (t - self.t_old) / self.h
        y: Any = 0.0
        if callable(self._made):
            y = self._made(x)
        else:  # columns belong to x, x**2, ...
            q = self._made
            for k in range(q.shape[1] - 1, -1, -1):
                y = (y + (q[:, k, None] if np.ndim(t) else q[:, k])) * x
        return y + (self.y_old[:, None] if np.ndim(t) else self.y_old)


class Explicit:
    """RK23, RK45 or DOP853.

    Parameters
    ----------
    method : str
    fun : callable
        ``fun(t, y)`` on tensors.
    t, y
        Where it starts.
    """

    def __init__(self, method: str, fun: Callable, t: Any, y: Any):
        self.tableau: Any = getattr(_integrate, method)
        self.fun, self.y = fun, y
        self.f = fun(t, y)

    def step(self, t: Any, h: Any, guess: Any) -> Segment:
        """Go from `t` to ``t + h``; what SciPy found in between is not needed."""
        table, y_old = self.tableau, self.y
        stages = [self.f]
        for s in range(1, table.n_stages):
            stages.append(self.fun(t + table.C[s] * h, y_old + combination(table.A[s][:s], stages) * h))
        y = y_old + combination(table.B, stages) * h
        f = self.fun(t + h, y)
        first, self.y, self.f = self.f, y, f
        if table.P is not NotImplemented:

            def coefficients() -> Any:
                return (np.stack([*stages, f], 1) @ table.P) * h

        else:

            def coefficients() -> Any:
                more = [*stages, f]
                for a, c in zip(table.A_EXTRA, table.C_EXTRA, strict=True):
                    more.append(self.fun(t + c * h, y_old + combination(a[: len(more)], more) * h))
                change = y - y_old
                high = [combination(d, more) * h for d in table.D]
                return _alternating([change, first * h - change, change * 2.0 - (f + first) * h, *high])

        return Segment(t, h, y_old, y, coefficients)


def _alternating(parts: list[Any]) -> Callable:
    """The polynomial of DOP853: factors x and 1 - x by turns."""

    def at(x: Any) -> Any:
        y: Any = 0.0
        for k, part in enumerate(reversed(parts)):
            y = (y + (part[:, None] if np.ndim(x) else part)) * (x if k % 2 == 0 else 1.0 - x)
        return y

    return at


class Radau:
    """Radau IIA of order 5; the equations of each step are solved by Newton's method, and differentiated implicitly.

    Parameters
    ----------
    fun : callable
        ``fun(t, y)`` on tensors.
    y
        Where it starts.
    """

    def __init__(self, fun: Callable, y: Any):
        self.fun, self.y = fun, y

    def step(self, t: Any, h: Any, guess: Callable) -> Segment:
        """Go from `t` to ``t + h``.

        Parameters
        ----------
        t, h : float or Tensor
        guess : callable
            SciPy's solution in between, as a function of time.
        """
        fun, y_old = self.fun, self.y
        times = [t + c * h for c in RADAU_C]

        def residual(z: Any) -> Any:
            return z - y_old - (RADAU_A @ np.stack([fun(s, z[k]) for k, s in enumerate(times)])) * h

        start = np.stack([guess(float(plain(s))) for s in times])
        with outside():
            z, jacobian = _newton(fun, [float(plain(s)) for s in times], float(plain(h)), plain(y_old), start)
        found = implicit_root(residual, z, jacobian=jacobian, name="solve_ivp (a step of Radau's method)")
        self.y = y = found[2]

        def coefficients() -> Any:
            return np.swapaxes(RADAU_P @ (found - y_old), 0, 1)

        return Segment(t, h, y_old, y, coefficients)


def _newton(fun: Callable, times: list[float], h: float, y_old: Any, z: Any) -> tuple[np.ndarray, np.ndarray]:
    """The stages of a step of Radau's method, and the derivative of its equations there."""

    def rates(z: Any) -> Any:
        return np.stack([fun(t, z[k]) for k, t in enumerate(times)])

    value = values_of(rates)
    jacobian = _derivative(rates, h, z)
    for _ in range(10):
        r = z - y_old - h * RADAU_A @ value(z)
        move = np.linalg.solve(jacobian, r.reshape(-1)).reshape(z.shape)
        z = z - move
        if np.max(np.abs(move)) <= 1e-12 * np.max(np.abs(z)):
            break
    return z, _derivative(rates, h, z)


def _derivative(rates: Callable, h: float, z: np.ndarray) -> np.ndarray:
    """That of the equations: 1 - h A (x) J, where each stage has a J of its own; one sweep gives a row of all three."""
    n = z.shape[1]
    fresh_tape()
    _, pullback = vjp(rates, z)
    blocks = np.empty((3, n, n))
    for i in range(n):
        row = np.zeros((3, n))
        row[:, i] = 1.0
        blocks[:, i] = plain(pullback(row)[0])
    return np.eye(3 * n) - h * np.einsum("ab,bij->aibj", RADAU_A, blocks).reshape(3 * n, 3 * n)
