"""Writing in place: rows whose result takes over a tensor's memory, and what becomes of its views."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np

from .primitives.core import Elementwise, lift, ops, primitive
from .primitives.indexing import advanced_key, basic_view, index_put
from .primitives.shape import expand_to, placed, view_of, window_of
from .tape.buffer import buffer_of
from .tape.handle import Tensor, attach
from .tape.record import append, current_tape, own_borrowed, slot_of
from .tape.signature import signature_of
from .tape.state import grad_mode, local
from .vm import opcodes as op

__all__ = ["assign", "write"]

_PACKAGE = __name__.rpartition(".")[0]


@primitive()
class copy_slices:
    """A base after one of its views was written: the view's region from the new value, the rest from the old."""

    kind = op.VIEW
    grad_name = "CopySlices"

    def infer(specs: Any, attrs):
        return specs[0], op.VIEW

    def compute(base, value, strides, offset):
        return base

    def pullback(y_bar, y, base, value, strides, offset):
        layout = base._spec.bar
        inside = window_of(y_bar, layout, value._spec.shape, strides, offset)
        outside = y_bar - placed(inside, layout, strides, offset)
        return outside, ops.copy(inside)


def write(target: Tensor, made, operands, attrs=(), label=None) -> Tensor:
    """Write ``made(*operands)`` into a tensor's memory.

    Parameters
    ----------
    target : Tensor
        Its value, version and history change; views of the same memory follow.
    made : Primitive
    operands : tuple
        Tensors, arrays or numbers; `target` itself may be among them.

    Returns
    -------
    Tensor
        `target`.

    Raises
    ------
    RuntimeError
        If `target` is a leaf that requires grad (or a view of one) while gradients are recorded, or if its
        elements overlap. Nothing has changed then.
    """
    state = local.state
    _check_target(target, state)
    operands = made.lift(operands) if hasattr(made, "lift") else tuple(lift(o) for o in operands)
    _check_recorded(target, operands, state)
    for t in operands:
        if t._base is not None:
            t._refresh_view()
    if target._base is not None:
        target._refresh_view(target._buffer.retained)  # what views between it and the base retain is of other uses
    out, _ = made.infer(tuple(t._spec for t in operands), dict(attrs))
    spec = target._spec
    if out.shape != spec.shape or out.dtype != spec.dtype:
        if not np.can_cast(out.dtype, spec.dtype, "same_kind"):
            raise TypeError(
                f"{made.name} in place: a result of dtype {out.dtype.name} cannot be written into a {spec.dtype.name} "
                f"tensor with casting rule 'same_kind'; convert the operand, or make the target {out.dtype.name}"
            )
        if np.broadcast_shapes(out.shape, spec.shape) != spec.shape:
            raise ValueError(
                f"{made.name} in place: the result has shape {out.shape}, which does not broadcast to the target's "
                f"shape {spec.shape}"
            )
        value = made(*operands, **dict(attrs))
        operands = (expand_to(lift(value, spec.dtype), spec.shape),)
        made, attrs = ops.copy, ()
    operands = _separate(target, made, operands, state, attrs)
    tape = current_tape(state)
    buffer_of(target)
    own_borrowed(
        signature_of(made.writer, (target._spec, *[t._spec for t in operands]), tuple(attrs), state.grad_enabled),
        (target, *operands),
    )
    slots = [slot_of(t, state, tape) for t in (target, *operands)]
    tape = state.tape
    spec = target._spec
    signature = signature_of(made.writer, (spec, *[t._spec for t in operands]), tuple(attrs), state.grad_enabled)
    site = _user_line()
    result = append(state, tape, signature, slots, (target, *operands))
    row = result._slot
    tape.note_write(row, site)
    _take_over(target, result, state, tape, site)
    return target


def _check_target(target, state, part=False):
    """Refuse what may not be written, or of which not a part may be."""
    base = target._base
    if state.grad_enabled:
        if target._leaf and not part:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation. Write under "
                "`with tapegrad.no_grad():`, or to a copy (`x = x.clone()`)."
            )
        if target._leaf or (base is not None and base._leaf and target._spec.requires_grad):
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place operation. Write under "
                "`with tapegrad.no_grad():`, or to a view of a copy (`x = x.clone()`)."
            )
    if (target if base is None else base)._foreign:
        raise RuntimeError(
            "an argument of the function under transformation cannot be written in place: its memory is the caller's. "
            "Write to a copy (`x = x.copy()`)."
        )
    if not target._spec.injective:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    data = target._data if target._data is not None else (base._data if base is not None else None)
    if data is not None and not data.flags.writeable:
        raise ValueError("assignment destination is read-only: the tensor shares memory with a read-only array")


def _check_recorded(target, operands, state):
    """A view made under no_grad may not bring gradients into its base, nor cut off the base's."""
    base = target._base
    if target._unrecorded and state.grad_enabled:
        if base._spec.requires_grad or any(t._spec.requires_grad for t in operands):
            raise RuntimeError(
                "A view was created in no_grad mode and is being modified inplace with grad mode enabled: whether the "
                "write should be differentiated cannot be told. Make both the view and the write under "
                "`tapegrad.no_grad()`, or neither."
            )


def _separate(target, made, operands, state, attrs):
    """Copies of operands that the write would change under the operation's hands."""
    buffer = target._buffer
    needs = 0
    if operands and operands[0] is target:
        probe = signature_of(made, tuple(t._spec for t in operands), tuple(attrs), state.grad_enabled)
        needs = probe.needs if probe.out.requires_grad else 0
    separate = []
    for k, t in enumerate(operands):
        same = t is target
        shares = same or (buffer is not None and t._buffer is buffer)
        elementwise = isinstance(made, Elementwise) or made is ops.copy
        if shares and (not (same and elementwise) or (k == 0 and needs >> 1 & 1)):
            t = ops.copy(t)
        separate.append(t)
    return tuple(separate)


def _take_over(target, result, state, tape, site):
    """The target becomes the result; its base and their other views learn of the write."""
    base = target._base
    buffer = buffer_of(target)
    buffer.written(tape, site)
    requires = result._spec.requires_grad
    if base is not None and (requires or base._spec.requires_grad) and state.grad_enabled:
        base_slot = slot_of(base, state, tape)
        attrs = (("offset", target._offset), ("strides", target._spec.strides))
        signature = signature_of(copy_slices, (base._spec, result._spec), attrs, state.grad_enabled)
        rebased = append(state, tape, signature, [base_slot, result._slot], (base, result), 0)
        _rebind(base, rebased)
        buffer.history += 1  # the target, too, is a view of the base as it is now when it is next used
    elif state.grad_enabled and (requires or target._spec.requires_grad):
        _rebind(target, result)
        buffer.history += 1
        target._seen = buffer.history
    if buffer.viewed and not state.careful and requires:
        state.careful = True
        state.refresh()
    if target._retains:
        target._refresh_view()


def _rebind(tensor, result):
    if tensor._retains:  # what it retains is the gradient of the value that it has now
        tape, slot = tensor._home or (tensor._tape, tensor._slot)
        tape.retaining.pop(slot, None)
        result._tape.retain(result._slot, tensor)
    tensor._home = None
    tensor._slot, tensor._tape, tensor._spec = result._slot, result._tape, result._spec


def _user_line():
    """File and line of the first frame outside the package."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("<unknown>", 0)


def assign(self, key, value):
    """``x[key] = value``: in place, on the tape, as ``x[key]`` would select."""
    plan = basic_view(self, key)
    whole = plan is None or plan == (self._spec.shape, self._spec.strides, 0)
    _check_target(self, local.state, part=not whole)
    if plan is None:
        form, indices, unique = advanced_key(self, key)
        attrs = (("key", form), ("unique", unique or not indices))
        write(self, index_put, (self, _cast(value, self._spec.dtype), *indices), attrs)
        return
    region = _region(self, *plan)
    write(region, ops.copy, (_cast(value, self._spec.dtype),))
    if self._base is not None:
        self._refresh_view()


def _cast(value, dtype):
    """A value for assignment, cast as NumPy does (``unsafe``, but complex to real is refused)."""
    value = lift(value)
    if value._spec.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError("a complex value cannot be assigned to a real tensor: take .real or abs() first")
    return lift(value, dtype)


def _region(x, shape, strides, offset):
    """A view for writing, of which no other tensor knows."""
    viewed = x._buffer is not None and x._buffer.viewed
    region = view_of(x, shape, strides, offset, "Slice")
    region._buffer.viewed = viewed
    return region


def _is_stale_view(self):
    return self._base is not None and self._buffer.history != self._seen


def _refresh_view(self, anyway=False):
    """Record the view again, from its base as it is now, if that was written since (or `anyway`)."""
    if not (_is_stale_view(self) or anyway):
        return
    base, history = self._base, self._buffer.history
    if not (base._spec.requires_grad or self._spec.requires_grad):
        self._seen = history
        return
    viewed = self._buffer.viewed
    with grad_mode(True):  # whatever the mode in which it is looked at, it has its base's history
        fresh = view_of(base, self._spec.shape, self._spec.strides, self._offset, "AsStrided")
    self._buffer.viewed = viewed
    _rebind(self, fresh)
    self._seen = history


attach(_is_stale_view=_is_stale_view, _refresh_view=_refresh_view, __setitem__=assign)

_OPERATORS = {
    "iadd": "add", "isub": "subtract", "imul": "multiply", "itruediv": "divide", "ipow": "power",
    "ifloordiv": "floor_divide", "imod": "remainder", "imatmul": "matmul",
    "iand": "bitwise_and", "ior": "bitwise_or", "ixor": "bitwise_xor",
}  # fmt: skip
_METHODS = {
    "add_": "add", "sub_": "subtract", "mul_": "multiply", "div_": "divide", "pow_": "power",
    "neg_": "negative", "exp_": "exp", "log_": "log", "sqrt_": "sqrt", "sin_": "sin", "cos_": "cos", "tanh_": "tanh",
    "abs_": "absolute", "square_": "square", "reciprocal_": "reciprocal",
}  # fmt: skip


def _method(name, made):
    def method(self, *others):
        return write(self, getattr(ops, made), (self, *others))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{made}` in place; returns the tensor."
    return method


for _name, _made in _OPERATORS.items():
    attach(**{f"__{_name}__": _method(f"__{_name}__", _made)})
for _name, _made in _METHODS.items():
    attach(**{_name: _method(_name, _made)})


def _filler(name, text):
    def fill(self, value=0):
        return write(self, ops.copy, (lift(value, self._spec.dtype),))

    fill.__name__, fill.__doc__ = name, text
    return fill


attach(
    fill_=_filler("fill_", "Set every element to a value."),
    zero_=_filler("zero_", "Set every element to zero."),
    copy_=_filler("copy_", "Take over the elements of another tensor or array, broadcast."),
)
