"""The same records on NVIDIA hardware: devices, and what PyTorch calls `torch.cuda`."""

from __future__ import annotations

from .device import Device, MixedDevicesError, device_of, devices
from .memory import OutOfMemoryError

__all__ = ["Device", "MixedDevicesError", "OutOfMemoryError", "device_of", "devices"]
