"""Variational inference: a robust regression whose posterior is approximated by independent Gaussians.

The evidence's lower bound is an average over samples that are made of standard normal ones, so that its gradient goes
through them (Kingma and Welling, "Auto-encoding variational Bayes", 2014). Errors follow Student's distribution: a few
points are far off.

Run:  python examples/variational_inference.py
"""

import numpy as np
import scipy.optimize
from shared import BLUE, GOLD, INK, RED, jax_error, pyplot, report, save, slope_error

import tapegrad as tg
from tapegrad.scipy import stats

# --- the model: plain NumPy and SciPy --------------------------------------------------------------------------------


def log_joint(theta, x, y):
    """Logarithm of the density of parameters (offset, slope, logarithm of the error's scale) and data."""
    offset, slope, log_scale = theta[0], theta[1], theta[2]
    prior = np.sum(stats.norm.logpdf(theta, 0.0, 3.0))
    return prior + np.sum(stats.t.logpdf(y, 2.5, offset + slope * x, np.exp(log_scale)))


def negative_bound(weights, noise, x, y):
    """Minus the evidence's lower bound, averaged over samples made of standard normal noise."""
    mean, log_spread = weights[:3], weights[3:]
    samples = mean + np.exp(log_spread) * noise
    entropy = np.sum(log_spread) + 1.5 * np.log(2.0 * np.pi * np.e)
    return -sum(log_joint(theta, x, y) for theta in samples) / len(noise) - entropy


# --- data, fit, picture ----------------------------------------------------------------------------------------------


def main(count=40, samples=16, picture=True):
    print("variational inference")
    rng = np.random.default_rng(6)
    x = np.sort(rng.uniform(-2.0, 2.0, count))
    y = 0.5 + 1.5 * x + 0.3 * rng.normal(size=count)
    y[:: max(count // 6, 1)] -= 4.0
    noise, start = rng.normal(size=(samples, 3)), np.concatenate([np.zeros(3), np.full(3, -1.0)])
    noise = np.concatenate([noise, -noise])  # both signs: the samples' mean is exact
    try:
        import jax.scipy.stats as theirs
    except ImportError:
        theirs = None
    few = noise[:2]
    report(
        slope_error(lambda w: negative_bound(w, few, x, y), start),
        jax_error(negative_bound, start, few, x, y, stats=theirs),
    )
    result = scipy.optimize.minimize(tg.value_and_grad(negative_bound), start, (noise, x, y), jac=True, method="BFGS")
    mean, spread = result.x[:3], np.exp(result.x[3:])
    print(f"  slope {mean[1]:.2f} +- {spread[1]:.2f} (true: 1.50), bound {-result.fun:.2f} in {result.nit} steps")
    if picture:
        draw(x, y, mean, spread)
    return mean[1]


def exact(x, y, offsets, slopes):
    """The posterior of offset and slope on a grid, the scale integrated out."""
    logs = np.linspace(-3.0, 0.5, 40)
    grid = np.stack(np.meshgrid(offsets, slopes, logs, indexing="ij"), axis=-1).reshape(-1, 3)
    fit = grid[:, :1] + grid[:, 1:2] * x
    density = np.sum(stats.t.logpdf(y, 2.5, fit, np.exp(grid[:, 2:])).numpy(), axis=1) - np.sum(grid**2, axis=1) / 18.0
    return np.exp(density - density.max()).reshape(offsets.size, slopes.size, logs.size).sum(axis=2).T


def draw(x, y, mean, spread):
    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.2))
    at, rng = np.linspace(-2.2, 2.2, 50), np.random.default_rng(0)
    for offset, slope, _ in mean + spread * rng.normal(size=(40, 3)):
        left.plot(at, offset + slope * at, color=BLUE, alpha=0.12)
    squares = np.polyfit(x, y, 1)
    left.plot(at, np.polyval(squares, at), color=RED, linestyle="--", linewidth=1.2, label="least squares")
    left.plot(at, mean[0] + mean[1] * at, color=BLUE, label="variational, with 40 samples")
    left.scatter(x, y, s=10, color=INK, zorder=3)
    left.set(title="robust regression", xlabel="x", ylim=(y.min() - 2.2, y.max() + 0.8))
    left.legend(loc="lower right")
    a, b = (np.linspace(m - 4.0 * s, m + 4.0 * s, 61) for m, s in zip(mean[:2], spread[:2], strict=True))
    right.contourf(a, b, exact(x, y, a, b), 8, cmap="Greys")
    guess = np.exp(-0.5 * (((a - mean[0]) / spread[0]) ** 2 + ((b[:, None] - mean[1]) / spread[1]) ** 2))
    right.contour(a, b, guess, [np.exp(-2.0), np.exp(-0.5)], colors=[GOLD, BLUE])
    right.set(title="exact posterior (grey) and its approximation", xlabel="offset", ylabel="slope")
    save(figure, "variational_inference.png")
    plt.close(figure)


if __name__ == "__main__":
    main()
