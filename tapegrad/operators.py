"""Operators of `Tensor`: a look-up and an append where nothing needs thought."""

from __future__ import annotations

import numpy as np

from .primitives import arithmetic, comparison, matmul
from .tape.handle import Tensor
from .tape.record import record
from .tape.signature import FAST, N_FAST, signature_of
from .tape.state import local
from .tape.tape import MAX_ROWS
from .vm.opcodes import SLOT_BITS

__all__: list[str] = []

_new = object.__new__
_fast_index = iter(range(N_FAST))
_OPERANDS = (Tensor, np.ndarray, np.generic, int, float, complex, bool)


def _binary(primitive, name, swapped=False):
    """A binary operator: a look-up and an append where the signature is known, else the long way."""
    k = next(_fast_index)

    def operator(self, other):
        state = local.state
        if other.__class__ is Tensor:
            entry = state.fast[k].get((self._spec, other._spec))
            if entry is not None:
                tape = state.tape
                i, j = self._slot, other._slot  # read before the tapes: see `record._import_tensor`
                if self._tape is tape and other._tape is tape:
                    rows = tape.rows
                    y = _new(Tensor)
                    y._slot = slot = len(rows)
                    if slot < MAX_ROWS:
                        code, y._spec = entry
                        y._tape = tape
                        rows.append(code | i << SLOT_BITS | j)
                        return y
        elif other.__class__ is float:
            entry = state.fast[k].get((self._spec, float))
            if entry is not None:
                tape = state.tape
                j = tape.floats.get(other)
                i = self._slot
                if j is not None and self._tape is tape:
                    rows = tape.rows
                    y = _new(Tensor)
                    y._slot = slot = len(rows)
                    if slot < MAX_ROWS:
                        code, y._spec = entry
                        y._tape = tape
                        rows.append(code | (j << SLOT_BITS | i if swapped else i << SLOT_BITS | j))
                        return y
        elif not isinstance(other, _OPERANDS):
            return NotImplemented
        tensors = primitive.lift((other, self) if swapped else (self, other))
        _remember(k, primitive, tensors, self, other, swapped)
        return record(primitive, tensors)

    operator.__name__ = operator.__qualname__ = name
    return operator


def _remember(k, primitive, tensors, self, other, swapped):
    """Enter a signature into the fast table, where a row is all that the operation needs."""
    mine, its = tensors[::-1] if swapped else tensors
    state = local.state
    if mine is not self:
        return
    signature = signature_of(primitive, (tensors[0]._spec, tensors[1]._spec), (), state.grad_enabled)
    if not signature.deferrable:
        return
    table = FAST[state.grad_enabled][k]
    if its is other:
        if not swapped:
            table[self._spec, its._spec] = signature.code, signature.out
    elif type(other) is float and its._spec.dtype.char == "d":
        table[self._spec, float] = signature.code, signature.out


def _unary(primitive, name):
    k = next(_fast_index)

    def operator(self):
        state = local.state
        entry = state.fast[k].get(self._spec)
        if entry is not None:
            tape = state.tape
            i = self._slot
            if self._tape is tape:
                rows = tape.rows
                y = _new(Tensor)
                y._slot = slot = len(rows)
                if slot < MAX_ROWS:
                    code, y._spec = entry
                    y._tape = tape
                    rows.append(code | i << SLOT_BITS)
                    return y
        tensors = primitive.lift((self,))
        if tensors[0] is self:
            signature = signature_of(primitive, (self._spec,), (), state.grad_enabled)
            if signature.deferrable:
                FAST[state.grad_enabled][k][self._spec] = signature.code, signature.out
        return record(primitive, tensors)

    operator.__name__ = operator.__qualname__ = name
    return operator


_BINARY = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "truediv": arithmetic.divide,
    "pow": arithmetic.power,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.remainder,
    "matmul": matmul.matmul,
}
for _name, _primitive in _BINARY.items():
    setattr(Tensor, f"__{_name}__", _binary(_primitive, f"__{_name}__"))
    setattr(Tensor, f"__r{_name}__", _binary(_primitive, f"__r{_name}__", swapped=True))
_COMPARISONS = {
    "lt": comparison.less,
    "le": comparison.less_equal,
    "gt": comparison.greater,
    "ge": comparison.greater_equal,
    "eq": comparison.equal,
    "ne": comparison.not_equal,
}
for _name, _primitive in _COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _binary(_primitive, f"__{_name}__"))
for _name, _primitive in {"and": comparison.bitwise_and, "or": comparison.bitwise_or, "xor": comparison.bitwise_xor}.items():
    setattr(Tensor, f"__{_name}__", _binary(_primitive, f"__{_name}__"))
    setattr(Tensor, f"__r{_name}__", _binary(_primitive, f"__r{_name}__", swapped=True))
Tensor.__hash__ = object.__hash__
Tensor.__neg__ = _unary(arithmetic.negative, "__neg__")
Tensor.__abs__ = _unary(arithmetic.absolute, "__abs__")
Tensor.__invert__ = _unary(comparison.invert, "__invert__")
Tensor.__pos__ = _unary(arithmetic.positive, "__pos__")
