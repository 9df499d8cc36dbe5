"""Writing in place: rows whose result takes over a tensor's memory, and what becomes of its views."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import sparing
from .errors import CastingError, ShapeError
from .primitives.core import lift, ops
from .primitives.shape import broadcasts, expand_to
from .prompt import is_made_here, remember_again, written_again
from .renewal import MOST_RENEWED, check_kind_of_view, rebase, rebind
from .tape.buffer import buffer_of
from .tape.current import current_tape, new_tensor, rotate
from .tape.handle import Tensor, ViewFacts
from .tape.importing import is_inference, slot_of
from .tape.record import append, own_borrowed
from .tape.signature import FAST, signature_of
from .tape.site import user_site
from .tape.spec import spec_of_array
from .tape.state import grad_mode, local
from .values import value_of

__all__ = [
    "adopt_shape",
    "check_target",
    "look_after_views",
    "remember_copy",
    "rewrite",
    "write",
]


def write(target: Tensor, made, operands, attrs=(), index=None, passing=False) -> Tensor:
    """Write ``made(*operands)`` into a tensor's memory.

    Parameters
    ----------
    target : Tensor
        Its value, version and history change; views of the same memory follow.
    made : Primitive
    operands : tuple
        Tensors, arrays or numbers; `target` itself may be among them.
    index : int, optional
        Place in the fast tables under which to remember the row; see `updates.in_place`.
    passing : bool
        The target is a view that nobody will see afterwards, and need not be recorded anew; the caller sees to other
        views (`look_after_views`).

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
    device = target._spec.device
    if device is not None and device is not state.tape.device:
        return _write_elsewhere(device, target, made, operands, attrs, passing)
    lookable = index is None and not passing
    if lookable and written_again(target, made, operands, attrs):
        return target
    asked, before = (made, tuple(attrs), operands), target._spec
    check_target(target, state)
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
            raise CastingError(
                f"{made.name} in place: result type {out.dtype.name} can't be cast to the desired output type "
                f"{spec.dtype.name} with casting rule 'same_kind'; convert the operand, or make the target "
                f"{out.dtype.name}"
            )
        if not broadcasts(out.shape, spec.shape):
            raise ShapeError(_misfit(made, out.shape, spec.shape))
        value = made(*operands, **dict(attrs))
        operands = (expand_to(lift(value, spec.dtype), spec.shape),)
        made, attrs, index = ops.copy, (), None
    if state.is_sparing() and spec.device is None and sparing.is_read_later(target):
        if sparing.replace(target, made, operands, attrs, state):
            return target
        sparing.move(target)
    given, operands = operands, _separate(target, made, operands, state, attrs)
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
    site, row = user_site(), len(tape.rows)
    try:
        result = append(state, tape, signature, slots, (target, *operands))
        tape.note_write(row, slots[0], site, buffer_of(target))
        _take_over(target, result, state, tape, passing)
    except BaseException:
        if len(tape.rows) > row:  # an interrupt: the row is there, and may have run
            if row not in tape.stamps.sites:
                tape.note_write(row, slots[0], site, buffer_of(target))
            _take_over(target, new_tensor(tape, row, signature.out), state, tape, passing)
        raise
    target._buffer.end = len(tape.rows)
    if index is not None and not attrs and signature.deferrable:
        _remember(index, spec, given, operands, signature, state.grad_enabled)
    elif lookable and made is asked[0]:
        remember_again(target, before, *asked, given, operands, signature)
    return target


def _misfit(made, shape, target):
    """What is to be said of a result that does not fit where it is to be written."""
    if made is not ops.copy or len(shape) > len(target):
        return (
            f"{made.name} in place: output with shape {list(target)} doesn't match the broadcast shape {list(shape)}, "
            f"the result's"
        )
    pairs = list(enumerate(zip(target, (1,) * (len(target) - len(shape)) + shape, strict=True)))
    axis, (m, n) = next((axis, (m, n)) for axis, (m, n) in reversed(pairs) if n not in (1, m))
    return (
        f"The expanded size of the tensor ({m}) must match the existing size ({n}) at non-singleton dimension {axis}: "
        f"a value of shape {list(shape)} cannot be broadcast to {list(target)}, the shape of what is written"
    )


def _write_elsewhere(device, target, made, operands, attrs, passing):
    """Write to a tensor that stands on a device, recording there."""
    operands = made.lift(operands) if hasattr(made, "lift") else [lift(o) for o in operands]
    given = [device.brought(t) for t in operands]
    if all(t._spec.device is None for t in given):  # numbers only: the result is to stand there
        given = [device.bring(t) for t in given]
    with device.recording(local.state):
        return write(target, made, tuple(given), attrs, passing=passing)


def _remember(index, spec, given, operands, signature, grad_enabled):
    """Enter a write into the fast table.

    Its code, its result where that is the new history, a copy's code, the dtype's character of a number, and what
    `patch_of` finds for views, by the specs of their bases.
    """
    copied = operands[0] is not given[0]
    copy = signature_of(ops.copy, (spec,), (), grad_enabled).code if copied else 0
    table = FAST[grad_enabled][index]
    char = operands[-1]._spec.dtype.char
    entry: tuple[Any, ...] = (signature.code, _history(signature.out), copy, char, {})
    if len(operands) == 1:
        table[spec] = entry
    elif operands[1] is given[1]:
        other = operands[1]
        table.setdefault(spec, {})[other._spec] = entry
        if char in "fd" and other._spec.shape == () and not other._spec.requires_grad:
            table[spec][float] = table[spec][int] = entry


def _history(out):
    """A write's result where it is what the target is from then on."""
    return out if out.requires_grad else None


def remember_copy(index, target, kind, value, grad_enabled):
    """Enter ``copy_`` and its kin into the fast table, for values of that kind and spec; as `_remember`.

    The third word is that of the row which broadcasts a value.
    """
    given, spread = value, 0
    if value.shape != target.shape and (value.shape or value.requires_grad):
        expanded = signature_of(ops.broadcast_to, (value,), (("shape", target.shape),), grad_enabled)
        value, spread = expanded.out, expanded.code
    signature = signature_of(ops.copy.writer, (target, value), (), grad_enabled)
    if signature.deferrable:
        entry: tuple[Any, ...] = (signature.code, _history(signature.out), spread, target.dtype.char, {})
        FAST[grad_enabled][index].setdefault(target, {})[given if kind is Tensor else kind] = entry


def rewrite(target: Tensor, function, *args, **kwargs) -> Tensor:
    """Write ``function(target, *args, **kwargs)`` into the target's memory: for functions that are several rows.

    What such a function keeps for its reverse is a copy of the target where gradients are recorded, so that the
    write does not change it.
    """
    state = local.state
    check_target(target, state)
    old = target
    if state.grad_enabled and any(isinstance(t, Tensor) and t.requires_grad for t in (target, *args)):
        old = ops.copy(target)
    return write(target, ops.copy, (function(old, *args, **kwargs),))


def adopt_shape(target: Tensor, view, args=(), kwargs=None) -> Tensor:
    """Give a tensor the shape of a view of itself, in place; this counts as a write.

    Parameters
    ----------
    target : Tensor
        The same memory afterwards, with another shape.
    view : callable
        ``view(target, *args, **kwargs)`` makes a view that begins where the target begins.

    Returns
    -------
    Tensor
        `target`.
    """
    check_target(target, local.state)
    alias = view(target.detach(), *args, **(kwargs or {}))  # what is wrong with the arguments is found before the write
    write(target, ops.copy, (target,))
    if target._leaf:  # without gradients: its history is that it has none
        array = value_of(alias)
        rotate(local.state)
        target._memory, target._tape = array, None
        target._spec = spec_of_array(array, target._spec.requires_grad)
        return target
    with grad_mode(local.state.grad_enabled or target._spec.requires_grad):  # its history is its own, whatever the mode
        made = view(target, *args, **(kwargs or {}))
    if made is not target:
        target._memory = None if target._memory is None else value_of(made)
        rebind(target, made)
    return target


def check_target(target, state, part=False):
    """Refuse what may not be written, or of which not a part may be."""
    base = target._base
    if (target if base is None else base)._foreign:
        raise RuntimeError(
            "an argument of the function under transformation cannot be written in place: its memory is the caller's, "
            "and it may be a leaf Variable that requires grad. Use `x = x + y` instead of `x += y`, or write to a copy "
            "(`x = x.copy()`)."
        )
    if state.grad_enabled:
        if target._leaf and not part:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation. Write under "
                "`with tapegrad.no_grad():`, or to a copy (`x = x.clone()`)."
            )
        if target._leaf or (base is not None and base._leaf and target.requires_grad):
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place operation. Write under "
                "`with tapegrad.no_grad():`, or to a view of a copy (`x = x.clone()`)."
            )
        if target._made_by is not None or (target._one_of_many and base is not None and base.requires_grad):
            check_kind_of_view(target, "is being")
    if is_inference(target) and not state.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a "
            "normal tensor before doing inplace update."
        )
    if state.tape.tracing and not is_made_here(target if base is None else base, state.tape):
        raise RuntimeError(
            "a function under compilation cannot write in place to a tensor that was made outside it, since a replay "
            "would not; nor to one of integers or bools made inside it, whose values are part of the program. Make it "
            "an argument and return the new value, or write to a copy (`x = x.clone()`)."
        )
    if not target._spec.injective:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    data = target._memory if target._memory is not None else (base._memory if base is not None else None)
    if data is not None and not data.flags.writeable:
        raise ValueError("assignment destination is read-only: the tensor shares memory with a read-only array")


def _check_recorded(target, operands, state):
    """A view made under no_grad may not bring gradients into its base, nor cut off the base's."""
    base = target._base
    if base is not None and state.grad_enabled:
        if base._spec.requires_grad or any(t._spec.requires_grad for t in operands):
            check_kind_of_view(target, "is being")


def _separate(target, made, operands, state, attrs):
    """Copies of operands that the write would change under the operation's hands."""
    buffer, needs = target._buffer, 0
    spared = operands if state.is_sparing() else operands[:1]  # PyTorch keeps the first operand only
    if any([t is target for t in spared]):
        probe = signature_of(made, tuple(t._spec for t in operands), tuple(attrs), state.grad_enabled)
        needs = probe.needs if probe.out.requires_grad else 0
    separate = []
    for k, t in enumerate(operands):
        same = t is target
        shares = same or (buffer is not None and t._buffer is buffer)
        if shares and (not (same and made.elementwise) or (k < len(spared) and needs >> (k + 1) & 1)):
            t = ops.copy(t)
        separate.append(t)
    return tuple(separate)


def _take_over(target, result, state, tape, passing):
    """The target becomes the result; its base and their other views learn of the write."""
    base = target._base
    buffer = buffer_of(target)
    buffer.tell(tape)
    requires = result._spec.requires_grad
    if base is not None and (requires or base._spec.requires_grad) and state.grad_enabled:
        rebase(base, target, result, state, tape)
    elif state.grad_enabled and (requires or target._spec.requires_grad):
        rebind(target, result)
        buffer.history += 1
        target._seen = buffer.history
    if base is None and not (target._leaf or target._foreign or target._retains) and buffer.is_alone(tape):
        if target._home is None:  # else the next write that is recorded must leave the home behind
            buffer.settle(tape)
    if base is not None and not passing:
        target._refresh_view()
    if requires and not passing:
        look_after_views(target)
    if target._retains:
        target._refresh_view()


def look_after_views(target):
    """Record anew the views that a write to a tensor has put out of date.

    Where they are many, or more is known of one, each is when it is next used: all operations take the long way then.
    """
    state, buffer = local.state, target._buffer
    if state.careful or not buffer.is_viewed(target):
        return
    state.careful = True
    state.refresh()
    views = buffer.views_beside(target)
    if not buffer.loose and len(views) <= MOST_RENEWED and all([type(view._rare) is ViewFacts for view in views]):
        for view in views:
            view._refresh_view()
        state.careful = False
        state.refresh()
