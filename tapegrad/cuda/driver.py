"""What a device can do: hold memory, copy it, run kernels. One class for hardware, one for the stand-in.

Nothing else knows which of the two is at work. Memory is handled as raw buffers; kernels see them as flat arrays of
one dtype and work out places themselves.
"""

from __future__ import annotations

import functools
import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from . import toolchain
from .staging import Staging

__all__ = ["Hardware", "StandIn", "drivers"]


class _Driver:
    """What both have: copies by way of pinned memory.

    Attributes
    ----------
    piece : int
        Bytes that are copied at a time.
    together : int
        So many blocks can wait for each other within a kernel: 1 where there are no cooperative launches.
    """

    piece: int
    together: int

    @functools.cached_property
    def staging(self) -> Staging:
        """Its pinned memory."""
        return Staging(self)

    def upload(self, buffer: Any, data: np.ndarray, stream: Any = None) -> None:
        """Copy a contiguous array's bytes from the host."""
        self.staging.upload(buffer, data.reshape(-1).view(np.uint8), stream)

    def download(self, buffer: Any, start: int, nbytes: int, stream: Any = None) -> np.ndarray:
        """Copy bytes to the host, and wait for them."""
        return self.staging.download(buffer, start, nbytes, stream)


class _StandInEvent:
    """Copies that were asked for before, how many; and when they were done."""

    copies = 0
    seconds = 0.0


class StandIn(_Driver):
    """A device simulated step by step in Python.

    Copies to and from pinned memory are made as late as a device may make them: when they are waited for, or when
    other work comes after them. So pinned memory that is used again too early shows.

    Attributes
    ----------
    capacity : int
        Bytes that it claims to have.
    """

    name = "simulated in Python"
    granularity = 1  # buffers end where their array ends, so that nothing beyond it goes unnoticed
    max_threads = 4
    max_blocks = 2
    tile = 4
    together = 2
    piece = 256

    def __init__(self) -> None:
        self.capacity = int(os.environ.get("TAPEGRAD_CUDA_SIMULATED_BYTES", 1 << 30))
        self.launches = 0
        self.live: Any = weakref.WeakValueDictionary()
        self.copies: deque[Callable[[], None]] = deque()
        self.copied = 0

    def allocate(self, nbytes: int) -> Any:
        """A buffer.

        Raises
        ------
        MemoryError
            If the device has no more.
        """
        if nbytes > self.capacity:
            raise MemoryError
        self.capacity -= nbytes
        made = np.full(nbytes, 0xCB, np.uint8)  # what nobody set is no plausible value
        return self._known(made)

    def _known(self, buffer: Any) -> Any:
        """A buffer that kernels may use by address."""
        self.live[self.address(buffer)] = buffer
        return buffer

    def free(self, buffer: Any) -> None:
        """Give a buffer back."""
        self.capacity += buffer.nbytes

    def typed(self, buffer: Any, dtype: np.dtype) -> Any:
        """The buffer as a flat array."""
        return buffer[: buffer.nbytes // dtype.itemsize * dtype.itemsize].view(dtype)

    def pinned(self, nbytes: int) -> np.ndarray:
        """Memory of the host that stays where it is."""
        return np.full(nbytes, 0xCB, np.uint8)

    def send(self, buffer: Any, start: int, pinned: np.ndarray, stream: Any = None) -> None:
        """Copy from pinned memory, some time before what is asked for next."""
        self.copies.append(functools.partial(np.copyto, buffer[start : start + pinned.nbytes], pinned))

    def receive(self, pinned: np.ndarray, buffer: Any, start: int, stream: Any = None) -> None:
        """Copy to pinned memory, some time before what is asked for next."""
        self.copies.append(functools.partial(np.copyto, pinned, buffer[start : start + pinned.nbytes]))

    def event(self) -> Any:
        """A point in a queue of work; nowhere yet."""
        return _StandInEvent()

    def record(self, event: Any, stream: Any = None) -> None:
        """Set an event behind all that was asked for."""
        event.copies, event.seconds = self.copied + len(self.copies), time.perf_counter()

    def wait(self, event: Any) -> None:
        """Wait until an event is reached."""
        self._copy(event.copies - self.copied)

    def reached(self, event: Any) -> bool:
        """Whether an event is reached."""
        return self.copied >= event.copies

    def wait_in(self, stream: Any, event: Any) -> None:
        """Let a queue of work wait for an event, as it does anyway: there is but one order of all work."""

    def milliseconds(self, first: Any, last: Any) -> float:
        """Time between two events."""
        return 1e3 * (last.seconds - first.seconds)

    def _copy(self, count: int) -> None:
        """Make so many of the copies that were asked for."""
        for _ in range(count):
            self.copies.popleft()()
            self.copied += 1

    def address(self, buffer: Any) -> int:
        """Where a buffer stands."""
        return buffer.__array_interface__["data"][0]

    def foreign(self, address: int, nbytes: int, owner: Any) -> Any:
        """A buffer over memory that somebody else owns."""
        import ctypes

        return self._known(np.frombuffer(memoryview((ctypes.c_ubyte * nbytes).from_address(address)), np.uint8))

    def kernel(self, function: Any) -> Any:
        """Make a kernel of a function."""
        from .stepper import StepKernel

        return StepKernel(function)

    def launch(self, kernel: Any, grid: tuple, block: tuple, args: tuple, stream: Any = None) -> None:
        """Run a kernel."""
        self.launches += 1
        self._copy(len(self.copies))
        kernel.launch(grid, block, args, list(self.live.values()))

    def products(self) -> Any:
        """A library for matrix products: none."""
        return None

    def handle(self, stream: Any) -> int:
        """A queue of work as libraries know it."""
        return 0 if stream is None else id(stream)

    def synchronize(self, stream: Any = None) -> None:
        """Wait until all is done."""
        self._copy(len(self.copies))

    def join(self, handle: int) -> None:
        """Wait until a queue of work is done that another library has: here is none."""

    def stream(self) -> Any:
        """A new queue of work."""
        return object()

    def memory_info(self) -> tuple[int, int]:
        """Free and total bytes."""
        return self.capacity, int(os.environ.get("TAPEGRAD_CUDA_SIMULATED_BYTES", 1 << 30))


class Hardware(_Driver):
    """A CUDA device, by `numba.cuda`."""

    granularity = 512
    piece = 1 << 20
    max_threads = 256
    tile = 16

    def __init__(self, index: int):
        self.index = index
        self.cuda = toolchain.compiler()
        self.context = self.cuda.gpus[index]
        with self.context:
            device = self.cuda.get_current_device()
            self.name = device.name.decode() if isinstance(device.name, bytes) else str(device.name)
            self.compute_capability = tuple(device.compute_capability)
            self.max_blocks = 16 * device.MULTIPROCESSOR_COUNT
            can_wait = getattr(device, "COOPERATIVE_LAUNCH", 0) and toolchain.device_runtime()
            self.together = device.MULTIPROCESSOR_COUNT if can_wait else 1  # each has room for a block of any kernel
        self.launches = 0

    def allocate(self, nbytes: int) -> Any:
        """A buffer.

        Raises
        ------
        MemoryError
            If the device has no more.
        """
        with self.context:
            try:
                return self.cuda.device_array(nbytes, np.uint8)
            except Exception as error:
                if "OUT_OF_MEMORY" in str(error) or "out of memory" in str(error):
                    raise MemoryError from error
                raise

    def free(self, buffer: Any) -> None:
        """Nothing: the memory goes with the last who holds it."""

    def typed(self, buffer: Any, dtype: np.dtype) -> Any:
        """The buffer as a flat array."""
        return buffer.view(dtype)

    def pinned(self, nbytes: int) -> np.ndarray:
        """Memory of the host that stays where it is."""
        with self.context:
            return self.cuda.pinned_array(nbytes, np.uint8)

    def _queue(self, stream: Any) -> Any:
        """A queue of work as copies take it; of the default one's number they would take that they are to wait."""
        return stream or self.cuda.default_stream()

    def send(self, buffer: Any, start: int, pinned: np.ndarray, stream: Any = None) -> None:
        """Copy from pinned memory, without waiting for it."""
        with self.context:
            buffer[start : start + pinned.nbytes].copy_to_device(pinned, stream=self._queue(stream))

    def receive(self, pinned: np.ndarray, buffer: Any, start: int, stream: Any = None) -> None:
        """Copy to pinned memory, without waiting for it."""
        with self.context:
            buffer[start : start + pinned.nbytes].copy_to_host(pinned, stream=self._queue(stream))

    def event(self) -> Any:
        """A point in a queue of work; nowhere yet."""
        with self.context:
            return self.cuda.event()

    def record(self, event: Any, stream: Any = None) -> None:
        """Set an event behind all that was asked of a queue."""
        with self.context:
            event.record(self._queue(stream))

    def wait(self, event: Any) -> None:
        """Wait until an event is reached."""
        with self.context:
            event.synchronize()

    def reached(self, event: Any) -> bool:
        """Whether an event is reached."""
        with self.context:
            return bool(event.query())

    def wait_in(self, stream: Any, event: Any) -> None:
        """Let a queue of work wait for an event before what is asked of it from now on."""
        with self.context:
            event.wait(self._queue(stream))

    def milliseconds(self, first: Any, last: Any) -> float:
        """Time between two events that are reached."""
        with self.context:
            return float(first.elapsed_time(last))

    def address(self, buffer: Any) -> int:
        """Where a buffer stands."""
        return int(buffer.__cuda_array_interface__["data"][0])

    def foreign(self, address: int, nbytes: int, owner: Any) -> Any:
        """A buffer over memory that somebody else owns."""
        described = {"data": (address, False), "shape": (nbytes,), "strides": None, "typestr": "|u1", "version": 3}
        with self.context:
            return self.cuda.from_cuda_array_interface(described, owner=owner)

    def kernel(self, function: Any) -> Any:
        """Make a kernel of a function; it is compiled for the types that it is called with."""
        return toolchain.kernel(function)

    def launch(self, kernel: Any, grid: tuple, block: tuple, args: tuple, stream: Any = 0) -> None:
        """Run a kernel."""
        self.launches += 1
        with self.context:
            kernel[grid, block, stream or 0](*args)

    def products(self) -> Any:
        """A library for matrix products; None where none is installed."""
        from .libraries import products

        return products()

    def handle(self, stream: Any) -> int:
        """A queue of work as libraries know it: the driver's handle."""
        handle = getattr(stream, "handle", None) if stream else None
        return int(getattr(handle, "value", handle) or 0)

    def synchronize(self, stream: Any = 0) -> None:
        """Wait until all is done."""
        with self.context:
            if stream:
                stream.synchronize()
            else:
                self.cuda.synchronize()

    def join(self, handle: int) -> None:
        """Wait until a queue of work is done that another library has."""
        with self.context:
            self.cuda.external_stream(handle).synchronize()

    def stream(self) -> Any:
        """A new queue of work."""
        with self.context:
            return self.cuda.stream()

    def memory_info(self) -> tuple[int, int]:
        """Free and total bytes."""
        with self.context:
            free, total = self.cuda.current_context().get_memory_info()
        return int(free), int(total)


@functools.cache
def drivers() -> tuple[Any, ...]:
    """A driver for each device that there is: none where there is no GPU, or no package for it."""
    if toolchain.SIMULATED:
        return (StandIn(),)
    try:
        cuda = toolchain.compiler()
        count = len(cuda.gpus) if cuda.is_available() else 0
    except Exception:  # an import that fails, a driver that is too old: there is no device that could be used
        return ()
    return tuple(Hardware(k) for k in range(count))
