"""The compiled entry points that the rest of the package calls; each takes the address of a sweep's state.

They run without Python's lock.  Their machine code is read, or made, at the first call of one of them.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from .native import addresses

__all__ = [
    "begin_reverse",
    "execute",
    "forward_sweep",
    "integer_reader",
    "link",
    "note_needed",
    "raised",
    "reads_left",
    "reverse_sweep",
    "spread",
]

FUNCTIONS = (
    "execute.run", "forward.forward_sweep", "forward.link", "reverse.begin_reverse", "reverse.reads_left",
    "reverse.reverse_sweep", "reverse.spread", "reverse.note_needed", "objects.read_integers",
)  # fmt: skip


def raised(error: BaseException) -> BaseException:
    """What an inner loop has raised, such as a warning that is an error; Python wraps it, once for each more."""
    while isinstance(error, SystemError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _entry(name: str, result: Any = None) -> Callable[[int], Any]:
    # Of ctypes' ways of passing an address, the fastest.  CFUNCTYPE gives up Python's lock during a call.
    prototype = ctypes.CFUNCTYPE(result, ctypes.c_void_p)

    def load(at):
        nonlocal function
        function = prototype(addresses(FUNCTIONS)[FUNCTIONS.index(name)])
        return function(at)

    def call(at: int):
        try:
            return function(at)
        except SystemError as error:
            raise raised(error) from None

    function = load
    call.__name__ = call.__qualname__ = name.rpartition(".")[2]
    return call


@functools.cache
def integer_reader() -> Callable[[list, int, int, int, int, int], int]:
    """`objects.read_integers`; of all entry points it alone holds Python's lock."""
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.py_object, *[ctypes.c_int64] * 5)
    return prototype(addresses(FUNCTIONS)[FUNCTIONS.index("objects.read_integers")])


begin_reverse = _entry("reverse.begin_reverse")
execute = _entry("execute.run")
forward_sweep = _entry("forward.forward_sweep")
link = _entry("forward.link")
note_needed = _entry("reverse.note_needed")
reads_left = _entry("reverse.reads_left", ctypes.c_int64)
reverse_sweep = _entry("reverse.reverse_sweep")
spread = _entry("reverse.spread")
