"""Three thousand small operations, one after another: operators, or operators and functions."""

from __future__ import annotations

import numpy as np
from numba import njit

from .lanes import FAST
from .problem import Problem


def operators(xp, x):
    y = x
    for _ in range(1000):
        y = y * x * 0.5 + x
    return xp.sum(y)


def operators_jax(x):
    import jax.numpy as jnp
    from jax import lax

    y, _ = lax.scan(lambda y, _: (y * x * 0.5 + x, None), x, length=1000)
    return jnp.sum(y)


@njit(error_model="numpy", fastmath=FAST)
def operators_gradients(x, saved, bar):
    """Value; lanes run over a tile, whose thousand states stay in the cache."""
    n, tile = x.shape[0], saved.shape[1]
    total = 0.0
    for start in range(0, n, tile):
        m = min(tile, n - start)
        for i in range(m):
            saved[0, i] = x[start + i]
        for t in range(1000):
            y, z = saved[t], saved[t + 1]
            for i in range(m):
                z[i] = y[i] * x[start + i] * 0.5 + x[start + i]
        y_bar = saved[1001]
        for i in range(m):
            total += saved[1000, i]
            y_bar[i] = 1.0
            bar[start + i] = 0.0
        for t in range(999, -1, -1):
            y = saved[t]
            for i in range(m):
                bar[start + i] += y_bar[i] * (y[i] * 0.5 + 1.0)
                y_bar[i] *= x[start + i] * 0.5
        for i in range(m):
            bar[start + i] += y_bar[i]
    return total


@njit(error_model="numpy", fastmath=FAST)
def operators_gradient_of_one(x, saved, bar):
    y = v = x[0]
    for t in range(1000):
        saved[t, 0] = y
        y = y * v * 0.5 + v
    y_bar, total = 1.0, 0.0
    for t in range(999, -1, -1):
        total += y_bar * (saved[t, 0] * 0.5 + 1.0)
        y_bar *= v * 0.5
    bar[0] = total + y_bar
    return y


def operators_floor(x):
    flat = x.reshape(-1)
    saved, bar = np.empty((1002, min(flat.size, 16))), np.empty_like(x)
    kernel, flat_bar = operators_gradients if flat.size > 1 else operators_gradient_of_one, bar.reshape(-1)

    def step():
        return kernel(flat, saved, flat_bar), bar

    return step


def inputs(rng, n):
    return (rng.uniform(0.1, 0.9, n) if n > 1 else rng.uniform(0.1, 0.9, ())), ()


SIZES = {"tiny": (1,), "small": (3,), "medium": (1000,), "large": (30_000,)}
ALL = ("tiny", "small", "medium", "large")
OPERATORS = Problem("3,000 operators", SIZES, inputs, operators, jax=operators_jax, floor=operators_floor, unrolled=ALL)


def functions(xp, x):
    y = x
    for _ in range(1000):
        y = xp.exp(xp.sin(y) * x)
    return xp.sum(y)


def functions_jax(x):
    import jax.numpy as jnp
    from jax import lax

    y, _ = lax.scan(lambda y, _: (jnp.exp(jnp.sin(y) * x), None), x, length=1000)
    return jnp.sum(y)


FUNCTIONS = Problem("3,000 functions", SIZES, inputs, functions, jax=functions_jax, unrolled=ALL)
