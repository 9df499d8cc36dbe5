"""More of NumPy's functions: values against NumPy, gradients against differences, forward against reverse."""

from __future__ import annotations

import operator
import warnings

import numpy as np
import pytest
from test_array_functions import (
    difference,
    direction_like,
    from_parts,
    gradient,
    leaves,
    pairing,
)

import tapegrad as tg
from tapegrad.tape.handle import Tensor

RNG = np.random.default_rng(20240711)
V = RNG.normal(size=6)
W = RNG.normal(size=4)
A = RNG.normal(size=(3, 4))
B = RNG.normal(size=(4, 4)) + 4.0 * np.eye(4)
T = RNG.normal(size=(2, 3, 4))
REAL = np.diag([1.0, 2.0, 4.0]) + 0.3 * RNG.normal(size=(3, 3))  # its eigenvalues are real
ROTATION = np.array([[0.0, 1.0, 0.2], [-2.0, 0.1, 0.0], [0.3, 0.0, 1.0]])  # some of its eigenvalues are not
X = np.sort(RNG.uniform(0.0, 5.0, size=6))
P = RNG.uniform(0.2, 5.0, size=(2, 3))
SCALAR = np.array(0.7)
HOLES = np.where(RNG.uniform(size=(4, 5)) < 0.3, np.nan, RNG.normal(size=(4, 5)))
MASK = A > 0
Z = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
ZV = Z[0]
PLACES = np.array([0, 2, 1, 1, 2, 3])


def written(write):
    """What a writing function makes of a copy."""

    def function(*operands):
        y = operands[0].copy()
        write(y, *operands[1:])
        return y

    return function


CASES = {
    # polynomials
    "polyval": (np.polyval, W, V),
    "polyadd": (np.polyadd, W, V),
    "polysub": (np.polysub, W, V),
    "polymul": (np.polymul, W, V),
    "polyder": (lambda p: np.polyder(p, 2), V),
    "polyint": (lambda p, k: np.polyint(p, 2, k), W, np.array([1.0, 2.0])),
    "polydiv": (np.polydiv, V, W[:3]),
    "poly": (np.poly, W),
    "roots": (np.roots, np.array([1.0, -6.0, 11.0, -6.1])),
    "vander": (lambda x: np.vander(x, 3), W),
    "vander increasing": (lambda x: np.vander(x, increasing=True), W),
    "polyfit": (lambda x, y: np.polyfit(x, y, 2), X, V),
    "polyfit columns": (lambda y: np.polyfit(X, y, 1), RNG.normal(size=(6, 2))),
    "polyfit weights": (lambda y, w: np.polyfit(X, y, 2, w=w), V, P.ravel()),
    "polyfit cov": (lambda y: np.polyfit(X, y, 2, cov=True), V),
    # samples
    "convolve": (np.convolve, V, W),
    "convolve same": (lambda a, v: np.convolve(a, v, "same"), V, W),
    "convolve valid": (lambda a, v: np.convolve(a, v, "valid"), W, V),
    "correlate": (np.correlate, V, W),
    "correlate full": (lambda a, v: np.correlate(a, v, "full"), W, V),
    "correlate same": (lambda a, v: np.correlate(a, v, "same"), V, W),
    "correlate same short": (lambda a, v: np.correlate(a, v, "same"), W, V),
    "gradient": (np.gradient, V),
    "gradient axes": (lambda f: np.gradient(f, 0.5, 2.0), A),
    "gradient spacing": (lambda f, h: np.gradient(f, h, axis=1), A, SCALAR),
    "gradient coordinates": (lambda f, x: np.gradient(f, x, edge_order=2), V, X),
    "gradient edges": (lambda f: np.gradient(f, 0.3, axis=1, edge_order=2), A),
    "interp": (np.interp, P, X, V),
    "interp ends": (lambda x, f: np.interp(x, X[1:4], f, left=7.0, right=-1.0), P, V[:3]),
    "interp period": (lambda x, f: np.interp(x, X, f, period=5.5), P * 4.0, V),
    "unwrap": (lambda p: np.unwrap(np.cumsum(p * 4.0)), V),
    "unwrap axis": (lambda p: np.unwrap(5.0 * p, axis=0, period=3.0), A),
    "trapezoid": (np.trapezoid, V, X),
    "ediff1d": (lambda x: np.ediff1d(x, to_end=1.0), V),
    # ranges
    "linspace": (lambda a, b: np.linspace(a, b, 5), SCALAR, W),
    "linspace open": (lambda a, b: np.linspace(a, b, 4, endpoint=False, axis=1), W, W + 1.0),
    "linspace step": (lambda a, b: np.linspace(a, b, 4, retstep=True), SCALAR, SCALAR + 1.0),
    "logspace": (lambda a, b: np.logspace(a, b, 4), SCALAR, SCALAR + 1.0),
    "geomspace": (lambda a, b: np.geomspace(a, b, 4), SCALAR, SCALAR + 5.0),
    # padding
    "pad ramp": (lambda x: np.pad(x, ((1, 2), (0, 3)), "linear_ramp", end_values=2.0), A),
    "pad mean": (lambda x: np.pad(x, 2, "mean", stat_length=2), A),
    "pad median": (lambda x: np.pad(x, ((0, 1), (2, 2)), "median"), A),
    "pad maximum": (lambda x: np.pad(x, 1, "maximum"), A),
    "pad minimum": (lambda x: np.pad(x, 1, "minimum", stat_length=((1, 2), (3, 1))), A),
    "pad symmetric": (lambda x: np.pad(x, 2, "symmetric", reflect_type="even"), A),
    # writes
    "copyto": (written(np.copyto), A, W),
    "copyto where": (written(lambda y, x: np.copyto(y, x, where=MASK)), A, W),
    "put": (written(lambda y, v: np.put(y, [1, -1, 30], v, mode="clip")), A, W[:2]),
    "place": (written(lambda y, v: np.place(y, MASK, v)), A, W[:2]),
    "putmask": (written(lambda y, v: np.putmask(y, MASK, v)), A, W[:3]),
    "put_along_axis": (written(lambda y, v: np.put_along_axis(y, np.array([[1], [0], [2]]), v, 1)), A, A[:, :1]),
    "fill_diagonal": (written(np.fill_diagonal), A, SCALAR),
    "fill_diagonal wrap": (written(lambda y, v: np.fill_diagonal(y, v, wrap=True)), np.tile(A, (3, 1)), W[:3]),
    "insert": (lambda x, v: np.insert(x, 2, v), V, SCALAR),
    "insert axis": (lambda x, v: np.insert(x, [0, 3], v, axis=1), A, A[:, :2]),
    "insert row": (lambda x, v: np.insert(x, 1, v, axis=0), A, W),
    "delete": (lambda x: np.delete(x, [0, -1], axis=1), A),
    "delete slice": (lambda x: np.delete(x, np.s_[::2]), V),
    "trim_zeros": (lambda x: np.trim_zeros(x * np.array([0.0, 0.0, 1.0, 0.0, 1.0, 0.0])), V),
    # sets and counts
    "union1d": (np.union1d, V, W),
    "intersect1d": (lambda x: np.intersect1d(x, x[2:]), V),
    "setdiff1d": (lambda x: np.setdiff1d(x, x[2:]), V),
    "setxor1d": (np.setxor1d, V, W),
    "unique_values": (np.unique_values, V),
    "bincount": (lambda w: np.bincount(PLACES, w, 6), V),
    "histogram weights": (lambda w: np.histogram(V, [-2.0, -0.5, 0.0, 2.0], weights=w)[0], P.ravel()),
    "histogram density": (lambda w: np.histogram(V, [-2.0, -0.5, 0.0, 2.0], weights=w, density=True)[0], P.ravel()),
    "histogram2d weights": (lambda w: np.histogram2d(V, V**2, [2, 3], weights=w)[0], P.ravel()),
    "histogram2d edges": (lambda x: np.histogram2d(x, x * x, [[-2.0, 0.0, 2.0], 3])[2], V),
    "histogramdd weights": (lambda w: np.histogramdd(np.stack([V, V**2], 1), 3, weights=w)[0], P.ravel()),
    "histogramdd density": (lambda x: np.histogramdd([x, x * x], 2, density=True)[0], V),
    "grid of coordinates": (lambda x, y: np.ix_(x, y)[0] * np.ix_(x, y)[1], V, W),
    "histogram edges": (lambda x: np.histogram(x, 4)[1], V),
    "histogram of a matrix": (lambda w: np.histogram(A, 3, weights=w)[0], A),
    # order statistics
    "nanmedian": (lambda x: np.nanmedian(x, axis=1), HOLES),
    "nanquantile": (lambda x: np.nanquantile(x, [0.2, 0.7], axis=0), HOLES),
    "nanpercentile": (lambda x: np.nanpercentile(x, 30.0, keepdims=True), HOLES),
    **{
        f"quantile {method}": (lambda x, method=method: np.quantile(x, [0.0, 0.13, 0.5, 0.8, 1.0], method=method), V)
        for method in (
            "inverted_cdf averaged_inverted_cdf closest_observation interpolated_inverted_cdf hazen weibull "
            "median_unbiased normal_unbiased lower higher midpoint nearest"
        ).split()
    },
    # reductions with options
    "var where": (lambda x: np.var(x, axis=0, where=MASK | True), A),
    "var mean": (lambda x: np.var(x, axis=1, mean=np.mean(x, axis=1, keepdims=True), ddof=1), A),
    "std where": (lambda x: np.std(x, where=MASK, ddof=1), A),
    "nanmean where": (lambda x: np.nanmean(x, where=HOLES > -1.0), HOLES),
    "nanvar mean": (lambda x: np.nanvar(x, axis=1, mean=np.nanmean(x, axis=1, keepdims=True)), HOLES),
    "cov weights": (lambda x, w: np.cov(x, aweights=w), A, np.array([1.0, 2.0, 0.5, 1.5])),
    "cov frequencies": (lambda x: np.cov(x, fweights=[1, 2, 3, 1]), A),
    "sum initial": (lambda x, s: np.sum(x, axis=0, initial=s), A, SCALAR),
    "prod where": (lambda x: np.prod(x, axis=1, where=MASK, initial=2.0), A),
    # along axes
    "apply_along_axis": (lambda x: np.apply_along_axis(lambda v: np.outer(v, v), 1, x), A),
    "apply_along_axis numbers": (lambda x: np.apply_along_axis(lambda v: np.sum(v**2), 0, x), T),
    "apply_over_axes": (lambda x: np.apply_over_axes(np.sum, x, [0, 2]), T),
    "einsum path": (lambda a, b, c: np.einsum("ij,jk,lk->il", a, b, c, optimize=True), A, B, T[0]),
    "einsum optimal": (lambda a, b, c: np.einsum("ij,jk,k", a, b, c, optimize="optimal"), A, B, W),
    "sliding windows": (lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)), A),
    "sliding windows axis": (lambda x: np.lib.stride_tricks.sliding_window_view(x, 3, axis=1) ** 2, A),
    "lists": (lambda x: [x * [1.0, 2.0, 3.0, 4.0], (1, 2, 3, 4) - x, np.add(x, [1, 2, 3, 4]), x @ [1, 2, 3, 4]], A),
    "emath": (lambda x: [np.emath.sqrt(x), np.emath.log(x), np.emath.logn(2, x), np.emath.power(x, 1.5)], P),
    "matmul axes": (lambda x, y: np.matmul(x, y, axes=[(0, 1), (2, 1), (1, 0)]), A, T),
    "vecdot axis": (lambda x, y: np.vecdot(x, y, axis=0), A, A**2),
    # methods of ufuncs
    "logaddexp.reduce": (lambda x: np.logaddexp.reduce(x, axis=1), A),
    "subtract.reduce": (lambda x: np.subtract.reduce(x), A),
    "divide.reduce": (lambda x: np.divide.reduce(x, axis=1, keepdims=True), A),
    "hypot.reduce": (lambda x: np.hypot.reduce(x, axis=0), A),
    "add.reduce": (lambda x: np.add.reduce(x, axis=None, initial=2.0), A),
    "multiply.reduce": (lambda x: np.multiply.reduce(x), A),
    # along the last axis, NumPy 2.4.6 itself is wrong on processors with AVX-512
    "arctan2.reduce": (lambda x: np.arctan2.reduce(x, axis=0), A),
    "add.accumulate": (lambda x: np.add.accumulate(x, axis=1), A),
    "maximum.accumulate": (lambda x: np.maximum.accumulate(x, axis=1), A),
    "minimum.accumulate": (lambda x: np.minimum.accumulate(x), V),
    "logaddexp.accumulate": (lambda x: np.logaddexp.accumulate(x), V),
    "add.reduceat": (lambda x: np.add.reduceat(x, [0, 3, 1], axis=1), A),
    "multiply.outer": (np.multiply.outer, V, A),
    "add.at": (written(lambda y, v: np.add.at(y, PLACES, v)), W, V),
    "subtract.at": (written(lambda y, v: np.subtract.at(y, (slice(None), [1, 1]), v)), A, A[:, :2]),
    # linear algebra
    "eigvals": (np.linalg.eigvals, REAL),
    "eig": (np.linalg.eig, REAL),
    "eigvals complex": (lambda a: np.sum(np.exp(np.linalg.eigvals(a))), ROTATION),
    "eig complex": (lambda a: np.sum(np.abs(np.linalg.eig(a)[1]) ** 2, axis=1), ROTATION),
    "eig batch": (lambda a: np.linalg.eig(a)[0], np.stack([REAL, REAL.T @ REAL])),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b)[:2], A.T, W),
    "lstsq wide": (lambda a, b: np.linalg.lstsq(a, b)[0], A, A[:, :2]),
    "pinv rank": (lambda x: np.linalg.pinv(x[:, None] * np.sin(x), rtol=1e-10), W),
    "tensorinv": (lambda a: np.linalg.tensorinv(a.reshape(2, 2, 4)), B),
    "qr wide": (np.linalg.qr, A),
    "qr complete": (lambda a: np.linalg.qr(a, "complete"), A),
    "cond 1": (lambda a: np.linalg.cond(a, 1), B),
    "cond fro": (lambda a: np.linalg.cond(a, "fro"), np.stack([B, B.T + 1.0])),
    "cond -2": (lambda a: np.linalg.cond(a, -2), A),
    # Fourier transforms of real arrays
    "fft": (np.fft.fft, A),
    "fft longer": (lambda x: np.fft.fft(x, 7, axis=0, norm="ortho"), A),
    "ifft shorter": (lambda x: np.fft.ifft(x, 2, norm="forward"), A),
    "fftn": (lambda x: np.fft.fftn(x, axes=(0, 2)), T),
    "ifft2": (np.fft.ifft2, T),
    "fft2 shape": (lambda x: np.fft.fft2(x, s=(5, 2), norm="ortho"), T),
    "rfft": (np.fft.rfft, A),
    "rfft odd": (lambda x: np.fft.rfft(x, 5, axis=0, norm="forward"), A),
    "rfftn": (np.fft.rfftn, T),
    "rfft2": (lambda x: np.fft.rfft2(x, norm="ortho"), T),
    "irfft": (np.fft.irfft, A),
    "irfft odd": (lambda x: np.fft.irfft(x, 5), A),
    "irfftn": (np.fft.irfftn, T),
    "irfft2": (lambda x: np.fft.irfft2(x, s=(3, 5)), T),
    "hfft": (np.fft.hfft, A),
    "ihfft": (lambda x: np.fft.ihfft(x, norm="ortho"), A),
    "fftshift": (np.fft.fftshift, T),
    "ifftshift": (lambda x: np.fft.ifftshift(x, axes=1), T),
}
COMPLEX = {
    "emath": (lambda x: [np.emath.sqrt(x), np.emath.log10(x), np.emath.arcsin(2.0 * x), np.emath.arctanh(x)], V),
    "convolve": (np.convolve, ZV, Z[1][:3]),
    "correlate": (lambda a, v: np.correlate(a, v, "full"), ZV[:2], Z[1]),
    "interp": (lambda f: np.interp(V, X[:4], f), ZV),
    "polyval": (np.polyval, ZV, Z[1]),
    "gradient": (np.gradient, Z),
    "fft": (np.fft.fft, Z),
    "ifftn": (np.fft.ifftn, Z),
    "irfft": (lambda z: np.fft.irfft(z, 6), Z),
    "irfft even": (lambda z: np.fft.irfft(z, 4, axis=0), Z),
    "hfft": (lambda z: np.fft.hfft(z, norm="ortho"), Z),
    "eigvals": (np.linalg.eigvals, Z[:, :3]),
    "eig phases": (lambda z: [np.linalg.eig(z)[0], np.abs(np.linalg.eig(z)[1])], Z[:, :3]),
    "pinv": (np.linalg.pinv, Z),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b)[:2], Z.T, ZV),
    "multiply.reduce": (lambda z: np.multiply.reduce(z, axis=1), Z),
}
ONE_ORDER = {"maximum.accumulate", "minimum.accumulate"}


def on(namespace_function):
    """A case's function, to take the namespace that the helpers pass."""
    return lambda xp, *operands: namespace_function(*operands)


@pytest.fixture(autouse=True)
def _warnings_of_numpy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    function, *operands = CASES[name]
    expected = leaves(function(*operands))
    found = leaves(function(*[tg.tensor(x) for x in operands]))
    assert len(found) == len(expected)
    for y, want in zip(found, expected, strict=True):
        assert isinstance(y, Tensor)
        assert y.shape == np.shape(want)
        assert y.dtype == np.asarray(want).dtype
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fft2", "ifftn", "rfftn", "irfftn"])
def test_scaled_transforms_of_infinities(name, norm):
    """They are scaled part by part, as NumPy's are: an infinity times a complex number would be NaN."""
    transform = getattr(np.fft, name)
    for place, value in ((0, np.inf), (3, -np.inf), (7, np.nan)):
        x = A.copy()
        x.flat[place] = value
        np.testing.assert_allclose(transform(tg.tensor(x), norm=norm).numpy(), transform(x, norm=norm), rtol=1e-12)


def test_a_norm_that_there_is_not():
    with pytest.raises(ValueError, match='Invalid norm value unit; should be "backward"'):
        np.fft.rfft(tg.tensor(V), norm="unit")


def reach(operands, bars):
    """Without the gradients of elements that are missing."""
    return [np.where(np.isnan(x), 0.0, b) for b, x in zip(bars, operands, strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_gradients_against_differences(name):
    function, *operands = CASES[name]
    f, _, bars = gradient(on(function), operands)
    directions = [direction_like(x, k) for k, x in enumerate(operands)]
    found = pairing(reach(operands, bars), directions)
    np.testing.assert_allclose(found, difference(f, operands, directions, 1e-4), rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_values_and_gradients(name):
    function, *operands = COMPLEX[name]
    expected = leaves(function(*operands))
    for y, want in zip(leaves(function(*[tg.tensor(x) for x in operands])), expected, strict=True):
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-10, atol=1e-11)
    parts = [part for z in operands for part in ((z.real, z.imag) if np.iscomplexobj(z) else (z,))]
    f, _, bars = gradient(from_parts(on(function), operands), parts)
    directions = [direction_like(x, k) for k, x in enumerate(parts)]
    np.testing.assert_allclose(
        pairing(bars, directions), difference(f, parts, directions, 1e-4), rtol=1e-6, atol=1e-7, err_msg=name
    )


@pytest.mark.parametrize("name", [n for n in CASES if not np.isnan(CASES[n][1]).any() and n not in ONE_ORDER])
def test_second_order_and_forward_mode(name):
    function, *operands = CASES[name]
    f, _, bars = gradient(on(function), operands)
    directions = [direction_like(x, k) for k, x in enumerate(operands)]
    _, slope = tg.jvp(f, tuple(operands), tuple(directions))
    np.testing.assert_allclose(slope, pairing(bars, directions), rtol=1e-9, atol=1e-10)

    def along(*xs):
        return tg.jvp(f, xs, tuple(directions))[1]

    numbers = tuple(range(len(operands)))
    second = pairing(tg.grad(along, argnums=numbers)(*operands), directions)

    def first(*xs):
        return pairing(tg.grad(f, argnums=numbers)(*xs), directions)

    np.testing.assert_allclose(second, difference(first, operands, directions, 1e-4), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (np.sum, (A,)),
        (np.mean, (A, 0)),
        (np.cumsum, (A, 1)),
        (np.concatenate, ([A, A],)),
        (np.matmul, (A, B)),
        (np.einsum, ("ij,jk", A, B)),
        (np.fft.fft, (A,)),
        (np.max, (A, 1)),
        (np.take, (A, [0, 1], 1)),
        (np.add.reduce, (A,)),
        (np.logaddexp.accumulate, (A,)),
    ],
)
def test_out(function, args):
    """out= a tensor is written on the tape; out= an array is written where no gradient is lost."""
    wrap = [tg.tensor(x) if isinstance(x, np.ndarray) else x for x in args]
    if isinstance(args[0], list):
        wrap[0] = [tg.tensor(x) for x in args[0]]
    expected = function(*args)
    target = tg.zeros(np.shape(expected), dtype=expected.dtype)
    assert function(*wrap, out=target) is target
    np.testing.assert_allclose(target.numpy(), expected, rtol=1e-12)
    plain = np.zeros_like(expected)
    assert function(*wrap, out=plain) is plain
    np.testing.assert_allclose(plain, expected, rtol=1e-12)


def test_out_keeps_the_gradient_or_refuses():
    def f(x):
        y = tg.zeros(4)
        np.sum(x, axis=0, out=y)
        return np.sum(y * W)

    np.testing.assert_allclose(tg.grad(f)(A), np.broadcast_to(W, A.shape))
    with pytest.raises(tg.TracedValueError, match="sum with out= a plain array would lose the gradient"):
        tg.grad(lambda x: np.sum(np.sum(x, axis=0, out=np.zeros(4))))(A)


def test_writes_into_plain_arrays_refuse_to_lose_a_gradient():
    for write in (np.copyto, lambda y, x: np.put(y, [0, 1], x), lambda y, x: np.add.at(y, [0, 1, 2, 2], x)):
        with pytest.raises(tg.TracedValueError, match="plain array would lose"):
            tg.grad(lambda x, write=write: write(np.zeros(4), x))(W)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (np.array_repr, (A,)),
        (np.isin, (V, V[:2])),
        (np.lexsort, ((V, V),)),
        (np.linalg.matrix_rank, (A,)),
        (np.histogram, (V, 3)),
        (np.bincount, (PLACES,)),
        (np.searchsorted, (X, V)),
        (np.digitize, (V, X)),
        (np.unravel_index, (PLACES, (2, 3))),
        (np.triu_indices_from, (B,)),
        (np.argpartition, (V, 2)),
    ],
)
def test_functions_without_gradients_work(function, args):
    wrapped = [tuple(map(tg.tensor, x)) if isinstance(x, tuple) and x[0] is V else x for x in args]
    wrapped = [tg.tensor(x) if isinstance(x, np.ndarray) else x for x in wrapped]
    found, expected = leaves(function(*wrapped)), leaves(function(*args))
    for y, want in zip(found, expected, strict=True):
        y = y.numpy() if isinstance(y, Tensor) else y
        np.testing.assert_array_equal(y, want)


def test_ufuncs_without_a_rule_say_so():
    twice = np.frompyfunc(lambda x: 2 * x, 1, 1)
    assert twice(tg.tensor(W)).tolist() == [2 * w for w in W]
    with pytest.raises(NotImplementedError, match="has no derivative rule in tapegrad yet"):
        tg.grad(lambda x: np.sum(twice(x)))(W)


COMPILED = [n for n in CASES if not n.startswith("eig")]  # whether their results are real depends on the values


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_is_dynamic(name):
    """Functions that look at values are run as they are, after a warning; none is compiled wrongly."""
    function, *operands = CASES[name]
    f, _, _ = gradient(on(function), operands)
    both = tg.grad(f, argnums=tuple(range(len(operands))))
    compiled = tg.compile(both)
    for step in (0.0, 1e-3, -2e-3):
        moved = [x + step * direction_like(x, k) for k, x in enumerate(operands)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = compiled(*moved)
        for bar, expected in zip(found, both(*moved), strict=True):
            np.testing.assert_allclose(bar, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.cumsum(x, axis=0),
        lambda x: np.cumprod(x, axis=-1),
        lambda x: np.take(x, [0, 0], axis=-1),
        lambda x: np.compress([True], x, axis=0),
        lambda x: x.cumsum(0),
        lambda x: x.take([0], axis=0),
    ],
)
def test_numbers_have_an_axis_for_functions_along_one(function):
    expected = function(np.array(1.5))
    value, gradient = tg.value_and_grad(lambda x: np.sum(function(x) ** 2))(np.array(1.5))
    assert value == np.sum(expected**2)
    np.testing.assert_allclose(gradient, 2.0 * np.sum(expected))


def test_maxima_of_nothing_and_masks_that_leave_nothing_out():
    assert tg.value_and_grad(lambda x: np.max(x, initial=0.5))(np.zeros((0, 3)))[0] == 0.5
    value, gradient = tg.value_and_grad(lambda x: np.sum(np.min(x, axis=0, where=True)))(
        np.array([[2.0, 1.0], [3.0, 0.0]])
    )
    assert value == 2.0
    np.testing.assert_array_equal(gradient, [[1.0, 0.0], [0.0, 1.0]])
    found = tg.grad(lambda x: np.sum(np.max(x, axis=0, initial=0.5)))(np.zeros((0, 3)))
    assert found.shape == (0, 3)


WEIGHTS = {
    None: np.ones((2, 3, 2)) + np.arange(12.0).reshape(2, 3, 2) % 5,
    0: [1.0, 3.0],
    -2: [2.0, 1.0, 1.0],
    (2, 0): [[1.0, 2.0], [3.0, 1.0]],
}


@pytest.mark.parametrize("function", [np.quantile, np.nanquantile])
@pytest.mark.parametrize("axis, keepdims", [(None, False), (0, False), (-2, True), ((2, 0), False), ((2, 0), True)])
@pytest.mark.parametrize("q", [0.4, np.array([0.1, 0.5, 0.9]), np.array([[0.3], [0.8]])])
def test_weighted_quantiles(function, axis, keepdims, q):
    x = np.array([2.0, 1.0, 4.0, 0.5, 3.0, -1.0, 0.7, 5.0, -2.0, 1.5, 0.2, 6.0]).reshape(2, 3, 2)
    weights = WEIGHTS[axis]
    if function is np.nanquantile:
        x[0, 1, 0], weights = np.nan, WEIGHTS[None]  # NumPy 2.4 itself fails for weights of another shape

    def f(x):
        return function(x, q, axis=axis, weights=weights, method="inverted_cdf", keepdims=keepdims)

    expected = f(x)
    value, gradient = tg.value_and_grad(lambda x: np.sum(f(x) ** 2))(x)
    assert f(tg.tensor(x)).shape == expected.shape
    np.testing.assert_allclose(value, np.sum(expected**2))
    h = 1e-6
    steps = h * np.eye(12).reshape(12, 2, 3, 2)
    slopes = [(np.sum(f(x + d) ** 2) - np.sum(f(x - d) ** 2)) / (2.0 * h) for d in steps]
    np.testing.assert_allclose(gradient.ravel(), slopes, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("function", [np.percentile, np.nanpercentile])
def test_weighted_percentiles(function):
    x = np.array([[2.0, 1.0, 4.0], [0.5, 3.0, -1.0]])
    weights = np.array([[1.0] * 3, [3.0] * 3])
    f = lambda x: function(x, 40, axis=0, weights=weights, method="inverted_cdf")
    np.testing.assert_array_equal(f(tg.tensor(x)).numpy(), f(x))
    assert tg.grad(lambda x: np.sum(f(x)))(x).sum() == 3.0


def test_weights_of_missing_elements():
    x = np.array([[np.nan, 1.0, np.nan], [0.5, 3.0, np.nan]])
    f = lambda x: np.nanquantile(x, 0.5, axis=0, weights=np.ones((2, 3)), method="inverted_cdf")
    with pytest.warns(RuntimeWarning, match="All-NaN slice"):
        np.testing.assert_array_equal(f(tg.tensor(x)).numpy(), [0.5, 1.0, np.nan])
    with pytest.raises(ValueError, match=r"Shape of weights must be consistent"):
        np.quantile(tg.tensor(x), 0.5, axis=(0, 1), weights=[1.0, 3.0], method="inverted_cdf")


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
@pytest.mark.parametrize("axis", [0, 1])
def test_stable_orders_of_many_equal_elements(dtype, axis):
    x = np.round(np.sin(np.arange(3.0 * 200 * 200)) * 20).reshape(600, 200)
    if dtype != "i8":
        x[::7, ::3], x[0], x[1] = np.nan, np.nan, -0.0
    x = x.astype(dtype)
    for a in (x, x[::-1], x[:70, :70], x.T.copy().T):
        found = np.argsort(tg.tensor(a), axis=axis, kind="stable").numpy()
        np.testing.assert_array_equal(found, np.argsort(a, axis=axis, kind="stable"))


def test_the_gradient_of_sorting_many_elements():
    x, w = np.round(np.sin(np.arange(500.0)), 2), np.cos(np.arange(500.0))
    expected = np.zeros(500)
    expected[np.argsort(x, kind="stable")] = w
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(np.sort(x) * w))(x), expected)


@pytest.mark.parametrize("function", [np.quantile, np.percentile, np.nanquantile, np.nanpercentile])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
@pytest.mark.parametrize("method", ["linear", "lower", "nearest", "inverted_cdf", "closest_observation", "hazen"])
def test_quantiles_have_the_dtype_of_numpy(function, dtype, method):
    x, scale = (np.arange(15.0).reshape(3, 5) * 7 % 11).astype(dtype), 100 if "percent" in function.__name__ else 1
    for q in (0.5 * scale, [0.3 * scale, 0.5 * scale], np.array([0.0, 1.0]) * scale, np.float64(0.5 * scale)):
        for axis in (None, 1):
            wanted, found = (
                function(x, q, axis=axis, method=method),
                function(tg.tensor(x), q, axis=axis, method=method),
            )
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found.numpy(), wanted)
    with pytest.raises(TypeError, match="real numbers"):
        np.quantile(tg.tensor(x + 1j), 0.5)


def test_spreads_of_one_element_have_a_gradient():
    x, mask = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 7.0]]), np.array([[True, False, False], [True, True, False]])
    holes = np.where(mask, 0.0, np.nan)
    for f in (lambda x: np.std(x, axis=1, where=mask), lambda x: np.nanstd(x + holes, axis=1)):
        np.testing.assert_allclose(tg.jacobian(f)(x)[0], 0.0)
        np.testing.assert_allclose(tg.jacobian(f)(x)[1, 1], [-0.5, 0.5, 0.0])


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.bool_])
def test_functions_that_compute_in_another_dtype_than_their_operand_has(dtype):
    x = np.array([[1.4, 3.0, 7.7], [2.0, 0.4, 5.0]]).astype(dtype)
    calls = (
        lambda x: np.pad(x, ((1, 2), (3, 4)), mode="linear_ramp", end_values=((5, 1), (2, 9))),
        lambda x: np.geomspace(x + 1.0, x + 2.0, 4),
        lambda x: np.nanmedian(x, axis=0),
        lambda x: np.nanmean(x, axis=0, dtype=np.float32),
        lambda x: np.polydiv(x[0], x[1, :2])[0],
        lambda x: np.linspace(0, x, 5),
        lambda x: np.linspace(x, np.float64(2.0), 3, endpoint=False),
    )
    for call in calls:
        wanted, found = call(x), call(tg.tensor(x))
        assert found.dtype == wanted.dtype
        single = wanted.dtype == np.float32  # NumPy adds one of linspace's ends in double precision
        np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-7 if single else 1e-14)


LISTS = {
    "*": lambda x: x[:2] * [x[2], 1.0],
    "- from a list": lambda x: [x[0], 2.0] - x[:2],
    "/ from a tuple": lambda x: (x[0], 2.0) / x[:2],
    "@": lambda x: x[:2] @ [[x[0], 1.0], [0.0, x[3]]],
    "@ from a list": lambda x: [[x[0], 1.0], [0.0, x[3]]] @ x[:2],
    ">": lambda x: x * (x > [x[0], 0.0, 0.0, x[1]]),
    "in place": lambda x: operator.iadd(x * 1.0, [x[0], 1, 1, x[1]]),
    "an item": lambda x: (y := x * 1.0, y.__setitem__(slice(2), [x[2] ** 2, x[3]]))[0],
    "maximum": lambda x: np.maximum(x[:2], [x[2], x[3]]),
    "hypot": lambda x: np.hypot(x[:2], [[x[0], 1], [2, x[1]]]),
    "concatenate": lambda x: np.concatenate([[x[0] * 2], x[1:]]),
    "vstack": lambda x: np.vstack([x, [x[0], 1, 2, x[3]]]),
    "stack": lambda x: np.stack([x[:2], [x[0], x[3]]]),
    "append": lambda x: np.append(x, [x[0]]),
    "insert": lambda x: np.insert(x, 1, [x[0] ** 2, x[1]]),
    "where": lambda x: np.where(x[:2] > 0, [x[0], x[1]], x[:2]),
    "select": lambda x: np.select([x > 0], [[x[0]] * 4], x),
    "clip": lambda x: np.clip(x, [x[2]] * 4, 2.0),
    "dot": lambda x: np.dot(x[:2], [x[2], x[3]]),
    "einsum": lambda x: np.einsum("i,i", x[:2], [x[2], 1.0]),
    "cross": lambda x: np.cross(x[:3], [x[3], 1.0, x[0]]),
    "convolve": lambda x: np.convolve(x, [x[0], 1.0]),
    "polyval": lambda x: np.polyval([x[0], 1.0, x[1]], x),
    "average": lambda x: np.average(x, weights=[x[1] ** 2, 1, 2, 1]),
    "gradient": lambda x: np.gradient(x, [0.0, x[0], 2.0, 3.0]),
    "interp": lambda x: np.interp([x[0], 0.3], [0, 1, 2], x[1:]),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_that_hold_tensors_are_operands_beside_tensors(name):
    f, x = LISTS[name], np.array([0.7, 1.9, -0.4, 1.1])
    np.testing.assert_array_equal(f(tg.tensor(x)).numpy(), f(x))
    tg.check_grads(f, (x,), order=2)


def test_ragged_lists_are_no_operands():
    with pytest.raises(ValueError, match="differ in length"):
        tg.grad(lambda x: np.sum(x * [[x[0]], [x[1], x[0]]]))(np.ones(2))
