"""Jacobians, Hessians and their products with vectors, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..batching import vmap
from ..primitives.core import lift, ops
from ..tape.handle import Tensor
from ..tape.importing import import_array
from ..tape.state import local
from .api import grad
from .modes import enable_grad
from .pushforward import pushforward

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

_LINEAR = (
    "While computing the hessian, found that the jacobian of the user-provided function with respect to input {} is "
    "independent of the input. This is not allowed in strict mode. You should ensure that your function is twice "
    "differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for "
    "example)."
)


# --- arguments and results ------------------------------------------------------------------------


def _as_tuple(given: Any, what: str, name: str) -> tuple[bool, tuple[Tensor, ...]]:
    """Whether several were given, and all as a tuple of tensors; arrays are taken for constants."""
    several = isinstance(given, tuple)
    found = tuple(given) if several else (given,)
    for k, t in enumerate(found):
        if isinstance(t, (Tensor, np.ndarray)):
            continue
        begin = f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the"
        if several:
            raise TypeError(f"{begin} value at index {k} has type {type(t)}.")
        raise TypeError(f"{begin} given {what} has type {type(t)}.")
    return several, tuple(t if isinstance(t, Tensor) else lift(t) for t in found)


def _prepare(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs under names of their own, differentiable, with their history where that is to be continued."""
    if local.state.tape.tracing:
        return tuple(ops.track(t if create_graph else ops.detach(t)) for t in inputs)
    return tuple(ops.track(t) if create_graph and t.requires_grad else t.detach().requires_grad_() for t in inputs)


def _call(func: Callable, inputs: tuple[Tensor, ...], name: str) -> tuple[bool, tuple[Tensor, ...]]:
    return _as_tuple(func(*inputs), "outputs of the user-provided function", name)


def _vectors(v: Any, likes: tuple[Tensor, ...], several: bool, whose: str, name: str) -> tuple[Tensor, ...]:
    """The vector to multiply by, checked; ones for a single number."""
    if v is None:
        if len(likes) != 1 or likes[0]._spec.size != 1:
            raise RuntimeError(f"The vector v can only be None if {whose} a single Tensor with a single element.")
        return (lift(np.ones(likes[0]._spec.shape, likes[0]._spec.dtype)),)
    _, given = _as_tuple(v, "v", name)
    if len(given) != len(likes):
        if several:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(likes)} but got {len(given)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for k, (t, like) in enumerate(zip(given, likes, strict=True)):
        if t._spec.shape != like._spec.shape:
            where = f"Entry {k} in v" if several else "v"
            raise RuntimeError(f"{where} has invalid size: should be {like._spec.shape} but got {t._spec.shape}.")
    return tuple(lift(t, like._spec.dtype) for t, like in zip(given, likes, strict=True))


def _check_outputs(outputs: tuple[Tensor, ...], strict: bool) -> None:
    for k, y in enumerate(outputs):
        if strict and not y.requires_grad:
            raise RuntimeError(
                f"Output {k} of the user-provided function does not require gradients. The outputs must be computed in "
                f"a differentiable manner from the input when running in strict mode."
            )


def _gradients(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Tensor], create_graph: bool, retain: bool
) -> tuple[Tensor | None, ...]:
    """Cotangents of the inputs; None where nothing leads there."""
    pairs = [(y, v) for y, v in zip(outputs, seeds, strict=True) if y.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return grad(
        [y for y, _ in pairs],
        inputs,
        [v for _, v in pairs],
        retain_graph=retain or create_graph,
        create_graph=create_graph,
        allow_unused=True,
    )


def _filled(found: Sequence[Tensor | None], likes: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(
        import_array(np.zeros(like._spec.shape, like._spec.dtype)) if g is None else g
        for g, like in zip(found, likes, strict=True)
    )


def _check_independent(found: Sequence[Tensor | None], strict: bool, create_graph: bool, words: str) -> None:
    for k, g in enumerate(found):
        if strict and g is None:
            raise RuntimeError(f"{words} is independent of input {k}. This is not allowed in strict mode.")
        if strict and create_graph and g is not None and not g.requires_grad:
            raise RuntimeError(
                f"The jacobian of the user-provided function is independent of input {k}. This is not allowed in "
                f"strict mode when create_graph=True."
            )


def _released(tensors: Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    return tuple(t if create_graph else t.detach() for t in tensors)


def _like(tensors: tuple[Tensor, ...], several: bool) -> Any:
    return tensors if several else tensors[0]


def _scalar(func: Callable, inputs: tuple[Tensor, ...], name: str) -> Tensor:
    """The value of a function that returns one number."""
    several, outputs = _call(func, inputs, name)
    if several:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0]._spec.size != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return outputs[0]


# --- products with vectors ------------------------------------------------------------------------


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The function's value, and the product of a vector with its Jacobian.

    Parameters
    ----------
    func : callable
        Takes tensors; returns a tensor or a tuple of such.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        Of the shapes of the results; may be left out for a single number.
    create_graph : bool
        Whether value and product can be differentiated.
    strict : bool
        Refuse functions of which a result does not depend on an input, rather than give zeros.

    Returns
    -------
    outputs : Tensor or tuple of Tensor
    vjp : Tensor or tuple of Tensor
        Of the shapes of the inputs.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.autograd.functional.vjp(lambda x: x * x, tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0]))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        many_in, given = _as_tuple(inputs, "inputs", "vjp")
        primals = _prepare(given, create_graph)
        many_out, outputs = _call(func, primals, "vjp")
        _check_outputs(outputs, strict)
        seeds = _vectors(v, outputs, many_out, "the user-provided function returns", "vjp")
        found = _gradients(outputs, primals, seeds, create_graph, False)
        _check_independent(found, strict, create_graph, "The output of the user-provided function")
        product = _released(_filled(found, primals), create_graph)
    return _like(_released(outputs, create_graph), many_out), _like(product, many_in)


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The function's value, and the product of its Jacobian with a vector, by forward mode.

    Parameters
    ----------
    func, inputs, create_graph, strict
        As in `vjp`.
    v : Tensor or tuple of Tensor, optional
        Of the shapes of the inputs; may be left out for a single number.

    Returns
    -------
    outputs, jvp : Tensor or tuple of Tensor
        Both in the shapes of the results.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.autograd.functional.jvp(lambda x: x * x, tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0]))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        many_in, given = _as_tuple(inputs, "inputs", "jvp")
        tangents = _vectors(v, given, many_in, "the input to the user-provided function is", "jvp")
        primals = _prepare(given, create_graph)
        many_out, outputs = _call(func, primals, "jvp")
        _check_outputs(outputs, strict)
        found = _tangents(outputs, primals, tangents)
        if strict and create_graph:
            _check_independent(found, strict, create_graph, "The output of the user-provided function")
        product = _released(_filled(found, outputs), create_graph)
    return _like(_released(outputs, create_graph), many_out), _like(product, many_out)


def _tangents(outputs: Sequence[Tensor], primals: Sequence[Tensor], tangents: Sequence[Tensor]) -> list:
    moving = [y for y in outputs if y.requires_grad]
    dots = iter(pushforward(moving, list(primals), list(tangents)))
    return [next(dots) if y.requires_grad else None for y in outputs]


def vhp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The value of a scalar function, and the product of a vector with its Hessian.

    Parameters
    ----------
    func : callable
        Returns a single number.
    inputs, v, create_graph, strict
        As in `jvp`.

    Returns
    -------
    output : Tensor
    vhp : Tensor or tuple of Tensor
        In the shapes of the inputs.
    """
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The value of a scalar function, and the product of its Hessian with a vector: forward mode over the gradient.

    Parameters
    ----------
    func : callable
        Returns a single number.
    inputs, v, create_graph, strict
        As in `jvp`.

    Returns
    -------
    output : Tensor
    hvp : Tensor or tuple of Tensor
        In the shapes of the inputs.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.autograd.functional.hvp(lambda x: (x * x * x).sum(), tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(name: str, func: Callable, inputs: Any, v: Any, create_graph: bool, strict: bool) -> Any:
    with enable_grad():
        many_in, given = _as_tuple(inputs, "inputs", name)
        vectors = _vectors(v, given, many_in, "the input to the user-provided function is", name)
        primals = _prepare(given, create_graph)
        output = _scalar(func, primals, name)
        slopes = _slopes(output, primals, strict)
        if name == "hvp":
            found = _tangents(slopes, primals, vectors)
        else:
            found = list(_gradients(slopes, primals, vectors, create_graph, False))
        _check_independent(found, strict, create_graph, "The output of the user-provided function")
        product = _released(_filled(found, primals), create_graph)
    return _released((output,), create_graph)[0], _like(product, many_in)


def _slopes(output: Tensor, primals: tuple[Tensor, ...], strict: bool) -> tuple[Tensor, ...]:
    """The gradient of a number, to be differentiated again."""
    _check_outputs((output,), strict)
    seed = import_array(np.ones(output._spec.shape, output._spec.dtype))
    found = _gradients((output,), primals, (seed,), True, True)
    _check_independent(found, strict, False, "The output of the user-provided function")
    for k, g in enumerate(found):
        if strict and g is not None and not g.requires_grad:
            raise RuntimeError(_LINEAR.format(k))
    return _filled(found, primals)


# --- matrices -------------------------------------------------------------------------------------


def _check_strategy(strategy: str) -> None:
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            f'Expected strategy to be either "forward-mode" or "reverse-mode", not {strategy!r}. Hint: If your '
            f'function has more outputs than inputs, "forward-mode" tends to be faster, otherwise "reverse-mode".'
        )


def jacobian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of a function: every result's derivative by every input.

    Parameters
    ----------
    func : callable
        Takes tensors; returns a tensor or a tuple of such.
    inputs : Tensor or tuple of Tensor
    create_graph, strict
        As in `vjp`.
    vectorize : bool
        Accepted as in PyTorch; one sweep carries all rows, or columns, either way.
    strategy : {"reverse-mode", "forward-mode"}
        A cotangent for each element of the results, or a tangent for each element of the inputs.

    Returns
    -------
    Tensor, or tuple (of tuples) of Tensor
        Of shape ``output.shape + input.shape``; a tuple over results if there are several, of tuples over inputs.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.autograd.functional.jacobian(lambda x: x * x.sum(), tg.tensor([1.0, 2.0]))
    tensor([[4., 1.],
            [2., 5.]])
    """
    _check_strategy(strategy)
    if strict and vectorize:
        raise RuntimeError(
            "jacobian: `strict=True` and `vectorized=True` are not supported together. Please either set "
            "`strict=False` or `vectorize=False`."
        )
    with enable_grad():
        many_in, given = _as_tuple(inputs, "inputs", "jacobian")
        primals = _prepare(given, create_graph)
        many_out, outputs = _call(func, primals, "jacobian")
        _check_outputs(outputs, strict)
        if strategy == "forward-mode":
            rows = _by_columns(outputs, primals)
        else:
            rows = [_by_rows(k, y, primals, create_graph, strict) for k, y in enumerate(outputs)]
        found = [_like(_released(row, create_graph), many_in) for row in rows]
    return tuple(found) if many_out else found[0]


def _by_rows(
    number: int, y: Tensor, primals: tuple[Tensor, ...], create_graph: bool, strict: bool
) -> tuple[Tensor, ...]:
    """One result's Jacobian, by one reverse sweep with a cotangent for each of its elements."""
    shape, dtype = y._spec.shape, y._spec.dtype
    found: list[Any] = [None] * len(primals)
    if y.requires_grad:
        basis = import_array(np.eye(y._spec.size, dtype=dtype).reshape(-1, *shape))
        found = list(grad((y,), primals, (basis,), True, create_graph, allow_unused=True, is_grads_batched=True))
    _check_independent(found, strict, create_graph, f"Output {number} of the user-provided function")
    return tuple(
        import_array(np.zeros(shape + x._spec.shape, x._spec.dtype)) if g is None else g.reshape(shape + x._spec.shape)
        for g, x in zip(found, primals, strict=True)
    )


def _by_columns(outputs: tuple[Tensor, ...], primals: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """All results' Jacobians, by one forward sweep an input, with a tangent for each of its elements."""
    found: list[list[Tensor]] = [[] for _ in outputs]
    for x in primals:
        basis = import_array(np.eye(x._spec.size, dtype=x._spec.dtype).reshape(-1, *x._spec.shape))

        def columns(tangent: Tensor, x: Tensor = x) -> tuple[Tensor, ...]:
            return _filled(_tangents(outputs, (x,), (tangent,)), outputs)

        for i, (y, dots) in enumerate(zip(outputs, vmap(columns, randomness="same")(basis), strict=True)):
            n, m = len(x._spec.shape), len(y._spec.shape)
            shaped = dots.reshape(x._spec.shape + y._spec.shape)
            found[i].append(np.transpose(shaped, (*range(n, n + m), *range(n))))  # type: ignore[arg-type]
    return [tuple(row) for row in found]


def hessian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a function of one number: the Jacobian of its gradient.

    Parameters
    ----------
    func : callable
        Returns a single number.
    inputs, create_graph, strict, vectorize
        As in `jacobian`.
    outer_jacobian_strategy : {"reverse-mode", "forward-mode"}
        How the gradient is differentiated.

    Returns
    -------
    Tensor, or tuple of tuples of Tensor
        Of shape ``input.shape + input.shape``; one for each pair of inputs if a tuple was given.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.autograd.functional.hessian(lambda x: (x * x * x).sum(), tg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _check_strategy(outer_jacobian_strategy)
    many_in, given = _as_tuple(inputs, "inputs", "hessian")

    def gradient(*primals: Tensor) -> tuple[Tensor, ...]:
        return _slopes(_scalar(func, primals, "hessian"), primals, strict)

    found = jacobian(gradient, given, create_graph, strict, vectorize, outer_jacobian_strategy)
    return found if many_in else found[0][0]
