"""Matrix products, on BLAS."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from ..vm.plans import broadcast_strides, gufunc_plan
from .core import Primitive, implements, lift, ops, primitive
from .shape import view_of, dense


def matrix_transpose(x):
    """Swap the last two axes, without a copy."""
    x = dense(x)
    shape, strides = x._spec.shape, x._spec.strides
    return view_of(x, (*shape[:-2], shape[-1], shape[-2]), (*strides[:-2], strides[-1], strides[-2]), 0, "Transpose")


class _Matmul(Primitive):
    def lift(self, operands):
        kinds = tuple([o._spec.dtype if hasattr(o, "_spec") else np.asarray(o).dtype for o in operands])
        dtype = np.result_type(*kinds)
        return tuple([lift(o, dtype) for o in operands])

    def __call__(self, *operands):
        from ..tape.record import record

        return record(self, self.lift(operands))


@primitive(np.matmul, base=_Matmul)
class matmul:
    """Matrix product over the last two axes, batched over the others."""

    grad_name = "Mm"

    def infer(specs, attrs):
        a, b = specs
        if a.ndim == 0 or b.ndim == 0:
            raise ValueError(f"matmul: operands need at least one axis, not shapes {a.shape} and {b.shape}; use * for scalars")
        inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
        if a.shape[-1] != inner:
            raise ValueError(
                f"matmul: the last axis of the first operand ({a.shape[-1]}) and the first matrix axis of the second "
                f"({inner}) differ; operands have shapes {a.shape} and {b.shape}"
            )
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise ValueError(f"matmul: batch axes of shapes {a.shape} and {b.shape} do not broadcast") from None
        return spec_of((*batch, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ())), a.dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..vm.bridge import loop_address

        (ca, a), (cb, b) = operands
        code, y = out
        c = y.dtype.char
        if c not in "fdFD" or y.size == 0 or a.size == 0:
            emitter.call(matmul, attrs, out, operands)
            return
        batch = y.shape[: y.ndim - (a.ndim > 1) - (b.ndim > 1)]
        m, k = (a.shape[-2], a.shape[-1]) if a.ndim > 1 else (1, a.shape[0])
        p = b.shape[-1] if b.ndim > 1 else 1
        size = y.dtype.itemsize
        sa = a.strides[-2:] if a.ndim > 1 else (size * k, a.strides[0])
        sb = b.strides[-2:] if b.ndim > 1 else (b.strides[0], size)
        sy = list(y.strides[len(batch):])
        if a.ndim == 1:
            sy = [size * p, *sy]
        if b.ndim == 1:
            sy = [*sy, size]
        outer = [
            broadcast_strides(a.shape[:-2], a.strides[:-2], batch),
            broadcast_strides(b.shape[:-2], b.strides[:-2], batch),
            y.strides[: len(batch)],
        ]
        plan = gufunc_plan(loop_address(np.matmul, f"{c}{c}->{c}"), [m, k, p], [*sa, *sb, *sy], batch, outer)
        emitter.emit(op.GUFUNC, plan, code, ca, cb)

    def compute(a, b):
        return np.matmul(a, b)

    def pullback(y_bar, y, a, b):
        from .core import unbroadcast

        conj = (lambda x: ops.conjugate(x)) if y_bar._spec.dtype.kind == "c" else (lambda x: x)
        na, nb = a._spec.ndim, b._spec.ndim
        if na == 1 and nb == 1:
            return y_bar * conj(b), y_bar * conj(a)
        if nb == 1:  # (..., m, k) @ (k,): y_bar (..., m)
            column = ops_expand(y_bar, -1)
            return unbroadcast(column * conj(b), a), _total(column * conj(a), b)
        if na == 1:  # (k,) @ (..., k, p): y_bar (..., p)
            row = ops_expand(y_bar, -2)
            return _total(matmul(row, conj(matrix_transpose(b))), a), unbroadcast(ops_column(conj(a)) * row, b)
        return (
            unbroadcast(matmul(y_bar, conj(matrix_transpose(b))), a),
            unbroadcast(matmul(conj(matrix_transpose(a)), y_bar), b),
        )


def ops_expand(x, axis):
    """Insert an axis of length one."""
    from .shape import reshape_to

    shape = list(x._spec.shape)
    at = len(shape) + 1 + axis
    return reshape_to(x, (*shape[:at], 1, *shape[at:]))


def ops_column(x):
    from .shape import reshape_to

    return reshape_to(x, (x._spec.shape[0], 1))


def _total(x, vector):
    """Sum all but the vector's axis."""
    from .shape import reshape_to

    n = vector._spec.shape[0]
    flat = reshape_to(x, (-1 if False else x._spec.size // max(n, 1), n))
    return ops.sum(flat, axis=(0,), keepdims=False)


@implements(np.dot)
def numpy_dot(a, b, out=None):
    """`numpy.dot`."""
    a, b = lift(a), lift(b)
    if a._spec.ndim == 0 or b._spec.ndim == 0:
        return a * b
    if b._spec.ndim <= 2:
        return matmul(a, b)
    from .shape import numpy_transpose

    raise NotImplementedError("dot with more than two axes on the right", numpy_transpose)
