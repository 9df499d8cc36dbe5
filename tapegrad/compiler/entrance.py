"""The way into compiled functions: a twin of ``Compiled.__call__`` in machine code takes its place.

As with the operators (`tapegrad.descriptors`), what it does not know it hands to the Python function. See
`tapegrad.vm.calling`.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from ..descriptors import function_address, is_supported, method_of, shared_words
from ..tape.memory import address_of
from ..vm import call_fields as f
from ..vm import fields
from ..vm.native import addresses, bind_last
from .replays import pending, raise_interrupt

__all__ = ["arrays_are_known", "open_for"]

_FASTCALL_WITH_KEYWORDS = 0x0082
_kept: list = []  # what machine code refers to


@functools.cache
def _array_functions() -> dict[str, int]:
    """Addresses of functions of NumPy's C interface."""
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = (ctypes.c_void_p * 200).from_address(get(capsule, None))
    if table[2] != id(np.ndarray):  # PyArray_Type
        raise RuntimeError(f"NumPy {np.__version__} has another table of C functions than documented")
    return {name: table[k] or 0 for name, k in f.ARRAY_FUNCTIONS.items()}


@functools.cache
def arrays_are_known() -> bool:
    """Whether NumPy lays arrays and scalars out, and makes them, as its public headers say."""
    if not is_supported():
        return False
    x = np.arange(6.0).reshape(2, 3)
    word = ctypes.c_int64.from_address
    shape = (ctypes.c_int64 * 2).from_address(word(id(x) + f.ARRAY_SHAPE).value)
    new = ctypes.PYFUNCTYPE(ctypes.py_object, *[ctypes.c_void_p] * 3)(_array_functions()["NEW_SCALAR"])
    return (
        word(id(x) + f.ARRAY_NDIM).value & 0xFFFFFFFF == 2
        and tuple(shape) == x.shape
        and word(id(x) + f.ARRAY_DTYPE).value == id(x.dtype)
        and word(id(x) + f.ARRAY_FLAGS).value & f.WRITEABLE_ARRAY == f.WRITEABLE_ARRAY
        and word(id(x) + f.ARRAY_DATA).value == x.ctypes.data
        and all(ctypes.c_double.from_address(id(v) + f.CONTENT).value == v for v in (0.75, np.float64(0.75)))
        and repr(new(x.ctypes.data + 16, id(x.dtype), None)) == repr(x[0, 2])
    )


def _raise_interrupt() -> None:
    """Raise what has ended this thread's last replay, unless the replay is to be tried again in Python."""
    raise_interrupt()
    error = pending()
    if error is not None and not isinstance(error, Exception):
        raise error


def _words(places: dict[str, int]) -> np.ndarray:
    """The table that all calls share."""
    words = np.zeros(f.CALL_COUNT, np.int64)
    words[: fields.COUNT] = shared_words()
    for name, function in f.FUNCTIONS.items():
        words[getattr(f, name)] = function_address(getattr(ctypes.pythonapi, function))
    objects = {"ARRAY_TYPE": np.ndarray, "DICT_TYPE": dict, "RAISE_INTERRUPT": _raise_interrupt}
    given = {name: id(thing) for name, thing in objects.items()} | places | _array_functions()
    for name, word in given.items():
        words[getattr(f, name)] = word
    return words


def open_for(cls: Any, places: dict[str, int]) -> None:
    """Let calls of a class's instances begin in machine code; once.

    Parameters
    ----------
    cls : type
        Its ``__call__`` takes the long way.
    places : dict
        Bytes from objects' starts to their slots: ENTRIES_AT, ENTRY_AT, PLAN_AT.
    """
    function = cls.__call__
    words = _words(places)
    words[fields.FALLBACK] = id(function)
    (code,) = bind_last(addresses(("calling.call",))[0], [address_of(words)], 5)
    _kept.append((words, function))
    cls.__call__ = method_of(function, code, _FASTCALL_WITH_KEYWORDS, "$self, /, *args, **kwargs", cls)
