"""Scans along an axis: a block takes a lane and goes through it in pieces, each by Hillis and Steele's method."""

from __future__ import annotations

from typing import Any

from . import scalars
from .memory import DeviceArray
from .table import kernel
from .toolchain import cuda
from .variants import dense, launch_lanes, number, pair

__all__ = ["affine_scan", "extremum_scan", "scan"]

BLOCK: int = 0
dtype: Any = None
combine: Any = None
better: Any = None
int64: Any = int


def scan(lanes, n, inner, identity, x, ox, y, oy):
    """y[j] = x[0] op ... op x[j] along lanes of n elements, `inner` apart."""
    held = cuda.shared.array(BLOCK, dtype)
    me = cuda.threadIdx.x
    lane = cuda.blockIdx.x
    while lane < lanes:
        block, place = divmod(lane, inner)
        base = block * n * inner + place
        carry = identity
        start = 0
        while start < n:
            j = start + me
            held[me] = x[ox + base + j * inner] if j < n else identity
            cuda.syncthreads()
            step = 1
            while step < BLOCK:
                other = held[me - step] if me >= step else identity
                cuda.syncthreads()
                held[me] = dtype(combine(other, held[me]))
                cuda.syncthreads()
                step *= 2
            if j < n:
                y[oy + base + j * inner] = dtype(combine(carry, held[me]))
            carry = dtype(combine(carry, held[BLOCK - 1]))
            cuda.syncthreads()
            start += BLOCK
        lane += cuda.gridDim.x


def affine_scan(lanes, n, inner, zero, one, a, oa, b, ob, y, oy):
    """y[0] = b[0], y[j] = a[j] y[j - 1] + b[j] along lanes of n elements, `inner` apart."""
    factors = cuda.shared.array(BLOCK, dtype)
    terms = cuda.shared.array(BLOCK, dtype)
    me = cuda.threadIdx.x
    lane = cuda.blockIdx.x
    while lane < lanes:
        block, place = divmod(lane, inner)
        base = block * n * inner + place
        carry = zero
        start = 0
        while start < n:
            j = start + me
            factors[me] = a[oa + base + j * inner] if 0 < j < n else one - one if j == 0 else one
            terms[me] = b[ob + base + j * inner] if j < n else zero
            cuda.syncthreads()
            step = 1
            while step < BLOCK:
                f = factors[me - step] if me >= step else one
                t = terms[me - step] if me >= step else zero
                cuda.syncthreads()
                terms[me] = factors[me] * t + terms[me]
                factors[me] = f * factors[me]
                cuda.syncthreads()
                step *= 2
            if j < n:
                y[oy + base + j * inner] = factors[me] * carry + terms[me]
            carry = factors[BLOCK - 1] * carry + terms[BLOCK - 1]
            cuda.syncthreads()
            start += BLOCK
        lane += cuda.gridDim.x


def extremum_scan(lanes, n, inner, x, ox, y, oy):
    """y[j] = place of the first extremum among x[0] ... x[j] along lanes of n elements, `inner` apart."""
    held = cuda.shared.array(BLOCK, int64)
    me = cuda.threadIdx.x
    lane = cuda.blockIdx.x
    while lane < lanes:
        block, place = divmod(lane, inner)
        base = block * n * inner + place
        carry = 0
        start = 0
        while start < n:
            j = start + me
            held[me] = j if j < n else start
            cuda.syncthreads()
            step = 1
            while step < BLOCK:
                other = held[me - step] if me >= step else held[me]
                cuda.syncthreads()
                if other < held[me] and not better(x[ox + base + held[me] * inner], x[ox + base + other * inner]):
                    held[me] = other
                cuda.syncthreads()
                step *= 2
            k = held[me]
            if not better(x[ox + base + k * inner], x[ox + base + carry * inner]):
                k = carry
            if j < n:
                y[oy + base + j * inner] = k
            k = held[BLOCK - 1]
            if better(x[ox + base + k * inner], x[ox + base + carry * inner]):
                carry = k
            cuda.syncthreads()
            start += BLOCK
        lane += cuda.gridDim.x


def lanes_of(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """Number of lanes along an axis of a contiguous array, their length, and the step along them."""
    inner = 1
    for n in shape[axis + 1 :]:
        inner *= n
    n = shape[axis]
    size = inner * n
    for m in shape[:axis]:
        size *= m
    return size // max(n, 1), n, inner


def _scanned(device: Any, out: Any, x: DeviceArray, axis: int, function: Any, identity: Any) -> DeviceArray | None:
    if x.dtype.char not in "bhilqBHILQfdFD" or x.dtype != out.dtype:
        return None
    made = device.empty(out)
    if made.spec.size:
        lanes, n, inner = lanes_of(x.shape, axis)
        launch_lanes(
            device, scan, lanes, n, inner, number(identity, x.dtype), *pair(dense(x)), *pair(made),
            BLOCK=device.driver.max_threads, dtype=x.dtype, combine=function,
        )  # fmt: skip
    return made


@kernel("cumsum")
def launch_cumsum(device: Any, out: Any, arrays: list, axis: int) -> DeviceArray | None:
    """Cumulative sum."""
    return _scanned(device, out, arrays[0], axis, scalars.add, 0)


@kernel("cumprod")
def launch_cumprod(device: Any, out: Any, arrays: list, axis: int) -> DeviceArray | None:
    """Cumulative product."""
    return _scanned(device, out, arrays[0], axis, scalars.multiply, 1)


@kernel("linear_scan")
def launch_linear_scan(device: Any, out: Any, arrays: list, axis: int) -> DeviceArray | None:
    """Linear recurrence."""
    a, b = arrays
    if b.dtype.char not in "fdFD":
        return None
    made = device.empty(out)
    if made.spec.size:
        lanes, n, inner = lanes_of(b.shape, axis)
        launch_lanes(
            device, affine_scan, lanes, n, inner, number(0, b.dtype), number(1, b.dtype), *pair(dense(a)),
            *pair(dense(b)), *pair(made), BLOCK=device.driver.max_threads, dtype=b.dtype,
        )  # fmt: skip
    return made


@kernel("extremum_so_far")
def launch_extremum(device: Any, out: Any, arrays: list, axis: int, largest: bool) -> DeviceArray | None:
    """Place of the extremum so far."""
    from .reductions import greater_value, smaller_value

    (x,) = arrays
    if x.dtype.char not in "bhilqBHILQfd":
        return None
    made = device.empty(out)
    if made.spec.size:
        lanes, n, inner = lanes_of(x.shape, axis)
        launch_lanes(
            device, extremum_scan, lanes, n, inner, *pair(dense(x)), *pair(made),
            BLOCK=device.driver.max_threads, better=greater_value if largest else smaller_value, int64=out.dtype,
        )  # fmt: skip
    return made
