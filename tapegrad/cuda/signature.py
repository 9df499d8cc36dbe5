"""Signatures of rows whose operands or results stand on a device."""

from __future__ import annotations

from ..primitives.core import NoRuleError
from ..tape.signature import Signature, signature_of
from ..tape.tape import Elsewhere
from ..vm import opcodes as op
from ..vm.pools import pools
from .spec import on

__all__ = ["DeviceSignature", "device_signature"]

_interned: dict[tuple, DeviceSignature] = {}


class DeviceSignature(Signature):
    """A primitive at operand types of which some stand on a device.

    What it needs is what the same row on the host needs: the rule is the same.

    Attributes
    ----------
    device : Device
    host : Signature or None
        Of the same row on the host; None if the row crosses from one to the other.
    """

    __slots__ = ("device", "host")

    def __init__(self, primitive, specs, attrs, out, kind, device, host):
        self.device, self.host = device, host
        super().__init__(primitive, specs, attrs, out, kind)
        self.deferrable = not primitive.runs_at_once(tuple(s.host for s in specs))
        self.small = True

    def _fill(self):
        row = pools.table[self.index]
        row[op.KIND], row[op.WIDTH], row[op.NIN] = self.kind, self.width, len(self.specs)

    @property
    def needs(self) -> int:
        """Which values the reverse reads."""
        try:
            return 0 if self.host is None else self.host.needs
        except NoRuleError:  # said when the derivative is asked for, which reads nothing
            return 0


def device_signature(primitive, specs, attrs, grad_enabled):
    """The interned signature of a row on a device.

    Raises
    ------
    Elsewhere
        If a host operand is among the others that is no number, and so must be brought first.
    """
    key = (primitive, specs, attrs, grad_enabled)
    found = _interned.get(key)
    if found is not None:
        return found
    crosses = getattr(primitive, "crosses", False)
    (device, *others) = {s.device for s in specs if s.device is not None} or {dict(attrs)["device"]}
    if not crosses and (others or any(s.device is None and (s.shape or s.requires_grad) for s in specs)):
        raise Elsewhere(device)
    if crosses:
        out, kind = primitive.infer(specs, dict(attrs))
        out = out.replace(requires_grad=grad_enabled and primitive.carries_grad(specs, out))
        host = None  # such a row reads nothing again
    else:
        host = signature_of(primitive, tuple(s.host for s in specs), attrs, grad_enabled)
        out, kind = on(device, host.out), host.kind
    with pools.lock:
        found = _interned.get(key)
        if found is None:
            found = _interned[key] = DeviceSignature(primitive, specs, dict(attrs), out, kind, device, host)
    return found
