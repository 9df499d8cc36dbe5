"""Arrays put together from windows: what many parts of one array are in the reverse."""

from __future__ import annotations

import operator

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from ..vm.bridge import loop_address
from .core import ops, primitive
from .shape import is_packed, placed, view_by, window_of

__all__ = ["gather_windows", "whole_of"]

MOST = 200
"""Windows of one row; more are put together stretch by stretch."""
_MARKED = 1 << 24
"""Elements up to which it is worked out which of them a window is the first to reach."""

_ROWS = {"shape": (2, 3), "base_strides": (24, 8)}
_CORNER, _LINE, _COLUMN = np.array(4.0), np.array([1.0, -2.0, 0.5]), np.array([3.0, 5.0])


@primitive()
class assemble:
    """A sum of windows of zeros: operand k is added at the byte strides and the offset ``windows[k]``."""

    linear = True
    samples = (
        ((_LINE, _LINE * 2.0), {**_ROWS, "windows": (((8,), 0), ((8,), 24))}),  # no element is left out or met twice
        ((_CORNER, _COLUMN), {**_ROWS, "windows": (((), 40), ((24,), 8))}),
        ((_LINE, _COLUMN, _CORNER), {**_ROWS, "windows": (((8,), 24), ((24,), 8), ((), 24))}),
        ((np.outer(_COLUMN, _LINE), _LINE), {**_ROWS, "windows": (((24, 8), 0), ((-8,), 40))}),
        ((_COLUMN, np.ones((0, 2))), {"shape": (3,), "base_strides": (8,), "windows": (((16,), 0), ((16, 8), 0))}),
    )

    def infer(specs, attrs):
        base = spec_of(attrs["shape"], specs[0].dtype, attrs["base_strides"])
        if base.dtype.kind not in "iufc" or not is_packed(base):
            raise ValueError(f"assemble: windows cannot be put together in {base!r}: only in numbers without gaps")
        for v, (strides, offset) in zip(specs, attrs["windows"], strict=True):
            window = spec_of(v.shape, v.dtype, strides)
            low = offset + window.low
            aligned = all(operator.index(s) % base.dtype.itemsize == 0 for s in (offset, *strides))
            if v.dtype != base.dtype or not window.injective or not aligned:
                raise ValueError(f"assemble: {v!r} cannot be a window of {base!r} at {strides} and {offset}")
            if v.size and not 0 <= low <= low + window.extent <= base.nbytes:
                raise ValueError(f"assemble: a window at {strides} and {offset} reaches beyond {base!r}")
        return base, op.KERNEL

    def kernel(emitter, out, operands, attrs):
        code, base = out
        if base.extent >= 2**31:
            emitter.call(assemble, attrs, out, operands)
            return
        from ..tape.lower import copy_loops

        char = base.dtype.char
        copy, add = copy_loops(base)[0], loop_address(np.add, f"{char}{char}->{char}")
        zeros, first = _first_to_reach(base, [v for _, v in operands], attrs["windows"])
        if zeros:
            emitter.zero(out)
        for v, (strides, offset), fresh in zip(operands, attrs["windows"], first, strict=True):
            if v[1].size == 0:
                continue
            window = emitter.shifted(code, offset) if offset else code, spec_of(v[1].shape, base.dtype, strides)
            if fresh:
                emitter.loop(copy, window, [v], inline=op.COPY)
            else:
                emitter.loop(add, window, [window, v], inline=op.ADD)

    def compute(*arrays, shape, base_strides, windows):
        from ..tape.memory import address_of, array_at

        base = spec_of(shape, arrays[0].dtype, base_strides)
        memory = np.zeros(max(base.extent, 1), np.uint8)
        for v, (strides, offset) in zip(arrays, windows, strict=True):
            window = array_at(address_of(memory) + offset, spec_of(v.shape, v.dtype, strides), memory)
            np.add(window, v, out=window)
        return array_at(address_of(memory), base, memory)

    def pullback(y_bar, y, *xs, shape, base_strides, windows):
        base = spec_of(shape, y_bar._spec.dtype, base_strides)
        return [window_of(y_bar, base, x._spec.shape, *at) for x, at in zip(xs, windows, strict=True)]

    def batching(row):
        step = row.out.nbytes
        return row.again(
            [row.whole(k) for k in range(len(row.xs))],
            shape=(row.size, *row.attrs["shape"]),
            base_strides=(step, *row.attrs["base_strides"]),
            windows=tuple([((step, *strides), offset) for strides, offset in row.attrs["windows"]]),
        )


def _first_to_reach(base, specs, windows):
    """Whether the result must begin as zeros; and for each window, whether it may overwrite what stands there."""
    if specs[0].size == base.size:
        return False, [True] + [False] * (len(specs) - 1)
    if base.size > _MARKED:
        return True, [False] * len(specs)
    item = base.dtype.itemsize
    reached = np.zeros(base.size, np.bool_)
    zeros, first = False, []
    for v, (strides, offset) in zip(specs, windows, strict=True):
        if v.size == 0:
            first.append(False)
            continue
        steps = tuple([s // item for s in strides])
        marks = np.ndarray(v.shape, np.bool_, reached, offset // item, steps)
        some = bool(marks.any())
        zeros = zeros or (some and not marks.all())
        first.append(not some)
        marks[...] = True
    return zeros or not reached.all(), first


def whole_of(v, base, strides, offset):
    """The array of which `v` is a window that holds each element: another view of `v`; None if there is none such."""
    if v._spec.size != base.size or not base.contiguous or base.size == 0:
        return None
    axes = sorted(range(len(strides)), key=lambda d: -abs(strides[d]))
    flips = (*[slice(None, None, -1 if s < 0 else 1) for s in strides], Ellipsis)  # which keeps an array of no axes one

    def make(array):
        return np.reshape(array[flips].transpose(axes), base.shape, copy=False)

    try:
        return view_by(v, make, "View", ("whole", base, strides, offset))
    except (ValueError, TypeError):  # no such view; NumPy 2.0 has no `copy`
        return None


def gather_windows(parts, base):
    """The sum of windows in zeros of a type, as one row where that is possible.

    Parameters
    ----------
    parts : list of (Tensor, tuple of int, int)
        Each with byte strides and offset in the layout of `base`; one that is all of it stands first.
    base : Spec
    """
    if not is_packed(base):
        total, *rest = [placed(v, base, strides, offset) for v, strides, offset in parts]
        for v in rest:
            total = total + v
        return total
    if len(parts) > MOST:
        parts = _stretches(parts, base)
    if len(parts) == 1:
        (part,) = parts
        return placed(part[0], base, *part[1:])
    windows = tuple([(strides, offset) for _, strides, offset in parts])
    return ops.assemble(*[v for v, *_ in parts], shape=base.shape, base_strides=base.strides, windows=windows)


def _stretches(parts, base):
    """Windows near one another put together first, as stretches of memory, so that few parts are left."""
    whole = parts[:1] if parts[0][0]._spec.size == base.size else []
    spans = []
    for v, strides, offset in parts[len(whole) :]:
        window = spec_of(v._spec.shape, base.dtype, strides)
        spans.append((offset + window.low, offset + window.low + window.extent, (v, strides, offset)))
    spans.sort(key=operator.itemgetter(0))
    item, made = base.dtype.itemsize, []
    for k in range(0, len(spans), MOST):
        run = spans[k : k + MOST]
        low, high = run[0][0], max(end for _, end, _ in run)
        within = [(v, strides, offset - low) for _, _, (v, strides, offset) in run]
        made.append((gather_windows(within, spec_of(((high - low) // item,), base.dtype)), (item,), low))
    return whole + (_stretches(made, base) if len(made) >= MOST else made)
