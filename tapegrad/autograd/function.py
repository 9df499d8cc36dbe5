"""`Function`: operations whose forward and backward the user writes.

A call ends the tape that its operands stand on and takes a place of its own in the order of tapes: sweeps, which go
from the latest tape to the earliest, meet it there and ask it for cotangents as they ask a tape. While a function
is compiled there is one tape only; the call then lies between two of its rows, and its forward and backward become rows.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..primitives.core import lift, ops
from ..tape.buffer import buffer_of
from ..tape.handle import Tensor
from ..tape.record import new_tensor, rotate
from ..tape.spec import spec_of, spec_of_array
from ..tape.state import grad_mode, local
from ..tape.tape import next_rank
from ..values import value_of
from ..vm import opcodes as op
from .hooks import Notes, run_node_hooks, run_tensor_hooks, tensor_over
from .recorded import home_of
from .saved import SavedTensor

__all__ = ["Call", "Function", "once_differentiable"]


class Context:
    """What `Function.forward` and `Function.backward` share: ``ctx``, and the ``grad_fn`` of the results.

    Attributes
    ----------
    needs_input_grad : tuple of bool
        Which arguments of `apply` require grad.
    metadata : dict
        The user's own.
    """

    _call: Call
    needs_input_grad: tuple[bool, ...]

    def __init__(self) -> None:
        self._to_save: tuple = ()
        self._to_save_forward: tuple = ()
        self._dirty: tuple = ()
        self._plain: tuple = ()
        self._materialize = True
        self.metadata: dict = {}

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which finds them in `saved_tensors`; in-place writes to them are noticed there.

        Parameters
        ----------
        *tensors : Tensor or None
        """
        for k, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {k} is of type {type(t).__name__}; keep "
                    f"other values as attributes of ctx"
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`."""
        self._to_save_forward = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved for `backward` (or, inside `jvp`, for it).

        Raises
        ------
        RuntimeError
            If a sweep has freed them, or one was written in place since.
        """
        call = self.__dict__.get("_call")
        if call is None:
            return self._to_save or self._to_save_forward
        return call.unpack()

    saved_variables = saved_tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which arguments `forward` writes in place; each must be among its results."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results carry no gradient."""
        self._plain = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) rather than None for results that nothing depends on."""
        self._materialize = bool(value)

    def name(self) -> str:
        """The function's name and ``Backward``."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple:
        """Nodes that the gradient goes to, one for each tensor argument."""
        from .node import edge_to

        return tuple(edge_to(home) for _, _, home, *_ in self._call.imports)

    def register_hook(self, hook: Callable) -> Any:
        """Have ``hook(grad_inputs, grad_outputs)`` called after the backward; it may return other `grad_inputs`."""
        return self._call.node_notes.after.add(hook)

    def register_prehook(self, hook: Callable) -> Any:
        """Have ``hook(grad_outputs)`` called before the backward; it may return other `grad_outputs`."""
        return self._call.node_notes.before.add(hook)

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class Function:
    """An operation with a forward and a backward of the user's own; called by `apply`.

    Write ``forward(ctx, *args)``, or ``forward(*args)`` and ``setup_context(ctx, inputs, output)``; and
    ``backward(ctx, *grad_outputs)``, which returns a gradient or None for each argument of the forward. All are static
    methods. `jvp` is optional: forward mode transposes the backward where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> class Exp(tg.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         y = np.exp(x)
    ...         ctx.save_for_backward(y)
    ...         return y
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         (y,) = ctx.saved_tensors
    ...         return grad_output * y
    >>> x = tg.tensor([0.0, 1.0], requires_grad=True)
    >>> Exp.apply(x).sum().backward()
    >>> x.grad
    tensor([1.        , 2.71828183])
    """

    _context: type[Context] = Context

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._context = type(cls.__name__ + "Backward", (Context,), {"_function": cls})

    def __init__(self, *args: Any, **kwargs: Any):
        raise RuntimeError(
            f"{type(self).__name__} should not be instantiated: write forward and backward as static methods, and call "
            f"{type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the results; gradients are not recorded inside."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what `backward` needs, where `forward` takes no ``ctx``."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of the arguments, from those of the results."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Tangents of the results, from those of the arguments."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call the operation.

        Parameters
        ----------
        *args
            Tensors, whose gradients `backward` gives, and anything else.

        Returns
        -------
        Tensor, tuple, or whatever `forward` returns
        """
        for a in args:
            if isinstance(a, Tensor) and a._base is not None:
                a._refresh_view()
        state = local.state
        tensors = [a for a in args if isinstance(a, Tensor)]
        differentiable = state.grad_enabled and any(t._spec.requires_grad for t in tensors)
        homes = [_home(t) for t in tensors]
        dirty_before = [(t, t._leaf) for t in tensors]
        ctx = cls._context()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a._spec.requires_grad for a in args)
        output = cls._run_forward(ctx, args)
        outputs = output if isinstance(output, tuple) else (output,)
        outputs = tuple(_as_output(y, cls, differentiable) for y in outputs)
        _check_dirty(ctx, outputs, dirty_before, differentiable)
        if not differentiable:
            return outputs if isinstance(output, tuple) else outputs[0]
        call = Call(cls, ctx, args, homes)
        made = call.adopt(outputs)
        return made if isinstance(output, tuple) else made[0]

    @classmethod
    def _run_forward(cls, ctx: Context, args: tuple) -> Any:
        with _users_code(False):
            if cls.setup_context is Function.setup_context:
                return cls.forward(ctx, *args)
            output = cls.forward(*args)
            cls.setup_context(ctx, args, output)
            return output


class _users_code:
    """The user's own code runs: with values at hand, in the given gradient mode."""

    def __init__(self, grad_enabled: bool):
        self.mode = grad_mode(grad_enabled)

    def __enter__(self) -> None:
        self.mode.__enter__()
        state = local.state
        self.depth, state.depth = state.depth, 0

    def __exit__(self, *error: Any) -> None:
        local.state.depth = self.depth
        self.mode.__exit__(*error)


def _home(t: Tensor) -> Any:
    """Where a tensor's gradient goes."""
    if not t._spec.requires_grad:
        return None
    return t if t._leaf else home_of(t)


def _as_output(y: Any, cls: type, differentiable: bool) -> Any:
    """A result of the user's forward; arrays become tensors where a gradient would be lost otherwise."""
    if differentiable and isinstance(y, (np.ndarray, np.floating, np.complexfloating)):
        return tensor_over(np.array(y))
    if differentiable and isinstance(y, (list, dict)) and any(
        isinstance(x, Tensor) for x in (y.values() if isinstance(y, dict) else y)
    ):
        raise TypeError(
            f"{cls.__name__}.forward returned a {type(y).__name__} of tensors, whose gradients would be lost: return a "
            f"tensor or a tuple of tensors"
        )
    return y


def _check_dirty(ctx: Context, outputs: tuple, inputs: list, differentiable: bool) -> None:
    for t in ctx._dirty:
        if not any(t is y for y in outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that "
                "are modified inplace must all be outputs of the Function."
            )
        if differentiable and any(t is x and leaf for x, leaf in inputs):
            raise RuntimeError(
                "a leaf Variable that requires grad has been used in an in-place operation: pass a copy (`x.clone()`) "
                "to the Function"
            )


class Call:
    """One call of a `Function`, as the sweeps see it: like a tape, whose slots are the results.

    Attributes
    ----------
    imports : list of tuple
        ``(k, None, home)`` of each tensor argument.
    rank, position : float
        Where sweeps meet it: among the tapes, and within a tape that is being compiled.
    outs, types : list
        Specs of the results that carry gradients, and of all that are tensors; None for others.
    notes : dict
        Hooks of the results.
    """

    freed = False

    def __init__(self, cls: Any, ctx: Context, args: tuple, homes: list):
        self.cls, self.ctx = cls, ctx
        ctx._call = self
        self.arguments = [k for k, a in enumerate(args) if isinstance(a, Tensor)]
        self.specs = [args[k]._spec for k in self.arguments]
        self.count = len(args)
        self.imports = [(k, None, home) for k, home in enumerate(homes)]
        self.inputs = [args[k] for k in self.arguments]
        self.notes: dict = {}
        self.node_notes = Notes()
        self.retaining: dict = {}
        self.foreign_writes: dict = {}
        self.outs: list = []
        self.types: list = []
        self.saved: list = []
        self.saved_forward: list = []
        tape = local.state.tape
        if tape.tracing:
            self.rank, self.position = tape.rank, len(tape.rows) - 0.5
        else:
            for home in homes:
                if isinstance(home, tuple):
                    if home[0] is local.state.tape:
                        rotate(local.state)
                    home[0].seal()
            self.rank, self.position = next_rank(), 0.0

    def retain(self, k: int, tensor: Tensor) -> None:
        """Have sweeps hand out a result's cotangent to a tensor, as long as that lives."""
        self.retaining[k] = weakref.ref(tensor)

    def root_of(self, k: int) -> int:
        """Results share no memory that rows of this call would read."""
        return k

    def seal(self) -> None:
        """A call has its place in the order from the beginning."""

    def flush(self) -> None:
        """Nothing is ever pending."""

    # --- forward --------------------------------------------------------------------------------------

    def adopt(self, outputs: tuple) -> tuple:
        """Make the forward's results results of this call."""
        ctx = self.ctx
        made = tuple(self._adopt(k, y) for k, y in enumerate(outputs))
        places = {id(y): k for k, y in enumerate(outputs) if isinstance(y, Tensor)}
        self.saved = [self._save(t, places, made) for t in ctx._to_save]
        self.saved_forward = [self._save(t, places, made) for t in ctx._to_save_forward]
        ctx._to_save = ctx._to_save_forward = ctx._dirty = ()
        if not local.state.tape.tracing:
            self.inputs = []
        return made

    def _adopt(self, k: int, y: Any) -> Any:
        if not isinstance(y, Tensor):
            self.outs.append(None)
            self.types.append(None)
            return y
        spec = y._spec
        self.types.append(spec)
        plain = spec.dtype.kind not in "fc" or any(y is t for t in self.ctx._plain)
        self.outs.append(None if plain else spec)
        passed = any(y is x for x in self.inputs)
        dirty = any(y is x for x in self.ctx._dirty)
        if plain:
            return ops.detach(y) if passed and not dirty else y
        if local.state.tape.tracing:
            return self._adopt_traced(k, y)
        if dirty:
            return self._adopt_written(k, y)
        if passed:
            base, y = y, new_tensor(None, 0, spec)
            y._data, y._buffer, y._base = value_of(base), buffer_of(base), base
        viewed = y._base is not None
        self._become(k, y, value_of(y))
        if viewed:
            y._made_by = self.cls.__name__
            y._base = None
        return y

    def _become(self, k: int, y: Tensor, array: np.ndarray) -> None:
        y._data, y._tape, y._slot = array, None, 0
        y._home, y._leaf = (self, k), False
        y._spec = spec_of_array(array, True)

    def _adopt_written(self, k: int, y: Tensor) -> Tensor:
        """An argument that was written in place: its history is this call, and its base's goes through it."""
        base = y._base
        self._become(k, y, value_of(y))
        buffer = buffer_of(y)
        y._seen = buffer.version
        if base is not None:
            from ..inplace import adopt_written

            adopt_written(y)
        return y

    def _adopt_traced(self, k: int, y: Tensor) -> Tensor:
        with grad_mode(True):
            made = ops.track(y)
        tape = local.state.tape
        tape.notes.setdefault(made._slot, Notes()).source = (self, k)
        return made

    def _save(self, t: Tensor | None, places: dict, made: tuple) -> Any:
        if t is None or local.state.tape.tracing:
            k = None if t is None else places.get(id(t))
            return t if k is None or self.outs[k] is None else made[k]
        k = places.get(id(t))
        if k is not None and self.outs[k] is not None:
            return SavedTensor(made[k], output=k)
        return SavedTensor(t)

    def unpack(self) -> tuple:
        """What was saved for the backward."""
        if self.freed:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have "
                f"already been freed): the values that {self.ctx.name()} saved were freed by the first backward(). "
                "Specify retain_graph=True there if you need them again."
            )
        return tuple(t.unpack(self) if isinstance(t, SavedTensor) else t for t in self.saved)

    # --- reverse --------------------------------------------------------------------------------------

    def cotangents(self, bars: dict, wanted: Sequence[bool], create_graph: bool) -> list:
        """Cotangents of the tensor arguments, from those of the results by their numbers."""
        given: list = []
        for k, spec in enumerate(self.types):
            bar = bars.get(k)
            if bar is None and spec is not None and self.ctx._materialize:
                bar = _zeros(spec)
            given.append(bar)
        with _users_code(create_graph):
            if self.node_notes.before:
                given = list(run_node_hooks(self.node_notes.before, tuple(given)))
            method = self.cls.backward if self.cls.backward is not Function.backward else self.cls.vjp
            found = method(self.ctx, *given)
            bars_in = self._check(found if isinstance(found, tuple) else (found,))
            if self.node_notes.after:
                bars_in = list(run_node_hooks(self.node_notes.after, tuple(bars_in), tuple(given)))
        return [b if want else None for b, want in zip(bars_in, wanted, strict=True)]

    def _check(self, found: tuple) -> list:
        """One cotangent for each tensor argument, of its shape and dtype."""
        name = self.ctx.name()
        while len(found) > self.count and found[-1] is None:
            found = found[:-1]
        if len(found) != self.count:
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected {self.count}, got {len(found)}): "
                f"backward must return one for each argument of forward, None where there is none"
            )
        for k, g in enumerate(found):
            if k not in self.arguments and g is not None:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position {k + 1}, but the "
                    f"corresponding forward input was not a Variable"
                )
        return [self._fit(name, k, found[k], spec) for k, spec in zip(self.arguments, self.specs, strict=True)]

    def _fit(self, name: str, k: int, g: Any, spec: Any) -> Tensor | None:
        if g is None or not spec.requires_grad:
            return None
        if isinstance(g, (np.ndarray, np.generic)):
            g = tensor_over(np.array(g))
        if not isinstance(g, Tensor):
            raise RuntimeError(
                f"{name} must return tensors: expected Variable or None (got {type(g).__name__}) at index {k}"
            )
        if g._spec.shape != spec.shape:
            try:
                fits = np.broadcast_shapes(g._spec.shape, spec.shape) == g._spec.shape
            except ValueError:
                fits = False
            if not fits:
                raise RuntimeError(
                    f"Function {name} returned an invalid gradient at index {k} - got {list(g._spec.shape)} but "
                    f"expected shape compatible with {list(spec.shape)}"
                )
        from ..primitives.core import unbroadcast

        return unbroadcast(g, _Like(spec))

    # --- forward mode ---------------------------------------------------------------------------------

    def tangents(self, moving: list) -> list:
        """Tangents of the results, from those of the tensor arguments (None where one does not move)."""
        if self.cls.jvp is Function.jvp:
            return self._transposed(moving)
        given: list = [None] * self.count
        for k, spec, dot in zip(self.arguments, self.specs, moving, strict=True):
            given[k] = _zeros(spec) if dot is None and self.ctx._materialize else dot
        saved = self.saved
        try:
            self.saved = self.saved_forward or saved
            with _users_code(True):
                found = self.cls.jvp(self.ctx, *given)
        finally:
            self.saved = saved
        return list(found) if isinstance(found, tuple) else [found]

    def _transposed(self, moving: list) -> list:
        """The backward is linear in the results' cotangents: its transpose is the pushforward."""
        from .recorded import recorded_sweep

        seeds = {k: ops.track(_zeros(spec)) for k, spec in enumerate(self.outs) if spec is not None}
        bars = self.cotangents(seeds, [d is not None for d in moving], True)
        pairs = [(b, d) for b, d in zip(bars, moving, strict=True) if b is not None and d is not None]
        pairs = [(b, d) for b, d in pairs if b._spec.requires_grad]
        if not pairs:
            return [None] * len(self.outs)
        dots = recorded_sweep([b for b, _ in pairs], [d for _, d in pairs], list(seeds.values()), True)
        found = dict(zip(seeds, dots, strict=True))
        return [found.get(k) for k in range(len(self.outs))]

    def sweep(self, seeds: dict) -> _CallSweep:
        """This call's part of a sweep in which it was reached."""
        return _CallSweep(self, seeds)


class _Like:
    """Stands for a tensor of which only the type is asked."""

    def __init__(self, spec: Any):
        self._spec = spec


def _zeros(spec: Any) -> Tensor:
    return tensor_over(np.zeros(spec.shape, spec.dtype))


class _CallSweep:
    """A call's part of a sweep that is not recorded; has what `engine._TapeSweep` has."""

    def __init__(self, call: Call, seeds: dict):
        self.call, self.seeds = call, seeds
        self.visited = False
        self.found: list = []

    def run(self, targets: dict, relevant: dict | None) -> None:
        """Ask the call for cotangents."""
        call = self.call
        bars = {}
        for k, array in self.seeds.items():
            bar = tensor_over(np.array(array))
            if k in call.notes:
                with _users_code(False):
                    bar = run_tensor_hooks(call.notes[k].tensor, bar)
            bars[k] = bar
        self.bars = bars
        wanted = [
            home is not None and (relevant is None or _leads(home, relevant)) for _, _, home in call.imports
        ]
        if not any(wanted):
            return
        self.visited = True
        from .stepping import watchers

        for watcher in watchers:
            watcher.before(call, 0)
        self.found = call.cotangents(bars, wanted, False)
        for watcher in watchers:
            watcher.after(call, 0, self.found)

    def reached(self) -> Any:
        """(home, gradient) of each argument that has one."""
        for (_, _, home), bar in zip(self.call.imports, self.found, strict=False):
            if bar is not None:
                yield home, np.array(value_of(bar))

    def collected(self, targets: dict) -> dict:
        """Gradients of the results that were asked for."""
        return {
            id(t): np.array(value_of(self.bars[k]))
            for (call, k), tensors in targets.items()
            if call is self.call and k in self.bars
            for t in tensors
        }

    def retained(self) -> Any:
        """(tensor, gradient) of each result that retains its gradient."""
        for k, reference in self.call.retaining.items():
            tensor = reference()
            if tensor is not None and k in self.bars:
                yield tensor, np.array(value_of(self.bars[k]))

    def free(self) -> None:
        """Let go of what the call saved."""
        if self.visited and self.call.saved:
            self.call.freed = True
            self.call.saved = []


def _leads(home: Any, relevant: dict) -> bool:
    if isinstance(home, tuple):
        return bool(relevant[home[0]][home[1]])
    return id(home) in relevant["leaves"]


def once_differentiable(backward: Callable) -> Callable:
    """Decorate a `Function.backward` that cannot be differentiated: to try is refused.

    Parameters
    ----------
    backward : callable

    Returns
    -------
    callable
    """

    @functools.wraps(backward)
    def wrapped(ctx: Any, *bars: Any) -> Any:
        with grad_mode(False):
            found = backward(ctx, *bars)
        if not (local.state.grad_enabled and any(isinstance(b, Tensor) and b._spec.requires_grad for b in bars)):
            return found
        several = isinstance(found, tuple)
        made = tuple(_refuse_twice(g, bars) for g in (found if several else (found,)))
        return made if several else made[0]

    return wrapped


def _refuse_twice(g: Any, bars: tuple) -> Any:
    if not isinstance(g, Tensor):
        return g
    return _Twice.apply(g.detach(), *[b for b in bars if isinstance(b, Tensor) and b._spec.requires_grad])


class _Twice(Function):
    @staticmethod
    def forward(ctx: Any, g: Any, *bars: Any) -> Any:
        return g.clone()

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


class Stand(Function):
    """Gives a value that was unpacked the history of the tensor that it was."""

    @staticmethod
    def forward(ctx: Any, original: Any, value: Any) -> Any:
        """The value."""
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        """The cotangent, for the original."""
        return bars[0], None
