"""Programs: small work in one launch, new groups without the compiler."""

from __future__ import annotations

import gc
import inspect

import numpy as np
import pytest
from test_device_faults import without_barrier
from test_device_tensors import PROGRAMS, WRITES, X, both, leaf

import tapegrad as tg
from tapegrad.cuda import OutOfMemoryError, interpreter, program
from tapegrad.cuda.interpreter import INSTRUCTIONS
from tapegrad.cuda.scalars import SCALARS
from tapegrad.cuda.stepper import BarrierError, BoundsError, RaceError, StepKernel, defined
from tapegrad.primitives.core import RECORDS
from tapegrad.values import value_of

W = np.sin(np.arange(12.0)).reshape(3, 4)


@pytest.fixture(autouse=True)
def interpreting(device, on_tapes_of_its_own):
    """Programs and new groups are interpreted; what was met before is forgotten."""
    device.interprets = True
    device.heat.clear()
    yield
    device.interprets = False


@pytest.fixture
def launched(device, monkeypatch):
    """Names of the kernels that are launched."""
    names = []
    launch = device.driver.launch

    def noted(kernel, *args):
        names.append(kernel.name)
        launch(kernel, *args)

    monkeypatch.setattr(device.driver, "launch", noted)
    return names


def layer(x, w):
    return np.sum(np.maximum(np.tanh(np.sin(x) * x + 2.0) @ w, 0.0) ** 2)


def test_a_small_tape_and_its_sweep_are_one_launch_each(launched):
    x, w = leaf(), leaf(W)
    y = layer(x, w)
    assert not launched
    y.backward()
    assert launched == ["interpret", "interpret"]
    hx, hw = leaf(device="cpu"), leaf(W, "cpu")
    layer(hx, hw).backward()
    np.testing.assert_allclose(value_of(x.grad), value_of(hx.grad), rtol=1e-13)
    np.testing.assert_allclose(value_of(w.grad), value_of(hw.grad), rtol=1e-13)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    function, *arrays = PROGRAMS[name]
    mine, host = both(function, *arrays)
    for a, b in zip(mine, host, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", WRITES)
def test_writes(name):
    def function(x):
        b = x * 2.0
        view = b[0]
        WRITES[name](b)
        return np.sum(b * np.arange(6.0).reshape(2, 3)) + np.sum(view)

    mine, host = both(function, X)
    for a, b in zip(mine, host, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


# --- instructions ----------------------------------------------------------------------------------------------------

POINTS = np.array([0.3, -1.2, 0.0, 2.5, -0.7, 4.0])
POSITIVE = ("sqrt", "log", "power")


def operands(name, dtype):
    count = SCALARS[name, "f"].__code__.co_argcount
    first = np.abs(POINTS) if name in POSITIVE else POINTS
    arrays = [first.astype(dtype), POINTS[::-1].astype(dtype), (POINTS + 1.0).astype(dtype)][:count]
    if name == "where":
        arrays[0] = arrays[0] > 0
    return arrays


@pytest.mark.parametrize("large", [False, True], ids=["program", "elements"])
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("name", [n for n in INSTRUCTIONS if n != "truth"])
def test_instructions(name, dtype, large, launched, monkeypatch):
    """Each instruction gives what its record gives on the host."""
    if large:
        monkeypatch.setattr(program, "SMALL", 2)
    arrays = operands(name, dtype)
    with np.errstate(all="ignore"):
        expected = RECORDS[name].compute(*arrays)
    found = value_of(RECORDS[name](*[tg.tensor(a, device="cuda") for a in arrays]))
    assert launched == ["interpret_elements" if large else "interpret"]
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=8 * np.finfo(dtype).eps)


def test_truth_values(launched):
    a, b = POINTS > 0, np.array([True, False] * 3)
    x, y = tg.tensor(a, device="cuda"), tg.tensor(b, device="cuda")
    found = value_of(np.where((x & ~y) | (x ^ x.astype(float).astype(bool)), 1.5, -2.5))
    np.testing.assert_array_equal(found, np.where(a & ~b, 1.5, -2.5))
    nan = tg.tensor(np.array([np.nan, 0.0, -0.0, 2.0]), device="cuda")
    np.testing.assert_array_equal(value_of(nan.astype(bool).astype(float) * 3.0), [3.0, 0.0, 0.0, 3.0])


REDUCTIONS = {
    "sum": lambda x, m: m.sum(x, axis=1),
    "all axes": lambda x, m: m.sum(x),
    "product": lambda x, m: m.prod(x, axis=(0, 2)),
    "maximum": lambda x, m: m.max(x, axis=-1, keepdims=True),
    "minimum": lambda x, m: m.min(x, axis=0),
    "of a view": lambda x, m: m.sum(x[::-1, 1:, ::2], axis=0),
    "turned": lambda x, m: m.sum(m.swapaxes(x, 0, 2), axis=1),
}


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 5, 1), (3, 40, 2)])
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, dtype, shape, launched):
    values = np.sin(np.arange(np.prod(shape), dtype=dtype)).reshape(shape) + 0.5
    found = value_of(REDUCTIONS[name](tg.tensor(values, device="cuda") * 1.0, np))
    assert set(launched) == {"interpret"}
    np.testing.assert_allclose(found, REDUCTIONS[name](values, np), rtol=100 * np.finfo(dtype).eps)


def test_nan_in_extrema():
    values = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    x = tg.tensor(values, device="cuda") * 1.0
    np.testing.assert_array_equal(value_of(np.max(x, axis=1)), [np.nan, 6.0])
    np.testing.assert_array_equal(value_of(np.min(x, axis=0)), [1.0, np.nan, 3.0])


@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (4, 2)), ((2, 3, 4), (4, 2)), ((4,), (4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((1, 40), (40, 1))]
)
def test_products(a, b, launched):
    left, right = np.sin(np.arange(np.prod(a))).reshape(a), np.cos(np.arange(np.prod(b))).reshape(b)
    found = value_of((tg.tensor(left, device="cuda") * 1.0) @ tg.tensor(right, device="cuda"))
    assert launched == ["interpret"]
    np.testing.assert_allclose(found, left @ right, rtol=1e-13, atol=1e-14)


def test_layouts():
    """Steps of every sign, axes of length one, broadcasting, more axes than a row has."""
    values = np.sin(np.arange(48.0)).reshape(2, 3, 1, 8)
    x = tg.tensor(values, device="cuda")
    np.testing.assert_array_equal(
        value_of(x[:, ::-1, :, ::3] + x[::-1, :, :, 7:]), values[:, ::-1, :, ::3] + values[::-1, :, :, 7:]
    )
    np.testing.assert_array_equal(value_of(x.T * x[0, 0, 0, 0]), values.T * values[0, 0, 0, 0])
    many = np.arange(32.0).reshape(2, 2, 2, 2, 2)
    y = tg.tensor(many, device="cuda")
    np.testing.assert_array_equal(value_of(y + y.transpose(4, 2, 0, 3, 1)), many + many.transpose(4, 2, 0, 3, 1))
    assert value_of(tg.tensor(np.ones((0, 3)), device="cuda") * 2.0).shape == (0, 3)
    np.testing.assert_array_equal(value_of(np.sum(tg.tensor(np.ones((0, 3)), device="cuda"), axis=0)), np.zeros(3))


# --- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("small", [4096, 2])
def test_what_comes_again_gets_a_kernel(small, device, launched, monkeypatch):
    monkeypatch.setattr(program, "SMALL", small)
    x = tg.tensor(X, device="cuda")
    for _ in range(device.cold_launches + 2):
        np.testing.assert_allclose(value_of(np.sin(x) * 2.0 + x), np.sin(X) * 2.0 + X, rtol=1e-14)
    name = "interpret" if small > 2 else "interpret_elements"
    assert launched == [name] * device.cold_launches + ["fused"] * 2


def test_no_interpreter(device, launched):
    device.interprets = False
    value_of(np.sum(tg.tensor(X, device="cuda") * 2.0))
    assert launched == ["fused", "reduction"]


def test_dtypes_do_not_share_a_program(launched):
    x, y = tg.tensor(X, device="cuda"), tg.tensor(X.astype(np.float32), device="cuda")
    a, b = np.sum(np.sin(x)), np.sum(np.sin(y))
    assert abs(a.item() - np.sin(X).sum()) < 1e-14
    assert b.dtype == np.float32 and abs(b.item() - np.sin(X).sum()) < 1e-6
    assert launched == ["interpret", "interpret"]


def test_long_programs(launched, monkeypatch):
    monkeypatch.setattr(program, "MOST_ROWS", 16)
    x, h = leaf(np.array([0.1, 0.2])), leaf(np.array([0.1, 0.2]), "cpu")
    for t in (x, h):
        y = t
        for _ in range(60):
            y = np.sum(np.sin(y) + 1.0) * t
        y.sum().backward()
    np.testing.assert_allclose(value_of(x.grad), value_of(h.grad), rtol=1e-11)
    assert len(launched) > 5


def test_other_kernels_in_between(launched):
    x = tg.tensor(X, device="cuda")
    y = np.sum(np.cumsum(x * 2.0, axis=1) * x)
    np.testing.assert_allclose(y.item(), np.sum(np.cumsum(X * 2.0, axis=1) * X), rtol=1e-14)
    assert launched == ["interpret", "scan", "interpret"]


def test_an_error_leaves_what_was_computed():
    x = tg.tensor(X, device="cuda")
    y = x * 3.0
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.inv((y * 0.0)[:, :2])
    np.testing.assert_array_equal(value_of(y), X * 3.0)


def test_memory_that_runs_out_gives_no_values(device):
    """Results whose program could not be sent are errors, not what stood in their memory."""
    x = tg.tensor(np.ones(10), device="cuda")
    value_of(x)
    y = np.sum(x * 2.0)
    gc.collect()
    used, capacity = device.pool.used, device.driver.capacity
    device.driver.capacity = 400  # for the results, not for the program
    try:
        with pytest.raises(OutOfMemoryError):
            value_of(y)
        with pytest.raises(RuntimeError, match="was not computed, since an operation before it failed: CUDA out of"):
            value_of(y)
        gc.collect()
        assert device.pool.used <= used
    finally:
        device.driver.capacity = capacity


def test_memory_comes_back(device):
    x = tg.tensor(np.ones(100), device="cuda")
    value_of(x)
    gc.collect()
    used = device.pool.used
    y = x
    for _ in range(30):
        y = np.sin(y) * 0.5
    value_of(y)
    gc.collect()
    assert device.pool.used <= used + 800


# --- several blocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "blocks"), [(16, 1), (17, 2), (400, 2)])
def test_blocks_share_a_launch(size, blocks, device, monkeypatch):
    """A tape that is too much for one block is one launch of several, which wait for each other; so is its sweep."""
    grids = []
    launch = device.driver.launch
    monkeypatch.setattr(
        device.driver, "launch", lambda kernel, grid, *args: grids.append(grid) or launch(kernel, grid, *args)
    )
    values = np.sin(np.arange(float(size)))
    found = []
    for place in ("cuda", "cpu"):
        x = leaf(values, place)
        y = np.sum(np.tanh(np.sin(x) * x + 2.0) ** 2) + np.max(x)
        y.backward()
        found.append((y.item(), value_of(x.grad)))
    for mine, host in zip(*found, strict=True):
        np.testing.assert_allclose(mine, host, rtol=1e-13)
    assert grids == [(blocks, 1, 1)] * 2


def test_a_device_without_cooperative_launches(device, monkeypatch):
    monkeypatch.setattr(device.driver, "together", 1)
    monkeypatch.setattr(program, "SMALL", 16)
    x = tg.tensor(np.ones(17), device="cuda")
    assert value_of(np.sum(x * 2.0)) == 34.0


def test_a_barrier_that_some_blocks_never_reach():
    source = "def f(x):\n    if cuda.blockIdx.x < 2:\n        cuda.cg.this_grid().sync()\n    x[cuda.grid(1)] = 1\n"
    kernel = defined("f", source, {"cuda": interpreter.cuda, "__name__": "tapegrad.cuda.x"})
    with pytest.raises(BarrierError, match="2 of 3 blocks wait at a barrier of the whole grid"):
        StepKernel(kernel).launch((3, 1, 1), (2, 1, 1), (np.zeros(6),))


# --- planted faults --------------------------------------------------------------------------------------------------


def faulty(monkeypatch, name, change):
    """The interpreter from a source that is changed."""
    source = inspect.getsource(getattr(interpreter, name))
    changed = change(source)
    assert changed != source
    made = defined(name, changed, dict(vars(interpreter)))
    made.__module__ = interpreter.__name__
    monkeypatch.setattr(interpreter, name, made)
    interpreter.interpreter.cache_clear()


@pytest.fixture(autouse=True)
def kernels_as_they_are():
    yield
    interpreter.interpreter.cache_clear()


FAULTS = {f"one block: barrier {k}": ("interpret", lambda s, k=k: without_barrier(s, k)) for k in range(1, 5)}
FAULTS |= {f"grid: barrier {k}": ("interpret", lambda s, k=k: without_barrier(s, k)) for k in range(1, 4)}
FAULTS |= {
    "one block: end": ("interpret", lambda s: s.replace("while i < row[SIZE]:", "while i <= row[SIZE]:")),
    "one block: words": ("interpret", lambda s: s.replace("while word < ROW:", "while word <= ROW:")),
    "grid: its barrier": ("interpret", lambda s: s.replace("cuda.cg.this_grid().sync()", "cuda.syncthreads()")),
    "grid: no barrier": ("interpret", lambda s: s.replace("cuda.cg.this_grid().sync()", "pass")),
    "grid: some blocks": ("interpret", lambda s: s.replace("if WIDE:", "if WIDE and cuda.blockIdx.x < 1:")),
    "grid: end": ("interpret", lambda s: s.replace("while i < row[SIZE]:", "while i <= row[SIZE]:")),
    "grid: first": ("interpret", lambda s: s.replace("else cuda.grid(1)", "else me")),
    "combined: end": ("combined", lambda s: s.replace("while j < row[INNER]:", "while j <= row[INNER]:")),
    "elements: barrier": ("interpret_elements", lambda s: without_barrier(s, 1)),
    "elements: end": ("interpret_elements", lambda s: s.replace("while i < n:", "while i <= n:")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(name, monkeypatch):
    faulty(monkeypatch, *FAULTS[name])
    monkeypatch.setattr(program, "MOST_BLOCKS", 2 if name.startswith("grid") else 1)
    if name.startswith("elements"):
        monkeypatch.setattr(program, "SMALL", 2)
    values = np.sin(np.arange(120.0)).reshape(2, 60)
    with pytest.raises((BoundsError, RaceError, BarrierError, AssertionError)):
        x = tg.tensor(values, device="cuda")
        y = np.sum(np.exp(x) * 2.0, axis=1) if not name.startswith("elements") else np.exp(x[0, :5]) * 2.0
        expected = np.sum(np.exp(values) * 2.0, axis=1)
        np.testing.assert_allclose(
            value_of(y), expected if y.shape == (2,) else np.exp(values[0, :5]) * 2.0, rtol=1e-13
        )
