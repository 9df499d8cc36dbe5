"""Math functions as SIMD loops with NumPy's inner loop signature, where they beat NumPy's own.

Float64 sin and cos, erf, logaddexp and hypot are written out, for any processor with fused multiply-add: they have the
bits of NumPy's and SciPy's, or are not used.  On Linux x86-64 the other functions are those of glibc's libmvec [1]_,
within 4 ulp, special values included; elsewhere they are left to NumPy.  A value's result depends neither on its
position nor on the length or the strides of its array.

References
----------
.. [1] The GNU C Library, "Libmvec", https://sourceware.org/glibc/wiki/libmvec
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import platform
import sys

import numpy as np

from .bridge import loop_address
from .helpers import elementwise
from .native import addresses, bind_data, has_fma, vector_bytes

__all__ = ["simd_loop", "vector_function"]

# NumPy's or SciPy's ufunc -> C function
UNARY = {
    **{name: name for name in ("sin", "cos", "tan", "exp", "exp2", "expm1", "log", "log2", "log1p")},
    **{name: name for name in ("tanh", "sinh", "cosh", "erf")},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "log10": "log10",
}
BINARY = {"power": "pow", "arctan2": "atan2", "hypot": "hypot", "logaddexp": ""}

# Also within 4 ulp, but log10(1e7) is not 7 here: code that takes the floor would break.  So does cbrt, left out above.
INEXACT = {("log10", "d")}
WRITTEN_OUT = {("sin", "d"), ("cos", "d"), *((name, char) for name in ("erf", "hypot", "logaddexp") for char in "df")}


@functools.cache
def simd_loop(name: str, signature: str) -> int | None:
    """Address of a SIMD loop for a NumPy or SciPy ufunc, if there is one that beats the ufunc's own.

    Parameters
    ----------
    name : str
        Name of the ufunc, such as ``'arcsin'``.
    signature : str
        Type characters, such as ``'d->d'`` or ``'ff->f'``.

    Returns
    -------
    int or None
        Address of ``void loop(char **args, npy_intp *dims, npy_intp *steps, void *data)``, which takes any byte
        strides, may write over its operand (the same address and step), ignores `data` and changes neither
        `args` nor the floating-point status.  None where the ufunc's own loop should be called.

    Notes
    -----
    The first call for a type compiles for some 0.3 s, later processes read that from the cache; another
    function of the same type takes a few milliseconds.
    """
    types_in, _, char = signature.partition("->")
    arity = 2 if name in BINARY else 1
    if char not in ("d", "f") or types_in != char * arity or (name, char) in INEXACT:
        return None
    if name not in UNARY and name not in BINARY:
        return None
    if _numpy_has_avx512(name, char):
        return None
    if (name, char) in WRITTEN_OUT:
        return _written_out(name, char, arity)
    maker = "vectors.binary" if arity == 2 else "vectors.unary"
    function = _libmvec_function(UNARY.get(name) or BINARY[name], char, arity)
    if function is None:
        return None
    (loop,) = addresses((maker,), "call", char)
    address = bind_data(loop, function)
    if not _is_right(address, name, char, arity):
        return None
    elementwise.add(address)
    return address


def _written_out(name: str, char: str, arity: int) -> int | None:
    # scipy.special._ufuncs: with SCIPY_ARRAY_API=1, scipy.special has functions of these names.
    library = np if hasattr(np, name) else importlib.import_module("scipy.special._ufuncs")
    ufunc = getattr(library, name)
    if name == "hypot":
        (address,) = addresses(("vectors.binary",), name, char)
    elif has_fma():
        _asked[name, char] = np.array(loop_address(ufunc, f"{char * arity}->{char}"), np.int64)
        (loop,) = addresses(("asking.loop",), name, arity, char)
        address = bind_data(loop, _asked[name, char].ctypes.data)
    else:
        return None
    if not _is_the_librarys(address, ufunc, char):
        return None
    elementwise.add(address)
    return address


_asked: dict[tuple[str, str], np.ndarray] = {}


# --- what the processor and the libraries offer ------------------------------------------------------------------


def _numpy_has_avx512(name: str, char: str) -> bool:
    """Whether NumPy's loop is AVX-512 code on this machine: as fast as libmvec, with nothing to compile."""
    if name in ("sin", "cos") and char == "d":
        return False  # listed, but scalar since NumPy 1.26
    try:
        from numpy.lib.introspect import opt_func_info
    except ImportError:  # before NumPy 2.1
        return False
    targets = opt_func_info(func_name=f"^{name}$").get(name, {})
    target = next((entry["current"] for types_in, entry in targets.items() if set(types_in) == {char}), "")
    return "AVX512" in target or "X86_V4" in target


@functools.cache
def _libmvec() -> ctypes.CDLL | None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    try:
        return ctypes.CDLL("libmvec.so.1")
    except OSError:  # another C library than glibc
        return None


def _libmvec_function(name: str, char: str, arity: int) -> int | None:
    """Address of a vector function, named as in the x86 vector function ABI; None where glibc is too old for it."""
    isa = {16: "b", 32: "d", 64: "e"}[vector_bytes()]
    count = vector_bytes() // np.dtype(char).itemsize
    symbol = f"_ZGV{isa}N{count}{'v' * arity}_{name}{'f' if char == 'f' else ''}"
    library = _libmvec()
    if library is None or not hasattr(library, symbol):
        return None
    return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value


@functools.cache
def vector_function(name: str, char: str) -> tuple[int, int] | None:
    """Address of a C function of vectors, such as ``'exp'``, and how many lanes it takes; None without one."""
    address = _libmvec_function(name, char, 2 if name in BINARY.values() else 1)
    return None if address is None else (address, vector_bytes() // np.dtype(char).itemsize)


def _is_the_librarys(address: int, ufunc: np.ufunc, char: str) -> bool:
    """Whether a loop has the bits of NumPy's or SciPy's, which call the C library, at many points."""
    k = np.arange(2.0**16)
    operands = [(wave(k) * np.exp2(k % 32 - 16)).astype(char) for wave in (np.cos, np.sin)][: ufunc.nin]
    return np.array_equal(_called(address, *operands), ufunc(*operands))


def _called(address: int, *operands: np.ndarray) -> np.ndarray:
    """What a loop makes of arrays."""
    arrays = [*operands, np.zeros_like(operands[0])]
    sizes = arrays[0].size, *(v.itemsize for v in arrays)
    frame = np.array([*(v.ctypes.data for v in arrays), *sizes], dtype=np.int64)
    start, count = frame.ctypes.data, 8 * len(arrays)
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(address)(start, start + count, start + count + 8, None)
    return arrays[-1]


def _is_right(address: int, name: str, char: str, arity: int) -> bool:
    """Whether the loop agrees with the C library at a point: a wrong calling convention is found here."""
    point = 1.25 if name == "arccosh" else 0.75
    expected = getattr(np, name)(*[point] * arity)
    found = _called(address, *[np.full(17, point, dtype=char)] * arity)
    return np.allclose(found, expected, rtol=16 * np.finfo(char).eps, atol=0)
