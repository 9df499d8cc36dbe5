"""tapegrad.compat.autograd does what HIPS autograd does."""

from __future__ import annotations

import importlib

import numpy
import pytest

ours = pytest.importorskip("tapegrad.compat.autograd")
theirs = pytest.importorskip("autograd")
NP = {
    ours: importlib.import_module("tapegrad.compat.autograd.numpy"),
    theirs: importlib.import_module("autograd.numpy"),
}

X = numpy.array([0.3, -1.2, 2.0])
M = numpy.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.7]])
Z = numpy.array([0.5 + 1.0j, -0.3 + 0.2j])
TREE = {"w": M, "b": numpy.array([0.1, -0.2])}


def scalar(np):
    return lambda x: np.sum(np.sin(x) * x**2) + x[0] * x[1]


def vector(np):
    return lambda x: np.dot(M, np.tanh(x))


def of_two(np):
    return lambda x, y: np.sum(x * np.exp(y)) + np.sum(y**3)


def of_tree(np):
    return lambda t: np.sum(np.tanh(np.dot(t["w"], X) + t["b"]) ** 2)


def of_complex(np):
    return lambda z: np.sum(np.abs(z) ** 2 * np.real(z)) + np.sum(np.imag(z**2))


OPERATORS = {
    "grad": lambda ag, np: ag.grad(scalar(np))(X),
    "grad second argument": lambda ag, np: ag.grad(of_two(np), 1)(X, X[::-1].copy()),
    "grad both": lambda ag, np: ag.grad(of_two(np), (0, 1))(X, X[::-1].copy()),
    "grad of a number": lambda ag, np: ag.grad(ag.grad(np.tanh))(0.7),
    "grad of containers": lambda ag, np: ag.grad(of_tree(np))(TREE),
    "grad of complex": lambda ag, np: ag.grad(of_complex(np))(Z),
    "grad of integers": lambda ag, np: ag.grad(lambda x: x**3)(2.0),
    "holomorphic_grad": lambda ag, np: ag.holomorphic_grad(lambda z: np.exp(z) * z)(Z[0]),
    "value_and_grad": lambda ag, np: ag.value_and_grad(scalar(np))(X),
    "grad_and_aux": lambda ag, np: ag.grad_and_aux(lambda x: (np.sum(x**2), 3.0))(X),
    "grad_named": lambda ag, np: ag.grad_named(of_two(np), "y")(X, X),
    "elementwise_grad": lambda ag, np: ag.elementwise_grad(np.tanh)(X),
    "elementwise_grad twice": lambda ag, np: ag.elementwise_grad(ag.elementwise_grad(np.tanh))(X),
    "deriv": lambda ag, np: ag.deriv(np.sin)(0.7),
    "jacobian": lambda ag, np: ag.jacobian(vector(np))(X),
    "jacobian of matrices": lambda ag, np: ag.jacobian(lambda m: np.sin(m) * m[0, 0])(M),
    "hessian": lambda ag, np: ag.hessian(scalar(np))(X),
    "hessian_tensor_product": lambda ag, np: ag.hessian_tensor_product(scalar(np))(X, X[::-1].copy()),
    "hessian_vector_product": lambda ag, np: ag.hessian_vector_product(scalar(np))(X, X[::-1].copy()),
    "tensor_jacobian_product": lambda ag, np: ag.tensor_jacobian_product(vector(np))(X, M[:, 0]),
    "vector_jacobian_product": lambda ag, np: ag.vector_jacobian_product(vector(np))(X, M[:, 0]),
    "make_hvp": lambda ag, np: ag.make_hvp(scalar(np))(X)[0](X[::-1].copy()),
    "make_ggnvp": lambda ag, np: ag.make_ggnvp(vector(np))(X)(X[::-1].copy()),
    "checkpoint": lambda ag, np: ag.grad(lambda x: np.sum(ag.checkpoint(vector(np))(x) ** 2))(X),
}


def leaves(y):
    if isinstance(y, dict):
        return [leaf for k in sorted(y) for leaf in leaves(y[k])]
    return [leaf for part in y for leaf in leaves(part)] if isinstance(y, (list, tuple)) else [y]


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    found, expected = (leaves(OPERATORS[name](ag, NP[ag])) for ag in (ours, theirs))
    assert len(found) == len(expected)
    for y, want in zip(found, expected, strict=True):
        assert numpy.shape(y) == numpy.shape(want)
        numpy.testing.assert_allclose(y, want, rtol=1e-11, atol=1e-13)


def test_every_public_operator_is_there():
    public = [n for n in vars(theirs) if not n.startswith("_") and callable(getattr(theirs, n))]
    assert not [n for n in public if not hasattr(ours, n)]


def test_make_vjp_and_make_jvp():
    vjp, value = ours.make_vjp(vector(numpy))(X)
    other, expected = theirs.make_vjp(vector(NP[theirs]))(X)
    numpy.testing.assert_allclose(value, expected)
    numpy.testing.assert_allclose(vjp(M[:, 0]), other(M[:, 0]))
    dot = ours.make_jvp(vector(numpy))(X)(X)[1]
    numpy.testing.assert_allclose(dot, theirs.make_jvp(vector(NP[theirs]))(X)(X)[1])


def test_multigrad_dict():
    found = ours.multigrad_dict(of_two(numpy))(X, y=X)
    numpy.testing.assert_allclose(found["x"], numpy.exp(X))
    numpy.testing.assert_allclose(found["y"], X * numpy.exp(X) + 3 * X**2)


def test_primitives_as_in_the_tutorial():
    from tapegrad.compat.autograd.extend import defjvp, defvjp, defvjp_argnums, primitive
    from tapegrad.compat.autograd.test_util import check_grads

    np = NP[ours]

    @primitive
    def logsumexp(x):
        peak = numpy.max(x)
        return peak + numpy.log(numpy.sum(numpy.exp(x - peak)))

    defvjp(logsumexp, lambda ans, x: lambda g: np.full(x.shape, g) * np.exp(x - np.full(x.shape, ans)))
    check_grads(logsumexp, modes=["rev"], order=2)(X)
    numpy.testing.assert_allclose(
        ours.hessian(logsumexp)(X), theirs.hessian(lambda x: NP[theirs].log(NP[theirs].sum(NP[theirs].exp(x))))(X)
    )

    @primitive
    def scaled(x, k, power=1):
        return k * x**power

    defvjp(scaled, lambda ans, x, k, power=1: lambda g: g * k * power * x ** (power - 1), None)
    defjvp(scaled, lambda t, ans, x, k, power=1: t * k * power * x ** (power - 1), None)
    check_grads(lambda x: scaled(x, 2.0, power=3))(X)
    missing = primitive(numpy.sin)
    with pytest.raises(NotImplementedError, match="VJP of sin wrt argnum 0 not defined"):
        ours.grad(lambda x: np.sum(missing(x)))(X)
    joint = primitive(lambda x, y: x * y)
    defvjp_argnums(joint, lambda argnums, ans, args, kwargs: lambda g: [g * args[1 - k] for k in argnums])
    check_grads(joint, (0, 1), modes=["rev"])(X, X[::-1].copy())


def test_checks_find_faults():
    from tapegrad.compat.autograd.extend import defvjp, primitive
    from tapegrad.compat.autograd.test_util import check_equivalent, check_vjp, combo_check

    wrong = primitive(numpy.sin)
    defvjp(wrong, lambda ans, x: lambda g: g * numpy.cos(1.1) * x)
    with pytest.raises(AssertionError, match="argument 0"):
        check_vjp(wrong, X)
    combo_check(numpy.sum, 0, order=1)([M, M + 1.0], axis=[0, 1])
    with pytest.raises(AssertionError, match="structures differ"):
        check_equivalent({"a": 1.0}, [1.0])


def test_flatten_and_optimisers():
    from tapegrad.compat.autograd import misc
    from tapegrad.compat.autograd.misc.flatten import flatten, flatten_func

    assert misc.flatten is flatten, "autograd.misc has the function under the module's name"
    from tapegrad.compat.autograd.misc.optimizers import adam, rmsprop, sgd

    misc = importlib.import_module("autograd.misc.optimizers")
    vector, unflatten = flatten(TREE)
    again = unflatten(vector)
    numpy.testing.assert_array_equal(again["w"], M)
    flat, _, start = flatten_func(of_tree(numpy), TREE)
    assert flat(start).shape == (1,)
    first = ours.grad(of_tree(numpy))
    for mine, other in ((sgd, misc.sgd), (rmsprop, misc.rmsprop), (adam, misc.adam)):
        seen = []
        found = mine(lambda t, i: first(t), TREE, lambda t, i, g, seen=seen: seen.append(i), num_iters=5)
        expected = other(lambda t, i: first(t), TREE, num_iters=5)
        numpy.testing.assert_allclose(found["w"], expected["w"], rtol=1e-10)
        assert seen == [0, 1, 2, 3, 4]


def test_fixed_points():
    from tapegrad.compat.autograd.misc.fixed_points import fixed_point

    def newton(a):
        return lambda x: 0.5 * (x + a / x)

    def root(a):
        return fixed_point(newton, a, 1.0, lambda x, y: abs(x - y), 1e-12)

    numpy.testing.assert_allclose(ours.grad(root)(2.0), 0.5 / numpy.sqrt(2.0), rtol=1e-9)
    numpy.testing.assert_allclose(ours.grad(ours.grad(root))(2.0), -0.25 * 2.0**-1.5, rtol=1e-8)


def test_imports_as_autograd_has_them():
    import tapegrad.compat.autograd.numpy.random as npr
    import tapegrad.compat.autograd.scipy.stats.multivariate_normal as mvn
    from tapegrad.compat.autograd.numpy.linalg import solve
    from tapegrad.compat.autograd.scipy.special import logsumexp

    from tapegrad.compat.autograd.builtins import isinstance as is_instance
    from tapegrad.compat.autograd.extend import vspace

    assert npr.RandomState is numpy.random.RandomState and is_instance((), tuple)
    numpy.testing.assert_allclose(solve(numpy.eye(2), X[:2]), X[:2])
    gradient = ours.grad(lambda x: logsumexp(x) + mvn.logpdf(x, numpy.zeros(3), numpy.eye(3)))(X)
    numpy.testing.assert_allclose(gradient, numpy.exp(X) / numpy.sum(numpy.exp(X)) - X)
    space = vspace(TREE)
    assert space.size == 8 and space.inner_prod(space.ones(), space.ones()) == 8.0


PUBLIC = {
    "extend": "primitive notrace_primitive vspace VSpace Box def_linear defvjp defvjp_argnum defvjp_argnums defjvp "
    "defjvp_argnum defjvp_argnums",
    "tracer": "primitive notrace_primitive Box getval isbox",
    "differential_operators": "grad jacobian hessian elementwise_grad make_vjp make_jvp make_ggnvp value_and_grad",
    "numpy.numpy_boxes": "ArrayBox",
    "scipy.integrate": "odeint",
    "scipy.linalg": "solve_triangular sqrtm cho_solve solve_banded",
    "scipy.signal": "convolve",
    "scipy.special": "logsumexp gammaln expit betainc jn",
    "scipy.stats.norm": "logpdf cdf pdf sf",
    "scipy.stats.t": "logpdf",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_names_of_modules(module):
    for library in (ours, theirs):
        found = importlib.import_module(f"{library.__name__}.{module}")
        assert all(hasattr(found, name) for name in PUBLIC[module].split())


IMAGES, KERNELS, SERIES = (numpy.sin(numpy.arange(1.0, 1.0 + n)) for n in (2 * 3 * 5 * 4, 3 * 2 * 3 * 2, 7))
CONVOLUTIONS = {
    "series": (SERIES, SERIES[:3], {}),
    "valid series, the shorter one first": (SERIES[:3], SERIES, {"mode": "valid"}),
    "same": (SERIES, SERIES[:4], {"mode": "same"}),
    "images": (
        IMAGES.reshape(2, 3, 5, 4),
        KERNELS.reshape(3, 2, 3, 2),
        {"axes": ([2, 3], [2, 3]), "dot_axes": ([1], [0]), "mode": "valid"},
    ),
    "images, all of them": (IMAGES.reshape(4, 30), KERNELS.reshape(9, 4), {"axes": ([1], [0])}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name):
    a, b, options = CONVOLUTIONS[name]
    found, expected = (importlib.import_module(f"{ag.__name__}.scipy.signal").convolve for ag in (ours, theirs))
    numpy.testing.assert_allclose(found(a, b, **options), expected(a, b, **options), rtol=1e-12, atol=1e-12)
    ours.test_util.check_grads(lambda a, b: found(a, b, **options), (0, 1), order=1)(a, b)


def test_convolutions_that_are_refused():
    from tapegrad.compat.autograd.scipy.signal import convolve

    with pytest.raises(ValueError, match="mode 'around' is none of"):
        convolve(X, X, mode="around")
    with pytest.raises(ValueError, match="must be the longer one along all axes"):
        convolve(numpy.ones((2, 5)), numpy.ones((3, 4)), mode="valid")


def test_odeint_as_autograd_has_it():
    times, rates = numpy.linspace(0.0, 1.0, 5), numpy.array([[-0.1, 2.0], [-2.0, -0.1]])

    def loss(ag):
        odeint = importlib.import_module(f"{ag.__name__}.scipy.integrate").odeint
        np, args = NP[ag], ag.builtins.tuple
        return lambda a: np.sum(
            odeint(lambda y, t, a: np.dot(y**3, a), numpy.array([2.0, 0.0]), times, args((a,))) ** 2
        )

    numpy.testing.assert_allclose(ours.grad(loss(ours))(rates), theirs.grad(loss(theirs))(rates), rtol=1e-3)


def test_rules_for_several_arguments():
    from tapegrad.compat.autograd.extend import def_linear, defjvp_argnum, defjvp_argnums, defvjp_argnum, primitive
    from tapegrad.compat.autograd.test_util import check_grads

    product = primitive(lambda x, y: x * y)
    defvjp_argnum(product, lambda k, ans, args, kwargs: lambda g: g * args[1 - k])
    defjvp_argnum(product, lambda k, g, ans, args, kwargs: g * args[1 - k])
    check_grads(product, (0, 1))(X, X[::-1].copy())
    defjvp_argnums(product, lambda ks, gs, ans, args, kwargs: sum(g * args[1 - k] for k, g in zip(ks, gs, strict=True)))
    check_grads(product, (0, 1))(X, X[::-1].copy())
    doubled = primitive(lambda x: 2.0 * x)
    def_linear(doubled)
    numpy.testing.assert_allclose(ours.make_jvp(doubled)(X)(X)[1], 2.0 * X)


def test_values_that_are_traced():
    from tapegrad.compat.autograd.tracer import getval, isbox

    def f(x):
        assert isbox(x) and not isbox(getval(x)) and type(getval(x)) is numpy.ndarray
        return numpy.sum(x * getval(x))

    numpy.testing.assert_allclose(ours.grad(f)(X), X)
    assert getval(2.0) == 2.0 and not isbox(X)
