"""Sweeps that are recorded over rows like those of one before leave the same rows, by look-up."""

from __future__ import annotations

import numpy as np
import pytest
from records import RECORDS, differentiable, orders, precise, real_parts, smooth_cases, weighted, weights_like

import tapegrad as tg
from tapegrad.autograd import api, pushforward, recorded, repeated
from tapegrad.primitives.core import ops
from tapegrad.tape.current import rotate
from tapegrad.tape.state import local
from tapegrad.values import value_of

X = np.array([0.3, -1.2, 2.0])
ROUNDS = 4  # met, learnt, and twice repeated


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(repeated, "_known", repeated._Known())
    rotate(local.state)  # a tape that shares memory with NumPy's arrays takes the long way


@pytest.fixture
def followed(monkeypatch):
    """How many sweeps were repeated."""
    counts = []
    follow = repeated._follow

    def counted(*arguments):
        counts.append(1)
        return follow(*arguments)

    monkeypatch.setattr(repeated, "_follow", counted)
    return counts


def by_rules(compute, monkeypatch):
    """What a function gives where every rule is asked."""
    with monkeypatch.context() as patch:
        for module in (recorded, pushforward, api):
            patch.setattr(module, "is_repeatable", lambda *_: False)
        return compute()


def assert_repeats(f, x, monkeypatch, followed, expected=True):
    """Second and third derivatives are, to the bit, what they are by rules; and are repeated, or are not."""

    def slope(t):
        return np.sum(tg.grad(f)(t) * np.cos(np.arange(x.size)).reshape(x.shape))

    def curve(t):
        return np.sum(tg.grad(slope)(t) ** 2)

    for g in (slope, curve):
        del followed[:]
        for k in range(ROUNDS):
            point = x * (1.0 + 0.01 * k)
            found = tg.grad(g)(point)
            assert found.tolist() == by_rules(lambda: tg.grad(g)(point), monkeypatch).tolist()  # noqa: B023
        assert bool(followed) is expected


FUNCTIONS = {
    "elementwise": lambda x: np.sum(np.sin(x) * x + np.exp(-x * x) / (x + 5.0)),
    "an operand twice": lambda x: np.sum(x * x * x),
    "a maximum": lambda x: np.max(x) * np.sum(np.maximum(x, 0.5) ** 3),
    "a choice": lambda x: np.sum(np.where(x > 0, x**3, np.sin(x))),
    "views": lambda x: x[0] * np.sum(x[1:] ** 3) + x[-1] ** 4,
    "reshaped": lambda x: np.sum((x.reshape(3, 1) * x) ** 2),
    "reshaped first": lambda x: np.sum(x.reshape(3, 1) ** 3),
    "products": lambda x: np.outer(x, x) @ x @ np.sin(x),
    "joined": lambda x: np.sum(np.concatenate([x, np.sin(x), x * x]) ** 3),
    "stacked": lambda x: np.linalg.det(np.stack([x, np.sin(x), x * x])),
    "gathered": lambda x: np.sum(x[[0, 1, 1]] ** 3 * x[[2, 2, 0]]),
    "sorted": lambda x: np.sum(np.sort(x) ** 3 * np.arange(3)),
    "in single precision": lambda x: np.sum(x.astype("f") ** 3).astype("d"),
    "an array": lambda x: np.sum(np.array([1.0, 2.0, 3.0]) * np.tanh(x) ** 2),
    "complex": lambda x: np.sum(np.abs(np.exp(1j * x) * x + 1j) ** 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_repeated_is_the_same(name, monkeypatch, followed):
    assert_repeats(FUNCTIONS[name], X, monkeypatch, followed)


@pytest.mark.parametrize("name", [n for n, r in RECORDS.items() if differentiable(r)])
def test_every_rule_repeats_itself(name, monkeypatch):
    cases = [case for case in smooth_cases(RECORDS[name]) if orders(case) >= 2 and precise(case)]
    for case in cases[:2]:
        points = real_parts(case)
        numbers, ahead = tuple(range(len(points))), [np.cos(x) for x in points]
        total = weighted(case, weights_like(case))

        def slope(*xs, total=total, numbers=numbers):
            return sum(np.sum(g * g) for g in tg.grad(total, numbers)(*xs))

        def derivatives(slope=slope, numbers=numbers, points=points, ahead=ahead):
            return [*tg.grad(slope, numbers)(*points), tg.jvp(slope, points, ahead)[1]]

        for _ in range(ROUNDS):
            found = derivatives()
        for a, b in zip(found, by_rules(derivatives, monkeypatch), strict=True):
            np.testing.assert_array_equal(a, b, str(case))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tangents_are_repeated(name, monkeypatch, followed):
    f = FUNCTIONS[name]
    for k in range(ROUNDS):
        point = X * (1.0 + 0.01 * k)
        found = tg.jvp(tg.grad(f), (point,), (X - 0.5,))[1]
        assert found.tolist() == by_rules(lambda: tg.jvp(tg.grad(f), (point,), (X - 0.5,)), monkeypatch)[1].tolist()  # noqa: B023
    assert followed


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians_are_repeated(name, graph, monkeypatch, followed):
    f = FUNCTIONS[name]
    for k in range(ROUNDS):
        x = tg.tensor(X * (1.0 + 0.01 * k), requires_grad=True)

        def derivatives(x=x):
            second = tg.autograd.functional.hessian(f, x, create_graph=graph)
            return [second, *(tg.autograd.grad((second**2).sum(), x) if second.requires_grad else [])]

        for a, b in zip(derivatives(), by_rules(derivatives, monkeypatch), strict=True):
            assert a.tolist() == b.tolist() and (a._base is None) is (b._base is None)
    assert followed


def test_views_that_are_not_recorded_know_it(followed):
    for _ in range(ROUNDS):
        x = tg.tensor(np.stack([X, X]), requires_grad=True) * 1.0
        y = x.sum(0) ** 2
        seeds = tg.tensor(np.eye(3))
        (g,) = tg.autograd.grad(y, x, seeds, retain_graph=True, is_grads_batched=True)
        assert g.shape == (3, 2, 3) and g[1, 0].tolist() == [0.0, 4 * X[1], 0.0]
        assert g._base is not None and g._unrecorded and not g.requires_grad
    assert followed


def test_the_rules_are_not_asked_again(monkeypatch):
    f = FUNCTIONS["elementwise"]
    for _ in range(2):
        tg.grad(lambda x: np.sum(tg.grad(f)(x)))(X)
        tg.jvp(tg.grad(f), (X,), (X - 0.5,))
    monkeypatch.setattr(recorded, "row_cotangents", None)  # which would be called
    monkeypatch.setattr(pushforward, "direct_tangent", None)
    tg.grad(lambda x: np.sum(tg.grad(f)(x)))(X)
    tg.jvp(tg.grad(f), (X,), (X - 0.5,))


def test_a_gradient_in_a_loop(monkeypatch, followed):
    def descend(x, steps):
        y = x
        for _ in range(steps):
            y = y - 0.01 * tg.grad(lambda y: np.sum((y - x) ** 4) + np.sum(np.cos(y * x)))(y)
        return np.sum(y * y)

    expected = by_rules(lambda: tg.grad(descend)(X, 30), monkeypatch)
    assert tg.grad(descend)(X, 30).tolist() == expected.tolist()
    assert len(followed) == 28


def test_a_loop_over_several_tapes(monkeypatch):
    def descend(x):
        y = x
        for _ in range(400):
            y = y - 0.01 * tg.grad(lambda y: np.sum((y - x) ** 4) + np.sum(np.cos(y * x)))(y)
        return np.sum(y * y)

    expected = by_rules(lambda: tg.grad(descend)(X), monkeypatch)  # where tapes end, sums are added in another order
    np.testing.assert_allclose(tg.grad(descend)(X), expected, rtol=1e-14)


def test_sums_are_added_in_the_order_of_recording(monkeypatch):
    def early(x):
        a, b, c = x * 1e16, x * -1e16, x * 1.0
        return np.sum(a + b + c)

    def late(x):
        c, b, a = x * 1.0, x * -1e16, x * 1e16
        return np.sum(a + b + c)

    for _ in range(ROUNDS):
        for f in (early, late):

            def twice(x, f=f):
                return np.sum(tg.grad(f)(x) * x * x)

            expected = by_rules(lambda: tg.grad(twice)(X), monkeypatch)
            assert tg.grad(twice)(X).tolist() == expected.tolist()


# --- leaves ---------------------------------------------------------------------------------------------------


def penalty(x, w):
    """A penalty on the gradient: of leaves, as in PyTorch."""
    loss = ((x @ w).tanh() ** 2).sum()
    slopes = tg.autograd.grad(loss, (x, w), create_graph=True)
    (loss + sum((g * g).sum() for g in slopes)).backward()
    return [x.grad.numpy().copy(), w.grad.numpy().copy()]


def test_gradients_of_leaves(monkeypatch, followed):
    def compute(k):
        x = tg.tensor(X.reshape(1, 3) + k, requires_grad=True)
        return penalty(x, tg.tensor(np.outer(X, X), requires_grad=True))

    for k in range(ROUNDS):
        for found, expected in zip(compute(k), by_rules(lambda: compute(k), monkeypatch), strict=True):  # noqa: B023
            assert found.tolist() == expected.tolist()
    assert len(followed) == ROUNDS - 2


def test_a_leaf_that_leads_through_another_tape(monkeypatch):
    for _ in range(ROUNDS):
        x = tg.tensor(X, requires_grad=True)
        y = x**3
        y.sum().backward(retain_graph=True)  # rows of what follows may stand on another tape
        z = tg.tensor(X, requires_grad=True)
        _ = z * 1.0
        (g,) = tg.autograd.grad((y * x * z).sum(), x, create_graph=True)
        (h,) = tg.autograd.grad((g * g).sum(), x)
        np.testing.assert_allclose(g.detach().numpy(), 4 * X**4)
        np.testing.assert_allclose(h.numpy(), 96 * X**7)


def test_backward_with_a_graph(followed):
    for _ in range(ROUNDS):
        x = tg.tensor(X, requires_grad=True)
        (x**4).sum().backward(create_graph=True)
        g, x.grad = x.grad, None
        (g * g).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), 2 * 4 * X**3 * 12 * X**2)
    assert followed


def test_unused_inputs():
    for _ in range(ROUNDS):
        x, z = tg.tensor(X, requires_grad=True), tg.tensor(X, requires_grad=True)
        y = x * 2.0 + 0.0 * z.detach()
        w = z * 3.0
        g, none = tg.autograd.grad((y * y).sum(), (x, w), create_graph=True, allow_unused=True)
        assert none is None and g.tolist() == (8 * X).tolist()


# --- what is attached, and what was written ---------------------------------------------------------------------


def test_hooks_are_called():
    seen = []
    for k in range(ROUNDS + 1):
        x = tg.tensor(X, requires_grad=True)
        y = x * x
        if k == ROUNDS:
            y.register_hook(lambda g: seen.append(g.tolist()))
            x.register_hook(lambda g: g * 2.0)
        (g,) = tg.autograd.grad((y * y).sum(), x, create_graph=True)
    assert seen == [(2 * X**2).tolist()]
    np.testing.assert_allclose(g.detach().numpy(), 8 * X**3)


def test_gradients_are_retained():
    for k in range(ROUNDS + 1):
        x = tg.tensor(X, requires_grad=True)
        y = x * x
        if k == ROUNDS:
            y.retain_grad()
        (y * y).sum().backward(create_graph=True)
    np.testing.assert_allclose(y.grad.detach().numpy(), 2 * X**2)


def test_what_was_overwritten_is_refused():
    for k in range(ROUNDS + 1):
        x = tg.tensor(X, requires_grad=True)
        y = x * 1.0
        z = (y * y).sum()
        if k == ROUNDS:
            y += 1.0
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                tg.autograd.grad(z, x, create_graph=True)
        else:
            tg.autograd.grad(z, x, create_graph=True)


def test_what_others_have_written_does_not_matter(followed):
    for k in range(ROUNDS):
        x = tg.tensor(X, requires_grad=True)
        y = x * 1.0
        y.mul_(2.0)
        (g,) = tg.autograd.grad((x**3).sum(), x, create_graph=True)
        (h,) = tg.autograd.grad((y * g).sum(), x, create_graph=True)
        np.testing.assert_allclose(h.tolist(), 18 * X**2)
        assert len(followed) == max(0, k - 1)


def test_gradients_that_are_views_know_it(followed):
    for _ in range(ROUNDS):
        x = tg.tensor(np.stack([X, X]), requires_grad=True) * 1.0
        total = x.sum(0)
        g, h = tg.autograd.grad((total**2).sum(), (x, total), create_graph=True)
        assert g._base is h and h.tolist() == (4 * X).tolist()
    assert followed
    with pytest.raises(RuntimeError, match="single memory location"):
        g += 1.0
    h += 1.0
    assert g.tolist() == [(4 * X + 1.0).tolist()] * 2


def test_writing_to_a_gradient_leaves_others_as_they_are():
    for _ in range(ROUNDS):
        x = tg.tensor(X, requires_grad=True)
        (g,) = tg.autograd.grad((x * x).sum(), x, create_graph=True)
        with tg.no_grad():
            g.fill_(7.0)
        total = tg.tensor(X[0], requires_grad=True)
        (one,) = tg.autograd.grad(total * 1.0 + 0.0, total, create_graph=True)
        assert one.tolist() == 1.0


def test_a_rule_that_looks_at_values_is_asked_each_time(monkeypatch, followed):
    inner = ops.sin.transpose_at

    def transpose_at(y_bar, y, xs, wanted, attrs):
        factor = 1.0 if float(value_of(xs[0]).sum()) > 0 else -1.0
        return [None if bar is None else bar * factor for bar in inner(y_bar, y, xs, wanted, attrs)]

    monkeypatch.setattr(ops.sin, "transpose_at", transpose_at)
    for sign in (1.0, 1.0, 1.0, -1.0):
        x = tg.tensor(sign * np.abs(X), requires_grad=True)
        (g,) = tg.autograd.grad(np.sin(x).sum(), x, create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), sign * np.cos(X))
    assert not followed


def test_what_is_forgotten_is_learnt_again(monkeypatch, followed):
    monkeypatch.setattr(repeated, "MOST_KNOWN", 4)
    for n in (2, 3, 4, 5, 4, 4, 4):
        point = np.linspace(0.5, 1.0, n)
        found = tg.grad(lambda x: np.sum(tg.grad(lambda y: np.sum(y**4))(x)))(point)
        np.testing.assert_allclose(found, 12 * point**2)
    assert followed and len(repeated._known) <= 2


def test_without_deferral(followed):
    before = tg.set_deferral(False)
    try:
        for _ in range(ROUNDS):
            tg.grad(lambda x: np.sum(tg.grad(FUNCTIONS["elementwise"])(x)))(X)
    finally:
        tg.set_deferral(before)
    assert not followed


def test_large_arrays_are_left_to_rules(followed):
    x = np.linspace(0.1, 1.0, 100_000)
    for _ in range(ROUNDS):
        found = tg.grad(lambda x: np.sum(tg.grad(lambda y: np.sum(y**3))(x)))(x)
        np.testing.assert_allclose(found, 6 * x)
    assert not followed
