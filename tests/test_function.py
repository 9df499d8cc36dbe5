"""`autograd.Function` beside what PyTorch has: in transformations, compiled, in forward mode, on arrays."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.tape.record import rotate
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
