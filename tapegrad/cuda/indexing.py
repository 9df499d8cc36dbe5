"""Selecting and placing elements by arrays of indices.

A key is first worked out as an array of flat places, by elementwise kernels over its slices and arrays; what reads
and writes there looks whether a place is inside. Where several elements meet, sums use atomic operations, or, if
the device is to be deterministic, the places are sorted and each sum is one thread's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape.spec import contiguous_strides, spec_of
from . import scalars
from .elementwise import Step, launch_fused
from .kernels import copy_into, fill
from .memory import DeviceArray
from .reductions import reduce
from .table import kernel
from .toolchain import cuda
from .variants import dense, launch, pair

__all__ = ["add_at", "gather_at", "keep_last", "last_at", "mark_last", "places_of", "set_at"]

_INT = np.dtype(np.int64)
ARRAY = "array"


def gather_at(n, m, x, ox, at, oat, y, oy):
    """y[i] = x[at[i]] for places below m."""
    i = cuda.grid(1)
    while i < n:
        k = at[oat + i]
        if 0 <= k < m:
            y[oy + i] = x[ox + k]
        i += cuda.gridsize(1)


def add_at(n, m, v, ov, at, oat, y, oy):
    """y[at[i]] += v[i] for places below m, by atomic additions."""
    i = cuda.grid(1)
    while i < n:
        k = at[oat + i]
        if 0 <= k < m:
            cuda.atomic.add(y, oy + k, v[ov + i])
        i += cuda.gridsize(1)


def add_pairs_at(n, m, v, ov, at, oat, y, oy):
    """The same for complex numbers, given as pairs: y[2 k : 2 k + 2] += v[2 i : 2 i + 2] for k = at[i]."""
    i = cuda.grid(1)
    while i < n:
        k = at[oat + i]
        if 0 <= k < m:
            cuda.atomic.add(y, oy + 2 * k, v[ov + 2 * i])
            cuda.atomic.add(y, oy + 2 * k + 1, v[ov + 2 * i + 1])
        i += cuda.gridsize(1)


def set_at(n, m, v, ov, at, oat, y, oy):
    """y[at[i]] = v[i] for places below m, all different."""
    i = cuda.grid(1)
    while i < n:
        k = at[oat + i]
        if 0 <= k < m:
            y[oy + k] = v[ov + i]
        i += cuda.gridsize(1)


def mark_last(n, m, at, oat, order, oorder):
    """order[k] = greatest i with at[i] = k, for places below m."""
    i = cuda.grid(1)
    while i < n:
        k = at[oat + i]
        if 0 <= k < m:
            cuda.atomic.max(order, oorder + k, i)
        i += cuda.gridsize(1)


def keep_last(n, m, v, ov, at, oat, order, oorder, y, oy):
    """y[at[i]] = v[i] where i is the last at its place."""
    i = cuda.grid(1)
    while i < n:
        k = at[oat + i]
        if 0 <= k < m and order[oorder + k] == i:
            y[oy + k] = v[ov + i]
        i += cuda.gridsize(1)


def last_at(n, m, at, oat, order, oorder, y, oy):
    """y[i] = whether i is the last at its place."""
    i = cuda.grid(1)
    while i < n:
        k = at[oat + i]
        y[oy + i] = 0 <= k < m and order[oorder + k] == i
        i += cuda.gridsize(1)


def add_segments(n, m, v, ov, at, oat, order, oorder, y, oy):
    """y[k] = sum of v[order[i]] over the i with at[i] = k, for sorted places: one thread a place, in order."""
    i = cuda.grid(1)
    while i < n:
        k = at[oat + i]
        if 0 <= k < m and (i == 0 or at[oat + i - 1] != k):
            total = v[ov + order[oorder + i]]
            j = i + 1
            while j < n and at[oat + j] == k:
                total += v[ov + order[oorder + j]]
                j += 1
            y[oy + k] = total
        i += cuda.gridsize(1)


# --- places ----------------------------------------------------------------------------------------------------------


class Key:
    """A key over a shape, taken apart.

    Attributes
    ----------
    shape : tuple of int
        Of the result.
    constant : int
        Part of every place.
    lines : list of (int, numpy.ndarray)
        Axis of the result, and what its index adds.
    arrays : list of (int, int, int)
        For each array of indices: length of its axis, step along it, first axis of the result where it stands.
    """

    def __init__(self, shape: tuple[int, ...], form: tuple, index_shapes: list[tuple[int, ...]]):
        steps = contiguous_strides(shape, 1)
        entries = self._expanded(form, len(shape))
        common = np.broadcast_shapes(*index_shapes) if index_shapes else ()
        advanced = [k for k, e in enumerate(entries) if e == ARRAY or (index_shapes and type(e) is int)]
        together = advanced == list(range(advanced[0], advanced[-1] + 1)) if advanced else True
        self.constant, self.lines, self.arrays = 0, [], []
        result: list[int] = []
        at = 0 if not together else None
        if at == 0:
            result += common
        dim = 0
        pending = []
        for k, e in enumerate(entries):
            if index_shapes and advanced and k == advanced[0] and together:
                at = len(result)
                result += common
            if e is None:
                result.append(1)
                continue
            n, step = shape[dim], steps[dim]
            dim += 1
            if type(e) is int:
                self.constant += (e + n if e < 0 else e) * step
            elif e == ARRAY:
                pending.append((n, step))
            else:
                values = np.arange(n)[slice(*e)] * step
                self.lines.append((len(result), values))
                result.append(len(values))
        self.shape = tuple(result)
        for n, step in pending:
            self.arrays.append((n, step, (at or 0) + len(common)))

    @staticmethod
    def _expanded(form: tuple, ndim: int) -> list:
        """The key with its ellipsis, or what it leaves out, as slices."""
        taken = len([e for e in form if e is not None and e is not Ellipsis])
        whole = [(None, None, None)] * (ndim - taken)
        found: list = []
        met = False
        for e in form:
            if e is Ellipsis:
                found += whole
                met = True
            else:
                found.append(e)
        return found if met else found + whole


def places_of(device: Any, shape: tuple[int, ...], form: tuple, indices: list[DeviceArray]) -> DeviceArray | None:
    """Flat places in a contiguous array of a shape that a key selects, in the shape of the result.

    Parameters
    ----------
    shape : tuple of int
    form : tuple
        As in `tapegrad.primitives.indexing`; with truth values in it, there is no answer.
    indices : list of DeviceArray
        Of integers; negative ones count from the end.
    """
    if any(e in ("true", "false") for e in form if type(e) is str):
        return None
    key = Key(shape, form, [i.shape for i in indices])
    made = device.empty(spec_of(key.shape, _INT))
    inputs: list[Any] = [np.int64(key.constant)]
    steps = []
    for axis, values in key.lines:
        line = device.upload(values.astype(_INT))
        inputs.append(line.view(_along(values.size, axis, len(key.shape))))
    for (_, _, end), index in zip(key.arrays, indices, strict=True):
        lead = end - len(index.shape)
        inputs.append(_inserted(index, lead, len(key.shape)))
    inputs += [np.int64(n) for n, _, _ in key.arrays] + [np.int64(step) for _, step, _ in key.arrays]
    count = len(inputs)
    total = 0
    for k in range(len(key.lines)):
        steps.append(Step("add", (total, 1 + k), (_INT, _INT), _INT))
        total = count + len(steps) - 1
    first = 1 + len(key.lines)
    many = len(indices)
    for k, index in enumerate(indices):
        steps.append(Step("wrapped", (first + k, first + many + k), (index.dtype, _INT), _INT))
        steps.append(Step("scaled", (count + len(steps) - 1, first + 2 * many + k), (_INT, _INT), _INT))
        steps.append(Step("add", (total, count + len(steps) - 1), (_INT, _INT), _INT))
        total = count + len(steps) - 1
    if not steps:
        fill(made, key.constant)
        return made
    launch_fused(device, steps, inputs, [(total, made)], key.shape)
    return made


def _along(n: int, axis: int, ndim: int) -> Any:
    """Spec of a line of integers that stands along one of several axes."""
    item = _INT.itemsize
    shape = tuple(n if d == axis else 1 for d in range(ndim))
    return spec_of(shape, _INT, tuple(item if d == axis else 0 for d in range(ndim)))


def _inserted(index: DeviceArray, lead: int, ndim: int) -> DeviceArray:
    """An array of indices among the axes of the result."""
    spec = index.spec
    after = ndim - lead - spec.ndim
    shape = (*(1,) * lead, *spec.shape, *(1,) * after)
    return index.view(spec_of(shape, spec.dtype, (*(0,) * lead, *spec.strides, *(0,) * after)))


def limits(x: DeviceArray) -> tuple[int, int]:
    """The least and the greatest of integers, by two reductions; (0, -1) of none."""
    if x.spec.size == 0:
        return 0, -1
    found = []
    for name in ("minimum", "maximum"):
        combine, start = scalars.SCALARS[name, "i"], np.iinfo(x.dtype)
        axes = tuple(range(len(x.shape)))
        found.append(reduce(x.device, x, axes, combine, start.max if name == "minimum" else start.min, x.dtype))
    low, high = [int(f.to_host()) for f in found]
    return low, high


# --- records ---------------------------------------------------------------------------------------------------------

_PLAIN = "?bhilqBHILQfdFD"


@kernel("gather")
def launch_gather(device: Any, out: Any, arrays: list, key: tuple, unique: bool) -> DeviceArray | None:
    """Elements at the places of a key."""
    x, *indices = arrays
    at = places_of(device, x.shape, key, indices) if x.dtype.char in _PLAIN else None
    if at is None:
        return None
    made = device.empty(out)
    launch(device, gather_at, out.size, x.spec.size, *pair(dense(x)), *pair(at), *pair(made))
    return made


def scatter(device: Any, v: DeviceArray, at: DeviceArray, out: Any, unique: bool) -> DeviceArray | None:
    """Zeros with elements added at places; None where that cannot be done."""
    made = device.empty(out)
    fill(made, 0)
    v, size = dense(v), at.spec.size
    if unique:
        launch(device, set_at, size, out.size, *pair(v), *pair(at), *pair(made))
    elif device.deterministic:
        from .sorting import sorted_with_places

        keys, order = sorted_with_places(device, at, size)
        launch(device, add_segments, size, out.size, *pair(v), *pair(keys), *pair(order), *pair(made))
    elif v.dtype.char in "fdilqL":
        launch(device, add_at, size, out.size, *pair(v), *pair(at), *pair(made))
    elif v.dtype.char in "FD":
        part = np.dtype(v.dtype.char.lower())
        pairs, target = (a.view(spec_of((2 * a.spec.size,), part)) for a in (v, made))
        launch(device, add_pairs_at, size, out.size, *pair(pairs), *pair(at), *pair(target))
    else:
        return None
    return made


@kernel("scatter_add")
def launch_scatter(device: Any, out: Any, arrays: list, shape: tuple, key: tuple, unique: bool) -> DeviceArray | None:
    """Zeros with elements added at the places of a key."""
    v, *indices = arrays
    at = places_of(device, shape, key, indices) if v.dtype.char in _PLAIN else None
    return None if at is None else scatter(device, v, at, out, unique)


def _order(device: Any, at: DeviceArray, size: int) -> DeviceArray:
    order = device.empty(spec_of((size,), _INT))
    fill(order, -1)
    launch(device, mark_last, at.spec.size, size, *pair(at), *pair(order))
    return order


@kernel("index_put")
def launch_put(device: Any, out: Any, arrays: list, key: tuple, unique: bool) -> DeviceArray | None:
    """A copy with elements written at the places of a key."""
    x, v, *indices = arrays
    at = places_of(device, x.shape, key, indices) if x.dtype.char in _PLAIN else None
    if at is None:
        return None
    made = device.empty(out)
    copy_into(made, x)
    values = device.empty(spec_of(at.shape, v.dtype))
    copy_into(values, v)
    if unique:
        launch(device, set_at, at.spec.size, out.size, *pair(values), *pair(at), *pair(made))
    else:
        order = _order(device, at, out.size)
        launch(device, keep_last, at.spec.size, out.size, *pair(values), *pair(at), *pair(order), *pair(made))
    return made


@kernel("last_written")
def launch_last(device: Any, out: Any, arrays: list, shape: tuple, key: tuple) -> DeviceArray | None:
    """Whether no later element goes to the same place."""
    at = places_of(device, shape, key, arrays)
    if at is None:
        return None
    size = int(np.prod(shape, dtype=np.int64))
    order = _order(device, at, size)
    made = device.empty(out)
    launch(device, last_at, at.spec.size, size, *pair(at), *pair(order), *pair(made))
    return made
