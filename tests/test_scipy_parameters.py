"""Derivatives with respect to the parameters of distribution functions, against references to many digits."""

from __future__ import annotations

import numpy as np
import pytest

special = pytest.importorskip("scipy.special")

import tapegrad as tg  # noqa: E402

mpmath = pytest.importorskip("mpmath")

RATIOS = (1e-6, 0.01, 0.3, 0.9, 1.0, 1.1, 2.0, 5.0)


def derivative(function, at):
    """By differences in 40 digits."""
    with mpmath.workdps(40):
        return float(mpmath.diff(function, at, h=mpmath.mpf(at) * mpmath.mpf(10) ** -12))


@pytest.mark.parametrize("a", [1e-3, 0.05, 0.5, 1.0, 2.0, 10.0, 300.0, 3000.0])
def test_gammainc(a):
    x = a * np.array([r for r in RATIOS if a < 100 or 0.5 < r < 1.5])
    by_a = tg.grad(lambda a: np.sum(special.gammainc(a, x) * (pick == 1.0)))
    for k, value in enumerate(x):
        pick = np.eye(len(x))[k]
        found = by_a(a)
        expected = derivative(lambda a, v=value: mpmath.gammainc(a, 0, v, regularized=True), a)
        np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=f"gammainc({a}, {value})")


@pytest.mark.parametrize("a", [0.01, 0.5, 1.0, 3.0, 50.0, 1000.0])
@pytest.mark.parametrize("b", [0.02, 0.7, 2.0, 40.0, 1000.0])
def test_betainc(a, b):
    mean = a / (a + b)
    for x in (0.5 * mean, 0.95 * mean, mean, mean + 0.05 * (1.0 - mean), mean + 0.5 * (1.0 - mean)):
        found = tg.grad(lambda a, b, x=x: special.betainc(a, b, x), (0, 1))(a, b)
        by_a = derivative(lambda a, x=x: mpmath.betainc(a, b, 0, x, regularized=True), a)
        by_b = derivative(lambda b, x=x: mpmath.betainc(a, b, 0, x, regularized=True), b)
        kept = [k for k, v in enumerate((by_a, by_b)) if abs(v) > 1e-100]  # mpmath's differences end there
        np.testing.assert_allclose(
            np.array(found)[kept], np.array([by_a, by_b])[kept], rtol=1e-9, err_msg=f"{a} {b} {x}"
        )


@pytest.mark.parametrize("df", [0.02, 0.3, 1.0, 2.5, 10.0, 31.0, 200.0, 1e5])
@pytest.mark.parametrize("t", [-6.0, -0.7, 1e-10, 0.3, 3.0, 80.0])
def test_stdtr(df, t):
    def exact(df):
        tail = mpmath.betainc(df / 2, mpmath.mpf(1) / 2, 0, df / (df + mpmath.mpf(t) ** 2), regularized=True) / 2
        return 1 - tail if t > 0 else tail

    found = tg.grad(lambda df: special.stdtr(df, t))(df)
    np.testing.assert_allclose(found, derivative(exact, df), rtol=1e-8, atol=1e-18)


def test_stdtr_at_its_ends():
    for t, expected in ((0.0, 0.0), (np.inf, 0.0), (-np.inf, 0.0), (1e200, 0.0)):
        assert tg.grad(special.stdtr)(2.5, t) == expected
    crossed = tg.grad(lambda t: tg.grad(special.stdtr)(2.5, t))(0.0)
    np.testing.assert_allclose(crossed, tg.grad(lambda df: tg.grad(special.stdtr, 1)(df, 0.0))(2.5), rtol=1e-13)


FLAT = {
    "pdtrik": (0.05, 1.0),
    "bdtrik": (0.05, 9.0, 0.2),
    "nbdtrik": (0.2, 3.4, 0.77),
    "stdtridf": (0.79, 0.73),
    "tklmbda": (-0.8, 2.6),
}


@pytest.mark.parametrize("name", FLAT)
def test_what_is_cut_off_is_flat(name):
    function = getattr(special, name)
    value, slopes = tg.value_and_grad(function, tuple(range(len(FLAT[name]))))(*FLAT[name])
    assert value in (0.0, 1e10) and not np.any(slopes)


def test_at_the_ends_of_the_range():
    by_a = tg.grad(lambda a: np.sum(special.gammainc(a, np.array([0.0, np.inf]))))
    assert by_a(2.0) == 0.0
    assert tg.grad(lambda a, b: np.sum(special.betainc(a, b, np.array([0.0, 1.0]))), (0, 1))(2.0, 3.0) == (0.0, 0.0)
    assert np.isnan(tg.grad(lambda a: special.gammainc(a, np.nan))(2.0))


def test_an_inverse_that_scipy_finds_roughly():
    """SciPy's `ncfdtrinc` stops at 5 digits: its slope against the root of `ncfdtr`."""
    from scipy.optimize import brentq

    def root(p, x):
        return brentq(lambda nc: special.ncfdtr(2.0, 3.0, nc, x) - p, 1e-3, 50.0, xtol=1e-14)

    found = tg.grad(lambda p, x: special.ncfdtrinc(2.0, 3.0, p, x), (0, 1))(0.35, 2.0)
    h = 1e-4
    by_p = (root(0.35 + h, 2.0) - root(0.35 - h, 2.0)) / (2.0 * h)
    by_x = (root(0.35, 2.0 + h) - root(0.35, 2.0 - h)) / (2.0 * h)
    np.testing.assert_allclose(found, (by_p, by_x), rtol=1e-4)


def test_single_precision():
    x = np.array([0.3, 1.5, 4.0], np.float32)
    found = tg.grad(lambda a: np.sum(special.gammainc(a, x)))(np.float32(1.5))
    expected = tg.grad(lambda a: np.sum(special.gammainc(a, x.astype(float))))(1.5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_fits_by_the_shape():
    """What users want it for: the maximum of a truncated likelihood, compiled and in batches too."""
    x = np.array([0.4, 1.1, 2.3])

    def loss(a):
        return np.sum(np.log(special.gammainc(a, x)) ** 2)

    h = 1e-5
    expected = (loss(2.0 + h) - loss(2.0 - h)) / (2.0 * h)
    np.testing.assert_allclose(tg.grad(loss)(2.0), expected, rtol=1e-8)
    np.testing.assert_allclose(tg.compile(tg.grad(loss))(2.0), expected, rtol=1e-8)
    np.testing.assert_allclose(tg.vmap(tg.grad(loss))(np.array([2.0, 2.0])), [expected] * 2, rtol=1e-8)
    tg.check_grads(loss, (2.0,), order=2)
