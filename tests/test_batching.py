"""`vmap`: what is nested in it and what it is nested in, writes in place, rules of the user's own, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
import tapegrad.numpy as tnp

A = np.random.default_rng(1).normal(size=(4, 3))
B = np.random.default_rng(2).normal(size=(4, 3))
W = np.random.default_rng(3).normal(size=(3, 3))


def loop(f, *args, axes=0):
    """What `vmap` is to give, by calling the function for each example."""
    axes = (axes,) * len(args) if isinstance(axes, int) else axes
    count = next(a.shape[d] for a, d in zip(args, axes, strict=True) if d is not None)
    found = []
    for k in range(count):
        one = [a if d is None else np.take(a, k, d) for a, d in zip(args, axes, strict=True)]
        found.append(np.asarray(f(*one)))
    return np.stack(found)


def assert_maps(f, *args, axes=0, rtol=1e-12):
    found = tg.vmap(f, in_dims=axes)(*args)
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, loop(f, *args, axes=axes), rtol=rtol, atol=1e-13)


# --- transformations in any order -----------------------------------------------------------------


def energy(x, w):
    return np.sum(np.tanh(w @ x) ** 2) * x[0]


@pytest.mark.parametrize(
    "f",
    [
        tg.grad(energy),
        tg.grad(energy, argnums=1),
        tg.jacrev(tg.grad(energy)),
        tg.hessian(energy),
        lambda x, w: tg.jvp(lambda x: energy(x, w), (x,), (np.ones(3),))[1],
        lambda x, w: tg.vjp(lambda x: w @ np.sin(x), x)[1](x)[0],
        lambda x, w: tg.grad(lambda w: tg.grad(energy)(x, w)[1])(w),
        lambda x, w: tg.linearize(lambda x: energy(x, w), x)[1](x),
        tg.checkpoint(energy),
        tg.grad(tg.checkpoint(energy)),
    ],
    ids=["grad", "by the other", "jacrev", "hessian", "jvp", "vjp", "second", "linearize", "checkpoint", "recomputed"],
)
@pytest.mark.parametrize("axes", [(0, None), (0, 0), (None, 0)])
def test_transformations_inside(f, axes):
    args = (A if axes[0] == 0 else A[0], np.stack([W, W.T, W * 2, W - 1]) if axes[1] == 0 else W)
    assert_maps(f, *args, axes=axes)


def test_gradient_of_a_gradient_of_a_batch():
    def loss(f):
        return lambda a: np.sum(np.sin(f(a)))

    mapped, looped = tg.vmap(tg.grad(energy), in_dims=(0, None)), tg.grad(energy)
    found = tg.hessian(loss(lambda a: mapped(a, W)))(A)
    expected = tg.hessian(loss(lambda a: np.stack([looped(x, W) for x in a])))(A)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_nested_to_three_levels():
    f = tg.vmap(tg.vmap(tg.vmap(np.dot, in_dims=(None, 0)), in_dims=(0, None)), in_dims=(0, None))
    x = np.random.default_rng(5).normal(size=(2, 5, 3))
    np.testing.assert_allclose(f(x, B), np.einsum("abk,ck->abc", x, B))


def test_no_confusion_of_levels():
    """d/dx of x * d/dy (x + y) = 1, over a batch and by what is mapped outside."""

    def f(x):
        return x * tg.grad(lambda y: np.sum(tg.vmap(lambda z: x + y * z)(A[0])))(1.0)

    np.testing.assert_allclose(tg.grad(f)(2.0), A[0].sum())
    np.testing.assert_allclose(tg.vmap(tg.grad(f))(A[:, 0]), np.full(4, A[0].sum()))


def test_values_captured_from_each_level():
    def outer(x):
        def inner(y):
            return np.sum(x) * y + np.sum(tg.vmap(lambda z: z * x[0] * y)(A[1]))

        return tg.vmap(tg.grad(inner))(x)

    assert_maps(outer, A)
    total = tg.grad(lambda a: np.sum(tg.vmap(outer)(a)))(A)
    np.testing.assert_allclose(total, np.stack([tg.grad(lambda x: np.sum(outer(x)))(x) for x in A]))


def test_gradient_by_what_is_captured():
    found = tg.grad(lambda w: np.sum(tg.vmap(lambda x: np.tanh(w @ x))(A)))(W)
    np.testing.assert_allclose(found, tg.grad(lambda w: np.sum(np.tanh(A @ w.T)))(W))
    w = tg.tensor(W, requires_grad=True)
    y = tg.vmap(lambda x: (w @ x).sum())(tg.tensor(A))
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), np.outer(np.ones(3), A.sum(0)))


def test_forward_mode_over_a_batch():
    f = tg.vmap(tg.grad(energy), in_dims=(0, None))
    _, dot = tg.jvp(lambda a: f(a, W), (A,), (B,))
    expected = [tg.jvp(lambda x: tg.grad(energy)(x, W), (x,), (d,))[1] for x, d in zip(A, B, strict=True)]
    np.testing.assert_allclose(dot, np.stack(expected))


def test_compiled_over_a_batch_and_over_compiled():
    f = tg.vmap(tg.value_and_grad(energy), in_dims=(0, None))
    step = tg.compile(f)
    for a in (A, A, B):
        for found, expected in zip(step(a, W), f(a, W), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(tg.vmap(tg.compile(tg.grad(energy)), in_dims=(0, None))(A, W), f(A, W)[1])
    assert len(step.paths()) == 1


def test_no_grad_inside_cuts_the_gradient():
    def f(x):
        with tg.no_grad():
            y = np.sin(x)
        return np.sum(x * y + tg.stop_gradient(x) * x)

    np.testing.assert_allclose(tg.grad(lambda a: np.sum(tg.vmap(f)(a)))(A), np.sin(A) + A)


# --- arguments and results ------------------------------------------------------------------------


def test_axes_containers_and_constants():
    def f(p, x, flag, scale=1.0):
        return {"y": p["w"] * x * scale, "n": [np.sum(x), 3.0]} if flag else x

    found = tg.vmap(f, in_dims=({"w": 0, "b": None}, 1, None), out_dims={"y": -1, "n": [0, None]})(
        {"w": A, "b": 2.0}, B.T, True, scale=2.0
    )
    np.testing.assert_allclose(found["y"], (A * B * 2).T)
    np.testing.assert_allclose(found["n"][0], B.sum(1))
    assert found["n"][1] == 3.0


def test_results_that_are_the_same_for_all():
    found = tg.vmap(lambda x: (x, 2.0, np.arange(2.0)))(A)
    np.testing.assert_array_equal(found[1], np.full(4, 2.0))
    np.testing.assert_array_equal(found[2], np.tile(np.arange(2.0), (4, 1)))
    found[2][0, 0] = 5.0  # it is the caller's own
    assert found[2][1, 0] == 0.0


def test_an_empty_batch():
    assert tg.vmap(lambda x: np.sum(np.sin(x)) * x)(np.zeros((0, 3))).shape == (0, 3)
    assert tg.vmap(tg.grad(lambda x: np.sum(x[np.array([0, 1])])))(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("size", [1, 3, 4, 9])
def test_chunks(size):
    f = tg.vmap(lambda x: (np.sum(x), 1.0, x), out_dims=(0, None, 1), chunk_size=size)
    total, one, turned = f(A)
    np.testing.assert_allclose(total, A.sum(1))
    np.testing.assert_allclose(turned, A.T)
    assert one == 1.0
    np.testing.assert_allclose(tg.grad(lambda a: np.sum(f(a)[2] ** 2))(A), 2 * A)
    x = A[0]
    np.testing.assert_allclose(tg.jacrev(np.sin, chunk_size=size)(x), np.diag(np.cos(x)), atol=1e-15)
    np.testing.assert_allclose(tg.jacfwd(np.sin, chunk_size=size)(x), np.diag(np.cos(x)), atol=1e-15)


def test_the_names_of_jax():
    f = tg.vmap(lambda x, y, *, z: x * y + z, in_axes=(0, None), out_axes=1)
    np.testing.assert_allclose(f(A, A[0], z=B), (A * A[0] + B).T)
    with pytest.raises(ValueError, match="a mapped argument is float"):
        f(A, A[0], z=1.0)
    jax = pytest.importorskip("jax", reason="the comparison needs JAX")
    theirs = jax.vmap(lambda x, y, *, z: x * y + z, in_axes=(0, None), out_axes=1)
    np.testing.assert_allclose(f(A, A[0], z=B), theirs(A, A[0], z=B), rtol=1e-6)


def test_tensors_and_dtypes():
    y = tg.vmap(lambda x: x * 2)(tg.tensor(A.astype("f")))
    assert isinstance(y, tg.Tensor) and y.dtype == np.float32
    assert tg.vmap(lambda k: k + 1)(np.arange(3)).dtype == np.arange(3).dtype
    np.testing.assert_array_equal(tg.vmap(lambda z: np.abs(z) ** 2)(A + 1j * B), abs(A + 1j * B) ** 2)
    t = tg.tensor(A, requires_grad=True)
    tg.func.vmap(lambda x: (x * x).sum())(t).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), 2 * A)


# --- values that are asked for --------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if x[0] > 0 else -x,
        lambda x: float(x[0]) * x,
        lambda x: x[x > 0],
        lambda x: np.unique(x),
        lambda x: [i for i in range(int(x[0]))],
        lambda x: x[0].item() * x,
    ],
)
def test_values_of_an_example_are_refused(f):
    with pytest.raises(tg.errors.BatchedValueError, match=r"numpy\.where") as caught:
        tg.vmap(f)(A)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, RuntimeError)
    np.testing.assert_allclose(
        tg.vmap(lambda x: np.where(x > 0, x, 0.0))(A), np.maximum(A, 0)
    )  # nothing is left behind


def test_values_that_are_the_same_for_all_may_be_asked():
    def f(x, w):
        return x @ w if np.sum(w) > 0 else float(w[0, 0]) * x

    for w in (W, W - 5):
        np.testing.assert_allclose(tg.vmap(f, in_dims=(0, None))(A, w), np.stack([f(x, w) for x in A]))
    with pytest.raises(tg.errors.BatchedValueError, match="truth was asked"):  # not the same for all further out
        tg.vmap(lambda w: tg.vmap(f, in_dims=(0, None))(A, w))(np.stack([W, W]))


def test_a_compiled_function_may_ask_what_is_the_same_for_all():
    f = tg.compile(tg.vmap(lambda x, s: x if s > 0 else float(s) * x, in_dims=(0, None)))
    np.testing.assert_allclose(f(A, 1.0), A)
    np.testing.assert_allclose(f(A, -2.0), -2.0 * A)
    assert len(f.paths()) == 2


def test_backward_inside_is_refused():
    w = tg.ones(3, requires_grad=True)

    def f(x):
        (w * x).sum().backward()
        return x

    with pytest.raises(RuntimeError, match=r"backward\(\) called inside of vmap"):
        tg.vmap(f)(A)


def test_what_is_kept_by_a_side_effect_has_no_value():
    kept = []
    tg.vmap(lambda x: kept.append(x * 2) or x)(A)
    with pytest.raises(RuntimeError, match="outside of the function that vmap called"):
        float(kept[0][0] + 1.0)


def test_solvers_are_refused():
    with pytest.raises(tg.errors.BatchedValueError, match="implicit_root looks at values"):
        tg.vmap(lambda a: tg.implicit_root(lambda x: x**2 - a, 1.0))(np.array([1.0, 4.0]))


def test_shapes_and_printing_are_no_questions(capsys):
    def f(x):
        print(x, len(x), x.shape, x.ndim)
        return np.stack(list(x)) * len(x)

    np.testing.assert_allclose(tg.vmap(f)(A), A * 3)
    assert "traced" in capsys.readouterr().out


# --- writes in place ------------------------------------------------------------------------------


def recurrence(x):
    y = tnp.zeros(4)
    y[0] = x[0]
    for k in range(1, 4):
        y[k] = 0.5 * y[k - 1] * x[k % 3] + x[0]
    return y


def through_views(x):
    y = x * 1.0
    v, w = y[1:], y[::-1]
    v *= 2.0
    w[0] = x[0] * x[1]
    return np.sum(y * w) + np.sum(v)


def before_and_after(x):
    y = tnp.zeros(3)
    early = y[0:2] + 1.0
    y[0:2] = x[1:]
    late = y[0:2] * 1.0
    y += x
    return np.stack([np.sum(early * y[:2]), np.sum(late), np.sum(y)])


def into_places(x):
    y = x.copy()
    y[np.array([2, 0])] = x[:2] * 3.0
    y[y.shape[0] - 1] += 1.0
    return y


def by_a_mask(x):
    y = x * 2.0
    y[x < 0] = x[0]
    y[y > 1.0] = 0.5
    return y


@pytest.mark.parametrize("f", [recurrence, through_views, before_and_after, into_places, by_a_mask])
def test_writes_in_place(f):
    def by_loop(a):
        return sum(np.sum(np.sin(f(x))) for x in a)

    def at_once(a):
        return np.sum(np.sin(tg.vmap(f)(a)))

    np.testing.assert_allclose(tg.vmap(f)(A), np.stack([np.asarray(tg.stop_gradient(f(tnp.array(x)))) for x in A]))
    np.testing.assert_allclose(tg.grad(at_once)(A), tg.grad(by_loop)(A))
    np.testing.assert_allclose(
        tg.vmap(tg.grad(lambda x: np.sum(f(x) ** 2)))(A), np.stack([tg.grad(lambda x: np.sum(f(x) ** 2))(x) for x in A])
    )
    np.testing.assert_allclose(tg.compile(tg.grad(at_once))(A), tg.grad(by_loop)(A))


def test_what_was_read_before_a_write_without_gradient():
    """A view sees what is written to its base, also where no gradient is recorded."""

    def f(x):
        y = tnp.zeros(3)
        v = y[:2]
        y[0] = np.sum(x)
        return v + 1.0

    np.testing.assert_allclose(tg.vmap(f)(A), np.stack([A.sum(1) + 1, np.ones(4)], 1))


def test_arguments_and_captured_tensors_are_not_written():
    def f(x):
        x[0] = 1.0
        return x

    with pytest.raises(RuntimeError, match="cannot be written in place"):
        tg.vmap(f)(A)
    kept = tg.zeros(3)

    def g(x):
        kept[0] = x[0]
        return x

    with pytest.raises(RuntimeError, match="made outside"):
        tg.vmap(g)(A)
    np.testing.assert_array_equal(kept.numpy(), np.zeros(3))


# --- rules of the user's own ----------------------------------------------------------------------


def make_clipped():
    @tg.custom_vjp
    def clipped(x, w):
        return np.sin(x) * w

    clipped.defvjp(
        lambda x, w: (np.sin(x) * w, (x, w)),
        lambda kept, g: (np.clip(g * np.cos(kept[0]), -0.3, 0.3), np.sum(g * np.sin(kept[0])) * 7.0),
    )
    return clipped


@pytest.mark.parametrize("axes", [(0, None), (0, 0), (None, 0)])
def test_custom_vjp(axes):
    clipped = make_clipped()
    args = (A if axes[0] == 0 else A[0], B[:, 0] if axes[1] == 0 else 1.5)

    def by_loop(*args):
        rows = [[a if d is None else a[k] for a, d in zip(args, axes, strict=True)] for k in range(4)]
        return sum(np.sum(np.exp(clipped(*row))) for row in rows)

    def at_once(*args):
        return np.sum(np.exp(tg.vmap(clipped, in_dims=axes)(*args)))

    for found, expected in zip(
        tg.grad(at_once, argnums=(0, 1))(*args), tg.grad(by_loop, argnums=(0, 1))(*args), strict=True
    ):
        np.testing.assert_allclose(found, expected)
    inside = tg.vmap(tg.grad(lambda x, w: np.sum(clipped(x, w))), in_dims=axes)(*args)
    rows = [[a if d is None else a[k] for a, d in zip(args, axes, strict=True)] for k in range(4)]
    np.testing.assert_allclose(inside, np.stack([tg.grad(lambda x, w: np.sum(clipped(x, w)))(*row) for row in rows]))


def test_custom_vjp_compiled_nested_and_twice():
    clipped = make_clipped()

    def total(f):
        return lambda a: np.sum(np.exp(f(a)))

    at_once = total(tg.vmap(lambda x: clipped(x, 1.5)))
    by_loop = total(lambda a: np.stack([clipped(x, 1.5) for x in a]))
    np.testing.assert_allclose(tg.compile(tg.grad(at_once))(A), tg.grad(by_loop)(A))
    stack = np.stack([A, B])
    np.testing.assert_allclose(
        tg.grad(total(tg.vmap(tg.vmap(lambda x: clipped(x, 1.5)))))(stack),
        np.stack([tg.grad(by_loop)(a) for a in stack]),
    )
    np.testing.assert_allclose(tg.vmap(tg.grad(at_once))(stack), np.stack([tg.grad(at_once)(a) for a in stack]))
    second = tg.grad(lambda a: np.sum(tg.grad(at_once)(a) ** 2))(A)
    np.testing.assert_allclose(second, tg.grad(lambda a: np.sum(tg.grad(by_loop)(a) ** 2))(A))


def test_custom_jvp():
    @tg.custom_jvp
    def f(x):
        return np.sin(x)

    @f.defjvp
    def rule(primals, tangents):
        return f(primals[0]), 3.0 * tangents[0] * np.cos(primals[0])

    np.testing.assert_allclose(tg.grad(lambda a: np.sum(tg.vmap(f)(a)))(A), 3 * np.cos(A))
    np.testing.assert_allclose(tg.jvp(tg.vmap(f), (A,), (B,))[1], 3 * np.cos(A) * B)
    np.testing.assert_allclose(tg.vmap(lambda x, d: tg.jvp(f, (x,), (d,))[1])(A, B), 3 * np.cos(A) * B)


def test_functions_of_plain_arrays():
    calls = []

    def plain(x):
        calls.append(x.shape)
        return np.cumsum(x)

    cumulate = tg.primitive(plain, vjp=lambda g, y, x: np.flip(np.cumsum(np.flip(g, 0)), 0))
    np.testing.assert_allclose(tg.vmap(cumulate)(A), np.cumsum(A, 1))
    assert set(calls) == {(3,)}
    np.testing.assert_allclose(
        tg.grad(lambda a: np.sum(tg.vmap(cumulate)(a) ** 2))(A), tg.grad(lambda a: np.sum(np.cumsum(a, 1) ** 2))(A)
    )


def test_function_of_pytorchs_kind():
    class Double(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2.0, x.sum()

        @staticmethod
        def backward(ctx, g, h):
            (x,) = ctx.saved_tensors
            return g * x * 10.0 + h

    def f(x):
        y, s = Double.apply(x)
        return (y * s).sum()

    a, b = tg.tensor(A, requires_grad=True), tg.tensor(A, requires_grad=True)
    tg.vmap(f)(a).sum().backward()
    sum(f(x) for x in b).backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy())


def test_hooks_inside_are_refused():
    def f(x):
        y = x * 2
        y.register_hook(lambda g: g * 3)
        return y.sum()

    with pytest.raises(NotImplementedError, match="hooks"):
        tg.grad(lambda a: np.sum(tg.vmap(f)(a)))(A)


# --- random numbers -------------------------------------------------------------------------------


def test_randomness():
    def f(x):
        return x + rng.normal(size=3)

    rng = np.random.default_rng(0)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        tg.vmap(f)(A)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        tg.vmap(lambda x: tg.nn.functional.dropout(x, 0.5, True))(tg.tensor(A))
    same = tg.vmap(f, randomness="same")(A) - A
    np.testing.assert_allclose(same, np.tile(same[0], (4, 1)))
    different = tg.vmap(f, randomness="different")(A) - A
    assert len(np.unique(different.round(9))) == 12
    with pytest.raises(ValueError, match="randomness is 'error'"):
        tg.vmap(f, randomness="none")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dims", "words"), [(None, "out_dims is None for a result"), (3, "out_dims names axis 3"), ((0, 0), "does not fit")]
)
def test_refused_axes_of_results(dims, words):
    with pytest.raises(ValueError, match=words):
        tg.vmap(lambda x: x * 2, out_dims=dims)(A)


def test_refused_chunks():
    with pytest.raises(ValueError, match="Chunk size should be None or greater than 0"):
        tg.vmap(np.sin, chunk_size=0)


def test_an_error_inside_leaves_nothing_behind():
    with pytest.raises(ZeroDivisionError):
        tg.vmap(lambda x: 1 / 0)(A)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(x**2))(A), 2 * A)
