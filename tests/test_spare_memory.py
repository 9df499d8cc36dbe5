"""Large blocks that are kept for the next: they come again, stay few, and go back with the garbage."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.tape import spare
from tapegrad.tape.memory import aligned

DOUBLE = np.dtype(float)
N = 1 << 17


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    yield
    gc.collect()


def kept_bytes():
    return sum(block.nbytes for block in spare._spare.values())


def address(array):
    return array.__array_interface__["data"][0]


def test_a_block_comes_again_when_no_array_looks_at_it():
    x = aligned((N,), DOUBLE)
    at, view = address(x), x[1:3]
    del x
    y = aligned((N,), DOUBLE)
    assert address(y) != at  # `view` looks at it
    del view
    z = aligned((2, N // 2), DOUBLE)
    assert address(z) == at
    assert z.shape == (2, N // 2)
    assert z.flags.writeable and z.flags.c_contiguous and not at % 64


def test_no_much_larger_block_is_taken_and_no_more_used_in_all_than_before():
    arrays = [aligned((4 * N,), DOUBLE) for _ in range(2)]
    arrays.clear()
    before = kept_bytes()
    y = aligned((2 * N,), DOUBLE)
    assert 0 < kept_bytes() <= before - y.nbytes
    assert len(spare._spare) == 1


def test_they_are_few_and_go_with_the_garbage():
    arrays = [aligned((4 * N,), DOUBLE) for _ in range(spare.MOST_SPARE // (32 * N) + 5)]
    arrays.clear()
    assert 0 < kept_bytes() <= spare.MOST_SPARE
    gc.collect()
    assert kept_bytes() == 0


def test_memory_that_runs_out_is_looked_for_here(monkeypatch):
    arrays = [aligned((4 * N,), DOUBLE) for _ in range(3)]
    arrays.clear()
    asked = []

    def empty(size, dtype):
        asked.append(kept_bytes())
        if len(asked) == 1:
            raise MemoryError
        return np.zeros(size, dtype)

    monkeypatch.setattr(spare, "np", type("_", (), {"empty": staticmethod(empty), "uint8": np.uint8}))
    block = spare.take_large(1 << 20)  # much smaller than what is kept
    assert block.nbytes == 1 << 20
    assert asked[0] > 0 == asked[1]


@pytest.mark.parametrize("n", [N, 2 * N])
def test_threads_and_gradients(n):
    """Blocks go from hand to hand while their gradients are computed; nobody gets one that another uses."""
    failed = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(15):
            x = tg.tensor(rng.normal(size=n), requires_grad=True)
            held = x * 2.0 + 1.0
            np.sum(np.tanh(held) * x).backward()
            a = np.asarray(x.detach())
            t = np.tanh(2.0 * a + 1.0)
            if not np.allclose(np.asarray(x.grad), t + 2.0 * a * (1.0 - t * t)):
                failed.append(seed)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
