"""`Compiled.map`: a compiled function over a batch, in chunks."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

X = np.random.default_rng(0).uniform(0.5, 2.0, (1000, 3))
Y = np.random.default_rng(1).uniform(0.5, 2.0, 1000)


def energy(x, y, scale=1.0):
    return np.sum(np.sin(x) * y) * scale + np.log(y)


@pytest.fixture
def step():
    return tg.compile(tg.value_and_grad(energy, argnums=(0, 1)))


def assert_same(found, expected):
    for a, b in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        assert type(a) is np.ndarray and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize(("chunk", "threads"), [(None, 1), (1000, 1), (250, 1), (300, 1), (7, 1), (64, 3), (5000, 2)])
def test_chunks_and_threads(step, chunk, threads):
    expected = tg.vmap(tg.value_and_grad(energy, argnums=(0, 1)))(X, Y)
    for _ in range(2):
        assert_same(step.map(X, Y, chunk_size=chunk, threads=threads), expected)
    (together,) = step._batched.values()
    assert len(together.paths()) == 1  # the last chunk needs no program of its own


def test_axes_keywords_and_containers(step):
    f = tg.vmap(tg.value_and_grad(energy, argnums=(0, 1)), in_dims=(1, None))
    assert_same(step.map(X.T, 1.5, in_dims=(1, None), scale=2.0, chunk_size=64), f(X.T, 1.5, scale=2.0))
    g = tg.compile(tg.grad(lambda p: energy(p["x"], p["y"])))
    found = g.map({"x": X, "y": Y}, chunk_size=128)
    np.testing.assert_allclose(found["x"], np.cos(X) * Y[:, None])


def test_constants_and_results_of_any_shape():
    f = tg.compile(lambda x: {"twice": x * 2, "three": 3.0, "outer": np.outer(x, x)})
    found = f.map(X, chunk_size=100)
    np.testing.assert_array_equal(found["twice"], X * 2)
    np.testing.assert_array_equal(found["three"], np.full(1000, 3.0))
    np.testing.assert_allclose(found["outer"], X[:, :, None] * X[:, None])


def test_inside_another_transformation_and_on_tensors(step):
    def total(x):
        value, _ = step.map(x, Y)
        return np.sum(value)

    np.testing.assert_allclose(tg.grad(total)(X), np.cos(X) * Y[:, None])
    x = tg.tensor(X, requires_grad=True)
    step.map(x, tg.tensor(Y))[0].sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos(X) * Y[:, None])


FACTOR = 2.0


def test_names_bound_anew_are_noticed(monkeypatch):
    f = tg.compile(lambda x: x * FACTOR)
    np.testing.assert_array_equal(f.map(Y, chunk_size=100), Y * 2)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    np.testing.assert_array_equal(f.map(Y, chunk_size=100), Y * 3)


def test_refusals(step):
    with pytest.raises(ValueError, match="got sizes"):
        step.map(X, Y[:3])
    with pytest.raises(tg.errors.BatchedValueError, match=r"numpy\.where"):
        tg.compile(lambda y: y if y > 1 else -y).map(Y)
    with pytest.raises(ValueError, match="chunk_size and threads must be positive"):
        step.map(X, Y, threads=0)


def test_an_empty_batch(step):
    value, (by_x, by_y) = step.map(X[:0], Y[:0])
    assert value.shape == (0,) and by_x.shape == (0, 3) and by_y.shape == (0,)
