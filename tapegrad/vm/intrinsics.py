"""What compiled code needs beyond the Python language: calls of loops by address, typed access to memory."""

from __future__ import annotations

from llvmlite import ir
from numba import types

from .jit import intrinsic

__all__ = [
    "call_loop",
    "call_python",
    "call_words",
    "copy_bytes",
    "exchange",
    "fill_zero",
    "i32",
    "i64",
    "load",
    "put_if_empty",
    "store",
    "u8",
]


@intrinsic
def call_loop(typingctx, fn, args, dims, steps, data):
    """Call the loop at address `fn`; all five arguments are int64 addresses."""
    signature = types.void(*[types.int64] * 5)

    def codegen(context, builder, signature, values):
        pointer = ir.IntType(8).as_pointer()
        function = ir.FunctionType(ir.VoidType(), [pointer] * 4)
        target = builder.inttoptr(values[0], function.as_pointer())
        builder.call(target, [builder.inttoptr(v, pointer) for v in values[1:]])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def call_python(typingctx, fn, a, b, c):
    """Call the C function at address `fn`; one that takes fewer arguments, all of them words, ignores the others."""
    signature = types.int64(*[types.int64] * 4)

    def codegen(context, builder, signature, values):
        word = ir.IntType(64)
        function = ir.FunctionType(word, [word] * 3)
        return builder.call(builder.inttoptr(values[0], function.as_pointer()), values[1:])

    return signature, codegen


@intrinsic
def load(typingctx, address):
    """The float64 at an int64 address."""

    def codegen(context, builder, signature, values):
        return builder.load(builder.inttoptr(values[0], ir.DoubleType().as_pointer()))

    return types.float64(types.int64), codegen


@intrinsic
def store(typingctx, address, value):
    """Write a float64 at an int64 address."""

    def codegen(context, builder, signature, values):
        builder.store(values[1], builder.inttoptr(values[0], ir.DoubleType().as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.float64), codegen


@intrinsic
def fill_zero(typingctx, address, nbytes):
    """Set `nbytes` bytes at `address` to zero."""

    def codegen(context, builder, signature, values):
        pointer = ir.IntType(8).as_pointer()
        function = ir.FunctionType(ir.VoidType(), [pointer, ir.IntType(8), ir.IntType(64), ir.IntType(1)])
        name = "llvm.memset.p0.i64"
        target = builder.module.globals.get(name) or ir.Function(builder.module, function, name)
        zero, false = ir.Constant(ir.IntType(8), 0), ir.Constant(ir.IntType(1), 0)
        builder.call(target, [builder.inttoptr(values[0], pointer), zero, values[1], false])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _pointer(kind):
    @intrinsic
    def cast(typingctx, address):
        def codegen(context, builder, signature, values):
            return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), codegen

    return cast


i64, i32, u8 = _pointer(types.int64), _pointer(types.int32), _pointer(types.uint8)
f32, f64 = _pointer(types.float32), _pointer(types.float64)
"""Typed pointers from int64 addresses: unlike arrays they are one word each and are not reference-counted."""


@intrinsic
def call_words(typingctx, fn, a, b, c, d, e, f, g, h):
    """Call the C function at address `fn` with up to eight words; see `call_python`."""
    signature = types.int64(*[types.int64] * 9)

    def codegen(context, builder, signature, values):
        word = ir.IntType(64)
        function = ir.FunctionType(word, [word] * 8)
        return builder.call(builder.inttoptr(values[0], function.as_pointer()), values[1:])

    return signature, codegen


@intrinsic
def copy_bytes(typingctx, to, source, nbytes):
    """Copy `nbytes` bytes between addresses that are that far apart."""

    def codegen(context, builder, signature, values):
        pointer = ir.IntType(8).as_pointer()
        function = ir.FunctionType(ir.VoidType(), [pointer, pointer, ir.IntType(64), ir.IntType(1)])
        name = "llvm.memcpy.p0.p0.i64"
        target = builder.module.globals.get(name) or ir.Function(builder.module, function, name)
        ends = [builder.inttoptr(value, pointer) for value in values[:2]]
        builder.call(target, [*ends, values[2], ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


@intrinsic
def exchange(typingctx, address, word):
    """Write a word at an address and return what stood there, in one step that no other thread can come between."""

    def codegen(context, builder, signature, values):
        place = builder.inttoptr(values[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("xchg", place, values[1], "acq_rel")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def put_if_empty(typingctx, address, word):
    """Write a word at an address where 0 stands, in one step; returns whether that was so."""

    def codegen(context, builder, signature, values):
        place = builder.inttoptr(values[0], ir.IntType(64).as_pointer())
        pair = builder.cmpxchg(place, ir.Constant(ir.IntType(64), 0), values[1], "acq_rel", "monotonic")
        return builder.zext(builder.extract_value(pair, 1), ir.IntType(64))

    return types.int64(types.int64, types.int64), codegen
