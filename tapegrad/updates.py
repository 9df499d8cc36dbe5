"""Operations in place, ``x += y`` and ``x.mul_(y)``: a look-up and an append where nothing needs thought."""

from __future__ import annotations

import sys
from sys import _getframe

from .descriptors import Operator, is_supported
from .inplace import rewrite, write
from .operators import STEP, described, hand_over, waiting
from .primitives.core import ops
from .prompt import is_number, patch_of, prepared, written
from .sparing import become
from .tape.handle import NOTHING, Tensor, attach
from .tape.signature import fast_index
from .tape.site import site_of

__all__ = ["attach_in_place", "copied", "in_place"]

_OPERATORS = {
    "iadd": "add", "isub": "subtract", "imul": "multiply", "itruediv": "divide", "ipow": "power",
    "ifloordiv": "floor_divide", "imod": "remainder", "imatmul": "matmul",
    "iand": "bitwise_and", "ior": "bitwise_or", "ixor": "bitwise_xor", "ilshift": "left_shift",
    "irshift": "right_shift",
}  # fmt: skip


def in_place(record, name, operands=2):
    """A method that writes a function of the tensor, or of it and one more operand, where the tensor stands.

    It takes two rows at most where nothing needs thought, as in `operators.binary`: for a target whose buffer is
    `quiet`, which no view, leaf or array outside shares, and no other tape.
    """
    operator = getattr(Tensor, "__" + name[3:]) if name.startswith("__i") else None
    index = fast_index()
    method = _unary(record, index) if operands == 1 else _binary(record, index, operator)
    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{record.name}` in place; returns the tensor."
    recorder = "writing.write_unary" if operands == 1 else "writing.write_binary"
    described[method] = Operator(method, recorder, index, apart=described.get(operator) if operator else None)
    return method


def attach_in_place(**methods):
    """Attach methods to `Tensor`; from Python 3.11 on, a twin in machine code replaces each when it is first called."""
    attach(**methods)
    if sys.version_info >= (3, 11) and is_supported():
        waiting.update((method, {name: method}) for name, method in methods.items())


def _binary(record, k, operator):
    def method(self, other, *, alpha=None, rounding_mode=None):
        if self._rare is NOTHING and operator is not None and self._tape.sparing:
            y = operator(self, other)
            if not self._spec.shape:
                return y  # as it is for numbers, to which nothing can be written
            if become(self, y):
                return self
        if alpha is not None or rounding_mode is not None:
            return _with_options(record, self, other, alpha, rounding_mode)
        kind, start, row = other.__class__, -1, -1
        try:
            tape, i, buffer, base = prepared(self, other)
            rows, frame = tape.rows, _getframe(1)
            site = site_of(frame) or site_of(frame.f_back)  # type: ignore[arg-type]
            if site is not None:
                if kind is Tensor:
                    j = other._slot
                    if other._tape is not tape or other is self or other is base:
                        return write(self, record, (self, other), index=k)
                    head, out, copied, _, patches = tape.fast[k][self._spec][other._spec]
                else:
                    head, out, copied, char, patches = tape.fast[k][self._spec][kind]
                    j = tape.numbers[char][other]
                patched = None if base is None or out is None else patch_of(self, out, patches)
                source = i
                start = len(rows)
                if copied:
                    source = start
                    rows.append(copied + i * STEP)
                row = len(rows)
                rows += (head + i * STEP + source, j * STEP)
                tape.note_write(row, i, site, buffer)
                if out is not None:
                    written(self, base, row, out, patched)
                buffer.end = len(rows)
                return self
        except (KeyError, AttributeError):  # a write not met before, a tensor elsewhere or without a buffer
            pass
        except BaseException:  # an interrupt
            if start >= 0 and tape.takes_back(start, row) and out is not None:
                written(self, base, row, out, patched)
            raise
        if operator is not None and is_number(self):
            return operator(self, other)
        if method in waiting:
            hand_over(method)
        return write(self, record, (self, other), index=k)

    return method


def _with_options(record, target, other, alpha, rounding_mode):
    """Sums and differences take an `alpha`, quotients a `rounding_mode`."""
    if alpha is not None and rounding_mode is None and record in (ops.add, ops.subtract):
        return write(target, record, (target, other * alpha))
    if rounding_mode is not None and alpha is None and record is ops.divide:
        return rewrite(target, Tensor.div, other, rounding_mode=rounding_mode)
    word = "alpha" if alpha is not None and record is not ops.add else "rounding_mode"
    raise TypeError(f"{record.name} in place got an unexpected keyword argument {word!r}")


def _unary(record, k):
    def method(self):
        start = row = -1
        try:
            tape, i, buffer, base = prepared(self)
            rows, site = tape.rows, site_of(_getframe(1))
            if site is not None:
                head, out, copied, _, patches = tape.fast[k][self._spec]
                patched = None if base is None or out is None else patch_of(self, out, patches)
                source = i
                start = len(rows)
                if copied:
                    source = start
                    rows.append(copied + i * STEP)
                row = len(rows)
                rows.append(head + i * STEP + source)
                tape.note_write(row, i, site, buffer)
                if out is not None:
                    written(self, base, row, out, patched)
                buffer.end = len(rows)
                return self
        except (KeyError, AttributeError):
            pass
        except BaseException:  # an interrupt
            if start >= 0 and tape.takes_back(start, row) and out is not None:
                written(self, base, row, out, patched)
            raise
        if method in waiting:
            hand_over(method)
        return write(self, record, (self,), index=k)

    return method


def copied(target, given, k):
    """Copy a tensor or number of a kind met before to where a tensor stands; whether that was done.

    It takes one row where nothing needs thought, and one before it that broadcasts what is copied; see `in_place`.
    """
    kind, start, row = given.__class__, -1, -1
    try:
        tape, i, buffer, base = prepared(target, given)
        rows, site = tape.rows, site_of(_getframe(2))
        if site is None or given is target or given is base:
            return False
        if kind is Tensor:
            j = given._slot
            if given._tape is not tape:
                return False
            head, out, spread, _, patches = tape.fast[k][target._spec][given._spec]
        else:
            head, out, spread, char, patches = tape.fast[k][target._spec][kind]
            j = tape.numbers[char][given]
        patched = None if base is None or out is None else patch_of(target, out, patches)
        start = len(rows)
        if spread:
            rows += (spread + j * STEP, 0)
            j = start
        row = len(rows)
        rows.append(head + i * STEP + j)
        tape.note_write(row, i, site, buffer)
        if out is not None:
            written(target, base, row, out, patched)
        buffer.end = len(rows)
        return True
    except (KeyError, AttributeError):
        return False
    except BaseException:  # an interrupt
        if start >= 0 and tape.takes_back(start, row) and out is not None:
            written(target, base, row, out, patched)
        raise


for _name, _made in _OPERATORS.items():
    attach_in_place(**{f"__{_name}__": in_place(getattr(ops, _made), f"__{_name}__")})
