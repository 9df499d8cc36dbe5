"""What every part of the device's side needs done: filling, copying, adding."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import Step, launch_fused

__all__ = ["add_into", "copy_into", "fill"]


def copy_into(target: Any, source: Any) -> None:
    """Copy elements, broadcast and converted, into an array."""
    step = Step("copy", (0,), (source.dtype,), target.dtype)
    launch_fused(target.device, [step], [source], [(1, target)], target.shape)


def add_into(target: Any, source: Any) -> None:
    """Add elements to those of an array."""
    step = Step("add", (0, 1), (target.dtype, source.dtype), target.dtype)
    launch_fused(target.device, [step], [target, source], [(2, target)], target.shape)


def fill(target: Any, value: Any) -> None:
    """Set all elements to a number."""
    number = np.asarray(value, target.dtype)[()]
    launch_fused(
        target.device, [Step("copy", (0,), (target.dtype,), target.dtype)], [number], [(1, target)], target.shape
    )
