"""Indices beyond their axis: loops that meet one cannot raise, but count it."""

from __future__ import annotations

from ..vm.kernels import faults

__all__ = ["FAULTS", "IndexFault"]

FAULTS = faults.data
"""``FAULTS[0]`` is that count, of all threads: where it has grown during a run, that run or another one met some."""


class IndexFault(IndexError):
    """An array of indices holds one that is out of range."""

    def __init__(self):
        super().__init__(
            "an index is out of bounds for the axis that it selects on; the rows of a tape look at indices while they "
            "run, and leave such elements alone: check the indices before they are used"
        )
