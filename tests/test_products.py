"""tapegrad's own matrix products against NumPy's: any sizes, orders and offsets, any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.primitives.matmul import CACHED, NARROW, product_loop
from tapegrad.vm.bridge import loop_address

SIZES = (4, 5, 7, 8, 12, 13, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 100, 255, 256, 257, 300, 513)


def matrix(rng, rows, columns, dtype):
    """One of the ways in which a matrix can lie in memory."""
    way = rng.integers(5)
    if way == 0:
        return rng.normal(size=(rows, columns)).astype(dtype)
    if way == 1:
        return rng.normal(size=(columns, rows)).astype(dtype).T
    if way == 2:
        return rng.normal(size=(rows + 2, columns + 3)).astype(dtype)[1:-1, 2:-1]
    if way == 3:
        return rng.normal(size=(rows, columns)).astype(dtype)[::-1]
    return rng.normal(size=(2 * rows, columns + 1)).astype(dtype)[::2, 1:]


def is_own(a, b, result):
    dims = (*a.shape, b.shape[1])
    return product_loop(dims, b.strides, result.strides, a.dtype) != loop_address(
        np.matmul, f"{a.dtype.char * 2}->{a.dtype.char}"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(8))
def test_products(dtype, seed):
    rng = np.random.default_rng(seed)
    own = 0
    for _ in range(12):
        m, k, n = rng.choice(SIZES, 3)
        a, b = matrix(rng, m, k, dtype), matrix(rng, k, n, dtype)
        with tg.no_grad():
            found = np.asarray(tg.tensor(a) @ tg.tensor(b))
        own += is_own(a, b, found)
        scale = np.abs(a).astype(float) @ np.abs(b).astype(float)
        assert np.all(np.abs(found - a.astype(float) @ b.astype(float)) <= 2 * np.finfo(dtype).eps * k**0.5 * scale)
    assert own > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_and_batches(dtype):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, 1, 17, 33)).astype(dtype), rng.normal(size=(2, 33, 9)).astype(dtype)
    weights = rng.normal(size=(3, 2, 17, 9)).astype(dtype)
    da, db = tg.grad(lambda a, b: np.sum(a @ b * weights), argnums=(0, 1))(a, b)
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(da, np.sum(weights @ b.swapaxes(-1, -2), axis=1, keepdims=True), rtol=0, atol=tolerance)
    np.testing.assert_allclose(db, np.sum(a.swapaxes(-1, -2) @ weights, axis=0), rtol=0, atol=tolerance)


def test_nan_and_infinity_stay_in_their_rows_and_columns():
    a, b = np.ones((13, 40)), np.ones((40, 19))
    a[3, 5], b[7, 11] = np.nan, np.inf
    with tg.no_grad():
        found = np.asarray(tg.tensor(a) @ tg.tensor(b))
    np.testing.assert_array_equal(found, a @ b)


def test_threads_change_nothing():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(130, 300)), rng.normal(size=(300, 1300))
    before, found = tg.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            tg.set_num_threads(count)
            with tg.no_grad():
                found.append(np.asarray(tg.tensor(a) @ tg.tensor(b)))
    finally:
        tg.set_num_threads(before)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])
    np.testing.assert_allclose(found[0], a @ b, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "shapes", [((NARROW - 1, 9), (9, 9)), ((9, 9), (9, NARROW - 1)), ((CACHED // 8 // 100 + 1, 100), (100, 9))]
)
def test_what_is_left_to_blas(shapes):
    a, b = map(np.ones, shapes)
    assert not is_own(a, b, a @ b)


PROGRAM = """
import numpy as np, tapegrad as tg
from tapegrad.vm.native import vector_bytes
rng = np.random.default_rng(3)
for dtype, tolerance in ((np.float32, 1e-3), (np.float64, 1e-11)):
    for m, k, n in ((7, 300, 5), (25, 31, 70), (64, 257, 33)):
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(n, k)).astype(dtype)
        with tg.no_grad():
            for left, right in ((a, b.T), (np.asfortranarray(a), np.ascontiguousarray(b.T))):
                found = np.asarray(tg.tensor(left) @ tg.tensor(right))
                np.testing.assert_allclose(found, left @ right, rtol=0, atol=tolerance)
print(vector_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="names processors by x86's names")
def test_shorter_vectors(tmp_path):
    environment = {**os.environ, "TAPEGRAD_CACHE_DIR": str(tmp_path)}
    environment |= {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+avx,+fma,+sse4.2"}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["32"]


@pytest.mark.parametrize("char", "fdD")
@pytest.mark.parametrize("m, k, n", [(20, 30, 25), (600, 300, 40), (1, 70, 80), (80, 70, 1)])
def test_operands_with_gaps_are_copied(char, m, k, n):
    a, b = (np.cos(np.arange(4.0 * p * q)).reshape(2 * p, 2 * q).astype(char) for p, q in ((m, k), (k, n)))
    if char == "D":
        a, b = a * (1 + 0.5j), b * (1 - 0.25j)

    def f(a, b):
        return np.sum(np.abs(a[::2, ::2] @ b[::2, ::-2]))

    def plain(a, b):
        return np.sum(np.abs((+a[::2, ::2]) @ (+b[::2, ::-2])))

    tolerance = 1e-4 if char == "f" else 1e-12
    np.testing.assert_allclose(f(tg.tensor(a), tg.tensor(b)).numpy(), plain(a, b), rtol=tolerance)
    found, expected = tg.grad(f, (0, 1))(a, b), tg.grad(plain, (0, 1))(a, b)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("char", "fd")
def test_a_sum_of_a_product(char):
    a, b = np.sin(np.arange(600.0)).reshape(20, 30).astype(char), np.cos(np.arange(750.0)).reshape(30, 25).astype(char)
    left, right = tg.grad(lambda a, b: np.sum(a @ b), (0, 1))(a, b)
    np.testing.assert_allclose(left, np.ones((20, 25), char) @ b.T, rtol=1e-4 if char == "f" else 1e-12)
    np.testing.assert_allclose(right, a.T @ np.ones((20, 25), char), rtol=1e-4 if char == "f" else 1e-12, atol=1e-5)
