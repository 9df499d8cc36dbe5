"""Loops of Python, which are unrolled in what was recorded, are loops again in machine code: same results."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from records import generator
from test_native import check

import tapegrad as tg
from tapegrad.compiler.native.graph import Graph


def rolls_of(steps):
    """Loops in all groups of all steps."""
    return [roll for step in steps for script in step.scripts.values() for roll in script.rolls]


def check_rolls(function, *arguments, least=1, rtol=1e-11):
    """Results agree, and loops were found."""
    steps = check(function, *arguments, rtol=rtol)
    rolls = rolls_of(steps)
    assert len(rolls) >= least, "no loop was found"
    return rolls


SHAPES = [(), (1,), (3,), (16,), (40,), (67,), (300,)]
"""Scalars, elements written out, one round of lanes, a rest, many rounds."""


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize("shape", SHAPES)
def test_states_of_iterations_are_kept(shape, char):
    """The reverse sweep reads what each iteration has computed, last one first."""
    x = generator("states", shape).random(shape).astype(char)

    def f(x, a):
        y, z = x, x * a
        for _ in range(120):
            y, z = np.sin(y) * a + z, z * np.float32(0.99) - y * a
        return np.sum(y * z)

    check_rolls(tg.value_and_grad(f, (0, 1)), x, np.array(0.25, char), least=2, rtol=1e-9)


@pytest.mark.parametrize("back", [1, 2, 3, 4, 5])
def test_iterations_look_back(back):
    """Differences of higher order: what was some iterations before is still in registers, or nothing is rolled."""
    x = np.linspace(0.1, 0.9, 20)

    def f(x):
        states = [x * (k + 1.0) for k in range(back)]
        for _ in range(150):
            states.append(np.cos(states[-1]) + 0.25 * states[-back])
        return np.sum(states[-1])

    steps = check(tg.value_and_grad(f), x, rtol=1e-10)
    assert rolls_of(steps) or back > 4


@pytest.mark.parametrize("shape", [(), (3,), (50,)])
def test_all_states_are_read_behind_the_loop(shape):
    x = generator("behind", shape).random(shape)

    def f(x):
        y, found = x, []
        for _ in range(90):
            y = np.tanh(y + x * 0.5) * 1.1
            found.append(y)
        return np.sum(found[17] * found[60]) + sum(np.sum(y) for y in found[3::7]), found[5], found[-1]

    check_rolls(f, x)
    check_rolls(tg.grad(lambda x: f(x)[0] + np.sum(f(x)[1])), x)


@pytest.mark.parametrize("n", [2, 5, 24, 130])
def test_inputs_of_each_iteration(n):
    """A row of a matrix for each iteration, forwards and backwards; its gradient goes to another place each time."""
    rng = generator("inputs", n)
    rows, w = rng.standard_normal((80, n)), rng.standard_normal(n)

    def f(rows, w):
        h = w * 0.0
        for k in range(80):
            h = np.tanh(rows[k] * w + h * 0.5) + rows[79 - k]
        return np.sum(h * h)

    check_rolls(tg.value_and_grad(f, (0, 1)), rows, w)


@pytest.mark.parametrize("n", [24, 130, 1000])
def test_sums_over_lanes_within_a_loop(n):
    rng = generator("sums", n)
    rows, w = rng.standard_normal((60, n)), rng.standard_normal(n)

    def f(rows, w):
        h, total, highest = w, 0.0, 0.0
        for k in range(60):
            h = np.tanh(rows[k] * w + h * 0.5)
            total = total + np.log(np.sum(np.exp(h)) + 2.0)
            highest = highest + np.max(h * rows[k])
        return total * 0.1 + highest

    check_rolls(tg.value_and_grad(f, (0, 1)), rows, w)


def test_sums_and_joined_states_of_each_iteration():
    """Rows that read what loops of other steps have put into memory, an iteration further on each, are loops, too."""
    x = np.array([0.3, 0.5, 0.7])

    def f(x):
        y, total, states = x, 0.0, []
        for _ in range(1000):
            y = np.cos(y) * x
            total = total + np.sum(y * y)
            states.append(y)
        return total + np.sum(np.stack(states) ** 2)

    steps = check(tg.value_and_grad(f), x, rtol=1e-10)
    groups = [(step.groups[lanes], step.scripts[lanes]) for step in steps for lanes in step.groups]
    written = [script.written(group.of_each(lambda choice: choice.elements)) for group, script in groups]
    assert len(rolls_of(steps)) >= 4 and sum(written) < 2000  # of 14,000


def test_constants_of_each_iteration():
    """Equal ones are one, though each iteration has recorded its own; others are not taken for equal."""
    x = np.linspace(0.1, 1.0, 7)

    def same(x):
        y = x
        for _ in range(100):
            y = y * np.concatenate([np.ones(1), y[:-1]]) * 0.9 + np.array([0.1] * 7)
        return np.sum(y)

    def different(x):
        y = x
        for k in range(100):
            y = y * 0.5 + x * (0.1 * k) + np.full(7, 1.0 / (k + 1))
        return np.sum(y)

    check_rolls(tg.value_and_grad(same), x)
    check(tg.value_and_grad(different), x)


def test_conditions_and_choices():
    x = np.linspace(-1.0, 1.0, 21)

    def f(x):
        y, up = x, x > 0.0
        for _ in range(100):
            grown = y > 0.3
            y = np.where(up, y * 0.7, y + 0.1)
            up = grown
        return np.sum(y)

    check_rolls(tg.value_and_grad(f), x)
    check_rolls(tg.value_and_grad(f), np.float64(0.4))


def test_small_matrices_and_tables():
    rng = generator("matrices")
    a, v, table = rng.standard_normal((3, 3)) * 0.4, rng.standard_normal(3), rng.standard_normal((5, 3))
    i = rng.integers(0, 5, 4)

    def f(a, v, table, i):
        for _ in range(60):
            v = np.sin(a @ v) + np.sum(table[i], axis=0) * 0.1
        return np.sum(v)

    check_rolls(tg.value_and_grad(f, (0, 1, 2)), a, v, table, i)


def test_a_loop_in_a_loop():
    x = np.array([0.7])

    def f(x):
        y = x
        for _ in range(30):
            for _ in range(9):
                y = np.sin(y) + 0.1 * x
            y = np.sqrt(np.sum(y * y)) * x
        return np.sum(y)

    check_rolls(tg.value_and_grad(f), x)


def test_two_loops_of_the_same_body():
    x = np.linspace(0.1, 1.0, 30)

    def f(x):
        y = x
        for _ in range(170):
            y = np.sin(y) * x
        z = np.exp(-y)
        for _ in range(150):
            z = np.sin(z) * x
        return np.sum(y * z)

    check_rolls(tg.value_and_grad(f), x, least=3)


def program(rng, shape):
    """A random loop: some states, each new one of random states of this and former iterations."""
    count, rounds = int(rng.integers(1, 5)), int(rng.integers(40, 130))
    unary = [np.sin, np.tanh, lambda x: np.exp(-x * x), lambda x: x * 0.5, lambda x: np.maximum(x, 0.1)]
    binary = [
        np.add,
        np.subtract,
        np.multiply,
        lambda a, b: np.where(a > b, a, 0.5 * b),
        lambda a, b: a / (1.5 + b * b),
    ]
    plan = []
    for _ in range(int(rng.integers(2, 8))):
        plan.append((int(rng.integers(len(unary))), int(rng.integers(len(binary))), *rng.integers(0, 99, 4).tolist()))
    late, wide = rng.integers(0, rounds, 3).tolist(), bool(rng.integers(2))

    def f(x, w, rows):
        states, seen = [x * (0.3 + k) for k in range(count)], []
        for k in range(rounds):
            values = [*states, w, rows[k] if wide else rows[0], rows[(rounds - k) if wide else 1]]
            for u, b, i, j, to, back in plan:
                a = unary[u](values[i % len(values)])
                other = seen[-1 - back % 3] if len(seen) > 3 and back % 4 == 0 else values[j % len(values)]
                values.append(binary[b](a, other) * 0.7)
                states[to % count] = values[-1]
            seen.append(states[0])
        return np.sum(states[0] * states[-1]) + sum(np.sum(seen[k]) for k in late)

    shapes = [shape, shape if rng.integers(2) else (), (rounds + 1, *shape)]
    return f, [rng.uniform(-1.0, 1.0, s) for s in shapes]


@pytest.mark.parametrize("seed", range(40))
def test_random_loops(seed):
    rng = generator("random loops", seed)
    f, operands = program(rng, SHAPES[seed % len(SHAPES)])
    char = "df"[seed % 5 == 0]
    operands = [x.astype(char) for x in operands]
    check(tg.value_and_grad(f, (0, 1, 2)), *operands, rtol=1e-9)


def test_random_loops_are_mostly_rolled():
    rolled = 0
    for seed in range(10):
        f, operands = program(generator("random loops", seed), (3,))
        rolled += bool(rolls_of(check(tg.value_and_grad(f, (0, 1, 2)), *operands, rtol=1e-9)))
    assert rolled >= 5  # some of them compute little that is read


def test_threads_have_cells_of_their_own():
    before = tg.get_num_threads()
    tg.set_num_threads(3)
    try:
        x = np.linspace(0.1, 0.9, 4003)

        def f(x):
            y = x
            for _ in range(100):
                y = np.sin(y) * x + 0.5
            return np.sum(y)

        step = tg.compile(tg.value_and_grad(f), native=False)
        expected = step(x)
        step.optimize()
        steps = [step for program in step.paths() for step in program.plan.steps.values()]
        assert rolls_of(steps) and any(layout.pieces == 3 for step in steps for layout in step.layouts.values())
        for _ in range(10):
            for mine, its in zip(step(x), expected, strict=True):
                np.testing.assert_allclose(mine, its, rtol=1e-12)
    finally:
        tg.set_num_threads(before)


def repeated(count):
    """A function of a loop of so many iterations."""

    def f(x, a):
        y, z = x, a
        for _ in range(count):
            y, z = np.sin(y) * x + z, z * 0.99 - y * a
        return np.sum(y * z)

    return tg.value_and_grad(f, (0, 1))


def test_what_a_loop_costs_python_does_not_grow_with_its_iterations(monkeypatch):
    """Rows become objects, and choices are made, for those that are like none before: iterations are arrays."""
    x, made = np.array([0.3, 0.5, 0.7]), []
    monkeypatch.setattr(Graph, "row", lambda self, slot, row=Graph.row: made.append(slot) or row(self, slot))
    counts = []
    for count in (3000, 12_000):
        made.clear()
        step = tg.compile(repeated(count), native=False)
        expected = step(x, x + 0.1)
        step.optimize()
        for mine, its in zip(step(x, x + 0.1)[1], expected[1], strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-9)
        counts.append(len(made))
    assert counts[0] == counts[1] < 1000


def test_memory_for_machine_code_of_a_long_loop():
    """Arrays of a few words for each row, of which the plan keeps half: the tape itself has a word for each."""
    x = np.array([0.3, 0.5, 0.7])
    step = tg.compile(repeated(10_000), native=False)
    step(x, x + 0.1)
    rows = step.paths()[0].plan.count
    small = tg.compile(repeated(100), native=False)
    small(x, x)
    small.optimize()  # what is made once
    tracemalloc.start()
    try:
        step.optimize()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rolls_of([step for program in step.paths() for step in program.plan.steps.values()])
    assert peak < 500 * rows and kept < 200 * rows
