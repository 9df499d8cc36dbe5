"""A tape as text: one line a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tape.current import new_tensor
from ..tape.lower import tracing
from ..tape.spec import spec_of_array
from ..tape.tape import Tape
from ..vm import opcodes as op

__all__ = ["format_tape", "list_rows", "short"]


def format_tape(function: Callable, *args: Any, limit: int = 40) -> str:
    """The rows that a function records on arguments like these.

    Parameters
    ----------
    function : callable
    *args
        Arrays, numbers, or containers of such.
    limit : int
        Rows to show; what is between the first and the last of them is left out.

    Returns
    -------
    str
        One line a row: slot, opcode, operand slots, type of the result. Where the function asks for a value, as ``if``
        does, the rows are those of the branch that these arguments take.
    """
    import optree

    from ..compiler.guards import Questions

    with tracing() as tape:
        inputs, arrays = [], []

        def place(x: Any) -> Any:
            if not isinstance(x, (np.ndarray, np.generic, float)):
                return x
            array = np.asarray(x)
            spec = spec_of_array(array)
            placed = new_tensor(tape, tape.bring(spec, None, 0), spec)
            inputs.append(placed._slot)
            arrays.append(array)
            return placed

        placed: Any = optree.tree_map(place, args)  # type: ignore[arg-type]
        questions = tape.questions = Questions(tape, inputs, arrays, False)
        try:
            function(*placed)
        finally:
            questions.release()
            tape.questions = None
    return "\n".join(list_rows(tape, limit))


def list_rows(tape: Tape, limit: int = 40) -> list[str]:
    """Lines for the rows of a tape."""
    lines: list[str] = []
    slot = 0
    while slot < len(tape.rows):
        row = tape.signature(slot)
        name = "input" if row.kind == op.IMPORT else row.primitive.name
        operands = ", ".join(f"%{k}" for k in tape.operands(slot))
        attrs = ", ".join(f"{k}={short(v)}" for k, v in row.attrs.items() if k not in ("strides", "base_strides"))
        lines.append(f"%{slot:<5} = {name}({', '.join(filter(None, (operands, attrs)))})".ljust(58) + f"  {row.out!r}")
        slot += row.width
    if len(lines) > limit:
        half = limit // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} rows ...", *lines[-half:]]
    return lines


def short(value: object) -> str:
    """A value in at most 24 characters."""
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."
