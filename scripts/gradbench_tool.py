#!/usr/bin/env python
"""Compiled tapegrad as a tool of GradBench (https://github.com/gradbench/gradbench): its protocol on stdin and stdout.

A message a line, a response a line, in JSON: `start`, `define` a module, `evaluate` one of its functions on an input,
`analysis` of what came out. The problems are those of asv_bench/benchmarks/problems; the first run records.

Run:  gradbench run --eval "gradbench eval lse" --tool "python scripts/gradbench_tool.py"
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import tapegrad as tg

sys.path.insert(0, str(Path(__file__).parents[1] / "asv_bench"))
from benchmarks.problems import determinant, elementary, gmm, kmeans, lstm, ode

XP = SimpleNamespace(**{name: getattr(np, name) for name in np.__all__}, grad=tg.grad)


def array(x):
    return np.array(x, np.float64)


def flat(gradients):
    return np.concatenate([np.ravel(g) for g in (gradients if isinstance(gradients, list) else [gradients])])


def pair(primal, gradient, value, prepare):
    """A module of a scalar function and its gradient, by the names that the protocol has for them."""

    def objective(parameters, *data):
        return value(XP, parameters, *data)

    return {primal: (objective, prepare), gradient: (tg.grad(objective), prepare)}


def direction(centres, points):
    """Newton's step: the gradient over the Hessian's diagonal, which is all of it."""
    slope = tg.grad(lambda c: kmeans.value(XP, c, points))
    return slope(centres) / tg.grad(lambda c: np.sum(slope(c)))(centres)


def final_state(x, steps):
    y = x * 0.0
    for _ in range(len(steps)):
        y = ode.advance(XP, x, y, 2.0 / len(steps))
    return y


def square_inputs(given):
    t = np.linspace(-1.0, 1.0, given["n"])
    x = array(given["x"])
    return x, t[:, None] ** np.arange(len(x)), np.sign(t)


def mixture_inputs(given):
    return [array(given[k]) for k in ("alpha", "means", "icf")], array(given["x"]), float(given["gamma"]), given["m"]


def sequence_inputs(given):
    main, extra, state, sequence = (array(given[k]) for k in ("main_params", "extra_params", "state", "sequence"))
    return [main.reshape(len(main), 4, -1), extra.reshape(3, -1)], state.reshape(len(main), -1), sequence


def solution_inputs(given):
    return array(given["x"]), np.zeros(given["s"])


def cluster_inputs(given):
    return array(given["centroids"]), array(given["points"])


MODULES = {
    "hello": pair("square", "double", lambda xp, x: x * x, lambda x: (float(x),)),
    "lse": pair("primal", "gradient", elementary.log_sum_exp, lambda given: (array(given["x"]),)),
    "llsq": pair("primal", "gradient", elementary.least_squares, square_inputs),
    "det": pair(
        "primal", "gradient", determinant.value, lambda given: (array(given["A"]).reshape(given["ell"], given["ell"]),)
    ),
    "gmm": pair("objective", "jacobian", gmm.value, mixture_inputs),
    "lstm": pair("objective", "jacobian", lstm.value, sequence_inputs),
    "ode": {
        "primal": (final_state, solution_inputs),
        "gradient": (tg.grad(lambda x, steps: final_state(x, steps)[-1]), solution_inputs),
    },
    "kmeans": {
        "cost": (lambda centres, points: kmeans.value(XP, centres, points), cluster_inputs),
        "dir": (direction, cluster_inputs),
    },
}
STEPS = {module: {name: tg.compile(f) for name, (f, _) in MODULES[module].items()} for module in MODULES}


def output(result, shaped):
    """What the protocol has for a result: a number, a list, or a matrix as a list of rows."""
    if isinstance(result, list):
        return flat(result).tolist()
    return np.asarray(result).tolist() if shaped else np.ravel(result).tolist()


def evaluate(message):
    """Run a function as often and as long as the input asks for; returns the output, and a timing for each run."""
    module, name, given = message["module"], message["function"], message["input"]
    step, prepare = STEPS[module][name], MODULES[module][name][1]
    arguments = prepare(given)
    runs, seconds = (given.get("min_runs", 1), given.get("min_seconds", 0)) if isinstance(given, dict) else (1, 0)
    timings, total = [], 0
    while len(timings) < max(runs, 1) or total < seconds * 1e9:
        start = time.perf_counter_ns()
        result = step(*arguments)
        spent = time.perf_counter_ns() - start
        timings.append({"name": "evaluate", "nanoseconds": spent})
        total += spent
    shaped = np.ndim(result) == 0 if not isinstance(result, list) else False
    return {"success": True, "output": output(result, shaped or module == "kmeans"), "timings": timings}


def respond(message):
    """The response to a message, without its number."""
    kind = message["kind"]
    if kind == "start":
        return {"tool": "tapegrad"}
    if kind == "define":
        return {"success": message["module"] in MODULES}
    if kind == "evaluate":
        try:
            return evaluate(message)
        except Exception as error:  # the harness goes on with the next function
            return {"success": False, "error": f"{type(error).__name__}: {error}"}
    return {}


def main():
    for line in sys.stdin:
        message = json.loads(line)
        print(json.dumps({"id": message["id"], **respond(message)}), flush=True)


if __name__ == "__main__":
    main()
