"""Operators in machine code: the same as their Python functions, in everything but time."""

import gc
import inspect
import operator
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import descriptors
from tapegrad.operators import _OPERANDS, described
from tapegrad.tape.current import rotate
from tapegrad.tape.handle import NOTHING, Tensor
from tapegrad.tape.site import describe
from tapegrad.tape.state import local

pytestmark = pytest.mark.skipif(not descriptors.is_supported(), reason="this Python keeps its operators in Python")


@pytest.fixture
def x():
    rotate(local.state)
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for _ in range(2):  # the first call remembers the signature, the second takes the short way
        for _ in (x + x, x * 2.0, 2.0 - x, -x, np.exp(x), np.multiply(x, x), np.add(x, 1.0), x.sin()):
            pass
    return x


def test_first_call_puts_machine_code_in_place(x):
    method = type(Tensor.__dict__["__add__"])
    assert method is type(list.append)
    for name in ("__add__", "__rsub__", "__neg__", "__lt__", "__array_ufunc__", "sin"):
        assert type(Tensor.__dict__[name]) is method, name
    assert str(inspect.signature(Tensor.__add__)) == "(self, other, /)"
    assert Tensor.__add__.__doc__


def test_short_way_appends_one_row(x):
    tape = local.state.tape
    for operation in (lambda: x + x, lambda: x * 2.0, lambda: 2.0 - x, lambda: -x, lambda: np.exp(x), x.sin):
        before = len(tape.rows)
        y = operation()
        assert (y._tape, y._slot, len(tape.rows)) == (tape, before, before + 1)
        assert y._rare is NOTHING


def test_values_and_gradients(x):
    def f(x):
        y = (x + x) * 2.0 - (3.0 - x) / (x * x)
        return np.sum(np.exp(-y) * np.multiply(y, x) + np.add(y, 1.0) ** 2)

    point = np.array([0.5, 0.7, 0.9])
    step = 1e-6
    numeric = [(f(point + step * e) - f(point - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(tg.grad(f)(point), numeric, rtol=1e-7)


def test_references_are_balanced(x):
    number = 0.123456789
    things = x, x._spec, x._tape, NOTHING, number, np.exp, x._tape.rows
    y = x + number, x * x, np.exp(x), -x
    del y
    gc.collect()
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(100):
        y = x + number, x * x, np.exp(x), -x, number - x
        with pytest.raises(TypeError):
            x + "a"
        with pytest.raises(TypeError):
            np.exp(x, nonsense=1)
    del y
    gc.collect()
    assert [sys.getrefcount(thing) for thing in things] == before


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda x: x + 10**30, 10.0**30),
        (lambda x: x + True, [2, 3, 4]),
        (lambda x: x * np.float32(2), [2, 4, 6]),
        (lambda x: x + [1, 2, 3], [2, 4, 6]),  # noqa: RUF005
        (lambda x: [1, 2, 3] - x, [0, 0, 0]),
        (lambda x: np.subtract(x, [1, 2, 3]), [0, 0, 0]),
        (lambda x: np.subtract([1, 2, 3], x), [0, 0, 0]),
        (lambda x: np.add(x, 1.0, dtype=np.float64), [2, 3, 4]),
        (lambda x: np.add.outer(x, [0.0])[:, 0], [1, 2, 3]),
        (lambda x: x - -0.0, [1, 2, 3]),
        (lambda x: 0.0 * x, [0, 0, 0]),
        (lambda x: x + float("inf"), np.inf),
    ],
)
def test_other_operands_take_the_long_way(x, operation, expected):
    for _ in range(2):
        y = operation(x)
        assert type(y) is Tensor
        np.testing.assert_array_equal(y.detach().numpy(), np.broadcast_to(expected, 3))


def test_sign_of_zero_is_kept(x):
    x = tg.tensor([0.0])
    for _ in range(2):
        assert np.signbit((x * -0.0).numpy()) and not np.signbit((x * 0.0).numpy())


@pytest.mark.parametrize("wrong", ["text", None, object(), {}])
def test_errors_are_those_of_the_python_function(x, wrong):
    with pytest.raises(TypeError, match="unsupported operand"):
        x + wrong
    with pytest.raises(TypeError):
        wrong - x
    assert not isinstance(wrong, _OPERANDS)


def test_calls_with_wrong_arguments(x):
    with pytest.raises(TypeError):
        Tensor.__add__(1.0, x)
    with pytest.raises(TypeError):
        x.__add__()
    with pytest.raises(TypeError):
        Tensor.__neg__(x, x)
    with pytest.raises(TypeError):
        x.__array_ufunc__()
    assert x.__add__(None) is NotImplemented


def test_shapes_that_differ_are_refused(x):
    rows = len(local.state.tape.rows)
    with pytest.raises(ValueError, match="broadcast"):
        x + tg.tensor([1.0, 2.0])
    assert len(local.state.tape.rows) == rows


def test_other_threads_do_not_append_here(x):
    y = x + 1.0
    tape, rows, found = y._tape, len(y._tape.rows), []
    thread = threading.Thread(target=lambda: found.append((y + y)._tape))
    thread.start()
    thread.join()
    assert found[0] is not tape and len(tape.rows) == rows


def test_end_of_a_tape(x):
    y = x + 1.0
    tape = y._tape
    for _ in range(tape.limit + 10):
        y = y * 1.0
    assert y._tape is not tape and len(tape.rows) <= tape.limit
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(3))


def test_subclass_takes_the_long_way(x):
    class Named(Tensor):
        __slots__ = ()

    y = x * 1.0
    z = Named()
    z._tape, z._slot, z._spec, z._rare = y._tape, y._slot, y._spec, NOTHING
    np.testing.assert_array_equal((z + x).detach().numpy(), [2, 4, 6])
    np.testing.assert_array_equal((x + z).detach().numpy(), [2, 4, 6])


def test_garbage_collection_while_recording(x):
    """Making the new handle may run finalizers, and those may record."""
    recorded = []

    class Recording:
        def __del__(self):
            recorded.append(x * 2.0)

    total, thresholds = x * 1.0 - x * 1.0, gc.get_threshold()
    total = total + x * 2.0 - x * 2.0
    gc.set_threshold(3)
    try:
        for k in range(300):
            cycle = Recording()
            cycle.itself = cycle
            del cycle
            total = total + x * (1.0 + k % 2)
    finally:
        gc.set_threshold(*thresholds)
    assert recorded
    np.testing.assert_array_equal(total.detach().numpy(), 450 * np.array([1.0, 2.0, 3.0]))
    for y in recorded:
        np.testing.assert_array_equal(y.detach().numpy(), [2, 4, 6])


def test_modes_have_their_own_tables(x):
    with tg.no_grad():
        assert not (x + x).requires_grad and not np.exp(x).requires_grad
        assert not (x + x).requires_grad and not np.exp(x).requires_grad
    assert (x + x).requires_grad and np.exp(x).requires_grad


def test_every_operator_is_described():
    for function, description in described.items():
        assert description.function is function and description.recorder in descriptors._FORMS


IN_PLACE = {
    "method": lambda x, y: x.mul_(y),
    "operator": lambda x, y: operator.iadd(x, y),
    "number": lambda x, y: x.add_(2.0),
    "unary": lambda x, y: x.sin_(),
    "assignment": lambda x, y: operator.setitem(x, 1, y[0]),
    "number assigned": lambda x, y: operator.setitem(x, slice(1, None), 2.5),
    "broadcast": lambda x, y: operator.setitem(x, (slice(None, 2),), y[0]),
    "view": lambda x, y: x[1:3].mul_(y[:2]),
    "view by a number": lambda x, y: x[1:3].add_(2.0),
    "view by nothing": lambda x, y: x[-1].sin_(),
    "operator on a view": lambda x, y: operator.setitem(x, slice(0, 2), operator.iadd(x[0:2], y[1:])),
    "copied": lambda x, y: x.copy_(y),
    "copied into a view": lambda x, y: x[1:].copy_(y[0]),
    "filled": lambda x, y: x[::2].fill_(3.0),
    "zeroed": lambda x, y: x[1].zero_(),
}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="writes are recorded in Python before 3.11")
@pytest.mark.parametrize("name", IN_PLACE)
def test_writes(x, name):
    """The short way leaves the same rows, notes and references as the Python function."""
    write = IN_PLACE[name]

    def run():
        rotate(local.state)
        y, z = x * 1.0, x * 2.0
        for _ in range(4):
            write(y, z)
        tape = y._tape
        stamps = tape.stamps
        notes = stamps.roots, stamps.last, stamps.counts, {r: describe(s) for r, s in stamps.sites.items()}
        return tape.rows, notes, y._slot, y._version, y.detach().numpy().copy(), describe(y._buffer.site)

    names = ("mul_", "__iadd__", "add_", "sin_", "__setitem__", "__getitem__", "copy_", "fill_", "zero_")
    methods = {n: vars(Tensor)[n] for n in names}
    run()  # what is not met before takes the long way
    native = run()
    twins = [n for n in names if type(vars(Tensor)[n]) is type(list.append)]
    assert "__setitem__" in twins if name == "assignment" else twins
    recorders = ("viewing", "writing")
    functions = {
        n: next(f for f, made in described.items() if f.__name__ == n and made.recorder.startswith(recorders))
        for n in names
    }
    for n, function in functions.items():
        setattr(Tensor, n, function)
    try:
        python = run()
    finally:
        for n, method in methods.items():
            setattr(Tensor, n, method)
    for ours, theirs in zip(native, python, strict=True):
        np.testing.assert_equal(ours, theirs)


@pytest.mark.parametrize("key", [1, slice(2, 9), slice(None), (slice(1, 40, 3),)], ids=str)
def test_assignments_that_were_not_met_before(key):
    """The long way leaves as many rows as the short one: none for the view, which nobody sees after the write."""
    rotate(local.state)
    y = tg.tensor(np.arange(53.0), requires_grad=True) * 1.0
    z = tg.tensor(np.ones(np.arange(53)[key].shape)) * 3.0  # of a size that no other test has
    counts = []
    for _ in range(3):
        before = len(y._tape.rows)
        y[key] = z
        counts.append(len(y._tape.rows) - before)
    assert counts[0] == counts[1] == counts[2]
    expected = np.arange(53.0)
    expected[key] = 3.0
    np.testing.assert_array_equal(y.detach().numpy(), expected)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="writes are recorded in Python before 3.11")
def test_references_are_balanced_by_writes(x):
    y, z = x * 1.0, x * 2.0
    code = test_references_are_balanced_by_writes.__code__

    def work(times):
        for _ in range(times):
            y.mul_(z).add_(0.75).sin_()
            y[1] = z[0]
            with pytest.raises(TypeError):
                y.add_("text")
            with pytest.raises(IndexError):
                y[7] = z[0]

    work(3)
    things = y._buffer, x._tape, z._spec, y._spec, NOTHING, code, None
    assert y._tape.stamps.last and not y._tape.noted  # what was noted holds None until then
    gc.collect()
    before = [sys.getrefcount(thing) for thing in things]
    work(100)
    assert y._tape.stamps.last and not y._tape.noted
    gc.collect()
    after = [sys.getrefcount(thing) for thing in things]
    # Views and the tape's notes stay; what is left over would be seen a hundred times.
    assert all(b - a < 50 for a, b in zip(before[2:], after[2:], strict=True))
    assert after[0] - before[0] < 1000 and after[1] - before[1] < 1000


PROGRAM = """
import numpy as np, tapegrad as tg
from tapegrad.tape.handle import Tensor
x = np.array([0.1, 0.2, 0.3])
value, slope = tg.value_and_grad(lambda x: np.sum(np.exp(x * 2.0) / (1.0 + x) - x**3))(x)
print(type(Tensor.__dict__["__add__"]).__name__, value.hex(), [s.hex() for s in slope])
"""


def test_without_machine_code():
    def run(native):
        environment = dict(os.environ, TAPEGRAD_NATIVE=native)
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split(" ", 1)

    (native, result), (python, same) = run("1"), run("0")
    assert (native, python) == ("method_descriptor", "function")
    assert result == same


def test_integers_are_read_as_python_knows_them():
    """The rows of a tape, numbers with all their bits included; other things in a list are left to Python."""
    from tapegrad.vm.integers import layout, read

    numbers = [0, 1, -1, 2**29, 2**30 - 1, 2**30, -(2**31), 2**45 + 3, 2**60 - 1, 2**60, 2**62 + 5, -(2**62), 7]
    out = np.zeros(len(numbers) + 2, np.int64)
    assert layout() != 0
    for things in (numbers, [*numbers[:4], np.int64(2**29), *numbers[4:]]):
        out[:] = -9
        read(things, 2, len(numbers), out, out.ctypes.data)
        assert out.tolist() == [-9, -9, *[int(n) for n in things[2 : len(numbers)]], -9, -9]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("view", (3, 2)), ("view", (-1,)), ("reshape", (6,)), ("narrow", (1, 0, 2)), ("select", (0, -1)),
        ("swapaxes", (0, 1)), ("permute", (1, 0)), ("unsqueeze", (-1,)), ("squeeze", ()), ("expand", (4, 2, 3)),
        ("diagonal", (1,)), ("flatten", (0,)), ("transpose", ()),
    ],
)  # fmt: skip
def test_views_by_numbers_are_made_again(name, arguments):
    rotate(local.state)
    x = tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True) * 1.0
    first, *others = [getattr(x, name)(*arguments) for _ in range(4)]
    assert type(Tensor.__dict__[name]) is type(list.append)
    for view in others:
        assert (view._spec, view._offset, view._base) == (first._spec, first._offset, x)
        assert view.grad_fn.name() == first.grad_fn.name()
        np.testing.assert_array_equal(view.detach().numpy(), first.detach().numpy())
    if first._spec.injective:
        others[-1].mul_(2.0)
        assert x._version == others[0]._version == 1
    with pytest.raises((TypeError, ValueError, RuntimeError, IndexError)):
        getattr(x, name)(*arguments, 17, 17, 17)
