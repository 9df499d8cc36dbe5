"""A differential equation by Runge and Kutta's method of fourth order, fixed steps.

Bell's cmpad (and GradBench): y_0' = x_0 and y_i' = x_i y_{i-1}, from y(0) = 0 to y(2); the last component is the value.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .problem import Problem


def make(rng, n, steps):
    return rng.uniform(0.8, 1.2, n), (np.arange(steps) * 1.0,)  # the data's length is the number of steps


def slope(xp, x, y):
    return x * xp.concatenate([xp.ones(1), y[:-1]])


def advance(xp, x, y, h):
    k1 = slope(xp, x, y)
    k2 = slope(xp, x, y + k1 * (h / 2.0))
    k3 = slope(xp, x, y + k2 * (h / 2.0))
    k4 = slope(xp, x, y + k3 * h)
    return y + (k1 + 2.0 * k2 + 2.0 * k3 + k4) * (h / 6.0)


def value(xp, x, steps):
    count = steps.shape[0]
    y = x * 0.0
    for _ in range(count):
        y = advance(xp, x, y, 2.0 / count)
    return y[-1]


def jax(x, steps):
    import jax.numpy as jnp
    from jax import lax

    count = steps.shape[0]
    y, _ = lax.scan(lambda y, _: (advance(jnp, x, y, 2.0 / count), None), x * 0.0, length=count)
    return y[-1]


@njit(error_model="numpy", fastmath=True)
def gradients(x, path, a, b, bar):
    """Value; the linear maps are run backwards, from states saved at each step."""
    count, n = path.shape[0] - 1, x.shape[0]
    h = 2.0 / count
    k1, k2, k3, k4 = a[0], a[1], a[2], a[3]
    path[0] = 0.0
    for s in range(count):
        y, z = path[s], path[s + 1]
        k1[0] = k2[0] = k3[0] = k4[0] = x[0]
        for i in range(1, n):
            k1[i] = x[i] * y[i - 1]
        for i in range(1, n):
            k2[i] = x[i] * (y[i - 1] + 0.5 * h * k1[i - 1])
        for i in range(1, n):
            k3[i] = x[i] * (y[i - 1] + 0.5 * h * k2[i - 1])
        for i in range(1, n):
            k4[i] = x[i] * (y[i - 1] + h * k3[i - 1])
        for i in range(n):
            z[i] = y[i] + (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]) * (h / 6.0)
    y_bar, p, q = b[0], b[1], b[2]
    y_bar[:] = 0.0
    y_bar[n - 1] = 1.0
    bar[:] = 0.0
    for s in range(count - 1, -1, -1):
        y = path[s]
        for i in range(1, n):
            k1[i] = x[i] * y[i - 1]
        k1[0] = k2[0] = k3[0] = x[0]
        for i in range(1, n):
            k2[i] = x[i] * (y[i - 1] + 0.5 * h * k1[i - 1])
        for i in range(1, n):
            k3[i] = x[i] * (y[i - 1] + 0.5 * h * k2[i - 1])
        sixth, third = h / 6.0, h / 3.0
        # p: the cotangent of a stage's slope; its argument's is x[i + 1] * p[i + 1]
        for i in range(n):
            p[i] = sixth * y_bar[i]
        bar[0] += p[0]
        for i in range(1, n):
            bar[i] += p[i] * (y[i - 1] + h * k3[i - 1])
        for i in range(n):
            q[i] = third * y_bar[i]
        for i in range(n - 1):
            q[i] += h * x[i + 1] * p[i + 1]
        bar[0] += q[0]
        for i in range(1, n):
            bar[i] += q[i] * (y[i - 1] + 0.5 * h * k2[i - 1])
        r = b[3]
        for i in range(n):
            r[i] = third * y_bar[i]
        for i in range(n - 1):
            r[i] += 0.5 * h * x[i + 1] * q[i + 1]
        bar[0] += r[0]
        for i in range(1, n):
            bar[i] += r[i] * (y[i - 1] + 0.5 * h * k1[i - 1])
        u = b[4]
        for i in range(n):
            u[i] = sixth * y_bar[i]
        for i in range(n - 1):
            u[i] += 0.5 * h * x[i + 1] * r[i + 1]
        bar[0] += u[0]
        for i in range(1, n):
            bar[i] += u[i] * y[i - 1]
        for i in range(n - 1):
            y_bar[i] += x[i + 1] * (p[i + 1] + q[i + 1] + r[i + 1] + u[i + 1])
    return path[count, n - 1]


def floor(x, steps):
    n = len(x)
    path, a, b, bar = np.empty((len(steps) + 1, n)), np.empty((4, n)), np.empty((5, n)), np.empty(n)

    def step():
        return gradients(x, path, a, b, bar), bar

    return step


PROBLEM = Problem(
    "ode",
    {"tiny": (5, 4), "small": (10, 50), "medium": (20, 500), "large": (1000, 500)},
    make,
    value,
    jax=jax,
    floor=floor,
    unrolled=("small", "medium", "large"),
)
