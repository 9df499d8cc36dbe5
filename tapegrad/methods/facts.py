"""What a tensor says of itself: shape, dtype, size and place; and conversions to other dtypes."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..creation import tensor
from ..primitives.core import lift, ops
from ..tape.handle import Tensor, attach
from ..tape.memory import address_of
from ..tape.size import Size
from ..values import value_of
from .naming import named

__all__ = ["is_tensor"]


_sizes: dict[tuple[int, ...], Size] = {}


def _size(self):
    """Number of elements; ``x.size()`` is the shape, ``x.size(d)`` the length of an axis."""
    shape = self._spec.shape
    found = _sizes.get(shape)
    if found is None:
        found = _sizes[shape] = Size(shape)
    return found


def is_tensor(x: object) -> bool:
    """Whether an object is a `Tensor`."""
    return isinstance(x, Tensor)


_DTYPES = {
    "half": np.float16, "float": np.float32, "double": np.float64, "byte": np.uint8, "char": np.int8,
    "short": np.int16, "int": np.int32, "long": np.int64, "bool": np.bool_, "cfloat": np.complex64,
    "cdouble": np.complex128,
}  # fmt: skip


def _conversion(name, dtype):
    dtype = np.dtype(dtype)

    def method(self):
        return lift(self, dtype)

    named(name, method, f"The same elements in {dtype.name}; the tensor itself if it has that dtype.")


for _name, _dtype in _DTYPES.items():
    _conversion(_name, _dtype)


def _astype(self, dtype, *, copy=False):
    """The same elements in another dtype; the tensor itself if it has that one and no copy is asked for."""
    dtype = np.dtype(dtype)
    return ops.copy(self) if copy and self._spec.dtype == dtype else lift(self, dtype)


def _to(self, *args, dtype=None, device=None, copy=False, **ignored):
    """The same elements in another dtype, on another device, or as another tensor has them."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg._spec.dtype, arg.device
        elif (isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda")) or hasattr(arg, "driver"):
            device = arg
        elif isinstance(arg, bool):
            copy = copy or (arg if arg is args[-1] and len(args) > 2 else False)
        else:
            dtype = arg
    made = self if device is None else _on(self, device)
    return _astype(made, self._spec.dtype if dtype is None else dtype, copy=copy and made is self)


def _on(self, device):
    """The tensor on a device: itself if it is there."""
    if device == "cpu":
        place = None
    else:
        from ..cuda import device_of

        place = device_of(device)
    own = self._spec.device
    if place is own:
        return self
    if own is not None:
        self = own.fetch(self)
    return self if place is None else place.bring(self)


def _cpu(self):
    """The tensor on the host: itself if it is there."""
    return self if self._spec.device is None else _on(self, "cpu")


def _cuda(self, device=None):
    """The tensor on a GPU: itself if it is there."""
    return _on(self, "cuda" if device is None else device)


def _device(self):
    """Where the memory is: ``'cpu'``, or a device of `tapegrad.cuda`."""
    return "cpu" if self._spec.device is None else self._spec.device


def _data_ptr(self):
    """Address of the first element."""
    device = self._spec.device
    return address_of(value_of(self)) if device is None else device.address_of(self)


def _type(self, dtype: DTypeLike | None = None):
    """The name of the tensor's type, or the tensor converted to a dtype."""
    if dtype is None:
        return f"tapegrad.{self._spec.dtype.name.capitalize()}Tensor"
    return lift(self, np.dtype(dtype))


def _type_as(self, other):
    """The same elements in the dtype of another tensor."""
    return lift(self, other._spec.dtype)


def _new(make):
    def method(self, *size, dtype=None, requires_grad=False):
        shape = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
        return tensor(make(shape, dtype or self._spec.dtype), requires_grad=requires_grad)

    return method


def _new_full(self, size, fill_value, dtype=None, requires_grad=False):
    """A tensor of one value, of this one's dtype."""
    return tensor(np.full(size, fill_value, dtype or self._spec.dtype), requires_grad=requires_grad)


def _new_tensor(self, data, dtype=None, requires_grad=False):
    """A tensor with a copy of the data, of this one's dtype."""
    return tensor(data, dtype or self._spec.dtype, requires_grad)


def _itself(self):
    """The tensor itself."""
    return self


def _at(x):
    """Where a tensor's elements stand."""
    return address_of(value_of(x)), x._spec.shape, x._spec.strides, x._spec.dtype


def _dim(self):
    """Number of axes."""
    return self._spec.ndim


def _numel(self):
    """Number of elements."""
    return self._spec.size


def _len(self):
    if not self._spec.shape:
        raise TypeError("len() of a 0-d tensor")
    return self._spec.shape[0]


named("new_zeros", _new(np.zeros), "Zeros of this tensor's dtype; the shape as numbers or as one tuple.")
named("new_ones", _new(np.ones), "Ones of this tensor's dtype; the shape as numbers or as one tuple.")
named("new_empty", _new(np.zeros), "Zeros of this tensor's dtype; the shape as numbers or as one tuple.")


def _refuse_shape(self, shape):
    raise AttributeError(
        f"the shape of a tensor is not assigned: it is {self._spec.shape}, and {shape} was given; "
        f"use y = y.reshape(shape)"
    )


attach(
    shape=property(lambda self: self._spec.shape, _refuse_shape, doc="Lengths of the axes."),
    size=property(_size),
    ndim=property(lambda self: self._spec.ndim, doc="Number of axes."),
    dtype=property(lambda self: self._spec.dtype, doc="NumPy dtype."),
    nbytes=property(lambda self: self._spec.nbytes, doc="Bytes of the elements."),
    itemsize=property(lambda self: self._spec.dtype.itemsize, doc="Bytes of one element."),
    strides=property(lambda self: self._spec.strides, doc="Steps in memory along the axes, in bytes."),
    device=property(_device),
    is_cuda=property(lambda self: self._spec.device is not None, doc="Whether the memory is on a GPU."),
    is_sparse=property(lambda self: False, doc="Whether only some elements are stored: never."),
    dim=_dim,
    ndimension=_dim,
    numel=_numel,
    nelement=_numel,
    element_size=lambda self: self._spec.dtype.itemsize,
    storage_offset=lambda self: self._offset // self._spec.dtype.itemsize,
    data_ptr=_data_ptr,
    is_contiguous=lambda self: self._spec.contiguous,
    is_floating_point=lambda self: self._spec.dtype.kind == "f",
    is_complex=lambda self: self._spec.dtype.kind == "c",
    is_signed=lambda self: self._spec.dtype.kind in "ifc",
    is_nonzero=lambda self: bool(self),
    is_same_size=lambda self, other: self._spec.shape == other._spec.shape,
    astype=_astype,
    to_dtype=_astype,
    to=_to,
    type=_type,
    type_as=_type_as,
    cpu=_cpu,
    cuda=_cuda,
    pin_memory=_itself,
    resolve_conj=_itself,
    resolve_neg=_itself,
    is_cpu=property(lambda self: self._spec.device is None, doc="Whether the memory is the machine's."),
    is_conj=lambda self: False,
    is_neg=lambda self: False,
    is_set_to=lambda self, other: _at(self) == _at(other),
    new_full=_new_full,
    new_tensor=_new_tensor,
    __len__=_len,
)
