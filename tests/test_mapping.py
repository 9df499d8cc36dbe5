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


def outputs(n=1000):
    return np.full(n, np.nan), (np.full((n, 3), np.nan), np.full(n, np.nan))


@pytest.mark.parametrize(("chunk", "threads"), [(None, 1), (250, 1), (300, 1), (7, 1), (64, 3), (5000, 2)])
def test_results_go_into_given_arrays(step, chunk, threads):
    out = outputs()
    for scale in range(1, 9):  # recorded, replayed, in machine code
        found = step.map(X, Y * scale, chunk_size=chunk, threads=threads, out=out)
        assert found is out
        fresh = step.map(X, Y * scale, chunk_size=chunk, threads=threads)
        for a, b in zip((out[0], *out[1]), (fresh[0], *fresh[1]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)  # machine code may have come between
    (together,) = step._batched.values()
    assert len(together.paths()) == 1


def test_given_arrays_may_have_any_strides(step):
    values, rows = np.zeros((1000, 2)), np.zeros((3, 1000))
    expected = step.map(X, Y)
    for _ in range(6):
        step.map(X, Y, chunk_size=300, out=(values[:, 1], (rows.T, values[::-1, 0])))
        assert_same((values[:, 1], (rows.T.copy(), values[::-1, 0].copy())), expected)


def test_given_arrays_may_be_the_arguments_and_lie_across_them():
    f = tg.compile(lambda x, w: {"moved": x * 2.0 + w[0], "twice": x * 4.0})
    for chunk in (1000, 300, 7):  # of the last two, the last chunk computes some examples once more
        for _ in range(5):
            memory, w = np.arange(1010.0), np.ones(1)
            expected = memory[:1000] * 2.0 + 1.0, memory[:1000] * 4.0
            out = {"moved": memory[10:], "twice": np.zeros(1000)}
            f.map(memory[:1000], w, in_dims=(0, None), chunk_size=chunk, out=out)
            np.testing.assert_array_equal(out["moved"], expected[0])
            np.testing.assert_array_equal(out["twice"], expected[1])
            x = np.arange(1000.0)
            f.map(x, w, in_dims=(0, None), chunk_size=chunk, out={"moved": x, "twice": out["twice"]})
            np.testing.assert_array_equal(x, expected[0])


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda v, x, y: (v, x), ValueError, "structure of what energy returns"),
        (lambda v, x, y: (v, (x, [*y])), ValueError, "structure of what energy returns"),
        (lambda v, x, y: (v, (x, 1.0)), TypeError, r"out\[1\]\[1\] is float; pass an array of shape \(1000,\)"),
        (lambda v, x, y: (v, (x[:-1], y)), ValueError, r"out\[1\]\[0\] of energy has shape \(999, 3\), .* \(1000, 3\)"),
        (lambda v, x, y: (v, (x, y.astype("f4"))), TypeError, r"out\[1\]\[1\] of energy is float32"),
        (lambda v, x, y: (v, (x, v)), ValueError, "share memory, and hold two results"),
        (lambda v, x, y: (v, (x, np.broadcast_to(1.0, 1000))), ValueError, r"out\[1\]\[1\] of energy is read-only"),
    ],
)
def test_arrays_that_cannot_take_the_results(step, known, change, error, message):
    if known:
        step.map(X, Y, chunk_size=300)
    value, (x, y) = outputs()
    with pytest.raises(error, match=message):
        step.map(X, Y, chunk_size=300, out=change(value, x, y))
    assert np.isnan(value).all() and np.isnan(x).all() and np.isnan(y).all()


def test_given_arrays_and_what_a_function_captures(monkeypatch):
    f = tg.compile(lambda x: (x * FACTOR,) if FACTOR < 5 else x * FACTOR)
    out = np.zeros(1000)
    for factor in (2.0, 3.0):
        monkeypatch.setitem(globals(), "FACTOR", factor)
        for _ in range(5):
            f.map(Y, chunk_size=300, out=(out,))
            np.testing.assert_array_equal(out, Y * factor)
    monkeypatch.setitem(globals(), "FACTOR", 7.0)  # another structure
    np.testing.assert_array_equal(f.map(Y, chunk_size=300), Y * 7.0)
    with pytest.raises(ValueError, match="structure"):
        f.map(Y, chunk_size=300, out=(out,))
    f.map(Y, chunk_size=300, out=out)
    np.testing.assert_array_equal(out, Y * 7.0)


def test_out_of_the_functions_own_and_inside_of_others(step):
    own = tg.compile(lambda x, out=1.0: x * out)
    np.testing.assert_array_equal(own.map(Y, out=3.0), Y * 3.0)
    with pytest.raises(TypeError, match="out= inside of another transformation or with tensors"):
        step.map(tg.tensor(X), Y, out=outputs())
    with pytest.raises(TypeError, match="out= inside of another transformation or with tensors"):
        tg.grad(lambda x: np.sum(step.map(x, Y, out=outputs())[0]))(X)


def test_an_empty_batch_into_given_arrays(step):
    out = outputs(0)
    assert step.map(X[:0], Y[:0], out=out) is out
