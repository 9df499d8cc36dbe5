"""Compiled functions whose arguments are on the device: recorded once, replayed there."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
from test_device_tensors import PROGRAMS, X, leaf

import tapegrad as tg
from tapegrad.compiler.saving import SaveError
from tapegrad.cuda import OutOfMemoryError, table
from tapegrad.values import value_of

W = np.sin(np.arange(12.0)).reshape(3, 4)


def put(values):
    return tg.tensor(values, device="cuda")


@pytest.fixture(params=["specialised", "interpreted"], autouse=True)
def way(request, device, on_tapes_of_its_own):
    device.interprets = request.param == "interpreted"
    yield request.param
    device.interprets = False


def layer(x, w):
    return np.sum(np.maximum(np.tanh(np.sin(x) * x + 2.0) @ w, 0.0) ** 2)


def test_a_step_is_recorded_once(device, way):
    calls = []

    def loss(x, w):
        calls.append(1)
        return layer(x, w)

    step = tg.compile(tg.value_and_grad(loss, argnums=(0, 1)))
    for k in range(3):
        values = X + 0.1 * k
        before = device.driver.launches
        value, (gx, gw) = step(put(values), put(W))
        launches = device.driver.launches - before
        assert way == "specialised" or launches == 1
        expected, (hx, hw) = tg.value_and_grad(layer, argnums=(0, 1))(values, W)
        assert gx.device is device and not gx.requires_grad
        np.testing.assert_allclose(value.item(), expected, rtol=1e-13)
        np.testing.assert_allclose(value_of(gx), hx, rtol=1e-12)
        np.testing.assert_allclose(value_of(gw), hw, rtol=1e-12)
    assert len(calls) == 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    function, *arrays = PROGRAMS[name]
    which = tuple(range(len(arrays)))
    value, grads = tg.compile(tg.value_and_grad(function, argnums=which))(*[put(a) for a in arrays])
    expected, host = tg.value_and_grad(function, argnums=which)(*arrays)
    np.testing.assert_allclose(value.item(), expected, rtol=1e-11)
    for a, b in zip(grads, host, strict=True):
        np.testing.assert_allclose(value_of(a), b, rtol=1e-11, atol=1e-12)


def test_branches_are_guards():
    step = tg.compile(lambda x: np.sum(x) * 2.0 if x[0, 0] > 0 else np.sum(x) - 1.0)
    x = put(X)
    assert [step(x).item(), step(-x).item(), step(x).item()] == [X.sum() * 2.0, -X.sum() - 1.0, X.sum() * 2.0]
    assert len(step.paths()) == 2
    assert "bool() at" in str(step)


def test_loops_that_values_decide():
    def halve(x):
        while np.max(x) > 1.0:
            x = x / 2.0
        return x

    step = tg.compile(halve)
    for scale in (1.0, 3.0, 3.0):
        np.testing.assert_array_equal(value_of(step(put(X * scale))), halve(X * scale))


def test_numbers_and_host_arrays_come_along():
    step = tg.compile(lambda x, scale, shift: x * scale + shift)
    for scale in (2.0, -0.5):
        found = step(put(X), scale, np.arange(3.0) * scale)
        np.testing.assert_allclose(value_of(found), X * scale + np.arange(3.0) * scale)
    assert len(step.paths()) == 1


def test_host_and_device_have_paths_of_their_own(device):
    step = tg.compile(lambda x: np.exp(x) + np.array([1.0, 2.0, 3.0]))
    expected = np.exp(X) + np.array([1.0, 2.0, 3.0])
    for _ in range(2):
        np.testing.assert_allclose(step(X), expected)
        found = step(put(X))
        assert found.device is device
        np.testing.assert_allclose(value_of(found), expected)
    assert "float64[2, 3] on cuda:0" in step.explain()
    with pytest.raises(SaveError, match="on cuda:0 cannot be saved"):
        step.save("unused")


def test_results_are_the_callers():
    """Results of an earlier call stay; arguments and constants are not handed out; equal results are apart."""
    constant = np.ones(3)
    step = tg.compile(lambda x: (x, x * 2.0, x * 2.0, x[0], constant + 0.0))
    x = put(X)
    first, second = step(x), step(put(-X))
    for t in first[:-1]:
        t.add_(100.0)
    np.testing.assert_array_equal(value_of(x), X)
    np.testing.assert_array_equal(second[-1], constant)
    for found, expected in zip(second[:-1], (-X, -2 * X, -2 * X, -X[0]), strict=True):
        np.testing.assert_array_equal(value_of(found), expected)
    for found, expected in zip(first[:-1], (X, 2 * X, 2 * X, X[0]), strict=True):
        np.testing.assert_array_equal(value_of(found), expected + 100.0)


def test_writes_inside():
    def function(x):
        y = x * 2.0
        y[0] = 7.0
        y[:, 1] += x[:, 0]
        return y

    step = tg.compile(function)
    for values in (X, X + 1.0):
        x = put(values)
        np.testing.assert_array_equal(value_of(step(x)), function(values))
        np.testing.assert_array_equal(value_of(x), values)


def test_arguments_as_they_are_now():
    """Pending rows, writes and views of an argument are seen."""
    step = tg.compile(lambda x: np.sum(x * [[1.0], [2.0], [3.0]], axis=0))
    x = put(X) * 1.0
    x.mul_(3.0)
    np.testing.assert_allclose(value_of(step(x.T)), np.sum(3.0 * X.T * [[1.0], [2.0], [3.0]], axis=0))
    x[0] = 0.0
    np.testing.assert_allclose(value_of(step(x.T))[0], 0.0)


def test_leaves_keep_their_graph():
    step = tg.compile(lambda x: np.sum(np.sin(x)))
    x = leaf()
    step(x).backward()
    np.testing.assert_allclose(value_of(x.grad), np.cos(X), rtol=1e-14)


def test_second_derivatives():
    def f(x):
        return np.sum(np.sin(x) ** 3)

    def second(v):
        return np.sum(tg.grad(f)(v) * v)

    found = tg.compile(tg.grad(second))(put(X))
    np.testing.assert_allclose(value_of(found), tg.grad(second)(X), rtol=1e-12)


def test_what_the_host_computes_is_replayed_too():
    step = tg.compile(lambda x: np.linalg.pinv(x) * 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", table.HostFallbackWarning)
        for values in (X, X[::-1].copy()):
            np.testing.assert_allclose(value_of(step(put(values))), np.linalg.pinv(values) * 2.0, rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.int64])
def test_dtypes(dtype):
    values = X.astype(dtype)
    step = tg.compile(lambda x: x * x - x)
    found = value_of(step(put(values)))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, values * values - values, rtol=1e-6)


def test_indices_are_looked_at():
    """An index that is out of range is an error at the line that uses it, not another element."""
    step = tg.compile(tg.value_and_grad(lambda x, i, j: np.sum(x[i, j] ** 2)))
    x, i = put(X), np.array([0, 1, -1])
    for j in ([2, 0, -3], [1, 1, 1]):
        value, gradient = step(x, put(i), put(np.array(j)))
        expected = tg.value_and_grad(lambda x, i, j: np.sum(x[i, j] ** 2))(X, i, np.array(j))
        np.testing.assert_allclose(value.item(), expected[0])
        np.testing.assert_allclose(value_of(gradient), expected[1])
    for j in ([2, 3, 0], [2, 0, -4]):
        with pytest.raises(IndexError, match="is out of bounds for axis 1 with size 3"):
            step(x, put(i), put(np.array(j)))
    assert len(step.paths()) == 1


def test_classes_are_looked_at():
    step = tg.compile(lambda x, labels: tg.nn.functional.cross_entropy(x, labels))
    for labels in ([0, 2], [1, -100]):
        found = step(put(X), put(np.array(labels)))
        np.testing.assert_allclose(found.item(), tg.nn.functional.cross_entropy(X, np.array(labels)).item())
    with pytest.raises(IndexError, match="Target 3 is out of bounds"):
        step(put(X), put(np.array([1, 3])))


def test_memory_that_runs_out_and_comes_back(device):
    step = tg.compile(lambda x: np.cumsum(np.exp(x)) * 2.0)
    x = put(np.zeros(200))
    step(x)
    gc.collect()
    used, capacity = device.pool.used, device.driver.capacity
    device.driver.capacity = 1000
    try:
        with pytest.raises(OutOfMemoryError):
            step(x)
        gc.collect()
        assert device.pool.used == used
    finally:
        device.driver.capacity = capacity
    np.testing.assert_array_equal(value_of(step(x)), 2.0 * np.arange(1.0, 201.0))
