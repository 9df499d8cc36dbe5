"""Python's own functions and protocols on traced values: right, or an error that names the remedy."""

from __future__ import annotations

import copy
import fractions
import inspect
import math
import operator
import pickle

import numpy as np
import pytest

import tapegrad as tg

POINT = np.array([0.51, -1.2, 0.73])
MATH = [n for n in dir(math) if callable(getattr(math, n)) and not n.startswith("_")]
ARGUMENTS = ((), (2.0,), (2,), (0.5, 0.1), ((1.0, 2.0, 3.0),))
OF_SEQUENCES = {"dist", "fsum", "prod", "sumprod"}
OF_INTEGERS = {"comb", "factorial", "gcd", "isqrt", "lcm", "perm"}


def fitting(function, x):
    """Arguments that a function of the math module takes after a number or sequence."""
    for more in ARGUMENTS:
        try:
            function(x, *more)
            return more
        except (TypeError, ValueError):
            pass
    return None


@pytest.mark.parametrize("name", MATH)
def test_math(name):
    """Inside a transformation nothing of the math module loses a gradient; on tensors without one, all of it works."""
    function = getattr(math, name)
    plain = 3 if name in OF_INTEGERS else [0.5, 0.25, 1.5] if name in OF_SEQUENCES else 0.5
    more = fitting(function, plain)
    if more is None:
        plain, more = 1.5, fitting(function, 1.5)
    x = np.asarray(plain)
    assert function(tg.tensor(x), *more) == function(plain, *more)
    if name in OF_INTEGERS:
        return

    def traced(x):
        return function(x, *more) * np.sum(x)

    try:
        found = tg.grad(traced)(x)
    except tg.TracedValueError as error:
        assert "np.sin(x) rather than math.sin(x)" in str(error) and "stop_gradient" in str(error)
        return
    eye = 1e-6 * np.eye(x.size).reshape(x.size, *x.shape)
    steps = [(function(x + d, *more) * np.sum(x + d) - function(x - d, *more) * np.sum(x - d)) / 2e-6 for d in eye]
    np.testing.assert_allclose(found, np.reshape(steps, x.shape), atol=1e-6)


def truth(x):
    assert bool(x[0]) and not bool(x[0] * 0.0)
    return x[0] if x[1] < 0 <= x[2] and x[0] != x[1] else x[1]


def loop(x):
    y = x[2]
    while y < 3.0:
        y = y * 2.0
    return y


def comparisons(x):
    assert x[0] in [x[0], 5.0] and (x[0] == 0.51 or x[0] > 0)
    return sorted(x, key=lambda a: -a)[0] + min(x[0], x[1], key=abs) + max(x, default=0.0)


def iteration(x):
    first, *rest = x
    return first * sum(rest) + sum(a * k for k, a in enumerate(reversed(x))) + len(x) * next(iter(x))


def formatting(x):
    text = f"{x[0]:.3f} {x[0]!r} {x} {x[0]!s}"
    assert text.startswith("0.510") and str(x) and repr(x)
    return x[0] * (len(text) > 0)


def hashing(x):
    kept = {x: 1.0, "y": 2.0}
    return np.sum(x) * kept[x] + len({x, x})


def copies(x):
    return np.sum(copy.copy(x) ** 2 + copy.deepcopy([x])[0] ** 3)


def built_in_functions(x):
    return (
        abs(x[1]) * pow(x[0], 2) + divmod(x[2], 0.3)[1] + divmod(2.0, x[2])[1] + round(x[0], 1) * x[1] + pow(2.0, x[0])
    )


def membership(x):
    pairs = np.stack([x, 2.0 * x])
    return x[0] * (POINT[1] + 9.0 in x) + x[1] * (0.0 in pairs * 0.0) + x[2] * (7.0 not in pairs)


def operators_by_name(x):
    return operator.truediv(x[0], operator.mul(x[1], operator.pos(x[2]))) + operator.itemgetter(1)(x)


@pytest.mark.parametrize(
    "function",
    [
        truth,
        loop,
        comparisons,
        iteration,
        formatting,
        hashing,
        copies,
        built_in_functions,
        membership,
        operators_by_name,
    ],
    ids=operator.attrgetter("__name__"),
)
def test_right(function):
    def plain(x):  # NumPy's arrays cannot be hashed; their values can
        return float(tg.stop_gradient(function(tg.tensor(x))))

    found = tg.grad(function)(POINT)
    steps = [(plain(POINT + d) - plain(POINT - d)) / 2e-6 for d in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(found, steps, atol=1e-6)


def test_formats_of_numbers_that_are_not_there_yet():
    texts = []

    def f(x):
        texts.append(f"{x[0]:.3f}")
        return np.sum(x**2)

    np.testing.assert_array_equal(tg.compile(tg.grad(f))(POINT), 2.0 * POINT)
    np.testing.assert_array_equal(tg.vmap(tg.grad(f))(np.stack([POINT, POINT]))[1], 2.0 * POINT)
    assert texts == ["tensor(..., shape=(), dtype=float64, traced)"] * 2


@pytest.mark.parametrize("op", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "eq", "ne", "lt", "ge"])
def test_fractions_take_part_as_floats(op):
    third = fractions.Fraction(1, 3)
    for dtype in (np.float32, np.float64, np.int64):
        x = tg.tensor(np.array([1, 2, 3], dtype))
        for found, expected in (
            (getattr(operator, op)(x, third), getattr(operator, op)(x, float(third))),
            (getattr(operator, op)(third, x), getattr(operator, op)(float(third), x)),
        ):
            assert found.dtype == expected.dtype and found.numpy().tolist() == expected.numpy().tolist()


@pytest.mark.parametrize(("number", "whole"), [(2.0, True), (-0.5, False), (np.inf, False), (np.nan, False), (3, True)])
def test_whole_numbers(number, whole):
    assert tg.tensor(number).is_integer() is whole
    assert tg.compile(lambda x: x * 2 if x.is_integer() else x + 1)(np.array(2.0)) == 4.0


REFUSED = {
    "float": (lambda x: float(x[0]), r"np\.sin\(x\)"),
    "int": (lambda x: int(x[0]), "stop_gradient"),
    "complex": (lambda x: complex(x[0]), "stop_gradient"),
    "item": (lambda x: x[0].item(), "stop_gradient"),
    "percent": (lambda x: "%.3f" % x[0], "stop_gradient"),  # noqa: UP031 -- the format under test
    "pickle": (lambda x: pickle.dumps(x), "stop_gradient"),
    "ratio": (lambda x: x[0].as_integer_ratio(), r"np\.mean\(x\)"),
    "index": (lambda x: [1, 2, 3][x[0]], r"int\(tapegrad\.stop_gradient\(x\)\)"),
    "range": (lambda x: range(x[0]), r"int\(tapegrad\.stop_gradient\(x\)\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_remedy(name):
    function, remedy = REFUSED[name]
    with pytest.raises(TypeError, match=remedy):
        tg.grad(lambda x: function(x) and np.sum(x))(POINT)


@pytest.mark.parametrize("call", [len, iter, list], ids=["len", "iter", "list"])
def test_numbers_have_no_length(call):
    with pytest.raises(TypeError, match="0-d"):
        tg.grad(lambda x: call(x[0]))(POINT)


def test_truth_of_several_elements_is_ambiguous():
    with pytest.raises(ValueError, match=r"use \.any\(\) or \.all\(\)"):
        tg.grad(lambda x: x[0] if x > 0 else x[1])(POINT)


def test_stopped_values_are_plain_numbers():
    def f(x):
        a = tg.stop_gradient(x[0])
        return math.sin(a) * float(a) * int(a + 2.0) * x[1] * len(pickle.dumps(a)[:1]) + complex(a).real

    np.testing.assert_allclose(tg.grad(f)(POINT), [0.0, math.sin(0.51) * 0.51 * 2, 0.0])


def test_every_protocol_of_a_numpy_number_is_there():
    lacking = {
        "__buffer__", "__release_buffer__", "__array_struct__", "__array_interface__", "__array_wrap__",
        "__class_getitem__", "__getnewargs__", "__getformat__", "__setstate__",
    }  # fmt: skip
    protocols = {n for n, _ in inspect.getmembers(np.float64(1.0)) if n.startswith("__")}
    assert {n for n in protocols if not hasattr(tg.tensor(1.0), n)} <= lacking
