"""Elements at known places of a small array: what indexing by arrays comes to when their values are at hand.

A key selects the same from an array of consecutive numbers; these places are all that the row needs, and the loops that
gather and scatter by them are machine code.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..tape.record import import_array
from ..tape.spec import spec_of
from ..tape.state import local
from ..vm import opcodes as op
from ..vm.kernels import extra_loop
from .core import Primitive, lift, ops, primitive

__all__ = ["add_places", "picked", "take_places"]

MOST_ITEMS = 1 << 16
"""Arrays with more items are indexed by NumPy: their numbers would take too much memory."""


@functools.lru_cache(32)
def _numbers(shape):
    size = 1
    for n in shape:
        size *= n
    return np.arange(size).reshape(shape)


def picked(x, key):
    """``x[key]`` for a key with arrays of integers or masks, or None where this is not the way to select it.

    Raises
    ------
    IndexError
        NumPy's own.
    """
    spec = x._spec
    if spec.size > MOST_ITEMS or not spec.contiguous or spec.device is not None or local.state.tape.tracing:
        return None
    for k in key if type(key) is tuple else (key,):
        if type(k) is np.ndarray:
            if k.dtype.kind not in "iub":
                return None
        elif not (type(k) is int or type(k) is slice or k is None or k is Ellipsis):
            return None
    places = np.ascontiguousarray(_numbers(spec.shape)[key])
    places.flags.writeable = False
    return take_places(x, import_array(places))


class _ByPlaces(Primitive):
    """A loop that goes by an array of places, over an array that stands still."""

    def _check_places(self, places):
        if places.dtype != np.intp:
            raise TypeError(f"{self.name}: places are {np.dtype(np.intp).name}, not {places.dtype.name}")

    def _loop(self, name, emitter, char, count, out, operands, shape):
        address = extra_loop(name, f"{char}l->{char}")
        emitter.loop((address, count), out, operands, shape=shape)


class _Take(_ByPlaces):
    def infer(self, specs, attrs):
        x, places = specs
        self._check_places(places)
        if not x.contiguous:
            raise ValueError(f"{self.name} counts the items of a contiguous array, and this one is {x!r}")
        return spec_of(places.shape, x.dtype), op.KERNEL

    def kernel(self, emitter, out, operands, attrs):
        (code, x), places = operands
        still = spec_of((), x.dtype)
        self._loop("take", emitter, x.dtype.char, x.size, out, [(code, still), places], out[1].shape)


_X, _PLACES = np.arange(6.0).reshape(2, 3), np.array([[0, 5], [5, 2]])


def _of_each_example(row, size):
    """The places in a stack of arrays of that size, the batch first."""
    starts = np.arange(row.size) * size
    return row.whole(1) + lift(starts.reshape(-1, *(1,) * row.specs[1].ndim))


@primitive(base=_Take)
class take_places:
    """Items of a contiguous array by their numbers, each below the array's size."""

    grad_name = "Index"
    samples = (((_X, _PLACES), {}), ((_X.astype("f"), np.array(4)), {}), ((_X, np.array([], np.intp)), {}))

    def compute(x, places):
        return x.ravel()[places]

    def pullback(y_bar, y, x, places):
        return add_places(y_bar, places, shape=x._spec.shape), None

    def batching(row):
        if not row.mapped[0]:
            return row.again(row.xs)
        x = row.xs[0] if row.xs[0]._spec.contiguous else ops.copy(row.xs[0])
        return row.again([x, _of_each_example(row, row.specs[0].size)])


class _Add(_ByPlaces):
    def infer(self, specs, attrs):
        v, places = specs
        self._check_places(places)
        if v.shape != places.shape:
            raise ValueError(f"{self.name}: there are numbers of shape {v.shape}, and places of shape {places.shape}")
        return spec_of(attrs["shape"], v.dtype), op.KERNEL

    def kernel(self, emitter, out, operands, attrs):
        (_, v), _ = operands
        code, y = out
        if v.dtype.kind not in "fc" or v.dtype.char not in "fdFD":
            emitter.call(self, attrs, out, operands)
            return
        emitter.zero(out)
        self._loop("add_at", emitter, v.dtype.char, y.size, (code, spec_of((), y.dtype)), operands, v.shape)


@primitive(base=_Add)
class add_places:
    """Zeros of a shape, with numbers added to the items of those numbers: the transpose of `take_places`."""

    samples = (
        ((np.array([[1.0, 2.0], [3.0, 4.0]]), _PLACES), {"shape": (2, 3)}),
        ((np.array(2.0), np.array(1)), {"shape": (3,)}),
    )

    def compute(v, places, shape):
        out = np.zeros(shape, v.dtype)
        np.add.at(out.reshape(-1), places, v)
        return out

    def pullback(y_bar, y, v, places, shape):
        return take_places(y_bar, places), None

    def batching(row):
        shape = row.attrs["shape"]
        places = _of_each_example(row, math.prod(shape))
        return row.again([row.whole(0), places], shape=(row.size, *shape))
