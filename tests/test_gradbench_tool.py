"""The adapter to GradBench's protocol: messages in, responses out, results by NumPy and finite differences."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import gradbench_tool

RNG = np.random.default_rng(0)
RUNS = {"min_runs": 2, "min_seconds": 0}


def asked(module, function, given):
    message = {"id": 3, "kind": "evaluate", "module": module, "function": function, "input": given}
    response = gradbench_tool.respond(json.loads(json.dumps(message)))
    assert response["success"], response
    json.dumps(response)
    return response


CASES = {
    "lse": ("primal", "gradient", {"x": [0.5, 1.0, -2.0]}, "x"),
    "llsq": ("primal", "gradient", {"x": [0.5, 1.0], "n": 6}, "x"),
    "det": ("primal", "gradient", {"A": [1.0, 2.0, 0.5, -1.0, 3.0, 1.0, 0.0, 2.0, 1.5], "ell": 3}, "A"),
    "gmm": (
        "objective",
        "jacobian",
        {
            "d": 2, "k": 3, "n": 4, "gamma": 1.5, "m": 2,
            "alpha": RNG.normal(size=3).tolist(), "means": RNG.normal(size=(3, 2)).tolist(),
            "icf": RNG.normal(size=(3, 3)).tolist(), "x": RNG.normal(size=(4, 2)).tolist(),
        },
        "icf",
    ),
    "lstm": (
        "objective",
        "jacobian",
        {
            "main_params": RNG.normal(size=(4, 8)).tolist(), "extra_params": RNG.normal(size=(3, 2)).tolist(),
            "state": RNG.normal(size=(4, 2)).tolist(), "sequence": RNG.normal(size=(3, 2)).tolist(),
        },
        "extra_params",
    ),
}  # fmt: skip


@pytest.mark.parametrize("module", CASES)
def test_gradients(module):
    primal, gradient, given, name = CASES[module]
    found = np.array(asked(module, gradient, given | RUNS)["output"])
    at, step = np.array(given[name]), 1e-6
    slopes = []
    for k in range(at.size):
        ends = []
        for sign in (1, -1):
            moved = at.copy()
            moved.flat[k] += sign * step
            ends.append(asked(module, primal, given | {name: moved.tolist()} | RUNS)["output"])
        slopes.append((ends[0] - ends[1]) / (2 * step))
    np.testing.assert_allclose(found[-at.size :], slopes, rtol=1e-6, atol=1e-7)


def test_values():
    x = np.array([0.5, 1.0, -2.0])
    assert asked("hello", "square", 3.0)["output"] == 9.0
    assert asked("hello", "double", 3.0)["output"] == 6.0
    np.testing.assert_allclose(asked("lse", "primal", {"x": x.tolist()})["output"], np.log(np.exp(x).sum()))
    a = np.array(CASES["det"][2]["A"]).reshape(3, 3)
    np.testing.assert_allclose(asked("det", "primal", CASES["det"][2])["output"], np.linalg.det(a))
    state = asked("ode", "primal", {"x": [1.5, 0.5, 2.0], "s": 400})["output"]
    t = 2.0  # y_0 = x_0 t, y_1 = x_0 x_1 t²/2, y_2 = x_0 x_1 x_2 t³/6
    np.testing.assert_allclose(state, [1.5 * t, 1.5 * 0.5 * t**2 / 2, 1.5 * t**3 / 6], rtol=1e-8)
    np.testing.assert_allclose(
        asked("ode", "gradient", {"x": [1.5, 0.5, 2.0], "s": 400})["output"], [8 / 6, 4.0, 1.0], rtol=1e-8
    )


def test_newtons_step():
    points, centres = RNG.random((20, 2)), np.array([[0.2, 0.2], [0.8, 0.8]])
    given = {"points": points.tolist(), "centroids": centres.tolist()}
    away = ((points[:, None] - centres) ** 2).sum(axis=2)
    np.testing.assert_allclose(asked("kmeans", "cost", given)["output"], away.min(axis=1).sum())
    means = np.array([points[away.argmin(axis=1) == k].mean(axis=0) for k in (0, 1)])
    np.testing.assert_allclose(asked("kmeans", "dir", given)["output"], centres - means)


def test_a_conversation(monkeypatch, capsys):
    lines = [
        {"id": 0, "kind": "start", "eval": "lse"},
        {"id": 1, "kind": "define", "module": "lse"},
        {"id": 2, "kind": "define", "module": "weather"},
        {"id": 3, "kind": "evaluate", "module": "lse", "function": "primal", "input": {"x": [0.0], **RUNS}},
        {"id": 4, "kind": "evaluate", "module": "lse", "function": "primal", "input": {}},
        {"id": 5, "kind": "analysis", "of": 3, "valid": True},
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
    gradbench_tool.main()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [s["id"] for s in said] == [0, 1, 2, 3, 4, 5]
    assert said[0]["tool"] == "tapegrad" and said[1]["success"] and not said[2]["success"]
    assert said[3]["output"] == 0.0 and len(said[3]["timings"]) == 2
    assert not said[4]["success"] and "KeyError" in said[4]["error"]
    assert said[5] == {"id": 5}
