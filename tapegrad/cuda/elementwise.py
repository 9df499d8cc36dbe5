"""Fused elementwise kernels: the rows of a group become one function, written for their number of axes.

A group is a list of steps over operands of one broadcast shape. Axes are dropped, ordered and merged first, so that
most launches have one axis. The thread with number i works on element i, if there is one. (A loop over elements would
be unrolled by the compiler: five times the code and a division at its start, for kernels that wait for memory anyway.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import scalars, toolchain
from .stepper import defined

__all__ = ["Source", "Step", "function_of", "fused_source", "launch_fused", "layout", "supported"]

KERNEL_DTYPES = "?bBhHiIlLqQfdFD"
"""Dtypes that kernels are made for."""
MOST_ARRAYS = 24
MOST_STEPS = 48


@dataclass(frozen=True)
class Step:
    """One operation of a group.

    Attributes
    ----------
    name : str
        Of the scalar function's record.
    operands : tuple of int
        Places among the group's inputs (first) and the results of earlier steps (after them).
    kinds : tuple of numpy.dtype
        Of the operands.
    dtype : numpy.dtype
        Of the result.
    """

    name: str
    operands: tuple[int, ...]
    kinds: tuple[np.dtype, ...]
    dtype: np.dtype


def function_of(name: str, kinds: Sequence[np.dtype], dtype: np.dtype) -> Callable | None:
    """The scalar function for a record at certain dtypes; None where there is none."""
    if any(d.char not in KERNEL_DTYPES for d in (*kinds, dtype)):
        return None
    if name in scalars.DOUBLE:
        return scalars.SCALARS[name, "f"] if all(d.char == "d" for d in kinds) else None
    main = [d.kind for d in kinds]
    if name == "where":
        main = main[1:]
    elif name == "ldexp":
        main = main[:1]
    kind = main[0]
    found = scalars.SCALARS.get((name, kind))
    if found is None and kind == "u":
        found = scalars.SCALARS.get((name, "i"))
    if found is None:
        return None
    if kind == "f" and all(d.char == "f" for d in kinds if d.kind == "f"):
        return _single(found)
    return found


@functools.cache
def _single(function: Callable) -> Callable:
    return toolchain.build(function, lambda copy: copy, {}, constants=toolchain.single)


def supported(name: str, kinds: Sequence[np.dtype], dtype: np.dtype) -> bool:
    """Whether there is a kernel for a record at certain dtypes."""
    return function_of(name, kinds, dtype) is not None


# --- layout ----------------------------------------------------------------------------------------------------------


def broadcast_steps(shape: tuple[int, ...], steps: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    """Steps of an array that is broadcast to a shape."""
    lead = len(to) - len(shape)
    own = [0 if n == 1 and m != 1 else s for n, m, s in zip(shape, to[lead:], steps, strict=True)]
    return (0,) * lead + tuple(own)


def layout(shape: tuple[int, ...], steps: list[tuple[int, ...]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Drop axes of length one, order the others by the last array's steps, and merge neighbours that lie in a row."""
    axes = [d for d, n in enumerate(shape) if n != 1]
    axes.sort(key=lambda d: -abs(steps[-1][d]))
    merged: list[int] = []
    lengths: list[int] = []
    kept: list[list[int]] = []
    for d in axes:
        mine = [s[d] for s in steps]
        if merged and all(before == s * shape[d] for before, s in zip(kept[-1], mine, strict=True)):
            lengths[-1] *= shape[d]
            kept[-1] = mine
        else:
            merged.append(d)
            lengths.append(shape[d])
            kept.append(mine)
    if not lengths:
        lengths, kept = [1], [[0] * len(steps)]
    return tuple(lengths), [tuple([axis[k] for axis in kept]) for k in range(len(steps))]


# --- source ----------------------------------------------------------------------------------------------------------


class Source:
    """Lines of a function under construction."""

    def __init__(self, name: str, parameters: Sequence[str]):
        self.lines = [f"def {name}({', '.join(parameters)}):"]
        self.depth = 1

    def add(self, line: str, indent: int = 0) -> None:
        """Append a line; the next ones stand deeper by `indent`."""
        self.lines.append("    " * self.depth + line)
        self.depth += indent

    def text(self) -> str:
        """The source."""
        return "\n".join(self.lines) + "\n"


def cast_name(dtype: np.dtype) -> str:
    """Name of the conversion to a dtype in generated code."""
    return "bool_" if dtype.kind == "b" else dtype.name


def at(base: str, prefix: str, ndim: int, unit: str) -> str:
    """The place of an element: ``unit`` says that steps are known ('1': adjacent, '0': one element)."""
    if unit == "0":
        return base
    if unit == "1":
        return f"{base} + i0"
    return base + "".join(f" + i{d} * {prefix}{d}" for d in range(ndim))


def fused_source(
    steps: Sequence[Step], inputs: Sequence[str], outputs: Sequence[int], ndim: int, units: Sequence[str]
) -> str:
    """Source of a group's kernel.

    Parameters
    ----------
    steps : sequence of Step
    inputs : sequence of str
        For each input ``"array"`` or ``"number"``, which is passed by value.
    outputs : sequence of int
        Places (as in `Step.operands`) of the results that are stored.
    ndim : int
    units : sequence of str
        For each array, inputs first: ``"1"``, ``"0"`` or ``""`` where its steps are passed.
    """
    parameters = ["n", *[f"d{k}" for k in range(1, ndim)]]
    unit = iter(units)
    loads = []
    for k, kind in enumerate(inputs):
        if kind == "number":
            parameters.append(f"v{k}")
            continue
        u = next(unit)
        parameters += [f"a{k}", f"o{k}", *([f"s{k}_{d}" for d in range(ndim)] if not u else [])]
        loads.append((k, at(f"o{k}", f"s{k}_", ndim, u)))
    stores = []
    for j, place in enumerate(outputs):
        u = next(unit)
        parameters += [f"y{j}", f"p{j}", *([f"t{j}_{d}" for d in range(ndim)] if not u else [])]
        stores.append((j, place, at(f"p{j}", f"t{j}_", ndim, u)))
    source = Source("fused", parameters)
    source.add("i = cuda.grid(1)")
    source.add("if i < n:", 1)
    left = "i"
    for d in range(ndim - 1, 0, -1):
        source.add(f"r{d}, i{d} = divmod({left}, d{d})")
        left = f"r{d}"
    source.add(f"i0 = {left}")
    for k, where in loads:
        source.add(f"v{k} = a{k}[{where}]")
    for j, step in enumerate(steps):
        k = len(inputs) + j
        call = f"f{j}({', '.join(f'v{o}' for o in step.operands)})"
        source.add(f"v{k} = {cast_name(step.dtype)}({call})")
    for j, k, where in stores:
        source.add(f"y{j}[{where}] = v{k}")
    return source.text()


def casts() -> dict[str, Any]:
    """Conversions by name, for the device or for the stepper."""
    names = [np.dtype(c).name for c in KERNEL_DTYPES if c != "?"]
    if toolchain.SIMULATED:
        found: dict[str, Any] = {n: getattr(np, n) for n in names}
        found["bool_"] = np.bool_
        return found
    from numba import types

    found = {n: getattr(types, n) for n in names}
    found["bool_"] = bool
    return found


def complex_to_real(name: str) -> bool:
    """Whether a record's scalar function takes complex numbers apart."""
    return name in ("real", "imag", "absolute")


@functools.cache
def fused_function(
    steps: tuple[Step, ...], inputs: tuple[str, ...], outputs: tuple[int, ...], ndim: int, units: tuple[str, ...]
) -> Any:
    """A group's kernel as a Python function."""
    scope: dict[str, Any] = {"cuda": toolchain.cuda, "__name__": __name__, **casts()}
    for j, step in enumerate(steps):
        scope[f"f{j}"] = function_of(step.name, step.kinds, step.dtype)
    made = defined("fused", fused_source(steps, inputs, outputs, ndim, units), scope)
    made.plan = steps, inputs, outputs, ndim, units
    return made


def launch_fused(
    device: Any, steps: Sequence[Step], inputs: Sequence[Any], outputs: Sequence[tuple[int, Any]], shape: tuple
) -> None:
    """Run a group, or have it run with what waits already.

    Parameters
    ----------
    device : Device
    steps : sequence of Step
    inputs : sequence
        Arrays on the device, or numbers with a dtype.
    outputs : sequence of (int, DeviceArray)
        What is stored, and where.
    shape : tuple of int
        Of the iteration.
    """
    if 0 in shape:
        return
    run = functools.partial(launch_written, device, steps, inputs, outputs, shape)
    program = device.program
    if program is None or not program.elementwise(steps, inputs, outputs, shape, run):
        run()


def launch_written(
    device: Any, steps: Sequence[Step], inputs: Sequence[Any], outputs: Sequence[tuple[int, Any]], shape: tuple
) -> None:
    """Run a group by a kernel that is written for it; parameters are those of `launch_fused`."""
    size = math.prod(shape)
    arrays = [x for x in inputs if not isinstance(x, np.generic)]
    arrays += [array for _, array in outputs]
    lengths, rows = layout(shape, [broadcast_steps(a.shape, a.steps, shape) for a in arrays])
    ndim = len(lengths)
    units = []
    for row in rows:
        flat = ndim == 1 and row[0] in (0, 1) and (row[0] == 1 or lengths[0] != 1)
        units.append(str(row[0]) if flat else "0" if not any(row) else "")
    kinds = tuple(["number" if isinstance(x, np.generic) else "array" for x in inputs])
    key = (tuple(steps), kinds, tuple(k for k, _ in outputs), ndim, tuple(units))
    kernel = device.kernel(fused_function(*key))
    args: list[Any] = [size, *lengths[1:]]
    place = iter(zip(rows, units, strict=True))
    for x in inputs:
        if isinstance(x, np.generic):
            args.append(x)
            continue
        row, unit = next(place)
        args += [x.flat(), x.start, *(() if unit else row)]
    for _, array in outputs:
        row, unit = next(place)
        args += [array.flat(), array.start, *(() if unit else row)]
    device.launch_each(kernel, size, args)
