"""PyTorch's names: `backward`, `grad`, and what tensors know of their place in the graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain, starmap
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..creation import tensor
from ..errors import BatchedValueError
from ..primitives.core import lift, ops
from ..tape.handle import NOTHING, Rare, Tensor
from ..tape.state import grad_mode, local
from ..values import value_of
from .engine import one, sweep
from .graph import GradientEdge, reachable_leaves, tensor_at
from .hooks import run_accumulated_hooks, tensor_over
from .recorded import recorded_sweep
from .repeated import is_repeatable, repeated_sweep

__all__ = ["Tensors", "backward", "grad"]

Tensors: TypeAlias = "Tensor | GradientEdge | Sequence[Tensor | GradientEdge] | dict[str, Tensor]"
_Cotangents: TypeAlias = "Tensor | ArrayLike | Sequence[Tensor | ArrayLike | None] | None"


def _listed(tensors: Any) -> list[Tensor]:
    """Tensors, or edges of the graph, as a list of tensors."""
    if isinstance(tensors, dict):
        tensors = tensors.values()
    elif isinstance(tensors, (Tensor, GradientEdge)):
        tensors = (tensors,)
    return [tensor_at(t) if isinstance(t, GradientEdge) else t for t in tensors]


def _seeds(tensors: Any, gradients: Any, name: str, batched: bool = False) -> list[tuple[Tensor, Any]]:
    """A cotangent for each output, checked."""
    if gradients is None and tensors.__class__ is Tensor and tensors._rare is NOTHING:  # nothing but a loss
        spec = tensors._spec
        if spec.requires_grad and spec.size == 1 and spec.dtype.kind == "f":
            return [(tensors, one(spec.shape, spec.dtype))]
    outputs = _listed(tensors)
    if gradients is None or isinstance(gradients, (Tensor, np.ndarray, np.generic, float, int, complex)):
        gradients = (gradients,) * len(outputs) if gradients is None else (gradients,)
    gradients = tuple(gradients)
    if len(outputs) != len(gradients):
        raise RuntimeError(f"{name}: got {len(outputs)} tensors and {len(gradients)} gradients")
    pairs = []
    for k, (t, g) in enumerate(zip(outputs, gradients, strict=True)):
        if not isinstance(t, Tensor):
            raise TypeError(f"element {k} of tensors is {type(t).__name__}, not a Tensor")
        if not t.requires_grad:
            raise RuntimeError(f"element {k} of tensors does not require grad and does not have a grad_fn")
        shape = t._spec.shape
        if g is None:
            if t._spec.size != 1:
                raise RuntimeError(
                    f"grad can be implicitly created only for scalar outputs; this one has shape {shape}. "
                    f"Pass gradient= of that shape, or sum it first"
                )
            if t._spec.dtype.kind == "c":
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs; this one is {t._spec.dtype.name}. "
                    f"Pass gradient= as a complex number, or take the real part first"
                )
            g = one(shape, t._spec.dtype)
        elif batched and (np.ndim(g) == 0 or np.shape(g)[1:] != shape):
            raise RuntimeError(
                f"If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch "
                f"dimension. The sizes of the remaining dimensions are expected to match the shape of corresponding "
                f"output, but a mismatch was detected: grad_output[{k}] has a shape of {np.shape(g)} and output[{k}] "
                f"has a shape of {shape}."
            )
        elif not batched and np.shape(g) != shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{k}] has a shape of {np.shape(g)} and output[{k}] has a shape of "
                f"{shape}."
            )
        elif isinstance(g, Tensor) and g._spec.dtype.kind == "c" and t._spec.dtype.kind != "c":
            raise RuntimeError(
                f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch "
                f"in dtype: grad_output[{k}] has a dtype of {g._spec.dtype} and output[{k}] a dtype of {t._spec.dtype}."
            )
        pairs.append((t, g))
    return pairs


def backward(
    tensors: Tensors,
    grad_tensors: _Cotangents = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Accumulate the gradients of tensors into the ``grad`` of the leaves that they depend on.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
    grad_tensors : Tensor, array or sequence of such, optional
        Cotangents; may be left out for tensors of one element.
    retain_graph : bool, optional
        Keep what the sweep needs for another one; by default, what `create_graph` is.
    create_graph : bool
        Record the sweep itself, so that gradients can be differentiated.
    inputs : Tensor or sequence of Tensor, optional
        Accumulate into these alone; those that are no leaves retain their gradient from then on, as in PyTorch.

    Raises
    ------
    RuntimeError
        If a tensor does not require grad, a cotangent is missing or of the wrong shape, the graph was freed, or a
        value that is needed was overwritten. No ``grad`` has changed then.
    """
    if local.state.tape.symbolic:
        raise RuntimeError(
            "backward() called inside of vmap. This is not supported, since leaves have one gradient for all examples: "
            "use tapegrad.grad or tapegrad.vjp inside, or call backward() on what vmap returns."
        )
    pairs = _seeds(tensors, grad_tensors, "backward")
    wanted = None if inputs is None else _listed(inputs)
    if wanted is not None and not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    for t in wanted or ():
        t.retain_grad()
    retain_graph = create_graph if retain_graph is None else retain_graph
    if create_graph:
        _recorded_backward(pairs, wanted)
        return
    leaves, others = sweep([(t, _array_of(g, t)) for t, g in pairs], wanted, retain_graph, visit=True)
    found = [pair for pair in leaves.values() if pair[0]._rare._leaf]
    if wanted is not None:
        found = [(t, a) for t, a in found if any(t is w for w in wanted)]
    accumulate_all([*found, *others["retained"]] if "retained" in others else found)
    for leaf, _ in found:
        if leaf._rare._hooks is not None:
            run_accumulated_hooks(leaf, leaf._grad)


def _array_of(cotangent: Any, output: Tensor) -> Any:
    """An output's cotangent as an array, on the device if the output stands there."""
    device, dtype = output._spec.device, output._spec.dtype
    if device is not None:
        return device.cotangent(cotangent, output._spec)
    if cotangent.__class__ is np.ndarray and cotangent.dtype is dtype:
        return cotangent
    return np.asarray(value_of(cotangent) if isinstance(cotangent, Tensor) else cotangent, dtype)


def _constant_of(cotangent: Any, output: Tensor) -> Tensor:
    """An output's cotangent as a tensor of its own, which hooks may write to."""
    return lift(np.array(cotangent) if isinstance(cotangent, np.ndarray) else cotangent, output._spec.dtype)


def accumulate_all(pairs: Sequence[tuple[Tensor, np.ndarray]]) -> None:
    """Add gradients to ``tensor.grad``; the arrays become the tensors' own.

    What is simple happens in one call without a line of Python in it, so that an interrupt finds all of it done or
    nothing: where there was no gradient, or one that stands in memory of its own.
    """
    new, added, others, seen = [], [], [], set()
    for t, array in pairs:
        rare = t._rare
        grad = rare._grad
        if id(t) in seen:
            others.append((t, array))
        elif grad is None:
            if type(rare) is not Rare or rare is NOTHING:
                t._grad = None  # so that it has a place
                rare = t._rare
            new.append((rare, "_grad", tensor_over(array)))
        elif isinstance(grad._memory, np.ndarray) and grad._base is None and not grad._spec.requires_grad:
            added.append((grad._memory, array, grad._memory))
            if grad._buffer is not None:  # whoever uses it is to know of the write
                new.append((grad._buffer, "version", grad._buffer.version + 1))
        else:
            others.append((t, array))
        seen.add(id(t))
    tape = local.state.tape
    if added and not tape.tracing:
        tape.flush()  # rows that read a gradient as it is
    deque(chain(starmap(setattr, new), starmap(np.add, added)) if added else starmap(setattr, new), maxlen=0)
    for t, array in others:
        accumulate(t, array)


def accumulate(tensor: Tensor, array: np.ndarray) -> None:
    """Add a gradient to one that is there, or begin one."""
    if tensor._grad is None:
        tensor._grad = tensor_over(array)
        return
    with grad_mode(False):
        tensor._grad.__iadd__(tensor_over(array))


def _recorded_backward(pairs: list[tuple[Tensor, Any]], inputs: list[Tensor] | None) -> None:
    inputs = reachable_leaves([t for t, _ in pairs]) if inputs is None else inputs
    seeds = [_constant_of(g, t) for t, g in pairs]
    retained: list = []
    bars = recorded_sweep([t for t, _ in pairs], seeds, inputs, True, retained, visit=True)
    leaves = {id(t): (t, bar) for t, bar in zip(inputs, bars, strict=True) if t._leaf and bar is not None}
    _accumulate_recorded([*leaves.values(), *retained], True)
    for t, bar in leaves.values():
        if t._hooks is not None:
            run_accumulated_hooks(t, bar)


def _accumulate_recorded(pairs: list[tuple[Tensor, Tensor]], create_graph: bool) -> None:
    """Add gradients that are tensors; each ``grad`` becomes a tensor of its own."""
    with grad_mode(create_graph):
        for t, bar in pairs:
            t._grad = ops.copy(bar) if t._grad is None else t._grad + bar


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: _Cotangents = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """Gradients of outputs with respect to inputs, returned and not accumulated.

    Parameters
    ----------
    outputs, inputs : Tensor, GradientEdge or sequence of such
        `inputs` may be a dict.
    grad_outputs : optional
        Cotangents of the outputs.
    retain_graph, create_graph : bool
        As in `backward`.
    only_inputs : bool
        Accepted as in PyTorch; it means nothing.
    allow_unused : bool
        Return None for an input that no output depends on, rather than raise.
    is_grads_batched : bool
        Each of `grad_outputs` has a first axis along which there are several cotangents; so have the gradients then.
        One sweep carries them all.
    materialize_grads : bool
        Return zeros for inputs that no output depends on.

    Returns
    -------
    tuple of Tensor, or dict

    Raises
    ------
    RuntimeError
        As in `backward`; and if an input is not used and that is not allowed.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    wanted = _listed(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for k, t in enumerate(wanted):
        if not t.requires_grad:
            raise RuntimeError(f"One of the differentiated Tensors does not require grad: input {k}")
    pairs = _seeds(outputs, grad_outputs, "grad", is_grads_batched)
    retain_graph = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        found = _batched_gradients(pairs, wanted, retain_graph, create_graph)
    else:
        found = _gradients(pairs, wanted, retain_graph, create_graph)
    for k, g in enumerate(found):
        if g is None and materialize_grads:
            zeros = np.zeros(wanted[k]._spec.shape, wanted[k]._spec.dtype)
            found[k] = tensor(zeros, requires_grad=create_graph)
        elif g is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {k} appears to not have been used in the graph. Set "
                f"allow_unused=True if this is the desired behavior."
            )
    return dict(zip(inputs, found, strict=True)) if isinstance(inputs, dict) else tuple(found)


def _gradients(
    pairs: list[tuple[Tensor, Any]], wanted: list[Tensor], retain_graph: bool, create_graph: bool
) -> list[Tensor | None]:
    if create_graph or local.state.tape.tracing:
        recorded = [_constant_of(g, t) for t, g in pairs]
        retained: list = []
        bars = recorded_sweep([t for t, _ in pairs], recorded, wanted, create_graph, retained)
        _accumulate_recorded(retained, create_graph)
        return bars
    leaves, others = sweep([(t, _array_of(g, t)) for t, g in pairs], wanted, retain_graph)
    accumulate_all(others.get("retained", ()))
    found: list[Tensor | None] = []
    for t in wanted:
        array = leaves[id(t)][1] if id(t) in leaves else others.get(id(t))
        found.append(None if array is None else tensor(array) if isinstance(array, np.ndarray) else tensor_over(array))
    return found


def _batched_gradients(
    pairs: list[tuple[Tensor, Any]], wanted: list[Tensor], retain_graph: bool, create_graph: bool
) -> list[Tensor | None]:
    """Gradients for each of several cotangents, put together along a first axis; the last sweep frees the graph."""
    from ..batching import vmap

    sizes = {np.shape(g)[0] for _, g in pairs}
    if len(sizes) != 1:
        raise RuntimeError(f"is_grads_batched=True: the batches of grad_outputs have different sizes, {sorted(sizes)}")
    outputs = [t for t, _ in pairs]

    def together(*bars: Tensor) -> list[Tensor | None]:
        return recorded_sweep(outputs, list(bars), wanted, create_graph)

    def swept(stacks: Sequence[Tensor]) -> list[Tensor | None]:
        return vmap(together, randomness="same")(*stacks)

    keeps = retain_graph or create_graph or local.state.tape.tracing
    stacks = [lift(g, t._spec.dtype) for t, g in pairs]
    with grad_mode(create_graph):
        try:
            given = stacks if keeps else [g[:-1] for g in stacks]
            tape = local.state.tape
            if is_repeatable(tape, outputs, wanted):
                found = repeated_sweep(tape, "batched", create_graph, outputs, wanted, given, swept)
            else:
                found = swept(given)
        except BatchedValueError:  # a backward of the user's own looks at cotangents' values
            return _gradients_one_by_one(outputs, stacks, wanted, retain_graph, create_graph)
        if keeps or 0 in sizes:
            return found
        last = _gradients([(t, g[-1]) for t, g in zip(outputs, stacks, strict=True)], wanted, False, False)
        joined: Any = [None if b is None else np.concatenate([a, b[None]]) for a, b in zip(found, last, strict=True)]
        return joined


def _gradients_one_by_one(
    outputs: list[Tensor], stacks: list[Tensor], wanted: list[Tensor], retain_graph: bool, create_graph: bool
) -> list[Tensor | None]:
    """The same by a sweep for each cotangent."""
    count = len(stacks[0])
    each = []
    for k in range(count):
        pairs = [(t, g[k]) for t, g in zip(outputs, stacks, strict=True)]
        each.append(_gradients(pairs, wanted, retain_graph or k < count - 1, create_graph))
    joined: Any = [None if parts[0] is None else np.stack(parts) for parts in zip(*each, strict=True)]
    return joined
