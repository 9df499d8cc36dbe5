"""Rows that come from a file: whether the instructions that they become stay in the memory of their operands.

A record's `infer` and `kernel` trust the attributes that tapegrad's own functions make. Attributes from a file are
trusted by nobody: the kernel is run once with an emitter that checks every access before the row may be lowered.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..primitives.core import Elementwise
from ..tape.lower import Emitter
from ..tape.signature import Signature
from ..tape.spec import Spec, spec_of
from ..vm import opcodes as op
from ..vm.bridge import loop_address

__all__ = ["check_memory", "in_step", "span"]

_PRODUCTS = ("matmul", "linear")
_GENERALISED = (*_PRODUCTS, "nll_loss", "nll_loss_spread")
_TYPED = ("astype", "gather", "index_put", "scatter_add")
"""Records that choose their loop by the types of all operands; elementwise ones do so, too."""


@functools.lru_cache(4096)
def span(spec: Spec) -> tuple[int, int]:
    """The bytes that a value takes, from its first element's: first and behind the last."""
    if spec.size == 0:
        return 0, 0
    reach = [s * (n - 1) for n, s in zip(spec.shape, spec.strides, strict=True)]
    return sum(r for r in reach if r < 0), sum(r for r in reach if r > 0) + spec.dtype.itemsize


def in_step(view: Spec, shift: int, base: Spec) -> bool:
    """Whether a view's elements begin where elements of the array do, or whole numbers within them."""
    unit = math.gcd(view.dtype.alignment, base.dtype.itemsize, *base.strides)
    return all(step % unit == 0 for step in (shift, *view.strides))


@functools.cache
def _widths() -> dict[int, list[int]]:
    """Bytes that NumPy's loops take of each operand, by address; the most, where types share a loop."""
    found: dict[int, list[int]] = {}
    for name in dir(np):
        ufunc = getattr(np, name)
        if not isinstance(ufunc, np.ufunc) or ufunc.signature:
            continue
        for types in ufunc.types:
            chars = types.replace("->", "")
            if set(chars) & set("OMmSUV"):
                continue
            widths = [np.dtype(c).itemsize for c in chars]
            address = loop_address(ufunc, types)[0]
            old = found.get(address, widths)
            found[address] = [max(a, b) for a, b in zip(old, widths, strict=True)]
    return found


def _fits(shape: tuple, to: tuple) -> bool:
    lead = len(to) - len(shape)
    return lead >= 0 and all(n in (1, m) for n, m in zip(shape, to[lead:], strict=True))


class _Checker(Emitter):
    """An emitter that refuses instructions that would reach beyond their operands."""

    def __init__(self, first_temp: int, tiled: bool = False, regions: dict | None = None, room: list | None = None):
        super().__init__(first_temp, tiled)
        self.regions: dict[int, tuple[int, int]] = {} if regions is None else regions
        self.room: list[int] = [0] if room is None else room
        self.generalised = self.typed = False

    def part(self):
        """For rows that a rule has recorded: their operands' types were seen to then."""
        made = super().part()
        made.regions, made.room, made.generalised, made.typed = self.regions, self.room, True, True
        return made

    def temp(self, spec):
        self.room[0] -= spec.nbytes
        if self.room[0] < 0:
            raise ValueError(f"a row needs a temporary of {spec.nbytes:,} bytes, which is far more than any value")
        code = super().temp(spec)
        self.regions[code] = (0, max(spec.nbytes, 8))
        return code

    def shifted(self, code, offset):
        made = super().shifted(code, offset)
        if code in self.regions:
            low, high = self.regions[code]
            self.regions[made] = (low - offset, high - offset)
        return made

    def _within(self, code: int, spec: Spec, width: int | None = None) -> None:
        if code < 0 or spec.size == 0:  # a rule's own constant
            return
        low, high = span(spec)
        if width is not None:
            high += width - spec.dtype.itemsize
        first, last = self.regions[code]
        if low < first or high > last:
            raise ValueError(f"a row reaches beyond its operands: bytes {low} to {high} of {first} to {last}")

    def loop(self, loop, out, operands, shape=None, accumulate=None, inline=None):
        to = out[1].shape if shape is None else shape
        if not all(_fits(s.shape, to) for _, s in (*operands, out)):
            raise ValueError(f"a row's operands cannot be broadcast to {to}")
        widths: Any = _widths().get(loop[0])
        for k, (code, spec) in enumerate((*operands, out)):
            own = self.typed or widths is None or len(widths) != len(operands) + 1
            if own and not self.typed and spec.dtype != out[1].dtype and spec.dtype.kind != "b":
                raise ValueError(f"a row mixes {spec.dtype} and {out[1].dtype}")
            self._within(code, spec, None if own else widths[k])
        super().loop(loop, out, operands, shape, accumulate, inline)

    def zero(self, out):
        self._within(*out)
        super().zero(out)

    def emit(self, opcode, plan, *codes):
        if opcode == op.GUFUNC and not self.generalised:
            raise ValueError("this primitive has no generalised loop")
        super().emit(opcode, plan, *codes)


TEMPORARIES = 64
"""How many times the largest allowed value a row's temporaries may take together."""


@functools.lru_cache(4096)
def check_memory(signature: Signature, most_bytes: int) -> None:
    """Raise ValueError if the row's instructions would reach beyond its operands' and its result's memory.

    Or if they need temporaries far larger than any value may be.
    """
    primitive, specs, out = signature.primitive, signature.specs, signature.out
    inner = getattr(primitive, "inner", primitive)
    first = 1 if signature.kind == op.WRITE else 0
    if inner.name in _PRODUCTS and any(s.dtype != out.dtype for s in specs[first:]):
        raise ValueError(f"{inner.name} of operands of several dtypes")
    if isinstance(inner, Elementwise) and inner.resolve(tuple(s.dtype for s in specs[first:])) != (
        *(s.dtype for s in specs[first:]),
        out.dtype,
    ):
        raise ValueError(f"{inner.name} has no loop for these dtypes")
    attrs = signature.attrs
    if inner.name == "place":
        _check_window(specs[first], attrs["strides"], attrs["offset"], out)
    if inner.name == "assemble":
        for spec, (strides, offset) in zip(specs[first:], attrs["windows"], strict=True):
            _check_window(spec, strides, offset, out)
    checker = _Checker(len(specs) + 1, room=[TEMPORARIES * most_bytes])
    checker.generalised = inner.name in _GENERALISED
    checker.typed = isinstance(inner, Elementwise) or inner.name in _TYPED
    checker.regions[0] = span(out)
    for k, spec in enumerate(specs):
        checker.regions[k + 1] = span(spec)
    primitive.kernel(checker, (0, out.plain), [(k + 1, s.plain) for k, s in enumerate(specs)][first:], attrs)


def _check_window(value: Spec, strides: Any, offset: Any, out: Spec) -> None:
    if type(strides) is not tuple or len(strides) != value.ndim or any(type(n) is not int for n in (*strides, offset)):
        raise ValueError(f"a window of {value.ndim} axes has strides {strides!r:.60} and offset {offset!r:.30}")
    window = spec_of(value.shape, value.dtype, strides)
    low, high = span(window)
    first, last = span(out)
    if value.size and (low + offset < first or high + offset > last):
        raise ValueError("a window reaches beyond the array that it is placed in")
    if first != 0 or last != out.nbytes:
        raise ValueError("an array that a window is placed in has gaps")
    if value.size and not in_step(window, offset, out):
        raise ValueError("a window has elements that lie across those of the array that it is placed in")
