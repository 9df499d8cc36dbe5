"""What a `Function` keeps of its arguments, whatever containers they are in, until its backward."""

from __future__ import annotations

from typing import Any

import optree

from ..tape.handle import Tensor

__all__ = ["keep", "kept"]


def keep(ctx: Any, tree: Any) -> None:
    """Save the tensors of a tree with a call, so that later writes to them are noticed; the rest stays as it is."""
    leaves, ctx.kept_structure = optree.tree_flatten(tree)
    ctx.save_for_backward(*[x if isinstance(x, Tensor) else None for x in leaves])
    ctx.kept_constants = tuple([None if isinstance(x, Tensor) else x for x in leaves])


def kept(ctx: Any) -> Any:
    """The tree, with the tensors as they were.

    Raises
    ------
    RuntimeError
        If one was written since, or the call's saved values were freed.
    """
    pairs = zip(ctx.saved_tensors, ctx.kept_constants, strict=True)
    return optree.tree_unflatten(ctx.kept_structure, [x if t is None else t for t, x in pairs])
