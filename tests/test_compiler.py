"""`tg.compile`: what the passes over a recorded tape leave, and that results stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.vm import opcodes as op


def kernels(compiled):
    """Names of the primitives that a replay runs, in order."""
    (program,) = compiled.paths()
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


OUTSIDE = {
    "added": lambda t, x: t.add_(x),
    "assigned": lambda t, x: t.__setitem__(0, x[0]),
    "through a view": lambda t, x: t[:1].mul_(2.0),
    "by out=": lambda t, x: np.multiply(x, x, out=t),
}


@pytest.mark.parametrize("write", OUTSIDE.values(), ids=OUTSIDE)
def test_tensors_made_outside_are_not_written(write):
    total = tg.zeros(3)

    def f(x):
        write(total, x)
        return np.sum(x * total)

    step = tg.compile(f)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="made outside it"):
            step(X)
    assert total.tolist() == [0.0, 0.0, 0.0]


def test_tensors_made_inside_are_made_anew():
    def f(x):
        y, whole = tg.zeros(3), np.zeros_like(x)
        y += x
        whole[1] = x[0]
        return np.sum(y * y + whole)

    step = tg.compile(tg.value_and_grad(f))
    for _ in range(3):
        value, gradient = step(X)
        np.testing.assert_allclose(value, np.sum(X * X) + X[0])
        np.testing.assert_allclose(gradient, 2 * X + [1.0, 0.0, 0.0])


def test_integers_made_inside_are_part_of_the_program():
    def f(x):
        k = tg.tensor([0, 1])
        k += 1
        return np.sum(x[k])

    with pytest.raises(RuntimeError, match="of integers or bools made inside it"):
        tg.compile(f)(X)


def test_captured_tensors_stay_what_they_are():
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = w * 2.0
    view = y[::2]
    step = tg.compile(tg.grad(lambda x: np.sum(x * w + y * x) + np.sum(view * x[:2])))
    for _ in range(2):
        np.testing.assert_allclose(step(X), [3.0 + 2.0, 6.0 + 6.0, 9.0])
    assert w.tolist() == [1.0, 2.0, 3.0] and y.tolist() == [2.0, 4.0, 6.0] and view.tolist() == [2.0, 6.0]
    (y * y).sum().backward()
    assert w.grad.tolist() == [8.0, 16.0, 24.0]
    with tg.no_grad():
        w *= 10.0  # captured by value
    np.testing.assert_allclose(step(X), [5.0, 12.0, 9.0])


def test_an_update_of_a_part_is_one_write():
    """Python assigns what ``+=`` has written already: that is no second write."""

    def update(x):
        y = x * 1.0
        for _ in range(3):
            y[1:3] += np.sin(y[2:4])
        return np.sum(y * y)

    x = np.linspace(0.5, 1.5, 5)
    step = tg.compile(tg.value_and_grad(update))
    value, gradient = step(x)
    expected, its = tg.value_and_grad(update)(x)
    np.testing.assert_allclose(value, expected)
    np.testing.assert_allclose(gradient, its)
    assert str(step).count("add_(") == 3 and "copy_(" not in str(step)
