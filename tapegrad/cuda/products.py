"""Matrix products: a block computes a tile of the result, from tiles of both operands in shared memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import BY_FUNCTION, ops
from ..tape.spec import spec_of
from .elementwise import broadcast_steps, layout
from .kernels import add_into
from .memory import DeviceArray
from .table import composed, kernel
from .toolchain import cuda
from .variants import dense, launch, pair, variant

__all__ = ["convolution", "matmul_tiled", "multiply"]

TILE: int = 0
dtype: Any = None


def matmul_tiled(batches, m, n, k, zero, a, oa, ab, ai, aj, b, ob, bb, bi, bj, y, oy):
    """y = a @ b for stacks of matrices (m, k) and (k, n) of any steps; y is contiguous."""
    left = cuda.shared.array((TILE, TILE), dtype)
    right = cuda.shared.array((TILE, TILE), dtype)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    across = (n + TILE - 1) // TILE
    down, along = divmod(cuda.blockIdx.x, across)
    i = down * TILE + row
    j = along * TILE + column
    batch = cuda.blockIdx.y
    while batch < batches:
        total = zero
        start = 0
        while start < k:
            inside = i < m and start + column < k
            left[row, column] = a[oa + batch * ab + i * ai + (start + column) * aj] if inside else zero
            inside = j < n and start + row < k
            right[row, column] = b[ob + batch * bb + (start + row) * bi + j * bj] if inside else zero
            cuda.syncthreads()
            for q in range(TILE):
                total += left[row, q] * right[q, column]
            cuda.syncthreads()
            start += TILE
        if i < m and j < n:
            y[oy + (batch * m + i) * n + j] = total
        batch += cuda.gridDim.y


def convolution(size, n, m, a, oa, v, ov, y, oy):
    """y[k] = sum of a[i] v[k - i], all of the convolution of vectors of n and m elements."""
    k = cuda.grid(1)
    while k < size:
        i = max(k - m + 1, 0)
        stop = min(k + 1, n)
        total = a[oa + i] * v[ov + k - i]
        i += 1
        while i < stop:
            total += a[oa + i] * v[ov + k - i]
            i += 1
        y[oy + k] = total
        k += cuda.gridsize(1)


def _batch(array: DeviceArray, batch: tuple[int, ...]) -> tuple[int, ...]:
    """Steps of an array of matrices along the axes of a stack."""
    return broadcast_steps(array.shape[:-2], array.steps[:-2], batch)


def multiply(device: Any, a: DeviceArray, b: DeviceArray, batch: tuple[int, ...]) -> DeviceArray:
    """The product of stacks of matrices, broadcast to a common shape of the stack."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    made = device.empty(spec_of((*batch, m, n), a.dtype))
    count = int(np.prod(batch, dtype=np.int64))
    if made.spec.size == 0:
        return made
    if device.program is not None and device.program.product(a, b, made, batch):
        return made
    library = device.driver.products()
    if library is not None and library.takes(made.dtype, made.spec.size * k):
        device.settle()
        library.multiply(device, a, b, made)
        return made
    lengths, (over, under, _) = layout(
        batch, [_batch(a, batch), _batch(b, batch), spec_of(batch, np.dtype("b")).strides]
    )
    if len(lengths) > 1:  # no single step leads through the stack
        a, b = _stacked(device, a, batch), _stacked(device, b, batch)
        over, under = (m * k,), (k * n,)
    tile = device.driver.tile
    blocks = -(-m // tile) * -(-n // tile)
    function = device.kernel(variant(matmul_tiled, TILE=tile, dtype=a.dtype))
    args = [
        count, m, n, k, np.zeros((), a.dtype)[()], *pair(a), over[0], *a.steps[-2:], *pair(b), under[0], *b.steps[-2:],
        *pair(made),
    ]  # fmt: skip
    device.launch_blocks(function, (blocks, min(count, 65535), 1), (tile, tile, 1), args)
    return made


def _stacked(device: Any, array: DeviceArray, batch: tuple[int, ...]) -> DeviceArray:
    from .kernels import copy_into

    made = device.empty(spec_of((*batch, *array.shape[-2:]), array.dtype))
    copy_into(made, array)
    return made


def _matrix(array: DeviceArray, row: bool) -> DeviceArray:
    """A vector as a matrix of one row or one column; a matrix itself."""
    spec = array.spec
    if spec.ndim > 1:
        return array
    shape = (1, *spec.shape) if row else (*spec.shape, 1)
    strides = (0, *spec.strides) if row else (*spec.strides, 0)
    return array.view(spec_of(shape, spec.dtype, strides))


_DTYPES = "bhilqBHILQfdFD"


@kernel("matmul")
def launch_matmul(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """Matrix product over the last two axes."""
    a, b = arrays
    if a.dtype.char not in _DTYPES or a.dtype != b.dtype:
        return None
    a, b = _matrix(a, True), _matrix(b, False)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return multiply(device, a, b, batch).view(out)


@kernel("linear")
def launch_linear(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """x @ w.T + b."""
    x, w, *bias = arrays
    if x.dtype.char not in _DTYPES or x.dtype != w.dtype:
        return None
    rows = dense(x)
    k = x.shape[-1]
    rows = rows.view(spec_of((x.spec.size // max(k, 1), k), x.dtype))
    turned = w.view(spec_of(w.shape[::-1], w.dtype, w.spec.strides[::-1]))
    made = multiply(device, rows, turned, ()).view(out)
    for b in bias:
        add_into(made, b)
    return made


@kernel("convolve")
def launch_convolve(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """All of the convolution of two vectors."""
    a, v = arrays
    if a.dtype.char not in "fdFDlqi" or a.dtype != v.dtype:
        return None
    made = device.empty(out)
    launch(device, convolution, out.size, a.spec.size, v.spec.size, *pair(dense(a)), *pair(dense(v)), *pair(made))
    return made


@kernel("einsum")
def launch_einsum(device: Any, out: Any, arrays: list, subscripts: str) -> DeviceArray | None:
    """Sums of products: a matrix product where two operands share axes, else products and a sum over axes."""
    inputs, result = subscripts.split("->")
    terms = inputs.split(",")

    def definition(*tensors: Any) -> Any:
        parts = [_distinct(t, labels) for t, labels in zip(tensors, terms, strict=True)]
        while len(parts) > 1:
            (a, mine), (b, its) = parts[:2]
            later = set(result).union(*[labels for _, labels in parts[2:]])
            kept = "".join(dict.fromkeys(c for c in mine + its if c in later))
            parts = [_contracted(a, mine, b, its, kept), *parts[2:]]
        return _arranged(*parts[0], result)

    return composed(device, definition, arrays)


def _distinct(x: Any, labels: str) -> tuple[Any, str]:
    """An operand without repeated labels: its diagonals."""
    for c in labels:
        if labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            x = BY_FUNCTION[np.diagonal](x, 0, i, j)
            return _distinct(x, labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + c)
    return x, labels


def _contracted(a: Any, mine: str, b: Any, its: str, kept: str) -> tuple[Any, str]:
    """The product of two operands, summed over what is not kept."""
    a, mine = _summed(a, mine, set(kept) | set(its))
    b, its = _summed(b, its, set(kept) | set(mine))
    sizes = dict(zip(its, b._spec.shape, strict=True))
    same = all(sizes.get(c, n) == n for c, n in zip(mine, a._spec.shape, strict=True))
    gone = [c for c in mine if c in its and c not in kept]
    if not same or not gone:
        labels = mine + "".join(c for c in its if c not in mine)
        product = _spread(a, mine, labels) * _spread(b, its, labels)
        return _summed(product, labels, set(kept))
    batch = [c for c in mine if c in its and c in kept]
    rows, columns = [c for c in mine if c not in its], [c for c in its if c not in mine]
    shape = dict(zip(mine + its, (*a._spec.shape, *b._spec.shape), strict=True))
    transpose, reshape = BY_FUNCTION[np.transpose], BY_FUNCTION[np.reshape]
    left = transpose(a, [mine.index(c) for c in batch + rows + gone])
    right = transpose(b, [its.index(c) for c in batch + gone + columns])
    count = [int(np.prod([shape[c] for c in group], dtype=np.int64)) for group in (batch, rows, gone, columns)]
    y = ops.matmul(reshape(left, (count[0], count[1], count[2])), reshape(right, (count[0], count[2], count[3])))
    return reshape(y, tuple(shape[c] for c in batch + rows + columns)), "".join(batch + rows + columns)


def _summed(x: Any, labels: str, kept: set) -> tuple[Any, str]:
    axes = tuple(k for k, c in enumerate(labels) if c not in kept)
    if not axes:
        return x, labels
    return ops.sum(x, axis=axes, keepdims=False), "".join(c for c in labels if c in kept)


def _spread(x: Any, labels: str, to: str) -> Any:
    """An operand with its axes in the order of more labels."""
    order = [labels.index(c) for c in to if c in labels]
    moved = BY_FUNCTION[np.transpose](x, order)
    lengths = iter(moved._spec.shape)
    return BY_FUNCTION[np.reshape](moved, tuple([next(lengths) if c in labels else 1 for c in to]))


def _arranged(x: Any, labels: str, result: str) -> Any:
    x, labels = _summed(x, labels, set(result))
    return BY_FUNCTION[np.transpose](x, [labels.index(c) for c in result])
