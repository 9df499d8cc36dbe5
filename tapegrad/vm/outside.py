"""Compiled programs as C functions for callers that know nothing of tapegrad: see `tapegrad.compiler.outside`."""

from __future__ import annotations

import math

from .intrinsics import i64, load
from .jit import jit
from .memory import scratch
from .replaying import replay as replay_function

__all__ = ["MOST_ELEMENTS", "general", "number"]

replay = jit(replay_function)

MOST_ELEMENTS = 64
TABLE, COUNT, N_INPUTS = range(3)
"""What stands where in the table of a function of one array: the plan's table, elements of x, inputs among them."""


def general(inputs, outputs, at):
    """Read what stands at `inputs`, write `outputs`; both are addresses of addresses. Returns 0, or why not."""
    return replay(at, inputs, outputs, 0)


def number(n, x, at):
    """The program's number at the `n` float64 at `x`, each of them an input or all together one; NaN if it has none."""
    c = i64(at)
    if n & 0xFFFFFFFF != c[COUNT]:
        return math.nan
    inputs, y = scratch(512), scratch(16)
    i64(inputs)[0] = x
    for k in range(1, c[N_INPUTS]):
        i64(inputs)[k] = x + 8 * k
    i64(y + 8)[0] = y
    if replay(c[TABLE], inputs, y + 8, 0) != 0:
        return math.nan
    return load(y)
