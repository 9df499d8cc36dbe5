"""Rows over a batch: what an operation on one example is on many, stacked along a new first axis.

A rule takes a `BatchedRow` and returns the results of all examples, stacked. Most records need none of their own:

- elementwise functions line their operands up, and broadcast (`aligned`);
- functions along axes, which the attributes ``axis`` or ``axes`` name, have them one further on (`stacked`);
- a record whose operation treats all axes before the last few alike says ``batching = leading(2)``, one whose only
  operand is treated so ``batching = stacked``;
- others give a function of their own, in terms of primitives;
- what has no rule is done example by example (`one_by_one`): that row only, not the function around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tape.record import record
from ..tape.viewing import record_view
from ..vm import opcodes as op

if TYPE_CHECKING:
    from ..tape.handle import Tensor
    from ..tape.spec import Spec

__all__ = ["BatchedRow", "aligned", "folded", "leading", "one_by_one", "repeat", "rule_of", "stacked"]


def repeat(primitive: Any, xs: Sequence[Tensor], attrs: dict, offset: int = 0) -> Tensor:
    """Record a primitive on other operands; `offset` is that of a view."""
    items = tuple(sorted(attrs.items()))
    if primitive.kind in (op.WINDOW, op.VIEW):
        return record_view(primitive, xs[0], items, offset)
    return record(primitive, tuple(xs), items)


class BatchedRow:
    """A row, with operands that stand for many examples.

    Attributes
    ----------
    primitive : Primitive
    specs, out, attrs, offset
        Types of the operands and of the result, attributes, and a view's offset in bytes: all of one example.
    xs : list of Tensor
        The operands. Those that are `mapped` have the batch as their first axis, the others are the same for all.
    mapped : tuple of bool
        At least one is.
    size : int
        Examples.
    """

    __slots__ = ("attrs", "mapped", "offset", "out", "primitive", "size", "specs", "xs")

    def __init__(
        self,
        primitive: Any,
        specs: tuple[Spec, ...],
        out: Spec,
        attrs: dict,
        offset: int,
        xs: list[Tensor],
        mapped: tuple[bool, ...],
        size: int,
    ):
        self.primitive, self.specs, self.out, self.attrs, self.offset = primitive, specs, out, attrs, offset
        self.xs, self.mapped, self.size = xs, mapped, size

    def whole(self, k: int) -> Tensor:
        """Operand k with a batch axis; one that is the same for all is broadcast."""
        from .shape import expand_to

        return self.xs[k] if self.mapped[k] else expand_to(self.xs[k], (self.size, *self.specs[k].shape))

    def lengthened(self, k: int, ndim: int) -> Tensor:
        """Operand k with unit axes behind the batch, so that an example has `ndim` axes and broadcasts as before."""
        from .shape import reshape_to

        shape, x = self.specs[k].shape, self.xs[k]
        if not self.mapped[k] or len(shape) == ndim:
            return x
        return reshape_to(x, (self.size, *(1,) * (ndim - len(shape)), *shape))

    def again(self, xs: Sequence[Tensor], **changes: Any) -> Tensor:
        """The same primitive on other operands, with some attributes changed."""
        return repeat(self.primitive, xs, {**self.attrs, **changes}, self.offset)


def aligned(row: BatchedRow) -> Tensor:
    """Elementwise functions: operands of fewer axes get unit axes behind the batch, and all broadcast."""
    ndim = max([s.ndim for s in row.specs])
    return row.again([row.lengthened(k, ndim) for k in range(len(row.xs))])


def stacked(row: BatchedRow) -> Tensor:
    """All operands have the batch first; attributes that name axes or a shape take account of it."""
    changes = {}
    for name in ("axis", "axes"):
        if name in row.attrs:
            changes[name] = _one_further(row.attrs[name])
    if "shape" in row.attrs:
        changes["shape"] = (row.size, *row.attrs["shape"])
    return row.again([row.whole(k) for k in range(len(row.xs))], **changes)


def _one_further(axes: Any) -> Any:
    if isinstance(axes, tuple):
        return tuple([_one_further(a) for a in axes])
    return axes if axes < 0 else axes + 1


def leading(*core: int) -> Callable[[BatchedRow], Tensor]:
    """A rule for functions of each operand's last axes that broadcast over all before these.

    Parameters
    ----------
    *core : int
        How many axes of each operand these are; the last number stands for all operands that follow.
    """

    def rule(row: BatchedRow) -> Tensor:
        own = [core[min(k, len(core) - 1)] for k in range(len(row.xs))]
        lead = max([s.ndim - n for s, n in zip(row.specs, own, strict=True)])
        return row.again([row.lengthened(k, lead + n) for k, n in enumerate(own)])

    return rule


def folded(row: BatchedRow, shared: Sequence[int] = ()) -> Tensor:
    """Functions that treat each entry of their operands' first axis alike: the batch and that axis become one.

    Parameters
    ----------
    row : BatchedRow
    shared : sequence of int
        Operands without such an axis, which are the same for all examples.
    """
    from .shape import reshape_to

    def merged(shape: tuple[int, ...]) -> tuple[int, ...]:
        return (row.size * shape[0], *shape[1:])

    xs = []
    for k, spec in enumerate(row.specs):
        xs.append(row.xs[k] if k in shared else reshape_to(row.whole(k), merged(spec.shape)))
    changes = {"shape": merged(row.attrs["shape"])} if "shape" in row.attrs else {}
    return reshape_to(row.again(xs, **changes), (row.size, *row.out.shape))


def one_by_one(row: BatchedRow) -> Tensor:
    """The operation for one example after the other: what has no rule."""
    from .combining import numpy_stack
    from .core import lift
    from .indexing import getitem

    if row.size == 0:
        return lift(np.zeros((0, *row.out.shape), row.out.dtype))
    found = []
    for i in range(row.size):
        xs = [getitem(x, i) if m else x for x, m in zip(row.xs, row.mapped, strict=True)]
        found.append(row.again(xs))
    return numpy_stack(found)


def rule_of(primitive: Any, attrs: dict) -> Callable[[BatchedRow], Tensor]:
    """A primitive's batching rule: its own, or the one that follows from its record."""
    if primitive.batching is not None:
        return primitive.batching
    if primitive.elementwise:
        return aligned
    return stacked if "axis" in attrs or "axes" in attrs else one_by_one
