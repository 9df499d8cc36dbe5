"""tapegrad.scipy.optimize: SciPy's results, and their derivatives against differences of SciPy's results."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
import scipy.optimize

import tapegrad as tg
from tapegrad.scipy import optimize

A = np.array([[3.0, 1.0], [0.5, 2.0]])
P = np.array([1.2, 0.7])
TIMES = np.arange(5.0)
SAMPLES = np.exp(-0.3 * TIMES) + 0.1 * np.sin(3.0 * TIMES)
TIGHT = {"xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}


def system(x, p):
    return [x[0] ** 3 + x[1] - p[0], x[1] * 2.0 - np.sin(x[0]) * p[1]]


def cost(x, p):
    return np.sum((x - p) ** 2) + x[0] * x[1] + np.sum(x**4)


def decay(x, samples):
    return np.exp(-x[0] * TIMES) * x[1] - samples


SOLVERS = {
    "root": (lambda o, p: o.root(system, np.ones(2), args=(p,), tol=1e-13).x, P, 2),
    "root lm": (lambda o, p: o.root(lambda x: system(x, p), np.ones(2), method="lm", tol=1e-13).x, P, 1),
    "root krylov": (lambda o, p: o.root(lambda x: np.stack(system(x, p)), np.ones(2), method="krylov", tol=1e-13).x,
                    P, 1),
    "fsolve": (lambda o, p: o.fsolve(lambda x: x**3 - p, np.ones(2), xtol=1e-13), P, 1),
    "brentq": (lambda o, p: o.brentq(lambda x: np.exp(x) - p * x**2 - 3.0, 0.0, 2.0), 0.7, 2),
    "bisect": (lambda o, p: o.bisect(lambda x: x**3 - p, 0.0, 2.0, xtol=1e-13), 0.7, 1),
    "toms748": (lambda o, p: o.toms748(lambda x, q: x**3 - q, 0.0, 2.0, args=(p,)), 0.7, 1),
    "newton": (lambda o, p: o.newton(lambda x: x**3 - p, 1.0), 2.0, 2),
    "newton Halley": (lambda o, p: o.newton(lambda x, q: x**3 - q, 1.0, lambda x, q: 3.0 * x**2, (p,),
                                            fprime2=lambda x, q: 6.0 * x, full_output=True)[0], 2.0, 1),
    "newton secant": (lambda o, p: o.newton(lambda x: x**3 - p, 1.0, x1=1.5, tol=1e-13), 2.0, 1),
    "newton of many": (lambda o, p: o.newton(lambda x: x**3 - p, np.ones(2), tol=1e-13), P, 2),
    "newton of one": (lambda o, p: o.newton(lambda x: x**3 - p, np.ones(1), tol=1e-13), P[:1], 1),
    "root_scalar": (lambda o, p: o.root_scalar(lambda x: x**3 - p, bracket=(0.0, 2.0)).root, 2.0, 1),
    "fixed_point": (lambda o, p: o.fixed_point(lambda x: np.cos(x * p), 0.5, xtol=1e-13), 0.7, 2),
    "minimize": (lambda o, p: o.minimize(cost, np.ones(2), args=(p,), tol=1e-12).x, P, 2),
    "minimize value": (lambda o, p: o.minimize(cost, np.ones(2), args=(p,), tol=1e-12).fun, P, 1),
    "minimize Newton": (lambda o, p: o.minimize(cost, np.ones(2), args=(p,), method="Newton-CG", tol=1e-12,
                                                **({} if o is optimize else derivatives())).x, P, 1),
    "minimize bounds": (lambda o, p: o.minimize(lambda x: cost(x, p), np.ones(2), bounds=[(0.0, 0.3), (None, None)],
                                                method="L-BFGS-B", options={"gtol": 1e-12, "ftol": 1e-15}).x, P, 1),
    "minimize_scalar": (lambda o, p: o.minimize_scalar(lambda x: (x - np.sin(p)) ** 4 + (x - p) ** 2,
                                                       tol=1e-12).x, 0.7, 2),
    "least_squares": (lambda o, p: o.least_squares(decay, np.array([0.5, 1.0]), args=(p,), **TIGHT).x, SAMPLES, 2),
    "least_squares cost": (lambda o, p: o.least_squares(decay, np.array([0.5, 1.0]), args=(p,), **TIGHT).cost,
                           SAMPLES, 1),
    **{f"least_squares {loss}": (lambda o, p, loss=loss: o.least_squares(
        decay, np.array([0.5, 1.0]), args=(p,), loss=loss, f_scale=0.05, **TIGHT).x, SAMPLES, 1)
       for loss in ("soft_l1", "huber", "cauchy", "arctan")},
    **{f"curve_fit {name}": (lambda o, p, options=options: o.curve_fit(
        lambda t, a, b: a * np.exp(-b * t), TIMES, p, **options, **TIGHT)[0], SAMPLES, 1)
       for name, options in {
           "covariance": {"sigma": np.diag(1.0 + TIMES) + 0.1},
           "jac": {"jac": lambda t, a, b: np.stack([np.exp(-b * t), -a * t * np.exp(-b * t)], 1), "sigma": 1.0 + TIMES},
           "bounds": {"bounds": ([0.0, 0.0], [9.0, np.inf]), "check_finite": False},
           "full": {"full_output": True, "p0": [0.5, 1.0]},
       }.items()},
    "curve_fit calls": (lambda o, p: o.curve_fit(lambda t, a, b: a * np.exp(-b * t), list(TIMES), p, None, None, True,
                                                 maxfev=900, xtol=1e-13)[1], SAMPLES, 1),
    "root_scalar both": (lambda o, p: o.root_scalar(lambda x: (x**3 - p, 3.0 * x**2), x0=1.0, fprime=True,
                                                    xtol=1e-13).root, 2.0, 1),
    "curve_fit": (lambda o, p: o.curve_fit(lambda t, a, b: a * np.exp(-b * t), TIMES, p, **TIGHT), SAMPLES, 1),
}  # fmt: skip


def derivatives():
    return {"jac": lambda x, p: tg.grad(cost)(x, p), "hess": lambda x, p: tg.hessian(cost)(x, p)}


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers(name):
    solve, p, order = SOLVERS[name]
    for found, expected in zip(solve(optimize, p), solve(scipy.optimize, p), strict=True) if name == "curve_fit" else [
        (solve(optimize, p), solve(scipy.optimize, p))
    ]:  # fmt: skip
        assert not isinstance(found, tg.Tensor)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    tg.check_grads(lambda p: solve(optimize, p), (p,), order=order, atol=1e-5, rtol=2e-5)


METHODS = (
    "Nelder-Mead Powell CG BFGS Newton-CG L-BFGS-B TNC COBYLA SLSQP trust-constr dogleg trust-ncg trust-exact "
    "trust-krylov"
).split()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gets_the_derivatives_that_it_needs(method):
    found = optimize.minimize(cost, np.zeros(2), args=(P,), method=method)
    np.testing.assert_allclose(found.x, optimize.minimize(cost, np.zeros(2), args=(P,), tol=1e-12).x, atol=1e-3)


def test_derivatives_of_the_users_own():
    solve = {
        "pair": lambda p: optimize.minimize(lambda x: (cost(x, p), tg.grad(cost)(x, p)), P, jac=True, tol=1e-12).x,
        "jac": lambda p: optimize.minimize(cost, P, args=(p,), jac=tg.grad(cost), tol=1e-12).x,
        "fprime": lambda p: optimize.fsolve(lambda x: x**3 - p, P, fprime=lambda x: np.diag(3.0 * x**2), xtol=1e-13),
        "halley": lambda p: (
            optimize.root_scalar(lambda x: x**3 - p[0], x0=1.0, fprime=lambda x: 3.0 * x**2, method="halley").root
        ),
        "residuals": lambda p: (
            optimize.least_squares(decay, P, args=(SAMPLES * p[0],), jac=lambda x, s: tg.jacfwd(decay)(x, s), **TIGHT).x
        ),
    }
    for function in solve.values():
        tg.check_grads(function, (P,), atol=1e-5)


def test_plain_scipy_takes_our_gradients():
    """The one-liners of the documentation."""
    found = scipy.optimize.minimize(tg.value_and_grad(cost), np.zeros(2), args=(P,), jac=True)
    np.testing.assert_allclose(found.x, optimize.minimize(cost, np.zeros(2), args=(P,)).x, atol=1e-5)
    exact = scipy.optimize.minimize(cost, P, args=(P,), jac=tg.grad(cost), hess=tg.hessian(cost), method="trust-exact")
    np.testing.assert_allclose(exact.x, found.x, atol=1e-5)
    solved = scipy.optimize.root(lambda x: np.stack(system(x, P)), P, jac=tg.jacrev(lambda x: np.stack(system(x, P))))
    np.testing.assert_allclose(system(solved.x, P), 0.0, atol=1e-10)
    fitted = scipy.optimize.least_squares(decay, np.ones(2), tg.jacfwd(decay), args=(SAMPLES,))
    np.testing.assert_allclose(fitted.x, optimize.least_squares(decay, np.ones(2), args=(SAMPLES,)).x, atol=1e-6)


def test_constraints_are_for_plain_values():
    constraints = {"type": "eq", "fun": lambda x: x[0] - x[1]}
    found = optimize.minimize(lambda x: np.sum((x - P) ** 2), np.zeros(2), constraints=constraints)
    np.testing.assert_allclose(found.x, [0.95, 0.95], atol=1e-6)
    with pytest.raises(NotImplementedError, match="under constraints cannot be differentiated yet"):
        tg.grad(lambda p: optimize.minimize(lambda x: np.sum((x - p) ** 2), P, constraints=constraints).x[0])(P)
    moving = lambda p: {"type": "eq", "fun": lambda x, q: x[0] - x[1] - q, "args": (p,)}
    with pytest.raises(NotImplementedError, match="under constraints"):
        tg.grad(lambda p: optimize.minimize(lambda x: np.sum(x**2), P, constraints=moving(p)).x[0])(0.5)


def test_what_did_not_converge_is_refused():
    with pytest.raises(ValueError, match=r"a Newton step .* far. Let the solver converge"):
        tg.grad(lambda p: optimize.minimize(cost, np.zeros(2), args=(p,), options={"maxiter": 1}).x[0])(P * 10.0)
    with pytest.raises(ValueError, match="loss is one of"):
        optimize.least_squares(decay, P, args=(SAMPLES,), loss=np.log1p)


def test_the_rest_is_scipys():
    assert optimize.linprog is scipy.optimize.linprog
