"""A switch: ufuncs computed by NumPy and SciPy themselves, in whatever order and layout they choose."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..vm import opcodes as op
from ..vm.pools import pools
from .signature import by_index

__all__ = ["called_ufunc", "is_numpy_loops_enabled", "set_numpy_loops"]

_enabled = os.environ.get("TAPEGRAD_NUMPY_LOOPS", "0") != "0"


def is_numpy_loops_enabled() -> bool:
    """Whether ufuncs are computed by NumPy and SciPy themselves: see `set_numpy_loops`."""
    return _enabled


def set_numpy_loops(enabled: bool) -> bool:
    """Have ufuncs computed by NumPy and SciPy themselves, with their very bits, or by loops that are faster.

    Parameters
    ----------
    enabled : bool
        False, the default, takes loops of tapegrad's own where NumPy's are several times slower, and calls the others
        without NumPy's overhead: the bits are NumPy's on arrays without gaps, but for products of matrices, as the page
        on limits says. True calls the ufunc for each operation, which takes NumPy's time.

    Returns
    -------
    bool
        The setting before.

    Notes
    -----
    It holds for the whole process, for what runs from now on; gradients are computed as ever. Functions that
    `tapegrad.compile` makes meanwhile get no machine code; those that were made before keep theirs. The environment
    variable ``TAPEGRAD_NUMPY_LOOPS=1`` does the same from outside. Do not switch while other threads compute.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> x = np.linspace(0.0, 9.0, 100).reshape(10, 10)
    >>> before = tg.set_numpy_loops(True)
    >>> np.array_equal(np.matmul(tg.tensor(x), x).numpy(), np.matmul(x, x))
    True
    >>> _ = tg.set_numpy_loops(before)
    """
    global _enabled
    with pools.lock:
        before, _enabled = _enabled, bool(enabled)
        if before != _enabled:
            for signature in by_index:
                if _computing(signature.primitive) is not None:
                    pools.table[signature.index, op.FORWARD] = -1  # to be lowered anew
    return before


def called_ufunc(primitive: Any) -> Any:
    """The primitive whose ufunc is to be called for this one's result; None where its loop may take any order."""
    return _computing(primitive) if _enabled else None


def _computing(primitive: Any) -> Any:
    """The primitive of a ufunc whose result this one gives, or writes into an operand; None if it is another's."""
    found = getattr(primitive, "inner", primitive)
    return found if isinstance(getattr(found, "function", None), np.ufunc) else None
