"""What the stand-in cannot show: many threads at once, large arrays, real memory."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from records import derivative_state, generator, orders, smooth_cases, value_cases

import tapegrad as tg
from tapegrad.cuda import table
from tapegrad.cuda.scalars import precision
from tapegrad.primitives.core import RECORDS
from tapegrad.values import value_of

NAMES = sorted(n for n in RECORDS if n not in ("view", "copy_slices", "external", "isnat"))
LARGE = 3_000_017


def close(found, expected, label, digits=1e4):
    if expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, expected, err_msg=str(label))
        return
    eps = np.finfo(expected.dtype).eps
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
    np.testing.assert_allclose(found, expected, rtol=digits * eps, atol=digits * eps * scale, err_msg=str(label))


@pytest.fixture(autouse=True)
def falls_back():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", table.HostFallbackWarning)
        yield


@pytest.mark.parametrize("name", NAMES)
def test_values(name):
    for case in value_cases(RECORDS[name]):
        y = case.on([tg.tensor(x, device="cuda") for x in case.operands])
        close(value_of(y), case.reference(case.operands), case, max(1e4, precision(name)))


@pytest.mark.parametrize("name", [n for n in NAMES if derivative_state(RECORDS[n]) == "rule"])
def test_pullback(name):
    for case in smooth_cases(RECORDS[name]):
        reference = case.reference(case.operands)
        if not case.moving or reference.dtype.kind not in "fc" or orders(case) < 1:
            continue
        weights = np.asarray(generator(name, case.label).uniform(0.5, 1.5, reference.shape)).astype(reference.dtype)
        grads = []
        for place in ("cuda", "cpu"):
            leaves = [tg.tensor(x, device=place, requires_grad=k in case.moving) for k, x in enumerate(case.operands)]
            y = case.on(leaves)
            if y.requires_grad:
                y.backward(weights)
            grads.append([leaves[k].grad for k in case.moving])
        for found, expected in zip(*grads, strict=True):
            assert (found is None) == (expected is None)
            if found is not None:
                close(value_of(found), value_of(expected), case, max(1e6, 1e4 * precision(name)))


def test_large_arrays():
    x = np.random.default_rng(0).standard_normal(LARGE)
    t = tg.tensor(x, device="cuda")
    close(value_of(np.sin(t) * t + 1.0), np.sin(x) * x + 1.0, "elementwise")
    np.testing.assert_allclose(np.sum(t).item(), x.sum(), rtol=1e-10)
    assert np.max(t).item() == x.max() and np.argmin(t).item() == x.argmin()
    close(value_of(np.cumsum(t)), np.cumsum(x), "scan", 1e6)
    np.testing.assert_array_equal(value_of(np.sort(t)), np.sort(x))
    np.testing.assert_array_equal(value_of(np.argsort(t)), np.argsort(x, kind="stable"))


@pytest.mark.parametrize("dtype", ["f", "d"])
def test_large_products(dtype):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((517, 1030)).astype(dtype), rng.standard_normal((1030, 259)).astype(dtype)
    close(value_of(tg.tensor(a, device="cuda") @ tg.tensor(b, device="cuda")), a @ b, dtype, 1e3)


def test_atomic_sums_and_their_order():
    rng = np.random.default_rng(2)
    places, values = rng.integers(0, 100, LARGE), rng.standard_normal(LARGE)
    expected = np.bincount(places, values, 100)
    for deterministic in (False, True):
        tg.cuda.use_deterministic_algorithms(deterministic)
        found = []
        for _ in range(2):
            x = tg.tensor(np.zeros(100), device="cuda", requires_grad=True)
            x[places].backward(values)
            found.append(value_of(x.grad))
            np.testing.assert_allclose(found[-1], expected, rtol=1e-9, atol=1e-9)
        if deterministic:
            np.testing.assert_array_equal(*found)
    tg.cuda.use_deterministic_algorithms(False)


@pytest.mark.parametrize("size", [1, 1 << 20, (5 << 20) + 3])
def test_copies_through_pinned_memory(size):
    data = np.random.default_rng(3).integers(0, 256, size, np.uint8)
    x = tg.tensor(data, device="cuda")
    expected = data.copy()
    data[:] = 0  # what was uploaded may be written at once
    np.testing.assert_array_equal(x.cpu().numpy(), expected)


def test_small_sweeps_are_one_launch():
    """Of several blocks, where the device can have them wait for each other."""
    driver = tg.cuda.device_of("cuda").driver
    values = np.sin(np.arange(20000.0))
    found = []
    for place in ("cuda", "cpu"):
        x = tg.tensor(values, device=place, requires_grad=True)
        before = driver.launches
        y = np.sum(np.tanh(np.sin(x) * x + 2.0) ** 2) + np.max(x)
        y.backward()
        if place == "cuda" and driver.together > 1:
            assert driver.launches == before + 2
        found.append(value_of(x.grad))
    close(*found, "sweep")


def test_events():
    first, last = tg.cuda.Event(enable_timing=True), tg.cuda.Event(enable_timing=True)
    x = tg.tensor(np.ones(LARGE), device="cuda")
    first.record()
    y = np.sin(x)
    last.record()
    last.synchronize()
    assert first.query() and last.query() and first.elapsed_time(last) > 0.0
    close(value_of(y), np.full(LARGE, np.sin(1.0)), "events")


def test_streams():
    x = tg.tensor(np.ones(LARGE), device="cuda")
    with tg.cuda.stream(tg.cuda.Stream()):
        y = x * 2.0
    close(value_of(y + x), np.full(LARGE, 3.0), "streams")


def test_out_of_memory():
    with pytest.raises(tg.cuda.OutOfMemoryError, match="CUDA out of memory"):
        kept = [tg.tensor(np.ones(1), device="cuda")]
        while True:
            kept.append(np.broadcast_to(kept[0], (1 << 30,)) * 1.0)
            value_of(kept[-1][:1])
    del kept
    tg.cuda.empty_cache()
    assert tg.tensor([1.0], device="cuda").item() == 1.0


def test_other_libraries():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    x = torch.arange(6.0, device="cuda").reshape(2, 3).T
    np.testing.assert_array_equal(value_of(tg.cuda.from_dlpack(x) * 2.0), 2 * x.cpu().numpy())
    np.testing.assert_array_equal(torch.from_dlpack(tg.tensor([1.0, 2.0], device="cuda")).cpu().numpy(), [1.0, 2.0])
