"""Paths of compiled functions: what is asked of traced values, what is captured, and random numbers."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.values import value_of

RATE = 0.5


def branches(x):
    if x[0] > x[1]:
        return np.sum(x * x)
    return np.sum(np.sin(x)) if np.any(x > 1.0) else -np.sum(x)


def loop(x):
    y, turns = x[0] * 1.0, 0
    while abs(y) < 2.0 and turns < 8:
        y = y * 1.7 + 0.1 * x[1]
        turns += 1
    return y * x[2] + turns


def indices(x):
    k = int(np.argmax(x))
    order = np.argsort(x.detach() if isinstance(x, tg.Tensor) else x)
    return x[k] * x[order[0]] + np.sum(x[: k + 1])


def masks(x):
    chosen = x[x > 0.2]
    return np.sum(chosen * chosen) + chosen.shape[0]


def everything(x):
    total = loop(x) if x[2] > 0 else branches(x)
    for k in range(int(np.floor(np.abs(tg.stop_gradient(x[0])) * 3)) % 4):
        total = total + x[k] * masks(x)
    return total * indices(x)


PROGRAMS = [branches, loop, indices, masks, everything]


def same(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_as_the_dynamic_one(f):
    rng = np.random.default_rng(0)
    dynamic = tg.value_and_grad(f)
    step = tg.compile(dynamic, max_paths=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # more paths than are kept, for some
        for _ in range(150):
            x = rng.normal(size=4)
            same(step(x), dynamic(x))
            assert len(step.paths()) <= 8


def short(x):
    """A branch, a loop and an index that depend on values."""
    y, turns = x[0], 0
    while y < 1.0 and turns < 5:
        y, turns = 1.5 * y + x[1], turns + 1
    return y * x[int(np.argmin(x))] if y > 0 else turns * x[2]


@pytest.mark.slow
def test_ten_thousand_inputs():
    rng = np.random.default_rng(1)
    dynamic = tg.value_and_grad(short)
    step = tg.compile(dynamic, max_paths=50)
    for _ in range(10_000):
        x = rng.normal(size=3)
        same(step(x), dynamic(x))
    (paths,) = step.programs.values()
    assert not paths.given_up and paths.misses == len(paths) <= 50
    assert paths.hits == 10_000 - paths.misses


@pytest.mark.parametrize("shape", [(), (5,), (300,)])
def test_machine_code_decides_on_the_same_bits(shape):
    """Where a product and a sum that were rounded together would be positive, or exp were another library's."""

    def rest(x, y, z):
        found = x * y + z
        return x * 2.0 if np.all(found > 0.0) else y * (3.0 if np.all(found == 0.0) else 4.0)

    def thrown(x, y, z):
        return x if np.any(np.exp(x) * y + z != 0.0) else np.tanh(y)

    rng = np.random.default_rng(3)
    for f, product in ((rest, lambda x, y: x * y), (thrown, lambda x, y: np.exp(x) * y)):
        dynamic = tg.value_and_grad(lambda *given, f=f: np.sum(f(*given)))
        step = tg.compile(dynamic)
        for turn in range(200):
            x, y = rng.uniform(0.5, 2.0, (2, *shape))
            z = -np.asarray(value_of(product(tg.tensor(x), tg.tensor(y))))
            same(step(x, y, z), dynamic(x, y, z))
            if turn == 3:
                step.optimize()
        (paths,) = step.programs.values()
        assert paths.misses == 1 and step.paths()[0].plan.steps


def test_paths_are_recorded_once():
    calls = []

    def f(x):
        calls.append(1)
        return x * 2.0 if x > 0 else -x

    step = tg.compile(f)
    for x in (1.0, 2.0, -1.0, 3.0, -2.0):
        assert step(x) == (2 * x if x > 0 else -x)
    assert len(calls) == len(step.paths()) == 2


def test_those_not_used_for_longest_go():
    def f(x, n):
        return x * int(n)

    step = tg.compile(f, max_paths=3)
    for n in (1, 2, 3, 1, 4):
        assert step(2.0, np.array(n)) == 2.0 * n
    kept = {int(np.frombuffer(p.outcomes[0], int)[0]) for p in step.paths()}
    assert kept == {1, 3, 4}


def test_a_function_with_a_new_path_at_each_call_is_given_up_with_a_warning():
    def f(x):
        return x * float(x)

    step = tg.compile(f, max_paths=2)
    with pytest.warns(RuntimeWarning, match="takes another path nearly each time") as caught:
        for k in range(20):
            assert step(float(k)) == k * k
    assert len(caught) == 1 and len(step.paths()) <= 2
    assert "given up" in step.explain()


ASKED = {
    "bool": lambda x: 1.0 if x else 2.0,
    "int": lambda x: int(x),
    "float": lambda x: float(x),
    "item": lambda x: x.item(),
    "index": lambda x: [10.0, 11.0, 12.0, 13.0][np.floor(x).astype(int)],
    "range": lambda x: sum(range(np.floor(x).astype(int))),
    "tolist": lambda x: np.floor(x).astype(int).tolist(),
    "nonzero": lambda x: np.nonzero(np.stack([x, -x]) > 0)[0][0],
    "array": lambda x: np.asarray(np.stack([x, -x]) > 0)[1] * 1.0,
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_what_can_be_asked(ask):
    step = tg.compile(lambda x: x * ask(x))
    for x in (0.0, 1.5, 2.0, 2.5, 1.5, -0.0):
        if x or ask is not ASKED["nonzero"]:
            assert step(x) == x * (ask(np.float64(x)))


def test_a_question_has_the_value_of_its_time():
    def f(x):
        y = x * 1.0
        large = y.sum() > 3.0
        first = bool(large)
        y += 1.0
        return np.sum(y) * (2.0 if first else 1.0) + (1.0 if y[0] > 2.0 else 0.0)

    def plain(x):
        return np.sum(x + 1) * (2.0 if x.sum() > 3 else 1.0) + (x[0] + 1 > 2)

    step = tg.compile(f)
    for x in ([1.0, 0.5], [2.0, 2.0], [1.5, 0.0], [1.0, 0.5]):
        np.testing.assert_allclose(step(np.array(x)), plain(np.array(x)))


def test_arguments_are_not_kept():
    x = np.array([1.0, 2.0])
    step = tg.compile(lambda x: np.sum(x) if x[0] > 0 else x[1])
    assert step(x) == 3.0
    x[:] = [5.0, 6.0]
    assert step(x) == 11.0


def test_the_recorded_path_may_fail_where_another_is_taken():
    def f(a):
        return np.sum(np.linalg.inv(a)) if abs(np.linalg.det(a)) > 1e-6 else np.sum(a)

    step = tg.compile(f)
    for a in (np.eye(3), np.ones((3, 3)), np.zeros((3, 3)), 2 * np.eye(3)):
        np.testing.assert_allclose(step(a), f(a))


def test_errors_of_a_new_path_are_the_functions_own():
    def f(x):
        if x < 0:
            raise ArithmeticError("below zero")
        return np.sqrt(x)

    step = tg.compile(f)
    for _ in range(2):
        assert step(4.0) == 2.0
        with pytest.raises(ArithmeticError, match="below zero"):
            step(-1.0)


def test_explanations_name_file_and_line():
    step = tg.compile(tg.value_and_grad(branches))
    step(np.array([2.0, 1.0]))
    assert "the first call" in step.explain()
    step(np.array([0.0, 1.5]))
    line = branches.__code__.co_firstlineno + 1
    assert f"bool() at {__file__}:{line} was False, and True in the path tried" in step.explain()
    step(np.array([2.0, 1.0, 0.0]))
    assert "argument 0 was float64[3], and float64[2] before" in step.explain()
    shown = repr(step.paths()[-1])
    assert "guards" in shown and f"{__file__}:{line} = " in shown


def test_no_path_is_refused():
    with pytest.raises(ValueError, match="at least one path"):
        tg.compile(branches, max_paths=0)


def test_globals_bound_anew(monkeypatch):
    step = tg.compile(tg.grad(lambda x: RATE * x))
    assert step(1.0) == 0.5
    monkeypatch.setitem(globals(), "RATE", 2.0)
    assert step(1.0) == 2.0
    assert "global 'RATE'" in step.explain()


def helper(x):
    return RATE * x


def test_globals_of_functions_that_are_called(monkeypatch):
    step = tg.compile(lambda x: helper(x) + 1.0)
    assert step(1.0) == 1.5
    monkeypatch.setitem(globals(), "RATE", 2.0)
    assert step(1.0) == 3.0
    monkeypatch.setitem(globals(), "helper", np.negative)
    assert step(1.0) == 0.0


def test_closures_bound_anew():
    scale, weights = 2.0, [np.array(1.0), np.array(2.0)]
    step = tg.compile(tg.value_and_grad(lambda x: scale * x * weights[1]))
    assert step(3.0)[0] == 12.0
    scale = 3.0
    assert step(3.0)[0] == 18.0
    weights[1] = np.array(1.0)
    assert step(3.0)[0] == 9.0
    assert "'weights'" in step.explain()
    recorded = len(step.explain().splitlines())
    scale = float("3")  # another object of the same value
    assert step(3.0)[0] == 9.0 and len(step.explain().splitlines()) == recorded


DRAWS = {
    "numpy's generator": lambda rng: rng.normal(),
    "numpy's module": lambda rng: np.random.random(),  # noqa: NPY002
    "python's": lambda rng: __import__("random").random(),
    "tapegrad's": lambda rng: tg.rand(1)[0],
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_random_numbers_are_refused(draw):
    rng = np.random.default_rng(0)
    step = tg.compile(lambda x: x + draw(rng))
    with pytest.raises(RuntimeError, match=r"random numbers were drawn .* pass them as an argument"):
        step(1.0)


def test_a_generator_as_an_argument_is_refused_when_drawn_from():
    step = tg.compile(lambda x, rng: x + rng.normal())
    with pytest.raises(RuntimeError, match="random numbers were drawn"):
        step(1.0, np.random.default_rng(0))


def test_large_float_arrays_are_no_path():
    step = tg.compile(lambda x: x * np.asarray(np.floor(x)).tolist()[0])
    with pytest.warns(RuntimeWarning, match="asks for a value while it is recorded"):
        np.testing.assert_allclose(step(np.array([1.5, 2.5])), [1.5, 2.5])


def test_traced_values_that_were_kept_say_so():
    kept = []

    def f(x):
        kept.append(x * 2.0)
        return x

    tg.compile(f)(1.0)
    with pytest.raises(TypeError, match="in a compiled function that has ended"):
        float(kept[0])


def test_printing_asks_nothing():
    def f(x):
        assert "traced" in f"{x}" and "traced" in repr(x)
        return x * 2

    step = tg.compile(f)
    assert step(1.0) == 2.0
    assert not step.paths()[0].guards


def test_values_under_compilation_are_not_for_other_threads():
    def f(x):
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda v: v * v, list(x)))

    x = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(tg.grad(f)(x), 2.0 * x)
    with pytest.raises(RuntimeError, match="leave threads out of what"):
        tg.compile(f)(x)
