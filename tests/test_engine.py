"""The engine under strain: threads, depth, long loops, errors in the middle, odd arrays, corrupted tapes."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.primitives.core import primitive
from tapegrad.tape.current import rotate
from tapegrad.tape.state import local
from tapegrad.tape.tape import TapeError
from tapegrad.vm import opcodes as op
from tapegrad.vm.pools import pools

STATM = "/proc/self/statm"
needs_statm = pytest.mark.skipif(not os.path.exists(STATM), reason="resident memory is read from /proc")


def resident():
    """Resident memory of the process in bytes."""
    gc.collect()
    with open(STATM) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(step, warm, steps):
    """Bytes by which resident memory grows over steps, after warm-up."""
    for _ in range(warm):
        step()
    before = resident()
    for _ in range(steps):
        step()
    return resident() - before


@pytest.fixture
def fresh():
    """A tape of the test's own."""
    rotate(local.state)
    yield local.state
    rotate(local.state)


# --- threads ----------------------------------------------------------------------------------------------------------


def in_threads(work, n=8):
    """Results of ``work(k)`` from n threads that start together."""
    barrier = threading.Barrier(n)

    def run(k):
        barrier.wait()
        return work(k)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(n)))


def test_threads_compute_different_gradients():
    def work(k):
        worst = 0.0
        for i in range(60):
            x = np.linspace(0.1, 1.0, 3 + k) + i
            found = tg.grad(lambda x: np.sum(np.sin(x) * x ** (k + 1)))(x)
            worst = max(worst, np.max(np.abs(found / (np.cos(x) * x ** (k + 1) + np.sin(x) * (k + 1) * x**k) - 1)))
        return worst

    assert max(in_threads(work)) < 1e-9


def test_threads_share_leaves_and_constants():
    w = tg.tensor(np.linspace(1.0, 2.0, 7), requires_grad=True)
    c = np.linspace(0.0, 1.0, 7)
    t = tg.tensor(np.linspace(-1.0, 1.0, 7))

    def work(k):
        for _ in range(60):
            (g,) = tg.autograd.grad((np.exp(w * c) * t * (k + 1)).sum(), w)
            if not np.allclose(g.numpy(), np.exp(w.detach().numpy() * c) * c * t.numpy() * (k + 1)):
                return False
        return True

    assert all(in_threads(work))


def test_threads_share_a_large_leaf():
    w = tg.tensor(np.linspace(1.0, 2.0, 5000), requires_grad=True)

    def work(k):
        for _ in range(20):
            (g,) = tg.autograd.grad((w * w * float(k)).sum(), w)
            if not np.allclose(g.numpy(), 2 * k * np.linspace(1.0, 2.0, 5000)):
                return False
        return True

    assert all(in_threads(work))


def test_threads_meet_new_signatures_at_once():
    def work(k):
        x = np.arange(1.0, 12.0 + k)
        return all(
            np.allclose(tg.grad(lambda v: np.sum(np.log(v[n:]) * v[:-n]))(x), _log_product(x, n))  # noqa: B023
            for n in range(1, 8)
        )

    assert all(in_threads(work))


def _log_product(x, n):
    g = np.zeros_like(x)
    g[n:] += x[:-n] / x[n:]
    g[:-n] += np.log(x[n:])
    return g


def test_threads_share_a_compiled_function():
    step = tg.compile(tg.value_and_grad(lambda x: np.sum(np.sin(x) ** 2)))
    step(np.ones(9))

    def work(k):
        x = np.linspace(k, k + 1.0, 9)
        return all(np.allclose(step(x)[1], np.sin(2 * x)) for _ in range(100))

    assert all(in_threads(work))


def test_graph_runs_from_another_thread():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    thread = threading.Thread(target=y.backward)
    thread.start()
    thread.join()
    assert x.grad.tolist() == [2.0, 4.0]


def test_tensor_made_in_another_thread():
    with ThreadPoolExecutor(1) as pool:
        x = pool.submit(lambda: tg.tensor([1.0, 2.0], requires_grad=True)).result()
        y = pool.submit(lambda: x * 3.0).result()
        (y * y).sum().backward()
        assert x.grad.tolist() == [18.0, 36.0]


def test_grad_mode_is_per_thread():
    x = tg.ones(2, requires_grad=True)
    with tg.no_grad(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: (x * 2).requires_grad).result()
        assert not (x * 2).requires_grad


# --- depth ------------------------------------------------------------------------------------------------------------


def test_a_million_rows():
    n = 1_000_000
    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(n):
        y = y + 1e-6
    y.backward()
    assert x.grad.item() == 1.0
    assert y.item() == pytest.approx(2.0)


def test_a_hundred_thousand_rows_that_save_values():
    x = tg.tensor(0.5, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.00001
    y.backward()
    assert x.grad.item() == pytest.approx(1.00001**100_000)


def test_depth_in_functional_form():
    def f(x):
        y = x
        for _ in range(100_000):
            y = y + x
        return y

    assert tg.grad(f)(1.0) == 100_001.0


def test_deep_graph_is_dropped_without_recursion():
    x = tg.ones(3, requires_grad=True)
    y = x
    for k in range(200_000):
        y = y * 1.0
        if k == 100_000:
            middle = weakref.ref(y._tape)
    y.detach().numpy()
    assert middle() is not None
    del y
    rotate(local.state)  # the thread's tape has imported what was before it
    gc.collect()
    assert middle() is None


# --- the life of rows -------------------------------------------------------------------------------------------------


def make_training():
    w = tg.tensor(np.linspace(-1.0, 1.0, 64).reshape(8, 8), requires_grad=True)
    b = tg.zeros(8, requires_grad=True)
    data = np.linspace(0.0, 1.0, 32).reshape(4, 8)

    def step():
        loss = ((np.tanh(data @ w + b) - 0.5) ** 2).mean()
        loss.backward()
        with tg.no_grad():
            for p in (w, b):
                p -= 0.1 * p.grad
                p.grad = None
        return loss

    return step


@needs_statm
def test_training_loop_memory_is_flat():
    assert growth(make_training(), 1000, 3000) < 2 << 20


@needs_statm
@pytest.mark.slow
def test_long_training_loop_memory_is_flat():
    assert growth(make_training(), 1000, 100_000) < 2 << 20


@needs_statm
def test_functional_loop_memory_is_flat():
    f = tg.value_and_grad(lambda w, x: np.mean(np.tanh(x @ w) ** 2))
    w, x = np.linspace(-1, 1, 64).reshape(8, 8), np.ones((4, 8))
    assert growth(lambda: f(w, x), 1000, 3000) < 2 << 20


@needs_statm
def test_loop_over_large_arrays_is_flat():
    w = tg.tensor(np.ones(20_000), requires_grad=True)

    def step():
        (np.sin(w) * w).sum().backward()
        w.grad = None

    assert growth(step, 200, 600) < 2 << 20


@needs_statm
def test_evaluation_loop_without_backward_is_flat():
    w = tg.tensor(np.ones((8, 8)), requires_grad=True)
    data = np.ones((4, 8))
    assert growth(lambda: np.tanh(data @ w).sum().item(), 6_000, 12_000) < 3 << 20


@needs_statm
def test_evaluation_loop_under_no_grad_is_flat():
    w = tg.tensor(np.ones((8, 8)), requires_grad=True)
    data = np.ones((4, 8))

    def step():
        with tg.no_grad():
            np.tanh(data @ w).sum().item()

    assert growth(step, 6_000, 12_000) < 3 << 20


@needs_statm
def test_state_carried_through_a_loop_is_flat():
    """A running average that requires no grad is carried from tape to tape, and keeps none of them."""
    w = tg.ones(16, requires_grad=True)
    average = [tg.zeros(16)]

    def step():
        y = (w * w).sum()
        y.backward()
        average[0] = average[0] * 0.9 + w.grad * 0.1
        w.grad = None

    assert growth(step, 1000, 3000) < 2 << 20


@needs_statm
def test_failing_steps_are_flat():
    w = tg.ones(16, requires_grad=True)

    def step():
        y = np.sin(w)
        with pytest.raises(ValueError):
            y + np.ones(5)
        y.sum().backward()
        w.grad = None

    assert growth(step, 500, 2000) < 2 << 20


def test_accumulated_loss():
    """``total += loss`` keeps every step's graph until backward, across tapes."""
    w = tg.tensor(2.0, requires_grad=True)
    total = tg.zeros(())
    for k in range(1000):
        total = total + w * float(k)
    total.backward()
    assert w.grad.item() == sum(range(1000))


def test_accumulated_loss_in_place():
    w = tg.tensor(2.0, requires_grad=True)
    total = tg.zeros(())
    for k in range(1000):
        total += w * w * float(k)
    total.backward()
    assert w.grad.item() == 4.0 * sum(range(1000))


def test_accumulated_loss_with_values_read_between():
    w = tg.tensor(2.0, requires_grad=True)
    total = tg.zeros(())
    for k in range(300):
        loss = w * w * float(k)
        loss.item()
        total = total + loss
    total.backward()
    assert w.grad.item() == 4.0 * sum(range(300))


def test_accumulated_loss_with_backwards_between():
    """Another loss is swept in each step, which ends a tape each time; the sum still reaches all of them."""
    w = tg.tensor(2.0, requires_grad=True)
    v = tg.tensor(3.0, requires_grad=True)
    total = tg.zeros(())
    for k in range(200):
        total = total + w * w * float(k)
        (v * v).backward()
    total.backward()
    assert w.grad.item() == 4.0 * sum(range(200))
    assert v.grad.item() == 6.0 * 200


def test_an_old_loss_is_kept():
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    first = None
    for k in range(100):
        loss = (w * w).sum() * float(k + 1)
        if first is None:
            first = loss
            continue
        loss.backward()
        w.grad = None
    assert first.item() == 5.0
    first.backward()
    assert w.grad.tolist() == [2.0, 4.0]


@needs_statm
def test_an_old_loss_keeps_only_its_own_step():
    w = tg.tensor(np.ones(64), requires_grad=True)
    first = (w * w).sum()

    def step():
        (w * w).sum().backward()
        w.grad = None

    assert growth(step, 1000, 3000) < 2 << 20
    assert first.item() == 64.0


def test_tensors_of_two_tapes_meet():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    a = x * 2.0
    x.sum().backward(retain_graph=True)
    rotate(local.state)
    b = x * 3.0
    (a * b).sum().backward()
    assert x.grad.tolist() == [13.0, 25.0]


def test_tensors_of_many_tapes_meet():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    parts = []
    for k in range(20):
        parts.append(np.sin(x * float(k)))
        rotate(local.state)
    sum(parts).sum().backward()
    expected = sum(k * np.cos(k * np.array([1.0, 2.0])) for k in range(20))
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_chain_across_tapes():
    x = tg.tensor(0.3, requires_grad=True)
    y, expected, value = x, 1.0, 0.3
    for _ in range(50):
        y = np.sin(y) * 2.0
        expected, value = expected * 2.0 * np.cos(value), 2.0 * np.sin(value)
        rotate(local.state)
    y.backward()
    assert x.grad.item() == pytest.approx(expected)


def test_a_leaf_outlives_many_tapes():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for k in range(200):
        (x * float(k)).sum().backward()
    assert x.grad.tolist() == [sum(range(200))] * 2


def test_a_value_outlives_its_tape():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3.0
    y.sum().backward()
    for _ in range(100):
        (x * 2.0).sum().backward()
    gc.collect()
    assert y.tolist() == [3.0, 6.0]


# --- sweeps -----------------------------------------------------------------------------------------------------------


def test_second_backward_is_refused():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"Trying to backward through the graph a second time.*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_second_backward_where_nothing_was_saved():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_retained_graph():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    for k in range(1, 5):
        y.backward(retain_graph=True)
        assert x.grad.tolist() == [2.0 * k, 4.0 * k]


def test_trunk_shared_by_two_losses():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    trunk = np.sin(x)
    a, b = (trunk * 2.0).sum(), (trunk * 3.0).sum()
    a.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        b.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos([1.0, 2.0]))


def test_partial_graph():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    h = x * x
    y = (h * 3.0).sum()
    (g,) = tg.autograd.grad(y, h)
    assert g.tolist() == [3.0, 3.0]
    h.backward(g)
    assert x.grad.tolist() == [6.0, 12.0]


def test_sweep_visits_only_what_leads_to_the_inputs():
    """A freed branch that does not lead to the input is no hindrance."""
    x, w = tg.tensor(2.0, requires_grad=True), tg.tensor(3.0, requires_grad=True)
    a = w * w
    a.backward()
    y = a + x * x
    (g,) = tg.autograd.grad(y, x)
    assert g.item() == 4.0


def test_gradient_accumulates_into_the_same_object():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5.0, 5.0]


def test_gradients_do_not_share_memory():
    a, b = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    seed = np.ones(2)
    (a + b).backward(seed)
    a.grad.numpy()[0] = 100.0
    assert b.grad.tolist() == [1.0, 1.0]
    assert seed.tolist() == [1.0, 1.0]


def test_failed_sweep_leaves_no_gradient():
    a, b = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    h = np.exp(a)
    y = (h * 2.0).sum() + (b * b).sum()
    h += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    assert a.grad is None and b.grad is None


# --- exceptions in the middle -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (lambda x: x + np.ones(5), ValueError),
        (lambda x: x @ np.ones((5, 2)), ValueError),
        (lambda x: np.concatenate([x, np.ones((2, 2))]), ValueError),
        (lambda x: x.reshape(7), ValueError),
        (lambda x: x[10], IndexError),
        (lambda x: x[np.array([0, 10])], IndexError),
        (lambda x: x[np.ones(5, bool)], IndexError),
        (lambda x: np.sum(x, axis=3), (ValueError, IndexError)),
        (lambda x: np.transpose(x, (1, 0)), ValueError),
        (lambda x: np.broadcast_to(x, (3, 2)), ValueError),
        (lambda x: np.where(np.ones(5, bool), x, 0.0), ValueError),
        (lambda x: x.__iadd__(np.ones((2, 3))), (ValueError, RuntimeError)),
    ],
)
def test_bad_operands_leave_nothing_behind(operation, error, fresh):
    x = tg.tensor([1.0, 2.0, 4.0], requires_grad=True)
    y = np.sin(x)
    rows = len(fresh.tape.rows)
    with pytest.raises(error):
        operation(y)
    # Constants and operations before the one that fails may stay; its own row does not.
    added, k = [], rows
    while k < len(fresh.tape.rows):
        if fresh.tape.signature(k).kind != op.IMPORT:
            added.append(k)
        k += fresh.tape.signature(k).width
    assert len(added) <= 2, [fresh.tape.signature(k) for k in added]
    z = (y * 2.0).sum()
    np.testing.assert_allclose(y.detach().numpy(), np.sin([1.0, 2.0, 4.0]))
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos([1.0, 2.0, 4.0]))


def test_singular_matrix_leaves_nothing_behind(fresh):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = np.outer(x, x)
    rows = len(fresh.tape.rows)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.inv(y)
    assert len(fresh.tape.rows) == rows
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


class Interrupt(BaseException):
    """As KeyboardInterrupt, which pytest would take for itself."""


FAULTS = {"forward": None}


@primitive()
class interrupted:
    """A call-out in which an exception may strike."""

    probes = (0.5,)
    samples = (((np.array([0.5, 1.0]),), {}),)

    def infer(specs, attrs):
        return specs[0].dense if hasattr(specs[0], "dense") else specs[0], op.KERNEL

    def compute(x):
        if FAULTS["forward"] is not None:
            raise FAULTS["forward"]
        return x * 2.0

    def pullback(y_bar, y, x):
        return y_bar * 2.0


@pytest.fixture
def fault():
    yield FAULTS
    FAULTS["forward"] = None


@pytest.mark.parametrize("error", [Interrupt(), ValueError("no"), MemoryError()])
def test_exception_inside_a_callout(error, fault, fresh):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    before = np.sin(x)
    y = interrupted(before)
    after = (y * y).sum()
    fault["forward"] = error
    with pytest.raises(type(error)):
        after.backward()
    fault["forward"] = None
    assert x.grad is None
    np.testing.assert_allclose(before.detach().numpy(), np.sin([1.0, 2.0]))
    after.backward()
    np.testing.assert_allclose(x.grad.numpy(), 8 * np.sin([1.0, 2.0]) * np.cos([1.0, 2.0]))


def test_exception_in_the_function_leaves_the_mode(fresh):
    def f(x):
        np.sin(x)
        raise Interrupt

    depth, mode = local.state.depth, tg.is_grad_enabled()
    with tg.no_grad(), pytest.raises(Interrupt):
        tg.grad(f)(1.0)
    assert (local.state.depth, tg.is_grad_enabled()) == (depth, mode)
    x = tg.tensor(2.0, requires_grad=True)
    assert float(x) == 2.0  # outside, a value may be read
    assert tg.grad(lambda x: x * x)(3.0) == 6.0


def test_exception_while_compiling_leaves_the_mode(fresh):
    def f(x):
        raise Interrupt

    with pytest.raises(Interrupt):
        tg.compile(tg.grad(f))(1.0)
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


# --- odd arrays -------------------------------------------------------------------------------------------------------


def gradient_of_square(x):
    return tg.grad(lambda x: np.sum(x * x * 0.5))(x)


EMPTY = pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 3)])


@EMPTY
def test_empty_arrays(shape):
    x = np.ones(shape)
    value, gradient = tg.value_and_grad(lambda x: np.sum(np.sin(x) * x + 1.0))(x)
    assert value == 0.0
    assert gradient.shape == shape
    t = tg.tensor(x, requires_grad=True)
    y = np.exp(t).T * 2.0
    assert y.shape == shape[::-1]
    y.sum().backward()
    assert t.grad.shape == shape
    assert y.detach().numpy().shape == shape[::-1]


@EMPTY
def test_empty_arrays_written_in_place(shape):
    t = tg.tensor(np.ones(shape), requires_grad=True)
    y = t * 2.0
    y += 1.0
    y[...] = 3.0
    y.sum().backward()
    assert t.grad.shape == shape


def test_empty_matmul():
    a = tg.tensor(np.ones((2, 0)), requires_grad=True)
    b = tg.tensor(np.ones((0, 3)), requires_grad=True)
    c = a @ b
    assert c.tolist() == [[0.0] * 3] * 2
    c.sum().backward()
    assert a.grad.shape == (2, 0) and b.grad.shape == (0, 3)


def test_empty_concatenate_and_index():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = np.concatenate([x[:0], x, x[np.array([], np.int64)]])
    assert y.tolist() == [1.0, 2.0]
    (y * y).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_zero_dimensional():
    x = tg.tensor(3.0, requires_grad=True)
    y = x[()] * x.reshape(()) + x[None][0]
    y.backward()
    assert x.grad.shape == ()
    assert x.grad.item() == 7.0
    assert gradient_of_square(np.array(3.0)) == 3.0
    assert gradient_of_square(np.float64(3.0)) == 3.0


LAYOUTS = {
    "reversed": lambda x: x[::-1],
    "reversed in both": lambda x: x[::-1, ::-1],
    "transposed": lambda x: x.T,
    "every second": lambda x: np.repeat(x, 2, 1)[:, ::2],
    "fortran": np.asfortranarray,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "subclass": lambda x: x.view(type("Sub", (np.ndarray,), {})),
    "memory-mapped": lambda x: np.frombuffer(bytearray(x.tobytes())).reshape(x.shape),
}


@pytest.mark.parametrize("n", [3, 120])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, n):
    plain = np.linspace(1.0, 2.0, n * n).reshape(n, n)
    x = LAYOUTS[layout](plain)
    before = np.array(x)
    w = np.linspace(0.0, 1.0, n * n).reshape(n, n)
    expected = np.cos(np.array(x, float)) * w
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(np.sin(x) * w))(x), expected)
    np.testing.assert_allclose(tg.grad(lambda w: np.sum(np.sin(x) * w))(w), np.sin(np.array(x, float)))
    t = tg.tensor(x, requires_grad=True)
    (np.sin(t) * LAYOUTS[layout](w)).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), np.cos(np.array(x, float)) * np.array(LAYOUTS[layout](w), float))
    step = tg.compile(tg.grad(lambda x: np.sum(np.sin(x) * w)))
    for _ in range(2):
        np.testing.assert_allclose(step(x), expected)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("n", [3, 120])
def test_read_only(n):
    x = np.linspace(1.0, 2.0, n * n).reshape(n, n)
    x.flags.writeable = False
    np.testing.assert_allclose(gradient_of_square(x), x)
    t = tg.from_numpy(x)
    with pytest.raises(ValueError, match="read-only"):
        t += 1.0
    with pytest.raises(ValueError, match="read-only"):
        t[0] = 1.0
    assert x[0, 0] == 1.0


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", "i1", "u1", "i4", "i8", "?", "f2"])
def test_dtypes_as_constants(dtype):
    c = np.array([1, 0, 3]).astype(dtype)
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(tg.grad(lambda x: np.sum((x * c).real))(x), np.real(c).astype(float))
    t = tg.tensor(c)
    assert t.dtype == np.dtype(dtype)
    assert (t + t).dtype == (c + c).dtype
    np.testing.assert_array_equal((t + t).numpy(), c + c)


def test_float32_stays_float32():
    x = np.linspace(0.0, 1.0, 5, dtype=np.float32)
    value, gradient = tg.value_and_grad(lambda x: np.sum(np.sin(x * 2.0) + 1.0))(x)
    assert value.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, 2 * np.cos(2 * x), rtol=1e-6)


def test_each_leaf_has_the_gradient_of_its_dtype():
    a, b = tg.ones(3, dtype="f4", requires_grad=True), tg.ones(3, requires_grad=True)
    (a * b).sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


def test_integers_and_bools_carry_no_gradient():
    i, b = tg.tensor([1, 2, 3]), tg.tensor([True, False, True])
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x * i + np.where(b, x, 0.0)).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 4.0]
    assert not (i + 1).requires_grad and (i // 2).dtype == np.int64


@pytest.mark.parametrize("n", [1, 2, 7, 8, 15, 16, 17, 255, 1023, 1024, 1025, 2047, 2048, 2049, 100_000])
def test_sizes(n):
    x = np.linspace(0.1, 2.0, n)
    np.testing.assert_allclose(
        tg.grad(lambda x: np.sum(np.sin(x) * np.exp(-x) / (1.0 + x * x)))(x),
        (np.cos(x) - np.sin(x)) * np.exp(-x) / (1 + x * x) - np.sin(x) * np.exp(-x) * 2 * x / (1 + x * x) ** 2,
        rtol=1e-9,
        atol=1e-12,
    )
    t = tg.tensor(x, requires_grad=True)
    y = t * 1.0
    y[n // 2 :] *= 2.0
    (y * y).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), 2 * x * np.where(np.arange(n) >= n // 2, 4.0, 1.0))


# --- the functional front end ----------------------------------------------------------------------------------------


def test_perturbations_are_not_confused():
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0) == 1.0


def test_closing_over_an_outer_traced_value():
    def outer(x):
        return tg.grad(lambda y: x * x * y * y)(3.0) * x

    assert tg.grad(outer)(2.0) == pytest.approx(6 * 3 * 2.0**2)


def test_closing_over_an_outer_array():
    def outer(x):
        inner = tg.grad(lambda y: np.sum(np.sin(x) * y**2))(np.array([1.0, 2.0]))
        return np.sum(inner * x)

    x = np.array([0.3, 0.7])
    expected = 2 * np.array([1.0, 2.0]) * (np.cos(x) * x + np.sin(x))
    np.testing.assert_allclose(tg.grad(outer)(x), expected)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_nested(order):
    f = np.sin
    for _ in range(order):
        f = tg.grad(f)
    assert f(0.7) == pytest.approx([np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin][order - 1](0.7))


def test_leaf_of_the_eager_kind_inside_grad():
    """A tensor that requires grad, seen by a function under grad, is a constant there and gets no gradient."""
    w = tg.tensor([2.0, 3.0], requires_grad=True)
    g = tg.grad(lambda x: (w * x * x).sum())(np.array([1.0, 1.0]))
    np.testing.assert_array_equal(np.asarray(g.detach() if isinstance(g, tg.Tensor) else g), [4.0, 6.0])
    assert w.grad is None


# --- corrupted tapes --------------------------------------------------------------------------------------------------


def corrupt(tape, word):
    tape.rows[-1] = word


@pytest.mark.parametrize(
    "break_row",
    [
        lambda word, n: word | op.SLOT_MASK,
        lambda word, n: word | op.SLOT_MASK << op.SLOT_BITS,
        lambda word, n: (word & ~op.SLOT_MASK) | n,
        lambda word, n: (word & ~op.SLOT_MASK) | n + 1,
        lambda word, n: word & ((1 << op.SIGNATURE_SHIFT) - 1) | pools.n_signatures << op.SIGNATURE_SHIFT,
        lambda word, n: word & ((1 << op.SIGNATURE_SHIFT) - 1) | (pools.n_signatures + 1000) << op.SIGNATURE_SHIFT,
        lambda word, n: -word,
        lambda word, n: -1,
    ],
    ids=[
        "slot beyond",
        "first slot beyond",
        "itself",
        "after itself",
        "next signature",
        "signature beyond",
        "negative",
        "minus one",
    ],
)
@pytest.mark.parametrize("read", ["item", "backward"])
def test_corrupted_row_is_an_exception(break_row, read, fresh):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x + x).sum()
    z = y * y
    tape = fresh.tape
    tape.rows[-1] = break_row(tape.rows[-1], len(tape.rows) - 1)
    with pytest.raises((TapeError, IndexError, OverflowError), match=r"not valid|out of range|out of bounds|too large"):
        getattr(z, read)()
    rotate(local.state)
    assert tg.grad(lambda x: x * x)(3.0) == 6.0


@pytest.mark.parametrize("where", range(4))
def test_corrupted_rows_before_the_last(where, fresh):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y = np.sin(y)
    y = y + x
    z = y * y
    starts = [k for k in range(len(fresh.tape.rows)) if fresh.tape.signature(k).kind == op.KERNEL]
    fresh.tape.rows[starts[where]] |= op.SLOT_MASK << op.SLOT_BITS
    with pytest.raises(TapeError, match="not valid"):
        z.sum().backward()
    assert x.grad is None


def test_corrupted_after_the_forward_sweep(fresh):
    """Rows that have been run and are broken then are noticed by the reverse sweep."""
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    z = y * y
    z.item()
    tape = fresh.tape
    tape.arrays.words[tape.done - 1] = (1 << 18) << op.SIGNATURE_SHIFT
    with pytest.raises((TapeError, IndexError), match=r"not valid|out of range|out of bounds"):
        z.backward()


def test_word_of_an_unknown_import(fresh):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    tape = fresh.tape
    first = next(k for k in range(len(tape.rows)) if tape.signature(k).kind == op.IMPORT)
    tape.rows[first] += 1 << 16
    with pytest.raises((TapeError, IndexError), match=r"not valid|out of range|out of bounds"):
        y.item()


def test_zero_dimensional_leaf_reached_from_two_tapes():
    """The sum of two 0-d gradients is an array that owns its memory, not a NumPy scalar."""
    x, other = tg.tensor(0.3, requires_grad=True), tg.tensor(1.0, requires_grad=True)
    a = np.sin(x)
    (other * other).backward()
    (a * a + x).backward()
    assert isinstance(x.grad._memory, np.ndarray)
    kept = x.grad.detach().numpy()
    gc.collect()
    assert kept == pytest.approx(2 * np.sin(0.3) * np.cos(0.3) + 1)
    (g,) = tg.autograd.grad(np.sin(x) + a.detach() * x, x)
    assert g.item() == pytest.approx(np.cos(0.3) + np.sin(0.3))


def _retained(lib, sweep):
    a = lib.ones(3, requires_grad=True)
    b = a * 2.0
    c = b * b
    b.retain_grad()
    c.retain_grad()
    sweep(lib, a, b, c)
    return [None if x.grad is None else x.grad.tolist() for x in (a, b, c)]


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True:UserWarning")  # PyTorch's, of a cycle
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize(
    "sweep",
    [
        lambda lib, a, b, c: c.sum().backward(),
        lambda lib, a, b, c: c.sum().backward(create_graph=True),
        lambda lib, a, b, c: c.sum().backward(inputs=[a]),
        lambda lib, a, b, c: c.sum().backward(inputs=[b]),
        lambda lib, a, b, c: c.sum().backward(inputs=[b, b, c]),
        lambda lib, a, b, c: c.sum().backward(inputs=[a, a, b], create_graph=True),
        lambda lib, a, b, c: [c.sum().backward(retain_graph=True) for _ in range(2)],
        lambda lib, a, b, c: [c.sum().backward(create_graph=True) for _ in range(2)],
        lambda lib, a, b, c: lib.autograd.grad(c.sum(), a),
        lambda lib, a, b, c: lib.autograd.grad(c.sum(), b),
        lambda lib, a, b, c: lib.autograd.grad(c.sum(), a, create_graph=True),
    ],
)
def test_retained_gradients(sweep):
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    assert _retained(tg, sweep) == _retained(torch, sweep)


def test_inputs_of_backward_retain_their_gradients():
    a = tg.ones(2, requires_grad=True)
    b = a * 2.0
    (b * b).sum().backward(retain_graph=True, inputs=[b])
    assert b.retains_grad and a.grad is None and b.grad.tolist() == [4.0, 4.0]
    (b * 3.0).sum().backward()
    assert b.grad.tolist() == [7.0, 7.0] and a.grad.tolist() == [6.0, 6.0]
    with tg.no_grad():
        constant = a * 2.0
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        (a * 2.0).sum().backward(inputs=[constant])


def test_recorded_gradients_do_not_share_memory():
    a, b = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    seed = tg.ones(2)
    y = a + b
    with tg.no_grad():
        y.backward(seed, create_graph=True)
    with tg.no_grad():
        a.grad.mul_(2.0)
    assert a.grad.tolist() == [2.0, 2.0] and b.grad.tolist() == seed.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("recorded", [False, True])
def test_inputs_that_depend_on_each_other(recorded):
    a = tg.tensor([1.0, 2.0], requires_grad=True)
    b = a * 3.0
    c = b * b
    found = tg.autograd.grad((c * a).sum(), (a, b, c), retain_graph=True, create_graph=recorded)
    expected = [[27.0, 108.0], [6.0, 24.0], [1.0, 2.0]]
    assert [g.tolist() for g in found] == expected
    found = tg.autograd.grad((b * b * a).sum(), (b, a), create_graph=recorded)
    assert [g.tolist() for g in found] == [[6.0, 24.0], [27.0, 108.0]]


def test_inputs_within_the_graph_that_depend_on_each_other():
    a = tg.tensor([1.0, 2.0], requires_grad=True)
    b = a * 3.0
    c = b * b
    db, dc = tg.autograd.grad((c * b).sum(), (b, c), create_graph=True)
    assert db.tolist() == [27.0, 108.0] and dc.tolist() == [3.0, 6.0]
    (d2,) = tg.autograd.grad(db.sum(), a)  # of 3 b^2
    assert d2.tolist() == [54.0, 108.0]


def test_a_complex_root_needs_a_cotangent():
    a = tg.tensor(1.0 + 2.0j, requires_grad=True)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for real scalar outputs"):
        (a * a).backward()
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for real scalar outputs"):
        tg.autograd.grad(a * a, a)
    (a * a).backward(1.0 + 0.0j)
    assert a.grad.item() == np.conj(2.0 * (1.0 + 2.0j))


def test_large_values_and_gradients_begin_with_a_line_of_the_cache():
    array = np.linspace(0.0, 1.0, 5001)[1:]
    x = tg.tensor(array, requires_grad=True)
    y = np.exp(x) * 2.0
    y.sum().backward()
    found = [x.detach().numpy(), y.detach().numpy(), x.grad.numpy(), tg.grad(lambda x: np.sum(x * x))(array)]
    assert [a.ctypes.data % 64 for a in map(np.asarray, found)] == [0] * len(found)
