"""Train a classifier of handwritten digits, written in plain NumPy and differentiated by tapegrad.

The data are the 1,797 images of 8 x 8 pixels that ship inside scikit-learn. The model below is ordinary
NumPy: nothing in it knows about gradients. It is trained twice from the same start on the same batches:

    dynamic    tg.value_and_grad(loss): recorded anew at each step
    compiled   tg.compile(tg.value_and_grad(loss)): recorded at the first step, replayed at the others

Run:  python examples/digits_mlp.py [--epochs 20] [--output demo_output]
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import tapegrad as tg

SIZES = (64, 128, 64, 10)
BATCH = 32
LEARNING_RATE = 0.05  # at the start; it falls linearly to 0
MOMENTUM = 0.9
NOISE = 0.15  # of the training images, so that 1,437 of them are enough
GOAL = 0.97


# The model ------------------------------------------------------------------------------------------


def initial_parameters(rng):
    """One (weight, bias) pair a layer, He-initialised."""
    return [(rng.normal(size=(m, n)) * np.sqrt(2 / m), np.zeros(n)) for m, n in pairwise(SIZES)]


def scores(parameters, images):
    *hidden, (weight, bias) = parameters
    for hidden_weight, hidden_bias in hidden:
        images = np.maximum(images @ hidden_weight + hidden_bias, 0)
    return images @ weight + bias


def loss(parameters, images, labels):
    """Mean cross-entropy of the softmax of the scores."""
    s = scores(parameters, images)
    s = s - s.max(axis=1, keepdims=True)
    log_likelihood = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
    return -np.mean(log_likelihood[np.arange(len(labels)), labels])


# Training -------------------------------------------------------------------------------------------


class Data(NamedTuple):
    train_images: np.ndarray
    test_images: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray


class History(NamedTuple):
    parameters: list
    losses: list  # mean over each epoch
    accuracies: list  # on the test set, after each epoch
    seconds: list  # of each step: gradient and update


def load_data():
    images, labels = load_digits(return_X_y=True)
    return Data(*train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels))


def accuracy(parameters, images, labels):
    return np.mean(np.argmax(scores(parameters, images), axis=1) == labels)


def batches(data, epochs, rng):
    """Yield (images, labels) of every step, all of the same shape: an epoch's incomplete last batch is left out."""
    for _ in range(epochs):
        order = rng.permutation(len(data.train_labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            images = data.train_images[chosen]
            yield images + rng.normal(scale=NOISE, size=images.shape), data.train_labels[chosen]


def train(value_and_grad, data, epochs, name):
    """Gradient descent with momentum; the same random numbers whatever computes the gradient."""
    rng = np.random.default_rng(0)
    parameters = initial_parameters(rng)
    velocities = [(np.zeros_like(weight), np.zeros_like(bias)) for weight, bias in parameters]
    epoch_steps = len(data.train_labels) // BATCH
    steps = epochs * epoch_steps
    losses, accuracies, seconds = [], [], []
    with tqdm(total=steps, desc=f"{name:>8}", unit=" steps") as bar:
        for step, (images, labels) in enumerate(batches(data, epochs, rng)):
            start = time.perf_counter()
            value, gradients = value_and_grad(parameters, images, labels)
            rate = LEARNING_RATE * (1 - step / steps)
            for pair in zip(parameters, velocities, gradients, strict=True):
                for parameter, velocity, gradient in zip(*pair, strict=True):
                    velocity *= MOMENTUM
                    velocity += gradient
                    parameter -= rate * velocity
            seconds.append(time.perf_counter() - start)
            losses.append(float(value))
            bar.update()
            if (step + 1) % epoch_steps == 0:
                accuracies.append(accuracy(parameters, data.test_images, data.test_labels))
                bar.set_postfix_str(f"test accuracy {accuracies[-1]:.2%}")
    return History(parameters, np.reshape(losses, (epochs, -1)).mean(axis=1), accuracies, seconds)


# Report ---------------------------------------------------------------------------------------------


def draw(histories, path):
    """Write the curves of loss and accuracy."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for (name, history), style in zip(histories.items(), ("-", "--"), strict=True):
        epochs = np.arange(1, len(history.losses) + 1)
        left.semilogy(epochs, history.losses, style, label=name)
        right.plot(epochs, 100 * np.array(history.accuracies), style, label=name)
    right.axhline(100 * GOAL, color="gray", linewidth=0.8)
    left.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy")
    right.set(title="Test accuracy", xlabel="epoch", ylabel="%")
    for axes in (left, right):
        axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def largest_difference(some, others):
    return max(np.abs(a - b).max() for pair in zip(some, others, strict=True) for a, b in zip(*pair, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for digits_mlp.png")
    options = parser.parse_args()

    data = load_data()
    print(f"{len(data.train_labels)} training and {len(data.test_labels)} test images, layers {SIZES}")
    value_and_grad = tg.value_and_grad(loss)
    histories = {
        "dynamic": train(value_and_grad, data, options.epochs, "dynamic"),
        "compiled": train(tg.compile(value_and_grad), data, options.epochs, "compiled"),
    }

    print("\nThe tape of the loss:")
    parameters = histories["dynamic"].parameters
    print(tg.format_tape(loss, parameters, data.train_images[:BATCH], data.train_labels[:BATCH]))

    print("\n  mode      test accuracy   last loss   first step   steps/s (median)")
    for name, history in histories.items():
        speed = 1 / np.median(history.seconds)
        print(
            f"  {name:8} {history.accuracies[-1]:>13.2%} {history.losses[-1]:>12.5f}"
            f" {history.seconds[0]:>10.2f} s {speed:>11,.0f}"
        )
    difference = largest_difference(*(history.parameters for history in histories.values()))
    print(f"  largest difference between the two modes' parameters: {difference:.1e}")

    options.output.mkdir(parents=True, exist_ok=True)
    picture = options.output / "digits_mlp.png"
    draw(histories, picture)
    print(f"  curves: {picture}")

    assert difference < 1e-9, "the modes should agree to rounding"
    assert all(history.accuracies[-1] >= GOAL for history in histories.values()), f"accuracy is below {GOAL:.0%}"


if __name__ == "__main__":
    main()
