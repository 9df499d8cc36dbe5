"""Matrix products, on BLAS."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ShapeError
from ..tape.spec import spec_of
from ..vm import opcodes as op
from ..vm.plans import broadcast_strides, gufunc_plan
from .core import Promoting, lift, ops, primitive, unbroadcast
from .shape import insert_axis, reshape_to, view_by

__all__ = ["adjoint", "conjugated", "matmul", "matrix_transpose", "product_loop"]


def matrix_transpose(x):
    """Swap the last two axes, without a copy."""
    return view_by(x, np.matrix_transpose, "Transpose", "matrix_transpose")


def conjugated(x):
    """The conjugate; the tensor itself where it is real."""
    return ops.conjugate(x) if x._spec.dtype.kind == "c" else x


def adjoint(x):
    """Conjugate transpose of the last two axes."""
    return matrix_transpose(conjugated(x))


class _Matmul(Promoting):
    def lift(self, operands):
        kinds = tuple([o._spec.dtype if hasattr(o, "_spec") else np.asarray(o).dtype for o in operands])
        dtype = kinds[0] if kinds[0] is kinds[1] else np.result_type(*kinds)
        return tuple([lift(o, dtype) for o in operands])


_A = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
_BATCH = np.sin(np.arange(24.0)).reshape(2, 1, 3, 4)


NARROW = 4
"""With fewer rows or columns a product only moves memory, which BLAS does as well."""
WORTH_A_COPY = 1 << 12
"""Multiplications from which on the matrices are copied if they are not as BLAS wants them."""
CACHED = 1 << 19
"""Bytes of a first matrix that stays in a core's own cache while panel after panel of the second comes by."""


def _joined(emitter, code, x):
    """A matrix, or a copy of it if in neither direction its elements lie side by side: BLAS has no use for it then."""
    from ..tape.lower import copy_loops

    size = x.dtype.itemsize
    if x.ndim < 2 or 0 in x.strides[:-2] or min(x.shape[-2:]) == 1:
        return code, x
    (m, n), (row, column) = x.shape[-2:], x.strides[-2:]
    if (column == size and row >= n * size) or (row == size and column >= m * size):
        return code, x
    copy = spec_of(x.shape, x.dtype)
    target = emitter.temp(copy), copy
    emitter.loop(copy_loops(x)[0], target, [(code, x)])
    return target


def product_loop(dims, right, result, dtype):
    """Address and data of the fastest loop for a product: tapegrad's own, or BLAS by NumPy.

    Parameters
    ----------
    dims : tuple of int
        Rows of the first matrix, its columns, columns of the second.
    right, result : sequence of int
        Strides of the second matrix and of the result, in bytes.
    dtype : numpy.dtype
    """
    from ..vm.bridge import loop_address
    from ..vm.kernels import cached_product
    from ..vm.native import has_fma

    m, k, n = dims
    size, char = dtype.itemsize, dtype.char
    if char in "fd" and m >= NARROW and n >= NARROW and m * k * size <= CACHED and has_fma():
        if size in right and result[1] == size:
            return cached_product(char)
    return loop_address(np.matmul, f"{char}{char}->{char}")


def _deepened(x, mapped, lead, size):
    """Matrices with unit axes behind the batch, so that an example has that many axes before its matrices."""
    shape = x._spec.shape
    if not mapped or len(shape) == lead + 3:
        return x
    return reshape_to(x, (size, *(1,) * (lead + 3 - len(shape)), *shape[1:]))


@primitive(np.matmul, base=_Matmul)
class matmul:
    """Matrix product over the last two axes, batched over the others."""

    multilinear = True
    grad_name = "Mm"
    samples = (
        ((_A, np.arange(12.0).reshape(3, 4)), {}),
        ((_A, np.arange(3.0)), {}),
        ((np.arange(2.0), _A), {}),
        ((np.arange(3.0), np.array([1.0, -1.0, 2.0])), {}),
        ((_BATCH, np.cos(np.arange(40.0)).reshape(5, 4, 2)), {}),
        ((_BATCH, np.arange(4.0)), {}),
        ((np.arange(3.0), _BATCH), {}),
        ((np.ones((2, 0)), np.ones((0, 3))), {}),
    )

    def infer(specs, attrs):
        a, b = specs
        if a.ndim == 0 or b.ndim == 0:
            raise ShapeError(
                f"matmul: operands need at least one axis, not shapes {a.shape} and {b.shape}; use * for scalars"
            )
        inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
        if a.shape[-1] != inner:
            raise ShapeError(
                f"matmul: the last axis of the first operand ({a.shape[-1]}) and the first matrix axis of the second "
                f"({inner}) differ; operands have shapes {a.shape} and {b.shape}"
            )
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise ShapeError(f"matmul: batch axes of shapes {a.shape} and {b.shape} do not broadcast") from None
        return spec_of((*batch, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ())), a.dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        (ca, a), (cb, b) = operands
        code, y = out
        if y.dtype.char not in "fdFD" or y.size == 0 or a.size == 0:
            emitter.call(matmul, attrs, out, operands)
            return
        if y.size * a.shape[-1] >= WORTH_A_COPY:
            (ca, a), (cb, b) = _joined(emitter, ca, a), _joined(emitter, cb, b)
        batch = y.shape[: y.ndim - (a.ndim > 1) - (b.ndim > 1)]
        m, k = (a.shape[-2], a.shape[-1]) if a.ndim > 1 else (1, a.shape[0])
        p = b.shape[-1] if b.ndim > 1 else 1
        size = y.dtype.itemsize
        sa = a.strides[-2:] if a.ndim > 1 else (size * k, a.strides[0])
        sb = b.strides[-2:] if b.ndim > 1 else (b.strides[0], size)
        sy = list(y.strides[len(batch) :])
        if a.ndim == 1:
            sy = [size * p, *sy]
        if b.ndim == 1:
            sy = [*sy, size]
        outer = [
            broadcast_strides(a.shape[:-2], a.strides[:-2], batch),
            broadcast_strides(b.shape[:-2], b.strides[:-2], batch),
            y.strides[: len(batch)],
        ]
        loop = product_loop((m, k, p), sb, sy, y.dtype)
        plan = gufunc_plan(loop, [m, k, p], [*sa, *sb, *sy], batch, outer)
        emitter.emit(op.GUFUNC, plan, code, ca, cb)

    def compute(a, b):
        return np.matmul(a, b)

    def pullback(y_bar, y, a, b):
        na, nb = a._spec.ndim, b._spec.ndim
        if na == 1 and nb == 1:
            return y_bar * conjugated(b), y_bar * conjugated(a)
        # Vectors as matrices of one row, or one column.
        row, column = na == 1, nb == 1
        left = insert_axis(a, 0) if row else a
        right = insert_axis(b, 1) if column else b
        if row:
            y_bar = insert_axis(y_bar, -2)
        if column:
            y_bar = insert_axis(y_bar, -1)
        a_bar = y_bar * adjoint(right) if column else matmul(y_bar, adjoint(right))
        b_bar = adjoint(left) * y_bar if row else matmul(adjoint(left), y_bar)
        a_bar, b_bar = unbroadcast(a_bar, left), unbroadcast(b_bar, right)
        return reshape_to(a_bar, a._spec.shape), reshape_to(b_bar, b._spec.shape)

    def batching(row):
        (na, nb), (a, b) = [s.ndim for s in row.specs], row.xs
        if row.mapped == (True, False) and na <= 2 and nb <= 2:  # the rows of all examples with one matrix
            shape = a._spec.shape
            rows = reshape_to(a, (math.prod(shape[:-1]), shape[-1]))
            return reshape_to(row.again([rows, b]), (row.size, *row.out.shape))
        if row.mapped == (False, True) and nb == 1 and na <= 2:
            return row.again([b, matrix_transpose(a) if na == 2 else a])
        left = insert_axis(a, -2) if na == 1 else a
        right = insert_axis(b, -1) if nb == 1 else b
        lead = max(na, nb, 2) - 2
        matrices = [_deepened(x, m, lead, row.size) for x, m in zip((left, right), row.mapped, strict=True)]
        return reshape_to(row.again(matrices), (row.size, *row.out.shape))
