"""Functions that make plain arrays of their arguments: the message names them, and what to use in their place."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.values import TracedValueError

scipy = pytest.importorskip("scipy")
for module in (
    "integrate",
    "interpolate",
    "linalg",
    "ndimage",
    "signal",
    "sparse.linalg",
    "spatial.distance",
    "special",
    "stats",
):
    importlib.import_module(f"scipy.{module}")

X = np.array([0.3, 0.7, 1.2])
NAMESAKES = {
    "numpy.vectorize": lambda x: np.vectorize(lambda t: 2.0 * t)(x),
    "scipy.special.logsumexp": scipy.special.logsumexp,
    "scipy.special.softmax": scipy.special.softmax,
    "scipy.special.log_softmax": scipy.special.log_softmax,
    "scipy.special.multigammaln": lambda x: scipy.special.multigammaln(x + 3.0, 2),
    "scipy.special.spherical_jn": lambda x: scipy.special.spherical_jn(1, x),
    "scipy.special.comb": lambda x: scipy.special.comb(x, 2),
    "scipy.stats.norm.logpdf": scipy.stats.norm.logpdf,
    "scipy.stats.gamma.logpdf": lambda x: scipy.stats.gamma(2.0, scale=x).logpdf(1.0),
    "scipy.stats.multivariate_normal.logpdf": lambda x: scipy.stats.multivariate_normal.logpdf(x, np.zeros(3)),
    "scipy.linalg.cho_factor": lambda x: scipy.linalg.cho_factor(np.diag(x)),
    "scipy.linalg.inv": lambda x: scipy.linalg.inv(np.diag(x)),
    "scipy.linalg.solve_triangular": lambda x: scipy.linalg.solve_triangular(np.eye(3), x),
    "scipy.integrate.trapezoid": scipy.integrate.trapezoid,
    "scipy.integrate.quad": lambda x: scipy.integrate.quad(lambda t: t * x[0], 0.0, 1.0),
    "scipy.sparse.linalg.spsolve": lambda x: scipy.sparse.linalg.spsolve(scipy.sparse.eye(3).tocsc(), x),
    "scipy.signal.fftconvolve": lambda x: scipy.signal.fftconvolve(x, x),
    "scipy.interpolate.CubicSpline": lambda x: scipy.interpolate.CubicSpline(np.arange(3.0), x),
}
WITHOUT = {
    "scipy.ndimage.gaussian_filter": lambda x: scipy.ndimage.gaussian_filter(x, 1.0),
    "scipy.spatial.distance.pdist": lambda x: scipy.spatial.distance.pdist(np.stack([x, 2.0 * x])),
    "scipy.stats.zscore": scipy.stats.zscore,
    "scipy.stats.maxwell.pdf": scipy.stats.maxwell.pdf,
}


@pytest.mark.parametrize("name", NAMESAKES)
def test_what_has_a_namesake(name):
    named = rf"(?s){name} .*Use tapegrad\.{name} in its place|Use tapegrad\.{name} in place of {name}"
    with pytest.raises(TracedValueError, match=named):
        tg.grad(NAMESAKES[name])(X)


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_none(name):
    with pytest.raises(TracedValueError, match=rf"{name} makes plain arrays .* rule with tapegrad\.primitive"):
        tg.grad(WITHOUT[name])(X)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("name", ["brentq", "bisect", "fsolve"])
@pytest.mark.parametrize("transform", [tg.grad, tg.elementwise_grad])
def test_errors_that_compiled_code_drops(name, transform, capfd):
    start = (np.ones(1),) if name == "fsolve" else (-5.0, 5.0)
    with pytest.raises(TracedValueError, match=rf"tapegrad\.scipy\.optimize\.{name} in"):
        transform(lambda x: getattr(scipy.optimize, name)(lambda t: t**3 + t - x[0], *start))(X)


def test_errors_of_scipys_own_stay():
    def f(x):
        with pytest.raises(TracedValueError):
            float(x[0])
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tg.grad(f)(X)
    with pytest.raises(ValueError, match="different signs"):
        tg.grad(lambda x: x[0] * scipy.optimize.brentq(lambda t: t * t + 1.0, -1.0, 1.0))(X)


def test_what_a_function_without_a_module_meets():
    elementwise = importlib.import_module("scipy.optimize.elementwise")
    cube = eval("lambda x, c: x**3 - c", {})
    with pytest.raises(TracedValueError, match="rule with tapegrad"):
        tg.grad(lambda x: elementwise.find_root(cube, (0.01, 2.0), args=(x,)).x.sum())(X)


def test_arrays_that_the_user_asks_for():
    with pytest.raises(TracedValueError, match=r"^a NumPy function that tapegrad cannot see"):
        tg.grad(lambda x: np.sum(np.array([x[0], x[1]])))(X)


def test_namesakes_have_the_gradient():
    from tapegrad.scipy import special, stats

    np.testing.assert_allclose(tg.grad(special.logsumexp)(X), scipy.special.softmax(X), rtol=1e-14)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(stats.norm.logpdf(x)))(X), -X, rtol=1e-14)
