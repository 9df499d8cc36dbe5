"""`scipy.optimize` for functions on tensors: exact derivatives for the solver, and implicit ones of its result.

What a solver finds is differentiable with respect to everything that the function depends on: `args`, and values from
outside. The derivative is that of the exact solution, by the implicit function theorem; so the solver should converge
well (``tol=1e-10``), and how it got there does not matter, nor does the starting point.

Plain `scipy.optimize` takes exact gradients, too: ``minimize(tg.value_and_grad(f), x0, jac=True)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize as _optimize

from ..functional import value_and_grad
from ..implicit import implicit_minimum
from ..jacobians import hessian, jacfwd, jacrev
from ..primitives.core import BY_FUNCTION, lift
from ..tape.handle import Tensor
from ._plain import depends, outside, plain, plain_tree, stacked, values_of
from ._roots import (
    as_number,
    as_tuple,
    bisect,
    brenth,
    brentq,
    fixed_point,
    fsolve,
    newton,
    of_floats,
    pair_of,
    ridder,
    root,
    root_scalar,
    toms748,
)

__all__ = [
    "bisect",
    "brenth",
    "brentq",
    "curve_fit",
    "fixed_point",
    "fsolve",
    "least_squares",
    "minimize",
    "minimize_scalar",
    "newton",
    "ridder",
    "root",
    "root_scalar",
    "toms748",
]

WITH_GRADIENT = {
    "cg", "bfgs", "newton-cg", "l-bfgs-b", "tnc", "slsqp", "dogleg", "trust-ncg", "trust-krylov", "trust-exact",
    "trust-constr",
}  # fmt: skip
WITH_HESSIAN = {"dogleg", "trust-ncg", "trust-krylov", "trust-exact"}


def __getattr__(name: str) -> Any:
    return getattr(_optimize, name)


def minimize(
    fun: Callable,
    x0: Any,
    args: Any = (),
    method: str | None = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Any = None,
    options: Any = None,
) -> Any:
    """`scipy.optimize.minimize` with exact gradients, whose result is differentiable.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns a number; with ``jac=True``, the number and its gradient.
    x0 : array_like
        Has no gradient: the minimum does not depend on it.
    args : tuple
    method : str, optional
    jac : callable or bool, optional
        By default `tapegrad.grad` of `fun`, where the method takes a gradient.
    hess : callable, optional
        By default `tapegrad.hessian` of `fun`, where the method needs one and `hessp` is not given.
    hessp, bounds, tol, callback, options
        As in SciPy.
    constraints
        As in SciPy. A minimum under constraints can be found, not be differentiated.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Its ``x`` and ``fun`` are tensors where something is being differentiated.

    Raises
    ------
    NotImplementedError
        If there are constraints, and something is being differentiated.

    Notes
    -----
    Components at a bound have the derivative 0; the others minimise `fun` with those held.
    """
    args, start = as_tuple(args), np.asarray(plain(x0), float)
    settled = plain_tree(args)
    value = (lambda x, *more: fun(x, *more)[0]) if jac is True else fun
    shape = start.shape
    named = str(method).lower() if method is not None else "bfgs"
    given: dict[str, Any] = {"hess": hess, "hessp": hessp}
    with outside():
        alone = lambda x: fun(x, *settled)
        if jac is None and named in WITH_GRADIENT:
            call, given["jac"] = pair_of(value_and_grad(alone), ()), True
        else:
            call = pair_of(fun, settled) if jac is True else of_floats(alone)
            given["jac"] = values_of(jac, *settled) if callable(jac) else jac
        if callable(hess):
            given["hess"] = values_of(hess, *settled)
        elif hess is None and hessp is None and named in WITH_HESSIAN:
            given["hess"] = values_of(hessian(alone))
        if callable(hessp):
            given["hessp"] = values_of(hessp, *settled)
        result = _optimize.minimize(
            call, start.reshape(-1) if shape == () else start, method=method, bounds=bounds, constraints=constraints,
            tol=tol, callback=callback, options=options, **given,
        )  # fmt: skip
    x = result.x
    if constraints:
        _refuse_constraints(value, constraints, x, args)
        return result
    result.x = _minimum(value, x, args, bounds)
    if isinstance(result.x, Tensor):
        result.fun = value(result.x, *args)
    return result


def _minimum(value: Callable, x: np.ndarray, args: tuple[Any, ...], bounds: Any) -> Any:
    """A minimum, differentiable in its components that are at no bound."""
    free = np.ones(x.shape, bool)
    if bounds is not None:
        if not isinstance(bounds, _optimize.Bounds):
            pairs = [(-np.inf if a is None else a, np.inf if b is None else b) for a, b in bounds]
            bounds = _optimize.Bounds(*zip(*pairs, strict=True))
        size = 1e-9 * (1.0 + np.abs(x))
        free = (x > np.asarray(bounds.lb) + size) & (x < np.asarray(bounds.ub) - size)
    if free.all():
        return implicit_minimum(value, x, *args, name="minimize")
    place = np.flatnonzero(free)
    spread = np.eye(x.size)[:, place]  # from the free components to all

    def restricted(z: Any, *more: Any) -> Any:
        return value(np.where(free, 0.0, x) + spread @ z, *more)

    if place.size == 0 or not depends(value, x, *args):
        return x
    return np.where(free, 0.0, x) + spread @ implicit_minimum(restricted, x[free], *args, name="minimize")


def _refuse_constraints(value: Callable, constraints: Any, x: np.ndarray, args: tuple[Any, ...]) -> None:
    single = isinstance(constraints, dict) or not isinstance(constraints, (tuple, list))
    found = depends(value, x, *args)
    for c in [constraints] if single else constraints:
        function = c.get("fun") if isinstance(c, dict) else getattr(c, "fun", None)
        more = as_tuple(c.get("args", ())) if isinstance(c, dict) else ()
        found = found or (function is not None and depends(function, x, *more))
    if found:
        raise NotImplementedError(
            "minimize: a minimum under constraints cannot be differentiated yet: put the constraints into the "
            "parametrisation (x = softmax(z), x = exp(z)), use bounds, or give tapegrad.implicit_root the conditions "
            "of Karush, Kuhn and Tucker as the function whose root the minimum and its multipliers are"
        )


def minimize_scalar(
    fun: Callable, bracket: Any = None, bounds: Any = None, args: Any = (), method: Any = None, **options: Any
) -> Any:
    """`scipy.optimize.minimize_scalar`, whose result is differentiable with respect to what `fun` depends on.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns a number.
    bracket, bounds, method
        As in SciPy.
    args : tuple
    **options
        ``tol`` and ``options`` as in SciPy.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Its ``x`` and ``fun`` are tensors where something is being differentiated.
    """
    args = as_tuple(args)
    with outside():
        call = of_floats(fun, plain_tree(args))
        result = _optimize.minimize_scalar(call, bracket=bracket, bounds=bounds, method=method, **options)
    result.x = as_number(implicit_minimum(fun, result.x, *args, name="minimize_scalar"))
    if isinstance(result.x, Tensor):
        result.fun = fun(result.x, *args)
    return result


_LOSSES: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "soft_l1": lambda z: 2.0 * (np.sqrt(1.0 + z) - 1.0),
    "huber": lambda z: np.where(z <= 1.0, z, 2.0 * np.sqrt(np.maximum(z, 1.0)) - 1.0),
    "cauchy": np.log1p,
    "arctan": np.arctan,
}
"""SciPy's ``rho``, functions of the squared residuals."""


def least_squares(
    fun: Callable,
    x0: Any,
    jac: Any = None,
    bounds: Any = (-np.inf, np.inf),
    method: str = "trf",
    loss: str = "linear",
    f_scale: float = 1.0,
    args: Any = (),
    kwargs: Any = None,
    **options: Any,
) -> Any:
    """`scipy.optimize.least_squares` with exact Jacobians, whose result is differentiable.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args, **kwargs)`` returns the residuals.
    x0 : array_like
    jac : callable or str, optional
        By default `tapegrad.jacfwd` or `tapegrad.jacrev` of `fun`.
    bounds : pair of array_like, or scipy.optimize.Bounds
    method : str
    loss : {"linear", "soft_l1", "huber", "cauchy", "arctan"}
    f_scale : float
    args, kwargs
        Passed on to `fun`.
    **options
        As in SciPy.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Its ``x``, ``fun`` and ``cost`` are tensors where something is being differentiated.

    Notes
    -----
    The minimum's derivative takes the curvature of the residuals into account, not only Gauss and Newton's part.
    """
    args, kwargs, start = as_tuple(args), dict(kwargs or {}), np.atleast_1d(np.asarray(plain(x0), float))
    settled, options_of_fun = plain_tree(args), plain_tree(kwargs)
    if loss not in _LOSSES:
        raise ValueError(f"least_squares: loss is one of {', '.join(map(repr, _LOSSES))} for tensors, not {loss!r}")
    with outside():
        call = values_of(lambda x: fun(x, *settled, **options_of_fun))
        if jac is None:
            wide = np.size(call(start)) < start.size
            jac = values_of((jacrev if wide else jacfwd)(lambda x: lift(stacked(fun(x, *settled, **options_of_fun)))))
        elif callable(jac):
            theirs = jac
            jac = values_of(lambda x: theirs(x, *settled, **options_of_fun))
        result = _optimize.least_squares(
            call, start, jac, bounds=bounds, method=method, loss=loss, f_scale=f_scale, **options
        )
    if not isinstance(bounds, _optimize.Bounds):
        bounds = _optimize.Bounds(*(np.broadcast_to(b, start.shape) for b in bounds))

    def cost(x: Any) -> Any:
        r = stacked(fun(x, *args, **kwargs))
        return 0.5 * f_scale**2 * np.sum(_LOSSES[loss](np.square(r / f_scale)))

    result.x = _minimum(cost, result.x, (), bounds)
    if isinstance(result.x, Tensor):
        result.fun = stacked(fun(result.x, *args, **kwargs))
        result.cost = cost(result.x)
    return result


def curve_fit(
    f: Callable,
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = (-np.inf, np.inf),
    method: Any = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    **options: Any,
) -> Any:
    """`scipy.optimize.curve_fit`: parameters that are differentiable with respect to the data and their errors.

    Parameters
    ----------
    f : callable
        ``f(xdata, *parameters)``.
    xdata, ydata : array_like or Tensor
    p0 : array_like, optional
        By default ones, or what lies within `bounds`.
    sigma : array_like or Tensor, optional
        Standard deviations, a vector; or a covariance matrix.
    absolute_sigma, check_finite, bounds, method, jac, full_output
        As in SciPy; by default exact derivatives, and the method ``"trf"``.
    nan_policy : {None, "raise"}
        What SciPy calls ``"omit"`` is to be left out by hand.
    **options
        ``loss``, ``xtol`` and the like, as in `least_squares`; ``maxfev``.

    Returns
    -------
    popt : Tensor or numpy.ndarray
    pcov : Tensor or numpy.ndarray
        Unless `absolute_sigma`, scaled by the residuals' variance.
    infodict, mesg, ier
        With ``full_output=True``.
    """
    xdata = stacked(xdata) if isinstance(xdata, (list, tuple)) else xdata
    ydata = stacked(ydata)
    if nan_policy not in (None, "raise"):
        raise NotImplementedError(f"curve_fit: nan_policy={nan_policy!r} is not supported for tensors; leave NaN out")
    if check_finite is not False and not np.all(np.isfinite(plain(ydata))):
        raise ValueError("array must not contain infs or NaNs")
    if p0 is None:
        p0 = _start_within(bounds, len(inspect.signature(f).parameters) - 1)
    factor = np.linalg.cholesky(sigma) if sigma is not None and np.ndim(sigma) == 2 else None

    def weighed(r: Any) -> Any:
        if factor is not None:
            return np.linalg.solve(factor, r)
        return r if sigma is None else (r.T / sigma).T

    def residuals(p: Any) -> Any:
        return weighed(stacked(f(xdata, *p)) - ydata)

    if callable(jac):
        users = jac
        jac = lambda p: weighed(stacked(users(xdata, *p)))
    if "maxfev" in options:
        options["max_nfev"] = options.pop("maxfev")
    result = least_squares(residuals, p0, jac, bounds, "trf" if method is None else method, **options)
    if not result.success:
        raise RuntimeError("Optimal parameters not found: " + result.message)
    popt = result.x
    pcov = _covariance(residuals, popt, None if absolute_sigma else 2.0 * result.cost)
    if full_output:
        return popt, pcov, {"nfev": result.nfev, "fvec": result.fun}, result.message, result.status
    return popt, pcov


def _covariance(residuals: Callable, popt: Any, squares: Any) -> Any:
    """The parameters' covariance, scaled by the residuals' variance where the sum of their squares is given."""
    j: Any = (jacfwd if isinstance(popt, Tensor) else jacrev)(lambda p: lift(residuals(p)))(popt)
    pcov = BY_FUNCTION[np.linalg.inv](np.swapaxes(j, -1, -2) @ j)
    m, n = j.shape
    if squares is not None:
        pcov = pcov * (squares / (m - n)) if m > n else np.full((n, n), np.inf)
    return pcov if isinstance(popt, Tensor) else plain(pcov)


def _start_within(bounds: Any, n: int) -> np.ndarray:
    """Where a search begins: at ones, in the middle of two bounds, or one from a single one."""
    low, high = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds
    low, high = np.broadcast_to(low, n), np.broadcast_to(high, n)
    start = np.where(np.isfinite(low), low + 1.0, np.where(np.isfinite(high), high - 1.0, 1.0))
    both = np.isfinite(low) & np.isfinite(high)
    return np.where(both, 0.5 * (np.where(both, low, 0.0) + np.where(both, high, 0.0)), start)
