"""The benchmark problems: dynamic, compiled and hand-written gradients agree, and with finite differences."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tapegrad as tg

sys.path.insert(0, str(Path(__file__).parents[1] / "asv_bench"))
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from benchmarks.problems import PROBLEMS, SIZES, finance
from peers.contenders import by_hand, leaves, tapegrad_compiled, tapegrad_dynamic
from peers.measuring import flat, largest_error
from peers.plotting import plot
from peers.reporting import document, merged, numbers, slower_than_jax, summary

XP = SimpleNamespace(**{name: getattr(np, name) for name in np.__all__}, grad=tg.grad)
BY_NAME = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)


@BY_NAME
def test_compiled_as_dynamic(problem):
    case = problem.case("tiny")
    expected = flat(tapegrad_dynamic(case)())
    step = tapegrad_compiled(case)
    for _ in range(2):
        assert largest_error(expected, flat(step())) <= problem.tolerance


@BY_NAME
def test_gradients_are_slopes(problem):
    """Along one direction, by central differences; steps return no gradient."""
    if problem.is_step:
        pytest.skip("its results are not a value and its gradient")
    case = problem.case("tiny")
    rng = np.random.default_rng(0)
    parameters = [np.asarray(p, np.float64) for p in leaves(case.parameters)]
    data = [d.astype(np.float64) if d.dtype.kind == "f" else d for d in case.data]
    along = [rng.normal(size=p.shape) for p in parameters]

    def value(step):
        moved = [p + step * d for p, d in zip(parameters, along, strict=True)]
        return case.over(XP)(moved if isinstance(case.parameters, list) else moved[0], *data)

    whole = parameters if isinstance(case.parameters, list) else parameters[0]
    found = leaves(tg.grad(case.over(XP))(whole, *data))
    slope = sum(np.sum(g * d) for g, d in zip(found, along, strict=True))
    step = 1e-6
    np.testing.assert_allclose(slope, (value(step) - value(-step)) / (2 * step), rtol=2e-5, atol=1e-7)


@pytest.mark.slow
@BY_NAME
def test_by_hand(problem):
    if problem.floor is None:
        pytest.skip("nobody has written this one by hand")
    for size in SIZES[:2]:
        case = problem.case(size)
        expected = flat(tapegrad_compiled(case)())
        assert largest_error(expected, flat(by_hand(case)())) <= problem.tolerance


def test_mapped_paths_by_hand():
    inputs = finance.paths(1000)
    value, bars = np.empty(1000), np.empty((5, 1000))
    finance.payoffs(*inputs, value, bars)
    step = tg.compile(tg.value_and_grad(finance.payoff, argnums=(0, 1, 2, 3, 4)))
    out = np.empty(1000), tuple(np.empty((5, 1000)))
    for _ in range(2):
        step.map(*inputs, out=out)
        np.testing.assert_allclose(out[0], value, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(out[1], bars, rtol=1e-12, atol=1e-12)
        step.optimize()


def test_inputs_are_the_same_each_time():
    for problem in PROBLEMS:
        assert list(problem.sizes) == list(SIZES)
        a, b = problem.case("tiny"), problem.case("tiny")
        for x, y in zip([*leaves(a.parameters), *a.data], [*leaves(b.parameters), *b.data], strict=True):
            np.testing.assert_array_equal(x, y)


def entry(name, rival, seconds):
    contender = SimpleNamespace(name=name, rival=rival)
    return SimpleNamespace(contender=contender, seconds=seconds, median=sorted(seconds)[1], first=0.5)


def test_reports():
    names = {"tapegrad": "tapegrad", "tapegrad compiled": "tapegrad compiled", "JAX jit": "tapegrad compiled"}
    times = {"tapegrad": [3e-3] * 3, "tapegrad compiled": [1e-3, 2e-3, 1e-3], "JAX jit": [4e-3, 4e-3, 2e-3]}
    results = {name: entry(name, rival, times[name]) for name, rival in names.items()}
    results["JAX own form"] = entry("JAX own form", "tapegrad compiled", [5e-4, 1e-3, 5e-4])
    kept = numbers(results)
    assert kept["JAX"]["ratio"] == 0.5 and kept["JAX jit"]["ratio"] == 2.0
    run = {"threads": 1, "machine": "a machine", "clock": "wall", "cases": {"gmm, tiny": kept, "gmm, small": kept}}
    assert slower_than_jax(run) == ["gmm, tiny", "gmm, small"]
    text = document([run])
    assert "| gmm, tiny | 1 ms | 500 µs (0.5×) | – | – | – |" in text and "| geometric mean |  | 0.50× |" in text
    assert "geometric mean of 2" in summary(run)
    assert plot(run).count("<circle") == 3 + 2


def test_reports_of_runs_in_parts():
    """Sizes one by one, and two threads with compiled contenders only."""
    ours = {"tapegrad compiled": {"median": 1e-3, "first": 0.1, "ratio": 1.0}}
    dynamic = ours | {"tapegrad": {"median": 2e-3, "first": 0.1, "ratio": 1.0}}

    def run(threads, **cases):
        return {"threads": threads, "machine": "a machine", "clock": "wall", "cases": cases}

    parts = [run(1, **{"ba, large": dynamic}), run(2, **{"ba, large": ours}), run(1, **{"gmm, large": dynamic})]
    parts += [run(1, **{"ba, tiny": dynamic}), run(1, **{"3,000 operators, tiny": dynamic})]
    later = {"tapegrad": {"median": 9.0}, "advect staged": {"median": 2e-3, "first": 0.1, "ratio": 7.5}}
    parts += [run(1, **{"ba, tiny": later})]
    one, two = runs = merged(parts)
    assert list(one["cases"]) == ["gmm, large", "ba, tiny", "ba, large", "3,000 operators, tiny"]
    assert one["cases"]["ba, tiny"]["tapegrad"]["median"] == 2e-3
    assert one["cases"]["ba, tiny"]["advect staged"]["ratio"] == 7.5
    assert list(two["cases"]) == ["ba, large"] and two["threads"] == 2
    text = document(runs)
    assert "## Compiled, 2 threads" in text and "## Recorded at each call, one thread" in text
    assert "## Recorded at each call, 2 threads" not in text
