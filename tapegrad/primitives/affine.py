"""What layers do to their activations: linear maps with a bias, and bringing to mean 0 and variance 1."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ShapeError
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import ops, primitive
from .matmul import matrix_transpose, product_loop
from .shape import expand_to, reshape_to

_X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
_W = np.sin(np.arange(12.0)).reshape(4, 3)


@primitive()
class linear:
    """``x @ w.T + b`` over the last axis of x, for weights (outputs, inputs)."""

    grad_name = "Addmm"
    samples = (
        ((_X, _W), {}),
        ((_X, _W, np.arange(4.0)), {}),
        ((np.cos(np.arange(24.0)).reshape(2, 4, 3), _W, np.arange(4.0)), {}),
        ((np.arange(3.0), _W, np.arange(4.0)), {}),
    )

    def infer(specs, attrs):
        x, w = specs[:2]
        if x.ndim == 0 or w.ndim != 2 or x.shape[-1] != w.shape[1]:
            raise ShapeError(
                f"linear: mat1 and mat2 shapes cannot be multiplied: operands of shapes {x.shape} and {w.shape}, of "
                f"which the last lengths must be equal"
            )
        if len(specs) > 2 and specs[2].shape != w.shape[:1]:
            raise ShapeError(f"linear: bias of shape {specs[2].shape} for {w.shape[0]} outputs")
        return spec_of((*x.shape[:-1], w.shape[0]), x.dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..vm.bridge import loop_address
        from ..vm.plans import gufunc_plan

        (cx, x), (cw, w) = operands[:2]
        code, y = out
        c = y.dtype.char
        if c not in "fdFD" or not x.contiguous or 0 in (x.size, y.size):
            emitter.call(linear, attrs, out, operands)
            return
        k, p = x.shape[-1], w.shape[0]
        m, item = math.prod(x.shape[:-1]), y.dtype.itemsize
        steps = [item * k, item, w.strides[1], w.strides[0], item * p, item]
        loop = product_loop((m, k, p), steps[2:4], steps[4:], y.dtype)
        plan = gufunc_plan(loop, [m, k, p], steps, (), [(), (), ()])
        emitter.emit(op.GUFUNC, plan, code, cx, cw)
        for bias in operands[2:]:
            emitter.loop(loop_address(np.add, f"{c}{c}->{c}"), out, [out, bias])

    def compute(x, w, *bias):
        y = x @ w.T
        for b in bias:
            y += b
        return y

    def pullback(y_bar, y, x, w, *bias):
        m = math.prod(x._spec.shape[:-1])
        rows, bars = reshape_to(x, (m, x._spec.shape[-1])), reshape_to(y_bar, (m, w._spec.shape[0]))
        return (
            reshape_to(ops.matmul(bars, ops.conjugate(w) if w._spec.dtype.kind == "c" else w), x._spec.shape),
            ops.matmul(matrix_transpose(bars), ops.conjugate(rows) if rows._spec.dtype.kind == "c" else rows),
            *[ops.sum(bars, axis=(0,), keepdims=False) for _ in bias],
        )

    def batching(row):
        if not any(row.mapped[1:]):
            return row.again(row.xs)
        (x, w), (xs, ws) = row.xs[:2], row.specs[:2]
        k, m = xs.shape[-1], math.prod(xs.shape[:-1])
        y = ops.matmul(reshape_to(x, (row.size, m, k) if row.mapped[0] else (m, k)), matrix_transpose(w))
        for b, mapped in zip(row.xs[2:], row.mapped[2:], strict=True):
            y = y + (reshape_to(b, (row.size, 1, ws.shape[0])) if mapped else b)
        return reshape_to(expand_to(y, (row.size, m, ws.shape[0])), (row.size, *row.out.shape))


@primitive()
class standardize:
    """Mean 0 and variance 1 over axes: ``(x - mean) / sqrt(variance + eps)``."""

    samples = (
        ((_X,), {"axis": (1,), "eps": 1e-5}),
        ((np.sin(np.arange(24.0)).reshape(2, 3, 4),), {"axis": (0, 2), "eps": 0.1}),
    )

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import compose

        def definition(x):
            d = x - ops.mean(x, axis=attrs["axis"], keepdims=True)
            return d / ops.sqrt(ops.mean(d * d, axis=attrs["axis"], keepdims=True) + attrs["eps"])

        if out[1].size == 0:
            emitter.call(standardize, attrs, out, operands)
        else:
            compose(emitter, out, operands, definition)

    def compute(x, axis, eps):
        return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)

    def pullback(y_bar, y, x, axis, eps):
        # Ioffe, Szegedy 2015, section 3, with the sums over the batch taken together.
        deviation = ops.sqrt(ops.var(x, axis=axis, ddof=0, keepdims=True) + eps)
        mean_bar = ops.mean(y_bar, axis=axis, keepdims=True)
        slope = ops.mean(y_bar * y, axis=axis, keepdims=True)
        return (y_bar - mean_bar - y * slope) / deviation
