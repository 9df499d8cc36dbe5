"""Graphs swept more than once, in parts, in other orders, to inputs in the middle; nodes and what they hold."""

from __future__ import annotations

import gc
import weakref

from .table import leaf, name_of, program, scalar


def trunk(lib):
    """A leaf, a value computed from it that two losses share, and the losses."""
    x = leaf(lib, 0.5, 1.5)
    h = x.sin()
    return x, h, (h * h).sum(), (h * 3).sum()


# --- freed and partly freed -----------------------------------------------------------------------


@program()
def what_can_be_swept_twice(lib):
    c, found = lib.tensor([2.0, 3.0]), []
    programs = {
        "add": lambda x: x + c, "add number": lambda x: x + 1, "sub": lambda x: x - c, "neg": lambda x: -x,
        "mul": lambda x: x * c, "mul number": lambda x: x * 2, "div number": lambda x: x / 2, "sum": lambda x: x.sum(),
        "mean": lambda x: x.mean(), "clone": lambda x: x.clone(), "view": lambda x: x.view(2, 1),
        "slice": lambda x: x[1:], "select": lambda x: x[0], "expand": lambda x: x.expand(3, 2),
        "index": lambda x: x[lib.tensor([0, 0])], "exp": lambda x: x.exp(), "pow": lambda x: x**2,
        "cumsum": lambda x: x.cumsum(0), "transpose": lambda x: x.view(2, 1).T, "abs": lambda x: x.abs(),
        "relu": lambda x: x.relu(), "max": lambda x: x.max(), "amax": lambda x: x.amax(0),
        "masked": lambda x: x.masked_fill(c > 2, 0), "where": lambda x: x.where(c > 2, c), "dot": lambda x: x @ c,
        "flip": lambda x: x.flip(0), "roll": lambda x: x.roll(1, 0), "sort": lambda x: x.sort(dim=0)[0],
        "float": lambda x: x.float(), "floor": lambda x: x.floor(), "norm": lambda x: x.norm(),
        "prod": lambda x: x.prod(), "diag": lambda x: x.diag(), "repeat": lambda x: x.tile(2),
        "unsqueeze": lambda x: x.unsqueeze(0), "softmax": lambda x: x.softmax(0), "clamp": lambda x: x.clamp(0, 1),
        "std": lambda x: x.std(dim=0), "gather": lambda x: x.gather(0, lib.tensor([0, 1])),
        "split": lambda x: x.split(1)[1], "real": lambda x: x.real,
        "index add": lambda x: x.index_add(0, lib.tensor([0]), c[:1]),
    }  # fmt: skip
    for name, f in programs.items():
        x = leaf(lib, 0.5, 1.5)
        y = f(x)
        seed = lib.ones_like(y)
        y.backward(seed)
        try:
            y.backward(seed)
        except RuntimeError as error:
            found.append((name, "second time" in str(error)))
        else:
            found.append((name, x.grad))
    return found


@program("Trying to backward through the graph a second time")
def second_loss_over_a_freed_trunk(lib):
    _, _, a, b = trunk(lib)
    a.backward()
    b.backward()


@program()
def first_loss_retains_the_trunk(lib):
    x, _, a, b = trunk(lib)
    a.backward(retain_graph=True)
    b.backward()
    return x.grad


@program()
def both_losses_at_once(lib):
    x, _, a, b = trunk(lib)
    lib.autograd.backward([a, b])
    return x.grad


@program()
def trunk_swept_first_to_its_top(lib):
    x, h, a, b = trunk(lib)
    (g,) = lib.autograd.grad(a, h)
    (k,) = lib.autograd.grad(b, h)
    h.backward(g + k)
    return x.grad


@program("Trying to backward through the graph a second time")
def trunk_swept_first_and_the_loss_again(lib):
    _, h, a, _ = trunk(lib)
    lib.autograd.grad(a, h)
    a.backward()


@program()
def part_that_was_not_visited_is_left(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    h, k = x.exp(), w.exp()
    (h * k).sum().backward(inputs=[x], retain_graph=True)
    k.sum().backward()
    return x.grad, w.grad


@program()
def other_branch_survives_a_sweep_to_one_input(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    h, k = x.exp(), w.exp()
    y = h + k
    first = lib.autograd.grad(y.sum(), x)
    second = lib.autograd.grad(k.sum(), w)
    return first, second


@program("Trying to backward through the graph a second time")
def same_branch_does_not_survive(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    h, k = x.exp(), w.exp()
    y = (h + k).sum()
    lib.autograd.grad(y, x)
    lib.autograd.grad(y, x)


@program()
def freed_graph_is_built_anew(lib):
    x = leaf(lib, 1, 2)
    for _ in range(3):
        x.exp().sum().backward()
    return x.grad


@program("Trying to backward through the graph a second time")
def new_graph_on_a_freed_value(lib):
    x, h, a, _ = trunk(lib)
    a.backward()
    (h + x).sum().backward()


@program()
def error_leaves_gradients_of_others_alone(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    h = x.exp()
    h.sum().backward()
    y = (w * 2).sum()
    try:
        h.sum().backward()
    except RuntimeError:
        pass
    y.backward()
    return x.grad, w.grad


@program()
def deep_chain(lib):
    x = scalar(lib, 1.0)
    y = x
    for _ in range(5000):
        y = y * 1.0001
    y.backward()
    return x.grad


@program()
def wide_sum(lib):
    x = scalar(lib, 2.0)
    total = lib.tensor(0.0)
    for k in range(500):
        total = total + x * k
    total.backward()
    return x.grad


@program()
def values_that_were_not_saved_are_let_go(lib):
    x = leaf(lib, 1, 2)
    h = x + 1
    seen = weakref.ref(h)
    y = h.sum()
    del h
    gc.collect()
    y.backward()
    return seen() is None, x.grad


# --- order of derivatives --------------------------------------------------------------------------


def derivatives(lib, first, second):
    """Second derivatives by two ways of sweeping."""
    x, w = leaf(lib, 0.5, 1.5), leaf(lib, 2, 3)
    y = (x**3 * w.exp()).sum()
    if first == "grad":
        g = sum(t.sum() for t in lib.autograd.grad(y, [x, w], create_graph=True))
    else:
        y.backward(create_graph=True)
        g = x.grad.sum() + w.grad.sum()
        x.grad = w.grad = None
    if second == "grad":
        return lib.autograd.grad(g, [x, w])
    g.backward()
    return x.grad, w.grad


@program()
def second_derivatives_in_all_ways(lib):
    return [derivatives(lib, a, b) for a in ("grad", "backward") for b in ("grad", "backward")]


@program()
def fourth_derivative(lib):
    x = scalar(lib, 0.7)
    y = (x.exp() * x.sin()).tanh()
    for _ in range(4):
        (y,) = lib.autograd.grad(y, x, create_graph=True)
    return y


@program()
def mixed_derivatives_commute(lib):
    x, w = scalar(lib, 0.7), scalar(lib, 1.3)
    y = (x * w).sin() * w.exp()
    (a,) = lib.autograd.grad(lib.autograd.grad(y, x, create_graph=True)[0], w)
    y = (x * w).sin() * w.exp()
    (b,) = lib.autograd.grad(lib.autograd.grad(y, w, create_graph=True)[0], x)
    return a, b


@program()
def gradient_penalty(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 0.5, -0.5)
    y = (w * x).tanh().sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    (y + ((g.norm() - 1) ** 2)).backward()
    return x.grad, w.grad


@program()
def inner_step_of_a_learner(lib):
    w, rate = leaf(lib, 1, 2), scalar(lib, 0.1)
    (g,) = lib.autograd.grad((w**3).sum(), w, create_graph=True)
    v = w - rate * g
    ((v - 1) ** 2).sum().backward()
    return w.grad, rate.grad


@program("appears to not have been used in the graph")
def second_derivative_of_a_linear_function(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (g,) = lib.autograd.grad((x * w).sum(), x, create_graph=True)
    lib.autograd.grad(g.sum(), x)


@program("does not require grad and does not have a grad_fn")
def second_derivative_without_create_graph(lib):
    x = leaf(lib, 1, 2)
    (g,) = lib.autograd.grad((x**3).sum(), x, retain_graph=True)
    g.sum().backward()


@program()
def hessian_vector_product_by_two_sweeps(lib):
    x, v = leaf(lib, 1, 2, 3), lib.tensor([1.0, 0.0, -1.0])
    (g,) = lib.autograd.grad((x.prod() * x.sum()).exp().log(), x, create_graph=True)
    return lib.autograd.grad(g, x, v)


@program()
def derivative_through_a_double_backward_trick(lib):
    x, v, u = leaf(lib, 1, 2), lib.tensor([1.0, -1.0]), leaf(lib, 0, 0)
    y = x.exp() * x
    (g,) = lib.autograd.grad(y, x, u, create_graph=True)
    return lib.autograd.grad(g, u, v)


@program()
def graph_of_the_gradient_is_freed_by_itself(lib):
    x = leaf(lib, 1, 2)
    y = (x**3).sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    first = lib.autograd.grad(g.sum(), x)
    second = lib.autograd.grad(y, x)
    return first, second


@program("Trying to backward through the graph a second time")
def graph_of_the_gradient_is_swept_twice(lib):
    x = leaf(lib, 1, 2)
    (g,) = lib.autograd.grad((x**3).sum(), x, create_graph=True)
    g.sum().backward()
    g.sum().backward()


# --- inputs in the middle ---------------------------------------------------------------------------


@program()
def inputs_that_lead_to_each_other(lib):
    x = leaf(lib, 1, 2)
    h = x * 3
    k = h.exp()
    return lib.autograd.grad((k * h * x).sum(), [k, h, x])


@program()
def backward_to_a_result_and_a_leaf(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    h = x * w
    (h * h).sum().backward(inputs=[h, w])
    return h.grad, w.grad, x.grad, h.retains_grad


@program()
def backward_twice_to_a_result(lib):
    x = leaf(lib, 1, 2)
    h = x * 3
    y = (h * h).sum()
    y.backward(inputs=[h], retain_graph=True)
    y.backward(inputs=[h])
    return h.grad, x.grad


@program("Trying to backward through the graph a second time")
def backward_to_a_result_frees_what_computed_it(lib):
    h = leaf(lib, 1, 2).exp()
    (h * h).sum().backward(inputs=[h])
    h.sum().backward()


@program()
def grad_of_a_result_does_not(lib):
    x = leaf(lib, 1, 2)
    h = x.exp()
    lib.autograd.grad((h * h).sum(), h)
    h.sum().backward()
    return x.grad


@program("modified by an inplace operation")
def backward_to_a_result_checks_what_computed_it(lib):
    x = leaf(lib, 1, 2)
    h = x.sin()
    y = (h * h).sum()
    x.detach().add_(1)
    y.backward(inputs=[h])


@program("modified by an inplace operation")
def recorded_backward_to_a_result_checks_what_computed_it(lib):
    x = leaf(lib, 1, 2)
    h = x.sin()
    y = (h * h).sum()
    x.detach().add_(1)
    y.backward(inputs=[h], create_graph=True)


@program()
def grad_of_a_result_checks_nothing_beyond(lib):
    x = leaf(lib, 1, 2)
    h = x.sin()
    y = (h * h).sum()
    x.detach().add_(1)
    return lib.autograd.grad(y, h)


@program()
def backward_to_a_result_runs_the_hooks_of_its_node(lib):
    x, seen = leaf(lib, 1, 2), []
    h = x.exp()
    h.grad_fn.register_hook(lambda ins, outs: seen.append(outs[0].clone()))
    (h * h).sum().backward(inputs=[h])
    return seen, h.grad, x.grad


@program()
def backward_to_the_result_of_a_function_runs_it(lib):
    seen = []

    class Own(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            seen.append(g)
            return g * 2

    x = leaf(lib, 1, 2)
    h = Own.apply(x)
    (h * h).sum().backward(inputs=[h])
    return seen, h.grad, x.grad


@program()
def backward_to_the_output_itself(lib):
    x = leaf(lib, 1, 2)
    y = (x * x).sum()
    y.backward(inputs=[y])
    return y.grad, x.grad


@program()
def gradient_of_a_tensor_with_respect_to_itself(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    v = lib.tensor([3.0, 4.0])
    return lib.autograd.grad(y, y, v), lib.autograd.grad([y, y], [y], [v, v])


@program("can't retain_grad on Tensor that has requires_grad=False")
def backward_to_a_constant(lib):
    x, c = leaf(lib, 1, 2), lib.ones(2)
    (x * c).sum().backward(inputs=[c])


@program()
def inputs_by_a_generator_or_a_tuple(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    return lib.autograd.grad((x * w).sum(), (x, w)), lib.autograd.grad((x * w).sum(), [w])


@program()
def materialised_zeros(lib):
    x, w, s = leaf(lib, 1, 2), leaf(lib, 3, 4), scalar(lib, 5)
    found = lib.autograd.grad((x * x).sum(), [x, w, s], materialize_grads=True)
    return found


@program()
def unused_inputs_in_the_middle(lib):
    x = leaf(lib, 1, 2)
    h, k = x * 2, x * 3
    return lib.autograd.grad((h * h).sum(), [h, k], allow_unused=True)


@program()
def input_used_only_through_a_detached_value(lib):
    x = leaf(lib, 1, 2)
    y = (x.detach() * 2).requires_grad_()
    (y * y).sum().backward()
    return x.grad, y.grad


@program("got 2 tensors and 1 gradients")
def outputs_and_gradients_of_different_number(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.grad([x * 2, x * 3], x, [lib.ones(2)])


@program()
def gradients_that_are_none_for_scalars(lib):
    x = leaf(lib, 1, 2)
    return lib.autograd.grad([x.sum(), x * 2], x, [None, lib.ones(2)])


@program("grad can be implicitly created only for scalar outputs")
def gradient_that_is_none_for_a_vector(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.grad([x.sum(), x * 2], x, [None, None])


@program()
def gradient_of_another_dtype(lib):
    x, y = leaf(lib, 1, 2), lib.tensor([1.0, 2.0]).float().requires_grad_()
    (x * x).backward(lib.tensor([1.0, 2.0]).float())
    (y * y).backward(lib.tensor([1.0, 2.0]))
    (g,) = lib.autograd.grad(x * x, x, lib.tensor([1, 2]).float(), create_graph=True)
    return x.grad, y.grad, g


@program("does not require grad and does not have a grad_fn")
def output_without_history_among_others(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.backward([x.sum(), lib.ones(1)])


@program()
def gradient_that_requires_grad(lib):
    x, v = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (x * x).backward(v)
    return x.grad, v.grad


@program()
def expanded_gradient(lib):
    x = leaf(lib, 1, 2)
    (x * x).backward(lib.tensor(2.0).expand(2))
    x.grad[0] = 9
    return x.grad


# --- accumulation -------------------------------------------------------------------------------------


@program()
def accumulation_over_sweeps_of_many_kinds(lib):
    x = leaf(lib, 1, 2)
    (x * 2).sum().backward()
    first = x.grad
    x.exp().sum().backward()
    (x * x).backward(lib.tensor([1.0, 0.0]))
    x[0].backward()
    return x.grad, x.grad is first


@program()
def accumulation_into_a_view(lib):
    x, flat = leaf(lib, 1, 2), lib.zeros(4)
    x.grad = flat[1:3]
    (x * 3).sum().backward()
    return flat, x.grad


@program()
def accumulation_into_a_tensor_of_another_layout(lib):
    x = lib.ones(2, 3, requires_grad=True)
    x.grad = lib.zeros(3, 2).T
    (x * 2).sum().backward()
    return x.grad


@program()
def gradient_kept_elsewhere_grows_too(lib):
    x = leaf(lib, 1, 2)
    (x * 2).sum().backward()
    kept = x.grad
    (x * 2).sum().backward()
    return kept


@program()
def gradients_detached_from_their_graph(lib):
    x = leaf(lib, 1, 2)
    (x * x).sum().backward(create_graph=True)
    kept = x.grad
    (x * x).sum().backward()
    return kept, x.grad, x.grad.requires_grad, kept is x.grad


# --- nodes --------------------------------------------------------------------------------------------


@program()
def names_of_more_nodes(lib):
    x = lib.tensor([[0.5, 1.5], [2.5, 0.25]], requires_grad=True)
    c = lib.ones(2, 2)
    results = [
        x.pow(2), x.mul(c), x.sigmoid(), x.relu(), x.clamp(0, 1), x.amax(0), x.prod(), x.cumsum(0), x.cumprod(0),
        x.softmax(0), x.log_softmax(0), x.norm(), x.var(dim=0), x.std(dim=0), x.expand(1, 2, 2), x.reciprocal(),
        x.square(), x.log1p(), x.expm1(), x.atan2(c), x.maximum(c), x.fmod(0.3), x.floor(), x.erf(), x.mm(c),
        x.mv(c[0]),
        x[x > 1], x[lib.tensor([0])], x.where(c > 0, c), x.float(), x.T @ x, x.det(), x.inverse(), x.mean(), x.hypot(c),
    ]  # fmt: skip
    return [name_of(y.grad_fn).rstrip("0123456789") for y in results]


@program()
def graph_goes_through_views_and_writes(lib):
    x, w = leaf(lib, 1, 2, 3), leaf(lib, 4)
    y = x * 2
    y[0:1] = w
    v = y[1:]
    return name_of(y.grad_fn), name_of(v.grad_fn), [name_of(n) for n, _ in v.grad_fn.next_functions]


@program()
def edges_of_writes_in_place(lib):
    w, c = leaf(lib, 1, 2, 3), lib.tensor([2.0, 3.0, 4.0])
    mask = c > 2.5
    writes = [
        lambda y: y.mul_(w), lambda y: y.mul_(2.0), lambda y: y.mul_(c), lambda y: y.add_(w), lambda y: y.sub_(w),
        lambda y: y.div_(w), lambda y: y.exp_(), lambda y: y.sin_(), lambda y: y.sqrt_(), lambda y: y.neg_(),
        lambda y: y.copy_(w), lambda y: y.copy_(c), lambda y: y.tanh_(),
        lambda y: y.__setitem__(mask, 2.0), lambda y: y.__setitem__(mask, w[0]),
        lambda y: y.__setitem__(lib.tensor([0, 2]), w[:2]),
    ]  # fmt: skip
    found = []
    for write in writes:
        y = w.exp()
        write(y)
        found.append((name_of(y.grad_fn), [(name_of(n), k) for n, k in y.grad_fn.next_functions]))
    return found


@program()
def edges_go_to_differentiable_operands_only(lib):
    w, index = leaf(lib, 1, 2, 3), lib.tensor([0, 2])
    mask = w.detach() > 1.5
    results = [w.where(mask, w * 2), w[index], w[mask], w * 2, w + 1]
    return [[(name_of(n), k) for n, k in y.grad_fn.next_functions] for y in results]


@program()
def leaf_nodes_hold_their_leaf(lib):
    x = leaf(lib, 1, 2)
    a, b = (x * 2).grad_fn.next_functions[0][0], (x + 1).grad_fn.next_functions[0][0]
    return a.variable is x, a == b, a.name().removeprefix("torch::autograd::"), len(a.next_functions)


@program()
def node_outlives_its_tensor(lib):
    x = leaf(lib, 1, 2)
    y = x.exp()
    node = y.grad_fn
    del y
    gc.collect()
    return node.name(), node._saved_result


@program()
def metadata_stays_with_the_node(lib):
    x = leaf(lib, 1, 2)
    y = x.exp()
    y.grad_fn.metadata["k"] = 3
    z = y * 2
    return z.grad_fn.next_functions[0][0].metadata["k"], x.sin().grad_fn.metadata
