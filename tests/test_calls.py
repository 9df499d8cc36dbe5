"""Calls of compiled functions: what machine code recognises and answers, and what it leaves to Python."""

import functools
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.compiler.entrance import arrays_are_known
from tapegrad.compiler.plan import plan_program

native = pytest.mark.skipif(not arrays_are_known(), reason="this Python keeps calls in Python")

A, B, C = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 4.0]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
Pair = namedtuple("Pair", "first second")


compiled = functools.partial(tg.compile, native=False)  # whose plan stays


def hits(step):
    return sum(entry.hits for entry in step._entries)


def same(found, expected):
    """Containers, types, dtypes, shapes and values are the same; arrays own their memory."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert found.dtype == expected.dtype and found.shape == expected.shape
        assert not isinstance(found, np.ndarray) or (found.base is None and found.flags.carray)
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


FORMS = {
    "array": (lambda x: (x * x, 2.0 * x), (A,), {}),
    "several": (lambda x, y: x * y + 1.0, (A, B), {}),
    "list": (lambda p: [p[0] * p[1], p[1] - p[0]], ([A, B],), {}),
    "tuple": (lambda p: (p[1], p[0] * 2.0), ((A, B),), {}),
    "dictionary": (lambda p: {"b": p["w"] * 2.0, "a": p["c"]}, ({"w": A, "c": B},), {}),
    "nested": (lambda p: {"x": [p["a"][0] + p["a"][1]["k"]]}, ({"a": (A, {"k": B})},), {}),
    "float": (lambda x, a: (x * a, a * a), (A, 1.5), {}),
    "scalars": (lambda a, b, c: (a * b, a + c), (np.float64(1.5), np.float32(2.5), np.int64(3)), {}),
    "keywords": (lambda x, *, a, b: x * a - b, (A,), {"b": B, "a": 2.0}),
    "static": (lambda x, n, name: x**n if name == "power" else x, (A, 3, "power"), {}),
    "none": (lambda x, y=None: (x * 2.0, None), (A, None), {}),
    "float32": (lambda x: x * x, (A.astype(np.float32),), {}),
    "integers": (lambda x: x * 2, (np.arange(4),), {}),
    "complex": (lambda x: (x * x, np.sum(x)), (A + 1j * B,), {}),
    "bool": (lambda x: x > 1.0, (A,), {}),
    "no elements": (lambda x: x * 2.0, (np.ones((0, 3)),), {}),
    "no dimensions": (lambda x: x * 2.0, (np.array(3.0),), {}),
    "transposed result": (lambda x: (x.T, x.T * 2.0), (C,), {}),
    "large": (lambda x: (np.exp(x), x[::2] * 2.0, np.sum(x)), (np.linspace(0.0, 1.0, 1000),), {}),
    "constant results": (lambda x: (x * 2.0, 7, np.array([1.0, 2.0]), "text"), (A,), {}),
    "named tuple": (lambda x: Pair(x * 2.0, [x, x + 1.0]), (A,), {}),
    "rows in Python": (lambda x: np.sort(x) * 2.0, (B,), {}),
    "no arguments": (lambda: tg.tensor([1.0, 2.0]) * 2.0, (), {}),
    "many": (lambda *xs: [x * 2.0 for x in xs], tuple(A + k for k in range(100)), {}),
}


@pytest.mark.parametrize("name", FORMS)
def test_calls_of_all_forms(name):
    f, args, kwargs = FORMS[name]
    step = compiled(f)
    expected = step(*args, **kwargs)
    answers = [step(*args, **kwargs) for _ in range(5)]
    for answer in answers:
        same(answer, expected)
    assert hits(step) == (3 if arrays_are_known() else 0)


@pytest.mark.parametrize("x", [A, C, np.float64(2.0), 1.5])
def test_value_and_gradient(x):
    step = compiled(tg.value_and_grad(lambda x: np.sum(np.exp(x) * x)))
    expected = tg.value_and_grad(lambda x: np.sum(np.exp(x) * x))(x)
    for _ in range(4):
        value, gradient = step(x)
        assert type(value) is np.float64 and type(gradient) is (np.ndarray if np.ndim(x) else np.float64)
        np.testing.assert_allclose(value, expected[0], rtol=1e-14)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-14)


@native
@pytest.mark.parametrize(
    "other",
    [
        A[:2], A.astype(np.float32), C, 2.0, np.float64(2.0), [1.0, 2.0], np.ones(6)[::2], A.view(np.recarray),
        np.frombuffer(b"\0" * 25, np.uint8)[1:].view(np.float64), A.astype(">f8"), np.array(2.0),
    ],
    ids=repr,
)  # fmt: skip
def test_other_arguments_are_not_taken_for_those_known(other):
    def f(x):
        return 2.0 * x if not isinstance(x, list) else x[0] * 2.0

    step = compiled(f)
    for _ in range(4):
        step(A)
    before = hits(step)
    np.testing.assert_allclose(step(other), f(other), rtol=1e-6)
    assert hits(step) in (before, 0)  # what is recorded lets all entries go
    same(step(A), 2.0 * A)


@native
def test_lists_that_changed():
    step = compiled(lambda p: p[0] * 2.0 if len(p) == 1 else p[0] + p[1])
    p = [A, B]
    for _ in range(4):
        same(step(p), A + B)
    p.pop()
    same(step(p), A * 2.0)
    p.append(B)
    p[0] = C[0]
    same(step(p), C[0] + B)
    with pytest.raises(IndexError):
        step([])


@native
def test_static_arguments_are_compared_by_value():
    step = compiled(lambda x, n: x * n)
    for n in (1000, 1000, 1000, 1001, True, 1, 1000):
        same(step(A, int(n) if n is not True else n), A * n)
    before = hits(step)
    same(step(A, int("1000")), A * 1000)
    assert hits(step) == before + 1


@native
def test_several_forms_are_known_at_once():
    step = compiled(lambda x: x * 2.0)
    shapes = [np.ones(n) for n in range(1, 20)]
    for x in shapes * 4:
        same(step(x), 2.0 * x)
    assert hits(step) == len(shapes)


@native
def test_arrays_from_a_pickle():
    step = compiled(lambda x: x * 2.0)
    step(A), step(A), step(A)
    x = pickle.loads(pickle.dumps(A))
    before = hits(step)
    same(step(x), A * 2.0)
    assert hits(step) == before + 1


@native
def test_loaded_functions_are_as_quick():
    step = compiled(lambda x: (x * 2.0, np.sum(x)))
    step(A)
    loaded = pickle.loads(pickle.dumps(step))
    for _ in range(5):
        same(loaded(B), step(B))
    assert hits(loaded) == 2


@native
def test_short_paths_take_turns():
    step = compiled(lambda x: x * 2.0 if x[0] > 0 else (x * 3.0 if x[1] > 0 else -x))
    cases = [(A, A * 2.0), (-A, A), (np.array([-1.0, 1.0, 1.0]), np.array([-3.0, 3.0, 3.0]))]
    for _ in range(4):
        for x, expected in cases:
            same(step(x), expected)
    before = hits(step)
    for x, expected in cases:
        same(step(x), expected)
    assert hits(step) == before + 3 and len(step.paths()) == 3


@native
def test_used_paths_stay():
    step = compiled(lambda x: x * float(np.floor(x[0])), max_paths=2)
    one, two = np.array([1.5]), np.array([2.5])
    step(one), step(two)
    for _ in range(5):
        same(step(one), one)  # machine code counts, too
    step(np.array([3.5]))
    recorded = step.explain()
    same(step(one), one)
    assert step.explain() == recorded


def test_answers_that_are_large_arrays():
    step = compiled(lambda x: x[x > 0.0].sum() * 1.0)
    x = np.where(np.arange(3000) % 3 == 0, -1.0, 1.0)
    for _ in range(4):
        assert step(x) == 2000.0
    for _ in range(4):
        assert step(-x) == 1000.0


scale = 2.0


def scaled(x):
    return x * scale


@native
def test_globals_that_change(monkeypatch):
    step = compiled(scaled)
    for _ in range(4):
        same(step(A), A * 2.0)
    for value in (3.0, 3.5, 2.0):
        monkeypatch.setitem(globals(), "scale", value)
        for _ in range(4):
            same(step(A), A * value)
    before = hits(step)
    monkeypatch.setitem(globals(), "scale", float("2.0"))  # equal, and another object
    for _ in range(4):
        same(step(A), A * 2.0)
    assert hits(step) >= before and "recorded" in step.explain()


@native
def test_closures_lists_and_dictionaries_that_change():
    factor, terms, table = 2.0, [1.0], {"a": 1.0}

    def f(x):
        return x * factor + terms[0] + table["a"] + len(table)

    step = compiled(f)

    def check():
        for _ in range(4):
            same(step(A), A * factor + terms[0] + table["a"] + len(table))

    check()
    before = hits(step)
    check()
    assert hits(step) == before + 4
    factor = 5.0
    check()
    terms[0] = 7.0
    check()
    table["a"] = 9.0
    check()
    table["b"] = 0.0
    check()
    del table["b"]
    check()


@native
def test_calls_inside_transformations_are_recorded():
    step = compiled(lambda x: np.sum(x * x))
    for _ in range(4):
        step(A)
    before = hits(step)
    np.testing.assert_allclose(tg.grad(lambda x: step(x) * 3.0)(A), 6.0 * A)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(x) * step(A))(A), np.full(3, step(A)))
    outer = compiled(lambda x: step(x) + step(A))
    for _ in range(4):
        assert outer(B) == np.sum(B * B) + np.sum(A * A)
    assert hits(step) == before + 1
    x = tg.tensor(A, requires_grad=True)
    step(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2.0 * A)


@native
def test_a_plan_that_is_swapped_is_followed():
    step = compiled(lambda x: x * 2.0)
    for _ in range(4):
        step(A)
    (program,) = step.paths()
    assert hits(step) == 1
    program.plan = plan_program(*program.recorded)
    for _ in range(4):
        same(step(A), A * 2.0)
    assert step._entries[0].plan is program.plan
    assert hits(step) == 3


def test_results_are_fresh():
    step = compiled(lambda x: (x * 2.0, np.sum(x), np.array([1.0])))
    first = [step(A) for _ in range(4)]
    for result in first:
        result[0][:] = -1.0
        result[2][:] = -1.0
    same(step(A), (A * 2.0, np.sum(A), np.array([1.0])))


@native
def test_references_are_balanced():
    def f(p, n, y=None):
        return {"a": p["x"] * 2.0, "b": [p["x"] + y, 5, np.sum(y)]}

    step = compiled(f)
    x, y, p = np.ones(3), np.ones(3), {}
    p["x"], out = x, {"a": np.zeros(3), "b": [np.zeros(3), np.zeros(3)]}
    grad = compiled(lambda x: {"a": x * 2.0, "b": [x, x + 1.0]})
    for _ in range(4):
        step(p, 1000, y=y)
        grad(x, out=out)
    things = x, y, p, out, x.dtype, None, step, f, np.ndarray, out["a"], step._entries
    gc.collect()
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(500):
        step(p, 1000, y=y)
        grad(x, out=out)
        with pytest.raises(TypeError):
            step(p, y=y, nonsense=1)
    gc.collect()
    after = [sys.getrefcount(thing) for thing in things]
    assert all(abs(a - b) < 100 for a, b in zip(after, before, strict=True)), list(zip(before, after, strict=True))


def test_errors_are_those_of_the_function():
    step = compiled(lambda x: x * 2.0)
    for _ in range(4):
        step(A)
    with pytest.raises(TypeError, match="positional argument"):
        step()
    with pytest.raises(TypeError, match="unexpected keyword"):
        step(A, y=1)


def test_singular_matrices_raise_in_each_replay():
    step = compiled(lambda a: np.linalg.inv(a))
    regular, singular = np.eye(2) * 2.0, np.ones((2, 2))
    for _ in range(4):
        np.testing.assert_allclose(step(regular), np.eye(2) / 2.0)
    for _ in range(4):
        with pytest.raises(np.linalg.LinAlgError):
            step(singular)
    np.testing.assert_allclose(step(regular), np.eye(2) / 2.0)


# --- results into arrays -------------------------------------------------------------------------------------------


def test_out():
    step = compiled(tg.value_and_grad(lambda x: np.sum(x * x)))
    out = np.zeros(()), np.zeros(3)
    for k in range(6):
        x = A + k
        assert step(x, out=out) is out
        assert out[0] == np.sum(x * x)
        np.testing.assert_array_equal(out[1], 2.0 * x)
    if arrays_are_known():
        assert hits(step) == 3
    same(step(A), (np.sum(A * A), 2.0 * A))


@pytest.mark.parametrize("n", [3, 5000])
def test_out_may_be_the_arguments(n):
    step = compiled(lambda x, m: (x - 0.1 * m, m * 0.9 + x))
    x, m = np.linspace(0.0, 1.0, n), np.ones(n)
    for _ in range(5):
        expected = x - 0.1 * m, m * 0.9 + x
        step(x, m, out=(x, m))
        np.testing.assert_allclose(x, expected[0], rtol=1e-14)
        np.testing.assert_allclose(m, expected[1], rtol=1e-14)
    both = np.ones(n + 1)
    for _ in range(5):
        expected = both[:n] - 0.1 * m, m * 0.9 + both[:n]
        fresh = np.zeros(n)
        step(both[:n], m, out=(both[1:], fresh))
        np.testing.assert_allclose(both[1:], expected[0], rtol=1e-14)
        np.testing.assert_allclose(fresh, expected[1], rtol=1e-14)


def test_out_in_another_layout():
    step = compiled(lambda x: {"a": x * 2.0})
    out = {"a": np.zeros((3, 2)).T}
    for _ in range(4):
        assert step(C, out=out) is out
        np.testing.assert_array_equal(out["a"], C * 2.0)


def read_only():
    x = np.zeros(3)
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros(3), ValueError, "out must have the structure of what f returns"),
        ((np.zeros(4), np.zeros(())), ValueError, r"out\[0\] of f has shape \(4,\), and the result \(3,\)"),
        ((np.zeros(3, np.float32), np.zeros(())), TypeError, r"out\[0\] of f is float32, and the result float64"),
        (([0.0] * 3, np.zeros(())), ValueError, "structure"),
        ((A, 2.0), TypeError, r"out\[1\] is float; pass an array of shape \(\)"),
        ((read_only(), np.zeros(())), ValueError, r"out\[0\] of f is read-only"),
        (None, ValueError, "structure"),
    ],
)
def test_out_is_checked(out, error, message):
    def f(x):
        return x * 2.0, np.sum(x)

    step, right = compiled(f), (np.zeros(3), np.zeros(()))
    for _ in range(4):
        step(B, out=right)
        with pytest.raises(error, match=message):
            step(B, out=out)
    same(right, (B * 2.0, np.array(np.sum(B))))


def test_results_that_share_memory_are_refused():
    step = compiled(lambda x: (x * 2.0, x * 3.0))
    memory = np.zeros(5)
    for _ in range(4):
        step(A, out=(np.zeros(3), np.zeros(3)))
        with pytest.raises(ValueError, match="share memory, and hold two results"):
            step(A, out=(memory[:3], memory[2:]))
    interleaved = np.zeros(6)
    step(A, out=(interleaved[::2], interleaved[1::2]))
    np.testing.assert_array_equal(interleaved, [2, 3, 4, 6, 6, 9])


def test_out_of_the_functions_own():
    step = compiled(lambda x, out=2.0: x * out)
    for _ in range(4):
        same(step(A, out=3.0), A * 3.0)


def test_out_is_refused_while_something_is_recorded():
    step = compiled(lambda x: x * 2.0)
    with pytest.raises(TypeError, match="out= inside of another transformation"):
        tg.grad(lambda x: np.sum(step(x, out=np.zeros(3))))(A)


def test_out_of_a_function_that_is_run_as_it_is():
    out = np.zeros(3)
    tensor = tg.tensor(A)
    step = compiled(lambda x: x * 2.0)
    assert step(tensor, out=out) is out
    np.testing.assert_array_equal(out, 2.0 * A)


@native
def test_steady_replays_allocate_nothing():
    n = 100_000
    step = compiled(lambda x, m: (np.exp(-x) * m + x, m * 0.5))
    x, m, out = np.ones(n), np.ones(n), (np.zeros(n), np.zeros(n))
    for _ in range(4):
        step(x, m, out=out)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(10):
            step(x, m, out=out)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 4096 and after - before < 1024


# --- threads, forks, interruptions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 3000])
@pytest.mark.parametrize("outside", [False, True], ids=["loops", "rows in Python"])
@pytest.mark.parametrize("of_its_own", [False, True], ids=["interpreted", "machine code"])
def test_eight_threads(n, outside, of_its_own):
    def f(x):
        y = np.exp(-x * x) * x
        return np.sum(y * (np.sort(x) if outside else x)) * 2.0

    step, eager = compiled(tg.value_and_grad(f)), tg.value_and_grad(f)
    if of_its_own:
        step(np.zeros(n))
        step.paths()[0].make_native()
    points = [np.linspace(0.0, 1.0 + k, n) for k in range(8)]
    expected = [eager(x) for x in points]
    start = threading.Barrier(8)

    def work(k):
        start.wait()
        for _ in range(200):
            value, gradient = step(points[k])
            np.testing.assert_allclose(value, expected[k][0], rtol=1e-12)
            np.testing.assert_allclose(gradient, expected[k][1], rtol=1e-10, atol=1e-14)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_threads_that_begin_at_the_same_time():
    """Each of a new function's first calls may find its program recorded, and not yet linked to memory."""
    points = [np.linspace(0.0, 1.0 + k, 500) for k in range(8)]
    expected = [np.sum(np.sort(x) * x) for x in points]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(12):
            step, start = tg.compile(lambda x: np.sum(np.sort(x) * x), native=False), threading.Barrier(8)

            def work(k, step=step, start=start):
                start.wait()
                return [step(points[k]) for _ in range(60)]

            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(work, range(8)))
            np.testing.assert_allclose(found, np.repeat(expected, 60).reshape(8, 60), rtol=1e-12)
    finally:
        sys.setswitchinterval(interval)


@native
def test_threads_are_in_one_program_at_the_same_time():
    inside, most, lock = [0], [0], threading.Lock()
    together = threading.Barrier(4, timeout=20)

    @tg.primitive
    def meet(x):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        if armed:
            together.wait()
        with lock:
            inside[0] -= 1
        return x * 2.0

    armed = []
    step = compiled(lambda x: meet(x) + 1.0)
    for _ in range(4):
        step(A)
    armed.append(True)
    with ThreadPoolExecutor(4) as pool:
        for k, y in enumerate(pool.map(step, [A, B, A * 2.0, B * 2.0])):
            same(y, [A, B, A * 2.0, B * 2.0][k] * 2.0 + 1.0)
    assert most[0] == 4


FORKS = {
    "replays": """
import os, threading, numpy as np, tapegrad as tg
step = tg.compile(tg.value_and_grad(lambda x: np.sum(np.exp(x))), native=False)
small, large = np.array([1.0, 2.0, 3.0]), np.linspace(0.0, 1.0, 200_000)
for x in (small, large):
    for _ in range(4):
        step(x)
running, stop = threading.Event(), threading.Event()

def work():
    while not stop.is_set():
        step(large)
        running.set()

thread = threading.Thread(target=work)
thread.start()
running.wait(20)
for _ in range(5):
    child = os.fork()
    if child == 0:
        right = all(np.allclose(step(x)[1], np.exp(x)) for x in (small, large) for _ in range(3))
        os._exit(0 if right else 3)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        break
stop.set()
thread.join()
assert code == 0, code
""",
    "records": """
import os, threading, numpy as np, tapegrad as tg
recording, go_on = threading.Event(), threading.Event()
parent = os.getpid()

def f(x):
    if os.getpid() == parent and len(x) == 3:
        recording.set()
        go_on.wait(20)
    return x * 2.0

step = tg.compile(f, native=False)
step(np.ones(2))
thread = threading.Thread(target=step, args=(np.ones(3),))
thread.start()
assert recording.wait(20)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(step(np.ones(5)), np.full(5, 2.0)) else 3)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
go_on.set()
thread.join()
assert code == 0, code
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("program", FORKS.values(), ids=FORKS)
def test_children_work_while_a_thread_of_the_parent_does(program):
    """In a process of its own: libraries that other tests import, JAX among them, have threads and warn of forks."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupt, ValueError])
def test_interruptions_leave_all_as_it_was(error):
    armed = []

    @tg.primitive
    def careful(x):
        if armed:
            raise error("now")
        return x * 2.0

    step = compiled(lambda x: careful(x) + x)
    for _ in range(4):
        same(step(A), A * 3.0)
    armed.append(True)
    for _ in range(100):
        with pytest.raises(error, match="now"):
            step(A)
    armed.clear()
    before = hits(step)
    for _ in range(4):
        same(step(A), A * 3.0)
    assert hits(step) == before + (4 if arrays_are_known() else 0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_keyboard_interrupt_between_replays():
    step = compiled(tg.value_and_grad(lambda x: np.sum(np.exp(x) * x)))
    expected = step(A)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for k in range(50):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0001 * k, 1.0)  # again, should a finalizer swallow it
                while True:
                    step(A)
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    same(step(A), expected)


PROGRAM = """
import numpy as np, tapegrad as tg
step = tg.compile(tg.value_and_grad(lambda x: np.sum(np.exp(x * 2.0) / (1.0 + x) - x**3)), native=False)
x = np.array([0.1, 0.2, 0.3])
out = np.zeros(()), np.zeros(3)
for _ in range(4):
    value, slope = step(x)
    step(x, out=out)
print(type(type(step).__call__).__name__, value.hex(), [s.hex() for s in slope], out[0].item().hex())
"""


@native
def test_without_machine_code():
    def run(native):
        environment = dict(os.environ, TAPEGRAD_NATIVE=native)
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split(" ", 1)

    (native, result), (python, same) = run("1"), run("0")
    assert (native, python) == ("method_descriptor", "function")
    assert result == same
