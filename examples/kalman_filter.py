"""Noise levels of a Kalman filter by maximum likelihood: the gradient goes through every step of the filter.

A body drifts in the plane with random accelerations; its position is measured, badly. How strong the accelerations and
the errors are is found from the measurements alone.

Run:  python examples/kalman_filter.py
"""

import numpy as np
import scipy.optimize
from shared import BLUE, INK, RED, jax_error, pyplot, report, save, slope_error

import tapegrad as tg

STEP = 0.1
MOVE = np.kron(np.eye(2), np.array([[1.0, STEP], [0.0, 1.0]]))
LOOK = np.kron(np.eye(2), np.array([[1.0, 0.0]]))
SHAKE = np.kron(np.eye(2), np.array([[STEP**3 / 3.0, STEP**2 / 2.0], [STEP**2 / 2.0, STEP]]))

# --- the model: plain NumPy ------------------------------------------------------------------------------------------


def filtered(logs, measurements):
    """Kalman's filter: means of the states, and the negative log-likelihood of the measurements."""
    drift, error = np.exp(2.0 * logs[0]) * SHAKE, np.exp(2.0 * logs[1]) * np.eye(2)
    mean, covariance = np.zeros(4), 10.0 * np.eye(4)
    means, cost = [], 0.0
    for z in measurements:
        mean, covariance = MOVE @ mean, MOVE @ covariance @ MOVE.T + drift
        innovation, spread = z - LOOK @ mean, LOOK @ covariance @ LOOK.T + error
        gain = np.linalg.solve(spread, LOOK @ covariance).T
        cost = cost + 0.5 * (
            innovation @ np.linalg.solve(spread, innovation) + np.linalg.slogdet(2.0 * np.pi * spread)[1]
        )
        mean, covariance = mean + gain @ innovation, covariance - gain @ LOOK @ covariance
        means.append(mean)
    return means, cost


def negative_log_likelihood(logs, measurements):
    """Of the measurements, given the logarithms of the two noise levels."""
    return filtered(logs, measurements)[1]


# --- data, fit, picture ----------------------------------------------------------------------------------------------


def journey(count, rng, drift=0.6, error=0.3):
    """A path, and what is measured of it."""
    shake = np.linalg.cholesky(SHAKE) * drift
    state, path = np.array([0.0, 0.5, 0.0, 0.5]), []
    for _ in range(count):
        state = MOVE @ state + shake @ rng.normal(size=4)
        path.append(LOOK @ state)
    return np.array(path), np.array(path) + error * rng.normal(size=(count, 2))


def main(count=120, picture=True):
    print("Kalman filter")
    path, measurements = journey(count, np.random.default_rng(6))
    start = np.log([0.1, 1.0])
    few = measurements[:20]
    report(
        slope_error(lambda p: negative_log_likelihood(p, few), start), jax_error(negative_log_likelihood, start, few)
    )

    found = scipy.optimize.minimize(
        tg.value_and_grad(negative_log_likelihood), start, (measurements,), jac=True, tol=1e-6
    )
    drift, error = np.exp(found.x)
    print(f"  acceleration {drift:.2f} (true: 0.60), error {error:.3f} (true: 0.300), in {found.nit} steps")
    if picture:
        draw(path, measurements, {"before": start, "after": found.x})
    return error


def draw(path, measurements, levels):
    plt = pyplot()
    figure, both = plt.subplots(1, 2, figsize=(7.6, 3.2), sharex=True, sharey=True)
    for axes, (title, logs) in zip(both, levels.items(), strict=True):
        means = np.array(filtered(logs, measurements)[0]) @ LOOK.T
        axes.plot(*measurements.T, ".", color="#b0b0b0", markersize=3.5, label="measured")
        axes.plot(*path.T, color=INK, linewidth=1.0, linestyle="--", label="true path")
        axes.plot(*means.T, color=BLUE if title == "after" else RED, linewidth=1.6, label="filtered")
        off = np.sqrt(np.mean((means - path)[10:] ** 2))
        axes.set(title=f"{title} maximising the likelihood: {off:.2f} off", aspect="equal", xticks=[], yticks=[])
        axes.legend(loc="upper left")
    save(figure, "kalman_filter.png")
    plt.close(figure)


if __name__ == "__main__":
    main()
