"""Passes over arrays of rows, in machine code: what modules of `tapegrad.vm` define, called with arrays.

A module's functions are one piece of machine code, which is read, or made, when one of them is first called.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from ..vm.native import addresses
from .memory import address_of

__all__ = ["run"]

FUNCTIONS = {
    "surveying": ("survey", "live_rows", "gather"),
    "arranging": ("last_reads", "arrange"),
    "reversing": ("mark_leads", "reverse_rows"),
    "choosing": ("choose",),
    "simplifying": ("mark_constants", "read_numbers", "simplify"),
}


def run(name: str, *arguments) -> int:
    """Run a pass.

    Parameters
    ----------
    name : str
        Module of `tapegrad.vm` and function.
    *arguments : int or numpy.ndarray
        As the function takes them; arrays of the types that `tapegrad.vm.jit.POINTERS` gives its parameters.

    Returns
    -------
    int
    """
    return _function(name, len(arguments))(*[x if type(x) is int else address_of(x) for x in arguments])


@functools.cache
def _function(name: str, count: int) -> Callable[..., int]:
    module, _, own = name.partition(".")
    together = tuple([f"{module}.{one}" for one in FUNCTIONS[module]])
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)
    return prototype(addresses(together)[FUNCTIONS[module].index(own)])
