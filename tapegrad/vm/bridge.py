"""NumPy's and SciPy's compiled inner loops, by address.

A ufunc object is a C struct, `PyUFuncObject`, part of NumPy's public C API [1]_. It holds, for each
dtype signature, the address of ``void loop(char **args, npy_intp *dims, npy_intp *steps, void *data)``.
The layout is checked against the ufunc's own attributes when an address is taken, and once at import
by computing a value through it.

References
----------
.. [1] NumPy C-API, "Python Types and C-Structures", PyUFuncObject.
"""

from __future__ import annotations

import ctypes
import functools

import llvmlite.ir as ir
import numpy as np
from numba import types
from numba.extending import intrinsic

__all__ = ["call_loop", "fill_zero", "i32", "i64", "load", "loop_address", "store", "u8"]


class _PyUFuncObject(ctypes.Structure):
    _fields_ = (
        ("head", ctypes.c_byte * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved1", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_char)),
    )


@functools.cache
def loop_address(ufunc: np.ufunc, signature: str) -> tuple[int, int]:
    """Address and data pointer of a ufunc's inner loop.

    Parameters
    ----------
    ufunc : numpy.ufunc
    signature : str
        One of ``ufunc.types``, such as ``'dd->d'``.

    Returns
    -------
    tuple of int
        ``(function address, data address)``; the latter is 0 where there is none.

    Raises
    ------
    RuntimeError
        If NumPy lays the struct out in another way than documented.
    KeyError
        If the ufunc has no such loop.
    """
    struct = _PyUFuncObject.from_address(id(ufunc))
    if (struct.nin, struct.nout, struct.ntypes) != (ufunc.nin, ufunc.nout, ufunc.ntypes):
        raise RuntimeError(
            f"NumPy {np.__version__} lays PyUFuncObject out differently; tapegrad supports NumPy 2.0 and newer"
        )
    try:
        k = ufunc.types.index(signature)
    except ValueError:
        raise KeyError(f"{ufunc.__name__} has no loop {signature!r}, only {ufunc.types}") from None
    return struct.functions[k], struct.data[k] or 0


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
"""Typed pointers from int64 addresses: unlike arrays they are one word each and are not reference-counted."""


def _check_layout():
    """Compute 2 + 3 through the struct: a wrong layout is found here, not in a user's result."""
    fn, data = loop_address(np.add, "dd->d")
    values = np.array([2.0, 3.0, 0.0])
    base = values.ctypes.data
    frame = np.array([base, base + 8, base + 16, 1, 8, 8, 8], dtype=np.int64)
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
    start = frame.ctypes.data
    prototype(fn)(start, start + 24, start + 32, data)
    if values[2] != 5.0:
        raise RuntimeError(f"NumPy {np.__version__}: the inner loop of np.add gave {values[2]} for 2 + 3")


_check_layout()
