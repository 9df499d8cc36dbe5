"""`scipy.integrate` for tensors: samples, quadrature with Leibniz's rule, and initial value problems."""

from __future__ import annotations

from typing import Any

import scipy.integrate as _integrate

from ._ode import odeint, solve_ivp
from ._quadrature import (
    cumulative_simpson,
    cumulative_trapezoid,
    dblquad,
    fixed_quad,
    nquad,
    quad,
    romb,
    simpson,
    tplquad,
    trapezoid,
)

__all__ = [
    "cumulative_simpson",
    "cumulative_trapezoid",
    "dblquad",
    "fixed_quad",
    "nquad",
    "odeint",
    "quad",
    "romb",
    "simpson",
    "solve_ivp",
    "tplquad",
    "trapezoid",
]


def __getattr__(name: str) -> Any:
    return getattr(_integrate, name)
