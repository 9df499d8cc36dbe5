"""Choosing between values."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from ..vm.bridge import loop_address
from ..vm.kernels import extra_loop
from .broadcasting import broadcast_shapes
from .core import BY_FUNCTION, Promoting, implements, lift, ops, primitive, unbroadcast
from .nesting import joined

C = np.array([True, False, True])
A, B = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 5.0, 0.5])


def _example(operand):
    """What NumPy's promotion should look at: Python numbers have no dtype of their own."""
    if hasattr(operand, "_spec"):
        return operand._spec.dtype
    return operand if type(operand) in (int, float, complex) else np.asarray(operand).dtype


class _Where(Promoting):
    elementwise = True
    accumulates = True

    def infer(self, specs, attrs):
        condition, a, b = specs
        if condition.dtype.kind != "b" or a.dtype != b.dtype:
            raise TypeError(f"where takes a condition and two operands of one dtype, and got {specs}")
        return spec_of(broadcast_shapes(self, [s.shape for s in specs]), a.dtype), op.KERNEL

    def carries_grad(self, specs, out):
        return out.dtype.kind in "fc" and (specs[1].requires_grad or specs[2].requires_grad)

    def lift(self, operands):
        condition, a, b = operands
        condition = lift(condition)
        if condition._spec.dtype.kind != "b":
            condition = ops.not_equal(condition, 0)
        dtype = np.result_type(_example(a), _example(b))
        return condition, lift(a, dtype), lift(b, dtype)

    def kernel(self, emitter, out, operands, attrs):
        c = out[1].dtype.char
        try:
            address = extra_loop("where", f"?{c}{c}->{c}")
        except KeyError:
            emitter.call(self, attrs, out, operands)
            return
        accumulate = (*loop_address(np.add, f"{c}{c}->{c}"), False) if c in "efdFD" else None
        emitter.loop((address, 0), out, operands, accumulate=accumulate)


@primitive(base=_Where)
class where:
    """The second operand where the first is true, else the third."""

    linear = (1, 2)
    samples = [
        (C, A, B),
        (C, A.astype("f"), B.astype("f")),
        (C, A + 1j * B, B + 0j),
        (C, np.float64(2.0), B),
        (C[:, None], A, B),
        (np.True_, np.float64(2.0), np.float64(3.0)),
        (C, np.arange(3), np.array(7)),
    ]

    def compute(condition, a, b):
        return np.where(condition, a, b)

    def pullback(y_bar, y, condition, a, b):
        return (
            None,
            unbroadcast(where(condition, y_bar, 0.0), a),
            unbroadcast(where(condition, 0.0, y_bar), b),
        )


@implements(np.where)
def numpy_where(condition, x=None, y=None, /):
    """`numpy.where`."""
    if x is None and y is None:
        return BY_FUNCTION[np.nonzero](condition)
    if x is None or y is None:
        raise ValueError("either both or neither of x and y should be given")
    return where(condition, x, y)


@implements(np.select)
def numpy_select(condlist, choicelist, default=0):
    """`numpy.select`."""
    condlist, choicelist = list(condlist), [joined(x) for x in choicelist]
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not condlist:
        raise ValueError("select with an empty condition list is not possible")
    dtype = np.result_type(*[_example(x) for x in (*choicelist, default)])
    result = lift(default, dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, lift(choice, dtype), result)
    return result


@implements(np.nan_to_num)
def numpy_nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """`numpy.nan_to_num`; replaced elements pass no cotangent."""
    if not copy:
        from ..inplace import write

        return write(x, ops.copy, (numpy_nan_to_num(x, True, nan, posinf, neginf),))
    x = lift(x)
    if x._spec.dtype.kind == "c":
        parts = [numpy_nan_to_num(p, True, nan, posinf, neginf) for p in (ops.real(x), ops.imag(x))]
        return lift(parts[0], x._spec.dtype) + parts[1] * 1j
    if x._spec.dtype.kind != "f":
        return ops.positive(x) if x._spec.dtype.kind != "b" else ops.copy(x)
    limits = np.finfo(x._spec.dtype)
    low, high = float(limits.min) if neginf is None else neginf, float(limits.max) if posinf is None else posinf
    finite = where(x == np.inf, high, where(x == -np.inf, low, x))
    return where(ops.isnan(x), nan, finite)
