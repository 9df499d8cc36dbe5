"""Interned array types: what the tape knows about a value without looking at it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

__all__ = ["Spec", "contiguous_strides", "spec_of", "spec_of_array"]

_table: dict[tuple, Spec] = {}
_lock = threading.Lock()


def contiguous_strides(shape, itemsize):
    """Byte strides of a C-contiguous array."""
    strides, step = [], itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


class Spec:
    """Shape, strides, dtype and gradient flag of a value; one object per combination.

    Specs are compared by identity, so that a signature look-up is one dictionary access.

    Attributes
    ----------
    shape, strides : tuple of int
        As in NumPy (strides in bytes).
    dtype : numpy.dtype
    requires_grad : bool
    injective : bool
        No two elements share memory.
    bar_strides : tuple of int
        Layout of the cotangent: the value's own where that is injective, else (or where there are no elements)
        contiguous.
    low, extent : int
        The memory spanned: from `low` (<= 0) bytes before the first element, `extent` bytes long.
    """

    __slots__ = (
        "_bar",
        "_plain",
        "_tracked",
        "bar_strides",
        "contiguous",
        "dtype",
        "extent",
        "injective",
        "low",
        "ndim",
        "requires_grad",
        "shape",
        "size",
        "strides",
    )

    def __init__(self, shape, strides, dtype, requires_grad):
        self.shape, self.strides, self.dtype = shape, strides, dtype
        self.requires_grad = requires_grad
        self.ndim = len(shape)
        size = 1
        for n in shape:
            size *= n
        self.size = size
        own = contiguous_strides(shape, dtype.itemsize)
        self.contiguous = strides == own
        self.injective = self.contiguous or size == 0 or _injective(shape, strides, dtype.itemsize)
        self.bar_strides = strides if self.injective and size else own
        self._bar = self._plain = self._tracked = None
        self.low, self.extent = _span(shape, self.bar_strides, dtype.itemsize)

    device: Any = None
    """Where the value stands: see `tapegrad.cuda`; None is the host."""

    @property
    def host(self):
        """The type of such a value on the host."""
        return self

    @property
    def nbytes(self):
        """Bytes of the elements (not of the span)."""
        return self.size * self.dtype.itemsize

    def replace(self, *, requires_grad=None, strides=None):
        """The same type with some flags changed."""
        return spec_of(
            self.shape,
            self.dtype,
            self.strides if strides is None else strides,
            self.requires_grad if requires_grad is None else requires_grad,
        )

    @property
    def differentiable(self):
        """The same layout, with a gradient."""
        if self._tracked is None:
            self._tracked = spec_of(self.shape, self.dtype, self.strides, True)
        return self._tracked

    @property
    def plain(self):
        """Same layout, no gradient: what kernels depend on."""
        if self._plain is None:
            self._plain = spec_of(self.shape, self.dtype, self.strides)
        return self._plain

    @property
    def bar(self):
        """The cotangent's type."""
        if self._bar is None:
            self._bar = spec_of(self.shape, self.dtype, self.bar_strides)
        return self._bar

    @property
    def dense(self):
        """The contiguous type of the same shape and dtype."""
        return spec_of(self.shape, self.dtype)

    def __repr__(self):
        flags = ", requires_grad" * self.requires_grad
        layout = "" if self.contiguous else f", strides={self.strides}"
        return f"{self.dtype.name}{list(self.shape)}{layout}{flags}"


def _injective(shape, strides, itemsize):
    """Whether no two elements overlap (sufficient test: sorted strides step over what is below)."""
    reach = itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(strides, shape, strict=True) if n > 1):
        if stride < reach:
            return False
        reach = stride * (n - 1) + reach
    return True


def _span(shape, strides, itemsize):
    if 0 in shape:
        return 0, 0
    low = sum(s * (n - 1) for s, n in zip(strides, shape, strict=True) if s < 0)
    high = sum(s * (n - 1) for s, n in zip(strides, shape, strict=True) if s > 0)
    return low, high - low + itemsize


def spec_of(shape, dtype, strides=None, requires_grad=False) -> Spec:
    """The interned spec of that shape, dtype (a `numpy.dtype`), strides and flags."""
    if strides is None:
        strides = contiguous_strides(shape, dtype.itemsize)
    key = (shape, strides, dtype, requires_grad)
    found = _table.get(key)
    if found is None:
        with _lock:
            found = _table.setdefault(key, Spec(*key))
    return found


_contiguous: dict[tuple, Spec] = {}


def spec_of_array(array: np.ndarray, requires_grad=False) -> Spec:
    """The spec of a NumPy array; strides of axes of length one are put in canonical form."""
    shape, dtype = array.shape, array.dtype
    if array.flags.c_contiguous:
        found = _contiguous.get((shape, dtype, requires_grad))
        if found is None:
            found = _contiguous[shape, dtype, requires_grad] = spec_of(shape, dtype, None, requires_grad)
        return found
    strides = array.strides
    if 1 in shape:
        own = contiguous_strides(shape, array.itemsize)
        strides = tuple(o if n == 1 else s for o, s, n in zip(own, strides, shape, strict=True))
    return spec_of(shape, dtype, strides, requires_grad)
