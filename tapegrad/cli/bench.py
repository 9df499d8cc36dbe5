"""``tapegrad bench``: value and gradient of small problems, beside NumPy by hand."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..inspect.units import human_time
from . import CommandError
from .problems import PROBLEMS, Problem
from .text import at_least_one, columns

__all__ = ["add_arguments", "collect", "show"]

SAMPLE = 0.01
"""Seconds that a sample takes, at least: so many calls are timed together."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Rounds, and a choice of problems."""
    parser.add_argument("--rounds", type=at_least_one, default=7, metavar="N", help="interleaved rounds (default 7)")
    parser.add_argument("--only", default="", metavar="TEXT", help="problems whose name contains TEXT")


def collect(arguments: argparse.Namespace) -> dict[str, Any]:
    """Medians of interleaved rounds, in seconds; gradients are compared with those by hand first."""
    chosen = [problem for problem in PROBLEMS if arguments.only.lower() in problem.name.lower()]
    if not chosen:
        names = "; ".join(problem.name for problem in PROBLEMS)
        raise CommandError(f"no problem's name contains {arguments.only!r}. There are: {names}")
    return {"rounds": arguments.rounds, "problems": [measure(problem, arguments.rounds) for problem in chosen]}


def measure(problem: Problem, rounds: int) -> dict[str, Any]:
    """Times of one problem, in seconds."""
    import optree

    from .. import compile, value_and_grad

    given = problem.arguments()
    step = value_and_grad(problem.function)
    compiled = compile(step)
    contenders: dict[str, Callable] = {"by hand": problem.by_hand, "dynamic": step, "compiled": compiled}
    expected = optree.tree_leaves(problem.by_hand(*given))
    for contender in contenders.values():
        for a, b in zip(optree.tree_leaves(contender(*given)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    compiled.optimize()
    counts = {name: max(1, int(SAMPLE / _time(call, given, 1))) for name, call in contenders.items()}
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            samples[name].append(_time(call, given, counts[name]))
    return {"name": problem.name, **{name: statistics.median(times) for name, times in samples.items()}}


def _time(call: Callable, given: tuple, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call(*given)
    return (time.perf_counter() - began) / count


def show(found: dict[str, Any]) -> str:
    """The same as text."""
    rows = [["value and gradient", "NumPy by hand", "tapegrad", "", "compiled", ""]]
    for problem in found["problems"]:
        by_hand = problem["by hand"]
        row = [problem["name"], human_time(by_hand)]
        for name in ("dynamic", "compiled"):
            row += [human_time(problem[name]), f"{problem[name] / by_hand:.2g}x"]
        rows.append(row)
    table = columns(rows, right=(1, 2, 3, 4, 5), indent="")
    return f"{table}\n\nMedians of {found['rounds']} interleaved rounds; x: times as long as by hand."
