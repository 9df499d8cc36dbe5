"""``x.data``: a tensor's values behind its history's back, to be read, written and replaced."""

from __future__ import annotations

import sys

import numpy as np

from ..creation import tensor
from ..tape.buffer import Buffer, buffer_of
from ..tape.current import escape, new_tensor
from ..tape.handle import Tensor, attach
from ..tape.spec import spec_of_array
from ..values import value_of
from .recorded import home_of

__all__: list[str] = []


def _get_data(self: Tensor) -> Tensor:
    array = value_of(self)  # the same memory, a version of its own: writes through .data go unnoticed
    made = new_tensor(None, 0, spec_of_array(array))
    made._memory = array
    made._buffer = Buffer()
    made._buffer.escaped, made._buffer.source = True, buffer_of(self)
    return made


def _set_data(self: Tensor, value: np.ndarray | Tensor) -> None:
    holders = sys.getrefcount(value)
    if not isinstance(value, (Tensor, np.ndarray)):
        raise TypeError(f"x.data = value: value must be a tensor or an array, not {type(value).__name__}")
    array = value_of(value) if isinstance(value, Tensor) else value
    if array.dtype != self._spec.dtype:
        raise RuntimeError(
            f"x.data = value: x and value have incompatible tensor types, {self._spec.dtype.name} and "
            f"{array.dtype.name}; convert the value first"
        )
    keeps = self._spec.requires_grad and not self._leaf
    if keeps and array.shape != self._spec.shape:
        raise RuntimeError(
            f"x.data = value: x was computed and has a gradient of shape {self._spec.shape}, which a value of shape "
            f"{array.shape} would not fit; only leaves may change their shape"
        )
    version = self._version
    if keeps:  # the new values come from outside, and their gradient goes where it went
        tape, slot = home_of(self)
        tape.flush()
        tape.seal()
        self._home = tape, slot
    if isinstance(value, Tensor) and holders > _TEMPORARY:
        escape(value)
        self._memory = array
    else:
        self._memory = tensor(array)._memory
    self._buffer = Buffer()
    self._buffer.version, self._buffer.escaped = version, self._memory is array
    self._tape, self._base, self._slot, self._offset = None, None, 0, 0
    self._spec = spec_of_array(self._memory, self._spec.requires_grad)


class _Probe:
    """Finds how many references to a temporary there are when a property is set to it."""

    def _set(self, value: object) -> None:
        self.count = sys.getrefcount(value)

    data = property(None, _set)


_probe = _Probe()
_probe.data = object()
_TEMPORARY = _probe.count
"""Nobody else holds a value with so few references: it need not share its memory, which would slow down every use."""

attach(data=property(_get_data, _set_data, doc="The values without history; writes to them are not noticed."))
