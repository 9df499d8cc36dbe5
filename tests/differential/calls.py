"""`autograd.Function` in the corners: dirty views, several results, None, saved values, hooks, inner sweeps, modes."""

from __future__ import annotations

from .table import leaf, name_of, program, scalar


def function(lib, forward, backward, **members):
    """A `Function` of plain Python functions."""
    body = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    body |= {name: staticmethod(member) for name, member in members.items()}
    return type("Own", (lib.autograd.Function,), body)


def scaled(lib, factor=2, seen=None):
    """Twice the argument."""

    def backward(ctx, g):
        if seen is not None:
            seen.append(g)
        return g * factor

    return function(lib, lambda ctx, x: x * factor, backward)


@program()
def in_place_forward_marked_dirty(lib):
    def forward(ctx, x):
        x.mul_(3)
        ctx.mark_dirty(x)
        return x

    x = leaf(lib, 1, 2)
    y = x * 1
    z = function(lib, forward, lambda ctx, g: g * 3).apply(y)
    (z * z).sum().backward()
    return z is y, y, x.grad, y._version, name_of(y.grad_fn)


@program()
def dirty_view_and_its_base(lib):
    def forward(ctx, x):
        x.mul_(3)
        ctx.mark_dirty(x)
        return x

    x = leaf(lib, 1, 2, 3)
    y = x * 1
    function(lib, forward, lambda ctx, g: g * 3).apply(y[0:2])
    (y * y).sum().backward()
    return y, x.grad, name_of(y.grad_fn)


@program("a leaf Variable that requires grad")
def dirty_leaf(lib):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(3)

    function(lib, forward, lambda ctx, g: g).apply(leaf(lib, 1, 2))


@program()
def two_results_one_of_them_not_differentiable(lib):
    def forward(ctx, x):
        values, order = x.sort(dim=0)
        ctx.mark_non_differentiable(order)
        ctx.save_for_backward(order)
        return values, order

    def backward(ctx, g, unused):
        (order,) = ctx.saved_tensors
        return lib.zeros_like(g).index_copy(0, order, g)

    x = leaf(lib, 3, 1, 2)
    values, order = function(lib, forward, backward).apply(x)
    (values * lib.tensor([1.0, 2.0, 3.0])).sum().backward()
    return values, order, x.grad


@program()
def non_differentiable_float_result(lib):
    def forward(ctx, x):
        a, b = x * 2, x * 3
        ctx.mark_non_differentiable(b)
        return a, b

    def backward(ctx, g, h):
        return g * 2

    x = leaf(lib, 1, 2)
    a, b = function(lib, forward, backward).apply(x)
    (a * b).sum().backward()
    return b.requires_grad, b.is_leaf, x.grad


@program()
def gradients_that_are_none_are_zeros(lib):
    seen = []

    def backward(ctx, g, h):
        seen.extend([g, h])
        return g + h

    x = leaf(lib, 1, 2)
    a, _ = function(lib, lambda ctx, x: (x * 2, x.sum()), backward).apply(x)
    a.sum().backward()
    return seen, x.grad


@program()
def gradients_that_are_none_stay_none(lib):
    seen = []

    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    def backward(ctx, g, h):
        seen.append((g is None, h is None))
        return g if h is None else h

    x = leaf(lib, 1, 2)
    a, b = function(lib, forward, backward).apply(x)
    a.sum().backward(retain_graph=True)
    b.sum().backward()
    return seen, x.grad


@program()
def none_for_an_argument_that_needs_a_gradient(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    own = function(lib, lambda ctx, x, w: x * w, lambda ctx, g: (g, None))
    own.apply(x, w).sum().backward()
    return x.grad, w.grad


@program("appears to not have been used in the graph")
def none_asked_for_by_grad(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    own = function(lib, lambda ctx, x, w: x * w, lambda ctx, g: (g, None))
    lib.autograd.grad(own.apply(x, w).sum(), w)


@program()
def gradient_for_an_argument_that_needs_none(lib):
    x, c = leaf(lib, 1, 2), lib.ones(2)
    own = function(lib, lambda ctx, x, c: x * c, lambda ctx, g: (g, g))
    own.apply(x, c).sum().backward()
    return x.grad, c.grad


@program("returned an incorrect number of gradients")
def too_few_gradients(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    function(lib, lambda ctx, x, w: x * w, lambda ctx, g: g).apply(x, w).sum().backward()


@program("returned an incorrect number of gradients")
def too_many_gradients(lib):
    x = leaf(lib, 1, 2)
    function(lib, lambda ctx, x: x * 2, lambda ctx, g: (g, g)).apply(x).sum().backward()


@program("returned an invalid gradient at index 0")
def gradient_of_another_shape(lib):
    x = leaf(lib, 1, 2)
    function(lib, lambda ctx, x: x * 2, lambda ctx, g: lib.ones(3)).apply(x).sum().backward()


@program()
def gradient_that_broadcasts(lib):
    x = scalar(lib, 2)
    function(lib, lambda ctx, x: x * lib.ones(3), lambda ctx, g: g).apply(x).sum().backward()
    return x.grad


@program()
def gradient_of_another_dtype_is_converted(lib):
    x = leaf(lib, 1, 2)
    function(lib, lambda ctx, x: x * 2, lambda ctx, g: g.float()).apply(x).sum().backward()
    return x.grad


@program("expected Variable or None")
def gradient_that_is_a_list(lib):
    x = leaf(lib, 1, 2)
    function(lib, lambda ctx, x: x * 2, lambda ctx, g: ([1.0, 2.0],)).apply(x).sum().backward()


@program()
def numbers_strings_and_none_as_arguments(lib):
    def forward(ctx, x, n, word, nothing, flags):
        ctx.n = n
        return x * n if word == "times" and nothing is None and flags["on"] else x

    x = leaf(lib, 1, 2)
    own = function(lib, forward, lambda ctx, g: (g * ctx.n, None, None, None, None))
    own.apply(x, 5, "times", None, {"on": True}).sum().backward()
    return x.grad


@program()
def several_tensors_in_and_out(lib):
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w, x + w, (x - w).sum()

    def backward(ctx, a, b, c):
        x, w = ctx.saved_tensors
        return a * w + b + c, a * x + b - c

    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    a, b, c = function(lib, forward, backward).apply(x, w)
    (a.sum() * c + (b * b).sum()).backward()
    return a, b, c, x.grad, w.grad


@program()
def saved_tensors_keep_their_history(lib):
    seen = []

    def forward(ctx, x):
        y = x * x
        ctx.save_for_backward(x, y)
        return y

    def backward(ctx, g):
        x, y = ctx.saved_tensors
        seen.append((x.requires_grad, y.requires_grad, len(ctx.saved_tensors)))
        return 2 * x * g

    x = leaf(lib, 1, 2)
    y = function(lib, forward, backward).apply(x * 1)
    y.sum().backward()
    return seen, x.grad


@program()
def saved_none(lib):
    def forward(ctx, x, w):
        ctx.save_for_backward(x, None, w)
        return x * 2

    def backward(ctx, g):
        _, nothing, _ = ctx.saved_tensors
        return g * 2, None if nothing is None else g

    x = leaf(lib, 1, 2)
    function(lib, forward, backward).apply(x, lib.ones(2)).sum().backward()
    return x.grad


@program("modified by an inplace operation")
def saved_argument_is_written(lib):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    x = leaf(lib, 1, 2)
    y = x * 1
    z = function(lib, forward, lambda ctx, g: g * ctx.saved_tensors[0].exp()).apply(y)
    y.add_(1)
    z.sum().backward()


@program()
def attribute_of_the_context_is_not_checked(lib):
    def forward(ctx, x):
        ctx.x = x
        return x.exp()

    x = leaf(lib, 1, 2)
    y = x * 1
    z = function(lib, forward, lambda ctx, g: g * ctx.x).apply(y)
    y.add_(1)
    z.sum().backward()
    return x.grad


@program("Trying to backward through the graph a second time")
def saved_values_are_freed(lib):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    y = function(lib, forward, lambda ctx, g: 2 * g * ctx.saved_tensors[0]).apply(leaf(lib, 1, 2)).sum()
    y.backward()
    y.backward()


@program()
def needs_input_grad_tells(lib):
    seen = []

    def backward(ctx, g):
        seen.append(ctx.needs_input_grad)
        return tuple(g if needed else None for needed in ctx.needs_input_grad)

    x, c = leaf(lib, 1, 2), lib.ones(2)
    own = function(lib, lambda ctx, a, b, n: a * b, backward)
    own.apply(x, c, 3).sum().backward()
    own.apply(c, x, 3).sum().backward()
    return seen, x.grad


@program()
def double_backward_through_saved_results(lib):
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    x = leaf(lib, 0.5, 1)
    y = function(lib, forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(x)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = lib.autograd.grad(g.sum(), x, create_graph=True)
    return g, h, lib.autograd.grad(h.sum(), x)


@program()
def double_backward_by_another_function(lib):
    def saving(name):
        return lambda ctx, x: (ctx.save_for_backward(x), getattr(x, name)())[1]

    cosine = function(lib, saving("cos"), lambda ctx, g: -g * ctx.saved_tensors[0].sin())
    sine = function(lib, saving("sin"), lambda ctx, g: g * cosine.apply(ctx.saved_tensors[0]))
    x = leaf(lib, 0.5, 1)
    (g,) = lib.autograd.grad(sine.apply(x).sum(), x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), x)


@program("once_differentiable")
def differentiable_once(lib):
    def backward(ctx, g):
        return g * 2

    once = lib.autograd.function.once_differentiable(backward)
    x = leaf(lib, 1, 2)
    v = leaf(lib, 1, 1)
    y = function(lib, lambda ctx, x: x * 2, once).apply(x)
    (g,) = lib.autograd.grad(y, x, v, create_graph=True)
    g.sum().backward()


@program()
def gradients_are_off_in_forward_and_backward(lib):
    seen = []

    def forward(ctx, x):
        y = x * 2
        seen.append((lib.is_grad_enabled(), y.requires_grad, x.requires_grad))
        return y

    def backward(ctx, g):
        seen.append((lib.is_grad_enabled(), g.requires_grad))
        return g * 2

    x = leaf(lib, 1, 2)
    y = function(lib, forward, backward).apply(x)
    y.sum().backward(retain_graph=True)
    y.sum().backward(create_graph=True)
    return seen, x.grad


@program()
def gradients_switched_on_in_forward(lib):
    def forward(ctx, x):
        with lib.enable_grad():
            inner = x.detach().requires_grad_()
            outer = (inner**3).sum()
        ctx.inner, ctx.outer = inner, outer
        return outer.detach()

    def backward(ctx, g):
        (found,) = lib.autograd.grad(ctx.outer, ctx.inner)
        return g * found

    x = leaf(lib, 1, 2)
    function(lib, forward, backward).apply(x * 2).backward()
    return x.grad


@program()
def checkpoint(lib):
    def forward(ctx, run, x):
        ctx.run = run
        ctx.save_for_backward(x)
        return run(x)

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        with lib.enable_grad():
            x = x.detach().requires_grad_()
            y = ctx.run(x)
        y.backward(g)
        return None, x.grad

    own = function(lib, forward, backward)
    x, w = leaf(lib, 0.5, 1), leaf(lib, 2, 3)
    y = own.apply(lambda h: (h * w).tanh(), own.apply(lambda h: (h + w).sin(), x))
    y.sum().backward()
    return x.grad, w.grad


@program()
def result_that_does_not_depend_on_the_argument(lib):
    x = leaf(lib, 1, 2)
    y = function(lib, lambda ctx, x: lib.ones(2), lambda ctx, g: g * 7).apply(x)
    y.sum().backward()
    return y.requires_grad, x.grad


@program()
def argument_returned_unchanged(lib):
    x = leaf(lib, 1, 2)
    y = function(lib, lambda ctx, x: x, lambda ctx, g: g * 5).apply(x)
    (y * y).sum().backward()
    return y is x, y.is_leaf, x.grad


@program()
def view_of_an_argument_returned(lib):
    x = leaf(lib, 1, 2, 3)
    y = function(lib, lambda ctx, x: x[1:], lambda ctx, g: g.sum() * lib.ones(3)).apply(x)
    (y * y).sum().backward()
    return y, x.grad


@program()
def one_argument_twice(lib):
    x = leaf(lib, 1, 2)
    function(lib, lambda ctx, a, b: a * b, lambda ctx, g: (g, g * 10)).apply(x, x).sum().backward()
    return x.grad


@program()
def unused_function_is_not_called_back(lib):
    seen = []
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    y = scaled(lib, seen=seen).apply(w)
    (x * 2).sum().backward()
    (x * y.detach()).sum().backward()
    return seen, w.grad


@program()
def function_under_no_grad_and_in_inference_mode(lib):
    x, own = leaf(lib, 1, 2), scaled(lib)
    with lib.no_grad():
        a = own.apply(x)
    with lib.inference_mode():
        b = own.apply(x)
    return a.requires_grad, a.grad_fn, b.requires_grad, b.is_inference()


@program()
def chain_of_calls(lib):
    seen, x = [], leaf(lib, 1, 2)
    own = scaled(lib, seen=seen)
    y = own.apply(own.apply(own.apply(x)) + x)
    y.sum().backward()
    return seen, x.grad


@program()
def node_of_a_call(lib):
    x = leaf(lib, 1, 2)
    y = scaled(lib).apply(x * 1)
    node = y.grad_fn
    node.metadata["k"] = 1
    return node.name(), [name_of(n) for n, _ in node.next_functions], y.grad_fn is node, node.metadata


@program()
def hooks_around_a_call(lib):
    seen, x = [], leaf(lib, 1, 2)
    y = scaled(lib, seen=seen).apply(x)
    y.register_hook(lambda g: g * 10)
    y.grad_fn.register_prehook(lambda gs: (gs[0] + 1,))
    y.grad_fn.register_hook(lambda ins, outs: seen.extend([*ins, *outs]))
    y.sum().backward()
    return seen, x.grad


@program()
def context_of_a_call_is_the_node(lib):
    seen = []

    def forward(ctx, x):
        seen.append(ctx)
        return x * 2

    def backward(ctx, g):
        seen.append(ctx)
        return g

    y = function(lib, forward, backward).apply(leaf(lib, 1, 2))
    y.sum().backward()
    return seen[0] is seen[1], seen[0] is y.grad_fn


@program()
def setup_context_sees_arguments_and_results(lib):
    seen = []

    def setup_context(ctx, inputs, output):
        seen.append((len(inputs), inputs[1], output))
        ctx.save_for_backward(inputs[0], output)

    def backward(ctx, g):
        x, _ = ctx.saved_tensors
        return g * 2 * x, None

    x = leaf(lib, 1, 2)
    own = function(lib, lambda x, n: x * x, backward, setup_context=setup_context)
    y = own.apply(x, 7)
    y.sum().backward()
    return [(n, m) for n, m, _ in seen], x.grad


@program()
def complex_function(lib):
    x = lib.tensor([1 + 1j, 2 - 1j], requires_grad=True)
    own = function(lib, lambda ctx, z: z.conj() * 2, lambda ctx, g: g.conj() * 2)
    own.apply(x).abs().sum().backward()
    return x.grad


@program()
def forward_writes_to_a_fresh_tensor(lib):
    def forward(ctx, x):
        y = lib.zeros(3)
        y[:2] = x
        y.mul_(2)
        return y

    x = leaf(lib, 1, 2)
    y = function(lib, forward, lambda ctx, g: g[:2] * 2).apply(x)
    y[0] = 5
    y.sum().backward()
    return y, x.grad


@program()
def error_in_backward_comes_through(lib):
    def backward(ctx, g):
        raise ValueError("mine")

    x = leaf(lib, 1, 2)
    y = function(lib, lambda ctx, x: x * 2, backward).apply(x).sum()
    try:
        y.backward()
    except ValueError as error:
        return str(error), x.grad


@program()
def error_in_forward_leaves_nothing_behind(lib):
    def forward(ctx, x):
        raise KeyError("mine")

    x = leaf(lib, 1, 2)
    y = x * 2
    try:
        function(lib, forward, lambda ctx, g: g).apply(y)
    except KeyError:
        y.sum().backward()
    return x.grad, lib.is_grad_enabled()


@program()
def sweep_inside_a_forward(lib):
    def forward(ctx, x):
        with lib.enable_grad():
            z = x.detach().requires_grad_()
            (z**3).sum().backward()
        ctx.save_for_backward(z.grad)
        return (x**3).sum()

    x = leaf(lib, 1, 2)
    y = function(lib, forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(x)
    y.backward()
    return x.grad
