"""Arguments that make no sense: each is refused with an error that belongs to the class of PyTorch's."""

from __future__ import annotations

from .table import leaf, program


def refused(*cases):
    """For each function and class: the class's name if the function raises such an error, else what it did."""
    found = []
    for function, kind in cases:
        try:
            function()
        except kind:
            found.append(kind.__name__)
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
        else:
            found.append("nothing")
    return found


def matrix(lib):
    return lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)


@program()
def extrema_of_nothing(lib):
    x = lib.zeros(0)
    return refused(
        *[(getattr(x, name), RuntimeError) for name in ("max", "min", "amax", "amin")],
        *[(getattr(x, name), IndexError) for name in ("argmax", "argmin")],
    )


@program()
def extrema_along_an_axis_without_elements(lib):
    x = lib.zeros(0, 3)
    names = "max min amax amin argmax argmin".split()
    return refused(*[(lambda name=name: getattr(x, name)(dim=0), IndexError) for name in names])


@program()
def indices_that_are_none(lib):
    x = matrix(lib)
    y = x * 2
    return refused(
        (lambda: y.index_add_(1, lib.tensor([0, 5]), lib.ones(2, 2)), RuntimeError),
        (lambda: y.index_add_(0, lib.tensor([0, 1]), lib.ones(1, 2)), RuntimeError),
        (lambda: y.index_add_(0, lib.tensor([0.0, 1.0]), y), RuntimeError),
        (lambda: y.masked_fill_(y, 1.0), RuntimeError),
    ), y._version


@program()
def keys_that_are_none(lib):
    y = leaf(lib, 1, 2, 3) * 1
    return refused(
        (lambda: y[7], IndexError),
        (lambda: y[0, 0], IndexError),
        (lambda: y["a"], TypeError),
        (lambda: y[lib.tensor([True, False])], IndexError),
        (lambda: y[lib.tensor([0, 9])], IndexError),
        (lambda: y.__setitem__(5, 1.0), IndexError),
        (lambda: y.__setitem__("a", 1.0), TypeError),
        (lambda: y.__setitem__((0, 0), 1.0), IndexError),
        (lambda: y.__setitem__(slice(0, 2), lib.ones(3)), RuntimeError),
    ), y._version


@program()
def shapes_that_do_not_fit(lib):
    x = matrix(lib)
    return refused(
        (lambda: x.view(5), RuntimeError),
        (lambda: x.view(-1, -1), RuntimeError),
        (lambda: x.t().view(6), RuntimeError),
        (lambda: x.reshape(4), RuntimeError),
        (lambda: x.permute(0), RuntimeError),
        (lambda: x.permute(0, 0), RuntimeError),
        (lambda: x.squeeze(5), IndexError),
        (lambda: x.unsqueeze(9), IndexError),
        (lambda: x.expand(3, 3), RuntimeError),
        (lambda: x.narrow(0, 1, 5), RuntimeError),
        (lambda: x.select(0, 7), IndexError),
        (lambda: x.unfold(0, 5, 1), RuntimeError),
        (lambda: x.chunk(0), RuntimeError),
        (lambda: x.flatten(1, 0), RuntimeError),
        (lambda: x.unbind(4), IndexError),
        (lambda: x.sum((0, 0)), RuntimeError),
        (lambda: x.sum(5), IndexError),
    )


@program()
def operands_that_do_not_fit(lib):
    x = matrix(lib)
    y = x * 1
    return refused(
        (lambda: x + lib.ones(4), RuntimeError),
        (lambda: x @ lib.ones(4), RuntimeError),
        (lambda: x + "a", TypeError),
        (lambda: x + None, TypeError),
        (lambda: y.mul_("a"), TypeError),
        (lambda: y.add_(lib.ones(4)), RuntimeError),
        (lambda: x.mm(lib.ones(3)), RuntimeError),
        (lambda: x.dot(x), RuntimeError),
    ), y._version


@program()
def dtypes_that_do_not_fit(lib):
    i, x, b = lib.tensor([1, 2]), lib.tensor([1.0, 2.0]), lib.tensor([True])
    return (
        refused(
            (lambda: i.add_(0.5), RuntimeError),
            (lambda: i.mul_(x), RuntimeError),
            (lambda: i.div_(2), RuntimeError),
            (lambda: x.add_(1j), RuntimeError),
            (lambda: b.add_(1), RuntimeError),
        ),
        i,
        x,
    )


@program()
def flags_and_gradients_that_cannot_be_set(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    return refused(
        (lambda: setattr(y, "requires_grad", False), RuntimeError),
        (lambda: y.requires_grad_(False), RuntimeError),
        (lambda: lib.tensor([1, 2]).requires_grad_(), RuntimeError),
        (lambda: setattr(x, "grad", lib.ones(3)), RuntimeError),
        (lambda: setattr(x, "grad", 3), TypeError),
        (lambda: setattr(x, "is_leaf", 3), AttributeError),
        (lambda: setattr(x, "data", 3.0), TypeError),
        (lambda: setattr(x, "data", lib.tensor([1, 2])), RuntimeError),
        (lambda: lib.set_grad_enabled("yes"), TypeError),
    ), lib.is_grad_enabled()


@program()
def sweeps_from_and_to_nothing(lib):
    x = leaf(lib, 1, 2)
    return refused(
        (lambda: (x * 2).sum().backward(inputs=[]), RuntimeError),
        (lambda: (x * 2).sum().backward(inputs=[lib.ones(1)]), RuntimeError),
        (lambda: lib.autograd.grad((x * 2).sum(), []), ValueError),
        (lambda: (x * 2).backward(lib.ones(1)), RuntimeError),
        (lambda: (x * 2).backward(lib.ones(2, 1)), RuntimeError),
        (lambda: lib.autograd.grad(x**2, x, lib.ones(3, 2), is_grads_batched=True), RuntimeError),
    ), x.grad


@program()
def conversions_that_would_lose_the_gradient(lib):
    import numpy as np

    x = leaf(lib, 1, 2)
    y = x * 2
    return refused(
        (lambda: x.numpy(), RuntimeError),
        (lambda: y.numpy(), RuntimeError),
        (lambda: np.asarray(y), RuntimeError),
        (lambda: bool(y), RuntimeError),
        (lambda: y.item(), RuntimeError),
        (lambda: len(y[0]), TypeError),
        (lambda: list(y[0]), TypeError),
        (lambda: range(3)[lib.tensor(1.0)], TypeError),
    )


@program("Dimension out of range (expected to be in range of [-2, 1], but got 5)")
def swapped_axes_that_a_matrix_has_not(lib):
    return matrix(lib).transpose(0, 5)


@program("Integers to negative integer powers are not allowed")
def negative_powers_of_integers(lib):
    return lib.tensor([1, 2]) ** -1


@program("where expected condition to be a boolean tensor, but got a tensor with dtype")
def choice_by_numbers(lib):
    x = matrix(lib)
    return x.where(x, x * 2)


@program("The expanded size of the tensor (2) must match the existing size (3) at non-singleton dimension 0")
def values_that_do_not_fit_where_they_are_assigned(lib):
    y = leaf(lib, 1, 2, 3) * 1
    y[:2] = lib.ones(3)


@program("shape mismatch: value tensor of shape [3] cannot be broadcast to indexing result of shape [2]")
def values_that_do_not_fit_indices(lib):
    y = leaf(lib, 1, 2, 3) * 1
    y[lib.tensor([0, 1])] = lib.ones(3)


@program()
def arithmetic_of_truth_values(lib):
    x = lib.tensor([True, False])
    return refused((lambda: x - x, RuntimeError), (lambda: -x, RuntimeError)), x | ~x


@program()
def gradients_of_several_numbers(lib):
    x = lib.tensor([1.0, 2.0])
    return refused((lambda: lib.func.grad(lambda x: x * 2)(x), RuntimeError))
