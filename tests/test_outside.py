"""Compiled functions called from nopython code, from C, and by SciPy."""

import ctypes
import math

import numba
import numpy as np
import pytest
import scipy.integrate

import tapegrad as tg

A, B = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 4.0])


def f(x, y, a):
    return np.sum(np.exp(-x * x) * y) * a


def test_in_nopython_code():
    step = tg.compile(tg.value_and_grad(f, argnums=(0, 1)))
    inner = step.as_njit(A, B, 2.0)

    @numba.njit
    def outer(x, y, n):
        total = np.zeros_like(x)
        for k in range(n):
            value, slopes = inner(x, y, 1.0 + k)
            total += value * slopes[0] + slopes[1]
        return total

    expected = np.zeros(3)
    for k in range(5):
        value, slopes = step(A, B, 1.0 + k)
        expected += value * slopes[0] + slopes[1]
    np.testing.assert_allclose(outer(A, B, 5), expected, rtol=1e-14)
    value, slopes = inner(A, B, 2)
    np.testing.assert_allclose(value, f(A, B, 2.0), rtol=1e-14)
    assert slopes[0].flags.carray


@pytest.mark.parametrize("native", [False, True])
def test_in_parallel_loops(native):
    step = tg.compile(tg.value_and_grad(lambda x: np.sum(np.exp(-x * x) * x)), native=native)
    inner = step.as_njit(np.ones(50))

    @numba.njit(parallel=True)
    def outer(points, values, slopes):
        for k in numba.prange(len(points)):
            values[k], slopes[k] = inner(points[k])

    points = np.linspace(0.0, 1.0, 200 * 50).reshape(200, 50)
    values, slopes = np.zeros(200), np.zeros((200, 50))
    outer(points, values, slopes)
    for k in range(200):
        value, slope = step(points[k])
        np.testing.assert_allclose(values[k], value, rtol=1e-13)
        np.testing.assert_allclose(slopes[k], slope, rtol=1e-13, atol=1e-16)


RESULTS = {
    "array": lambda x: x * 2.0,
    "number": lambda x: np.sum(x),
    "nested": lambda x: (x * 2.0, (np.sum(x), x[:2])),
    "list": lambda x: [x + 1.0, x - 1.0],
    "bool": lambda x: (x > 1.5, np.sum(x) > 0.0),
    "complex": lambda x: (x * 1j, np.sum(x) * 1j),
    "integer": lambda x: np.argmax(x),
    "constants": lambda x: (x * 2.0, 3, None, np.array([1.0, 2.0])),
    "large": lambda x: np.outer(np.linspace(0.0, 1.0, 500), x),
    "transposed": lambda x: np.outer(x, x * x).T,
    "rows in Python": lambda x: np.sort(x),
}


def equal(found, expected):
    if expected is None:
        assert found is None
    elif isinstance(expected, (tuple, list)):
        assert type(found) is tuple and len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            equal(a, b)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        assert np.asarray(found).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize("name", RESULTS)
def test_results_in_nopython_code(name):
    step = tg.compile(RESULTS[name])
    inner = step.as_njit(A)
    equal(inner(B), step(B))


def test_types_and_shapes_are_checked_in_nopython_code():
    inner = tg.compile(lambda x, a: x * a).as_njit(A, 1.0)
    with pytest.raises(ValueError, match=r"argument 0 must have shape \(3,\)"):
        inner(np.ones(4), 1.0)
    for wrong in (np.ones((3, 1)), np.ones(3, np.float32), np.ones(6)[::2], 2.0):
        with pytest.raises(numba.TypingError, match="argument 0 must be a C-contiguous array of float64"):
            inner(wrong, 1.0)


def test_other_paths_and_indices_raise_in_nopython_code():
    inner = tg.compile(lambda x: x if x[0] > 0 else -x).as_njit(A)
    np.testing.assert_array_equal(inner(A * 2.0), A * 2.0)
    with pytest.raises(RuntimeError, match="another path"):
        inner(-A)
    pick = tg.compile(lambda x, k: x[k]).as_njit(A, np.array([0, 2]))
    np.testing.assert_array_equal(pick(A, np.array([1, 1])), [2, 2])
    with pytest.raises(IndexError, match="out of bounds"):
        pick(A, np.array([0, 3]))


def test_what_has_no_place_in_nopython_code():
    with pytest.raises(TypeError, match="arrays and numbers, by position"):
        tg.compile(lambda p: p[0]).as_njit([A])
    with pytest.raises(TypeError, match="a dict is returned; return a tuple"):
        tg.compile(lambda x: {"a": x * 2.0}).as_njit(A)
    step = tg.compile(lambda x: x * 2.0)
    with pytest.raises(ValueError, match="has met 0 structures of arguments; pass arguments like those to come"):
        step.as_njit()
    step(A), step(np.ones(2))
    with pytest.raises(ValueError, match="has met 2 structures"):
        step.as_njit()


def test_static_arguments_are_part_of_the_recording():
    inner = tg.compile(lambda x, n, name: x**n).as_njit(A, 3, "cube")
    np.testing.assert_allclose(inner(B), B**3)


def test_address():
    step = tg.compile(tg.value_and_grad(lambda x, a: np.sum(x**2) * a))
    step(A, 2.0)
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(step.address)
    x, a, value, slope = B.copy(), np.array(3.0), np.zeros(()), np.zeros(3)
    inputs, outputs = ((ctypes.c_void_p * 2)(*[y.ctypes.data for y in pair]) for pair in ((x, a), (value, slope)))
    for _ in range(3):
        assert function(inputs, outputs) == 0
        np.testing.assert_allclose(value, 3.0 * np.sum(x * x))
        np.testing.assert_allclose(slope, 6.0 * x)
        x += 1.0


def test_address_tells_of_other_paths():
    step = tg.compile(lambda x: x if x[0] > 0 else -x)
    step(A)
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(step.address)
    x, y = -A, np.zeros(3)
    assert function((ctypes.c_void_p * 1)(x.ctypes.data), (ctypes.c_void_p * 1)(y.ctypes.data)) == 1
    np.testing.assert_array_equal(y, 0.0)


def test_scipy_integrates_it():
    g = tg.compile(tg.grad(lambda x, a: np.sin(a * x)))
    low = g.low_level_callable(0.5, 2.0)
    found, _ = scipy.integrate.quad(low, 0.0, 1.0, args=(3.0,))
    np.testing.assert_allclose(found, math.sin(3.0), rtol=1e-12)
    h = tg.compile(lambda p: np.exp(-p[0] * p[0]) * p[1] + p[2]).low_level_callable(np.ones(3))
    found, _ = scipy.integrate.nquad(h, [[0, 1], [0, 2]], args=(1.0,))
    exact = math.sqrt(math.pi) / 2 * math.erf(1.0) * 2.0 + 2.0
    np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_low_level_callables_are_checked():
    with pytest.raises(TypeError, match="takes one float64 array of one dimension"):
        tg.compile(lambda x: np.sum(x)).low_level_callable(np.ones((2, 2)))
    with pytest.raises(TypeError, match="returns one float64 number"):
        tg.compile(lambda x: x * 2.0).low_level_callable(A)
    low = tg.compile(lambda x: np.sum(x) if x[0] > 0 else x[1]).low_level_callable(A)
    call = low.function
    assert call(3, (ctypes.c_double * 3)(1, 2, 3)) == 6.0
    assert math.isnan(call(2, (ctypes.c_double * 2)(1, 2)))
    assert math.isnan(call(3, (ctypes.c_double * 3)(-1, 2, 3)))
