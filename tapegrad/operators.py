"""Operators of `Tensor`: a look-up and an append where nothing needs thought.

Recording is what eager code spends its time on, so the common case is spelt out: operands on the thread's
own tape, a signature met before, little work. Anything else takes the long way through `record`. When an operator
is first called, a twin in machine code takes its place, which does the same (see `descriptors`).
"""

from __future__ import annotations

import threading
from _thread import get_ident
from collections.abc import Callable

import numpy as np

from .descriptors import Operator, is_supported, methods_of
from .foreign import meet
from .primitives.core import RECORDS, Promoting
from .primitives.nesting import joined
from .tape.current import new_tensor
from .tape.handle import NOTHING, Tensor, attach
from .tape.importing import COPY_BYTES, is_plain, slot_of
from .tape.memory import copy_array
from .tape.record import append, record
from .tape.signature import CAREFUL, FAST, fast_index, import_codes, signature_of
from .tape.size import Size
from .tape.spec import spec_of_array
from .tape.state import local
from .tape.tape import SEGMENT_HELD
from .vm.opcodes import SLOT_BITS

__all__ = ["NUMBERS", "STEP", "attach_operators", "binary", "described", "hand_over", "recorder_of", "unary", "waiting"]

COMPARED_BYTES = 512
"""Arrays up to this size are compared with what they were when they last took part, and not copied again."""
STEP = 1 << SLOT_BITS  # sums and products of ints are quicker than shifts
NUMBERS = frozenset((float, int, np.float64, np.float32))
_OPERANDS = (Tensor, np.ndarray, np.generic, int, float, complex, bool)
_recorders: dict = {}


def binary(primitive, name, swapped=False):
    """A function of two operands, the first of them a tensor.

    ``tape.fast[k]`` maps the operands' specs to a row's code and the result's spec. In place of the second operand's
    spec may stand a number's type; the entry then also has the character of the dtype that the number gets.
    """
    k = fast_index()

    def operator(self, other):
        kind = other.__class__
        try:
            if kind is Tensor:
                i, j = self._slot, other._slot  # read before the tapes: see `importing._import_tensor`
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
            elif kind in NUMBERS:
                i = self._slot
                tape = self._tape
                if tape.thread == get_ident():
                    code, spec, char = tape.fast[k][self._spec][kind]
                    j = tape.numbers[char][other]
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
            elif kind is np.ndarray:
                tape = self._tape
                array, shape, content, its, j = tape.constants[id(other)]
                # The caller may have changed it since.
                if array is other and other.shape == shape and other.tobytes() == content:
                    code, spec = tape.fast[k][self._spec][its]
                    i, rows = self._slot, tape.rows
                    slot = len(rows)
                    if tape.thread == get_ident() and slot < tape.limit:
                        rows.append(code + (j * STEP + i if swapped else i * STEP + j))
                        return new_tensor(tape, slot, spec)
            elif kind is Size:
                return operator(self, int(other))
            elif kind is list or kind is tuple:
                array = joined(other)
                if array.__class__ is Tensor:
                    return primitive(array, self) if swapped else primitive(self, array)
                array = np.asarray(other)
                return slow(self, array) if array.dtype.kind in "biufc" else NotImplemented
            elif not isinstance(other, _OPERANDS):
                return meet(name, self, other)
        except (KeyError, AttributeError):  # a signature or number not met before; a tensor on no tape
            pass
        return slow(self, other)

    def slow(self, other):
        y = _prompt(k, self, other, swapped)
        if y is not None:
            return y
        tensors = primitive.lift((other, self) if swapped else (self, other))
        y = record(primitive, tensors)
        if tensors[swapped] is self:
            _remember(k, primitive, tensors, other, swapped)
        if operator in waiting:
            hand_over(operator)
        return y

    return _made(operator, name, primitive, 2, k, swapped)


def _remember(k, primitive, tensors, other=None, swapped=False):
    """Enter a signature into the fast table, where a row is all that the operation needs."""
    grad_enabled = local.state.grad_enabled
    specs = tuple([t._spec for t in tensors])
    if any(s.device is not None for s in specs):
        return
    signature = signature_of(primitive, specs, (), grad_enabled)
    if not signature.deferrable:
        if len(specs) == 2 and not primitive.immediate:
            _LARGE[(k, grad_enabled, *specs)] = signature
        return
    table = FAST[grad_enabled][k]
    if len(specs) == 1:
        table[specs[0]] = signature.code, signature.out
        return
    mine, its, kind = tensors[swapped], tensors[not swapped], type(other)
    if its is other or (kind is np.ndarray and its._spec.dtype == other.dtype):
        table.setdefault(mine._spec, {})[its._spec] = signature.code, signature.out
    elif kind in NUMBERS and not (kind is int and primitive.beyond and mine._spec.dtype.kind in "iu"):
        table.setdefault(mine._spec, {})[kind] = signature.code, signature.out, its._spec.dtype.char


def _prompt(k, x, other, swapped):
    """The result, where all that an operation met before needs is that operands are brought onto the tape.

    That holds for leaves and constants, small arrays and numbers. Returns None if there is more to do.
    """
    state = local.state
    tape = state.tape
    kind = other.__class__
    try:
        entries = tape.fast[k][x._spec]
        if kind is Tensor:
            code, spec = entries[other._spec]
        elif kind is np.ndarray:
            if other.nbytes > COPY_BYTES:
                return _at_once(k, x, other, swapped)
            array = other.copy()
            code, spec = entries[spec_of_array(array)]
        else:
            code, spec, char = entries[kind]
    except KeyError:
        return _at_once(k, x, other, swapped)
    if not (is_plain(x, tape) and (kind is not Tensor or is_plain(other, tape))):
        return None
    i = slot_of(x, state, tape)
    if kind is Tensor:
        j = slot_of(other, state, tape)
    elif kind is np.ndarray:
        its = spec_of_array(array)
        j = tape.bring_by(import_codes[its], array)
        if array.nbytes <= COMPARED_BYTES:
            tape.constants[id(other)] = other, other.shape, other.tobytes(), its, j
    else:
        j = tape.numbers[char][other]
    slot = len(tape.rows)
    if state.tape is not tape or tape.fast is CAREFUL or slot >= tape.limit:
        return None
    tape.rows.append(code + (j * STEP + i if swapped else i * STEP + j))
    return new_tensor(tape, slot, spec)


_LARGE: dict = {}
"""Signatures of rows met before that run at once, by operator, gradient mode and the operands' specs."""


def _at_once(k, x, other, swapped):
    """The result of an operation that is too large to wait, where nothing about it needs thought; else None."""
    state = local.state
    tape = state.tape
    if tape.fast is CAREFUL or state.deferred or tape.held > SEGMENT_HELD:
        return None
    its = (
        other._spec
        if other.__class__ is Tensor
        else spec_of_array(other)
        if type(other) is np.ndarray and other.flags.aligned
        else None
    )
    signature = _LARGE.get((k, state.grad_enabled, its, x._spec) if swapped else (k, state.grad_enabled, x._spec, its))
    if signature is None or its is None or not is_plain(x, tape) or x._rare._borrowed or x._rare._inference:
        return None
    if other.__class__ is Tensor:
        if not is_plain(other, tape) or other._rare._borrowed or other._rare._inference:
            return None
        j = slot_of(other, state, tape)
    else:
        place = 1 if swapped else 2
        frozen = not other.flags.writeable and other.base is None
        if signature.out.requires_grad and signature.needs >> place & 1 and not frozen:
            other = copy_array(other, its)
        j = tape.bring_by(import_codes[its], other)
        other = None
    i = slot_of(x, state, tape)
    if state.tape is not tape or tape.fast is CAREFUL or len(tape.rows) >= tape.limit:
        return None
    slots, tensors = ((j, i), (other, x)) if swapped else ((i, j), (x, other))
    return append(state, tape, signature, slots, tensors)


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
        if operator in waiting:
            hand_over(operator)
        return y

    return _made(operator, name, primitive, 1, k)


def _made(operator, name, primitive, count, index, swapped=False):
    operator.__name__ = operator.__qualname__ = name
    operator.__doc__ = primitive.__doc__
    described[operator] = Operator(operator, "recording.unary" if count == 1 else "recording.binary", index, swapped)
    return operator


# --- twins in machine code ---------------------------------------------------------------------------------------

described: dict[Callable, Operator] = {}
"""What their twins in machine code have to know of the functions that `unary` and `binary` made."""
waiting: dict = {}
"""Operators whose twins have not been made, and the group that they are made with."""
_lock = threading.Lock()


def attach_operators(**operators):
    """Attach operators to `Tensor`; when one of them is first called, twins in machine code replace them all."""
    attach(**operators)
    if is_supported():
        waiting.update(dict.fromkeys(operators.values(), operators))


def hand_over(operator):
    """Put twins in the places of the operators of a group."""
    with _lock:
        group = waiting.get(operator)
        if group is None:
            return
        twins = methods_of([described[f] for f in group.values()])
        for (name, function), twin in zip(group.items(), twins, strict=True):
            del waiting[function]
            if vars(Tensor)[name] is function:
                attach(**{name: twin})


def recorder_of(primitive, swapped=False):
    """The fast way to record a ufunc's primitive, by its number of operands; None where there is none.

    With `swapped` it takes the tensor first that is the ufunc's second operand.
    """
    key = primitive, swapped
    found = _recorders.get(key)
    if found is None and isinstance(primitive, Promoting) and type(primitive).__call__ is Promoting.__call__:
        if primitive.function.nin == 2:
            found = _recorders[key] = binary(primitive, primitive.name, swapped)
        elif primitive.function.nin == 1 and not swapped:
            found = _recorders[key] = unary(primitive, primitive.name)
    return found


_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "matmul": "matmul",
    "floordiv": "floor_divide", "mod": "remainder", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
_COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}

_operators = {f"__{name}__": binary(RECORDS[made], f"__{name}__") for name, made in (_BINARY | _COMPARISONS).items()}
_operators |= {f"__r{name}__": binary(RECORDS[made], f"__r{name}__", swapped=True) for name, made in _BINARY.items()}
_operators |= {f"__{name}__": unary(RECORDS[made], f"__{name}__") for name, made in _UNARY.items()}
_power, _square = _operators.pop("__pow__"), unary(RECORDS["square"], "__pow__")


def _pow(self, exponent):
    """Power; the square, which is the commonest by far, by a product."""
    if (exponent.__class__ is int or exponent.__class__ is float) and exponent == 2 and self._spec.dtype.kind in "fc":
        return _square(self)
    return _power(self, exponent)


attach_operators(**_operators)
attach(__pow__=_pow, __hash__=object.__hash__)
