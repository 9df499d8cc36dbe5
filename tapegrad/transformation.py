"""Transformations under way, such as `tapegrad.grad`: what holds while the user's function runs."""

from __future__ import annotations

from traceback import walk_tb
from types import CodeType, TracebackType
from typing import Any

from .tape.state import local
from .values import TracedValueError

__all__ = ["Transformation", "is_within"]


class Transformation:
    """A transformation under way: inside, traced values refuse to become plain numbers.

    An interrupt may come when the block has ended and `__exit__` has not begun: the end of the object ends it, too.
    """

    is_open = False

    def __enter__(self) -> Transformation:
        state = local.state
        self.nested = state.depth > 0 or state.tape.tracing
        self.grad_enabled = state.grad_enabled
        state.depth += 1
        state.within += 1
        self.is_open = True
        state.tape.sparing = True
        state.refusal = None
        if not state.grad_enabled:
            state.switch(True)
        return self

    def __exit__(self, _: Any = None, error: BaseException | None = None, traceback: Any = None) -> None:
        state = local.state
        state.depth -= self.is_open
        state.within -= self.is_open
        self.is_open = False
        state.tape.sparing = state.is_sparing()
        if state.grad_enabled is not self.grad_enabled:
            state.switch(self.grad_enabled)
        if state.refusal and isinstance(error, Exception) and not isinstance(error, TracedValueError):
            said, site = state.refusal
            if _place_of(traceback) == site:
                # ``array[i] = x[i]``: NumPy says "setting an array element with a sequence" of whatever goes wrong
                # there; and `numpy.nditer` that it cannot write to its operand.
                raise TracedValueError(*said).with_traceback(traceback) from None
            if _is_of_scipy(traceback):
                # `scipy.optimize.brentq`: compiled code drops the error of a function, and finds no root of it.
                raise TracedValueError(*said).with_traceback(traceback) from error

    def __del__(self) -> None:
        if self.is_open:
            self.__exit__()


def _place_of(traceback: TracebackType | None) -> tuple[CodeType, int] | None:
    """The code in which an error was raised, and the position in it."""
    place = None
    while traceback is not None:
        place, traceback = (traceback.tb_frame.f_code, traceback.tb_lasti), traceback.tb_next
    return place


def _is_of_scipy(traceback: TracebackType | None) -> bool:
    """Whether an error comes out of SciPy or a function that it calls."""
    return any(frame.f_globals.get("__name__", "").startswith("scipy.") for frame, _ in walk_tb(traceback))


def is_within() -> bool:
    """Whether a transformation or a recording is under way."""
    return bool(local.state.depth or local.state.tape.tracing)
