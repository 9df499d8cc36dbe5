"""Typed access to memory by address, for kernels that get raw pointers and byte strides.

Addresses are split in a base and a byte offset: the base stays one pointer in LLVM's eyes, so that loops whose
offset is ``i * step`` with a constant step still vectorise.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .jit import intrinsic

__all__ = ["address_of", "element", "gather", "scatter", "scratch"]


def element(builder, base, index, step, kind):
    """For code generators: typed pointer to the element at `index`, `step` bytes apart, from the address `base`."""
    first = builder.inttoptr(base, ir.IntType(8).as_pointer())
    return builder.bitcast(builder.gep(first, [builder.mul(index, step)]), kind.as_pointer())


@intrinsic(prefer_literal=True)
def scratch(typingctx, nbytes):
    """Address of `nbytes` (a constant) bytes on the stack, aligned to 64, alive until the function returns."""
    size = nbytes.literal_value

    def codegen(context, builder, signature, values):
        with builder.goto_entry_block():
            room = builder.alloca(ir.ArrayType(ir.IntType(8), size))
            room.align = 64
        return builder.ptrtoint(room, ir.IntType(64))

    return types.int64(nbytes), codegen


@intrinsic
def address_of(typingctx, pointer):
    """The int64 address of a C pointer."""

    def codegen(context, builder, signature, values):
        return builder.ptrtoint(values[0], ir.IntType(64))

    return types.int64(pointer), codegen


@intrinsic
def gather(typingctx, tile, x, step, m, padded, dtype):
    """tile[:m] = x[:m] for strided x; up to `padded` elements the tile repeats the first, so m > 0."""

    def codegen(context, builder, signature, values):
        tile, x, step, m, padded, _ = values
        kind, size = _kind_and_size(context, dtype)
        with cgutils.for_range(builder, m) as loop:
            value = builder.load(element(builder, x, loop.index, step, kind))
            builder.store(value, element(builder, tile, loop.index, size, kind))
        first = builder.load(element(builder, tile, size.type(0), size, kind))
        with cgutils.for_range(builder, padded, start=m) as loop:
            builder.store(first, element(builder, tile, loop.index, size, kind))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, dtype), codegen


@intrinsic
def scatter(typingctx, y, step, tile, m, dtype):
    """y[:m] = tile[:m] for strided y."""

    def codegen(context, builder, signature, values):
        y, step, tile, m, _ = values
        kind, size = _kind_and_size(context, dtype)
        with cgutils.for_range(builder, m) as loop:
            value = builder.load(element(builder, tile, loop.index, size, kind))
            builder.store(value, element(builder, y, loop.index, step, kind))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, dtype), codegen


def _kind_and_size(context, dtype):
    return context.get_value_type(dtype.dtype), ir.Constant(ir.IntType(64), dtype.dtype.bitwidth // 8)
