"""A determinant by expansion in minors of the first row, scalar by scalar (cmpad's and GradBench's `det`)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numba import njit

from .problem import Problem


def minor(matrix, row, columns):
    if len(columns) == 1:
        return matrix[row, columns[0]]
    total, sign = 0.0, 1.0
    for k, column in enumerate(columns):
        rest = columns[:k] + columns[k + 1 :]
        total = total + sign * matrix[row, column] * minor(matrix, row + 1, rest)
        sign = -sign
    return total


def value(xp, matrix):
    return minor(matrix, 0, tuple(range(matrix.shape[0])))


def jax(matrix):
    """All minors of the last k rows at once, from those of the last k - 1."""
    import jax.numpy as jnp

    n = matrix.shape[0]
    minors, places = matrix[n - 1], {(j,): j for j in range(n)}
    for size in range(2, n + 1):
        sets = list(combinations(range(n), size))
        columns = np.array(sets)
        rest = np.array([[places[s[:k] + s[k + 1 :]] for k in range(size)] for s in sets])
        signs = (-1.0) ** np.arange(size)
        minors = jnp.sum(matrix[n - size][columns] * minors[rest] * signs, axis=1)
        places = {s: k for k, s in enumerate(sets)}
    return minors[0]


@njit(error_model="numpy", fastmath=True)
def gradients(matrix, minors, minors_bar, bar):
    """Value; minors of the last rows, by the set of columns as bits, then the same backwards."""
    n = matrix.shape[0]
    minors[0] = 1.0
    for chosen in range(1, 1 << n):
        row = n
        rest = chosen
        while rest:
            rest &= rest - 1
            row -= 1
        total, sign = 0.0, 1.0
        for column in range(n):
            if chosen >> column & 1:
                total += sign * matrix[row, column] * minors[chosen & ~(1 << column)]
                sign = -sign
        minors[chosen] = total
    minors_bar[:] = 0.0
    minors_bar[(1 << n) - 1] = 1.0
    bar[:] = 0.0
    for chosen in range((1 << n) - 1, 0, -1):
        row = n
        rest = chosen
        while rest:
            rest &= rest - 1
            row -= 1
        sign = minors_bar[chosen]
        for column in range(n):
            if chosen >> column & 1:
                left = chosen & ~(1 << column)
                bar[row, column] += sign * minors[left]
                minors_bar[left] += sign * matrix[row, column]
                sign = -sign
    return minors[(1 << n) - 1]


def floor(matrix):
    count = 1 << len(matrix)
    minors, minors_bar, bar = np.empty(count), np.empty(count), np.empty_like(matrix)

    def step():
        return gradients(matrix, minors, minors_bar, bar), bar

    return step


PROBLEM = Problem(
    "det",
    {"tiny": (3,), "small": (4,), "medium": (5,), "large": (7,)},
    lambda rng, n: (rng.normal(size=(n, n)), ()),
    value,
    jax=jax,
    floor=floor,
    unrolled=("medium", "large"),
)
