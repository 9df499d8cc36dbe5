"""Functions whose values are computed again in the reverse sweep, rather than kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import optree

from .autograd.call import users_code
from .autograd.captures import captured_by, history_of, pull_back, tracked
from .autograd.function import Function
from .autograd.keeping import keep, kept
from .primitives.core import lift, ops
from .tape.handle import Tensor
from .tape.state import local

__all__ = ["checkpoint"]


class _Recomputed(Function):
    """Values of a function, of which the arguments are known and what it uses beside them."""

    @staticmethod
    def forward(ctx: Any, function: Callable, values: Sequence[Tensor], count: int, *operands: Any) -> Any:
        """The values."""
        ctx.function, ctx.captured = function, operands[count:]
        keep(ctx, list(operands[:count]))
        return tuple(values)

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        """The pullback of another call."""
        again = local.state.grad_enabled
        given = kept(ctx)
        moving = [k for k, x in enumerate(given) if _moves(x)]
        leaves = [tracked(x) if k in moving else x for k, x in enumerate(given)]
        result, captured = captured_by(ctx.function, leaves)
        if not {history_of(t) for t in captured} <= {history_of(t) for t in (*ctx.captured, *leaves) if _moves(t)}:
            raise RuntimeError(
                "checkpoint: the function uses a value from outside that was written in place, or replaced, since it "
                "was first called, so that it would give another result now: pass that value as an argument"
            )
        outputs = optree.tree_leaves(result)
        found = pull_back(outputs, bars, [leaves[k] for k in moving], ctx.captured, again)
        own = dict(zip(moving, found, strict=False))
        return (None, None, None, *[own.get(k) for k in range(len(leaves))], *found[len(moving) :])


def _moves(x: Any) -> bool:
    return isinstance(x, Tensor) and x._spec.requires_grad


def checkpoint(fun: Callable) -> Callable:
    """A function that keeps only its arguments for the reverse, and runs again there.

    Parameters
    ----------
    fun : callable
        Of arrays or containers of such; must give the same result for the same arguments. It may use values from
        outside: those that are being differentiated are found.

    Returns
    -------
    callable

    Notes
    -----
    What `fun` computes in between is freed at once and computed again in the reverse: memory for time.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> block = tg.checkpoint(lambda x: np.sin(np.exp(x)))
    >>> bool(tg.grad(block)(0.3) == np.cos(np.exp(0.3)) * np.exp(0.3))
    True
    """

    @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if not local.state.grad_enabled:
            return fun(*args, **kwargs)
        given: Any = args, kwargs
        leaves, treedef = optree.tree_flatten(given)

        def function(leaves: Sequence[Any]) -> Any:
            args, kwargs = optree.tree_unflatten(treedef, leaves)
            return fun(*args, **kwargs)

        # Without a history of the arguments, all history that the values have is of what was captured.
        with users_code(True):
            result, captured = captured_by(function, [ops.detach(x) if _moves(x) else x for x in leaves])
        if not captured and not any(_moves(x) for x in leaves):
            return result
        outputs, outdef = optree.tree_flatten(result)
        values = [ops.detach(lift(y)) for y in outputs]
        return optree.tree_unflatten(outdef, _Recomputed.apply(function, values, len(leaves), *leaves, *captured))

    return recomputed
