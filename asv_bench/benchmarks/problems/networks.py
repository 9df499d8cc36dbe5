"""Neural networks: a perceptron, a convolutional network by gathering patches, the network of the tutorial."""

from __future__ import annotations

import numpy as np

from .problem import Problem


def cross_entropy(xp, scores, targets):
    log_total = xp.log(xp.sum(xp.exp(scores), axis=1, keepdims=True))
    return xp.sum((log_total - scores) * targets) / targets.shape[0]


def perceptron(xp, parameters, images, targets):
    w1, b1, w2, b2, w3, b3 = parameters
    hidden = xp.maximum(images @ w1 + b1, 0)
    hidden = xp.maximum(hidden @ w2 + b2, 0)
    return cross_entropy(xp, hidden @ w3 + b3, targets)


def perceptron_inputs(rng, batch, *widths):
    parameters = []
    for m, n in zip(widths, (*widths[1:], 10), strict=True):
        parameters += [rng.normal(size=(m, n), scale=m**-0.5).astype(np.float32), np.zeros(n, np.float32)]
    images = rng.random(size=(batch, widths[0]), dtype=np.float32)
    return parameters, (images, np.eye(10, dtype=np.float32)[rng.integers(10, size=batch)])


def perceptron_floor(parameters, images, targets):
    """NumPy: products by BLAS into arrays that are there."""
    w1, b1, w2, b2, w3, b3 = parameters
    bars = [np.empty_like(p) for p in parameters]
    h1, h2 = (np.empty((len(images), w.shape[1]), np.float32) for w in (w1, w2))
    h1_bar, h2_bar, scores = np.empty_like(h1), np.empty_like(h2), np.empty((len(images), 10), np.float32)
    share, count = np.empty_like(scores), np.float32(len(images))

    def step():
        np.matmul(images, w1, out=h1)
        np.add(h1, b1, out=h1)
        np.maximum(h1, 0, out=h1)
        np.matmul(h1, w2, out=h2)
        np.add(h2, b2, out=h2)
        np.maximum(h2, 0, out=h2)
        np.matmul(h2, w3, out=scores)
        np.add(scores, b3, out=scores)
        np.exp(scores, out=share)
        total = share.sum(axis=1, keepdims=True)
        value = np.sum((np.log(total) - scores) * targets) / count
        np.divide(share, total, out=share)
        np.subtract(share, targets, out=share)
        np.divide(share, count, out=share)
        np.matmul(h2.T, share, out=bars[4])
        np.sum(share, axis=0, out=bars[5])
        np.matmul(share, w3.T, out=h2_bar)
        np.multiply(h2_bar, h2 > 0, out=h2_bar)
        np.matmul(h1.T, h2_bar, out=bars[2])
        np.sum(h2_bar, axis=0, out=bars[3])
        np.matmul(h2_bar, w2.T, out=h1_bar)
        np.multiply(h1_bar, h1 > 0, out=h1_bar)
        np.matmul(images.T, h1_bar, out=bars[0])
        np.sum(h1_bar, axis=0, out=bars[1])
        return value, bars

    return step


MLP = Problem(
    "MLP",
    {"tiny": (4, 8, 16, 8), "small": (32, 64, 64, 32), "medium": (128, 784, 256, 128), "large": (256, 784, 1024, 512)},
    perceptron_inputs,
    perceptron,
    floor=perceptron_floor,
    tolerance=1e-4,
)


def patches(height, width, channels, window):
    """Indices, in an image flattened to (height, width, channels), of each window's elements."""
    rows, columns = np.arange(height - window + 1), np.arange(width - window + 1)
    corner = (rows[:, None] * width + columns).reshape(-1, 1) * channels
    inside = (np.arange(window)[:, None] * width + np.arange(window))[:, :, None] * channels + np.arange(channels)
    return corner + inside.reshape(1, -1)


def convolve(xp, images, weights, side, channels, window):
    """Valid convolution of (batch, side² channels) by (window² channels, features): patches times weights."""
    gathered = images[:, patches(side, side, channels, window)]
    return gathered @ weights


def halve(xp, images, side, channels):
    """Means of two by two."""
    blocks = images.reshape((-1, side // 2, 2, side // 2, 2, channels))
    return xp.mean(xp.mean(blocks, axis=4), axis=2)


def convolutional(xp, parameters, images, targets):
    w1, b1, w2, b2, w3, b3 = parameters
    batch, side = images.shape[0], int(images.shape[1] ** 0.5)
    c1, c2 = w1.shape[1], w2.shape[1]
    hidden = xp.maximum(convolve(xp, images, w1, side, 1, 5) + b1, 0)
    side = (side - 4) // 2
    hidden = halve(xp, hidden, 2 * side, c1).reshape((batch, -1))
    hidden = xp.maximum(convolve(xp, hidden, w2, side, c1, 3) + b2, 0)
    side = (side - 2) // 2
    hidden = halve(xp, hidden, 2 * side, c2).reshape((batch, -1))
    return cross_entropy(xp, hidden @ w3 + b3, targets)


def convolutional_jax(parameters, images, targets):
    """By XLA's own convolution, over channels that come last."""
    import jax.numpy as jnp
    from jax import lax

    w1, b1, w2, b2, w3, b3 = parameters
    batch, side = images.shape[0], int(images.shape[1] ** 0.5)
    hidden = images.reshape(batch, side, side, 1)
    for weights, bias, window in ((w1, b1, 5), (w2, b2, 3)):
        kernel = weights.reshape(window, window, -1, weights.shape[1])
        layout = ("NHWC", "HWIO", "NHWC")
        hidden = lax.conv_general_dilated(hidden, kernel, (1, 1), "VALID", dimension_numbers=layout)
        hidden = jnp.maximum(hidden + bias, 0)
        _, height, width, channels = hidden.shape
        hidden = hidden.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))
    return cross_entropy(jnp, hidden.reshape(batch, -1) @ w3 + b3, targets)


def convolutional_inputs(rng, batch, side, c1, c2):
    last = ((side - 4) // 2 - 2) // 2
    parameters = []
    for m, n in ((25, c1), (9 * c1, c2), (last * last * c2, 10)):
        parameters += [rng.normal(size=(m, n), scale=m**-0.5).astype(np.float32), np.zeros(n, np.float32)]
    images = rng.random(size=(batch, side * side), dtype=np.float32)
    return parameters, (images, np.eye(10, dtype=np.float32)[rng.integers(10, size=batch)])


CNN = Problem(
    "CNN",
    {"tiny": (1, 12, 2, 4), "small": (4, 16, 4, 8), "medium": (16, 28, 8, 16), "large": (128, 28, 8, 16)},
    convolutional_inputs,
    convolutional,
    jax=convolutional_jax,
    tolerance=1e-4,
)


def tutorial(xp, weights, x):
    first = x * weights[0]
    return xp.mean((first + weights[1]) * (first * weights[2]))


TUTORIAL = Problem(
    "tutorial",
    {"tiny": (2,), "small": (30,), "medium": (200,), "large": (1000,)},
    lambda rng, n: (np.array([2.0, 3.0, 4.0]), (rng.uniform(0.5, 1.5, (n, n)),)),
    tutorial,
)
