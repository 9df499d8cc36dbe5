"""Functions with derivatives of the user's own, in JAX's manner."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from .autograd.function import Function
from .autograd.keeping import keep, kept
from .autograd.reading import UsersRule
from .functional import vjp
from .primitives.core import lift
from .tape.handle import Tensor
from .tape.state import grad_mode, local

__all__ = ["custom_jvp", "custom_vjp", "has_tensor", "name_of"]


def has_tensor(tree: Any) -> bool:
    """Whether there is a tensor in a container."""
    return any(isinstance(x, Tensor) for x in optree.tree_leaves(tree))


class _Custom:
    """What functions with rules of their own have in common: arguments in containers become a list of leaves."""

    _function: type[Function]

    def __init__(self, fun: Callable, nondiff_argnums: Sequence[int] = ()):
        self.fun, self.fixed = fun, tuple(nondiff_argnums)
        functools.update_wrapper(self, fun)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; its rule is used where a gradient is recorded."""
        if kwargs:
            raise TypeError(f"{self._name()} has rules by position: pass its arguments without keywords")
        fixed = {k % len(args): args[k] for k in self.fixed}
        moving: Any = tuple(a for k, a in enumerate(args) if k not in fixed)
        if not has_tensor(moving):
            return self.fun(*args)
        leaves, treedef = optree.tree_flatten(moving)
        frame = _Frame(self, treedef, fixed)
        found = self._function.apply(frame, *leaves)
        outputs = found if isinstance(found, tuple) else (found,)
        return optree.tree_unflatten(frame.outdef, outputs)

    def _name(self) -> str:
        return name_of(self.fun)


def name_of(function: Callable) -> str:
    """A function's name, for messages."""
    return getattr(function, "__name__", "the function")


class _Frame:
    """One call: how its arguments and results are made of leaves."""

    def __init__(self, owner: Any, treedef: Any, fixed: dict[int, Any]):
        self.owner, self.treedef, self.fixed = owner, treedef, fixed
        self.outdef: Any = None

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        """The arguments as they were passed."""
        moving = iter(optree.tree_unflatten(self.treedef, leaves))
        count = self.treedef.num_children + len(self.fixed)
        return [self.fixed[k] if k in self.fixed else next(moving) for k in range(count)]

    def keep(self, result: Any) -> tuple[Any, ...]:
        """The leaves of a result, as tensors."""
        leaves, self.outdef = optree.tree_flatten(result)
        return tuple(y if isinstance(y, Tensor) else lift(y) for y in leaves)

    def bars(self, found: Any, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Cotangents of the leaves, from what a rule gave for the arguments."""
        found = found if isinstance(found, tuple) else (found,)
        args = optree.tree_unflatten(self.treedef, leaves)
        name = self.owner._name()
        if len(found) != len(args):
            raise TypeError(f"the rule of {name} gave {len(found)} cotangents for {len(args)} arguments")
        bars: list[Any] = []
        for k, (bar, arg) in enumerate(zip(found, args, strict=True)):
            own, structure = optree.tree_flatten(arg)
            if bar is None:
                bars += [None] * len(own)
                continue
            flat, given = optree.tree_flatten(bar)
            if given != structure:
                raise TypeError(f"the rule of {name} gave {given} for argument {k}, which is {structure}")
            bars += flat
        return (None, *[b if isinstance(x, Tensor) else None for b, x in zip(bars, leaves, strict=True)])


class _WithPullback(Function):
    @classmethod
    def _users(cls, args: tuple) -> UsersRule:
        owner = args[0].owner
        return UsersRule(owner._name(), (owner.forward_rule, owner.fun), args[0].arguments(args[1:]), True)

    @staticmethod
    def forward(ctx: Any, frame: Any, *leaves: Any) -> Any:
        """The value, with what the backward rule needs."""
        value, residuals = frame.owner.forward_rule(*frame.arguments(leaves))
        ctx.frame = frame
        keep(ctx, (list(leaves), residuals))
        return frame.keep(value)

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        """What the user's rule gives; where it will be differentiated, from residuals with a history."""
        frame, (leaves, residuals) = ctx.frame, kept(ctx)
        if local.state.grad_enabled:
            _, residuals = frame.owner.forward_rule(*frame.arguments(leaves))
        fixed = [frame.fixed[k] for k in sorted(frame.fixed)]
        found = frame.owner.backward_rule(*fixed, residuals, optree.tree_unflatten(frame.outdef, bars))
        return frame.bars(found, leaves)


class custom_vjp(_Custom):
    """A function whose reverse rule is given, as `jax.custom_vjp`.

    Parameters
    ----------
    fun : callable
    nondiff_argnums : tuple of int
        Arguments that are passed to both rules as they are; the backward rule gets them first.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> @tg.custom_vjp
    ... def clipped(x):
    ...     return x * 1.0
    >>> clipped.defvjp(lambda x: (x * 1.0, None), lambda residuals, g: (np.clip(g, -1.0, 1.0),))
    >>> tg.grad(lambda x: 5.0 * clipped(x))(2.0)
    np.float64(1.0)
    """

    _function = _WithPullback
    forward_rule: Callable
    backward_rule: Callable

    def defvjp(self, fwd: Callable, bwd: Callable) -> None:
        """Give the rules.

        Parameters
        ----------
        fwd : callable
            Takes the arguments; returns ``(value, residuals)``.
        bwd : callable
            Takes the residuals and the value's cotangent; returns a tuple, one cotangent (or None) an argument.
        """
        self.forward_rule, self.backward_rule = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; its rule is used where a gradient is recorded."""
        if not hasattr(self, "forward_rule"):
            raise AttributeError(f"{self._name()} has no rule yet: call {self._name()}.defvjp(fwd, bwd)")
        return super().__call__(*args, **kwargs)


class _WithPushforward(Function):
    @classmethod
    def _users(cls, args: tuple) -> UsersRule:
        owner = args[0].owner
        return UsersRule(owner._name(), (owner.fun,), args[0].arguments(args[1:]), True)

    @staticmethod
    def forward(ctx: Any, frame: Any, *leaves: Any) -> Any:
        """The value."""
        ctx.frame = frame
        keep(ctx, list(leaves))
        return frame.keep(frame.owner.fun(*frame.arguments(leaves)))

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        """The transpose of the user's rule, which is linear in the tangents."""
        leaves = kept(ctx)
        places = [k for k, x in enumerate(leaves) if isinstance(x, Tensor) and x._spec.dtype.kind == "f"]
        zeros = [np.zeros(leaves[k]._spec.shape, leaves[k]._spec.dtype) for k in places]

        def rule(*dots: Any) -> Any:
            given = [None, *leaves]
            for k, d in zip(places, dots, strict=True):
                given[k + 1] = d
            return _WithPushforward._push(ctx.frame, leaves, given[1:], set(places))

        with grad_mode(True):
            outputs, pullback = vjp(rule, *zeros)
            cotangents = [lift(np.zeros(np.shape(y))) if b is None else b for y, b in zip(outputs, bars, strict=True)]
            found = iter(pullback(tuple(cotangents)))
        return (None, *[next(found) if k in places else None for k in range(len(leaves))])

    @staticmethod
    def _push(frame: Any, leaves: Sequence[Any], dots: Sequence[Any], moving: set[int]) -> tuple[Any, ...]:
        tangents = [
            d if k in moving and d is not None else np.zeros(np.shape(x))
            for k, (d, x) in enumerate(zip(dots, leaves, strict=True))
        ]
        args, directions = frame.arguments(leaves), frame.arguments(tangents)
        keep = [k for k in range(len(args)) if k not in frame.fixed]
        fixed = [frame.fixed[k] for k in sorted(frame.fixed)]
        primals, given = tuple(args[k] for k in keep), tuple(directions[k] for k in keep)
        _, found = frame.owner.pushforward_rule(*fixed, primals, given)
        flat, structure = optree.tree_flatten(found)
        if structure != frame.outdef:
            name = frame.owner._name()
            raise TypeError(f"the rule of {name} gave a tangent of structure {structure}, the value has {frame.outdef}")
        return tuple(flat)

    @staticmethod
    def jvp(ctx: Any, *dots: Any) -> Any:
        """The user's rule."""
        places = {k for k, d in enumerate(dots[1:]) if isinstance(d, Tensor)}
        return tuple(lift(d) for d in _WithPushforward._push(ctx.frame, kept(ctx), dots[1:], places))


class custom_jvp(_Custom):
    """A function whose forward rule is given, as `jax.custom_jvp`; the reverse is its transpose.

    Parameters
    ----------
    fun : callable
    nondiff_argnums : tuple of int
        Arguments that are passed to the rule first, as they are.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> @tg.custom_jvp
    ... def log1pexp(x):
    ...     return np.log1p(np.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), (1.0 - 1.0 / (1.0 + np.exp(x))) * t
    >>> tg.grad(log1pexp)(0.0)
    np.float64(0.5)
    """

    _function = _WithPushforward
    pushforward_rule: Callable

    def defjvp(self, rule: Callable) -> Callable:
        """Give the rule ``rule(primals, tangents) -> (value, tangent)``; returns it."""
        self.pushforward_rule = rule
        return rule

    def defjvps(self, *rules: Callable | None) -> None:
        """Give one rule ``rule(tangent, value, *primals)`` for each argument; None where the derivative is zero."""

        def rule(*given: Any) -> Any:
            *fixed, primals, tangents = given
            value = self(*primals) if not fixed else self.fun(*fixed, *primals)
            parts = [r(t, value, *primals) for r, t in zip(rules, tangents, strict=True) if r is not None]
            return value, functools.reduce(np.add, parts) if parts else np.zeros(np.shape(value))

        self.pushforward_rule = rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; its rule is used where a gradient is recorded."""
        if not hasattr(self, "pushforward_rule"):
            raise AttributeError(f"{self._name()} has no rule yet: call {self._name()}.defjvp(rule)")
        return super().__call__(*args, **kwargs)
