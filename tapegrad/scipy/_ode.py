"""Initial value problems: SciPy chooses the steps, tensors take them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.integrate as _integrate

from ..autograd.captures import refuse_tracing
from ..implicit import implicit_root
from ..primitives.core import lift
from ..stopping import stop_gradient
from ._plain import depends, outside, plain, plain_tree, requires_grad, stacked, values_of
from ._runge_kutta import Explicit, Radau, Segment

__all__ = ["odeint", "solve_ivp"]

EXPLICIT = ("RK23", "RK45", "DOP853")
OTHERS = ("BDF", "LSODA")
"""Methods whose steps are not taken again: the derivative is that of another method with the same tolerances."""
PATIENCE = 20
"""How many times as often as LSODA an explicit method may call the function before the problem counts as stiff."""


class Solution:
    """The solution as a function of time, as `scipy.integrate.OdeSolution`.

    Parameters
    ----------
    ts : numpy.ndarray
        Ends of the steps.
    segments : list of Segment
    """

    def __init__(self, ts: np.ndarray, segments: list[Segment]):
        self.ts, self.segments = ts, segments
        self.t_min, self.t_max = min(ts[0], ts[-1]), max(ts[0], ts[-1])

    def index(self, t: Any) -> Any:
        """Which step times belong to."""
        sign = 1.0 if self.ts[-1] >= self.ts[0] else -1.0
        return np.clip(np.searchsorted(sign * self.ts, sign * t, side="left") - 1, 0, len(self.segments) - 1)

    def __call__(self, t: Any) -> Any:
        """The state at times: shape (n,) for a number, (n, k) for k of them."""
        t = stacked(t)
        times = np.asarray(plain(t), float)
        if times.ndim == 0:
            return self.segments[int(self.index(times))](t)
        places = self.index(times)
        parts, order = [], []
        for k in np.unique(places):
            own = np.flatnonzero(places == k)
            parts.append(self.segments[k](t[own]))
            order.append(own)
        if not parts:
            return self.segments[0].y_old[:, None] * np.zeros((1, 0))
        back = np.argsort(np.concatenate(order), kind="stable")
        return np.concatenate(parts, 1)[:, back]


class _GaveUp(Exception):
    """An explicit method takes too many steps: the problem is stiff."""


def _within(fun: Callable, calls: float) -> Callable:
    """A function that may be called so often."""
    count = 0

    def counted(t: Any, y: Any) -> Any:
        nonlocal count
        count += 1
        if count > calls:
            raise _GaveUp
        return fun(t, y)

    return counted


def _steps(fun: Callable, span: tuple[float, float], y0: Any, method: str, calls: int, options: Any) -> Any:
    """SciPy's solution with a method whose steps can be taken again, and that method's name."""
    if method == "LSODA":
        try:
            limited = _within(fun, PATIENCE * calls + 1000)
            found = _integrate.solve_ivp(limited, span, y0, "DOP853", dense_output=True, **_explicit(options))
            return found, "DOP853"
        except _GaveUp:
            pass
    method = method if method in EXPLICIT else "Radau"
    options = _explicit(options) if method in EXPLICIT else {**options, "first_step": options.get("first_step")}
    return _integrate.solve_ivp(fun, span, y0, method, dense_output=True, **options), method


def _explicit(options: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k not in ("jac", "jac_sparsity", "lband", "uband", "min_step")}


def solve_ivp(
    fun: Callable,
    t_span: Any,
    y0: Any,
    method: str = "RK45",
    t_eval: Any = None,
    dense_output: bool = False,
    events: Any = None,
    vectorized: bool = False,
    args: Any = None,
    **options: Any,
) -> Any:
    """`scipy.integrate.solve_ivp`, differentiable with respect to all that the solution depends on.

    Parameters
    ----------
    fun : callable
        ``fun(t, y, *args)`` returns the derivative, an array or a list. It may use tensors from outside.
    t_span : pair of numbers
        May be tensors.
    y0 : array_like or Tensor, shape (n,)
    method : {"RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA"}
    t_eval : array_like or Tensor, optional
        Times at which the solution is wanted; by default, the ends of the steps.
    dense_output : bool
        Whether ``sol``, a function of time, is wanted.
    events : callable or list of callable, optional
        As in SciPy; the times found are differentiable.
    vectorized : bool
    args : tuple, optional
    **options
        ``rtol``, ``atol``, ``first_step``, ``max_step``, ``jac`` ... as in SciPy.

    Returns
    -------
    scipy.integrate.OdeResult
        As SciPy's; ``y`` (and ``t``, ``t_events``, ``y_events``, ``sol``) of tensors where something is being
        differentiated.

    Notes
    -----
    SciPy's solver chooses the steps. Where something is being differentiated they are taken again on tensors, with the
    sizes of the steps held: the gradient is exactly that of the numerical solution, whose error is within the
    tolerances. Memory grows with the number of steps, as ``tapegrad.checkpoint`` around pieces of the time span avoids.
    A step of ``"Radau"`` is differentiated by the implicit function theorem. ``"BDF"`` and ``"LSODA"`` give the
    values; the derivative is that of Radau's method, or of DOP853 where the problem is not stiff, with the
    same tolerances.
    """
    refuse_tracing("solve_ivp")
    if t_eval is not None:
        t_eval = stacked(t_eval)
    more = () if args is None else tuple(args)
    span = tuple(t_span)
    start = np.asarray(plain(stacked(y0)))

    def rate(t: Any, y: Any) -> Any:
        dy = stacked(fun(t, y[:, None] if vectorized else y, *more))
        return np.reshape(dy, start.shape) if vectorized else dy

    plain_span = (float(plain(span[0])), float(plain(span[1])))
    listed: list[Callable] = [events] if callable(events) else list(events or ())
    if not (requires_grad([span, y0, t_eval, more]) or depends(rate, plain_span[0], start)):
        with outside():
            return _integrate.solve_ivp(
                _settled(fun, more), plain_span, start, method, plain(t_eval), dense_output, _settle(listed, more),
                vectorized, **_jacobian(options, more),
            )  # fmt: skip
    if method not in (*EXPLICIT, "Radau", *OTHERS):
        raise ValueError(f"solve_ivp: method is one of {', '.join((*EXPLICIT, 'Radau', *OTHERS))}, not {method!r}")
    flat = _settled(fun, more) if not vectorized else values_of(lambda t, y: rate(t, y))
    with outside():
        known = _jacobian(options, more)
        times = plain(t_eval)
        result = _integrate.solve_ivp(
            flat, plain_span, start, method, times, method not in OTHERS, _settle(listed, more), False, **known
        )
        taken, chosen = result, method
        if method in OTHERS:
            taken, chosen = _steps(flat, plain_span, start, method, result.nfev, known)
    if not result.success or not taken.success:
        raise RuntimeError(f"solve_ivp: the solver failed, so that there is nothing to differentiate: {result.message}")
    solution = _replay(rate, chosen, taken.sol, span, plain_span, lift(stacked(y0)))
    _fill(result, solution, method in OTHERS, t_eval, span, plain_span, listed, more)
    result.sol = solution if dense_output else None
    return result


def _settled(fun: Callable, args: tuple[Any, ...]) -> Callable:
    return values_of(fun, *plain_tree(args))


def _settle(events: list[Callable], args: tuple[Any, ...]) -> list[Callable] | None:
    """Events as functions of plain arrays, with what SciPy reads from their attributes."""
    made = []
    for event in events:
        number = _settled(event, args)

        def plain_event(t: Any, y: Any, number: Callable = number) -> float:
            return float(np.reshape(number(t, y), ()))

        for key in ("terminal", "direction"):
            if hasattr(event, key):
                setattr(plain_event, key, getattr(event, key))
        made.append(plain_event)
    return made or None


def _jacobian(options: dict[str, Any], args: tuple[Any, ...]) -> dict[str, Any]:
    """The user's options, with the arguments in the user's Jacobian."""
    jac = options.get("jac")
    return {**options, "jac": _settled(jac, args)} if callable(jac) else options


def _replay(rate: Callable, method: str, sol: Any, span: Any, plain_span: Any, y0: Any) -> Solution:
    """Take the steps of a solution again."""
    if "c" in y0._spec.dtype.kind and method == "Radau":
        raise NotImplementedError("solve_ivp: complex states are differentiable with explicit methods only")
    if y0._spec.dtype.kind in "biu":
        y0 = lift(y0, np.dtype(float))
    clock = _clock(span, plain_span)
    steps = [(float(p.t_old), float(p.t)) for p in sol.interpolants]
    stepper: Any = Radau(rate, y0) if method == "Radau" else Explicit(method, rate, clock(steps[0][0]), y0)
    segments = []
    for (begin, end), guess in zip(steps, sol.interpolants, strict=True):
        t = clock(begin)
        segments.append(stepper.step(t, clock(end) - t, guess))
    return Solution(np.array([steps[0][0], *[end for _, end in steps]]), segments)


def _clock(span: Any, plain_span: Any) -> Callable:
    """Times that move with the ends of the span, as their shares of it."""
    if not requires_grad([span]):
        return lambda t: t
    a, b = plain_span

    def moved(t: Any) -> Any:
        share = (t - a) / (b - a)
        return span[0] * (1.0 - share) + span[1] * share

    return moved


def _fill(
    result: Any,
    solution: Solution,
    foreign: bool,
    t_eval: Any,
    span: Any,
    plain_span: Any,
    events: Sequence[Callable],
    args: tuple[Any, ...],
) -> None:
    """Put tensors into SciPy's result; values of another method than that of the steps stay what they are."""
    times, values = result.t, result.y

    def found(t: Any, state: Any) -> Any:
        y = solution(t)
        return y - stop_gradient(y) + state if foreign else y

    ended = False
    if events:
        for k, event in enumerate(events):
            states = result.y_events[k]
            own = [
                implicit_root(_along(solution, event, te, args), te, name="solve_ivp (an event)")
                for te in result.t_events[k]
            ]
            if own:
                result.t_events[k] = np.stack(own)
                result.y_events[k] = np.stack([found(t, s) for t, s in zip(own, states, strict=True)])
                ended = ended or (result.status == 1 and bool(times[-1] == plain(own[-1])))
                last = own[-1]
    if t_eval is not None:
        result.t = t_eval[: times.size]
        result.y = found(result.t, values)
        return
    if ended:
        head = _clock(span, plain_span)(times[:-1])
        result.t = np.concatenate([head, np.reshape(last, (1,))])
    else:
        result.t = _clock(span, plain_span)(times)
    result.y = found(result.t, values)


def _along(solution: Solution, event: Callable, te: float, args: tuple[Any, ...]) -> Callable:
    """An event as a function of time, on the step that it happened in."""
    segment = solution.segments[int(solution.index(te))]

    def function(t: Any) -> Any:
        return np.reshape(event(t, segment(t), *args), ())

    return function


def odeint(
    func: Callable,
    y0: Any,
    t: Any,
    args: Any = (),
    Dfun: Any = None,
    tfirst: bool = False,
    rtol: float | None = None,
    atol: Any = None,
    full_output: bool = False,
    **options: Any,
) -> Any:
    """`scipy.integrate.odeint`, differentiable with respect to the initial state, the times and what `func` uses.

    Parameters
    ----------
    func : callable
        ``func(y, t, *args)``, or ``func(t, y, *args)`` with ``tfirst=True``.
    y0 : array_like or Tensor
    t : array_like or Tensor
        Times; the first is that of `y0`.
    args : tuple
    Dfun : callable, optional
    tfirst : bool
    rtol, atol : float
        By default 1.49e-8, as in SciPy.
    full_output : bool
        Refused where something is being differentiated.
    **options
        As in SciPy.

    Returns
    -------
    Tensor or numpy.ndarray, shape (len(t), n)

    Notes
    -----
    The values are those of SciPy's `odeint`, the derivatives those of `solve_ivp` with ``method="LSODA"``.
    """
    refuse_tracing("odeint")
    args = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    t = stacked(t)
    times = np.asarray(plain(t), float)
    start = np.atleast_1d(np.asarray(plain(stacked(y0)), float))

    def rate(s: Any, y: Any) -> Any:
        return np.reshape(stacked(func(s, y, *args) if tfirst else func(y, s, *args)), start.shape)

    with outside():
        settled = plain_tree(args)
        found = _integrate.odeint(
            _settled(func, settled), start, times, Dfun=None if Dfun is None else _settled(Dfun, settled),
            tfirst=tfirst, rtol=rtol, atol=atol, full_output=full_output, **options,
        )  # fmt: skip
    if not (requires_grad([y0, t, args]) or depends(rate, float(times[0]), start)):
        return found
    if full_output:
        raise NotImplementedError("odeint: full_output=True is for plain arrays; leave it out to differentiate")
    tolerances = {"rtol": 1.49012e-8 if rtol is None else rtol, "atol": 1.49012e-8 if atol is None else atol}
    if times.size < 2:
        return np.reshape(lift(stacked(y0), np.dtype(float)), (1, -1)) * np.ones((times.size, 1))
    with outside():
        span = (float(times[0]), float(times[-1]))
        taken, method = _steps(values_of(rate), span, start, "LSODA", 50 * times.size, tolerances)
    initial = np.reshape(lift(stacked(y0), np.dtype(float)), start.shape)
    solution = _replay(rate, method, taken.sol, (t[0], t[-1]), span, initial)
    y = np.swapaxes(solution(t), 0, 1)
    return y - stop_gradient(y) + found
