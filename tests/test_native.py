"""Machine code of compiled programs: what it computes is what the interpreter computes, and it is really used."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import optree
import pytest
from fences import fenced, fenced_copy
from records import RECORDS, Case, apply, draw, generator

import tapegrad as tg
import tapegrad.numpy as tnp
from tapegrad.compiler.native import native_plan
from tapegrad.compiler.native.background import request
from tapegrad.compiler.native.functions import FUNCTIONS, available
from tapegrad.compiler.native.rules import RULES
from tapegrad.compiler.replays import Replays
from tapegrad.compiler.trials import REPLAYS
from tapegrad.primitives.core import Elementwise

LENGTHS = (1, 3, 5, 16, 67, 1003)
"""Without lanes, one round, a round and a rest, many rounds."""

WRITTEN = sorted(n for n in FUNCTIONS if isinstance(RECORDS.get(n), Elementwise) and available(n, "d"))


def steps_of(function):
    """Native steps of all paths."""
    return [step for program in function.paths() for step in program.plan.steps.values()]


AT_END = itertools.cycle([True, False])


def check(function, *arguments, native=True, rtol=1e-12):
    """Interpreted and native results agree, and nothing reaches beyond a value; the native steps."""
    at_end = next(AT_END)
    arguments = optree.tree_map(lambda x: fenced_copy(x, at_end) if isinstance(x, np.ndarray) else x, arguments)
    with fenced(at_end):
        step = tg.compile(function, native=False)
        first = step(*arguments)
        assert not steps_of(step)
        found = step.optimize()(*arguments)
    if native:
        assert steps_of(step), "nothing was written out"
    for mine, its in zip(optree.tree_leaves(found), optree.tree_leaves(first), strict=True):
        mine, its = np.asarray(mine), np.asarray(its)
        assert mine.shape == its.shape and mine.dtype == its.dtype
        tolerance = rtol if its.dtype.char != "f" else 1e-5
        scale = np.max(np.abs(its), initial=0.0, where=np.isfinite(its)) if its.dtype.kind == "f" else 0
        np.testing.assert_allclose(mine, its, rtol=tolerance, atol=tolerance * scale)
    return steps_of(step)


# --- elementwise records ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("char", "df")
def test_elementwise_records(name, char):
    record = RECORDS[name]
    if not available(name, char):
        pytest.skip(f"there is no vector function for {name} in {char}")
    for n in LENGTHS:
        operands = draw(record, [(n,)], np.dtype(char), generator(name, n))
        check(lambda *xs: apply(record, xs, {}), *operands, rtol=1e-14)


@pytest.mark.parametrize("name", WRITTEN)
def test_special_values(name):
    """Infinities, NaN and signed zeros come out as NumPy has them, alone and in lanes."""
    record = RECORDS[name]
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-310, 1e300, 0.5, 2.0, -3.7])
    count = record.function.nin if isinstance(record.function, np.ufunc) else 1
    if name == "where":
        operands = [values > 0, values, values[::-1].copy()]
    else:
        operands = [values, np.roll(values, 5)][:count]
    with np.errstate(all="ignore"):
        for repeats in (1, 20):
            arrays = [np.tile(x, repeats) for x in operands]
            check(lambda *xs: apply(record, xs, {}), *arrays, rtol=1e-14)


def test_the_exponential_is_within_two_ulps():
    """Where it is 0, subnormal, ordinary and infinite."""
    rng = np.random.default_rng(0)
    edges = np.array([709.782712893384, 709.7827128933841, -708.4, -744.9, -745.1332191019411, -745.1332191019412])
    edges = np.append(edges, [1e308, -1e308])
    for x in (rng.uniform(-1, 1, 9999), rng.uniform(-760, 720, 99_999), np.tile(edges, 20)):
        step = tg.compile(lambda x: np.exp(x) + 0.0)
        with np.errstate(all="ignore"):
            step(x)
            assert steps_of(step.optimize())
            np.testing.assert_array_max_ulp(step(x), np.exp(x), 2)


@pytest.mark.parametrize("shapes", [((40, 30), (30,)), ((40, 1), (1, 30)), ((300, 4), (300, 1)), ((4, 300), ())])
def test_operands_are_broadcast(shapes):
    a, b = draw(RECORDS["add"], list(shapes), np.dtype(float), generator(shapes))
    check(tg.value_and_grad(lambda a, b: np.sum(np.sin(a) * b + b / (2.0 + a**2)), (0, 1)), a, b)


@pytest.mark.parametrize("n", [4, 70])
def test_lanes_over_a_whole_array_of_fewer_axes(n):
    """All elements are lanes, and an operand has as many, in another shape."""
    row, table, one = np.linspace(0.5, 1.5, n), np.linspace(-1.0, 1.0, 4 * n).reshape(4, 1, n), np.full((1, 1), 2.0)
    check(lambda row, table, one: (one * row) * table, row, table, one)
    check(lambda row: np.sin(row * np.full((1, 1), 2.0)) - row, row)


# --- writes in place ----------------------------------------------------------------------------------------------


def recurrence(x):
    y = tnp.zeros(12)
    y[0] = x[0]
    for i in range(1, 12):
        y[i] = np.sin(y[i - 1]) * 0.9 + x[i % 8]
    return y


def overlapping(x):
    y = x * 1.0
    for _ in range(3):
        y[1:] = y[:-1] * 0.5
        y[::2] += np.cos(y[1::2])
        y[::-1][:3] -= y[2:5]
    return y


def held_views(x):
    y = (x * 2.0).reshape(2, 4)
    row, column, turned = y[1], y[:, 2], y.T
    row[:2] = column
    turned[3] *= 3.0
    y[0, 1:3] = turned[1:3, 1] + row[0]
    return row * 1.0 + turned[:, 0]


def chosen(x):
    y = x * 1.0
    y[np.array([1, 3, 6])] = x[:3]
    y[np.arange(8) % 3 == 0] = 0.25
    y *= 1.5
    return y


def overwritten_whole(x):
    y = np.exp(x)
    y[...] = x
    z = y[2:6]
    y[3] = 7.0
    return z


def table(x):
    y = tnp.zeros((3, 8))
    y[0] = x
    y[1:, ::2] = x[:4] * 2.0
    y[2] += y[0][::-1]
    y[:, 1] = 1.0
    return y


WRITING = [recurrence, overlapping, held_views, chosen, overwritten_whole, table]


@pytest.mark.parametrize("dtype", ["d", "f"])
@pytest.mark.parametrize("program", WRITING, ids=lambda program: program.__name__)
def test_writes_become_names(program, dtype):
    x = np.linspace(0.2, 1.7, 8, dtype=dtype)
    check(program, x)
    weights = np.cos(np.arange(24.0, dtype=dtype))
    check(tg.value_and_grad(lambda x: np.sum(program(x).reshape(-1) ** 2 * weights[: program(x).size])), x)


def test_what_is_written_is_no_argument():
    """A result that an argument's elements were written to has memory of its own."""

    def program(x):
        y = tnp.zeros(300)
        y[:] = x
        return y

    x = np.linspace(0.0, 1.0, 300)
    step = tg.compile(program)
    step(x)
    found = step.optimize()(x)
    found += 1.0
    np.testing.assert_array_equal(x, np.linspace(0.0, 1.0, 300))
    np.testing.assert_array_equal(step(x), x)


def test_large_arrays_and_bools_are_written_where_they_are():
    def large(x):
        y = x * 1.0
        y[:100] = np.sin(y[50:150])
        return y

    def bools(x):
        seen = x > 1.0
        seen[2:5] = x[2:5] > 0.7
        return np.where(seen, x, x * x)

    assert not check(large, np.linspace(0.0, 1.0, 10_000), native=False)
    assert not check(bools, np.linspace(0.2, 1.7, 8), native=False)


# --- other rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 7), (200, 3), (3, 200), (2, 100, 4), (1500,)])
@pytest.mark.parametrize("function", [np.sum, np.mean, np.max, np.min])
def test_reductions(function, shape):
    x = generator(shape).standard_normal(shape)
    for axis in (None, *range(x.ndim), tuple(range(x.ndim))):
        for keepdims in (False, True):

            def reduced(x, axis=axis, keepdims=keepdims):
                return function(x * x, axis=axis, keepdims=keepdims)

            check(reduced, x)
            check(tg.grad(lambda x, reduced=reduced: np.sum(np.sin(reduced(x)))), x)


def test_extrema_of_nan():
    x = np.array([np.nan, 1.0, 2.0, *np.arange(200.0)])
    check(lambda x: (np.max(x + 1.0), np.min(x + 1.0), np.max(x[1:] + 0.0)), x)


@pytest.mark.parametrize(
    "shapes",
    [((4, 4), (4, 4)), ((3, 5), (5, 200)), ((200, 3), (3,)), ((3, 200), (200,)), ((90, 2, 3), (3, 4)), ((5,), (5,))],
)
def test_products(shapes):
    a, b = (generator(s).standard_normal(s) for s in shapes)
    check(tg.value_and_grad(lambda a, b: np.sum(np.sin(a @ b)), (0, 1)), a, b)


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize("columns", [3, 4, 5, 7, 8, 9, 13, 20])
@pytest.mark.parametrize("rows", [17, 64, 203])
def test_lanes_that_lie_apart(rows, columns, char):
    """Rows of matrices as lanes: their elements are loaded and stored in squares, which may overlap."""
    rng = np.random.default_rng(rows * columns)
    x, shift = rng.normal(size=(rows, columns)).astype(char), rng.normal(size=columns).astype(char)

    def both(x, shift):
        y = x * x + shift
        return y, np.sum(y[:, 1:] * x[:, :-1], axis=1), np.sum(np.sin(x).T, axis=0)

    check(both, x, shift)
    check(both, np.concatenate([x, x])[::2], shift)


@pytest.mark.parametrize("terms", [65, 200, 1003])
def test_long_products_with_a_vector(terms):
    """Lanes run through the terms, beside the rows that make them; a product of two matrices is left to its loop."""
    rng = np.random.default_rng(terms)
    x, w = rng.normal(size=(terms, 20)), rng.normal(size=20)
    (step,) = check(lambda x, w: x.T @ np.sin(x @ w), x, w)
    assert [row.name for row, _ in step.groups[terms]].count("matmul") == 2
    check(lambda x, w: (np.sin(x @ w) @ x) @ w, x, w)
    check(lambda x: np.sin(x).T @ x, x)


IMAGES = (6, 5, 4, 7)


@pytest.mark.parametrize("char", "df")
def test_first_axes_as_one(char):
    """No axis is long enough for the others to be written out; the first ones together are."""
    rng = np.random.default_rng(0)
    x, shift = rng.normal(size=IMAGES).astype(char), rng.normal(size=IMAGES[-1]).astype(char)
    whole = 6 * 5 * 4

    def lanes(function, *arguments):
        return {lanes for step in check(function, *arguments) for lanes in step.groups}

    assert lanes(lambda x, shift: np.maximum(np.sin(x) + shift, 0.5), x, shift) == {whole}
    for axis in ((0, 1, 2), (2, 3), (3,)):
        for keepdims in (False, True):
            check(lambda x, axis=axis, k=keepdims: np.sum(np.exp(x), axis=axis, keepdims=k), np.tile(x, (9, 1, 1, 1)))
            check(lambda x, axis=axis, k=keepdims: np.max(x * x, axis=axis, keepdims=k), np.tile(x, (9, 1, 1, 1)))
    check(lambda x, shift: np.sin(x[:, :, 1:3]) + shift, x, shift)  # no two axes of the window are one
    check(lambda x, shift: np.sin(x[1:4]) * shift + x[2:5], x, shift)
    check(lambda x, shift: np.sin(x) * shift[:, None] + x[:1], x.transpose(0, 2, 3, 1), shift)
    spread = tg.grad(lambda x: np.sum(np.sin(np.mean(np.maximum(x.reshape(60, 2, 7), 0.1), axis=1)) ** 2))
    check(spread, x)


def test_lanes_lie_together_where_there_is_a_choice():
    x, shift = np.random.default_rng(0).normal(size=(128, 160)), np.arange(160.0)
    (step,) = check(lambda x, shift: np.maximum(x + shift, 0.0), x, shift)
    assert set(step.groups) == {160}
    steps = check(lambda x: np.sum(np.sin(x) * 2.0, axis=0), np.random.default_rng(0).normal(size=(96, 160)))
    assert {lanes for step in steps for lanes in step.groups} == {160}


def test_ties_of_extrema():
    x, y = np.array([1.0, 2.0, np.nan, 3.0, 0.0] * 20), np.array([2.0, 2.0, 1.0, np.nan, -1.0] * 20)
    check(tg.grad(lambda x, y: np.sum(np.maximum(x, y) * np.arange(100.0)), argnums=(0, 1)), x, y)


def test_views_windows_and_joined_arrays():
    x = generator("views").standard_normal((120, 4))

    def f(x):
        a, b = x[:, 0], x[:, 3]
        pairs = np.stack([a * b, x[:, 1] - a, np.sin(b)], axis=1)
        wide = np.concatenate([pairs, x[:, ::-1]], axis=1)
        return np.sum(wide.T[2:5] ** 2) + np.sum(np.diff(a) ** 2) + np.sum(wide.reshape(-1)[7:40])

    check(tg.value_and_grad(f), x)


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize("n", [70, 130, 1003, 5000])
@pytest.mark.parametrize("offsets", [(0, 1), (1,), (0, 1, 2), (0, 2, 2, 5), (3, 40), (0, 60)])
def test_stencils(offsets, n, char):
    """Windows that are shifted against each other, by less than a round's lanes and by more."""
    x = generator("stencils", n, offsets).standard_normal(n).astype(char)
    count = n - max(offsets)

    def f(x):
        parts = [x[k : k + count] for k in offsets]
        y = parts[0]
        for k, part in enumerate(parts[1:]):
            y = np.sin(y * part) + part * np.float32(k + 0.5)
        return np.sum(y * y * parts[-1])

    steps = check(tg.value_and_grad(f), x, rtol=1e-12 if char == "d" else 1e-5)
    assert any(row.name in ("assemble", "place") for s in steps for rows in s.groups.values() for row, _ in rows)


@pytest.mark.parametrize("shape", [(40, 50), (300, 7), (3, 500)])
def test_stencils_of_two_axes(shape):
    x = generator("fields", shape).standard_normal(shape)

    def f(u):
        return np.sum((u[1:] - u[:-1]) ** 2) + np.sum(np.sin(u[:, 1:] * u[:, :-1])) + np.sum(u[2:] * u[:-2] * u[1:-1])

    check(tg.value_and_grad(f), x)


@pytest.mark.parametrize("n", [4, 7, 250])
def test_indices(n):
    rng = generator("indices", n)
    table, weights = rng.standard_normal((9, 3)), rng.standard_normal((n, 3))
    i, j = rng.integers(-9, 9, n), rng.integers(0, 3, n)

    def f(table, weights, i, j):
        return np.sum(np.sin(table[i]) * weights) + np.sum(np.exp(table)[i, j] ** 2) + np.sum((2.0 * table)[i, 1:])

    check(tg.value_and_grad(f, (0, 1)), table, weights, i, j)
    check(tg.value_and_grad(lambda t, w: f(t, w, i, j), (0, 1)), table, weights)


@pytest.mark.parametrize("n", [3, 250])
def test_indices_into_views(n):
    """Views that do not begin where their arrays do."""
    rng = generator("views", n)
    x, order = rng.standard_normal(n), rng.permutation(n)

    def f(x, order):
        y = x * np.arange(1.0, n + 1.0)
        return np.sum(np.sin(y[::-1][order])) + np.sum(np.exp(np.stack([y, x], axis=1)[::-1, 1][order[1:]]))

    check(tg.value_and_grad(f), x, order)
    check(tg.grad(lambda x: np.sum(np.sort(x)[::-1] ** 2 * np.arange(1.0, n + 1.0))), x)


def test_indices_out_of_range():
    table = np.arange(10.0)
    step = tg.compile(tg.grad(lambda x, i: np.sum(np.sin(x[i]))), native=False)
    i = np.arange(100) % 10
    step(table, i)
    step.optimize()
    assert steps_of(step)
    for wrong in (10, -11, 2**40):
        i[57] = wrong
        with pytest.raises(IndexError, match="out of bounds"):
            step(table, i)
    i[57] = -10
    assert np.isclose(step(table, i)[0], 11 * np.cos(0.0))


def test_what_is_no_number_stays_with_the_interpreter():
    z = generator("complex").standard_normal(100) * (1 + 2j)
    n = np.arange(100)
    check(lambda z, n: (np.abs(z * z), np.cumsum(z.real), n + n, n * 0.5), z, n)


def test_steps_wait_for_sums():
    """What depends on a fold over the lanes is in a later step: a maximum, a sum, the sum of its cotangents."""
    steps = check(tg.value_and_grad(lambda x: np.sum(np.exp(x - np.max(x))) ** 2), np.linspace(0.0, 1.0, 777))
    assert len(steps) == 4 and all(777 in step.groups for step in steps)


def test_sums_over_many_elements_are_precise():
    x = np.full(1_000_003, 0.1)
    step = tg.compile(lambda x: np.sum(x * 1.0), native=False)
    step(x)
    exact = 1_000_003 * float(np.float64(0.1))
    assert abs(step.optimize()(x) - exact) < 1e-9 * exact / 1000
    assert steps_of(step)


def test_small_records_as_in_their_samples():
    """Every record with a rule here, on its own samples."""
    for name in sorted(RULES):
        record = RECORDS.get(name)
        if record is None or isinstance(record, Elementwise):
            continue
        for sample in record.samples:
            operands, attrs = sample if isinstance(sample[0], tuple) else (sample, {})
            case = Case(record, tuple(np.asarray(x) for x in operands), attrs)
            check(lambda *xs, case=case: apply(case.record, xs, case.attrs), *case.operands, native=False)


# --- when machine code is made ----------------------------------------------------------------------------------------


def test_machine_code_takes_over():
    step = tg.compile(tg.grad(lambda x: np.sum(np.sin(x) * x)))
    x = np.linspace(0.0, 1.0, 50)
    expected = np.cos(x) * x + np.sin(x)
    end = time.monotonic() + 60
    while not steps_of(step) and time.monotonic() < end:
        np.testing.assert_allclose(step(x), expected, rtol=1e-13)
    assert steps_of(step), "the background thread has made nothing in a minute"
    np.testing.assert_allclose(step(x), expected, rtol=1e-13)
    assert "machine code" in str(step)


def test_machine_code_of_a_program_is_made_once(monkeypatch):
    """Where the background and two callers of optimize() meet."""
    step = tg.compile(lambda x: np.sum(np.sin(x) * x))
    step(np.ones(50))
    (program,) = step.paths()
    made, at_work = [], threading.Event()

    def slowly(*recorded, **given):
        made.append(recorded)
        at_work.set()
        time.sleep(0.2)
        return native_plan(*recorded, **given)

    monkeypatch.setattr("tapegrad.compiler.native.native_plan", slowly)
    request(program)
    assert at_work.wait(20)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: step.optimize(), range(2)))
    assert len(made) == 1 and program.plan.steps


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("guarded", [False, True])
def test_machine_code_that_is_slower_has_to_go(monkeypatch, slow, guarded):
    step = tg.compile(tg.grad(lambda x: np.sum(np.sin(x) * x) if not guarded or x[0] < 1 else x[0]))
    x = np.linspace(0.0, 0.9, 50)
    expected = np.cos(x) * x + np.sin(x)
    replay, plans = Replays.replay, []

    def watched(self, *arguments):
        plans.append(bool(self.plan.steps))
        end = time.thread_time() + (0.02 if slow and self.plan.steps else 0.002)
        found = replay(self, *arguments)
        while time.thread_time() < end:
            pass
        return found

    monkeypatch.setattr(Replays, "replay", watched)
    for _ in range(3):
        step(x)
    (program,) = step.paths()
    end = time.monotonic() + 60
    while not program.plan.steps and time.monotonic() < end:
        time.sleep(0.01)
    assert program.is_on_trial
    for _ in range(12):
        np.testing.assert_allclose(step(x), expected, rtol=1e-13)
    assert plans.count(True) == REPLAYS and not program.is_on_trial
    assert bool(program.plan.steps) is not slow
    assert program.replayed < 12  # calls are answered in machine code again
    step.optimize()
    assert program.plan.steps and not program.is_on_trial  # for good
    np.testing.assert_allclose(step(x), expected, rtol=1e-13)


@pytest.mark.parametrize("calls", [1, 6])  # with and without an entry in machine code
def test_a_former_plan_has_gone_before_its_successor_runs(monkeypatch, calls):
    step = tg.compile(lambda x: np.sum(np.sin(x) * x), native=False)
    x = np.ones(50)
    for _ in range(calls):
        expected = step(x)
    former, replay, alive = weakref.ref(step.paths()[0].plan), Replays.replay, []

    def watched(self, *arguments):
        alive.append(former())
        return replay(self, *arguments)

    monkeypatch.setattr(Replays, "replay", watched)
    np.testing.assert_allclose(step.optimize()(x), expected)
    assert alive == [None]


def test_a_failure_in_the_background_is_told(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("planted")

    x = np.arange(3.0)
    with monkeypatch.context() as planted:
        planted.setattr("tapegrad.compiler.native.native_plan", fail)
        step = tg.compile(tg.grad(lambda x: np.sum(x**4)))
        for _ in range(5):
            np.testing.assert_allclose(step(x), 4 * x**3)
        end = time.monotonic() + 60
        while step.paths()[0].native_failure is None and time.monotonic() < end:
            time.sleep(0.01)
        assert "no machine code: RuntimeError('planted')" in str(step)
        np.testing.assert_allclose(step(x), 4 * x**3)
    test_machine_code_takes_over()  # the thread goes on


@pytest.mark.parametrize("calls", [4, 12])
def test_a_process_may_end_meanwhile(calls):
    code = (
        "import numpy as np, tapegrad as tg\n"
        "def f(x):\n"
        "    for k in range(300):\n"
        "        x = np.sin(x * 1.01 + k) * x + np.exp(-x * x)\n"
        "    return np.sum(x)\n"
        "step = tg.compile(tg.value_and_grad(f))\n"
        f"for _ in range({calls}):\n"
        "    step(np.linspace(0.0, 1.0, 2000))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_end_of_a_process_waits_for_the_thread_which_begins_nothing_more():
    code = (
        "import time\n"
        "from tapegrad.compiler.native.background import request\n"
        "class Program:\n"
        "    def make_native(self, on_trial):\n"
        "        time.sleep(0.5)\n"
        "        print('made')\n"
        "programs = [Program(), Program()]\n"
        "for program in programs:\n"
        "    request(program)\n"
        "time.sleep(0.1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "made\n", "")


def test_it_can_be_left_out():
    step = tg.compile(tg.grad(lambda x: np.sum(x**3)), native=False)
    for _ in range(20):
        step(np.arange(3.0))
    time.sleep(0.05)
    assert not steps_of(step)


def test_guards_are_answered_by_machine_code():
    step = tg.compile(tg.value_and_grad(lambda x: np.sum(x**2) if np.sum(x) > 0 else np.sum(np.cos(x))), native=False)
    up, down = np.linspace(0.1, 1.0, 80), np.linspace(-1.0, -0.1, 80)
    step(up), step(down)
    step.optimize()
    assert len(steps_of(step)) >= 2
    for x in (up, down, up):
        value, gradient = step(x)
        wanted = (np.sum(x**2), 2 * x) if np.sum(x) > 0 else (np.sum(np.cos(x)), -np.sin(x))
        np.testing.assert_allclose(value, wanted[0], rtol=1e-13)
        np.testing.assert_allclose(gradient, wanted[1], rtol=1e-13)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_may_fork_and_end_while_code_is_made():
    program = """
import os, numpy as np, tapegrad as tg
def f(x):
    for _ in range(300):
        x = np.sin(x) * 1.01 + x
    return np.sum(x)
step = tg.compile(tg.grad(f))
x = np.linspace(0.0, 1.0, 40)
for _ in range(6):
    expected = step(x)
child = os.fork()
if child == 0:
    again = tg.compile(tg.grad(f))
    found = step(x), again(x), again.optimize()(x)
    os._exit(0 if all(np.allclose(g, expected) for g in found) else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
step2 = tg.compile(tg.grad(lambda x: f(x) * 2.0))
for _ in range(4):
    step2(x)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def threads():
    """Set the number of threads for a test."""
    before = tg.get_num_threads()
    yield tg.set_num_threads
    tg.set_num_threads(before)


def long_loop(x, y):
    return np.sum(np.exp(-x * y) + np.sin(x)) + np.max(x) * np.mean(y)


def test_threads_share_long_loops(threads):
    rng = generator("threads")
    x, y = rng.random(300_007), rng.random(300_007)
    found = {}
    for count in (1, 2, 3):
        threads(count)
        step = tg.compile(tg.value_and_grad(long_loop, (0, 1)), native=False)
        step(x, y)
        step.optimize()
        found[count] = optree.tree_leaves(step(x, y))
        for _ in range(5):
            for mine, again in zip(optree.tree_leaves(step(x, y)), found[count], strict=True):
                assert np.array_equal(mine, again), "results must not depend on which thread was faster"
    for count in (2, 3):
        for mine, one in zip(found[count], found[1], strict=True):
            np.testing.assert_allclose(mine, one, rtol=1e-12)


def test_threads_are_shared_by_python_threads(threads):
    threads(2)
    x, y = generator("python threads").random((2, 200_003))
    step = tg.compile(tg.value_and_grad(long_loop, (0, 1)), native=False)
    step(x, y)
    expected = optree.tree_leaves(step.optimize()(x, y))

    def run(_):
        return all(
            np.array_equal(mine, its)
            for _ in range(10)
            for mine, its in zip(optree.tree_leaves(step(x, y)), expected, strict=True)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(8)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_has_threads_of_its_own():
    program = """
import os, numpy as np, tapegrad as tg
tg.set_num_threads(2)
step = tg.compile(tg.grad(lambda x: np.sum(np.exp(x) * x)))
x = np.linspace(0.0, 1.0, 300_000)
step(x)
expected = step.optimize()(x)
child = os.fork()
if child == 0:
    os._exit(0 if all(np.array_equal(step(x), expected) for _ in range(20)) else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(step(x), expected)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_number_of_threads(threads):
    for wrong in (0, -1, 2.0, True, "2"):
        with pytest.raises(ValueError, match="must be a positive int"):
            threads(wrong)
    threads(5)
    assert tg.get_num_threads() == 5
