"""`Tensor`'s own state: where its value stands. What users do with it is added by `attach`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .buffer import Buffer
    from .spec import Spec
    from .tape import Tape

__all__ = ["Tensor", "attach"]


class _Defaults:
    """What most tensors never set: looked up here until an instance has its own."""

    __slots__ = ()

    _data: np.ndarray | None = None  # numpy.ndarray: memory outside a tape's arena
    _grad: Tensor | None = None  # Tensor: accumulated gradient
    _leaf = False  # made by the user with requires_grad, not by an operation
    _base: Tensor | None = None  # Tensor: what this is a view of
    _buffer: Buffer | None = None  # Buffer: version stamp shared with views
    _offset = 0  # bytes from the base's first element
    _unrecorded = False  # a view made under no_grad, of which the tape knows nothing
    _seen = 0  # version of the buffer at which this view's slot was recorded
    _home: tuple[Tape, int] | None = None  # (tape, slot): row that computed the value, where the slot is an import
    _borrowed = False  # memory of an array that the caller may change
    _hooks = None
    _post_hooks = None
    _retains = False
    _one_of_many: str | None = None  # made together with other views, by the function of that name
    _foreign = False  # the memory is the caller's: nothing may be written there
    _user = False  # came into a transformation as a tensor: its gradient is one, too
    _scalar = False  # came into a transformation as a number: its gradient is one, too


class Tensor(_Defaults):
    """A handle for a slot of a tape."""

    __slots__ = ("__dict__", "__weakref__", "_slot", "_spec", "_tape")

    _slot: int
    _spec: Spec
    _tape: Tape | None

    if TYPE_CHECKING:  # what `attach` adds is not known to type checkers

        def __getattr__(self, name: str) -> Any: ...

        __add__: Any
        __radd__: Any
        __sub__: Any
        __rsub__: Any
        __mul__: Any
        __rmul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __floordiv__: Any
        __rfloordiv__: Any
        __mod__: Any
        __rmod__: Any
        __divmod__: Any
        __pow__: Any
        __rpow__: Any
        __matmul__: Any
        __rmatmul__: Any
        __and__: Any
        __rand__: Any
        __or__: Any
        __ror__: Any
        __xor__: Any
        __rxor__: Any
        __lt__: Any
        __le__: Any
        __gt__: Any
        __ge__: Any
        __eq__: Any
        __ne__: Any
        __neg__: Any
        __pos__: Any
        __abs__: Any
        __invert__: Any
        __getitem__: Any
        __setitem__: Any
        __len__: Any
        __iter__: Any
        __bool__: Any
        __int__: Any
        __float__: Any
        __complex__: Any
        __index__: Any
        __round__: Any
        __trunc__: Any
        __floor__: Any
        __ceil__: Any
        __array__: Any


def attach(**members: Any) -> None:
    """Add members to `Tensor`.

    Parameters
    ----------
    **members
        Methods, properties and constants by name; one that was there before is replaced.
    """
    for name, member in members.items():
        setattr(Tensor, name, member)
