"""Long elementwise work is shared by threads: the results are those of one thread, to the last bit."""

from __future__ import annotations

import multiprocessing
import os
import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.vm import helpers, opcodes, threads
from tapegrad.vm.plans import _dividable

N = 3 * opcodes.SHARED + 77
X = np.sin(np.arange(1.0, N + 1))


@pytest.fixture(autouse=True)
def count():
    before = tg.get_num_threads()
    yield
    tg.set_num_threads(before)


def in_place(x):
    y = x * 1.5
    y += x
    y *= -0.5
    np.exp(y, out=y)
    return np.sum(y)


def into_strides(x):
    y = x[::2] * x[1::2][: len(x[::2])] if len(x) % 2 == 0 else x[:-1:2] * x[1::2]
    return np.sum(y / (1.0 + y * y))


def M(x):
    return x[: 300 * 300].reshape(300, 300)


def neighbours(x):
    y = M(x) * 1.0
    y[1:] += y[:-1] * 0.5  # what is read is another row's result
    y[:, 1:] *= y[:, :-1]
    return np.sum(y)


FUNCTIONS = {
    "arithmetic": lambda x: np.sum((x * x + 2.0) / (x - 3.0) - x),
    "functions": lambda x: np.sum(np.exp(-0.5 * x * x) * np.sin(x) + np.log(x * x + 1.0) * np.tanh(x)),
    "choices": lambda x: np.sum(np.where(x > 0.1, np.maximum(x, 0.3), x * x)),
    "in place": in_place,
    "strides": into_strides,
    "scan": lambda x: np.sum(np.cumsum(x) * x) + np.sum(np.cumsum(x[::-1]) ** 2),
    "shifted": lambda x: np.sum((x[1:] - x[:-1]) ** 2),
    "sums": lambda x: np.mean(x) * np.var(x) + np.max(x) + np.sum(np.abs(x)),
    "broadcast": lambda x: np.sum(x[: 300 * 300].reshape(300, 300) * x[:300] + x[:300, None]),
    "rows": lambda x: np.sum(
        np.exp(M(x) - np.max(M(x), axis=1, keepdims=True)) / (1.0 + np.mean(M(x), 1)[:, None] ** 2)
    ),
    "columns": lambda x: np.sum(np.sum(M(x).T * x[:300], axis=0) ** 2) + np.sum(M(x)[::2, ::-1] * M(x)[1::2, :300]),
    "three axes": lambda x: np.sum(np.sum(x[:90000].reshape(30, 100, 30) * x[:100, None], axis=1) ** 2),
    "neighbours": neighbours,
    "complex": lambda x: np.sum(np.abs(np.exp(1j * x) * (2.0 + 0.5j) + x) ** 2),
    "special": lambda x: np.sum(tg.nn.functional.gelu(x)),
}


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits(name, char):
    if name == "special":
        pytest.importorskip("scipy")
    x, step = X.astype(char), tg.value_and_grad(FUNCTIONS[name])
    found = []
    for n in (1, 2, 3):
        tg.set_num_threads(n)
        found.append([np.asarray(v).tobytes() for v in step(x)])
    assert found[0] == found[1] == found[2]


def test_threads_are_asked():
    """The work above is shared indeed, where the system has threads of C."""
    tg.set_num_threads(2)
    tg.grad(FUNCTIONS["arithmetic"])(X)
    if not os.path.exists("/proc/self/task"):
        pytest.skip("the threads are counted in /proc, which is Linux's")
    assert helpers.helping[0] and len(os.listdir("/proc/self/task")) > threading.active_count()


def test_writes_that_overlap():
    """A result that is another element's operand is computed by one thread, in order."""
    tg.set_num_threads(2)
    x = tg.tensor(X)
    y = x * 1.0
    y[1:] += y[:-1]
    expected = X.copy()
    expected[1:] += X[:-1]
    np.testing.assert_array_equal(y.numpy(), expected)


def test_many_callers():
    """Callers of several Python threads at once: whoever finds the helpers busy does all of it."""
    tg.set_num_threads(2)
    step = tg.value_and_grad(FUNCTIONS["functions"])
    inputs = [X + 0.1 * k for k in range(4)]
    expected = [np.asarray(step(x)[1]) for x in inputs]
    wrong = []

    def work(k):
        for _ in range(8):
            if not np.array_equal(step(inputs[k])[1], expected[k]):
                wrong.append(k)

    callers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def _in_child(queue):
    queue.put(np.asarray(tg.grad(FUNCTIONS["functions"])(X)).tobytes())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_after_fork():
    """A copy of the process gets helpers of its own."""
    tg.set_num_threads(2)
    expected = np.asarray(tg.grad(FUNCTIONS["functions"])(X)).tobytes()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == expected
    finally:
        child.join(60)


def test_outer_dimensions_that_may_be_divided():
    rows, items = (400, (3200, 3200, 3200)), (400, (8, 0, 8))
    assert _dividable([rows, items], 8) == 1
    assert _dividable([(400, (8, 3200, 0)), items], 8) == 0  # a sum over rows: threads would add to the same places
    assert _dividable([(30, (9600, 9600)), (100, (8, 0)), (12, (800, 8))], 8) == 2
    assert _dividable([(50, (8, 8)), (4, (8, 8))], 8) == 0  # windows that overlap
    assert _dividable([(1000, (8, 8))], 8) == 0


def test_more_threads_than_there_can_be(monkeypatch):
    with pytest.raises(ValueError, match="at most 256, not 1,000,000"):
        tg.set_num_threads(10**6)
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "1000000")
    assert tg.get_num_threads() == 256
