"""Functions applied along axes, and what is left of NumPy's: real_if_close, sort_complex."""

from __future__ import annotations

import itertools

import numpy as np

from .combining import numpy_stack
from .core import BY_FUNCTION, implements, lift, ops
from .indexing import getitem
from .layout import view_of_function
from .picking import _plain
from .shape import cast, reshape_to


@implements(np.apply_along_axis)
def numpy_apply_along_axis(func1d, axis, arr, *args, **kwargs):
    """`numpy.apply_along_axis`."""
    x = lift(arr)
    axis = np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)
    moved = view_of_function(np.moveaxis, "Permute", x, axis, -1)
    lead = moved._spec.shape[:-1]
    if 0 in lead:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    lanes = itertools.product(*[range(n) for n in lead])
    parts = [lift(func1d(getitem(moved, at), *args, **kwargs)) for at in lanes]
    y = numpy_stack(parts)
    y = reshape_to(y, (*lead, *y._spec.shape[1:]))
    count = y._spec.ndim - len(lead)  # axes of one result: they take the place of the axis
    source = tuple(range(len(lead), len(lead) + count))
    return view_of_function(np.moveaxis, "Permute", y, source, tuple(range(axis, axis + count))) if count else y


@implements(np.apply_over_axes)
def numpy_apply_over_axes(func, a, axes):
    """`numpy.apply_over_axes`."""
    x = lift(a)
    ndim = x._spec.ndim
    for axis in np.atleast_1d(axes).tolist():
        y = lift(func(x, axis % ndim))
        if y._spec.ndim != ndim:
            y = BY_FUNCTION[np.expand_dims](y, axis % ndim)
            if y._spec.ndim != ndim:
                raise ValueError("function is not returning an array of the correct shape")
        x = y
    return x


@implements(np.real_if_close)
def numpy_real_if_close(a, tol=100):
    """`numpy.real_if_close`; whether the result is real depends on the values."""
    x = lift(a)
    if x._spec.dtype.kind != "c":
        return x
    if tol > 1:
        tol = np.finfo(x._spec.dtype).eps * tol
    return ops.real(x) if np.all(np.absolute(_plain(x).imag) < tol) else x


@implements(np.sort_complex)
def numpy_sort_complex(a):
    """`numpy.sort_complex`."""
    x = BY_FUNCTION[np.sort](lift(a))
    if x._spec.dtype.kind == "c":
        return x
    return cast(x, np.dtype("F" if x._spec.dtype.char in "bhBH" else "G" if x._spec.dtype.char == "g" else "D"))
