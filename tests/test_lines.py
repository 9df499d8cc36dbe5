"""Errors name the very line: of the write that spoilt a saved value, and in anomaly mode of the forward operation."""

from __future__ import annotations

import inspect
import re
import threading

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


def line_of(function):
    """The line that is marked in a function's source."""
    lines, first = inspect.getsourcelines(function)
    (found,) = [first + k for k, line in enumerate(lines) if line.rstrip().endswith("# here")]
    return found


WRITES: list = []


def writes(function):
    """A function that overwrites a tensor of shape (3, 2), on the marked line."""
    WRITES.append(function)
    return function


@writes
def by_operator(b):
    b += 1.0  # here


@writes
def by_operator_with_a_tensor(b):
    c = tg.ones(2)
    b *= c  # here


@writes
def by_method(b):
    b.add_(1.0)  # here


@writes
def by_method_of_one_operand(b):
    b.sin_()  # here


@writes
def by_method_of_several_rows(b):
    b.clamp_(0.0, 1.0)  # here


@writes
def by_fill(b):
    b.zero_()  # here


@writes
def by_copy(b):
    b.copy_(np.ones(2))  # here


@writes
def by_out_of_a_ufunc(b):
    np.exp(b, out=b)  # here


@writes
def by_out_of_a_function(b):
    np.matmul(np.ones((3, 3)), tg.ones(3, 2), out=b)  # here


@writes
def by_slice(b):
    b[1:] = 0.0  # here


@writes
def by_whole_slice(b):
    b[:] = 5.0  # here


@writes
def by_element(b):
    b[0, 1] = 2.0  # here


@writes
def by_augmented_slice(b):
    b[0] += 1.0  # here


@writes
def by_mask(b):
    b[b > 1.0] = 0.0  # here


@writes
def by_index_array(b):
    b[np.array([0, 2])] = 0.0  # here


@writes
def by_augmented_mask(b):
    b[b > 1.0] *= 2.0  # here


@writes
def by_ufunc_at(b):
    np.add.at(b, np.array([0, 0]), 1.0)  # here


@writes
def by_copyto(b):
    np.copyto(b, 1.0)  # here


@writes
def by_put(b):
    np.put(b, [0], [1.0])  # here


@writes
def by_fill_diagonal(b):
    np.fill_diagonal(b, 0.0)  # here


@writes
def through_a_view(b):
    v = b.T
    v *= 2.0  # here


@writes
def through_a_view_of_a_view(b):
    v = b.reshape(6)[1:5]
    w = v.reshape(2, 2)
    w[0].mul_(2.0)  # here


@writes
def through_detached(b):
    b.detach().mul_(2.0)  # here


@writes
def without_gradients(b):
    with tg.no_grad():
        b -= 0.5  # here


@writes
def by_shape_in_place(b):
    b.t_()  # here


@writes
def in_a_loop(b):
    for k in range(3):
        b.add_(k)  # here


@writes
def in_a_loop_over_rows(b):
    for row in b:
        row *= 2.0  # here


@writes
def in_a_comprehension(b):
    return [b.mul_(k) for k in range(2)]  # here


@writes
def in_a_statement_of_several_lines(b):
    b.add_(  # here
        1.0,
        alpha=2.0,
    )


@writes
def in_an_assignment_of_several_lines(b):
    b[0] = (  # here
        tg.ones(2)
        * 2.0
    )  # fmt: skip


@writes
def as_the_last_of_several_writes(b):
    b.add_(1.0)
    b[0] = 2.0
    b.T.mul_(3.0)
    b /= 2.0  # here


@writes
def within_an_expression(b):
    c = tg.ones(3, 2)
    return c * 2.0 + b.add_(1.0) * c  # here


@writes
def by_a_generator(b):
    def steps():
        yield 1
        b.mul_(2.0)  # here
        yield 2

    return list(steps())


@writes
def in_another_thread(b):
    def run():
        b.detach().mul_(2.0)  # here

    worker = threading.Thread(target=run)
    worker.start()
    worker.join()


@writes
def by_a_dirty_argument(b):
    class Doubled(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2.0)  # here
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2.0

    Doubled.apply(b)


@pytest.mark.parametrize("write", WRITES, ids=[f.__name__ for f in WRITES])
@pytest.mark.parametrize("between", ["nothing", "a value", "another tape"])
def test_the_line_of_the_write(write, between):
    a = tg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    b = a * 2.0
    y = b * b
    if between == "a value":
        y.tolist()
    elif between == "another tape":
        rotate(local.state)
    write(b)
    place = rf"It was written at {re.escape(__file__)}:{line_of(write)}\."
    with pytest.raises(RuntimeError, match=place):
        y.sum().backward()


def shift(b):
    b += 1.0  # here


def test_the_line_is_in_the_function_that_writes_not_in_its_caller():
    b = tg.tensor([1.0, 2.0], requires_grad=True) * 2.0
    y = b.exp()
    z = y.sum()
    shift(y)
    with pytest.raises(RuntimeError, match=rf":{line_of(shift)}\."):
        z.backward()


@pytest.mark.parametrize("write", WRITES[:12], ids=[f.__name__ for f in WRITES[:12]])
def test_the_line_of_the_write_in_the_recorded_reverse(write):
    a = tg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    b = a * 2.0
    y = b * b
    write(b)
    with pytest.raises(RuntimeError, match=rf":{line_of(write)}\."):
        tg.autograd.grad(y.sum(), a, create_graph=True)


def test_the_line_of_a_write_to_what_a_function_saved():
    class Square(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2.0 * g * ctx.saved_tensors[0]

    b = tg.tensor([1.0, 2.0], requires_grad=True) * 2.0
    y = Square.apply(b).sum()
    shift(b)
    with pytest.raises(RuntimeError, match=rf":{line_of(shift)}\."):
        y.backward()


# --- forward lines in anomaly mode ----------------------------------------------------------------------------------


NANS: list = []


def nans(name):
    """A function of a vector with a zero, whose marked operation, of that name, gives NaN in the reverse."""

    def enter(function):
        NANS.append(pytest.param(function, name, id=function.__name__))
        return function

    return enter


@nans("Sqrt")
def numpys_function(x):
    y = np.sqrt(x)  # here
    return (y * 0.0).sum()


@nans("Log")
def method(x):
    return (x.log() * 0.0).sum()  # here


@nans("Div")
def operator(x):
    y = x * 1.0
    z = y / x  # here
    return z.sum()


@nans("Pow")
def power(x):
    y = x**0.5  # here
    return (y * 0.0).sum()


@nans("Log")
def of_a_view(x):
    y = x[:1]
    z = y.log()  # here
    return (z * 0.0).sum()


@nans("Log")
def written_in_place(x):
    y = x * 1.0
    y.log_()  # here
    return (y * 0.0).sum()


@nans("Sqrt")
def out_argument(x):
    y = tg.zeros(2)
    np.sqrt(x, out=y)  # here
    return (y * 0.0).sum()


@nans("Sqrt")
def in_the_loop(x):
    for _ in range(2):
        x = np.sqrt(x)  # here
    return (x * 0.0).sum()


@nans("Log")
def in_a_nested_function(x):
    def entropy(p):
        return p * np.log(p)  # here

    y = entropy(x)
    return y.sum()


@nans("Log")
def in_an_expression_of_several_lines(x):
    y = np.log(  # here
        x,
    )
    return (y * 0.0).sum()


@nans("Pow")
def norm(x):
    y = np.linalg.norm(x * 0.0, axis=0, keepdims=True)
    z = (x * 0.0).norm(p=0.5, dim=0)  # here
    return (y + z).sum()


@nans("Bad")
def of_the_users_function(x):
    class Bad(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2.0

        @staticmethod
        def backward(ctx, g):
            return g * np.nan

    y = Bad.apply(x)  # here
    return y.sum()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("run, name", NANS)
def test_the_line_of_the_operation(run, name, create_graph):
    x = tg.tensor([0.0, 1.0], requires_grad=True)
    with tg.autograd.detect_anomaly():
        y = run(x)
        place = rf"'{name}Backward0?' returned nan .* recorded at {re.escape(__file__)}:{line_of(run)}\b"
        with pytest.raises(RuntimeError, match=place):
            tg.autograd.grad(y, x, create_graph=create_graph)
