"""Gradients with respect to some inputs alone: what the others would have got is left out, tile by tile as well."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

N = 5000  # several tiles, the last of them not a whole one
FUNCTIONS = {
    "product": lambda a, b: a * b,
    "difference": lambda a, b: a - b,
    "quotient": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "angle": np.arctan2,
    "length": np.hypot,
    "logaddexp": np.logaddexp,
    "maximum": np.maximum,
    "choice": lambda a, b: np.where(a > 3.0, a, b) * np.tanh(b),
    "several": lambda a, b: np.sin(a * b) / (a - b * b) + np.exp(-a) * b,
    "root": lambda a, b: np.sqrt(a * a + b * b) * (a - b),
    "columns": lambda a, b: np.sqrt(a.reshape(-1, 2) + b[:2]) * (a.reshape(-1, 2) - b.reshape(-1, 2)),
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_some_inputs(name, which):
    operands = [2.5 + np.sin(np.arange(N) + k) for k in range(2)]
    xs = [tg.tensor(x, requires_grad=True) for x in operands]
    y = FUNCTIONS[name](*xs)
    loss = np.sum(y * np.cos(np.arange(N)).reshape(y.shape))
    expected = tg.autograd.grad(loss, xs, retain_graph=True)[which].numpy()
    (found,) = tg.autograd.grad(loss, [xs[which]], retain_graph=True)
    np.testing.assert_array_equal(found.numpy(), expected)
    loss.backward(inputs=[xs[which]])
    np.testing.assert_array_equal(xs[which].grad.numpy(), expected)
    assert xs[1 - which].grad is None


def test_an_intermediate_value_that_was_written():
    """Once an endless loop, found by random programs."""
    x = tg.tensor(np.linspace(-1.0, 1.0, 17_000), requires_grad=True)
    y = np.sin(x)
    y[np.array([-52, 111, 36])] = 0.5
    (y - x).sum().backward(retain_graph=True, inputs=[y])
    np.testing.assert_array_equal(y.grad.numpy(), np.ones(17_000))
