"""Hooks beside what the differential programs show: large arrays, many tapes, memory, the profiler."""

from __future__ import annotations

import threading
import weakref

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.tape.current import rotate
from tapegrad.tape.state import local


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"], autouse=True)
def deferral(request):
    rotate(local.state)
    before = tg.set_deferral(request.param)
    yield request.param
    tg.set_deferral(before)


def network(n, hooked=(), seed=0):
    """Gradients of a chain of layers, with hooks that change nothing on some of its tensors."""
    rng = np.random.default_rng(seed)
    x = tg.tensor(rng.standard_normal(n), requires_grad=True)
    w = tg.tensor(rng.standard_normal(n), requires_grad=True)
    seen = []
    h = x
    tensors = []
    for k in range(6):
        h = np.tanh(h * w + 0.1)
        tensors.append(h)
        if k % 2:
            h = h[: n - 1] if k == 1 else h + h[:1]
            tensors.append(h)
            if k == 1:
                h = np.concatenate([h, h[:1]])
                tensors.append(h)
    for k in hooked:
        tensors[k].register_hook(lambda g, k=k: seen.append((k, g.numpy().copy())))
    (h * h).sum().backward()
    return x.grad.numpy(), w.grad.numpy(), seen


@pytest.mark.parametrize("n", [3, 50_000])
@pytest.mark.parametrize("hooked", [(0,), (2, 3), (1, 4, 7), tuple(range(10))])
def test_hooks_that_return_nothing_change_nothing(n, hooked):
    plain = network(n)
    x_bar, w_bar, seen = network(n, hooked)
    np.testing.assert_allclose(x_bar, plain[0], rtol=1e-12)
    np.testing.assert_allclose(w_bar, plain[1], rtol=1e-12)
    assert [k for k, _ in seen] == sorted(hooked, reverse=True)
    for k, g in seen:  # each gradient, by itself
        (alone,) = [bar for j, bar in network(n, (k,))[2] if j == k]
        np.testing.assert_allclose(g, alone, rtol=1e-12)


def test_hooks_on_several_tapes():
    x = tg.tensor(1.5, requires_grad=True)
    y, calls = x, []
    for k in range(30):
        y = y * 1.01 + 0.1 * x
        y.register_hook(lambda g, k=k: calls.append(k))
        if k % 7 == 0:
            rotate(local.state)
    y.backward()
    assert calls == list(range(29, -1, -1))
    slope = 1.0
    for _ in range(30):
        slope = slope * 1.01 + 0.1
    np.testing.assert_allclose(x.grad.item(), slope)


def test_a_hook_may_keep_and_change_what_it_got():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    kept = []
    y = x * 3
    y.register_hook(kept.append)
    x.register_hook(kept.append)
    y.sum().backward()
    for g in kept:
        g.numpy()[:] = 77
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])


def test_hooks_do_not_keep_tensors_alive():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: g)
    alive = weakref.ref(y)
    z = y.sum()
    del y
    assert alive() is None
    z.backward()


def test_hooks_inside_transformations():
    def f(x):
        y = x * 2
        y.register_hook(lambda g: g * 10)
        return np.sum(y * y)

    np.testing.assert_array_equal(tg.grad(f)(np.ones(2)), [80, 80])
    step = tg.compile(tg.grad(f))
    for x in (np.ones(2), np.arange(2.0)):
        np.testing.assert_array_equal(step(x), 80 * x)


def test_a_hook_is_refused_if_it_cannot_be_called():
    with pytest.raises(TypeError, match="must be callable, not int"):
        tg.tensor([1.0], requires_grad=True).register_hook(3)


def test_packed_values_are_let_go():
    """What was packed to something small is not kept beside it."""
    x = tg.tensor(np.linspace(0, 1, 100_000), requires_grad=True)
    alive = []

    def pack(t):
        return t.numpy().astype(np.float32)

    with tg.autograd.graph.saved_tensors_hooks(pack, lambda a: tg.tensor(a, float)):
        y = x
        for _ in range(3):
            y = np.exp(y * 0.1)
            alive.append(weakref.ref(y._memory))
        y = y.sum()
    assert [a() for a in alive] == [None, None, None]
    y.backward()
    v, slope = np.linspace(0, 1, 100_000), 1.0
    for _ in range(3):
        v = np.exp(v * 0.1)
        slope = slope * 0.1 * v
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-6)


def test_unpacking_to_another_shape_is_refused():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with tg.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t[:1]):
        y = np.exp(x).sum()
    with pytest.raises(RuntimeError, match="must give back what was packed"):
        y.backward()


def test_the_profiler_counts_rows():
    x = tg.tensor(np.ones((20, 20)), requires_grad=True)
    y = np.tanh(x @ x * 2 + np.tanh(x)).sum()
    with tg.autograd.profiler.profile() as report:
        y.backward()
    counts = {event.key: event.count for event in report.key_averages()}
    assert counts == {
        "TanhBackward0": 2, "MmBackward0": 1, "MulBackward0": 1, "AddBackward0": 1, "SumBackward0": 1,
    }  # fmt: skip
    assert all(event.cpu_time_total > 0 for event in report.key_averages())
    assert {event.key: event.memory for event in report.key_averages()}["TanhBackward0"] == 2 * 3200
    lines = report.table(sort_by="count", row_limit=2).splitlines()
    assert len(lines) == 3 and lines[1].startswith("TanhBackward0")
    with pytest.raises(ValueError, match="sort_by must be"):
        report.table(sort_by="name")
    before = x.grad.numpy().copy()
    x.grad = None
    np.tanh(x @ x * 2 + np.tanh(x)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), before)


def test_a_graph_with_hooks_and_functions_is_swept_in_another_thread():
    class Cube(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    x, seen, errors = tg.tensor([1.0, 2.0], requires_grad=True), [], []
    y = np.exp(Cube.apply(x * 2) * 0.01)
    y.register_hook(lambda g: seen.append((g * 2).numpy().copy()))
    loss = (y * y).sum()

    def sweep():
        try:
            loss.backward()
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=sweep)
    worker.start()
    worker.join()
    assert not errors
    v = np.exp(8 * np.array([1.0, 8.0]) * 0.01)
    np.testing.assert_allclose(seen, [4 * v])
    np.testing.assert_allclose(x.grad.numpy(), 2 * v * v * 0.01 * 3 * 4 * np.array([1.0, 4.0]) * 2)


def test_modes_and_observers_belong_to_a_thread():
    seen = []

    def other():
        x = tg.tensor([2.0], requires_grad=True)
        seen.append((tg.is_inference_mode_enabled(), (x * x).requires_grad, len(packed)))

    packed = []
    with tg.inference_mode():
        worker = threading.Thread(target=other)
        worker.start()
        worker.join()
    with tg.autograd.graph.saved_tensors_hooks(packed.append, lambda t: t):
        worker = threading.Thread(target=other)
        worker.start()
        worker.join()
    assert seen == [(False, True, 0), (False, True, 0)]


def test_a_failing_hook_leaves_everything_as_it_was():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = np.exp(x)
    handle = y.register_hook(lambda g: 1 / 0)
    loss = (y * y).sum()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            loss.backward()
    assert x.grad is None
    handle.remove()
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([2.0, 4.0]))
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


def test_a_hook_of_a_view_sees_uses_before_a_write_through_it():
    """As PyTorch has it: the write goes from the base to the base, past the view as it was."""
    seen = []
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    view = y[1:]
    view.register_hook(lambda g: seen.append(g.tolist()))
    before = (view * 3).sum()
    for _ in range(2):
        view.mul_(2.0)
    ((view * view).sum() + before).backward()
    assert seen == [[3.0, 3.0]]
    np.testing.assert_allclose(x.grad.numpy(), [0, 2 * (3 + 32 * 4), 2 * (3 + 32 * 6)])


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_may_write_to_the_gradient_of_a_loss(create_graph):
    """Which begins as a one that all losses share."""

    def gradient(hook=None):
        x = tg.tensor([2.0, 3.0], requires_grad=True)
        y = (x * x).sum()
        if hook is not None:
            y.register_hook(hook)
        y.backward(create_graph=create_graph)
        return x.grad.tolist()

    assert gradient(lambda grad: grad.mul_(2.0)) == [8.0, 12.0]
    assert gradient() == [4.0, 6.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_of_a_leaf_with_respect_to_itself_may_be_written(create_graph):
    for _ in range(2):
        z = tg.tensor(1.0, requires_grad=True)
        z.backward(create_graph=create_graph)
        assert z.grad.item() == 1.0
        with tg.no_grad():
            z.grad.mul_(5.0)
        assert z.grad.item() == 5.0
