"""Rules of the user's own, checkpoints, elementwise gradients, and the check of gradients."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

X = np.array([0.3, -1.2, 2.0])
Y = np.array([1.5, 0.2, -0.7])


def times_sine(x, y):
    return x * np.sin(y)


def with_vjp():
    f = tg.custom_vjp(times_sine)
    f.defvjp(
        lambda x, y: (x * np.sin(y), (np.sin(y), x * np.cos(y))),
        lambda residuals, g: (g * residuals[0], g * residuals[1]),
    )
    return f


def with_jvp():
    f = tg.custom_jvp(times_sine)
    f.defjvp(lambda p, t: (f(*p), np.sin(p[1]) * t[0] + p[0] * np.cos(p[1]) * t[1]))
    return f


def with_jvps():
    f = tg.custom_jvp(times_sine)
    f.defjvps(lambda t, ans, x, y: np.sin(y) * t, lambda t, ans, x, y: x * np.cos(y) * t)
    return f


def with_rule():
    return tg.primitive(times_sine, vjp=lambda g, ans, x, y: (g * np.sin(y), g * x * np.cos(y)))


def again():
    return tg.checkpoint(times_sine)


MAKERS = [with_vjp, with_jvp, with_jvps, with_rule, again]
each = pytest.mark.parametrize("make", MAKERS)


@each
def test_gradients_of_first_and_second_order_in_both_modes(make):
    f = make()
    np.testing.assert_allclose(f(X, Y), times_sine(X, Y))
    tg.check_grads(f, (X, Y), order=2)


@each
def test_inside_other_functions(make):
    f = make()

    def outer(x, y, function):
        return np.sum(function(np.exp(x), y * y) * x)

    for k in (0, 1):
        found = tg.grad(lambda x, y: outer(x, y, f), argnums=k)(X, Y)
        np.testing.assert_allclose(found, tg.grad(lambda x, y: outer(x, y, times_sine), argnums=k)(X, Y), rtol=1e-12)


@each
def test_compiled(make):
    f = make()
    both = tg.value_and_grad(lambda x, y: np.sum(f(x, y) * x), argnums=(0, 1))
    compiled = tg.compile(both)
    for x in (X, X + 0.5):
        (value, bars), (expected, others) = compiled(x, Y), both(x, Y)
        np.testing.assert_allclose(value, expected, rtol=1e-14)
        np.testing.assert_allclose(bars, others, rtol=1e-14)


@pytest.mark.parametrize("make", [with_vjp, with_jvp, with_rule])
def test_the_rule_is_used(make):
    """A wrong rule gives a wrong gradient, and the check says where."""
    f = make()
    if make is with_vjp:
        f.defvjp(lambda x, y: (x * np.sin(y), (x, y)), lambda r, g: (g * np.sin(r[1]), 1.1 * g * r[0] * np.cos(r[1])))
    elif make is with_jvp:
        f.defjvp(lambda p, t: (f(*p), np.sin(p[1]) * t[0] + 1.1 * p[0] * np.cos(p[1]) * t[1]))
    else:
        f.defvjp(lambda g, ans, x, y: (g * np.sin(y), 1.1 * g * x * np.cos(y)))
    with pytest.raises(AssertionError, match=r"order 1, mode rev, argument 1, entry \[0\]: .* \(error "):
        tg.check_grads(f, (X, Y), modes=("rev",))


def test_containers_and_arguments_that_are_not_differentiated():
    f = tg.custom_vjp(lambda power, tree: {"y": tree["a"] ** power * tree["b"]}, nondiff_argnums=(0,))
    f.defvjp(
        lambda power, tree: ({"y": tree["a"] ** power * tree["b"]}, tree),
        lambda power, tree, g: (
            {"a": g["y"] * power * tree["a"] ** (power - 1) * tree["b"], "b": g["y"] * tree["a"] ** power},
        ),
    )
    tree = {"a": np.abs(X), "b": Y}
    found = tg.grad(lambda t: np.sum(f(3, t)["y"]))(tree)
    np.testing.assert_allclose(found["a"], 3 * X**2 * Y)
    np.testing.assert_allclose(found["b"], np.abs(X) ** 3)


def test_rules_of_the_wrong_form_are_refused():
    f = tg.custom_vjp(times_sine)
    with pytest.raises(AttributeError, match="times_sine has no rule yet"):
        f(tg.tensor(X), Y)
    f.defvjp(lambda x, y: (x * y, None), lambda r, g: (g,))
    with pytest.raises(TypeError, match="gave 1 cotangents for 2 arguments"):
        tg.grad(lambda x: np.sum(f(x, Y)))(X)
    with pytest.raises(TypeError, match="without keywords"):
        f(x=tg.tensor(X), y=Y)
    with pytest.raises(NotImplementedError, match="has no rule yet"):
        tg.grad(lambda x: np.sum(tg.primitive(np.sin)(x)))(X)


def test_a_rule_of_plain_arrays_works_once():
    seen = []

    def fun(x):
        seen.append(type(x))
        return np.sin(x)

    f = tg.primitive(fun, vjp=lambda g, y, x: np.multiply(g, np.cos(x)), arrays=True)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(f(x) * x))(X), np.sin(X) + X * np.cos(X))
    compiled = tg.compile(tg.grad(lambda x: np.sum(f(x))))
    for x in (X, X + 1.0):
        np.testing.assert_allclose(compiled(x), np.cos(x))
    assert set(seen) == {np.ndarray}
    with pytest.raises(NotImplementedError, match="takes plain arrays, and cannot be differentiated"):
        tg.grad(lambda x: np.sum(tg.grad(lambda x: np.sum(f(x)))(x) ** 2))(X)


def test_numba_functions():
    numba = pytest.importorskip("numba")

    @numba.njit
    def smooth(x):
        y = x.copy()
        for i in range(1, x.size):
            y[i] = 0.5 * y[i - 1] + x[i]
        return y

    @numba.njit
    def transposed(g, y, x):
        bar = g.copy()
        for i in range(x.size - 2, -1, -1):
            bar[i] += 0.5 * bar[i + 1]
        return bar

    f = tg.primitive(smooth, vjp=transposed, arrays=True)
    f.check(X)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(f(x)))(X), [1.75, 1.5, 1.0])


def test_checkpoint_runs_the_function_again_and_keeps_nothing():
    calls = []

    def fun(x):
        calls.append(1)
        return np.sin(np.exp(x))

    f = tg.checkpoint(fun)
    gradient = tg.grad(lambda x: np.sum(f(x)))(X)
    np.testing.assert_allclose(gradient, np.cos(np.exp(X)) * np.exp(X))
    assert len(calls) == 2
    f(X)
    assert len(calls) == 3


def test_elementwise_grad():
    np.testing.assert_allclose(tg.elementwise_grad(np.tanh)(X), 1.0 - np.tanh(X) ** 2)
    found = tg.elementwise_grad(times_sine, argnums=(0, 1))(X, Y)
    np.testing.assert_allclose(found[0], np.sin(Y))
    np.testing.assert_allclose(found[1], X * np.cos(Y))


def test_check_grads_of_complex_numbers():
    z = np.array([0.3 + 1.0j, -2.0 + 0.5j])

    @tg.custom_vjp
    def wrong(z):
        return np.real(z) ** 2 + np.imag(z)

    wrong.defvjp(lambda z: (np.real(z) ** 2 + np.imag(z), z), lambda z, bar: ((2.0 * np.real(z) + 3.0j) * bar,))
    tg.check_grads(lambda z, x: (np.exp(z) * np.conj(z) * x, np.abs(z)), (z, X[:2]), order=2)
    with pytest.raises(AssertionError, match=r"argument 0, imaginary part, entry \[0\]"):
        tg.check_grads(wrong, (z,), modes=("rev",))


def test_check_grads_reports_and_passes():
    tg.check_grads(lambda t: {"s": t["x"] * t["y"][0]}, ({"x": X, "y": [Y]},), order=2)
    tg.check_grads(lambda x: np.sum(x**3), (RNG_LARGE,))

    def kinked(x):
        return tg.stop_gradient(x) * x

    with pytest.raises(AssertionError, match=r"order 1, mode fwd, argument 0, entry \[0\]"):
        tg.check_grads(kinked, (X,), modes=("fwd",))
    second = tg.custom_vjp(lambda x: x**3)
    second.defvjp(lambda x: (x**3, x), lambda x, g: (g * 3.0 * x * tg.stop_gradient(x),))
    tg.check_grads(second, (X,), modes=("rev",))
    with pytest.raises(AssertionError, match="order 2, mode rev"):
        tg.check_grads(second, (X,), order=2, modes=("rev",))
    with pytest.raises(ValueError, match="modes are 'fwd' and 'rev', not 'reverse'"):
        tg.check_grads(kinked, (X,), modes=("reverse",))


RNG_LARGE = np.linspace(-1.0, 1.0, 100).reshape(10, 10)
