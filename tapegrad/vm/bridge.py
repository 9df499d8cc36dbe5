"""NumPy's and SciPy's compiled inner loops, by address.

A ufunc object is a C struct, `PyUFuncObject`, part of NumPy's public C API [1]_. It holds, for each
dtype signature, the address of ``void loop(char **args, npy_intp *dims, npy_intp *steps, void *data)``.
The layout is checked against the ufunc's own attributes when an address is taken, and once at import
by computing a value through it.

References
----------
.. [1] NumPy C-API, "Python Types and C-Structures", PyUFuncObject.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from .helpers import elementwise

__all__ = ["loop_address"]

PLAIN = set("?fdFD->")
"""Types whose loops never turn to Python."""

LONGEST = str.maketrans("lL", "qQ") if np.dtype("l") == np.dtype("q") else {}
"""Two names of the same integers: NumPy and SciPy have some loops under one of them only."""


class _PyUFuncObject(ctypes.Structure):
    _fields_ = (
        ("head", ctypes.c_byte * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved1", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_char)),
    )


@functools.cache
def loop_address(ufunc: np.ufunc, signature: str) -> tuple[int, int]:
    """Address and data pointer of a ufunc's inner loop.

    Parameters
    ----------
    ufunc : numpy.ufunc
    signature : str
        One of ``ufunc.types``, such as ``'dd->d'``.

    Returns
    -------
    tuple of int
        ``(function address, data address)``; the latter is 0 where there is none.

    Raises
    ------
    RuntimeError
        If NumPy lays the struct out in another way than documented.
    KeyError
        If the ufunc has no such loop.
    """
    struct = _PyUFuncObject.from_address(id(ufunc))
    if (struct.nin, struct.nout, struct.ntypes) != (ufunc.nin, ufunc.nout, ufunc.ntypes):
        raise RuntimeError(
            f"NumPy {np.__version__} lays PyUFuncObject out differently; tapegrad supports NumPy 2.0 and newer"
        )
    types, wanted = ufunc.types, signature
    if signature not in types:
        types, wanted = [s.translate(LONGEST) for s in types], signature.translate(LONGEST)
    if wanted not in types:
        raise KeyError(f"{ufunc.__name__} has no loop {signature!r}, only {ufunc.types}")
    k = types.index(wanted)
    address = struct.functions[k]
    if getattr(np, ufunc.__name__, None) is ufunc and not ufunc.signature and set(signature) <= PLAIN:
        elementwise.add(address)
    return address, struct.data[k] or 0


def _check_layout():
    """Compute 2 + 3 through the struct: a wrong layout is found here, not in a user's result."""
    fn, data = loop_address(np.add, "dd->d")
    values = np.array([2.0, 3.0, 0.0])
    base = values.ctypes.data
    frame = np.array([base, base + 8, base + 16, 1, 8, 8, 8], dtype=np.int64)
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
    start = frame.ctypes.data
    prototype(fn)(start, start + 24, start + 32, data)
    if values[2] != 5.0:
        raise RuntimeError(f"NumPy {np.__version__}: the inner loop of np.add gave {values[2]} for 2 + 3")


_check_layout()
