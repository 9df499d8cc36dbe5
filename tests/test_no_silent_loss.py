"""Nothing loses a gradient silently: idioms of NumPy code give the right gradient, or an error that names the remedy.

Every idiom runs inside `tg.grad` and eagerly on a tensor that requires grad. What passes must have the gradient that
central differences of the same code on plain arrays give; what raises must say what to write instead.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import statistics

import numpy as np
import pytest

import tapegrad as tg

POINT = np.array([0.51, -1.2, 0.73])
W = np.array([1.0, 2.0, 3.0])
REMEDY = (
    *("use ", "Use ", "rather than", "stop_gradient", "detach", "write ", "Write ", "compose", "instead", "pass "),
    *("make ", "leave it out", "keeps the history"),
)
IDIOMS: dict = {}


def idiom(function):
    assert function.__name__ not in IDIOMS
    IDIOMS[function.__name__] = function
    return function


# --- a plain array meets a traced one -------------------------------------------------------------


@idiom
def method_of_a_plain_array(x):
    return W.dot(x)


@idiom
def plain_array_first(x):
    return np.sum(W * x) + np.sum(W @ x) + np.sum(W - x) + np.sum(W**x)


@idiom
def numpy_scalar_first(x):
    return np.sum(np.float64(2.0) * x) + np.sum(np.float64(2.0) ** x)


@idiom
def plain_array_in_place(x):
    y = np.ones(3)
    y += x
    return np.sum(y * y)


@idiom
def plain_array_matmul_in_place(x):
    y = np.eye(3)
    y @= np.diag(x)
    return np.sum(y)


@idiom
def element_into_a_plain_array(x):
    out = np.zeros(3)
    for i in range(3):
        out[i] = x[i] * x[i]
    return out.sum()


@idiom
def slice_into_a_plain_array(x):
    out = np.zeros(5)
    out[1:4] = x
    return out.sum()


@idiom
def masked_elements_into_a_plain_array(x):
    out = np.zeros(3)
    out[np.array([True, False, True])] = x[:2]
    return out.sum()


@idiom
def element_into_zeros_like(x):
    out = np.zeros_like(x)
    out[0] = x[0] ** 2
    out[1:] = x[1:]
    return out.sum()


@idiom
def element_into_empty_like(x):
    out = np.empty_like(x)
    out[:] = x
    out += x
    return out.sum()


@idiom
def out_argument(x):
    out = np.zeros(3)
    np.multiply(x, W, out=out)
    return out.sum()


@idiom
def out_argument_of_a_reduction(x):
    out = np.zeros(())
    np.sum(x, out=out)
    return out.sum()


@idiom
def out_argument_of_matmul(x):
    out = np.zeros(3)
    np.matmul(np.eye(3), x, out=out)
    return out.sum()


@idiom
def out_argument_of_concatenate(x):
    out = np.zeros(6)
    np.concatenate([x, x], out=out)
    return out.sum()


@idiom
def out_argument_of_a_method(x):
    out = np.zeros(())
    x.sum(out=out)
    return out.sum()


@idiom
def out_argument_of_einsum(x):
    out = np.zeros(())
    np.einsum("i,i->", x, W, out=out)
    return out.sum()


@idiom
def copyto(x):
    out = np.zeros(3)
    np.copyto(out, x)
    return out.sum()


@idiom
def add_at(x):
    out = np.zeros(3)
    np.add.at(out, [0, 1, 1], x)
    return out.sum()


@idiom
def add_at_into_a_traced_value(x):
    out = x * 1.0
    np.add.at(out, [0, 1, 1], x)
    return out.sum()


@idiom
def put(x):
    out = np.zeros(3)
    np.put(out, [0, 1], x[:2])
    return out.sum()


@idiom
def place(x):
    out = np.zeros(3)
    np.place(out, [True, True, True], x)
    return out.sum()


@idiom
def putmask(x):
    out = np.zeros(3)
    np.putmask(out, [True, True, True], x)
    return out.sum()


@idiom
def put_along_axis(x):
    out = np.zeros(3)
    np.put_along_axis(out, np.array([0, 1, 2]), x, 0)
    return out.sum()


@idiom
def fill_diagonal(x):
    out = np.zeros((3, 3))
    np.fill_diagonal(out, x)
    return out.sum()


@idiom
def fill(x):
    out = np.zeros(3)
    out.fill(x[0])
    return out.sum()


@idiom
def method_put(x):
    out = np.zeros(3)
    out.put([0], x[:1])
    return out.sum()


@idiom
def setdiag_by_flat(x):
    out = np.zeros((3, 3))
    out.flat[::4] = x
    return out.sum()


@idiom
def choose(x):
    return np.sum(np.choose([0, 1, 0], [x, W]))


# --- making arrays ----------------------------------------------------------------------------------------------------


@idiom
def array_of_elements(x):
    return np.array([x[0], x[1]]).sum()


@idiom
def array_of_rows(x):
    return np.array([x, x]).sum()


@idiom
def array_of_mixed(x):
    return np.array([x[0], 1.0]).sum()


@idiom
def array_of_objects(x):
    return np.array([x[0], x[1]], dtype=object).sum()


@idiom
def array_copy(x):
    return np.array(x).sum()


@idiom
def asarray(x):
    return np.asarray(x).sum()


@idiom
def asarray_with_dtype(x):
    return np.asarray(x, dtype=float).sum()


@idiom
def ascontiguousarray(x):
    return np.ascontiguousarray(x).sum()


@idiom
def asfarray_like(x):
    return np.asanyarray(x).sum() + np.require(x).sum()


@idiom
def array_interfaces(x):
    return np.frombuffer(x).sum()


@idiom
def tensor_of_a_traced_value(x):
    return tg.tensor(x).sum()


@idiom
def tensor_of_a_list(x):
    return tg.tensor([x[0], x[1]]).sum()


@idiom
def fromiter(x):
    return np.fromiter((a for a in x), float).sum()


@idiom
def full(x):
    return np.full(3, x[0]).sum()


@idiom
def full_like(x):
    return np.full_like(x, x[0]).sum()


@idiom
def linspace(x):
    return np.linspace(x[0], x[2], 5).sum()


@idiom
def geomspace(x):
    return np.geomspace(x[0], x[2], 4).sum()


@idiom
def arange(x):
    return np.arange(0.0, x[0] * 10).sum() * x[0]


@idiom
def meshgrid(x):
    a, b = np.meshgrid(x, W)
    return np.sum(a * b)


@idiom
def fromfunction(x):
    return np.fromfunction(lambda i: x[0] * i, (3,)).sum()


@idiom
def r_and_c(x):
    return np.sum(np.r_[x, 1.0]) + np.sum(np.c_[x, x])


@idiom
def block(x):
    return np.sum(np.block([x, x]))


@idiom
def sequences_to_functions(x):
    return np.mean([x[0], x[1]]) + np.sum([x[0], x[1]]) + np.max([x[0], x[1]])


@idiom
def concatenate_of_lists(x):
    return np.sum(np.concatenate([[x[0]], [1.0]]))


@idiom
def stack_of_elements(x):
    return np.sum(np.stack([x[0], x[1]]) ** 2)


@idiom
def atleast_1d(x):
    return np.sum(np.atleast_1d(x[0]) * W)


# --- Python numbers ---------------------------------------------------------------------------------------------------


@idiom
def python_float(x):
    return float(x[0]) * x[1]


@idiom
def python_int(x):
    return int(x[0]) * x[1]


@idiom
def python_complex(x):
    return abs(complex(x[0]))


@idiom
def numpy_float(x):
    return np.float64(x[0]) * x[1]


@idiom
def item(x):
    return x[0].item() * x[1]


@idiom
def tolist(x):
    return sum(x.tolist())


@idiom
def math_sin(x):
    return math.sin(x[0])


@idiom
def math_others(x):
    return math.hypot(x[0], x[1]) + math.fsum(x) + math.exp(x[0])


@idiom
def math_prod(x):
    return math.prod(x)


@idiom
def math_floor(x):
    return math.floor(x[0]) * x[1]


@idiom
def math_trunc(x):
    return math.trunc(x[0]) * x[1]


@idiom
def math_isclose(x):
    return x[1] if math.isclose(x[0], 0.51) else x[2]


@idiom
def rounded(x):
    return round(x[0], 1) * x[1]


@idiom
def formatted_with_percent(x):
    return x[0] * (len("%.3f" % x[0]) > 0)  # noqa: UP031 -- the idiom under test


@idiom
def parsed_text(x):
    return float(f"{float(x[0]):.12f}") * x[0]


@idiom
def divided(x):
    return divmod(x[2], 0.3)[1]


@idiom
def pow_builtin(x):
    return pow(x[0], 2) + pow(2.0, x[0])


# --- Python's own functions ------------------------------------------------------------------------------------------


@idiom
def list_and_sum(x):
    return sum(list(x)) + sum(a * a for a in x)


@idiom
def sorted_elements(x):
    return sorted(x)[0] * 2


@idiom
def max_and_min(x):
    return max(x[0], x[1]) * 3.0 + min(x) * 2.0


@idiom
def reduce_and_accumulate(x):
    return functools.reduce(operator.mul, x) + list(itertools.accumulate(x))[-1]


@idiom
def operators_as_functions(x):
    return operator.add(x[0], x[1]) * operator.neg(x[2]) + operator.matmul(x, W)


@idiom
def in_place_operator_as_function(x):
    return np.sum(operator.iadd(np.ones(3), x))


@idiom
def unpacking(x):
    a, *rest = x
    return a * rest[0] + rest[1]


@idiom
def zipped(x):
    return sum(a * b for a, b in zip(x, W, strict=True))


@idiom
def enumerated_and_reversed(x):
    return sum(k * a for k, a in enumerate(reversed(x)))


@idiom
def statistics_mean(x):
    return statistics.fmean(x)


@idiom
def branch(x):
    return x[0] * 2 if x[0] > 0 else x[1]


@idiom
def abs_builtin(x):
    return abs(x[1]) + abs(x).sum()


# --- NumPy functions that call back or choose -----------------------------------------------------


@idiom
def where_with_traced_condition(x):
    return np.where(x > 0, x, x * 2).sum()


@idiom
def where_with_one_argument(x):
    return x[np.where(x > 0)].sum()


@idiom
def select(x):
    return np.select([x > 0, x <= 0], [x, x * x]).sum()


@idiom
def piecewise(x):
    return np.piecewise(x, [x < 0, x >= 0], [lambda v: v * v, lambda v: v]).sum()


@idiom
def vectorize(x):
    return np.vectorize(lambda a: a * a)(x).sum()


@idiom
def frompyfunc(x):
    return np.frompyfunc(lambda a: a * a, 1, 1)(x).sum()


@idiom
def apply_along_axis(x):
    return np.apply_along_axis(lambda a: a * a, 0, x).sum()


@idiom
def apply_over_axes(x):
    return np.apply_over_axes(np.sum, np.stack([x, x]), [0, 1]).sum()


@idiom
def sort_in_place(x):
    y = x * 1.0
    y.sort()
    return y[0] * 2


@idiom
def partition_in_place(x):
    y = x * 1.0
    y.partition(1)
    return y[0] * 2


@idiom
def shuffle_in_place(x):
    y = x * 1.0
    np.random.default_rng(0).shuffle(y)
    return np.sum(y * y)


@idiom
def random_with_traced_mean(x):
    return np.random.default_rng(0).normal(x[0], 1.0)


@idiom
def interp(x):
    return np.interp(x, [-2.0, 0.0, 1.0], [1.0, 3.0, 4.0]).sum()


@idiom
def polyval(x):
    return np.polyval([1.0, 2.0, 3.0], x).sum() + np.polyval(x, 2.0)


@idiom
def histogram(x):
    return np.histogram(x)[0].sum() * x[0]


@idiom
def gradient(x):
    return np.sum(np.gradient(x) * W)


@idiom
def unwrap_and_convolve(x):
    return np.sum(np.convolve(x, W))


@idiom
def fft(x):
    return np.sum(np.abs(np.fft.fft(x)))


@idiom
def reduceat(x):
    return np.add.reduceat(x, [0, 2]).sum()


@idiom
def nditer(x):
    return sum(a * a for a in np.nditer(x))


@idiom
def ndindex(x):
    return sum(x[i] * x[i] for i in np.ndindex(x.shape))


@idiom
def ndenumerate(x):
    return sum(a * a for _, a in np.ndenumerate(x))


@idiom
def flat(x):
    return sum(a * a for a in x.flat)


@idiom
def astype(x):
    return np.sum(x.astype(float) * W)


@idiom
def view_as(x):
    return x.view(np.float64).sum()


@idiom
def error_state(x):
    with np.errstate(all="ignore"):
        return np.sum(np.log(x * x))


@idiom
def dataclass_of_arrays(x):
    holder = np.empty(2, dtype=object)
    holder[0] = x[0]
    holder[1] = x[1]
    return holder[0] * holder[1]


NUMPYS_OWN_ERROR = {"array_interfaces", "nditer", "shuffle_in_place"}
"""Where C code of NumPy refuses, or warns, before it asks the tensor anything."""


def numeric(function, x, step=1e-6):
    """Gradient by central differences on plain arrays."""
    return np.array([(float(function(x + d)) - float(function(x - d))) / (2 * step) for d in step * np.eye(len(x))])


def names_the_remedy(error):
    """Whether an error, or what caused it, says what to write instead."""
    while error is not None:
        if any(word in str(error) for word in REMEDY):
            return True
        error = error.__cause__ or error.__context__
    return False


def assert_not_silent(compute, function):
    try:
        found = compute()
    except (TypeError, ValueError, NotImplementedError, RuntimeError, AttributeError, UserWarning) as error:
        loud = function.__name__ in NUMPYS_OWN_ERROR
        assert loud or names_the_remedy(error), f"no remedy in: {type(error).__name__}: {error}"
        return
    np.testing.assert_allclose(found, numeric(function, POINT), atol=1e-6)


@pytest.mark.parametrize("name", IDIOMS)
def test_inside_grad(name):
    function = IDIOMS[name]
    assert_not_silent(lambda: tg.grad(function)(POINT), function)


def eager_gradient(function, x):
    loss = function(x)
    if not isinstance(loss, tg.Tensor):
        # A Python number came out: eagerly, float(t) and t.item() are how values are read, as in PyTorch.
        pytest.skip("gives a plain number, which cannot be mistaken for a loss")
    loss.backward()
    return np.zeros(3) if x.grad is None else x.grad.numpy()


READ_ON_PURPOSE = {
    "python_float", "python_int", "item", "rounded", "math_floor", "math_trunc", "parsed_text", "arange",
    "numpy_float",
}  # fmt: skip
"""Where a tensor is turned into a number in plain sight: PyTorch allows this eagerly, and so does tapegrad."""


@pytest.mark.parametrize("name", sorted(set(IDIOMS) - READ_ON_PURPOSE))
def test_eagerly(name):
    function = IDIOMS[name]
    x = tg.tensor(POINT, requires_grad=True)
    assert_not_silent(lambda: eager_gradient(function, x), function)


@pytest.mark.parametrize(
    "name", ["method_of_a_plain_array", "array_of_elements", "out_argument", "plain_array_in_place"]
)
def test_plain_tensors_pass(name):
    """A tensor that requires no grad may become an array: nothing is lost."""
    x = tg.tensor(POINT)
    np.testing.assert_allclose(float(IDIOMS[name](x)), IDIOMS[name](POINT))


@pytest.mark.parametrize("name", ["python_float", "math_sin", "numpy_float", "asarray", "tolist", "item"])
def test_stop_gradient_is_the_way_out(name):
    """What the messages advise works."""

    def stopped(x):
        return IDIOMS[name](tg.stop_gradient(x)) + np.sum(x)

    np.testing.assert_allclose(tg.grad(stopped)(POINT), np.ones(3) + tg.grad(lambda x: np.sum(0.0 * x))(POINT))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("method_of_a_plain_array", r"np\.dot\(w, x\)"),
        ("array_of_elements", r"np\.stack\(\[x\[0\], x\[1\]\]\)"),
        ("out_argument", "out="),
        ("plain_array_in_place", r"y = y \+ x"),
        ("math_sin", r"np\.sin\(x\)"),
        ("python_float", "stop_gradient"),
        ("tolist", "stop_gradient"),
    ],
)
def test_message(name, match):
    with pytest.raises(tg.TracedValueError, match=match):
        tg.grad(IDIOMS[name])(POINT)


# --- constants that change --------------------------------------------------------------------------------------------


SIZES = pytest.mark.parametrize("n", [3, 5000])


@SIZES
def test_constant_changed_before_its_row_runs(n):
    x, c = tg.tensor(np.full(n, 2.0), requires_grad=True), np.full(n, 3.0)
    y = x * c
    c[:] = 100.0
    assert y.detach().numpy()[0] == 6.0
    y.sum().backward()
    assert np.all(x.grad.numpy() == 3.0)


@SIZES
def test_constant_changed_before_the_reverse(n):
    x, c = tg.tensor(np.full(n, 2.0), requires_grad=True), np.full(n, 3.0)
    y = (x * c).sum()
    assert y.item() == 6.0 * n
    c[:] = 100.0
    y.backward()
    assert np.all(x.grad.numpy() == 3.0)


@SIZES
def test_constant_changed_inside_grad(n):
    c = np.full(n, 3.0)

    def f(x):
        y = np.sum(x * c)
        c[:] = 100.0
        z = np.sum(x * c)
        c[:] = 3.0
        return y + z

    np.testing.assert_array_equal(tg.grad(f)(np.ones(n)), np.full(n, 103.0))


@SIZES
def test_view_of_a_constant_changed(n):
    x, c = tg.tensor(np.full(n, 2.0), requires_grad=True), np.full(2 * n, 3.0)
    y = (x * c[::2]).sum()
    c[:] = 100.0
    y.backward()
    assert y.item() == 6.0 * n
    assert np.all(x.grad.numpy() == 3.0)


@SIZES
def test_read_only_view_of_a_constant_changed(n):
    """A read-only view is no promise: its base can be written."""
    c = np.full(n, 3.0)
    frozen = c.view()
    frozen.flags.writeable = False
    x = tg.tensor(np.full(n, 2.0), requires_grad=True)
    y = (x * frozen).sum()
    c[:] = 100.0
    y.backward()
    assert y.item() == 6.0 * n
    assert np.all(x.grad.numpy() == 3.0)


@SIZES
def test_argument_changed_inside_grad(n):
    """The array that was passed is written by the function that closes over it."""
    a = np.full(n, 2.0)

    def f(x):
        y = np.sum(x * x)
        a[:] = 100.0
        return y + np.sum(x)

    value, gradient = tg.value_and_grad(f)(a)
    assert value == 6.0 * n
    np.testing.assert_array_equal(gradient, np.full(n, 5.0))


@SIZES
def test_index_array_changed(n):
    index = np.zeros(n, np.int64)
    x = tg.tensor([1.0, 5.0], requires_grad=True)
    y = x[index].sum()
    index[:] = 1
    y.backward()
    assert y.item() == n
    assert x.grad.tolist() == [n, 0.0]


@SIZES
def test_mask_changed(n):
    mask = np.zeros(n, bool)
    x = tg.tensor(np.ones(n), requires_grad=True)
    y = np.where(mask, x, 2.0 * x).sum()
    mask[:] = True
    y.backward()
    assert y.item() == 2.0 * n
    assert np.all(x.grad.numpy() == 2.0)


@SIZES
def test_assigned_constant_changed(n):
    x, c = tg.tensor(np.ones(n), requires_grad=True), np.full(n, 3.0)
    y = x * 1.0
    y[:] = c
    c[:] = 100.0
    assert y.detach().numpy()[0] == 3.0


@SIZES
def test_seed_changed(n):
    x, seed = tg.tensor(np.ones(n), requires_grad=True), np.full(n, 3.0)
    (x * 1.0).backward(seed)
    seed[:] = 100.0
    assert np.all(x.grad.numpy() == 3.0)
