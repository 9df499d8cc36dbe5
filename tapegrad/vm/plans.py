"""Kernel descriptions: how a loop walks over its operands' memory.

A loop plan is ``fn, data, nops, acc_fn, acc_data, flags, itemsize, count``, then `nops` inner
strides, `nops` tile advances, the number of outer dimensions, and for each of them its length and `nops`
strides. Operands stand in the ufunc's order, the result last.
"""

from __future__ import annotations

import math

from . import opcodes as op
from .helpers import elementwise, wake
from .pools import pools

__all__ = ["gufunc_plan", "in_place", "loop_plan", "walk"]


def broadcast_strides(shape, strides, to):
    """Strides of an operand as seen in the broadcast shape `to` (0 along broadcast axes)."""
    lead = len(to) - len(shape)
    return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True))


def walk(shape, strides):
    """Order and merge dimensions so that the innermost is the longest stretch with constant strides.

    Parameters
    ----------
    shape : tuple of int
    strides : sequence of tuple of int
        Per operand, in bytes.

    Returns
    -------
    list of (int, tuple of int)
        Length and strides per operand of each dimension, outermost first; empty for a single element.
    """
    dims = [(n, tuple(s[d] for s in strides)) for d, n in enumerate(shape) if n != 1]
    if any(n == 0 for n, _ in dims):
        return [(0, (0,) * len(strides))]
    dims.sort(key=_spread, reverse=True)
    merged: list = []
    for n, steps in dims:
        if merged and all(outer == n * inner for outer, inner in zip(merged[-1][1], steps, strict=True)):
            merged[-1] = (merged[-1][0] * n, steps)
        else:
            merged.append((n, steps))
    return _lengthened(merged)


SHORT = 10
"""An innermost dimension shorter than this makes many calls of a loop for little work each."""
BLOCK_BYTES = 1 << 18
"""What a walk along a longer dimension may span before the walk along the next: about what a core's cache holds."""


def _lengthened(dims):
    """The dimensions with a long one innermost, if that was a short one; a very long one is walked in blocks."""
    if len(dims) < 2 or dims[-1][0] >= SHORT:
        return dims
    n, steps = longest = max(dims, key=lambda dim: dim[0])
    if n < 4 * dims[-1][0]:
        return dims
    others = [dim for dim in dims if dim is not longest]
    span = n * max(abs(s) for s in steps)
    blocks = next((b for b in range(-(-span // BLOCK_BYTES), n // 32) if n % b == 0), 1)
    if blocks == 1:
        return [*others, longest]
    block = n // blocks
    return [(blocks, tuple(s * block for s in steps)), *others, (block, steps)]


def _spread(dim):
    """How far apart in memory neighbours along a dimension are: in the operand where they are farthest, then in all."""
    steps = [abs(s) for s in dim[1]]
    return max(steps), sum(steps)


def loop_plan(loop, shape, strides, itemsize, accumulate=None, tiled=(), single=None):
    """Plan of an inner loop.

    Parameters
    ----------
    loop : (int, int)
        Address and data of the loop.
    shape : tuple of int
        Shape of the iteration.
    strides : list of tuple of int
        Byte strides per operand over `shape`, the result's last.
    itemsize : int
        Of the result.
    accumulate : (int, int, bool), optional
        Address and data of a loop that adds, and whether it takes the operands itself.
    tiled : sequence of bool, optional
        Per operand, whether it lives in a tile's scratch memory.
    single : tuple of int, optional
        Strides that the loop is told for one element. NumPy tells it those of an array without gaps, and loops choose
        by them how to round (products of complex numbers).
    """
    dims = walk(shape, strides)
    nops = len(strides)
    count, inner = dims[-1] if dims else (1, single or (0,) * nops)
    advance = [0 if tiled and tiled[j] else inner[j] for j in range(nops)]
    acc_fn, acc_data, native = accumulate or (0, 0, False)
    clean = loop[0] in elementwise and (not acc_fn or acc_fn in elementwise)
    large = clean and math.prod([n for n, _ in dims]) >= op.SHARED
    cut = _dividable(dims, itemsize) if large else 0
    if cut or (large and len(dims) == 1):
        wake()
    flags = op.OWN * bool(native) + op.CLEAN * clean + (cut << op.CUT)
    fields = [*loop, nops, acc_fn, acc_data, flags, itemsize, count, *inner, *advance, len(dims[:-1])]
    for n, steps in reversed(dims[:-1]):
        fields += [n, *steps]
    return pools.add_plan(fields)


def in_place(plan, operand):
    """Whether a loop plan's result lies as an operand does, so that it may take over the operand's memory."""
    fields = pools.plans
    nops, count, outer = int(fields[plan + 2]), int(fields[plan + 7]), plan + 8 + 2 * int(fields[plan + 2])
    steps = [fields[plan + 8 : plan + 8 + nops]] if count > 1 else []
    for k in range(int(fields[outer])):
        first = outer + 2 + k * (nops + 1)
        steps.append(fields[first : first + nops])
    return all([step[operand] == step[-1] != 0 for step in steps])


def _dividable(dims, itemsize):
    """1 + the longest outer dimension, counted from within, along which results stand apart in memory; 0 if none."""
    longest, place = 1, 0
    for d, (n, steps) in enumerate(dims[:-1]):
        width = sum([(m - 1) * abs(others[-1]) for k, (m, others) in enumerate(dims) if k != d]) + itemsize
        if n > longest and abs(steps[-1]) >= width:
            longest, place = n, len(dims) - 1 - d
    return place


def gufunc_plan(loop, core_dims, core_strides, batch, batch_strides):
    """Plan of a generalised loop.

    Parameters
    ----------
    core_dims : list of int
        Lengths of the core dimensions, in the order of the gufunc's signature.
    core_strides : list of int
        Core strides of all operands, one operand after the other.
    batch : tuple of int
    batch_strides : list of tuple of int
        Per operand over `batch`.
    """
    nops = len(batch_strides)
    dims = walk(batch, batch_strides)
    count, inner = dims[-1] if dims else (1, (0,) * nops)
    if math.prod(batch) == 0:
        count = 0
    fields = [*loop, nops, len(core_dims), len(core_strides), count, len(dims[:-1])]
    fields += [*core_dims, *inner, *core_strides]
    for n, steps in reversed(dims[:-1]):
        fields += [n, *steps]
    return pools.add_plan(fields)
