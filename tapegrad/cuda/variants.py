"""Kernels written out in modules, with names that stand for a dtype, a size or a function until they are made.

A kernel is a Python function over `cuda`, flat arrays with the place of their first element, and numbers. `variant`
puts in what its names stand for.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import toolchain
from .elementwise import cast_name, casts
from .memory import DeviceArray

__all__ = ["dense", "launch", "launch_lanes", "number", "pair", "variant"]


@functools.cache
def _variant(function: Any, names: tuple) -> Any:
    known = casts()
    given = {k: known[cast_name(v)] if isinstance(v, np.dtype) else v for k, v in names}
    return toolchain.build(function, lambda copy: copy, given)


def variant(function: Any, **names: Any) -> Any:
    """A kernel with its names filled in; a dtype becomes the conversion to it."""
    return _variant(function, tuple(sorted(names.items()))) if names else function


def pair(array: DeviceArray) -> tuple:
    """An array as a kernel's arguments: flat memory, and where it begins."""
    return array.flat(), array.start


def number(value: Any, dtype: np.dtype) -> Any:
    """A number of a dtype."""
    return np.asarray(value, dtype)[()]


def dense(array: DeviceArray) -> DeviceArray:
    """The array itself if it is contiguous, else a copy."""
    return array if array.spec.contiguous else array.copy()


def launch(device: Any, function: Any, size: int, *args: Any, **names: Any) -> None:
    """Run a kernel in which threads share `size` elements; none at all if there are none."""
    if size:
        device.launch(device.kernel(variant(function, **names)), size, (size, *args))


def launch_lanes(device: Any, function: Any, lanes: int, *args: Any, threads: int | None = None, **names: Any) -> None:
    """Run a kernel in which a block takes a lane, then another."""
    if lanes:
        block = threads or device.driver.max_threads
        grid = (min(lanes, device.driver.max_blocks), 1, 1)
        device.launch_blocks(device.kernel(variant(function, **names)), grid, (block, 1, 1), (lanes, *args))
