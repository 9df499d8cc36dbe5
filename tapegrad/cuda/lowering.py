"""Kernels that are typed and lowered once, for all processes that assemble them.

What the assemblers of two toolkits begin with is the same text, and Numba takes a third of the whole time to make it.
So processes share a folder: the first that needs a kernel lowers it, the others wait for it and read the file.
"""

from __future__ import annotations

import os
import pickle
from typing import Any

from . import toolchain
from .inventory import Entry

__all__ = ["lowered"]

TYPED_FOR = (7, 0)
"""The architecture that functions of the device are told; none of them asks (a test compares with others)."""


def lowered(entry: Entry, folder: str, index: int) -> Any:
    """What a kernel was lowered to, by this process or by another.

    Parameters
    ----------
    entry : Entry
    folder : str
        That of the processes that share.
    index : int
        The kernel's place in the inventory.

    Returns
    -------
    CodeLibrary or Exception
        The error, if the kernel cannot be typed or lowered.

    Raises
    ------
    RuntimeError
        If the other processes have another inventory.
    """
    import fcntl  # not everywhere; neither are CUDA toolkits

    name = entry.name, entry.dtype
    with open(os.path.join(folder, str(index)), "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits for a process that lowers this kernel, unless it has died
        file.seek(0)
        written = file.read()
        if not written:
            found = _attempt(entry)
            file.write(pickle.dumps((name, found)))
            return found
    known, found = pickle.loads(written)
    if known != name:
        raise RuntimeError(
            f"processes that share {folder} compile different kernels: number {index} is {known} for one and {name} "
            "for another; install the same versions of NumPy and SciPy in both environments"
        )
    return found


def _attempt(entry: Entry) -> Any:
    try:
        return toolchain.lowered(entry.function, entry.types, TYPED_FOR)
    except Exception as error:  # it is the caller's to judge; as text, since not every error can be pickled
        return RuntimeError(f"{type(error).__name__}: {error}")
