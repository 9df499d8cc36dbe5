"""autograd's differential operators, on tapegrad's transformations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from ... import functional
from ...checkpointing import checkpoint
from ...jacobians import jacrev
from ...tape.handle import Tensor

__all__ = [
    "checkpoint",
    "deriv",
    "elementwise_grad",
    "grad",
    "grad_and_aux",
    "grad_named",
    "hessian",
    "hessian_tensor_product",
    "hessian_vector_product",
    "holomorphic_grad",
    "jacobian",
    "make_ggnvp",
    "make_hvp",
    "make_jvp",
    "make_vjp",
    "multigrad_dict",
    "tensor_jacobian_product",
    "value_and_grad",
    "vector_jacobian_product",
]


def of_argument(operator: Callable) -> Callable:
    """An operator on functions of one argument, for functions of several: ``operator(fun, argnum=0)``."""

    @functools.wraps(operator)
    def wrapped(fun: Callable, argnum: Any = 0, *options: Any, **named: Any) -> Callable:
        @functools.wraps(fun, assigned=("__name__", "__qualname__", "__module__"), updated=())
        def applied(*args: Any, **kwargs: Any) -> Any:
            several = isinstance(argnum, (tuple, list))
            numbers = tuple(argnum) if several else (argnum,)

            def one(x: Any) -> Any:
                filled = list(args)
                for k, value in zip(numbers, x if several else (x,), strict=True):
                    filled[k] = value
                return fun(*filled, **kwargs)

            x = tuple(args[k] for k in numbers) if several else args[argnum]
            return operator(one, x, *options, **named)

        return applied

    return wrapped


# --- complex arguments, as pairs of real ones ------------------------------------------------------------------------


def _is_complex(x: Any) -> bool:
    return (x.dtype if isinstance(x, Tensor) else np.asarray(x).dtype).kind == "c"


class _Parts:
    """A container's leaves as real arrays: two for a complex one, and integers as floats."""

    def __init__(self, x: Any):
        leaves, self.treedef = optree.tree_flatten(x)
        self.complex = [_is_complex(leaf) for leaf in leaves]
        self.real: list[Any] = []
        for leaf, two in zip(leaves, self.complex, strict=True):
            self.real += [np.real(leaf), np.imag(leaf)] if two else [_floating(leaf)]

    def join(self, parts: Any, conjugate: bool = False) -> Any:
        """The container again; with `conjugate`, of cotangents as autograd defines them."""
        parts, leaves = iter(parts), []
        for two in self.complex:
            leaf = next(parts)
            if two:
                leaf = leaf + (-1j if conjugate else 1j) * next(parts)
            leaves.append(leaf)
        return optree.tree_unflatten(self.treedef, leaves)


def _floating(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x
    array = np.asarray(x)
    if array.dtype.kind in "iub":
        array = array.astype(float)
    return array if isinstance(x, np.ndarray) else array[()]


def _gradient(fun: Callable, x: Any, real: bool = False) -> tuple[Any, Any]:
    """Value and gradient of a scalar function; its real part's if it may be complex."""
    parts = _Parts(x)
    holder: list[Any] = []

    def total(*real_parts: Any) -> Any:
        value = fun(parts.join(real_parts))
        holder.append(value)
        return np.real(value) if real and _is_complex(value) else value

    numbers = tuple(range(len(parts.real)))
    value, bars = functional.value_and_grad(total, argnums=numbers)(*parts.real)
    return value, parts.join(bars, conjugate=True)


# --- operators -------------------------------------------------------------------------------------------------------


@of_argument
def grad(fun: Callable, x: Any) -> Any:
    """Gradient of a scalar function."""
    return _gradient(fun, x)[1]


@of_argument
def value_and_grad(fun: Callable, x: Any) -> tuple[Any, Any]:
    """Value and gradient of a scalar function."""
    return _gradient(fun, x)


@of_argument
def elementwise_grad(fun: Callable, x: Any) -> Any:
    """Gradient of the sum of a function's results."""

    def total(x: Any) -> Any:
        return np.sum(fun(x))

    return _gradient(total, x, real=True)[1]


@of_argument
def holomorphic_grad(fun: Callable, x: Any) -> Any:
    """Derivative of a holomorphic function of complex numbers."""
    return _gradient(fun, x, real=True)[1]


@of_argument
def grad_and_aux(fun: Callable, x: Any) -> tuple[Any, Any]:
    """Gradient of the first of two results, and the second."""
    gradient, aux = functional.grad(fun, has_aux=True)(x)
    return gradient, aux


def grad_named(fun: Callable, argname: str) -> Callable:
    """Gradient with respect to an argument that is named."""
    return grad(fun, list(inspect.signature(fun).parameters).index(argname))


def multigrad_dict(fun: Callable) -> Callable:
    """Gradients with respect to all arguments, by their names."""
    signature = inspect.signature(fun)

    def gradients(*args: Any, **kwargs: Any) -> dict[str, Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        names = list(bound.arguments)

        def of_dict(given: dict[str, Any]) -> Any:
            again = signature.bind_partial()
            again.arguments.update(given)
            return fun(*again.args, **again.kwargs)

        return grad(of_dict)({n: bound.arguments[n] for n in names})

    return gradients


@of_argument
def make_vjp(fun: Callable, x: Any) -> tuple[Callable, Any]:
    """The map from cotangents of the result to cotangents of the argument, and the result."""
    value, pullback = functional.vjp(fun, _float_tree(x))

    def vjp(g: Any) -> Any:
        return pullback(g)[0]

    return vjp, value


@of_argument
def make_jvp(fun: Callable, x: Any) -> Callable:
    """The map from a tangent of the argument to the result and its tangent."""

    def jvp(v: Any) -> tuple[Any, Any]:
        return functional.jvp(fun, (_float_tree(x),), (_float_tree(v),))

    return jvp


def _float_tree(x: Any) -> Any:
    return optree.tree_map(_floating, x)


@of_argument
def deriv(fun: Callable, x: Any) -> Any:
    """Derivative of a function of numbers, element by element, in forward mode."""
    x = _float_tree(x)
    return functional.jvp(fun, (x,), (optree.tree_map(np.ones_like, x),))[1]


@of_argument
def jacobian(fun: Callable, x: Any) -> Any:
    """Jacobian, of the result's shape and then the argument's."""
    return jacrev(fun)(_float_tree(x))


@of_argument
def hessian(fun: Callable, x: Any) -> Any:
    """Hessian of a scalar function (or the Jacobian's Jacobian)."""
    return jacobian(jacobian(fun))(x)


@of_argument
def make_hvp(fun: Callable, x: Any) -> tuple[Callable, Any]:
    """The product of a Hessian with vectors, and the gradient."""
    return make_vjp(grad(fun))(x)


def hessian_tensor_product(fun: Callable, argnum: int = 0) -> Callable:
    """Product of the Hessian with a tensor, which is passed after the function's arguments."""
    first = grad(fun, argnum)

    def product(*args: Any, **kwargs: Any) -> Any:
        *first_args, tensor = args

        def along(*given: Any) -> Any:
            return np.tensordot(first(*given, **kwargs), tensor, np.ndim(tensor))

        return grad(along, argnum)(*first_args)

    return product


hessian_vector_product = hessian_tensor_product


def tensor_jacobian_product(fun: Callable, argnum: int = 0) -> Callable:
    """Product of a tensor, which is passed after the function's arguments, with the Jacobian."""

    def product(*args: Any, **kwargs: Any) -> Any:
        *first_args, tensor = args

        def along(*given: Any) -> Any:
            return np.tensordot(tensor, fun(*given, **kwargs), np.ndim(tensor))

        return jacobian(along, argnum)(*first_args)

    return product


vector_jacobian_product = tensor_jacobian_product


def _half_square(x: Any) -> Any:
    return 0.5 * np.sum(x**2, axis=-1)


def make_ggnvp(f: Callable, g: Callable = _half_square, f_argnum: int = 0) -> Callable:
    """Products with the generalised Gauss-Newton matrix of ``g(f(x))``: J^T H J v."""

    def make(fun: Callable, x: Any) -> Callable:
        vjp, value = make_vjp(fun)(x)
        hvp, _ = make_hvp(g)(value)
        jvp = make_jvp(fun)(x)

        def product(v: Any) -> Any:
            return vjp(hvp(jvp(v)[1]))

        return product

    return of_argument(make)(f, f_argnum)
