"""`scipy.integrate` for tensors: samples, quadrature with Leibniz's rule, and initial value problems."""

from __future__ import annotations

from typing import Any

import scipy.integrate as _integrate

from ._ode import odeint, solve_ivp
from ._quadrature import cumulative_simpson, cumulative_trapezoid, dblquad, fixed_quad, quad, romb, simpson, trapezoid

__all__ = [
    "cumulative_simpson",
    "cumulative_trapezoid",
    "dblquad",
    "fixed_quad",
    "odeint",
    "quad",
    "romb",
    "simpson",
    "solve_ivp",
    "trapezoid",
]


def __getattr__(name: str) -> Any:
    return getattr(_integrate, name)
