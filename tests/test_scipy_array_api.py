"""SciPy functions that trace by themselves; the setting is read when SciPy is imported, hence own processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("scipy", minversion="1.17")

PROGRAM = """
import numpy as np, scipy.fft, scipy.integrate, scipy.optimize, scipy.signal, scipy.special, scipy.stats
import tapegrad as tg

x, y = np.array([0.3, 0.7, 1.2, 2.5, 0.9]), np.array([1.0, 0.2, 0.5, 2.0, -1.0])
functions = {
    "logsumexp": scipy.special.logsumexp,
    "softmax": lambda v: scipy.special.softmax(v) @ y,
    "skew": scipy.stats.skew,
    "gmean": scipy.stats.gmean,
    "zscore": lambda v: scipy.stats.zscore(v) @ y,
    "entropy": scipy.stats.entropy,
    "circmean": scipy.stats.circmean,
    "fft": lambda v: np.sum(np.abs(scipy.fft.fft(v))),
    "hilbert": lambda v: np.sum(np.imag(scipy.signal.hilbert(v)) ** 2),
    "trapezoid": scipy.integrate.trapezoid,
    "cumulative_simpson": lambda v: np.sum(scipy.integrate.cumulative_simpson(v) ** 2),
    "rosen": scipy.optimize.rosen,
}
for name, f in functions.items():
    found = tg.grad(lambda v: np.reshape(f(v), ()))(x)
    h = 1e-6
    expected = [(f(x + h * e) - f(x - h * e)) / (2.0 * h) for e in np.eye(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8, err_msg=name)
print("all right:", len(functions))
"""


def test_functions_trace_by_themselves():
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "all right: 12" in done.stdout


def test_scipy_is_not_imported_in_vain():
    program = "import sys, tapegrad; assert not any(m.partition('.')[0] == 'scipy' for m in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
