"""The programs that are timed, here and beside other libraries (scripts/compare_peers.py).

Each is written once over a namespace `xp`: `numpy`, or a peer's module of the same function names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


def chain_of_operators(xp, x):
    y = x
    for _ in range(1000):
        y = y * x * 0.5 + x
    return y.sum()


def chain_of_functions(xp, x):
    y = x
    for _ in range(1000):
        y = xp.exp(xp.sin(y) * x)
    return xp.sum(y)


def expression(xp, x):
    q = x * x
    return xp.sum(xp.exp(q * -0.5) * xp.sin(x) + xp.log(q + 1) * xp.tanh(x))


def mlp_loss(xp, parameters, images, targets):
    w1, b1, w2, b2, w3, b3 = parameters
    hidden = xp.maximum(images @ w1 + b1, 0)
    hidden = xp.maximum(hidden @ w2 + b2, 0)
    scores = hidden @ w3 + b3
    log_total = xp.log(xp.sum(xp.exp(scores), axis=1, keepdims=True))
    return xp.sum((log_total - scores) * targets) / len(targets)


@dataclass
class Program:
    """A scalar function of `parameters` (an array or a list of arrays) and of `data` (without gradient)."""

    name: str
    function: Callable
    parameters: Any
    data: tuple = ()
    long: bool = False  # unrolled: compilers that build code for it take long
    tolerance: float = 1e-10

    def over(self, xp):
        """The program as a function of its arrays alone."""

        def function(parameters, *data):
            return self.function(xp, parameters, *data)

        return function


def mlp(rng):
    """A layer's weights and bias after another's; images and one-hot targets."""
    parameters = []
    for m, n in ((784, 256), (256, 128), (128, 10)):
        parameters += [rng.normal(size=(m, n), scale=m**-0.5).astype(np.float32), np.zeros(n, np.float32)]
    images = rng.random(size=(128, 784), dtype=np.float32)
    targets = np.eye(10, dtype=np.float32)[rng.integers(10, size=128)]
    return Program("MLP 784-256-128-10, batch 128, float32", mlp_loss, parameters, (images, targets), tolerance=1e-4)


def programs():
    rng = np.random.default_rng(0)
    small = np.array([0.1, 0.3, 0.6])
    yield Program("3,000 operators, n = 3", chain_of_operators, small, long=True)
    yield Program("3,000 functions, n = 3", chain_of_functions, small, long=True)
    for n in (3, 1000, 1_000_000):
        yield Program(f"23 instructions, n = {n:,}", expression, rng.normal(size=n))
    yield mlp(rng)
