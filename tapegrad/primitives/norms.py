"""Norms of vectors and matrices."""

from __future__ import annotations

import numpy as np

from .core import BY_FUNCTION, implements, lift, ops, primitive
from .reduction import amax, amin, normal_axes, reduced_row, reduced_shape, spread, sum_
from .shape import cast, reshape_to
from .statistics import _real_dtype, _squares

_X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


@primitive()
class norm2:
    """Root of the sum of squares over axes; its gradient is 0 where all elements are 0."""

    grad_name = "LinalgVectorNorm"
    samples = (
        ((_X,), {"axis": (0, 1), "keepdims": False}),
        ((_X,), {"axis": (1,), "keepdims": True}),
        ((np.array([3.0, -4.0]),), {"axis": (0,), "keepdims": False}),
    )

    def infer(specs, attrs):
        return reduced_row(specs, attrs, _real_dtype(specs[0].dtype))

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import compose

        def definition(x):
            return ops.sqrt(sum_(_squares(x), **attrs))

        compose(emitter, out, operands, definition)

    def compute(x, axis, keepdims):
        return np.sqrt(np.sum((x * np.conj(x)).real, axis=axis, keepdims=keepdims))

    def pullback(y_bar, y, x, axis, keepdims):
        return spread(y_bar / ops.where(y == 0.0, np.ones((), y._spec.dtype), y), x, axis) * x


def _powers(x, p, axes, keepdims):
    """(sum |x|^p)^(1/p), with gradient 0 where all elements are 0."""
    total = sum_(np.absolute(x) ** p, axis=axes, keepdims=keepdims)
    if p < 0:
        return total ** (1.0 / p)
    zero = total == 0.0
    root = ops.where(zero, np.ones((), total._spec.dtype), total) ** (1.0 / p)
    return ops.where(zero, np.zeros((), total._spec.dtype), root)


def _vector_norm(x, ord, axes, keepdims):
    if ord is None or ord == 2:
        return norm2(x, axis=axes, keepdims=keepdims)
    if ord == np.inf:
        return _extreme(amax, np.absolute(x), axes, keepdims)
    if ord == -np.inf:
        return _extreme(amin, np.absolute(x), axes, keepdims)
    if ord == 1:
        return sum_(np.absolute(x), axis=axes, keepdims=keepdims)
    if ord == 0:
        return sum_(cast(x != 0, _real_dtype(x._spec.dtype)), axis=axes, keepdims=keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    return _powers(x, float(ord), axes, keepdims)


def _extreme(record, x, axes, keepdims):
    if 0 in [x._spec.shape[d] for d in axes]:
        if record is amin:
            raise ValueError("zero-size array to reduction operation which has no identity")
        return sum_(x, axis=axes, keepdims=keepdims)  # a norm of nothing is zero
    return record(x, axis=axes, keepdims=keepdims)


def _matrix_norm(x, ord, axes, keepdims):
    """`axes` in the order (rows, columns)."""
    both = tuple(sorted(axes))
    if ord is None or ord in ("fro", "f"):
        return norm2(x, axis=both, keepdims=keepdims)
    if ord in (2, -2, "nuc"):
        x = BY_FUNCTION[np.moveaxis](x, axes, (-2, -1))
        s = BY_FUNCTION[np.linalg.svd](x, compute_uv=False)
        last = (s._spec.ndim - 1,)
        y = sum_(s, axis=last, keepdims=False) if ord == "nuc" else _extreme(amax if ord > 0 else amin, s, last, False)
    elif ord in (1, -1, np.inf, -np.inf):
        rows, columns = axes if abs(ord) == 1 else axes[::-1]
        sums = sum_(np.absolute(x), axis=(rows,), keepdims=True)
        y = _extreme(amax if ord > 0 else amin, sums, (columns,), True)
    else:
        raise ValueError("Invalid norm order for matrices.")
    return reshape_to(y, reduced_shape(_shape_before(x, axes, ord), both, keepdims))


def _shape_before(x, axes, ord):
    """Shape before the axes of the matrices were moved to the end."""
    if ord not in (2, -2, "nuc"):
        return x._spec.shape
    shape = list(x._spec.shape[:-2])
    for d in sorted(axes):
        shape.insert(d, 1)
    return tuple(shape)


def _norm(x, ord, axis, keepdims):
    x = lift(x)
    if x._spec.dtype.kind in "biu":
        x = cast(x, np.dtype(float))
    ndim = x._spec.ndim
    if axis is None and (ord is None or (ord in ("fro", "f") and ndim == 2) or (ord == 2 and ndim == 1)):
        return norm2(x, axis=tuple(range(ndim)), keepdims=keepdims)
    if axis is None:
        axis = tuple(range(ndim))
    axes = np.lib.array_utils.normalize_axis_tuple(axis, ndim)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


@implements(np.linalg.norm)
def linalg_norm(x, ord=None, axis=None, keepdims=False):
    """`numpy.linalg.norm`."""
    return _norm(x, ord, axis, bool(keepdims))


@implements(np.linalg.vector_norm)
def linalg_vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """`numpy.linalg.vector_norm`."""
    x = lift(x)
    if x._spec.dtype.kind in "biu":
        x = cast(x, np.dtype(float))
    return _vector_norm(x, ord, normal_axes(axis, x._spec.ndim), bool(keepdims))


@implements(np.linalg.matrix_norm)
def linalg_matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """`numpy.linalg.matrix_norm`."""
    return _norm(x, ord, (-2, -1), bool(keepdims))
