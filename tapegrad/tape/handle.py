"""`Tensor`'s own state: where its value stands. What users do with it is added by `tapegrad.tensor`."""

from __future__ import annotations

__all__ = ["Tensor"]


class _Defaults:
    """What most tensors never set: looked up here until an instance has its own."""

    __slots__ = ()

    _data = None  # numpy.ndarray: memory outside a tape's arena
    _grad = None  # Tensor: accumulated gradient
    _leaf = False  # made by the user with requires_grad, not by an operation
    _base = None  # Tensor: what this is a view of
    _buffer = None  # Buffer: version stamp shared with views
    _offset = 0  # bytes from the base's first element
    _seen = 0  # version of the buffer at which this view's slot was recorded
    _home = None  # (tape, slot): row that computed the value, where the slot is an import
    _borrowed = False  # memory of an array that the caller may change
    _hooks = None
    _post_hooks = None
    _retains = False
    _user = False  # came into a transformation as a tensor: its gradient is one, too
    _scalar = False  # came into a transformation as a number: its gradient is one, too


class Tensor(_Defaults):
    """A handle for a slot of a tape."""

    __slots__ = ("__dict__", "__weakref__", "_slot", "_spec", "_tape")
