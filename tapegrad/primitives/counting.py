"""Reductions whose result has no derivative: truth, counts and positions."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import ZERO, implements, lift, ops, primitive
from .reduction import axes_of_ufunc, given, kept_shape, reduced_row, reduced_shape, refuse, refuse_empty
from .shape import reshape_to

_BOOL, _INT = np.dtype(np.bool_), np.dtype(np.intp)
_X = np.array([[1.0, 0.0, 3.0], [0.0, 0.0, -1.0]])
_SAMPLES = (
    ((_X,), {"axis": (0,), "keepdims": False}),
    ((_X,), {"axis": (0, 1), "keepdims": True}),
    ((np.array(2.0),), {"axis": (), "keepdims": False}),
    ((np.ones((0, 3)),), {"axis": (0,), "keepdims": False}),
)


@primitive(name="any")
class any_:
    """Whether any element along axes is true."""

    derivative = ZERO
    samples = _SAMPLES

    def infer(specs, attrs):
        return reduced_row(specs, attrs, _BOOL)

    def compute(x, axis, keepdims):
        return np.any(x, axis=axis, keepdims=keepdims)


@primitive(name="all")
class all_:
    """Whether all elements along axes are true."""

    derivative = ZERO
    samples = _SAMPLES

    def infer(specs, attrs):
        return reduced_row(specs, attrs, _BOOL)

    def compute(x, axis, keepdims):
        return np.all(x, axis=axis, keepdims=keepdims)


@primitive()
class count_nonzero:
    """Number of elements along axes that are not zero."""

    derivative = ZERO
    samples = _SAMPLES

    def infer(specs, attrs):
        return reduced_row(specs, attrs, _INT)

    def compute(x, axis, keepdims):
        return np.count_nonzero(x, axis=axis, keepdims=keepdims)


_ARG_SAMPLES = (
    ((_X,), {"axis": 0}),
    ((_X,), {"axis": 1}),
    ((np.array([2.0, np.nan, 1.0]),), {"axis": 0}),
)


@primitive()
class argmax:
    """Index of the first maximum along an axis."""

    derivative = ZERO
    samples = _ARG_SAMPLES

    def infer(specs, attrs):
        return spec_of(reduced_shape(specs[0].shape, (attrs["axis"],), False), _INT), op.KERNEL

    def compute(x, axis):
        return np.argmax(x, axis=axis)


@primitive()
class argmin:
    """Index of the first minimum along an axis."""

    derivative = ZERO
    samples = _ARG_SAMPLES

    def infer(specs, attrs):
        return spec_of(reduced_shape(specs[0].shape, (attrs["axis"],), False), _INT), op.KERNEL

    def compute(x, axis):
        return np.argmin(x, axis=axis)


def _reduce(record, a, axis, keepdims, out=None, where=None):
    refuse(record.name, out=out)
    x = lift(a)
    if given(where):
        x = ops.where(where, x != 0, record is all_)
    return record(x, axis=axes_of_ufunc(axis, x._spec.ndim), keepdims=bool(given(keepdims) and keepdims))


@implements(np.any)
def numpy_any(a, axis=None, out=None, keepdims=False, *, where=None):
    """`numpy.any`."""
    return _reduce(any_, a, axis, keepdims, out, where)


@implements(np.all)
def numpy_all(a, axis=None, out=None, keepdims=False, *, where=None):
    """`numpy.all`."""
    return _reduce(all_, a, axis, keepdims, out, where)


@implements(np.count_nonzero)
def numpy_count_nonzero(a, axis=None, *, keepdims=False):
    """`numpy.count_nonzero`."""
    return _reduce(count_nonzero, a, axis, keepdims)


def _position(record, function, a, axis, out, keepdims):
    refuse(record.name, out=out)
    x = lift(a)
    shape = x._spec.shape
    keepdims = bool(given(keepdims) and keepdims)
    if axis is None or (not shape and axis in (0, -1)):
        if not x._spec.size:
            refuse_empty(function, x._spec, None)
        y = record(reshape_to(x, (x._spec.size,)), axis=0)
        return reshape_to(y, (1,) * len(shape)) if keepdims else y
    axis = np.lib.array_utils.normalize_axis_index(axis, len(shape))
    if shape[axis] == 0:
        refuse_empty(function, x._spec, axis)
    y = record(x, axis=axis)
    return reshape_to(y, kept_shape(shape, (axis,))) if keepdims else y


@implements(np.argmax)
def numpy_argmax(a, axis=None, out=None, *, keepdims=False):
    """`numpy.argmax`."""
    return _position(argmax, np.argmax, a, axis, out, keepdims)


@implements(np.argmin)
def numpy_argmin(a, axis=None, out=None, *, keepdims=False):
    """`numpy.argmin`."""
    return _position(argmin, np.argmin, a, axis, out, keepdims)


def _nan_filled(a, fill):
    x = lift(a)
    return ops.where(ops.isnan(x), np.asarray(fill, x._spec.dtype), x) if x._spec.dtype.kind in "fc" else x


@implements(np.nanargmax)
def numpy_nanargmax(a, axis=None, out=None, *, keepdims=False):
    """`numpy.nanargmax`, without its error where all elements are NaN: the index is 0 there."""
    return numpy_argmax(_nan_filled(a, -np.inf), axis, out, keepdims=keepdims)


@implements(np.nanargmin)
def numpy_nanargmin(a, axis=None, out=None, *, keepdims=False):
    """`numpy.nanargmin`, without its error where all elements are NaN: the index is 0 there."""
    return numpy_argmin(_nan_filled(a, np.inf), axis, out, keepdims=keepdims)
