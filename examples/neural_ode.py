"""A neural ordinary differential equation learns a spiral: gradients through `solve_ivp`, steps of its own choosing.

Chen et al., "Neural ordinary differential equations", NeurIPS 2018, section 5. Only the import of `solve_ivp` differs
from SciPy's.

Run:  python examples/neural_ode.py
"""

import numpy as np
import scipy.optimize
from shared import BLUE, INK, RED, pyplot, report, save, slope_error

import tapegrad as tg
from tapegrad.scipy.integrate import solve_ivp

TRUE = np.array([[-0.1, 2.0], [-2.0, -0.1]])

# --- the model: plain NumPy and SciPy --------------------------------------------------------------------------------


def velocity(t, state, weights):
    """A network with one hidden layer, on the cubes of the coordinates of any number of points."""
    y = np.reshape(state, (2, -1))
    return np.ravel(weights["out"] @ np.tanh(weights["in"] @ y**3 + weights["bias"]))


def trajectories(weights, starts, times):
    """Where points go, all in one solution: shape (2, points, times)."""
    state = np.ravel(starts)
    y = solve_ivp(velocity, (times[0], times[-1]), state, t_eval=times, args=(weights,), rtol=1e-6, atol=1e-8).y
    return np.reshape(y, (2, -1, times.size))


def loss(weights, times, pieces):
    """Mean squared distance to pieces of the path that was seen, each from where it begins."""
    return np.mean((trajectories(weights, pieces[:, :, 0], times) - pieces) ** 2)


# --- data, training, picture -----------------------------------------------------------------------------------------


def network(hidden, rng):
    return {
        "in": 0.4 * rng.normal(size=(hidden, 2)),
        "bias": 0.1 * rng.normal(size=(hidden, 1)),
        "out": 0.4 * rng.normal(size=(2, hidden)),
    }


def jax_difference(weights, times, pieces):
    """To the gradient through JAX's own solver, whose steps are others; None where JAX is missing."""
    try:
        import jax
        from jax.experimental.ode import odeint
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)

    def total(w):
        field = lambda y, t: w["out"] @ jax.numpy.tanh(w["in"] @ y**3 + w["bias"])
        found = odeint(field, pieces[:, :, 0], times, rtol=1e-9, atol=1e-9)
        return jax.numpy.mean((jax.numpy.moveaxis(found, 0, -1) - pieces) ** 2)

    theirs, ours = jax.grad(total)(weights), tg.grad(loss)(weights, times, pieces)
    return max(np.max(np.abs(ours[k] - theirs[k])) for k in weights) / max(np.max(np.abs(g)) for g in ours.values())


def main(steps=80, hidden=16, picture=True):
    print("neural ODE")
    times = np.linspace(0.0, 6.0, 61)
    path = solve_ivp(lambda t, y: TRUE @ y**3, (0.0, 6.0), np.array([2.0, 0.0]), t_eval=times, rtol=1e-8).y
    pieces = np.lib.stride_tricks.sliding_window_view(path, 6, axis=1)
    weights = network(hidden, np.random.default_rng(2))
    few = times[:6], pieces[:, ::20]
    # As good as the solver's tolerance: each solution that differences are made of has steps of its own.
    report(slope_error(lambda w: loss(w, *few), weights), jax_difference(weights, *few), tolerance=1e-3)

    names = list(weights)
    sizes = np.cumsum([weights[k].size for k in names])[:-1]

    def unflatten(flat):
        return {k: np.reshape(part, weights[k].shape) for k, part in zip(names, np.split(flat, sizes), strict=True)}

    def cost(flat):
        return loss(unflatten(flat), times[:6], pieces)

    flat = np.concatenate([weights[k].ravel() for k in names])
    result = scipy.optimize.minimize(
        tg.value_and_grad(cost), flat, jac=True, method="L-BFGS-B", options={"maxiter": steps}
    )
    print(f"  loss {cost(flat):.2e} -> {result.fun:.2e} in {result.nit} steps")
    if picture:
        draw(times, path, weights, unflatten(result.x))
    return result.fun


def draw(times, path, before, after):
    plt = pyplot()
    fine = np.linspace(times[0], times[-1], 300)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.4))
    axis = np.linspace(-2.4, 2.4, 22)
    x, y = np.meshgrid(axis, axis)
    u, v = velocity(0.0, np.stack([x, y]), after).reshape(2, *x.shape)
    untrained, trained = (trajectories(w, path[:, 0], fine)[:, 0] for w in (before, after))
    left.streamplot(x, y, u, v, color="#c9d6e4", linewidth=0.7, arrowsize=0.7)
    left.plot(*path, "o", color=INK, markersize=3, label="seen")
    left.plot(*untrained, color=RED, linewidth=1.0, linestyle="--", label="before")
    left.plot(*trained, color=BLUE, linewidth=1.8, label="after training")
    left.set(
        aspect="equal", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), xticks=[], yticks=[], title="the field that was learnt"
    )
    left.legend(loc="upper right", fontsize=7.5, frameon=True, edgecolor="white")
    for k, color in enumerate((BLUE, RED)):
        right.plot(times, path[k], "o", color=color, markersize=3)
        right.plot(fine, trained[k], color=color, label=f"coordinate {k + 1}")
    right.set(xlabel="time", title="in time")
    right.legend(loc="upper right")
    save(figure, "neural_ode.png")
    plt.close(figure)


if __name__ == "__main__":
    main()
