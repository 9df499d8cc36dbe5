"""Walking the graph that rows form."""

from __future__ import annotations

from .node import AccumulateGrad
from .recorded import home_of
from .saved import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks

__all__ = ["disable_saved_tensors_hooks", "reachable_leaves", "save_on_cpu", "saved_tensors_hooks"]


def reachable_leaves(tensors):
    """The leaves that tensors depend on, each once, without recursion."""
    from .node import _node

    found: dict = {}
    seen = set()
    stack = [AccumulateGrad(t) if t._leaf else _node(*home_of(t)) for t in tensors]
    while stack:
        node = stack.pop()
        if isinstance(node, AccumulateGrad):
            found[id(node.variable)] = node.variable
        elif node is not None and node not in seen:
            seen.add(node)
            stack += [n for n, _ in node.next_functions]
    return list(found.values())
