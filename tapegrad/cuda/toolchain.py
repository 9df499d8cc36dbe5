"""The one module that knows where CUDA's compiler comes from: NVIDIA's `numba-cuda`, or Numba's simulator.

Both answer to ``numba.cuda``. Their successor will be another import, and this is the place for it. Kernels are plain
Python functions over the names `cuda` and `math`; `build` makes of one what runs: machine code for a device, machine
code for the CPU (to test scalar functions against NumPy), or steps of `tapegrad.cuda.stepper`, which takes the
place of a device where ``NUMBA_ENABLE_CUDASIM=1``.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib
import math
import os
import re
import threading
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = [
    "SIMULATED", "build", "compiler", "cuda", "device_runtime", "forms", "kernel", "lowered", "math", "on_cpu",
    "single",
]  # fmt: skip

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
"""Whether kernels run in Python: decided when the process starts, as it is for Numba."""

PACKAGE = __name__.rpartition(".")[0]


@functools.cache
def compiler() -> Any:
    """The module that compiles kernels.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If none is installed.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Numba itself has is deprecated in favour of NVIDIA's package
        try:
            from numba import cuda as found
        except ImportError as error:
            raise ImportError(
                "tensors on a GPU need the package numba-cuda: pip install 'tapegrad[cuda12]' or 'tapegrad[cuda13]', "
                "as the driver of the card asks for"
            ) from error
    return found


class _Late:
    """Stands for `numba.cuda` in modules of kernels, so that importing them imports no compiler."""

    def __getattr__(self, name: str) -> Any:
        return getattr(compiler(), name)


cuda: Any = _Late()
peek_byte: Any = None
peek_single: Any = None
peek_double: Any = None
poke_byte: Any = None
poke_single: Any = None
poke_double: Any = None
"""Memory at an address, in kernels: `build` puts in what stands for them."""


def build(function: Any, wrap: Any, names: dict, made: dict | None = None, constants: Any = None) -> Any:
    """A copy of a function, and of those of this package that it calls, with other names in scope.

    Parameters
    ----------
    function : function
    wrap : callable
        Applied to each copy: a decorator that compiles.
    names : dict
        What stands for a name such as ``cuda`` and ``math``.
    made : dict, optional
        Copies that were made before, which are used again.
    constants : callable, optional
        Applied to the numbers that stand in the code.

    Returns
    -------
    object
        What `wrap` returned.
    """
    made = {} if made is None else made
    if function in made:
        return made[function]
    scope = dict(function.__globals__)
    made[function] = None  # a function that calls itself would not compile
    for name in _names_in(function.__code__):
        found = scope.get(name)
        if name in names:
            scope[name] = names[name]
        elif isinstance(found, types.FunctionType) and found.__module__.startswith(PACKAGE):
            scope[name] = build(found, wrap, names, made, constants)
    code = function.__code__
    if constants is not None:
        code = code.replace(co_consts=tuple([constants(c) for c in code.co_consts]))
    copy = types.FunctionType(code, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    made[function] = wrap(copy)
    return made[function]


def _names_in(code: types.CodeType) -> set[str]:
    """Global names that a function reads; not those of attributes, such as ``fmod`` in ``math.fmod``."""
    found = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names_in(constant)
    return found


def single(constant: Any) -> Any:
    """A number that stands in the code of a single-precision function: a product with a Python float is double."""
    return np.float32(constant) if type(constant) is float else constant


@functools.cache
def on_cpu(function: Any, precision: str = "d") -> Any:
    """A scalar function compiled for the CPU."""
    import numba

    wrap = numba.njit(error_model="numpy")
    return build(function, wrap, {"math": math, "truncated": np.fmod}, constants=single if precision == "f" else None)


# --- kernels ---------------------------------------------------------------------------------------------------------

_ON_DEVICE: dict = {}
"""Copies of functions for devices: typed once for all kernels that call them."""
_lock = threading.Lock()


def kernel(function: Any) -> Any:
    """A kernel that is compiled for the types that it is called with."""
    return _made(function, compiler().jit)


def _made(kernel: Any, wrap: Any) -> Any:
    """A kernel to which something is applied, and the functions that it calls as the device's."""
    device = functools.partial(compiler().jit, device=True)

    def either(copy: Any) -> Any:
        return wrap(copy) if copy.__name__ == kernel.__name__ else device(copy)

    with _lock:
        return build(kernel, either, {"cuda": compiler(), "math": math, **_intrinsics()}, _ON_DEVICE)


@functools.cache
def _intrinsics() -> dict:
    """Functions of the device that Numba has not, or makes more of than kernels need.

    They read and write at an address: ``peek_double(address)`` and so on. And ``divmod`` takes apart the place of an
    element, which is never negative, by a length, which is positive: the compiler would write out loops around Python's
    division three times, for a divisor of 0, for one of -1 and for all others.
    """
    from numba import types as nb

    try:
        intrinsic = importlib.import_module("numba.cuda.extending").intrinsic
    except ImportError:  # what Numba itself has
        intrinsic = importlib.import_module("numba.extending").intrinsic

    def reading(kind: Any) -> Any:
        def peek(context: Any, address: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                stored = context.get_data_type(kind)
                return builder.load(builder.inttoptr(args[0], stored.as_pointer()))

            return kind(nb.int64), code

        return intrinsic(peek)

    def writing(kind: Any) -> Any:
        def poke(context: Any, address: Any, value: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                stored = context.get_data_type(kind)
                builder.store(args[1], builder.inttoptr(args[0], stored.as_pointer()))
                return context.get_dummy_value()

            return nb.void(nb.int64, kind), code

        return intrinsic(poke)

    def parts(context: Any, place: Any, length: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            quotient = builder.udiv(*args)
            rest = builder.sub(args[0], builder.mul(quotient, args[1]))
            return context.make_tuple(builder, signature.return_type, [quotient, rest])

        return nb.UniTuple(nb.int64, 2)(nb.int64, nb.int64), code

    kinds = {"byte": nb.uint8, "single": nb.float32, "double": nb.float64}
    found = {"divmod": intrinsic(parts)} | {f"peek_{name}": reading(kind) for name, kind in kinds.items()}
    return found | {f"poke_{name}": writing(kind) for name, kind in kinds.items()}


# --- machine code without a device -----------------------------------------------------------------------------------


def lowered(function: Any, types: tuple, cc: tuple[int, int]) -> Any:
    """A kernel that is typed and lowered, which takes no device and hardly depends on the toolkit.

    Parameters
    ----------
    function : function
    types : tuple
        Of its arguments: a dtype for a number, ``("array", dtype)`` for flat memory.
    cc : tuple of int
        A compute capability, for which functions of the device are typed.

    Returns
    -------
    CodeLibrary
        The compiler's object, from which `forms` makes PTX for any architecture. It can be pickled.
    """
    from numba import types as nb

    stages: Any = importlib.import_module("numba.cuda.compiler")
    with _no_device(cc), _remembered_types():
        library, _ = stages._compile_pyfunc_with_fixup(
            _made(function, lambda copy: copy), nb.void(*[_type(t) for t in types]), device=False, cc=cc, abi="numba"
        )
    return library


def forms(library: Any, architectures: tuple[tuple[int, int], ...], each: bool = False) -> dict:
    """A lowered kernel as PTX for architectures: optimised once where the result is the same.

    Parameters
    ----------
    library : CodeLibrary
        From `lowered`.
    architectures : tuple of (int, int)
    each : bool
        Whether the optimiser runs for each architecture, even where it is known to give the same.

    Returns
    -------
    dict
        Text by compute capability.
    """
    made: dict = {}
    known: dict = {}
    for cc in architectures:
        kind = cc if each else optimiser(cc)
        if kind not in known:
            known[kind] = library.get_asm_str(cc=cc)
        made[cc] = retargeted(known[kind], cc)
    return made


def optimiser(cc: tuple[int, int]) -> Any:
    """Which of the optimiser's ways an architecture takes: up to 9.0 it is the same one (NVVM 7)."""
    return "before 10.0" if cc < (10, 0) else cc


_TARGET = re.compile(r"^\.target sm_\d+", re.M)


def retargeted(ptx: str, cc: tuple[int, int]) -> str:
    """PTX for another architecture of those for which it is the same but for this line."""
    return _TARGET.sub(f".target sm_{cc[0]}{cc[1]}", ptx)


def _type(given: Any) -> Any:
    from numba import types as nb
    from numba.np import numpy_support

    if isinstance(given, tuple):
        return nb.Array(numpy_support.from_dtype(given[1]), 1, "C")
    return numpy_support.from_dtype(given)


class _NoDevice:
    """Answers for a device where there is none: its functions ask for the architecture."""

    name = b"none"

    def __init__(self, cc: tuple[int, int]):
        self.compute_capability = cc


class _no_device:
    def __init__(self, cc: tuple[int, int]):
        self.stand_in = _NoDevice(cc)

    def __enter__(self) -> None:
        dispatcher = self._dispatcher()
        self.before = dispatcher.get_current_device
        dispatcher.get_current_device = lambda: self.stand_in

    def __exit__(self, *_: object) -> None:
        self._dispatcher().get_current_device = self.before

    @staticmethod
    def _dispatcher() -> Any:
        """The module that asks for the device when it compiles a function for it."""
        from numba.cuda import dispatcher

        return dispatcher


@contextlib.contextmanager
def _remembered_types() -> Iterator[None]:
    """Have the compiler for devices remember what operators give for types that it met before."""
    from numba.cuda.descriptor import cuda_target

    context = cuda_target.typing_context
    context.resolve_function_type = _resolving(context)
    try:
        yield
    finally:
        del context.resolve_function_type


@functools.cache
def _resolving(context: Any) -> Any:
    from ..vm.resolving import remembering

    return remembering(context.resolve_function_type)


def device_runtime() -> str:
    """Where the library is that barriers of a whole grid are linked with; nothing where there is none."""
    from numba.cuda.cudadrv.libs import get_cudalib

    found = get_cudalib("cudadevrt", static=True)
    path = found.decode() if isinstance(found, bytes) else str(found or "")
    return path if os.path.exists(path) else ""
