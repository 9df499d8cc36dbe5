"""The autograd tutorial (examples/autograd_tutorial.py), one claim a test."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tapegrad as tg

EXAMPLE = Path(__file__).parents[1] / "examples" / "autograd_tutorial.py"
FUNCTIONS = {"l1": "Mul", "l2": "Add", "l3": "Mul", "l4": "Mul", "loss": "Mean"}


@pytest.fixture
def graph():
    input = tg.ones((2, 2))
    w1, w2, w3 = (tg.tensor(value, requires_grad=True) for value in (2.0, 3.0, 4.0))
    l1 = input * w1
    l2 = l1 + w2
    l3 = l1 * w3
    l4 = l2 * l3
    return SimpleNamespace(input=input, w1=w1, w2=w2, w3=w3, l1=l1, l2=l2, l3=l3, l4=l4, loss=l4.mean())


def weight_gradients(graph):
    return [w.grad.item() for w in (graph.w1, graph.w2, graph.w3)]


def test_example_runs(capsys):
    stages = runpy.run_path(str(EXAMPLE), run_name="__main__")["STAGES"]
    printed = capsys.readouterr().out
    assert all(stage.__doc__ in printed for stage in stages)
    assert printed.endswith("All as it should be.\n")


def test_values(graph):
    assert graph.l1.tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert graph.l4.tolist() == [[40.0, 40.0], [40.0, 40.0]]
    assert graph.loss.item() == 40.0


@pytest.mark.parametrize("name", ["input", "w1", "w2", "w3"])
def test_leaf(graph, name):
    leaf = getattr(graph, name)
    assert leaf.is_leaf
    assert leaf.grad_fn is None
    assert leaf.requires_grad is (name != "input")


@pytest.mark.parametrize(("name", "function"), FUNCTIONS.items())
def test_intermediate(graph, name, function):
    tensor = getattr(graph, name)
    assert not tensor.is_leaf
    assert tensor.requires_grad
    assert repr(tensor.grad_fn).startswith(f"<{function}Backward0")
    assert tensor.grad_fn.name() == f"{function}Backward0"


def test_gradients(graph):
    graph.loss.backward()
    assert weight_gradients(graph) == [28.0, 8.0, 10.0]
    assert graph.input.grad is None


def test_gradients_of_intermediates_are_not_kept(graph):
    graph.loss.backward()
    assert all(getattr(graph, name).grad is None for name in FUNCTIONS)


def test_retained_gradients(graph):
    graph.l1.retain_grad()
    graph.loss.retain_grad()
    graph.loss.backward()
    assert graph.l1.grad.tolist() == [[7.0, 7.0], [7.0, 7.0]]
    assert graph.loss.grad.item() == 1.0
    assert graph.l2.grad is None


def test_sweeps_accumulate(graph):
    graph.loss.backward(retain_graph=True)
    graph.loss.backward()
    assert weight_gradients(graph) == [56.0, 16.0, 20.0]


def test_second_backward_is_refused(graph):
    graph.loss.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        graph.loss.backward()
    assert weight_gradients(graph) == [28.0, 8.0, 10.0]


def test_overwritten_value_is_noticed():
    a = tg.tensor([1.0, 3.0], requires_grad=True)
    b = a + 2
    loss = (b * b).mean()
    assert loss.item() == 17.0
    assert b._version == 0
    b[0] = 1000
    assert b._version == 1
    assert b.tolist() == [1000.0, 5.0]
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        loss.backward()
    assert "is at version 1; expected version 0" in str(caught.value)
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), start=1) if "b[0] = 1000" in text)
    assert f"test_tutorial.py:{line}" in str(caught.value)
    assert a.grad is None


def test_overwritten_value_that_is_not_needed():
    a = tg.tensor([1.0, 3.0], requires_grad=True)
    b = a + 2
    loss = b.mean()
    b[0] = 1000.0
    loss.backward()
    assert a.grad.tolist() == [0.5, 0.5]


def test_write_to_leaf_is_refused_at_once():
    a = tg.tensor([10.0, 5.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        a[:] = 0
    assert a.tolist() == [10.0, 5.0, 2.0, 3.0]
    assert a._version == 0


def through_data(a):
    a.data.fill_(10.0)


def through_detach(a):
    a.detach().fill_(10.0)


def under_no_grad(a):
    with tg.no_grad():
        a[:] = 10.0


@pytest.mark.parametrize("write", [through_data, through_detach, under_no_grad])
def test_ways_round(write):
    a = tg.tensor([10.0, 5.0, 2.0, 3.0], requires_grad=True)
    write(a)
    assert a.is_leaf
    assert a.tolist() == [10.0, 10.0, 10.0, 10.0]
    (a * a).mean().backward()
    assert a.grad.tolist() == [5.0, 5.0, 5.0, 5.0]


def test_detach():
    a = tg.tensor([1.0, 2.0], requires_grad=True)
    b = a * 3
    c = b.detach()
    assert c.is_leaf
    assert not c.requires_grad
    assert c.grad_fn is None
    (b * c).sum().backward()
    assert a.grad.tolist() == [9.0, 18.0]


def test_no_grad():
    a = tg.tensor([1.0, 2.0], requires_grad=True)
    with tg.no_grad():
        b = a * 3
        with tg.enable_grad():
            c = a * 3
    assert not b.requires_grad
    assert c.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        b.sum().backward()


def test_functional_form():
    def loss(w1, w2, w3):
        l1 = np.ones((2, 2)) * w1
        return np.mean((l1 + w2) * (l1 * w3))

    value, gradients = tg.value_and_grad(loss, argnums=(0, 1, 2))(2.0, 3.0, 4.0)
    assert value == 40.0
    assert gradients == (28.0, 8.0, 10.0)
