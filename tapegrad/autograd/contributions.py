"""What reaches a cotangent before it is complete: whole arrays, which are summed, and windows, put together at the end.

The cotangent of ``x[i]`` is a window of that of ``x``. A program that reads many parts of an array would fill and add
an array of zeros for each; so windows are kept as they are until all that reads the array has been met. And where a
window was written, the cotangent of what stood there before is zero: a program that fills an array in a loop would
copy the array's cotangent for each write; so it is noted which elements are to be zero.
"""

from __future__ import annotations

import functools

import numpy as np

from ..primitives.assembling import gather_windows, whole_of
from ..primitives.core import ops
from ..primitives.shape import window_of

__all__ = ["Parts", "complete", "joined", "overwritten", "passed_on", "windowed"]

MOST = 64
"""Windows beside which a write is looked at by itself; with more, they are put together first."""


class Parts:
    """A cotangent that is not one tensor yet.

    Attributes
    ----------
    whole : Tensor or None
        The sum of what reached all of it.
    zeros : numpy.ndarray or None
        Which elements of that count as zero, flat.
    windows : dict
        The sum of what reached a window of it, by its shape, byte strides and offset.
    """

    __slots__ = ("whole", "windows", "zeros")

    def __init__(self, whole, windows, zeros=None):
        self.whole, self.windows, self.zeros = whole, windows, zeros

    def settle(self):
        """Set to zero what is to be zero."""
        if self.zeros is not None:
            mask = self.zeros.reshape(self.whole._spec.shape)
            self.whole = ops.where(mask, np.zeros((), self.whole._spec.dtype), self.whole)
            self.zeros = None


def joined(a, b):
    """The sum of two contributions, each a tensor or `Parts`; `Parts` on the left take in the right."""
    if not isinstance(a, Parts):
        if not isinstance(b, Parts):
            return a + b
        a, b = b, a
    if not isinstance(b, Parts):
        b = Parts(b, {})
    if b.whole is not None:
        if a.whole is None:
            a.whole, a.zeros = b.whole, b.zeros
        else:
            a.settle()
            b.settle()
            a.whole = a.whole + b.whole
    for at, v in b.windows.items():
        a.windows[at] = a.windows[at] + v if at in a.windows else v
    return a


def windowed(bar, view, base, strides, offset):
    """The contribution of a view's cotangent to its base's.

    Parameters
    ----------
    bar : Tensor or Parts
    view, base : Spec
        Of the view, and of the cotangent that it is a window of.
    strides : tuple of int
        The view's, in bytes.
    offset : int
        Of its first element, in bytes.
    """
    if not isinstance(bar, Parts):
        whole = whole_of(bar, base, strides, offset)
        return Parts(None, {(view.shape, strides, offset): bar}) if whole is None else whole
    bar.settle()
    windows = {(shape, steps, offset + at): v for (shape, steps, at), v in bar.windows.items()}
    rest = Parts(None, windows)
    return rest if bar.whole is None else joined(rest, windowed(bar.whole, view, base, strides, offset))


def complete(bar, spec):
    """A contribution to the cotangent of a value of that type, as a tensor."""
    if not isinstance(bar, Parts):
        return bar
    base = spec.bar
    bar.settle()
    parts = [(v, strides, at) for (_, strides, at), v in sorted(bar.windows.items(), key=_place)]
    if bar.whole is not None:
        parts.insert(0, (bar.whole, base.strides, 0))
    return gather_windows(parts, base) if parts else None


def overwritten(bar, base, value, strides, offset):
    """The cotangents of an array before a window of it was written, and of what was written there.

    Parameters
    ----------
    bar : Tensor or Parts
        The cotangent afterwards.
    base, value : Spec
        Of the array's cotangent, contiguous, and of what was written.
    strides : tuple of int
        Of the window, in bytes.
    offset : int
        Of its first element, in bytes.

    Returns
    -------
    before : Parts or None
        None where nothing reached anything else.
    written : Tensor or None
    """
    parts = bar if isinstance(bar, Parts) else Parts(bar, {})
    known, written = _inside(parts, base, value, strides, offset)
    if not known:
        return overwritten(complete(parts, base), base, value, strides, offset)
    parts.windows.pop((value.shape, strides, offset), None)
    if parts.whole is not None:
        if parts.zeros is None:
            parts.zeros = np.zeros(base.size, np.bool_)
        _marks(parts.zeros, base, value.shape, strides, offset)[...] = True
    return parts if parts.windows or parts.whole is not None else None, written


def passed_on(bar, base, value, strides, offset):
    """As `overwritten`, where something was added to a window: what stood there has the cotangent of what stands there.

    Returns
    -------
    before : Tensor or Parts
        Of the whole array.
    added : Tensor or None
    """
    parts = bar if isinstance(bar, Parts) else Parts(bar, {})
    known, added = _inside(parts, base, value, strides, offset)
    if not known:
        return passed_on(complete(parts, base), base, value, strides, offset)
    return bar, added


def _inside(parts, base, value, strides, offset):
    """Whether it is known what of a cotangent stands in a window, before it is put together; and that, if anything."""
    at = value.shape, strides, offset
    item = base.dtype.itemsize
    low, high = _span(at, item)
    others = [window for window in parts.windows if window != at]
    if len(others) > MOST or any([_meets(window, item, low, high) for window in others]):
        return False, None
    inside = parts.windows.get(at)
    marks = None if parts.zeros is None else _marks(parts.zeros, base, *at)
    if parts.whole is None or (marks is not None and marks.all()):
        return True, inside
    if marks is not None and marks.any():
        return False, None
    if parts.whole._spec.strides != base.strides:
        parts.whole = ops.copy(parts.whole)
    found = window_of(parts.whole, base, value.shape, strides, offset)
    return True, found if inside is None else inside + found


def _marks(zeros, base, shape, strides, offset):
    """Those of an array's elements that lie in a window."""
    item = base.dtype.itemsize
    return np.ndarray(shape, np.bool_, zeros, offset // item, tuple([s // item for s in strides]))


def _meets(window: tuple, item: int, low: int, high: int) -> bool:
    """Whether the memory that a window spans has some of those bytes."""
    first, last = _span(window, item)
    return low < last and first < high


def _span(window: tuple, item: int) -> tuple[int, int]:
    shape, strides, offset = window
    first, last = _reach(shape, strides)
    return offset + first, offset + last + item


@functools.lru_cache(1024)
def _reach(shape: tuple, strides: tuple) -> tuple[int, int]:
    """Bytes from a window's first element to those that lie farthest before and behind it."""
    reach = [s * (n - 1) for n, s in zip(shape, strides, strict=True)]
    return sum([r for r in reach if r < 0]), sum([r for r in reach if r > 0])


def _place(item):
    (shape, strides, offset), _ = item
    return offset, shape, strides
