"""`scipy.signal` for tensors: convolution and correlation in any number of dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import lift
from ..tape.handle import Tensor


def __getattr__(name: str) -> Any:
    import scipy.signal

    return getattr(scipy.signal, name)


def _centred(y: Tensor, shape: tuple[int, ...]) -> Tensor:
    start = [(n - m) // 2 for n, m in zip(y._spec.shape, shape, strict=True)]
    return y[tuple(slice(s, s + m) for s, m in zip(start, shape, strict=True))]


def _cut(y: Any, a: tuple[int, ...], v: tuple[int, ...], mode: str, axes: tuple[int, ...]) -> Any:
    """The part of a full convolution that a mode stands for."""
    if mode == "full":
        return y
    if mode == "same":
        return _centred(y, a)
    if mode == "valid":
        shape = tuple(abs(n - m) + 1 if d in axes else k for d, (n, m, k) in enumerate(zip(a, v, y.shape, strict=True)))
        return _centred(y, shape)
    raise ValueError("acceptable mode flags are 'valid', 'same', or 'full'")


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Tensor:
    """`scipy.signal.fftconvolve`, by Fourier transforms.

    Parameters
    ----------
    in1, in2 : array_like or Tensor
        With as many axes.
    mode : {"full", "same", "valid"}
    axes : int or tuple of int, optional

    Returns
    -------
    Tensor
    """
    y: Any
    a, v = lift(in1), lift(in2)
    ndim = a._spec.ndim
    if ndim != v._spec.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    axes = tuple(range(ndim)) if axes is None else np.lib.array_utils.normalize_axis_tuple(axes, ndim)
    if ndim == 0:
        return a * v
    sizes = [a.shape[d] + v.shape[d] - 1 for d in axes]
    if "c" in (a.dtype.kind, v.dtype.kind):
        y = np.fft.ifftn(np.fft.fftn(a, sizes, axes) * np.fft.fftn(v, sizes, axes), sizes, axes)
    else:
        y = np.fft.irfftn(np.fft.rfftn(a, sizes, axes) * np.fft.rfftn(v, sizes, axes), sizes, axes)
    return _cut(y, a.shape, v.shape, mode, axes)


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """`scipy.signal.convolve`; vectors directly, other arrays by Fourier transforms."""
    a, v = lift(in1), lift(in2)
    if a._spec.ndim != 1 or v._spec.ndim != 1 or method == "fft":
        y = fftconvolve(a, v, mode)
        whole = a.dtype.kind in "biu" and v.dtype.kind in "biu"
        return np.round(y).astype(np.result_type(a.dtype, v.dtype)) if whole else y
    return _cut(np.convolve(a, v), a.shape, v.shape, mode, (0,))


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Tensor:
    """`scipy.signal.correlate`."""
    return convolve(in1, np.conj(np.flip(lift(in2))), mode, method)


def detrend(data: Any, axis: int = -1, type: str = "linear") -> Tensor:
    """`scipy.signal.detrend`, without break points."""
    x = np.moveaxis(lift(data), axis, -1)
    if type == "constant":
        return np.moveaxis(x - np.mean(x, -1, keepdims=True), -1, axis)
    n = x.shape[-1]
    basis = np.stack([np.ones(n), np.arange(1, n + 1) / n], 1)
    projection = basis @ np.linalg.pinv(basis)
    return np.moveaxis(x - x @ projection.T, -1, axis)
