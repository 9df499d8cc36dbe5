"""Operators of `Tensor`: a look-up and an append where nothing needs thought.

Recording is what eager code spends its time on, so the common case is spelt out: operands on the thread's
own tape, a signature met before, little work. Anything else takes the long way through `record`.
"""

from __future__ import annotations

from _thread import get_ident

import numpy as np

from .primitives.core import RECORDS, Elementwise
from .tape.handle import NOTHING, Tensor, attach
from .tape.record import record
from .tape.signature import FAST, signature_of
from .tape.size import Size
from .tape.state import local
from .vm.opcodes import SLOT_BITS

__all__ = ["STEP", "binary", "fast_index", "recorder_of", "unary"]

STEP = 1 << SLOT_BITS  # sums and products of ints are quicker than shifts
_OPERANDS = (Tensor, np.ndarray, np.generic, int, float, complex, bool)
_recorders: dict = {}


def fast_index():
    """A place of its own in the fast tables."""
    for tables in FAST.values():
        tables.append({})
    return len(FAST[True]) - 1


def binary(primitive, name, swapped=False):
    """A function of two operands, the first of them a tensor.

    ``tape.fast[k]`` maps the operands' specs (``float`` or ``int`` for a Python number) to a row's code and the
    result's spec.
    """
    k = fast_index()

    def operator(self, other):
        kind = other.__class__
        try:
            if kind is Tensor:
                i, j = self._slot, other._slot  # read before the tapes: see `record._import_tensor`
                tape = self._tape
                if other._tape is tape and tape.thread == get_ident():
                    code, spec = tape.fast[k][self._spec][other._spec]
                    rows = tape.rows
                    slot = len(rows)
                    if slot < tape.limit:
                        rows.append(code + i * STEP + j)
                        y = Tensor()
                        y._slot = slot  # one by one: together they would be packed into a tuple first
                        y._spec = spec
                        y._tape = tape
                        y._rare = NOTHING
                        return y
            elif kind is float or kind is int:
                i = self._slot
                tape = self._tape
                if tape.thread == get_ident():
                    code, spec = tape.fast[k][self._spec][kind]
                    j = tape.numbers[other]
                    rows = tape.rows
                    slot = len(rows)
                    if slot < tape.limit:
                        rows.append(code + (j * STEP + i if swapped else i * STEP + j))
                        y = Tensor()
                        y._slot = slot  # one by one: together they would be packed into a tuple first
                        y._spec = spec
                        y._tape = tape
                        y._rare = NOTHING
                        return y
            elif kind is Size:
                return operator(self, int(other))
            elif kind is list or kind is tuple:
                array = np.asarray(other)
                return slow(self, array) if array.dtype.kind in "biufc" else NotImplemented
            elif not isinstance(other, _OPERANDS):
                return NotImplemented
        except (KeyError, AttributeError):  # a signature or number not met before; a tensor on no tape
            pass
        return slow(self, other)

    def slow(self, other):
        tensors = primitive.lift((other, self) if swapped else (self, other))
        y = record(primitive, tensors)
        if tensors[swapped] is self:
            _remember(k, primitive, tensors, other, swapped)
        return y

    operator.__name__ = operator.__qualname__ = name
    operator.__doc__ = primitive.__doc__
    return operator


def _remember(k, primitive, tensors, other=None, swapped=False):
    """Enter a signature into the fast table, where a row is all that the operation needs."""
    grad_enabled = local.state.grad_enabled
    specs = tuple([t._spec for t in tensors])
    if any(s.device is not None for s in specs):
        return
    signature = signature_of(primitive, specs, (), grad_enabled)
    if not signature.deferrable:
        return
    table = FAST[grad_enabled][k]
    if len(specs) == 1:
        table[specs[0]] = signature.code, signature.out
        return
    mine, its = tensors[swapped], tensors[not swapped]
    if its is other:
        table.setdefault(mine._spec, {})[its._spec] = signature.code, signature.out
    elif type(other) in (float, int) and its._spec.dtype.char == "d":
        table.setdefault(mine._spec, {})[type(other)] = signature.code, signature.out


def unary(primitive, name):
    """A function of one tensor; see `binary`."""
    k = fast_index()

    def operator(self):
        try:
            i = self._slot
            tape = self._tape
            if tape.thread == get_ident():
                code, spec = tape.fast[k][self._spec]
                rows = tape.rows
                slot = len(rows)
                if slot < tape.limit:
                    rows.append(code + i * STEP)
                    y = Tensor()
                    y._slot = slot  # one by one: together they would be packed into a tuple first
                    y._spec = spec
                    y._tape = tape
                    y._rare = NOTHING
                    return y
        except (KeyError, AttributeError):
            pass
        tensors = primitive.lift((self,))
        y = record(primitive, tensors)
        if tensors[0] is self:
            _remember(k, primitive, tensors)
        return y

    operator.__name__ = operator.__qualname__ = name
    operator.__doc__ = primitive.__doc__
    return operator


def recorder_of(primitive):
    """The fast way to record a ufunc's primitive, by its number of operands; None where there is none."""
    found = _recorders.get(primitive)
    if found is None and isinstance(primitive, Elementwise) and type(primitive).__call__ is Elementwise.__call__:
        made = {1: unary, 2: binary}.get(primitive.function.nin)
        found = _recorders[primitive] = made(primitive, primitive.name) if made else None
    return found


_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "matmul": "matmul",
    "floordiv": "floor_divide", "mod": "remainder", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
}  # fmt: skip
_COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
for _name, _record in _BINARY.items():
    attach(**{f"__{_name}__": binary(RECORDS[_record], f"__{_name}__")})
    attach(**{f"__r{_name}__": binary(RECORDS[_record], f"__r{_name}__", swapped=True)})
for _name, _record in _COMPARISONS.items():
    attach(**{f"__{_name}__": binary(RECORDS[_record], f"__{_name}__")})
for _name, _record in _UNARY.items():
    attach(**{f"__{_name}__": unary(RECORDS[_record], f"__{_name}__")})

_power, _square = Tensor.__pow__, unary(RECORDS["square"], "__pow__")


def _pow(self, exponent):
    """Power; the square, which is the commonest by far, by a product."""
    if (exponent.__class__ is int or exponent.__class__ is float) and exponent == 2 and self._spec.dtype.kind in "fc":
        return _square(self)
    return _power(self, exponent)


attach(__pow__=_pow, __hash__=object.__hash__)
