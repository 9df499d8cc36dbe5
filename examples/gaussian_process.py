"""Hyper-parameters of a Gaussian process by maximum likelihood, through a Cholesky factor.

Three numbers, in logarithms: how far apart points know of each other, how large the function is, and the noise.

Run:  python examples/gaussian_process.py
"""

import numpy as np
import scipy.optimize
from shared import BLUE, INK, RED, jax_error, pyplot, report, save, slope_error

import tapegrad as tg

# --- the model: plain NumPy ------------------------------------------------------------------------------------------


def kernel(logs, a, b):
    """Covariances of the function's values at a and b."""
    length, size = np.exp(logs[0]), np.exp(logs[1])
    return size**2 * np.exp(-0.5 * ((a[:, None] - b) / length) ** 2)


def negative_log_likelihood(logs, x, y):
    """Of the data y at x (Rasmussen and Williams, "Gaussian processes for machine learning", eq. 2.30)."""
    covariance = kernel(logs, x, x) + (np.exp(2.0 * logs[2]) + 1e-10) * np.eye(x.size)
    factor = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(factor, y)
    return 0.5 * whitened @ whitened + np.sum(np.log(np.diagonal(factor))) + 0.5 * x.size * np.log(2.0 * np.pi)


def posterior(logs, x, y, at):
    """Mean and standard deviation of the function, given the data."""
    factor = np.linalg.cholesky(kernel(logs, x, x) + np.exp(2.0 * logs[2]) * np.eye(x.size))
    cross = np.linalg.solve(factor, kernel(logs, x, at))
    mean = cross.T @ np.linalg.solve(factor, y)
    return mean, np.sqrt(np.exp(2.0 * logs[1]) - np.sum(cross**2, axis=0))


# --- data, fit, picture ----------------------------------------------------------------------------------------------


def main(count=60, picture=True):
    print("Gaussian process")
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(0.0, 10.0, count))
    x = x[(x < 5.5) | (x > 7.0)]
    y = np.sin(x) * np.exp(-0.1 * x) + 0.3 * np.cos(3.0 * x) + 0.15 * rng.normal(size=x.size)
    start = np.log([3.0, 1.0, 0.6])
    report(
        slope_error(lambda p: negative_log_likelihood(p, x, y), start), jax_error(negative_log_likelihood, start, x, y)
    )

    found = scipy.optimize.minimize(tg.value_and_grad(negative_log_likelihood), start, (x, y), jac=True)
    length, size, noise = np.exp(found.x)
    print(f"  length {length:.2f}, size {size:.2f}, noise {noise:.3f} (true: 0.150), in {found.nit} steps")
    if picture:
        draw(start, found.x, x, y)
    return noise


def draw(start, best, x, y):
    plt = pyplot()
    at = np.linspace(-0.3, 10.3, 300)
    figure, both = plt.subplots(1, 2, figsize=(7.6, 2.9), sharey=True)
    for axes, logs, title in zip(both, (start, best), ("before", "after maximising the likelihood"), strict=True):
        mean, spread = posterior(logs, x, y, at)
        wide = np.sqrt(spread**2 + np.exp(2.0 * logs[2]))
        axes.fill_between(at, mean - 2.0 * wide, mean + 2.0 * wide, color=BLUE, alpha=0.12, label="of new data")
        axes.fill_between(at, mean - 2.0 * spread, mean + 2.0 * spread, color=BLUE, alpha=0.3, label="of the function")
        axes.plot(at, mean, color=BLUE)
        axes.plot(at, np.sin(at) * np.exp(-0.1 * at) + 0.3 * np.cos(3.0 * at), color=RED, linewidth=1.0, linestyle="--")
        axes.scatter(x, y, s=9, color=INK, zorder=3)
        axes.set(title=title, xlim=(at[0], at[-1]), xlabel="x")
    both[0].set(ylim=(-2.9, 2.0))
    both[0].legend(loc="lower left", title="two standard deviations", alignment="left")
    save(figure, "gaussian_process.png")
    plt.close(figure)


if __name__ == "__main__":
    main()
