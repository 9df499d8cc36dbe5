"""Spectra and resampling of `scipy.signal` for tensors, by Fourier transforms; trends, which are taken off before."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..primitives.core import lift
from ._plain import in_precision_of, plain

__all__ = ["detrend", "hilbert", "periodogram", "resample", "welch"]


def detrend(data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: bool = False) -> Any:
    """`scipy.signal.detrend`: what is left of a mean, or of a line between one break point and the next."""
    if type not in ("linear", "l", "constant", "c"):
        raise ValueError("Trend type must be 'linear' or 'constant'.")
    x = np.moveaxis(lift(data), axis, -1)
    if type in ("constant", "c"):
        return np.moveaxis(x - np.mean(x, -1, keepdims=True), -1, axis)
    marks = np.unique([0, *np.atleast_1d(bp), x.shape[-1]])
    if marks[-1] > x.shape[-1]:
        raise ValueError("Breakpoints must be less than length of data along given axis.")
    parts = [_without_line(x[..., start:stop]) for start, stop in pairwise(marks)]
    return np.moveaxis(np.concatenate(parts, -1), -1, axis)


def _without_line(x: Any) -> Any:
    n = x.shape[-1]
    basis = np.stack([np.ones(n), np.arange(1, n + 1) / n], 1)
    return x - x @ in_precision_of(x, (basis @ np.linalg.pinv(basis)).T)


def hilbert(x: Any, N: int | None = None, axis: int = -1) -> Any:
    """`scipy.signal.hilbert`: the analytic signal."""
    z = np.moveaxis(lift(x), axis, -1)
    n = z.shape[-1] if N is None else N
    half = np.zeros(n)
    half[0] = 1.0
    half[1 : (n + 1) // 2] = 2.0
    if n % 2 == 0:
        half[n // 2] = 1.0
    return np.moveaxis(np.fft.ifft(np.fft.fft(z, n) * in_precision_of(z, half)), -1, axis)


def resample(x: Any, num: int, t: Any = None, axis: int = 0, window: Any = None, domain: str = "time") -> Any:
    """`scipy.signal.resample`, by Fourier transforms; with `t`, places of the samples, those of the new ones, too."""
    import scipy.signal

    if domain != "time":
        raise NotImplementedError("resample: signals in time only; take np.fft.ifft of a spectrum first")
    z = np.moveaxis(lift(x), axis, -1)
    n, real = z.shape[-1], z._spec.dtype.kind != "c"
    spectrum = np.fft.rfft(z) if real else np.fft.fft(z)
    if window is not None:
        if callable(window):
            taper = window(np.fft.fftfreq(n))
        elif isinstance(window, (str, tuple)):
            taper = np.fft.fftshift(scipy.signal.get_window(window, n))
        else:
            taper = plain(lift(window))
        folded = 0.5 * (taper + np.roll(taper[::-1], 1))[: n // 2 + 1] if real else taper
        spectrum = spectrum * in_precision_of(z, folded)
    y = (_resampled_half if real else _resampled)(spectrum, n, num)
    y = np.moveaxis(y * (num / n), -1, axis)
    return y if t is None else (y, np.arange(num) * (t[1] - t[0]) * n / num + t[0])


def _resampled_half(spectrum: Any, n: int, num: int) -> Any:
    """`num` real samples from half a spectrum of n."""
    both = min(n, num)
    spectrum = spectrum[..., : both // 2 + 1]
    if both % 2 == 0 and num != n:  # the highest frequency stands for two
        weights = np.ones(both // 2 + 1)
        weights[-1] = 2.0 if num < n else 0.5
        spectrum = spectrum * in_precision_of(spectrum, weights)
    return np.fft.irfft(spectrum, num)


def _resampled(spectrum: Any, n: int, num: int) -> Any:
    """`num` complex samples from a spectrum of n."""
    both = min(n, num)
    low, high = spectrum[..., : both // 2 + 1], spectrum[..., n - (both - 1) // 2 :]
    if both % 2 == 0 and num < n:  # two frequencies become one
        last = spectrum[..., n - both // 2 : n - both // 2 + 1]
        low = np.concatenate([low[..., :-1], low[..., -1:] + last], -1)
    elif both % 2 == 0 and num > n:  # one becomes two
        last = 0.5 * low[..., -1:]
        low, high = np.concatenate([low[..., :-1], last], -1), np.concatenate([last, high[..., : (both - 1) // 2]], -1)
    else:
        high = high[..., : (both - 1) // 2]
    between = np.zeros((*low.shape[:-1], num - low.shape[-1] - high.shape[-1]), spectrum._spec.dtype)
    return np.fft.ifft(np.concatenate([low, between, high], -1))


def welch(
    x: Any,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """`scipy.signal.welch`: frequencies, and the mean (or median) of the segments' spectral densities."""
    import scipy.signal

    z = np.moveaxis(lift(x), axis, -1)
    if isinstance(window, (str, tuple)):
        n = min(256 if nperseg is None else nperseg, z.shape[-1])
        taper = scipy.signal.get_window(window, n)
    else:
        taper = np.asarray(window, float)
        n = taper.size
    bins = n if nfft is None else nfft
    step = n - (n // 2 if noverlap is None else noverlap)
    parts: Any = np.lib.stride_tricks.sliding_window_view(z, n, axis=-1)[..., ::step, :]
    if callable(detrend):
        parts = detrend(parts)
    elif detrend:
        parts = _detrend(parts, -1, detrend)
    scale = 1.0 / (fs * np.sum(taper**2)) if scaling == "density" else 1.0 / np.sum(taper) ** 2
    one_sided = return_onesided and z._spec.dtype.kind != "c"
    spectrum = (np.fft.rfft if one_sided else np.fft.fft)(parts * in_precision_of(z, taper), bins)
    power = (np.real(spectrum) ** 2 + np.imag(spectrum) ** 2) * float(scale)
    if one_sided:
        twice = np.full(bins // 2 + 1, 2.0)
        twice[0] = 1.0
        if bins % 2 == 0:
            twice[-1] = 1.0
        power = power * in_precision_of(z, twice)
    if average == "median":
        odd = 2.0 * np.arange(1, (power.shape[-2] - 1) // 2 + 1)
        power = np.median(power, -2) / float(1.0 + np.sum(1.0 / (odd + 1.0) - 1.0 / odd))
    elif average == "mean":
        power = np.mean(power, -2)
    else:
        raise ValueError(f"average must be 'median' or 'mean', got {average}")
    frequencies = (np.fft.rfftfreq if one_sided else np.fft.fftfreq)(bins, 1.0 / fs)
    return frequencies, np.moveaxis(power, -1, axis)


def periodogram(
    x: Any,
    fs: float = 1.0,
    window: Any = "boxcar",
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
) -> tuple[Any, Any]:
    """`scipy.signal.periodogram`."""
    z = np.moveaxis(lift(x), axis, -1)[..., :nfft]
    frequencies, power = welch(z, fs, window, z.shape[-1], 0, nfft, detrend, return_onesided, scaling)
    return frequencies, np.moveaxis(power, -1, axis)


_detrend = detrend
