"""Implicit differentiation: roots and minima against closed forms and differences, in every mode and order."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

A = np.array([[3.0, 1.0], [0.5, 2.0]])


def root_of(a):
    """The square root of sin(a) + 2, by the equation that it solves."""
    square = np.sin(a) + 2.0
    return tg.implicit_root(lambda x: x * x - square, np.sqrt(tg.stop_gradient(square)))


def closed(a):
    return np.sqrt(np.sin(a) + 2.0)


def test_every_order_and_mode():
    ours, theirs = root_of, closed
    for _ in range(3):
        np.testing.assert_allclose(ours(0.5), theirs(0.5), rtol=1e-12)
        along = (tg.jvp(f, (0.5,), (1.0,))[1] for f in (ours, theirs))
        np.testing.assert_allclose(*along, rtol=1e-11)
        ours, theirs = tg.grad(ours), tg.grad(theirs)
    np.testing.assert_allclose(tg.hessian(root_of)(0.5), tg.hessian(closed)(0.5), rtol=1e-11)
    tg.check_grads(root_of, (0.5,), order=3)


def test_on_tensors():
    t = tg.tensor(0.5, requires_grad=True)
    (root_of(t) * t).backward()
    np.testing.assert_allclose(t.grad.item(), tg.grad(lambda a: closed(a) * a)(0.5), rtol=1e-12)
    (first,) = tg.autograd.grad(root_of(t), t, create_graph=True)
    (second,) = tg.autograd.grad(first, t)
    np.testing.assert_allclose(second.item(), tg.grad(tg.grad(closed))(0.5), rtol=1e-12)


def test_what_a_function_captures_counts_once():
    """Of a chain of roots, each gives its cotangent to the one before, which hands it on."""

    def chain(a):
        x = a
        for _ in range(3):
            b = x
            x = tg.implicit_root(lambda x, b=b: x**3 - b - a, np.cbrt(tg.stop_gradient(b + a)))
        return x

    def direct(a):
        return np.cbrt(np.cbrt(np.cbrt(2.0 * a) + a) + a)

    for value in (0.7, 2.0):
        np.testing.assert_allclose(tg.grad(chain)(value), tg.grad(direct)(value), rtol=1e-11)
        np.testing.assert_allclose(tg.grad(tg.grad(chain))(value), tg.grad(tg.grad(direct))(value), rtol=1e-10)


def test_of_arrays_arguments_and_containers():
    def solve(a, b):
        x = np.linalg.solve(tg.stop_gradient(a), tg.stop_gradient(b["right"]))
        return tg.implicit_root(lambda x, a, b: [a[0] @ x - b["right"][0], a[1] @ x - b["right"][1]], x, a, b)

    b = {"right": np.array([1.0, -2.0])}
    tg.check_grads(solve, (A, b), order=2)
    matrix = tg.implicit_root(lambda x: x - tg.tensor(A, requires_grad=True) * 2.0, 2.0 * A)
    assert matrix.shape == (2, 2) and matrix.requires_grad


def test_minima():
    def best(a):
        m = np.linalg.inv(np.eye(2) + np.ones((2, 2)))
        return tg.implicit_minimum(
            lambda x: np.sum((x - a**2) ** 2) + np.sum(x) ** 2, m @ np.asarray(tg.stop_gradient(a)) ** 2
        )

    tg.check_grads(best, (np.array([1.0, 0.4]),), order=2)


def test_nothing_to_differentiate():
    found = tg.implicit_root(lambda x: x - 1.0, 1.0)
    assert isinstance(found, np.ndarray) and found == 1.0
    with tg.no_grad():
        assert isinstance(root_of(tg.tensor(0.5, requires_grad=True)), np.ndarray)


def test_a_known_jacobian_is_used_and_not_needed():
    calls = []

    def fun(x, a):
        calls.append(1)
        return A @ x - a

    def given(a):
        return np.sum(tg.implicit_root(fun, np.linalg.solve(A, tg.stop_gradient(a)), a, jacobian=A) ** 2)

    tg.check_grads(given, (np.ones(2),), order=2)
    wrong = tg.grad(lambda a: np.sum(tg.implicit_root(fun, np.linalg.solve(A, np.ones(2)), a, jacobian=2.0 * A)))
    np.testing.assert_allclose(wrong(np.ones(2)), 0.5 * np.linalg.solve(A.T, np.ones(2)))


@pytest.mark.parametrize(
    "function, error, words",
    [
        (lambda a: tg.implicit_root(lambda x: x**2 * a, 0.0), np.linalg.LinAlgError, r"singular .* \(rank 0 of 1\)"),
        (lambda a: np.sum(tg.implicit_root(lambda x: np.stack([x[0], x[0]]) * a, np.zeros(2))), np.linalg.LinAlgError,
         r"rank 1 of 2"),
        (lambda a: tg.implicit_root(lambda x: x**2 - a, 1.0), ValueError, "is no solution: a Newton step from it goes"),
        (lambda a: np.sum(tg.implicit_root(lambda x: x[:1] - a, np.ones(2))), ValueError,
         "the residual has 1 numbers and the unknown 2"),
    ],
)  # fmt: skip
def test_refuses(function, error, words):
    with pytest.raises(error, match=words):
        tg.grad(function)(2.0)


def test_cannot_be_compiled():
    with pytest.raises(TypeError, match="cannot be part of a compiled function"):
        tg.compile(root_of)(0.5)
