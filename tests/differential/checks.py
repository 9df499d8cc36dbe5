"""``gradcheck`` and ``gradgradcheck``: what they find, and what they refuse."""

from __future__ import annotations

from .table import leaf, program


def faulty(lib, factor, second=False):
    """The square; its first derivative times a factor, or its second missing."""

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * factor * (x.detach() if second else x)

    return Square.apply


@program()
def right(lib):
    return lib.autograd.gradcheck(lambda x, w: (x * w).sin(), (leaf(lib, 0.5, -1), leaf(lib, 2, 3)))


@program()
def right_in_fast_mode(lib):
    return lib.autograd.gradcheck(lambda x: x.exp(), (leaf(lib, 0.5, -1),), fast_mode=True)


@program()
def wrong_without_exception(lib):
    return lib.autograd.gradcheck(faulty(lib, 1.1), (leaf(lib, 0.5, -1),), raise_exception=False)


@program("Jacobian mismatch for output 0 with respect to input 0")
def wrong(lib):
    lib.autograd.gradcheck(faulty(lib, 1.1), (leaf(lib, 0.5, -1),))


@program("Jacobian mismatch for output 1 with respect to input 1")
def wrong_in_the_second_result(lib):
    f = faulty(lib, 1.1)
    lib.autograd.gradcheck(lambda x, w: (x * 2, x + f(w)), (leaf(lib, 0.5), leaf(lib, 2)))


@program("are computed")
def wrong_in_fast_mode(lib):
    lib.autograd.gradcheck(faulty(lib, 1.1), (leaf(lib, 0.5, -1),), fast_mode=True)


@program()
def fault_within_the_tolerance(lib):
    return lib.autograd.gradcheck(faulty(lib, 1.1), (leaf(lib, 0.5, -1),), rtol=0.2)


@program("Numerical gradient for function expected to be zero")
def detached(lib):
    lib.autograd.gradcheck(lambda x: (x * x).detach(), (leaf(lib, 0.5, -1),))


@program("gradcheck expects at least one input tensor to require gradient")
def no_input_requires_grad(lib):
    lib.autograd.gradcheck(lambda x: x * x, (lib.ones(2),))


@program()
def right_to_second_order(lib):
    return lib.autograd.gradgradcheck(lambda x: x * x * x, (leaf(lib, 0.5, -1),))


@program()
def first_order_hides_a_fault(lib):
    return lib.autograd.gradcheck(faulty(lib, 1, second=True), (leaf(lib, 0.5, -1),))


@program("Jacobian mismatch for output 0 with respect to input 0")
def wrong_to_second_order(lib):
    lib.autograd.gradgradcheck(faulty(lib, 1, second=True), (leaf(lib, 0.5, -1),))


@program()
def second_order_with_given_cotangents(lib):
    return lib.autograd.gradgradcheck(lambda x: x * x * x, (leaf(lib, 0.5, -1),), (leaf(lib, 1, 2),))


@program("Expected at least one of check_forward_ad or check_backward_ad to be True")
def nothing_to_check(lib):
    lib.autograd.gradcheck(lambda x: x, (leaf(lib, 1),), check_backward_ad=False)
