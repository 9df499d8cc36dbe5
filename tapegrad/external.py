"""Primitives made of any function of arrays: of Numba's, or of a C library."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .autograd.function import Function
from .autograd.keeping import keep, kept
from .autograd.reading import UsersRule
from .custom import has_tensor, name_of
from .primitives.core import lift, ops
from .primitives.core import primitive as record_of
from .tape.handle import Tensor
from .tape.spec import spec_of
from .values import value_of
from .vm import opcodes as op

__all__ = ["on_arrays", "primitive"]


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


def on_arrays(function: Callable, args: Sequence[Any], like: Any = None) -> Any:
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
        y = on_arrays(owner.fun, args)
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
        if not has_tensor(list(args)):
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

            bar_k = on_arrays(one, (bar, y, *args), like=value_like(a))
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
