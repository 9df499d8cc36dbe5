"""Rows that cross between host and device: each other's transposes."""

from __future__ import annotations

from typing import Any

from ..primitives.core import Primitive
from ..tape.current import current_tape
from ..tape.importing import slot_of
from ..tape.record import append
from ..tape.state import local
from ..vm import opcodes as op
from .signature import device_signature
from .spec import on

__all__ = ["TO_DEVICE", "TO_HOST", "bring", "fetch"]


class _Crossing(Primitive):
    crosses = True

    def runs_at_once(self, specs: Any) -> bool:
        """A copy may wait: the device runs in order."""
        return False


def _to_device(specs: Any, attrs: Any) -> Any:
    return on(attrs["device"], specs[0].dense), op.KERNEL


def _back(y_bar: Any, y: Any, x: Any, device: Any) -> Any:
    return fetch(device, y_bar) if y_bar._spec.device is not None else y_bar


def _to_host(specs: Any, attrs: Any) -> Any:
    return specs[0].host.dense, op.KERNEL


def _forth(y_bar: Any, y: Any, x: Any) -> Any:
    return bring(x._spec.device, y_bar) if y_bar._spec.device is None else y_bar


TO_DEVICE = _Crossing(
    "to_device", None, {"__doc__": "A copy on a device.", "infer": _to_device, "pullback": _back, "grad_name": "ToCopy"}
)
TO_HOST = _Crossing(
    "to_host", None, {"__doc__": "A copy on the host.", "infer": _to_host, "pullback": _forth, "grad_name": "ToCopy"}
)


def bring(device: Any, tensor: Any) -> Any:
    """A host tensor's copy on a device, differentiable."""
    made = _cross(device, TO_DEVICE, tensor, (("device", device),))
    made._tape.flush()  # what it copies may be written on the host afterwards
    return made


def fetch(device: Any, tensor: Any) -> Any:
    """A device tensor's copy on the host, differentiable."""
    return _cross(device, TO_HOST, tensor, ())


def _cross(device: Any, primitive: Any, tensor: Any, attrs: Any) -> Any:
    state = local.state
    with device.recording(state):
        if tensor._base is not None:
            tensor._refresh_view()
        signature = device_signature(primitive, (tensor._spec,), attrs, state.grad_enabled)
        tape = current_tape(state)
        slots = [slot_of(tensor, state, tape)]
        made = append(state, state.tape, signature, slots, (tensor,))
        made._tape.stands(made._slot, made)
    return made
