"""Records that move elements: joins, windows of zeros, copies in another shape; and rounding to decimals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape.spec import spec_of
from .elementwise import Step, launch_fused
from .indexing import scatter
from .kernels import add_into, copy_into, fill
from .memory import DeviceArray
from .table import kernel
from .variants import dense, number

__all__: list[str] = []


@kernel("reshape")
def launch_reshape(device: Any, out: Any, arrays: list, shape: tuple) -> DeviceArray:
    """The same elements in another shape."""
    return arrays[0].copy().view(out)


@kernel("concatenate")
def launch_concatenate(device: Any, out: Any, arrays: list, axis: int) -> DeviceArray:
    """Arrays joined along an axis that they have."""
    made = device.empty(out)
    step, offset = made.spec.strides[axis], 0
    for x in arrays:
        copy_into(made.view(spec_of(x.shape, x.dtype, made.spec.strides), offset), x)
        offset += x.shape[axis] * step
    return made


@kernel("stack")
def launch_stack(device: Any, out: Any, arrays: list, axis: int) -> DeviceArray:
    """Arrays joined along a new axis."""
    made = device.empty(out)
    strides = made.spec.strides
    for k, x in enumerate(arrays):
        window = spec_of(x.shape, x.dtype, (*strides[:axis], *strides[axis + 1 :]))
        copy_into(made.view(window, k * strides[axis]), x)
    return made


@kernel("place")
def launch_place(
    device: Any, out: Any, arrays: list, shape: tuple, strides: tuple, offset: int, base_strides: tuple
) -> DeviceArray | None:
    """Zeros with a window of them taken from another array; where places of the window meet, their sum."""
    (v,) = arrays
    window = spec_of(v.shape, v.dtype, strides)
    if window.injective:
        made = device.empty(out)
        memory = DeviceArray(device, made.block, 0, spec_of((out.host.extent // out.dtype.itemsize,), out.dtype))
        fill(memory, 0)
        copy_into(made.view(window, offset), v)
        return made
    item = v.dtype.itemsize
    flat = spec_of((out.host.extent // item,), v.dtype)
    places = np.full(v.shape, (offset - out.host.low) // item, np.int64)
    for d, (n, step) in enumerate(zip(v.shape, strides, strict=True)):
        places += (np.arange(n) * (step // item)).reshape([-1 if e == d else 1 for e in range(len(v.shape))])
    total = scatter(device, dense(v), device.upload(places), flat, False)
    return None if total is None else total.view(out, -out.host.low)


@kernel("assemble")
def launch_assemble(
    device: Any, out: Any, arrays: list, shape: tuple, base_strides: tuple, windows: tuple
) -> DeviceArray | None:
    """A sum of windows of zeros."""
    made = device.empty(out)
    fill(DeviceArray(device, made.block, 0, spec_of((out.host.size,), out.dtype)), 0)
    for v, (strides, offset) in zip(arrays, windows, strict=True):
        if v.spec.size:
            add_into(made.view(spec_of(v.shape, v.dtype, strides), offset), v)
    return made


@kernel("round_to")
def launch_round(device: Any, out: Any, arrays: list, decimals: int) -> DeviceArray | None:
    """Nearest multiple of a power of ten."""
    (x,) = arrays
    if x.dtype.char not in "fd":
        return None
    made = device.empty(out)
    kinds = (x.dtype, x.dtype)
    power = number(10.0 ** abs(decimals), x.dtype)
    before, after = ("multiply", "divide") if decimals >= 0 else ("divide", "multiply")
    steps = [
        Step(before, (0, 1), kinds, x.dtype),
        Step("rint", (2,), kinds[:1], x.dtype),
        Step(after, (3, 1), kinds, x.dtype),
    ]
    launch_fused(device, steps, [x, power], [(4, made)], out.shape)
    return made
