"""Saved values: how a `Function` keeps tensors for its backward, and hooks that keep them in another form."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..primitives.core import ops
from ..tape.buffer import buffer_of
from ..tape.current import new_tensor
from ..tape.handle import NOTHING, Tensor
from ..tape.importing import INFERENCE_SAVED, is_inference
from ..tape.needed import note_needed
from ..tape.site import describe
from ..tape.spec import spec_of_array
from ..tape.state import grad_mode, local
from ..tape.tape import Tape
from ..values import value_of
from ..vm import opcodes as op
from .hooks import Notes, tensor_over

__all__ = [
    "SavedSlot",
    "SavedTensor",
    "disable_saved_tensors_hooks",
    "revive",
    "save_on_cpu",
    "saved",
    "saved_tensors_hooks",
]


class _Packing(threading.local):
    def __init__(self) -> None:
        self.stack: list = []
        self.disabled: list[str] = []


_packing = _Packing()


class saved_tensors_hooks:
    """Within a block, keep values that the reverse will need in a form of the user's own.

    Parameters
    ----------
    pack_hook : callable
        ``pack_hook(tensor) -> object``, called when an operation is recorded that saves the tensor. It must not change
        it.
    unpack_hook : callable
        ``unpack_hook(object) -> tensor``, called when a sweep needs the value; it gives back what was packed.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().astype("f4"), lambda a: tg.tensor(a, float)):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    tensor([2., 4.])
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if _packing.disabled:
            raise RuntimeError(_packing.disabled[-1])
        _packing.stack.append((self.pack_hook, self.unpack_hook))
        if len(_packing.stack) == 1:
            local.state.observe(_pack_row)
            local.state.packing = True

    def __exit__(self, *error: Any) -> None:
        _packing.stack.pop()
        if not _packing.stack:
            local.state.unobserve(_pack_row)
            local.state.packing = False


class save_on_cpu(saved_tensors_hooks):
    """Within a block, keep copies of saved values in the machine's memory, which later writes do not reach.

    Parameters
    ----------
    pin_memory : bool
        Accepted as in PyTorch; it means nothing here.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cpu"):
        super().__init__(_copy, _tensor)


def _copy(t: Tensor) -> np.ndarray:
    return np.array(value_of(t))


def _tensor(array: np.ndarray) -> Tensor:
    return tensor_over(array)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Within a block, refuse `saved_tensors_hooks` with this message.

    Parameters
    ----------
    error_message : str
    """
    if _packing.stack:
        raise RuntimeError(error_message)
    _packing.disabled.append(error_message)
    try:
        yield
    finally:
        _packing.disabled.pop()


def pack(t: Tensor) -> tuple[Any, Callable] | None:
    """What stands for a value under the innermost hooks, and how to get it back; None where there are no hooks."""
    if not _packing.stack:
        return None
    pack_hook, unpack_hook = _packing.stack[-1]
    state = local.state
    observers, state.observers = state.observers, []
    state.packing = False
    depth, state.depth = state.depth, 0
    try:
        with grad_mode(False):
            given = ops.detach(t)
            given._buffer = buffer_of(t)
            version = given._version
            packed = pack_hook(given)
    finally:
        state.observers, state.depth, state.packing = observers, depth, True
        state.refresh()
    if given._version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot "
            "be modified by in-place operations as this can lead to unexpected side-effects: copy it first"
        )
    return packed, unpack_hook


def _pack_row(tape: Any, signature: Any, slot: int, tensors: Any, result: Tensor) -> None:
    """Pack what the reverse of a row that was just recorded will read."""
    if not signature.out.requires_grad:
        return
    needs = signature.needs
    for k, t in enumerate((result, *tensors)):
        if needs >> min(k, 62) & 1 and not _is_number(tape, t):
            found = pack(t)
            if found is not None:
                tape.notes.setdefault(slot, Notes()).packed[k - 1] = found


def _is_number(tape: Any, t: Any) -> bool:
    """Whether a tensor stands for a Python number."""
    return t._tape is tape and t._memory is None and bool(tape.signature(t._slot).kind == op.IMPORT)


def revive(found: Any, spec: Any) -> Tensor:
    """A tensor of its own over what an unpack hook returned, checked."""
    if not isinstance(found, Tensor):
        raise TypeError(
            f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(found).__name__}"
        )
    if found._spec.shape != spec.shape or found._spec.dtype != spec.dtype:
        raise RuntimeError(
            f"a saved tensor unpack_hook returned {found._spec.dtype.name}{list(found._spec.shape)} for a value that "
            f"is {spec.dtype.name}{list(spec.shape)}: it must give back what was packed"
        )
    array = value_of(found)
    made = new_tensor(None, 0, spec_of_array(array))
    made._memory = array
    return made


class SavedTensor:
    """A tensor kept for a `Function`'s backward.

    Parameters
    ----------
    tensor : Tensor
    output : int, optional
        Which result of the function it is: its history is not kept then, since that would be a circle.
    """

    def __init__(self, tensor: Tensor, output: int | None = None):
        self.output, self.spec = output, tensor._spec
        if is_inference(tensor):
            raise RuntimeError(INFERENCE_SAVED)
        self.packed = pack(tensor)
        self.tensor: Any = None
        if self.packed is not None:
            if output is None and tensor._spec.requires_grad:
                self.tensor = tensor if tensor._leaf else _alias(tensor)
            return
        self.buffer = buffer_of(tensor)
        self.buffer.saved = True
        self.version = self.buffer.version
        if output is not None:
            self.tensor = value_of(tensor)
        else:
            self.tensor = tensor if tensor._leaf else _alias(tensor)

    def unpack(self, ctx: Any) -> Tensor:
        """The tensor, with its history."""
        if self.packed is not None:
            packed, unpack_hook = self.packed
            made = revive(unpack_hook(packed), self.spec)
            if self.output is not None:
                return _result(value_of(made), ctx, self.output)
            if self.tensor is not None and local.state.grad_enabled:
                from .function import Stand

                return Stand.apply(self.tensor, made)
            return made
        if self.buffer.version != self.version:
            raise _stale(self.spec, self.buffer.version, self.version, self.buffer.site, ctx)
        if self.output is not None:
            return _result(self.tensor, ctx, self.output)
        return self.tensor


class SavedSlot:
    """A tensor kept for a `Function`'s backward by its slot, on the tape between whose rows the call lies.

    The tape is not held, as it holds the call.

    Parameters
    ----------
    tensor : Tensor
        Without a buffer of its own, so that the tape knows of every write to it.
    """

    __slots__ = ("slot", "spec", "tape", "writes")

    def __init__(self, tensor: Tensor, tape: Tape):
        self.tape, self.slot, self.spec = weakref.ref(tape), tensor._slot, tensor._spec
        self.writes = tape.stamps.counts.get(tape.root_of(self.slot), 0)
        note_needed(tape, self.slot)

    def unpack(self, ctx: Any) -> Tensor:
        """The tensor, with its history."""
        tape = self.tape()
        if tape is None:
            raise RuntimeError(f"what {ctx.name()} saved went with its results, none of which is left")
        root = tape.root_of(self.slot)
        stamps = tape.stamps
        writes, foreign = stamps.counts.get(root, 0), tape.foreign_writes.get(root)
        if writes != self.writes or foreign is not None:
            site = stamps.sites.get(stamps.last.get(root, -1)) if foreign is None else foreign.site
            raise _stale(self.spec, writes if foreign is None else foreign.version, self.writes, site, ctx)
        return new_tensor(tape, self.slot, self.spec)


def saved(tensor: Tensor, tape: Tape) -> SavedSlot | SavedTensor:
    """A tensor, kept for the backward of a call between the rows of a tape."""
    if tensor._tape is tape and tensor._rare is NOTHING and not _packing.stack and not tape.inference:
        return SavedSlot(tensor, tape)
    return SavedTensor(tensor)


def _stale(spec: Any, version: int, expected: int, site: Any, ctx: Any) -> RuntimeError:
    where = f" It was written at {describe(site)}." if site else ""
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{spec.dtype.name} {list(spec.shape)}], is at version {version}; expected version {expected} instead "
        f"(needed by {ctx.name()}).{where} Save a copy, or write to one."
    )


def _alias(t: Tensor) -> Tensor:
    """The same value and history under another handle, which later writes do not move on."""
    made = new_tensor(t._tape, t._slot, t._spec)
    for name in ("_memory", "_home", "_buffer", "_borrowed"):
        setattr(made, name, getattr(t, name))
    return made


def _result(array: np.ndarray, ctx: Any, k: int) -> Tensor:
    call = ctx._call()
    made = new_tensor(None, 0, spec_of_array(array, call is not None))
    made._memory = array
    if call is not None:  # else nothing that was computed from it is left
        made._home = call, k
    return made
