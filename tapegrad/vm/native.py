"""Machine code by address: read from the cache with llvmlite alone, or compiled first, for which Numba is imported.

Importing Numba and filling its registries takes longer than everything else at the start of a process.  So what is
compiled here are functions that take and return C numbers and need neither Python nor Numba when they run; their
object code is kept (see `tapegrad.vm.cache`) and put into memory by LLVM's own loader.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import os
import platform
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from . import cache

__all__ = [
    "addresses",
    "bind_data",
    "bind_last",
    "features",
    "has_fma",
    "processor",
    "vector_bytes",
    "without_collection",
]

_lock = threading.RLock()
_loaded: dict[tuple, tuple[int, ...]] = {}
_bound: dict[tuple[int, int], int] = {}
_engines: list = []  # own the memory of the code: an address is valid as long as the process lives


def addresses(functions: tuple[str, ...], *arguments: str | int) -> tuple[int, ...]:
    """Addresses of compiled functions.

    Parameters
    ----------
    functions : tuple of str
        Such as ``('forward.link',)``: module of this folder and name. They make one piece of machine code, in which
        they share the functions that they call.
    *arguments : str or int
        If there are any, the names are those of makers: each is called with `arguments`, and what it returns is
        compiled.

    Returns
    -------
    tuple of int
        In the order of `functions`.

    Notes
    -----
    See `tapegrad.vm.jit` for the Python functions that can be compiled. Reading from the cache takes a few
    milliseconds, after some 70 that the first use of llvmlite takes in a process.
    """
    key = functions, arguments
    found = _loaded.get(key)
    if found is None:
        with _lock:
            found = _loaded.get(key)
            if found is None:
                found = _loaded[key] = _load(functions, arguments)
    return found


def _load(functions: tuple[str, ...], arguments: tuple) -> tuple[int, ...]:
    # A hash, as letters that differ in case alone are one file name on some systems.
    name = f"{functions[0]}-{hashlib.sha256(repr((functions, arguments)).encode()).hexdigest()[:16]}.o"
    stored = cache.read(name)
    if stored is not None:
        found = _link(stored)
        if found is not None:
            return found
    with without_collection():
        from .jit import compile_object

        stored = pack(*compile_object(functions, arguments))
    cache.write(name, stored)
    found = _link(stored)
    if found is None:
        raise RuntimeError(f"the compiled code of {functions} calls functions that this process lacks")
    return found


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """For work that makes many objects that stay as long as it lasts: looking for garbage takes a tenth more."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def pack(exported: list[str], imported: list[str], code: bytes) -> bytes:
    """Object code behind a line that names the functions asked for, and one with those that it calls."""
    return "\n".join([" ".join(exported), " ".join(imported), ""]).encode() + code


def _link(stored: bytes) -> tuple[int, ...] | None:
    """Put object code into memory; None where it calls what does not exist, on which LLVM would end the process."""
    llvm = _llvm()
    exported, imported, code = stored.split(b"\n", 2)
    if any(llvm.address_of_symbol(symbol) is None for symbol in imported.decode().split()):
        return None
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return tuple(engine.get_function_address(symbol) for symbol in exported.decode().split())


def bind_data(address: int, data: int) -> int:
    """Address of a loop that calls the loop at `address` with `data` as its fourth argument.

    One compiled loop so serves a whole family of functions.  It takes LLVM a millisecond or two.
    """
    key = address, data
    with _lock:
        if key not in _bound:
            (_bound[key],) = bind_last(address, [data], 4, "nothing")
        return _bound[key]


def bind_last(address: int, data: Sequence[int], count: int, result: str = "word") -> list[int]:
    """Addresses of functions that call the one at `address`, each with its own word as the last argument.

    Parameters
    ----------
    address : int
        Of a C function.
    data : sequence of int
        A word for each of the functions to make.
    count : int
        How many arguments the function at `address` takes, all of them words; those made here take one less.
    result : {"word", "double", "nothing"}
        What it returns.

    Returns
    -------
    list of int
    """
    from llvmlite import ir

    word = ir.IntType(64)
    returned = {"word": word, "double": ir.DoubleType(), "nothing": ir.VoidType()}[result]
    module = ir.Module("bound")
    inner = ir.FunctionType(returned, [word] * count)
    for k, value in enumerate(data):
        function = ir.Function(module, ir.FunctionType(returned, [word] * (count - 1)), f"bound_{k}")
        builder = ir.IRBuilder(function.append_basic_block())
        target = builder.inttoptr(word(address), inner.as_pointer())
        found = builder.call(target, [*function.args, word(value)], tail=True)
        builder.ret_void() if result == "nothing" else builder.ret(found)
    llvm = _llvm()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(module)), target_machine(opt=0))
    engine.finalize_object()
    _engines.append(engine)
    return [engine.get_function_address(f"bound_{k}") for k in range(len(data))]


# --- LLVM and the processor --------------------------------------------------------------------------------------


@functools.cache
def _llvm() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def target_machine(opt: int = 3) -> Any:
    """LLVM's code generator for this processor, with the relocations that its loader can place anywhere."""
    llvm = _llvm()
    triple = llvm.get_process_triple()
    name, feature_list = processor()
    reloc = "static" if triple.startswith(("x86", "i386", "i686")) else "default"
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=name, features=feature_list, opt=opt, reloc=reloc, codemodel="jitdefault", jit=True
    )


@functools.cache
def processor() -> tuple[str, str]:
    """Name and features of the processor that code is compiled for; Numba's environment variables override them."""
    llvm = _llvm()
    name = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    found = os.environ.get("NUMBA_CPU_FEATURES")
    if found is None:
        try:
            found = llvm.get_host_cpu_features().flatten()
        except RuntimeError:  # LLVM cannot tell on this platform
            found = ""
    return name, found


@functools.cache
def features() -> frozenset[str]:
    """Processor features that code is compiled for, such as '+avx2'."""
    return frozenset(processor()[1].split(","))


@functools.cache
def vector_bytes() -> int:
    """Size of a vector; it also fixes how vectors are passed to functions."""
    return 64 if "+avx512f" in features() else 32 if "+avx2" in features() else 16


def has_fma() -> bool:
    """Whether a multiplication and an addition are one instruction."""
    return "+fma" in features() or platform.machine() in ("arm64", "aarch64")
