"""`scipy.signal` for tensors: convolution, correlation, filters, resampling and spectra.

Filters are differentiable in their coefficients, the signal and the initial state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import lift, ops
from ..primitives.scipy_loader import load as _load
from ..tape.handle import Tensor
from ._plain import in_precision_of, plain, stacked
from ._spectra import detrend, hilbert, periodogram, resample, welch  # noqa: F401

_load()


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
        if not (all(a[d] >= v[d] for d in axes) or all(a[d] <= v[d] for d in axes)):
            raise ValueError("For 'valid' mode, one must be at least as large as the other in every dimension")
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


oaconvolve = fftconvolve


def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: float = 0) -> Any:
    """`scipy.signal.convolve2d`.

    Parameters
    ----------
    in1, in2 : array_like or Tensor
        Of two axes.
    mode : {"full", "same", "valid"}
    boundary : {"fill", "wrap", "symm"}
        What stands outside of the larger of the two.
    fillvalue : float
    """
    a, v = lift(in1), lift(in2)
    y = _convolved(a, v, mode, boundary, fillvalue)
    return _centred(y, a.shape) if mode == "same" else y


def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: float = 0) -> Any:
    """`scipy.signal.correlate2d`; as SciPy's, "same" of an even length begins one later than a convolution does."""
    a, v = lift(in1), lift(in2)
    y = _convolved(a, np.conj(np.flip(v)), mode, boundary, fillvalue)
    if mode != "same":
        return y
    return y[tuple(slice(m // 2, m // 2 + n) for n, m in zip(a.shape, v.shape, strict=True))]


def _convolved(a: Any, v: Any, mode: str, boundary: str, fillvalue: float) -> Any:
    """Two matrices convolved: what fits, or all of it."""
    if a._spec.ndim != 2 or v._spec.ndim != 2:
        raise ValueError("convolve2d inputs must both be 2-D arrays")
    modes = {"fill": "constant", "wrap": "wrap", "circular": "wrap", "symm": "symmetric", "symmetric": "symmetric"}
    if boundary not in modes:
        raise ValueError("Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' (or 'symm').")
    if mode not in ("full", "same", "valid"):
        raise ValueError("Acceptable mode flags are 'valid', 'same', or 'full'.")
    if mode == "valid":
        return convolve(a, v, mode)
    if boundary == "fill" and fillvalue == 0:
        return convolve(a, v, "full")
    margins = [(n - 1, n - 1) for n in v.shape]
    extra: Any = {"constant_values": fillvalue} if boundary == "fill" else {}
    how: Any = modes[boundary]
    return convolve(np.pad(a, margins, how, **extra), v, "valid")


# --- filters ---------------------------------------------------------------------------------------------------------


def _filter_operands(b: Any, a: Any, x: Any, axis: int) -> tuple[Any, Any, Any]:
    """Coefficients over the first of the denominator, and the signal with its axis last, in one dtype."""
    tensors: list[Any] = [np.atleast_1d(lift(stacked(v))) for v in (b, a, x)]
    dtype = np.result_type(*[t._spec.dtype for t in tensors], np.float32)
    b, a, x = [lift(t, dtype) for t in tensors]
    if b.ndim != 1 or a.ndim != 1:
        raise ValueError("lfilter: the coefficients b and a are vectors")
    return b / a[0], a[1:] / a[0], np.moveaxis(x, axis, -1)


def _moving(b: Any, x: Any) -> Any:
    """The sum of b[k] x[n - k], as long as the signal."""
    n = x.shape[-1]
    if b.shape[0] > 64:
        shaped = np.reshape(b, (1,) * (x.ndim - 1) + (-1,))
        return fftconvolve(x, shaped, axes=-1)[..., :n]
    padded = np.concatenate([np.zeros((*x.shape[:-1], b.shape[0] - 1), x._spec.dtype), x], -1)
    total: Any = 0.0
    for k in range(b.shape[0]):
        at = b.shape[0] - 1 - k
        total = total + b[k] * padded[..., at : at + n]
    return total


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """`scipy.signal.lfilter`: a rational filter, in direct form II transposed.

    Parameters
    ----------
    b, a : array_like or Tensor, vectors
    x : array_like or Tensor
    axis : int
    zi : array_like or Tensor, optional
        Initial state, ``max(len(a), len(b)) - 1`` values along the axis.

    Returns
    -------
    y : Tensor
    zf : Tensor
        The final state, where `zi` is given.
    """
    b, a, x = _filter_operands(b, a, x, axis)
    order, n = max(a.shape[0], b.shape[0] - 1), x.shape[-1]
    u = _moving(b, x)
    if zi is not None:
        state = np.moveaxis(lift(zi, x._spec.dtype), axis, -1)
        if state.shape[-1] != order:
            raise ValueError(
                f"Unexpected shape for zi: expected {order} values along the axis, found {state.shape[-1]}"
            )
        lead = np.broadcast_shapes(state.shape[:-1], x.shape[:-1])
        state = np.broadcast_to(state, (*lead, order))
        head = state[..., :n] if order >= n else np.concatenate([state, np.zeros((*lead, n - order))], -1)
        u = u + head
    y = ops.recursion(a, u) if a.shape[0] else u
    if zi is None:
        return np.moveaxis(y, -1, axis)
    parts = []
    for i in range(order):  # what the state still holds for the outputs to come
        rest: Any = state[..., n + i] if n + i < order else 0.0
        for k in range(min(n, order - i)):
            if i + 1 + k < b.shape[0]:
                rest = rest + b[i + 1 + k] * x[..., n - 1 - k]
            if i + k < a.shape[0]:
                rest = rest - a[i + k] * y[..., n - 1 - k]
        parts.append(rest + 0.0 * y[..., 0])
    final = np.stack(parts, -1) if parts else state
    return np.moveaxis(y, -1, axis), np.moveaxis(final, -1, axis)


def lfilter_zi(b: Any, a: Any) -> Any:
    """`scipy.signal.lfilter_zi`: the state in which a constant signal of ones is filtered to a constant."""
    b, a, _ = _filter_operands(b, a, np.zeros(1), -1)
    n = max(b.shape[0] - 1, a.shape[0])
    b = np.concatenate([b, np.zeros(n + 1 - b.shape[0])])
    a = np.concatenate([a, np.zeros(n - a.shape[0])])
    shift = np.eye(n) - np.eye(n, k=1)
    first = np.zeros((n, n))
    first[:, 0] = 1.0
    return np.linalg.solve(shift + first * a[:, None], b[1:] - a * b[0])


def filtfilt(
    b: Any, a: Any, x: Any, axis: int = -1, padtype: Any = "odd", padlen: int | None = None, **options: Any
) -> Any:
    """`scipy.signal.filtfilt`: a filter forwards and backwards, by padding."""
    if options.get("method", "pad") != "pad":
        raise NotImplementedError("filtfilt: of the methods, 'pad' is supported for tensors")
    z = np.moveaxis(lift(x), axis, -1)
    length = 3 * max(np.size(plain(stacked(b))), np.size(plain(stacked(a)))) if padlen is None else padlen
    length = 0 if padtype is None else length
    if z.shape[-1] <= length:
        raise ValueError(f"The length of the input vector x must be greater than padlen, which is {length}.")
    z = _extended(z, padtype, length)
    zi = lfilter_zi(b, a)
    y, _ = lfilter(b, a, z, -1, zi * z[..., :1])
    y, _ = lfilter(b, a, np.flip(y, -1), -1, zi * y[..., -1:])
    y = np.flip(y, -1)
    return np.moveaxis(y[..., length : y.shape[-1] - length], -1, axis)


def _extended(z: Any, padtype: Any, length: int) -> Any:
    """A signal, longer at both ends."""
    if padtype is None or length == 0:
        return z
    left, right = np.flip(z[..., 1 : length + 1], -1), np.flip(z[..., -length - 1 : -1], -1)
    if padtype == "odd":
        left, right = 2.0 * z[..., :1] - left, 2.0 * z[..., -1:] - right
    elif padtype == "constant":
        left, right = z[..., :1] + 0.0 * left, z[..., -1:] + 0.0 * right
    elif padtype != "even":
        raise ValueError(
            f"Unknown value '{padtype}' given to padtype. padtype must be 'even', 'odd', 'constant', or None."
        )
    return np.concatenate([left, z, right], -1)


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """`scipy.signal.sosfilt`: a cascade of filters of the second order."""
    sos, states = lift(sos), []
    for k in range(sos.shape[0]):
        b, a = sos[k, :3], sos[k, 3:]
        if zi is None:
            x = lfilter(b, a, x, axis)
        else:
            x, last = lfilter(b, a, x, axis, zi[k])
            states.append(last)
    return x if zi is None else (x, np.stack(states))


def freqz(
    b: Any,
    a: Any = 1,
    worN: Any = 512,
    whole: bool = False,
    plot: Any = None,
    fs: float = 2.0 * np.pi,
    include_nyquist: bool = False,
) -> tuple[Any, Any]:
    """`scipy.signal.freqz`: frequencies, and the response of a filter there."""
    last, end = fs if whole else 0.5 * fs, include_nyquist and not whole
    w = worN if np.ndim(worN) else np.linspace(0.0, last, 512 if worN is None else int(worN), endpoint=end)
    turns = np.exp(w * (-2j * np.pi / fs))

    def at(c: Any) -> Any:
        c = np.atleast_1d(lift(stacked(c)))
        return np.polyval(np.flip(c, 0) * (1.0 + 0j), turns)

    h = at(b) / at(a)
    if plot is not None:
        plot(w, plain(ops.detach(h)))
    return w, h


def savgol_filter(
    x: Any,
    window_length: int,
    polyorder: int,
    deriv: int = 0,
    delta: float = 1.0,
    axis: int = -1,
    mode: str = "interp",
    cval: float = 0.0,
) -> Any:
    """`scipy.signal.savgol_filter`: the polynomials of least squares through the neighbours of each sample."""
    import scipy.signal

    z = np.moveaxis(lift(x), axis, -1)
    half, even = window_length // 2, window_length % 2 == 0
    weights = scipy.signal.savgol_coeffs(window_length, polyorder, deriv, delta)
    if mode == "interp":
        if window_length > z.shape[-1]:
            raise ValueError("If mode is 'interp', window_length must be less than or equal to the size of x.")
        ends = scipy.signal.savgol_filter(np.eye(window_length), window_length, polyorder, deriv, delta, 0)
        inner = _windows(z, weights)[..., int(even) :]
        first = z[..., :window_length] @ in_precision_of(z, ends[:half].T)
        last = z[..., z.shape[-1] - window_length :] @ in_precision_of(z, ends[window_length - half :].T)
        y = np.concatenate([first, inner, last], -1)
    else:
        modes = {"mirror": "reflect", "constant": "constant", "nearest": "edge", "wrap": "wrap"}
        if mode not in modes:
            raise ValueError("mode must be 'mirror', 'constant', 'nearest' 'wrap' or 'interp'.")
        extra: Any = {"constant_values": cval} if mode == "constant" else {}
        how: Any = modes[mode]
        margins = [(0, 0)] * (z.ndim - 1) + [(half - even, half)]
        y = _windows(np.pad(z, margins, how, **extra), weights)
    return np.moveaxis(y, -1, axis)


def _windows(z: Any, weights: np.ndarray) -> Any:
    """The valid part of a convolution along the last axis."""
    windows = np.lib.stride_tricks.sliding_window_view(z, weights.size, axis=-1)
    return windows @ in_precision_of(z, weights[::-1])


def upfirdn(h: Any, x: Any, up: int = 1, down: int = 1, axis: int = -1) -> Any:
    """`scipy.signal.upfirdn`: upsample, filter, downsample; with zeros outside of the signal."""
    h, z = lift(h), np.moveaxis(lift(x), axis, -1)
    n = z.shape[-1]
    gaps = [np.zeros(z.shape, z._spec.dtype)] * (up - 1)
    spread = np.reshape(np.stack([z, *gaps], -1), (*z.shape[:-1], n * up))[..., : (n - 1) * up + 1]
    whole = np.concatenate([spread, np.zeros((*z.shape[:-1], h.shape[0] - 1))], -1)
    return np.moveaxis(_moving(h, whole)[..., ::down], -1, axis)


def deconvolve(signal: Any, divisor: Any) -> tuple[Any, Any]:
    """`scipy.signal.deconvolve`: quotient and remainder of a polynomial division."""
    num, den = np.atleast_1d(lift(signal)), np.atleast_1d(lift(divisor))
    n, m = num.shape[0], den.shape[0]
    if m > n:
        return lift(np.zeros(0)), num
    impulse = np.zeros(n - m + 1)
    impulse[0] = 1.0
    quotient = lfilter(num, den, impulse)
    return quotient, num - convolve(den, quotient)
