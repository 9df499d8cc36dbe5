"""tapegrad.scipy against SciPy: values, and gradients against differences."""

from __future__ import annotations

import copy

import numpy as np
import pytest

pytest.importorskip("scipy")
import scipy.linalg
import scipy.signal
import scipy.special
import scipy.stats

import tapegrad as tg
from tapegrad.primitives.core import NoRuleError
from tapegrad.scipy import linalg, signal, special, stats

RNG = np.random.default_rng(11)
A = RNG.normal(size=(3, 3)) + 3.0 * np.eye(3)
SPD = A @ A.T
B = RNG.normal(size=(3, 2))
V = RNG.normal(size=4)
W = RNG.normal(size=3)
P = RNG.uniform(0.2, 3.0, size=4)
IMAGE, KERNEL = RNG.normal(size=(5, 6)), RNG.normal(size=(3, 2))

LONG = RNG.normal(size=(2, 12))

LINALG = {
    "solve_triangular": ([A, B], {"lower": True}),
    "solve_triangular trans": ([A, W], {"trans": 1, "unit_diagonal": True}),
    "cholesky": ([SPD], {"lower": True}),
    "expm": ([0.3 * A], {}),
    "logm": ([SPD], {}),
    "sqrtm": ([SPD], {}),
    "lu": ([A], {}),
    "lu permuted": ([A], {"permute_l": True}),
    "solve_sylvester": ([A, SPD, RNG.normal(size=(3, 3))], {}),
    "solve_continuous_lyapunov": ([A, SPD], {}),
    "solve_discrete_lyapunov": ([0.1 * A, SPD], {}),
    "toeplitz": ([V, W], {}),
    "toeplitz symmetric": ([V], {}),
    "circulant": ([V], {}),
    "hankel": ([W, V], {}),
    "hankel zeros": ([W], {}),
    "block_diag": ([A, B, W], {}),
    "khatri_rao": ([A, SPD], {}),
    "expm_frechet": ([0.3 * A, SPD], {}),
    "solve": ([A, B], {}),
    "inv": ([A], {}),
    "det": ([A], {}),
    "pinv": ([B], {}),
    "norm": ([A], {"ord": "nuc"}),
    "svdvals": ([A], {}),
}
SIGNAL = {
    "convolve": ([V, W], {}),
    "convolve images": ([IMAGE, KERNEL], {"mode": "same"}),
    "convolve valid": ([V, W], {"mode": "valid"}),
    "convolve same": ([V, W], {"mode": "same"}),
    "fftconvolve": ([IMAGE, KERNEL], {}),
    "fftconvolve axes": ([IMAGE, IMAGE[:, :2]], {"mode": "valid", "axes": 1}),
    "correlate": ([IMAGE, KERNEL], {"mode": "valid"}),
    "detrend": ([IMAGE], {"axis": 0}),
    "detrend constant": ([V], {"type": "constant"}),
    "oaconvolve": ([IMAGE, KERNEL], {"mode": "same"}),
    "convolve2d": ([IMAGE, KERNEL], {"mode": "same"}),
    "convolve2d wrap": ([IMAGE, KERNEL], {"mode": "same", "boundary": "wrap"}),
    "convolve2d symm": ([IMAGE, KERNEL], {"boundary": "symm"}),
    "correlate2d fill": ([IMAGE, KERNEL], {"boundary": "fill", "fillvalue": 2.0}),
    "lfilter": ([W, np.array([2.0, 0.5, -0.3]), IMAGE], {}),
    "lfilter first axis": ([np.array([0.3, 0.2]), np.array([1.0, 0.5, -0.3, 0.1]), IMAGE], {"axis": 0}),
    "lfilter moving": ([W, np.array([2.0]), IMAGE], {}),
    "lfilter long": ([RNG.normal(size=70), np.array([2.0, 0.3]), IMAGE], {}),
    "lfilter state": ([W, np.array([2.0, 0.5, -0.3]), IMAGE], {"zi": RNG.normal(size=(5, 2))}),
    "lfilter short": ([RNG.normal(size=6), np.array([2.0, 0.5]), V[:3]], {"zi": RNG.normal(size=5)}),
    "lfilter_zi": ([np.array([0.3, 0.2]), np.array([1.0, 0.5, -0.3])], {}),
    "filtfilt": ([np.array([0.3, 0.2]), np.array([1.0, -0.5]), LONG], {}),
    "filtfilt even": ([np.array([0.3, 0.2]), np.array([1.0, -0.5]), LONG], {"padtype": "even", "padlen": 3}),
    "freqz": ([np.array([0.3, 0.2]), np.array([1.0, 0.5, -0.3])], {"worN": 5}),
    "savgol_filter": ([LONG, 5, 2], {}),
    "savgol_filter wrap": ([LONG, 5, 3], {"mode": "wrap", "deriv": 1}),
    "savgol_filter mirror": ([LONG, 5, 3], {"mode": "mirror"}),
    "hilbert": ([LONG], {}),
    "resample": ([LONG], {"num": 17, "axis": 1}),
    "resample fewer": ([LONG], {"num": 6, "axis": 1}),
    "resample odd": ([LONG], {"num": 7, "axis": 1}),
    "upfirdn": ([W, LONG], {"up": 3, "down": 2}),
    "deconvolve": ([LONG[0], W], {}),
    "welch": ([LONG], {"nperseg": 6, "fs": 2.0}),
    "welch odd": ([LONG], {"nperseg": 5, "scaling": "spectrum", "detrend": False}),
    "periodogram": ([LONG], {}),
    "periodogram longer": ([LONG], {"nfft": 32, "return_onesided": False, "detrend": "linear"}),
    "periodogram shorter": ([LONG], {"nfft": 7}),
    "welch median": ([LONG], {"nperseg": 5, "average": "median", "nfft": 8}),
    "freqz nyquist": ([W, np.array([1.0, 0.5])], {"worN": 5, "include_nyquist": True}),
    "resample window": ([LONG], {"num": 7, "axis": 1, "window": "hann"}),
    "detrend parts": ([LONG], {"bp": [4, 9]}),
    "savgol_filter of an even length": ([LONG, 4, 2], {}),
    "savgol_filter even nearest": ([LONG, 6, 2], {"mode": "nearest", "deriv": 1}),
    "correlate2d of even lengths": ([IMAGE, KERNEL[:, :2]], {"mode": "same"}),
    "correlate2d even wrap": ([KERNEL, IMAGE[:4, :4]], {"mode": "same", "boundary": "wrap"}),
}
SPECIAL = {
    "logsumexp": ([IMAGE], {"axis": 1}),
    "logsumexp all": ([IMAGE], {"keepdims": True}),
    "logsumexp factors": ([V, P], {"axis": 0}),
    "softmax": ([IMAGE], {"axis": 0}),
    "log_softmax": ([IMAGE], {"axis": 1}),
    "multigammaln": ([np.array(3.5)], {"d": 3}),
    "zeta": ([], {}),
    "sinc": ([V], {}),
    "diric": ([V], {"n": 5}),
    "factorial": ([P], {}),
    "comb": ([P + 3.0, P], {}),
    "perm": ([P + 3.0, P], {}),
    "lambertw": ([], {}),
    "xlogy": ([P, P + 1.0], {}),
    "expit": ([V], {}),
}


def leaves(y):
    return [part for v in y for part in leaves(v)] if isinstance(y, (list, tuple)) else [y]


def check(function, theirs, operands, kwargs, tolerance=1e-6):
    """Values are SciPy's, gradients those of differences."""
    expected = leaves(theirs(*operands, **kwargs))
    fixed = [k for k, x in enumerate(operands) if isinstance(x, int)]
    found = leaves(function(*[x if k in fixed else tg.tensor(x) for k, x in enumerate(operands)], **kwargs))
    assert len(found) == len(expected)
    for y, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(y), want, rtol=1e-10, atol=1e-10)
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=np.shape(y)) for y in expected]
    numbers = tuple(k for k in range(len(operands)) if k not in fixed)

    def weighted(results):
        return sum(np.sum(w * (np.real(y) + np.imag(y))) for w, y in zip(weights, leaves(results), strict=True))

    def total(*xs):
        return weighted(function(*xs, **kwargs))

    bars = tg.grad(total, argnums=numbers)(*operands)
    directions = [rng.normal(size=operands[k].shape) for k in numbers]

    def at(t):
        moved = list(operands)
        for k, d in zip(numbers, directions, strict=True):
            moved[k] = operands[k] + t * d
        return weighted(theirs(*moved, **kwargs))

    step = 1e-4
    slope = (8.0 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12.0 * step)
    mine = sum(np.sum(b * d) for b, d in zip(bars, directions, strict=True))
    np.testing.assert_allclose(mine, slope, rtol=tolerance, atol=tolerance)


def symmetric(name, function):
    """Functions of symmetric matrices, as functions of any."""
    return (lambda a, **kw: function(a + a.T, **kw)) if name == "cholesky" else function


@pytest.mark.parametrize("name", LINALG)
def test_linalg(name):
    operands, kwargs = LINALG[name]
    short = name.partition(" ")[0]
    ours, theirs = symmetric(short, getattr(linalg, short)), symmetric(short, getattr(scipy.linalg, short))
    check(ours, theirs, operands, kwargs)


def test_factors_for_solving():
    for lower in (False, True):
        check(
            lambda a, b, lower=lower: linalg.cho_solve(linalg.cho_factor(a + a.T, lower), b),
            lambda a, b: scipy.linalg.solve(a + a.T, b),
            [SPD, B],
            {},
        )
    for trans in (0, 1):
        check(
            lambda a, b, trans=trans: linalg.lu_solve(linalg.lu_factor(a), b, trans),
            lambda a, b, trans=trans: scipy.linalg.solve(a.T if trans else a, b),
            [A, B],
            {},
        )
    banded = np.array([[0.0, 1.0, 2.0], [4.0, 5.0, 6.0], [1.5, 0.5, 0.0]])
    check(
        lambda ab, b: linalg.solve_banded((1, 1), ab, b),
        lambda ab, b: scipy.linalg.solve_banded((1, 1), ab, b),
        [banded, W],
        {},
    )


def test_square_root_and_logarithm_of_matrices_with_negative_eigenvalues_are_complex():
    a = -SPD
    for name in ("sqrtm", "logm"):
        found = getattr(linalg, name)(tg.tensor(a))
        np.testing.assert_allclose(found.numpy(), getattr(scipy.linalg, name)(a), rtol=1e-10, atol=1e-10)
    compiled = tg.compile(lambda x: np.sum(linalg.sqrtm(x)))
    with pytest.raises(ValueError, match="make the matrix complex"):
        compiled(a)


@pytest.mark.parametrize("name", SIGNAL)
def test_signal(name):
    operands, kwargs = SIGNAL[name]
    short = name.partition(" ")[0]
    check(getattr(signal, short), getattr(scipy.signal, short), operands, kwargs)


@pytest.mark.parametrize("num", [3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("n", [5, 6])
def test_complex_signals_are_resampled(n, num):
    z, t = RNG.normal(size=(2, n)) + 1j * RNG.normal(size=(2, n)), 0.5 * np.arange(n)
    for window in (None, "hann", np.cos):
        found, places = signal.resample(tg.tensor(z), num, t, 1, window)
        expected, at = scipy.signal.resample(z, num, t, 1, window)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(places, at)
    tg.check_grads(lambda z: signal.resample(z, num, axis=1, window="hann"), (z,))


def test_cascades_of_filters():
    sos, state = scipy.signal.butter(4, 0.3, output="sos"), RNG.normal(size=(2, 2, 2))
    check(lambda x: signal.sosfilt(sos, x), lambda x: scipy.signal.sosfilt(sos, x), [LONG], {})
    check(
        lambda x, zi: signal.sosfilt(sos, x, zi=zi),
        lambda x, zi: scipy.signal.sosfilt(sos, x, zi=zi),
        [LONG, state],
        {},
    )
    tg.check_grads(lambda sos: signal.sosfilt(sos, LONG), (sos,))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: signal.lfilter(W, V, IMAGE, zi=np.ones((5, 1))), "expected 3 values along the axis, found 1"),
        (lambda: signal.filtfilt(W, V, W), "greater than padlen, which is 12"),
        (lambda: signal.convolve2d(V, W), "both be 2-D"),
        (lambda: signal.convolve(KERNEL[:1], KERNEL[:, :1], "valid"), "at least as large as the other"),
        (lambda: signal.detrend(V, bp=99), "Breakpoints must be less"),
        (lambda: signal.welch(V, average="mode"), "must be 'median' or 'mean'"),
        (lambda: signal.savgol_filter(V, 5, 2), "less than or equal to the size"),
    ],
)
def test_signal_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("name", [n for n in SPECIAL if SPECIAL[n][0]])
def test_special(name):
    operands, kwargs = SPECIAL[name]
    short = name.partition(" ")[0]
    if name == "logsumexp factors":
        check(
            lambda a, b: special.logsumexp(a, 0, b, return_sign=True),
            lambda a, b: scipy.special.logsumexp(a, 0, b, return_sign=True),
            operands,
            {},
        )
        return
    check(getattr(special, short), getattr(scipy.special, short), operands, kwargs)


def test_special_functions_with_constant_orders():
    for n in (0, 1, 3):
        check(lambda x, n=n: special.polygamma(n, x), lambda x, n=n: scipy.special.polygamma(n, x), [P], {})
    check(lambda q: special.zeta(2.5, q), lambda q: scipy.special.zeta(2.5, q), [P], {})
    for name in ("spherical_jn", "spherical_yn", "spherical_in", "spherical_kn"):
        ours, theirs = getattr(special, name), getattr(scipy.special, name)
        for derivative in (False, True):
            check(lambda x, f=ours, d=derivative: f(2, x, d), lambda x, f=theirs, d=derivative: f(2, x, d), [P], {})
    gradient = tg.grad(lambda x: np.sum(np.real(scipy.special.lambertw(x))))(P)
    w = scipy.special.lambertw(P).real
    np.testing.assert_allclose(gradient, w / (P * (1.0 + w)), rtol=1e-12)


def test_logsumexp_of_infinities():
    x = np.array([-np.inf, 0.0, -np.inf])
    np.testing.assert_allclose(special.logsumexp(tg.tensor(x)).numpy(), 0.0)
    np.testing.assert_allclose(tg.grad(special.logsumexp)(x), [0.0, 1.0, 0.0])
    assert special.logsumexp(tg.tensor(np.full(2, -np.inf))).item() == -np.inf


# --- distributions ---------------------------------------------------------------------------------------------------

ANY = np.array([-1.3, 0.4, 2.0])
POSITIVE = np.array([0.3, 1.1, 2.5])
UNIT = np.array([0.2, 0.55, 0.9])
CONTINUOUS = {
    "norm": (ANY, ()),
    "t": (ANY, (3.5,)),
    "gamma": (POSITIVE, (2.2,)),
    "beta": (UNIT, (2.0, 1.5)),
    "chi2": (POSITIVE, (3.0,)),
    "f": (POSITIVE, (3.0, 5.0)),
    "expon": (POSITIVE, ()),
    "laplace": (ANY, ()),
    "uniform": (UNIT, ()),
    "lognorm": (POSITIVE, (0.8,)),
    "cauchy": (ANY, ()),
    "logistic": (ANY, ()),
    "gumbel_r": (ANY, ()),
    "weibull_min": (POSITIVE, (1.7,)),
    "pareto": (POSITIVE + 1.0, (2.5,)),
    "halfnorm": (POSITIVE, ()),
    "invgamma": (POSITIVE, (2.5,)),
}
DISCRETE = {
    "poisson": (np.array([0.0, 2.0, 5.0]), (1.7,)),
    "binom": (np.array([0.0, 2.0, 4.0]), (4, 0.3)),
    "bernoulli": (np.array([0.0, 1.0, 1.0]), (0.3,)),
    "geom": (np.array([1.0, 2.0, 4.0]), (0.3,)),
    "nbinom": (np.array([0.0, 2.0, 4.0]), (2.5, 0.4)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("method", ["logpdf", "pdf"])
def test_densities(name, method):
    x, shapes = CONTINUOUS[name]
    operands = [x * 1.5 + 0.2, *map(np.array, shapes), np.array(0.2), np.array(1.5)]
    check(getattr(getattr(stats, name), method), getattr(getattr(scipy.stats, name), method), operands, {})


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("method", ["cdf", "logcdf", "sf", "logsf"])
def test_distribution_functions(name, method):
    x, shapes = CONTINUOUS[name]
    ours, theirs = getattr(getattr(stats, name), method), getattr(getattr(scipy.stats, name), method)
    check(
        lambda x, loc, scale: ours(x, *shapes, loc=loc, scale=scale),
        lambda x, loc, scale: theirs(x, *shapes, loc=loc, scale=scale),
        [x * 1.5 + 0.2, np.array(0.2), np.array(1.5)],
        {},
    )


@pytest.mark.parametrize("method", ["ppf", "isf"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_quantiles(name, method):
    _, shapes = CONTINUOUS[name]
    ours, theirs = getattr(getattr(stats, name), method), getattr(getattr(scipy.stats, name), method)
    check(
        lambda q, loc, scale: ours(q, *shapes, loc, scale),
        lambda q, loc, scale: theirs(q, *shapes, loc, scale),
        [UNIT, np.array(0.2), np.array(1.5)],
        {},
    )


@pytest.mark.parametrize("name", CONTINUOUS)
def test_outside_of_the_support(name):
    x, shapes = CONTINUOUS[name]
    x = np.array([-3.0, 7.5, 0.5])
    theirs = getattr(scipy.stats, name)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(getattr(stats, name).pdf(x, *shapes), theirs.pdf(x, *shapes), rtol=1e-10)
        np.testing.assert_allclose(getattr(stats, name).cdf(x, *shapes), theirs.cdf(x, *shapes), rtol=1e-10, atol=1e-15)
    gradient = tg.grad(lambda x: np.sum(getattr(stats, name).pdf(x, *shapes)))(x)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distributions(name):
    k, shapes = DISCRETE[name]
    ours, theirs = getattr(stats, name), getattr(scipy.stats, name)
    whole = np.array([-1.0, 0.5, 1.0, 3.0, 9.0])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(ours.pmf(whole, *shapes), theirs.pmf(whole, *shapes), rtol=1e-10, atol=1e-15)
    *fixed, last = shapes
    check(lambda p: ours.logpmf(k, *fixed, p), lambda p: theirs.logpmf(k, *fixed, p), [np.array(last)], {})
    check(lambda p: ours.cdf(k, *fixed, p), lambda p: theirs.cdf(k, *fixed, p), [np.array(last)], {})
    with pytest.raises(AttributeError, match="is discrete: use logpmf"):
        ours.logpdf(k, *shapes)


def test_multivariate_distributions():
    x, mean = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    check(
        lambda x, m, c: stats.multivariate_normal.logpdf(x, m, c + c.T),
        lambda x, m, c: scipy.stats.multivariate_normal.logpdf(x, m, c + c.T),
        [x, mean, SPD],
        {},
    )
    check(stats.multivariate_normal.pdf, scipy.stats.multivariate_normal.pdf, [x[0], mean], {"cov": np.diag(SPD)})
    share = np.array([0.2, 0.5, 0.3])
    check(
        lambda a: stats.dirichlet.logpdf(share, a),
        lambda a: scipy.stats.dirichlet.logpdf(share, a),
        [POSITIVE + 0.5],
        {},
    )
    check(
        lambda x, s: stats.wishart.logpdf(x + x.T, 5.5, s + s.T),
        lambda x, s: scipy.stats.wishart.logpdf(x + x.T, 5.5, s + s.T),
        [SPD, SPD + np.eye(3)],
        {},
    )


def test_shapes_of_distributions_have_a_gradient():
    for name, shapes in {"gamma": (2.0,), "beta": (2.0, 3.0), "chi2": (3.0,), "t": (4.0,), "f": (3.0, 5.0)}.items():
        x = 0.2 * P if name == "beta" else P
        for method, at in (("cdf", x), ("sf", x), ("ppf", np.array([0.2, 0.6]))):
            ours, theirs = (getattr(getattr(module, name), method) for module in (stats, scipy.stats))
            check(
                lambda *s, f=ours, at=at: f(at, *s), lambda *s, f=theirs, at=at: f(at, *s), [*map(np.array, shapes)], {}
            )


def test_distributions_keep_parameters():
    check(
        lambda m, s: stats.norm(m, scale=s).logpdf(P),
        lambda m, s: scipy.stats.norm(m, scale=s).logpdf(P),
        [np.array(0.3), np.array(1.2)],
        {},
    )
    check(
        lambda x, m: stats.multivariate_normal(m, SPD).pdf(x),
        lambda x, m: scipy.stats.multivariate_normal(m, SPD).pdf(x),
        [W, W + 1.0],
        {},
    )
    assert stats.poisson(2.0).pmf(3).item() == pytest.approx(scipy.stats.poisson(2.0).pmf(3), rel=1e-12)


def test_what_distributions_have_beside_densities_is_scipys():
    for given in (stats, scipy.stats):
        np.testing.assert_array_equal(
            given.norm.rvs(size=2, random_state=0), scipy.stats.norm.rvs(size=2, random_state=0)
        )
    assert stats.gamma(2.0).mean() == 2.0 and stats.dirichlet([1.0, 2.0]).rvs(1).shape == (1, 2)
    assert copy.copy(stats.norm).name == copy.copy(stats.norm(1.0))._name == "norm"
    with pytest.raises(AttributeError, match="nothing"):
        stats.norm.nothing  # noqa: B018
    with pytest.raises(TypeError, match=r"scipy.stats.maxwell.pdf makes plain arrays.*Compose it"):
        tg.grad(lambda x: stats.maxwell.pdf(0.3, x))(1.0)


def test_parameters_without_a_closed_form_say_so():
    with pytest.raises(NoRuleError, match="has no closed form"):
        tg.grad(lambda df: np.sum(special.chndtr(POSITIVE, df, 1.0)))(2.0)
    with pytest.raises(TypeError, match="gamma needs the shape parameters a"):
        stats.gamma.pdf(POSITIVE)
    with pytest.raises(NotImplementedError, match="singular covariances"):
        stats.multivariate_normal.logpdf(W, W, SPD, allow_singular=True)


def test_the_rest_is_scipys():
    assert special.j0 is scipy.special.j0 and linalg.hilbert is scipy.linalg.hilbert
    assert stats.skew is scipy.stats.skew and signal.butter is scipy.signal.butter
    with pytest.raises(AttributeError, match="it has integrate, interpolate, linalg, optimize"):
        tg.scipy.cluster  # noqa: B018
