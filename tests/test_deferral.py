"""Nobody can tell deferred from immediate execution except by the clock: the hazards, one by one."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.tape.current import rotate
from tapegrad.tape.signature import DEFER_BYTES
from tapegrad.tape.state import local

SMALL, LARGE = 4, DEFER_BYTES // 8 + 1
SIZES = pytest.mark.parametrize("n", [SMALL, DEFER_BYTES // 16, DEFER_BYTES // 16 + 1, LARGE, 50_000])


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"], autouse=True)
def deferral(request):
    rotate(local.state)
    before = tg.set_deferral(request.param)
    yield request.param
    tg.set_deferral(before)


def pending():
    """Rows recorded and not yet run."""
    tape = local.state.tape
    return len(tape.rows) - tape.done


# --- what is deferred -------------------------------------------------------------------------------------------------


def test_small_work_waits_and_large_work_does_not(deferral):
    x, y = tg.ones(SMALL, requires_grad=True), tg.ones(LARGE, requires_grad=True)
    np.sin(x) * 2.0
    assert (pending() > 0) is deferral
    np.sin(y)
    assert pending() == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda y: y.sum().item(),
        lambda y: y.tolist(),
        lambda y: y.detach().numpy(),
        lambda y: float(y[0]),
        lambda y: bool(y[0] > 0),
        lambda y: repr(y),
        lambda y: str(y),
        lambda y: f"{y[0]:.3f}",
        lambda y: np.asarray(y.detach()),
        lambda y: y.sum().backward(),
        lambda y: tg.autograd.grad(y.sum(), y),
    ],
)
def test_asking_runs(ask):
    x = tg.ones(SMALL, requires_grad=True)
    y = np.sin(x) * 2.0
    ask(y)
    assert pending() == 0


def test_switch_returns_what_it_was(deferral):
    assert tg.set_deferral(True) is deferral
    assert tg.set_deferral(deferral) is True
    assert tg.is_deferral_enabled() is deferral


def test_switch_in_the_middle():
    x = tg.ones(SMALL, requires_grad=True)
    y = x * 3.0
    tg.set_deferral(False)
    z = y * y
    assert pending() == 0
    tg.set_deferral(True)
    (z + y).sum().backward()
    assert x.grad.tolist() == [21.0] * SMALL


def test_switch_is_noticed_by_other_threads():
    found = []

    def work():
        x = tg.ones(SMALL, requires_grad=True)
        (x * 2.0).sum().backward()
        found.append(x.grad.tolist())

    for enabled in (True, False):
        tg.set_deferral(enabled)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [[2.0] * SMALL] * 2


# --- 1. constants that change -----------------------------------------------------------------------------------------


def overwrite(c):
    c[...] = 1e6


CHANGES = {
    "assignment": overwrite,
    "in-place operator": lambda c: np.multiply(c, 1e6, out=c),
    "sort": lambda c: (c.__setitem__(0, 1e6), c.sort()),
    "fill": lambda c: c.fill(1e6),
    "through a view": lambda c: overwrite(c[::-1]),
    "through another name": lambda c: overwrite(np.asarray(memoryview(c))),
}
USES = {
    "operator": (lambda x, c: x * c, lambda x, c: c),
    "swapped operator": (lambda x, c: c * x, lambda x, c: c),
    "function": (lambda x, c: np.multiply(x, c), lambda x, c: c),
    "power": (lambda x, c: x**c, lambda x, c: c * x ** (c - 1)),
    "division": (lambda x, c: x / c, lambda x, c: 1 / c),
    "where": (lambda x, c: np.where(c > 2.0, x * c, x), lambda x, c: np.where(c > 2, c, 1)),
    "sine of the product": (lambda x, c: np.sin(x * c), lambda x, c: np.cos(x * c) * c),
    "concatenate": (lambda x, c: np.concatenate([x * c, c])[: len(c)], lambda x, c: c),
    "view": (lambda x, c: x * c[::-1][::-1], lambda x, c: c),
    "dot": (lambda x, c: x.dot(c) if hasattr(x, "dot") else x @ c, lambda x, c: c),
    "in place": (lambda x, c: (x * 1.0).mul_(c), lambda x, c: c),
    "assignment": (lambda x, c: _assigned(x, c), lambda x, c: c),
}


def _assigned(x, c):
    y = tg.zeros(len(c))
    y[:] = c
    return x * y


@SIZES
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("when", ["before it runs", "before the reverse"])
def test_constant_changes(use, when, n):
    compute, derivative = USES[use]
    c = np.linspace(1.5, 2.5, n)
    x0 = np.linspace(0.5, 1.5, n)
    x = tg.tensor(x0, requires_grad=True)
    value, slope = np.array(compute(tg.tensor(x0), c.copy()).numpy()), derivative(x0, c.copy())
    y = compute(x, c)
    if when == "before the reverse":
        y.detach().tolist()
    overwrite(c)
    y.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), value, rtol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-12)


@SIZES
@pytest.mark.parametrize("change", CHANGES)
def test_ways_of_changing(change, n):
    c = np.linspace(1.5, 2.5, n)
    x = tg.tensor(np.full(n, 2.0), requires_grad=True)
    y = x * c
    expected = c.copy()
    CHANGES[change](c)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    np.testing.assert_array_equal(y.detach().numpy(), 2 * expected)


@SIZES
def test_constant_used_twice_and_changed_between(n):
    c = np.full(n, 2.0)
    x = tg.tensor(np.full(n, 3.0), requires_grad=True)
    y = x * c
    c[:] = 5.0
    z = x * c
    c[:] = 7.0
    (y + z).sum().backward()
    assert np.all(x.grad.numpy() == 7.0)
    assert np.all((y + z).detach().numpy() == 21.0)


def test_zero_dimensional_constant_changed():
    c = np.array(2.0)
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * c
    c[...] = 100.0
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


@SIZES
def test_data_given_to_tensor_is_copied(n):
    c = np.full(n, 2.0)
    x = tg.tensor(c, requires_grad=True)
    y = x * 3.0
    c[:] = 100.0
    assert y.sum().item() == 6.0 * n
    assert x.sum().item() == 2.0 * n


# --- 2. memory that has escaped --------------------------------------------------------------------------------------


@SIZES
def test_numpy_shares_memory_both_ways(n):
    t = tg.tensor(np.full(n, 2.0))
    a = t.numpy()
    a[:] = 3.0
    y = t * 2.0
    a[:] = 4.0
    z = t * 2.0
    assert np.all(y.numpy() == 6.0) and np.all(z.numpy() == 8.0)
    t += 1.0
    assert np.all(a == 5.0)


@SIZES
def test_numpy_of_a_result(n):
    t = tg.tensor(np.full(n, 2.0))
    y = t * 3.0
    a = y.numpy()
    z = y + 1.0
    a[:] = 0.0
    assert np.all(z.numpy() == 7.0) and np.all(y.numpy() == 0.0)
    w = y + 1.0
    a[:] = 5.0
    assert np.all(w.numpy() == 1.0)


@SIZES
def test_write_into_a_tensor_is_seen_in_its_array(n):
    y = tg.tensor(np.full(n, 2.0)) * 3.0
    a = y.numpy()
    y += 1.0
    assert np.all(a == 7.0)
    y[0] = 0.0
    assert a[0] == 0.0
    v = y[1:]
    v *= 2.0
    assert np.all(a[1:] == 14.0)


@SIZES
def test_array_of_a_view(n):
    y = tg.tensor(np.full(n, 2.0)) * 3.0
    v = y[1:]
    a = v.numpy()
    z = y * 2.0
    a[:] = 0.0
    assert np.all(z.numpy() == 12.0)
    w = y * 2.0
    a[:] = 1.0
    assert w.numpy()[0] == 12.0 and np.all(w.numpy()[1:] == 0.0)


@SIZES
def test_view_taken_after_the_escape(n):
    y = tg.tensor(np.full(n, 2.0)) * 3.0
    a = y.numpy()
    v = y[1:] * 1.0
    u = y[1:]
    w = u + 1.0
    a[:] = 0.0
    assert np.all(v.numpy() == 6.0) and np.all(w.numpy() == 7.0) and np.all(u.numpy() == 0.0)


@SIZES
def test_from_numpy(n):
    a = np.full(n, 2.0)
    t = tg.from_numpy(a)
    y = t * 3.0
    a[:] = 5.0
    assert np.all(y.numpy() == 6.0) and np.all(t.numpy() == 5.0)
    z = t * 3.0
    t[:] = 1.0
    assert np.all(a == 1.0) and np.all(z.numpy() == 15.0)


@SIZES
def test_from_numpy_of_a_view(n):
    a = np.arange(2.0 * n)
    t = tg.from_numpy(a[::-2])
    y = t * 1.0
    expected = a[::-2].copy()
    t += 1.0
    np.testing.assert_array_equal(a[::-2], expected + 1.0)
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(a[::2], np.arange(0.0, 2 * n, 2))


@SIZES
def test_from_numpy_that_requires_grad(n):
    a = np.full(n, 2.0)
    t = tg.from_numpy(a).requires_grad_()
    y = (t * t).sum()
    assert y.item() == 4.0 * n
    y.backward()
    assert np.all(t.grad.numpy() == 4.0)
    with tg.no_grad():
        t -= 1.0
    assert np.all(a == 1.0)


@SIZES
def test_array_of_a_leaf_written_before_the_row_runs(n):
    t = tg.tensor(np.full(n, 2.0), requires_grad=True)
    a = t.detach().numpy()
    y = t * 3.0
    a[:] = 100.0
    assert np.all(y.detach().numpy() == 6.0)


@SIZES
def test_data_written_before_the_row_runs(n):
    t = tg.tensor(np.full(n, 2.0), requires_grad=True)
    y = t * 3.0
    t.data.fill_(100.0)
    assert np.all(y.detach().numpy() == 6.0) and np.all(t.detach().numpy() == 100.0)
    z = (t * t).sum()
    z.backward()
    assert np.all(t.grad.numpy() == 200.0)


@SIZES
def test_data_replaced(n):
    t = tg.tensor(np.full(n, 2.0), requires_grad=True)
    y = t * 3.0
    t.data = np.full(n, 100.0)
    z = t * 3.0
    assert np.all(y.detach().numpy() == 6.0) and np.all(z.detach().numpy() == 300.0)
    (y + z).sum().backward()
    assert np.all(t.grad.numpy() == 6.0)


@SIZES
def test_array_protocol(n):
    t = tg.tensor(np.full(n, 2.0))
    y = t * 3.0
    a = np.asarray(y)
    z = y * 2.0
    a[:] = 0.0
    assert np.all(z.numpy() == 12.0)
    b = np.array(y)
    b[:] = 9.0
    assert np.all(y.numpy() == 0.0)


@SIZES
def test_detached_array_of_a_saved_result(n):
    """Written behind the tape's back: as in PyTorch nobody can notice, but both modes agree."""
    t = tg.tensor(np.full(n, 2.0), requires_grad=True)
    y = np.exp(t)
    a = y.detach().numpy()
    z = (y * 2.0).sum()
    a[:] = 1.0
    z.backward()
    assert np.all(t.grad.numpy() == 2.0)


@SIZES
def test_array_outlives_its_tensor(n):
    t = tg.tensor(np.full(n, 2.0), requires_grad=True)
    a = (t * 3.0).detach().numpy()
    b = np.sin(t).detach().numpy()[1:]
    for _ in range(50):
        (t * 2.0).sum().backward()
        np.ones(n) * 7.0
    assert np.all(a == 6.0) and np.all(b == np.sin(2.0))


# --- 6. errors that need data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (lambda x: np.linalg.inv(np.zeros((2, 2)) * x[0]), np.linalg.LinAlgError),
        (lambda x: np.linalg.solve(np.zeros((2, 2)) * x[0], x[:2]), np.linalg.LinAlgError),
        (lambda x: np.linalg.cholesky(-np.eye(2) * x[0]), np.linalg.LinAlgError),
        (lambda x: x[tg.tensor([0, 9])], IndexError),
        (lambda x: x[tg.tensor([1]) + 8], IndexError),
        (lambda x: np.take(x, np.array([9])), IndexError),
        (lambda x: (x * 1.0).__setitem__(tg.tensor([9]), 0.0), IndexError),
        (lambda x: np.repeat(x, -1), ValueError),
    ],
)
def test_errors_surface_at_the_users_line(operation, error):
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = np.sin(x)
    with pytest.raises(error):
        operation(y)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos([1.0, 2.0, 3.0]))


def test_numerical_trouble_is_no_error():
    x = tg.tensor([0.0, -1.0], requires_grad=True)
    y = np.log(x) / 0.0 + np.sqrt(x)
    assert not np.any(np.isfinite(y.detach().numpy()))
    y.sum().backward()


# --- 7. aliasing ------------------------------------------------------------------------------------------------------


@SIZES
def test_order_of_reads_and_writes(n):
    t = tg.tensor(np.full(n, 2.0)) * 1.0
    a = t + 0.0
    t += 1.0
    b = t + 0.0
    t *= 10.0
    c = t + 0.0
    t[...] = 7.0
    assert [float(v.numpy()[0]) for v in (a, b, c, t)] == [2.0, 3.0, 30.0, 7.0]


@SIZES
def test_order_of_reads_and_writes_through_views(n):
    t = tg.tensor(np.arange(float(n))) * 1.0
    v = t[::-1]
    a = v + 0.0
    t += 1.0
    b = v + 0.0
    v[0] = -1.0
    c = t + 0.0
    x = np.arange(float(n))
    np.testing.assert_array_equal(a.numpy(), x[::-1])
    np.testing.assert_array_equal(b.numpy(), x[::-1] + 1)
    x += 1
    x[-1] = -1.0
    np.testing.assert_array_equal(c.numpy(), x)


@SIZES
def test_self_overlap(n):
    t = tg.tensor(np.arange(float(n))) * 1.0
    t[1:] += t[:-1]
    x = np.arange(float(n))
    x[1:] += x[:-1].copy()
    np.testing.assert_array_equal(t.numpy(), x)


@SIZES
def test_expanded_operand(n):
    t = tg.tensor(np.full(1, 2.0)) * 1.0
    e = np.broadcast_to(t, (n,))
    y = e + np.arange(float(n))
    t += 1.0
    z = e + np.arange(float(n))
    np.testing.assert_array_equal(y.numpy(), np.arange(float(n)) + 2)
    np.testing.assert_array_equal(z.numpy(), np.arange(float(n)) + 3)
    with pytest.raises(RuntimeError, match="refers to a single memory location"):
        e += 1.0


# --- the same program, with values read at every step or at the end --------------------------------------------------


@pytest.mark.parametrize("read", ["never", "always", "sometimes"])
@SIZES
def test_reading_changes_nothing(read, n):
    x = tg.tensor(np.linspace(0.1, 1.0, n), requires_grad=True)
    y, k = x, 0
    for k in range(30):
        y = np.sin(y) * 1.1 + 0.01 * k
        if read == "always" or (read == "sometimes" and k % 7 == 0):
            y.detach().sum().item()
        if k % 5 == 0:
            y *= 0.9
    y.sum().backward()
    plain, slope = np.linspace(0.1, 1.0, n), np.ones(n)
    for k in range(30):
        slope = slope * np.cos(plain) * 1.1
        plain = np.sin(plain) * 1.1 + 0.01 * k
        if k % 5 == 0:
            plain, slope = plain * 0.9, slope * 0.9
    np.testing.assert_allclose(y.detach().numpy(), plain, rtol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-10)


def test_values_are_numpys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 7)), rng.normal(size=(5, 7))
    s, t = tg.tensor(a), tg.tensor(b)
    for f in (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.sqrt, np.floor):
        args = ((s, t), (a, b)) if f.nin == 2 else ((abs(s),), (abs(a),))
        np.testing.assert_array_equal(f(*args[0]).numpy(), f(*args[1]), err_msg=f.__name__)
    for f in (np.exp, np.tanh, np.sin, np.cos):  # kernels of tapegrad's own
        np.testing.assert_array_max_ulp(f(s).numpy(), f(a), 4)
    np.testing.assert_array_equal((s @ t.T).numpy(), a @ b.T)
    np.testing.assert_array_equal(s.sum(axis=0).numpy(), a.sum(axis=0))
    np.testing.assert_array_equal(s.mean(axis=1).numpy(), a.mean(axis=1))


LAYOUTS = {
    "transposed": lambda n: np.arange(2.0 * n).reshape(n, 2).T,
    "every other": lambda n: np.arange(4.0 * n).reshape(2, 2 * n)[:, ::2],
    "backwards": lambda n: np.arange(2.0 * n).reshape(2, n)[::-1, ::-1],
    "broadcast": lambda n: np.broadcast_to(np.arange(1.0 * n), (2, n)),
}


@SIZES
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_constants_keep_their_layout_when_they_are_copied(layout, n):
    array, w = layout(n), np.array([2.0, 3.0])
    (value, product), gradient = tg.value_and_grad(lambda w: (np.sum(w @ array), w @ array), has_aux=True)(w)
    np.testing.assert_array_equal(product, w @ array)
    np.testing.assert_allclose(value, product.sum())
    np.testing.assert_allclose(gradient, array.sum(axis=1))
