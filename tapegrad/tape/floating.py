"""`numpy.errstate`: rows that made an infinity or NaN of finite numbers raise, or call the user's handler, on request.

NumPy's loops are called by address here, and nobody asks the processor's flags afterwards. By default that is what
users of PyTorch know, and what code for gradients needs: no warnings. What "raise" and "call" ask for is found by
looking at the values of the rows that ran.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy._core import umath

from ..vm import opcodes as op
from .memory import array_at

__all__ = ["check_rows", "is_strict"]

_setting: Any = getattr(umath, "_extobj_contextvar", None)  # NumPy's own, where it can be had without a call
_default = _setting.get() if _setting is not None else None
_WORDS = {"divide": ("divide by zero", 1), "over": ("overflow", 2), "invalid": ("invalid value", 8)}
_DIVISORS = {"divide": 1, "reciprocal": 0, "power": 0, "float_power": 0}
"""The operand whose zeros, not its size, make an infinity."""
_POLES = {"log", "log2", "log10", "log1p", "arctanh", "logit", "gammaln", "lgamma", "digamma"}


def is_strict() -> bool:
    """Whether floating-point errors are to raise, or to call somebody."""
    if _setting is not None and _setting.get() is _default:
        return False
    asked: Any = np.geterr()
    return any(asked[kind] in ("raise", "call") for kind in _WORDS)


def check_rows(tape: Any, first: int, last: int) -> None:
    """Do what `numpy.errstate` asks for about the first row, of those that just ran, in which something went wrong.

    Raises
    ------
    FloatingPointError
        The rows have run, and the tape is as it would be without it.
    """
    slot = first
    while slot < last:
        signature = tape.signature(slot)
        if signature.kind in (op.KERNEL, op.WRITE) and signature.out.dtype.kind in "fc":
            kind = _problem(tape, slot, signature)
            if kind is not None:
                _report(kind, signature.primitive.name)
                return
        slot += signature.width


def _problem(tape: Any, slot: int, signature: Any) -> str | None:
    y = _value(tape, slot, signature.out)
    if np.isfinite(y).all():
        return None
    operands = list(zip(tape.operands(slot), signature.specs, strict=True))
    if signature.kind == op.WRITE:
        operands = operands[1:]  # the first one stood where the result stands
    values = [_value(tape, k, spec) for k, spec in operands]
    given = [x for x in values if x.dtype.kind in "fc"]
    if np.isnan(y).any() and not any(np.isnan(x).any() for x in given):
        return "invalid"
    if not np.isinf(y).any() or any(np.isinf(x).any() for x in given):
        return None
    name = signature.primitive.name
    which = _DIVISORS.get(name)
    if name in _POLES or (which is not None and which < len(values) and not values[which].all()):
        return "divide"
    return "over"


def _value(tape: Any, slot: int, spec: Any) -> np.ndarray:
    return array_at(int(tape.arrays.addr[slot]), spec.plain, None)


def _report(kind: str, name: str) -> None:
    words, flag = _WORDS[kind]
    settings: Any = np.geterr()
    asked = settings[kind]
    if asked == "raise":
        raise FloatingPointError(
            f"{words} encountered in {name}. It was found where values were asked for; with "
            f"tapegrad.set_deferral(False) every operation runs at its own line"
        )
    handler: Any = np.geterrcall()
    if asked == "call" and callable(handler):
        handler(words, flag)
