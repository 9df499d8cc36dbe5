"""The same elements in another shape or order of axes, under PyTorch's names and NumPy's."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..errors import ShapeError
from ..operators import attach_operators
from ..primitives.core import BY_FUNCTION, ops
from ..primitives.layout import view_of_function
from ..primitives.matmul import adjoint
from ..primitives.shape import expand_to, fitted, numpy_reshape, reshape_to, view_by, view_of
from ..tape.handle import attach
from .numbers import by_numbers, ints
from .reductions import _axis

__all__: list[str] = []


def _fitted(x, shape):
    """A shape with its -1 worked out, or PyTorch's error."""
    try:
        return fitted(x._spec.shape, shape)
    except ValueError:
        raise ShapeError(
            f"shape '{list(shape)}' is invalid for input of size {x._spec.size}: its shape is {x._spec.shape}"
        ) from None


def _view(self, *shape):
    """The same memory in another shape, or in the same one, as `numpy.ndarray.view`.

    Raises
    ------
    RuntimeError
        If the elements do not stand in memory as that shape would need them: `reshape` copies then.
    """
    if len(shape) == 1 and isinstance(shape[0], (str, np.dtype, type)):
        raise TypeError(
            f"view({shape[0]!r}): the bits of a tensor cannot be seen in another dtype; use x.astype(dtype), which "
            f"converts, or x.detach().numpy().view(dtype)"
        )
    if not shape:
        return view_by(self, np.ndarray.view, "View", "view")
    shape = _fitted(self, ints(shape))
    try:
        return view_by(self, _Viewed(shape), "View", ("view", shape))
    except ValueError:
        raise ShapeError(
            f"view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            f"contiguous subspaces): shape {self._spec.shape} to {shape}. Use .reshape(...) instead."
        ) from None


class _Viewed:
    """Reshapes without a copy, or raises ValueError."""

    def __init__(self, shape):
        self.shape = shape

    def __call__(self, array):
        try:
            return np.reshape(array, self.shape, copy=False)
        except TypeError:  # NumPy 2.0 has no `copy`, and its arrays take a new shape by assignment
            array = array[...]
            array.shape = self.shape
            return array


def _view_as(self, other):
    """`view` in the shape of another tensor."""
    return _view(self, *other._spec.shape)


def _reshape(self, *shape, order="C"):
    """`numpy.reshape` of the tensor; the shape as numbers or as one tuple."""
    if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)):
        shape = tuple(shape[0]) if type(shape[0]) is list else shape[0]
        if shape.__class__ is tuple and order == "C" and len(shape) > 1 and all([n.__class__ is int for n in shape]):
            return self.reshape(*shape)  # which remembers views by numbers
    try:
        return numpy_reshape(self, shape, order=order)
    except ValueError as error:
        if order != "C" or isinstance(error, ShapeError):
            raise
        _fitted(self, shape)
        raise


def _reshape_as(self, other):
    """`reshape` in the shape of another tensor."""
    return numpy_reshape(self, other._spec.shape)


def _transpose(self, *axes, dim0=None, dim1=None):
    """Axes permuted as by `numpy.transpose`, or two of them swapped as in PyTorch.

    Two numbers are two axes to swap, unless the tensor is a matrix: there they could be a permutation as well, and
    where that would not be the swap, neither is done.

    Raises
    ------
    ValueError
        If PyTorch and NumPy would give different results.
    """
    if dim0 is not None:
        return _swap(self, dim0, dim1)
    if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)):
        axes = axes[0]
    elif len(axes) == 2 and (self._spec.ndim != 2 or not all([-2 <= a < 2 for a in axes])):
        return _swap(self, *axes)
    elif len(axes) == 2 and tuple(a % 2 for a in axes) == (0, 1):
        raise ValueError(
            f"transpose{axes} of a matrix leaves it as it is in NumPy, and transposes it in PyTorch: write x.T, "
            f"x.swapaxes{axes} or x.permute{axes}"
        )
    return BY_FUNCTION[np.transpose](self, axes or None)


def _swap(self, dim0, dim1):
    """Two axes swapped."""
    return view_of_function(np.swapaxes, "Transpose", self, _axis(self, dim0), _axis(self, dim1))


def _swapaxes(self, axis0, axis1):
    """Two axes swapped."""
    if self._spec.ndim == 0:
        _axis(self, axis0), _axis(self, axis1)
        return view_by(self, np.ndarray.view, "Transpose", "view")
    return _swap(self, axis0, axis1)


def _t(self):
    """The transpose of a matrix; a vector as it is."""
    if self._spec.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {self._spec.ndim}D")
    return view_by(self, np.transpose, "T", "T")


def _matrix_transpose(self):
    """The last two axes swapped."""
    if self._spec.ndim < 2:
        raise ShapeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {self._spec.ndim}-D tensor."
        )
    return _swap(self, -2, -1)


def _adjoint(self):
    """Conjugate transpose of the last two axes."""
    return adjoint(self)


def _permute(self, *dims):
    """The axes in another order."""
    dims = ints(dims)
    if len(dims) != self._spec.ndim:
        raise RuntimeError(
            f"permute: number of dimensions in the tensor input does not match the length of the desired ordering of "
            f"dimensions i.e. input.dim() = {self._spec.ndim} is not equal to len(dims) = {len(dims)}"
        )
    dims = tuple(_axis(self, d) for d in dims)
    if len(set(dims)) != len(dims):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return view_of_function(np.transpose, "Permute", self, dims)


def _movedim(self, source, destination):
    """Axes moved to other places."""
    many = isinstance(source, (tuple, list))
    source, destination = ints((source,)), ints((destination,))
    if len(source) != len(destination):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(source)} dims) should contain the same number "
            f"of dims as destination ({list(destination)} dims)"
        )
    places = [tuple(_axis(self, d) for d in dims) for dims in (source, destination)]
    return view_of_function(np.moveaxis, "Permute", self, *(places if many else [p[0] for p in places]))


def _unsqueeze(self, dim):
    """A new axis of length one before `dim`."""
    ndim = self._spec.ndim
    if not -ndim - 1 <= dim <= ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim - 1}, {ndim}], but got {dim})")
    return view_of_function(np.expand_dims, "Unsqueeze", self, dim)


def _squeeze(self, axis=None, *, dim=None):
    """Without axes of length one: all, or those named. By ``dim=`` as in PyTorch, longer ones are left as they are."""
    if dim is None:
        axis = tuple(axis) if isinstance(axis, list) else axis
        return view_of_function(np.squeeze, "Squeeze", self, axis)
    dims = tuple(_axis(self, d) for d in ints((dim,)))
    return view_of_function(np.squeeze, "Squeeze", self, tuple(d for d in dims if self._spec.shape[d:][:1] == (1,)))


def _expand(self, *sizes):
    """Axes of length one repeated without a copy; -1 leaves a length as it is."""
    sizes, shape = ints(sizes), self._spec.shape
    lead = len(sizes) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand({list(sizes)}): the number of sizes provided ({len(sizes)}) must be greater or equal to the "
            f"number of dimensions in the tensor ({len(shape)})"
        )
    target = []
    for d, n in enumerate(sizes):
        have = shape[d - lead] if d >= lead else None
        if n == -1 and have is None:
            raise RuntimeError(
                f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {d}"
            )
        if have not in (None, 1, n) and n != -1:
            raise ShapeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at non-singleton "
                f"dimension {d}.  Target sizes: {list(sizes)}.  Tensor sizes: {list(shape)}"
            )
        target.append(have if n == -1 else n)
    return _expanded(self, tuple(target))


def _expanded(x, shape):
    made = expand_to(x, shape)
    return view_by(x, np.ndarray.view, "Expand", ("expand",)) if made is x else made


def _expand_as(self, other):
    """`expand` to the shape of another tensor."""
    return _expand(self, *other._spec.shape)


def _as_strided(self, size, stride, storage_offset=None):
    """A view of the memory by shape and strides, counted in elements."""
    item, spec = self._spec.dtype.itemsize, self._spec
    strides = tuple(s * item for s in ints((stride,)))
    size = ints((size,))
    if len(size) != len(strides) or any(n < 0 for n in (*size, *strides)):
        raise RuntimeError(
            f"as_strided: sizes {list(size)} and strides {[s // item for s in strides]} must be as many as one "
            f"another, and none of them negative"
        )
    offset = 0 if storage_offset is None else operator.index(storage_offset) * item - self._offset
    reach = offset + sum(s * (n - 1) for s, n in zip(strides, size, strict=True)) + item
    if 0 not in size and (offset < spec.low or reach > spec.low + spec.extent):
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)} and storage offset {storage_offset} go out of "
            f"bounds for a tensor of shape {spec.shape}"
        )
    return view_of(self, size, strides, offset, "AsStrided")


def _flatten(self, start_dim=None, end_dim=-1, *, order="C"):
    """One-dimensional, as a copy (NumPy's method); with axes to join, PyTorch's, a view where that is possible."""
    if isinstance(start_dim, str):
        start_dim, order = None, start_dim
    if start_dim is None and end_dim == -1:
        return ops.copy(BY_FUNCTION[np.ravel](self, order=order))
    shape = self._spec.shape
    first, last = _axis(self, start_dim or 0), _axis(self, end_dim)
    if not shape:
        return numpy_reshape(self, (1,))
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return numpy_reshape(self, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def _unflatten(self, dim, sizes):
    """One axis made several."""
    axis, sizes, shape = _axis(self, dim), ints((sizes,)), self._spec.shape
    known = math.prod(n for n in sizes if n != -1)
    if (sizes.count(-1) == 0 and known != shape[axis]) or (known and shape[axis] % known) or sizes.count(-1) > 1:
        raise ShapeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({shape[axis]}) in "
            f"the input tensor"
        )
    sizes = tuple(shape[axis] // known if n == -1 else n for n in sizes)
    return _view(self, *shape[:axis], *sizes, *shape[axis + 1 :])


def _contiguous(self):
    """The tensor itself if its elements stand one after another in memory, else a copy."""
    return self if self._spec.contiguous else ops.copy(self)


def _is_view(self):
    """Whether the tensor is a differentiable view of another, its `_base`."""
    return self._base is not None


def _stride(self, dim=None):
    """Steps in memory from one element to the next, counted in elements; of all axes or of one."""
    item = self._spec.dtype.itemsize
    steps = tuple(s // item for s in self._spec.strides)
    return steps if dim is None else steps[_axis(self, dim)]


def _sum_to_size(self, *size):
    """Summed over axes that were broadcast, to a shape."""
    size = ints(size)
    pairs = zip(reversed(size), reversed(self._spec.shape), strict=False)
    if len(size) > self._spec.ndim or any(n not in (1, m) for n, m in pairs):
        raise ShapeError(f"size {list(size)} is not expandable to size {list(self._spec.shape)}.")
    lead = self._spec.ndim - len(size)
    axes = (*range(lead), *(lead + d for d, n in enumerate(size) if n == 1 != self._spec.shape[lead + d]))
    return reshape_to(ops.sum(self, axis=axes, keepdims=False), size) if axes else self


attach_operators(
    view=by_numbers(_view),
    reshape=by_numbers(_reshape),
    transpose=by_numbers(_transpose),
    swapaxes=by_numbers(_swapaxes),
    permute=by_numbers(_permute),
    unsqueeze=by_numbers(_unsqueeze),
    squeeze=by_numbers(_squeeze),
    expand=by_numbers(_expand),
    flatten=by_numbers(_flatten),
)
attach(
    view_as=_view_as,
    reshape_as=_reshape_as,
    swapdims=_swapaxes,
    t=_t,
    T=property(lambda self: view_by(self, np.transpose, "Permute", "permuted"), doc="Axes reversed."),
    mT=property(_matrix_transpose, doc="The last two axes swapped."),
    H=property(_adjoint, doc="Conjugate transpose."),
    mH=property(_adjoint, doc="Conjugate transpose of the last two axes."),
    adjoint=_adjoint,
    movedim=_movedim,
    moveaxis=_movedim,
    expand_as=_expand_as,
    as_strided=_as_strided,
    unflatten=_unflatten,
    contiguous=_contiguous,
    stride=_stride,
    sum_to_size=_sum_to_size,
    _is_view=_is_view,
)
