"""A mixture of Gaussians by direct maximisation of its likelihood, and what EM has to do with it.

The objective of expectation maximisation has, where it was set up, the same gradient as the log-likelihood (Fisher's
identity); the script checks that, with responsibilities that are held by `tg.stop_gradient`.

Run:  python examples/gaussian_mixture.py
"""

import numpy as np
import scipy.optimize
from shared import BLUE, GREEN, RED, jax_error, pyplot, report, save, slope_error

import tapegrad as tg
from tapegrad.scipy.special import logsumexp

# --- the model: plain NumPy and SciPy --------------------------------------------------------------------------------


def joint_logs(weights, data):
    """Logarithm of each component's share of each point's density.

    The parameters are free numbers: logits of the weights, means, and factors of the inverse covariances with the
    logarithm of their diagonal.
    """
    logits, means, logs, skew = weights["logits"], weights["means"], weights["logs"], weights["skew"]
    moved = data[:, None, :] - means
    first = np.exp(logs[:, 0]) * moved[:, :, 0]
    second = np.exp(logs[:, 1]) * moved[:, :, 1] + skew * moved[:, :, 0]
    share = logits - logsumexp(logits)
    return share - 0.5 * (first**2 + second**2) + np.sum(logs, axis=1) - np.log(2.0 * np.pi)


def negative_log_likelihood(weights, data):
    """Mean over the data."""
    return -np.mean(logsumexp(joint_logs(weights, data), axis=1))


def em_objective(weights, data, at=None):
    """Minus the expected complete log-likelihood, under the responsibilities `at` weights, or at these very ones."""
    logs = joint_logs(weights, data)
    held = logs if at is None else joint_logs(at, data)
    responsibility = tg.stop_gradient(np.exp(held - logsumexp(held, axis=1, keepdims=True)))
    return -np.mean(np.sum(responsibility * logs, axis=1))


# --- data, fit, picture ----------------------------------------------------------------------------------------------


def clouds(count, rng):
    shapes = [
        ([0.0, 0.0], [[1.0, 0.9], [0.0, 0.3]]),
        ([3.0, 1.5], [[0.5, 0.0], [0.6, 0.9]]),
        ([0.5, 3.5], [[1.2, 0.0], [0.0, 0.3]]),
    ]
    return np.concatenate([np.array(m) + rng.normal(size=(count, 2)) @ np.array(s) for m, s in shapes])


def jax_modules():
    """JAX's functions under the names that the model uses; its `stop_gradient` is the one that holds its values."""
    try:
        import jax
        from jax.scipy.special import logsumexp
    except ImportError:
        return {}
    return {"logsumexp": logsumexp, "tg": jax.lax}


def main(count=150, picture=True):
    print("Gaussian mixture")
    rng = np.random.default_rng(1)
    data = clouds(count, rng)
    start = {
        "logits": np.zeros(3),
        "means": data[rng.choice(len(data), 3, replace=False)],
        "logs": np.zeros((3, 2)),
        "skew": np.zeros(3),
    }
    theirs = jax_modules()
    report(
        slope_error(lambda w: negative_log_likelihood(w, data), start),
        jax_error(negative_log_likelihood, start, data, **theirs),
    )
    report(
        slope_error(lambda w: em_objective(w, data, at=start), start),
        jax_error(em_objective, start, data, **theirs),
    )
    likelihood, em = (tg.grad(f)(start, data) for f in (negative_log_likelihood, em_objective))
    fisher = max(np.max(np.abs(likelihood[k] - em[k])) for k in start)
    print(f"  Fisher's identity holds to {fisher:.1e}")
    assert fisher < 1e-12

    names = list(start)
    sizes = np.cumsum([start[k].size for k in names])[:-1]

    def unflatten(flat):
        return {k: np.reshape(part, start[k].shape) for k, part in zip(names, np.split(flat, sizes), strict=True)}

    flat = np.concatenate([start[k].ravel() for k in names])
    result = scipy.optimize.minimize(
        tg.value_and_grad(lambda flat: negative_log_likelihood(unflatten(flat), data)), flat, jac=True, method="BFGS"
    )
    print(
        f"  mean log-likelihood {-negative_log_likelihood(start, data):.3f} -> {-result.fun:.3f} in {result.nit} steps"
    )
    if picture:
        draw(data, start, unflatten(result.x))
    return -result.fun


def draw(data, before, after):
    plt = pyplot()
    turn = np.linspace(0.0, 2.0 * np.pi, 100)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    colors = (BLUE, RED, GREEN)
    figure, both = plt.subplots(1, 2, figsize=(7.6, 3.4), sharex=True, sharey=True)
    for axes, weights, title in zip(both, (before, after), ("before", "after maximising the likelihood"), strict=True):
        logs = np.asarray(joint_logs(weights, data))
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        mixed = shares @ np.array([[int(c[i : i + 2], 16) / 255.0 for i in (1, 3, 5)] for c in colors])
        axes.scatter(*data.T, s=7, c=mixed, alpha=0.45, linewidth=0)
        for k, color in enumerate(colors):
            a, b = np.exp(weights["logs"][k])
            inverse = np.linalg.inv(np.array([[a, 0.0], [weights["skew"][k], b]]))
            for radius in (1.0, 2.0):
                axes.plot(
                    *(weights["means"][k][:, None] + radius * inverse @ circle), color=color, linewidth=1.8 / radius
                )
        axes.set(title=title, aspect="equal", xticks=[], yticks=[])
    save(figure, "gaussian_mixture.png")
    plt.close(figure)


if __name__ == "__main__":
    main()
