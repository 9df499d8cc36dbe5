"""`Function`: operations whose forward and backward the user writes."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tape.handle import Tensor
from ..tape.site import user_site
from ..tape.state import grad_mode, local
from .anomaly import is_anomaly_enabled
from .call import Call, users_code
from .hooks import Notes, RemovableHandle, tensor_over
from .node import edge_to
from .reading import Forward, UsersRule
from .saved import SavedSlot, SavedTensor

__all__ = ["Context", "Function", "once_differentiable"]

_SAVED = SavedSlot, SavedTensor


class Context:
    """What `Function.forward` and `Function.backward` share: ``ctx``, and the ``grad_fn`` of the results.

    Attributes
    ----------
    needs_input_grad : tuple of bool
        Which arguments of `apply` require grad.
    """

    _is_node = True
    _call: weakref.ref[Call] | None = None
    _held: Any = None  # what a node needs that outlives the results, see `node`
    _saved: Sequence | None = None
    _saved_forward: Sequence | None = None
    _to_save: tuple = ()
    _to_save_forward: tuple = ()
    _dirty: tuple = ()
    _plain: tuple = ()
    _materialize = True
    _node_notes: Notes | None = None
    needs_input_grad: tuple[bool, ...]

    @property
    def _notes(self) -> Notes:
        """Hooks of the node, made when they are first needed."""
        if self._node_notes is None:
            self._node_notes = Notes()
        return self._node_notes

    @property
    def metadata(self) -> dict:
        """A dictionary for the user's own notes on this node."""
        return self._notes.metadata

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which finds them in `saved_tensors`; in-place writes to them are noticed there.

        Parameters
        ----------
        *tensors : Tensor, array or None
        """
        for k, t in enumerate(tensors):
            if t is not None and not isinstance(t, (Tensor, np.ndarray)):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {k} is of type {type(t).__name__}; keep "
                    f"other values as attributes of ctx"
                )
        self._to_save = tuple(map(_own, tensors))

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`."""
        self._to_save_forward = tuple(map(_own, tensors))

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved for `backward` (or, inside `jvp`, for it).

        Raises
        ------
        RuntimeError
            If a sweep has freed them, or one was written in place since.
        """
        if self._call is None:
            return self._to_save or self._to_save_forward
        if self._saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have "
                f"already been freed): the values that {self.name()} saved were freed by the first backward(). Specify "
                "retain_graph=True there if you need them again."
            )
        return tuple([t.unpack(self) if isinstance(t, _SAVED) else t for t in self._saved])

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
        call = None if self._call is None else self._call()
        return () if call is None else tuple(edge_to(home) for _, _, home in call.imports)

    def register_hook(self, hook: Callable) -> RemovableHandle:
        """Have ``hook(grad_inputs, grad_outputs)`` called after the backward; it may return other `grad_inputs`."""
        return self._notes.after.add(hook)

    def register_prehook(self, hook: Callable) -> RemovableHandle:
        """Have ``hook(grad_outputs)`` called before the backward; it may return other `grad_outputs`."""
        return self._notes.before.add(hook)

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
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the operation.

        Parameters
        ----------
        *args, **kwargs
            Tensors, whose gradients `backward` gives, and anything else. Where `forward` takes no ``ctx``, arguments
            with a default count among them.

        Returns
        -------
        Tensor, tuple, or whatever `forward` returns
        """
        state = local.state
        names: tuple[str, ...] = ()
        if kwargs or cls.setup_context is not _SETUP:
            args, names = cls._bound(args, kwargs)
        needs, arguments, homes = [], [], []
        for k, a in enumerate(args):
            if not isinstance(a, Tensor):
                needs.append(False)
                continue
            if a._rare._base is not None:
                a._refresh_view()
            needs.append(a._spec.requires_grad)
            arguments.append(k)
            homes.append(_home(a))
        differentiable = state.grad_enabled and True in needs
        ctx = cls._context()
        ctx.needs_input_grad = tuple(needs)
        output = cls._run_forward(ctx, args, names)
        if output.__class__ is Tensor:
            outputs: tuple = (output,)
        else:
            outputs = output if isinstance(output, tuple) else (output,)
            outputs = tuple([_as_output(y, cls, differentiable) for y in outputs])
        if ctx._dirty:
            _check_dirty(ctx, outputs, [args[k] for k in arguments], differentiable)
        if not differentiable:
            return outputs if isinstance(output, tuple) else outputs[0]
        call = Call(cls, ctx, args, arguments, homes)
        if state.observers and is_anomaly_enabled():
            ctx._notes.site = user_site()
        made = call.adopt(outputs, args)
        return made if isinstance(output, tuple) else made[0]

    @classmethod
    def _backward_of(cls) -> Callable:
        return cls.backward if cls.backward is not Function.backward else cls.vjp

    @classmethod
    def _has_jvp(cls) -> bool:
        return cls.jvp is not Function.jvp

    @classmethod
    def _users(cls, args: tuple) -> UsersRule:
        """What is the user's in a call."""
        return UsersRule(cls.__name__, (cls.forward, cls.setup_context), args, False)

    @classmethod
    def _bound(cls, args: tuple, kwargs: dict) -> tuple[tuple, tuple[str, ...]]:
        """All arguments in a row, and the names of the last ones, which are passed by name."""
        forward = cls.forward
        if cls.setup_context is not _SETUP and (kwargs or getattr(forward, "__defaults__", None)):
            bound = inspect.signature(forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        return (*args, *kwargs.values()), tuple(kwargs)

    @classmethod
    def _run_forward(cls, ctx: Context, args: tuple, names: tuple[str, ...]) -> Any:
        n = len(args) - len(names)
        named = dict(zip(names, args[n:], strict=True)) if names else {}
        watch = Forward(cls._users, args)
        with users_code(False), watch:
            if cls.setup_context is _SETUP:
                return cls.forward(ctx, *args[:n], **named)
            output = cls.forward(*args[:n], **named)
            cls.setup_context(ctx, args, output)
            return output


_SETUP = Function.setup_context


def _own(t: Any) -> Tensor | None:
    return tensor_over(t.copy()) if isinstance(t, np.ndarray) else t


def _home(t: Tensor) -> Any:
    """Where a tensor's gradient goes."""
    if not t._spec.requires_grad:
        return None
    rare = t._rare
    return t if rare._leaf else rare._home or (t._tape, t._slot)


def _as_output(y: Any, cls: type, differentiable: bool) -> Any:
    """A result of the user's forward; arrays become tensors where a gradient would be lost otherwise."""
    if differentiable and isinstance(y, (np.ndarray, np.floating, np.complexfloating)):
        return tensor_over(np.array(y))
    if (
        differentiable
        and isinstance(y, (list, dict))
        and any(isinstance(x, Tensor) for x in (y.values() if isinstance(y, dict) else y))
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
        if differentiable and any(t is x and x._leaf for x in inputs):
            raise RuntimeError(
                "a leaf Variable that requires grad has been used in an in-place operation: pass a copy (`x.clone()`) "
                "to the Function"
            )


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
