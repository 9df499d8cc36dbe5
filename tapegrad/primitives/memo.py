"""Functions of one tensor and fixed arguments, recorded by a look-up when they were called alike before."""

from __future__ import annotations

import functools
from _thread import get_ident
from collections.abc import Callable
from typing import Any

from ..tape.current import new_tensor
from ..tape.handle import NOTHING, Tensor
from ..tape.signature import FAST, fast_index
from ..tape.state import local
from ..vm.opcodes import KERNEL, SLOT_BITS

__all__ = ["remembered"]


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
            _remember(k, key, x, y, before)
        return y

    return quick


def _remember(k: int, key: Any, x: Tensor, y: Tensor, before: int) -> None:
    """Enter a call into the table, if it left one row that may simply be appended."""
    state, tape = local.state, y._tape
    if tape is None or tape is not state.tape or x._tape is not tape or y._rare is not NOTHING or y._slot != before:
        return
    row = tape.signature(before)
    if len(tape.rows) != before + 1 or row.kind != KERNEL or not row.deferrable or tape.operands(before) != [x._slot]:
        return
    if row.specs[0] is not key[0]:  # a view that was out of date, and has got a gradient since
        return
    try:
        FAST[state.grad_enabled][k][key] = row.code, row.out
    except TypeError:  # an argument that cannot be hashed
        pass
