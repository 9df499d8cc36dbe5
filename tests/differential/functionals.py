"""`autograd.functional`."""

from __future__ import annotations

from .table import PROGRAMS, leaf, program


def point(lib):
    return lib.tensor([0.5, -1.0])


def vector(lib):
    return lib.tensor([1.0, 2.0])


def square(x):
    return x * x


def cube_sum(x):
    return (x * x * x).sum()


def enter(name, run, words=None):
    """Enter a call of one function into the table."""

    def call(lib):
        return run(lib.autograd.functional, point(lib), vector(lib), lib)

    call.__name__, call.__module__ = name, __name__
    program(words)(call)


V_OUT = "The vector v can only be None if the user-provided function returns a single Tensor"
V_IN = "The vector v can only be None if the input to the user-provided function is a single Tensor"
STRICT = "does not require gradients. The outputs must be computed in a differentiable manner"
CALLS = {
    "vjp": lambda F, x, w, lib: F.vjp(square, x, w),
    "vjp_of_a_number": lambda F, x, w, lib: F.vjp(lambda a: (a * a).sum(), x),
    "vjp_of_two": lambda F, x, w, lib: F.vjp(lambda a, b: (a * b, a.sum()), (x, w), (w, lib.tensor(2.0))),
    "vjp_of_a_constant": lambda F, x, w, lib: F.vjp(lambda a: lib.ones(2), x, w),
    "vjp_unused_input": lambda F, x, w, lib: F.vjp(lambda a, b: a * 1, (x, w), w),
    "vjp_without_graph": lambda F, x, w, lib: F.vjp(square, x.requires_grad_(), w),
    "vjp_with_graph": lambda F, x, w, lib: F.vjp(square, x.requires_grad_(), w, create_graph=True),
    "jvp": lambda F, x, w, lib: F.jvp(square, x, w),
    "jvp_of_a_number": lambda F, x, w, lib: F.jvp(square, x[0].detach()),
    "jvp_of_two": lambda F, x, w, lib: F.jvp(lambda a, b: (a * b, a.sum()), (x, w), (w, x)),
    "jvp_of_a_constant": lambda F, x, w, lib: F.jvp(lambda a: lib.ones(3), x, w),
    "jacobian": lambda F, x, w, lib: F.jacobian(square, x),
    "jacobian_of_two": lambda F, x, w, lib: F.jacobian(lambda a, b: (a * b, a.sum()), (x, w)),
    "jacobian_tuple_in": lambda F, x, w, lib: F.jacobian(square, (x,)),
    "jacobian_tuple_out": lambda F, x, w, lib: F.jacobian(lambda a: (a * a,), x),
    "jacobian_vectorized": lambda F, x, w, lib: F.jacobian(square, x, vectorize=True),
    "jacobian_forward": lambda F, x, w, lib: F.jacobian(
        lambda a, b: (a * b, (a * a).sum()), (x, w), vectorize=True, strategy="forward-mode"
    ),
    "jacobian_of_matrices": lambda F, x, w, lib: F.jacobian(lambda a: a @ a, x.reshape(2, 1) * w),
    "jacobian_with_graph": lambda F, x, w, lib: F.jacobian(square, x.requires_grad_(), create_graph=True),
    "jacobian_under_no_grad": lambda F, x, w, lib: lib.no_grad()(lambda: F.jacobian(square, x))(),
    "hessian": lambda F, x, w, lib: F.hessian(cube_sum, x),
    "hessian_of_two": lambda F, x, w, lib: F.hessian(lambda a, b: (a * a * b).sum(), (x, w)),
    "hessian_of_a_linear_function": lambda F, x, w, lib: F.hessian(lambda a: a.sum(), x),
    "hessian_vectorized": lambda F, x, w, lib: F.hessian(cube_sum, x, vectorize=True),
    "hessian_forward": lambda F, x, w, lib: F.hessian(
        cube_sum, x, vectorize=True, outer_jacobian_strategy="forward-mode"
    ).detach(),
    "hvp": lambda F, x, w, lib: F.hvp(cube_sum, x, w),
    "hvp_of_two": lambda F, x, w, lib: F.hvp(lambda a, b: (a * a * b).sum(), (x, w), (w, x)),
    "hvp_of_a_linear_function": lambda F, x, w, lib: F.hvp(lambda a: a.sum(), x, w),
    "vhp": lambda F, x, w, lib: F.vhp(cube_sum, x, w),
    "vhp_of_two": lambda F, x, w, lib: F.vhp(lambda a, b: (a * a * b).sum(), (x, w), (w, x)),
    "hvp_with_graph": lambda F, x, w, lib: F.hvp(cube_sum, x.requires_grad_(), w, create_graph=True),
}
REFUSALS = {
    "vjp_without_v": (lambda F, x, w, lib: F.vjp(square, x), V_OUT),
    "vjp_wrong_size": (lambda F, x, w, lib: F.vjp(square, x, lib.ones(3)), "v has invalid size: should be"),
    "vjp_two_vs": (lambda F, x, w, lib: F.vjp(square, x, (w, w)), "The given v should contain a single Tensor"),
    "vjp_number_in": (lambda F, x, w, lib: F.vjp(square, 3.0), "The inputs given to vjp must be either a Tensor or a"),
    "vjp_number_among": (lambda F, x, w, lib: F.vjp(lambda a, b: a, (x, 3), w), "the value at index 1 has type"),
    "vjp_number_out": (lambda F, x, w, lib: F.vjp(lambda a: 3.0, x, w), "The outputs of the user-provided function"),
    "vjp_strict_constant": (lambda F, x, w, lib: F.vjp(lambda a: lib.ones(2), x, w, strict=True), STRICT),
    "vjp_strict_unused": (
        lambda F, x, w, lib: F.vjp(lambda a, b: a * 1, (x, w), w, strict=True),
        "The output of the user-provided function is independent of input 1. This is not allowed in strict mode.",
    ),
    "vjp_strict_linear": (
        lambda F, x, w, lib: F.vjp(lambda a: a * 2, x, w, strict=True, create_graph=True),
        "The jacobian of the user-provided function is independent of input 0",
    ),
    "jvp_without_v": (lambda F, x, w, lib: F.jvp(square, x), V_IN),
    "jvp_wrong_size": (lambda F, x, w, lib: F.jvp(square, x, lib.ones(3)), "v has invalid size: should be"),
    "jvp_strict_constant": (lambda F, x, w, lib: F.jvp(lambda a: lib.ones(2), x, w, strict=True), STRICT),
    "jacobian_strict_constant": (lambda F, x, w, lib: F.jacobian(lambda a: lib.ones(2), x, strict=True), STRICT),
    "jacobian_strict_unused": (
        lambda F, x, w, lib: F.jacobian(lambda a, b: a * 1, (x, w), strict=True),
        "Output 0 of the user-provided function is independent of input 1",
    ),
    "jacobian_strict_linear": (
        lambda F, x, w, lib: F.jacobian(lambda a: a * 1, x, strict=True, create_graph=True),
        "The jacobian of the user-provided function is independent of input 0",
    ),
    "jacobian_strict_vectorized": (
        lambda F, x, w, lib: F.jacobian(square, x, strict=True, vectorize=True),
        "`strict=True` and `vectorized=True` are not supported together",
    ),
    "jacobian_bad_strategy": (
        lambda F, x, w, lib: F.jacobian(square, x, strategy="sideways"),
        'Expected strategy to be either "forward-mode" or "reverse-mode"',
    ),
    "hessian_of_a_vector": (lambda F, x, w, lib: F.hessian(square, x), "should contain a single element"),
    "hessian_of_a_tuple": (lambda F, x, w, lib: F.hessian(lambda a: (a.sum(),), x), "should return a single Tensor"),
    "hessian_strict_linear": (
        lambda F, x, w, lib: F.hessian(lambda a: a.sum(), x, strict=True),
        "While computing the hessian, found that the jacobian of the user-provided function with respect to input 0",
    ),
    "hvp_without_v": (lambda F, x, w, lib: F.hvp(cube_sum, x), V_IN),
    "hvp_of_a_vector": (lambda F, x, w, lib: F.hvp(square, x, w), "should contain a single element"),
    "vhp_of_a_tuple": (lambda F, x, w, lib: F.vhp(lambda a: (a.sum(),), x, w), "should return a single Tensor"),
    "hvp_strict_linear": (
        lambda F, x, w, lib: F.hvp(lambda a: a.sum(), x, w, strict=True),
        "While computing the hessian, found that the jacobian",
    ),
}
for _name, _run in CALLS.items():
    enter(_name, _run)
for _name, (_run, _words) in REFUSALS.items():
    enter("refused_" + _name, _run, _words)


@program()
def jacobian_is_differentiated(lib):
    x = leaf(lib, 0.5, -1)
    j = lib.autograd.functional.jacobian(lambda a: a * a * a, x * 2, create_graph=True)
    j.sum().backward()
    return x.grad


@program()
def hessian_is_differentiated(lib):
    x = leaf(lib, 0.5, -1)
    h = lib.autograd.functional.hessian(lambda a: (a * a * a * a).sum(), x, create_graph=True)
    return h, lib.autograd.grad(h.sum(), x)


@program()
def inputs_are_left_alone(lib):
    x = leaf(lib, 0.5, -1)
    lib.autograd.functional.vjp(square, x, vector(lib))
    lib.autograd.functional.hessian(cube_sum, x)
    return x.grad, x.requires_grad


assert PROGRAMS
