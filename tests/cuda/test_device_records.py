"""Every record on the device: values against NumPy, cotangents and tangents against those of the host.

The host's are compared with finite differences in `test_records.py`.
"""

from __future__ import annotations

import importlib.util
import pathlib
import warnings

import numpy as np
import pytest
from records import derivative_state, generator, orders, smooth_cases, value_cases

import tapegrad as tg
from tapegrad.cuda import table
from tapegrad.cuda.coverage import coverage
from tapegrad.cuda.elementwise import KERNEL_DTYPES
from tapegrad.cuda.scalars import precision
from tapegrad.primitives.core import RECORDS, Elementwise
from tapegrad.primitives.packed import Packed
from tapegrad.values import value_of

NOT_ALONE = {"view", "copy_slices", "external", "isnat"}
"""Records that work beside others only (see `test_device_tensors.py`), or not on numbers."""
NAMES = sorted(n for n in RECORDS if n not in NOT_ALONE)
STATES = {n: table.entry(RECORDS[n])[0] for n in RECORDS}
RULES = [n for n in NAMES if derivative_state(RECORDS[n]) == "rule"]
SMALL = 300
"""Elements of the largest operands: a thread takes the stand-in some ten microseconds."""


def small(cases, name):
    """Cases that the stand-in can run; a few of those of records that the host computes."""
    found = [c for c in cases if all(x.size <= SMALL for x in c.operands)]
    return found[:1] if STATES[name] == "fallback" else found


def close(found, expected, label, digits=64):
    """Equal up to the order of sums, and to the last digits of another library's functions."""
    assert found.shape == expected.shape and found.dtype == expected.dtype, f"{label}: {found.dtype}{found.shape}"
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
        warnings.filterwarnings("ignore", "floating point number truncated to an integer")  # SciPy's own, of its ufuncs
        yield


@pytest.mark.parametrize("name", NAMES)
def test_values(name, device):
    tried = 0
    for case in small(value_cases(RECORDS[name]), name):
        operands = [tg.tensor(x, device=device) for x in case.operands]
        y = case.on(operands)
        assert y.device is device
        close(value_of(y), case.reference(case.operands), case, precision(name))
        tried += 1
    assert tried


@pytest.mark.parametrize("name", [n for n in NAMES if STATES[n] in ("fused", "kernel", "composed")])
def test_runs_on_the_device(name, device, monkeypatch):
    """A record that is said to have a kernel does not go through the host in double precision."""
    monkeypatch.setattr(table, "on_host", refuse)
    cases = small(value_cases(RECORDS[name]), name)
    tried = 0
    for case in cases:
        if isinstance(RECORDS[name], (Elementwise, Packed)) and any(x.dtype.char in "FDGeg" for x in case.operands):
            continue
        if any(x.size == 0 for x in case.operands):
            continue  # nothing to compute: a library's own shortcut may be taken
        value_of(case.on([tg.tensor(x, device=device) for x in case.operands]))
        tried += 1
    assert tried or all(x.dtype.kind == "c" for case in cases for x in case.operands)


def refuse(device, record, *args):
    raise AssertionError(f"{record.name} went through the host")


def cotangents(case, weights, device):
    operands = [tg.tensor(x, device=device, requires_grad=k in case.moving) for k, x in enumerate(case.operands)]
    y = case.on(operands)
    if not y.requires_grad:
        return []
    y.backward(weights)
    return [operands[k].grad for k in case.moving]


def tangent(case, directions, device):
    operands = [tg.tensor(x, device=device) for x in case.operands]

    def function(*xs):
        given = list(operands)
        for k, x in zip(case.moving, xs, strict=True):
            given[k] = x
        return case.on(given)

    _, dot = tg.jvp(function, tuple(operands[k] for k in case.moving), tuple(directions))
    return value_of(dot)


def differentiable(name):
    for case in small(smooth_cases(RECORDS[name]), name):
        reference = case.reference(case.operands)
        if case.moving and reference.dtype.kind in "fc" and orders(case) >= 1:
            yield case, reference


@pytest.mark.parametrize("name", RULES)
def test_pullback(name, device):
    tried = 0
    for case, reference in differentiable(name):
        weights = np.asarray(generator(name, case.label).uniform(0.5, 1.5, reference.shape)).astype(reference.dtype)
        pairs = zip(cotangents(case, weights, device), cotangents(case, weights, "cpu"), strict=True)
        for found, expected in pairs:
            assert (found is None) == (expected is None), case
            if found is not None:
                assert found.device is device
                close(value_of(found), value_of(expected), case, 1e4 * precision(name))
        tried += 1
    assert tried


@pytest.mark.parametrize("name", RULES)
def test_pushforward(name, device):
    for case, _ in differentiable(name):
        if any(x.dtype.kind == "c" for x in case.operands):
            continue
        rng = generator(name, "directions")
        shapes = [case.operands[k] for k in case.moving]
        directions = [np.asarray(rng.uniform(0.5, 1.5, x.shape)).astype(x.dtype) for x in shapes]
        found, expected = tangent(case, directions, device), tangent(case, directions, "cpu")
        close(found, expected, case, 1e4 * precision(name))


def test_every_record_has_a_row():
    assert set(STATES.values()) <= {"fused", "kernel", "composed", "view", "fallback", "refused"}
    for name, record in RECORDS.items():
        state, note = table.entry(record)
        assert note not in ("", table.UNKNOWN) or state not in ("fallback", "refused"), f"{name} has no reason"


def test_most_records_have_kernels():
    """At least nine tenths of the elementwise (SciPy's, too), reduction, shape, index and matmul records."""
    found = coverage()
    asked = [of for family, of in found.items() if family != "other"]
    own, others = sum(len(o) for o, _ in asked), [name for _, rest in asked for name in rest]
    assert own + len(others) > 360
    assert own >= 0.9 * (own + len(others)), others
    assert sum(len(own) + len(others) for own, others in found.values()) == len(RECORDS)


def test_the_page_of_records_is_complete():
    """docs/reference/cuda-kernels.md has each record in its row; scripts/cuda_kernels.py writes it."""
    script = pathlib.Path(__file__).parents[2] / "scripts" / "cuda_kernels.py"
    spec = importlib.util.spec_from_file_location("cuda_kernels", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.HEAD + module.records() in module.PAGE.read_text(encoding="utf-8"), f"run {script.name}"


def test_kernels_take_numpys_dtypes():
    assert set(KERNEL_DTYPES) == set("?bBhHiIlLqQfdFD")
