"""Hooks of tensors, leaves and nodes; hooks of saved values."""

from __future__ import annotations

import numpy as np

from .table import leaf, program, scalar


@program()
def sees_the_gradient(lib):
    a, seen = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(seen.append)
    (b * b).sum().backward()
    return seen, a.grad


@program()
def replaces_the_gradient(lib):
    a = leaf(lib, 1, 2)
    b = a * 3
    b.register_hook(lambda g: g * 10)
    (b * b).sum().backward()
    return a.grad


@program()
def replaces_a_leafs_gradient(lib):
    a = leaf(lib, 1, 2)
    a.register_hook(lambda g: g * 10)
    (a * a).sum().backward()
    return a.grad


@program()
def order_of_registration(lib):
    a, calls = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(lambda g: (calls.append("first"), g + 1)[1])
    b.register_hook(lambda g: (calls.append("second"), g * 2)[1])
    b.sum().backward()
    return calls, a.grad


@program()
def total_over_all_uses_fires_once(lib):
    a, seen = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(seen.append)
    (b.sum() + (b * b).sum() + b[0] * 7).backward()
    return seen, a.grad


@program()
def leafs_hook_sees_this_sweep_only(lib):
    a, seen = leaf(lib, 1, 2), []
    a.register_hook(seen.append)
    (a * 2).sum().backward()
    (a * 3).sum().backward()
    return seen, a.grad


@program()
def removed_handle(lib):
    a, seen = leaf(lib, 1, 2), []
    b = a * 3
    handle = b.register_hook(seen.append)
    handle.remove()
    handle.remove()
    b.sum().backward()
    return seen, a.grad


@program()
def handle_as_context(lib):
    a, seen = leaf(lib, 1, 2), []
    with a.register_hook(seen.append):
        a.sum().backward()
    a.sum().backward()
    return len(seen), a.grad


@program()
def removed_by_itself(lib):
    a, seen = leaf(lib, 1, 2), []
    handles = []

    def hook(g):
        seen.append(g)
        handles[0].remove()

    handles.append(a.register_hook(hook))
    a.sum().backward()
    a.sum().backward()
    return seen, a.grad


@program()
def hook_on_the_seeded_output(lib):
    a, seen = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(lambda g: (seen.append(g), g * 2)[1])
    b.backward(lib.tensor([1.0, 5.0]))
    return seen, a.grad


@program()
def hook_on_a_view(lib):
    a, seen = leaf(lib, 1, 2, 3), []
    b = a * 2
    v = b[1:]
    v.register_hook(lambda g: (seen.append(g), g * 100)[1])
    (v.sum() + b.sum()).backward()
    return seen, a.grad


@program()
def hook_on_a_view_and_on_its_base(lib):
    a, seen = leaf(lib, 1, 2, 3), []
    b = a * 2
    b.register_hook(lambda g: seen.append(("base", g)))
    v = b[1:]
    v.register_hook(lambda g: seen.append(("view", g)))
    (v * v).sum().backward()
    return seen, a.grad


@program()
def hooks_of_a_chain(lib):
    a, calls = leaf(lib, 1, 2), []
    h = a * 3
    h.register_hook(lambda g: (calls.append("h"), None)[1])
    y = h.exp()
    y.register_hook(lambda g: (calls.append("y"), None)[1])
    a.register_hook(lambda g: (calls.append("a"), None)[1])
    y.sum().backward()
    return calls, a.grad


@program()
def hook_runs_without_gradients(lib):
    a, modes = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(lambda g: modes.append((lib.is_grad_enabled(), g.requires_grad)))
    (b * b).sum().backward()
    return modes


@program()
def hook_runs_with_gradients_under_create_graph(lib):
    a, modes = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(lambda g: modes.append((lib.is_grad_enabled(), g.requires_grad)))
    lib.autograd.grad((b * b).sum(), a, create_graph=True)
    return modes


@program()
def hook_is_differentiated(lib):
    a = leaf(lib, 1, 2)
    b = a * 3
    b.register_hook(lambda g: g * g)
    (g,) = lib.autograd.grad((b * b).sum(), a, create_graph=True)
    return g, lib.autograd.grad(g.sum(), a)


@program()
def hook_in_each_of_two_sweeps(lib):
    a, seen = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(seen.append)
    y = (b * b).sum()
    y.backward(retain_graph=True)
    y.backward()
    return seen, a.grad


@program()
def hook_under_autograd_grad(lib):
    a, seen = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(lambda g: (seen.append(g), g * 10)[1])
    a.register_hook(lambda g: g + 100)
    y = (b * b).sum()
    return lib.autograd.grad(y, [a], retain_graph=True), lib.autograd.grad(y, [b]), seen


@program()
def hook_where_the_sweep_does_not_go(lib):
    a, c, seen = leaf(lib, 1, 2), leaf(lib, 3, 4), []
    b = a * 3
    b.register_hook(seen.append)
    return lib.autograd.grad((b * c).sum(), c), seen


@program()
def retained_gradient_is_taken_after_the_hooks(lib):
    a = leaf(lib, 1, 2)
    b = a * 3
    b.retain_grad()
    b.register_hook(lambda g: g * 10)
    (b * b).sum().backward()
    return b.grad, a.grad


@program()
def hook_stays_on_the_old_value(lib):
    a, seen = leaf(lib, 1, 2), []
    b = a * 3
    b.register_hook(seen.append)
    b.mul_(5)
    b.register_hook(seen.append)
    b.sum().backward()
    return seen, a.grad


@program()
def hook_clears_the_gradient(lib):
    a = leaf(lib, 1, 2)
    b = a * 3
    b.register_hook(lambda g: g * 0)
    ((b * b).sum() + a.sum()).backward()
    return a.grad


@program()
def hook_runs_a_sweep(lib):
    a, c = leaf(lib, 1, 2), leaf(lib, 5, 6)
    b = a * 3

    def hook(g):
        with lib.enable_grad():
            (c * c).sum().backward()

    b.register_hook(hook)
    (b * b).sum().backward()
    return a.grad, c.grad


@program()
def hook_raises(lib):
    a = leaf(lib, 1, 2)
    b = a * 3

    def hook(g):
        raise ValueError("the hook's own error")

    b.register_hook(hook)
    try:
        (b * b).sum().backward()
    except ValueError as error:
        return str(error), a.grad


@program("the hook's own error")
def hook_raises_through(lib):
    a = leaf(lib, 1, 2)

    def hook(g):
        raise ValueError("the hook's own error")

    a.register_hook(hook)
    (a * a).sum().backward()


@program("cannot register a hook on a tensor that doesn't require gradient")
def hook_without_gradient(lib):
    lib.tensor([1.0]).register_hook(print)


@program("has changed the size of value")
def hook_of_another_shape(lib):
    b = leaf(lib, 1, 2) * 3
    b.register_hook(lambda g: g[:1])
    b.sum().backward()


@program("expected Variable, but hook returned 'int'")
def hook_returns_a_number(lib):
    b = leaf(lib, 1, 2) * 3
    b.register_hook(lambda g: 3)
    b.sum().backward()


@program("has changed the type of value")
def hook_of_another_dtype(lib):
    b = leaf(lib, 1, 2) * 3
    wrong = np.ones(2, np.float32)
    b.register_hook(lambda g: lib.from_numpy(wrong))
    b.sum().backward()


@program()
def post_accumulate(lib):
    a, seen = leaf(lib, 1, 2), []
    a.register_post_accumulate_grad_hook(lambda p: seen.append((p is a, p.grad.clone())))
    (a * 2).sum().backward()
    (a * 3).sum().backward()
    return seen, a.grad


@program()
def post_accumulate_clears(lib):
    a, steps = leaf(lib, 1, 2), []

    def step(p):
        steps.append(p.grad)
        p.grad = None

    a.register_post_accumulate_grad_hook(step)
    (a * 2).sum().backward()
    (a * 3).sum().backward()
    return steps, a.grad


@program()
def post_accumulate_is_not_called_by_grad(lib):
    a, seen = leaf(lib, 1, 2), []
    a.register_post_accumulate_grad_hook(seen.append)
    lib.autograd.grad((a * 2).sum(), a)
    return len(seen), a.grad


@program()
def post_accumulate_comes_after_the_hooks(lib):
    a, calls = leaf(lib, 1, 2), []
    a.register_post_accumulate_grad_hook(lambda p: calls.append("post"))
    a.register_hook(lambda g: calls.append("hook"))
    (a * 2).sum().backward()
    return calls


@program("post accumulate grad hooks cannot be registered on non-leaf tensors")
def post_accumulate_on_a_result(lib):
    (leaf(lib, 1) * 2).register_post_accumulate_grad_hook(print)


@program("cannot register a hook on a tensor that doesn't require gradient")
def post_accumulate_without_gradient(lib):
    lib.tensor([1.0]).register_post_accumulate_grad_hook(print)


@program("expected Variable, but hook returned 'int'")
def post_accumulate_returns_something(lib):
    a = leaf(lib, 1, 2)
    a.register_post_accumulate_grad_hook(lambda p: 3)
    (a * 2).sum().backward()


# --- nodes ----------------------------------------------------------------------------------------


@program()
def node_hook(lib):
    x, calls = scalar(lib, 2), []
    w = scalar(lib, 5)
    y = x * w
    y.grad_fn.register_hook(lambda ins, outs: calls.append(("after", ins, outs)))
    y.grad_fn.register_prehook(lambda outs: calls.append(("before", outs)))
    y.register_hook(lambda g: calls.append("tensor"))
    y.backward()
    return calls, x.grad, w.grad


@program()
def node_hook_replaces(lib):
    x, w = scalar(lib, 2), scalar(lib, 5)
    y = x * w
    y.grad_fn.register_hook(lambda ins, outs: (ins[0] * 10, ins[1] * 100))
    y.backward()
    return x.grad, w.grad


@program()
def node_prehook_replaces(lib):
    x, w = scalar(lib, 2), scalar(lib, 5)
    y = x * w
    y.grad_fn.register_prehook(lambda outs: (outs[0] * 10,))
    y.backward()
    return x.grad, w.grad


@program()
def node_hook_removed(lib):
    x, calls = scalar(lib, 2), []
    y = x * x
    y.grad_fn.register_hook(lambda ins, outs: calls.append(ins)).remove()
    y.backward()
    return calls, x.grad


@program()
def node_hook_of_a_square(lib):
    x, calls = scalar(lib, 2), []
    y = x * x
    y.grad_fn.register_hook(lambda ins, outs: calls.append((ins, outs)))
    y.backward()
    return calls, x.grad


@program()
def accumulate_grad_node_hooks(lib):
    x, calls = scalar(lib, 2), []
    y = x * 3
    node = y.grad_fn.next_functions[0][0]
    node.register_prehook(lambda outs: calls.append(("before", outs)))
    node.register_hook(lambda ins, outs: calls.append(("after", ins, outs, x.grad.clone())))
    y.backward()
    return calls, x.grad


@program("has returned an incorrect number of values")
def node_hook_of_another_length(lib):
    x = scalar(lib, 2)
    y = x * x
    y.grad_fn.register_hook(lambda ins, outs: (ins[0],))
    y.backward()


@program("expected tuple, but hook returned 'int'")
def node_hook_returns_a_number(lib):
    x = scalar(lib, 2)
    y = x * x
    y.grad_fn.register_hook(lambda ins, outs: 3)
    y.backward()


# --- saved values ---------------------------------------------------------------------------------


@program()
def packed_and_unpacked(lib):
    x, calls = leaf(lib, 2), []

    def pack(t):
        calls.append("pack")
        return t.numpy().copy() * 1.0

    def unpack(a):
        calls.append("unpack")
        return lib.tensor(a)

    with lib.autograd.graph.saved_tensors_hooks(lambda t: pack(t.detach()), unpack):
        y = x.exp()
    y.backward()
    return calls, x.grad


@program()
def unpacked_value_is_used(lib):
    x = leaf(lib, 2, 3)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t * 0 + 10):
        y = x.exp()
    y.sum().backward()
    return x.grad


@program()
def inner_hooks_win(lib):
    x = leaf(lib, 2, 3)
    hooks = lib.autograd.graph.saved_tensors_hooks
    with hooks(lambda t: t, lambda t: t * 0 + 10):
        with hooks(lambda t: t, lambda t: t * 0 + 20):
            y = x.exp()
        z = x.exp()
    return lib.autograd.grad(y.sum(), x), lib.autograd.grad(z.sum(), x)


@program()
def pack_outside_does_nothing(lib):
    x, calls = leaf(lib, 2, 3), []
    with lib.autograd.graph.saved_tensors_hooks(lambda t: (calls.append(1), t)[1], lambda t: t):
        y = x + 1
    z = y * y
    z.sum().backward()
    return calls, x.grad


@program()
def packed_values_survive_writes(lib):
    x = leaf(lib, 2, 3)
    b = x * 2
    with lib.autograd.graph.save_on_cpu():
        y = (b * b).sum()
    y.backward()
    return x.grad


@program()
def unpacked_again_with_retain_graph(lib):
    x, calls = leaf(lib, 2, 3), []
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: (calls.append(1), t)[1]):
        y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    return len(calls), x.grad


@program()
def packed_second_derivative(lib):
    x = leaf(lib, 2, 3)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
        y = (x * x * x).sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), x)


@program("expected to be a Tensor but got result of type")
def unpack_returns_a_number(lib):
    x = leaf(lib, 2)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x.exp()
    y.backward()


@program("A saved tensor pack hook is modifying its input in place")
def pack_writes(lib):
    x = leaf(lib, 2)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.add_(1), lambda t: t):
        x.exp()


@program("no hooks here")
def hooks_disabled(lib):
    with lib.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
        with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass


@program("no hooks here")
def disabled_inside_hooks(lib):
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        with lib.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
            pass
