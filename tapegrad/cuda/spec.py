"""Specs of values on a device: those of the host with a place."""

from __future__ import annotations

import threading
from typing import Any

from ..tape.spec import Spec

__all__ = ["DeviceSpec", "on"]

_table: dict[tuple[Spec, Any], DeviceSpec] = {}
_lock = threading.Lock()


class DeviceSpec(Spec):
    """A value's type, and the device where it stands; one object per combination.

    Attributes
    ----------
    device : Device
    """

    __slots__ = ("_host", "device")

    def __init__(self, host: Spec, device: Any):
        super().__init__(host.shape, host.strides, host.dtype, host.requires_grad)
        self._host, self.device = host, device

    @property
    def host(self):
        """The same type on the host."""
        return self._host

    def replace(self, *, requires_grad=None, strides=None):
        """The same type with some flags changed."""
        return on(self.device, self.host.replace(requires_grad=requires_grad, strides=strides))

    @property
    def differentiable(self):
        """The same layout, with a gradient."""
        return on(self.device, self.host.differentiable)

    @property
    def plain(self):
        """Same layout, no gradient."""
        return on(self.device, self.host.plain)

    @property
    def bar(self):
        """The cotangent's type."""
        return on(self.device, self.host.bar)

    @property
    def dense(self):
        """The contiguous type of the same shape and dtype."""
        return on(self.device, self.host.dense)

    def __repr__(self):
        return f"{super().__repr__()} on {self.device}"


def on(device: Any, spec: Any) -> Any:
    """The spec of a host's value for a value on a device."""
    if spec.device is not None:
        return spec
    key = spec, device
    found = _table.get(key)
    if found is None:
        with _lock:
            found = _table.setdefault(key, DeviceSpec(spec, device))
    return found
