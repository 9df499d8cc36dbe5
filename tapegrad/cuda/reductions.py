"""Reductions over axes: in two stages, always in the same order, so that results do not change from run to run.

Where many results have few elements each, a thread takes a result; else a block does, or several blocks of which each
leaves a partial result for a second launch.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..tape.spec import spec_of
from . import scalars, toolchain
from .elementwise import Source, cast_name, casts, layout
from .memory import DeviceArray
from .stepper import defined
from .table import kernel

__all__ = ["reduce"]

FEW = 32
"""Elements that one thread reduces by itself."""


def _index(source: Source, prefix: str, counter: str, ndim: int, lengths: str) -> None:
    """Lines that take a flat counter apart into axes."""
    left = counter
    for d in range(ndim - 1, 0, -1):
        source.add(f"{prefix}r{d}, {prefix}{d} = divmod({left}, {lengths}{d})")
        left = f"{prefix}r{d}"
    source.add(f"{prefix}0 = {left}")


def _place(prefix: str, steps: str, ndim: int) -> str:
    return " + ".join(f"{prefix}{d} * {steps}{d}" for d in range(ndim))


def reduction_source(kept: int, red: int, block: int, dtype: str, mapped: bool, alone: bool, pairs: bool) -> str:
    """Source of a reduction.

    Parameters
    ----------
    kept, red : int
        Numbers of axes that stay and that go.
    block : int
        Threads of a block.
    dtype : str
        Of the accumulator.
    mapped : bool
        Whether elements go through a function first.
    alone : bool
        Whether each thread reduces one result by itself.
    pairs : bool
        Whether places are reduced along with values: for `argmax` and its like.
    """
    parameters = ["outs", "n", "chunks", "span", "identity"]
    parameters += [f"d{k}" for k in range(1, kept)] + [f"e{k}" for k in range(1, red)]
    parameters += ["x", "o", *[f"s{k}" for k in range(kept)], *[f"t{k}" for k in range(red)], "y", "p"]
    s = Source("reduction", parameters)

    def accumulate(first: str, end: str, step: str) -> None:
        s.add("best = identity")
        if pairs:
            s.add("where = n")
        s.add(f"j = {first}")
        s.add(f"while j < {end}:", 1)
        _index(s, "j_", "j", red, "e")
        s.add(f"v = x[base + {_place('j_', 't', red)}]")
        s.add(f"v = {dtype}({'mapped(v)' if mapped else 'v'})")
        if pairs:
            s.add("if where == n or better(v, best):", 1)
            s.add("best = v")
            s.add("where = j")
            s.depth -= 1
        else:
            s.add(f"best = {dtype}(combine(best, v))")
        s.add(f"j += {step}")
        s.depth -= 1

    if alone:
        s.add("i = cuda.grid(1)")
        s.add("while i < outs:", 1)
        _index(s, "i_", "i", kept, "d")
        s.add(f"base = o + {_place('i_', 's', kept)}")
        accumulate("0", "n", "1")
        s.add(f"y[p + i] = {'where' if pairs else 'best'}")
        s.add("i += cuda.gridsize(1)")
        return s.text()
    s.add(f"held = cuda.shared.array({block}, held_dtype)")
    if pairs:
        s.add(f"places = cuda.shared.array({block}, int64)")
    s.add("me = cuda.threadIdx.x")
    s.add("task = cuda.blockIdx.x")
    s.add("while task < outs * chunks:", 1)
    s.add("i, chunk = divmod(task, chunks)")
    s.add("start = chunk * span")
    s.add("stop = min(start + span, n)")
    _index(s, "i_", "i", kept, "d")
    s.add(f"base = o + {_place('i_', 's', kept)}")
    accumulate("start + me", "stop", str(block))
    s.add("held[me] = best")
    if pairs:
        s.add("places[me] = where")
    s.add("cuda.syncthreads()")
    s.add(f"half = {block // 2}")
    s.add("while half > 0:", 1)
    s.add("if me < half:", 1)
    if pairs:
        s.add("a, b, k, m = held[me], held[me + half], places[me], places[me + half]")
        s.add("if k == n or (m < n and (better(b, a) or (not better(a, b) and m < k))):", 1)
        s.add("held[me] = b")
        s.add("places[me] = m")
        s.depth -= 1
    else:
        s.add(f"held[me] = {dtype}(combine(held[me], held[me + half]))")
    s.depth -= 1
    s.add("cuda.syncthreads()")
    s.add("half //= 2")
    s.depth -= 1
    s.add("if me == 0:", 1)
    s.add(f"y[p + task] = {'places[0]' if pairs else 'held[0]'}")
    s.depth -= 1
    s.add("task += cuda.gridDim.x")
    return s.text()


def _stored(dtype: str) -> Any:
    """What shared memory is asked for with; a truth value is converted by Python's `bool`, which is no dtype."""
    if dtype != "bool_" or toolchain.SIMULATED:
        return casts()[dtype]
    from numba import types

    return types.boolean


@functools.cache
def reduction(kept: int, red: int, block: int, dtype: str, combine: Any, mapped: Any, alone: bool, pairs: bool) -> Any:
    """A reduction as a Python function."""
    scope: dict[str, Any] = {"cuda": toolchain.cuda, "__name__": __name__, **casts()}
    scope.update(combine=combine, better=combine, mapped=mapped, held_dtype=_stored(dtype))
    source = reduction_source(kept, red, block, dtype, mapped is not None, alone, pairs)
    return defined("reduction", source, scope)


def split(x: DeviceArray, axes: tuple[int, ...]) -> tuple:
    """Lengths and steps of the axes that stay and of those that go, merged."""
    steps = x.steps
    stay = [d for d in range(len(x.shape)) if d not in axes]
    out_steps = spec_of(tuple(x.shape[d] for d in stay), np.dtype("b")).strides
    kept = layout(tuple(x.shape[d] for d in stay), [tuple(steps[d] for d in stay), out_steps])
    order = spec_of(tuple(x.shape[d] for d in axes), np.dtype("b")).strides
    gone = layout(tuple(x.shape[d] for d in axes), [tuple(steps[d] for d in axes), order])
    return (kept[0], kept[1][0]), (gone[0], gone[1][0])


def reduce(
    device: Any,
    x: DeviceArray,
    axes: tuple[int, ...],
    combine: Any,
    identity: Any,
    dtype: np.dtype,
    mapped: Any = None,
    out: np.dtype | None = None,
    pairs: bool = False,
) -> DeviceArray:
    """Reduce an array over axes.

    Parameters
    ----------
    combine : function
        ``combine(a, b)``, associative; for pairs ``better(a, b)``.
    identity : number
        Where nothing is, or None: the axes must have elements then.
    dtype : numpy.dtype
        Of the accumulator.
    mapped : function, optional
        Applied to each element first.
    out : numpy.dtype, optional
        Of the result, if that is another one.

    Returns
    -------
    DeviceArray
        Contiguous, without the reduced axes.
    """
    shape = tuple([n for d, n in enumerate(x.shape) if d not in axes])
    made = device.empty(spec_of(shape, out or dtype))
    (lengths, steps), (others, strides) = split(x, axes)
    n = int(np.prod([x.shape[d] for d in axes], dtype=np.int64))
    outs = made.spec.size
    if outs == 0:
        return made
    program = device.program
    name = getattr(combine, "__name__", "")
    if program is not None and mapped is None and not pairs and out in (None, dtype) and identity is not None:
        if program.reduction(x, made, (lengths, steps), (others, strides), n, name, identity):
            return made
    block = device.driver.max_threads
    alone = (n <= FEW and outs >= block) or n <= block // 2
    chunks, span = 1, max(n, 1)
    if not alone and outs < device.driver.max_blocks and not pairs:
        chunks = max(1, min(-(-n // (4 * block)), device.driver.max_blocks // outs))
        span = -(-n // chunks)
    target = made if chunks == 1 else device.empty(spec_of((outs, chunks), dtype))
    number = np.asarray(identity if identity is not None else 0, dtype)[()]
    key = (len(lengths), len(others), block, cast_name(dtype), combine, mapped, alone, pairs)
    function = device.kernel(reduction(*key))
    args = [outs, n, chunks, span, number, *lengths[1:], *others[1:], x.flat(), x.start, *steps, *strides]
    args += [target.flat(), target.start]
    if alone:
        device.launch(function, outs, args)
    else:
        device.launch_blocks(function, (min(outs * chunks, device.driver.max_blocks), 1, 1), (block, 1, 1), args)
    if chunks == 1:
        return made
    final = reduce(device, target, (1,), combine, identity, dtype, None, out)
    return final.view(made.spec)


# --- records ---------------------------------------------------------------------------------------------------------

_DTYPES = "?bhilqBHILQfdFD"


def _finish(made: DeviceArray, out: Any) -> DeviceArray:
    """The result in the shape that the record gives it."""
    return made.view(out.dense)


def _limit(dtype: np.dtype, lowest: bool) -> Any:
    if dtype.kind == "f":
        return -np.inf if lowest else np.inf
    if dtype.kind == "b":
        return not lowest
    return np.iinfo(dtype).min if lowest else np.iinfo(dtype).max


@kernel("sum")
def launch_sum(device: Any, out: Any, arrays: list, axis: tuple, keepdims: bool) -> DeviceArray | None:
    """Sum over axes."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES or x.dtype.kind == "b":
        return None
    return _finish(reduce(device, x, axis, scalars.add, 0, out.dtype), out)


@kernel("prod")
def launch_prod(device: Any, out: Any, arrays: list, axis: tuple, keepdims: bool) -> DeviceArray | None:
    """Product over axes."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES or x.dtype.kind == "b":
        return None
    return _finish(reduce(device, x, axis, scalars.multiply, 1, out.dtype), out)


@kernel("amax")
def launch_amax(device: Any, out: Any, arrays: list, axis: tuple, keepdims: bool) -> DeviceArray | None:
    """Maximum over axes."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES or x.dtype.kind == "c":
        return None
    combine = scalars.SCALARS["maximum", "i" if x.dtype.kind in "iu" else x.dtype.kind]
    return _finish(reduce(device, x, axis, combine, _limit(x.dtype, True), x.dtype), out)


@kernel("amin")
def launch_amin(device: Any, out: Any, arrays: list, axis: tuple, keepdims: bool) -> DeviceArray | None:
    """Minimum over axes."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES or x.dtype.kind == "c":
        return None
    combine = scalars.SCALARS["minimum", "i" if x.dtype.kind in "iu" else x.dtype.kind]
    return _finish(reduce(device, x, axis, combine, _limit(x.dtype, False), x.dtype), out)


@kernel("any")
def launch_any(device: Any, out: Any, arrays: list, axis: tuple, **attrs: Any) -> DeviceArray | None:
    """Whether an element is true."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES:
        return None
    return _finish(reduce(device, x, axis, scalars.either, False, np.dtype(bool), scalars.truth), out)


@kernel("all")
def launch_all(device: Any, out: Any, arrays: list, axis: tuple, **attrs: Any) -> DeviceArray | None:
    """Whether all elements are true."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES:
        return None
    return _finish(reduce(device, x, axis, scalars.both, True, np.dtype(bool), scalars.truth), out)


@kernel("count_nonzero")
def launch_count(device: Any, out: Any, arrays: list, axis: tuple, **attrs: Any) -> DeviceArray | None:
    """How many elements are true."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES:
        return None
    return _finish(reduce(device, x, axis, scalars.add, 0, out.dtype, scalars.truth), out)


def greater_value(a: Any, b: Any) -> Any:
    """Whether `argmax` prefers the first of two: NaN comes before all."""
    return a > b or (a != a and b == b)


def smaller_value(a: Any, b: Any) -> Any:
    """Whether `argmin` prefers the first of two: NaN comes before all."""
    return a < b or (a != a and b == b)


@kernel("argmax")
def launch_argmax(device: Any, out: Any, arrays: list, axis: int) -> DeviceArray | None:
    """Place of the first maximum along an axis."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES or x.dtype.kind == "c":
        return None
    made = reduce(device, x, (axis,), greater_value, 0, x.dtype, None, out.dtype, pairs=True)
    return _finish(made, out)


@kernel("argmin")
def launch_argmin(device: Any, out: Any, arrays: list, axis: int) -> DeviceArray | None:
    """Place of the first minimum along an axis."""
    (x,) = arrays
    if x.dtype.char not in _DTYPES or x.dtype.kind == "c":
        return None
    made = reduce(device, x, (axis,), smaller_value, 0, x.dtype, None, out.dtype, pairs=True)
    return _finish(made, out)
