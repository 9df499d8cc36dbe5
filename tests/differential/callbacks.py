"""Hooks in the corners: replacing, removing, adding under way; views, leaves, nodes, saved values; modes, anomalies."""

from __future__ import annotations

from .table import leaf, name_of, program, scalar


def times(factor, seen=None):
    """A hook that multiplies the gradient."""

    def hook(g):
        if seen is not None:
            seen.append(g.clone())
        return g * factor

    return hook


# --- hooks of tensors -------------------------------------------------------------------------------


@program()
def replaced_along_a_chain(lib):
    x, seen = leaf(lib, 1, 2), []
    a = x * 2
    b = a * 3
    c = b * 5
    for t in (c, b, a, x):
        t.register_hook(times(10, seen))
    c.sum().backward()
    return seen, x.grad


@program()
def each_hook_sees_what_the_last_one_returned(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * 2
    y.register_hook(times(2, seen))
    y.register_hook(lambda g: seen.append(g.clone()))
    y.register_hook(times(3, seen))
    y.sum().backward()
    return seen, x.grad


@program()
def replaced_by_a_constant(lib):
    x = leaf(lib, 1, 2)
    y = x.exp()
    y.register_hook(lambda g: lib.tensor([5.0, 6.0]))
    y.sum().backward()
    return x.grad


@program()
def replaced_by_a_view(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    y.register_hook(lambda g: lib.tensor([[1.0, 2.0], [3.0, 4.0]])[1])
    y.sum().backward()
    x.grad.add_(1)
    return x.grad


@program()
def replaced_by_an_expanded_number(lib):
    x = leaf(lib, 1, 2)
    x.register_hook(lambda g: lib.tensor(3.0).expand(2))
    (x * 2).sum().backward()
    x.grad[0] = 7
    return x.grad


@program()
def gradient_written_in_the_hook(lib):
    x = leaf(lib, 1, 2)
    y = x * 2

    def hook(g):
        g.clone().mul_(100)

    y.register_hook(hook)
    y.sum().backward()
    return x.grad


@program()
def removed_within_another_hook(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * 2
    z = y * 3
    handle = y.register_hook(lambda g: seen.append("removed"))
    z.register_hook(lambda g: handle.remove())
    z.sum().backward()
    return seen, x.grad


@program()
def removed_by_an_earlier_hook_of_the_same_tensor(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * 2
    handles = []
    y.register_hook(lambda g: handles[0].remove())
    handles.append(y.register_hook(lambda g: seen.append("second")))
    y.register_hook(lambda g: seen.append("third"))
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return seen


@program()
def added_within_a_hook(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * 2
    z = y * 3
    z.register_hook(lambda g: y.register_hook(lambda g: seen.append("late")) and None)
    z.sum().backward(retain_graph=True)
    z.sum().backward()
    return seen, x.grad


@program()
def handle_removed_twice(lib):
    x, seen = leaf(lib, 1, 2), []
    handle = x.register_hook(seen.append)
    handle.remove()
    handle.remove()
    (x * 2).sum().backward()
    return seen, x.grad


@program("cannot register a hook on a tensor that doesn't require gradient")
def hook_on_a_constant(lib):
    lib.ones(2).register_hook(print)


@program("cannot register a hook on a tensor that doesn't require gradient")
def hook_on_a_detached_tensor(lib):
    (leaf(lib, 1) * 2).detach().register_hook(print)


@program()
def hook_on_a_leaf_with_several_uses(lib):
    x, seen = leaf(lib, 1, 2), []
    x.register_hook(times(2, seen))
    (x * 2 + x * 3).sum().backward()
    (x * 7).sum().backward()
    return seen, x.grad


@program()
def hook_on_a_leaf_under_grad(lib):
    x, seen = leaf(lib, 1, 2), []
    x.register_hook(times(2, seen))
    found = lib.autograd.grad((x * x).sum(), x)
    return found, seen, x.grad


@program()
def hook_on_a_leaf_that_is_not_asked_for(lib):
    x, w, seen = leaf(lib, 1, 2), leaf(lib, 3, 4), []
    x.register_hook(times(2, seen))
    found = lib.autograd.grad((x * w).sum(), w)
    (x * w).sum().backward(inputs=[w])
    return found, seen, x.grad, w.grad


@program()
def hook_on_a_tensor_that_retains(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    y.retain_grad()
    y.register_hook(times(10))
    (y * y).sum().backward()
    return y.grad, x.grad


@program()
def hook_on_an_input_of_backward(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    y.register_hook(times(10))
    (y * y).sum().backward(inputs=[y])
    return y.grad, x.grad


@program()
def hook_on_the_old_and_on_the_new_value(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * 2
    y.register_hook(lambda g: seen.append(("old", g.clone())))
    y.mul_(3)
    y.register_hook(lambda g: seen.append(("new", g.clone())))
    (y * y).sum().backward()
    return seen, x.grad


@program()
def hook_on_a_base_whose_view_is_written(lib):
    x, seen = leaf(lib, 1, 2, 3), []
    y = x * 2
    y.register_hook(lambda g: seen.append(("before", g.clone())))
    y[0] = 5
    y.register_hook(lambda g: seen.append(("after", g.clone())))
    (y * y).sum().backward()
    return seen, x.grad


@program()
def hooks_on_two_views_and_the_base(lib):
    x, seen = leaf(lib, 1, 2, 3), []
    y = x * 2
    a, b = y[:2], y[1:]
    for name, t in (("a", a), ("b", b), ("y", y)):
        t.register_hook(lambda g, name=name: seen.append((name, g.clone())))
    (a.sum() * b.sum()).backward()
    return sorted(seen, key=lambda pair: pair[0]), x.grad


@program()
def hook_that_returns_its_argument(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    y.register_hook(lambda g: g)
    (y * y).sum().backward()
    return x.grad


@program("hook")
def hook_that_returns_a_list(lib):
    y = leaf(lib, 1, 2) * 2
    y.register_hook(lambda g: [1.0, 2.0])
    y.sum().backward()


@program("hook")
def hook_that_changes_the_shape(lib):
    y = leaf(lib, 1, 2) * 2
    y.register_hook(lambda g: g.sum())
    y.sum().backward()


@program("mine")
def hook_of_a_leaf_that_raises(lib):
    x = leaf(lib, 1, 2)

    def hook(g):
        raise ValueError("mine")

    x.register_hook(hook)
    (x * 2).sum().backward()


@program()
def hook_that_replaces_is_differentiated(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    y = x * x
    y.register_hook(lambda g: g * w)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), [x, w])


@program()
def hook_in_the_reverse_of_the_reverse(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x**3
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    g.register_hook(lambda v: seen.append(v.clone()))
    (g * g).sum().backward()
    return seen, x.grad


@program()
def clipping_by_hooks(lib):
    x, w = leaf(lib, 1, 20), leaf(lib, 3, -40)
    for t in (x, w):
        t.register_hook(lambda g: g.clamp(-5, 5))
    (x * w).sum().backward()
    return x.grad, w.grad


@program()
def optimizer_within_hooks(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)

    def step(t):
        with lib.no_grad():
            t.sub_(t.grad * 0.1)
        t.grad = None

    handles = [t.register_post_accumulate_grad_hook(step) for t in (x, w)]
    for _ in range(2):
        (x * w).sin().sum().backward()
    handles[0].remove()
    (x * w).sin().sum().backward()
    return x, w, x.grad, w.grad


@program("post accumulate grad hooks cannot be registered on non-leaf tensors")
def post_accumulate_hook_on_a_view(lib):
    (leaf(lib, 1, 2) * 2)[0].register_post_accumulate_grad_hook(print)


@program()
def post_accumulate_hooks_in_order(lib):
    x, seen = leaf(lib, 1, 2), []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(("first", t.grad.clone())))
    x.register_post_accumulate_grad_hook(lambda t: seen.append(("second", t is x)))
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    return seen


# --- hooks of nodes -----------------------------------------------------------------------------------


@program()
def hooks_of_nodes_in_order(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * 2
    node = y.grad_fn
    y.register_hook(lambda g: seen.append(("tensor", g.clone())))
    node.register_prehook(lambda gs: seen.append(("before", gs[0].clone())))
    node.register_hook(lambda ins, outs: seen.append(("after", ins[0].clone(), outs[0].clone())))
    y.sum().backward()
    return seen


@program()
def hook_of_a_node_replaces_for_both_operands(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    y = x * w
    y.grad_fn.register_hook(lambda ins, outs: tuple(g * 10 for g in ins))
    y.sum().backward()
    return x.grad, w.grad


@program()
def hook_of_a_node_with_an_operand_without_gradient(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * lib.ones(2)
    y.grad_fn.register_hook(lambda ins, outs: seen.append([g is None for g in ins]))
    y.sum().backward()
    return seen


@program()
def prehook_of_a_node_of_a_view(lib):
    x = leaf(lib, 1, 2, 3)
    v = (x * 2)[1:]
    v.grad_fn.register_prehook(lambda gs: (gs[0] * 100,))
    (v * 1).sum().backward()
    return x.grad


@program()
def hook_of_the_accumulation(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    node.register_prehook(lambda gs: (gs[0] * 5,))
    node.register_hook(lambda ins, outs: seen.append((len(ins), outs[0].clone(), x.grad is not None)))
    y.sum().backward()
    return seen, x.grad


# --- saved values ----------------------------------------------------------------------------------------


@program()
def values_that_are_packed(lib):
    packed = []

    def pack(t):
        packed.append(t.detach().clone())
        return len(packed) - 1

    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    with lib.autograd.graph.saved_tensors_hooks(pack, lambda k: packed[k]):
        y = (x * w).exp().sum()
    y.backward()
    return sorted(t.tolist() for t in packed), x.grad, w.grad


@program()
def unpacked_values_are_what_counts(lib):
    x = leaf(lib, 1, 2)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.detach() * 0 + 10, lambda t: t):
        y = x * x
    y.sum().backward()
    return x.grad


@program()
def nested_hooks_of_saved_values(lib):
    seen, x = [], leaf(lib, 1, 2)

    def noting(name):
        return lib.autograd.graph.saved_tensors_hooks(
            lambda t: seen.append(name) or t, lambda t: seen.append(name + " back") or t
        )

    with noting("outer"):
        a = x.exp()
        with noting("inner"):
            b = a.sin()
        c = b.tanh()
    c.sum().backward()
    return seen, x.grad


@program()
def packed_in_a_function(lib):
    seen = []

    class Own(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    x = leaf(lib, 1, 2)
    with lib.autograd.graph.saved_tensors_hooks(
        lambda t: seen.append("pack") or t, lambda t: seen.append("unpack") or t
    ):
        y = Own.apply(x)
    y.sum().backward()
    return seen, x.grad


@program("mine")
def packing_raises(lib):
    def pack(t):
        raise ValueError("mine")

    with lib.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        leaf(lib, 1, 2).exp()


@program("mine")
def unpacking_raises(lib):
    def unpack(t):
        raise ValueError("mine")

    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
        y = leaf(lib, 1, 2).exp()
    y.sum().backward()


@program("no saving here")
def saving_is_forbidden(lib):
    with lib.autograd.graph.disable_saved_tensors_hooks("no saving here"):
        with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            leaf(lib, 1, 2).exp()


@program()
def saved_on_cpu(lib):
    x = leaf(lib, 1, 2)
    with lib.autograd.graph.save_on_cpu():
        y = x.exp() * x
    y.sum().backward()
    return x.grad


@program()
def packed_values_may_be_overwritten(lib):
    x = leaf(lib, 1, 2)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        y = x.exp()
        z = y * y
    y.add_(1)
    z.sum().backward()
    return x.grad


# --- modes and anomalies -----------------------------------------------------------------------------------


@program("returned nan values in its 1th output")
def nan_of_a_division(lib):
    x = leaf(lib, 0, 1)
    with lib.autograd.detect_anomaly():
        ((x / x) * 2).sum().backward()


@program("LogBackward0")
def nan_names_the_operation(lib):
    x = leaf(lib, 0, 1)
    with lib.autograd.detect_anomaly():
        (x.log() * 0).sum().backward()


@program("PowBackward0")
def nan_of_a_power(lib):
    x = leaf(lib, 0, 1)
    with lib.autograd.detect_anomaly():
        (x.pow(0.5) * 0).sum().backward()


@program()
def infinity_is_no_anomaly(lib):
    x = leaf(lib, 0, 1)
    with lib.autograd.detect_anomaly():
        x.log().sum().backward()
    return x.grad


@program("mine")
def error_in_a_hook_in_anomaly_mode(lib):
    def hook(g):
        raise ValueError("mine")

    with lib.autograd.detect_anomaly():
        y = leaf(lib, 1, 2) * 2
        y.register_hook(hook)
        y.sum().backward()


@program()
def nan_is_allowed(lib):
    x = leaf(lib, 0, 1)
    with lib.autograd.detect_anomaly(check_nan=False):
        (x.log() * 0).sum().backward()
    return x.grad


@program()
def hooks_and_modes(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * x
    y.register_hook(lambda g: seen.append((lib.is_grad_enabled(), g.requires_grad, g.is_leaf)))
    lib.autograd.backward([y], [lib.ones(2)], retain_graph=True)
    lib.autograd.backward([y], [lib.ones(2)], create_graph=True)
    return seen


@program()
def backward_under_no_grad(lib):
    x = leaf(lib, 1, 2)
    y = (x**3).sum()
    with lib.no_grad():
        y.backward()
    return x.grad, x.grad.requires_grad


@program()
def enable_grad_within_no_grad_within_inference(lib):
    x = scalar(lib, 2)
    with lib.inference_mode():
        with lib.enable_grad():
            a = x * 2
        with lib.inference_mode(False):
            b = x * 3
    b.backward()
    return a.requires_grad, a.is_inference(), b.requires_grad, x.grad, name_of(b.grad_fn)


@program()
def modes_on_methods_and_generators(lib):
    class Model:
        @lib.no_grad()
        def predict(self, x):
            return (x * 2).requires_grad

        @lib.enable_grad()
        def fit(self, x):
            return (x * 2).requires_grad

        @lib.no_grad()
        def stream(self, x):
            for _ in range(2):
                yield (x * 2).requires_grad

    x, model = leaf(lib, 1), Model()
    with lib.no_grad():
        inside = model.fit(x)
    return model.predict(x), inside, list(model.stream(x)), (x * 2).requires_grad


@program()
def grad_mode_survives_errors_in_generators(lib):
    @lib.no_grad()
    def broken():
        yield 1
        raise KeyError

    try:
        for _ in broken():
            pass
    except KeyError:
        return lib.is_grad_enabled()
