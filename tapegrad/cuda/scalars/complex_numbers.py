"""Complex numbers."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .registry import scalar


@scalar("c")
def conjugate(x: Any) -> Any:
    return x.conjugate()


@scalar("fi", "conjugate")
def conjugate_of_real(x: Any) -> Any:
    return x


@scalar("c", "sign")
def sign_of_complex(x: Any) -> Any:
    r = math.hypot(x.real, x.imag)
    return x if r == 0.0 else x / r


@scalar("c", "exp")
def exp_of_complex(x: Any) -> Any:
    r = math.exp(x.real)
    return complex(r * math.cos(x.imag), r * math.sin(x.imag))


@scalar("c", "log")
def log_of_complex(x: Any) -> Any:
    return complex(math.log(math.hypot(x.real, x.imag)), math.atan2(x.imag, x.real))


@scalar("c", "sqrt")
def sqrt_of_complex(x: Any) -> Any:
    r = math.hypot(x.real, x.imag)
    if r == 0.0:
        return x
    t = math.sqrt(0.5 * (r + math.fabs(x.real)))
    if x.real >= 0.0:
        return complex(t, 0.5 * x.imag / t)
    return complex(0.5 * math.fabs(x.imag) / t, math.copysign(t, x.imag))


@scalar("c", "sin")
def sin_of_complex(x: Any) -> Any:
    return complex(math.sin(x.real) * math.cosh(x.imag), math.cos(x.real) * math.sinh(x.imag))


@scalar("c", "cos")
def cos_of_complex(x: Any) -> Any:
    return complex(math.cos(x.real) * math.cosh(x.imag), -math.sin(x.real) * math.sinh(x.imag))


@scalar("c", "sinh")
def sinh_of_complex(x: Any) -> Any:
    return complex(math.sinh(x.real) * math.cos(x.imag), math.cosh(x.real) * math.sin(x.imag))


@scalar("c", "cosh")
def cosh_of_complex(x: Any) -> Any:
    return complex(math.cosh(x.real) * math.cos(x.imag), math.sinh(x.real) * math.sin(x.imag))
