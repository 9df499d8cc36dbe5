"""Gradient modes: context managers that are decorators as well."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tape.state import local

__all__ = ["enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded for differentiation, in this thread."""
    state = local.state
    return state.grad_asked if state.inference else state.grad_enabled


def _switch(enabled: bool) -> None:
    state = local.state
    state.grad_asked = enabled
    state.switch(enabled and not state.inference)


class _Mode:
    """Sets the gradient mode of the thread within a block or a function."""

    enabled = True

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> _Mode:
        self._before.append(is_grad_enabled())
        _switch(self.enabled)
        return self

    def __exit__(self, *_: object) -> None:
        _switch(self._before.pop())

    def __del__(self) -> None:
        while self._before:  # an interrupt came when the block had ended and `__exit__` had not begun
            self.__exit__()

    def __call__(self, function: Callable) -> Callable:
        """The function, run in this mode."""
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._clone():
                return function(*args, **kwargs)

        return wrapped

    def _clone(self) -> _Mode:
        return type(self)()

    def _wrap_generator(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            send, value = generator.send, None
            while True:
                try:
                    with self._clone():
                        item = send(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    value = yield item
                    send = generator.send
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:
                    value, send = error, generator.throw

        return wrapped


class no_grad(_Mode):
    """Record nothing for differentiation within a ``with`` block or a decorated function.

    Examples
    --------
    >>> import tapegrad as tg
    >>> w = tg.ones(2, requires_grad=True)
    >>> with tg.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    enabled = False

    def __new__(cls, function: Callable | None = None) -> Any:
        """The mode, or where it is used as a plain decorator the decorated function."""
        made = super().__new__(cls)
        if function is None:
            return made
        no_grad.__init__(made)
        return made(function)

    def __init__(self, function: Callable | None = None):
        super().__init__()


class enable_grad(no_grad):
    """Record within a block, though an outer one says `no_grad`."""

    enabled = True


class set_grad_enabled(_Mode):
    """Set the mode at once, and back at the end if used as a context manager.

    Parameters
    ----------
    mode : bool
    """

    def __init__(self, mode: bool):
        if not isinstance(mode, (bool, np.bool_)):
            raise TypeError(f"set_grad_enabled(mode): mode must be a bool, not {type(mode).__name__}")
        super().__init__()
        self.enabled = bool(mode)
        self._before.append(is_grad_enabled())
        _switch(self.enabled)

    def __del__(self) -> None:
        """The mode stays: this is called as a function, too."""

    def __enter__(self) -> set_grad_enabled:
        return self

    def _clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.enabled)

    def __call__(self, function: Callable) -> Callable:
        """The function, run in this mode; outside it the mode is what it was."""
        _switch(self._before.pop())
        return super().__call__(function)
