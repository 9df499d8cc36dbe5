"""`autograd.Function` beside what PyTorch has: in transformations, compiled, in forward mode, on arrays."""

from __future__ import annotations

import gc
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


class Cube(tg.autograd.Function):
    """Written with tensors, so that it can be compiled and differentiated again."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class Foreign(tg.autograd.Function):
    """Written with plain arrays, of which tapegrad sees nothing."""

    @staticmethod
    def forward(ctx, x):
        ctx.x = x.detach().numpy()
        return np.sinh(ctx.x)

    @staticmethod
    def backward(ctx, g):
        return g.numpy() * np.cosh(ctx.x)


class Pair(tg.autograd.Function):
    @staticmethod
    def forward(ctx, a, b, k):
        ctx.k = k
        ctx.save_for_backward(a, b)
        ctx.save_for_forward(a, b)
        return a * b, k * a

    @staticmethod
    def backward(ctx, g, h):
        a, b = ctx.saved_tensors
        return g * b + ctx.k * h, g * a, None

    @staticmethod
    def jvp(ctx, a_dot, b_dot, k_dot):
        assert k_dot is None
        a, b = ctx.saved_tensors
        return a_dot * b + a * b_dot, ctx.k * a_dot


X = np.array([0.5, -1.5])


@pytest.mark.parametrize("function, slope", [(Cube, 3 * X**2), (Foreign, np.cosh(X))])
def test_gradient_of_a_numpy_function(function, slope):
    def f(x):
        return np.sum(np.sin(2 * function.apply(x)))

    y = X**3 if function is Cube else np.sinh(X)
    np.testing.assert_allclose(tg.grad(f)(X), 2 * np.cos(2 * y) * slope)


def test_second_and_third_derivative():
    def f(x):
        return np.sum(Cube.apply(x) * x)

    first = tg.grad(f)
    second = tg.grad(lambda x: np.sum(first(x)))
    third = tg.grad(lambda x: np.sum(second(x)))
    np.testing.assert_allclose(first(X), 4 * X**3)
    np.testing.assert_allclose(second(X), 12 * X**2)
    np.testing.assert_allclose(third(X), 24 * X)


def test_vjp_may_be_pulled_back_again_and_again():
    y, pullback = tg.vjp(lambda x: Cube.apply(x) * 2, X)
    np.testing.assert_allclose(y, 2 * X**3)
    for _ in range(2):
        np.testing.assert_allclose(pullback(np.ones(2))[0], 6 * X**2)


def test_forward_mode_transposes_the_backward():
    y, y_dot = tg.jvp(lambda x: np.exp(Cube.apply(x)) * x, (X,), (np.array([1.0, 2.0]),))
    e = np.exp(X**3)
    np.testing.assert_allclose(y, e * X)
    np.testing.assert_allclose(y_dot, (e * 3 * X**3 + e) * [1, 2])


def test_forward_mode_by_jvp():
    def f(a, b):
        y, z = Pair.apply(a, b, 3.0)
        return y * z

    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    _, y_dot = tg.jvp(f, (a, b), (np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    np.testing.assert_allclose(y_dot, [6 * a[0] * b[0], 3 * a[1] ** 2])
    np.testing.assert_allclose(tg.grad(lambda a: np.sum(f(a, b)))(a), 6 * a * b)


def test_compiled_and_replayed_at_other_points():
    calls = []

    class Counted(Cube):
        @staticmethod
        def forward(ctx, x):
            calls.append(1)
            return Cube.forward(ctx, x)

    def f(x):
        y = np.sin(x)
        return np.sum(Counted.apply(y) * Counted.apply(x)) + np.sum(y)

    step = tg.compile(tg.value_and_grad(f))
    for shift in (0.0, 0.5, 1.0):
        x = X + shift
        value, slope = step(x)
        s, c = np.sin(x), np.cos(x)
        np.testing.assert_allclose(value, np.sum(s**3 * x**3) + np.sum(s))
        np.testing.assert_allclose(slope, 3 * s**2 * c * x**3 + s**3 * 3 * x**2 + c)
    assert len(calls) == 2, "the forward is recorded once"


def test_compiled_with_several_results():
    def f(a, b):
        y, z = Pair.apply(a, b, 2.0)
        return np.sum(y * z)

    step = tg.compile(tg.grad(f, argnums=(0, 1)))
    for a in (np.array([1.0, 2.0]), np.array([-1.0, 0.5])):
        b = a + 1
        ga, gb = step(a, b)
        np.testing.assert_allclose(ga, 4 * a * b)
        np.testing.assert_allclose(gb, 2 * a * a)


def test_a_function_on_plain_arrays_runs_uncompiled():
    step = tg.compile(tg.grad(lambda x: np.sum(Foreign.apply(x))))
    with pytest.warns(RuntimeWarning, match="asks for a value while it is recorded"):
        np.testing.assert_allclose(step(X), np.cosh(X))
    np.testing.assert_allclose(step(X + 1), np.cosh(X + 1))


def test_results_in_a_container_would_lose_their_gradient():
    class Listed(Cube):
        @staticmethod
        def forward(ctx, x):
            return [x * 2]

    with pytest.raises(TypeError, match="return a tensor or a tuple of tensors"):
        Listed.apply(tg.tensor([1.0], requires_grad=True))


def test_it_is_not_instantiated():
    with pytest.raises(RuntimeError, match=r"call Cube\.apply"):
        Cube()


def test_the_version_error_names_the_line_of_the_write():
    b = tg.tensor([1.0], requires_grad=True) * 1
    y = Cube.apply(b)
    b.add_(1)
    with pytest.raises(RuntimeError, match=r"needed by CubeBackward\)\. It was written at .*test_function\.py:\d+"):
        y.backward()


def test_a_saved_result_makes_no_circle():
    class Root(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = np.sqrt(x)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g / (2 * y)

    x = tg.tensor([4.0], requires_grad=True)
    y = Root.apply(x)
    call = weakref.ref(y.grad_fn)
    gc.collect()
    gc.disable()
    try:
        y.backward()
        del y
        assert call() is None
    finally:
        gc.enable()
    assert x.grad.item() == 0.25


def test_unvisited_calls_keep_what_they_saved():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = Cube.apply(x)
    z = (y * y).sum()
    (g,) = tg.autograd.grad(z, y)
    y.backward(g)
    np.testing.assert_allclose(x.grad.numpy(), 6 * np.array([1.0, 2.0]) ** 5)


def test_calls_on_two_branches_and_many_tapes():
    x = tg.tensor(0.3, requires_grad=True)
    y = x
    for k in range(50):
        y = Cube.apply(y) + (y if k % 2 else x * y)
        rotate(local.state)
    y.backward()
    v, slope = 0.3, 1.0
    for k in range(50):
        v, slope = (
            v**3 + (v if k % 2 else 0.3 * v),
            3 * v * v * slope + (slope if k % 2 else v + 0.3 * slope),
        )
    np.testing.assert_allclose(x.grad.item(), slope)


def test_small_calls_lie_between_the_rows_of_one_tape(deferral):
    tape = local.state.tape
    x = tg.tensor(X / 4, requires_grad=True)
    y = x
    for _ in range(40):
        y = Cube.apply(y) * 0.5 + x
    assert (local.state.tape is tape) == deferral
    y.sum().backward()
    slope, value = 1.0, X / 4
    for _ in range(40):
        slope, value = 1.5 * value**2 * slope + 1.0, 0.5 * value**3 + X / 4
    np.testing.assert_allclose(x.grad.numpy(), slope)


@pytest.mark.parametrize("n", [3, 20_000])
@pytest.mark.parametrize("between", [1, 70])
def test_rows_between_calls_and_large_arrays(n, between):
    x = tg.tensor(np.linspace(0.1, 0.2, n), requires_grad=True)
    y = x
    for _ in range(3):
        y = Cube.apply(y)
        for _ in range(between):
            y = y * 1.01 + 0.01
    y.sum().backward(retain_graph=True)
    first = x.grad.numpy().copy()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * first)
    z = tg.tensor(np.linspace(0.1, 0.2, n), requires_grad=True)
    w = z
    for _ in range(3):
        w = w * w * w
        for _ in range(between):
            w = w * 1.01 + 0.01
    w.sum().backward()
    np.testing.assert_allclose(first, z.grad.numpy(), rtol=1e-12)


def test_retained_hooked_and_asked_for():
    x = tg.tensor(X, requires_grad=True)
    a = x * 2
    b = Cube.apply(a)
    c = b * 3
    b.retain_grad()
    seen = []
    b.register_hook(lambda g: seen.append(g.numpy().copy()))
    b.grad_fn.register_hook(lambda gi, go: (gi[0] * 2,))
    for wanted in ([x], [a, b], [x, c]):
        found = tg.autograd.grad(c.sum(), wanted, retain_graph=True)
        known = {id(x): 36 * (2 * X) ** 2, id(a): 18 * (2 * X) ** 2, id(b): np.full(2, 3.0), id(c): np.ones(2)}
        for g, t in zip(found, wanted, strict=True):
            np.testing.assert_allclose(g.numpy(), known[id(t)])
    c.sum().backward()
    assert seen and all(np.array_equal(g, np.full(2, 3.0)) for g in seen)
    np.testing.assert_allclose(x.grad.numpy(), 36 * (2 * X) ** 2)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        c.sum().backward()


def test_a_backward_may_sweep():
    class Inner(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.detach() * 2

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            with tg.enable_grad():
                z = x.detach().requires_grad_()
                (z * z).sum().backward()
            return g * z.grad

    x = tg.tensor(X, requires_grad=True)
    y = Inner.apply(Inner.apply(x) * 3) * 4
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * (2 * 6 * X) * 3 * (2 * X))


def test_a_write_to_what_was_saved_is_noticed():
    x = tg.tensor(X, requires_grad=True)
    a = x * 1.0
    b = Cube.apply(a)
    a.mul_(2.0)
    with pytest.raises(RuntimeError, match=r"is at version 1; expected version 0 instead \(needed by CubeBackward\)"):
        b.sum().backward()
    a = x * 1.0
    b = Cube.apply(a)
    with tg.no_grad():
        x.mul_(1.0)  # not saved
    b.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * X**2)
    b = Cube.apply(x)
    with tg.no_grad():
        x.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        b.sum().backward()


def test_several_results_some_of_which_nothing_depends_on():
    a, b = tg.tensor(X, requires_grad=True), tg.tensor([3.0, 4.0], requires_grad=True)
    y, z = Pair.apply(a * 1, b * 1, 5.0)
    z.sum().backward(retain_graph=True)
    np.testing.assert_array_equal(a.grad.numpy(), [5, 5])
    np.testing.assert_array_equal(b.grad.numpy(), [0, 0])
    (y * z).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), 5 + 10 * X * [3, 4])


def test_a_node_is_walked_after_its_result_is_gone():
    x = tg.tensor(X, requires_grad=True)
    node = Cube.apply(x * 2).grad_fn
    gc.collect()
    assert node.name() == "CubeBackward"
    ((inner, _),) = node.next_functions
    assert inner.name() == "MulBackward0"
    assert inner.next_functions[0][0].variable is x


def test_hooks_run_once_where_a_sweep_goes_on_to_an_earlier_tape():
    seen = []
    x = tg.tensor(X, requires_grad=True)
    x.register_hook(lambda g: seen.append("leaf") or g * 2)
    a = x * 3
    a.register_hook(lambda g: seen.append("a") or g * 5)
    rotate(local.state)
    b = Cube.apply(a) * x
    b.register_hook(lambda g: seen.append("b") or g * 7)
    b.sum().backward()
    assert seen == ["b", "a", "leaf"]
    np.testing.assert_allclose(x.grad.numpy(), 2 * 7 * (5 * 3 * 3 * (3 * X) ** 2 * X + (3 * X) ** 3))


@pytest.mark.parametrize("kept", ["attribute", "saved"])
def test_calls_that_keep_much_do_not_wait_for_a_tape_to_end(kept):
    contexts = []

    class Keeps(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            contexts.append(weakref.ref(ctx))
            if kept == "saved":
                ctx.save_for_backward(tg.zeros(30_000))
            else:
                ctx.table = np.zeros(30_000)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = tg.tensor(X, requires_grad=True)
    for _ in range(20):
        Keeps.apply(x)
    gc.collect()
    assert sum(ctx() is not None for ctx in contexts) <= 1


def test_a_leaf_between_calls_that_was_written_elsewhere_is_noticed():
    leaves = [tg.tensor(X, requires_grad=True) for _ in range(5)]
    y = Cube.apply(sum(x.sin() for x in leaves))
    rotate(local.state)
    with tg.no_grad():
        leaves[0].mul_(2.0)
    with pytest.raises(RuntimeError, match=r"expected version 0 instead \(needed by SinBackward0\)"):
        y.sum().backward()
