"""Values of a graph whose backward has run: what is done with them holds no other step's tape, and no stale value."""

import gc

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.tape.tape import Tape
from tapegrad.values import value_of

kept: list = []


def under_no_grad(loss):
    with tg.no_grad():
        return loss * 2


LOOKS = {
    "detach": lambda loss: loss.detach(),
    "detach, kept": lambda loss: kept.append(loss.detach()),
    "detach and use": lambda loss: loss.detach() * 2,
    "numpy": lambda loss: loss.detach().numpy(),
    "compare": lambda loss: loss > 3,
    "argmax": lambda loss: np.argmax(loss),
    "no_grad": under_no_grad,
    "more of the graph": lambda loss: loss * 2,
    "clone": lambda loss: loss.clone(),
    "print": lambda loss: repr(loss * 2),
}


def tapes():
    gc.collect()
    return sum(type(o) is Tape for o in gc.get_objects())


@pytest.mark.parametrize("look", LOOKS)
def test_steps_do_not_hold_each_other(look):
    kept.clear()
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    before = tapes()
    for _ in range(100):
        x.grad = None
        loss = (x * x).sum()
        loss.backward()
        looked = LOOKS[look](loss)
    del looked, loss
    assert tapes() - before <= 5
    np.testing.assert_array_equal(x.grad, [2.0, 4.0, 6.0])
    assert all(value.item() == 14.0 for value in kept)


def test_what_is_left_of_a_graph_keeps_its_way_on():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3.0
    total = y.sum()
    total.backward(retain_graph=True)
    for _ in range(3):  # each on a tape of its own, which uses y
        z = (y * y).sum()
        (x * 1.0).sum().backward()
    x.grad = None
    z.backward()
    np.testing.assert_array_equal(x.grad, 18.0 * np.array([1.0, 2.0]))


def test_a_result_that_requires_grad_after_a_sweep_raises_where_its_graph_was_freed():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    later = loss * 2
    (x * 1.0).sum().backward()  # of the same tape, which lets go of others where it can
    with pytest.raises(RuntimeError, match="second time"):
        later.backward()


def test_rows_that_saved_nothing_are_swept_again_and_the_graph_before_them_too():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = -x
    (x * 1.0).sum().backward()  # y is on an earlier tape now
    z = y.sum()
    for k in (1.0, 2.0):
        z.backward()
        np.testing.assert_array_equal(x.grad, np.full(2, 1.0 - k))


def test_a_chain_of_thousands_of_tapes():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    average = x.sum()
    for _ in range(3000):
        average = average * -1.0 + 1.0
        x.grad = None
        (x * x).sum().backward()
    x.grad = None
    (gradient,) = tg.autograd.grad(average, [x])
    np.testing.assert_array_equal(gradient, [1.0, 1.0])


def test_a_detached_loss_shares_memory_and_versions_with_it():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    alias = loss.detach()
    assert not alias.requires_grad and alias.is_leaf and alias.grad_fn is None
    alias.add_(1.0)
    assert loss.item() == alias.item() == 6.0
    assert loss._version == alias._version == 1
    with tg.no_grad():
        loss.mul_(2.0)
    assert loss.item() == alias.item() == 12.0
    assert (alias + 1.0).item() == 13.0


@pytest.mark.parametrize("look", [lambda y: y.data, lambda y: y.detach().numpy(), lambda y: y.data.numpy()])
def test_who_looked_before_sees_what_is_written_after_a_detach(look):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    before = look(y)
    alias = y.detach()
    alias.add_(1.0)
    assert float(before) == y.item() == alias.item() == 6.0


def test_memory_that_an_array_looks_at_is_not_left_behind():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    array = value_of(y)
    assert y.detach().add_(1.0).item() == y.item() == array == 6.0


def test_views_made_before_their_base_required_grad_lead_to_it():
    x = tg.tensor([1.0, 2.0, 3.0])
    head, half = x[:2], x[:2][:1]
    x.requires_grad_()
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        head.add_(1.0)
    assert head.requires_grad and half.requires_grad
    (head * 3.0).sum().backward()
    (half * 4.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [7.0, 3.0, 0.0])


def test_a_write_through_a_later_tape_is_seen_at_once():
    x = tg.tensor(np.ones(3), requires_grad=True)
    y = x * 1.0
    alias = y.detach()
    (y * 2.0).sum().backward()
    alias.add_(1.0)
    np.testing.assert_array_equal(y.detach().numpy(), [2.0, 2.0, 2.0])
    assert y[0].item() == 2.0
    assert y.sum().item() == 6.0


def test_what_a_sweep_will_read_is_not_written_through_an_alias_of_a_copy():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    z = y * y
    y.backward(retain_graph=True)
    y.detach().add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
