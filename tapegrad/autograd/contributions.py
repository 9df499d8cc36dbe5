"""What reaches a cotangent before it is complete: whole arrays, which are summed, and windows, put together at the end.

The cotangent of ``x[i]`` is a window of that of ``x``. A program that reads many parts of an array would fill and add
an array of zeros for each; so windows are kept as they are until all that reads the array has been met.
"""

from __future__ import annotations

from ..primitives.assembling import gather_windows, whole_of

__all__ = ["Parts", "complete", "joined", "windowed"]


class Parts:
    """A cotangent that is not one tensor yet.

    Attributes
    ----------
    whole : Tensor or None
        The sum of what reached all of it.
    windows : dict
        The sum of what reached a window of it, by its shape, byte strides and offset.
    """

    __slots__ = ("whole", "windows")

    def __init__(self, whole, windows):
        self.whole, self.windows = whole, windows


def joined(a, b):
    """The sum of two contributions, each a tensor or `Parts`; `Parts` on the left take in the right."""
    if not isinstance(a, Parts):
        if not isinstance(b, Parts):
            return a + b
        a, b = b, a
    if not isinstance(b, Parts):
        a.whole = b if a.whole is None else a.whole + b
        return a
    if b.whole is not None:
        a.whole = b.whole if a.whole is None else a.whole + b.whole
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
    windows = {(shape, steps, offset + at): v for (shape, steps, at), v in bar.windows.items()}
    rest = Parts(None, windows)
    return rest if bar.whole is None else joined(rest, windowed(bar.whole, view, base, strides, offset))


def complete(bar, spec):
    """A contribution to the cotangent of a value of that type, as a tensor."""
    if not isinstance(bar, Parts):
        return bar
    base = spec.bar
    parts = [(v, strides, at) for (_, strides, at), v in sorted(bar.windows.items(), key=_place)]
    if bar.whole is not None:
        parts.insert(0, (bar.whole, base.strides, 0))
    return gather_windows(parts, base) if parts else None


def _place(item):
    (shape, strides, offset), _ = item
    return offset, shape, strides
