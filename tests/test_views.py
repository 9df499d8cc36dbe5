"""Rules that cannot stand alone, tested where they work: windows in the recorded reverse, and written views."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.primitives.core import RECORDS


def planted(monkeypatch, name, factor):
    record = RECORDS[name]
    rule = record.pullback

    def faulty(*args, **attrs):
        bars = rule(*args, **attrs)
        return tuple(b * factor for b in bars) if isinstance(bars, tuple) else bars * factor

    monkeypatch.setattr(record, "pullback", faulty)


def curvature(x):
    """Gradient of a gradient through views: the inner sweep is recorded, so it uses the rule of `view`."""

    def f(x):
        return np.sum(x[1:] ** 3 * x[:-1]) + np.sum(x.reshape(2, 2).T[0] ** 3)

    return tg.grad(lambda x: np.sum(tg.grad(f)(x) * np.arange(1.0, 5.0)))(x)


def numeric_curvature(x, step=1e-5):
    def f(x):
        return 3 * x[1:] ** 2 * x[:-1], x[1:] ** 3, x

    def slope(x):
        g = np.zeros_like(x)
        a, b, _ = f(x)
        g[1:] += a
        g[:-1] += b
        g[[0, 2]] += 3 * x[[0, 2]] ** 2
        return np.sum(g * np.arange(1.0, 5.0))

    eye = np.eye(len(x))
    return np.array([(slope(x + step * e) - slope(x - step * e)) / (2 * step) for e in eye])


def test_recorded_reverse_of_views():
    x = np.array([0.5, -1.2, 0.8, 1.5])
    np.testing.assert_allclose(curvature(x), numeric_curvature(x), rtol=1e-7)


@pytest.mark.parametrize("factor", [1.01, -1.0])
def test_fault_in_the_rule_of_views_is_found(monkeypatch, factor):
    x = np.array([0.5, -1.2, 0.8, 1.5])
    planted(monkeypatch, "view", factor)
    assert not np.allclose(curvature(x), numeric_curvature(x), rtol=1e-4)


def written(shape):
    """A view is overwritten by a function of two leaves; gradients and their closed form."""
    a = tg.tensor(np.linspace(0.5, 1.5, 4).reshape(shape), requires_grad=True)
    w = tg.tensor(np.array([2.0, 3.0]), requires_grad=True)
    b = a * 2.0
    b.reshape(4)[1:3] = w * w
    (b**2).sum().backward()
    outside = 8 * np.linspace(0.5, 1.5, 4)
    outside[1:3] = 0
    return (a.grad.numpy().ravel(), w.grad.numpy()), (outside, 4 * np.array([2.0, 3.0]) ** 3)


@pytest.mark.parametrize("shape", [(4,), (2, 2), (4, 1)])
def test_written_view(shape):
    found, expected = written(shape)
    for g, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(g, e)


@pytest.mark.parametrize("factor", [1.01, -1.0])
def test_fault_in_the_rule_of_written_views_is_found(monkeypatch, factor):
    planted(monkeypatch, "copy_slices", factor)
    size = 5
    a = tg.tensor(np.linspace(0.5, 1.5, size), requires_grad=True)
    w = tg.tensor(np.array([2.0, 3.0]), requires_grad=True)
    b = a * 2.0
    b[1:3] = w * w
    (b**2).sum().backward(create_graph=True)
    assert not np.allclose(w.grad.detach().numpy(), 4 * np.array([2.0, 3.0]) ** 3, rtol=1e-4)
    assert not np.allclose(a.grad.detach().numpy()[3:], 8 * np.linspace(0.5, 1.5, size)[3:], rtol=1e-4)


def test_windows_written_by_the_hundred_need_no_signatures_of_their_own():
    """The offset of what was written stands in the row: a loop over elements makes two new signatures, not hundreds."""
    from tapegrad.tape.signature import by_index

    def fill(x, n):
        out = tg.zeros(n)
        for k in range(n):
            out[k] = x[k % 3] * 2.0
        (out * out).sum().backward()
        return x.grad.numpy()

    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    fill(x, 301)
    before = len(by_index)
    x.grad = None
    np.testing.assert_array_equal(fill(x, 302), 8 * np.array([1, 2, 3]) * [101, 101, 100])
    assert len(by_index) - before < 20


def test_views_of_what_was_out_of_date_are_not_remembered_as_such():
    """Taking a view of a view whose base has got a gradient since gives it that gradient; the next ones are without."""

    def plain():
        base = tg.tensor(0.25)
        y = np.sin(base)[None]
        y.add_(0.5)
        y[...] += 0.5
        return y.requires_grad, np.sum(y[...]).requires_grad

    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        base = tg.zeros(1)
        late, other = base[...], base[...]
        base[0] = x[0]
        assert late[...].requires_grad and np.sum(other, axis=0).requires_grad
        assert plain() == (False, False)


def test_tape_that_ends_in_a_loop_of_writes():
    """Rows of the tape before know of the memory, and have been told: the next writes need no thought again."""
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    out = tg.zeros(50)
    y = x[1] * 3.0
    tapes = set()
    for k in range(5000):
        out[k % 50] = y
        tapes.add(out._tape)
    assert len(tapes) > 1 and out._buffer.quiet is out._tape
    (out * out).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 50 * 2 * 6.0 * 3, 0])


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 4)])
def test_window_of_a_cotangent_that_others_read(shape, retain):
    """The sweep sets windows of cotangents to zero: of its own, or of copies where somebody else reads them."""
    a = tg.tensor(np.sin(np.arange(np.prod(shape)) + 1.0).reshape(shape), requires_grad=True)
    w = tg.tensor(np.array(1.5), requires_grad=True)
    b = a * 2.0
    b[..., 1:3] = w * w
    if retain:
        b.retain_grad()
    whole = b * b
    (whole.sum() + b.sum()).backward(retain_graph=True)
    expected = 2 * b.detach().numpy() + 1
    inside = np.zeros(shape, bool)
    inside[..., 1:3] = True
    np.testing.assert_allclose(a.grad.numpy(), np.where(inside, 0, 2 * expected))
    np.testing.assert_allclose(w.grad.numpy(), 2 * 1.5 * expected[inside].sum())
    if retain:
        np.testing.assert_allclose(b.grad.numpy(), expected)
    seed = np.cos(np.arange(b.detach().numpy().size)).reshape(shape)
    given = seed.copy()
    a.grad = w.grad = None
    b.backward(tg.tensor(seed))
    np.testing.assert_array_equal(seed, given)
    np.testing.assert_allclose(a.grad.numpy(), np.where(inside, 0, 2 * seed))
    np.testing.assert_allclose(w.grad.numpy(), 2 * 1.5 * seed[inside].sum())


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("ufunc", [np.isnan, np.isinf, np.isfinite, np.signbit], ids=lambda u: u.__name__)
def test_numbers_are_told_from_nan_at_any_stride(ufunc, char):
    """NumPy's own loops are wrong where 16 results or more do not lie side by side."""
    a = np.random.default_rng(0).normal(size=(6, 66)).astype(char)
    a[::2, ::3], a[1::2, 1::3], a[::3, 2::3] = np.nan, -np.inf, -0.0
    x = tg.tensor(a)
    for view, expected in ((x.T, a.T), (x[::2].T, a[::2].T), (x[:, ::2].T, a[:, ::2].T), (x.T[::-1], a.T[::-1])):
        np.testing.assert_array_equal(ufunc(view).numpy(), ufunc(np.ascontiguousarray(expected)))
    y = tg.zeros(66, 2, dtype=bool)
    ufunc(x[0], out=y[:, 1])
    np.testing.assert_array_equal(y[:, 1].numpy(), ufunc(a[0]))
    step = tg.compile(lambda x: ufunc(x.T) * 1.0)
    np.testing.assert_array_equal(step(a), ufunc(np.ascontiguousarray(a.T)))
