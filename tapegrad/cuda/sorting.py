"""Sorting along an axis by Batcher's bitonic network, and searches in what is sorted.

Rows are filled up to a power of two with elements that come last; equal elements stay in order, since places are
compared where values are equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape.spec import spec_of
from .memory import DeviceArray
from .scans import lanes_of
from .table import kernel
from .toolchain import cuda
from .variants import dense, launch, launch_lanes, pair

__all__ = ["bitonic_step", "load_rows", "search", "sort_block", "store_rows"]

_INT = np.dtype(np.int64)
_SORTED = "?bhilqBHILQfd"
dtype: Any = None
int64: Any = int
SIZE: int = 0


def comes_before(a, i, b, j, n):
    """Whether an element is sorted before another: fillers last, then NaN, equal ones by place."""
    if i >= n or j >= n:
        return i < j
    if a != a or b != b:
        return (b != b and a == a) or (a != a and b != b and i < j)
    return a < b or (a == b and i < j)


def load_rows(size, n, width, inner, x, ox, keys, okeys, places, oplaces):
    """Copy lanes of n elements into rows of `width`, with their places."""
    i = cuda.grid(1)
    while i < size:
        row, j = divmod(i, width)
        if j < n:
            block, place = divmod(row, inner)
            keys[okeys + i] = x[ox + block * n * inner + place + j * inner]
        else:
            keys[okeys + i] = x[ox]
        places[oplaces + i] = j
        i += cuda.gridsize(1)


def store_rows(size, n, width, inner, keys, okeys, y, oy):
    """Copy rows of `width` back into lanes of n elements."""
    i = cuda.grid(1)
    while i < size:
        lane, j = divmod(i, n)
        block, place = divmod(lane, inner)
        y[oy + block * n * inner + place + j * inner] = keys[okeys + lane * width + j]
        i += cuda.gridsize(1)


def bitonic_step(size, n, width, stage, distance, keys, okeys, places, oplaces):
    """One stage of the network over rows in global memory: compare elements `distance` apart."""
    i = cuda.grid(1)
    while i < size:
        other = i ^ distance
        if other > i:
            a, b, p, q = keys[okeys + i], keys[okeys + other], places[oplaces + i], places[oplaces + other]
            _, place = divmod(i, width)
            upward = place & stage == 0
            if comes_before(b, q, a, p, n) == upward:
                keys[okeys + i], keys[okeys + other] = b, a
                places[oplaces + i], places[oplaces + other] = q, p
        i += cuda.gridsize(1)


def sort_block(rows, n, width, keys, okeys, places, oplaces):
    """All of the network for rows that fit into shared memory: a block takes a row."""
    held = cuda.shared.array(SIZE, dtype)
    where = cuda.shared.array(SIZE, int64)
    me = cuda.threadIdx.x
    row = cuda.blockIdx.x
    while row < rows:
        i = me
        while i < width:
            held[i] = keys[okeys + row * width + i]
            where[i] = places[oplaces + row * width + i]
            i += cuda.blockDim.x
        cuda.syncthreads()
        stage = 2
        while stage <= width:
            distance = stage // 2
            while distance > 0:
                i = me
                while i < width:
                    other = i ^ distance
                    if other > i:
                        a, b, p, q = held[i], held[other], where[i], where[other]
                        if comes_before(b, q, a, p, n) == (i & stage == 0):
                            held[i], held[other] = b, a
                            where[i], where[other] = q, p
                    i += cuda.blockDim.x
                cuda.syncthreads()
                distance //= 2
            stage *= 2
        i = me
        while i < width:
            keys[okeys + row * width + i] = held[i]
            places[oplaces + row * width + i] = where[i]
            i += cuda.blockDim.x
        row += cuda.gridDim.x


def search(n, length, right, x, ox, v, ov, y, oy):
    """y[i] = how many elements of the sorted x come before v[i]: those below it, or up to it."""
    i = cuda.grid(1)
    while i < n:
        value = v[ov + i]
        low, high = 0, length
        while low < high:
            middle = (low + high) // 2
            a = x[ox + middle]
            before = a < value or (value != value and a == a)
            if right and not before:
                before = a == value or (a != a and value != value)
            if before:
                low = middle + 1
            else:
                high = middle
        y[oy + i] = low
        i += cuda.gridsize(1)


SHARED = 1024
"""Longest row that is sorted in shared memory."""


def sorted_rows(device: Any, x: DeviceArray, rows: int, n: int, inner: int) -> tuple[DeviceArray, DeviceArray, int]:
    """Lanes of an array as sorted rows, where each element was, and the width of the rows."""
    width = 1
    while width < n:
        width *= 2
    keys = device.empty(spec_of((rows * width,), x.dtype))
    places = device.empty(spec_of((rows * width,), _INT))
    launch(device, load_rows, rows * width, n, width, inner, *pair(dense(x)), *pair(keys), *pair(places))
    if width <= SHARED:
        launch_lanes(
            device, sort_block, rows, n, width, *pair(keys), *pair(places), SIZE=SHARED, dtype=x.dtype, int64=_INT
        )
        return keys, places, width
    stage = 2
    while stage <= width:
        distance = stage // 2
        while distance:
            launch(device, bitonic_step, rows * width, n, width, stage, distance, *pair(keys), *pair(places))
            distance //= 2
        stage *= 2
    return keys, places, width


def sorted_with_places(device: Any, x: DeviceArray, n: int) -> tuple[DeviceArray, DeviceArray]:
    """A flat array in ascending order, and where each element was."""
    keys, places, _ = sorted_rows(device, x, 1, n, 1)
    return keys, places


def _sort(device: Any, out: Any, x: DeviceArray, axis: int, indices: bool) -> DeviceArray | None:
    if x.dtype.char not in _SORTED:
        return None
    made = device.empty(out)
    if made.spec.size:
        rows, n, inner = lanes_of(x.shape, axis)
        keys, places, width = sorted_rows(device, x, rows, n, inner)
        launch(device, store_rows, rows * n, n, width, inner, *pair(places if indices else keys), *pair(made))
    return made


@kernel("sort")
def launch_sort(device: Any, out: Any, arrays: list, axis: int) -> DeviceArray | None:
    """Elements in ascending order."""
    return _sort(device, out, arrays[0], axis, False)


@kernel("argsort")
def launch_argsort(device: Any, out: Any, arrays: list, axis: int, kind: Any) -> DeviceArray | None:
    """Where the elements in ascending order stand; stable."""
    return _sort(device, out, arrays[0], axis, True)


@kernel("argpartition")
def launch_argpartition(device: Any, out: Any, arrays: list, axis: int, kth: Any) -> DeviceArray | None:
    """Where the elements in ascending order stand: a partition at every rank."""
    return _sort(device, out, arrays[0], axis, True)


@kernel("searchsorted")
def launch_search(device: Any, out: Any, arrays: list, side: str = "left", **attrs: Any) -> DeviceArray | None:
    """Where elements would be put into a sorted array."""
    x, v = arrays[:2]
    if len(arrays) > 2 or attrs or x.dtype.char not in _SORTED or x.dtype != v.dtype or len(x.shape) != 1:
        return None
    made = device.empty(out)
    launch(device, search, v.spec.size, x.spec.size, side == "right", *pair(dense(x)), *pair(dense(v)), *pair(made))
    return made
