"""Error functions of SciPy, and the normal distribution.

References
----------
.. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov: chapter and equation in each rule.
"""

from __future__ import annotations

import math

from .core import ops
from .domain import Between
from .scipy_loader import scipy_ufunc

SQRT_PI, SQRT_2PI = math.sqrt(math.pi), math.sqrt(2.0 * math.pi)


@scipy_ufunc
class erf:
    """Error function."""

    def partials(y, x):
        return 2.0 / SQRT_PI * ops.exp(-x * x)

    probes = (0.0, 1e-12, -0.5, 3.0)


@scipy_ufunc
class erfc:
    """Complementary error function, 1 - erf(x)."""

    def partials(y, x):
        return -2.0 / SQRT_PI * ops.exp(-x * x)

    probes = (0.0, -0.5, 3.0)


FAR = 50.0
"""From here on a derivative that is a small difference is taken from an asymptotic series: five terms are enough."""


def _far(x, far, half):
    """Where x is far, its square, and the series 1 + 3 r + 15 r² + ... (DLMF 7.12.1), where r is half / x²."""
    square = ops.where(far, x, FAR) ** 2.0
    r = half / square
    return far, square, 1.0 + r * (3.0 + r * (15.0 + r * (105.0 + r * 945.0)))


@scipy_ufunc
class erfcx:
    """Scaled complementary error function, exp(x²) erfc(x)."""

    grad_name = "SpecialErfcx"

    def partials(y, x):
        near = 2.0 * x * y - 2.0 / SQRT_PI
        if x._spec.dtype.kind == "c":
            return near
        far, square, series = _far(x, x > FAR, -0.5)
        return ops.where(far, -series / (SQRT_PI * square), near)

    probes = (0.0, -0.5, 3.0)


@scipy_ufunc
class erfi:
    """Imaginary error function, -i erf(i x)."""

    def partials(y, x):
        return 2.0 / SQRT_PI * ops.exp(x * x)

    probes = (0.0, -0.5, 2.0)


@scipy_ufunc
class dawsn:
    """Dawson's integral (DLMF 7.10)."""

    def partials(y, x):
        near = 1.0 - 2.0 * x * y
        if x._spec.dtype.kind == "c":
            return near
        far, square, series = _far(x, ops.absolute(x) > FAR, 0.5)
        return ops.where(far, -0.5 * series / square, near)

    probes = (0.0, -0.5, 2.0)


@scipy_ufunc
class erfinv:
    """Inverse error function."""

    def partials(y, x):
        return 0.5 * SQRT_PI * ops.exp(y * y)

    domain = Between(-1.0, 1.0)
    probes = (0.0, -0.5, 0.9)


@scipy_ufunc
class erfcinv:
    """Inverse complementary error function."""

    def partials(y, x):
        return -0.5 * SQRT_PI * ops.exp(y * y)

    domain = Between(0.0, 2.0)
    probes = (1.0, 0.1, 1.8)


@scipy_ufunc
class ndtr:
    """Distribution function of the normal distribution."""

    def partials(y, x):
        return ops.exp(-0.5 * x * x) / SQRT_2PI

    probes = (0.0, -3.0, 2.0)


@scipy_ufunc
class log_ndtr:
    """Logarithm of the normal distribution function."""

    grad_name = "SpecialLogNdtr"

    def partials(y, x):
        # The ratio of density and distribution, by functions that keep their digits on either side of 0.
        left = ops.where(x < 0.0, x, 0.0)
        right = ops.clip(x, 0.0, 40.0)  # beyond, the slope is 0 to the last digit
        return ops.where(
            x < 0.0,
            math.sqrt(2.0 / math.pi) / ops.erfcx(-math.sqrt(0.5) * left),
            ops.exp(-0.5 * right * right) / (SQRT_2PI * ops.ndtr(right)),
        )

    probes = (0.0, -3.0, 2.0, -30.0, 30.0)


@scipy_ufunc
class ndtri:
    """Inverse of the normal distribution function."""

    def partials(y, x):
        return SQRT_2PI * ops.exp(0.5 * y * y)

    domain = Between(0.0, 1.0)
    probes = (0.5, 0.1, 0.9)
