"""Distributions of `tapegrad.scipy.stats` in their tails, at the ends of their support, of NaN; sums of nothing."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

scipy_stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
import scipy.special  # noqa: E402

from tapegrad.scipy import special, stats  # noqa: E402

SHAPES = {
    "norm": (), "t": (3.5,), "gamma": (2.2,), "beta": (2.0, 1.5), "chi2": (3.0,), "f": (3.0, 5.0), "expon": (),
    "laplace": (), "uniform": (), "lognorm": (0.3,), "cauchy": (), "logistic": (), "gumbel_r": (),
    "weibull_min": (2.0,), "pareto": (2.5,), "halfnorm": (), "invgamma": (2.5,),
}  # fmt: skip
COUNTS = {"poisson": (1.7,), "binom": (4, 0.3), "bernoulli": (0.3,), "geom": (0.3,), "nbinom": (2.5, 0.4)}
METHODS = ("logpdf", "pdf", "cdf", "sf", "logcdf", "logsf", "ppf", "isf")
TAILS = {
    "weibull_min.logsf": [5.0, 40.0, 1e3],
    "cauchy.sf": [1e3, 1e20],
    "cauchy.logcdf": [-1e3, -1e200],
    "cauchy.ppf": [1e-200, 1e-20, 0.3, 0.8],
    "gumbel_r.logcdf": [-10.0, -5.0],
    "gumbel_r.logsf": [3.0, 40.0, 300.0],
    "geom.logsf": [3.0, 800.0],
    "geom.sf": [3.0, 100.0],
    "lognorm.logcdf": [1e-20, 1e-8, 1.0],
    "lognorm.logsf": [1.0, 1e5, 1e20],
    "beta.sf": [0.999999, 0.5],
    "chi2.ppf": [1e-100, 1e-10, 0.4],
    "logistic.logpdf": [-np.inf, -800.0, 0.3],
    "t.ppf": [0.0, 1.0],
    "binom.cdf": [3.0, 4.0, 5.0, 1e9],
    "binom.logsf": [3.0, 5.0],
    "nbinom.cdf": [-1.0, 0.0, 2.5, 7.0],
    "nbinom.logsf": [0.0, 30.0],
}


def values(name, x):
    """What tapegrad's and SciPy's method, say "norm.cdf", find at x."""
    family, method = name.split(".")
    shapes = {**SHAPES, **COUNTS}[family]
    with np.errstate(all="ignore"):
        return (
            getattr(getattr(stats, family), method)(tg.tensor(x), *shapes).numpy(),
            getattr(getattr(scipy_stats, family), method)(x, *shapes),
        )


@pytest.mark.parametrize("name", TAILS)
def test_tails(name):
    found, expected = values(name, np.array(TAILS[name]))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", TAILS)
def test_gradients_in_tails(name):
    family, method = name.split(".")
    x, step = np.array(TAILS[name])[-1:], 1e-6
    if family in COUNTS or not 0.0 < abs(x[0]) < 1e4 or name == "t.ppf":
        return
    slope = tg.elementwise_grad(lambda x: getattr(getattr(stats, family), method)(x, *SHAPES[family]))(x)
    theirs = getattr(getattr(scipy_stats, family), method)
    near = theirs(x * (1.0 + step), *SHAPES[family]) - theirs(x * (1.0 - step), *SHAPES[family])
    np.testing.assert_allclose(slope, near / (2.0 * step * x), rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [*SHAPES, *COUNTS])
def test_what_is_no_number_stays_none(name, method):
    if name in COUNTS:
        if method in ("ppf", "isf"):
            return
        method = method.replace("pdf", "pmf")
    found, expected = values(f"{name}.{method}", np.array([np.nan, 0.5, np.nan]))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


@pytest.mark.parametrize("method", ["ppf", "isf"])
@pytest.mark.parametrize("name", SHAPES)
def test_no_quantile_beyond_one(name, method):
    found, _ = values(f"{name}.{method}", np.array([-0.1, 0.5, 1.1]))
    np.testing.assert_array_equal(np.isnan(found), [True, False, True])


VECTORS, MATRIX = (
    np.array([[0.1, 0.2, 0.4], [1.0, -0.5, 0.3]]),
    np.array([[2.0, 0.3, 0.1], [0.3, 1.5, 0.2], [0.1, 0.2, 1.0]]),
)
OF_SEVERAL = {
    "numbers": lambda s, x: s.multivariate_normal.logpdf(x[0]),
    "numbers of a variance": lambda s, x: s.multivariate_normal.pdf(x[0], cov=2.0),
    "vectors": lambda s, x: s.multivariate_normal.logpdf(x, cov=MATRIX),
    "a covariance": lambda s, x: s.multivariate_normal.logpdf(
        x, np.ones(3), scipy_stats.Covariance.from_diagonal([1.0, 2.0, 3.0])
    ),
    "matrices": lambda s, x: s.wishart.logpdf(x[0, 0] * np.stack([MATRIX, 2.0 * MATRIX], -1), 5, MATRIX),
    "entropy": lambda s, x: s.multivariate_normal(None, MATRIX * x[0, 0]).entropy(),
}


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_distributions_of_several_numbers(name):
    call = OF_SEVERAL[name]
    found, expected = call(stats, tg.tensor(VECTORS)).numpy(), call(scipy_stats, VECTORS)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    tg.check_grads(lambda x: call(stats, x), (VECTORS,))


def test_what_distributions_of_vectors_have_beside_densities():
    a, b = (s.multivariate_normal.rvs(np.zeros(2), np.eye(2), random_state=0) for s in (stats, scipy_stats))
    np.testing.assert_array_equal(a, b)
    assert stats.multivariate_normal(np.zeros(2)).cdf(np.zeros(2)) == pytest.approx(0.25)
    assert stats.dirichlet.mean([1.0, 3.0])[1] == 0.75
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        stats.wishart.nothing  # noqa: B018


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
def test_factors_of_zero_have_a_slope(axis):
    x, b = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0, 0.0], [0.0, 2.0]])
    slope = tg.grad(lambda b: np.sum(special.logsumexp(x, axis, b)))(b)
    np.testing.assert_allclose(slope, np.exp(x) / np.sum(b * np.exp(x), axis=axis, keepdims=True), rtol=1e-12)


def test_sums_of_exponentials_of_what_is_left_out():
    x, b = np.array([np.nan, np.inf, 900.0, 1.0]), np.array([0.0, 0.0, 0.0, 2.0])
    np.testing.assert_allclose(special.logsumexp(tg.tensor(x), b=b).numpy(), 1.0 + np.log(2.0))
    np.testing.assert_array_equal(tg.grad(lambda x: special.logsumexp(x, b=b))(x), [0.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(tg.grad(lambda x: special.logsumexp(x, b=0.0 * b))(b), np.zeros(4))


def test_sums_of_exponentials_have_scipys_dtype_and_branch():
    z, x = np.array([[1.0 + 2.0j, 0.5 + 3.0j], [-2.0j, 4.0 - 3.0j]]), np.array([0.3, 1.0], np.float32)
    for a, b in ((z, None), (x, np.array([1.0, 0.7])), (x, np.array([1, 2]))):
        found, expected = special.logsumexp(tg.tensor(a), axis=-1, b=b), scipy.special.logsumexp(a, axis=-1, b=b)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)
    n = np.array([0.5, -1.5])
    for extend in ("zero", "complex"):
        y = special.factorial(tg.tensor(n), extend=extend).numpy()
        np.testing.assert_allclose(y, scipy.special.gamma(n + 1.0) * (1.0 if extend == "complex" else n > 0.0))


@pytest.mark.parametrize("derivative", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("name", ["spherical_jn", "spherical_yn", "spherical_in"])
def test_spherical_bessel_functions_left_of_zero(name, n, derivative):
    x = np.array([-7.5, -1.2, -0.01, 0.6])
    found = getattr(special, name)(n, tg.tensor(x), derivative).numpy()
    np.testing.assert_allclose(found, getattr(scipy.special, name)(n, x, derivative), rtol=1e-11)
    slope = tg.elementwise_grad(lambda x: getattr(special, name)(n, x))(x)
    np.testing.assert_allclose(slope, getattr(scipy.special, name)(n, x, True), rtol=1e-11)
    assert tg.grad(lambda x: special.spherical_jn(1, x))(0.0) == pytest.approx(1.0 / 3.0)


@pytest.mark.parametrize("function", ["comb", "perm"])
def test_there_are_no_choices_beyond_the_bounds(function):
    N, k = np.array([5.0, 2.5, -0.5, 3.0, 6.5]), np.array([-0.5, 3.0, -1.0, 3.0, 2.2])
    ours = getattr(special, function)
    np.testing.assert_allclose(ours(tg.tensor(N), k).numpy(), getattr(scipy.special, function)(N, k), rtol=1e-12)
    np.testing.assert_array_equal(tg.grad(lambda N: np.sum(ours(N, k)))(N)[:3], 0.0)
