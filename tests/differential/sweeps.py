"""`backward` and `grad`: arguments, errors, freed graphs, what ``.grad`` shares memory with."""

from __future__ import annotations

from .table import leaf, name_of, program, scalar


@program()
def gradient_argument(lib):
    x = leaf(lib, 1, 2)
    (x * x).backward(lib.tensor([1.0, 10.0]))
    return x.grad


@program()
def gradient_by_keyword(lib):
    x = leaf(lib, 1, 2)
    (x * x).backward(gradient=lib.tensor([1.0, 10.0]))
    return x.grad


@program()
def one_element_needs_no_gradient(lib):
    x = leaf(lib, 3)
    (x * x).backward()
    y = (leaf(lib, 2) * 3).reshape(1, 1)
    y.backward()
    return x.grad


@program("grad can be implicitly created only for scalar outputs")
def gradient_is_missing(lib):
    (leaf(lib, 1, 2) * 2).backward()


@program("Mismatch in shape: grad_output[0] has a shape of")
def gradient_of_another_shape(lib):
    (leaf(lib, 1, 2) * 2).backward(lib.ones(3))


@program("does not require grad and does not have a grad_fn")
def nothing_to_differentiate(lib):
    lib.ones(1).backward()


@program()
def several_outputs(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.backward([(x * x).sum(), x * 3], [None, lib.tensor([1.0, 2.0])])
    return x.grad


@program()
def output_that_leads_to_another(lib):
    x, seed = leaf(lib, 1, 2), lib.ones(2)
    y = x * 2
    lib.autograd.backward([y, (y * y).sum()], [seed, None])
    return x.grad, seed


@program()
def leaf_as_output(lib):
    x = leaf(lib, 1, 2)
    x.backward(lib.tensor([3.0, 4.0]))
    return x.grad, lib.autograd.grad(x, x, lib.ones(2))


@program("got 2 tensors and 1 gradients")
def too_few_gradients(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.backward([x.sum(), x.sum()], [None])


@program()
def accumulates(lib):
    x = leaf(lib, 1, 2)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    return x.grad is first, x.grad


@program()
def accumulates_into_a_gradient_set_by_hand(lib):
    x = leaf(lib, 1, 2)
    x.grad = mine = lib.tensor([10.0, 20.0])
    (x * 2).sum().backward()
    return x.grad is mine, mine


@program()
def create_graph_makes_a_new_gradient(lib):
    x = leaf(lib, 1, 2)
    (x * x).sum().backward(create_graph=True)
    first = x.grad
    (x * x).sum().backward(create_graph=True)
    return x.grad is first, first.requires_grad, x.grad


@program()
def gradients_of_two_leaves_share_nothing(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (x + w).sum().backward()
    x.grad.add_(1)
    return x.grad, w.grad


@program()
def gradient_shares_nothing_with_the_seed(lib):
    x, seed = leaf(lib, 1, 2), lib.ones(2)
    (x + 0).backward(seed)
    x.grad.mul_(5)
    return seed, x.grad


@program()
def retained_gradient_shares_nothing(lib):
    x = leaf(lib, 1, 2)
    y = x + 0
    y.retain_grad()
    y.sum().backward()
    y.grad.mul_(5)
    return x.grad, y.grad


@program()
def expanded_gradient_is_materialised(lib):
    x = leaf(lib, 1, 2)
    x.sum().backward()
    x.grad[0] = 7
    return x.grad


@program("modified by an inplace operation")
def gradient_that_is_needed_is_accumulated_into(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (x * 2).sum().backward()
    y = (w * x.grad).sum()
    (x * 3).sum().backward()
    y.backward()


@program()
def gradient_set_to_none(lib):
    x = leaf(lib, 1, 2)
    (x * 2).sum().backward()
    x.grad = None
    (x * 3).sum().backward()
    return x.grad


@program()
def second_order_by_backward(lib):
    x = leaf(lib, 1, 2)
    (x * x * x).sum().backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.sum().backward()
    return g, x.grad


@program("Trying to backward through the graph a second time")
def freed(lib):
    y = (leaf(lib, 1, 2) ** 3).sum()
    y.backward()
    y.backward()


@program()
def nothing_saved_nothing_freed(lib):
    x = leaf(lib, 1, 2)
    y = (-(x + 1)).reshape(2, 1).sum()
    y.backward()
    y.backward()
    return x.grad


@program()
def retained(lib):
    x = leaf(lib, 1, 2)
    y = (x**3).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@program("Trying to backward through the graph a second time")
def freed_trunk(lib):
    x = leaf(lib, 1, 2)
    trunk = x.exp()
    (trunk * 2).sum().backward()
    (trunk * 3).sum().backward()


@program()
def trunk_without_saved_values(lib):
    x = leaf(lib, 1, 2)
    trunk = x + 1
    (trunk * 2).sum().backward()
    (trunk * 3).sum().backward()
    return x.grad


@program()
def only_what_was_visited_is_freed(lib):
    x = leaf(lib, 1, 2)
    h = x.exp()
    y = (h * h).sum()
    (g,) = lib.autograd.grad(y, h)
    h.backward(g)
    return x.grad


@program()
def create_graph_keeps_the_graph(lib):
    x = leaf(lib, 1, 2)
    y = (x**3).sum()
    a = lib.autograd.grad(y, x, create_graph=True)
    b = lib.autograd.grad(y, x)
    return a, b


# --- inputs ---------------------------------------------------------------------------------------


@program()
def inputs_of_backward(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (x * w).sum().backward(inputs=[w])
    return x.grad, w.grad


@program()
def one_input_of_backward(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (x * w).sum().backward(inputs=w)
    return x.grad, w.grad


@program()
def input_that_is_no_leaf(lib):
    x = leaf(lib, 1, 2)
    b = x * 3
    (b * b).sum().backward(inputs=[b])
    return b.grad, x.grad


@program()
def input_that_is_not_reached(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (x * 2).sum().backward(inputs=[w])
    return x.grad, w.grad


@program("cannot be empty")
def no_inputs(lib):
    (leaf(lib, 1, 2) * 2).sum().backward(inputs=[])


@program()
def inputs_with_create_graph(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (x * w * w).sum().backward(inputs=[w], create_graph=True)
    return x.grad, w.grad


# --- autograd.grad --------------------------------------------------------------------------------


@program()
def grad_of_several(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    y = x * w
    found = lib.autograd.grad([y, y.sum()], [x, w], [lib.tensor([1.0, 2.0]), lib.tensor(3.0)])
    return found, x.grad


@program()
def grad_of_a_result(lib):
    x = leaf(lib, 1, 2)
    b = x.exp()
    return lib.autograd.grad((b * b).sum(), [b, x])


@program()
def grad_of_one_input_twice(lib):
    x = leaf(lib, 1, 2)
    return lib.autograd.grad((x * x).sum(), [x, x])


@program("The differentiated Tensor at index 1 appears to not have been used in the graph")
def unused(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    lib.autograd.grad((x * 2).sum(), [x, w])


@program()
def unused_is_allowed(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    return lib.autograd.grad((x * 2).sum(), [x, w], allow_unused=True)


@program()
def unused_is_materialised(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    return lib.autograd.grad((x * 2).sum(), [x, w], materialize_grads=True)


@program("Expected allow_unused to be True or not passed when materialize_grads=True")
def materialised_and_not_allowed(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.grad((x * 2).sum(), [x], materialize_grads=True, allow_unused=False)


@program("One of the differentiated Tensors does not require grad")
def grad_of_a_constant(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.grad((x * 2).sum(), lib.ones(2))


@program("`inputs` argument to `grad()` cannot be empty")
def grad_of_nothing(lib):
    lib.autograd.grad((leaf(lib, 1, 2) * 2).sum(), [])


@program("Mismatch in shape: grad_output[0] has a shape of")
def grad_outputs_of_another_shape(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.grad([x * 2, x.sum()], x, [lib.ones(3), lib.tensor(1.0)])


@program()
def grad_fills_retained_gradients(lib):
    x = leaf(lib, 1, 2)
    b = x * 3
    b.retain_grad()
    found = lib.autograd.grad((b * b).sum(), x)
    return found, b.grad, x.grad


@program()
def gradient_of_a_linear_function_has_no_history(lib):
    x = leaf(lib, 1, 2)
    (g,) = lib.autograd.grad((x * 2).sum(), x, create_graph=True)
    return g


@program()
def create_graph_under_no_grad(lib):
    x = leaf(lib, 1, 2)
    y = (x**3).sum()
    with lib.no_grad():
        (g,) = lib.autograd.grad(y, x, create_graph=True)
    return g


@program()
def grad_outputs_that_require_grad(lib):
    x, v = leaf(lib, 1, 2), leaf(lib, 3, 4)
    (g,) = lib.autograd.grad(x * x, x, v, create_graph=True)
    return g, lib.autograd.grad(g.sum(), [x, v])


@program()
def third_order(lib):
    x = scalar(lib, 0.5)
    y, found = x.exp() * x**4, []
    for _ in range(3):
        (y,) = lib.autograd.grad(y, x, create_graph=True)
        found.append(y)
    return found


@program()
def batched_cotangents(lib):
    x = leaf(lib, 1, 2)
    v = lib.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]])
    return lib.autograd.grad(x * x * x, x, v, is_grads_batched=True)


@program()
def batched_cotangents_of_two_inputs(lib):
    x, w = leaf(lib, 1, 2), scalar(lib, 3)
    v = lib.tensor([[1.0, 0.0], [0.0, 1.0]])
    return lib.autograd.grad(x * w, [x, w], v, is_grads_batched=True)


@program()
def batched_cotangents_are_differentiated(lib):
    x = leaf(lib, 1, 2)
    v = lib.tensor([[1.0, 0.0], [0.0, 1.0]])
    (j,) = lib.autograd.grad(x * x * x, x, v, is_grads_batched=True, create_graph=True)
    return j, lib.autograd.grad(j.sum(), x)


@program("a mismatch was detected: grad_output[0] has a shape of")
def batched_cotangents_of_another_shape(lib):
    x = leaf(lib, 1, 2)
    lib.autograd.grad(x * x, x, lib.ones(2), is_grads_batched=True)


@program()
def set_by_hand_checked(lib):
    x = leaf(lib, 1, 2)
    x.grad = lib.tensor([1.0, 2.0])
    return x.grad


@program("attempting to assign a gradient of size")
def set_by_hand_of_another_shape(lib):
    x = leaf(lib, 1, 2)
    x.grad = lib.ones(3)


@program("can't assign Variable as its own grad")
def set_to_itself(lib):
    x = leaf(lib, 1, 2)
    x.grad = x


@program("can't retain_grad on Tensor that has requires_grad=False")
def retain_without_gradient(lib):
    lib.ones(2).retain_grad()


@program()
def plain_sweep_after_create_graph(lib):
    x = leaf(lib, 1, 2)
    (x * x).sum().backward(create_graph=True)
    first = x.grad
    (x * x).sum().backward()
    return x.grad is first, x.grad


@program()
def dictionary_of_inputs(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    return lib.autograd.grad((x * w).sum(), {"x": x, "w": w})


@program()
def retained_gradient_under_create_graph(lib):
    x = leaf(lib, 1, 2)
    b = x * 3
    b.retain_grad()
    (b * b).sum().backward(create_graph=True)
    return b.grad, x.grad


@program()
def gradient_flag_is_cleared_after_the_forward(lib):
    x = leaf(lib, 1, 2)
    y = (x * 2).sum()
    x.requires_grad_(False)
    try:
        y.backward()
    except RuntimeError as error:
        return "a leaf" in str(error)
    return x.grad


# --- nodes ----------------------------------------------------------------------------------------


@program()
def names_of_nodes(lib):
    x = leaf(lib, 1, 2)
    results = [
        x + 1, x - 1, x * 2, x / 2, x * x, x**3, -x, x.exp(), x.log(), x.sin(), x.cos(), x.tanh(), x.sqrt(), x.abs(),
        x.sum(), x.clone(), x[0], x.reshape(2, 1), x @ x, x.mean(),
    ]  # fmt: skip
    return [name_of(y.grad_fn) for y in results]


@program()
def walking_the_graph(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    y = ((x * w) + x.exp()).sum()
    found, stack = [], [y.grad_fn]
    while stack:
        node = stack.pop()
        found.append(name_of(node))
        stack += [n for n, _ in getattr(node, "next_functions", ()) if n is not None]
    return found


@program()
def next_functions(lib):
    x = leaf(lib, 1, 2)
    y = x * lib.ones(2)
    return [(name_of(n), k) for n, k in y.grad_fn.next_functions], y.grad_fn.next_functions[0][0].variable is x


@program()
def one_node_is_one_object(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    y.grad_fn.metadata["mine"] = 1
    z, v = y.exp(), y.sin()
    return (
        y.grad_fn.metadata,
        z.grad_fn.next_functions[0][0] == v.grad_fn.next_functions[0][0],
        z.grad_fn.next_functions[0][0] == y.grad_fn,
    )


@program()
def leaves_have_no_node(lib):
    return leaf(lib, 1).grad_fn, lib.ones(1).grad_fn, (lib.ones(1) * 2).grad_fn


@program()
def nodes_are_told_by_their_class(lib):
    y = leaf(lib, 1) * 2
    return isinstance(y.grad_fn, lib.autograd.graph.Node), isinstance(3, lib.autograd.graph.Node)


@program()
def saved_values_of_a_node(lib):
    x, w = leaf(lib, 1, 2), leaf(lib, 3, 4)
    y = x * w
    return y.grad_fn._saved_self, y.grad_fn._saved_other, x.exp().grad_fn._saved_result, x.sin().grad_fn._saved_self


@program()
def saved_values_that_are_not_needed(lib):
    x = leaf(lib, 1, 2)
    y = x * lib.tensor([3.0, 4.0])
    return y.grad_fn._saved_self, y.grad_fn._saved_other


@program("Trying to backward through the graph a second time")
def saved_values_after_the_sweep(lib):
    y = leaf(lib, 1, 2).exp()
    node = y.grad_fn
    y.sum().backward()
    return node._saved_result


@program()
def gradient_edge(lib):
    x = leaf(lib, 1, 2)
    y = x * 3
    edge = lib.autograd.graph.get_gradient_edge(y)
    other = lib.autograd.graph.get_gradient_edge(x)
    z = (y * y).sum()
    return edge.node.name(), edge.output_nr, name_of(other.node), lib.autograd.grad(z, [edge, other])


@program()
def increment_version(lib):
    x = leaf(lib, 1, 2)
    b = x * 2
    lib.autograd.graph.increment_version(b)
    return b._version


@program("modified by an inplace operation")
def incremented_version_is_noticed(lib):
    b = leaf(lib, 1, 2) * 2
    y = b.exp()
    lib.autograd.graph.increment_version(y)
    y.sum().backward()


@program()
def mutation_of_saved_tensors_is_allowed(lib):
    x = leaf(lib, 1, 2)
    with lib.autograd.graph.allow_mutation_on_saved_tensors():
        b = x * 2
        y = b.sin()
        b.add_(100)
        y.sum().backward()
    return x.grad, b


@program()
def mutation_of_a_saved_result_is_allowed(lib):
    x = leaf(lib, 1, 2)
    with lib.autograd.graph.allow_mutation_on_saved_tensors():
        y = x.exp()
        y.mul_(10)
        y.sum().backward()
    return x.grad, y


@program()
def multi_grad_hook_for_all(lib):
    a, b, seen = leaf(lib, 1, 2), leaf(lib, 3, 4), []
    c = a * b
    lib.autograd.graph.register_multi_grad_hook([a, b, c], seen.append)
    c.sum().backward(retain_graph=True)
    c.sum().backward(inputs=[a, b], retain_graph=True)
    return seen


@program()
def multi_grad_hook_for_any(lib):
    a, b, seen = leaf(lib, 1, 2), leaf(lib, 3, 4), []
    c = a * b
    handle = lib.autograd.graph.register_multi_grad_hook([b, c], seen.append, mode="any")
    c.sum().backward(retain_graph=True)
    handle.remove()
    c.sum().backward()
    return seen


@program("Expects mode to be one of ('all', 'any') but got some")
def multi_grad_hook_of_another_mode(lib):
    lib.autograd.graph.register_multi_grad_hook([leaf(lib, 1)], print, mode="some")
