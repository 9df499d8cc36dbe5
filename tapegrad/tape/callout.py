"""Call-outs: the interpreter stops at an instruction, Python runs it, the interpreter goes on."""

from __future__ import annotations

import functools

import numpy as np

from ..vm import opcodes as op
from .memory import array_at

__all__ = ["add_call", "run_call"]

_calls: list[tuple] = []


def add_call(primitive, attrs, specs, out, accumulate=False) -> int:
    """Plan of a call-out: the index of what Python needs to know."""
    _calls.append((primitive, attrs, specs, out))
    return len(_calls) - 1


_array = functools.lru_cache(4096)(array_at)
"""Memory is recycled, so addresses come again; an array over one of them owns nothing, and is as good as new."""


def run_call(code, state, addr, consts):
    """Run the call-out at which the interpreter stands, and step past it; where there is none, it wanted a look."""
    pc = int(state[op.PC])
    head, plan = int(code[pc]), int(code[pc + 1])
    if head & 255 != op.CALL:
        return
    words = head >> 8 & 255
    primitive, attrs, specs, out = _calls[plan]
    ids = code[pc + 2 : pc + words].tolist()
    places = [int(addr[i]) if i >= 0 else int(consts[~i]) for i in ids]
    arrays = [_array(address, spec) for address, spec in zip(places[1:], specs, strict=True)]
    target = _array(places[0], out)
    with np.errstate(all="ignore"):
        if primitive.into is not None and target.flags.c_contiguous:
            primitive.into(target, *arrays, **attrs)
        else:
            result = primitive.compute(*arrays, **attrs)
            if target.size:
                np.copyto(target, result, casting="unsafe")
    state[op.PC] = pc + words
