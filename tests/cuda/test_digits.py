"""A classifier of digits learns on the device as it does on the host."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.values import value_of

datasets = pytest.importorskip("sklearn.datasets")


def trained(device, steps=3):
    x, labels = datasets.load_digits(return_X_y=True)
    x, labels = x[:6] / 16.0, labels[:6]
    rng = np.random.default_rng(0)
    shapes = [(64, 8), (8,), (8, 10), (10,)]
    weights = [tg.tensor(0.3 * rng.standard_normal(s), device=device, requires_grad=True) for s in shapes]
    images = tg.tensor(x, device=device)
    losses = []
    for _ in range(steps):
        w1, b1, w2, b2 = weights
        hidden = np.maximum(images @ w1 + b1, 0.0)
        loss = tg.nn.functional.cross_entropy(hidden @ w2 + b2, tg.tensor(labels, device=device))
        loss.backward()
        losses.append(loss.item())
        with tg.no_grad():
            for w in weights:
                w -= 0.5 * w.grad
                w.grad = None
    return losses, [value_of(w) for w in weights]


def test_digits():
    mine, host = trained("cuda"), trained("cpu")
    np.testing.assert_allclose(mine[0], host[0], rtol=1e-11)
    assert host[0][-1] < host[0][0]
    for a, b in zip(mine[1], host[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
