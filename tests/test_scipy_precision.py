"""Functions of `tapegrad.scipy` that keep single precision, as SciPy's do."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

pytest.importorskip("scipy", reason="SciPy is not installed")
import scipy.integrate
import scipy.linalg
import scipy.signal

from tapegrad.scipy import integrate, linalg, signal

SAMPLES = (3.0 * np.sin(np.arange(32.0) ** 2)).reshape(2, 16).astype(np.float32)
MATRIX = (SAMPLES[0, :9].reshape(3, 3) + 9.0 * np.eye(3)).astype(np.float32)
CALLS = {
    "savgol_filter": lambda m, x: m[0].savgol_filter(x, 5, 2),
    "savgol_filter mirror": lambda m, x: m[0].savgol_filter(x, 5, 2, mode="mirror"),
    "hilbert": lambda m, x: m[0].hilbert(x),
    "detrend": lambda m, x: m[0].detrend(x),
    "welch": lambda m, x: m[0].welch(x, nperseg=8, average="median")[1],
    "periodogram": lambda m, x: m[0].periodogram(x, detrend="linear")[1],
    "resample": lambda m, x: m[0].resample(x, 10, axis=1, window="hann"),
    "cumulative_trapezoid": lambda m, x: m[1].cumulative_trapezoid(x, initial=0),
    "solve_sylvester": lambda m, x: m[2].solve_sylvester(MATRIX * x[0, 0], MATRIX, MATRIX),
}


@pytest.mark.parametrize("name", CALLS)
def test_single_precision(name):
    call = CALLS[name]
    found = call((signal, integrate, linalg), tg.tensor(SAMPLES))
    expected = call((scipy.signal, scipy.integrate, scipy.linalg), SAMPLES)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=2e-5)
