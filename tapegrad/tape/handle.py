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

__all__ = ["NOTHING", "BufferFacts", "Rare", "Tensor", "ViewFacts", "attach"]


class Facts:
    """What is known of a tensor beside its value, as it is for most.

    Attributes
    ----------
    _memory : numpy.ndarray or None
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

    __slots__ = ()

    _memory: np.ndarray | None = None
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


class Rare(Facts):
    """What most tensors never have. All that do not share `NOTHING`; one that sets a field gets its own."""


class _Fixed(Facts):
    """Certain facts and no others: machine code tells by the type that nothing needs thought, and where they stand."""

    __slots__: tuple[str, ...] = ()

    def open(self) -> Rare:
        """The same, to which other facts can be added."""
        rare = Rare()
        for name in type(self).__slots__:
            setattr(rare, name, getattr(self, name))
        return rare


class BufferFacts(_Fixed):
    """Of a tensor that is no view, which has a buffer."""

    __slots__ = ("_buffer",)

    def __init__(self, buffer: Buffer | None):
        self._buffer = buffer


class ViewFacts(_Fixed):
    """Of a view."""

    __slots__ = ("_base", "_buffer", "_offset", "_seen")

    def __init__(self, base: Tensor, buffer: Buffer, offset: int, seen: int):
        self._base, self._buffer, self._offset, self._seen = base, buffer, offset, seen


NOTHING = Rare()


class Tensor:
    """A handle for a slot of a tape."""

    __slots__ = ("__weakref__", "_rare", "_slot", "_spec", "_tape")

    _rare: Facts
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
        rare = tensor._rare
        if rare is NOTHING:
            rare = tensor._rare = BufferFacts(None) if name == "_buffer" else Rare()
        elif isinstance(rare, _Fixed) and name not in type(rare).__slots__:
            rare = tensor._rare = rare.open()
        setattr(rare, name, value)

    return property(operator.attrgetter(f"_rare.{name}"), put)


attach(**{name: _rare_field(name) for name in Facts.__annotations__ | vars(Facts) if name[1] != "_"})
