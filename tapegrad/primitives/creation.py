"""New arrays in the likeness of tensors, and questions about shape, dtype and equality."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from ..tape.importing import import_array
from ..tape.record import renewed
from .core import BY_FUNCTION, implements, lift, ops
from .shape import cast, copy, expand_to


def _likeness(prototype, dtype, shape):
    spec = lift(prototype)._spec
    shape = spec.shape if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    return shape, spec.dtype if dtype is None else np.dtype(dtype)


@implements(np.zeros_like)
def numpy_zeros_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """`numpy.zeros_like`."""
    return renewed(import_array(np.zeros(*_likeness(a, dtype, shape))))


@implements(np.ones_like)
def numpy_ones_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """`numpy.ones_like`."""
    return renewed(import_array(np.ones(*_likeness(a, dtype, shape))))


@implements(np.empty_like)
def numpy_empty_like(prototype, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """`numpy.empty_like`, filled with zeros."""
    return renewed(import_array(np.zeros(*_likeness(prototype, dtype, shape))))


@implements(np.full_like)
def numpy_full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """`numpy.full_like`; a fill value that is a tensor keeps its gradient."""
    shape, dtype = _likeness(a, dtype, shape)
    if isinstance(fill_value, Tensor):
        return copy(expand_to(cast(fill_value, dtype), shape))
    return renewed(import_array(np.full(shape, fill_value, dtype)))


@implements(np.shape)
def numpy_shape(a):
    """`numpy.shape`."""
    return lift(a)._spec.shape


@implements(np.ndim)
def numpy_ndim(a):
    """`numpy.ndim`."""
    return lift(a)._spec.ndim


@implements(np.size)
def numpy_size(a, axis=None):
    """`numpy.size`."""
    spec = lift(a)._spec
    if axis is None:
        return spec.size
    axes = np.lib.array_utils.normalize_axis_tuple(axis, spec.ndim)
    size = 1
    for d in axes:
        size *= spec.shape[d]
    return size


@implements(np.result_type)
def numpy_result_type(*arrays_and_dtypes):
    """`numpy.result_type`."""
    return np.result_type(*[a._spec.dtype if isinstance(a, Tensor) else a for a in arrays_and_dtypes])


@implements(np.can_cast)
def numpy_can_cast(from_, to, casting="safe"):
    """`numpy.can_cast`."""
    return np.can_cast(from_._spec.dtype if isinstance(from_, Tensor) else from_, to, casting)


@implements(np.common_type)
def numpy_common_type(*arrays):
    """`numpy.common_type`."""
    return np.common_type(*[np.empty(0, lift(a)._spec.dtype) for a in arrays])


@implements(np.isclose)
def numpy_isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """`numpy.isclose`."""
    x, y = lift(a), lift(b)
    near = ops.less_equal(np.absolute(x - y), atol + rtol * np.absolute(y))
    if y._spec.dtype.kind in "fc":
        near = (near & np.isfinite(y)) | (x == y)
        if equal_nan and x._spec.dtype.kind in "fc":
            near = near | (np.isnan(x) & np.isnan(y))
    return near


@implements(np.allclose)
def numpy_allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """`numpy.allclose`, as a bool."""
    return bool(BY_FUNCTION[np.all](numpy_isclose(a, b, rtol, atol, equal_nan)))


@implements(np.array_equal)
def numpy_array_equal(a1, a2, equal_nan=False):
    """`numpy.array_equal`, as a bool."""
    x, y = lift(a1), lift(a2)
    if x._spec.shape != y._spec.shape:
        return False
    same = x == y
    if equal_nan and x._spec.dtype.kind in "fc" and y._spec.dtype.kind in "fc":
        same = same | (np.isnan(x) & np.isnan(y))
    return bool(BY_FUNCTION[np.all](same))


@implements(np.array_equiv)
def numpy_array_equiv(a1, a2):
    """`numpy.array_equiv`, as a bool."""
    x, y = lift(a1), lift(a2)
    try:
        np.broadcast_shapes(x._spec.shape, y._spec.shape)
    except ValueError:
        return False
    return bool(BY_FUNCTION[np.all](x == y))
