"""Derivatives inside of what is differentiated: a saddle point, a charged particle, a step of Hamiltonian Monte Carlo.

`saddle` and `particle`: Siskind and Pearlmutter, *Using polyvariant union-free flow analysis to compile a higher-order
functional-programming language with a first-class derivative operator to efficient Fortran-like code*, 2008. Their
searches run until they converge; here the numbers of steps are given, so that all libraries do the same work.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .lanes import FAST, sigmoid
from .problem import Problem


def saddle_function(xp, x, y):
    """The maximum over y of x_1² + x_2² - y_1² - y_2² + x·y stands at y = x / 2."""
    return xp.sum(x * x) - xp.sum(y * y) + xp.sum(x * y)


def saddle(xp, x, steps):
    """The maximum over y, by steps of gradient ascent from x."""
    slope = xp.grad(lambda y: saddle_function(xp, x, y))
    y = x
    for _ in range(steps.shape[0]):
        y = y + 0.1 * slope(y)
    return saddle_function(xp, x, y)


def saddle_jax(x, steps):
    import jax
    import jax.numpy as jnp

    slope = jax.grad(lambda y: saddle_function(jnp, x, y))
    y, _ = jax.lax.scan(lambda y, _: (y + 0.1 * slope(y), None), x, length=steps.shape[0])
    return saddle_function(jnp, x, y)


@njit(error_model="numpy", fastmath=True)
def saddle_gradients(x, path, bar):
    count = path.shape[0] - 1
    value = 0.0
    for j in range(x.shape[0]):
        path[0, j] = x[j]
        for t in range(count):
            path[t + 1, j] = path[t, j] + 0.1 * (x[j] - 2.0 * path[t, j])
        y = path[count, j]
        value += x[j] * x[j] - y * y + x[j] * y
        y_bar, x_bar = x[j] - 2.0 * y, 2.0 * x[j] + y
        for _ in range(count):
            x_bar += 0.1 * y_bar
            y_bar *= 0.8
        bar[j] = x_bar + y_bar
    return value


def saddle_floor(x, steps):
    path, bar = np.empty((len(steps) + 1, len(x))), np.empty_like(x)

    def step():
        return saddle_gradients(x, path, bar), bar

    return step


SADDLE = Problem(
    "saddle",
    {"tiny": (5,), "small": (50,), "medium": (500,), "large": (2000,)},
    lambda rng, steps: (rng.normal(size=2), (np.zeros(steps),)),
    saddle,
    jax=saddle_jax,
    floor=saddle_floor,
    unrolled=("small", "medium", "large"),
    nested=True,
)

STEP = 0.1


def potential(xp, position, control):
    """Of two charges at (10, 10 - w) and (10, 0)."""
    x, y = position[0] - 10.0, position[1]
    above = y - (10.0 - control)
    return 1.0 / xp.sqrt(x * x + above * above) + 1.0 / xp.sqrt(x * x + y * y)


def particle_step(xp, force, state):
    """One of Euler's, while the particle is above the ground; then it stays."""
    position, speed = state
    falling = xp.where(position[1] > 0.0, 1.0, 0.0) * STEP
    return position + falling * speed, speed - falling * force(position)


def particle(xp, control, start, steps):
    """Where the particle comes to the ground, squared."""
    force = xp.grad(lambda position: potential(xp, position, control))
    state = start[0], start[1]
    for _ in range(steps.shape[0]):
        state = particle_step(xp, force, state)
    position, speed = state
    ground = position[0] - position[1] / speed[1] * speed[0]
    return ground * ground


def particle_jax(control, start, steps):
    import jax
    import jax.numpy as jnp

    force = jax.grad(lambda position: potential(jnp, position, control))

    def body(state, _):
        return particle_step(jnp, force, state), None

    (position, speed), _ = jax.lax.scan(body, (start[0], start[1]), length=steps.shape[0])
    ground = position[0] - position[1] / speed[1] * speed[0]
    return ground * ground


@njit(error_model="numpy", fastmath=True)
def particle_gradients(control, start, path, bar):
    """Value; the force's derivatives are written out, and states are saved."""
    w = control[()]
    count = path.shape[0]
    x, y, vx, vy = start[0, 0], start[0, 1], start[1, 0], start[1, 1]
    last = count
    for t in range(count):
        path[t, 0], path[t, 1] = x, y
        if not y > 0.0:
            last = t
            break
        a, b = x - 10.0, y - 10.0 + w
        r1, r2 = 1.0 / (a * a + b * b), 1.0 / (a * a + y * y)
        c1, c2 = r1 * np.sqrt(r1), r2 * np.sqrt(r2)
        x, y = x + STEP * vx, y + STEP * vy
        vx += STEP * a * (c1 + c2)
        vy += STEP * (b * c1 + path[t, 1] * c2)
    ground = x - y / vy * vx
    g = 2.0 * ground
    x_bar, y_bar, vx_bar, vy_bar = g, -g * vx / vy, -g * y / vy, g * y * vx / (vy * vy)
    w_bar = 0.0
    for t in range(last - 1, -1, -1):
        a, y = path[t, 0] - 10.0, path[t, 1]
        b = y - 10.0 + w
        r1, r2 = 1.0 / (a * a + b * b), 1.0 / (a * a + y * y)
        c1, c2 = r1 * np.sqrt(r1), r2 * np.sqrt(r2)
        d1, d2 = -3.0 * c1 * r1, -3.0 * c2 * r2
        p, q = STEP * vx_bar, STEP * vy_bar
        vx_bar += STEP * x_bar
        vy_bar += STEP * y_bar
        x_bar += p * (c1 + c2 + a * a * (d1 + d2)) + q * (a * b * d1 + a * y * d2)
        through = p * a * b * d1 + q * (c1 + b * b * d1)
        y_bar += through + p * a * y * d2 + q * (c2 + y * y * d2)
        w_bar += through
    bar[()] = w_bar
    return ground * ground


def particle_floor(control, start, steps):
    path, bar = np.empty((len(steps), 2)), np.empty(())

    def step():
        return particle_gradients(control, start, path, bar), bar

    return step


PARTICLE = Problem(
    "particle",
    {"tiny": (10,), "small": (50,), "medium": (200,), "large": (1000,)},
    lambda rng, steps: (np.array(0.3), (np.array([[0.0, 8.0], [0.75, 0.0]]), np.zeros(steps))),
    particle,
    jax=particle_jax,
    floor=particle_floor,
    unrolled=("small", "medium", "large"),
    nested=True,
)


def log_density(xp, weights, x, labels):
    """Of a logistic regression with a normal prior."""
    scores = x @ weights
    return xp.sum(labels * scores - xp.log(1.0 + xp.exp(scores))) - 0.5 * xp.sum(weights * weights)


LEAPS, STRIDE = 10, 0.01


def leapfrog(xp, parameters, x, labels):
    """Energy after ten leaps: what a step of Hamiltonian Monte Carlo accepts or refuses by."""
    position, momentum = parameters
    slope = xp.grad(lambda q: log_density(xp, q, x, labels))
    momentum = momentum + 0.5 * STRIDE * slope(position)
    for k in range(LEAPS):
        position = position + STRIDE * momentum
        momentum = momentum + (STRIDE if k < LEAPS - 1 else 0.5 * STRIDE) * slope(position)
    return position, momentum


def leapfrog_jax(parameters, x, labels):
    import jax
    import jax.numpy as jnp

    position, momentum = parameters
    slope = jax.grad(lambda q: log_density(jnp, q, x, labels))

    def body(state, stride):
        position, momentum = state
        position = position + STRIDE * momentum
        return (position, momentum + stride * slope(position)), None

    strides = jnp.full(LEAPS, STRIDE).at[-1].set(0.5 * STRIDE)
    state, _ = jax.lax.scan(body, (position, momentum + 0.5 * STRIDE * slope(position)), strides)
    return state


@njit(error_model="numpy", fastmath=FAST)
def residuals(scores, labels):
    for i in range(scores.shape[0]):
        scores[i] = labels[i] - sigmoid(scores[i])


def leapfrog_floor(parameters, x, labels):
    """Products by BLAS, what is between them in one pass."""
    scores, slope = np.empty(len(x)), np.empty_like(parameters[0])

    def step():
        position, momentum = parameters[0].copy(), parameters[1].copy()
        for k in range(LEAPS + 1):
            if k:
                position += STRIDE * momentum
            np.dot(x, position, out=scores)
            residuals(scores, labels)
            np.dot(scores, x, out=slope)
            np.subtract(slope, position, out=slope)
            momentum += (STRIDE if 0 < k < LEAPS else 0.5 * STRIDE) * slope
        return position, momentum

    return step


def leapfrog_inputs(rng, n, d):
    parameters = [rng.normal(size=d, scale=0.1), rng.normal(size=d)]
    return parameters, (rng.normal(size=(n, d)), (rng.random(n) < 0.5) * 1.0)


HMC = Problem(
    "HMC",
    {"tiny": (10, 3), "small": (100, 5), "medium": (2000, 20), "large": (50_000, 50)},
    leapfrog_inputs,
    leapfrog,
    jax=leapfrog_jax,
    floor=leapfrog_floor,
    is_step=True,
    nested=True,
)
