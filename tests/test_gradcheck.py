"""`gradcheck` finds planted faults, and agrees with PyTorch's about what is one."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.autograd import GradcheckError, gradcheck, gradgradcheck


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"], autouse=True)
def deferral(request):
    before = tg.set_deferral(request.param)
    yield request.param
    tg.set_deferral(before)


def leaf(*data, dtype=float):
    return tg.tensor(np.array(data, dtype), requires_grad=True)


def planted(fault=1.0, second=False, nondet=0.0, undefined=False, forward=1.0):
    """The square, with a fault in its derivative."""

    class Square(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(not undefined)
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            if g is None:
                return tg.ones(2)
            noise = 1 + nondet * np.random.default_rng().random()
            return g * 2 * (x.detach() if second else x) * fault * noise

        @staticmethod
        def jvp(ctx, x_dot):
            (x,) = ctx.saved_tensors
            return x_dot * 2 * x * forward

    return Square.apply


GOOD = {
    "square": (lambda x: x * x, (leaf(0.5, -1.0),)),
    "several": (lambda x, w: (x @ w, np.sin(x).sum()), (leaf(0.5, -1.0), leaf([1.0, 2.0], [0.5, 0.1]))),
    "with constants": (lambda x, k, a: x**k * a, (leaf(0.5, 1.5), 3, np.array([1.0, 2.0]))),
    "complex": (lambda z: z * z.conj() + np.exp(z), (leaf(1 + 2j, 0.5j, dtype=complex),)),
    "complex to real": (lambda z: np.abs(z) ** 2, (leaf(1 + 2j, 0.5j, dtype=complex),)),
    "real to complex": (lambda x: np.exp(1j * x), (leaf(0.3, -0.2),)),
    "integers beside": (lambda x: (x * x, x > 0), (leaf(0.5, -1.0),)),
    "constant": (lambda x: tg.ones(2), (leaf(0.5, -1.0),)),
    "view": (lambda x: x[1:] * x[:-1], (leaf(0.5, -1.0, 2.0),)),
    "in place": (lambda x: (x * 1).mul_(x), (leaf(0.5, -1.0, 2.0),)),
    "no leaf": (lambda x: x * x, (leaf(0.5, -1.0) * 2,)),
    "own function": (planted(), (leaf(0.5, -1.0),)),
    "none for none": (planted(), (leaf(0.5, -1.0),)),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("fast", [False, True])
def test_right_derivatives_pass(name, fast):
    func, inputs = GOOD[name]
    before = [np.array(t.detach().numpy()) for t in inputs if isinstance(t, tg.Tensor)]
    assert gradcheck(func, inputs, fast_mode=fast, check_forward_ad=True) is True
    after = [t.detach().numpy() for t in inputs if isinstance(t, tg.Tensor)]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in GOOD if n not in ("constant", "none for none")])
def test_right_second_derivatives_pass(name):
    func, inputs = GOOD[name]
    assert gradgradcheck(func, inputs, check_fwd_over_rev=True) is True


FAULTS = {
    "one per cent": (planted(1.01), {}, r"Jacobian mismatch for output 0 with respect to input 0,\nnumerical:"),
    "a sign": (planted(-1), {}, r"analytical:\[\["),
    "fast mode": (planted(1.01), {"fast_mode": True}, r"fast mode.*slow mode"),
    "nondeterministic": (planted(nondet=1e-4), {"rtol": 1.0}, "Backward is not reentrant"),
    "something for nothing": (planted(undefined=True), {}, "Expected all input grads to be undefined or zero"),
    "detached": (lambda x: (x * x).detach(), {}, "Numerical gradient for function expected to be zero"),
    "forward mode": (planted(forward=1.01), {"check_forward_ad": True}, "computed with forward mode mismatch"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(name):
    func, options, words = FAULTS[name]
    with pytest.raises(GradcheckError, match=f"(?s){words}"):
        gradcheck(func, (leaf(0.5, -1.0),), **options)
    assert gradcheck(func, (leaf(0.5, -1.0),), raise_exception=False, **options) is False


def test_a_fault_in_the_second_derivative_is_found():
    assert gradcheck(planted(second=True), (leaf(0.5, -1.0),))
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradgradcheck(planted(second=True), (leaf(0.5, -1.0),))
    assert not gradgradcheck(planted(second=True), (leaf(0.5, -1.0),), raise_exception=False)


def test_given_cotangents_are_used():
    x = leaf(0.5, -1.0)
    assert gradgradcheck(lambda x: x**3, x, leaf(1.0, 2.0))
    assert gradgradcheck(lambda x: x**3, x, gen_non_contig_grad_outputs=True)


def test_no_input_requires_grad():
    with pytest.raises(ValueError, match="expects at least one input tensor to require gradient"):
        gradcheck(lambda x: x, (tg.ones(2),))


def test_a_function_that_returns_nothing_is_no_success():
    with pytest.raises(TypeError, match="returned None"):
        tg.autograd.gradcheck(lambda x: None, (tg.tensor([1.0], requires_grad=True),))


def test_no_mode():
    with pytest.raises(AssertionError, match="at least one of check_forward_ad or check_backward_ad"):
        gradcheck(lambda x: x, (leaf(1.0),), check_backward_ad=False)
    with pytest.raises(AssertionError, match="at least one of check_fwd_over_rev or check_rev_over_rev"):
        gradgradcheck(lambda x: x, (leaf(1.0),), check_rev_over_rev=False)


def test_single_precision_is_warned_of():
    x = leaf(1.0, 2.0, dtype=np.float32)
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        assert not gradcheck(lambda x: np.exp(x * 7), (x,), raise_exception=False)


def test_overlapping_input_is_refused():
    x = np.broadcast_to(leaf(1.0), (3,))
    with pytest.raises(RuntimeError, match="The 0th input has a dimension with stride 0"):
        gradcheck(lambda x: x * x, (x,))
