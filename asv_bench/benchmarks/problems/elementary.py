"""Functions of one formula: log of a sum of exponentials, least squares of a polynomial, Rosenbrock's valley.

The first two are GradBench's `lse` and `llsq`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .lanes import FAST, exp
from .problem import Problem


def expression(xp, x):
    q = x * x
    return xp.sum(xp.exp(q * -0.5) * xp.sin(x) + xp.log(q + 1) * xp.tanh(x))


EXPRESSION = Problem(
    "expression",
    {"tiny": (3,), "small": (1000,), "medium": (30_000,), "large": (1_000_000,)},
    lambda rng, n: (rng.normal(size=n), ()),
    expression,
)


def log_sum_exp(xp, x):
    highest = xp.max(x)
    return xp.log(xp.sum(xp.exp(x - highest))) + highest


@njit(error_model="numpy", fastmath=FAST)
def log_sum_exp_gradients(x, bar):
    highest = x[0]
    for i in range(x.shape[0]):
        highest = max(highest, x[i])
    total = 0.0
    for i in range(x.shape[0]):
        bar[i] = exp(x[i] - highest)
        total += bar[i]
    share = 1.0 / total
    for i in range(x.shape[0]):
        bar[i] *= share
    return np.log(total) + highest


def log_sum_exp_floor(x):
    bar = np.empty_like(x)

    def step():
        return log_sum_exp_gradients(x, bar), bar

    return step


LSE = Problem(
    "lse",
    {"tiny": (10,), "small": (1000,), "medium": (100_000,), "large": (1_000_000,)},
    lambda rng, n: (rng.normal(size=n), ()),
    log_sum_exp,
    floor=log_sum_exp_floor,
)


def least_squares(xp, x, powers, y):
    residual = y - powers @ x
    return 0.5 * xp.sum(residual * residual)


def least_squares_inputs(rng, n, m):
    t = np.linspace(-1.0, 1.0, n)
    return rng.normal(size=m), (t[:, None] ** np.arange(m), np.sign(t))


@njit(error_model="numpy", fastmath=FAST)
def least_squares_gradients(x, powers, y, bar):
    """Value; each row of the matrix is read once."""
    n, m = powers.shape
    total = 0.0
    bar[:] = 0.0
    for i in range(n):
        row = powers[i]
        residual = y[i]
        dot = 0.0
        for j in range(m):
            dot += row[j] * x[j]
        residual -= dot
        total += residual * residual
        for j in range(m):
            bar[j] -= residual * row[j]
    return 0.5 * total


def least_squares_floor(x, powers, y):
    bar = np.empty_like(x)

    def step():
        return least_squares_gradients(x, powers, y, bar), bar

    return step


LLSQ = Problem(
    "llsq",
    {"tiny": (10, 3), "small": (1000, 8), "medium": (20_000, 16), "large": (200_000, 32)},
    least_squares_inputs,
    least_squares,
    floor=least_squares_floor,
)


def rosenbrock(xp, x):
    valley = x[1:] - x[:-1] * x[:-1]
    away = 1.0 - x[:-1]
    return xp.sum(100.0 * valley * valley + away * away)


@njit(error_model="numpy", fastmath=FAST)
def rosenbrock_gradients(x, bar):
    n = x.shape[0]
    total = 0.0
    bar[0] = 0.0
    bar[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2])
    valley, away = x[1] - x[0] * x[0], 1.0 - x[0]
    total += 100.0 * valley * valley + away * away
    bar[0] = -400.0 * valley * x[0] - 2.0 * away
    for i in range(1, n - 1):
        valley, away = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        total += 100.0 * valley * valley + away * away
        bar[i] = 200.0 * (x[i] - x[i - 1] * x[i - 1]) - 400.0 * valley * x[i] - 2.0 * away
    return total


def rosenbrock_floor(x):
    bar = np.empty_like(x)

    def step():
        return rosenbrock_gradients(x, bar), bar

    return step


ROSENBROCK = Problem(
    "Rosenbrock",
    {"tiny": (2,), "small": (1000,), "medium": (30_000,), "large": (1_000_000,)},
    lambda rng, n: (rng.normal(size=n), ()),
    rosenbrock,
    floor=rosenbrock_floor,
)
