"""autograd's way to define primitives: `primitive`, `defvjp`, `defjvp`, and the forms for several arguments at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from ...autograd.function import Function
from ...autograd.keeping import keep, kept
from ...autograd.reading import UsersRule
from ...custom import has_tensor, name_of
from ...external import on_arrays
from ...primitives.core import lift
from ...tape.handle import Tensor
from ...values import value_of

__all__ = [
    "Box",
    "VSpace",
    "def_linear",
    "defjvp",
    "defjvp_argnum",
    "defjvp_argnums",
    "defvjp",
    "defvjp_argnum",
    "defvjp_argnums",
    "notrace_primitive",
    "primitive",
    "vspace",
]

Box = Tensor
"""What a value is while it is traced."""


class primitive:
    """A function of plain arrays whose derivative is defined by `defvjp` and `defjvp`."""

    def __init__(self, fun: Callable):
        self.fun = fun
        self.vjps: dict[int, Callable | None] = {}
        self.joint_vjp: Callable | None = None
        self.jvps: dict[int, Any] = {}
        self.joint_jvp: Callable | None = None
        functools.update_wrapper(self, fun, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        if not has_tensor(list(args)):
            return self.fun(*args, **kwargs)
        return (_Pushed if self.jvps or self.joint_jvp else _Pulled).apply(self, kwargs, *args)


class _Pulled(Function):
    @classmethod
    def _users(cls, args: tuple) -> UsersRule:
        return UsersRule(name_of(args[0].fun), (args[0].fun,), (*args[2:], args[1]), True)

    @staticmethod
    def forward(ctx: Any, owner: Any, kwargs: Any, *args: Any) -> Any:
        """The value, from plain arrays."""
        y = on_arrays(functools.partial(owner.fun, **kwargs), args)
        y = y if isinstance(y, Tensor) else lift(np.array(y))
        ctx.owner, ctx.kwargs = owner, kwargs
        keep(ctx, (y, list(args)))
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        """What the rules give."""
        owner, (y, args) = ctx.owner, kept(ctx)
        wanted = [k for k, a in enumerate(args) if isinstance(a, Tensor) and ctx.needs_input_grad[k + 2]]
        bars: list[Any] = [None] * len(args)
        if owner.joint_vjp is not None:
            found = owner.joint_vjp(tuple(wanted), y, args, ctx.kwargs)(g)
            for k, bar in zip(wanted, found, strict=True):
                bars[k] = bar
            return (None, None, *bars)
        for k in wanted:
            if k not in owner.vjps:
                raise NotImplementedError(f"VJP of {owner.fun.__name__} wrt argnum {k} not defined")
            maker = owner.vjps[k]
            bars[k] = np.zeros(args[k].shape) if maker is None else maker(y, *args, **ctx.kwargs)(g)
        return (None, None, *bars)


class _Pushed(_Pulled):
    @staticmethod
    def jvp(ctx: Any, *dots: Any) -> Any:
        """What the forward rules give, summed."""
        owner, (y, args) = ctx.owner, kept(ctx)
        moving = [(k, d) for k, d in enumerate(dots[2:]) if d is not None and isinstance(args[k], Tensor)]
        if owner.joint_jvp is not None:
            numbers, tangents = zip(*moving, strict=True)
            return lift(owner.joint_jvp(numbers, tangents, y, args, ctx.kwargs))
        total: Any = np.zeros(y.shape)
        for k, dot in moving:
            rule = owner.jvps.get(k)
            if k not in owner.jvps:
                raise NotImplementedError(f"JVP of {owner.fun.__name__} wrt argnum {k} not defined")
            if rule == "same":
                total = total + owner(*args[:k], dot, *args[k + 1 :], **ctx.kwargs)
            elif rule is not None:
                total = total + rule(dot, y, *args, **ctx.kwargs)
        return lift(total)


def defvjp(fun: primitive, *makers: Callable | None, argnums: Sequence[int] | None = None) -> None:
    """Define reverse rules ``maker(ans, *args) -> (g -> cotangent)``, one for each argument; None for zero."""
    for k, maker in zip(range(len(makers)) if argnums is None else argnums, makers, strict=True):
        fun.vjps[k] = maker


def defvjp_argnums(fun: primitive, maker: Callable) -> None:
    """Define a reverse rule for all arguments: ``maker(argnums, ans, args, kwargs) -> (g -> cotangents)``."""
    fun.joint_vjp = maker


def defvjp_argnum(fun: primitive, maker: Callable) -> None:
    """Define a reverse rule for any argument: ``maker(argnum, ans, args, kwargs) -> (g -> cotangent)``."""

    def joint(argnums: Sequence[int], *rest: Any) -> Callable:
        pullbacks = [maker(k, *rest) for k in argnums]
        return lambda g: [pullback(g) for pullback in pullbacks]

    defvjp_argnums(fun, joint)


def defjvp(fun: primitive, *rules: Any, argnums: Sequence[int] | None = None) -> None:
    """Define forward rules ``rule(tangent, ans, *args)``, one for each argument; None for zero, "same" for linear."""
    for k, rule in zip(range(len(rules)) if argnums is None else argnums, rules, strict=True):
        fun.jvps[k] = rule


def defjvp_argnums(fun: primitive, rule: Callable) -> None:
    """Define a forward rule for all arguments: ``rule(argnums, tangents, ans, args, kwargs)``."""
    fun.joint_jvp = rule


def defjvp_argnum(fun: primitive, rule: Callable) -> None:
    """Define a forward rule for any argument: ``rule(argnum, tangent, ans, args, kwargs)``."""
    defjvp_argnums(
        fun, lambda argnums, dots, *rest: sum(rule(*pair, *rest) for pair in zip(argnums, dots, strict=True))
    )


def def_linear(fun: primitive) -> None:
    """Say that a function is linear in each of its arguments: that is its forward rule."""
    defjvp_argnum(fun, lambda k, dot, ans, args, kwargs: fun(*args[:k], dot, *args[k + 1 :], **kwargs))


def notrace_primitive(fun: Callable) -> Callable:
    """A function that sees plain values, and has no gradient."""

    @functools.wraps(fun)
    def plain(*args: Any, **kwargs: Any) -> Any:
        return fun(*[value_of(a) if isinstance(a, Tensor) else a for a in args], **kwargs)

    return plain


class VSpace:
    """The vector space in which a value lies: arrays, numbers and containers of them."""

    def __init__(self, value: Any):
        leaves, self.treedef = optree.tree_flatten(value)
        self.shapes = [np.shape(x) for x in leaves]
        self.dtypes = [x.dtype if isinstance(x, Tensor) else np.asarray(x).dtype for x in leaves]
        self.size = sum(int(np.prod(s)) for s in self.shapes)

    def _made(self, make: Callable) -> Any:
        leaves = [np.asarray(make(s), d)[()] for s, d in zip(self.shapes, self.dtypes, strict=True)]
        return optree.tree_unflatten(self.treedef, leaves)

    def zeros(self) -> Any:
        """Zero."""
        return self._made(np.zeros)

    def ones(self) -> Any:
        """Ones everywhere."""
        return self._made(np.ones)

    def randn(self) -> Any:
        """Random numbers."""
        rng = np.random.default_rng()
        return self._made(lambda shape: rng.normal(size=shape))

    def add(self, x: Any, y: Any) -> Any:
        """Sum."""
        return optree.tree_map(np.add, x, y)

    def scalar_mul(self, x: Any, a: float) -> Any:
        """Product with a number."""
        return optree.tree_map(functools.partial(np.multiply, a), x)

    def inner_prod(self, x: Any, y: Any) -> Any:
        """Inner product."""
        pairs = zip(optree.tree_leaves(x), optree.tree_leaves(y), strict=True)
        return sum(np.real(np.sum(np.conj(a) * b)) for a, b in pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VSpace) and (self.shapes, self.dtypes) == (other.shapes, other.dtypes)

    __hash__ = None  # type: ignore[assignment]


def vspace(value: Any) -> VSpace:
    """The space of a value."""
    return VSpace(value)
