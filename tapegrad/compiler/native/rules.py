"""How rows become machine code: which axes can be lanes, and what is written for each element.

A rule is asked ``lanes(row, specs, n)`` for the ways in which `n` lanes can run through a row: the axis of the result
(None where the lanes are summed up) and of each operand (None where all lanes read the same). An axis of -1 stands for
all axes of a contiguous array as one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from ...primitives.keys import ARRAY
from .functions import FUNCTIONS, available, convert, is_rounded
from .graph import MOST_LITERALS, Row, indices, offset_of

__all__ = ["RULES", "Rule"]

RULES: dict[str, Rule] = {}
"""By the primitive's name."""

Axes = tuple[int | None, tuple[int | None, ...]]

WHOLE = -1
MOST_TERMS = 64
"""Terms of a product of matrices that are written out for each element."""
MOST_FOLDS = 128
"""Elements of a result that is folded over lanes: each is carried from round to round, in a register at best."""


class Rule:
    """What all rules have in common."""

    def fits(self, row: Row, specs: list[Any]) -> bool:
        """Whether there is a rule for these types."""
        return all(s.dtype.char in "df?" for s in (*specs, row.out))

    def work(self, row: Row, specs: list[Any]) -> int:
        """Elements that are computed."""
        return max([row.out.size, *[s.size for s in specs]])

    def lanes(self, row: Row, specs: list[Any], n: int) -> Iterator[Axes]:
        """Ways in which `n` lanes can run through a row."""
        raise NotImplementedError

    def from_memory(self, row: Row, graph: Any, lanes: int) -> tuple[int, ...]:
        """Operands that are read at places which are known only when the code runs."""
        return ()

    def in_memory(self, row: Row, axes: Axes) -> bool:
        """Whether the result is put together in memory, where later steps read it."""
        return False

    def is_exact(self, row: Row) -> bool:
        """Whether the result has the interpreter's bits, if products and sums are not contracted."""
        return False

    def combine(self, row: Row) -> str:
        """The primitive that folds lanes."""
        return "add"

    def prepare(self, body: Any, row: Row, axes: Axes) -> None:
        """Write what comes before the loop over lanes."""

    element: Any = None
    """For elementwise rows: ``element(body, row, axes, index)`` writes one element of the result."""

    def emit(self, body: Any, row: Row, axes: Axes) -> None:
        """Write the row out."""
        raise NotImplementedError


def _register(rule: Rule, *names: str) -> None:
    for name in names:
        RULES[name] = rule


class _Elementwise(Rule):
    def fits(self, row, specs):
        if row.name in ("astype", "copy"):
            return row.out.dtype.char in "df?l" and specs[0].dtype.char in "df?l"
        compared = row.name.startswith(("less", "greater", "equal", "not_equal"))
        chars = "df?l" if compared else "df?"
        if not all(s.dtype.char in chars for s in (*specs, row.out)):
            return False
        if row.out.dtype.char == "?" and row.name in ("add", "multiply", "subtract", "maximum", "minimum", "negative"):
            return False
        return row.name == "astype" or available(row.name, specs[-1].dtype.char)

    def lanes(self, row, specs, n):
        out = row.out
        if out.size == n and out.contiguous and all(s.size == 1 or (s.size == n and s.contiguous) for s in specs):
            if out.ndim != 1:
                yield WHOLE, tuple([WHOLE if s.size == n else None for s in specs])
        for d in range(out.ndim - 1, -1, -1):
            if out.shape[d] == n:
                axes = [d - (out.ndim - s.ndim) for s in specs]
                yield d, tuple([a if a >= 0 and s.shape[a] == n else None for a, s in zip(axes, specs, strict=True)])

    def is_exact(self, row):
        return row.name == "astype" or is_rounded(row.name)

    def emit(self, body, row, axes):
        for index in indices(row.out.shape, axes[0]):
            self.element(body, row, axes, index)

    def element(self, body, row, axes, index):
        lane, sources = axes
        numbers = [body.read(s, a, _within(index, body.spec(s))) for s, a in zip(row.sources, sources, strict=True)]
        if row.name == "astype":
            made = convert(body, numbers[0], row.out.dtype.char)
        else:
            made = FUNCTIONS[row.name](body, *numbers)
        body.put(row, lane, index, made)


def _within(index, spec):
    """An element's index in an operand that is broadcast."""
    lead = len(index) - spec.ndim
    return tuple([i if n != 1 else 0 for i, n in zip(index[lead:], spec.shape, strict=True)])


class _Reduction(Rule):
    """A fold over axes, in halves, so that the terms need not wait for one another; over lanes in the end."""

    def fits(self, row, specs):
        return row.out.dtype.char in "df" and specs[0].dtype == row.out.dtype and specs[0].size > 0

    def lanes(self, row, specs, n):
        (x,), axes = specs, row.attrs["axis"]
        if x.size == n and x.contiguous and len(axes) == x.ndim != 1:
            yield None, (WHOLE,)
        kept = _kept_axes(row, x)
        for d in range(x.ndim - 1, -1, -1):
            if x.shape[d] == n and (d not in axes or row.out.size <= MOST_FOLDS):
                yield (None if d in axes else kept[d]), (d,)

    def is_exact(self, row):
        return row.name in ("amax", "amin")  # in whatever order

    def combine(self, row):
        return _COMBINED[row.name]

    def emit(self, body, row, axes):
        lane, (source,) = axes
        (x,) = [body.spec(s) for s in row.sources]
        reduced, kept = row.attrs["axis"], _kept_axes(row, x)
        combine = FUNCTIONS[self.combine(row)]
        terms: dict = {}
        for index in indices(x.shape, source):
            at = [0] * row.out.ndim
            for d, place in kept.items():
                at[place] = index[d]
            terms.setdefault(tuple(at), []).append(body.read(row.sources[0], source, index))
        over_lanes = source is not None and lane is None
        count = math.prod([x.shape[d] for d in reduced]) if row.name == "mean" else 1
        for index, numbers in terms.items():
            found = _fold(body, combine, numbers)
            if over_lanes:
                body.reduce(row, index, found, self.combine(row), count)
            else:
                body.put(row, lane, index, _divided(body, found, count))


_COMBINED = {"sum": "add", "mean": "add", "amax": "maximum", "amin": "minimum"}


def _divided(body, x, count):
    return x if count == 1 else FUNCTIONS["divide"](body, x, body.constant(float(count), x.char))


def _kept_axes(row, x):
    """The axes that are not reduced, and where they stand in the result."""
    kept, place = {}, 0
    for d in range(x.ndim):
        if d not in row.attrs["axis"]:
            kept[d] = place
        if d not in row.attrs["axis"] or row.attrs["keepdims"]:
            place += 1
    return kept


def _fold(body, combine, numbers):
    while len(numbers) > 1:
        pairs = [combine(body, a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=False)]
        numbers = pairs + numbers[2 * len(pairs) :]
    return numbers[0]


class _Matmul(Rule):
    def fits(self, row, specs):
        a, out = specs[0], row.out
        if out.dtype.char not in "df" or not 0 < out.size or not a.shape[-1]:
            return False
        return a.shape[-1] <= MOST_TERMS or _is_long(out)

    def work(self, row, specs):
        return row.out.size * specs[0].shape[-1]

    def lanes(self, row, specs, n):
        a, b = specs
        if a.shape[-1] == n and row.out.size <= MOST_TERMS:
            yield None, (a.ndim - 1, b.ndim - 2 if b.ndim > 1 else 0)
        out = row.out
        if a.shape[-1] == n or a.shape[-1] > MOST_TERMS:
            return
        columns, rows = int(b.ndim > 1), int(a.ndim > 1)
        batch = out.ndim - columns - rows
        for d in range(out.ndim - 1, -1, -1):
            if out.shape[d] != n:
                continue
            if columns and d == out.ndim - 1:
                yield d, (None, b.ndim - 1)
            elif rows and d == batch:
                yield d, (a.ndim - 2, None)
            else:
                at = [d - batch + (s.ndim - 2) for s in specs]
                yield d, tuple([k if k >= 0 and s.shape[k] == n else None for k, s in zip(at, specs, strict=True)])

    def emit(self, body, row, axes):
        lane, (left, right) = axes
        a, b = [body.spec(s) for s in row.sources]
        columns, rows = int(b.ndim > 1), int(a.ndim > 1)
        batch = row.out.ndim - columns - rows
        over_lanes = lane is None and left is not None
        for index in indices(row.out.shape, lane):
            lead = index[:batch]
            i, j = index[batch : batch + rows], index[batch + rows :]
            terms = []
            for k in range(1 if over_lanes else a.shape[-1]):
                x = body.read(row.sources[0], left, (*_within(lead, _Batch(a)), *i, k))
                y = body.read(row.sources[1], right, (*_within(lead, _Batch(b)), k, *j))
                terms.append(FUNCTIONS["multiply"](body, x, y))
            found = _fold(body, FUNCTIONS["add"], terms)
            if over_lanes:
                body.reduce(row, index, found, "add", 1)
            else:
                body.put(row, lane, index, found)


def _is_long(out):
    """Whether a product of so many terms that lanes run through them is one with a vector: as fast as it is read."""
    return out.size <= MOST_TERMS and out.size == max(out.shape, default=1)


class _Batch:
    """The leading axes of an operand of a matrix product."""

    def __init__(self, spec):
        self.shape = spec.shape[:-2]
        self.ndim = len(self.shape)


class _Windows(Rule):
    """Zeros, with other arrays added in windows of them.

    Where lanes stand at other places in the result than in the operands, or in each of these at another one, the
    result is put together in memory.
    """

    def fits(self, row, specs):
        return row.out.dtype.char in "df" and row.out.injective and row.out.low == 0 and row.out.size > 0

    def work(self, row, specs):
        return max([row.out.size, *[s.size for s in specs]])

    def lanes(self, row, specs, n):
        out = row.out
        for d in range(out.ndim - 1, -1, -1):
            if out.shape[d] == n:
                windows = zip(specs, _windows(row), strict=True)
                axes = [_axis_along(v, strides, offset, out.strides[d], n) for v, (strides, offset) in windows]
                if None not in axes:
                    yield d, tuple(axes)
        if out.contiguous and all(map(_is_stretch, specs, _windows(row), itertools.repeat(n))):
            yield None, tuple([0 if s.ndim == 1 else WHOLE for s in specs])

    def in_memory(self, row, axes):
        return axes[0] is None and None not in axes[1]

    def is_exact(self, row):
        return len(row.sources) <= 2  # whichever comes first

    def prepare(self, body, row, axes):
        if self.in_memory(row, axes):
            last = max([offset for _, offset in _windows(row)])
            body.clear(row, 0, last)
            body.clear(row, last + body.spec(row.sources[0]).nbytes, row.out.nbytes)

    def emit(self, body, row, axes):
        if self.in_memory(row, axes):
            self._emit_shifted(body, row, axes[1])
            return
        lane, sources = axes
        placed: dict = {}
        for slot, axis, (strides, offset) in zip(row.sources, sources, _windows(row), strict=True):
            for index in indices(body.spec(slot).shape, axis):
                at = offset + offset_of(index, strides)
                x = body.read(slot, axis, index)
                placed[at] = FUNCTIONS["add"](body, placed[at], x) if at in placed else x
        zero = body.zero(row.out.dtype.char)
        for index in indices(row.out.shape, lane):
            body.put(row, lane, index, placed.get(offset_of(index, row.out.strides), zero))

    def _emit_shifted(self, body, row, sources):
        windows = []
        for slot, axis, (_, offset) in zip(row.sources, sources, _windows(row), strict=True):
            windows.append((offset, body.read(slot, axis, (0,) * body.spec(slot).ndim)))
        body.put_shifted(row, windows)


def _windows(row):
    """Strides and offset of each operand's window."""
    if row.name == "place":
        return [(row.attrs["strides"], row.attrs["offset"])]
    return row.attrs["windows"]


def _is_stretch(v, window, n):
    """Whether a window is `n` elements one behind the other."""
    strides, _ = window
    return v.size == n and v.contiguous and tuple(strides) == v.strides


def _axis_along(v, strides, offset, stride, n):
    """The axis of a window along which it has all `n` lanes, which are `stride` bytes apart; None without one."""
    if offset // stride % n:
        return None
    return next((k for k in range(v.ndim) if v.shape[k] == n and strides[k] == stride), None)


class _Join(Rule):
    """Arrays joined along an axis, new (`stack`) or not (`concatenate`)."""

    def fits(self, row, specs):
        return all(s.dtype.char in "df" for s in (*specs, row.out)) and row.out.size > 0

    def work(self, row, specs):
        return row.out.size

    def is_exact(self, row):
        return True

    def lanes(self, row, specs, n):
        axis = row.attrs["axis"]
        for d in range(row.out.ndim - 1, -1, -1):
            if row.out.shape[d] == n and d != axis:
                at = d - (row.name == "stack" and d > axis)
                yield d, (at,) * len(specs)

    def emit(self, body, row, axes):
        lane, sources = axes
        axis = row.attrs["axis"]
        start = 0
        for source, at in zip(row.sources, sources, strict=True):
            spec = body.spec(source)
            for index in indices(spec.shape, at):
                if row.name == "stack":
                    place = (*index[:axis], start, *index[axis:])
                else:
                    place = (*index[:axis], index[axis] + start, *index[axis + 1 :])
                body.put(row, lane, place, body.read(source, at, index))
            start += 1 if row.name == "stack" else spec.shape[axis]


class _Indexed(Rule):
    """Elements at arrays of indices into the first axes: ``x[i]``, ``x[i, j]``."""

    def fits(self, row, specs):
        key = row.attrs["key"]
        indices = specs[1:]
        return (
            row.out.dtype.char in "df"
            and bool(key)
            and all(k == ARRAY for k in key)
            and all(s.dtype.char == "l" and s.shape == indices[0].shape for s in indices)
            and all(s.size > 0 for s in (*specs, row.out))
        )

    def work(self, row, specs):
        return specs[0].size if row.name == "scatter_add" else row.out.size

    def is_static(self, row, graph):
        """Whether all indices are literals."""
        constants = [graph.constants.get(graph.root(s)) for s in row.sources[1:]]
        return all(c is not None and c.size <= MOST_LITERALS for c in constants)


class _Gather(_Indexed):
    def is_exact(self, row):
        return True

    def from_memory(self, row, graph, lanes):
        return () if lanes == 1 and self.is_static(row, graph) else (0,)

    def lanes(self, row, specs, n):
        index = specs[1]
        for d in range(row.out.ndim - 1, -1, -1):
            if row.out.shape[d] == n:
                inner = d - index.ndim
                if inner < 0:
                    yield d, (None, *[d] * (len(specs) - 1))
                else:
                    yield d, (inner + len(specs) - 1, *[None] * (len(specs) - 1))

    def emit(self, body, row, axes):
        lane, (source, *index_axes) = axes
        x, index = [body.spec(s) for s in row.sources[:2]]
        many = len(row.sources) - 1
        for at in indices(row.out.shape, lane):
            numbers = _places(body, row, index_axes, at[: index.ndim], x.shape[:many])
            inner = at[index.ndim :]
            if all(k.text.isdigit() for k in numbers):
                made = body.read(row.sources[0], source, (*[int(k.text) for k in numbers], *inner))
            else:
                made = body.read_at(row.sources[0], source, numbers, inner)
            body.put(row, lane, at, made)


class _ScatterAdd(_Indexed):
    def in_memory(self, row, axes):
        return True

    def fits(self, row, specs):
        return super().fits(row, specs) and row.out.contiguous

    def lanes(self, row, specs, n):
        v, index = specs[:2]
        for d in range(index.ndim - 1, -1, -1):
            if v.shape[d] == n:
                yield None, (d,) * len(specs)

    def prepare(self, body, row, axes):
        body.clear(row, 0, row.out.nbytes)

    def emit(self, body, row, axes):
        _, (source, *index_axes) = axes
        v, index = [body.spec(s) for s in row.sources[:2]]
        many = len(row.sources) - 1
        for at in indices(v.shape, source):
            numbers = _places(body, row, index_axes, at[: index.ndim], row.out.shape[:many])
            body.add_at(row, numbers, at[index.ndim :], body.read(row.sources[0], source, at))


def _places(body, row, axes, at, shape):
    """Indices, from the end where they are negative, and inside of the shape: what is outside is noted as a fault."""
    found = []
    for slot, axis, n in zip(row.sources[1:], axes, shape, strict=True):
        index = body.read(slot, axis, at)
        if not index.text.startswith("%"):
            found.append(index._replace(text=str(int(index.text) % n)))  # checked when it was recorded
            continue
        zero, end = body.constant(0, "l"), body.constant(n, "l")
        index = body.select(body.compare("slt", index, zero), body.arithmetic("add", index, end), index)
        inside = body.compare("ult", index, end)
        body.note_fault(inside)
        found.append(body.select(inside, index, zero))
    return found


_register(_Elementwise(), *FUNCTIONS, "astype")
_register(_Reduction(), "sum", "mean", "amax", "amin")
_register(_Matmul(), "matmul")
_register(_Windows(), "place", "assemble")
_register(_Join(), "concatenate", "stack")
_register(_Gather(), "gather")
_register(_ScatterAdd(), "scatter_add")
