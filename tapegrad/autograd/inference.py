"""Inference mode: operations of which autograd will never know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tape.current import rotate
from ..tape.handle import Tensor, attach
from ..tape.importing import is_inference
from ..tape.state import local
from .modes import _Mode

__all__ = ["inference_mode", "is_inference_mode_enabled"]


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in inference mode."""
    return local.state.inference


def _switch(inference: bool, grad_enabled: bool, grad_asked: bool) -> None:
    state = local.state
    state.grad_enabled, state.grad_asked = grad_enabled, grad_asked
    if state.inference != inference:
        state.inference = inference
        rotate(state)
    else:
        state.refresh()


class inference_mode(_Mode):
    """As `no_grad`, within a block or a decorated function; what is computed there can take no part in autograd later.

    Parameters
    ----------
    mode : bool or callable
        False switches it off within an outer block. A function is decorated.

    Examples
    --------
    >>> import tapegrad as tg
    >>> x = tg.ones(3, requires_grad=True)
    >>> with tg.inference_mode():
    ...     y = x * 2
    >>> y.requires_grad, y.is_inference()
    (False, True)
    """

    def __new__(cls, mode: bool | Callable = True) -> Any:
        """The mode, or where it is used as a plain decorator the decorated function."""
        made = super().__new__(cls)
        if isinstance(mode, bool):
            return made
        made.__init__()  # type: ignore[misc]
        return made(mode)

    def __init__(self, mode: bool | Callable = True):
        super().__init__()
        self.enabled = bool(mode)
        self._outer: list[tuple[bool, bool, bool]] = []

    def __enter__(self) -> inference_mode:
        state = local.state
        self._outer.append((state.inference, state.grad_enabled, state.grad_asked))
        _switch(self.enabled, not self.enabled, not self.enabled)
        return self

    def __exit__(self, *_: object) -> None:
        _switch(*self._outer.pop())

    def _clone(self) -> inference_mode:
        return inference_mode(self.enabled)


def _is_inference(self: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return is_inference(self)


attach(is_inference=_is_inference)
