"""Functions with derivatives of the user's own, in JAX's manner, and primitives made of any function of arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from .autograd.call import users_code
from .autograd.captures import captured_by, history_of, pull_back, tracked
from .autograd.function import Function
from .autograd.keeping import keep, kept
from .autograd.reading import UsersRule
from .functional import vjp
from .primitives.core import lift, ops
from .primitives.core import primitive as record_of
from .tape.handle import Tensor
from .tape.spec import spec_of
from .tape.state import grad_mode, local
from .values import value_of
from .vm import opcodes as op

__all__ = ["checkpoint", "custom_jvp", "custom_vjp", "primitive"]


def _has_tensor(tree: Any) -> bool:
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
        if not _has_tensor(moving):
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


# --- checkpoint ------------------------------------------------------------------------------------------------------


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


# --- primitives from any function of arrays --------------------------------------------------------------------------


@record_of(name="external")
class external:
    """A function of arrays of the user's own, run by a call-out."""

    derivative = "it is a function of plain arrays"
    immediate = True
    samples = (((np.array([1.0, 2.0]),), {"function": np.sin, "shape": (2,), "dtype": np.dtype(float)}),)

    def infer(specs: Any, attrs: Any):
        return spec_of(attrs["shape"], attrs["dtype"]), op.KERNEL

    def compute(*arrays: Any, function: Any, shape: Any, dtype: Any):
        return function(*arrays)

    def carries_grad(specs: Any, out: Any):
        return False


def _on_arrays(function: Callable, args: Sequence[Any], like: Any = None) -> Any:
    """Call a function of arrays on tensors: at once, or at each replay where a function is compiled."""
    if not any(isinstance(a, Tensor) and a._tape is not None and a._tape.tracing for a in args):
        return function(*[value_of(a) if isinstance(a, Tensor) else a for a in args])
    tensors = [lift(a) for a in args]
    if like is None:
        like = np.asarray(function(*[np.ones(t._spec.shape, t._spec.dtype) for t in tensors]))
    shape, dtype = tuple(like.shape), np.dtype(like.dtype)
    return ops.external(*tensors, function=function, shape=shape, dtype=dtype)


class _External(Function):
    @classmethod
    def _users(cls, args: tuple) -> UsersRule:
        return UsersRule(name_of(args[0].fun), (args[0].fun,), args[1:], True)

    @staticmethod
    def forward(ctx: Any, owner: Any, *args: Any) -> Any:
        """What the function of arrays gives."""
        y = _on_arrays(owner.fun, args)
        y = y if isinstance(y, Tensor) else lift(np.array(y))
        ctx.owner = owner
        keep(ctx, (y, list(args)))
        return y

    @staticmethod
    def backward(ctx: Any, bar: Any) -> Any:
        """What the user's rule gives."""
        y, args = kept(ctx)
        return (None, *ctx.owner._bars(bar, y, args))


class primitive:
    """A function of NumPy arrays, such as one of Numba's or of a C library, with a rule for its derivative.

    Parameters
    ----------
    fun : callable
        Takes arrays, returns one. It never sees a tensor.
    vjp : callable, optional
        ``vjp(g, y, *args)`` returns the arguments' cotangents: a tuple, or one alone; None where there is none. It may
        be given later, by `defvjp`.
    arrays : bool, default False
        Whether `vjp` takes plain arrays, too. It cannot be differentiated then.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> cube = tg.primitive(lambda x: x**3, vjp=lambda g, y, x: g * 3.0 * x**2)
    >>> tg.grad(lambda x: np.sum(cube(x)))(np.array([1.0, 2.0]))
    array([ 3., 12.])
    >>> cube.check(np.array([1.0, 2.0]))
    """

    def __init__(self, fun: Callable, vjp: Callable | None = None, arrays: bool = False):
        self.fun, self.arrays = fun, arrays
        self.rule = vjp
        functools.update_wrapper(self, fun, updated=())

    def defvjp(self, rule: Callable) -> Callable:
        """Give the rule ``rule(g, y, *args)``; returns it, so that it decorates."""
        self.rule = rule
        return rule

    def __call__(self, *args: Any) -> Any:
        """Call the function; on arrays and numbers alone it is called as it is."""
        if not _has_tensor(list(args)):
            return self.fun(*args)
        return _External.apply(self, *args)

    def _bars(self, bar: Any, y: Any, args: Sequence[Any]) -> tuple[Any, ...]:
        name = name_of(self.fun)
        if self.rule is None:
            raise NotImplementedError(f"{name} has no rule yet: decorate one with {name}.defvjp")
        if self.arrays:
            found = self._plain_bars(bar, y, args)
        else:
            found = self.rule(bar, y, *args)
            found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(args):
            raise TypeError(f"the rule of {name} gave {len(found)} cotangents for {len(args)} arguments")
        return tuple(b if isinstance(a, Tensor) else None for b, a in zip(found, args, strict=True))

    def _plain_bars(self, bar: Any, y: Any, args: Sequence[Any]) -> tuple[Any, ...]:
        return _PlainRule.apply(self, bar, y, *args)

    def check(self, *args: Any, order: int = 1) -> None:
        """Compare the rule with finite differences at some arguments.

        Raises
        ------
        AssertionError
            With the argument, entry and size of each error.
        """
        from .checking import check_grads

        check_grads(self, args, order=order, modes=("rev",))


class _PlainRule(Function):
    """A rule of plain arrays; to differentiate it is refused."""

    @staticmethod
    def forward(ctx: Any, owner: Any, bar: Any, y: Any, *args: Any) -> Any:
        """What the rule gives."""
        made = []
        for k, a in enumerate(args):

            def one(*given: Any, k: int = k) -> Any:
                found = owner.rule(*given)
                found = found if isinstance(found, tuple) else (found,)
                return np.zeros(np.shape(given[k + 2])) if found[k] is None else found[k]

            bar_k = _on_arrays(one, (bar, y, *args), like=value_like(a))
            made.append(bar_k if isinstance(bar_k, Tensor) else lift(np.array(bar_k)))
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        """Refused."""
        raise NotImplementedError(
            "the rule of this primitive takes plain arrays, and cannot be differentiated: write it with NumPy "
            "functions and leave out arrays=True"
        )


def value_like(a: Any) -> Any:
    """An array of a tensor's shape and dtype."""
    return np.broadcast_to(np.empty((), a._spec.dtype), a._spec.shape) if isinstance(a, Tensor) else np.asarray(a)
