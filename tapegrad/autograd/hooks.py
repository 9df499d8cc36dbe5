"""Hooks: functions of the user's that a sweep calls when it reaches a tensor, a row or a leaf."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from ..tape.current import new_tensor
from ..tape.handle import Rare, Tensor, attach
from ..tape.spec import spec_of_array
from ..values import value_of

__all__ = [
    "Notes",
    "RemovableHandle",
    "at_end",
    "finish_sweep",
    "hooks_added",
    "notes_of",
    "run_tensor_hooks",
    "tensor_over",
    "watchers",
]

watchers: list = []
"""Who looks at every row of every sweep.

Objects with ``python`` (whether rows run in Python), ``before(tape, row)`` and ``after(tape, row, cotangents)``.
"""


_ending = threading.local()


def at_end(function: Callable[[], None]) -> None:
    """Have a function called when this thread's sweep is over."""
    _ending.__dict__.setdefault("functions", []).append(function)


def finish_sweep() -> None:
    """Call what waits for the end of a sweep."""
    functions = _ending.__dict__.get("functions")
    while functions:
        functions.pop(0)()


class RemovableHandle:
    """What registering a hook returns: `remove` takes the hook away, as does leaving a ``with`` block.

    Parameters
    ----------
    hooks : dict
        Where the hook is kept, by the handle's `id`.
    """

    _ids = itertools.count()

    def __init__(self, hooks: _Hooks):
        self.id = next(self._ids)
        self._hooks = weakref.ref(hooks)

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()


class _Hooks(dict):
    """Hooks by their handles' numbers, in the order of registration.

    Attributes
    ----------
    added : int
        How many hooks were ever added, to whatever: a sweep that runs hooks sees whether they added some.
    """

    __slots__ = ("__weakref__",)
    added = 0

    def add(self, hook: Callable) -> RemovableHandle:
        """Append a hook."""
        if not callable(hook):
            raise TypeError(f"a hook must be callable, not {type(hook).__name__}")
        handle = RemovableHandle(self)
        self[handle.id] = hook
        _Hooks.added += 1
        return handle


def hooks_added() -> int:
    """How many hooks were ever added."""
    return _Hooks.added


class Notes:
    """What is attached to a row (or to a leaf): most rows have none.

    Attributes
    ----------
    tensor : dict
        Hooks of the tensor that the row computed: they see its cotangent, and may replace it.
    before, after : dict
        Hooks of the row as a node: before it runs, and after it with the cotangents that it gave.
    accumulated : dict
        Hooks of a leaf, called when its ``grad`` was filled.
    packed : dict
        What stands for saved values, by operand (-1 the result): ``(packed, unpack)``.
    metadata : dict
        The user's own.
    site : tuple or None
        File and line of the forward operation.
    """

    __slots__ = ("accumulated", "after", "before", "metadata", "packed", "site", "tensor")

    def __init__(self) -> None:
        self.tensor, self.before, self.after, self.accumulated = _Hooks(), _Hooks(), _Hooks(), _Hooks()
        self.packed: dict = {}
        self.metadata: dict = {}
        self.site: tuple | None = None

    @property
    def stops(self) -> bool:
        """Whether a sweep must look in here."""
        return bool(self.tensor or self.needs_rule)

    @property
    def needs_rule(self) -> bool:
        """Whether the row must be run by its recorded rule, in Python."""
        return bool(self.before or self.after or self.packed)


def notes_of(tensor: Tensor) -> Notes:
    """The notes of the row or leaf that gave a tensor, made when they are first needed."""
    if tensor._leaf:
        if tensor._hooks is None:
            tensor._hooks = Notes()
        return tensor._hooks
    from .recorded import home_of

    if tensor._base is not None:
        tensor._refresh_view()
    tape, slot = home_of(tensor)
    return tape.notes.setdefault(slot, Notes())


def tensor_over(array: np.ndarray) -> Tensor:
    """A tensor without history over an array that is nobody else's."""
    if array.__class__ is not np.ndarray:
        if not isinstance(array, (np.ndarray, np.generic)):  # it stands on a device
            return array.device.tensor_over(array)
        array = np.asarray(array)
    made = new_tensor(None, 0, spec_of_array(array))
    made._rare = rare = Rare()
    rare._memory = array
    return made


def _name(hook: Callable) -> str:
    return getattr(hook, "__name__", type(hook).__name__)


def check_cotangent(found: Any, before: Tensor, hook: Callable) -> Tensor:
    """What a hook returned in place of a cotangent, refused unless it is a tensor of the same type."""
    if not isinstance(found, Tensor):
        raise TypeError(
            f"hook {_name(hook)!r} must return a tensor or None: expected Variable, but hook returned "
            f"{type(found).__name__!r}"
        )
    if found._spec.dtype != before._spec.dtype:
        raise RuntimeError(
            f"hook {_name(hook)!r} has changed the type of value (was {before._spec.dtype.name} got "
            f"{found._spec.dtype.name}); convert it back before returning it"
        )
    if found._spec.shape != before._spec.shape:
        raise RuntimeError(
            f"hook {_name(hook)!r} has changed the size of value (was {before._spec.shape} got {found._spec.shape})"
        )
    return found


def run_tensor_hooks(hooks: dict, bar: Tensor) -> Tensor:
    """The cotangent that the hooks leave, each seeing what the one before it left."""
    for hook in list(hooks.values()):
        found = hook(bar)
        if found is not None:
            bar = check_cotangent(found, bar, hook)
    return bar


def run_node_hooks(hooks: dict, bars: tuple, *others: Any) -> tuple:
    """The tuple of cotangents that a node's hooks leave; they see `others` as well."""
    for hook in list(hooks.values()):
        found = hook(bars, *others)
        if found is None:
            continue
        if not isinstance(found, tuple):
            if len(bars) == 1 and isinstance(found, Tensor):
                found = (found,)
            else:
                raise TypeError(f"hook {_name(hook)!r}: expected tuple, but hook returned {type(found).__name__!r}")
        if len(found) != len(bars):
            raise RuntimeError(
                f"hook {_name(hook)!r} has returned an incorrect number of values (got {len(found)}, but expected "
                f"{len(bars)})"
            )
        bars = tuple(
            g if g is None or b is None else check_cotangent(g, b, hook) for g, b in zip(found, bars, strict=True)
        )
    return bars


def run_leaf_hooks(leaf: Tensor, array: np.ndarray) -> np.ndarray:
    """A leaf's gradient after its hooks, in memory of its own."""
    notes = leaf._hooks
    if notes is None or not (notes.tensor or notes.before):
        return array
    from ..tape.state import grad_mode

    with grad_mode(False):
        bar = run_tensor_hooks(notes.tensor, tensor_over(array))
        (bar,) = run_node_hooks(notes.before, (bar,))
    return np.array(value_of(bar))


def run_accumulated_hooks(leaf: Tensor, bar: Any) -> None:
    """Call what waits for a leaf's ``grad`` to be filled; `bar` is what was added to it."""
    notes = leaf._hooks
    if notes is None:
        return
    for hook in list(notes.accumulated.values()):
        found = hook(leaf)
        if found is not None:
            raise TypeError(
                f"hook {_name(hook)!r} must return None: expected Variable, but hook returned {type(found).__name__!r}"
            )
    if notes.after:
        run_node_hooks(notes.after, (), (bar,))


def _check_requires_grad(tensor: Tensor) -> None:
    if not tensor.requires_grad:
        raise RuntimeError(
            "cannot register a hook on a tensor that doesn't require gradient: no gradient will reach it. Call "
            "requires_grad_() on it first, or register the hook on the tensor that does"
        )


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Have a function called with this tensor's gradient whenever a sweep computes it.

    Parameters
    ----------
    hook : callable
        ``hook(grad) -> Tensor or None``: a tensor takes the gradient's place. It must not change its argument.

    Returns
    -------
    RemovableHandle
        Its ``remove()`` takes the hook away.

    Raises
    ------
    RuntimeError
        If the tensor does not require grad.

    Examples
    --------
    >>> import tapegrad as tg
    >>> v = tg.tensor([0.0, 0.0], requires_grad=True)
    >>> handle = v.register_hook(lambda grad: grad * 2)
    >>> v.backward(tg.tensor([1.0, 2.0]))
    >>> v.grad
    tensor([2., 4.])
    >>> handle.remove()
    """
    _check_requires_grad(self)
    notes = notes_of(self)
    if self._base is not None:
        self._buffer.retain()
    return notes.tensor.add(hook)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Have a function called with this leaf whenever its ``grad`` has been added to.

    Parameters
    ----------
    hook : callable
        ``hook(leaf) -> None``; it may use the leaf's ``grad`` and clear it.

    Returns
    -------
    RemovableHandle

    Raises
    ------
    RuntimeError
        If the tensor does not require grad or is no leaf.
    """
    _check_requires_grad(self)
    if not self._leaf:
        raise RuntimeError(
            "post accumulate grad hooks cannot be registered on non-leaf tensors; use register_hook, which sees the "
            "gradient of any tensor"
        )
    return notes_of(self).accumulated.add(hook)


attach(
    register_hook=register_hook,
    register_post_accumulate_grad_hook=register_post_accumulate_grad_hook,
)
