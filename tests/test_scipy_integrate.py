"""tapegrad.scipy.integrate: SciPy's values, and derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
import scipy.integrate

import tapegrad as tg
from tapegrad.scipy import integrate

RNG = np.random.default_rng(3)
P = np.array([1.0, 0.3, 0.8])
START = np.array([2.0, 1.0])

# --- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("name", ["trapezoid", "simpson", "cumulative_trapezoid", "cumulative_simpson"])
def test_samples(name, n):
    y, x = RNG.normal(size=(3, n)), np.cumsum(RNG.uniform(0.2, 1.0, n))
    ours, theirs = getattr(integrate, name), getattr(scipy.integrate, name)
    for kwargs in ({}, {"x": x}, {"dx": 0.3}, {"axis": 0}):
        samples = y.T.copy() if "axis" in kwargs else y
        expected = theirs(samples, **kwargs)
        np.testing.assert_allclose(ours(tg.tensor(samples), **kwargs).numpy(), expected, rtol=1e-10, atol=1e-12)
    tg.check_grads(lambda y, x: ours(y, x=x), (y, x), order=1)
    if n > 3:  # NumPy broadcasts a single interval, or none
        with pytest.raises(ValueError):
            ours(tg.tensor(y), x=x[1:])


def test_more_samples():
    y = RNG.normal(size=(2, 17))
    np.testing.assert_allclose(integrate.romb(tg.tensor(y), dx=0.3).numpy(), scipy.integrate.romb(y, dx=0.3))
    tg.check_grads(lambda y: integrate.romb(y, 0.3), (y[:, :9],))
    with pytest.raises(ValueError, match="one plus a non-negative power of 2"):
        integrate.romb(y[:, :4])
    for name in ("cumulative_trapezoid", "cumulative_simpson"):
        found = getattr(integrate, name)(tg.tensor(y), initial=0).numpy()
        np.testing.assert_allclose(found, getattr(scipy.integrate, name)(y, initial=0), rtol=1e-12)
    assert integrate.simpson(np.arange(5)).item() == scipy.integrate.simpson(np.arange(5))


# --- quadrature ------------------------------------------------------------------------------------------------------


def bump(x, p):
    return np.exp(-p[0] * x**2) * np.cos(p[1] * x)


INTEGRALS = {
    "limits and parameters": (lambda p, a, b: integrate.quad(bump, a, b, args=(p,))[0], (P, 0.1, 2.0)),
    "closure": (lambda p: integrate.quad(lambda x: bump(x, p), 0.0, p[2])[0], (P,)),
    "all numbers": (lambda p: integrate.quad(lambda x: bump(x, p), -np.inf, np.inf)[0], (P,)),
    "to infinity": (lambda p, a: integrate.quad(lambda x: bump(x, p), a, np.inf)[0], (P, 0.3)),
    "from infinity": (lambda p, b: integrate.quad(lambda x: bump(x, p), -np.inf, b)[0], (P, 0.3)),
    "downwards": (lambda p, a: integrate.quad(lambda x: bump(x, p), np.inf, a)[0], (P, 0.3)),
    "weight": (lambda p, b: integrate.quad(lambda x: np.exp(-p[0] * x), 0.0, b, weight="cos", wvar=3.0)[0], (P, 0.9)),
    "points": (lambda p: integrate.quad(lambda x: abs(x - 0.3) ** 0.5 * p[0], 0.0, 1.0, points=[0.3])[0], (P,)),
    "singular": (lambda p: integrate.quad(lambda x: np.log(x) * np.exp(-p[0] * x), 0.0, 1.0)[0], (P,)),
    "double": (lambda p: integrate.dblquad(lambda y, x: np.exp(-p[0] * x * y), 0.0, p[1], 0.0, lambda x: x * p[2])[0],
               (P,)),
    "double, limits": (lambda p: integrate.dblquad(lambda y, x: p[0] * x * y, 0.0, 1.0, 0.0, p[2])[0], (P,)),
    "several": (lambda p: integrate.nquad(lambda x, y, a: a * x * y**2, [lambda y, a: (0.0, a * y), (0.0, p[1])],
                                          args=(p[0],))[0], (P,)),
    "fixed": (lambda p, b: integrate.fixed_quad(lambda x: np.exp(-p[0] * x), 0.0, b)[0], (P, 0.7)),
}  # fmt: skip


@pytest.mark.parametrize("name", INTEGRALS)
def test_integrals(name):
    function, args = INTEGRALS[name]
    order = 1 if name in ("double", "double, limits", "several", "singular", "points") else 2
    tg.check_grads(function, args, order=order, atol=1e-5)


def test_an_integral_over_three_variables():
    def mass(p):
        box = (0.0, p[1], 0.0, lambda x: x, 0.0, lambda x, y: y)
        return integrate.tplquad(lambda z, y, x: p[0] * z, *box, epsabs=1e-4, epsrel=1e-4)[0]

    np.testing.assert_allclose(tg.grad(mass)(P), [P[1] ** 4 / 24.0, P[0] * P[1] ** 3 / 6.0, 0.0], rtol=1e-10)


def test_what_has_no_gradient_is_scipys():
    for options in ({"full_output": 1}, {"weight": "alg", "wvar": (0.5, 0.2)}, {"weight": "cauchy", "wvar": 0.3}):
        found, expected = (q(np.cos, 0.0, 2.0, **options) for q in (integrate.quad, scipy.integrate.quad))
        assert found[:2] == expected[:2] and len(found) == len(expected)
    assert integrate.quad(lambda x: np.exp(1j * x), 0.0, 1.0, complex_func=True)[0].imag > 0.4
    ranges = [lambda y: (0.0, y), [0.0, 2.0]]
    for q in (integrate.nquad, scipy.integrate.nquad):
        assert q(lambda x, y: x * y, ranges, opts={"epsabs": 1e-12})[0] == pytest.approx(2.0, rel=1e-12)


def test_an_integral_is_scipys():
    ours, theirs = (q(bump, 0.1, 2.0, args=(P,)) for q in (integrate.quad, scipy.integrate.quad))
    assert ours == theirs and type(ours[0]) is float
    found = integrate.quad(bump, 0.1, 2.0, args=(tg.tensor(P, requires_grad=True),))
    assert found[0].item() == theirs[0] and found[1] == theirs[1]


def test_a_derivative_that_the_value_says_nothing_of():
    """At p = 0 the integrand is 0, which one rule finds at once; its derivative has a narrow peak."""
    peak = lambda x: np.exp(-1e6 * (x - 0.371) ** 2)
    slope = tg.grad(lambda p: integrate.quad(lambda x: p * peak(x), 0.0, 1.0, points=[0.371])[0])(0.0)
    np.testing.assert_allclose(slope, np.sqrt(np.pi) * 1e-3, rtol=1e-6)


def test_integrals_that_are_refused():
    for kwargs, words in (({"complex_func": True}, "complex_func"), ({"weight": "alg", "wvar": (0, 0)}, "not 'alg'")):
        with pytest.raises(NotImplementedError, match=words):
            integrate.quad(np.exp, 0.0, tg.tensor(1.0, requires_grad=True), **kwargs)
    with pytest.raises(TypeError, match="cannot be part of a compiled function"):
        tg.compile(lambda b: integrate.quad(np.exp, 0.0, b)[0])(1.0)


# --- initial value problems ------------------------------------------------------------------------------------------


def prey(t, y, p):
    return [p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + 0.2 * y[0] * y[1] + 0.1 * np.sin(t)]


TIMES = np.linspace(0.0, 2.0, 5)
METHODS = ["RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"]


def reference(start, p, times=TIMES, rate=prey):
    """The solution to all digits."""
    span = (times[0], times[-1])
    return scipy.integrate.solve_ivp(rate, span, start, "DOP853", times, args=(p,), rtol=1e-12, atol=1e-12).y


def slope_of(function, x, step=1e-4):
    """The gradient of a function to numbers, by differences of fourth order."""
    found = []
    for e in np.eye(x.size):
        near, far = (function(x + h * e) - function(x - h * e) for h in (step, 2.0 * step))
        found.append((8.0 * near - far) / (12.0 * step))
    return np.array(found)


@pytest.mark.parametrize("method", METHODS)
def test_methods(method):
    options = {"method": method, "t_eval": TIMES, "rtol": 1e-8, "atol": 1e-10}

    def solve(start, p, **more):
        return integrate.solve_ivp(prey, (0.0, 2.0), start, args=(p,), **options, **more).y

    theirs = scipy.integrate.solve_ivp(prey, (0.0, 2.0), START, args=(P,), **options).y
    np.testing.assert_array_equal(solve(START, P), theirs)
    traced = solve(tg.tensor(START, requires_grad=True), P).detach().numpy()
    np.testing.assert_allclose(traced, theirs, rtol=1e-6)
    weights = RNG.normal(size=theirs.shape)
    by_start, by_p = tg.grad(lambda s, p: np.sum(weights * solve(s, p)), argnums=(0, 1))(START, P)
    np.testing.assert_allclose(by_start, slope_of(lambda s: np.sum(weights * reference(s, P)), START), rtol=1e-5)
    np.testing.assert_allclose(by_p, slope_of(lambda p: np.sum(weights * reference(START, p)), P), rtol=1e-5)


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853", "Radau"])
def test_gradients_are_those_of_the_numerical_solution(method):
    """With the steps held, to the last digit: that is where the tolerances do not matter."""
    options = {"method": method, "t_eval": TIMES[:3], "first_step": 0.25, "max_step": 0.25, "rtol": 0.9, "atol": 9.0}

    def solve(start, p):
        return integrate.solve_ivp(prey, (0.0, 1.0), start, args=(p,), **options).y

    tg.check_grads(solve, (START, P), order=2 if method in ("RK23", "Radau") else 1, rtol=1e-4 if method == "Radau" else
                   1e-6, atol=1e-4 if method == "Radau" else 1e-6)  # fmt: skip


def test_times_are_differentiable():
    def at(times, ends, p):
        return integrate.solve_ivp(prey, ends, START, t_eval=times, args=(p,), rtol=1e-9, atol=1e-11).y

    times = np.array([0.3, 0.9, 1.4])
    by_times = tg.grad(lambda t: np.sum(at(t, (0.0, 2.0), P)[0]))(times)
    rates = [prey(t, y, P)[0] for t, y in zip(times, at(times, (0.0, 2.0), P).T, strict=True)]
    np.testing.assert_allclose(by_times, rates, rtol=1e-5)

    def last(ends):
        return integrate.solve_ivp(prey, (ends[0], ends[1]), START, args=(P,), rtol=1e-9, atol=1e-11).y[0, -1]

    ends = np.array([0.1, 1.7])
    plain = lambda e: reference(START, P, np.array(e))[0, -1]
    np.testing.assert_allclose(tg.grad(last)(ends), slope_of(plain, ends), rtol=1e-5)
    points = tg.grad(lambda b: np.sum(integrate.solve_ivp(prey, (0.0, b), START, args=(P,)).t))(2.0)
    assert points > 1.0  # the ends of the steps move in proportion


def test_closures_dense_output_and_going_backwards():
    def between(p):
        sol = integrate.solve_ivp(
            lambda t, y: np.stack(prey(t, y, p)), (2.0, 0.0), START, rtol=1e-9, atol=1e-11, dense_output=True
        ).sol
        return sol(0.7)[0] + np.sum(sol(np.array([1.9, 0.2, 1.1]))[1])

    theirs = lambda p: (
        scipy.integrate.solve_ivp(prey, (2.0, 0.0), START, args=(p,), rtol=1e-12, atol=1e-12, dense_output=True).sol
    )
    total = lambda p: theirs(p)(0.7)[0] + np.sum(theirs(p)([1.9, 0.2, 1.1])[1])
    np.testing.assert_allclose(between(P), total(P), rtol=1e-7)
    np.testing.assert_allclose(tg.grad(between)(P), slope_of(total, P), rtol=1e-5)


def fall(t, y, g):
    return [y[1], -g - 0.1 * y[1]]


def ground(t, y, *args):
    return y[0]


ground.terminal, ground.direction = True, -1


@pytest.mark.parametrize("method", ["RK45", "Radau", "LSODA"])
def test_events(method):
    def landing(height, g):
        found = integrate.solve_ivp(
            fall, (0.0, 10.0), [height, 1.0], method, events=ground, args=(g,), rtol=1e-9, atol=1e-11
        )
        assert found.status == 1 and found.t.shape[0] == found.y.shape[1]
        return found.t_events[0][0], found.y_events[0][0, 1], found.t[-1], found.y[1, -1]

    def plain(height, g):
        found = scipy.integrate.solve_ivp(
            fall, (0.0, 10.0), [height, 1.0], events=ground, args=(g,), rtol=1e-12, atol=1e-12
        )
        return np.array([found.t_events[0][0], found.y_events[0][0, 1], found.t[-1], found.y[1, -1]])

    np.testing.assert_allclose(landing(3.0, 9.81), plain(3.0, 9.81), rtol=1e-6)
    for k in range(4):
        found = tg.grad(lambda h, g, k=k: landing(h, g)[k], argnums=(0, 1))(3.0, 9.81)
        expected = slope_of(lambda x, k=k: plain(*x)[k], np.array([3.0, 9.81]))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_complex_and_vectorized():
    def last(w):
        y = integrate.solve_ivp(lambda t, y: 1j * w * y, (0.0, 1.0), np.array([1.0 + 0j]), rtol=1e-9, atol=1e-11).y
        return np.imag(y[0, -1])

    np.testing.assert_allclose(tg.grad(last)(0.7), np.cos(0.7), rtol=1e-6)
    columns = lambda p: integrate.solve_ivp(lambda t, y: -p * y, (0.0, 1.0), START, vectorized=True, rtol=1e-8).y[0, -1]
    np.testing.assert_allclose(tg.grad(columns)(0.7), -2.0 * np.exp(-0.7), rtol=1e-4)


@pytest.mark.parametrize("stiff", [False, True])
def test_odeint(stiff):
    rate = (
        (lambda y, t, p: [-1e4 * p[0] * (y[0] - np.cos(t)), p[1] * y[0]]) if stiff else (lambda y, t, p: prey(t, y, p))
    )
    times = np.linspace(0.0, 1.0, 4)

    def solve(start, times, p):
        return integrate.odeint(rate, start, times, args=(p,))

    theirs = scipy.integrate.odeint(rate, START, times, args=(P,))
    np.testing.assert_array_equal(solve(START, times, P), theirs)
    found = tg.grad(lambda s, t, p: np.sum(solve(s, t, p)[1:, 1]), argnums=(0, 1, 2))(START, times, P)

    def exact(start, times, p):
        tight = {"method": "Radau" if stiff else "DOP853", "rtol": 1e-11, "atol": 1e-11}
        return scipy.integrate.solve_ivp(lambda t, y: rate(y, t, p), (times[0], times[-1]), start, t_eval=times,
                                         **tight).y[1, 1:].sum()  # fmt: skip

    np.testing.assert_allclose(found[0], slope_of(lambda s: exact(s, times, P), START), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[2], slope_of(lambda p: exact(START, times, p), P), rtol=1e-4, atol=1e-6)
    rates = [rate(y, t, P)[1] for y, t in zip(theirs[1:], times[1:], strict=True)]
    np.testing.assert_allclose(found[1][1:], rates, rtol=1e-4)
    with pytest.raises(NotImplementedError, match="full_output"):
        tg.grad(lambda s: np.sum(integrate.odeint(rate, s, times, args=(P,), full_output=True)[0]))(START)


def test_a_failed_solution_is_refused():
    blow_up = lambda p: integrate.solve_ivp(lambda t, y: y**2 * p, (0.0, 2.0), [1.0]).y[0, -1]
    with pytest.raises(RuntimeError, match="the solver failed"):
        tg.grad(blow_up)(1.0)
    with pytest.raises(ValueError, match="method is one of RK23"):
        tg.grad(lambda p: integrate.solve_ivp(lambda t, y: -p * y, (0, 1), START, "Euler").y[0, -1])(1.0)


def test_plain_results_are_scipys():
    found = integrate.solve_ivp(prey, (0.0, 2.0), START, args=(P,), events=lambda t, y, p: y[0] - 1.0)
    theirs = scipy.integrate.solve_ivp(prey, (0.0, 2.0), START, args=(P,), events=lambda t, y, p: y[0] - 1.0)
    np.testing.assert_array_equal(found.y, theirs.y)
    assert found.t_events[0].shape == theirs.t_events[0].shape
    assert integrate.quad_vec is scipy.integrate.quad_vec


def test_times_as_a_list():
    def end(p):
        y = integrate.solve_ivp(lambda t, y: -p * y, (0, 1), [1.0, 2.0], t_eval=[0.5, 1.0], rtol=1e-9, atol=1e-11).y
        return np.sum(y)

    np.testing.assert_allclose(tg.grad(end)(0.7), -3.0 * (0.5 * np.exp(-0.35) + np.exp(-0.7)), rtol=1e-7)


@pytest.mark.parametrize("times", [[0.0, 0.5], (0, 0.25, 0.5)])
def test_odeint_at_times_in_a_list(times):
    def end(p):
        return integrate.odeint(lambda y, t: -p * y, [1.0, 2.0], times)[-1, 0]

    np.testing.assert_allclose(tg.grad(end)(0.7), -0.5 * np.exp(-0.35), rtol=1e-6)
    later = lambda s: integrate.odeint(lambda y, t: -y, [1.0, 2.0], [0.0, s])[-1, 0]
    np.testing.assert_allclose(tg.grad(later)(0.7), -np.exp(-0.7), rtol=1e-6)
