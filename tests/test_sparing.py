"""Plain NumPy code that writes in place, under every transformation: what a derivative reads is spared."""

from __future__ import annotations

import types

import numpy as np
import pytest

import tapegrad as tg
import tapegrad.numpy as tnp

POINT = np.array([0.51, -0.8, 0.73])
BATCH = np.stack([POINT, POINT * 0.9, POINT * 1.1])
PROGRAMS: dict = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


@program
def softmax(x):
    e = np.exp(x - x.max())
    e /= e.sum()
    return -np.log(e[1])


@program
def another_name(x):
    e = np.exp(x)
    a = e
    e /= 2
    return (a * a * np.sin(e)).sum()


@program
def view_sees_the_write(x):
    e = np.exp(x)
    v = e[1:]
    e /= 3.0
    return (v * v).sum() + e[0] ** 3


@program
def write_through_a_view(x):
    e = np.exp(x)
    v = e[1:]
    v *= x[0]
    return (v * v).sum() + (e**3).sum()


@program
def elements(x):
    e = np.exp(x)
    y = np.sin(e)
    e[0] = x[1]
    z = np.cos(e)
    e[1] = x[2] * e[0]
    return (e * z * y).sum()


@program
def masks_and_indices(x):
    e = np.tanh(x)
    e[np.array([True, False, True])] *= x[1]
    e = e * e
    e[np.array([0, 2])] = x[1] * x[:2]
    e[[1, 1]] += 1.0
    f = e * x
    e[e > 0.1] = 0.2
    return (e * e * f).sum()


@program
def transposed(x):
    e = np.exp(np.outer(x, x))
    t = e.T
    t[0] /= x[0]
    e += t
    return (e * t).sum()


@program
def reshaped(x):
    e = np.exp(np.outer(x, x))
    t = e.reshape(-1)
    y = np.sin(t)
    t[::2] = 0.5
    e *= y.reshape(3, 3)
    return (e * t.reshape(3, 3)).sum()


@program
def results_into_operands(x):
    e = np.exp(x)
    np.sqrt(e, out=e)
    e[0] = 1.0
    np.exp(e, out=e)
    np.multiply(e, x, out=e)
    np.add(e, x, out=e, where=np.array([True, False, True]))
    return (e * e).sum()


@program
def coefficients(x):
    c = np.ones_like(x)
    v = c[1:]
    y = c * x
    c[0] = 5.0
    v[0] = 7.0
    z = c * x * x
    c *= 2
    return (y * z * c).sum() + (v * x[1:] * v).sum()


@program
def recursion(x):
    y = np.exp(x)
    for _ in range(3):
        y[1:] = y[:-1] * y[1:] * x[0] + np.sin(y[1:])
        y *= 0.5 * x
        y -= y.mean()
    for i in range(1, 3):
        y[i] = y[i - 1] * y[i] * x[0]
    return (y * y).sum()


@program
def filled(x):
    y = tnp.zeros(3)
    y[:] = x
    np.exp(y, out=y)
    y[0] = 0.3
    y *= y
    y[1] *= y[2]
    return (y * y * x).sum()


@program
def itself(x):
    e = np.exp(x)
    e += e
    e *= e
    e -= 0.1 * e[0] * e
    e[1:] += e[:-1]
    return np.sqrt((e * e).sum())


@program
def powers(x):
    y = np.abs(x) + 1
    y **= 2
    z = y / x
    y **= 0.5
    y //= 1
    return (y * z).sum() + (z**3).sum()


@program
def rows(x):
    e = np.exp(np.outer(x, x))
    for r in e:
        r /= r.sum()
    g = e * e
    e[[0, 1]] = e[[1, 0]]
    e[0], e[1] = e[1].copy(), e[0].copy()
    return (e * e * x * g).sum()


@program
def matrices(x):
    a = np.exp(np.outer(x, x))
    b = np.linalg.inv(a + 3 * np.eye(3))
    np.fill_diagonal(a, 0.0)
    a[np.diag_indices(3)] = x
    c = a @ b
    a @= c
    a[0, 0] = 2.0
    return (a @ b @ x).sum() + (c * c).sum()


@program
def numbers(x):
    s = np.exp(x[0])
    t = s
    s *= x[1]
    s /= t
    e = np.exp(x)
    f = e[0]
    e[0] = 2.0
    return s * t * f * e[0] * np.sin(f)


@program
def elimination(x):
    a, b = np.outer(x, x) + 3 * np.eye(3), x.copy()
    for k in range(3):
        for i in range(k + 1, 3):
            f = a[i, k] / a[k, k]
            a[i, k:] -= f * a[k, k:]
            b[i] -= f * b[k]
    for i in range(2, -1, -1):
        b[i] = (b[i] - a[i, i + 1 :] @ b[i + 1 :]) / a[i, i]
    return (b * b).sum()


@program
def complex_parts(x):
    z = np.exp(1j * x)
    z.real[0] = 2.0
    z *= z
    w = z.imag
    w *= x
    z /= np.abs(z).sum()
    return np.abs(z * x).sum() + z.real.sum()


@program
def momentum(x):
    v, p = np.zeros_like(x) * x, np.sin(x)
    for _ in range(3):
        g = np.cos(p)
        v *= 0.9
        v += g
        p -= 0.1 * v
        g *= 2
        v[1] = g[1] * v[1]
    return (p * v).sum()


@program
def copied_and_put(x):
    e = np.exp(x)
    np.clip(e, 0.5, 1.2, out=e)
    np.copyto(e, x * e, where=np.array([False, True, True]))
    np.put(e, [0], x[1])
    np.add.at(e, [0, 0, 1], x)
    np.putmask(e, np.array([False, True, False]), e * x)
    return (e * e).sum()


def as_numpy(function):
    """The same function for NumPy alone."""
    return types.FunctionType(function.__code__, {**function.__globals__, "tnp": np})


def differences(function, x, h=1e-4):
    """Central differences of fourth order."""
    slopes = []
    for unit in np.eye(x.size):
        f = [float(function(x + k * h * unit)) for k in (-2, -1, 1, 2)]
        slopes.append((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h))
    return np.array(slopes)


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"])
def deferral(request):
    before = tg.set_deferral(request.param)
    yield
    tg.set_deferral(before)


@pytest.fixture(params=PROGRAMS, name="f")
def the_program(request):
    return PROGRAMS[request.param]


@pytest.mark.usefixtures("deferral")
def test_value_and_gradient(f):
    for _ in range(2):  # what was met before takes other ways
        value, gradient = tg.value_and_grad(f)(POINT)
        np.testing.assert_allclose(value, as_numpy(f)(POINT), rtol=1e-13)
        np.testing.assert_allclose(gradient, differences(as_numpy(f), POINT), rtol=1e-7, atol=1e-8)
    single = tg.grad(f)(POINT.astype("f4"))
    np.testing.assert_allclose(single, gradient, rtol=2e-4, atol=2e-4)


def test_forward_mode_and_batches(f):
    want = np.stack([tg.grad(f)(x) for x in BATCH])
    np.testing.assert_allclose([tg.jvp(f, (POINT,), (t,))[1] for t in np.eye(3)], want[0], rtol=1e-12, atol=1e-13)
    for derivative in (tg.jacfwd, tg.jacrev, tg.func.grad):
        np.testing.assert_allclose(derivative(f)(POINT), want[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(tg.vmap(tg.grad(f))(BATCH), want, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(tg.grad(lambda b: tg.vmap(f)(b).sum())(BATCH), want, rtol=1e-12, atol=1e-13)


def test_second_order(f):
    h = 1e-5
    want = np.array([(tg.grad(f)(POINT + h * u) - tg.grad(f)(POINT - h * u)) / (2 * h) for u in np.eye(3)])
    np.testing.assert_allclose(tg.hessian(f)(POINT), want, rtol=1e-5, atol=1e-5)
    twice = tg.grad(lambda x: (tg.grad(f)(x) * POINT).sum())(POINT)
    np.testing.assert_allclose(twice, want @ POINT, rtol=1e-5, atol=1e-5)


def test_compiled(f):
    step = tg.compile(tg.value_and_grad(f))
    for x in BATCH:
        value, gradient = step(x)
        np.testing.assert_allclose(value, as_numpy(f)(x), rtol=1e-12)
        np.testing.assert_allclose(gradient, tg.grad(f)(x), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(tg.compile(f)(POINT), as_numpy(f)(POINT), rtol=1e-12)


def test_large_arrays():
    def f(x):
        e = np.exp(x)
        v, w = e[5:], e.reshape(-1, 10)
        e /= e.sum()
        e[0] = 2.0
        w[1] *= 3
        z = np.sin(v)
        e *= e
        return (e * x).sum() + (v * z).sum() + (w**2).sum()

    x, d, h = np.linspace(-1, 1, 50_000), np.cos(np.arange(50_000.0)), 1e-5
    want = (f(x + h * d) - f(x - h * d)) / (2 * h)
    np.testing.assert_allclose(tg.grad(f)(x) @ d, want, rtol=1e-8)
    np.testing.assert_allclose(tg.jvp(f, (x,), (d,))[1], want, rtol=1e-8)
    np.testing.assert_allclose(tg.compile(tg.grad(f))(x) @ d, want, rtol=1e-8)


def test_writes_in_a_loop_copy_only_where_something_is_read():
    """A thousand elements written one by one into what no derivative reads: nothing is moved."""

    def f(x):
        y = x * 1.0
        z = y + 1.0  # a sum reads nothing
        for i in range(1000):
            y[i] = 2.0 * x[i]
        return (y * z).sum()

    x = np.linspace(0, 1, 1000)
    np.testing.assert_allclose(tg.grad(f)(x), 4 * x + 2.0)
    rows = str(tg.compile(f))
    assert rows.count("copy(") <= 1000  # one for each element, none for the whole


def eager(function):
    w = tg.tensor(POINT, requires_grad=True)
    function(w).sum().backward()
    return w.grad.numpy()


@pytest.mark.parametrize("name", ["softmax", "elements", "write_through_a_view", "itself"])
def test_eager_tensors_keep_the_error_of_pytorch(name):
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        eager(PROGRAMS[name])
    with pytest.raises(ZeroDivisionError):
        tg.grad(lambda x: x / 0 if x is None else 1 / 0)(POINT)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        eager(PROGRAMS[name])


def test_a_batch_of_eager_tensors():
    t = tg.tensor(BATCH, requires_grad=True)
    tg.vmap(softmax)(t).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), [tg.grad(softmax)(x) for x in BATCH])


def test_a_detached_value_shares_its_memory_still():
    def f(x):
        e = np.exp(x)
        s = tg.stop_gradient(e)
        e /= 2.0
        return (s * e).sum()

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        tg.grad(f)(POINT)


def test_without_gradients_the_history_stays():
    def f(x):
        e = np.exp(x)
        with tg.no_grad():
            e *= 2
        return (e * e).sum()

    np.testing.assert_allclose(tg.grad(f)(POINT), 4 * np.exp(POINT) * np.exp(POINT))


def test_a_tensor_from_outside():
    t = tg.tensor([1.0, 2.0, 3.0])

    def f(x):
        nonlocal t
        y = t * x
        t += 1.0
        return (t * y).sum()

    np.testing.assert_allclose(tg.grad(f)(POINT), [2.0, 6.0, 12.0])
    assert t.tolist() == [2.0, 3.0, 4.0]
    with pytest.raises(RuntimeError, match="made outside it"):
        tg.compile(tg.grad(f))(POINT)


# --- functions with rules of their own ----------------------------------------------------------------------------


class Square(tg.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, bar):
        (x,) = ctx.saved_tensors
        return 2 * x * bar


def _pulled(x):
    return x * x


def _exponential(x):
    y = np.exp(x)
    return y, y


pulled = tg.custom_vjp(_pulled)
pulled.defvjp(lambda x: (x * x, {"x": x}), lambda kept, bar: (2 * kept["x"] * bar,))
result_kept = tg.custom_vjp(np.exp)
result_kept.defvjp(_exponential, lambda y, bar: (y * bar,))
pushed = tg.custom_jvp(_pulled)
pushed.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * primals[0] * tangents[0]))
outside = tg.primitive(lambda a: a * a, vjp=lambda bar, y, x: 2 * x * bar)
RULES = {
    "Function": (Square.apply, np.square),
    "custom_vjp": (pulled, np.square),
    "custom_vjp that keeps its result": (result_kept, np.exp),
    "custom_jvp": (pushed, np.square),
    "primitive": (outside, np.square),
    "checkpoint": (tg.checkpoint(_pulled), np.square),
}


@pytest.mark.parametrize("part", [False, True], ids=["whole", "part"])
@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_keeps_is_spared(name, part):
    rule, plain = RULES[name]

    def program(square, x):
        y = x * 1.5
        z = square(y)
        if part:
            y[0], z[1] = 1.0, 2.0
        else:
            y *= 2
            z *= z.sum()
        return (z * z * y).sum()

    def f(x):
        return program(rule, x)

    want = differences(lambda x: program(plain, x), POINT)
    np.testing.assert_allclose(tg.grad(f)(POINT), want, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(tg.vjp(f, POINT)[1](1.0)[0], want, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(tg.compile(tg.grad(f))(POINT), want, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(tg.jacrev(f)(POINT), want, rtol=1e-7, atol=1e-8)
    if name != "primitive":  # which looks at values
        np.testing.assert_allclose(tg.vmap(tg.grad(f))(POINT[None])[0], want, rtol=1e-7, atol=1e-8)
    want = tg.hessian(lambda x: program(plain, x))(POINT)
    np.testing.assert_allclose(tg.hessian(f)(POINT), want, rtol=1e-7, atol=1e-8)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        eager(f)


def test_a_checkpoint_notices_that_what_it_uses_was_written():
    def f(x):
        y = x * 1.5
        z = tg.checkpoint(lambda u: u * y)(x)
        y *= 2
        return (z * y).sum()

    for derivative in (tg.grad(f), tg.compile(tg.grad(f)), tg.jacrev(f)):
        with pytest.raises(RuntimeError, match="uses a value from outside that was written"):
            derivative(POINT)


def test_a_checkpoint_writes_as_functions_do():
    np.testing.assert_allclose(tg.grad(tg.checkpoint(softmax))(POINT), tg.grad(softmax)(POINT))
    _, pullback = tg.vjp(tg.checkpoint(softmax), POINT)
    np.testing.assert_allclose(pullback(1.0)[0], tg.grad(softmax)(POINT))


@pytest.mark.parametrize("transform", [tg.compile, lambda g: lambda x: tg.vmap(g)(x[None])[0]], ids=["compile", "vmap"])
def test_the_result_of_a_function_is_written_where_it_is_recorded(transform):
    """What was written in place of one element must not cut the others off."""

    def f(x):
        z = Square.apply(x)
        z[1] = 2.0
        return (z * z).sum()

    np.testing.assert_allclose(transform(tg.grad(f))(POINT), 4 * POINT**3 * [1, 0, 1], rtol=1e-12)


@pytest.mark.parametrize("given_back", [lambda x: x, lambda x: x[:]], ids=["argument", "view of it"])
def test_an_argument_given_back_is_not_written_where_it_is_recorded(given_back):
    class Same(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return given_back(x)

        @staticmethod
        def backward(ctx, bar):
            return -bar

    def f(x):
        z = Same.apply(x * 2.0)
        z += 1.0
        return (z * z).sum()

    for derivative in (tg.grad(f), tg.compile(tg.grad(f))):
        with pytest.raises(RuntimeError, match="created inside a custom Function"):
            derivative(POINT)
