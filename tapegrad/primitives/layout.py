"""NumPy's functions that give a view: the same memory with axes permuted, reversed, dropped or added."""

from __future__ import annotations

import inspect
import operator

import numpy as np

from ..tape.handle import Tensor
from .core import BY_FUNCTION, implements, lift, ops
from .shape import expand_to, numpy_reshape, view_by

__all__ = ["view_of_function"]

_PLAIN = (int, tuple, str, type(None))


def view_of_function(function, label, x, *args, **kwargs):
    """The view of a tensor that a NumPy function makes; NumPy is asked once for each layout and argument."""
    key = None
    if all(type(v) in _PLAIN for v in args) and all(type(v) in _PLAIN for v in kwargs.values()):
        key = function, args, tuple(kwargs.items())
    return view_by(x, lambda a: function(a, *args, **kwargs), label, key)


def _register(function, label):
    first = next(iter(inspect.signature(function).parameters))

    def handler(*args, **kwargs):
        if args:
            return view_of_function(function, label, lift(args[0]), *args[1:], **kwargs)
        return view_of_function(function, label, lift(kwargs.pop(first)), **kwargs)

    handler.__name__ = handler.__qualname__ = f"numpy_{function.__name__}"
    handler.__doc__ = f"`numpy.{function.__name__}`."
    BY_FUNCTION[function] = handler


VIEWS = {
    np.transpose: "Permute",
    np.matrix_transpose: "Transpose",
    np.linalg.matrix_transpose: "Transpose",
    np.swapaxes: "Transpose",
    np.moveaxis: "Permute",
    np.rollaxis: "Permute",
    np.squeeze: "Squeeze",
    np.expand_dims: "Unsqueeze",
    np.flip: "Flip",
    np.fliplr: "Flip",
    np.flipud: "Flip",
    np.rot90: "Rot90",
    np.diagonal: "Diagonal",
    np.linalg.diagonal: "Diagonal",
}
for _function, _label in VIEWS.items():
    _register(_function, _label)


@implements(np.lib.stride_tricks.sliding_window_view)
def numpy_sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False):
    """`numpy.lib.stride_tricks.sliding_window_view`."""
    return view_of_function(np.lib.stride_tricks.sliding_window_view, "Unfold", lift(x), window_shape, axis)


def _atleast(function, arrays):
    made = []
    for a in arrays:
        x = lift(a)
        shape = function(np.broadcast_to(np.empty((), np.bool_), x._spec.shape)).shape
        made.append(numpy_reshape(x, shape))
    return made[0] if len(made) == 1 else tuple(made)


@implements(np.atleast_1d)
def numpy_atleast_1d(*arys):
    """`numpy.atleast_1d`."""
    return _atleast(np.atleast_1d, arys)


@implements(np.atleast_2d)
def numpy_atleast_2d(*arys):
    """`numpy.atleast_2d`."""
    return _atleast(np.atleast_2d, arys)


@implements(np.atleast_3d)
def numpy_atleast_3d(*arys):
    """`numpy.atleast_3d`."""
    return _atleast(np.atleast_3d, arys)


@implements(np.broadcast_arrays)
def numpy_broadcast_arrays(*args, subok=False):
    """`numpy.broadcast_arrays`."""
    tensors = [lift(a) for a in args]
    shape = np.broadcast_shapes(*[t._spec.shape for t in tensors])
    return tuple(expand_to(t, shape) for t in tensors)


@implements(np.meshgrid)
def numpy_meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    """`numpy.meshgrid`."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    vectors = [numpy_reshape(x, -1) for x in xi]
    n = len(vectors)
    order = list(range(n))
    if indexing == "xy" and n > 1:
        order[0], order[1] = 1, 0
    shape = [0] * n
    for k, x in enumerate(vectors):
        shape[order[k]] = x._spec.size
    grids = []
    for k, x in enumerate(vectors):
        grid = numpy_reshape(x, tuple(-1 if d == order[k] else 1 for d in range(n)))
        if not sparse:
            grid = expand_to(grid, tuple(shape))
        grids.append(ops.copy(grid) if copy else grid)
    return tuple(grids)


@implements(np.ix_)
def numpy_ix_(*args):
    """`numpy.ix_`; indices are plain, and floating coordinates of a grid keep their gradients."""
    plain = np.ix_(*[a.detach().numpy() if isinstance(a, Tensor) else a for a in args])
    return tuple(
        numpy_reshape(a, p.shape) if isinstance(a, Tensor) and p.dtype.kind in "fc" else p
        for a, p in zip(args, plain, strict=True)
    )


@implements(np.trace)
def numpy_trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    """`numpy.trace`."""
    if out is not None:
        raise NotImplementedError("trace: out= is not supported; use the value that it returns")
    return BY_FUNCTION[np.sum](
        view_of_function(np.diagonal, "Diagonal", lift(a), offset, axis1, axis2), axis=-1, dtype=dtype
    )


@implements(np.linalg.trace)
def linalg_trace(x, /, *, offset=0, dtype=None):
    """`numpy.linalg.trace`."""
    return numpy_trace(x, offset, -2, -1, dtype)


@implements(np.diag)
def numpy_diag(v, k=0):
    """`numpy.diag`."""
    x, k = lift(v), operator.index(k)
    if x._spec.ndim == 2:
        return view_of_function(np.diagonal, "Diagonal", x, k)
    if x._spec.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    n = x._spec.size + abs(k)
    step = x._spec.dtype.itemsize
    return ops.place(
        x,
        shape=(n, n),
        strides=((n + 1) * step,),
        offset=step * (k if k > 0 else -k * n),
        base_strides=(n * step, step),
    )


@implements(np.diagflat)
def numpy_diagflat(v, k=0):
    """`numpy.diagflat`."""
    return numpy_diag(numpy_reshape(v, -1), k)


def _triangle(m, mask_of, k):
    x = lift(m)
    rows, columns = x._spec.shape[-2:] if x._spec.ndim > 1 else (x._spec.shape * 2)[-2:]
    return ops.where(mask_of(rows, columns, k), x, np.zeros((), x._spec.dtype))


def _lower(rows, columns, k):
    return np.tri(rows, columns, k, dtype=np.bool_)


def _upper(rows, columns, k):
    return ~np.tri(rows, columns, k - 1, dtype=np.bool_)


@implements(np.tril)
def numpy_tril(m, k=0):
    """`numpy.tril`."""
    return _triangle(m, _lower, k)


@implements(np.triu)
def numpy_triu(m, k=0):
    """`numpy.triu`."""
    return _triangle(m, _upper, k)
