"""Sharing memory with other libraries: `__cuda_array_interface__` and DLPack, in both directions and without copies.

References
----------
.. [1] https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html, version 3.
.. [2] https://dmlc.github.io/dlpack/latest/c_api.html, version 0.8: the structures below.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..tape.handle import Tensor, attach
from ..tape.spec import spec_of
from .device import devices
from .memory import Block, DeviceArray

__all__ = ["as_tensor", "from_dlpack", "lend"]

_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_KINDS = {code: kind for kind, code in _CODES.items()}


def _array(tensor: Tensor) -> DeviceArray:
    """The memory of a tensor that is to be shared."""
    device = tensor._spec.device
    if device is None:
        raise AttributeError(
            f"Can't get __cuda_array_interface__ on non-CUDA tensor type: {tensor.type()}. If CUDA data is required "
            f"use tensor.cuda() to copy tensor to device memory."
        )
    if tensor.requires_grad:
        raise RuntimeError(
            "Can't share the memory of a Tensor that requires grad, since writes to it would go unseen: use "
            "tensor.detach()"
        )
    return device.array_of(tensor)


def _interface(self: Tensor) -> dict:
    """The memory as other libraries for CUDA describe it."""
    array = _array(self)
    array.device.synchronize()
    return {
        "shape": array.shape,
        "typestr": array.dtype.str,
        "data": (array.device.driver.address(array.block.buffer) + array.offset, False),
        "strides": None if array.spec.contiguous else array.spec.strides,
        "stream": None,
        "version": 3,
    }


def as_tensor(data: Any) -> Tensor:
    """A tensor over the memory of an object with `__cuda_array_interface__`, such as a CuPy array.

    Parameters
    ----------
    data : object

    Returns
    -------
    Tensor
        Without a copy; writes to one are seen in the other.

    Raises
    ------
    TypeError
        If the object has no such interface, or elements that are no numbers, or a mask.
    """
    described = getattr(data, "__cuda_array_interface__", None)
    if described is None:
        raise TypeError(
            f"{type(data).__name__} has no __cuda_array_interface__: use tapegrad.tensor(data, device='cuda')"
        )
    dtype = np.dtype(described["typestr"])
    if described.get("mask") is not None:
        raise TypeError("this memory has a mask, which tensors have not: fill what is masked first")
    if described.get("stream"):
        devices()[0].driver.join(described["stream"])  # work there may still be writing the memory
    return _over(described["data"][0], tuple(described["shape"]), described.get("strides"), dtype, data)


def _over(address: int, shape: tuple, strides: Any, dtype: np.dtype, owner: Any) -> Tensor:
    """A tensor over memory at an address."""
    if dtype.kind not in "biufc":
        raise TypeError(f"a tensor holds numbers or booleans; this memory has dtype {dtype}")
    device = devices()[0]
    spec = spec_of(shape, dtype, None if strides is None else tuple(strides))
    buffer = device.driver.foreign(address + spec.low, max(spec.extent, 1), owner)
    block = Block(device.pool, buffer, spec.extent, owner=owner)
    return device.tensor_over(DeviceArray(device, block, -spec.low, spec))


# --- DLPack ----------------------------------------------------------------------------------------------------------


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = (("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))
_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
_python.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)
_lent: dict[int, tuple] = {}
"""What capsules point to, until whoever took them says that they are done."""


@_Deleter
def _take_back(managed: Any) -> None:
    _lent.pop(ctypes.addressof(managed.contents), None)


def lend(tensor: Tensor) -> Any:
    """A capsule through which another library takes part in a tensor's memory."""
    array = _array(tensor)
    array.device.synchronize()
    ndim = len(array.shape)
    shape, steps = (ctypes.c_int64 * ndim)(*array.shape), (ctypes.c_int64 * ndim)(*array.steps)
    managed = _Managed()
    lent = managed.tensor
    lent.data = array.device.driver.address(array.block.buffer) + array.offset
    lent.device_type, lent.device_id = array.device.dlpack_device
    lent.ndim, lent.shape, lent.strides = ndim, shape, steps
    lent.code, lent.bits, lent.lanes = _CODES[array.dtype.kind], 8 * array.dtype.itemsize, 1
    managed.deleter = _take_back
    address = ctypes.addressof(managed)
    _lent[address] = managed, shape, steps, array
    return _python.PyCapsule_New(address, b"dltensor", None)


def from_dlpack(data: Any) -> Tensor:
    """A tensor over memory that another library shares by DLPack, without a copy.

    Parameters
    ----------
    data : object
        With `__dlpack__`, such as a PyTorch tensor or a JAX array on the GPU.

    Returns
    -------
    Tensor
    """
    found = data.__dlpack_device__()
    if found != devices()[0].dlpack_device:
        raise ValueError(f"this memory is on DLPack's device {found}, not on {devices()[0]}: use tapegrad.tensor(data)")
    capsule = data.__dlpack__()
    managed = _Managed.from_address(_python.PyCapsule_GetPointer(capsule, b"dltensor"))
    _python.PyCapsule_SetName(capsule, b"used_dltensor")
    given = managed.tensor
    dtype = np.dtype(f"{_KINDS[given.code]}{given.bits // 8}")
    shape = tuple(given.shape[k] for k in range(given.ndim))
    strides = None
    if given.strides:
        strides = tuple(given.strides[k] * dtype.itemsize for k in range(given.ndim))
    return _over(given.data + given.byte_offset, shape, strides, dtype, _Owner(managed))


class _Owner:
    """Tells whoever shared some memory when nobody here uses it any more."""

    def __init__(self, managed: _Managed):
        self.managed = managed

    def __del__(self) -> None:
        if self.managed.deleter:
            self.managed.deleter(ctypes.pointer(self.managed))


attach(__cuda_array_interface__=property(_interface))
