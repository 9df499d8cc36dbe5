"""The compiled entry points that the rest of the package calls; each takes the address of a sweep's state."""

from __future__ import annotations

from .execute import run as execute
from .sweeps import forward_sweep, link, reverse_sweep, row_starts, spread

__all__ = ["execute", "forward_sweep", "link", "reverse_sweep", "row_starts", "spread"]
