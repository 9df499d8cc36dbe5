"""Parts of a tensor along an axis, as views: one place, neighbours, windows, or all parts at once."""

from __future__ import annotations

import operator

import numpy as np

from ..errors import ShapeError
from ..operators import attach_operators
from ..primitives.core import BY_FUNCTION, ops
from ..primitives.indexing import getitem
from ..primitives.scan import along
from ..primitives.shape import view_by
from ..tape.handle import attach
from .naming import named
from .numbers import by_numbers
from .reductions import _axis

__all__: list[str] = []

_WHOLE = slice(None)


def _part(x, dim, index, label):
    """The view ``x[:, ..., index]``, named."""
    made = operator.itemgetter((*along(x._spec.ndim, dim, index), Ellipsis))
    part = view_by(x, made, label)
    if label in ("Split", "Unbind"):
        part._one_of_many = label
    return part


def _select(self, dim, index):
    """One place along an axis, which goes."""
    if self._spec.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim, index = _axis(self, dim), operator.index(index)
    n = self._spec.shape[dim]
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(self._spec.shape)} at dimension {dim}"
        )
    if self._spec.ndim == 1:  # an element, which is a view here even where `x[index]` is none
        return getitem(self, index)
    return self[(*(_WHOLE,) * dim, index)] if dim else self[index]


def _narrow(self, dim, start, length):
    """Some neighbouring places along an axis."""
    if self._spec.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim, start = _axis(self, dim), operator.index(start)
    n = self._spec.shape[dim]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    if length == n:  # a slice by name, which `x[:]` is not
        return _part(self, dim, slice(0, n), "Slice")
    part = slice(start, start + length)
    return self[(*(_WHOLE,) * dim, part)] if dim else self[part]


def _narrow_copy(self, dim, start, length):
    """`narrow`, as a copy."""
    return ops.copy(_narrow(self, dim, start, length))


def _diagonal(self, offset=0, axis1=0, axis2=1, *, dim1=None, dim2=None):
    """`numpy.diagonal` of the tensor; also with ``dim1=`` and ``dim2=``."""
    a, b = (axis1 if dim1 is None else dim1), (axis2 if dim2 is None else dim2)
    if self._spec.ndim > 1 and _axis(self, a) == _axis(self, b):
        raise ShapeError(f"diagonal dimensions cannot be identical {a}, {b}")
    return BY_FUNCTION[np.diagonal](self, offset, a, b)


def _unfold(self, dimension, size, step):
    """All windows of a length along an axis, which overlap where they are longer than the step; windows stand last."""
    if self._spec.ndim == 0:
        return self.view(1) if size == 1 else self.view(1).unfold(0, size, step)
    dim = _axis(self, dimension)
    n = self._spec.shape[dim]
    if size > n or size < 0:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")

    def windows(array):
        shape = (*array.shape[:dim], (n - size) // step + 1, *array.shape[dim + 1 :], size)
        stride = array.strides[dim]
        strides = (*array.strides[:dim], stride * step, *array.strides[dim + 1 :], stride)
        return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)

    return view_by(self, windows, "Unfold", ("unfold", dim, size, step))


def _split(self, split_size, dim=0):
    """Parts of a length along an axis (the last may be shorter), or of the lengths given."""
    if self._spec.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim, n = _axis(self, dim), self._spec.shape[_axis(self, dim)]
    if isinstance(split_size, (list, tuple)):
        lengths = list(split_size)
        if sum(lengths) != n or min(lengths, default=0) < 0:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), "
                f"but got split_sizes={lengths}"
            )
    else:
        if split_size < 0 or (split_size == 0 and n):
            raise RuntimeError(f"split expects split_size be positive, but got split_size={split_size}")
        lengths = [min(split_size, n - k) for k in range(0, n, split_size)] if n else [0]
    starts = np.cumsum([0, *lengths]).tolist()
    return tuple(_part(self, dim, slice(a, a + k), "Split") for a, k in zip(starts, lengths, strict=False))


def _chunk(self, chunks, dim=0):
    """At most so many parts of equal length along an axis (the last may be shorter)."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = self._spec.shape[_axis(self, dim)] if self._spec.ndim else 0
    return _split(self, max(-(-n // chunks), 1), dim)


def _tensor_split(self, indices_or_sections, dim=0):
    """`numpy.array_split` of the tensor."""
    return tuple(BY_FUNCTION[np.array_split](self, indices_or_sections, dim))


def _unbind(self, dim=0):
    """All places along an axis."""
    if self._spec.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    axis = _axis(self, dim)
    return tuple(_part(self, axis, k, "Unbind") for k in range(self._spec.shape[axis]))


def _unsafe_split(self, split_size, dim=0):
    """`split`; the parts may be written."""
    return tuple([_one(part) for part in _split(self, split_size, dim)])


def _unsafe_chunk(self, chunks, dim=0):
    """`chunk`; the parts may be written."""
    return tuple([_one(part) for part in _chunk(self, chunks, dim)])


def _one(part):
    part._one_of_many = None
    return part


def _split_by(function):
    def method(self, indices_or_sections):
        return tuple(BY_FUNCTION[function](self, indices_or_sections))

    return named(function.__name__, method, f"`numpy.{function.__name__}` of the tensor.")


for _splitter in (np.hsplit, np.vsplit, np.dsplit):
    _split_by(_splitter)


attach_operators(
    select=by_numbers(_select),
    narrow=by_numbers(_narrow),
    diagonal=by_numbers(_diagonal),
)
attach(
    unfold=_unfold,
    split=_split,
    split_with_sizes=_split,
    chunk=_chunk,
    tensor_split=_tensor_split,
    unbind=_unbind,
    narrow_copy=_narrow_copy,
    unsafe_split=_unsafe_split,
    unsafe_split_with_sizes=_unsafe_split,
    unsafe_chunk=_unsafe_chunk,
)
