"""Transformations under way, such as `tapegrad.grad`: what holds while the user's function runs."""

from __future__ import annotations

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
        self.is_open = True
        state.tape.sparing = True
        if not state.grad_enabled:
            state.switch(True)
        return self

    def __exit__(self, _: Any = None, error: BaseException | None = None, traceback: Any = None) -> None:
        state = local.state
        state.depth -= self.is_open
        self.is_open = False
        state.tape.sparing = state.is_sparing()
        if state.grad_enabled is not self.grad_enabled:
            state.switch(self.grad_enabled)
        if isinstance(error, ValueError) and isinstance(error.__cause__, TracedValueError):
            # ``array[i] = x[i]``: NumPy says "setting an array element with a sequence" of whatever goes wrong there.
            raise TracedValueError(*error.__cause__.args).with_traceback(traceback) from None

    def __del__(self) -> None:
        if self.is_open:
            self.__exit__()


def is_within() -> bool:
    """Whether a transformation or a recording is under way."""
    return bool(local.state.depth or local.state.tape.tracing)
