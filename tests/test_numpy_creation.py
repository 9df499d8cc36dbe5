"""tapegrad.numpy: arrays made from traced values, and filled in place."""

from __future__ import annotations

import numpy
import pytest

import tapegrad as tg
import tapegrad.numpy as np

X = numpy.array([0.5, -1.0, 2.0])


def from_list(x):
    return np.sum(np.array([x[0], x[1] ** 2, 3.0]) * x)


def from_nested_lists(x):
    return np.sum(np.array([[x[0], 1.0], [x[1] * x[2], x[0]]]) @ np.array([[1, 2], [3, 4]]))


def from_rows(x):
    return np.sum(np.array([x, x * x, numpy.ones(3)]) ** 2)


def filled(x):
    y = np.zeros(3)
    for i in range(3):
        y[i] = x[i] * y[i - 1] + 1.0
    return np.sum(y * y)


def filled_matrix(x):
    m = np.empty((3, 3))
    m[:] = 0.0
    m[0] = x
    m[:, 1] = x * m[0]
    np.fill_diagonal(m, x**2)
    return np.sum(np.sin(m))


def from_values(x):
    return np.sum(np.full((2, 3), x) * np.full_like(x, x[0]) + np.linspace(x[0], x[1], 3))


def of_lists(x):
    return np.sum([x[0] * x[1], x[2] ** 2]) + np.dot([x[0], 1.0], [2.0, x[1]]) + np.linalg.norm([x[0], x[1]])


def ranges(x):
    return np.sum(np.arange(3) * x) + np.sum(np.arange(x[0], 3.0) ** 2) + np.sum(np.eye(3) @ x * np.tri(3)[1])


def vectorized(x):
    return np.sum(np.vectorize(lambda a, b: a * b + 1.0)(x, x[::-1]))


def joined_by_indexing(x):
    return np.sum(np.r_[x[0], 1:4, x**2, [x[1], 0.5]] ** 2) + np.sum(np.c_[x, np.ones(3), x * x] ** 2)


def from_indices(x):
    return np.sum(np.fromfunction(lambda i, j: i * 1.0 + j, (3, 3)) * x)


FUNCTIONS = [
    from_list,
    from_nested_lists,
    from_rows,
    filled,
    filled_matrix,
    from_values,
    of_lists,
    ranges,
    vectorized,
    from_indices,
    joined_by_indexing,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_against_differences(function):
    gradient = tg.grad(function)(X)
    for k in range(3):
        step = 1e-6 * numpy.eye(3)[k]
        values = [float(function(tg.tensor(X + s * step))) for s in (1.0, -1.0)]
        numpy.testing.assert_allclose(gradient[k], (values[0] - values[1]) / 2e-6, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if f is not ranges])
def test_compiled_functions_do_the_same(function):
    compiled = tg.compile(tg.grad(function))
    for x in (X, X + 0.25):
        numpy.testing.assert_allclose(compiled(x), tg.grad(function)(x), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("array", ([[1, 2], [3, 4]],)),
        ("array", (2.5,)),
        ("asarray", ([1.0, 2.0],)),
        ("zeros", ((2, 3),)),
        ("ones", (3, int)),
        ("full", ((2, 2), 7)),
        ("eye", (3, 4, 1)),
        ("identity", (2,)),
        ("tri", (3,)),
        ("arange", (1, 7, 2)),
        ("arange", (3.0,)),
        ("linspace", (0, 1, 5)),
        ("indices", ((2, 3),)),
        ("zeros_like", (X,)),
        ("ones_like", ([1, 2],)),
        ("full_like", (X, 3)),
        ("fromfunction", (lambda i, j: i + j, (2, 2))),
    ],
)
def test_values_are_numpys(name, args):
    found, expected = getattr(np, name)(*args), getattr(numpy, name)(*args)
    assert isinstance(found, tg.Tensor)
    assert found.dtype == expected.dtype
    numpy.testing.assert_array_equal(found.numpy(), expected)


def test_everything_else_is_numpys():
    assert np.pi is numpy.pi and np.float32 is numpy.float32 and np.exp is numpy.exp
    assert np.linalg.LinAlgError is numpy.linalg.LinAlgError
    assert set(dir(numpy)) <= set(dir(np))
    with pytest.raises(AttributeError):
        np.no_such_function  # noqa: B018


def test_joining_plain_arrays_is_numpys():
    numpy.testing.assert_array_equal(np.r_["0,2", [1, 2], [3, 4]], numpy.r_["0,2", [1, 2], [3, 4]])
    with pytest.raises(NotImplementedError, match="directives in text are not supported"):
        np.r_["0,2", tg.tensor(X)]


def test_ndmin_and_dtype():
    x = tg.tensor(X)
    assert np.array(x, ndmin=3).shape == (1, 1, 3)
    assert np.array([x[0], 1], dtype=numpy.float32).dtype == numpy.float32
    assert np.array(x) is not x and np.asarray(x) is x


def test_ragged_lists_are_refused():
    x = tg.tensor(X)
    with pytest.raises(ValueError, match="differ in length or depth"):
        np.array([[x[0], 1.0], [x[1]]])
    with pytest.raises(ValueError, match="differ in length or depth"):
        np.array([x[0], [x[1]]])


VECTORIZED = {
    "keywords": lambda n, x: n.vectorize(lambda a, b: a * b)(x, b=x[::-1]),
    "excluded": lambda n, x: n.vectorize(lambda a, c: a * c[0] + c[1], excluded={1})(x, x),
    "excluded by name": lambda n, x: n.vectorize(lambda a, c: a * c[0], excluded=["c"])(x, c=x),
    "signature": lambda n, x: n.vectorize(lambda a, b: a @ b, signature="(m,n),(n)->(m)")(n.outer(x, x), n.ones(3) * x),
    "signature of a batch": lambda n, x: n.vectorize(n.sum, signature="(n)->()")(n.outer(x, x[:2])),
    "otypes": lambda n, x: n.vectorize(lambda a: a**2, otypes=[float])(x),
    "several results": lambda n, x: n.stack(n.vectorize(lambda a: (a, a * a), otypes="dd")(x)),
    "captured": lambda n, x: n.vectorize(lambda k: x[0] * k + x[1] ** k)(numpy.arange(3.0)),
}


@pytest.mark.parametrize("name", VECTORIZED)
def test_vectorized_functions(name):
    call, weights = VECTORIZED[name], numpy.cos(numpy.arange(9.0))
    expected = call(numpy, X)
    loss = lambda n, x: n.sum(n.ravel(call(n, x)) * weights[: expected.size])
    value, gradient = tg.value_and_grad(lambda x: loss(np, x))(X)
    numpy.testing.assert_allclose(value, loss(numpy, X), rtol=1e-12)
    moved = [(loss(numpy, X + d) - loss(numpy, X - d)) / 2e-6 for d in 1e-6 * numpy.eye(3)]
    numpy.testing.assert_allclose(gradient, moved, rtol=1e-6, atol=1e-8)
    assert np.vectorize(lambda a: a + 1)(X).shape == (3,)


def test_elements_one_by_one():
    f = lambda x: sum(v * v * i[0] for i, v in np.ndenumerate(x)) + np.sum(np.fromiter((v**3 for v in x), float))
    numpy.testing.assert_allclose(tg.grad(f)(X), 2.0 * X * numpy.arange(3) + 3.0 * X**2)
    numpy.testing.assert_allclose(tg.grad(lambda x: np.sum(np.fromiter(iter(x), float, 2)))(X), [1.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="iterator too short"):
        np.fromiter(iter(X), float, 4)
    assert np.meshgrid([tg.tensor(1.0), 2.0], [3.0, 4.0])[0].shape == (2, 2)


def test_replays_of_a_compiled_function_begin_with_fresh_arrays():
    """What a compiled function creates and writes is made anew in each replay."""
    for zeros in (tg.zeros, np.zeros, lambda n: numpy.zeros_like(tg.tensor(X))):

        def f(x, zeros=zeros):
            y = zeros(3)
            for i in range(3):
                y[i] = x[i] + y[i - 1]
            return np.sum(y * y)

        compiled = tg.compile(f)
        for x in (X, X + 1.0, X):
            numpy.testing.assert_allclose(compiled(x), float(f(tg.tensor(x))), rtol=1e-14)
