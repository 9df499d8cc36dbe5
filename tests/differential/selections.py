"""Elements chosen by indices and masks, read and written: `index_add_`, `scatter_`, `masked_fill_` and their kin."""

from __future__ import annotations

from .table import leaf, program


def squares(lib, write):
    """What a write does to ``2 x``: the value, its version, and the gradient of the sum of squares."""
    x = leaf(lib, 1, 2, 3, 4)
    y = x * 2
    write(y)
    (y * y).sum().backward()
    return y, y._version, x.grad


@program()
def added_by_indices(lib):
    s, i = leaf(lib, 10, 20, 30), lib.tensor([0, 0, 3])
    plain = squares(lib, lambda y: y.index_add_(0, i, s))
    scaled = squares(lib, lambda y: y.index_add_(0, i, s, alpha=-2))
    return plain, scaled, s.grad


@program()
def columns_added_by_indices(lib):
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    s = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x * 2
    y.index_add_(1, lib.tensor([0, 2]), s, alpha=-2)
    (y**2).sum().backward()
    return y, x.grad, s.grad


@program()
def copied_and_filled_by_indices(lib):
    s, i = leaf(lib, 10, 20), lib.tensor([3, 1])
    copied = squares(lib, lambda y: y.index_copy_(0, i, s))
    filled = squares(lib, lambda y: y.index_fill_(0, i, 7.0))
    return copied, filled, s.grad


@program()
def scattered(lib):
    s, i = leaf(lib, 10, 20, 30), lib.tensor([3, 0, 0])
    added = squares(lib, lambda y: y.scatter_add_(0, i, s))
    written = squares(lib, lambda y: y.scatter_(0, i[:2], s[:2]))
    number = squares(lib, lambda y: y.scatter_(0, i, 5.0))
    return added, written, number, s.grad


@program()
def scattered_by_a_mask(lib):
    s = leaf(lib, 10, 20, 30, 40)
    return squares(lib, lambda y: y.masked_scatter_(y > 3, s)), s.grad


@program()
def filled_by_a_mask(lib):
    v = lib.tensor(2.5, requires_grad=True)
    number = squares(lib, lambda y: y.masked_fill_(y > 3, 9.0))
    tensor = squares(lib, lambda y: y.masked_fill_(y > 3, v))
    return number, tensor, v.grad


@program()
def gathered(lib):
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    y = x.gather(1, lib.tensor([[0, 2], [1, 1]]))
    (y**2).sum().backward()
    return y, x.grad


@program()
def assigned_by_masks(lib):
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    v = leaf(lib, 1, 2, 3, 4)
    y, z = x * 1, x * 1
    y[y > 2.5] = x[0, 0] * 7
    z[z > 2.5] = v
    (y * y + z * z).sum().backward()
    return y, z, x.grad, v.grad


@program()
def assigned_by_keys_of_all_kinds(lib):
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    y = x * 1
    y[..., 0] = 5.0
    y[None, 1, 1:] = lib.tensor([[1.0, 2.0]])
    y[lib.tensor([0, 1]), lib.tensor([1, 2])] = x[:, 0] * 3
    (y * y).sum().backward()
    return y, y._version, x.grad


@program()
def windows_are_written_one_by_one(lib):
    return squares(lib, lambda y: y.unfold(0, 2, 2)[1].mul_(5.0))


@program()
def diagonals_take_fills_and_products(lib):
    x = lib.tensor([[float(3 * i + j) for j in range(3)] for i in range(3)], requires_grad=True)
    y = x * 1
    y.diagonal().fill_(7.0)
    y.diagonal(1).mul_(x[0, :2])
    (y * y).sum().backward()
    return y, y._version, x.grad


@program()
def views_by_many_methods_are_written(lib):
    x = lib.tensor([[float(3 * i + j) for j in range(3)] for i in range(3)], requires_grad=True)
    y = x * 1
    y.select(1, 2).mul_(2)
    y.narrow(0, 1, 2).add_(x[:2])
    y.movedim(0, 1)[0].neg_()
    y.swapaxes(0, 1)[1].sin_()
    (y * y).sum().backward()
    return y, y._version, x.grad


@program()
def part_of_a_split_written_without_gradients(lib):
    x = leaf(lib, 1, 2, 3, 4)
    y = x * 2
    with lib.no_grad():
        y.split(2)[0].mul_(10)
    y.sum().backward()
    return y, y._version, x.grad


@program()
def versions_after_writes_of_all_kinds(lib):
    x = leaf(lib, 1, 2, 3)
    y = x * 1
    mask = lib.tensor([True, False, True])
    writes = (
        lambda: y.add_(1),
        lambda: y.__iadd__(1),
        lambda: y.__setitem__(0, 1.0),
        lambda: y[1:].mul_(2),
        lambda: y.view(3, 1).t().neg_(),
        lambda: y.copy_(x),
        lambda: y.detach().zero_(),
        lambda: y.data.zero_(),
        lambda: y.clamp_(0, 1),
        lambda: y.masked_fill_(mask, 1.0),
        lambda: y.fill_(1),
        lambda: y.requires_grad_(),
        lambda: y.unsqueeze_(0),
        lambda: y.squeeze_(0),
    )
    found = []
    for write in writes:
        write()
        found.append(y._version)
    return found
