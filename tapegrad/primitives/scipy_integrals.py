"""Exponential and logarithmic integrals of SciPy."""

from __future__ import annotations

from .core import ops
from .domain import Above
from .scipy_loader import scipy_ufunc


@scipy_ufunc
class expi:
    """Exponential integral Ei."""

    def partials(y, x):
        return ops.exp(x) / x

    domain = Above(0.0)
    probes = (1.0, 2.0)


@scipy_ufunc
class exp1:
    """Exponential integral E1."""

    def partials(y, x):
        return -ops.exp(-x) / x

    domain = Above(0.0)
    probes = (1.0, 3.0)


@scipy_ufunc
class spence:
    """Spence's function, the integral of log(t) / (1 - t) from 1 to x."""

    def partials(y, x):
        # log(x) / (1 - x); near 1 by its series in 1 - x
        h = 1.0 - x
        near = ops.absolute(h) < 0.2
        small, far = ops.where(near, h, 0.0), ops.where(near, 2.0, x)
        series = 0.0
        for k in range(24, 0, -1):
            series = series * small - 1.0 / k
        return ops.where(near, series, ops.log(far) / (1.0 - far))

    domain = Above(0.0)
    probes = (1.0, 0.3, 1.0001, 4.0)
