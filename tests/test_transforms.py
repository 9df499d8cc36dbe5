"""Jacobians, Hessians and `vmap` of plain NumPy functions: values, structures, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import jacobians

X = np.array([0.5, -1.0, 2.0])
A = np.arange(6.0).reshape(3, 2) / 7


def test_results_are_plain_arrays():
    for transform in (tg.jacrev, tg.jacfwd, tg.jacobian):
        j = transform(lambda x: np.sin(x) * np.sum(x))(X)
        assert type(j) is np.ndarray
        np.testing.assert_allclose(j, np.diag(np.cos(X) * X.sum()) + np.outer(np.sin(X), np.ones(3)))


@pytest.mark.parametrize("transform", [tg.jacrev, tg.jacfwd])
def test_shapes_of_results_and_arguments(transform):
    def f(m, v):
        return {"p": m @ v, "n": np.sum(m)}

    j = transform(f, argnums=(0, 1))(A, np.ones(2))
    assert [x.shape for x in (*j["p"], *j["n"])] == [(3, 3, 2), (3, 2), (3, 2), (2,)]
    np.testing.assert_array_equal(j["p"][1], A)
    np.testing.assert_array_equal(j["n"][0], np.ones((3, 2)))
    np.testing.assert_array_equal(j["n"][1], np.zeros(2))


@pytest.mark.parametrize("transform", [tg.jacrev, tg.jacfwd])
def test_numbers(transform):
    assert transform(lambda x: x**3)(2.0) == 12.0
    np.testing.assert_array_equal(transform(lambda x: np.stack([x, x * x]))(3.0), [1.0, 6.0])


@pytest.mark.parametrize("transform", [tg.jacrev, tg.jacfwd])
def test_a_container_as_argument(transform):
    j = transform(lambda p: p["a"] * p["b"])({"a": X, "b": 2.0})
    np.testing.assert_array_equal(j["a"], 2 * np.eye(3))
    np.testing.assert_array_equal(j["b"], X)


@pytest.mark.parametrize("transform", [tg.jacrev, tg.jacfwd])
def test_refusals(transform):
    with pytest.raises(ValueError, match="argnums names argument 3"):
        transform(np.sin, argnums=3)(X)
    with pytest.raises(TypeError, match="has no derivative"):
        transform(np.sin)(np.arange(3))
    with pytest.raises(TypeError, match="must return a pair"):
        transform(np.sin, has_aux=True)(X)


def test_linearize_checks_its_tangents():
    _, push = tg.linearize(np.exp, X)
    with pytest.raises(ValueError, match="a tangent has shape"):
        push(np.ones(2))
    with pytest.raises(ValueError, match="structure"):
        push(X, X)


def test_jacobians_in_jax():
    jax = pytest.importorskip("jax", reason="the comparison needs JAX")
    jnp = jax.numpy
    jax.config.update("jax_enable_x64", True)

    def f(np):
        return lambda x, y: (np.outer(np.sin(x), y), np.exp(x).sum() * y)

    for ours, theirs in ((tg.jacrev, jax.jacrev), (tg.jacfwd, jax.jacfwd)):
        a, b = ours(f(np), argnums=(0, 1))(X, X[:2]), theirs(f(jnp), argnums=(0, 1))(X, X[:2])
        for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-14)
    h = tg.hessian(lambda x: np.sum(f(np)(x, x)[0] ** 2))(X)
    np.testing.assert_allclose(h, jax.hessian(lambda x: jnp.sum(f(jnp)(x, x)[0] ** 2))(X), rtol=1e-12)


def test_forward_mode_through_writes_in_place():
    def f(x):
        z = tg.numpy.zeros(3)
        for i in range(3):
            z[i] = x[i] * z[i - 1] + 1.0
        z *= x
        return z

    np.testing.assert_allclose(tg.jacfwd(f)(X), tg.jacrev(f)(X))
    np.testing.assert_allclose(tg.jvp(f, (X,), (np.ones(3),))[1], tg.jacrev(f)(X).sum(1))
    np.testing.assert_allclose(tg.hessian(lambda x: np.sum(f(x)))(X), tg.jacrev(tg.grad(lambda x: np.sum(f(x))))(X))


def test_products_with_hessians():
    def f(p, y):
        return np.sum(np.sin(p["a"] * y) ** 2) + np.prod(p["b"])

    p, q = {"a": X, "b": X[:2]}, {"a": X[::-1].copy(), "b": np.ones(2)}
    first, second = tg.hvp(f, (p, 2.0), (q, 1.0))
    h = tg.hessian(f, argnums=(0, 1))(p, 2.0)
    by_p, by_y = h[0]["a"]
    np.testing.assert_allclose(first["a"], by_p["a"] @ q["a"] + by_y)
    np.testing.assert_allclose(first["b"], h[0]["b"][0]["b"] @ q["b"])
    np.testing.assert_allclose(second, h[1][0]["a"] @ q["a"] + h[1][1])
    single = tg.hvp(lambda x: np.sum(np.exp(x)), (X,), (np.ones(3),))
    np.testing.assert_allclose(single, np.exp(X))
    stacked = tg.vmap(lambda v: tg.hvp(lambda x: np.prod(x), (X,), (v,)))(np.eye(3))
    np.testing.assert_allclose(stacked, tg.hessian(np.prod)(X))


def test_compiled():
    j = tg.compile(tg.jacrev(lambda x: np.cumsum(np.sin(x))))
    v = tg.compile(tg.vmap(tg.grad(lambda w, x: np.sum(np.tanh(w * x))), in_dims=(None, 0)))
    for shift in (0.0, 1.0):
        x = X + shift
        np.testing.assert_allclose(j(x), np.tril(np.ones((3, 3))) * np.cos(x))
        expected = [row / np.cosh(np.ones(2) * row) ** 2 for row in A + shift]
        np.testing.assert_allclose(v(np.ones(2), A + shift), expected)


def test_compiled_gradient_through_an_array_of_no_axes():
    a, b = X[:2], X[1:]
    f = tg.grad(lambda a, b: np.sin(np.inner(a, b)))
    np.testing.assert_allclose(tg.compile(f)(a, b), np.cos(a @ b) * b)
    np.testing.assert_allclose(tg.vmap(f)(A, A), np.cos(np.sum(A * A, 1))[:, None] * A)


def test_vmap_of_arrays():
    np.testing.assert_allclose(tg.vmap(np.linalg.norm)(A), np.linalg.norm(A, axis=1))
    np.testing.assert_allclose(tg.vmap(lambda x: x * 2, in_dims=-1, out_dims=-1)(A), A * 2)
    value, constant = tg.vmap(lambda x: (np.sum(x), 3.0), out_dims=(0, None))(A)
    np.testing.assert_allclose(value, A.sum(axis=1))
    assert constant == 3.0
    np.testing.assert_allclose(tg.grad(lambda a: np.sum(tg.vmap(lambda x: x @ x)(a)))(A), 2 * A)


@pytest.mark.parametrize(
    "in_dims, args, words",
    [
        (0, (A, np.ones(2)), "Expected all tensors to have the same size in the mapped dimension, got sizes"),
        (None, (A,), "at least one argument must be mapped"),
        (2, (A,), r"names axis 2 of an argument of shape \(3, 2\)"),
        (0, (A, 3.0), "a mapped argument is float, which has no axes"),
        ((0, 0), (A,), "does not fit the structure"),
        (("x",), (A,), "holds axes"),
    ],
)
def test_vmap_refuses(in_dims, args, words):
    with pytest.raises(ValueError, match=words):
        tg.vmap(lambda *a: a[0], in_dims=in_dims)(*args)


@pytest.mark.parametrize(("rows", "columns", "mode"), [(5, 2, "linearize"), (2, 5, "vjp"), (3, 3, "vjp")])
def test_jacobian_takes_the_mode_with_fewer_sweeps(rows, columns, mode, monkeypatch):
    matrix = np.arange(1.0, rows * columns + 1).reshape(rows, columns)
    taken = []
    for name in ("vjp", "linearize"):
        plain = getattr(jacobians, name)
        monkeypatch.setattr(jacobians, name, lambda *a, n=name, f=plain: (taken.append(n), f(*a))[1])
    x = np.linspace(0.1, 0.9, columns)
    found, aux = tg.jacobian(lambda x: (np.sin(matrix @ x), "aux"), has_aux=True)(x)
    np.testing.assert_allclose(found, np.cos(matrix @ x)[:, None] * matrix)
    assert aux == "aux" and taken[-1] == mode
