"""What a function uses beside its arguments: tensors from outside, found in the graph of one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optree

from ..errors import BatchedValueError
from ..primitives.core import lift, ops
from ..tape.current import new_tensor, rotate
from ..tape.handle import Tensor
from ..tape.state import as_in_grad, grad_mode, local
from ..tape.tape import Tape, next_rank
from ..values import value_of
from ..vm import opcodes as op
from .engine import sweep
from .recorded import home_of, place_of, recorded_sweep, source_of

__all__ = ["captured_by", "fresh_tape", "history_of", "pull_back", "refuse_tracing", "tracked"]


def refuse_tracing(name: str) -> None:
    """Refuse to be compiled: what is done next depends on values."""
    if local.state.tape.symbolic:
        raise BatchedValueError(
            f"{name} looks at values to decide what to do next, which are others for each example of vmap: call it in "
            f"a loop over the examples"
        )
    if local.state.tape.tracing:
        raise TypeError(
            f"{name} looks at values to decide what to do next, so that it cannot be part of a compiled function: "
            f"compile the function that it is given, or what stands before and after it"
        )


def fresh_tape() -> None:
    """Begin a new tape, so that a sweep over what is recorded next has nothing else to look at."""
    if not local.state.tape.tracing:
        rotate(local.state)


def tracked(x: Any) -> Tensor:
    """The same values, differentiable from here on; where gradients are recorded, with the history that they have."""
    y = lift(x)
    if not local.state.grad_enabled:
        y = ops.detach(y)
    with grad_mode(True):
        return ops.track(y)


def captured_by(function: Callable, *args: Any) -> tuple[Any, list[Tensor]]:
    """Call a function, and find the tensors from outside that its result depends on.

    Parameters
    ----------
    function : callable
        Returns a tensor, an array, or a container of such.
    *args
        Passed on; tensors among them that require grad count as outside.

    Returns
    -------
    result
    captured : list of Tensor
        Stand-ins for them: they carry no value, only the place where a cotangent goes.
    """
    fresh_tape()
    for device in local.state.devices:
        device.end_tape()
    tape = local.state.tape
    # What was recorded before has a lower place than this, what is recorded from now on a higher one.
    begin = (tape.rank, len(tape.rows) - 1) if tape.tracing else (next_rank(), 0)
    with as_in_grad():
        result = function(*args)
    found: dict[Any, Tensor] = {}
    stack = [history_of(y) for y in optree.tree_leaves(result) if isinstance(y, Tensor) and y._spec.requires_grad]
    met: set = set()
    while stack:
        home = stack.pop()
        if isinstance(home, Tensor):
            found[id(home)] = home
        elif home not in met:
            met.add(home)
            if place_of(home) < begin:
                found[home] = _stand_in(home)
            else:
                stack += _sources(*home)
    return result, list(found.values())


def history_of(t: Tensor) -> Any:
    """The leaf that a tensor is, or the row that computed it."""
    return t if t._leaf else home_of(t)


def _sources(owner: Any, slot: int) -> list[Any]:
    """Homes of what a row, or a call of a `Function`, read."""
    if not isinstance(owner, Tape):
        return [home for *_, home in owner.imports if home is not None]
    source = source_of(owner, slot)
    if source is not None:
        return [source]
    row = owner.signature(slot)
    if row.kind == op.IMPORT:
        home = owner.imported(slot)[2]
        return [] if home is None else [home]
    return [(owner, k) for k in owner.operands(slot) if owner.signature(k).out.requires_grad]


def _stand_in(home: tuple[Any, int]) -> Tensor:
    """A tensor that only knows where its gradient goes."""
    owner, slot = home
    spec = owner.signature(slot).out if isinstance(owner, Tape) else owner.outs[slot]
    if isinstance(owner, Tape):
        return new_tensor(owner, slot, spec)
    made = new_tensor(None, 0, spec.replace(requires_grad=True))
    made._home = home
    return made


def pull_back(
    outputs: Sequence[Any],
    bars: Sequence[Any],
    arguments: Sequence[Tensor],
    captured: Sequence[Tensor],
    create_graph: bool,
) -> list[Any]:
    """Cotangents of a function's arguments, and then of what it captured, from those of its results.

    Parameters
    ----------
    outputs, bars : sequence
        Results, of which some may be constants, and a cotangent for each.
    arguments : sequence of Tensor
        Made by `tracked`: their own history is not followed.
    captured : sequence of Tensor
    create_graph : bool

    Returns
    -------
    list of Tensor or None
        None where there is no dependence.
    """
    inputs = [*arguments, *captured]
    pairs = [(y, lift(b, y._spec.dtype)) for y, b in zip(outputs, bars, strict=True) if _moves(y)]
    if not pairs:
        return [None] * len(inputs)
    if create_graph or local.state.tape.tracing or any(y._spec.device is not None for y, _ in pairs):
        outputs, bars = [y for y, _ in pairs], [b for _, b in pairs]
        return recorded_sweep(outputs, bars, inputs, create_graph, ends=[t for t in inputs if not t._leaf])
    leaves, others = sweep([(y, value_of(b)) for y, b in pairs], inputs, retain_graph=True, ends=captured)
    found = [leaves[id(t)][1] if id(t) in leaves else others.get(id(t)) for t in inputs]
    return [None if g is None else lift(g) for g in found]


def _moves(y: Any) -> bool:
    return isinstance(y, Tensor) and y._spec.requires_grad
