"""`autograd.Function`."""

from __future__ import annotations

from .table import leaf, name_of, program, scalar


def make(lib, forward, backward, **more):
    """A Function called Own."""
    body = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Own", (lib.autograd.Function,), {**body, **{k: staticmethod(v) for k, v in more.items()}})


def square(lib):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g

    return make(lib, forward, backward)


def exponential(lib):
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return y * g

    return make(lib, forward, backward)


def double(lib, factor=5):
    """Twice the operand, with a gradient that can be told from the right one."""
    return make(lib, lambda ctx, x: x * 2, lambda ctx, g: g * factor)


@program()
def first_derivative(lib):
    x = leaf(lib, 1, 2)
    y = square(lib).apply(x)
    y.sum().backward()
    return y, x.grad


@program()
def between_other_operations(lib):
    x = leaf(lib, 1, 2)
    y = (square(lib).apply(x * 3) + x).exp()
    y.sum().backward()
    return y, x.grad


@program()
def used_twice(lib):
    x = leaf(lib, 1, 2)
    f = square(lib)
    (f.apply(x) * f.apply(f.apply(x))).sum().backward()
    return x.grad


@program()
def result_used_twice(lib):
    x = leaf(lib, 1, 2)
    y = square(lib).apply(x)
    (y * y + y).sum().backward()
    return x.grad


@program()
def in_a_loop(lib):
    x = leaf(lib, 1.1, 0.9)
    f, y = square(lib), x
    for _ in range(5):
        y = f.apply(y * 0.7 + x)
    y.sum().backward()
    return x.grad


@program()
def second_derivative(lib):
    x = leaf(lib, 1, 2)
    (g,) = lib.autograd.grad((square(lib).apply(x) * x).sum(), x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), x)


@program()
def second_derivative_through_a_saved_result(lib):
    x = leaf(lib, 1, 2)
    (g,) = lib.autograd.grad(exponential(lib).apply(x).sum(), x, create_graph=True)
    (h,) = lib.autograd.grad(g.sum(), x, create_graph=True)
    return g, h, lib.autograd.grad(h.sum(), x)


@program()
def setup_context_style(lib):
    seen = []

    def setup_context(ctx, inputs, output):
        seen.append((len(inputs), output.clone()))
        ctx.save_for_backward(*inputs)

    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b, g * a

    f = make(lib, lambda a, b: a * b, backward, setup_context=setup_context)
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    f.apply(x, w).sum().backward()
    return seen, x.grad, w.grad


@program()
def arguments_that_are_no_tensors(lib):
    def forward(ctx, x, power, label=None, *rest):
        ctx.power = power
        return x**power

    def backward(ctx, g):
        return g * ctx.power, None, None, None

    x = leaf(lib, 1, 2)
    y = make(lib, forward, backward).apply(x, 3, "label", [1, 2])
    y.sum().backward()
    return y, x.grad


@program()
def needs_input_grad(lib):
    seen = []

    def forward(ctx, *args):
        seen.append(ctx.needs_input_grad)
        return args[0] * args[1]

    def backward(ctx, g):
        seen.append(ctx.needs_input_grad)
        return g, None, None

    f = make(lib, forward, backward)
    x = leaf(lib, 1, 2)
    f.apply(x, lib.tensor([3.0, 4.0]), 7).sum().backward()
    f.apply(lib.tensor([1.0]), x, 7).sum()
    with lib.no_grad():
        f.apply(x, x, 7)
    return seen, x.grad


@program()
def forward_runs_without_gradients(lib):
    seen = []

    def forward(ctx, x):
        seen.append((x.requires_grad, lib.is_grad_enabled(), (x * 2).requires_grad))
        return x * 2

    make(lib, forward, lambda ctx, g: g).apply(leaf(lib, 1))
    return seen


@program()
def backward_runs_without_gradients(lib):
    seen = []

    def backward(ctx, g):
        seen.append((lib.is_grad_enabled(), g.requires_grad))
        return g * 2

    x = leaf(lib, 1)
    f = make(lib, lambda ctx, x: x * 1, backward)
    f.apply(x).backward()
    lib.autograd.grad(f.apply(x), x, create_graph=True)
    return seen


@program()
def nothing_requires_grad(lib):
    y = double(lib).apply(lib.tensor([1.0]))
    return y, name_of(y.grad_fn)


@program()
def under_no_grad(lib):
    with lib.no_grad():
        return double(lib).apply(leaf(lib, 1))


@program()
def several_results(lib):
    seen = []

    def backward(ctx, g, h, n):
        seen.append((g, h, n))
        return g + 2 * h

    x = leaf(lib, 1, 2)
    y, z, n = make(lib, lambda ctx, x: (x * 1, x * 2, 7), backward).apply(x)
    (y * y + z).sum().backward()
    return n, seen, x.grad


@program()
def results_that_are_not_used_have_zeros(lib):
    seen = []

    def backward(ctx, g, h):
        seen.append((g, h))
        return g

    x = leaf(lib, 1, 2)
    y, _ = make(lib, lambda ctx, x: (x * 1, x * 2), backward).apply(x)
    y.sum().backward()
    return seen, x.grad


@program()
def or_none(lib):
    seen = []

    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 1, x * 2

    def backward(ctx, g, h):
        seen.append((g, h))
        return h

    x = leaf(lib, 1, 2)
    _, z = make(lib, forward, backward).apply(x)
    z.sum().backward()
    return seen, x.grad


@program()
def non_differentiable(lib):
    seen = []

    def forward(ctx, x):
        index = x * 2
        ctx.mark_non_differentiable(index)
        return x * 3, index

    def backward(ctx, g, h):
        seen.append(h)
        return g * 3

    x = leaf(lib, 1, 2)
    y, index = make(lib, forward, backward).apply(x)
    (y * index).sum().backward()
    return index, seen, x.grad


@program()
def none_gradient(lib):
    x, w = leaf(lib, 1), leaf(lib, 2)
    make(lib, lambda ctx, a, b: a * b, lambda ctx, g: (None, g)).apply(x, w).backward()
    return x.grad, w.grad


@program()
def none_gradient_ends_the_path(lib):
    x = leaf(lib, 1)
    y = make(lib, lambda ctx, a: a * 1, lambda ctx, g: None).apply(x * 2)
    y.backward()
    return x.grad, lib.autograd.grad(double(lib).apply(x), x)


@program()
def trailing_nones_are_ignored(lib):
    x = leaf(lib, 1)
    make(lib, lambda ctx, a: a * 1, lambda ctx, g: (g, None, None)).apply(x).backward()
    return x.grad


@program()
def gradient_is_summed_to_shape(lib):
    x = leaf(lib, 1, 2)
    make(lib, lambda ctx, a: a * 1, lambda ctx, g: g + lib.zeros(4, 2)).apply(x).sum().backward()
    return x.grad


@program()
def argument_returned_as_it_is(lib):
    x = leaf(lib, 1, 2)
    y = make(lib, lambda ctx, a: a, lambda ctx, g: g * 5).apply(x)
    y.sum().backward()
    return y is x, x.grad


@program("is a view and is being modified inplace")
def argument_returned_as_it_is_may_not_be_written(lib):
    b = leaf(lib, 1, 2) * 1
    make(lib, lambda ctx, a: a, lambda ctx, g: g * 5).apply(b).add_(1)


@program("is a view and is being modified inplace")
def view_returned_may_not_be_written(lib):
    b = leaf(lib, 1, 2) * 1
    make(lib, lambda ctx, a: a[:1], lambda ctx, g: g * 5).apply(b).add_(1)


@program()
def result_may_be_written(lib):
    x = leaf(lib, 1, 2)
    y = double(lib).apply(x)
    y.mul_(3)
    y.sum().backward()
    return y, x.grad


@program()
def dirty(lib):
    def forward(ctx, a):
        a.mul_(2)
        ctx.mark_dirty(a)
        return a

    x = leaf(lib, 1, 2)
    b = x * 1
    y = make(lib, forward, lambda ctx, g: g * 5).apply(b)
    y.sum().backward()
    return y is b, b, name_of(b.grad_fn), x.grad


@program()
def dirty_view(lib):
    def forward(ctx, a):
        a.mul_(2)
        ctx.mark_dirty(a)
        return a

    x = leaf(lib, 1, 2)
    b = x * 1
    v = b[:1]
    y = make(lib, forward, lambda ctx, g: g * 5).apply(v)
    b.sum().backward()
    return y is v, b, x.grad


@program("a leaf Variable that requires grad has been used in an in-place operation")
def dirty_leaf(lib):
    def forward(ctx, a):
        a.mul_(2)
        ctx.mark_dirty(a)
        return a

    make(lib, forward, lambda ctx, g: g).apply(leaf(lib, 1))


@program("Some elements marked as dirty during the forward method were not returned as output")
def dirty_not_returned(lib):
    def forward(ctx, a):
        a.mul_(2)
        ctx.mark_dirty(a)
        return a * 1

    make(lib, forward, lambda ctx, g: g).apply(leaf(lib, 1) * 1)


@program("returned an incorrect number of gradients (expected 2, got 1)")
def too_few_gradients(lib):
    x = leaf(lib, 1)
    make(lib, lambda ctx, a, b: a * b, lambda ctx, g: g).apply(x, x * 1).backward()


@program("returned an incorrect number of gradients (expected 1, got 2)")
def too_many_gradients(lib):
    make(lib, lambda ctx, a: a * 1, lambda ctx, g: (g, g)).apply(leaf(lib, 1)).backward()


@program("returned a gradient different than None at position 2")
def gradient_for_a_number(lib):
    make(lib, lambda ctx, a, b: a * b, lambda ctx, g: (g, g)).apply(leaf(lib, 1), 3.0).backward()


@program("returned an invalid gradient at index 0 - got [3] but expected shape compatible with [2]")
def gradient_of_another_shape(lib):
    make(lib, lambda ctx, a: a * 1, lambda ctx, g: lib.zeros(3)).apply(leaf(lib, 1, 2)).sum().backward()


@program("expected Variable or None (got float)")
def gradient_that_is_no_tensor(lib):
    make(lib, lambda ctx, a: a * 1, lambda ctx, g: 3.0).apply(leaf(lib, 1)).backward()


@program("save_for_backward can only save variables, but argument 0 is of type int")
def saved_number(lib):
    make(lib, lambda ctx, a: ctx.save_for_backward(3), lambda ctx, g: g).apply(leaf(lib, 1))


@program("You must implement the forward function for custom autograd.Function")
def no_forward(lib):
    type("Own", (lib.autograd.Function,), {}).apply(leaf(lib, 1))


@program("You must implement either the backward or vjp method for your custom autograd.Function")
def no_backward(lib):
    body = {"forward": staticmethod(lambda ctx, a: a * 1)}
    type("Own", (lib.autograd.Function,), body).apply(leaf(lib, 1)).backward()


@program()
def vjp_instead_of_backward(lib):
    body = {"forward": staticmethod(lambda ctx, a: a * 1), "vjp": staticmethod(lambda ctx, g: g * 5)}
    x = leaf(lib, 1)
    type("Own", (lib.autograd.Function,), body).apply(x).backward()
    return x.grad


@program("Trying to backward through the graph a second time")
def second_sweep(lib):
    y = square(lib).apply(leaf(lib, 1))
    y.backward()
    y.backward()


@program("Trying to backward through the graph a second time")
def saved_tensors_after_the_sweep(lib):
    y = square(lib).apply(leaf(lib, 1))
    y.backward()
    return y.grad_fn.saved_tensors


@program()
def second_sweep_where_nothing_was_saved(lib):
    x = leaf(lib, 1)
    y = double(lib).apply(x)
    y.backward()
    y.backward()
    return x.grad


@program()
def retained_graph(lib):
    x = leaf(lib, 1)
    y = square(lib).apply(x)
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@program("modified by an inplace operation")
def saved_argument_was_written(lib):
    b = leaf(lib, 1, 2) * 1
    y = square(lib).apply(b)
    b.add_(1)
    y.sum().backward()


@program("modified by an inplace operation")
def saved_result_was_written(lib):
    y = exponential(lib).apply(leaf(lib, 1, 2))
    y.add_(1)
    y.sum().backward()


@program()
def once_differentiable_once(lib):
    f = make(lib, lambda ctx, a: a * a, lib.autograd.function.once_differentiable(lambda ctx, g: g * 2))
    x = leaf(lib, 1)
    f.apply(x).backward()
    return x.grad


@program("trying to differentiate twice a function that was marked with @once_differentiable")
def once_differentiable_twice(lib):
    f = make(lib, lambda ctx, a: a * a, lib.autograd.function.once_differentiable(lambda ctx, g: g * 2))
    x = leaf(lib, 1)
    (g,) = lib.autograd.grad((f.apply(x) ** 2).sum(), x, create_graph=True)
    g.sum().backward()


@program()
def the_node(lib):
    y = exponential(lib).apply(leaf(lib, 1) * 2)
    node = y.grad_fn
    node.metadata["key"] = 1
    return (
        node.name(),
        type(node).__name__,
        [(name_of(n), k) for n, k in node.next_functions],
        node.metadata,
        node.needs_input_grad,
        node.saved_tensors[0],
        node.saved_tensors[0].grad_fn is node,
    )


@program()
def hook_on_the_result(lib):
    x, seen = leaf(lib, 1, 2), []
    y = square(lib).apply(x)
    y.register_hook(lambda g: (seen.append(g), g * 10)[1])
    (y * 3).sum().backward()
    return seen, x.grad


@program()
def hooks_on_the_node(lib):
    x, seen = leaf(lib, 1, 2), []
    y = square(lib).apply(x)
    y.grad_fn.register_prehook(lambda outs: seen.append(outs))
    y.grad_fn.register_hook(lambda ins, outs: (seen.append((ins, outs)), (ins[0] * 10,))[1])
    (y * 3).sum().backward()
    return seen, x.grad


@program()
def retained_gradient_of_the_result(lib):
    x = leaf(lib, 1, 2)
    y = square(lib).apply(x)
    y.retain_grad()
    (y * 3).sum().backward()
    return y.grad, x.grad


@program()
def gradient_with_respect_to_the_result(lib):
    x, calls = leaf(lib, 1, 2), []
    y = make(lib, lambda ctx, a: a * 2, lambda ctx, g: (calls.append(1), g)[1]).apply(x)
    return lib.autograd.grad((y * y).sum(), y), calls


@program()
def inputs_of_backward(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    y = (square(lib).apply(x) * w).sum()
    y.backward(inputs=[w])
    return x.grad, w.grad


@program()
def integer_result(lib):
    y = make(lib, lambda ctx, a: (a * 1, a > 1), lambda ctx, g, h: g).apply(leaf(lib, 1, 2))
    return y[1]


@program()
def saved_tensors_hooks(lib):
    x, calls = leaf(lib, 1, 2), []
    with lib.autograd.graph.saved_tensors_hooks(lambda t: (calls.append("pack"), t)[1], lambda t: t * 10):
        y = square(lib).apply(x)
    y.sum().backward()
    return calls, x.grad


@program()
def sweep_inside_a_backward(lib):
    """Checkpointing: the backward runs the forward again, and a sweep through it."""

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x * x).exp()

    def backward(ctx, g):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with lib.enable_grad():
            y = (x * x).exp()
        lib.autograd.backward(y, g)
        return x.grad

    f = make(lib, forward, backward)
    x = leaf(lib, 0.5, 0.25)
    y = f.apply(f.apply(x) * 0.1)
    y.sum().backward()
    return y, x.grad


@program()
def views_and_scalars_as_arguments(lib):
    x, s = leaf(lib, 1, 2, 3), scalar(lib, 2)
    f = make(
        lib,
        lambda ctx, a, b: (ctx.save_for_backward(a, b), a * b)[1],
        lambda ctx, g: (g * ctx.saved_tensors[1], (g * ctx.saved_tensors[0]).sum()),
    )
    y = f.apply(x[1:], s)
    (y * y).sum().backward()
    return y, x.grad, s.grad


@program()
def one_argument_twice(lib):
    x = leaf(lib, 1, 2)
    f = make(lib, lambda ctx, a, b: a + b, lambda ctx, g: (g * 2, g * 3))
    f.apply(x, x).sum().backward()
    return x.grad


@program()
def arguments_by_name(lib):
    class Scaled(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor=5.0):
            ctx.factor, ctx.count = factor, len(ctx.needs_input_grad)
            return x * factor

        @staticmethod
        def backward(ctx, grad_output):
            return (grad_output * ctx.factor, None)[: ctx.count]

    x = leaf(lib, 1, 2)
    results = [Scaled.apply(x), Scaled.apply(x, 2.0), Scaled.apply(x, factor=3.0), Scaled.apply(x=x)]
    return results, [lib.autograd.grad(y.sum(), x)[0] for y in results]


@program()
def arguments_with_a_default_count(lib):
    class Scaled(lib.autograd.Function):
        @staticmethod
        def forward(x, factor=5.0):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor, ctx.count = inputs[1], len(ctx.needs_input_grad)

        @staticmethod
        def backward(ctx, grad_output):
            return (grad_output * ctx.factor, None)[: ctx.count]

    x = leaf(lib, 1, 2)
    results = [Scaled.apply(x), Scaled.apply(x, 2.0), Scaled.apply(x, factor=3.0), Scaled.apply(factor=4.0, x=x)]
    return results, [lib.autograd.grad(y.sum(), x)[0] for y in results]
