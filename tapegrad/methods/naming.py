"""What all method tables need: naming a function as a method, and PyTorch's keywords in NumPy's words."""

from __future__ import annotations

from typing import Any

from ..tape.handle import attach

__all__ = ["axes_of", "in_numpy_words", "named"]

_WORDS = {"dim": "axis", "keepdim": "keepdims", "dim0": "axis1", "dim1": "axis1", "dim2": "axis2"}


def named(name: str, function: Any, doc: str | None = None) -> Any:
    """Attach a function to `Tensor` under a name; returns it."""
    function.__name__ = function.__qualname__ = name
    if doc is not None:
        function.__doc__ = doc
    attach(**{name: function})
    return function


def axes_of(dim: Any) -> Any:
    """PyTorch's `dim` as NumPy's `axis`: a list is a tuple, and no axes at all are all of them."""
    if dim is None or type(dim) is int:
        return dim
    if isinstance(dim, (list, tuple)):
        return tuple(dim) or None
    return dim


def in_numpy_words(kwargs: dict) -> dict:
    """Keyword arguments with PyTorch's names replaced by NumPy's.

    Raises
    ------
    TypeError
        If both names of one argument were given.
    """
    made = {}
    for key, value in kwargs.items():
        word = _WORDS.get(key, key)
        if word != key and word in kwargs:
            raise TypeError(f"{key}= and {word}= name the same argument: give one of them")
        made[word] = axes_of(value) if key == "dim" else value
    return made
