"""What the forward of a rule of one's own reads beside its arguments: refused, as its gradient would be lost."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.compat.autograd import extend
from tapegrad.errors import BatchedValueError
from tapegrad.values import TracedValueError

# Each of these functions of w is 2 w**2 by a rule for one factor, the other being captured: a loss would give 2 w.


def by_custom_vjp(w):
    times = tg.custom_vjp(lambda x: x * w)
    times.defvjp(lambda x: (x * w, None), lambda _, g: (g * w,))
    return times(2.0 * w)


def by_custom_jvp(w):
    times = tg.custom_jvp(lambda x: x * w)
    times.defjvp(lambda primals, tangents: (times(*primals), tangents[0] * w))
    return times(2.0 * w)


def by_function(w):
    class Times(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * w

        @staticmethod
        def backward(ctx, g):
            return g * w

    return Times.apply(2.0 * w)


def by_primitive(w):
    return tg.primitive(lambda x: x * w, vjp=lambda g, y, x: g * w)(2.0 * w)


def by_autograds_primitive(w):
    times = extend.primitive(lambda x: x * w)
    extend.defvjp(times, lambda y, x: lambda g: g * w)
    return times(2.0 * w)


def by_a_helper(w):
    def scaled(x):
        return x * w

    times = tg.custom_vjp(lambda x: scaled(x))
    times.defvjp(lambda x: (scaled(x), None), lambda _, g: (g * w,))
    return times(2.0 * w)


CAPTURING = [by_custom_vjp, by_custom_jvp, by_function, by_primitive, by_autograds_primitive, by_a_helper]
each = pytest.mark.parametrize("function", CAPTURING)
REFUSED = r"`w` \(float64\[\]\), which is being differentiated .* tapegrad\.stop_gradient\(w\)"


@each
def test_what_is_captured_is_refused_by_name(function):
    with pytest.raises(TracedValueError, match=REFUSED):
        tg.grad(function)(3.0)
    with pytest.raises(TracedValueError, match=REFUSED):
        tg.jvp(function, (3.0,), (1.0,))
    with pytest.raises((TracedValueError, BatchedValueError), match=r"being differentiated|another one for each"):
        tg.vmap(tg.grad(function))(np.array([3.0, 4.0]))
    with pytest.raises(TracedValueError, match="which is being differentiated"):
        tg.compile(tg.grad(function))(3.0)
    assert function(3.0) == 18.0


@each
def test_stopping_the_gradient_is_the_remedy(function):
    assert tg.grad(lambda w: function(tg.stop_gradient(w)) + w)(3.0) == 1.0


def test_what_lies_in_a_container_is_no_argument():
    first = tg.primitive(lambda pair: 2.0 * pair[0], vjp=lambda g, y, pair: 2.0 * g)
    with pytest.raises(TracedValueError, match="what argument 0 holds"):
        tg.grad(lambda w: first([w, w]))(3.0)
    times = tg.custom_vjp(lambda a, x: a * x, nondiff_argnums=(0,))
    times.defvjp(lambda a, x: (a * x, None), lambda a, _, g: (g * a,))
    with pytest.raises(TracedValueError, match="what argument 0 holds"):
        tg.grad(lambda w: times(w, 2.0 * w))(3.0)


def test_elements_attributes_and_numbers_are_found():
    def elements(x):
        weights = {"a": [x]}
        double = tg.primitive(lambda y: y * weights["a"][0], vjp=lambda g, z, y: g)
        return np.sum(double(2.0 * x))

    with pytest.raises(TracedValueError, match=r"a value of type float64\[2\]"):
        tg.grad(elements)(np.ones(2))

    class Layer:
        def __init__(self, weight):
            self.weight = weight

        def __call__(self, x):
            times = tg.custom_vjp(lambda x: self.weight * x)
            times.defvjp(lambda x: (self.weight * x, None), lambda _, g: (g * self.weight,))
            return times(2.0 * x)

    with pytest.raises(TracedValueError, match=r"`self\.weight`"):
        tg.grad(lambda w: Layer(w)(w))(3.0)
    with pytest.raises(TracedValueError, match=r"float\(\) of a value"):
        tg.grad(lambda w: tg.primitive(lambda x: x * float(w), vjp=lambda g, y, x: g)(2.0 * w))(3.0)


def test_long_forwards_are_looked_at_as_a_whole():
    def f(w):
        def long(x):
            for _ in range(20_000):
                x = x + 0.0
            return x

        times = tg.custom_vjp(long)
        times.defvjp(lambda x: (long(x * w), None), lambda _, g: (g * w,))
        return times(2.0 * w)

    with pytest.raises(TracedValueError, match="is being differentiated"):
        tg.grad(f)(3.0)


def test_what_carries_no_gradient_is_read_freely():
    def f(w):
        def clipped(x):
            return np.where(w > 0.0, x, 0.0 * x) * np.sign(tg.stop_gradient(w)) * len(str(w.shape))

        rule = tg.custom_vjp(clipped)
        rule.defvjp(lambda x: (clipped(x), None), lambda _, g: (2.0 * g,))
        return rule(2.0 * w)

    assert tg.grad(f)(3.0) == 4.0


def test_what_the_forward_makes_is_its_own():
    def f(x):
        def slope(y):
            return tg.grad(lambda z: z**3)(y)

        rule = tg.custom_vjp(slope)
        rule.defvjp(lambda y: (slope(y), y), lambda y, g: (6.0 * y * g,))
        return rule(2.0 * x)

    assert tg.grad(f)(3.0) == 6.0 * 6.0 * 2.0


def test_rules_are_differentiated_without_a_loss():
    """The second derivative goes through the backward, where a number would cut it."""
    square = tg.custom_vjp(lambda x: x * x)
    square.defvjp(lambda x: (x * x, x), lambda x, g: (2.0 * float(x) * g,))
    assert tg.grad(square)(3.0) == 6.0
    with pytest.raises(TracedValueError, match=r"float\(\) of a value"):
        tg.grad(tg.grad(square))(3.0)


# --- in PyTorch's manner -------------------------------------------------------------------------------------------


def test_outside_of_transformations_functions_warn():
    w = tg.tensor(3.0, requires_grad=True)
    with pytest.warns(UserWarning, match=r"forward of Times uses `w` .* no argument of apply"):
        by_function(w)
    with pytest.raises(TracedValueError, match=REFUSED):
        by_custom_vjp(w)


def test_a_checkpoint_as_people_write_it_has_its_gradients():
    class Checkpoint(tg.autograd.Function):
        @staticmethod
        def forward(ctx, run, x):
            ctx.run = run
            ctx.save_for_backward(x)
            with tg.enable_grad():
                own = x.detach().requires_grad_()
                return run(own).detach()

        @staticmethod
        def backward(ctx, g):
            own = ctx.saved_tensors[0].detach().requires_grad_()
            with tg.enable_grad():
                y = ctx.run(own)
            tg.autograd.backward(y, g)
            return None, own.grad

    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Checkpoint.apply(np.exp, x * x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2.0 * np.exp([1.0, 4.0]) * [1.0, 2.0])


def test_writing_to_a_view_of_an_argument_is_no_capture():
    class Double(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x[:2] *= 2.0
            x[2:].mul_(2.0)
            return x

        @staticmethod
        def backward(ctx, g):
            return 2.0 * g

    x = tg.tensor(np.ones(6), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Double.apply((x * 3.0)[1:5]).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0.0, 6.0, 6.0, 6.0, 6.0, 0.0])


def test_without_gradients_nothing_is_said():
    w = tg.tensor(3.0, requires_grad=True)
    with tg.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert by_function(w).item() == 18.0
        assert by_custom_vjp(w).item() == 18.0
