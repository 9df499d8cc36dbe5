"""Roots and fixed points, as `scipy.optimize` finds them, with implicit derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize as _optimize

from ..functional import grad
from ..implicit import implicit_root
from ..jacobians import jacfwd
from ..primitives.core import lift
from ..tape.handle import Tensor
from ._plain import outside, plain, plain_tree, stacked, values_of

__all__ = [
    "as_number",
    "as_tuple",
    "bisect",
    "brenth",
    "brentq",
    "fixed_point",
    "fsolve",
    "newton",
    "of_floats",
    "pair_of",
    "ridder",
    "root",
    "root_scalar",
    "toms748",
]


def as_tuple(args: Any) -> tuple[Any, ...]:
    """Further arguments, as SciPy takes them: one that is no tuple stands for itself."""
    return tuple(args) if isinstance(args, (tuple, list)) else (args,)


def as_number(x: Any) -> Any:
    """A scalar result as SciPy gives it where nothing is differentiated."""
    return x if isinstance(x, Tensor) else float(x)


def _jacobian(fun: Callable, x0: np.ndarray, args: tuple[Any, ...]) -> Callable:
    """Exact Jacobian, as a function of plain arrays."""
    made = jacfwd(lambda x: lift(stacked(fun(x, *args))))
    return values_of(made)


def root(
    fun: Callable,
    x0: Any,
    args: Any = (),
    method: str = "hybr",
    jac: Any = None,
    tol: float | None = None,
    callback: Any = None,
    options: Any = None,
) -> Any:
    """`scipy.optimize.root`, whose result is differentiable with respect to what `fun` depends on.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns as many numbers as `x` has, in an array or a list.
    x0 : array_like
        Has no gradient: the root does not depend on it.
    args : tuple
    method : str
    jac : callable or bool, optional
        By default the exact Jacobian, by `tapegrad.jacfwd`, where the method takes one (``"hybr"`` and ``"lm"``).
    tol, callback, options
        As in SciPy.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Its ``x`` is a tensor where something is being differentiated.
    """
    args, start = as_tuple(args), np.asarray(plain(x0), float)
    settled = plain_tree(args)
    residual = (lambda x, *more: fun(x, *more)[0]) if jac is True else fun
    with outside():
        if jac is None and method in ("hybr", "lm"):
            jac = _jacobian(fun, start, settled)
        call = values_of(fun, *settled) if jac is not True else pair_of(fun, settled)
        given = {"jac": _with_args(jac, settled) if callable(jac) else jac}
        result = _optimize.root(call, start, method=method, tol=tol, callback=callback, options=options, **given)
    result.x = implicit_root(residual, result.x, *args, name="root")
    return result


def pair_of(fun: Callable, args: tuple[Any, ...]) -> Callable:
    """A function that returns value and derivative, on plain arrays."""

    def call(*given: Any) -> Any:
        value, slope = fun(*given, *args)
        return np.asarray(plain(stacked(value))), np.asarray(plain(stacked(slope)))

    return call


def _with_args(derivative: Callable, args: tuple[Any, ...]) -> Callable:
    """The user's derivative with its arguments; one of ours has them already."""
    ours = derivative.__module__ == values_of.__module__
    return derivative if ours else values_of(derivative, *args)


def fsolve(
    func: Callable, x0: Any, args: Any = (), fprime: Any = None, full_output: bool = False, **options: Any
) -> Any:
    """`scipy.optimize.fsolve`, whose result is differentiable with respect to what `func` depends on.

    Parameters
    ----------
    func, x0, args
        As in `root`.
    fprime : callable, optional
        By default the exact Jacobian.
    full_output : bool
    **options
        As in SciPy.

    Returns
    -------
    x, or tuple
    """
    args, start = as_tuple(args), np.atleast_1d(np.asarray(plain(x0), float))
    settled = plain_tree(args)
    with outside():
        slope = _jacobian(func, start, settled) if fprime is None else values_of(fprime, *settled)
        x, *rest = _optimize.fsolve(values_of(func, *settled), start, fprime=slope, full_output=True, **options)
    x = implicit_root(func, x, *args, name="fsolve")
    return (x, *rest) if full_output else x


def root_scalar(
    f: Callable,
    args: Any = (),
    method: Any = None,
    bracket: Any = None,
    fprime: Any = None,
    fprime2: Any = None,
    **options: Any,
) -> Any:
    """`scipy.optimize.root_scalar`, whose result is differentiable with respect to what `f` depends on.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` returns a number.
    args : tuple
    method : str, optional
    bracket : pair of numbers, optional
    fprime, fprime2 : callable or bool, optional
        True where `f` returns them after its value. By default exact ones where the method (``"newton"``,
        ``"halley"``) takes them.
    **options
        As in SciPy.

    Returns
    -------
    scipy.optimize.RootResults
        Its ``root`` is a tensor where something is being differentiated.
    """
    args = as_tuple(args)
    settled = plain_tree(args)
    if fprime is True:
        every = f
        f, fprime = (lambda x, *more: every(x, *more)[0]), (lambda x, *more: every(x, *more)[1])
        if fprime2 is True:
            fprime2 = lambda x, *more: every(x, *more)[2]
    alone = lambda x: f(x, *settled)
    given: dict[str, Any] = {}
    if method in ("newton", "halley"):
        given["fprime"] = of_floats(grad(alone)) if fprime is None else of_floats(fprime, settled)
    if method == "halley":
        given["fprime2"] = of_floats(grad(grad(alone))) if fprime2 is None else of_floats(fprime2, settled)
    for key in ("x0", "x1"):
        if options.get(key) is not None:
            options[key] = float(plain(options[key]))
    with outside():
        result = _optimize.root_scalar(of_floats(alone), method=method, bracket=bracket, **given, **options)
    result.root = as_number(implicit_root(f, result.root, *args, name="root_scalar"))
    return result


def of_floats(function: Callable, args: tuple[Any, ...] = ()) -> Callable:
    """A function of a number that returns one, as SciPy's solvers want it."""

    def call(x: Any) -> float:
        return float(np.reshape(plain(function(x, *args)), ()))

    return call


def _bracketing(name: str) -> Callable:
    """A solver that takes an interval."""
    solver = getattr(_optimize, name)

    def solve(f: Callable, a: Any, b: Any, args: Any = (), full_output: bool = False, **options: Any) -> Any:
        args = as_tuple(args)
        settled = plain_tree(args)
        with outside():
            ends = float(plain(a)), float(plain(b))
            x, details = solver(of_floats(f, settled), *ends, full_output=True, **options)
        x = as_number(implicit_root(f, x, *args, name=name))
        details.root = x
        return (x, details) if full_output else x

    solve.__name__ = solve.__qualname__ = name
    solve.__doc__ = f"`scipy.optimize.{name}`, whose result is differentiable with respect to what `f` depends on."
    return solve


bisect, brenth, brentq, ridder, toms748 = map(_bracketing, ("bisect", "brenth", "brentq", "ridder", "toms748"))


def newton(
    func: Callable,
    x0: Any,
    fprime: Any = None,
    args: Any = (),
    tol: float = 1.48e-8,
    maxiter: int = 50,
    fprime2: Any = None,
    x1: Any = None,
    rtol: float = 0.0,
    full_output: bool = False,
    disp: bool = True,
) -> Any:
    """`scipy.optimize.newton`; of a number with the exact derivative by default.

    Parameters
    ----------
    func, x0, args
        As in `root_scalar`; of an array of numbers, `func` is elementwise.
    fprime, fprime2 : callable, optional
    tol, maxiter, x1, rtol, full_output, disp
        As in SciPy.

    Returns
    -------
    Tensor, float or numpy.ndarray, or a tuple with ``full_output=True``
    """
    args, start = as_tuple(args), np.asarray(plain(x0), float)
    settled = plain_tree(args)

    def prepared(function: Any) -> Any:
        if function is None:
            return None
        return values_of(function, *settled) if start.ndim else of_floats(function, settled)

    if fprime is None and x1 is None and not start.ndim:
        fprime = grad(func)
    with outside():
        x, *details = _optimize.newton(
            prepared(func), start if start.ndim else float(start), prepared(fprime), (), tol, maxiter,
            prepared(fprime2), None if x1 is None else plain(x1), rtol, True, disp,
        )  # fmt: skip
    x = implicit_root(func, x, *args, name="newton")
    x = x if start.ndim else as_number(x)
    if not start.ndim:
        details[0].root = x
    return (x, *details) if full_output else x


def fixed_point(func: Callable, x0: Any, args: Any = (), **options: Any) -> Any:
    """`scipy.optimize.fixed_point`, whose result is differentiable with respect to what `func` depends on.

    Parameters
    ----------
    func : callable
        ``func(x, *args)`` returns what has the shape of `x`.
    x0 : array_like
    args : tuple
    **options
        ``xtol``, ``maxiter`` and ``method`` as in SciPy.

    Returns
    -------
    Tensor or numpy.ndarray
    """
    args = as_tuple(args)
    with outside():
        start = np.asarray(plain(x0), float)
        x = _optimize.fixed_point(values_of(func, *plain_tree(args)), start, **options)
    return implicit_root(lambda x, *more: stacked(func(x, *more)) - x, x, *args, name="fixed_point")
