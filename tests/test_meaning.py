"""Inside a transformation an element is a number, as in NumPy: also in rules, in what is run again, and in integrands.

Outside, it is a view of its array, as in PyTorch.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tapegrad as tg
import tapegrad.compat.autograd as compat

X = np.array([0.7, -1.2, 0.4])
W = np.array([1.0, 2.0, 3.0])


def swapped(x):
    y = x * 1.0
    y[0], y[1] = y[1], y[0]
    return np.sum(y * y * W)


def accumulated(x):
    y = x * 1.0
    total = y[0]
    total += y[1]
    return total * y[0]


def kept(x):
    y = x * 1.0
    first = y[0]
    y[0] = 5.0
    return first * y[2]


def copied(x):
    y = copy.deepcopy({"x": x * 2.0})["x"]
    return np.sum(y**2)


SLOPES = {
    swapped: lambda x: 2.0 * x * W[[1, 0, 2]],
    accumulated: lambda x: np.stack([2.0 * x[0] + x[1], x[0], 0.0 * x[0]]),
    kept: lambda x: np.stack([x[2], 0.0 * x[0], x[0]]),
    copied: lambda x: 8.0 * x,
}


def turned_twice(x):
    """`x`, by code that would give something else if elements were views."""
    y = x * 1.0
    y[0], y[1] = y[1], y[0]
    y[0], y[1] = y[1], y[0]
    return y


def checkpoint(f):
    return tg.checkpoint(f)


def nested_checkpoint(f):
    return tg.checkpoint(tg.checkpoint(f))


def custom_vjp(f):
    made = tg.custom_vjp(f)
    made.defvjp(lambda x: (f(x), x), lambda x, y_bar: (turned_twice(y_bar * SLOPES[f](x)),))
    return made


def custom_jvp(f):
    made = tg.custom_jvp(f)
    made.defjvp(lambda primals, tangents: (f(*primals), np.sum(turned_twice(SLOPES[f](primals[0])) * tangents[0])))
    return made


def primitive(f):
    return tg.primitive(f, vjp=lambda y_bar, y, x: turned_twice(y_bar * SLOPES[f](x)))


def function(f):
    class Made(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return f(x)

        @staticmethod
        def backward(ctx, y_bar):
            (x,) = ctx.saved_tensors
            return turned_twice(y_bar * SLOPES[f](x))

    return Made.apply


def autograds_primitive(f):
    made = compat.extend.primitive(f)
    compat.extend.defvjp(made, lambda y, x: lambda y_bar: turned_twice(y_bar * SLOPES[f](x)))
    return made


MAKERS = [checkpoint, nested_checkpoint, custom_vjp, custom_jvp, primitive, function, autograds_primitive]


@pytest.mark.parametrize("f", SLOPES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_rules_and_what_is_run_again(make, f):
    g, slope = make(f), SLOPES[f](X)
    value, found = tg.value_and_grad(g)(X)
    np.testing.assert_allclose(value, f(X))
    np.testing.assert_allclose(found, slope)
    np.testing.assert_allclose(tg.grad(lambda x: g(x) + g(1.0 * x))(X), 2.0 * slope)
    if make is not custom_jvp:  # which has no pullback that could run later
        np.testing.assert_allclose(tg.vjp(g, X)[1](1.0)[0], slope)


@pytest.mark.parametrize("f", [swapped, accumulated, kept], ids=lambda f: f.__name__)
def test_integrands_and_equations(f):
    pytest.importorskip("scipy")
    from tapegrad.scipy import integrate, optimize

    def mean(x):
        return integrate.quad(lambda t: f(x * t), 0.0, 1.0)[0]

    def root(x):
        return optimize.root_scalar(lambda z: z**3 - f(x) - 9.0, bracket=(0.0, 5.0)).root

    value, slope = f(X), SLOPES[f](X)
    np.testing.assert_allclose(tg.value_and_grad(mean)(X)[0], value / 3.0)  # f is quadratic
    np.testing.assert_allclose(tg.grad(root)(X), slope / (3.0 * np.cbrt(value + 9.0) ** 2))


def test_outside_elements_are_views():
    """As in PyTorch, with a checkpoint or without one."""
    for f in (swapped, tg.checkpoint(swapped), custom_vjp(swapped)):
        x = tg.tensor(X, requires_grad=True)
        assert float(f(x)) == np.sum(np.array([-1.2, -1.2, 0.4]) ** 2 * W)
