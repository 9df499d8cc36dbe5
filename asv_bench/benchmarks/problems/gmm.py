"""Gaussian mixture: log-likelihood with a Wishart prior.

Šrajer, Kukelova, Fitzgibbon, *A benchmark of selected algorithmic differentiation tools on some problems in computer
vision and machine learning*, 2018, section 3.1.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .lanes import FAST, exp
from .problem import Problem

GAMMA, M = 1.0, 0


def make(rng, d, k, n):
    parameters = [rng.normal(size=k), rng.random((k, d)), rng.normal(size=(k, d + d * (d - 1) // 2), scale=0.3)]
    return parameters, (rng.normal(size=(n, d)),)


def log_sum_exp(xp, x, axis):
    highest = xp.max(x, axis=axis, keepdims=True)
    return xp.log(xp.sum(xp.exp(x - highest), axis=axis)) + xp.sum(highest, axis=axis)


def below_diagonal(d):
    """Where a packed lower triangle, column by column, stands in a d by d matrix, and which entries it fills."""
    place, mask = np.zeros((d, d), int), np.zeros((d, d))
    columns, rows = np.triu_indices(d, 1)
    place[rows, columns] = d + np.arange(len(rows))
    mask[rows, columns] = 1.0
    return place, mask


def constant(d, k, n, gamma=GAMMA, m=M):
    p = d
    log_gamma = 0.25 * p * (p - 1) * math.log(math.pi) + sum(
        math.lgamma(0.5 * (p + m + 1) + 0.5 * (1 - j)) for j in range(1, p + 1)
    )
    c = (p + m + 1) * p * (math.log(gamma) - 0.5 * math.log(2)) - log_gamma
    return -n * d * 0.5 * math.log(2 * math.pi) - k * c


def value(xp, parameters, x, gamma=GAMMA, m=M):
    alphas, means, icf = parameters
    (n, d), k = x.shape, alphas.shape[0]
    place, mask = below_diagonal(d)
    log_diagonal = icf[:, :d]
    sums = xp.sum(log_diagonal, axis=1)
    diagonal = xp.exp(log_diagonal)
    triangle = icf[:, place] * xp.asarray(mask)
    q = triangle + diagonal[:, :, None] * xp.asarray(np.eye(d))
    centred = x[None, :, :] - means[:, None, :]
    projected = xp.matmul(centred, xp.swapaxes(q, 1, 2))
    squares = xp.sum(projected * projected, axis=2)
    inner = (alphas + sums)[:, None] - 0.5 * squares
    likelihood = xp.sum(log_sum_exp(xp, inner, 0)) - n * log_sum_exp(xp, alphas, 0)
    prior = 0.5 * gamma**2 * (xp.sum(diagonal * diagonal) + xp.sum(icf[:, d:] * icf[:, d:])) - m * xp.sum(sums)
    return likelihood + prior + constant(d, k, n, gamma, m)


@njit(error_model="numpy", fastmath=FAST)
def gradients(alphas, means, icf, points, x, q, inner, u, cx, alphas_bar, means_bar, icf_bar):
    """Value; `x` is (d, n). Tiles of points stay in the first-level cache; lanes run over points."""
    d, n = x.shape
    k = alphas.shape[0]
    tile = u.shape[1]
    total = 0.0
    alphas_bar[:] = 0.0
    means_bar[:] = 0.0
    icf_bar[:] = 0.0
    for c in range(k):
        at = d
        for j in range(d):
            q[c, j, j] = np.exp(icf[c, j])
            for i in range(j + 1, d):
                q[c, i, j] = icf[c, at]
                at += 1
    highest, norm = np.empty(tile), np.empty(tile)
    for start in range(0, n, tile):
        m = min(tile, n - start)
        for c in range(k):
            base = alphas[c]
            for j in range(d):
                base += icf[c, j]
            row = inner[c]
            for t in range(m):
                row[t] = base
            for j in range(d):
                mean = means[c, j]
                for t in range(m):
                    cx[j, t] = x[j, start + t] - mean
            for i in range(d):
                out = u[0]
                for t in range(m):
                    out[t] = 0.0
                for j in range(i + 1):
                    factor = q[c, i, j]
                    for t in range(m):
                        out[t] += factor * cx[j, t]
                for t in range(m):
                    row[t] -= 0.5 * out[t] * out[t]
        for t in range(m):
            highest[t] = inner[0, t]
        for c in range(1, k):
            for t in range(m):
                highest[t] = max(highest[t], inner[c, t])
        for t in range(m):
            norm[t] = 0.0
        for c in range(k):
            for t in range(m):
                inner[c, t] = exp(inner[c, t] - highest[t])
                norm[t] += inner[c, t]
        for t in range(m):
            total += np.log(norm[t]) + highest[t]
            norm[t] = 1.0 / norm[t]
        for c in range(k):
            share = inner[c]
            weight = 0.0
            for t in range(m):
                share[t] *= norm[t]
                weight += share[t]
            alphas_bar[c] += weight
            for j in range(d):
                icf_bar[c, j] += weight
                mean = means[c, j]
                for t in range(m):
                    cx[j, t] = x[j, start + t] - mean
            for i in range(d):
                out = u[i]
                for t in range(m):
                    out[t] = 0.0
                for j in range(i + 1):
                    factor = q[c, i, j]
                    for t in range(m):
                        out[t] += factor * cx[j, t]
                for t in range(m):
                    out[t] *= -share[t]
            at = d
            for j in range(d):
                dot = 0.0
                for t in range(m):
                    dot += u[j, t] * cx[j, t]
                icf_bar[c, j] += dot * q[c, j, j]
                mean = 0.0
                for t in range(m):
                    mean += u[j, t]
                moved = mean * q[c, j, j]
                for i in range(j + 1, d):
                    dot = 0.0
                    mean = 0.0
                    for t in range(m):
                        dot += u[i, t] * cx[j, t]
                        mean += u[i, t]
                    icf_bar[c, at] += dot
                    moved += mean * q[c, i, j]
                    at += 1
                means_bar[c, j] -= moved
    top = alphas.max()
    norm_alpha = 0.0
    for c in range(k):
        norm_alpha += np.exp(alphas[c] - top)
    total -= n * (np.log(norm_alpha) + top)
    for c in range(k):
        alphas_bar[c] -= n * np.exp(alphas[c] - top) / norm_alpha
        for j in range(d):
            square = q[c, j, j] * q[c, j, j]
            total += 0.5 * square - M * icf[c, j]
            icf_bar[c, j] += square - M
        for j in range(d, icf.shape[1]):
            total += 0.5 * icf[c, j] * icf[c, j]
            icf_bar[c, j] += icf[c, j]
    return total


def floor(parameters, x):
    alphas, means, icf = parameters
    (n, d), k, tile = x.shape, len(alphas), 128
    bars = [np.empty_like(p) for p in parameters]
    q, inner, u, cx = np.zeros((k, d, d)), np.empty((k, tile)), np.empty((d, tile)), np.empty((d, tile))
    extra = constant(d, k, n)

    def step():
        transposed = np.ascontiguousarray(x.T)
        return gradients(alphas, means, icf, x, transposed, q, inner, u, cx, *bars) + extra, bars

    return step


PROBLEM = Problem(
    "gmm",
    {"tiny": (2, 5, 10), "small": (2, 5, 1000), "medium": (10, 10, 1000), "large": (32, 25, 2500)},
    make,
    value,
    floor=floor,
)
