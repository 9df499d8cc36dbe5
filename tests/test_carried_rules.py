"""Rules of the user's own, and of solvers, in all that sweeps for many examples at once: no derivative is lost.

Second derivatives are compared with those of plain sweeps in a Python loop, and these with those of the same function
written without such rules.
"""

import numpy as np
import pytest

import tapegrad as tg
import tapegrad.scipy as sp

X = np.array([0.4, 0.9])


def smooth(x):
    """What all functions here are, as far as their rules are right."""
    return np.sin(x[0]) * x[1] ** 2 + np.exp(0.5 * x[0] * x[1])


def inner(x):
    return np.stack([np.sin(x[0]) * x[1], x[0] * x[1] ** 2 + 2.0])


def outer(y):
    return y[0] ** 2 * y[1] + np.sin(y[1])


def composed(x):
    return outer(inner(x))


def by_root(x):
    square = inner(x)
    found = np.sqrt(np.abs(tg.stop_gradient(square)))
    return outer(tg.implicit_root(lambda z: z * z * z - square * z, found) ** 2)


def by_known_root(x):
    a = inner(x)
    known = np.eye(2)
    return outer(tg.implicit_root(lambda z: z - a, tg.stop_gradient(a), jacobian=known))


def by_minimum(x):
    a = inner(x)
    return outer(tg.implicit_minimum(lambda z: np.sum(np.cosh(z - a)), tg.stop_gradient(a)))


def by_scipy_minimum(x):
    a = inner(x)
    found = sp.optimize.minimize(lambda z: np.sum((z - a) ** 2 + 0.1 * (z - a) ** 4), np.zeros(2), tol=1e-10)
    return outer(found.x)


def by_solve(x):
    m = np.stack([np.stack([2.0 + x[0] ** 2, x[1]]), np.stack([x[0], 3.0 + x[1]])])
    return outer(np.linalg.solve(m, m @ inner(x)))


def by_scipy_solve(x):
    m = np.stack([np.stack([2.0 + x[0] ** 2, x[1]]), np.stack([x[0], 3.0 + x[1]])])
    return outer(sp.linalg.solve(m, m @ inner(x)))


@tg.custom_vjp
def with_pullback(x):
    return inner(x)


def _pullback(x, bar):
    s, c = np.sin(x[0]), np.cos(x[0])
    return (np.stack([bar[0] * c * x[1] + bar[1] * x[1] ** 2, bar[0] * s + 2.0 * bar[1] * x[0] * x[1]]),)


with_pullback.defvjp(lambda x: (inner(x), x), _pullback)


@tg.custom_jvp
def with_pushforward(x):
    return inner(x)


@with_pushforward.defjvp
def _pushforward(primals, tangents):
    (x,), (t,) = primals, tangents
    first = np.cos(x[0]) * x[1] * t[0] + np.sin(x[0]) * t[1]
    return with_pushforward(x), np.stack([first, x[1] ** 2 * t[0] + 2.0 * x[0] * x[1] * t[1]])


class Inner(tg.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return inner(x)

    @staticmethod
    def backward(ctx, bar):
        return _pullback(ctx.saved_tensors[0], bar)[0]


class Curious(Inner):
    """Its backward looks at the cotangent's values, which are others for each of a batch."""

    @staticmethod
    def backward(ctx, bar):
        if float(tg.stop_gradient(bar)[0]) > 1e6:
            return None
        return _pullback(ctx.saved_tensors[0], bar)[0]


def by_pullback(x):
    return outer(with_pullback(x))


def by_pushforward(x):
    return outer(with_pushforward(x))


def by_checkpoint(x):
    return outer(tg.checkpoint(inner)(x))


def by_function(x):
    return outer(Inner.apply(x))


def by_curious_function(x):
    return outer(Curious.apply(x))


def by_integral(x):
    """Of a linear function, with limits that move, too."""
    a = inner(x)
    first, _ = sp.integrate.quad(lambda t: 2.0 * t * a[0], 0.0, 1.0)
    second, _ = sp.integrate.quad(lambda t: 1.0, 0.0, a[1])
    return outer(np.stack([first, second]))


def by_equation(x):
    a = inner(x)
    found = sp.integrate.solve_ivp(lambda t, y: a, (0.0, 1.0), np.zeros(2), rtol=1e-3)
    return outer(found.y[:, -1])


def by_stiff_equation(x):
    a = inner(x)
    found = sp.integrate.solve_ivp(lambda t, y: a, (0.0, 1.0), np.zeros(2), method="Radau", rtol=1e-3)
    return outer(found.y[:, -1])


WAYS = [
    by_root,
    by_known_root,
    by_minimum,
    by_scipy_minimum,
    by_solve,
    by_scipy_solve,
    by_pullback,
    by_pushforward,
    by_checkpoint,
    by_function,
    by_curious_function,
    by_integral,
    by_equation,
    by_stiff_equation,
]


def looped(f, x):
    """The second derivatives, each row by a plain sweep over a plain sweep."""
    return np.stack([tg.grad(lambda z, k=k: tg.grad(f)(z)[k])(x) for k in range(x.size)])


@pytest.mark.parametrize("f", WAYS)
def test_second_derivatives(f):
    expected = looped(composed, X)
    np.testing.assert_allclose(looped(f, X), expected, rtol=1e-5)
    for second in (
        tg.hessian(f),
        tg.jacfwd(tg.grad(f)),
        tg.jacrev(tg.grad(f)),
        tg.jacfwd(tg.jacfwd(f)),
        tg.jacrev(tg.jacfwd(f)),
        tg.jacrev(tg.jacrev(f)),
    ):
        np.testing.assert_allclose(second(X), looped(f, X), rtol=1e-7)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("f", WAYS)
def test_batches_of_cotangents(f, create_graph):
    t = tg.tensor(X, requires_grad=True)
    (first,) = tg.autograd.grad(f(t), t, create_graph=True)
    (second,) = tg.autograd.grad(first, t, np.eye(2), is_grads_batched=True, create_graph=create_graph)
    np.testing.assert_allclose(second.detach(), looped(f, X), rtol=1e-7)
    assert second.requires_grad == create_graph


def test_the_third_derivative_of_a_root():
    expected = np.stack([looped(lambda x, k=k: tg.grad(composed)(x)[k], X) for k in range(2)])
    for third in (tg.jacfwd(tg.hessian(by_root)), tg.jacrev(tg.hessian(by_root)), tg.hessian(tg.grad(by_root))):
        np.testing.assert_allclose(third(X), expected, rtol=1e-8)


SOLVERS = (by_root, by_known_root, by_minimum, by_scipy_minimum, by_integral, by_equation, by_stiff_equation)


@pytest.mark.parametrize("f", WAYS)
def test_gradients_of_many_examples(f):
    """Solvers cannot look at many examples at once, and say so."""
    stack = np.stack([X, 0.5 * X, X + 0.1])
    if f in (*SOLVERS, by_curious_function):
        with pytest.raises(tg.errors.BatchedValueError, match="example"):
            tg.vmap(tg.grad(f))(stack)
        return
    np.testing.assert_allclose(tg.vmap(tg.grad(f))(stack), [tg.grad(f)(x) for x in stack], rtol=1e-12)
    np.testing.assert_allclose(tg.vmap(tg.hessian(f))(stack), [looped(f, x) for x in stack], rtol=1e-10)


@tg.custom_vjp
def cube(x):
    return x**3


cube.defvjp(lambda x: (x**3, x), lambda x, bar: (bar * tg.grad(lambda z: z**3)(x),))


class Cube(tg.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, bar):
        return bar * tg.grad(lambda z: z**3)(ctx.saved_tensors[0])


@pytest.mark.parametrize("f", [cube, Cube.apply])
def test_rules_that_differentiate(f):
    """A gradient inside of a rule is differentiated with the rule, wherever that is recorded."""
    twice = tg.grad(tg.grad(f))
    for second in (twice, tg.compile(twice), tg.hessian(f), tg.compile(tg.hessian(f)), tg.jacrev(tg.grad(f))):
        assert second(2.0) == pytest.approx(12.0)
    np.testing.assert_allclose(tg.vmap(twice)(np.array([1.0, 2.0])), [6.0, 12.0])
    np.testing.assert_allclose(tg.compile(tg.vmap(twice))(np.array([1.0, 2.0])), [6.0, 12.0])
    assert tg.grad(lambda x: tg.vmap(tg.grad(f))(np.stack([x, x])).sum())(2.0) == pytest.approx(24.0)


def test_what_a_checkpoint_captures():
    def f(a):
        b = a**2
        return tg.checkpoint(lambda x: np.sin(x) * b)(a)

    def plain(a):
        return np.sin(a) * a**2

    for way in (tg.grad, tg.hessian, lambda f: tg.grad(tg.grad(f)), lambda f: tg.jacfwd(tg.jacfwd(f))):
        expected = way(plain)(0.7)
        np.testing.assert_allclose(way(f)(0.7), expected, rtol=1e-12)
        np.testing.assert_allclose(tg.compile(way(f))(0.7), expected, rtol=1e-12)
        np.testing.assert_allclose(tg.vmap(way(f))(np.array([0.7, 0.7])), [expected, expected], rtol=1e-12)
    w = tg.tensor(2.0, requires_grad=True)
    assert isinstance(tg.checkpoint(np.sin)(X), np.ndarray)
    tg.checkpoint(lambda x, scale: np.sum(scale * x * w))(X, scale=3.0).backward()
    assert w.grad.item() == pytest.approx(3.0 * X.sum())


def test_gradients_of_many_examples_depend_on_what_was_captured():
    w = tg.tensor(2.0, requires_grad=True)
    tg.vmap(tg.grad(lambda x: (x * w) ** 3))(tg.tensor([1.0, 2.0])).sum().backward()
    assert w.grad.item() == pytest.approx(9.0 * 4.0 * (1.0 + 4.0))


def test_sweeps_within_a_batch_reach_what_was_computed_outside():
    def f(a):
        b = np.sin(a)
        return tg.vmap(lambda x: tg.autograd.grad(x * b**2, b, create_graph=True)[0])(np.array([1.0, 2.0])).sum()

    assert tg.grad(f)(0.5) == pytest.approx(6.0 * np.cos(0.5))
