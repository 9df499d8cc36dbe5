"""Functions of several results: one row computes them all, stacked along a new first axis; each is a view of it."""

from __future__ import annotations

import numpy as np

from ..tape.record import record
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import aligned
from .broadcasting import broadcast_shapes
from .core import BY_FUNCTION, Elementwise, NoRuleError, Primitive, ops, primitive, unbroadcast
from .indexing import getitem
from .layout import view_of_function

__all__ = ["Packed", "packed"]


class Packed(Primitive):
    """A ufunc of several results of one dtype.

    ``partials(ys, *xs)`` gives for each result its partial derivatives with respect to each operand: tensors or
    numbers, None where they are zero, or the reason why there are none.
    """

    fixed: tuple = ()
    in_double = False
    """Single precision goes through double: SciPy's own loop for it gives NaN, or does not end."""

    def __init__(self, name, function, body):
        self._resolved = {}
        super().__init__(name, function, body)

    resolve = Elementwise.resolve
    lift = Elementwise.lift

    def infer(self, specs, attrs):
        shape = broadcast_shapes(self, [s.shape for s in specs])
        dtypes = self.function.resolve_dtypes((*[s.dtype for s in specs], *[None] * self.function.nout))
        return spec_of((self.function.nout, *shape), dtypes[-1]), op.KERNEL

    def compute(self, *xs):
        if self.in_double:
            return np.stack(self.function(*[np.asarray(x, float) for x in xs])).astype(xs[-1].dtype)
        return np.stack(self.function(*xs))

    def partials_at(self, y, xs):
        """For each result, its partial derivatives."""
        return self.partials([getitem(y, k) for k in range(self.function.nout)], *xs)

    def transpose_at(self, y_bar, y, xs, wanted, attrs):
        if isinstance(self.derivative, str):
            raise NoRuleError(f"{self.name} has no derivative here: {self.derivative}")
        count = self.function.nout
        rows, y_bars = self.partials_at(y, xs), [getitem(y_bar, k) for k in range(count)]
        bars = []
        for j, (x, want) in enumerate(zip(xs, wanted, strict=True)):
            terms = [_term(y_bars[k], rows[k][j]) for k in range(count)] if want else []
            terms = [t for t in terms if t is not None]
            bars.append(unbroadcast(sum(terms[1:], terms[0]), x) if terms else None)
        return bars

    def batching(self, row):
        """The results stand before the batch: it is brought to the front."""
        return ops.copy(view_of_function(np.moveaxis, "Permute", aligned(row), 1, 0))

    def __call__(self, *operands):
        return record(self, self.lift(operands))


def _term(y_bar, partial):
    if isinstance(partial, str):
        raise NoRuleError(partial)
    if partial is None:
        return None
    if hasattr(partial, "_spec"):
        # A result that has no value there, and that nobody uses, must not spoil the others: 0 times NaN.
        partial = ops.where(ops.logical_and(y_bar == 0.0, ops.logical_not(ops.isfinite(partial))), 0.0, partial)
        if partial._spec.dtype.kind == "c":
            partial = ops.conjugate(partial)
    return y_bar * partial


def packed(function):
    """Make a class body the record of a ufunc with several results."""

    def make(cls):
        made = primitive(base=Packed, name=cls.__dict__.get("record_name"))(_with(cls, function))

        def handler(*operands):
            y = made(*operands)
            return tuple(getitem(y, k) for k in range(function.nout))

        handler.__name__, handler.__doc__, handler.record = function.__name__, made.__doc__, made
        BY_FUNCTION[function] = handler
        return made

    return make


def _with(cls, function):
    cls.function = function
    return cls
