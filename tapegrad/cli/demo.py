"""``tapegrad demo``: a first look, in some seconds and with nothing to download."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from ..inspect.units import human_time
from .problems import logistic
from .text import at_least_one

__all__ = ["add_arguments", "collect", "show"]

RATE = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long to descend."""
    parser.add_argument(
        "--steps", type=at_least_one, default=200, metavar="N", help="steps of gradient descent (default 200)"
    )


def collect(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit a logistic regression, dynamically and compiled, and list the tape of its gradient."""
    from .. import compile, format_tape, grad, value_and_grad

    x, y = two_clouds()
    start = np.full(3, 0.1)
    step = value_and_grad(logistic)
    dynamic = descend(step, start, x, y, arguments.steps)
    replayed = compile(step)
    replayed(start, x, y)
    compiled = descend(replayed.optimize(), start, x, y, arguments.steps)
    differences = [(logistic(start + shift, x, y) - logistic(start - shift, x, y)) / 2e-6 for shift in 1e-6 * np.eye(3)]
    return {
        "gradient": grad(logistic)(start, x, y).tolist(),
        "difference quotients": differences,
        "tape": format_tape(logistic, start, x, y).splitlines(),
        "dynamic": dynamic,
        "compiled": compiled,
        "largest difference": float(np.max(np.abs(np.subtract(dynamic["w"], compiled["w"])))),
    }


def two_clouds() -> tuple[np.ndarray, np.ndarray]:
    """Points of two classes in the plane, with a column of ones."""
    rng = np.random.default_rng(0)
    y = np.repeat([-1.0, 1.0], 100)
    return np.column_stack([np.ones(200), rng.normal(size=(200, 2)) + y[:, None] * [1.0, 0.5]]), y


def descend(step: Any, w: np.ndarray, x: np.ndarray, y: np.ndarray, steps: int) -> dict[str, Any]:
    """Gradient descent; the time is that of a step once the first has been taken."""
    value, gradient = step(w, x, y)
    began = time.perf_counter()
    for _ in range(steps):
        value, gradient = step(w, x, y)
        w = w - RATE * gradient
    seconds = (time.perf_counter() - began) / steps
    right = float(np.mean(np.sign(x @ w) == y))
    return {"loss": float(value), "accuracy": right, "w": w.tolist(), "seconds a step": seconds}


def show(found: dict[str, Any]) -> str:
    """The same as text."""
    dynamic, compiled = found["dynamic"], found["compiled"]
    return "\n".join(
        [
            "The function, plain NumPy:",
            "",
            "    def loss(w, x, y):",
            "        return np.mean(np.log1p(np.exp(-y * (x @ w))))",
            "",
            "What is recorded of it, a row an operation (tapegrad.format_tape):",
            "",
            *["    " + line for line in found["tape"]],
            "",
            f"tapegrad.grad(loss)       {np.round(found['gradient'], 6)}",
            f"difference quotients      {np.round(found['difference quotients'], 6)}",
            "",
            f"Gradient descent          loss {dynamic['loss']:.4f}, {dynamic['accuracy']:.1%} right, "
            f"{human_time(dynamic['seconds a step'])} a step",
            f"the same, compiled        loss {compiled['loss']:.4f}, {compiled['accuracy']:.1%} right, "
            f"{human_time(compiled['seconds a step'])} a step",
            f"largest difference of the two fits: {found['largest difference']:.1g}",
        ]
    )
