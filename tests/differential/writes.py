"""Writing in place: operators, methods, assignments, masks; leaves and results; integers, bools, complex numbers."""

from __future__ import annotations

from .table import leaf, name_of, program


def result(lib):
    """A leaf, and a vector that it gives."""
    x = leaf(lib, 0.5, 1.5, 2.5)
    return x, x * 2


def gradients_of_writes(lib, *writes):
    """What each write does: the new value, its version, its node's name and the gradient."""
    found = []
    for write in writes:
        x, y = result(lib)
        z = write(y)
        (y * y).sum().backward()
        found.append((z is y, y, y._version, x.grad))
    return found


@program()
def arithmetic_methods(lib):
    c = lib.tensor([2.0, 3.0, 4.0])
    return gradients_of_writes(
        lib,
        lambda y: y.add_(c),
        lambda y: y.add_(c, alpha=3),
        lambda y: y.sub_(c),
        lambda y: y.mul_(c),
        lambda y: y.div_(c),
        lambda y: y.pow_(2),
        lambda y: y.pow_(c),
        lambda y: y.neg_(),
        lambda y: y.remainder_(0.7),
        lambda y: y.addcmul_(c, c, value=0.5),
        lambda y: y.addcdiv_(c, c, value=0.5),
        lambda y: y.lerp_(c, 0.25),
    )


@program()
def mathematical_methods(lib):
    names = (
        "abs atan ceil cos cosh digamma erf erfc exp exp2 expm1 floor frac lgamma log log10 log1p log2 "
        "reciprocal relu round rsqrt sigmoid sign sin sinc sinh sqrt square tan tanh trunc deg2rad"
    )
    return gradients_of_writes(lib, *[lambda y, name=name + "_": getattr(y, name)() for name in names.split()])


@program()
def filling_methods(lib):
    mask, c = lib.tensor([True, False, True]), lib.tensor([7.0, 8.0, 9.0])
    index = lib.tensor([2, 0])
    return gradients_of_writes(
        lib,
        lambda y: y.fill_(3),
        lambda y: y.zero_(),
        lambda y: y.copy_(c),
        lambda y: y.copy_(lib.tensor(4)),
        lambda y: y.masked_fill_(mask, -1),
        lambda y: y.masked_scatter_(mask, c),
        lambda y: y.index_fill_(0, index, 0.5),
        lambda y: y.index_copy_(0, index, c[:2]),
        lambda y: y.index_add_(0, index, c[:2], alpha=2),
        lambda y: y.scatter_(0, index, c[:2]),
        lambda y: y.scatter_add_(0, index, c[:2]),
        lambda y: y.index_put_((index,), c[:2], accumulate=True),
        lambda y: y.clamp_(1.5, 4),
        lambda y: y.clamp_(max=lib.tensor([2.0, 2.0, 2.0])),
        lambda y: y.cumsum_(0),
        lambda y: y.cumprod_(0),
        lambda y: y.nan_to_num_(),
        lambda y: y.fmod_(0.7),
    )


@program()
def operators(lib):
    def augmented(y, symbol):
        if symbol == "+":
            y += 2
        elif symbol == "-":
            y -= lib.ones(3)
        elif symbol == "*":
            y *= y.detach().clone()
        elif symbol == "/":
            y /= 4
        elif symbol == "**":
            y **= 3
        else:
            y %= 0.7
        return y

    return gradients_of_writes(
        lib, *[lambda y, symbol=symbol: augmented(y, symbol) for symbol in "+ - * / ** %".split()]
    )


@program()
def operands_get_their_gradients(lib):
    found = []
    for name in ("add_", "sub_", "mul_", "div_", "pow_", "copy_", "atan2_", "hypot_", "xlogy_"):
        x, y = result(lib)
        w = leaf(lib, 2, 3, 0.5)
        getattr(y, name)(w)
        (y * y).sum().backward()
        found.append((name, x.grad, w.grad))
    return found


@program()
def broadcast_operand_gets_the_sum(lib):
    x = lib.ones(2, 3, requires_grad=True)
    w, s = leaf(lib, 1, 2, 3), lib.tensor(2.0, requires_grad=True)
    y = x * 1
    y.mul_(w).add_(s)
    y[0] += w
    y.sum().backward()
    return x.grad, w.grad, s.grad


@program("doesn't match the broadcast shape")
def target_would_grow(lib):
    result(lib)[1].add_(lib.ones(2, 3))


@program("can't be cast to the desired output type")
def integers_stay_integers(lib):
    lib.tensor([1, 2]).add_(1.5)


@program("can't be cast to the desired output type")
def a_real_target_takes_no_complex_numbers(lib):
    lib.ones(2).mul_(lib.tensor([1j, 2j]))


@program()
def integers_and_bools_are_written(lib):
    n, b = lib.tensor([1, 2, 3]), lib.tensor([True, False, True])
    n += 2
    n[0] = 7
    n[b] = 5
    n.mul_(n)
    b[1:] = False
    b |= lib.tensor([False, False, True])
    b.logical_not_()
    return n, b, n._version, b._version, n.is_leaf, n.grad_fn


@program()
def an_integer_takes_floats_by_copy(lib):
    n = lib.tensor([1, 2, 3])
    n.copy_(lib.tensor([1.9, -1.9, 2.5]))
    n[1:] = lib.tensor([7.9, 8.9])
    return n


@program()
def a_gradient_ends_at_an_integer_target(lib):
    x, n = leaf(lib, 1, 2), lib.tensor([1, 2])
    n.copy_(x)
    return n, n.requires_grad


@program()
def another_dtype_keeps_the_gradients_own(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = lib.zeros(2).float()
    y.copy_(x)
    y.mul_(x.detach())
    (y * y).sum().backward()
    return y, x.grad


@program()
def complex_target(lib):
    x, w = leaf(lib, 1, 2), lib.tensor([1 + 1j, 2 - 1j], requires_grad=True)
    z = x * (1 + 1j)
    z.mul_(w).add_(x)
    z[0] = w[1]
    abs(z).sum().backward()
    return z, x.grad, w.grad


# --- leaves -------------------------------------------------------------------------------------------


def refused(lib, *writes):
    """Messages of refusals, and that nothing has changed."""
    found = []
    for write in writes:
        x = leaf(lib, 1, 2, 3)
        try:
            write(x)
        except RuntimeError as error:
            found.append(str(error)[:60])
        found.append((x.detach().clone(), x._version, x.requires_grad, x.is_leaf))
    return found


@program()
def leaves_are_refused(lib):
    def augment(x):
        x += 1

    def assign(x):
        x[:] = 0

    return refused(
        lib, augment, assign, lambda x: x.add_(1), lambda x: x.zero_(), lambda x: x.copy_(lib.zeros(3)),
        lambda x: x.fill_(2), lambda x: x.clamp_(0, 1), lambda x: x.masked_fill_(x > 1, 0), lambda x: x.exp_(),
        lambda x: x.index_add_(0, lib.tensor([0]), lib.ones(1)), lambda x: x.sigmoid_(),
        lambda x: x.lerp_(lib.ones(3), 0.5),
    )  # fmt: skip


@program()
def parts_of_leaves_are_refused(lib):
    def assign(x):
        x[0] = 5

    def augment(x):
        x[1:] += 1

    def mask(x):
        x[lib.tensor([True, False, True])] = 1

    def index(x):
        x[lib.tensor([0, 2])] = 1

    return refused(
        lib, assign, augment, lambda x: x[0].zero_(), lambda x: x.view(3, 1).mul_(2), lambda x: x[1:][0].add_(1),
        lambda x: x.unsqueeze(0).fill_(1),
    ), [message for message in refused(lib, mask, index) if isinstance(message, str)]  # fmt: skip


@program()
def leaves_that_need_no_gradient_may_be_written(lib):
    a = lib.ones(3)
    a.mul_(2)
    a[0] = 5
    a.requires_grad_()
    (a * a).sum().backward()
    return a, a.grad, a._version, a.is_leaf


@program()
def a_plain_leaf_takes_a_gradient(lib):
    x, a = leaf(lib, 1, 2, 3), lib.ones(3)
    a.mul_(x)
    (a * a).sum().backward()
    return x.grad, a.is_leaf, a.requires_grad, name_of(a.grad_fn)


@program()
def leaf_written_under_no_grad(lib):
    x = leaf(lib, 1, 2, 3)
    with lib.no_grad():
        x += 1
        x[0] = 9
        x.mul_(2)
    (x * x).sum().backward()
    return x, x.grad, x._version, x.is_leaf, x.grad_fn


@program()
def gradient_step(lib):
    x = leaf(lib, 1, 2, 3)
    for _ in range(3):
        x.sin().sum().backward()
        with lib.no_grad():
            x -= 0.1 * x.grad
            x.grad.zero_()
    return x, x.grad, x._version, x.grad._version


# --- no_grad ---------------------------------------------------------------------------------------------


@program()
def result_written_under_no_grad_keeps_its_history(lib):
    x, y = result(lib)
    with lib.no_grad():
        y.mul_(10)
        y[0] = 1
    (y * y).sum().backward()
    return y, x.grad, name_of(y.grad_fn), y.requires_grad


@program("modified by an inplace operation")
def saved_value_written_under_no_grad(lib):
    _, y = result(lib)
    z = y.exp()
    w = z.sum()
    with lib.no_grad():
        z.add_(1)
    w.backward()


@program()
def source_under_no_grad_gives_no_gradient(lib):
    x, w = leaf(lib, 1, 2), lib.zeros(2)
    with lib.no_grad():
        w.copy_(x)
    return w, w.requires_grad


# --- what was saved -----------------------------------------------------------------------------------


def verdicts(lib, *programs):
    """For each program, whether its reverse finds a value overwritten, or the gradient."""
    found = []
    for run in programs:
        x, y = result(lib)
        loss = run(x, y)
        try:
            loss.sum().backward()
        except RuntimeError as error:
            assert "modified by an inplace operation" in str(error), error
            found.append("stale")
        else:
            found.append(x.grad)
    return found


def after(y, value, write):
    """A value, after a write to an operand."""
    write(y)
    return value


@program()
def operand_written_after_each_function(lib):
    c = lib.tensor([2.0, 3.0, 4.0])
    names = (
        "neg abs exp log sin cos tan tanh sinh cosh sqrt rsqrt square reciprocal sigmoid relu erf log1p asinh atan "
        "sum mean prod cumsum cumprod amax std var norm clone floor sign round frac softmax log_softmax lgamma"
    )
    needs_axis = "cumsum cumprod softmax log_softmax".split()

    def unary(name):
        arguments = (0,) if name in needs_axis else ()
        if name in ("std", "var"):
            return lambda x, y: after(y, getattr(y, name)(unbiased=True), lambda y: y.add_(1))
        return lambda x, y: after(y, getattr(y, name)(*arguments), lambda y: y.add_(1))

    binary = [
        lambda x, y: after(y, y + c, lambda y: y.add_(1)),
        lambda x, y: after(y, y * c, lambda y: y.add_(1)),
        lambda x, y: after(y, y * x, lambda y: y.add_(1)),
        lambda x, y: after(y, y / c, lambda y: y.add_(1)),
        lambda x, y: after(y, c / y, lambda y: y.add_(1)),
        lambda x, y: after(y, y**2, lambda y: y.add_(1)),
        lambda x, y: after(y, y**1, lambda y: y.add_(1)),
        lambda x, y: after(y, y.maximum(c), lambda y: y.add_(1)),
        lambda x, y: after(y, y.clamp(1.5, 4), lambda y: y.add_(1)),
        lambda x, y: after(y, y @ c, lambda y: y.add_(1)),
        lambda x, y: after(y, y @ x, lambda y: y.add_(1)),
        lambda x, y: after(y, y.lerp(c, 0.5), lambda y: y.add_(1)),
        lambda x, y: after(y, y.masked_fill(c > 2, 0), lambda y: y.add_(1)),
        lambda x, y: after(y, y[lib.tensor([0, 2])], lambda y: y.add_(1)),
        lambda x, y: after(y, y.where(c > 2, c), lambda y: y.add_(1)),
    ]
    found = verdicts(lib, *[unary(name) for name in names.split()], *binary)
    return list(zip([*names.split(), *range(len(binary))], found, strict=True))


@program()
def result_written_after_each_function(lib):
    names = (
        "neg abs exp log sin cos tan tanh sinh cosh sqrt rsqrt square reciprocal sigmoid relu erf log1p asinh atan "
        "clone floor sign round frac lgamma"
    )
    axes = "cumsum cumprod softmax log_softmax".split()
    runs = [lambda x, y, name=name: getattr(y, name)().mul_(2) for name in names.split()]
    runs += [lambda x, y, name=name: getattr(y, name)(0).mul_(2) for name in axes]
    found = verdicts(lib, *runs)
    return list(zip([*names.split(), *axes], found, strict=True))


@program()
def which_writes_matter(lib):
    def other_part(x, y):
        z = y[0] * y[0]
        y[2] = 5
        return z

    def detached(x, y):
        z = y * y
        y.detach().add_(1)
        return z

    def data(x, y):
        z = y * y
        y.data.add_(1)
        return z

    def nothing_added(x, y):
        z = y * y
        y.add_(0)
        return z

    def copied_from_itself(x, y):
        z = y * y
        y.copy_(y.clone())
        return z

    def cloned(x, y):
        z = y.clone() * y.clone()
        y.add_(1)
        return z

    def written_before(x, y):
        y.add_(1)
        return y * y

    def refused_write(x, y):
        z = y * y
        try:
            y.add_(lib.ones(4))
        except RuntimeError:
            pass
        return z

    def random_fill(x, y):
        z = y * y
        y.uniform_()
        return z

    def constant_factor(x, y):
        c = lib.ones(3)
        z = y * c
        c.zero_()
        return z

    def index(x, y):
        n = lib.tensor([0, 1])
        z = y[n]
        n.zero_()
        return z

    def mask(x, y):
        b = y > 2
        z = y.masked_fill(b, 0)
        b.zero_()
        return z

    return verdicts(
        lib, other_part, detached, data, nothing_added, copied_from_itself, cloned, written_before, refused_write,
        random_fill, constant_factor, index, mask,
    )  # fmt: skip


@program("is at version 3; expected version 1 instead")
def versions_in_the_message(lib):
    _, y = result(lib)
    y.add_(1)
    z = y * y
    y.add_(1)
    y[0] = 5
    z.sum().backward()


@program("which is output 0 of Exp, is at version 1")
def operation_in_the_message(lib):
    _, y = result(lib)
    z = y.exp()
    w = z.sum()
    z.zero_()
    w.backward()


@program("which is output 0 of AsStrided, is at version 2")
def view_in_the_message(lib):
    _, y = result(lib)
    z = y[0] * y[1]
    y.add_(1)
    y.mul_(2)
    z.backward()


@program("CopySlices, is at version 2; expected version 1")
def written_part_in_the_message(lib):
    _, y = result(lib)
    y.add_(1)
    z = y * y
    y[0] = 3
    z.sum().backward()


@program("which is output 0 of Add, is at version 2; expected version 1")
def written_whole_in_the_message(lib):
    _, y = result(lib)
    y[0] = 3
    z = y * y
    y.add_(1)
    z.sum().backward()


@program("which is output 0 of Mul, is at version 1; expected version 0")
def unrecorded_write_in_the_message(lib):
    _, y = result(lib)
    z = y * y
    with lib.no_grad():
        y.add_(1)
    z.sum().backward()


@program("which is output 0 of Exp, is at version 1; expected version 0")
def written_result_in_the_message(lib):
    _, y = result(lib)
    z = y.exp()
    w = z.sum()
    z[0] = 3
    w.backward()


@program("[3]] is at version 1; expected version 0")
def leaf_in_the_message(lib):
    x, _ = result(lib)
    z = x * x
    with lib.no_grad():
        x.add_(1)
    z.sum().backward()


# --- order and nesting ------------------------------------------------------------------------------


@program()
def chain_of_writes(lib):
    x, w = leaf(lib, 1, 2, 3), leaf(lib, 0.5, 0.25, 2)
    y = x * 1
    for _ in range(20):
        y.mul_(w).add_(x).sin_()
    y.sum().backward()
    return y, x.grad, w.grad, y._version


@program()
def slices_written_in_a_loop(lib):
    x = leaf(lib, 1, 2, 3, 4)
    y = lib.zeros(4)
    y[0] = x[0]
    for k in range(1, 4):
        y[k] = y[k - 1].clone() * x[k]
    y.sum().backward()
    return y, x.grad, y._version


@program("modified by an inplace operation")
def slices_read_and_written_in_a_loop(lib):
    x = leaf(lib, 1, 2, 3, 4)
    y = lib.zeros(4)
    y[0] = x[0]
    for k in range(1, 4):
        y[k] = y[k - 1] * x[k]
    y.sum().backward()


@program()
def item_that_is_augmented_counts_twice(lib):
    x, y = result(lib)
    y[0] += 1
    first = y._version
    y[lib.tensor([0, 1])] *= 2
    second = y._version
    y[y > 3] -= 1
    y.sum().backward()
    return first, second, y._version, y, x.grad


@program()
def masks_and_index_arrays(lib):
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    w = leaf(lib, 10, 20)
    y = x * 1
    y[y > 5] = 0
    y[lib.tensor([0, 1]), lib.tensor([1, 2])] = w
    y[:, lib.tensor([0])] *= 3
    y[lib.tensor([True, False])] += 1
    y[..., 0] = w
    y[None, 1, 1:2] = 7
    (y * y).sum().backward()
    return y, x.grad, w.grad


@program()
def assignments_broadcast(lib):
    w, s = leaf(lib, 1, 2, 3), lib.tensor(2.0, requires_grad=True)
    y = lib.zeros(2, 2, 3)
    y[0] = w
    y[1, :, 0] = s
    y[:, 1, 1:] = w[1:] * s
    y[1, 0] = 4
    y.sum().backward()
    return y, w.grad, s.grad


@program()
def assignment_of_itself(lib):
    x, y = result(lib)
    y[:] = y
    y[1:] = y[1:]
    y.sum().backward()
    return y, x.grad


@program()
def zero_dimensional_targets(lib):
    x = lib.tensor(2.0, requires_grad=True)
    y = x * 3
    y += 1
    y[()] = y.clone() * x
    y.mul_(x)
    y.backward()
    return y, x.grad, y._version


@program()
def empty_targets(lib):
    x = lib.zeros(0, requires_grad=True)
    y = x * 2
    y += 1
    y[:] = 5
    y[y > 0] = 1
    y.sum().backward()
    return y, x.grad, y._version


@program()
def second_derivative_through_writes(lib):
    x = leaf(lib, 0.5, 1.5)
    y = x.clone()
    y.mul_(x).sin_()
    y[0] = x[1] ** 3
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), x)


@program()
def gradients_of_a_tensor_before_and_after_its_write(lib):
    x, y = result(lib)
    y.retain_grad()
    seen = []
    y.register_hook(seen.append)
    z = (y * 3).sum()
    y.mul_(2)
    w = (y * y).sum()
    (z + w).backward()
    return x.grad, y.grad, seen


@program("appears to not have been used in the graph")
def gradient_of_what_the_name_no_longer_means(lib):
    _, y = result(lib)
    z = y.sum()
    y.mul_(3)
    lib.autograd.grad(z, y)


@program()
def gradient_of_what_the_name_means_now(lib):
    x, y = result(lib)
    y.mul_(3)
    return lib.autograd.grad((y * y).sum(), [y, x])


@program()
def cleared_gradients(lib):
    x = leaf(lib, 1, 2)
    x.sin().sum().backward()
    kept = x.grad
    x.grad.zero_()
    (x * 3).sum().backward()
    x.grad.mul_(0.5)
    return kept is x.grad, x.grad, x.grad._version, x.grad.requires_grad


@program()
def writes_count(lib):
    counts = []
    for write in (
        lambda y: y.add_(1), lambda y: y.zero_(), lambda y: y.detach_(), lambda y: y.requires_grad_(),
        lambda y: y.detach().add_(1), lambda y: y.data.add_(1), lambda y: y.clone().add_(1), lambda y: y[0].add_(1),
        lambda y: y.copy_(y), lambda y: y.retain_grad(), lambda y: y.normal_(), lambda y: y.__setitem__(0, 1),
        lambda y: y.__setitem__(slice(None), 1), lambda y: y.__setitem__(y > 0, 1), lambda y: y.masked_fill_(y > 0, 1),
        lambda y: y.index_put_((lib.tensor([0]),), lib.ones(1)), lambda y: y.unsqueeze(0).mul_(2), lambda y: y.fill_(1),
    ):  # fmt: skip
        y = leaf(lib, 1, 2, 3) * 2
        write(y)
        counts.append(y._version)
    return counts


@program()
def values_with_leading_axes_of_length_one(lib):
    x, v = leaf(lib, 1, 2, 3), leaf(lib, 4, 5)
    y = x * 1
    y[:2] = v[None]
    y[lib.tensor([1, 2])] = 2 * v[None, None]
    y[0] = y[2].clone() * v[:1]
    (y**2).sum().backward()
    return y, x.grad, v.grad
