"""What the reverse reads stays alive, though the user keeps the loss alone: large values have their own memory."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pytest
import records

import tapegrad as tg
from tapegrad.inplace import write
from tapegrad.primitives.core import RECORDS, Elementwise
from tapegrad.primitives.scipy_loader import load
from tapegrad.tape.signature import DEFER_BYTES
from tapegrad.tape.tape import Tape

try:
    load()
except ImportError:  # without SciPy, NumPy's functions are looked at
    pass

N = DEFER_BYTES // 8 + 1000
SMOOTH = [
    name if getattr(np, name, None) is record.function else pytest.param(name, marks=pytest.mark.slow)
    for name, record in RECORDS.items()
    if isinstance(record, Elementwise) and record.probes is not None and records.differentiable(record)
]


def gradients(record, operands, in_place, kept):
    """The gradients' bytes; unless all is kept, memory that was given back is overwritten before the reverse."""
    leaves = [tg.tensor(x, requires_grad=x.dtype.kind in "fc") for x in operands]
    xs = [leaf * 1.0 if leaf.requires_grad else leaf for leaf in leaves]
    y = write(xs[0], record, tuple(xs)) if in_place else records.apply(record, xs, {})
    y = y * np.cos(np.arange(1.0, N + 1)).astype(y.dtype)
    loss = np.sum(np.real(y))
    if not kept:
        del xs, y
        garbage = [np.full(N, np.nan) for _ in range(8)]
        del garbage
    loss.backward()
    return [leaf.grad.numpy().tobytes() for leaf in leaves if leaf.grad is not None]


@pytest.mark.parametrize("in_place", [False, True], ids=["anew", "in place"])
@pytest.mark.parametrize("name", SMOOTH)
def test_saved_values_live(name, in_place):
    record = RECORDS[name]
    dtype = next((d for d in records.dtypes(record) if d.char == "d"), records.dtypes(record)[0])
    operands = records.draw(record, [(400,)], dtype, records.generator(name, "lifetimes"))
    operands = [np.resize(x, N) for x in operands]  # some take long
    try:
        expected = gradients(record, operands, in_place, kept=True)
    except (RuntimeError, TypeError, NotImplementedError) as refused:
        with pytest.raises(type(refused)):
            gradients(record, operands, in_place, kept=False)
        return
    assert gradients(record, operands, in_place, kept=False) == expected


VIEWS = {
    "row": lambda y: y[3],
    "element": lambda y: y[3, 4],
    "part": lambda y: y[3, 4:8],
    "column": lambda y: y[:, 3],
    "part of a column": lambda y: y[:, 3][5:9],
    "diagonal": np.diagonal,
    "row of the transpose": lambda y: y.T[3],
    "from behind": lambda y: y[::-1, 0],
    "reshaped": lambda y: y.reshape(-1)[5:9],
    "column for all": lambda y: np.broadcast_to(y[:, :1], y.shape),
}


@pytest.mark.parametrize("name", VIEWS)
def test_small_view_of_a_large_value(name):
    """Rows that read a small view run when the value of which it is one has gone."""
    view = VIEWS[name]

    def f(x):
        y = x * 2.0
        z = view(y)
        del y
        z = np.sin(z + 0.5)
        garbage = [np.full_like(X, np.nan) for _ in range(4)]
        del garbage
        return np.sum(z)

    def expected(x):
        return np.sum(np.sin(view(x * 2.0) + 0.5))

    value, gradient = tg.value_and_grad(f)(X)
    assert np.isclose(value, expected(X))
    np.testing.assert_allclose(gradient, tg.grad(expected)(X), rtol=1e-14)


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "column for all"])
def test_write_to_a_small_view_of_a_value_that_is_gone(name):
    """A write that waits must not reach memory that is another array's by then."""
    y = tg.tensor(X, requires_grad=True) * 2.0
    VIEWS[name](y).mul_(3.0)
    del y
    others = [np.full_like(X, 7.0) for _ in range(4)]
    tg.tensor([1.0]).mul(2.0).tolist()  # runs what waits
    assert all((other == 7.0).all() for other in others)


X = np.sin(np.arange(250.0 * 250.0)).reshape(250, 250)


def _traced(run, times):
    """Mebibytes in use after each of some runs, more than before, when garbage has been collected."""
    run()  # what is made once
    gc.collect()
    tracemalloc.start()
    try:
        found = []
        for _ in range(times):
            run()
            gc.collect()
            found.append(tracemalloc.get_traced_memory()[0] / 2**20)
        return found
    finally:
        tracemalloc.stop()


def _network(x, weights):
    """A loss, of which the graph holds some 20 MiB for 8 weights."""
    for w in weights:
        x = np.tanh(x @ w)
    return (x * x).sum()


@pytest.fixture
def weights():
    return [tg.tensor(np.eye(400), requires_grad=True) for _ in range(8)]


def test_graphs_that_nobody_sweeps_go_with_their_results(weights):
    x = tg.tensor(np.ones((400, 400)))
    assert max(_traced(lambda: _network(x, weights).item(), 8)) < 10


def test_graphs_that_nobody_sweeps_do_not_pile_up(weights):
    """Without a collection, what nobody can reach goes when the tape holds more than `SEGMENT_HELD`."""
    x = tg.tensor(np.ones((400, 400)))
    held = []

    def run():
        for _ in range(6):
            loss = _network(x, weights)
            held.append(loss._tape.held / 2**20)
        return loss.item()

    run()
    assert max(held) < 60


@pytest.mark.parametrize("swept_again", [True, False])
def test_graphs_that_were_retained_go_with_their_results(weights, swept_again):
    x = tg.tensor(np.ones((400, 400)))
    tape = []

    def run():
        loss = _network(x, weights)
        loss.backward(retain_graph=True)
        if swept_again:
            loss.backward()
        for w in weights:
            w.grad = None
        tape[:] = [weakref.ref(loss._tape)]

    assert max(_traced(run, 4)) < 1
    assert tape[0]() is None


def test_constants_that_a_tape_let_go_are_what_they_were(weights):
    x = tg.tensor(np.ones((400, 400)))
    loss = _network(x, weights[:1])
    loss.backward(retain_graph=True)
    with tg.no_grad():
        x.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert x.sum().item() == 320_000 and x._version == 1
    _network(x, weights[:1]).backward()
    assert weights[0].grad.shape == (400, 400)


def test_tapes_that_fill_up_with_dead_values_do_not_keep_each_other():
    """Each tape ends within an iteration, so that the next one begins with one of its values."""
    x = tg.tensor(np.linspace(0.1, 1.0, 3), requires_grad=True)

    def loss():
        y = x
        for _ in range(1500):
            y = np.sin(y) * 0.5 + x
        return y.sum()

    gc.collect()
    before = {id(thing) for thing in gc.get_objects() if type(thing) is Tape}
    for _ in range(100):
        value = loss()
        value.item()
    assert sum(type(thing) is Tape and id(thing) not in before for thing in gc.get_objects()) < 30
    held = [loss() for _ in range(40)]  # of which none is dead
    held[0].backward()
    expected = x.grad.numpy().copy()
    held[-1].backward()
    np.testing.assert_allclose(x.grad, 2.0 * expected)
    y, slope = x.detach().numpy(), 1.0
    for _ in range(1500):
        y, slope = np.sin(y) * 0.5 + x.detach().numpy(), np.cos(y) * 0.5 * slope + 1.0
    np.testing.assert_allclose(expected, slope)
