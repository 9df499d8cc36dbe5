"""The graph that rows form: walking it, its edges, and what may be done to it and to what it saved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ..tape.buffer import buffer_of
from ..tape.current import new_tensor, rotate
from ..tape.handle import Tensor
from ..tape.importing import is_inference
from ..tape.site import user_site
from ..tape.state import local
from ..tape.tape import Tape
from .hooks import RemovableHandle, at_end
from .node import AccumulateGrad, Node, edge_to
from .recorded import home_of
from .saved import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "reachable_leaves",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class GradientEdge(NamedTuple):
    """Where a gradient goes: a node, and the number of its result. `grad` and `backward` take it for a tensor."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge to which a tensor's gradient goes; it keeps the graph, and not the tensor's value.

    Parameters
    ----------
    tensor : Tensor

    Returns
    -------
    GradientEdge

    Raises
    ------
    RuntimeError
        If the tensor does not require grad.
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    home = tensor if tensor._leaf else home_of(tensor)
    node, number = edge_to(home)
    return GradientEdge(node, number, home)


def tensor_at(edge: GradientEdge) -> Tensor:
    """A tensor whose gradient goes along an edge."""
    node = edge.node
    if isinstance(node, AccumulateGrad):
        return node.variable
    home = edge.ownership_token
    if home is None:
        home = (node._tape, node._slot) if isinstance(node, Node) else (node._call(), edge.output_nr)
    owner, slot = home
    if isinstance(owner, Tape):
        return new_tensor(owner, slot, owner.signature(slot).out)
    made = new_tensor(None, 0, owner.outs[slot].replace(requires_grad=True))
    made._home = home
    return made


def reachable_leaves(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The leaves that tensors depend on, each once, without recursion."""
    found: dict = {}
    seen = set()
    stack = [edge_to(t if t._leaf else home_of(t))[0] for t in tensors]
    while stack:
        node = stack.pop()
        if isinstance(node, AccumulateGrad):
            found[id(node.variable)] = node.variable
        elif node is not None and node not in seen:
            seen.add(node)
            stack += [n for n, _ in node.next_functions]
    return list(found.values())


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Tell autograd of a write that it could not see, so that stale values are noticed.

    Parameters
    ----------
    tensor : Tensor or iterable of Tensor
        Its version grows by one; its values are left alone.
    """
    site = user_site()
    for t in (tensor,) if isinstance(tensor, Tensor) else tuple(tensor):
        if is_inference(t):
            raise RuntimeError("Inference tensors do not track version counter.")
        if t._tape is not None:
            t._tape.flush()
        buffer = buffer_of(t)
        buffer.version += 1
        buffer.site = site
        buffer.unsettle()
        buffer.tell(None)
    if not local.state.tape.tracing:
        rotate(local.state)  # what is recorded from now on reads the new version


class allow_mutation_on_saved_tensors(save_on_cpu):
    """Within a block, let saved values be written: sweeps use copies that were made when they were saved.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> x = tg.tensor([2.0], requires_grad=True)
    >>> with tg.autograd.graph.allow_mutation_on_saved_tensors():
    ...     b = x * 1
    ...     y = b * b
    ...     b *= 0
    ...     y.backward()
    >>> x.grad
    tensor([4.])
    """


class _MultiHandle(RemovableHandle):
    """Takes several hooks away together."""

    def __init__(self, handles: Sequence[RemovableHandle]):
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self.handles:
            handle.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable, *, mode: str = "all") -> RemovableHandle:
    """Have a function called with the gradients of several tensors.

    Parameters
    ----------
    tensors : sequence of Tensor
    fn : callable
        In mode ``"all"``, called once a sweep with the list of gradients, None for tensors that it did not reach; in
        mode ``"any"``, with the first gradient that is ready.
    mode : {"all", "any"}

    Returns
    -------
    RemovableHandle
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    found: dict[int, Tensor] = {}

    def finish() -> None:
        with lock:
            bars = [found.get(k) for k in range(len(tensors))]
            found.clear()
        if mode == "all":
            fn(bars)

    def hook_of(k: int) -> Callable:
        def hook(bar: Tensor) -> None:
            with lock:
                first = not found
                found[k] = bar
            if first:
                at_end(finish)
                if mode == "any":
                    fn(bar)

        return hook

    return _MultiHandle([t.register_hook(hook_of(k)) for k, t in enumerate(tensors)])
