"""Interrupts, fuzzers and misuse: a part of what scripts/ runs in full, in every test run."""

from __future__ import annotations

import importlib.util
import pathlib
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import tapegrad as tg

SCRIPTS = pathlib.Path(__file__).parents[1] / "scripts"


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_interrupts_leave_everything_whole():
    counts = script("interrupt").interrupt_all(40, seed=int(time.time()))
    assert sum(counts.values()) >= 40 and sum(n > 0 for n in counts.values()) >= 3, counts


def later(seconds):
    """Ctrl-C, after a while."""
    timer = threading.Timer(seconds, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    return timer


def sorting(x):
    y = x
    for _ in range(30):
        y = np.sort(np.exp(-y * y)) + x
    return np.sum(y)


@pytest.fixture
def interruptible():
    """Ctrl-C as it is in a terminal: a shell's background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("way", ["replay", "sweep"])
def test_long_compiled_work_is_interrupted_in_its_midst(way):
    x = np.linspace(0.0, 1.0, 300_000)
    if way == "replay":
        step = tg.compile(tg.value_and_grad(sorting), native=False)
        expected = step(x)[0]
        works = [lambda: step(x)] * 2
    else:
        leaf = tg.tensor(x, requires_grad=True)
        works = [sorting(leaf).backward for _ in range(2)]
    seconds, whole = time.perf_counter(), time.thread_time()  # the processor's, whatever else the machine does
    works.pop()()
    seconds, whole = time.perf_counter() - seconds, time.thread_time() - whole
    if way == "sweep":
        leaf.grad = None
    began = time.thread_time()
    timer = later(seconds / 10)
    with pytest.raises(KeyboardInterrupt):
        works.pop()()
        time.sleep(60)  # where the signal comes late, for the test to tell
    took = time.thread_time() - began
    timer.join()
    assert took < 0.8 * whole
    if way == "replay":
        assert step(x)[0] == expected
    else:
        assert leaf.grad is None


def test_a_mode_ends_although_its_end_was_interrupted():
    """An interrupt may come between a block's last line and `__exit__`: then the object's end is the block's."""
    mode = tg.no_grad()
    mode.__enter__()
    assert not tg.is_grad_enabled()
    del mode
    assert tg.is_grad_enabled()
    tg.set_grad_enabled(False)
    assert not tg.is_grad_enabled()
    tg.set_grad_enabled(True)


def test_a_mode_is_a_bool():
    with pytest.raises(TypeError, match="mode must be a bool, not str"):
        tg.set_grad_enabled("no")
    assert tg.is_grad_enabled()


def test_imports_are_taken_back():
    class Failing(list):
        def append(self, x):
            raise KeyboardInterrupt

    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2.0
    tape = y._tape
    known = len(tape.imports)
    rows, tape.rows = tape.rows, Failing(tape.rows)
    with pytest.raises(KeyboardInterrupt):
        tape.bring(y._spec, np.ones(2), 0)
    tape.rows = rows
    assert len(tape.imports) == len(tape.import_addr) == known
    (y * tg.tensor([3.0, 4.0])).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, 8.0])


def test_hostile_files():
    """In a process of their own: the script forks, which some libraries that other tests import do not like."""
    command = [sys.executable, SCRIPTS / "fuzz_saved.py", "600", "--seed", str(int(time.time()))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "'refused'" in done.stdout, done.stdout + done.stderr


REACHING = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
import tapegrad as tg
from fences import fenced, fenced_copy

with fenced({at_end}):
    step = tg.compile(lambda x: np.cumsum(np.exp(x)) * 2.0, native=False)
    x = fenced_copy(np.linspace(0.0, 1.0, 40), {at_end})
    step(x)
    plan = step.paths()[0].plan
    slot = next(k for k, row in plan.signatures.items() if plan.offsets[k] >= 0 and row.primitive.name == "exp")
    print("whole", flush=True)
    plan.addr[slot] += {shift}
    step(x)
    print("reached", flush=True)
"""


@pytest.mark.parametrize(("at_end", "shift", "found"), [(True, 8, True), (False, -8, True), (True, 0, False)])
def test_fences_find_what_reaches_beyond_a_value(at_end, shift, found):
    code = REACHING.format(tests=str(SCRIPTS.parent / "tests"), at_end=at_end, shift=shift)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == (["whole"] if found else ["whole", "reached"]), done.stderr
    assert done.returncode == (-signal.SIGSEGV if found else 0), done.stderr


# --- numpy.errstate -------------------------------------------------------------------------------------------


WRONG = {
    "divide": (lambda x: 1.0 / (x - x), "divide by zero encountered in divide"),
    "log": (lambda x: np.log(x * 0.0), "divide by zero encountered in log"),
    "over": (lambda x: np.exp(x * 1000.0), "overflow encountered in exp"),
    "invalid": (lambda x: np.sqrt(-x), "invalid value encountered in sqrt"),
    "product": (lambda x: x * 1e308 * 1e10, "overflow encountered in multiply"),
}


@pytest.mark.parametrize("deferred", [True, False])
@pytest.mark.parametrize("key", WRONG)
def test_errors_that_numpy_is_asked_to_raise(key, deferred):
    function, message = WRONG[key]
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert not np.isfinite(function(x).detach().numpy()).any()  # in silence
    before = tg.set_deferral(deferred)
    try:
        with np.errstate(all="raise"):
            with pytest.raises(FloatingPointError, match=message):
                function(x).sum().item()
            assert (x * 2.0).sum().item() == 6.0
    finally:
        tg.set_deferral(before)
    (x * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 3.0])


def test_a_handler_that_numpy_is_asked_to_call():
    seen = []
    x = tg.tensor([1.0, 0.0])
    with np.errstate(divide="call", call=lambda *args: seen.append(args)):
        assert (1.0 / x).sum().item() == np.inf
    assert seen == [("divide by zero", 1)]


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.6, 0.7]])
def test_warnings_of_inner_loops_that_are_errors(values):
    """SciPy's loops warn by themselves; what they raise then comes out as it is."""
    special = pytest.importorskip("scipy.special")
    step = tg.compile(tg.value_and_grad(lambda x: np.sum(special.expn(2.5, x))), native=False)
    x = np.array(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, *_ = [step(x) for _ in range(4)]
    calls = {
        "eager": lambda: special.expn(2.5, tg.tensor(values, requires_grad=True)).sum().item(),
        "at once": lambda: step.fun(x),
        "compiled": lambda: step(x),
    }
    for name, call in calls.items():
        for _ in range(2):
            with pytest.raises(RuntimeWarning, match="truncated to an integer"):
                call()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert step(x)[0] == expected[0], name


def test_errors_call_methods_by_their_public_names():
    with pytest.raises(TypeError, match=r"Tensor\.angle\(\) takes 1 positional argument"):
        tg.tensor([1.0]).angle(1, 2)
