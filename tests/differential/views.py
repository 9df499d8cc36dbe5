"""Views: what they share, what a write does to their base and to each other, and which of them may be written."""

from __future__ import annotations

from .table import leaf, name_of, program


def matrix(lib):
    """A matrix with history, and the leaf behind it."""
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    return x, x * 2


def single_views(y):
    """One view of a matrix by each method that makes one alone, of memory that does not overlap."""
    return [
        y.view(6), y.view(3, 2), y.reshape(3, 2), y.transpose(dim0=0, dim1=1), y.permute(1, 0), y.T, y.mT, y.t(),
        y.unsqueeze(1), y.unsqueeze(0).squeeze(), y.expand(2, 2, 3), y.narrow(1, 0, 2), y.select(0, 1), y[0], y[:, 1:],
        y.diagonal(), y.swapaxes(0, 1), y.movedim(0, 1), y.flatten(0), y.view_as(y.T.T), y.as_strided((2, 2), (3, 1)),
        y.detach(), y.expand_as(y), y.unflatten(1, (3, 1)), y.ravel(), y.real, y.moveaxis(0, 1), y.swapdims(0, 1), y.H,
    ]  # fmt: skip


def all_views(y):
    """Those, one that overlaps, and parts that are made together."""
    parts = y.split(1)[0], y.chunk(2)[1], y.unbind()[0], y.tensor_split(2)[0]
    return [*single_views(y), y.unfold(1, 2, 1), *parts]


@program()
def bases_of_views(lib):
    _, y = matrix(lib)
    return [(v._base is y, v._is_view(), list(v.shape), v.is_leaf) for v in all_views(y)]


@program()
def names_of_views(lib):
    _, y = matrix(lib)
    parts = y[..., None], y[0, 1:], y[1:, 0], y[:, 1], y[None, 0], y[:, :], y[0:2, 0:3], y[::2], y[..., 0], y[..., 1:2]
    return [name_of(v.grad_fn) for v in (*all_views(y), *parts)]


@program()
def versions_of_views(lib):
    _, y = matrix(lib)
    with lib.no_grad():
        views = all_views(y)
        y[0, 0] = 7.0
        views[0][1] = 8.0
    return [v._version for v in views], y


@program()
def strides_of_views(lib):
    _, y = matrix(lib)
    return [(list(v.stride()), v.storage_offset(), v.is_contiguous()) for v in all_views(y)]


@program()
def bases_of_views_of_views(lib):
    _, y = matrix(lib)
    v = y.view(6)[1:5].view(2, 2).T
    return v._base is y, [(w._base is y, w._base is None) for w in (v[0], v.detach(), v.clone(), v.data)]


@program()
def functions_that_return_the_tensor_itself(lib):
    _x, y = matrix(lib)
    return [z is y for z in (y.contiguous(), y.to(y.dtype), y.double(), y.requires_grad_(), y.expand(2, 3), y[:])]


@program()
def a_view_of_everything_is_another_tensor(lib):
    _, y = matrix(lib)
    return [(z is y, z._base is y) for z in (y[...], y.view(2, 3), y.reshape(2, 3), y.squeeze(), y.view_as(y))]


@program()
def a_reshape_that_copies_is_no_view(lib):
    _, y = matrix(lib)
    z = y.T.reshape(6)
    z.mul_(2)
    return z._base is None, name_of(z.grad_fn), y


@program()
def write_through_each_view(lib):
    found = []
    for k in range(len(single_views(matrix(lib)[1]))):
        x, y = matrix(lib)
        v = single_views(y)[k]
        try:
            v.mul_(3)
        except RuntimeError as error:
            found.append(str(error)[:20])
            continue
        (y * y).sum().backward()
        found.append((y.detach().clone(), x.grad, name_of(y.grad_fn), name_of(v.grad_fn), y._version))
    return found


@program()
def write_to_the_base_seen_by_each_view(lib):
    found = []
    for k in range(len(single_views(matrix(lib)[1]))):
        x, y = matrix(lib)
        v = single_views(y)[k]
        y.mul_(3)
        found.append((v.detach().clone(), name_of(v.grad_fn), v._version))
        if v.requires_grad:
            found.append(lib.autograd.grad((v * v).sum(), x)[0])
    return found


@program()
def view_of_a_view_is_written(lib):
    x, y = matrix(lib)
    rows = y[1:]
    cell = rows[0][1:]
    cell.mul_(10)
    (y * y).sum().backward()
    return x.grad, rows, cell, name_of(rows.grad_fn), name_of(cell.grad_fn), name_of(y.grad_fn)


@program()
def middle_of_three_views_is_written(lib):
    x, y = matrix(lib)
    outer = y.T
    middle = outer[1:]
    inner = middle[0]
    middle.exp_()
    (inner * inner).sum().backward()
    return x.grad, inner, name_of(inner.grad_fn), name_of(outer.grad_fn)


@program()
def views_written_in_turn(lib):
    x, y = matrix(lib)
    a, b, c = y[0], y[:, 1], y.view(6)[2:5]
    a.mul_(2)
    b.add_(a.sum())
    c.mul_(b[0] * 1)
    a.sub_(c.sum())
    return lib.autograd.grad((y * y).sum() + (a * 3).sum(), x), y, a, b, c


@program()
def two_bases_crossed(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    a, b = x * 1, w * 1
    a[0:1].mul_(b[1:2] + 0)
    b[0:1].mul_(a[1:2] + 0)
    (a * a + b).sum().backward()
    return x.grad, w.grad, a, b


@program("modified by an inplace operation")
def saved_view_and_write_elsewhere_in_the_base(lib):
    _, y = matrix(lib)
    z = y[0] * y[0]
    y[1].mul_(2)
    z.sum().backward()


@program("modified by an inplace operation")
def saved_base_and_write_through_a_view_of_a_view(lib):
    _, y = matrix(lib)
    z = y.exp()
    w = z.sum()
    z.view(6)[2:].view(2, 2).T[0].zero_()
    w.backward()


@program("a view of a leaf Variable that requires grad is being used in an in-place operation")
def view_of_a_view_of_a_leaf_is_written(lib):
    leaf(lib, 1, 2, 3, 4).view(2, 2)[0].mul_(2)


@program("a view of a leaf Variable that requires grad is being used in an in-place operation")
def part_of_a_leaf_is_assigned(lib):
    leaf(lib, 1, 2, 3)[0:2] = 0


@program("a leaf Variable that requires grad is being used in an in-place operation")
def whole_leaf_is_assigned(lib):
    leaf(lib, 1, 2, 3)[:] = 0


@program()
def view_of_a_leaf_is_written_under_no_grad(lib):
    x = leaf(lib, 1, 2, 3)
    with lib.no_grad():
        x[0:2].mul_(10)
        x.view(3, 1)[2] = 7
    (x * x).sum().backward()
    return x, x.grad, x._version, x.is_leaf


@program()
def older_view_of_a_leaf_follows_writes_under_no_grad(lib):
    x = leaf(lib, 1, 2, 3)
    v = x[0:2]
    with lib.no_grad():
        x.mul_(10)
    (v * 1.0).sum().backward()
    return v, x.grad


@program("modified by an inplace operation")
def saved_leaf_is_written_under_no_grad(lib):
    x = leaf(lib, 1, 2, 3)
    y = (x * x).sum()
    with lib.no_grad():
        x.view(3, 1)[0].zero_()
    y.backward()


# --- views made without gradients ------------------------------------------------------------------


@program()
def view_made_and_written_under_no_grad(lib):
    x, y = matrix(lib)
    with lib.no_grad():
        v = y[0]
        v.mul_(2)
    (y * y).sum().backward()
    return x.grad, y, y._version, v._version


@program("A view was created in no_grad mode and is being modified inplace with grad mode enabled")
def view_made_under_no_grad_is_written_outside(lib):
    _, y = matrix(lib)
    with lib.no_grad():
        v = y[0]
    v.mul_(2)


@program()
def view_made_under_no_grad_of_a_plain_tensor(lib):
    y = lib.ones(2, 3)
    with lib.no_grad():
        v = y[0]
    v.mul_(2)
    return y, v._base is y


@program("A view was created in no_grad mode and is being modified inplace with grad mode enabled")
def view_made_under_no_grad_takes_a_gradient(lib):
    y, w = lib.ones(2, 3), leaf(lib, 1, 2, 3)
    with lib.no_grad():
        v = y[0]
    v.mul_(w)


@program("A view was created in no_grad mode and its base or another view of its base has been modified inplace")
def view_made_under_no_grad_is_read_after_the_base_was_written(lib):
    _, y = matrix(lib)
    with lib.no_grad():
        v = y[0]
    y.mul_(2)
    return v * 2


@program()
def view_made_under_no_grad_of_a_plain_tensor_that_was_written(lib):
    y = lib.ones(2, 3)
    with lib.no_grad():
        v = y[0]
    y.mul_(2)
    return v * 2, v.requires_grad


@program()
def view_of_a_view_made_under_no_grad(lib):
    _, y = matrix(lib)
    with lib.no_grad():
        v = y[0]
    w = v[1:]
    return w._base is y, w._version, v.detach()


@program()
def view_made_before_is_written_under_no_grad(lib):
    x, y = matrix(lib)
    v = y[0]
    with lib.no_grad():
        v.mul_(2)
    (v * 3).sum().backward()
    return x.grad, v, y, name_of(y.grad_fn), v._version


# --- several views at once -----------------------------------------------------------------------


@program("This view is the output of a function that returns multiple views")
def part_of_a_split_is_written(lib):
    matrix(lib)[1].split(1)[0].mul_(2)


@program("This view is the output of a function that returns multiple views")
def part_of_a_chunk_is_written(lib):
    matrix(lib)[1].chunk(2)[1].zero_()


@program("This view is the output of a function that returns multiple views")
def row_of_an_unbind_is_written(lib):
    matrix(lib)[1].unbind()[0].add_(1)


@program("This view is the output of a function that returns multiple views")
def view_of_a_part_is_written(lib):
    matrix(lib)[1].split(1)[0][0].mul_(2)


@program("This view is the output of a function that returns multiple views")
def part_is_assigned_to(lib):
    matrix(lib)[1].split(1)[0][0, 0] = 5


@program()
def part_is_written_under_no_grad(lib):
    x, y = matrix(lib)
    a = y.split(1)[0]
    with lib.no_grad():
        a.mul_(2)
    (y * y).sum().backward()
    return x.grad, y


@program()
def parts_of_a_plain_tensor_are_written(lib):
    y = lib.ones(2, 3)
    y.split(1)[0].mul_(2)
    y.unbind()[1].mul_(3)
    return y


@program("This view is the output of a function that returns multiple views")
def part_of_a_plain_tensor_takes_a_gradient(lib):
    y, w = lib.ones(2, 3), leaf(lib, 1, 2, 3)
    y.unbind()[0].mul_(w)


@program("its base or another view of its base has been modified inplace")
def base_of_parts_is_written(lib):
    _, y = matrix(lib)
    a, _ = y.split(1)
    y.mul_(3)
    return a * 1


@program()
def parts_that_were_overtaken_are_read(lib):
    _, y = matrix(lib)
    a, b = y.unbind()
    with lib.no_grad():
        v = y[0]
    y.mul_(3)
    return a.tolist(), b.detach(), v.detach(), v.tolist(), a.data, a._base is y, a._version


@program()
def detached_without_gradients_and_written_with_them(lib):
    w = leaf(lib, 1, 2, 3)
    with lib.no_grad():
        d = matrix(lib)[1].detach()
    d[0].mul_(w)
    d.sum().backward()
    return w.grad, name_of(d.grad_fn)


@program()
def base_of_parts_that_nobody_reads_is_written(lib):
    x, y = matrix(lib)
    a, b = y.split(1)
    z = (a * b).sum()
    y = y + 1
    y.mul_(3)
    (z + y.sum()).backward()
    return x.grad


@program("This view is the output of a function that returns multiple views")
def part_after_another_view_was_written(lib):
    _, y = matrix(lib)
    a, b = y.unbind()
    y[1].mul_(3)
    (a * b).sum()


@program()
def detached_part_may_be_written(lib):
    x, y = matrix(lib)
    y.split(1)[0].detach().mul_(2)
    (y + 1).sum().backward()
    return x.grad, y, y._version


# --- expanded and overlapping memory -----------------------------------------------------------


@program("more than one element of the written-to tensor refers to a single memory location")
def expanded_view_is_written(lib):
    (leaf(lib, 1, 2) * 2).expand(3, 2).mul_(2)


@program("more than one element of the written-to tensor refers to a single memory location")
def expanded_plain_tensor_is_written(lib):
    lib.ones(2).expand(3, 2).add_(1)


@program()
def an_axis_of_length_one_is_expanded_to_one(lib):
    x, y = matrix(lib)
    v = y.unsqueeze(0).expand(1, 2, 3)
    v.mul_(2)
    (y * y).sum().backward()
    return x.grad


@program()
def base_of_an_expanded_view_is_written(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    v = y.expand(3, 2)
    y.mul_(2)
    (v * v).sum().backward()
    return x.grad, v


@program()
def overlapping_windows(lib):
    x = leaf(lib, 1, 2, 3, 4)
    w = (x * 2).unfold(0, 2, 1)
    (w * w).sum().backward()
    return w, x.grad


@program()
def windows_follow_the_base(lib):
    x = leaf(lib, 1, 2, 3, 4)
    y = x * 2
    w = y.unfold(0, 3, 1)
    y[1:3].mul_(5)
    (w * w).sum().backward()
    return w, x.grad, name_of(w.grad_fn)


@program()
def strided_view_with_overlaps(lib):
    x = leaf(lib, 1, 2, 3, 4)
    v = (x * 2).as_strided((3, 2), (1, 1))
    (v * v).sum().backward()
    return v, x.grad, name_of(v.grad_fn)


@program()
def strided_view_is_written(lib):
    x = leaf(lib, 1, 2, 3, 4)
    y = x * 2
    y.as_strided((2,), (2,), 1).mul_(10)
    (y * y).sum().backward()
    return y, x.grad


@program()
def gradient_of_a_stride_of_a_transpose(lib):
    x, y = matrix(lib)
    v = y.T.as_strided((2, 2), (1, 3))
    (v * v).sum().backward()
    return v, x.grad


@program()
def diagonals_are_written(lib):
    x, y = matrix(lib)
    y.diagonal().mul_(2)
    y.diagonal(1).add_(y[:, 0].detach())
    (y * y).sum().backward()
    return y, x.grad


# --- parts of complex numbers ------------------------------------------------------------------


@program()
def imaginary_part_is_written(lib):
    x = leaf(lib, 1, 2)
    z = x * (1 + 2j)
    z.imag.mul_(x)
    (z.real * z.imag).sum().backward()
    return z, x.grad, name_of(z.real.grad_fn), name_of(z.grad_fn), z.real._base is z


@program()
def real_part_of_a_real_tensor(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    return y.real is y, y.real._is_view()


# --- gradients of views -----------------------------------------------------------------------


@program()
def gradient_with_respect_to_a_view(lib):
    x, y = matrix(lib)
    v = y[0]
    return lib.autograd.grad((v * v).sum() + v.exp().sum(), [v, y, x])


@program("appears to not have been used in the graph")
def gradient_with_respect_to_a_view_that_was_not_used(lib):
    _, y = matrix(lib)
    v = y[0]
    lib.autograd.grad((y * y).sum(), v)


@program()
def gradient_with_respect_to_a_view_after_a_write(lib):
    x, y = matrix(lib)
    v = y[0]
    v.mul_(3)
    return lib.autograd.grad((v * v).sum(), [v, x])


@program("appears to not have been used in the graph")
def gradient_with_respect_to_a_base_after_a_write_through_a_view(lib):
    _, y = matrix(lib)
    v = y[0]
    z = (y * 2).sum()
    v.mul_(3)
    lib.autograd.grad(z, y)


@program()
def backward_of_a_view(lib):
    x, y = matrix(lib)
    y[1].backward(lib.tensor([1.0, 2.0, 3.0]))
    return x.grad


@program()
def retained_gradient_of_a_view(lib):
    x, y = matrix(lib)
    v = y[0]
    v.retain_grad()
    (v * v).sum().backward()
    return v.grad, x.grad, v.retains_grad, y.retains_grad


@program()
def retained_gradient_of_a_view_that_was_written(lib):
    x, y = matrix(lib)
    v = y[0]
    v.retain_grad()
    v.mul_(3)
    (v * v).sum().backward()
    return v.grad, x.grad


@program()
def retained_gradient_of_a_base_whose_view_was_written(lib):
    x, y = matrix(lib)
    y.retain_grad()
    y[0].mul_(3)
    (y * y).sum().backward()
    return y.grad, x.grad


@program()
def second_derivative_through_a_written_view(lib):
    x = leaf(lib, 1, 2, 3)
    y = x * x
    y[0:2].mul_(x[1:])
    (g,) = lib.autograd.grad((y * y).sum(), x, create_graph=True)
    return g, lib.autograd.grad((g * g).sum(), x)


@program()
def a_view_needs_gradients_from_now_on(lib):
    y = lib.ones(2, 3)
    v = y[0]
    v.requires_grad_()
    (v * 2).sum().backward()
    return v.grad, v.is_leaf, v._is_view(), y.requires_grad


@program()
def plain_base_takes_a_gradient_through_a_view(lib):
    w, y = leaf(lib, 1, 2, 3), lib.zeros(2, 3)
    before = y[1]
    y[0] = w
    y[0].mul_(2)
    (y * y).sum().backward()
    return w.grad, y.is_leaf, name_of(y.grad_fn), before.requires_grad, name_of(before.grad_fn)


@program()
def views_of_nothing(lib):
    x = lib.zeros(0, 3, requires_grad=True)
    y = x * 2
    v = y[:, 1]
    v.mul_(3)
    y.view(3, 0).T.add_(1)
    y.sum().backward()
    return x.grad, v, name_of(y.grad_fn), y._version


@program()
def views_of_a_number(lib):
    x = lib.tensor(3.0, requires_grad=True)
    y = x * 2
    y.view(1, 1)[0].mul_(2)
    y.expand(1).add_(1)
    (y * y).backward()
    return y, x.grad, y._version


@program()
def detached_view_shares_the_version(lib):
    _x, y = matrix(lib)
    d = y[0].detach()
    d.mul_(2)
    return y._version, d._version, d._base is None, d._is_view(), y.data[0]._version


@program("modified by an inplace operation")
def detached_view_is_written(lib):
    _x, y = matrix(lib)
    z = y * y
    y[0].detach().zero_()
    z.sum().backward()


@program()
def data_of_a_view_is_written(lib):
    x, y = matrix(lib)
    z = y * y
    y[0].data.zero_()
    z.sum().backward()
    return x.grad, y, y._version
