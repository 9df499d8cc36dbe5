"""`scipy.special` for tensors: its ufuncs as they are, and the functions that are no ufuncs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as _special

from ..primitives.core import lift, ops
from ..primitives.scipy_loader import load as _load
from ..tape.handle import Tensor

_load()


def __getattr__(name: str) -> Any:
    return getattr(_special, name)


def _floating(a: Any) -> Tensor:
    x = lift(a)
    return lift(x, np.dtype(float)) if x._spec.dtype.kind in "biu" else x


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """`scipy.special.logsumexp`: ``log(sum(b * exp(a)))`` without overflow.

    Parameters
    ----------
    a : array_like or Tensor
        Real or complex.
    axis : int, tuple of int or None
    b : array_like or Tensor, optional
        Factors.
    keepdims : bool
    return_sign : bool
        Return ``(logarithm of the absolute value, sign)``; else a negative sum gives NaN.
    """
    x: Any = _floating(a)
    if b is not None:
        b = lift(b)
        x, b = np.broadcast_arrays(x.astype(np.result_type(x.dtype, b.dtype)), b)
    real = np.real(x) if x.dtype.kind == "c" else x
    peak = ops.detach(np.max(real if b is None else np.where(b == 0, -np.inf, real), axis=axis, keepdims=True))
    peak = np.where(np.isfinite(peak), peak, 0.0)
    if b is not None:  # a term with the factor 0 has a slope by it, and may be no number
        x = np.where((b == 0) & ~(real <= peak + 700.0), peak + 700.0, x)
    terms = np.exp(x - peak)
    terms = terms if b is None else b * terms
    total = np.sum(terms, axis=axis, keepdims=keepdims)
    peak = peak if keepdims else np.squeeze(peak, axis=axis)
    size = np.abs(total) if return_sign else total
    if b is not None:  # of nothing there is no slope
        peak, size = np.where(size == 0, -np.inf, peak), np.where(size == 0, 1.0, size)
    return (np.log(size) + peak, np.sign(total)) if return_sign else np.log(size) + peak


def softmax(x: Any, axis: Any = None) -> Any:
    """`scipy.special.softmax`."""
    return np.exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: Any = None) -> Any:
    """`scipy.special.log_softmax`."""
    x = _floating(x)
    return x - logsumexp(x, axis=axis, keepdims=True)


def softplus(x: Any) -> Any:
    """`scipy.special.softplus`, ``log(1 + exp(x))``."""
    return np.logaddexp(_floating(x), 0.0)


def multigammaln(a: Any, d: int) -> Any:
    """`scipy.special.multigammaln`, the logarithm of the multivariate gamma function (DLMF 35.3.4)."""
    steps = 0.5 * np.arange(int(d))
    a = _floating(a)
    return 0.25 * d * (d - 1) * math.log(math.pi) + np.sum(_special.gammaln(a[..., None] - steps), axis=-1)


def polygamma(n: Any, x: Any) -> Any:
    """`scipy.special.polygamma`, the n-th derivative of digamma (DLMF 5.15.1); `n` is a constant."""
    n = np.asarray(n.detach().numpy() if isinstance(n, Tensor) else n)
    x = _floating(x)
    factor = (-1.0) ** (n + 1) * _special.gamma(n + 1.0)
    order = np.where(n == 0, 1.0, n * 1.0)  # the zeta function has a pole where digamma is meant
    return np.where(n == 0, _special.psi(x), factor * zeta(order + 1.0 * (n == 0) + 1.0, x))


def zeta(x: Any, q: Any = None) -> Any:
    """`scipy.special.zeta`, Riemann's and Hurwitz's."""
    return _special.zeta(x) if q is None else ops.zeta(x, q)


def factorial(n: Any, exact: bool = False, extend: str = "zero") -> Any:
    """`scipy.special.factorial` of real numbers, as the gamma function of n + 1; 0 below 0, if so extended."""
    n = _floating(n)
    y = _special.gamma(n + 1.0)
    return y if extend == "complex" else np.where(n < 0, 0.0, y)


def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """`scipy.special.comb` of real numbers; 0 unless 0 <= k <= N."""
    N, k = _floating(N), _floating(k)
    if repetition:
        return _special.binom(N + k - 1.0, k)
    none = (k > N) | (k < 0)
    return np.where(none, 0.0, _special.binom(np.where(none, 1.0, N), np.where(none, 0.0, k)))


def perm(N: Any, k: Any, exact: bool = False) -> Any:
    """`scipy.special.perm` of real numbers; 0 unless 0 <= k <= N."""
    N, k = _floating(N), _floating(k)
    none = (k > N) | (k < 0)
    return np.where(none, 0.0, _special.poch(np.where(none, 1.0, N - k + 1.0), np.where(none, 0.0, k)))


def sinc(x: Any) -> Any:
    """`scipy.special.sinc`, which is NumPy's."""
    return np.sinc(_floating(x))


def diric(x: Any, n: int) -> Any:
    """`scipy.special.diric`, the periodic sinc function: sin(n x / 2) / (n sin(x / 2))."""
    x = _floating(x)
    low = np.sin(0.5 * x)
    near = np.abs(low) < 1e-7
    turns = np.round(ops.detach(x) / (2.0 * math.pi))
    at_zero = (-1.0) ** (turns * (n - 1))
    return np.where(near, at_zero, np.sin(0.5 * n * x) / (n * np.where(near, 1.0, low)))


def spherical_jn(n: Any, z: Any, derivative: bool = False) -> Any:
    """`scipy.special.spherical_jn` (DLMF 10.47.3)."""
    return _spherical(_special.jv, -1.0, n, z, derivative)


def spherical_yn(n: Any, z: Any, derivative: bool = False) -> Any:
    """`scipy.special.spherical_yn` (DLMF 10.47.4)."""
    return _spherical(_special.yv, -1.0, n, z, derivative)


def spherical_in(n: Any, z: Any, derivative: bool = False) -> Any:
    """`scipy.special.spherical_in` (DLMF 10.47.7)."""
    return _spherical(_special.iv, 1.0, n, z, derivative)


def spherical_kn(n: Any, z: Any, derivative: bool = False) -> Any:
    """`scipy.special.spherical_kn` of positive numbers (DLMF 10.47.9)."""
    z = _floating(z)
    if not derivative:
        return np.sqrt(0.5 * math.pi / z) * _special.kv(n + 0.5, z)
    return n / z * spherical_kn(n, z) - spherical_kn(n + 1, z)


def _spherical(function: Any, sign: float, n: Any, z: Any, derivative: bool) -> Any:
    """By Bessel functions; DLMF 10.51.2 and 10.51.5 for the derivative, and 10.47.14 and 10.47.16 left of 0."""
    z = _floating(z)
    regular = function is not _special.yv
    if z._spec.dtype.kind != "c":
        odd = (n + (not regular) + derivative) % 2 == 1
        turned = np.where((z < 0) & odd, -1.0, 1.0)
        return turned * _spherical_of_positive(function, sign, n, np.where(z < 0, -z, z), derivative, regular)
    return _spherical_of_positive(function, sign, n, z, derivative, regular)


def _spherical_of_positive(function: Any, sign: float, n: Any, z: Any, derivative: bool, regular: bool) -> Any:
    near = np.abs(z) < 0.02
    safe = np.where(near, 1.0, z) if regular else z
    value = np.sqrt(0.5 * math.pi / safe) * function(n + 0.5, safe)
    if derivative:
        value = n / safe * value + sign * np.sqrt(0.5 * math.pi / safe) * function(n + 1.5, safe)
    if not regular:
        return value
    return np.where(near, _small_slope(n, z, sign) if derivative else _small(n, z, sign), value)


def _small(n: Any, z: Any, sign: float) -> Any:
    """Near 0, by the first terms of the series (DLMF 10.53.1 and 10.53.3)."""
    q = 0.5 * sign * z * z
    series = 1.0 + q / (2.0 * n + 3.0) * (1.0 + q / (2.0 * (2.0 * n + 5.0)) * (1.0 + q / (3.0 * (2.0 * n + 7.0))))
    return z**n * series / _special.factorial2(2 * np.asarray(n) + 1)


def _small_slope(n: Any, z: Any, sign: float) -> Any:
    """The derivative of `_small`, term by term."""
    q = 0.5 * sign * z * z
    first = n * z ** np.maximum(n - 1, 0)
    second = (n + 2.0) * z ** (n + 1) * 0.5 * sign / (2.0 * n + 3.0)
    third = (n + 4.0) * z ** (n + 1) * q * 0.5 * sign / (2.0 * (2.0 * n + 3.0) * (2.0 * n + 5.0))
    scale = 8.0 * (2.0 * n + 3.0) * (2.0 * n + 5.0) * 3.0 * (2.0 * n + 7.0)
    fourth = (n + 6.0) * z ** (n + 1) * q * q * sign * 2.0 / scale
    return (first + second + third + fourth) / _special.factorial2(2 * np.asarray(n) + 1)
