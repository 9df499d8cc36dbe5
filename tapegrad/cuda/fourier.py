"""Discrete Fourier transforms along an axis, by their definition: a thread sums up one element of the result.

The work grows with the square of the length, so longer transforms are left to the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape.spec import spec_of
from .memory import DeviceArray
from .scans import lanes_of
from .table import kernel
from .toolchain import cuda, math
from .variants import dense, launch, number, pair

__all__ = ["transform", "transform_half"]

LONGEST = 4096
cast: Any = None


def transform(size, n, kept, inner, sign, scale, zero, x, ox, y, oy):
    """y[k] = scale sum of x[j] exp(sign 2 pi i j k / n) along lanes of n elements, `inner` apart, for k < `kept`."""
    at = cuda.grid(1)
    while at < size:
        line, place = divmod(at, inner)
        block, k = divmod(line, kept)
        base = ox + block * n * inner + place
        total = zero
        for j in range(n):
            _, turn = divmod(j * k, n)
            angle = sign * 6.283185307179586 * turn / n
            total += x[base + j * inner] * complex(math.cos(angle), math.sin(angle))
        y[oy + at] = cast(total * scale)
        at += cuda.gridsize(1)


def transform_half(size, n, inner, scale, zero, x, ox, y, oy):
    """y[k] = scale sum of the half spectrum x and its conjugates times exp(2 pi i j k / n): n real elements a lane."""
    at = cuda.grid(1)
    count = n // 2 + 1
    while at < size:
        line, place = divmod(at, inner)
        block, k = divmod(line, n)
        base = ox + block * count * inner + place
        total = zero
        for j in range(count):
            _, turn = divmod(j * k, n)
            angle = 6.283185307179586 * turn / n
            value = x[base + j * inner]
            part = value.real * math.cos(angle) - value.imag * math.sin(angle)
            total += 2.0 * part if 0 < 2 * j < n else part
        y[oy + at] = cast(total * scale)
        at += cuda.gridsize(1)


def _scale(n: int, norm: str) -> Any:
    """By what a transform of n elements is multiplied."""
    return number({"backward": 1.0, "ortho": n**-0.5, "forward": 1.0 / n}[norm], np.dtype("d"))


def _along(device: Any, x: DeviceArray, axis: int, out: Any, sign: int, norm: str) -> DeviceArray:
    """Transform along one axis."""
    made = device.empty(out)
    _, _, inner = lanes_of(x.shape, axis)
    launch(
        device, transform, made.spec.size, x.shape[axis], out.shape[axis], inner, sign, _scale(x.shape[axis], norm),
        number(0, np.dtype("D")), *pair(dense(x)), *pair(made), cast=out.dtype,
    )  # fmt: skip
    return made


@kernel("dft")
def launch_dft(device: Any, out: Any, arrays: list, axes: tuple, sign: int, norm: str) -> DeviceArray | None:
    """Complex transform over axes."""
    (x,) = arrays
    if x.dtype.char not in "FD" or any(x.shape[d] > LONGEST for d in axes):
        return None
    for axis in axes:
        x = _along(device, x, axis, spec_of(x.shape, x.dtype), sign, norm)
    return x if axes else x.copy()


@kernel("rdft")
def launch_rdft(device: Any, out: Any, arrays: list, axis: int, norm: str) -> DeviceArray | None:
    """First half of the transform of real arrays."""
    (x,) = arrays
    if x.dtype.char not in "fd" or x.shape[axis] > LONGEST:
        return None
    return _along(device, x, axis, out.host.plain, -1, norm)


@kernel("irdft")
def launch_irdft(device: Any, out: Any, arrays: list, n: int, axis: int, norm: str) -> DeviceArray | None:
    """Real transform of a half spectrum."""
    (x,) = arrays
    if x.dtype.char not in "FD" or n > LONGEST or n < 1:
        return None
    if x.shape[axis] != n // 2 + 1:
        x = _fitted(device, x, axis, n // 2 + 1)
    made = device.empty(out)
    _, _, inner = lanes_of(x.shape, axis)
    zero = number(0, np.dtype("d"))
    arrays_of = (*pair(dense(x)), *pair(made))
    launch(device, transform_half, out.size, n, inner, _scale(n, norm), zero, *arrays_of, cast=out.dtype)
    return made


def _fitted(device: Any, x: DeviceArray, axis: int, length: int) -> DeviceArray:
    """A spectrum cut or filled up with zeros to a length."""
    from .kernels import copy_into, fill

    shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
    made = device.empty(spec_of(shape, x.dtype))
    fill(made, 0)
    common = (*x.shape[:axis], min(length, x.shape[axis]), *x.shape[axis + 1 :])
    target = made.view(spec_of(common, x.dtype, made.spec.strides))
    copy_into(target, x.view(spec_of(common, x.dtype, x.spec.strides)))
    return made
