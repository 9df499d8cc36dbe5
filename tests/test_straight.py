"""The recorded reverse of compiled functions asks a rule once for each kind of row."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.autograd import straight
from tapegrad.primitives.core import ops
from tapegrad.vm import opcodes as op


def assert_same(f, *arguments):
    step = tg.compile(tg.value_and_grad(f))
    for scale in (1.0, 0.5):
        given = [scale * a for a in arguments]
        for found, expected in zip(step(*given), tg.value_and_grad(f)(*given), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-11)
    return step


@pytest.fixture
def asked(monkeypatch):
    """How often the rule of a primitive is asked."""
    counts = {}

    def count(record):
        inner = record.transpose_at

        def transpose_at(*arguments):
            counts[record.name] = counts.get(record.name, 0) + 1
            return inner(*arguments)

        monkeypatch.setattr(record, "transpose_at", transpose_at)
        return counts

    return count


def chain(x):
    y = x
    for k in range(60):
        y = np.sin(y) * x if k % 3 else np.exp(-y * y) + y / (x + 2.0)
    return np.sum(y)


def test_a_rule_is_asked_once_for_each_kind_of_row(asked):
    step = tg.compile(tg.value_and_grad(chain))
    counts = asked(ops.sin)
    asked(ops.multiply)
    step(np.linspace(0.1, 1.0, 4))
    assert counts["sin"] == 1
    assert counts["multiply"] <= 4  # two operands, one taken twice; with and without a gradient of both


@pytest.mark.parametrize(
    "f",
    [
        chain,
        lambda x: np.sum(x * x * x + (x + x) * (x - x)),  # one operand twice
        lambda x: sum(np.sum(np.maximum(x, 0.3 * k) ** k) for k in range(1, 6)),
        lambda x: sum(np.sum(np.where(x > 0.1 * k, x * k, x)) for k in range(5)),  # other numbers in each
        lambda x: sum(np.linalg.norm(np.concatenate([x, x[:k], x[k:] ** 2])) for k in range(1, 4)),
        lambda x: sum(np.sum(np.cumsum(x[::-1]) * np.roll(x, k)) for k in range(3)),
        lambda x: np.sum(np.stack([np.broadcast_to(x[k], (3,)) * x[:3] for k in range(4)]) @ x[:3]),
        lambda x: np.sum(np.stack([x[[k, 0, k]] for k in range(4)]) ** 2),
        lambda x: np.sum(np.sin(x / 4.0 / 1.0)),  # the first that is asked divides by a number that its rule uses, too
        lambda x: np.sum((x**3.0) ** 2.0 + np.maximum(x, 0.5) ** 0.5) + np.sum(np.sqrt(x / 3.0) / 0.5 / 2.0),
        lambda x: np.sum(tg.grad(lambda z: np.sum(np.cos(z / 4.0 / 1.0 / 2.0)))(x) * x / 3.0 / 1.0),
    ],
    ids=[
        "chain", "twice", "kinks", "numbers", "joins", "scans", "broadcasts", "indices", "divisors", "powers", "second",
    ],
)  # fmt: skip
def test_gradients_are_those_of_the_dynamic_reverse(f):
    x = np.linspace(0.15, 1.2, 5)
    assert_same(f, x)
    np.testing.assert_allclose(tg.vmap(tg.grad(f))(np.stack([x, x]))[1], tg.grad(f)(x), rtol=1e-11)


@pytest.mark.parametrize("count", [12, 13, 30])
def test_rows_of_many_operands(count):
    def f(x):
        y = np.concatenate([x * float(k + 1) for k in range(count)])
        return np.sum(y * y) + np.sum(np.stack([x] * count) ** 3)

    assert_same(f, np.linspace(0.5, 1.5, 4))


def test_rules_of_the_users_are_asked_each_time():
    seen = []

    @tg.custom_vjp
    def double(x):
        return 2.0 * x

    def forward(x):
        return 2.0 * x, (x,)

    def backward(kept, bar):
        seen.append(1)
        return (2.0 * bar * len(seen),)  # no rule, but it shows

    double.defvjp(forward, backward)
    step = tg.compile(tg.grad(lambda x: np.sum(double(double(double(x))))))
    np.testing.assert_array_equal(step(np.ones(2)), 8.0 * 6.0 * np.ones(2))
    assert len(seen) == 3


def test_written_values_are_still_found_out():
    def f(x):
        y = np.exp(x)
        alias = tg.stop_gradient(y)  # which is to see the write: so y cannot be written elsewhere
        y += 1.0  # exp needs its result
        return np.sum(y * alias)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        tg.compile(tg.grad(f))(np.ones(2))


def test_all_that_is_used_of_an_array_was_written():
    def f(x):
        e = x * 3.0
        e[0] = 2.0
        return e[0] * x[1]

    np.testing.assert_array_equal(tg.compile(tg.grad(f))(np.ones(2)), [0.0, 2.0])


def test_gradients_of_gradients_and_several_inputs():
    x, y = np.linspace(0.2, 1.0, 4), np.linspace(1.0, 2.0, 4)

    def f(x, y):
        return np.sum(tg.grad(lambda z: np.sum(np.sin(z * y) * z))(x) * y)

    assert_same(f, x, y)
    step = tg.compile(tg.grad(lambda x, y: np.sum(x[1:] * y[:-1]) + np.sum(x), argnums=(0, 1)))
    for found, expected in zip(step(x, y), ([1.0, 2.0, 1.0 + y[1], 1.0 + y[2]], [x[1], x[2], x[3], 0.0]), strict=True):
        assert found.shape == np.shape(expected)
    np.testing.assert_allclose(step(x, y)[1], [x[1], x[2], x[3], 0.0])


def filled(x):
    y = tg.numpy.zeros(len(x))
    for k in range(len(x)):
        y[k] = x[k] ** 2
    return np.sum(y * np.arange(1.0, len(x) + 1.0))


def recurrence(x):
    y = tg.numpy.zeros(len(x))
    y[0] = x[0]
    for k in range(1, len(x)):
        y[k] = y[k - 1] * x[k] + y[0]
    return np.sum(y**2)


def rewritten(x):
    y = tg.numpy.array(x * 2.0)
    y[1:4] = x[:3] * y[2:5]
    y[2] = x[0]
    y[::2] = y[::2] * x[0]
    y[2:4] = y[1:3] ** 2
    y[:] = y * y[::-1]
    return np.sum(y * x)


def columns(x):
    y = tg.numpy.zeros((3, len(x)))
    for k in range(len(x)):
        y[:, k] = x[k] * np.arange(3.0)
    y[1] = x**2
    return np.sum(y**2)


@pytest.mark.parametrize("f", [filled, recurrence, rewritten, columns])
def test_arrays_that_are_written_piece_by_piece(f):
    assert_same(f, np.linspace(0.5, 1.5, 6))


@pytest.mark.parametrize("f", [filled, recurrence])
def test_filling_an_array_takes_work_in_proportion(f):
    def elements(n):
        step = tg.compile(tg.grad(f))
        step(np.ones(n))
        (path,) = step.paths()
        rows = [row for row in path.rows_plan().signatures.values() if row.kind == op.KERNEL]
        return sum(row.out.size for row in rows)

    assert elements(200) < 2.5 * elements(100)


def test_what_was_overwritten_has_no_cotangent_where_it_is_infinite():
    def f(x):
        y = tg.numpy.array(x * 1.5)
        y[0] = 0.0
        return np.sum(np.sqrt(y))

    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(tg.compile(tg.grad(f))(np.array([1.0, 6.0])), [0.0, 0.25])


def added(x):
    y = tg.numpy.array(x * 2.0)
    for _ in range(steps):
        y[1:3] += x[2:4]
        y[::2] -= 0.5 * y[1::2]
        y[0] += 0.25
    return np.sum(y * y)


def diffused(x):
    y = tg.numpy.array(x * 1.5)
    for _ in range(steps):
        y[1:-1] += 0.1 * (y[2:] - 2.0 * y[1:-1] + y[:-2])
    return np.sum(y * y)


def saved_and_added(x):
    y = tg.numpy.array(x * 1.5)
    for _ in range(steps):
        y[1:3] += 0.1 * np.sin(y[2:4])
    return np.sum(y * y)


def scaled(x):
    y = tg.numpy.array(x * 1.5)
    for _ in range(steps):
        y[1:3] *= x[2:4]
        y[3] = y[0] * x[1]
        y[4:1:-1] /= 1.0 + y[0] ** 2
    return np.sum(y * y)


def in_a_matrix(x):
    y = tg.numpy.zeros((4, len(x)))
    for k in range(steps):
        y[k % 4] += x * (1.0 + k % 3)
        y[:, 1] += y[1, :4]
        y[1:3, 2:4] -= y[0:2, 1:3] * 0.5
    return np.sum(y * np.cos(y))


def added_to_what_is_read(x):
    y = tg.numpy.array(x * 1.5)
    total = 0.0
    for _ in range(steps):
        part = y[2:5]
        part += x[:3]  # what it becomes is read itself, and so is the whole
        total = total + np.sum(part * part) + y[2] * y[3]
    return total


steps = 10
LOOPS = [added, diffused, saved_and_added, scaled, in_a_matrix, added_to_what_is_read]


@pytest.mark.parametrize("f", LOOPS)
def test_loops_that_write_windows(f):
    x = np.linspace(0.5, 1.5, 6)
    assert_same(f, x)
    assert_same(lambda x: np.sum(tg.grad(f)(x) ** 2), x)


@pytest.mark.parametrize("f", LOOPS)
def test_longer_loops_that_write_windows_ask_no_more(f, monkeypatch):
    calls = []
    for name in ("_through_row", "_contribute"):
        inner = getattr(straight._Sweep, name)
        monkeypatch.setattr(straight._Sweep, name, lambda *given, inner=inner: calls.append(1) or inner(*given))

    def asked_in(count):
        monkeypatch.setattr(sys.modules[__name__], "steps", count)
        calls.clear()
        tg.compile(tg.grad(f))(np.linspace(0.5, 1.5, 6))
        return len(calls)

    assert asked_in(100) == asked_in(40)


def test_what_is_added_to_leaves_the_cotangent_of_the_array():
    step = tg.compile(tg.grad(diffused))
    step(np.linspace(0.5, 1.5, 6))
    (path,) = step.paths()
    names = [row.primitive.name for row in path.rows_plan().signatures.values()]
    assert "where" not in names  # no part of it is set to zero and put back


def test_a_value_that_was_added_to_is_still_found_out():
    def f(x):
        y = x * 2.0
        kept = tg.stop_gradient(y)  # the memory must stay where it is
        z = y * y
        y[1:3] += x[:2]
        return np.sum(z * y) + np.sum(kept)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        tg.compile(tg.grad(f))(np.ones(4))
