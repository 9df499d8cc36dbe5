"""What this machine can do at most, measured with NumPy: the roof that a roofline stands under."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Machine", "measure"]

LARGE, SMALL, TINY, PRODUCT = 4_000_000, 1_500, 100, 192
"""Elements of arrays that are copied from main memory, and (both) from the first-level cache; rows of the product."""

INNER = 200
"""Small copies that are timed together."""


@dataclass(frozen=True)
class Machine:
    """Rates in bytes and operations a second.

    Attributes
    ----------
    memory : float
        Bytes read and written by a copy of 32 MB.
    cache : float
        By a copy of 12 kB, without the cost of the call, which is that of a copy of 0.8 kB for the most part. Not
        below `memory`, which it is where the machine was too busy to tell the two copies apart.
    product : float
        Operations of a product of two matrices of float64.
    """

    memory: float
    cache: float
    product: float


@functools.cache
def measure() -> Machine:
    """Measure this machine, for a quarter of a second; once in a process."""
    source, target = np.ones(LARGE), np.zeros(LARGE)
    near, there = np.ones(SMALL), np.zeros(SMALL)
    a, b, c = np.ones((PRODUCT, PRODUCT)), np.ones((PRODUCT, PRODUCT)), np.empty((PRODUCT, PRODUCT))

    def copies(count: int) -> Callable[[], None]:
        source, target = near[:count], there[:count]

        def repeatedly() -> None:
            for _ in range(INNER):
                np.copyto(target, source)

        return repeatedly

    longer, shorter = copies(SMALL), copies(TINY)
    # In turns, so that what else the machine does is in both.
    turns = [(_fastest(longer, 0.004), _fastest(shorter, 0.004)) for _ in range(10)]
    more = (min(long for long, _ in turns) - min(short for _, short in turns)) / INNER
    memory = 16.0 * LARGE / _fastest(lambda: np.copyto(target, source))
    return Machine(
        memory,
        max(memory, 16.0 * (SMALL - TINY) / more) if more > 0 else memory,
        2.0 * PRODUCT**3 / _fastest(lambda: np.matmul(a, b, out=c)),
    )


def _fastest(work: Callable[[], object], seconds: float = 0.08) -> float:
    times: list[float] = []
    while len(times) < 4 or sum(times) < seconds:  # the first touches memory for the first time
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
