"""Memory by address: where an array stands, and an array where memory stands."""

from __future__ import annotations

import ctypes
import functools
import math

import numpy as np

from .spare import LARGE, borrowed
from .spec import spec_of

__all__ = ["address_of", "aligned", "aligned_copy", "array_at", "copied", "copy_array", "empty_array", "scalar_at"]

_BYTE = np.dtype(np.uint8)
_probe = np.zeros(1, np.int64)


_DATA = object.__basicsize__  # in PyArrayObject, a public struct, `data` comes first after the object's head
_WORDS = (ctypes.c_size_t * (1 << 59)).from_address(0)  # all memory, as machine words


def address_of(array: np.ndarray) -> int:
    """Where an array's first element stands; much faster than ``array.ctypes.data``. Nothing but an array will do."""
    return _WORDS[id(array) + _DATA >> 3]


if address_of(_probe) != _probe.ctypes.data:
    raise ImportError(
        f"NumPy {np.__version__} lays PyArrayObject out differently; tapegrad supports NumPy 2.0 and newer"
    )


LINE = 64
"""Bytes of a line of the cache, and of the widest vectors."""
WORTH_ALIGNING = 1 << 12


def aligned(shape, dtype) -> np.ndarray:
    """An uninitialised array that begins with a line of the cache if it is large.

    NumPy's own begin 16 bytes behind one: each vector lies across two lines then, and loops take up to twice the time.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < WORTH_ALIGNING:
        return np.empty(shape, dtype)
    if size >= LARGE:
        return borrowed(shape, dtype, size, LINE)
    room = np.empty(size + LINE - 1, np.uint8)
    return np.ndarray(shape, dtype, room, -address_of(room) % LINE)


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A copy of an array, in C order, as `aligned`."""
    if array.nbytes < WORTH_ALIGNING:
        return array.copy()
    copy = aligned(array.shape, array.dtype)
    copy[...] = array
    return copy


class _Memory:
    """Tells NumPy of memory at an address, and keeps its owner alive."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, address, spec, owner):
        self.owner = owner
        self.__array_interface__ = {
            "data": (address, False),
            "shape": spec.shape,
            "strides": spec.strides,
            "typestr": spec.dtype.str,
            "version": 3,
        }


def array_at(address: int, spec, owner=None) -> np.ndarray:
    """The NumPy array of that spec at an address."""
    if spec.size == 0:
        return np.empty(spec.shape, spec.dtype)
    return np.asarray(_Memory(address, spec, owner))


def scalar_at(address: int, dtype: np.dtype):
    """The NumPy scalar that stands at an address."""
    return np.frombuffer(_room(dtype.itemsize).from_address(address), dtype)[0]


@functools.cache
def _room(nbytes: int):
    return ctypes.c_char * nbytes


def copy_array(array, spec) -> np.ndarray:
    """A copy in the very layout that the spec says."""
    if spec.contiguous:
        return aligned_copy(array)
    memory = array_at(address_of(array) + spec.low, spec_of((spec.extent,), _BYTE), array).copy()
    return array_at(address_of(memory) - spec.low, spec, memory)


def copied(address: int, spec) -> np.ndarray:
    """A copy of what stands at an address, in C order."""
    made = aligned(spec.shape, spec.dtype)
    ctypes.memmove(address_of(made), int(address), spec.nbytes)
    return made


def empty_array(spec) -> np.ndarray:
    """An uninitialised array of a spec's very layout; no two of its elements may share memory."""
    if spec.contiguous:
        return aligned(spec.shape, spec.dtype)
    memory = np.empty(max(spec.extent, 1), np.uint8)
    return array_at(address_of(memory) - spec.low, spec, memory)
