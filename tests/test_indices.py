"""Selecting by arrays of indices runs in loops: every kind of key against NumPy, and indices out of range."""

from __future__ import annotations

import threading
import traceback

import numpy as np
import pytest

import tapegrad as tg

X = np.arange(120.0).reshape(4, 5, 6) ** 1.5
P, Q = np.array([3, 0, -1, 0]), np.array([-5, 4, 2, 2])
GRID, ROW = np.array([[0, -1], [2, 2]]), np.array([[1], [0]])
MASK = np.random.default_rng(0).random((4, 5)) < 0.5
KEYS = {
    "rows": P,
    "two": (P, Q),
    "three": (P, Q, P),
    "apart": (P, slice(None), Q),
    "behind": (slice(1, 3), P),
    "last axis": (Ellipsis, Q),
    "negative step": (slice(None, None, -2), P, slice(4, 1, -1)),
    "broadcast": (GRID, ROW),
    "a number among them": (2, slice(None), P),
    "a number beside": (slice(None), -1, P),
    "new axes": (None, P, None, Q),
    "mask": MASK,
    "mask and slice": (MASK, slice(0, 2)),
    "none": (np.empty(0, np.intp),),
    "narrow integers": P.astype(np.int32),
    "0-d": (np.array(2), slice(None), P),
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("layout", [np.array, lambda x: x.transpose(0, 2, 1).copy().transpose(0, 2, 1)])
def test_keys(name, layout):
    key = KEYS[name]
    x = layout(X)
    places = np.zeros(X.size)
    np.add.at(places, np.arange(X.size).reshape(X.shape)[key], 1.0)
    for made in (tg.value_and_grad(lambda x: np.sum(x[key])), tg.compile(tg.value_and_grad(lambda x: np.sum(x[key])))):
        value, slope = made(x)
        np.testing.assert_allclose(value, X[key].sum(), rtol=1e-14)
        np.testing.assert_array_equal(slope, places.reshape(X.shape))
    read = tg.compile(lambda x: x[key])
    np.testing.assert_array_equal(read(x), X[key])


@pytest.mark.parametrize("dtype", ["f", "d", "F", "D", "g", "e"])
def test_dtypes(dtype):
    x = X[0].astype(dtype)
    step = tg.compile(tg.value_and_grad(lambda x: np.sum(np.real(x[P, Q] * x[P, Q]))))
    value, slope = step(x)
    expected = tg.value_and_grad(lambda x: np.sum(np.real(x * x)[..., 0]))  # of the elements alone
    np.testing.assert_allclose(
        value, expected(X[0][P, Q].astype(dtype)[:, None])[0], rtol=1e-2 if dtype == "e" else 1e-5
    )
    assert slope.dtype == x.dtype


RUN = np.arange(30)
MANY = {
    "anywhere": np.random.default_rng(1).integers(0, 100, 75),
    "negative ones among them": np.random.default_rng(2).integers(-100, 100, 75),
    "in a row": np.concatenate([RUN, RUN + 3, RUN + 70, RUN[:5]]),
    "windows": RUN[:, None] * 2 + np.arange(11),
    "to the end": np.concatenate([RUN - 30, RUN + 70]),
}


@pytest.mark.parametrize("dtype", ["f", "d", "F", "D"])
@pytest.mark.parametrize("name", MANY)
def test_many_indices(name, dtype):
    """Several are looked at together; each is met once, in its order."""
    rng, key = np.random.default_rng(0), MANY[name]
    x = rng.normal(size=(100, 2)).astype(dtype)
    for selected, at in ((x[:, 0], key), (x[:, 0].copy(), key), (x.T.copy(), (slice(None), key))):
        v = rng.normal(size=selected[at].shape).astype(dtype)
        step = tg.compile(lambda x, v, at=at: (x[at], tg.vjp(lambda x: x[at], x)[1](v)), native=False)
        read, (slope,) = step(selected, v)
        expected = np.zeros_like(selected)
        np.add.at(expected, at, v)
        np.testing.assert_array_equal(read, selected[at])
        np.testing.assert_allclose(slope, expected, rtol=1e-5 if dtype in "fF" else 1e-13, atol=1e-5)


@pytest.mark.parametrize("key", [P, (P, Q), (slice(None), Q), (Ellipsis, Q)])
def test_writes_by_indices_keep_the_last(key):
    def f(x, v):
        y = tg.numpy.array(x)
        y[key] = v
        return np.sum(np.sin(y))

    v = np.linspace(1.0, 2.0, X[key].size).reshape(X[key].shape)
    y = X.copy()
    y[key] = v
    step = tg.compile(tg.value_and_grad(f, argnums=(0, 1)))
    value, slopes = step(X, v)
    np.testing.assert_allclose(value, np.sin(y).sum(), rtol=1e-12)
    for found, expected in zip(slopes, tg.grad(f, argnums=(0, 1))(X, v), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def embedding(table, words):
    chosen = table[words]  # here
    return np.sum(chosen**2)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("bad", [[0, 7], [-6, 1]])
def test_an_index_out_of_range_is_an_error_at_the_line(compiled, bad):
    step = tg.value_and_grad(embedding)
    step = tg.compile(step) if compiled else step
    table = np.ones((5, 2))
    value, _ = step(table, np.array([0, 4]))
    assert value == 4.0
    for _ in range(2):
        with pytest.raises(IndexError, match=r"index -?\d is out of bounds for axis 0 with size 5") as caught:
            step(table, np.array(bad))
        assert any("# here" in (frame.line or "") for frame in traceback.extract_tb(caught.value.__traceback__))
        assert step(table, np.array([-1, 4]))[0] == 4.0


def test_an_index_out_of_range_at_the_first_call():
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 5"):
        tg.compile(tg.grad(embedding))(np.ones((5, 2)), np.array([5]))


def test_a_loaded_function_refuses_indices_out_of_range(tmp_path):
    step = tg.compile(tg.value_and_grad(embedding))
    step(np.ones((5, 2)), np.array([0, 4]))
    step.save(tmp_path / "step")
    loaded = tg.load(tmp_path / "step")
    assert loaded(np.ones((5, 2)), np.array([1, -1]))[0] == 4.0
    with pytest.raises(IndexError, match="out of bounds"):
        loaded(np.ones((5, 2)), np.array([1, 5]))


def test_another_thread_with_bad_indices_spoils_nothing():
    step = tg.compile(tg.value_and_grad(embedding))
    table, good, bad = np.ones((5, 2)), np.array([0, 4]), np.array([0, 5])
    step(table, good)
    stop, raised = threading.Event(), []

    def fail():
        while not stop.is_set():
            with pytest.raises(IndexError):
                step(table, bad)
            raised.append(1)

    thread = threading.Thread(target=fail)
    thread.start()
    try:
        assert all(step(table, good)[0] == 4.0 for _ in range(300))
    finally:
        stop.set()
        thread.join()
    assert raised
