"""Autograd in eight stages: leaves and gradients, versions and in-place writes, detach and no_grad.

Those who know PyTorch's autograd will recognise every line; only the import differs. Each stage prints
what happens and asserts the numbers that it should come to.

Run:  python examples/autograd_tutorial.py
"""

import numpy as np

import tapegrad as tg


def build():
    """The graph of the first stages: loss = mean((input * w1 + w2) * (input * w1 * w3))."""
    input = tg.ones((2, 2))
    w1 = tg.tensor(2.0, requires_grad=True)
    w2 = tg.tensor(3.0, requires_grad=True)
    w3 = tg.tensor(4.0, requires_grad=True)
    l1 = input * w1
    l2 = l1 + w2
    l3 = l1 * w3
    l4 = l2 * l3
    loss = l4.mean()
    return input, (w1, w2, w3), (l1, l2, l3, l4), loss


def refused(action):
    """Run what must raise RuntimeError, print the message and return it."""
    try:
        action()
    except RuntimeError as error:
        print(f"  refused: {error}")
        return str(error)
    raise AssertionError("this should have raised RuntimeError")


def leaves_and_functions():
    """Leaves are what you made; everything else remembers the operation that made it."""
    input, weights, intermediates, loss = build()
    print("  loss =", loss.item())
    assert loss.item() == 40.0
    for leaf in (input, *weights):
        assert leaf.is_leaf and leaf.grad_fn is None
    assert not input.requires_grad
    for tensor, name in zip((*intermediates, loss), ("Mul", "Add", "Mul", "Mul", "Mean"), strict=True):
        print(f"  is_leaf = {tensor.is_leaf}, grad_fn = {tensor.grad_fn}")
        assert not tensor.is_leaf and tensor.requires_grad
        assert repr(tensor.grad_fn).startswith(f"<{name}Backward0")


def gradients():
    """backward() fills the leaves' gradients; those of intermediates are not kept."""
    input, (w1, w2, w3), intermediates, loss = build()
    loss.backward()
    print(f"  w1.grad = {w1.grad.item()}, w2.grad = {w2.grad.item()}, w3.grad = {w3.grad.item()}")
    assert (w1.grad.item(), w2.grad.item(), w3.grad.item()) == (28.0, 8.0, 10.0)
    assert input.grad is None
    assert all(tensor.grad is None for tensor in (*intermediates, loss))


def retained_gradients():
    """retain_grad() keeps an intermediate's gradient."""
    _, _, (l1, *_), loss = build()
    l1.retain_grad()
    loss.retain_grad()
    loss.backward()
    print(f"  l1.grad = {l1.grad.tolist()}, loss.grad = {loss.grad.item()}")
    assert l1.grad.tolist() == [[7.0, 7.0], [7.0, 7.0]]
    assert loss.grad.item() == 1.0


def accumulation():
    """A second sweep adds to the gradients; it is refused once the first has freed what it saved."""
    _, (w1, w2, w3), _, loss = build()
    loss.backward(retain_graph=True)
    loss.backward()
    print(f"  after two sweeps: {w1.grad.item()}, {w2.grad.item()}, {w3.grad.item()}")
    assert (w1.grad.item(), w2.grad.item(), w3.grad.item()) == (56.0, 16.0, 20.0)
    assert "Trying to backward through the graph a second time" in refused(loss.backward)
    w1.grad.zero_()
    assert w1.grad.item() == 0.0


def versions():
    """A value that the reverse sweep needs must not have been overwritten since."""
    a = tg.tensor([1.0, 3.0], requires_grad=True)
    b = a + 2
    assert b._version == 0
    loss = (b * b).mean()
    b[0] = 1000.0
    print(f"  b = {b.tolist()}, version {b._version}")
    assert b._version == 1
    message = refused(loss.backward)
    assert "modified by an inplace operation" in message
    assert "is at version 1; expected version 0" in message
    assert "autograd_tutorial.py" in message

    a = tg.tensor([1.0, 3.0], requires_grad=True)
    b = a + 2
    loss = b.mean()  # the derivative of a mean does not need the values
    b[0] = 1000.0
    loss.backward()
    print("  no error where the value is not needed: a.grad =", a.grad.tolist())
    assert a.grad.tolist() == [0.5, 0.5]


def leaves_in_place():
    """A leaf that requires a gradient cannot be overwritten in place; there are three ways round."""
    a = tg.tensor([10.0, 5.0, 2.0, 3.0], requires_grad=True)

    def overwrite():
        a[:] = 0

    assert "leaf Variable that requires grad" in refused(overwrite)
    assert a.tolist() == [10.0, 5.0, 2.0, 3.0] and a._version == 0

    def through_data(a):
        a.data.fill_(10.0)

    def through_detach(a):
        a.detach().fill_(10.0)

    def under_no_grad(a):
        with tg.no_grad():
            a[:] = 10.0

    for write in (through_data, through_detach, under_no_grad):
        a = tg.tensor([10.0, 5.0, 2.0, 3.0], requires_grad=True)
        write(a)
        assert a.is_leaf and a.tolist() == [10.0, 10.0, 10.0, 10.0]
        loss = (a * a).mean()
        loss.backward()
        print(f"  {write.__name__}: a.grad = {a.grad.tolist()}")
        assert a.grad.tolist() == [5.0, 5.0, 5.0, 5.0]


def detached():
    """detach() gives the value without its history; under no_grad() no history is made."""
    a = tg.tensor([1.0, 2.0], requires_grad=True)
    b = a * 3
    c = b.detach()
    print(f"  b.requires_grad = {b.requires_grad}, b.detach().requires_grad = {c.requires_grad}")
    assert b.requires_grad and not c.requires_grad and c.is_leaf and c.grad_fn is None
    assert c.tolist() == b.tolist()
    (b * c).sum().backward()  # c counts as a constant: 3 * c, not the 18 * a of (b * b).sum()
    print("  a.grad =", a.grad.tolist())
    assert a.grad.tolist() == [9.0, 18.0]

    with tg.no_grad():
        d = a * 3
    assert not d.requires_grad and d.grad_fn is None
    assert "does not require grad" in refused(d.sum().backward)


def plain_numpy():
    """The same gradients from NumPy code that has never heard of tapegrad."""

    def loss(w1, w2, w3):
        l1 = np.ones((2, 2)) * w1
        return np.mean((l1 + w2) * (l1 * w3))

    value, gradients = tg.value_and_grad(loss, argnums=(0, 1, 2))(2.0, 3.0, 4.0)
    print(f"  value = {float(value)}, gradients = {tuple(float(g) for g in gradients)}")
    assert value == 40.0
    assert gradients == (28.0, 8.0, 10.0)


STAGES = (
    leaves_and_functions,
    gradients,
    retained_gradients,
    accumulation,
    versions,
    leaves_in_place,
    detached,
    plain_numpy,
)

if __name__ == "__main__":
    for number, stage in enumerate(STAGES, start=1):
        print(f"{number}. {stage.__doc__}")
        stage()
    print("All as it should be.")
