"""The cost of k-means: each point's squared distance from the nearest centre (GradBench's `kmeans`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from .lanes import FAST
from .problem import Problem


def make(rng, n, k, d):
    return rng.random((k, d)), (rng.random((n, d)),)


def value(xp, centres, points):
    away = points[:, None, :] - centres[None, :, :]
    return xp.sum(xp.min(xp.sum(away * away, axis=2), axis=1))


@njit(error_model="numpy", fastmath=FAST)
def gradients(centres, points, square, best, nearest, sums, bar):
    """Value; lanes run over a tile of points, then each point is added to its nearest centre's sum."""
    k, d = centres.shape
    n, tile = points.shape[0], square.shape[0]
    total = 0.0
    bar[:] = 0.0
    for start in range(0, n, tile):
        m = min(tile, n - start)
        for j in range(d):
            for t in range(m):
                sums[j, t] = points[start + t, j]
        for c in range(k):
            for t in range(m):
                square[t] = 0.0
            for j in range(d):
                centre = centres[c, j]
                for t in range(m):
                    square[t] += (sums[j, t] - centre) * (sums[j, t] - centre)
            if c == 0:
                for t in range(m):
                    best[t], nearest[t] = square[t], 0.0
            else:
                for t in range(m):
                    nearer = square[t] < best[t]
                    nearest[t] = c if nearer else nearest[t]
                    best[t] = square[t] if nearer else best[t]
        for t in range(m):
            total += best[t]
        for t in range(m):
            c = int(nearest[t])
            for j in range(d):
                bar[c, j] += 2.0 * (centres[c, j] - points[start + t, j])
    return total


def floor(centres, points):
    d, tile = centres.shape[1], 256
    square, best, nearest, sums = np.empty(tile), np.empty(tile), np.empty(tile), np.empty((d, tile))
    bar = np.empty_like(centres)

    def step():
        return gradients(centres, points, square, best, nearest, sums, bar), bar

    return step


PROBLEM = Problem(
    "kmeans",
    {"tiny": (10, 3, 2), "small": (1000, 5, 3), "medium": (10_000, 10, 8), "large": (100_000, 20, 16)},
    make,
    value,
    floor=floor,
)
