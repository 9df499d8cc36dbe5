"""Addresses of loops that NumPy lacks, with NumPy's inner loop signature: accumulate, select, cast, copy.

All take any byte strides.  Accumulating loops add to their destination; with a destination step of 0 they are
reductions, summed in blocks of blocks, so that the rounding error hardly grows with the length.
"""

from __future__ import annotations

import functools

import numpy as np

from .helpers import elementwise
from .native import addresses

__all__ = ["cached_product", "composed_loop", "extra_loop", "faults"]

faults = np.zeros(1, np.int64)
"""Counts indices beyond their axis that the loops of `tapegrad.vm.indices` have met, in all threads."""

# name -> term, sign, number of operands, types
ACCUMULATING = {
    "add_into": ("first", 1, 1, "fdFD"),
    "sub_into": ("first", -1, 1, "fdFD"),
    "multiply_add": ("product", 1, 2, "fdFD"),
    "multiply_sub": ("product", -1, 2, "fdFD"),
    "divide_add": ("quotient", 1, 2, "fd"),
    "divide_sub": ("quotient", -1, 2, "fd"),
    "tanh_bar": ("tanh_bar", 1, 2, "fd"),
    "sigmoid_bar": ("sigmoid_bar", 1, 2, "fd"),
    "relu_bar": ("relu_bar", 1, 2, "fd"),
}
SIZES = (1, 2, 4, 8, 16)
CAST_FROM, CAST_TO = "?bBhHiIlLqQefdFD", "?ilqfdFD"


@functools.cache
def extra_loop(name: str, signature: str) -> int:
    """Address of one of tapegrad's own loops, compiled at the first request and read from the cache later.

    Parameters
    ----------
    name : str
        ``'where'`` with ``'?dd->d'`` and the like: out = a where the condition holds, else b; any type whose
        items have 1, 2, 4, 8 or 16 bytes.
        ``'copy'`` with ``'d->d'``: out = a, for the same sizes.
        ``'cast'`` with ``'i->d'``: out = a, as `numpy.ndarray.astype` with ``casting='unsafe'``.
        ``'share'`` with ``'ddd->d'``: out = y_bar where a > b or either is NaN, half of it where a == b, else 0, for f
        and d.
        ``'gather'``, ``'scatter'``, ``'scatter_add'`` with ``'d->d'``: see `tapegrad.vm.indices`; those that move for
        the same sizes, the one that adds for f, d, F and D.
        ``'add_into'``, ``'sub_into'`` with ``'d->d'``: dst += a, dst -= a.
        ``'multiply_add'``, ``'multiply_sub'``, ``'divide_add'``, ``'divide_sub'`` with ``'dd->d'``:
        dst += a * b, and so on; the product may be fused with the sum.
        ``'tanh_bar'``, ``'sigmoid_bar'``, ``'relu_bar'`` with ``'dd->d'``: pullbacks that accumulate, of operands
        y (the primal result), y_bar: dst += y_bar * (1 - y * y), dst += y_bar * y * (1 - y), dst += y_bar where
        not y <= 0.
    signature : str
        Type characters; accumulating loops have f and d; sums and products F and D too.

    Returns
    -------
    int
        Address of ``void loop(char **args, npy_intp *dims, npy_intp *steps, void *data)``; the destination is
        the last of `args`.  A destination step of 0 makes an accumulating loop a reduction.

    Raises
    ------
    KeyError
        If there is no such loop.
    """
    chars_in, _, char = signature.partition("->")
    if name == "where" and len(chars_in) == 3 and chars_in == "?" + 2 * char and _size(char) in SIZES:
        return _address("where", _size(char))
    if name == "copy" and chars_in == char and _size(char) in SIZES:
        return _address("copy", _size(char))
    if name in ("gather", "scatter") and chars_in == char and _size(char) in SIZES:
        return addresses((f"indices.{name}",), _size(char))[0]
    if name == "scatter_add" and chars_in == char and len(char) == 1 and char in "fdFD":
        return addresses(("indices.scatter_add",), char)[0]
    if name in ("picked", "spread") and chars_in == char and char in tuple("fd"):
        return addresses((f"picking.{name}",), char)[0]
    if name == "cast" and len(chars_in) == len(char) == 1 and chars_in in CAST_FROM and char in CAST_TO:
        return _address("cast", chars_in, char)
    if name == "share" and chars_in == 3 * char and char in tuple("fd"):
        return _address("share", char)
    if name in ACCUMULATING:
        term, sign, nin, chars = ACCUMULATING[name]
        if char and char in chars and chars_in == char * nin:
            return _address("accumulating", term, sign, nin, char)
    raise KeyError(f"no loop {name!r} with signature {signature!r}")


_helpers: dict[str, np.ndarray] = {}


@functools.cache
def cached_product(char: str) -> tuple[int, int]:
    """Address and data of a loop with the arguments of NumPy's ``matmul``, for matrices that a core's cache holds.

    Parameters
    ----------
    char : str
        ``'f'`` or ``'d'``. The rows of the result must lie together, and the rows or the columns of the second matrix.

    Notes
    -----
    Large products are shared by the threads of `tapegrad.set_num_threads`; a result does not depend on their number.
    """
    from .threads import share_word

    (panels,) = addresses(("products.panels",), char)
    (loop,) = addresses(("products.product",), char)
    _helpers[char] = np.array([share_word(), panels], np.int64)
    return loop, _helpers[char].ctypes.data


@functools.cache
def composed_loop(name: str, char: str, *loops: tuple[int, int]) -> tuple[int, int]:
    """Address and data of a loop, ``'f'`` or ``'d'``, that calls others: see `tapegrad.vm.composed`.

    Parameters
    ----------
    name : {'power', 'sigmoid'}
    char : str
    *loops : tuple of int
        Address and data of the loop that it calls: that of powers, or of exp of float64.
    """
    (address,) = addresses((f"composed.{name}",), char)
    elementwise.add(address)
    _called[name, char, loops] = np.array(loops, np.int64)
    return address, _called[name, char, loops].ctypes.data


_called: dict[tuple, np.ndarray] = {}


def _size(char: str) -> int:
    return np.dtype(char).itemsize if len(char) == 1 and char in np.typecodes["All"] else 0


def _address(maker: str, *arguments) -> int:
    (address,) = addresses((f"loops.{maker}",), *arguments)
    elementwise.add(address)
    return address
