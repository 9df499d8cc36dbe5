"""Compiled functions as text, and their profiles."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tapegrad as tg


def loss(w, x):
    hidden = np.tanh(x @ w)
    return np.sum(hidden * hidden) if np.max(w) > 0 else np.sum(hidden)


LINE = loss.__code__.co_firstlineno + 1
W, X = np.full((3, 2), 0.5), np.ones((4, 3))


def test_listing():
    step = tg.compile(tg.value_and_grad(loss), lines=True)
    assert repr(step) == "<compiled loss: 0 recorded paths>"
    value, gradient = step(W, X)
    text = str(step)
    assert text.startswith("compiled loss: 1 recorded paths")
    for part in ("argument", "tanh(%", "matmul(%", "float64[4, 2]", "-> result", "guard: bool() at", "bytes of memory"):
        assert part in text
    (tanh,) = [line for line in text.splitlines() if " tanh(" in line]
    assert f"test_looking_inside.py:{LINE}" in tanh
    np.testing.assert_allclose((value, gradient.sum()), (tg.value_and_grad(loss)(W, X)[0], gradient.sum()))


def test_lines_change_no_result():
    dynamic = tg.value_and_grad(loss)(W, X)
    for lines in (False, True):
        found = tg.compile(tg.value_and_grad(loss), lines=lines)(W, X)
        np.testing.assert_allclose(found[0], dynamic[0], rtol=1e-14)
        np.testing.assert_allclose(found[1], dynamic[1], rtol=1e-14)


def test_long_listings_are_cut():
    def chain(x):
        for _ in range(100):
            x = x * 2.0 + 1.0
        return x

    step = tg.compile(chain)
    step(1.0)
    assert "rows ..." in str(step) and len(str(step).splitlines()) < 80


def test_profile():
    step = tg.compile(tg.value_and_grad(loss))
    expected = step(W, X)
    profile = step.profile(W, X, repeats=2)
    assert all(0 < t.seconds < 1 for t in profile.timings)
    places = {t.place.rpartition(":")[2]: t for t in profile.by_line()}
    assert {str(LINE), str(LINE + 1)} <= set(places)
    assert sum(t.nbytes for t in profile.by_line()) == sum(t.nbytes for t in profile.timings) > 0
    (tanh,) = [t for t in profile.timings if t.text.startswith("tanh")]
    assert tanh.nbytes == 2 * 8 * 8
    matmuls = [t for t in profile.timings if t.text.startswith("matmul")]
    assert len(matmuls) == 2 and {t.place.rpartition(":")[2] for t in matmuls} == {str(LINE)}, "the reverse's too"
    assert "by line:" in str(profile) and "µs a replay" in str(profile)
    found = step(W, X)
    assert found[0] == expected[0]


def test_profile_names_what_python_runs():
    step = tg.compile(lambda x: np.sum(np.sort(x)))
    table = str(step.profile(np.arange(5.0)))
    assert "(Python)" in next(line for line in table.splitlines() if " sort" in line or "gather" in line)


def test_profile_times_machine_code_too():
    def chain(x):
        for _ in range(8):
            x = np.sin(x) * 1.01 + 0.1
        return np.sum(x)

    x = np.linspace(0.0, 1.0, 2000)
    step = tg.compile(tg.value_and_grad(chain))
    profile = step.profile(x, repeats=2)
    assert profile.native is not None and profile.native.rows >= profile.native.steps >= 1
    assert 0 < profile.native.seconds < 1 and "with machine code for" in str(profile).splitlines()[0]
    assert tg.compile(tg.value_and_grad(chain), native=False).profile(x, repeats=1).native is None


def test_the_listing_says_how_few_rows_a_loop_is_written_as():
    def steps(n):
        def f(x):
            for _ in range(n):
                x = x * 1.001 - 0.01 * np.cos(x)
            return x

        return f

    for n in (100, 1000):
        step = tg.compile(tg.value_and_grad(steps(n)))
        step(0.3)
        step.optimize()
        (found,) = re.findall(r"machine code for (\d+) rows in 1 step, with loops: (\d+) rows", str(step))
        assert int(found[0]) > 8 * n and int(found[1]) < 60
    step = tg.compile(tg.value_and_grad(lambda x: np.sum(np.exp(-x * x) * x)))
    step(np.linspace(0.0, 1.0, 1000))
    step.optimize()
    assert "rows in 1 step\n" in str(step) and "loops" not in str(step)


def test_the_listing_follows_the_branch_of_its_arguments():
    def f(x):
        if np.max(x) > 0:
            return np.sum(np.tanh(x))
        while float(tg.stop_gradient(x[0])) < -1.0:
            x = x / 2.0
        return np.sum(x)

    up, down = tg.format_tape(f, np.ones(3)), tg.format_tape(f, np.full(3, -5.0))
    assert "tanh(" in up and "divide(" not in up
    assert "tanh(" not in down and down.count("divide(") == 3
    with pytest.raises(ZeroDivisionError):
        tg.format_tape(lambda x: 1 / 0 if x > 0 else x, 1.0)
    assert tg.format_tape(lambda x: x + 1.0, 1.0).count("\n") == 2  # nothing of it is left
