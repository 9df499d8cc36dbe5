"""Black and Scholes's price of a call option by Monte Carlo, and its sensitivities to all five inputs."""

from __future__ import annotations

import numpy as np
from numba import njit

from .lanes import FAST, exp
from .problem import Problem


def value(xp, theta, normals):
    spot, strike, rate, volatility, time = theta[0], theta[1], theta[2], theta[3], theta[4]
    drift = (rate - 0.5 * volatility * volatility) * time
    final = spot * xp.exp(drift + volatility * xp.sqrt(time) * normals)
    payoff = xp.maximum(final - strike, 0.0)
    return xp.exp(-rate * time) * xp.mean(payoff)


@njit(error_model="numpy", fastmath=FAST)
def gradients(theta, normals, bar):
    """Value; one pass over the paths sums the payoff and what the sensitivities need."""
    spot, strike, rate, volatility, time = theta[0], theta[1], theta[2], theta[3], theta[4]
    root = np.sqrt(time)
    drift, spread = (rate - 0.5 * volatility * volatility) * time, volatility * root
    n = normals.shape[0]
    growth = moment = inside = 0.0
    for i in range(n):
        factor = exp(drift + spread * normals[i])
        paid = 1.0 if spot * factor > strike else 0.0
        growth += paid * factor
        moment += paid * factor * normals[i]
        inside += paid
    discount = np.exp(-rate * time)
    scale = discount / n
    price = (spot * growth - strike * inside) * scale
    drift_bar, spread_bar = spot * growth * scale, spot * moment * scale
    bar[0] = growth * scale
    bar[1] = -inside * scale
    bar[2] = drift_bar * time - time * price
    bar[3] = -drift_bar * volatility * time + spread_bar * root
    bar[4] = drift_bar * (rate - 0.5 * volatility * volatility) + spread_bar * volatility * 0.5 / root - rate * price
    return price


def floor(theta, normals):
    bar = np.empty(5)

    def step():
        return gradients(theta, normals, bar), bar

    return step


def payoff(spot, strike, rate, volatility, normal):
    """One path's discounted payoff after a year; mapped over paths whose inputs all differ."""
    final = spot * np.exp(rate - 0.5 * volatility * volatility + volatility * normal)
    return np.exp(-rate) * np.maximum(final - strike, 0.0)


@njit(error_model="numpy", fastmath=FAST)
def payoffs(spot, strike, rate, volatility, normal, value, bars):
    """Payoffs of all paths and their sensitivities to the five inputs, the rows of `bars`."""
    for i in range(spot.shape[0]):
        factor = exp(rate[i] - 0.5 * volatility[i] * volatility[i] + volatility[i] * normal[i])
        final = spot[i] * factor
        discount = exp(-rate[i])
        paid = discount if final > strike[i] else 0.0
        value[i] = paid * (final - strike[i])
        bars[0, i] = paid * factor
        bars[1, i] = -paid
        bars[2, i] = paid * strike[i]
        bars[3, i] = paid * final * (normal[i] - volatility[i])
        bars[4, i] = paid * final * volatility[i]


def paths(n):
    """Inputs of `payoff` for `n` paths."""
    rng = np.random.default_rng(n)
    ranges = (80.0, 120.0), (80.0, 120.0), (0.01, 0.05), (0.1, 0.4)
    return *[rng.uniform(low, high, n) for low, high in ranges], rng.normal(size=n)


PROBLEM = Problem(
    "Black-Scholes",
    {"tiny": (10,), "small": (1000,), "medium": (100_000,), "large": (1_000_000,)},
    lambda rng, n: (np.array([100.0, 105.0, 0.05, 0.2, 1.0]), (rng.normal(size=n),)),
    value,
    floor=floor,
)
