"""The same records on NVIDIA hardware: devices, memory and streams under the names of `torch.cuda`.

Importing this imports no CUDA package; the first use of a device does. See ``docs/guides/cuda.md``.
"""

from __future__ import annotations

from typing import Any

from ..errors import MixedDevicesError
from . import toolchain
from .device import Device, device_of, devices
from .interchange import as_tensor, from_dlpack
from .memory import OutOfMemoryError
from .queues import Event, Stream, chosen, stream
from .table import HostFallbackWarning

__all__ = [
    "Device",
    "Event",
    "HostFallbackWarning",
    "MixedDevicesError",
    "OutOfMemoryError",
    "Stream",
    "as_tensor",
    "device_count",
    "device_of",
    "devices",
    "empty_cache",
    "from_dlpack",
    "get_device_name",
    "is_available",
    "is_simulated",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "stream",
    "synchronize",
    "use_deterministic_algorithms",
    "use_interpreter",
]


def is_available() -> bool:
    """Whether there is a device: a GPU with its driver and a package for it, or a simulated one."""
    return bool(devices())


def is_simulated() -> bool:
    """Whether kernels run step by step in Python, as they do where ``NUMBA_ENABLE_CUDASIM=1``."""
    return toolchain.SIMULATED


def device_count() -> int:
    """Number of devices."""
    return len(devices())


def get_device_name(device: Any = None) -> str:
    """What the device calls itself."""
    return chosen(device).driver.name


def synchronize(device: Any = None) -> None:
    """Run what is pending on a device, and wait for it."""
    chosen(device).synchronize()


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors and tapes hold."""
    return chosen(device).pool.used


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors and tapes held at a time."""
    return chosen(device).pool.peak


def memory_reserved(device: Any = None) -> int:
    """Bytes that were taken from the device, idle ones included."""
    return chosen(device).pool.held


def empty_cache(device: Any = None) -> None:
    """Give idle memory back to the device."""
    found = chosen(device)
    found.synchronize()
    found.pool.empty()


def use_deterministic_algorithms(mode: bool, device: Any = None) -> None:
    """Choose whether sums at arrays of indices are taken in a fixed order, rather than by atomic additions."""
    chosen(device).deterministic = bool(mode)


def use_interpreter(mode: bool, cold_launches: int = 2, device: Any = None) -> None:
    """Choose whether small work is interpreted in one launch, and new groups of operations until they come again.

    Parameters
    ----------
    mode : bool
    cold_launches : int
        So many times a group of elementwise operations is interpreted before a kernel is compiled for it.
    device : optional
    """
    found = chosen(device)
    found.interprets, found.cold_launches = bool(mode), int(cold_launches)
