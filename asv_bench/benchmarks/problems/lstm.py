"""A recurrent network with diagonal weights, over a sequence.

ADBench (see `gmm`): layers of cells whose gates see one number each, cross-entropy of each next character.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .lanes import FAST, exp, sigmoid, tanh
from .problem import Problem


def make(rng, layers, length, b):
    parameters = [rng.normal(size=(2 * layers, 4, b), scale=0.5), rng.normal(size=(3, b), scale=0.5)]
    return parameters, (rng.normal(size=(2 * layers, b), scale=0.1), (rng.random((length, b)) < 0.5) * 1.0)


def logistic(xp, x):
    return 1.0 / (1.0 + xp.exp(-x))


def cell(xp, weight, bias, hidden, state, x):
    forget = logistic(xp, x * weight[0] + bias[0])
    enter = logistic(xp, hidden * weight[1] + bias[1])
    leave = logistic(xp, x * weight[2] + bias[2])
    change = xp.tanh(hidden * weight[3] + bias[3])
    state = state * forget + enter * change
    return leave * xp.tanh(state), state


def value(xp, parameters, start, sequence):
    main, extra = parameters
    state = [start[k] for k in range(start.shape[0])]
    total = 0.0
    length, b = sequence.shape
    for t in range(length - 1):
        x = sequence[t] * extra[0]
        for k in range(0, len(state), 2):
            state[k], state[k + 1] = cell(xp, main[k], main[k + 1], state[k], state[k + 1], x)
            x = state[k]
        y = x * extra[1] + extra[2]
        total = total + xp.sum(sequence[t + 1] * (y - xp.log(xp.sum(xp.exp(y)) + 2.0)))
    return -total / ((length - 1) * b)


def jax(parameters, start, sequence):
    import jax.numpy as jnp
    from jax import lax

    main, extra = parameters
    length, b = sequence.shape

    def body(state, pair):
        now, after = pair
        x, new = now * extra[0], []
        for k in range(0, start.shape[0], 2):
            x, c = cell(jnp, main[k], main[k + 1], state[k], state[k + 1], x)
            new += [x, c]
        y = x * extra[1] + extra[2]
        return jnp.stack(new), jnp.sum(after * (y - jnp.log(jnp.sum(jnp.exp(y)) + 2.0)))

    _, terms = lax.scan(body, start, (sequence[:-1], sequence[1:]))
    return -jnp.sum(terms) / ((length - 1) * b)


@njit(error_model="numpy", fastmath=FAST)
def gradients(main, extra, start, sequence, saved, states, ahead, main_bar, extra_bar):
    """Value; gates and states of all steps are saved, and read backwards."""
    length, b = sequence.shape
    layers = main.shape[0] // 2
    total = 0.0
    for k in range(layers):
        for i in range(b):
            states[0, k, 0, i], states[0, k, 1, i] = start[2 * k, i], start[2 * k + 1, i]
    for t in range(length - 1):
        x = saved[t, 0, 6]
        for i in range(b):
            x[i] = sequence[t, i] * extra[0, i]
        for k in range(layers):
            w, v, gates = main[2 * k], main[2 * k + 1], saved[t, k]
            before, now = states[t, k], states[t + 1, k]
            for i in range(b):
                h = before[0, i]
                gates[0, i] = sigmoid(x[i] * w[0, i] + v[0, i])
                gates[1, i] = sigmoid(h * w[1, i] + v[1, i])
                gates[2, i] = sigmoid(x[i] * w[2, i] + v[2, i])
                gates[3, i] = tanh(h * w[3, i] + v[3, i])
                now[1, i] = before[1, i] * gates[0, i] + gates[1, i] * gates[3, i]
                gates[4, i] = tanh(now[1, i])
                now[0, i] = gates[2, i] * gates[4, i]
            x = now[0]
        y, e = ahead[t, 0], ahead[t, 1]
        norm = 2.0
        for i in range(b):
            y[i] = x[i] * extra[1, i] + extra[2, i]
            e[i] = exp(y[i])
            norm += e[i]
        share, log = 1.0 / norm, np.log(norm)
        count = 0.0
        for i in range(b):
            gold = sequence[t + 1, i]
            total += gold * (y[i] - log)
            count += gold
        for i in range(b):
            e[i] = sequence[t + 1, i] - count * share * e[i]
    scale = -1.0 / ((length - 1) * b)
    main_bar[:] = 0.0
    extra_bar[:] = 0.0
    carried = np.zeros((layers, 2, b))
    x_bar = np.empty(b)
    for t in range(length - 2, -1, -1):
        y_bar, x = ahead[t, 1], states[t + 1, layers - 1, 0]
        for i in range(b):
            bar = y_bar[i] * scale
            extra_bar[1, i] += bar * x[i]
            extra_bar[2, i] += bar
            x_bar[i] = bar * extra[1, i]
        for k in range(layers - 1, -1, -1):
            w, gates, before = main[2 * k], saved[t, k], states[t, k]
            w_bar, v_bar, carry = main_bar[2 * k], main_bar[2 * k + 1], carried[k]
            x = states[t + 1, k - 1, 0] if k else saved[t, 0, 6]
            for i in range(b):
                forget, enter, leave, change, cell = gates[0, i], gates[1, i], gates[2, i], gates[3, i], gates[4, i]
                h, h_bar = before[0, i], x_bar[i] + carry[0, i]
                c_bar = carry[1, i] + h_bar * leave * (1.0 - cell * cell)
                f_bar = c_bar * before[1, i] * forget * (1.0 - forget)
                e_bar = c_bar * change * enter * (1.0 - enter)
                l_bar = h_bar * cell * leave * (1.0 - leave)
                g_bar = c_bar * enter * (1.0 - change * change)
                w_bar[0, i] += f_bar * x[i]
                w_bar[1, i] += e_bar * h
                w_bar[2, i] += l_bar * x[i]
                w_bar[3, i] += g_bar * h
                v_bar[0, i] += f_bar
                v_bar[1, i] += e_bar
                v_bar[2, i] += l_bar
                v_bar[3, i] += g_bar
                carry[0, i] = e_bar * w[1, i] + g_bar * w[3, i]
                carry[1, i] = c_bar * forget
                x_bar[i] = f_bar * w[0, i] + l_bar * w[2, i]
        for i in range(b):
            extra_bar[0, i] += x_bar[i] * sequence[t, i]
    return total * scale


def floor(parameters, start, sequence):
    main, extra = parameters
    length, b = sequence.shape
    layers = len(main) // 2
    saved, states, ahead = np.empty((length, layers, 7, b)), np.empty((length, layers, 2, b)), np.empty((length, 2, b))
    bars = [np.empty_like(p) for p in parameters]

    def step():
        return gradients(main, extra, start, sequence, saved, states, ahead, *bars), bars

    return step


PROBLEM = Problem(
    "lstm",
    {"tiny": (2, 4, 14), "small": (2, 32, 14), "medium": (2, 256, 14), "large": (4, 1024, 14)},
    make,
    value,
    jax=jax,
    floor=floor,
    unrolled=("small", "medium", "large"),
)
