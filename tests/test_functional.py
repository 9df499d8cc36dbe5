"""`grad`, `value_and_grad`, `vjp`, `jvp`: what they take, what they give, what they refuse."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import tapegrad as tg

Pair = namedtuple("Pair", "a b")
X = np.array([0.3, 0.7, 1.1])


def square_sum(x):
    return np.sum(x * x)


# --- grad -------------------------------------------------------------------------------------------------------------


def test_scalar_in_and_out():
    g = tg.grad(lambda x: x**3)(2.0)
    assert g == 12.0
    assert isinstance(g, (float, np.floating))
    assert np.asarray(g).dtype == np.float64


def test_array_gives_array():
    g = tg.grad(square_sum)(X)
    assert type(g) is np.ndarray and g.dtype == np.float64
    np.testing.assert_allclose(g, 2 * X)


def test_value_is_plain():
    value, g = tg.value_and_grad(square_sum)(X)
    assert isinstance(value, (float, np.floating))
    assert value == np.sum(X * X)
    np.testing.assert_allclose(g, 2 * X)


def test_argument_is_not_changed_and_gradient_is_its_own():
    x = X.copy()
    g = tg.grad(lambda x: np.sum(x))(x)
    g[:] = 7.0
    assert np.array_equal(x, X)
    h = tg.grad(lambda x: np.sum(x))(x)
    assert np.all(h == 1.0)


@pytest.mark.parametrize("argnums", [0, 1, -1, (0,), (0, 1), (1, 0), (0, -1)])
def test_argnums(argnums):
    def f(x, y):
        return np.sum(x * x * y)

    x, y = X, X + 1
    each = {0: 2 * x * y, 1: x * x, -1: x * x}
    found = tg.grad(f, argnums)(x, y)
    if isinstance(argnums, int):
        np.testing.assert_allclose(found, each[argnums])
    else:
        assert type(found) is tuple
        for k, g in zip(argnums, found, strict=True):
            np.testing.assert_allclose(g, each[k])


def test_has_aux():
    def f(x):
        y = np.sin(x)
        return np.sum(y), {"y": y, "name": "sine"}

    g, aux = tg.grad(f, has_aux=True)(X)
    np.testing.assert_allclose(g, np.cos(X))
    assert type(aux["y"]) is np.ndarray and aux["name"] == "sine"
    (value, aux), g = tg.value_and_grad(f, has_aux=True)(X)
    assert value == pytest.approx(np.sum(np.sin(X)))
    np.testing.assert_allclose(aux["y"], np.sin(X))


def test_keyword_arguments():
    def f(x, *, scale=1.0, shift):
        return np.sum(scale * x**2 + shift)

    np.testing.assert_allclose(tg.grad(f)(X, scale=3.0, shift=X), 6 * X)


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: [a, b],
        lambda a, b: (a, b),
        lambda a, b: {"a": a, "b": b},
        lambda a, b: Pair(a, b),
        lambda a, b: OrderedDict([("b", b), ("a", a)]),
        lambda a, b: {"nested": [a, (b,)]},
    ],
    ids=["list", "tuple", "dict", "namedtuple", "OrderedDict", "nested"],
)
def test_containers(make):
    def leaves(p):
        if isinstance(p, dict):
            return [v for k in sorted(p) for v in leaves(p[k])]
        return [v for q in p for v in leaves(q)] if isinstance(p, (list, tuple)) else [p]

    def f(p):
        a, b = leaves(p)
        return np.sum(a * a) + 3.0 * b

    p = make(X, 2.0)
    g = tg.grad(f)(p)
    assert type(g) is type(p)
    a, b = leaves(g)
    np.testing.assert_allclose(a, 2 * X)
    assert b == 3.0


def test_empty_containers_and_none():
    assert tg.grad(lambda p: 1.0 * p["a"])({"a": 2.0, "nothing": None, "empty": []}) == {
        "a": 1.0,
        "nothing": None,
        "empty": [],
    }


def test_unused_argument_has_gradient_zero():
    a, b = tg.grad(lambda x, y: np.sum(x * 2.0), (0, 1))(X, X)
    assert np.all(a == 2.0) and np.all(b == 0.0)


@pytest.mark.parametrize("constant", [1.0, np.float64(1.0), np.array(1.0)])
def test_result_that_does_not_depend(constant):
    value, g = tg.value_and_grad(lambda x: constant)(X)
    assert value == 1.0
    assert np.array_equal(g, np.zeros(3))


def test_the_argument_itself_is_returned():
    assert tg.grad(lambda x: x)(2.0) == 1.0
    value, g = tg.value_and_grad(lambda x: x)(2.0)
    assert (value, g) == (2.0, 1.0)


def test_same_array_twice():
    a, b = tg.grad(lambda x, y: np.sum(x * x * y), (0, 1))(X, X)
    np.testing.assert_allclose(a, 2 * X * X)
    np.testing.assert_allclose(b, X * X)


def test_dtypes_and_shapes_are_the_arguments():
    for x in (np.float32(2.0), np.ones((2, 3), "f4"), np.ones((1, 0, 2)), np.array(2.0), np.float64(1.0)):
        g = tg.grad(lambda x: np.sum(x * x))(x)
        assert np.shape(g) == np.shape(x) and np.asarray(g).dtype == np.asarray(x).dtype


def test_name_is_kept():
    assert tg.grad(square_sum).__name__ == "square_sum"
    assert tg.value_and_grad(square_sum).__name__ == "square_sum"


def test_control_flow():
    def f(x):
        y = x
        while y < 100.0:
            y = y * x
        return y if y > 120 else -y

    assert tg.grad(f)(5.0) == 75.0
    assert tg.grad(f)(4.9) == pytest.approx(-3 * 4.9**2)


def test_method_and_partial_and_class():
    import functools

    class Model:
        def __init__(self, scale):
            self.scale = scale

        def loss(self, x):
            return np.sum(self.scale * x)

        def __call__(self, x):
            return self.loss(x) * 2

    model = Model(3.0)
    assert np.all(tg.grad(model.loss)(X) == 3.0)
    assert np.all(tg.grad(functools.partial(lambda s, x: np.sum(s * x), 4.0))(X) == 4.0)
    assert np.all(tg.grad(model)(X) == 6.0)


def test_tensor_arguments_give_tensors():
    t = tg.tensor(X)
    g = tg.grad(square_sum)(t)
    assert isinstance(g, tg.Tensor)
    np.testing.assert_allclose(g.detach().numpy(), 2 * X)
    leaf = tg.tensor(X, requires_grad=True)
    g = tg.grad(lambda x: np.sum(x**3))(leaf)
    g.sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), 6 * X)


def test_grad_is_on_inside_no_grad():
    with tg.no_grad():
        np.testing.assert_allclose(tg.grad(square_sum)(X), 2 * X)
        assert not tg.is_grad_enabled()


def test_no_grad_inside_grad():
    def f(x):
        with tg.no_grad():
            y = x * 3.0
        return np.sum(x * y)

    np.testing.assert_allclose(tg.grad(f)(X), 3 * X)


def test_stop_gradient():
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(x * tg.stop_gradient(x)))(X), X)
    assert tg.stop_gradient(3.0) == 3.0
    assert tg.stop_gradient({"a": [None, "b"]}) == {"a": [None, "b"]}


def test_stop_gradient_of_a_container():
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(x * tg.stop_gradient({"a": [x]})["a"][0]))(X), X)


@pytest.mark.parametrize(("library", "remedy"), [("jax", "jax.lax.stop_gradient"), ("autograd", "getval")])
def test_stop_gradient_of_others(library, remedy):
    grad = pytest.importorskip(library).grad
    with pytest.raises(TypeError, match=remedy):
        grad(lambda x: x * tg.stop_gradient(x))(3.0)


def test_stop_gradient_of_torch():
    torch = pytest.importorskip("torch")
    assert tg.stop_gradient(plain := torch.ones(2)) is plain
    with pytest.raises(TypeError, match=r"x\.detach"):
        tg.stop_gradient(torch.ones(2, requires_grad=True))


def test_twice_nested():
    def f(x):
        return np.sum(np.sin(x) * x[::-1])

    hessian = np.stack([tg.grad(lambda x: tg.grad(f)(x)[k])(X) for k in range(3)])  # noqa: B023
    np.testing.assert_allclose(hessian, hessian.T)
    h = 1e-5
    numeric = np.stack([(tg.grad(f)(X + h * e) - tg.grad(f)(X - h * e)) / (2 * h) for e in np.eye(3)])
    np.testing.assert_allclose(hessian, numeric, rtol=1e-6, atol=1e-8)


def test_hessian_vector_product():
    def f(x):
        return np.sum(np.exp(x) * x[0])

    v = np.array([1.0, 2.0, 3.0])
    reverse = tg.grad(lambda x: np.sum(tg.grad(f)(x) * v))(X)
    _, forward = tg.jvp(tg.grad(f), (X,), (v,))
    np.testing.assert_allclose(reverse, forward)


# --- vjp and jvp ------------------------------------------------------------------------------------------------------


def test_vjp():
    y, pull = tg.vjp(lambda x, w: np.sin(x) * w, X, X + 1)
    np.testing.assert_allclose(y, np.sin(X) * (X + 1))
    for _ in range(2):
        a, b = pull(np.array([1.0, 2.0, 3.0]))
        np.testing.assert_allclose(a, np.cos(X) * (X + 1) * [1, 2, 3])
        np.testing.assert_allclose(b, np.sin(X) * [1, 2, 3])


def test_vjp_of_containers():
    y, pull = tg.vjp(lambda p: {"s": p["a"] * p["b"], "t": (p["a"],)}, {"a": X, "b": 2.0})
    np.testing.assert_allclose(y["s"], 2 * X)
    (g,) = pull({"s": np.ones(3), "t": (np.full(3, 10.0),)})
    np.testing.assert_allclose(g["a"], 12.0)
    assert g["b"] == pytest.approx(X.sum())


def test_vjp_keeps_no_reference_to_changed_cotangents():
    _, pull = tg.vjp(lambda x: x * 1.0, X)
    bar = np.ones(3)
    (g,) = pull(bar)
    bar[:] = 7.0
    assert np.all(g == 1.0)


def test_jvp():
    y, y_dot = tg.jvp(lambda x, w: np.sin(x) * w, (X, X + 1), (np.ones(3), np.zeros(3)))
    np.testing.assert_allclose(y, np.sin(X) * (X + 1))
    np.testing.assert_allclose(y_dot, np.cos(X) * (X + 1))


def test_jvp_of_containers():
    _, y_dot = tg.jvp(lambda p: [p["a"] ** 2, p["b"] * 3.0], ({"a": X, "b": 2.0},), ({"a": X, "b": 1.0},))
    np.testing.assert_allclose(y_dot[0], 2 * X * X)
    assert y_dot[1] == 3.0


def test_jvp_where_the_result_does_not_depend():
    y, y_dot = tg.jvp(lambda x: np.ones(3), (X,), (X,))
    assert np.all(np.asarray(y) == 1.0) and np.all(np.asarray(y_dot) == 0.0) and np.shape(y_dot) == (3,)


def test_forward_and_reverse_agree():
    def f(x):
        y = x * 1.0
        y[1:] *= x[:-1]
        return np.concatenate(
            [np.cumsum(y), np.outer(x, y).ravel(), np.sort(x), np.linalg.inv(np.outer(x, x) + np.eye(3)).ravel()]
        )

    v = np.array([1.0, -2.0, 0.5])
    y, y_dot = tg.jvp(f, (X,), (v,))
    bar = np.linspace(-1, 1, y.size)
    _, pull = tg.vjp(f, X)
    assert np.sum(bar * y_dot) == pytest.approx(np.sum(pull(bar)[0] * v))
    h = 1e-6
    np.testing.assert_allclose(y_dot, (f(X + h * v) - f(X - h * v)) / (2 * h), rtol=1e-6, atol=1e-8)


def test_nested_jvp():
    def second(f):
        return lambda x: tg.jvp(lambda y: tg.jvp(f, (y,), (1.0,))[1], (x,), (1.0,))[1]

    assert second(np.sin)(0.5) == pytest.approx(-np.sin(0.5))
    assert tg.grad(second(np.sin))(0.5) == pytest.approx(-np.cos(0.5))
    assert second(tg.grad(np.sin))(0.5) == pytest.approx(-np.cos(0.5))


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "match"),
    [
        (2, r"float|1\.0"),
        (np.array([1, 2]), "int64"),
        (np.array([True]), "bool"),
        ("text", "str"),
        ([X, "text"], "str"),
        ({"a": 1}, r"float|1\.0"),
        (np.array(["text"]), "<U4|str"),
        (np.array([None]), "object"),
    ],
)
def test_arguments_that_cannot_be_differentiated(argument, match):
    for transform in (tg.grad, tg.value_and_grad):
        with pytest.raises(TypeError, match=match):
            transform(lambda x: 1.0)(argument)
    with pytest.raises(TypeError, match=match):
        tg.vjp(lambda x: x, argument)
    with pytest.raises(TypeError, match=match):
        tg.jvp(lambda x: x, (argument,), (argument,))


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: x, r"scalar.*\(3,\)|\[3\].*scalar|scalar"),
        (lambda x: x[:1], "scalar"),
        (lambda x: (np.sum(x), np.sum(x)), "scalar"),
        (lambda x: None, "scalar"),
        (lambda x: np.sum(x) * 1j, "real"),
        (lambda x: np.sum(x > 0), "scalar|real|floating"),
        (lambda x: "text", "scalar"),
        (lambda x: {"loss": np.sum(x)}, "scalar"),
    ],
)
def test_results_that_have_no_gradient(function, match):
    with pytest.raises(TypeError, match=match):
        tg.grad(function)(X)


def test_has_aux_needs_a_pair():
    with pytest.raises((TypeError, ValueError), match=r"aux|pair|unpack"):
        tg.grad(lambda x: np.sum(x), has_aux=True)(X)


@pytest.mark.parametrize("argnums", [2, -3, (0, 2)])
def test_argnums_out_of_range(argnums):
    with pytest.raises(ValueError, match="argnums names argument"):
        tg.grad(lambda x, y: np.sum(x * y), argnums)(X, X)


@pytest.mark.parametrize("argnums", ["x", 1.0, None, (0.5,)])
def test_argnums_of_another_kind(argnums):
    with pytest.raises(TypeError, match=r"argnums|int"):
        tg.grad(lambda x, y: np.sum(x * y), argnums)(X, X)


def test_argnums_twice():
    with pytest.raises(ValueError, match="argnums"):
        tg.grad(lambda x, y: np.sum(x * y), (0, 0))(X, X)


def test_differentiated_argument_passed_by_name():
    with pytest.raises((TypeError, ValueError), match="positional"):
        tg.grad(lambda x: np.sum(x))(x=X)


def test_vjp_refuses():
    _, pull = tg.vjp(lambda x: x * 2.0, X)
    with pytest.raises(ValueError, match=r"cotangent has shape \(2,\)"):
        pull(np.ones(2))
    with pytest.raises(ValueError, match="structure"):
        pull((np.ones(3),))


def test_jvp_refuses():
    with pytest.raises(ValueError, match=r"tangent has shape \(2,\)"):
        tg.jvp(np.sin, (X,), (np.ones(2),))
    with pytest.raises(ValueError, match="structure"):
        tg.jvp(np.sin, (X,), (X, X))


def test_error_in_the_function_is_the_users():
    with pytest.raises(ZeroDivisionError):
        tg.grad(lambda x: 1 / 0)(X)
    with pytest.raises(ValueError, match="broadcast"):
        tg.grad(lambda x: np.sum(x + np.ones(5)))(X)
    np.testing.assert_allclose(tg.grad(square_sum)(X), 2 * X)


# --- values that leave the function -----------------------------------------------------------------------------------


def test_traced_value_that_leaks():
    """A value kept from inside still has its number when the transformation is over."""
    kept = []

    def f(x):
        y = np.sin(x)
        kept.append(y)
        return np.sum(y)

    tg.grad(f)(X)
    np.testing.assert_allclose(kept[0].detach().numpy(), np.sin(X))


def test_global_list_of_parameters():
    """A function that reads its parameters from outside has no gradient with respect to them."""
    w = X.copy()
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(x * w))(X), w)


def test_printing_inside(capsys):
    def f(x):
        print(x)
        print(repr(x), str(x[0]), f"{x}")
        return np.sum(x * x)

    np.testing.assert_allclose(tg.grad(f)(X), 2 * X)
    assert "0.3" in capsys.readouterr().out


def test_facts_about_a_traced_value():
    def f(x):
        assert x.shape == (3,) and x.ndim == 1 and x.size == 3 and x.dtype == np.float64 and len(x) == 3
        assert np.shape(x) == (3,) and np.ndim(x) == 1 and np.size(x) == 3
        assert np.iscomplexobj(x) is False
        assert isinstance(x[0] > 0, object) and bool(np.all(x > 0))
        assert np.argmax(x) == 2 and x.argmax() == 2
        assert np.allclose(tg.stop_gradient(x).numpy(), X)
        return np.sum(x)

    assert np.all(tg.grad(f)(X) == 1.0)
