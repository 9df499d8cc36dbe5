"""`Tensor`'s own state: where its value stands. What users do with it is added by `attach`."""

from __future__ import annotations

import operator
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .buffer import Buffer
    from .spec import Spec
    from .tape import Tape

__all__ = ["NOTHING", "Tensor", "attach"]


class Rare:
    """What most tensors never have. All that do not share `NOTHING`; one that sets a field gets its own.

    Attributes
    ----------
    _data : numpy.ndarray or None
        Memory outside a tape's arena.
    _grad : Tensor or None
        Accumulated gradient.
    _leaf : bool
        Made by the user with requires_grad, not by an operation.
    _base : Tensor or None
        What this is a view of.
    _buffer : Buffer or None
        Version stamp shared with views.
    _offset : int
        Bytes from the base's first element.
    _inference : bool
        Made in inference mode.
    _unrecorded : bool or str
        A view made under no_grad, of which the tape knows nothing; "inference" if made in that mode.
    _seen : int
        Version of the buffer at which this view's slot was recorded.
    _home : (Tape, int) or None
        Row (or a call of a user's `Function`, and which result) that computed the value, where the slot is an import.
    _borrowed : bool
        Memory of an array that the caller may change.
    _hooks : Notes or None
        Hooks of a leaf.
    _made_by : str or None
        The user's `Function` that returned this view.
    _retains : bool
        Keeps its gradient though it is no leaf.
    _one_of_many : str or None
        A view made together with others, by the function of that name.
    _foreign : bool
        The memory is the caller's: nothing may be written there.
    _made : bool
        Made by the user on the host: it does not follow other operands to a device.
    _user, _scalar : bool
        Came into a transformation as a tensor, or as a number: its gradient is one, too.
    """

    _data: np.ndarray | None = None
    _grad: Tensor | None = None
    _leaf = False
    _base: Tensor | None = None
    _buffer: Buffer | None = None
    _offset = 0
    _inference = False
    _unrecorded: bool | str = False
    _seen = 0
    _home: tuple[Any, int] | None = None
    _borrowed = False
    _hooks: Any = None
    _made_by: str | None = None
    _retains = False
    _one_of_many: str | None = None
    _foreign = False
    _made = False
    _user = False
    _scalar = False


NOTHING = Rare()


class Tensor:
    """A handle for a slot of a tape."""

    __slots__ = ("__weakref__", "_rare", "_slot", "_spec", "_tape")

    _rare: Rare
    _slot: int
    _spec: Spec
    _tape: Tape | None

    if TYPE_CHECKING:  # what `attach` adds is not known to type checkers

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

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
        __rdivmod__: Any
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
        __lshift__: Any
        __rlshift__: Any
        __rshift__: Any
        __rrshift__: Any
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
        div: Any
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
        if isinstance(member, FunctionType) and member.__name__[0] == "_" != member.__name__[1]:
            member.__name__, member.__qualname__ = name, f"Tensor.{name}"  # as Python's own errors call it
        setattr(Tensor, name, member)


def _rare_field(name: str) -> property:
    def put(tensor: Tensor, value: Any) -> None:
        if tensor._rare is NOTHING:
            tensor._rare = Rare()
        setattr(tensor._rare, name, value)

    return property(operator.attrgetter(f"_rare.{name}"), put)


attach(**{name: _rare_field(name) for name in Rare.__annotations__ | vars(Rare) if name[1] != "_"})
