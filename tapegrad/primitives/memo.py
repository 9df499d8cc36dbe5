"""Functions of one or two tensors and fixed arguments, recorded by a look-up when they were called alike before."""

from __future__ import annotations

import functools
from _thread import get_ident
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tape.current import new_tensor
from ..tape.handle import NOTHING, Tensor
from ..tape.importing import is_plain, slot_of
from ..tape.record import pack
from ..tape.signature import CAREFUL, FAST, fast_index
from ..tape.state import local
from ..vm.opcodes import IMPORT, KERNEL, SLOT_BITS

__all__ = ["keep_in_mind", "recall", "remembered", "remembered_pair"]


def remembered(function: Callable) -> Callable:
    """Let a function remember the row that it leaves, by its operand's spec and its other arguments.

    Parameters
    ----------
    function : callable
        Takes a tensor first. What it records depends on the tensor's spec and on its other arguments, on nothing else.

    Returns
    -------
    callable
        The same function; where one row was all that a call recorded, the next such call appends it at once.
    """
    k = fast_index()

    @functools.wraps(function)
    def quick(x: Any = NOTHING, /, *args: Any, **kwargs: Any) -> Any:
        if x is NOTHING:  # the tensor has been given by its name
            return function(*args, **kwargs)
        key = None
        try:
            slot, tape = x._slot, x._tape
            if tape.thread == get_ident():
                # Types as well: 1, 1.0 and True are one key, but not one argument.
                key = x._spec, args, tuple(kwargs.items()), *map(type, args), *map(type, kwargs.values())
                code, spec = tape.fast[k][key]
                rows = tape.rows
                row = len(rows)
                if row < tape.limit:
                    rows.append(code + (slot << SLOT_BITS))
                    return new_tensor(tape, row, spec)
        except (KeyError, AttributeError, TypeError):  # not met before; a tensor on no tape; a list among the arguments
            pass
        before = len(local.state.tape.rows)
        y = function(x, *args, **kwargs)
        if key is not None and y.__class__ is Tensor:
            _remember(k, key, (x,), y, before)
        return y

    return quick


def remembered_pair(function: Callable) -> Callable:
    """The same for functions of two tensors, of which the second one may have to be brought onto the tape.

    Parameters
    ----------
    function : callable
        Takes two tensors, and other arguments of which no two that are equal differ in type.

    Returns
    -------
    callable
    """
    k = fast_index()

    @functools.wraps(function)
    def quick(x: Tensor, other: Tensor, *args: Any) -> Any:
        key, state = None, local.state
        slot, tape = x._slot, x._tape
        if tape is state.tape and tape.thread == get_ident() and is_plain(other, tape):
            key = x._spec, other._spec, *args
            try:
                code, spec = tape.fast[k][key]
            except (KeyError, TypeError):  # not met before; a list among the arguments
                pass
            else:
                second = slot_of(other, state, tape)
                row = len(tape.rows)
                if state.tape is tape and tape.fast is not CAREFUL and row < tape.limit:
                    tape.rows.append(code + (slot << SLOT_BITS) + second)
                    return new_tensor(tape, row, spec)
        before = len(state.tape.rows)
        y = function(x, other, *args)
        if key is not None and y.__class__ is Tensor:
            _remember(k, key, (x, other), y, before)
        return y

    return quick


_MANY = fast_index()
_NUMBERS = frozenset((float, int, np.float64, np.float32))


def recall(call: tuple, operands: Sequence) -> Tensor | None:
    """The result of a function that has met such operands before, tensors and numbers; None if it has not.

    Parameters
    ----------
    call : tuple
        The function, and all else that the row depends on.
    operands : sequence
    """
    state = local.state
    tape = state.tape
    kinds = [x._spec if x.__class__ is Tensor else x.__class__ for x in operands]
    try:
        signature, chars = tape.fast[_MANY][(*call, *kinds)]
    except KeyError:
        return None
    slots = []
    for x, char in zip(operands, chars, strict=True):
        if char is not None:
            try:
                slots.append(tape.numbers[char][x])
            except OverflowError:  # the long way knows what becomes of it
                return None
        elif is_plain(x, tape):
            slots.append(slot_of(x, state, tape))
        else:
            return None
    row = len(tape.rows)
    if state.tape is not tape or tape.fast is CAREFUL or row >= tape.limit:
        return None
    tape.rows.extend(pack(signature, slots))
    return new_tensor(tape, row, signature.out)


def keep_in_mind(call: tuple, operands: Sequence, tensors: Sequence[Tensor], y: Tensor) -> None:
    """Enter a call for `recall`, if its row, of these tensors, may simply be appended."""
    state, tape = local.state, y._tape
    kinds, chars = [], []
    for x, t in zip(operands, tensors, strict=True):
        if x.__class__ in _NUMBERS:
            kinds.append(x.__class__)
            chars.append(t._spec.dtype.char)
        elif x is t:
            kinds.append(t._spec)
            chars.append(None)
        else:
            return
    if tape is None or tape is not state.tape or y._rare is not NOTHING or y._spec.device is not None:
        return
    if any([t._tape is not tape for t in tensors]):
        return
    row, slots = tape.signature(y._slot), [t._slot for t in tensors]
    if row.kind == KERNEL and row.deferrable and tape.operands(y._slot) == slots:
        FAST[state.grad_enabled][_MANY][(*call, *kinds)] = row, chars


def _remember(k: int, key: Any, xs: tuple[Tensor, ...], y: Tensor, before: int) -> None:
    """Enter a call into the table, if it left one row that may simply be appended, behind those that bring operands."""
    state, tape, slot = local.state, y._tape, y._slot
    if tape is None or tape is not state.tape or y._rare is not NOTHING or len(tape.rows) != slot + 1:
        return
    row = tape.signature(slot)
    if slot < before or any([tape.signature(brought).kind != IMPORT for brought in range(before, slot)]):
        return
    if row.kind != KERNEL or not row.deferrable or any([x._tape is not tape for x in xs]):
        return
    if tape.operands(slot) != [x._slot for x in xs]:
        return
    if row.specs != key[: len(xs)]:  # a view that was out of date, and has got a gradient since
        return
    try:
        FAST[state.grad_enabled][k][key] = row.code, row.out
    except TypeError:  # an argument that cannot be hashed
        pass
