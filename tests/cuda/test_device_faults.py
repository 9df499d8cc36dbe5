"""Planted faults: without a barrier or a bounds check, every kernel fails on the stand-in."""

from __future__ import annotations

import inspect
import re
import warnings

import numpy as np
import pytest
from records import sample_cases

import tapegrad as tg
from tapegrad.cuda import elementwise, fourier, indexing, linear, products, reductions, scans, sorting, table, windows
from tapegrad.cuda.stepper import BarrierError, BoundsError, RaceError, StepKernel, defined
from tapegrad.primitives.core import RECORDS
from tapegrad.values import value_of

_LONG = np.sin(np.arange(54.0)).reshape(3, 18)
_IMAGE = np.arange(16.0).reshape(1, 1, 4, 4)
_IMAGE[0, 0, 3, ::3] = 100.0  # what a window finds beyond a line's end is as great as what it has
_WINDOWS = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "lengths": (4, 4)}
_POOLED = RECORDS["max_pool2d"].compute(_IMAGE, **_WINDOWS)
_TAKE = [((_IMAGE + 1.0, _IMAGE, _POOLED), _WINDOWS)]
_SPREAD = [((_IMAGE + 1.0, _IMAGE, _POOLED), {**_WINDOWS, "shape": _IMAGE.shape})]
KERNELS = {
    "scan": (scans, "cumsum", [((_LONG,), {"axis": 1})]),
    "affine_scan": (scans, "linear_scan", [((_LONG, _LONG + 1.0), {"axis": 1})]),
    "extremum_scan": (scans, "extremum_so_far", [((_LONG,), {"axis": 1, "largest": True})]),
    "gather_at": (indexing, "gather", None),
    "add_at": (indexing, "scatter_add", None),
    "set_at": (indexing, "index_put", None),
    "mark_last": (indexing, "last_written", None),
    "last_at": (indexing, "last_written", None),
    "keep_last": (indexing, "index_put", None),
    "matmul_tiled": (products, "matmul", [((_LONG, _LONG.T), {}), ((_LONG.T, _LONG), {})]),
    "convolution": (products, "convolve", None),
    "load_rows": (sorting, "sort", None),
    "store_rows": (sorting, "sort", None),
    "sort_block": (sorting, "sort", [((_LONG,), {"axis": 1})]),
    "search": (sorting, "searchsorted", None),
    "convolve_image": (windows, "conv2d", None),
    "window_at": (windows, "window_spread", [((_IMAGE,), {**_WINDOWS, "shape": _IMAGE.shape})]),
    "convolve_transposed": (windows, "conv2d_image", None),
    "convolve_weights": (windows, "conv2d_weights", None),
    "pool_max": (windows, "max_pool2d", [((_IMAGE,), _WINDOWS)]),
    "pool_take": (windows, "max_pool2d_take", _TAKE),
    "pool_spread": (windows, "max_pool2d_spread", _SPREAD),
    "pool_sum": (windows, "window_sum", [((_IMAGE,), _WINDOWS)]),
    "sum_spread": (windows, "window_spread", [((_IMAGE,), {**_WINDOWS, "shape": _IMAGE.shape})]),
    "pick": (windows, "nll_loss", None),
    "put_back": (windows, "nll_loss_spread", None),
    "transform": (fourier, "dft", None),
    "transform_half": (fourier, "irdft", None),
    "factor": (linear, "det", None),
    "determinant": (linear, "det", None),
    "log_determinant": (linear, "slogdet_log", None),
    "solve_rows": (linear, "solve", None),
    "back_substitute": (linear, "solve_triangular", None),
    "eliminate": (linear, "cholesky", None),
    "minors": (linear, "cofactor", None),
}
"""Kernels by name: the module, a record that launches them, and what to launch them on (else the record's samples)."""


def places():
    """Two that are in an array of three elements, one on either side of it."""
    return np.array([-3, 0, 2, 5])


def sums():
    return np.zeros(3)


DIRECT = {
    "gather_at": (indexing, lambda: (4, 3, np.ones(3), 0, places(), 0, np.zeros(4), 0)),
    "add_at": (indexing, lambda: (4, 3, np.ones(4), 0, places(), 0, sums(), 0)),
    "add_pairs_at": (indexing, lambda: (4, 3, np.ones(8), 0, places(), 0, np.zeros(6), 0)),
    "add_segments": (indexing, lambda: (4, 3, np.ones(4), 0, places(), 0, np.arange(4), 0, sums(), 0)),
    "set_at": (indexing, lambda: (4, 3, np.ones(4), 0, places(), 0, sums(), 0)),
    "mark_last": (indexing, lambda: (4, 3, places(), 0, np.full(3, -1), 0)),
    "keep_last": (indexing, lambda: (4, 3, np.ones(4), 0, places(), 0, np.full(3, -1), 0, sums(), 0)),
    "last_at": (indexing, lambda: (4, 3, places(), 0, np.full(3, -1), 0, np.zeros(4, bool), 0)),
    "pick": (
        windows,
        lambda: (2, 0.0, 1.0, 3, 1, -1, False, np.ones(6), 0, np.array([-9, 7]), 0, sums(), 0, sums(), 0, sums(), 0),
    ),
    "first_place": (windows, lambda: (np.ones(1), 0, 9.0, 0, 0, 1, 1, 3, 3, 1, 1, 1, 1, 1, 1)),
    "bitonic_step": (sorting, lambda: (4, 4, 4, 2, 1, places(), 0, np.arange(4), 0)),
}
"""Kernels that check what was checked on the host before; or that only long arrays need."""

LOOP = re.compile(r"^ *while (\w+) < (\w+):$", re.M)


BETWEEN = re.compile(r"(-?\w+) <= (\w+) < (\w+)")
FROM_ZERO = re.compile(r"\b(\w+) >= 0( and)")


def mutations(source):
    """(what, source) without a barrier, with the end of the threads' loop moved by one, or without a bounds check."""
    for k in range(1, source.count("cuda.syncthreads()") + 1):
        yield f"barrier {k}", without_barrier(source, k)
    if "cuda.grid(1)" in source:
        loop = LOOP.search(source)
        yield "end", source[: loop.start()] + loop.group().replace(":", " + 1:") + source[loop.end() :]
    elif "if j < n:" in source:
        yield "end", source.replace("if j < n:", "if True:")
    elif "if i < m and j < n:" in source:
        yield "end", source.replace("if i < m and j < n:", "if i < m:")
        yield "left tile", source.replace("inside = i < m and start + column < k", "inside = i < m")
        yield "right tile", source.replace("inside = j < n and start + row < k", "inside = j < n")
    yield from unchecked(source)


def unchecked(source):
    """(what, source) with one end of a check left out, one at a time."""
    for check in BETWEEN.finditer(source):
        first, name, end = check.groups()
        line = source.count("\n", 0, check.start()) + 1
        for kept, what in ((f"{name} < {end}", "low"), (f"{first} <= {name}", "high")):
            yield f"{name} too {what} in line {line}", source[: check.start()] + kept + source[check.end() :]
    for check in FROM_ZERO.finditer(source):
        line = source.count("\n", 0, check.start()) + 1
        yield f"{check[1]} below 0 in line {line}", source[: check.start()] + "True" + check[2] + source[check.end() :]


def without_barrier(source, k):
    """A kernel's source without its barrier number k, counted from 1."""
    parts = source.split("cuda.syncthreads()")
    joints = ["pass" if j == k else "cuda.syncthreads()" for j in range(1, len(parts))]
    return "".join(part + joint for part, joint in zip(parts, [*joints, ""], strict=True))


def cases():
    for name, (module, _, _) in KERNELS.items():
        for what, source in mutations(inspect.getsource(getattr(module, name))) if name not in DIRECT else ():
            yield pytest.param(name, source, id=f"{name}-{what}")


def check(record, samples, device):
    """The record's values on the device are the host's."""
    pairs = samples or [(c.operands, c.attrs) for c in sample_cases(RECORDS[record])]
    for operands, attrs in pairs:
        if any(x.size > 400 for x in operands):
            continue
        tensors = [tg.tensor(x, device=device) for x in operands]
        with warnings.catch_warnings():
            warnings.simplefilter("error", table.HostFallbackWarning)
            found = value_of(RECORDS[record](*tensors, **attrs))
        expected = RECORDS[record].compute(*operands, **attrs)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_as_they_are(name, device):
    _, record, samples = KERNELS[name]
    check(record, samples, device)


@pytest.mark.parametrize(("name", "source"), list(cases()))
def test_faults_are_found(name, source, device, monkeypatch):
    module, record, samples = KERNELS[name]
    faulty = defined(name, source, dict(vars(module)))
    faulty.__module__ = module.__name__
    monkeypatch.setattr(module, name, faulty)
    with pytest.raises((BoundsError, RaceError, BarrierError, AssertionError, ZeroDivisionError)):
        check(record, samples, device)


# --- generated kernels -----------------------------------------------------------------------------------------------


def generated(monkeypatch, module, name, change):
    """Kernels from sources that are changed."""
    make = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: change(make(*args)))
    for cached in (elementwise.fused_function, reductions.reduction):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def sources_as_they_are():
    yield
    for cached in (elementwise.fused_function, reductions.reduction):
        cached.cache_clear()


def test_fused_kernels_stop_at_the_end(device, monkeypatch):
    generated(monkeypatch, elementwise, "fused_source", lambda s: s.replace("if i < n:", "if i <= n:"))
    with pytest.raises(BoundsError, match="index 5 of an array of 40 bytes"):
        value_of(tg.tensor(np.ones(5), device="cuda") * 2.0)


@pytest.mark.parametrize("barrier", [1, 2])
def test_reductions_wait(barrier, device, monkeypatch):
    x = tg.tensor(np.sin(np.arange(400.0)).reshape(4, 100), device="cuda")
    generated(monkeypatch, reductions, "reduction_source", lambda s: without_barrier(s, barrier))
    with pytest.raises((RaceError, BoundsError)):
        value_of(np.sum(x, axis=1))


def test_reductions_stop_at_the_end(device, monkeypatch):
    x = tg.tensor(np.ones((3, 2)), device="cuda")
    generated(monkeypatch, reductions, "reduction_source", lambda s: s.replace("while i < outs:", "while i <= outs:"))
    with pytest.raises(BoundsError):
        value_of(np.sum(x, axis=1))


# --- kernels on arguments that the host lets nobody give them ---------------------------------------------------------


def run_directly(kernel, args):
    StepKernel(kernel).launch((1, 1, 1), (4, 1, 1), args)


@pytest.mark.parametrize("name", DIRECT)
def test_places_out_of_range_touch_nothing(name):
    module, args = DIRECT[name]
    run_directly(getattr(module, name), args())


def direct_cases():
    for name, (module, _) in DIRECT.items():
        for what, source in mutations(inspect.getsource(getattr(module, name))):
            yield pytest.param(name, source, id=f"{name}-{what}")


@pytest.mark.parametrize(("name", "source"), list(direct_cases()))
def test_places_out_of_range_are_found(name, source):
    """Without the check, memory would be left."""
    module, args = DIRECT[name]
    with pytest.raises(BoundsError):
        run_directly(defined(name, source, dict(vars(module))), args())


@pytest.mark.parametrize(("place", "length"), [(-1, 3), (2, 0), (2, -1)])
def test_places_are_divided_from_0_on(place, length):
    """On a device, `divmod` takes unsigned numbers."""
    source = "def f(x, place, length):\n    x[0], x[1] = divmod(place, length)\n"
    kernel = StepKernel(defined("f", source, {"__name__": "tapegrad.cuda.x"}))
    x = np.zeros(2)
    kernel.launch((1, 1, 1), (1, 1, 1), (x, 8, 3))
    assert x.tolist() == [2.0, 2.0]
    with pytest.raises(BoundsError, match=rf"divmod\({place}, {length}\)"):
        kernel.launch((1, 1, 1), (1, 1, 1), (x, place, length))


def test_additions_without_atomics_race():
    kernel = inspect.getsource(indexing.add_at).replace(
        "cuda.atomic.add(y, oy + k, v[ov + i])", "y[oy + k] = y[oy + k] + v[ov + i]"
    )
    faulty = defined("add_at", kernel, dict(vars(indexing)))
    args = (4, 3, np.ones(4), 0, np.array([1, 1, 2, 1]), 0, np.zeros(3), 0)
    with pytest.raises(RaceError, match="thread"):
        StepKernel(faulty).launch((1, 1, 1), (4, 1, 1), args)


def test_a_barrier_that_some_never_reach():
    source = "def f(x):\n    if cuda.threadIdx.x < 2:\n        cuda.syncthreads()\n    x[cuda.threadIdx.x] = 1\n"
    kernel = defined("f", source, {"cuda": scans.cuda, "__name__": "tapegrad.cuda.x"})
    with pytest.raises(BarrierError, match="2 of 4 threads"):
        StepKernel(kernel).launch((1, 1, 1), (4, 1, 1), (np.zeros(4),))
