"""Small problems with gradients by hand, for ``tapegrad bench`` and ``tapegrad demo``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["PROBLEMS", "Problem"]


@dataclass
class Problem:
    """A function of its first argument, and that function's value and gradient written out in NumPy."""

    name: str
    function: Callable
    by_hand: Callable
    arguments: Callable[[], tuple]


def rosenbrock(x):
    """A curved valley."""
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def rosenbrock_by_hand(x):
    """Its value and gradient."""
    a, b = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    gradient = np.zeros_like(x)
    gradient[1:] = 200.0 * a
    gradient[:-1] += -400.0 * a * x[:-1] - 2.0 * b
    return 100.0 * np.sum(a * a) + np.sum(b * b), gradient


def logistic(w, x, y):
    """Mean loss of a logistic regression with labels -1 and 1."""
    return np.mean(np.log1p(np.exp(-y * (x @ w))))


def logistic_by_hand(w, x, y):
    """Its value and gradient."""
    e = np.exp(-y * (x @ w))
    return np.mean(np.log1p(e)), x.T @ (-y * e / (1.0 + e)) / len(y)


def chain(x):
    """Elementwise functions of a vector, summed up."""
    return np.sum(np.tanh(x) * np.exp(-x * x) + np.sqrt(1.0 + x * x))


def chain_by_hand(x):
    """Its value and gradient."""
    t, e, r = np.tanh(x), np.exp(-x * x), np.sqrt(1.0 + x * x)
    return np.sum(t * e + r), (1.0 - t * t) * e - 2.0 * x * t * e + x / r


def network(p, x, y):
    """Squared error of a network with one hidden layer."""
    w, b, v = p
    return np.mean((np.tanh(x @ w + b) @ v - y) ** 2)


def network_by_hand(p, x, y):
    """Its value and gradient."""
    w, b, v = p
    h = np.tanh(x @ w + b)
    error = h @ v - y
    out_bar = 2.0 * error / len(y)
    h_bar = np.outer(out_bar, v) * (1.0 - h * h)
    return np.mean(error * error), (x.T @ h_bar, h_bar.sum(axis=0), h.T @ out_bar)


def _logistic_arguments() -> tuple:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 20))
    return rng.normal(size=20), x, np.sign(x[:, 0] + rng.normal(size=1000))


def _network_arguments() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    p = rng.normal(size=(16, 32)) / 4.0, np.zeros(32), rng.normal(size=32) / 6.0
    return p, rng.normal(size=(256, 16)), rng.normal(size=256)


PROBLEMS = [
    Problem("Rosenbrock, n = 10", rosenbrock, rosenbrock_by_hand, lambda: (np.linspace(-1.0, 1.0, 10),)),
    Problem("Rosenbrock, n = 10,000", rosenbrock, rosenbrock_by_hand, lambda: (np.linspace(-1.0, 1.0, 10_000),)),
    Problem("elementwise, n = 100,000", chain, chain_by_hand, lambda: (np.linspace(-2.0, 2.0, 100_000),)),
    Problem("logistic regression, 1,000 x 20", logistic, logistic_by_hand, _logistic_arguments),
    Problem("network 16-32-1, batch 256", network, network_by_hand, _network_arguments),
]
