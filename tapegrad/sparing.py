"""Writes that spare what a derivative will read: in functions under transformation, arrays behave as NumPy's do.

``e = np.exp(x); e /= e.sum()`` overwrites the result that the derivative of exp reads. An eager tensor is refused then,
as in PyTorch; in a function under `grad` and its kin, the write goes to memory of its own, and the tensor, with all
views of it, is of that memory from then on.
"""

from __future__ import annotations

from .primitives.core import ops
from .primitives.shape import view_of
from .tape.buffer import buffer_of
from .tape.handle import NOTHING, Tensor
from .tape.needed import is_needed
from .tape.state import grad_mode

__all__ = ["become", "is_read_later", "move", "replace"]


def is_read_later(tensor):
    """Whether a derivative will read what stands in a tensor's memory, or what a view of its base spans, now."""
    base = tensor if tensor._base is None else tensor._base
    buffer = base._buffer
    if buffer is None:
        tape, slot = base._home or (base._tape, base._slot)
        return tape is not None and is_needed(tape, slot)
    if buffer.saved:
        return True
    return any([is_needed(tape, slot) for tape, slot in buffer.living_places()])


def replace(target, made, operands, attrs, state):
    """Let a tensor be ``made(*operands)``, in new memory, if nobody else sees its own; whether that was so."""
    if target._base is not None or not (state.grad_enabled and _is_free(target)):
        return False
    _settle_in(target, made(*operands, **dict(attrs)))
    target._buffer.version += 1
    return True


def become(target, result):
    """Let a tensor that alone knows its memory be a result in memory of its own; whether that could be done.

    The target is one of which only its value is known; so must the result be, and both on one tape.
    """
    if result.__class__ is not Tensor or result._tape is not target._tape or result._spec is not target._spec:
        return False
    if result._rare is not NOTHING or target._rare is not NOTHING:
        return False
    target._slot = result._slot
    return True


def move(target):
    """Give a tensor, or the base of a view, with all its views, memory of its own, where the old one stays as it is.

    Whoever else may see the memory (an array outside, a detached tensor) keeps things as they are: the sweep refuses
    to use a value that was overwritten.
    """
    base = target if target._base is None else target._base
    if not _is_free(base, with_views=True):
        return
    views = base._buffer.views_beside() if base._buffer is not None else []
    with grad_mode(True):  # whatever the mode, what stands there has the history that it had
        moved = ops.copy(base)
        if views and moved._spec.strides != base._spec.strides:
            return
        _settle_in(base, moved)
        for view in views:
            _follow(view, base)


def _is_free(base, with_views=False):
    """Whether all who see a tensor's memory are known, and can come along."""
    buffer = base._buffer
    if base._leaf or base._foreign or base._inference or base._retains:
        return False
    if buffer is None:
        return True
    if buffer.escaped or buffer.loose or buffer.retained:
        return False
    views = buffer.views_beside()
    return all([v._base is base for v in views]) if with_views else not views


def _settle_in(target, result):
    """Let a tensor have a result's place, and that memory a buffer of its own."""
    before = buffer_of(target)
    target._home, target._memory, target._borrowed = None, result._memory, False
    target._slot, target._tape, target._spec = result._slot, result._tape, result._spec
    target._buffer = None
    buffer = buffer_of(target)
    buffer.version, buffer.history, buffer.site = before.version, before.history, before.site
    buffer.copies_reads = before.copies_reads


def _follow(view, base):
    """Let a view be one of its base as that is now."""
    spec, offset = view._spec, view._offset
    fresh = view_of(base, spec.shape, spec.strides, offset, "AsStrided", spec.dtype)
    buffer = base._buffer
    view._slot, view._tape, view._spec = fresh._slot, fresh._tape, fresh._spec
    if view._memory is not None or fresh._memory is not None:
        view._memory = fresh._memory
    view._buffer, view._seen = buffer, buffer.history
    buffer.add_view(view, base)
