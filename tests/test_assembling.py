"""The reverse of reading parts of an array in compiled functions: windows, put together in one row."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.primitives.core import ops
from tapegrad.tape.current import new_tensor
from tapegrad.tape.lower import tracing
from tapegrad.tape.spec import spec_of


def kinds_of_rows(step):
    (path,) = step.paths()
    return Counter(row.primitive.name for row in path.plan.signatures.values())


def assert_same(f, x):
    """Compiled as run at once; returns how many rows of each kind the compiled program has."""
    step = tg.compile(tg.value_and_grad(f))
    for y in (x, 2.0 * x + 1.0):
        for found, expected in zip(step(y), tg.value_and_grad(f)(y), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    return kinds_of_rows(step)


def products(x):
    total = 0.0
    for i in range(len(x)):
        total = total + x[i] * x[i - 1]
    return total


@pytest.mark.parametrize("n", [5, 300, 900])
def test_a_loop_over_elements_has_rows_in_proportion_to_its_length(n):
    count = assert_same(products, np.linspace(1.0, 2.0, n))
    assert count["place"] == 0 and 1 <= count["assemble"] <= 1 + n // 100
    assert sum(count.values()) < 8 * n + 20


def test_a_row_read_element_by_element_is_not_put_together_first():
    count = assert_same(lambda x: sum(x[i][j] ** (i + j + 1) for i in range(3) for j in range(2)), np.ones((3, 2)) + 1)
    assert count["assemble"] == 1 and count["place"] == 0


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x[1:] * x[:-1]).sum(),
        lambda x: (x[1:] * x[:-1]).sum() + (x**2).sum(),
        lambda x: (x[::2] ** 2).sum() + (x[1::2] ** 3).sum(),
        lambda x: (x[::-1] * x).sum() + x[3],
        lambda x: (x[2:5] * x[4:1:-1]).sum() + x[::-1][3] * x[2:][::-2][1],
        lambda x: (x[4:4]).sum() + x[1] * x[0],
        lambda x: (x.reshape(4, 2).T[1] * x.reshape(2, 4)[:, 1:].T[0, 1]).sum(),
    ],
    ids=["overlapping", "and whole", "tiles", "reversed", "nested", "empty", "other shapes"],
)
def test_windows_of_all_sorts(f):
    assert_same(f, np.linspace(-1.0, 2.0, 8))


def test_all_of_an_array_under_another_name_takes_no_row():
    count = assert_same(lambda x: (x.T @ x).sum() + (x.ravel() ** 2).sum() + (x[::-1] ** 3).sum(), np.ones((3, 4)))
    assert count["place"] == count["assemble"] == 0


def test_windows_that_leave_nothing_out_need_no_zeros():
    with tracing() as tape:
        scalar = spec_of((), np.dtype(float))
        xs = [new_tensor(tape, tape.bring(scalar, None, 0), scalar) for _ in range(3)]

        def words(offsets):
            y = ops.assemble(*xs, shape=(3,), base_strides=(8,), windows=tuple(((), o) for o in offsets))
            row = tape.signature(y._slot)
            row.lower_forward()
            from tapegrad.vm import opcodes as op
            from tapegrad.vm.pools import pools

            at, length = pools.table[row.index, op.FORWARD], pools.table[row.index, op.FORWARD_LEN]
            template, found, p = pools.templates[at : at + length].tolist(), [], 0
            while p < length:
                found.append(template[p] & 255)
                p += template[p] >> 8 & 255
            return [k for k in found if k != op.ALIAS], op

        found, op = words((8, 0, 16))
        assert found == [op.COPY] * 3
        found, op = words((8, 0, 8))
        assert found == [op.ZERO, op.COPY, op.COPY, op.ADD]


def test_hooks_and_gradients_of_views_see_them_complete():
    seen = []

    def f(x):
        row = x[1]
        row.register_hook(lambda bar: seen.append(1) or bar * 2.0)
        return row[0] * row[1] + row.sum() + x[0, 0]

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert_same(f, x)
    assert seen


def test_second_derivatives_and_single_precision():
    def f(x):
        return products(x) + (x[1:] * x[:-1] ** 2).sum()

    x = np.linspace(1.0, 2.0, 5)
    np.testing.assert_allclose(tg.compile(tg.hessian(f))(x), tg.hessian(f)(x), rtol=1e-12)
    found = tg.compile(tg.grad(f))(x.astype("f"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, tg.grad(f)(x), rtol=1e-5)


def test_what_cannot_be_put_together_is_refused():
    x, y = np.ones(3), np.ones(2)
    for windows, message in [
        ((((8,), 0), ((8,), 16)), "reaches beyond"),
        ((((8,), 0), ((-8,), 0)), "reaches beyond"),
        ((((8,), 0), ((4,), 0)), "cannot be a window"),
        ((((8,), 0), ((8,), 4)), "cannot be a window"),
    ]:
        with pytest.raises(ValueError, match=message):
            ops.assemble(tg.tensor(x), tg.tensor(y), shape=(3,), base_strides=(8,), windows=windows)
    with pytest.raises(ValueError, match="without gaps"):
        ops.assemble(tg.tensor(x), shape=(3,), base_strides=(16,), windows=(((8,), 0),))


def test_a_saved_function_with_windows(tmp_path):
    x = np.linspace(1.0, 2.0, 6)
    step = tg.compile(tg.value_and_grad(products))
    expected = step(x)
    step.save(tmp_path / "step")
    value, slope = tg.load(tmp_path / "step")(x)
    assert value == expected[0]
    np.testing.assert_array_equal(slope, expected[1])
