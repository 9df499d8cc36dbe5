"""Memory of a device: a pool of buffers, and arrays in them."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import Any

import numpy as np

from ..tape.spec import contiguous_strides, spec_of

__all__ = ["Block", "DeviceArray", "OutOfMemoryError", "Pool"]


class OutOfMemoryError(RuntimeError):
    """A device has no memory left."""


class Block:
    """A buffer, which goes back to its pool when nobody holds it any more."""

    def __init__(self, pool: Pool, buffer: Any, nbytes: int, owner: Any = None):
        self.pool, self.buffer, self.nbytes, self.owner = pool, buffer, nbytes, owner
        self.views: dict = {}

    def typed(self, dtype: np.dtype) -> Any:
        """The buffer as a flat array of a dtype."""
        found = self.views.get(dtype)
        if found is None:
            found = self.views[dtype] = self.pool.driver.typed(self.buffer, dtype)
        return found

    @functools.cached_property
    def address(self) -> int:
        """Where the buffer stands."""
        return self.pool.driver.address(self.buffer)

    def __del__(self) -> None:
        if self.owner is None:
            self.pool.give(self.buffer, self.nbytes)


class Pool:
    """Buffers of a device that were used before, by size.

    Work of a device is done in the order in which it was asked for, so a buffer may be handed out again before the
    kernels that used it have run.
    """

    def __init__(self, driver: Any):
        self.driver = driver
        self.idle: dict[int, list] = defaultdict(list)
        self.held = self.used = self.peak = 0

    def take(self, nbytes: int) -> Block:
        """A block of at least so many bytes.

        Raises
        ------
        OutOfMemoryError
            If the device has none, not even after what is idle was given back.
        """
        size = max(self._rounded(nbytes), 1)
        idle = self.idle.get(size)
        buffer = idle.pop() if idle else self._allocate(size)
        self.used += size
        self.peak = max(self.peak, self.used)
        return Block(self, buffer, size)

    def _rounded(self, nbytes: int) -> int:
        step = self.driver.granularity
        if nbytes > 64 * step:  # few sizes, so that blocks are used again: at most an eighth is wasted
            step = 1 << max(nbytes.bit_length() - 4, 0) if step > 1 else 1
        return -(-nbytes // step) * step

    def _allocate(self, size: int) -> Any:
        for attempt in (1, 2):
            try:
                buffer = self.driver.allocate(size)
                self.held += size
                return buffer
            except MemoryError:
                if attempt == 1:
                    self.empty()
        free, total = self.driver.memory_info()
        raise OutOfMemoryError(
            f"CUDA out of memory. Tried to allocate {_size(size)}. The device has {_size(total)}, of which "
            f"{_size(free)} are free and {_size(self.used)} are held by tensors and tapes; let go of tensors, free "
            f"graphs with backward(), or work on smaller pieces"
        )

    def give(self, buffer: Any, size: int) -> None:
        """Take a buffer back."""
        self.used -= size
        if self.driver.granularity == 1:  # the stand-in's: memory that is used again hides the use of old values
            self.held -= size
            self.driver.free(buffer)
        else:
            self.idle[size].append(buffer)

    def empty(self) -> None:
        """Give idle buffers back to the device."""
        for size, buffers in self.idle.items():
            for buffer in buffers:
                self.held -= size
                self.driver.free(buffer)
        self.idle.clear()


def _size(nbytes: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes = nbytes / 1024  # type: ignore[assignment]
    return f"{nbytes:.4g} GiB"


class _Flags:
    """What of `numpy.ndarray.flags` is asked of arrays."""

    writeable = True


class DeviceArray:
    """Elements in a block of a device's memory, laid out by shape and strides.

    Attributes
    ----------
    device : Device
    block : Block
    offset : int
        Bytes from the block's beginning to the first element.
    spec : Spec
        Layout and dtype, as of a host array.
    """

    __slots__ = ("block", "device", "offset", "spec")
    __array_ufunc__ = None  # NumPy must not look inside
    flags = _Flags()

    def __init__(self, device: Any, block: Block, offset: int, spec: Any):
        self.device, self.block, self.offset, self.spec = device, block, offset, spec

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.spec.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the elements."""
        return self.spec.dtype

    @property
    def nbytes(self) -> int:
        """Of the elements."""
        return self.spec.nbytes

    def view(self, spec: Any, offset: int = 0) -> DeviceArray:
        """Other elements of the same block."""
        return DeviceArray(self.device, self.block, self.offset + offset, spec.host.plain)

    def flat(self) -> Any:
        """The whole block as a flat array of this dtype, for kernels."""
        return self.block.typed(self.spec.dtype)

    @property
    def address(self) -> int:
        """Of the first element."""
        return self.block.address + self.offset

    @property
    def start(self) -> int:
        """Place of the first element in `flat`."""
        return self.offset // self.spec.dtype.itemsize

    @property
    def steps(self) -> tuple[int, ...]:
        """Strides in elements."""
        item = self.spec.dtype.itemsize
        return tuple([s // item for s in self.spec.strides])

    def to_host(self) -> np.ndarray:
        """A copy in the host's memory; waits for the device."""
        spec = self.spec
        if spec.size == 0:
            return np.empty(spec.shape, spec.dtype)
        self.device.settle()
        strides = spec.strides
        low = sum(s * (n - 1) for s, n in zip(strides, spec.shape, strict=True) if s < 0)
        high = sum(s * (n - 1) for s, n in zip(strides, spec.shape, strict=True) if s > 0)
        raw = self.device.driver.download(
            self.block.buffer, self.offset + low, high - low + spec.dtype.itemsize, self.device.stream
        )
        if spec.contiguous:
            return raw.view(spec.dtype).reshape(spec.shape)
        array = np.ndarray(spec.shape, spec.dtype, raw.data, -low, strides)
        return np.array(array)

    def copy(self) -> DeviceArray:
        """The same elements in memory of their own, contiguous."""
        from .kernels import copy_into

        made = self.device.empty(self.spec.dense)
        copy_into(made, self)
        return made

    def __add__(self, other: DeviceArray) -> DeviceArray:
        from .kernels import add_into

        made = self.copy()
        add_into(made, other)
        return made

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            f"memory first."
        )


def dense(shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """The spec of a contiguous host array."""
    return spec_of(shape, dtype, contiguous_strides(shape, dtype.itemsize))
