"""`tg.compile`: what the passes over a recorded tape leave, and that results stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.vm import opcodes as op


def kernels(compiled):
    """Names of the primitives that a replay runs, in order."""
    (program,) = compiled.programs.values()
    rows = program.plan.signatures.values()
    return [row.primitive.name for row in rows if row.kind in (op.KERNEL, op.WRITE)]


X = np.array([0.3, -1.2, 2.0])


def test_equal_rows_run_once():
    step = tg.compile(lambda x: np.exp(np.sin(x)) + np.exp(np.sin(x)) * np.sin(x))
    expected = np.exp(np.sin(X)) * (1 + np.sin(X))
    for _ in range(2):
        np.testing.assert_allclose(step(X), expected)
    assert kernels(step) == ["sin", "exp", "multiply", "add"]


def test_the_reverse_uses_what_the_forward_computed():
    def f(x):
        return np.sum(np.sin(x) * np.cos(x))  # the derivative of sin is cos, which is there

    step = tg.compile(tg.value_and_grad(f))
    value, gradient = step(X)
    np.testing.assert_allclose(value, f(X))
    np.testing.assert_allclose(gradient, np.cos(2 * X))
    assert kernels(step).count("cos") == kernels(step).count("sin") == 1


def test_equal_results_are_arrays_of_their_own():
    step = tg.compile(lambda x: (np.exp(x), np.exp(x), x[::-1], x[::-1]))
    a, b, c, d = step(np.arange(200.0) / 100)
    np.testing.assert_array_equal(a, b)
    a[0] = c[0] = -1.0
    assert b[0] == 1.0 and d[0] == 1.99


def test_rows_of_other_attributes_or_types_are_not_equal():
    x = np.arange(6.0).reshape(2, 3)
    step = tg.compile(lambda x: (np.sum(x, axis=0), np.sum(x, axis=1), x[0], x[1], x.astype("f"), x * 1.0, x * 1))
    found = step(x)
    expected = np.sum(x, axis=0), np.sum(x, axis=1), x[0], x[1], x.astype("f"), x, x
    for mine, its in zip(found, expected, strict=True):
        assert mine.dtype == its.dtype
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("gradient", [False, True])
def test_writes_keep_equal_rows_apart(gradient):
    def f(x):
        y = x * 1.0
        before = y + 0.5
        y += 1.0
        return np.sum(before + 2.0 * (y + 0.5))

    step = tg.compile(tg.grad(f) if gradient else f)
    expected = np.full(3, 3.0) if gradient else np.sum(3.0 * X + 3.5)
    np.testing.assert_allclose(step(X), expected)


def test_rows_that_nothing_depends_on_are_left_out():
    def f(x):
        unused = np.log(x) + 1.0
        del unused
        return np.sum(x * x)

    step = tg.compile(f)
    assert step(X) == np.sum(X * X)
    assert "log" not in kernels(step)
