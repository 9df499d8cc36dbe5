"""Tensors: what they are made of, their flags, `data`, `grad` and `detach_`, copies, and other dtypes than float64."""

from __future__ import annotations

import copy
import pickle

from .table import leaf, name_of, program, scalar


def result(lib):
    """A leaf, and a vector that it gives."""
    x = leaf(lib, 0.5, 1.5, 2.5)
    return x, x * 2


# --- flags ----------------------------------------------------------------------------------------------


@program()
def flags_of_leaves_and_results(lib):
    x, y = result(lib)
    c = lib.ones(3)
    tensors = x, y, c, c * 2, y.detach(), x.detach(), y.data, y[0], y.clone(), c + x, x.grad, (y > 1), y.long()
    return [None if t is None else (t.requires_grad, t.is_leaf, t.retains_grad, name_of(t.grad_fn)) for t in tensors]


@program()
def flags_are_set(lib):
    a = lib.ones(2)
    first = a.requires_grad_() is a
    a.requires_grad = False
    a.requires_grad_(True)
    b = a * 2
    b.requires_grad_()
    (b * b).sum().backward()
    return first, a.grad, b.grad, b.is_leaf


@program("you can only change requires_grad flags of leaf variables")
def flag_of_a_result_is_cleared(lib):
    _, y = result(lib)
    y.requires_grad = False


@program("you can only change requires_grad flags of leaf variables")
def flag_of_a_result_is_set(lib):
    _, y = result(lib)
    y.requires_grad = True


@program("you can only change requires_grad flags of leaf variables")
def flag_of_a_view_is_cleared(lib):
    _, y = result(lib)
    y[0].requires_grad_(False)


@program("can require gradients")
def integers_need_no_gradient(lib):
    lib.tensor([1, 2]).requires_grad_()


@program("floating point and complex dtype can require gradients")
def integers_are_made_to_need_gradients(lib):
    lib.tensor([1, 2], requires_grad=True)


@program("floating point and complex dtype can require gradients")
def bools_need_no_gradient(lib):
    lib.tensor([True]).requires_grad = True


@program()
def flag_cleared_between(lib):
    x = leaf(lib, 1, 2)
    y = x * x
    x.requires_grad_(False)
    z = y * x
    x.requires_grad_(True)
    (y.sum() + z.sum().detach()).backward()
    return z.requires_grad, x.grad


@program()
def flag_set_after_use(lib):
    a, x = lib.ones(2), leaf(lib, 1, 2)
    y = a * x
    a.requires_grad_()
    z = a * x
    (y + z).sum().backward()
    return a.grad, x.grad


@program()
def results_of_integers_and_comparisons(lib):
    x, _ = result(lib)
    found = [x > 1, x == x, x.long(), x.int() + 1, x.argmax(), x.isnan(), x.bool(), x.sign(), x.floor(), x.round()]
    return [(t.requires_grad, str(t.dtype).removeprefix("torch.")) for t in found]


# --- data -----------------------------------------------------------------------------------------------


@program()
def data_shares_memory_and_no_version(lib):
    x, y = result(lib)
    z = (y * y).sum()
    y.data.mul_(10)
    z.backward()
    return y, y._version, y.data._version, y.data.requires_grad, y.data.is_leaf, x.grad


@program()
def data_of_a_leaf_is_written(lib):
    x = leaf(lib, 1, 2)
    x.data[0] = 7
    x.data += 1
    (x * x).sum().backward()
    return x, x.grad, x._version


@program()
def data_is_replaced(lib):
    x = leaf(lib, 1, 2)
    before = x.data
    x.data = lib.tensor([5.0, 6.0, 7.0])
    before.zero_()
    (x * x).sum().backward()
    return x, x.grad, x.is_leaf, x.requires_grad


@program()
def replaced_data_share_memory(lib):
    x, other = leaf(lib, 1, 2), lib.tensor([5.0, 6.0])
    x.data = other
    other[0] = 9
    x.data.mul_(2)
    return x, other


@program()
def data_of_a_result_is_replaced(lib):
    x, y = result(lib)
    z = y.exp()
    y.data = lib.zeros(3)
    (y * 2 + z).sum().backward()
    return y, x.grad, name_of(y.grad_fn)


@program()
def data_is_replaced_by_a_tensor_with_history(lib):
    _, y = result(lib)
    a = lib.zeros(3)
    a.data = y
    return a, a.requires_grad


# --- grad set by hand ------------------------------------------------------------------------------------


@program()
def gradients_that_were_set(lib):
    x = leaf(lib, 1, 2)
    mine = lib.tensor([5.0, 6.0])
    x.grad = mine
    (x * x).sum().backward()
    same = x.grad is mine
    x.grad = None
    (x * x).sum().backward()
    return same, mine, x.grad


@program("attempting to assign a gradient of size")
def gradient_of_another_shape(lib):
    leaf(lib, 1, 2).grad = lib.ones(1, 2)


@program("dtype")
def gradient_of_another_dtype(lib):
    leaf(lib, 1, 2).grad = lib.ones(2).float()


@program("dtype")
def gradient_of_integers(lib):
    leaf(lib, 1, 2).grad = lib.tensor([1, 2])


@program("assigned grad expected to be a Tensor or None but got")
def gradient_that_is_a_number(lib):
    leaf(lib, 1, 2).grad = 3.0


@program("assigned grad expected to be a Tensor or None but got")
def gradient_that_is_a_list(lib):
    leaf(lib, 1, 2).grad = [1.0, 2.0]


@program()
def gradient_set_on_a_constant_and_a_result(lib):
    x, y = result(lib)
    c = lib.ones(3)
    c.grad = lib.ones(3)
    y.grad = lib.ones(3)
    y.sum().backward()
    return c.grad, y.grad, x.grad


@program()
def gradient_that_needs_gradients(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    x.grad = w * 2
    (x.grad * x.grad).sum().backward()
    (x * 3).sum().backward()
    return w.grad, x.grad


@program()
def gradients_of_results_are_none(lib):
    x, y = result(lib)
    y.sum().backward()
    return y.grad, x.grad


@program()
def gradient_is_deleted(lib):
    x, y = result(lib)
    y.sum().backward()
    del x.grad
    return x.grad


# --- detach and detach_ -----------------------------------------------------------------------------------


@program()
def detached_in_place(lib):
    x, y = result(lib)
    z = y.exp()
    same = y.detach_() is y
    (z + y * x).sum().backward()
    return same, y.is_leaf, y.requires_grad, y.grad_fn, x.grad, y._version


@program()
def leaf_detached_in_place(lib):
    x = leaf(lib, 1, 2)
    y = (x * x).sum()
    x.detach_()
    return x.requires_grad, y.requires_grad


@program("Can't detach views in-place")
def view_detached_in_place(lib):
    _, y = result(lib)
    y[0].detach_()


@program()
def base_with_views_is_detached_in_place(lib):
    x, y = result(lib)
    v = y[:2]
    y.detach_()
    v.sum().backward()
    return x.grad, y.requires_grad, v._base is y


@program()
def detached_in_place_and_asked_for_again(lib):
    x, y = result(lib)
    y.detach_().requires_grad_()
    (y * y).sum().backward()
    return y.grad, x.grad, y.is_leaf


@program()
def truncated_recurrence(lib):
    w, h, found = leaf(lib, 0.5, 0.25), lib.zeros(2), []
    for _ in range(3):
        h = (h * w + 1).tanh()
        h.sum().backward()
        h = h.detach()
        found.append(w.grad.clone())
    return found


@program()
def detached_values_share_memory_and_version(lib):
    _, y = result(lib)
    d = y.detach()
    y.add_(1)
    d[0] = 9
    return y, d, y._version, d._version, d.requires_grad, d._base is None


@program("modified by an inplace operation")
def detached_copy_of_a_saved_value_is_written(lib):
    _, y = result(lib)
    z = y.exp()
    z.detach().zero_()
    z.sum().backward()


@program()
def clone_keeps_the_history(lib):
    x, y = result(lib)
    c = y.clone()
    c.mul_(3)
    c.sum().backward()
    return x.grad, y, c._version, c._base, name_of(y.clone().grad_fn)


# --- retained gradients -------------------------------------------------------------------------------


@program()
def retained_before_and_after_a_write(lib):
    x, y = result(lib)
    y.retain_grad()
    y.mul_(3)
    z = y.retains_grad
    y.exp().sum().backward()
    return y.grad, x.grad, z


@program()
def retained_after_a_write(lib):
    x, y = result(lib)
    y.mul_(3)
    y.retain_grad()
    y.add_(1)
    (y * y).sum().backward()
    return y.grad, x.grad


@program()
def retained_by_a_view_and_its_base(lib):
    x, y = result(lib)
    v = y[1:]
    y.retain_grad()
    v.retain_grad()
    (v * v).sum().backward()
    return v.grad, y.grad, x.grad


@program()
def retained_twice_and_over_two_sweeps(lib):
    x, y = result(lib)
    y.retain_grad()
    y.retain_grad()
    z = (y * 3).sum()
    z.backward(retain_graph=True)
    first = y.grad.clone()
    z.backward()
    return first, y.grad, x.grad


@program()
def retained_by_a_leaf(lib):
    x, y = result(lib)
    x.retain_grad()
    y.sum().backward()
    return x.retains_grad, x.grad


@program("can't retain_grad on Tensor that has requires_grad=False")
def retained_by_a_detached_tensor(lib):
    _, y = result(lib)
    y.detach().retain_grad()


# --- copies -------------------------------------------------------------------------------------------


@program()
def deep_copies(lib):
    x = leaf(lib, 1, 2)
    (x * x).sum().backward()
    a, b = copy.deepcopy([x, x])
    (a * 3).sum().backward()
    return a is b, a.requires_grad, a.is_leaf, a.grad, x.grad


@program("Only Tensors created explicitly by the user")
def deep_copy_of_a_result(lib):
    copy.deepcopy(result(lib)[1])


@program()
def deep_copy_of_a_constant_view(lib):
    c = lib.ones(2, 3)
    d = copy.deepcopy(c[0])
    d.mul_(5)
    return c, d, d._base


@program()
def pickled_leaf(lib):
    x = leaf(lib, 1, 2)
    y = pickle.loads(pickle.dumps(x))
    return y, y.grad, y.is_leaf


# --- numbers --------------------------------------------------------------------------------------------


@program()
def numbers_from_tensors(lib):
    _, y = result(lib)
    return y.sum().item(), float(y[0]), int(y[1]), bool(y[0] > 0), y.tolist(), y[0:1].item(), lib.tensor(3).item()


@program("cannot be converted to Scalar")
def number_of_several(lib):
    result(lib)[1].item()


@program("is ambiguous")
def truth_of_several(lib):
    bool(result(lib)[1] > 1)


@program("Can't call numpy() on Tensor that requires grad")
def array_of_a_tensor_with_history(lib):
    result(lib)[1].numpy()


@program()
def array_of_a_detached_tensor_shares_memory(lib):
    _, y = result(lib)
    a = y.detach().numpy()
    a[0] = 9
    return y, y._version, y.numpy(force=True)


@program()
def iteration_and_length(lib):
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a, b = x * 1
    total = sum(row.sum() * k for k, row in enumerate(x))
    (a * b).sum().backward()
    total.backward()
    return len(x), x.grad, [t.tolist() for t in x]


@program("len() of a 0-d tensor")
def length_of_a_number(lib):
    len(scalar(lib, 1))


@program("iteration over a 0-d tensor")
def iteration_over_a_number(lib):
    list(scalar(lib, 1))


@program()
def tensors_as_keys(lib):
    x, y = result(lib)
    table = {x: 1, y: 2}
    return table[x], table[y], x in table, hash(x) == hash(x), len({x, x.detach()})


# --- other dtypes ----------------------------------------------------------------------------------------


@program()
def single_precision(lib):
    x = lib.tensor([0.5, 1.5]).float().requires_grad_()
    w = lib.tensor([2.0, 3.0], requires_grad=True)
    y = x * w
    (y * y).sum().backward()
    return (x * 2), y, x.grad, w.grad, (x + 1).sum(), x.exp()


@program()
def conversions(lib):
    x = leaf(lib, 0.5, 1.5)
    y = x.float()
    y.retain_grad()
    (y.double() * y).sum().backward()
    return x.grad, y.grad, name_of(y.grad_fn), x.double() is x, x.to(y.dtype), x.type_as(y)


@program()
def numbers_do_not_widen(lib):
    x = lib.tensor([0.5, 1.5]).float().requires_grad_()
    found = [x * 2, x + 1.5, 2 / x, x**2, x.mean(), x.sum()]
    return [str(t.dtype).removeprefix("torch.") for t in found]


@program()
def complex_numbers(lib):
    z = lib.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    (z * z.conj()).real.sum().backward()
    first = z.grad
    z.grad = None
    (z**2 + z.exp()).abs().sum().backward()
    return first, z.grad, z.real, z.imag.requires_grad


@program()
def complex_and_real(lib):
    x, z = leaf(lib, 1, 2), lib.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    y = x * z + x
    y.abs().sum().backward()
    return y, x.grad, z.grad, x.grad.dtype == x.dtype


@program("grad can be implicitly created only for real scalar outputs")
def complex_scalar_has_no_implicit_gradient(lib):
    lib.tensor([1 + 2j], requires_grad=True).sum().backward()


@program()
def complex_scalar_with_a_gradient(lib):
    z = lib.tensor([1 + 2j, 2j], requires_grad=True)
    (z * z).sum().backward(lib.tensor(1 + 1j))
    return z.grad


@program()
def complex_hessian(lib):
    z = lib.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    (g,) = lib.autograd.grad((z.abs() ** 3).sum(), z, create_graph=True)
    return g, lib.autograd.grad(g.real.sum() + 2 * g.imag.sum(), z)


@program()
def integers_beside_floats(lib):
    x, n = leaf(lib, 1, 2), lib.tensor([3, 4])
    y = x * n + n
    (y / n).sum().backward()
    return y, x.grad, (n * x).dtype == x.dtype, n.requires_grad


@program()
def bools_as_factors(lib):
    x = leaf(lib, 1, 2, 3)
    ((x > 1.5) * x).sum().backward()
    return x.grad, ((x > 1) & (x < 3)) | (x == 3), ~(x > 1), (x > 1).sum()


@program()
def nothing_at_all(lib):
    x = lib.zeros(0, 3, requires_grad=True)
    y = x.exp() @ lib.ones(3, 2)
    y.sum().backward()
    return y, x.grad, x.sum(), x.prod(), x.sum(dim=0), x.mean(dim=1)


@program()
def numbers_with_axes_and_without(lib):
    x = scalar(lib, 3)
    y = x.reshape(1, 1).expand(2, 2) * lib.ones(2, 2)
    (y.sum() * x).backward()
    return x.grad, x.sum(), x.mean(), x.prod(), x.max(), x.unsqueeze(0), x.shape, x.T if False else x.view(1)


@program()
def ties_share_or_not(lib):
    found = []
    for f in (
        lambda x: x.max(), lambda x: x.min(), lambda x: x.amax(0), lambda x: x.maximum(lib.tensor([2.0, 2.0, 0.0])),
        lambda x: x.clamp(1, 2), lambda x: x.clamp(min=2.0), lambda x: x.relu(), lambda x: (x - 2).abs(),
        lambda x: x.norm(),
        lambda x: (x * 0).norm(), lambda x: x.median(), lambda x: x.max(dim=0)[0], lambda x: x.sort(dim=0)[0][0],
        lambda x: x.prod(), lambda x: (x - 2).prod(), lambda x: x.std(dim=0), lambda x: (x - 2) ** 2,
        lambda x: (x - 2) ** 0,
        lambda x: x.fmax(lib.tensor([2.0, 1.0, 9.0])), lambda x: x.where(x > 1, x * 0), lambda x: x.sign(),
        lambda x: (x - 2).pow(lib.tensor([2.0, 0.0, 1.0])), lambda x: x.topk(2)[0], lambda x: (x - 2).sqrt() * 0,
    ):  # fmt: skip
        x = leaf(lib, 2, 2, 1)
        f(x).sum().backward()
        found.append(x.grad)
    return found


@program()
def new_tensors_of_the_same_kind(lib):
    x = lib.tensor([[1.0, 2.0]], requires_grad=True)
    return [
        x.new_zeros(2), x.new_ones((2, 1)), x.new_full((2,), 3.0), x.new_tensor([1, 2]), lib.zeros_like(x),
        lib.ones_like(x, requires_grad=True), lib.full_like(x, 4.0), lib.empty_like(x) * 0, x.float().new_zeros(1),
    ]  # fmt: skip


@program()
def creation(lib):
    return [
        lib.zeros(2, 3), lib.ones(2), lib.full((2,), 1.5), lib.arange(4), lib.arange(1, 2, 0.25),
        lib.linspace(0.0, 1.0, 5),
        lib.eye(2), lib.eye(2, 3), lib.tensor(3), lib.tensor([True]), lib.tensor([]), lib.tensor([[1, 2], [3, 4]]),
        lib.as_tensor([1.0, 2.0]), lib.zeros(2, requires_grad=True), lib.tensor(2 + 1j), lib.randperm(3).sort(dim=0)[0],
        lib.rand(2, 3).shape, lib.randn(4).shape, lib.randint(5, (2,)).shape, lib.empty(0).shape, lib.zeros((2, 1)),
    ]  # fmt: skip
