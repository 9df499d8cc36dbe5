"""Branch-free functions that LLVM turns into SIMD code, for gradients written by hand.

Numba's own `exp` is a call of libm for each element. Here: Cody and Waite's reduction and a Taylor polynomial of degree
13.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
"""Flags under which NaNs stay what they are."""

_MAGIC = 1.5 * 2.0**52  # adding it rounds to an integer, which then stands in the low bits
_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@njit(error_model="numpy", fastmath={"contract"})
def exp(x):
    x = min(max(x, -708.0), 709.0)
    t = x * _LOG2E + _MAGIC
    k = t - _MAGIC
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    power = (np.float64(t).view(np.int64) << 52) + (1023 << 52)
    return p * np.int64(power).view(np.float64)


@njit(error_model="numpy", fastmath={"contract"})
def sigmoid(x):
    return 1.0 / (1.0 + exp(-x))


@njit(error_model="numpy", fastmath={"contract"})
def tanh(x):
    return 1.0 - 2.0 / (exp(2.0 * x) + 1.0)
