"""``torch.func``."""

from __future__ import annotations

from .table import leaf, program


def point(lib):
    return lib.tensor([0.5, -1.0, 2.0])


def cubes(x):
    return (x * x * x).sum()


@program()
def grad(lib):
    return lib.func.grad(cubes)(point(lib))


@program()
def grad_of_the_second_argument(lib):
    return lib.func.grad(lambda a, b: (a * b * b).sum(), argnums=1)(point(lib), point(lib) * 2)


@program()
def grad_of_two_arguments(lib):
    return lib.func.grad(lambda a, b: (a * b * b).sum(), argnums=(0, 1))(point(lib), point(lib) * 2)


@program()
def grad_of_a_dictionary(lib):
    p = {"w": point(lib), "b": lib.tensor(0.5)}
    return lib.func.grad(lambda p, x: ((p["w"] * x).sum() + p["b"]) ** 2)(p, point(lib))


@program()
def grad_with_aux(lib):
    return lib.func.grad(lambda x: (cubes(x), x * 2), has_aux=True)(point(lib))


@program()
def grad_of_grad(lib):
    f = lib.func.grad(lambda x: x**4)
    return lib.func.grad(f)(lib.tensor(0.5)), lib.func.grad(lib.func.grad(f))(lib.tensor(0.5))


@program()
def grad_and_value(lib):
    return lib.func.grad_and_value(cubes)(point(lib))


@program()
def grad_and_value_with_aux(lib):
    return lib.func.grad_and_value(lambda x: (cubes(x), x * 2), has_aux=True)(point(lib))


@program()
def vjp(lib):
    y, pullback = lib.func.vjp(lambda a, b: a * b, point(lib), point(lib) + 1)
    return y, pullback(point(lib)), pullback(point(lib) * 2)


@program()
def vjp_with_aux(lib):
    y, pullback, aux = lib.func.vjp(lambda a: (a * a, a.sum()), point(lib), has_aux=True)
    return y, aux, pullback(point(lib))


@program()
def jvp(lib):
    return lib.func.jvp(lambda a, b: (a * b).sin(), (point(lib), point(lib)), (point(lib) * 0 + 1, point(lib)))


@program()
def jvp_with_aux(lib):
    return lib.func.jvp(lambda a: (a.exp(), a.sum()), (point(lib),), (point(lib),), has_aux=True)


@program()
def linearize(lib):
    y, push = lib.func.linearize(lambda a: a.sin() * a.sum(), point(lib))
    return y, push(point(lib)), push(point(lib) * 0 + 1)


@program()
def jacrev(lib):
    return lib.func.jacrev(lambda x: x * x.sum())(point(lib))


@program()
def jacrev_of_two_arguments(lib):
    return lib.func.jacrev(lambda a, b: a * b.sum(), argnums=(0, 1))(point(lib), point(lib)[:2])


@program()
def jacrev_of_a_tuple(lib):
    return lib.func.jacrev(lambda x: (x * x, x.sum()))(point(lib))


@program()
def jacrev_with_aux(lib):
    return lib.func.jacrev(lambda x: (x * x, x.sum()), has_aux=True)(point(lib))


@program()
def jacfwd(lib):
    return lib.func.jacfwd(lambda x: x * x.sum())(point(lib))


@program()
def jacfwd_of_two_arguments(lib):
    return lib.func.jacfwd(lambda a, b: a * b.sum(), argnums=(0, 1))(point(lib), point(lib)[:2])


@program()
def jacfwd_of_a_dictionary(lib):
    return lib.func.jacfwd(lambda x: {"a": x * x, "b": x.sum()})(point(lib))


@program()
def jacobian_of_a_matrix_function(lib):
    return lib.func.jacrev(lambda m: m @ m)(point(lib)[:2].reshape(2, 1) * point(lib)[1:])


@program()
def hessian(lib):
    return lib.func.hessian(lambda x: (x * x * x).sum() * x[0])(point(lib))


@program()
def hessian_of_two_arguments(lib):
    return lib.func.hessian(lambda a, b: (a * a * b).sum(), argnums=(0, 1))(point(lib), point(lib) + 1)


@program()
def three_ways_to_a_hessian(lib):
    f = lambda x: x.exp().sum() * x.sum()
    g = lib.func
    return g.jacrev(g.jacrev(f))(point(lib)), g.jacrev(g.jacfwd(f))(point(lib)), g.jacfwd(g.jacfwd(f))(point(lib))


@program()
def vmap(lib):
    a = point(lib).reshape(3, 1) * point(lib)
    return lib.func.vmap(lambda x: x * x.sum())(a)


@program()
def vmap_of_two_arguments(lib):
    a = point(lib).reshape(3, 1) * point(lib)
    return lib.func.vmap(lambda x, w: (x * w).sum(), in_dims=(1, None))(a, point(lib))


@program()
def vmap_to_another_axis(lib):
    a = point(lib).reshape(3, 1) * point(lib)[:2]
    return lib.func.vmap(lambda x: (x * 2, x.sum()), out_dims=(1, 0))(a)


@program()
def vmap_over_a_dictionary(lib):
    p = {"w": point(lib), "b": point(lib) * 2}
    return lib.func.vmap(lambda p, x: p["w"] * x + p["b"], in_dims=({"w": 0, "b": None}, None))(p, point(lib))


@program()
def nested_vmap(lib):
    outer = lib.func.vmap(lib.func.vmap(lambda x, y: x * y, in_dims=(None, 0)), in_dims=(0, None))
    return outer(point(lib), point(lib))


@program()
def gradients_one_by_one(lib):
    w, x = point(lib), point(lib).reshape(3, 1) * point(lib)
    return lib.func.vmap(lib.func.grad(lambda w, x: ((w * x).sum()) ** 2), in_dims=(None, 0))(w, x)


@program()
def gradient_of_a_vmap(lib):
    x = leaf(lib, 0.5, -1)
    lib.func.vmap(lambda a: a * a)(x).sum().backward()
    return x.grad


@program("Expected all tensors to have the same size in the mapped dimension")
def vmap_of_different_sizes(lib):
    lib.func.vmap(lambda a, b: a * b)(point(lib), point(lib)[:2])


@program()
def history_goes_on_through_grad(lib):
    x = leaf(lib, 0.5, -1)
    g = lib.func.grad(cubes)(x * 2)
    g.sum().backward()
    return g, x.grad
