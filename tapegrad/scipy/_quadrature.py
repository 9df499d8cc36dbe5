"""Integrals of samples, and of functions by Leibniz's rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.integrate as _integrate

from ..autograd.captures import captured_by, fresh_tape, pull_back, refuse_tracing, tracked
from ..autograd.function import Function
from ..primitives.core import lift
from ..tape.handle import Tensor
from ..tape.state import as_in_grad, local
from ._plain import depends, outside, plain, requires_grad, values_of

# --- samples ---------------------------------------------------------------------------------------------------------


def _spacings(y: Tensor, x: Any, dx: Any, axis: int) -> Any:
    """Differences of neighbouring places along an axis, which is the last: a number, or an array."""
    if x is None:
        return dx
    x = lift(x)
    if x._spec.ndim != 1:
        x = np.moveaxis(x, axis, -1)
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"x has {x.shape[-1]} places along the axis, y has {y.shape[-1]}: they must be as many")
    return np.diff(x)


def _last(y: Any, axis: int) -> Any:
    y = lift(y)
    if y._spec.dtype.kind in "biu":
        y = lift(y, np.dtype(float))
    return np.moveaxis(y, axis, -1)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """`scipy.integrate.trapezoid`, which is NumPy's."""
    return np.trapezoid(lift(y), x, dx, axis)


def cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Any:
    """`scipy.integrate.cumulative_trapezoid`."""
    if initial not in (0, None):
        raise ValueError("`initial` must be `None` or `0`.")
    z = _last(y, axis)
    found = np.cumsum(_spacings(z, x, dx, axis) * (z[..., 1:] + z[..., :-1]) * 0.5, -1)
    if initial is not None:
        found = np.concatenate([np.zeros((*z.shape[:-1], 1), found.dtype), found], -1)
    return np.moveaxis(found, -1, axis)


def _parabola(a: Any, b: Any, c: Any, h: Any, k: Any) -> Any:
    """The integral over the first of two intervals, of lengths h and k, of the parabola through three samples."""
    return h * ((2.0 * h + 3.0 * k) / (h + k) * a + (h + 3.0 * k) / k * b - h * h / (k * (h + k)) * c) / 6.0


def _pieces(z: Any, d: Any) -> tuple[Any, ...]:
    """Samples and spacings of each pair of neighbouring intervals."""
    h, k = (d[..., :-1], d[..., 1:]) if np.ndim(d) else (d, d)
    return z[..., :-2], z[..., 1:-1], z[..., 2:], h, k


def simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Any:
    """`scipy.integrate.simpson`; of an even number of samples, the last interval has the parabola before it."""
    z = _last(y, axis)
    n = z.shape[-1]
    d = _spacings(z, x, dx, axis)
    if n == 2:
        return np.sum(d * (z[..., :1] + z[..., 1:]) * 0.5, -1)
    a, b, c, h, k = _pieces(z, d)
    every = slice(0, None, 2)
    h2, k2 = (h[..., every], k[..., every]) if np.ndim(h) else (h, k)
    a2, b2, c2 = a[..., every], b[..., every], c[..., every]
    whole = _parabola(a2, b2, c2, h2, k2) + _parabola(c2, b2, a2, k2, h2)
    if n % 2:
        return np.sum(whole, -1)
    hn, kn = (h[..., -1], k[..., -1]) if np.ndim(h) else (h, k)
    return np.sum(whole, -1) + _parabola(c[..., -1], b[..., -1], a[..., -1], kn, hn)


def cumulative_simpson(y: Any, *, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Any:
    """`scipy.integrate.cumulative_simpson`."""
    z = _last(y, axis)
    n = z.shape[-1]
    if n < 3:
        found = cumulative_trapezoid(z, x if x is None or np.ndim(x) == 1 else np.moveaxis(x, axis, -1), dx)
    else:
        a, b, c, h, k = _pieces(z, _spacings(z, x, dx, axis))
        first, second = _parabola(a, b, c, h, k), _parabola(c, b, a, k, h)
        # The first, third ... interval by the parabola to its right, the others by the one to their left.
        odd = np.arange(n - 1) % 2 == 1
        left = np.concatenate([first, second[..., -1:]], -1)
        right = np.concatenate([first[..., :1], second], -1)
        found = np.cumsum(np.where(odd, right, left), -1)
    if initial is not None:
        found = np.concatenate([np.zeros((*z.shape[:-1], 1)), found], -1) + np.asarray(initial)[..., None]
    return np.moveaxis(found, -1, axis)


def romb(y: Any, dx: Any = 1.0, axis: int = -1, show: bool = False) -> Any:
    """`scipy.integrate.romb`: Romberg's method on 2**k + 1 samples."""
    z = _last(y, axis)
    count = z.shape[-1] - 1
    levels = count.bit_length() - 1
    if count < 1 or count != 1 << levels:
        raise ValueError("Number of samples must be one plus a non-negative power of 2.")
    row: list[Any] = []
    for level in range(levels + 1):
        step = count >> level
        new = [np.trapezoid(z[..., ::step], None, dx * step)]
        for k, below in enumerate(row):
            new.append(new[k] + (new[k] - below) / (4.0 ** (k + 1) - 1.0))
        row = new
    return row[-1]


def fixed_quad(func: Callable, a: Any, b: Any, args: Any = (), n: int = 5) -> tuple[Any, None]:
    """`scipy.integrate.fixed_quad`: Gauss and Legendre's rule of order n."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    points = (b - a) * (nodes + 1.0) * 0.5 + a
    return (b - a) * 0.5 * np.sum(weights * func(points, *args), axis=-1), None


# --- functions -------------------------------------------------------------------------------------------------------

LIMIT = 50
"""How many pieces the range of an integral is cut into at most, in the reverse."""


class _Integral(Function):
    """An integral whose value is known."""

    @staticmethod
    def forward(ctx: Any, integrand: Any, value: Any, a: Any, b: Any, *captured: Any) -> Any:
        """The value."""
        ctx.integrand, ctx.ends, ctx.captured = integrand, (a, b), captured
        return lift(np.array(value))

    @staticmethod
    def backward(ctx: Any, bar: Any) -> Any:
        """Leibniz's rule: the integrand at the limits, and the integral of its derivative."""
        function, again, bars = ctx.integrand, local.state.grad_enabled, []
        for end, sign in zip(ctx.ends, (-1.0, 1.0), strict=True):
            moving = isinstance(end, Tensor) and end._spec.requires_grad and np.isfinite(plain(end))
            bars.append(function(end) * bar * sign if moving else None)
        found = _slopes(function, ctx.ends, bar, ctx.captured, again) if ctx.captured else []
        return (None, None, *bars, *found)


def _slopes(function: Any, limits: tuple[Any, Any], bar: Any, captured: Any, again: bool) -> list[Any]:
    """Cotangents of what the integrand uses: the integral of its pullback, by bisection where it is not yet precise."""
    ends = tuple(float(plain(e)) for e in limits)
    pieces = function.pieces(*ends)
    done = [(*_panel(function, ends, piece, captured), piece) for piece in pieces]
    while len(done) < LIMIT:
        total = sum(fine for fine, _, _ in done)
        worst = max(range(len(done)), key=lambda k: done[k][1])
        if sum(error for _, error, _ in done) <= function.precision(np.max(np.abs(total), initial=0.0)):
            break
        _, _, (low, high) = done.pop(worst)
        middle = 0.5 * (low + high)
        for piece in ((low, middle), (middle, high)):
            done.append((*_panel(function, ends, piece, captured), piece))
    if again:  # the same sum once more, recorded; the limits have had their share already
        moved = [tracked(e) if isinstance(e, Tensor) else e for e in limits]
        own = [e for e in moved if isinstance(e, Tensor)]
        with as_in_grad():
            value = sum(function.sample(moved, piece)[0] for *_, piece in done)
        return pull_back([value], [bar], own, captured, True)[len(own) :]
    total, parts, at = sum(fine for fine, _, _ in done) * bar, [], 0
    for c in captured:
        parts.append(np.reshape(total[at : at + c._spec.size], c._spec.shape))
        at += c._spec.size
    return parts


def _panel(function: Any, ends: Any, piece: Any, captured: Any) -> tuple[np.ndarray, float]:
    """The pullback of the integral over a piece, and an estimate of its error, from two rules on the same points."""
    fresh_tape()
    with as_in_grad():
        rules = function.sample(ends, piece)
    fine, coarse = (
        np.concatenate(
            [
                np.zeros(c._spec.size) if g is None else np.ravel(plain(g))
                for g, c in zip(pull_back([rule], [1.0], (), captured, False), captured, strict=True)
            ]
        )
        for rule in rules
    )
    return fine, float(np.max(np.abs(fine - coarse), initial=0.0))


class _Integrand:
    """A function of a number, with the range that it is integrated over mapped to a finite one.

    Parameters
    ----------
    function : callable
    options : dict
        Those of `quad`.
    """

    def __init__(self, function: Callable, options: dict[str, Any]):
        self.function, self.options = function, options

    def __call__(self, x: Any) -> Any:
        """The integrand, with its weight."""
        y, weight = self.function(x), self.options.get("weight")
        if weight is not None:
            y = y * (np.cos if weight == "cos" else np.sin)(self.options["wvar"] * x)
        return y

    def precision(self, size: float) -> float:
        """The error that is small enough."""
        return max(self.options.get("epsabs", 1.49e-8), self.options.get("epsrel", 1.49e-8) * size)

    def pieces(self, a: float, b: float) -> list[tuple[float, float]]:
        """Where to begin: the mapped range, cut at the points where the integrand is difficult."""
        if not (np.isfinite(a) and np.isfinite(b)):
            return [(0.0, 1.0)]
        cuts = sorted((p - a) / (b - a) for p in self.options.get("points") or ())
        edges = [0.0, *cuts, 1.0]
        return list(itertools.pairwise(edges))

    def sample(self, ends: tuple[Any, Any], piece: tuple[float, float]) -> tuple[Any, Any]:
        """The integral over a piece of the mapped range, by Kronrod's rule and by Gauss's."""
        a, b = ends
        half = 0.5 * (piece[1] - piece[0])
        fine: Any = 0.0
        coarse: Any = 0.0
        for u, w, v in zip(NODES, KRONROD, GAUSS, strict=True):
            y = self._mapped(float(piece[0] + half * (1.0 + u)), a, b)
            fine = fine + y * (w * half)
            coarse = coarse + y * (v * half) if v else coarse
        return fine, coarse

    def _mapped(self, t: float, a: Any, b: Any) -> Any:
        """The integrand as a function on [0, 1]."""
        from_end, to_end, sign = np.isfinite(plain(a)), np.isfinite(plain(b)), 1.0 if plain(b) > plain(a) else -1.0
        if from_end and to_end:
            return self(a + (b - a) * t) * (b - a)
        far, scale = sign * (1.0 - t) / t, sign / (t * t)
        if from_end:
            return self(a + far) * scale
        if to_end:
            return self(b - far) * scale
        return (self(far) + self(-far)) * scale


def _rules() -> tuple[Any, Any, Any]:
    """Nodes on [-1, 1], weights of Kronrod's rule, and of Gauss's rule, 0 at the nodes that are not its own.

    Laurie, "Calculation of Gauss-Kronrod quadrature rules", Math. Comp. 66 (1997), defines the nodes; the weights
    follow from integrating the Legendre polynomials exactly.
    """
    from numpy.polynomial import legendre

    n = 10
    gauss, weights = legendre.leggauss(n)
    # Stieltjes' polynomial of degree n + 1 is orthogonal to all lower ones under the weight P_n.
    places, own = legendre.leggauss(3 * n)
    basis = legendre.legvander(places, n + 1)
    inner = np.einsum("k,k,ki,kj->ij", own, basis[:, n], basis[:, : n + 1], basis)
    coefficients = np.append(np.linalg.lstsq(inner[:, : n + 1], -inner[:, n + 1], rcond=None)[0], 1.0)
    nodes = np.sort(np.concatenate([gauss, legendre.legroots(coefficients).real]))
    moments = np.zeros(2 * n + 1)
    moments[0] = 2.0
    kronrod = np.linalg.solve(legendre.legvander(nodes, 2 * n).T, moments)
    sparse = np.zeros(2 * n + 1)
    sparse[1::2] = weights
    return nodes, kronrod, sparse


NODES, KRONROD, GAUSS = _rules()


def _integral(integrand: _Integrand, a: Any, b: Any) -> tuple[Any, float]:
    """The integral, differentiable, and an estimate of its error."""
    ends = float(plain(a)), float(plain(b))
    with outside():
        call = values_of(integrand.function)
        value, error = _integrate.quad(lambda x: float(call(x)), *ends, **integrand.options)[:2]
    if not local.state.grad_enabled:
        return value, error
    _, captured = captured_by(integrand, lift(_inside(*ends)))
    if not captured and not requires_grad([a, b]):
        return value, error
    return _Integral.apply(integrand, value, a, b, *captured), error


def _inside(a: float, b: float) -> float:
    """A point of the interval."""
    if np.isfinite(a) and np.isfinite(b):
        return 0.5 * (a + b)
    if np.isfinite(a):
        return a + 1.0
    return b - 1.0 if np.isfinite(b) else 0.0


def quad(
    func: Callable, a: Any, b: Any, args: Any = (), full_output: int = 0, complex_func: bool = False, **options: Any
) -> tuple[Any, ...]:
    """`scipy.integrate.quad`, differentiable with respect to its limits and all that the integrand depends on.

    Parameters
    ----------
    func : callable
        ``func(x, *args)`` returns a number. It may use tensors from outside.
    a, b : float or Tensor
        Limits, which may be infinite.
    args : tuple
    full_output, complex_func
        As in SciPy, and refused where something is being differentiated.
    **options
        ``epsabs``, ``epsrel``, ``limit``, ``points``, ``weight`` and ``wvar`` as in SciPy; the weights ``"cos"`` and
        ``"sin"`` are differentiable.

    Returns
    -------
    y : Tensor or float
    abserr : float

    Notes
    -----
    The gradient is the integrand at the limits and the integral of its derivative, by bisection and Gauss and Kronrod's
    rule of 21 points to the same tolerances: a sweep for each piece. Derivatives of any order exist.
    """
    refuse_tracing("quad")
    args = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    scipys_alone = full_output or complex_func or options.get("weight") not in (None, "cos", "sin")
    if scipys_alone and not requires_grad([a, b]) and not depends(func, 0.5, *args):
        return _integrate.quad(func, a, b, args, full_output, complex_func=complex_func, **options)
    if full_output or complex_func:
        raise NotImplementedError(
            "quad: full_output and complex_func are not supported for tensors; integrate real and imaginary part, each "
            "with its own quad"
        )
    if scipys_alone:
        raise NotImplementedError(
            f"quad: of the weights, cos and sin are supported for tensors, not {options['weight']!r}; multiply the "
            f"integrand by the weight"
        )

    def integrand(t: Any) -> Any:
        y = func(t, *args)
        return np.reshape(y, ()) if isinstance(y, Tensor) else y

    value, error = _integral(_Integrand(integrand, options), a, b)
    return (value if isinstance(value, Tensor) else float(value)), error


def dblquad(func: Callable, a: Any, b: Any, gfun: Any, hfun: Any, args: Any = (), **options: Any) -> tuple[Any, float]:
    """`scipy.integrate.dblquad`: the integral of ``func(y, x)`` for x from a to b and y from gfun(x) to hfun(x).

    Parameters
    ----------
    func : callable
        ``func(y, x, *args)``.
    a, b : float or Tensor
    gfun, hfun : callable, float or Tensor
    args : tuple
    **options
        ``epsabs`` and ``epsrel``.

    Returns
    -------
    y : Tensor or float
    abserr : float
    """

    def inner(x: Any) -> Any:
        low, high = (limit(x) if callable(limit) else limit for limit in (gfun, hfun))
        return quad(lambda y: func(y, x, *args), low, high, **options)[0]

    return quad(inner, a, b, **options)


def tplquad(
    func: Callable, a: Any, b: Any, gfun: Any, hfun: Any, qfun: Any, rfun: Any, args: Any = (), **options: Any
) -> tuple[Any, float]:
    """`scipy.integrate.tplquad`: the integral of ``func(z, y, x)``, with z from qfun(x, y) to rfun(x, y).

    Parameters
    ----------
    func : callable
        ``func(z, y, x, *args)``.
    a, b, gfun, hfun, args, **options
        As in `dblquad`.
    qfun, rfun : callable, float or Tensor

    Returns
    -------
    y : Tensor or float
    abserr : float
    """

    def inner(y: Any, x: Any) -> Any:
        low, high = (limit(x, y) if callable(limit) else limit for limit in (qfun, rfun))
        return quad(lambda z: func(z, y, x, *args), low, high, **options)[0]

    return dblquad(inner, a, b, gfun, hfun, **options)


def nquad(func: Callable, ranges: Any, args: Any = (), opts: Any = None, full_output: bool = False) -> Any:
    """`scipy.integrate.nquad`: the integral of ``func(x0, x1, ...)`` over several variables.

    Parameters
    ----------
    func : callable
        ``func(x0, ..., xn, *args)``.
    ranges : sequence
        For each variable its limits, or a function of the variables behind it and `args` that gives them.
    args : tuple
    opts : dict, or sequence of a dict for each variable
        As those of `quad`.
    full_output : bool
        True is refused.

    Returns
    -------
    y : Tensor or float
    abserr : float
    """
    if full_output:
        raise NotImplementedError("nquad: full_output is not supported for tensors; leave it out")
    options = list(opts) if isinstance(opts, (list, tuple)) else [opts or {}] * len(ranges)

    def over(place: int, behind: tuple[Any, ...]) -> tuple[Any, ...]:
        low, high = ranges[place](*behind, *args) if callable(ranges[place]) else ranges[place]

        def inner(x: Any) -> Any:
            return over(place - 1, (x, *behind))[0] if place else func(x, *behind, *args)

        return quad(inner, low, high, **options[place])

    return over(len(ranges) - 1, ())
