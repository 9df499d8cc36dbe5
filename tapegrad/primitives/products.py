"""Products of vectors and tensors, put together from matrix products."""

from __future__ import annotations

import math

import numpy as np

from ..tape.handle import Tensor
from .core import BY_FUNCTION, implements, lift
from .indexing import getitem
from .layout import view_of_function
from .matmul import conjugated, matmul
from .reduction import refuse
from .shape import insert_axis, reshape_to

_ARRAYS = (Tensor, np.ndarray)
"""Types of which operators take the short way."""


def _flat(x):
    return x if x._spec.ndim == 1 else reshape_to(x, (x._spec.size,))


def _differ(name, a, b):
    return ValueError(f"{name}: shapes {a._spec.shape} and {b._spec.shape} not aligned")


@implements(np.dot)
def numpy_dot(a, b, out=None):
    """`numpy.dot`."""
    refuse("dot", out=out)
    if a.__class__ not in _ARRAYS or b.__class__ not in _ARRAYS:
        a, b = lift(a), lift(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if b.ndim <= 2:
        return a @ b
    a, b = lift(a), lift(b)
    if a._spec.shape[-1] != b._spec.shape[-2]:
        raise _differ("dot", a, b)
    return numpy_tensordot(a, b, ((-1,), (-2,)))


@implements(np.vdot)
def numpy_vdot(a, b, /):
    """`numpy.vdot`."""
    a, b = _flat(lift(a)), _flat(lift(b))
    if a._spec.shape != b._spec.shape:
        raise ValueError("cannot reshape operands of different size: vdot takes two arrays with as many elements")
    return matmul(conjugated(a), b)


@implements(np.inner)
def numpy_inner(a, b, /):
    """`numpy.inner`."""
    a, b = lift(a), lift(b)
    if a._spec.ndim == 0 or b._spec.ndim == 0:
        return a * b
    if a._spec.shape[-1] != b._spec.shape[-1]:
        raise _differ("inner", a, b)
    if a._spec.ndim == 1 and b._spec.ndim == 1:
        return a @ b
    return numpy_tensordot(a, b, ((-1,), (-1,)))


@implements(np.outer)
def numpy_outer(a, b, out=None):
    """`numpy.outer`."""
    refuse("outer", out=out)
    return _flat(lift(a))[:, None] * _flat(lift(b))[None]


@implements(np.linalg.outer)
def linalg_outer(x1, x2, /):
    """`numpy.linalg.outer`."""
    return numpy_outer(x1, x2)


def _pairs(axes, a, b):
    if isinstance(axes, (int, np.integer)):
        n = int(axes)
        return tuple(range(a._spec.ndim - n, a._spec.ndim)), tuple(range(n))
    left, right = axes
    left = (left,) if np.ndim(left) == 0 else tuple(left)
    right = (right,) if np.ndim(right) == 0 else tuple(right)
    normal = np.lib.array_utils.normalize_axis_tuple
    return normal(left, a._spec.ndim), normal(right, b._spec.ndim)


@implements(np.tensordot, np.linalg.tensordot)
def numpy_tensordot(a, b, axes=2):
    """`numpy.tensordot`."""
    a, b = lift(a), lift(b)
    left, right = _pairs(axes, a, b)
    sa, sb = a._spec.shape, b._spec.shape
    if len(left) != len(right) or any(sa[i] != sb[j] for i, j in zip(left, right, strict=True)):
        raise ValueError(f"shape-mismatch for sum: tensordot of shapes {sa} and {sb} over axes {left} and {right}")
    free_a = tuple(d for d in range(len(sa)) if d not in left)
    free_b = tuple(d for d in range(len(sb)) if d not in right)
    n = 1
    for d in left:
        n *= sa[d]
    rows, columns = [sa[d] for d in free_a], [sb[d] for d in free_b]
    a = reshape_to(_permuted(a, (*free_a, *left)), (math.prod(rows), n))
    b = reshape_to(_permuted(b, (*right, *free_b)), (n, math.prod(columns)))
    return reshape_to(matmul(a, b), (*rows, *columns))


def _permuted(x, axes):
    if axes == tuple(range(len(axes))):
        return x
    return view_of_function(np.transpose, "Permute", x, axes)


@implements(np.kron)
def numpy_kron(a, b):
    """`numpy.kron`."""
    a, b = lift(a), lift(b)
    ndim = max(a._spec.ndim, b._spec.ndim)
    sa = (1,) * (ndim - a._spec.ndim) + a._spec.shape
    sb = (1,) * (ndim - b._spec.ndim) + b._spec.shape
    a = reshape_to(a, tuple(n for m in sa for n in (m, 1)))
    b = reshape_to(b, tuple(n for m in sb for n in (1, m)))
    return reshape_to(a * b, tuple(m * n for m, n in zip(sa, sb, strict=True)))


@implements(np.cross)
def numpy_cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """`numpy.cross`, of vectors with two or three components."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = lift(a), lift(b)
    a, b = (
        view_of_function(np.moveaxis, "Permute", a, axisa, -1),
        view_of_function(np.moveaxis, "Permute", b, axisb, -1),
    )
    na, nb = a._spec.shape[-1], b._spec.shape[-1]
    if na not in (2, 3) or nb not in (2, 3):
        raise ValueError("incompatible vector dimensions for cross product\n(dimension must be 2 or 3)")
    x = [getitem(a, (Ellipsis, k)) for k in range(na)]
    y = [getitem(b, (Ellipsis, k)) for k in range(nb)]
    last = x[0] * y[1] - x[1] * y[0]
    if na == 2 and nb == 2:
        return last
    x2 = x[2] if na == 3 else 0.0
    y2 = y[2] if nb == 3 else 0.0
    parts = [x[1] * y2 - x2 * y[1], x2 * y[0] - x[0] * y2, last]
    return view_of_function(np.moveaxis, "Permute", BY_FUNCTION[np.stack](parts, -1), -1, axisc)


@implements(np.linalg.cross)
def linalg_cross(x1, x2, /, *, axis=-1):
    """`numpy.linalg.cross`."""
    x1, x2 = lift(x1), lift(x2)
    if x1._spec.shape[axis] != 3 or x2._spec.shape[axis] != 3:
        raise ValueError(
            f"Both input arrays must be (arrays of) 3-dimensional vectors, but they are {x1._spec.shape[axis]} and "
            f"{x2._spec.shape[axis]} dimensional instead."
        )
    return numpy_cross(x1, x2, axis=axis)


@implements(np.linalg.matmul)
def linalg_matmul(x1, x2, /):
    """`numpy.linalg.matmul`."""
    return matmul(x1, x2)


@implements(np.linalg.multi_dot)
def linalg_multi_dot(arrays, *, out=None):
    """`numpy.linalg.multi_dot`: the matrix product in the order that costs least."""
    refuse("multi_dot", out=out)
    arrays = [lift(a) for a in arrays]
    if len(arrays) < 2:
        raise ValueError("Expecting at least two arrays.")
    first, last = arrays[0]._spec.ndim == 1, arrays[-1]._spec.ndim == 1
    if first:
        arrays[0] = insert_axis(arrays[0], 0)
    if last:
        arrays[-1] = insert_axis(arrays[-1], 1)
    for a in arrays:
        if a._spec.ndim != 2:
            raise np.linalg.LinAlgError(f"{a._spec.ndim}-dimensional array given. Array must be two-dimensional")
    y = _chain(arrays, _split_points([arrays[0]._spec.shape[0], *[a._spec.shape[1] for a in arrays]]), 0, -1)
    shape = y._spec.shape
    return reshape_to(y, (() if first else shape[:1]) + (() if last else shape[1:]))


def _split_points(sizes):
    """Where to split each product of neighbours (Cormen et al., Introduction to Algorithms, 15.2)."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [(cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i][j], split[i][j] = min(options)
    return split


def _chain(arrays, split, i, j):
    j = j % len(arrays)
    if i == j:
        return arrays[i]
    k = split[i][j]
    return matmul(_chain(arrays, split, i, k), _chain(arrays, split, k + 1, j))


@implements(np.linalg.matrix_power)
def linalg_matrix_power(a, n):
    """`numpy.linalg.matrix_power`, by repeated squaring."""
    x = lift(a)
    if not isinstance(n, (int, np.integer)):
        raise TypeError("exponent must be an integer")
    shape = x._spec.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    if n == 0:
        return lift(np.broadcast_to(np.eye(shape[-1], dtype=x._spec.dtype), shape).copy())
    if n < 0:
        x, n = BY_FUNCTION[np.linalg.inv](x), -n
    if n == 3:
        return matmul(matmul(x, x), x)  # in NumPy's order
    result = None
    while n:
        if n & 1:
            result = x if result is None else matmul(result, x)
        n >>= 1
        if n:
            x = matmul(x, x)
    return result
