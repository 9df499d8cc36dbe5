"""Keys of arrays of indices over a batch: where the axes of what they select end up.

NumPy puts the axes of the indices where the first of them stood if all stand together, else first. So a key with one
more entry for the batch selects the same elements of each example, but in an order of axes that has to be found out.
"""

from __future__ import annotations

import functools

import numpy as np

from .core import lift, ops
from .keys import ARRAY
from .layout import view_of_function
from .shape import reshape_to

__all__ = ["KeyOverBatch"]

ALL = (None, None, None)
"""The form of the slice that takes a whole axis."""


@functools.lru_cache(1024)
def _labels(form, ndim, width):
    """For each axis of what a key selects, where it comes from.

    ``("x", k)`` is axis k of the array, ``("i", k)`` one of the indices, and None a new axis.

    Parameters
    ----------
    form : tuple
        The key's form, without bools.
    ndim, width : int
        Axes of the array, and of the indices that are broadcast together.
    """
    key = [slice(None) if type(k) is tuple else 0 if type(k) is int else k for k in form]

    def lengths(axis=None, index=None):
        x = np.empty([2 if k == axis else 1 for k in range(ndim)], np.bool_)
        at = np.zeros([2 if k == index else 1 for k in range(width)], np.intp)
        return x[tuple([at if type(k) is str else k for k in key])].shape

    found: list = [None] * len(lengths())
    for kind, count in (("x", ndim), ("i", width)):
        for k in range(count):
            shape = lengths(axis=k) if kind == "x" else lengths(index=k)
            if 2 in shape:
                found[shape.index(2)] = kind, k
    return found


class KeyOverBatch:
    """A row's key over a batch.

    Parameters
    ----------
    row : BatchedRow
        With an attribute `key`, a form without bools.
    first : int
        The first of the operands that are indices.
    ndim : int
        Axes of the array of one example that the key is for.
    based : bool
        Whether that array has a batch axis.

    Attributes
    ----------
    form, indices : tuple, list of Tensor
        The key's new form and arrays.
    ndim : int
        Axes of what the key selects in one example.
    """

    def __init__(self, row, first, ndim, based):
        self.size, form = row.size, row.attrs["key"]
        specs, xs, mapped = row.specs[first:], row.xs[first:], row.mapped[first:]
        width = max([s.ndim for s in specs], default=0)
        one = _numbered(_labels(form, ndim, width))
        self.ndim = len(one)
        if not any(mapped):
            self.form, self.indices = (ALL, *form), xs
            many = _labels(self.form, ndim + 1, width)
        else:
            self.form = (ARRAY, *form) if based else form
            self.indices = [row.lengthened(k, width) for k in range(first, len(row.xs))]
            if based:
                self.indices.insert(0, lift(np.arange(row.size).reshape(-1, *(1,) * width)))
            many = _labels(self.form, ndim + based, width + 1)
        further = {"x": int(based), "i": int(any(mapped))}
        many = _numbered([label and (label[0], label[1] - further[label[0]]) for label in many])
        batch = next(k for k, label in enumerate(many) if label[1] < 0 and label[0] != "new")
        self._order = (batch, *[many.index(label) for label in one])

    def sorted(self, y):
        """What the new key selected, with the batch first and the axes of each example as the old key has them."""
        if self._order == tuple(range(len(self._order))):
            return y
        return ops.copy(view_of_function(np.transpose, "Permute", y, self._order))

    def fitted(self, v):
        """Values of all examples, the batch first (or of one, for all), as the new key takes them."""
        missing = self.ndim + 1 - v._spec.ndim
        v = reshape_to(v, (*(1,) * missing, *v._spec.shape))
        back = tuple(np.argsort(self._order).tolist())
        return v if back == tuple(range(len(back))) else view_of_function(np.transpose, "Permute", v, back)


def _numbered(labels):
    """Labels with a number for each new axis."""
    count = iter(range(len(labels)))
    return [("new", next(count)) if label is None else label for label in labels]
