"""tapegrad.scipy.interpolate: SciPy's values, and derivatives in the points, the data and the knots."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
import scipy.interpolate

import tapegrad as tg
from tapegrad.scipy import interpolate

RNG = np.random.default_rng(5)
X = np.cumsum(RNG.uniform(0.3, 1.0, 7))
Y, TABLE = RNG.normal(size=7), RNG.normal(size=(2, 7, 3))
LOOPED = np.append(Y[:-1], Y[0])
AT = np.array([X[0] - 0.2, X[0] + 0.01, X[2], 0.4 * X[3] + 0.6 * X[4], X[-1] - 0.05, X[-1] + 0.3])
INNER = AT[[1, 3, 4]]

MAKERS = {
    "CubicSpline": (lambda s, x, y: s.CubicSpline(x, y), Y),
    "CubicSpline natural": (lambda s, x, y: s.CubicSpline(x, y, bc_type="natural"), Y),
    "CubicSpline clamped": (lambda s, x, y: s.CubicSpline(x, y, bc_type=("clamped", "natural")), Y),
    "CubicSpline periodic": (lambda s, x, y: s.CubicSpline(x, y, bc_type="periodic"), LOOPED),
    "CubicSpline ends": (lambda s, x, y: s.CubicSpline(x, y, bc_type=((1, 0.5), (2, -1.0))), Y),
    "CubicSpline table": (lambda s, x, y: s.CubicSpline(x, y, axis=1), TABLE),
    "CubicSpline bounded": (lambda s, x, y: s.CubicSpline(x, y, extrapolate=False), Y),
    "PchipInterpolator": (lambda s, x, y: s.PchipInterpolator(x, y), Y),
    "PchipInterpolator table": (lambda s, x, y: s.PchipInterpolator(x, y, axis=1), TABLE),
    "PchipInterpolator rising": (lambda s, x, y: s.PchipInterpolator(x, y), np.cumsum(np.abs(Y))),
    "Akima1DInterpolator": (lambda s, x, y: s.Akima1DInterpolator(x, y, extrapolate=True), Y),
    "Akima1DInterpolator makima": (lambda s, x, y: s.Akima1DInterpolator(x, y, method="makima"), Y),
    "CubicHermiteSpline": (lambda s, x, y: s.CubicHermiteSpline(x, y, y**2), Y),
    "make_interp_spline": (lambda s, x, y: s.make_interp_spline(x, y), Y),
    "make_interp_spline linear": (lambda s, x, y: s.make_interp_spline(x, y, k=1), Y),
    "make_interp_spline steps": (lambda s, x, y: s.make_interp_spline(x, y, k=0), Y),
    "make_interp_spline fifth": (lambda s, x, y: s.make_interp_spline(x, y, k=5, axis=1), TABLE),
    "make_interp_spline natural": (lambda s, x, y: s.make_interp_spline(x, y, bc_type="natural"), Y),
    "make_interp_spline periodic": (lambda s, x, y: s.make_interp_spline(x, y, bc_type="periodic"), LOOPED),
    **{
        f"interp1d {kind}": (lambda s, x, y, kind=kind: s.interp1d(x, y, kind, fill_value="extrapolate"), TABLE[0].T)
        for kind in ("linear", "nearest", "nearest-up", "previous", "next", "zero", "slinear", "quadratic", "cubic")
    },
    "interp1d fill": (lambda s, x, y: s.interp1d(x, y, fill_value=(-1.0, 2.0), bounds_error=False), Y),
}
FIXED_KNOTS = ("make_interp_spline", "interp1d quadratic", "interp1d cubic", "CubicSpline periodic")


@pytest.mark.parametrize("name", MAKERS)
def test_interpolators(name):
    make, y = MAKERS[name]
    theirs, ours = make(scipy.interpolate, X, y), make(interpolate, X, y)
    for at in (AT, AT.reshape(2, 3), AT[3]):
        np.testing.assert_allclose(ours(at).numpy(), theirs(at), rtol=1e-9, atol=1e-10)
    if name == "CubicSpline periodic":
        y = Y[:-1]
        build = lambda y: make(interpolate, X, np.append(y, y[:1]))
    elif name == "make_interp_spline periodic":
        build = lambda y: make(interpolate, X, np.append(y, y[:1]))
        y = Y[:-1]
    else:
        build = lambda y: make(interpolate, X, y)
    tg.check_grads(lambda y, at: build(y)(at), (y, INNER), order=1)
    if not name.startswith(FIXED_KNOTS):
        tg.check_grads(lambda x: make(interpolate, x, y)(INNER), (X,), order=1)


@pytest.mark.parametrize("name", ["CubicSpline", "CubicSpline table", "PchipInterpolator", "make_interp_spline fifth"])
def test_derivatives_and_integrals(name):
    make, y = MAKERS[name]
    theirs, ours = make(scipy.interpolate, X, y), make(interpolate, X, y)
    for nu in (1, 2, 3):
        np.testing.assert_allclose(ours(AT, nu).numpy(), theirs(AT, nu), rtol=1e-8, atol=1e-8)
    whole = ours.antiderivative()(AT).numpy() - ours.antiderivative()(AT[:1].repeat(AT.size)).numpy()
    expected = theirs.antiderivative()(AT) - theirs.antiderivative()(AT[:1].repeat(AT.size))
    np.testing.assert_allclose(whole, expected, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(ours.integrate(X[0], X[-1]).numpy(), theirs.integrate(X[0], X[-1]), rtol=1e-10)
    slope = tg.elementwise_grad(lambda at: make(interpolate, X, y)(at))(AT) if y.ndim == 1 else None
    if slope is not None:
        np.testing.assert_allclose(slope, theirs(AT, 1), rtol=1e-9, atol=1e-10)
    tg.check_grads(lambda y, a, b: make(interpolate, X, y).integrate(a, b), (y, X[0] + 0.1, X[-1] - 0.2))


GRID = (np.array([0.0, 0.7, 1.5]), np.array([3.0, 2.0, 0.5, 0.0]))


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_grids(method):
    values = RNG.normal(size=(3, 4, 2))
    at = RNG.uniform(0.05, 1.4, size=(5, 2))
    theirs = scipy.interpolate.RegularGridInterpolator(GRID, values, method)
    ours = lambda v, x: interpolate.RegularGridInterpolator(GRID, v, method)(x)
    np.testing.assert_allclose(ours(values, at).numpy(), theirs(at), rtol=1e-12)
    np.testing.assert_allclose(interpolate.interpn(GRID, values, at, method).numpy(), theirs(at), rtol=1e-12)
    tg.check_grads(ours, (values, at), order=2)
    outside = np.array([[-0.5, 1.0], [0.5, 0.5]])
    for fill in (None, 7.0):
        their = scipy.interpolate.RegularGridInterpolator(GRID, values, method, False, fill)(outside)
        found = interpolate.RegularGridInterpolator(GRID, values, method, False, fill)(outside)
        np.testing.assert_allclose(found.numpy(), their, rtol=1e-12)
    np.testing.assert_allclose(ours(values, (at[:, 0], at[:, 1])).numpy(), theirs(at), rtol=1e-12)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: interpolate.CubicSpline(X[::-1], Y), ValueError, "strictly increasing"),
        (lambda: interpolate.CubicSpline(X[:-1], Y), ValueError, "as many are needed"),
        (lambda: interpolate.interp1d(X, Y)(AT), ValueError, "is below the interpolation range's minimum"),
        (lambda: interpolate.interp1d(X, Y, "barycentric"), NotImplementedError, "barycentric is unsupported"),
        (lambda: interpolate.RegularGridInterpolator(GRID, np.ones((3, 4)), "cubic"), NotImplementedError,
         "linear and nearest are supported for tensors, not 'cubic'"),
        (lambda: interpolate.RegularGridInterpolator(GRID, np.ones((3, 4)))([[9.0, 1.0]]), ValueError, "out of bounds"),
        (lambda: interpolate.RegularGridInterpolator(GRID, np.ones((3, 4)))([1.0]), ValueError, "dimension 2"),
        (lambda: interpolate.PPoly(np.ones((2, 3)), X), ValueError, "7 ends of pieces belong to 6 pieces"),
        (lambda: interpolate.make_interp_spline(X, Y, bc_type=([(1, 0)], [(1, 0)])), NotImplementedError, "a string"),
    ],
)  # fmt: skip
def test_refuses(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_rest_is_scipys():
    assert interpolate.splrep is scipy.interpolate.splrep


@pytest.mark.parametrize("maker", ["CubicSpline", "PchipInterpolator"])
def test_places_where_a_spline_has_a_value(maker):
    y = np.array([-1.0, 0.5, 2.0, 1.0, -0.7, -2.0, 0.4])
    ours, theirs = getattr(interpolate, maker), getattr(scipy.interpolate, maker)
    for level in (0.0, 0.6):
        found = ours(X, y).solve(level, extrapolate=False)
        np.testing.assert_allclose(found, theirs(X, y).solve(level, extrapolate=False), rtol=1e-12)
        tg.check_grads(lambda y, v: ours(X, y).solve(v, extrapolate=False), (y, level), order=2)
    np.testing.assert_allclose(ours(X, y).roots(), theirs(X, y).roots(), rtol=1e-12)
    assert np.shape(ours(X, y).solve(99.0, extrapolate=False)) == (0,)
    with pytest.raises(NotImplementedError, match="of one polynomial only"):
        ours(X, np.stack([y, y], 1)).roots()
