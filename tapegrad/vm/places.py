"""Makers of loops that go by arrays of places: gathering items of an array, and adding numbers to them.

The array's items are dense, and counted from its first; it stands still, so that its step in a plan is 0. Their number
comes as the loop's `data`, and no place beyond it is touched, whoever wrote the places.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from .jit import intrinsic
from .loops import components, item_type, load_number, store_number
from .memory import address_of, element

__all__ = ["add_at", "take"]


@intrinsic(prefer_literal=True)
def pick(typingctx, size, n, count, a, places, step_p, out, step):
    """Gather out = a[places], for items of `size` bytes; a place that is none of the `count` gives zero bytes."""
    kind, align = item_type(size.literal_value)

    def codegen(context, builder, signature, values):
        _, n, count, a, places, step_p, out, step = values
        width = ir.Constant(ir.IntType(64), size.literal_value)
        with cgutils.for_range(builder, n) as loop:
            place = builder.load(element(builder, places, loop.index, step_p, ir.IntType(64)))
            inside = builder.icmp_unsigned("<", place, count)
            safe = builder.select(inside, place, place.type(0))
            item = builder.load(element(builder, a, safe, width, kind), align=align)
            item = builder.select(inside, item, kind(0))
            builder.store(item, element(builder, out, loop.index, step, kind), align=align)
        return context.get_dummy_value()

    return types.void(size, *[types.int64] * 7), codegen


def take(unit: int):
    """Loop out = a[places], for items of `unit` bytes; `data` is the number of items of a, which does not move."""

    def loop(args, dims, steps, data):
        """Gather: out = a[places]."""
        count = address_of(data)
        if count > 0:
            pick(unit, dims[0], count, args[0], args[1], steps[1], args[2], steps[2])

    return loop


@intrinsic(prefer_literal=True)
def drop(typingctx, n, count, a, step_a, places, step_p, dst, dtype):
    """Scatter dst[places] += a, one after another; what belongs at none of the `count` places is left out."""

    def codegen(context, builder, signature, values):
        n, count, a, step_a, places, step_p, dst, _ = values
        kind, parts = components(context, dtype)
        width = ir.Constant(ir.IntType(64), dtype.dtype.bitwidth // 8)
        with cgutils.for_range(builder, n) as loop:
            place = builder.load(element(builder, places, loop.index, step_p, ir.IntType(64)))
            with builder.if_then(builder.icmp_unsigned("<", place, count)):
                new = load_number(builder, a, loop.index, step_a, kind, parts)
                old = load_number(builder, dst, place, width, kind, parts)
                numbers = [builder.fadd(*pair) for pair in zip(old, new, strict=True)]
                store_number(builder, numbers, dst, place, width, kind)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, dtype), codegen


def add_at(char: str):
    """Loop dst[places] += a, for a type character; `data` is the number of places in dst, which does not move."""
    dtype = np.dtype(char).type

    def loop(args, dims, steps, data):
        """Scatter: dst[places] += a."""
        drop(dims[0], address_of(data), args[0], steps[0], args[1], steps[1], args[2], dtype)

    return loop
