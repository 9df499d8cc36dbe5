"""Matrix products by cuBLAS, through CuPy where that is installed: arrays are shared with it, nothing is copied."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
from typing import Any

import numpy as np

__all__ = ["Products", "products"]

LEAST = 1 << 15
"""Products and sums from which a library is worth its call."""


class Products:
    """Matrix products by CuPy.

    Parameters
    ----------
    cupy : module
    """

    def __init__(self, cupy: Any):
        self.cupy = cupy

    def _shared(self, array: Any) -> Any:
        """An array of this package as one of CuPy's, over the same memory."""
        cuda, block = self.cupy.cuda, array.block
        memory = cuda.UnownedMemory(block.address, block.nbytes, block)
        pointer = cuda.MemoryPointer(memory, array.offset)
        return self.cupy.ndarray(array.shape, array.dtype, memptr=pointer, strides=array.spec.strides)

    def multiply(self, device: Any, a: Any, b: Any, made: Any) -> None:
        """``made = a @ b`` for stacks of matrices that broadcast, in the queue of work that the thread uses."""
        queue = device.driver.handle(device.stream)
        with self.cupy.cuda.Device(device.index), self.cupy.cuda.ExternalStream(queue):
            self.cupy.matmul(self._shared(a), self._shared(b), out=self._shared(made))

    @staticmethod
    def takes(dtype: np.dtype, work: int) -> bool:
        """Whether the library is to be used for a product of so many products and sums."""
        return dtype.char in "fdFD" and work >= LEAST


@functools.cache
def products() -> Products | None:
    """The library for matrix products; None where there is none."""
    if importlib.util.find_spec("cupy") is None:
        return None
    with contextlib.suppress(ImportError):  # installed for another version of CUDA
        return Products(importlib.import_module("cupy"))
    return None
