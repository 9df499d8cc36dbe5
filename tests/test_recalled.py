"""Functions that were called alike before are recorded by a look-up, and mean what they meant the first time."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.primitives import memo

X = np.array([0.3, -1.2, 2.0])
CALLS = {
    "where": lambda x, y: np.where(x > 0, x, y),
    "where, a float": lambda x, y: np.where(y > 0, x, 0.5),
    "where, an int": lambda x, y: np.where(y > 0, 2, x),
    "clip": lambda x, y: np.clip(x * y, -0.5, 0.5),
    "clip, tensors": lambda x, y: np.clip(x, np.minimum(y, 0.0), 1.0),
    "stack": lambda x, y: np.stack([x, y, x]),
    "stack, last axis": lambda x, y: np.stack((x, y), -1),
    "concatenate": lambda x, y: np.concatenate([x, y]),
    "hstack": lambda x, y: np.hstack([x, y[:2]]),
    "vstack": lambda x, y: np.vstack([x, y]),
    "dot": lambda x, y: np.dot(x, y),
    "dot of arrays": lambda x, y: np.dot(np.dot(np.arange(9.0).reshape(3, 3), x), y),
    "inner": lambda x, y: np.inner(x, y),
    "outer": lambda x, y: np.outer(x, y),
    "NumPy's numbers": lambda x, y: np.float64(2.0) * x - np.float64(0.5) / (2.0 + y),
    "NumPy's power": lambda x, y: np.float64(2.0) ** (x * y),
    "reshape": lambda x, y: (x * y).reshape((3, 1)) + x,
}


def gradients(f, x, y):
    leaves = tg.tensor(x, requires_grad=True), tg.tensor(y, requires_grad=True)
    a, b = (leaf * 1.0 for leaf in leaves)
    f(a, b)
    value = f(a, b)  # by look-up
    weights = np.cos(np.arange(value.size)).reshape(value.shape)
    (np.sum(value * weights) + np.sum(leaves[0] * leaves[1])).backward()
    return [value.tolist(), *[leaf.grad.tolist() for leaf in leaves]]


@pytest.mark.parametrize("name", CALLS)
def test_the_same_as_at_once(name):
    f, y = CALLS[name], X[::-1] - 0.4
    found = gradients(f, X, y), gradients(f, X, y)
    before = tg.set_deferral(False)
    try:
        expected = gradients(f, X, y)
    finally:
        tg.set_deferral(before)
    assert found == (expected, expected)


@pytest.mark.parametrize("name", ["where, a float", "clip", "stack", "concatenate"])
def test_a_call_like_one_before_does_not_lift_its_operands(name, monkeypatch):
    x = tg.tensor(X, requires_grad=True)
    a, b = x * 1.0, x * 2.0
    CALLS[name](a, b)
    monkeypatch.setattr(memo, "keep_in_mind", None)  # which would be called
    for module in ("core", "combining"):
        monkeypatch.setattr(f"tapegrad.primitives.{module}.keep_in_mind", None)
    CALLS[name](a, b).sum().backward()
    assert np.all(x.grad.numpy() != 0) or name != "stack"


def test_what_differs_in_kind_is_not_taken_for_the_same():
    x = tg.tensor(X) * 1.0
    condition = x > 0
    assert np.where(condition, x.astype("f"), 1.0).dtype == np.float32
    assert np.where(condition, x.astype("f"), np.float64(1.0)).dtype == np.float64
    assert np.where(condition, np.arange(3), 1).dtype == np.where(X > 0, np.arange(3), 1).dtype
    for _ in range(2):
        assert np.where(condition, 2, 1).dtype == np.int64 and np.where(condition, 2.0, 1).dtype == np.float64
        assert np.where(condition, x, True).tolist() == np.where(X > 0, X, 1.0).tolist()
    assert np.concatenate([x, x], 0).shape == (6,) and np.stack([x, x], 1).shape == (3, 2)
    with pytest.raises((TypeError, np.exceptions.AxisError)):
        np.stack([x, x], 0.0)
    with pytest.raises(np.exceptions.AxisError):
        np.concatenate([x, x], 1)
    assert np.concatenate([x, x], dtype="f").dtype == np.float32


def test_without_gradients_it_is_another_row():
    x = tg.tensor(X, requires_grad=True) * 1.0
    assert np.clip(x, 0.0, 1.0).requires_grad and np.clip(x, 0.0, 1.0).requires_grad
    with tg.no_grad():
        assert not np.clip(x, 0.0, 1.0).requires_grad and not np.clip(x, 0.0, 1.0).requires_grad


def test_a_view_whose_base_was_written():
    x = tg.tensor(X, requires_grad=True)
    y = x * 1.0
    view = y[1:]
    for _ in range(2):
        np.clip(view, -1.0, 1.0)
    y[1] = 0.25
    found = np.clip(view, -1.0, 1.0)
    assert found.tolist() == [0.25, 1.0]
    found.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
