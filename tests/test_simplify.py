"""What a compiled function leaves out: rows that are known, equal or not needed; the bits of values stay."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.primitives.core import ops

X = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 5e-324, 1e308])
Y = np.array([-0.0, 0.0, 3.0, -1e-300, np.inf, np.inf, 1.0, -5e-324, -1e308])


def rows_of(step):
    (path,) = step.paths()
    return Counter(row.primitive.name for row in path.plan.signatures.values())


def same_bits(found, expected):
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected), strict=True)


@pytest.mark.parametrize(
    ("f", "counts"),
    [
        (lambda x, y: x * 1.0 * y, {"multiply": 1}),
        (lambda x, y: x / 1.0 * y, {"divide": 0, "multiply": 1}),
        (lambda x, y: (x - 0.0) * y, {"subtract": 0}),
        (lambda x, y: (x + -0.0) * y, {"add": 0}),
        (lambda x, y: (x + 0.0) * y, {"add": 1}),  # makes -0.0 0.0
        (lambda x, y: (x - -0.0) * y, {"subtract": 1}),
        (lambda x, y: x * -1.0 * y, {"negative": 1, "multiply": 1}),
        (lambda x, y: np.negative(np.negative(x)) * y, {"negative": 0}),
        (lambda x, y: x + -y, {"negative": 0, "subtract": 1, "add": 0}),
        (lambda x, y: -x + y, {"negative": 0, "subtract": 1, "add": 0}),
        (lambda x, y: x - -y, {"negative": 0, "subtract": 0, "add": 1}),
        (lambda x, y: +x * np.copy(y), {"positive": 0, "copy": 0}),
        (lambda x, y: x * y + y * x, {"multiply": 1}),
        (lambda x, y: x * np.broadcast_to(y[2], x.shape), {"broadcast_to": 0}),
        (lambda x, y: x * (np.ones(9) * 3.0) * (np.zeros(9) + y[2]), {"multiply": 2}),
        (lambda x, y: x[2] * np.broadcast_to(y[2], (9,)), {"broadcast_to": 1}),  # its shape is the result's
    ],
)
def test_identities(f, counts):
    step = tg.compile(f)
    found = step(X, Y)
    with np.errstate(all="ignore"):
        expected = f(X, Y)
    finite = ~np.isnan(expected)
    same_bits(found[finite], expected[finite])
    np.testing.assert_array_equal(np.isnan(found), ~finite)
    for name, count in counts.items():
        assert rows_of(step)[name] == count, rows_of(step)


def test_rows_of_constants_are_computed_once_and_by_the_same_loops():
    c = np.linspace(-3.0, 3.0, 50)

    def f(x):
        return np.sum(np.exp(c) * np.sin(c[::-1]) + np.tanh(c) * 0.5, axis=0) * x

    step = tg.compile(f)
    with tg.no_grad():
        expected = f(tg.tensor(np.float64(1.0))).item()
    assert step(1.0) == expected
    assert set(rows_of(step)) == {"import", "multiply"} or rows_of(step)["exp"] == 0


def test_views_of_computed_constants_and_results_that_are_constants():
    c = tg.tensor(np.linspace(1.0, 2.0, 6))

    def f(x):
        tripled = c * 2.0 + c
        one = (c[0] * 4.0 - 3.0)[None]
        return tripled[1:4] * x, -(np.broadcast_to(one, (3,)) * x), tripled[2:] / c[2:], -(one[0] * x)

    step = tg.compile(f)
    x = np.array([0.5, -0.0, np.inf])
    for found, expected in zip(step(x), (c.numpy()[1:4] * 3.0 * x, -x, np.full(4, 3.0), -x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert rows_of(step)["multiply"] == 1 and rows_of(step)["add"] == rows_of(step)["divide"] == 0


def test_a_long_loop_over_constants_is_computed_at_once():
    def f(x):
        y = x
        for k in range(300):
            y = y * (0.5 + k / 300) + x
        return np.sum(y)

    step = tg.compile(tg.value_and_grad(f))
    x = np.array([0.1, 0.2])
    for found, expected in zip(step(x), tg.value_and_grad(f)(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert rows_of(step)["multiply"] == 299  # once the factor is 1


def test_a_result_that_is_an_argument_is_a_copy():
    x = np.arange(3.0)
    step = tg.compile(lambda x: (x * 1.0, +x, np.negative(np.negative(x)), np.copy(x)[1:]))
    for _ in range(2):
        for found in step(x):
            assert not np.shares_memory(found, x)
            np.testing.assert_array_equal(found, x[-len(found) :])


def test_written_values_are_not_taken_for_others():
    def f(x):
        a = tg.numpy.array(x * 2.0)
        b = x * 2.0
        before = a * 1.0
        a[0] = 10.0
        a += x * 3.0
        return np.sum(a * b) + np.sum(before * (x * 2.0)) + np.sum(a * 1.0) * np.sum(x * 3.0)

    x = np.arange(1.0, 4.0)
    step = tg.compile(tg.value_and_grad(f))
    for y in (x, x * 3.0):
        for found, expected in zip(step(y), tg.value_and_grad(f)(y), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_equal_rows_run_once_beside_writes_elsewhere():
    def f(x):
        a = tg.numpy.zeros(3)
        a[1] = x[0]
        return np.sum(np.sin(x)) * np.sum(np.sin(x)) + np.sum(a)

    step = tg.compile(f)
    step(np.ones(3))
    assert rows_of(step)["sin"] == 1


def test_writes_that_nobody_reads_are_left_out():
    def f(x):
        scratch = tg.numpy.array(x)
        for k in range(3):
            scratch[k] = np.exp(x[k])
        return np.sum(x)

    step = tg.compile(f)
    assert step(np.ones(3)) == 3.0
    assert rows_of(step)["exp"] == 0 and rows_of(step)["copy_"] == 0


def test_the_gradient_of_a_loop_loses_its_seed():
    count_all = rows_of_gradient(lambda x: np.sum(x * x))
    assert count_all["broadcast_to"] == 0 and count_all["multiply"] <= 2


def rows_of_gradient(f):
    step = tg.compile(tg.value_and_grad(f))
    step(np.arange(3.0))
    return rows_of(step)


def test_every_identity_names_a_primitive():
    from tapegrad.compiler.traits import RULES

    for name in RULES:
        assert getattr(ops, name).name == name
