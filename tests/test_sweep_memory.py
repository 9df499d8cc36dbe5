"""What a reverse sweep gives back while it is under way: large saved values and cotangents."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.autograd import engine, room
from tapegrad.vm import cotangents

SIZE = 1 << 19


def narrowing(x, steps=4):
    """Exponentials of fewer and fewer elements: on the way back, cotangents become larger and larger."""
    y = x
    for _ in range(steps):
        y = (0.1 * y).exp()
        y = y.reshape(2, -1).sum(0)
    return y


@pytest.fixture
def left(monkeypatch):
    """Saved values before and after each look at what can go."""
    seen = []

    def watched(run, state):
        before = len(run.tape.kept)
        room.drop_saved(run, state)
        seen.append((before, len(run.tape.kept)))

    monkeypatch.setattr(engine, "drop_saved", watched)
    return seen


def test_size_classes_are_those_of_compiled_code():
    python = cotangents.size_class.compiled.function
    for n in [*range(1, 3000), *(2**k + d for k in range(12, 40) for d in (-65, -64, -1, 0, 1, 64, 65))]:
        assert room.size_class(n) == python(n)


def test_saved_values_go_during_the_sweep(left):
    x = tg.tensor(np.linspace(0.0, 1.0, SIZE), requires_grad=True)
    y = narrowing(x).sum()
    y.backward()
    assert len(left) >= 2
    assert left[-1][1] < left[0][0]
    expected = tg.grad(lambda x: np.sum(narrowing(x)))(x.detach().numpy())
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_saved_values_of_a_retained_graph_stay(left):
    x = tg.tensor(np.linspace(0.0, 1.0, SIZE), requires_grad=True)
    y = narrowing(x).sum()
    y.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * first)


def test_what_another_loss_will_read_stays(left):
    x = tg.tensor(np.linspace(0.0, 1.0, SIZE), requires_grad=True)
    trunk = x.reshape(2, -1).sum(0)
    side = trunk.sin()  # saves the trunk, of which the other branch saves nothing
    y = narrowing(trunk + 1.0).sum()
    y.backward()
    first = x.grad.numpy().copy()
    side.sum().backward()
    np.testing.assert_allclose(
        (x.grad.numpy() - first)[: SIZE // 2], np.cos(trunk.detach().numpy()), rtol=1e-9, atol=1e-9
    )


def test_a_sweep_that_fails_leaves_no_row_to_read_what_has_gone(left):
    x = tg.tensor(np.linspace(0.0, 1.0, SIZE), requires_grad=True)
    w = x * 2.0
    y = narrowing(w.sin()).sum()
    w.mul_(3.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    assert left[-1][1] < left[0][0]
    assert x.grad is None
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    assert x.grad is None


@pytest.fixture
def taken(monkeypatch):
    """Bytes of each large block that a sweep takes for cotangents."""
    found = []

    def watched(nbytes):
        found.extend([nbytes] if nbytes >= room.LARGE else [])
        return room_block(nbytes)

    room_block = room.take_block
    monkeypatch.setattr(room, "take_block", watched)
    return found


def test_cotangents_of_a_chain_are_written_over_one_another(taken):
    x = tg.tensor(np.linspace(0.0, 1.0, SIZE), requires_grad=True)
    y = x * 1.0
    for _ in range(4):
        y = y.sin()
    y.sum().backward()
    assert len(taken) == 1
    expected = tg.grad(lambda x: np.sum(np.sin(np.sin(np.sin(np.sin(x * 1.0))))))(x.detach().numpy())
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("n", [3, 40, 5000])
@pytest.mark.parametrize("step", [np.sin, np.square, lambda y: y * y, lambda y: y * 2 + y, lambda y: y / (y + 1)])
def test_cotangents_that_somebody_reads_are_not_written_over(step, n):
    x = tg.tensor(np.linspace(0.5, 1.0, n), requires_grad=True)
    y = x * 1.5
    z = step(y)
    z.retain_grad()
    seen = []
    y.register_hook(lambda g: seen.append(g.numpy().copy()))
    w = np.cos(z) * z
    w.sum().backward()
    values = z.detach().numpy()
    np.testing.assert_allclose(z.grad.numpy(), np.cos(values) - values * np.sin(values), rtol=1e-12, atol=1e-14)
    plain = x.detach().numpy()
    expected = tg.grad(lambda y: np.sum(np.cos(step(y)) * step(y)))(plain * 1.5)
    np.testing.assert_allclose(seen, [expected], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(x.grad.numpy(), 1.5 * expected, rtol=1e-12, atol=1e-14)


def test_a_sweep_of_many_megabytes_finds_its_memory_ready(monkeypatch):
    """What one sweep took in small pieces, those after it take at once, and keep."""
    taken, room_block = [], room.take_block

    def watched(nbytes):
        taken.append(nbytes)
        return room_block(nbytes)

    monkeypatch.setattr(room, "take_block", watched)
    x = tg.tensor(np.linspace(0.1, 1.0, 1 << 15), requires_grad=True)
    counts = []
    for _ in range(5):
        taken.clear()
        y = x
        parts = [x.cos() * (0.1 * k) for k in range(1, 7)]  # so many cotangents live together
        while len(parts) > 1:
            y = parts.pop().exp() * parts.pop().sin()
            parts.insert(0, y)
        y.sum().backward()
        counts.append(len(taken))
    assert counts[0] > 2 and counts[1] <= 1 and counts[2:] == [0, 0, 0]
