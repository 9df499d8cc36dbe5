"""Activation functions, and softmax: one row each, which saves one array for the reverse."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import Primitive, lift, ops, primitive
from .scipy_loader import load

SQRT_HALF, SQRT_2PI = math.sqrt(0.5), math.sqrt(2.0 * math.pi)
_X = np.array([[1.0, -2.0, 3.0], [0.5, -0.25, -1.0]])
_SAMPLES = (((_X,), {}), ((np.array(0.3),), {}), ((_X.astype("f"),), {}), ((np.linspace(-3.0, 3.0, 2002),), {}))


class _Activation(Primitive):
    """A smooth or piecewise smooth function of each element; integers become floats."""

    elementwise = True

    def infer(self, specs, attrs):
        return specs[0].dense, op.KERNEL

    def lift(self, operands):
        (x,) = operands
        x = lift(x)
        if x._spec.dtype.kind == "c":
            raise TypeError(f"{self.name} is not defined for complex numbers; this operand is {x._spec.dtype.name}")
        return (lift(x, np.dtype(float)) if x._spec.dtype.kind in "bui" else x,)

    def __call__(self, x):
        return super().__call__(*self.lift((x,)))

    def kernel(self, emitter, out, operands, attrs):
        from ..tape.lower import compose

        compose(emitter, out, operands, self.definition)


class _Relu(_Activation):
    accumulates = True

    def lift(self, operands):
        x = lift(operands[0])
        return (x,) if x._spec.dtype.kind in "iu" else super().lift((x,))

    def kernel(self, emitter, out, operands, attrs):
        from ..vm.bridge import loop_address
        from ..vm.pools import pools

        spec = out[1]
        c = spec.dtype.char
        zero = pools.add_const(np.zeros((), spec.dtype)), spec_of((), spec.dtype)
        accumulate = (*loop_address(np.add, f"{c}{c}->{c}"), False)
        emitter.loop(loop_address(np.maximum, f"{c}{c}->{c}"), out, [*operands, zero], accumulate=accumulate)


@primitive(base=_Relu)
class relu:
    """The positive part; at 0 it passes no gradient."""

    samples = _SAMPLES

    def compute(x):
        return np.maximum(x, np.zeros((), x.dtype))

    def pullback(y_bar, y, x):
        return ops.where(y <= 0, np.zeros((), y_bar._spec.dtype), y_bar)


class _Sigmoid(_Activation):
    accumulates = True

    def kernel(self, emitter, out, operands, attrs):
        from ..vm.bridge import loop_address
        from ..vm.kernels import composed_loop

        c = out[1].dtype.char
        if c in "fd":
            loop = composed_loop("sigmoid", c, ops.exp.loops("d", "d")[0])
            emitter.loop(loop, out, operands, accumulate=(*loop_address(np.add, f"{c}{c}->{c}"), False))
        else:
            super().kernel(emitter, out, operands, attrs)


@primitive(base=_Sigmoid)
class sigmoid:
    """Logistic function, 1 / (1 + exp(-x))."""

    samples = _SAMPLES

    def definition(x):
        return 1.0 / (1.0 + ops.exp(-x))

    def compute(x):
        return 1.0 / (1.0 + np.exp(-x))

    def pullback(y_bar, y, x):
        return y_bar * (y * (1.0 - y))


@primitive(base=_Activation)
class silu:
    """x times its logistic function."""

    samples = _SAMPLES

    def definition(x):
        return x * sigmoid(x)

    def compute(x):
        return x / (1.0 + np.exp(-x))

    def pullback(y_bar, y, x):
        s = sigmoid(x)
        return y_bar * (s * (1.0 + x * (1.0 - s)))


def _normal_cdf(x):
    load()
    return 0.5 * (1.0 + ops.erf(x * SQRT_HALF))


@primitive(base=_Activation)
class gelu:
    """x times the normal distribution function of x."""

    samples = _SAMPLES

    def definition(x):
        return x * _normal_cdf(x)

    def compute(x):
        from scipy.special import erf

        return x * (0.5 * (1.0 + erf(x * x.dtype.type(SQRT_HALF))))

    def pullback(y_bar, y, x):
        density = ops.exp(-0.5 * (x * x)) / SQRT_2PI
        return y_bar * (_normal_cdf(x) + x * density)


class _Softmax(Primitive):
    def infer(self, specs, attrs):
        operator.index(attrs["axis"])
        return specs[0].dense, op.KERNEL

    def kernel(self, emitter, out, operands, attrs):
        from ..tape.lower import compose

        def definition(x):
            return self.definition(x, **attrs)

        if out[1].size == 0:
            emitter.call(self, attrs, out, operands)
        else:
            compose(emitter, out, operands, definition)


def _below_maximum(x, axis):
    return x - ops.amax(x, axis=(axis,), keepdims=True)


_SOFTMAX_SAMPLES = (
    ((_X,), {"axis": 0}),
    ((_X,), {"axis": 1}),
    ((np.sin(np.arange(24.0)).reshape(2, 3, 4),), {"axis": 1}),
    ((_X * 1000.0,), {"axis": 1}),
)


@primitive(base=_Softmax)
class softmax:
    """Exponentials along an axis, divided by their sum."""

    samples = _SOFTMAX_SAMPLES

    def definition(x, axis):
        e = ops.exp(_below_maximum(x, axis))
        return e / ops.sum(e, axis=(axis,), keepdims=True)

    def compute(x, axis):
        e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=axis, keepdims=True)

    def pullback(y_bar, y, x, axis):
        inner = y_bar * y
        return inner - y * ops.sum(inner, axis=(axis,), keepdims=True)


@primitive(base=_Softmax)
class log_softmax:
    """Logarithm of softmax, without a detour through small numbers."""

    samples = _SOFTMAX_SAMPLES

    def definition(x, axis):
        below = _below_maximum(x, axis)
        return below - ops.log(ops.sum(ops.exp(below), axis=(axis,), keepdims=True))

    def compute(x, axis):
        below = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
        return below - np.log(np.exp(below).sum(axis=axis, keepdims=True))

    def pullback(y_bar, y, x, axis):
        return y_bar - ops.exp(y) * ops.sum(y_bar, axis=(axis,), keepdims=True)
