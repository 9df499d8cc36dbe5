"""Logistic regression on two interleaved half moons, with features up to the third degree.

The model is plain NumPy; `scipy.optimize.minimize` takes its value and gradient from one call of `tg.value_and_grad`.

Run:  python examples/logistic_regression.py
"""

import numpy as np
import scipy.optimize
from shared import BLUE, RED, jax_error, pyplot, report, save, slope_error

import tapegrad as tg

# --- the model: plain NumPy ------------------------------------------------------------------------------------------


def features(points):
    """All monomials of the two coordinates up to the third degree."""
    x, y = points[:, 0], points[:, 1]
    return np.stack([x**i * y**j for i in range(4) for j in range(4 - i)], axis=1)


def loss(weights, inputs, labels):
    """Mean negative log-likelihood of labels -1 and 1, and a little weight decay."""
    margins = labels * (inputs @ weights)
    return np.mean(np.logaddexp(0.0, -margins)) + 1e-3 * np.sum(weights**2)


# --- data, training, picture -----------------------------------------------------------------------------------------


def half_moons(count, rng):
    turn = np.pi * rng.random(count)
    upper = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    lower = np.stack([1.0 - np.cos(turn), 0.4 - np.sin(turn)], axis=1)
    points = np.concatenate([upper, lower]) + 0.15 * rng.normal(size=(2 * count, 2))
    return points, np.repeat([1.0, -1.0], count)


def main(count=150, picture=True):
    print("logistic regression")
    points, labels = half_moons(count, np.random.default_rng(0))
    inputs = features(points)
    start = np.zeros(inputs.shape[1])
    report(slope_error(lambda w: loss(w, inputs, labels), start), jax_error(loss, start, inputs, labels))

    found = scipy.optimize.minimize(tg.value_and_grad(loss), start, (inputs, labels), jac=True)
    accuracy = np.mean(np.sign(inputs @ found.x) == labels)
    print(f"  loss {loss(start, inputs, labels):.3f} -> {found.fun:.3f} in {found.nit} steps, accuracy {accuracy:.1%}")
    if picture:
        draw(points, labels, found.x)
    return accuracy


def draw(points, labels, weights):
    plt = pyplot()
    x, y = np.meshgrid(np.linspace(-1.6, 2.6, 200), np.linspace(-1.2, 1.7, 200))
    margin = features(np.stack([x.ravel(), y.ravel()], axis=1)) @ weights
    probability = (1.0 / (1.0 + np.exp(-margin))).reshape(x.shape)
    figure, axes = plt.subplots(figsize=(5.2, 3.6))
    shades = axes.contourf(x, y, probability, np.linspace(0.0, 1.0, 21), cmap="RdBu", alpha=0.65)
    axes.contour(x, y, probability, [0.5], colors="black", linewidths=1.2)
    for label, color in ((1.0, BLUE), (-1.0, RED)):
        own = points[labels == label]
        axes.scatter(own[:, 0], own[:, 1], s=14, color=color, edgecolor="white", linewidth=0.4)
    figure.colorbar(shades, ticks=[0.0, 0.5, 1.0], label="probability of blue")
    axes.set(xticks=[], yticks=[], title="Logistic regression, cubic features")
    save(figure, "logistic_regression.png")
    plt.close(figure)


if __name__ == "__main__":
    main()
