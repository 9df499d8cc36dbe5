"""cuBLAS through CuPy: tried with a stand-in for CuPy, which has the few names that are used."""

from __future__ import annotations

import contextlib
import ctypes
import types

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cuda import libraries
from tapegrad.cuda.libraries import Products
from tapegrad.values import value_of


class UnownedMemory:
    def __init__(self, pointer, size, owner):
        self.pointer, self.size, self.owner = pointer, size, owner


class MemoryPointer:
    def __init__(self, memory, offset):
        assert 0 <= offset < memory.size
        self.memory, self.offset = memory, offset


def ndarray(shape, dtype, memptr, strides):
    """NumPy's array over the same memory, which refuses what lies beyond it."""
    memory = memptr.memory
    buffer = (ctypes.c_ubyte * memory.size).from_address(memory.pointer)
    return np.ndarray(shape, dtype, buffer, memptr.offset, strides)


@pytest.fixture
def cupy(device, monkeypatch):
    """The stand-in, and how often it was asked."""
    calls = []

    def matmul(a, b, out):
        calls.append((a.shape, b.shape))
        np.matmul(a, b, out=out)

    @contextlib.contextmanager
    def within(number):
        device.driver.synchronize()  # what the library does in a queue comes after what is in it
        yield

    cuda = types.SimpleNamespace(
        UnownedMemory=UnownedMemory, MemoryPointer=MemoryPointer, Device=within, ExternalStream=within
    )
    library = Products(types.SimpleNamespace(cuda=cuda, ndarray=ndarray, matmul=matmul))
    monkeypatch.setattr(libraries, "LEAST", 8)
    monkeypatch.setattr(device.driver, "products", lambda: library)
    return calls


@pytest.mark.parametrize("dtype", ["f", "d", "F", "D"])
@pytest.mark.parametrize(("a", "b"), [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (6, 4, 5)), ((4,), (4, 5))])
def test_products(a, b, dtype, cupy):
    left, right = np.sin(np.arange(np.prod(a))).reshape(a).astype(dtype), np.ones(b, dtype)
    found = value_of(tg.tensor(left, device="cuda") @ tg.tensor(right, device="cuda"))
    np.testing.assert_allclose(found, left @ right, rtol=1e-5)
    assert len(cupy) == 1


def test_views_and_gradients(cupy):
    values = np.sin(np.arange(24.0)).reshape(4, 6)
    found = []
    for place in ("cuda", "cpu"):
        x = tg.tensor(values, device=place, requires_grad=True)
        y = np.sum((x.T[1:, ::-1] @ x[:, ::2]) ** 2)
        y.backward()
        found.append(value_of(x.grad))
    np.testing.assert_allclose(*found, rtol=1e-12)
    assert len(cupy) == 3


def test_what_waits_runs_first(cupy, device, monkeypatch):
    monkeypatch.setattr(device, "interprets", True)
    monkeypatch.setattr("tapegrad.cuda.program.MOST_WORK", 1)
    x = np.arange(6.0).reshape(2, 3)
    t = tg.tensor(x, device="cuda") * 2.0
    np.testing.assert_array_equal(value_of((t @ t.T) + 1.0), 4.0 * x @ x.T + 1.0)
    assert len(cupy) == 1


def test_integers_and_small_products_stay_here(cupy):
    value_of(tg.tensor(np.ones((3, 3), int), device="cuda") @ tg.tensor(np.ones((3, 3), int), device="cuda"))
    value_of(tg.tensor(np.ones((1, 2)), device="cuda") @ tg.tensor(np.ones((2, 1)), device="cuda"))
    assert not cupy


def test_no_library_is_imported_where_there_is_none(monkeypatch):
    monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda name: None)
    assert libraries.products.__wrapped__() is None
