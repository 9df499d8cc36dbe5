"""Piecewise polynomials and splines of `scipy.interpolate` for tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.interpolate as _interpolate

from ..implicit import implicit_root
from ..primitives.core import lift, ops
from ._plain import plain, stacked

__all__ = [
    "Akima1DInterpolator",
    "BSpline",
    "CubicHermiteSpline",
    "CubicSpline",
    "PPoly",
    "PchipInterpolator",
    "floating",
    "make_interp_spline",
    "pchip_interpolate",
]


def floating(a: Any) -> Any:
    """A tensor of floating-point numbers."""
    x = lift(stacked(a))
    return lift(x, np.dtype(float)) if x._spec.dtype.kind in "biu" else x


class PPoly:
    """A piecewise polynomial, as `scipy.interpolate.PPoly`.

    Parameters
    ----------
    c : array_like or Tensor, shape (k, m, ...)
        Coefficients of each of the m pieces, highest power first, in the distance from the piece's left end.
    x : array_like or Tensor, shape (m + 1,)
        Ends of the pieces, increasing.
    extrapolate : bool or "periodic"
        What happens outside: the outer pieces go on, the result is NaN, or everything repeats.
    axis : int
    """

    def __init__(self, c: Any, x: Any, extrapolate: Any = True, axis: int = 0):
        self.c, self.x, self.axis = floating(c), floating(x), axis
        self.extrapolate = True if extrapolate is None else extrapolate
        if self.c.shape[1] != self.x.shape[0] - 1:
            raise ValueError(
                f"PPoly: {self.x.shape[0]} ends of pieces belong to {self.x.shape[0] - 1} pieces, and c has "
                f"{self.c.shape[1]}"
            )

    def __call__(self, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
        """The value, or the derivative of order `nu`, at points.

        Parameters
        ----------
        x : array_like or Tensor
        nu : int
        extrapolate : bool or "periodic", optional

        Returns
        -------
        Tensor
            Of the shape of `x`, in place of the axis that was interpolated along.
        """
        if nu:
            return self.derivative(nu)(x, 0, extrapolate)
        x = floating(x)
        how = self.extrapolate if extrapolate is None else extrapolate
        knots = plain(self.x)
        if how == "periodic":
            x = self.x[0] + (x - self.x[0]) % (self.x[-1] - self.x[0])
        flat = np.reshape(x, (-1,))
        values = plain(ops.detach(flat))
        place = np.clip(np.searchsorted(knots, values, side="right") - 1, 0, knots.size - 2)
        trailing = self.c.shape[2:]
        u = np.reshape(flat - self.x[place], (-1,) + (1,) * len(trailing))
        y: Any = self.c[0][place]
        for k in range(1, self.c.shape[0]):
            y = y * u + self.c[k][place]
        if how is False:
            outside = (values < knots[0]) | (values > knots[-1])
            y = np.where(np.reshape(outside, u.shape), np.nan, y)
        y = np.reshape(y, x.shape + trailing)
        if self.axis:
            n, order = x.ndim, list(range(y.ndim))
            y = np.transpose(y, order[n : n + self.axis] + order[:n] + order[n + self.axis :])
        return y

    def derivative(self, nu: int = 1) -> PPoly:
        """The derivative of order `nu`; the antiderivative of order ``-nu`` where that is negative."""
        if nu < 0:
            return self.antiderivative(-nu)
        c = self.c
        for _ in range(nu):
            k = c.shape[0]
            c = c[:-1] * _column(np.arange(k - 1.0, 0.0, -1.0), c.ndim) if k > 1 else c * 0.0
        return PPoly(c, self.x, self.extrapolate, self.axis)

    def antiderivative(self, nu: int = 1) -> PPoly:
        """The antiderivative of order `nu`, which is 0 at the first knot."""
        c = self.c
        width = _column(np.diff(self.x), c.ndim - 1)
        for _ in range(nu):
            k = c.shape[0]
            c = c / _column(np.arange(float(k), 0.0, -1.0), c.ndim)
            whole: Any = 0.0
            for row in c:
                whole = (whole + row) * width
            start = np.cumsum(whole, 0) - whole
            c = np.concatenate([c, start[None]])
        return PPoly(c, self.x, self.extrapolate, self.axis)

    def integrate(self, a: Any, b: Any, extrapolate: Any = None) -> Any:
        """The integral from a to b."""
        how = self.extrapolate if extrapolate is None else extrapolate
        if how == "periodic":
            raise NotImplementedError("integrate: integrals over several periods are not supported for tensors")
        whole = self.antiderivative()
        return whole(b, 0, how) - whole(a, 0, how)

    def solve(self, y: Any = 0.0, discontinuity: bool = True, extrapolate: Any = None) -> Any:
        """Places where the polynomial is y, by SciPy, with implicit derivatives."""
        if self.c.ndim > 2:
            raise NotImplementedError("solve: of one polynomial only; make one for each column of the data")
        given = _interpolate.PPoly(plain(self.c), plain(self.x), self.extrapolate)
        found = given.solve(float(plain(floating(y))), discontinuity, extrapolate)
        return implicit_root(lambda x: self(x, 0, True) - y, found, name="solve") if found.size else found

    def roots(self, discontinuity: bool = True, extrapolate: Any = None) -> Any:
        """Places where the polynomial is 0, as `solve` finds them."""
        return self.solve(0.0, discontinuity, extrapolate)


def _column(v: Any, ndim: int) -> Any:
    return np.reshape(v, (-1,) + (1,) * (ndim - 1))


def _along_first(x: Any, y: Any, axis: int, name: str) -> tuple[Any, Any, int]:
    """Knots, data with the interpolated axis first, and that axis."""
    x, y = floating(x), floating(y)
    axis = axis % y.ndim
    y = np.moveaxis(y, axis, 0)
    if x.ndim != 1 or x.shape[0] != y.shape[0]:
        raise ValueError(
            f"{name}: x has shape {x.shape}, and y {y.shape[0]} values along axis {axis}: as many are needed"
        )
    if np.any(np.diff(plain(x)) <= 0):
        raise ValueError(f"{name}: `x` must be strictly increasing sequence.")
    return x, y, axis


def _hermite(x: Any, y: Any, slopes: Any) -> Any:
    """Coefficients of the cubics through values with slopes."""
    h = _column(np.diff(x), y.ndim)
    secant = np.diff(y, axis=0) / h
    low, high = slopes[:-1], slopes[1:]
    return np.stack([(low + high - 2.0 * secant) / h**2, (3.0 * secant - 2.0 * low - high) / h, low, y[:-1]])


class CubicHermiteSpline(PPoly):
    """`scipy.interpolate.CubicHermiteSpline`: cubics through values with given slopes."""

    def __init__(self, x: Any, y: Any, dydx: Any, axis: int = 0, extrapolate: Any = None):
        x, y, axis = _along_first(x, y, axis, "CubicHermiteSpline")
        super().__init__(_hermite(x, y, np.moveaxis(floating(dydx), axis, 0)), x, extrapolate, axis)


class CubicSpline(PPoly):
    """`scipy.interpolate.CubicSpline`: twice continuously differentiable cubics.

    Parameters
    ----------
    x : array_like or Tensor, shape (n,)
    y : array_like or Tensor
    axis : int
    bc_type : str, or pair of str or (order, value)
        ``"not-a-knot"``, ``"clamped"``, ``"natural"`` or ``"periodic"``.
    extrapolate : bool or "periodic", optional
    """

    def __init__(self, x: Any, y: Any, axis: int = 0, bc_type: Any = "not-a-knot", extrapolate: Any = None):
        x, y, axis = _along_first(x, y, axis, "CubicSpline")
        if extrapolate is None and isinstance(bc_type, str) and bc_type == "periodic":
            extrapolate = "periodic"
        if not x._spec.requires_grad and (isinstance(bc_type, str) or all(isinstance(b, str) for b in bc_type)):
            # The coefficients are a linear map of the values.
            basis = _interpolate.CubicSpline(plain(x), _identity(x.shape[0], bc_type), bc_type=bc_type).c
            c = _mapped(basis, y if bc_type != "periodic" else y[:-1])
        else:
            c = _hermite(x, y, _spline_slopes(x, y, bc_type))
        super().__init__(c, x, extrapolate, axis)


def _identity(n: int, bc_type: Any) -> np.ndarray:
    """Unit data; periodic ones end as they begin."""
    if bc_type != "periodic":
        return np.eye(n)
    return np.concatenate([np.eye(n - 1), np.eye(n - 1)[:1]])


def _mapped(basis: np.ndarray, y: Any) -> Any:
    """A linear map whose last axis belongs to the first of the data."""
    flat = np.reshape(y, (y.shape[0], -1))
    return np.reshape(np.reshape(basis, (-1, basis.shape[-1])) @ flat, basis.shape[:-1] + y.shape[1:])


def _spline_slopes(x: Any, y: Any, bc_type: Any) -> Any:
    """Slopes at the knots of a cubic spline: the tridiagonal system of continuous second derivatives.

    De Boor, "A practical guide to splines", Springer 1978: chapter IV.
    """
    n = x.shape[0]
    ends = (bc_type, bc_type) if isinstance(bc_type, str) else tuple(bc_type)
    if "periodic" in ends:
        raise NotImplementedError("CubicSpline: the knots of a periodic spline have no gradient; make them constants")
    if n < 4:
        raise NotImplementedError("CubicSpline: fewer than four knots have no gradient; make them constants")
    h = np.diff(x)
    secant = np.diff(y, axis=0) / _column(h, y.ndim)
    zero = lift(np.zeros(()))
    rows, right = [], []
    for side, end in enumerate(ends):
        k = (0, 1, 2) if side == 0 else (n - 1, n - 2, n - 3)
        a, b = (h[0], h[1]) if side == 0 else (h[-1], h[-2])
        first, second = (secant[0], secant[1]) if side == 0 else (secant[-1], secant[-2])
        kind: Any = {"natural": (2, 0.0), "clamped": (1, 0.0)}.get(end, end) if isinstance(end, str) else end
        if kind == "not-a-knot":
            d = a + b
            entries = {k[0]: b, k[1]: d}
            value = ((a + 2.0 * d) * b * first + a * a * second) / d
        elif kind[0] == 1:
            entries, value = {k[0]: zero + 1.0}, kind[1] + first * 0.0
        elif kind[0] == 2:
            sign = -0.5 if side == 0 else 0.5
            entries, value = {k[0]: 2.0 * a, k[1]: a}, 3.0 * a * first + sign * kind[1] * a * a
        else:
            raise ValueError(f"CubicSpline: bc_type {end!r} is not known")
        rows.append(entries)
        right.append(value)
    inner = [{i - 1: h[i], i: 2.0 * (h[i - 1] + h[i]), i + 1: h[i - 1]} for i in range(1, n - 1)]
    middle = [3.0 * (h[i] * secant[i - 1] + h[i - 1] * secant[i]) for i in range(1, n - 1)]
    rows, right = [rows[0], *inner, rows[1]], [right[0], *middle, right[1]]
    matrix = np.stack([np.stack([row.get(j, zero) for j in range(n)]) for row in rows])
    values: Any = np.stack(right)
    return np.reshape(np.linalg.solve(matrix, np.reshape(values, (n, -1))), values.shape)


class PchipInterpolator(PPoly):
    """`scipy.interpolate.PchipInterpolator`: cubics that keep the data's monotony."""

    def __init__(self, x: Any, y: Any, axis: int = 0, extrapolate: Any = None):
        x, y, axis = _along_first(x, y, axis, "PchipInterpolator")
        super().__init__(_hermite(x, y, _monotone_slopes(x, y)), x, extrapolate, axis)


def _monotone_slopes(x: Any, y: Any) -> Any:
    """Weighted harmonic means of the secants (Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5 (1984), eq. 5)."""
    h = _column(np.diff(x), y.ndim)
    secant = np.diff(y, axis=0) / h
    if x.shape[0] == 2:
        return np.concatenate([secant, secant])
    left, right = secant[:-1], secant[1:]
    flat = plain(left) * plain(right) <= 0.0
    w, v = 2.0 * h[1:] + h[:-1], h[1:] + 2.0 * h[:-1]
    mean = (w + v) / (w / np.where(flat, 1.0, left) + v / np.where(flat, 1.0, right))
    inner = np.where(flat, 0.0, mean)
    first = _end_slope(h[0], h[1], secant[0], secant[1])
    last = _end_slope(h[-1], h[-2], secant[-1], secant[-2])
    return np.concatenate([first[None], inner, last[None]])


def _end_slope(h: Any, k: Any, near: Any, far: Any) -> Any:
    """The slope of the parabola through the three last points, kept from overshooting."""
    d = ((2.0 * h + k) * near - h * far) / (h + k)
    d0, n0, f0 = plain(d), plain(near), plain(far)
    steep = (np.sign(n0) != np.sign(f0)) & (np.abs(d0) > 3.0 * np.abs(n0))
    return np.where(np.sign(d0) != np.sign(n0), 0.0, np.where(steep, 3.0 * near, d))


def pchip_interpolate(xi: Any, yi: Any, x: Any, der: Any = 0, axis: int = 0) -> Any:
    """`scipy.interpolate.pchip_interpolate`."""
    p = PchipInterpolator(xi, yi, axis)
    return p(x, der) if np.ndim(der) == 0 else [p(x, k) for k in der]


class Akima1DInterpolator(PPoly):
    """`scipy.interpolate.Akima1DInterpolator`.

    Parameters
    ----------
    x, y : array_like or Tensor
    axis : int
    method : {"akima", "makima"}
    extrapolate : bool, optional
        By default, NaN outside.
    """

    def __init__(self, x: Any, y: Any, axis: int = 0, *, method: str = "akima", extrapolate: Any = None):
        if method not in ("akima", "makima"):
            raise NotImplementedError(f"`method`={method} is unsupported.")
        x, y, axis = _along_first(x, y, axis, "Akima1DInterpolator")
        slopes = _akima_slopes(x, y, method == "makima") if x.shape[0] > 2 else np.diff(y, axis=0) / np.diff(x)
        slopes = slopes if x.shape[0] > 2 else np.concatenate([slopes, slopes])
        super().__init__(_hermite(x, y, slopes), x, bool(extrapolate), axis)


def _akima_slopes(x: Any, y: Any, modified: bool) -> Any:
    """Means of the secants, weighted by how much they change (Akima, J. ACM 17 (1970), eq. 1)."""
    m = np.diff(y, axis=0) / _column(np.diff(x), y.ndim)
    low, high = 2.0 * m[0] - m[1], 2.0 * m[-1] - m[-2]
    m = np.concatenate([(2.0 * low - m[0])[None], low[None], m, high[None], (2.0 * high - m[-1])[None]])
    change = np.abs(np.diff(m, axis=0))
    if modified:
        change = change + 0.5 * np.abs(m[1:] + m[:-1])
    before, after = change[:-2], change[2:]
    total = before + after
    values = plain(total)
    even = ~(values > 1e-9 * np.max(values, initial=-np.inf))
    weighted = (after * m[1:-2] + before * m[2:-1]) / np.where(even, 1.0, total)
    return np.where(even, 0.0 if modified else 0.5 * (m[3:] + m[:-3]), weighted)


# --- B-splines -------------------------------------------------------------------------------------------------------


class BSpline(PPoly):
    """`scipy.interpolate.BSpline`, as the piecewise polynomial that it is.

    Parameters
    ----------
    t : array_like, shape (n + k + 1,)
        Knots, constants.
    c : array_like or Tensor, shape (n, ...)
    k : int
    extrapolate : bool or "periodic"
    axis : int
    """

    def __init__(self, t: Any, c: Any, k: int, extrapolate: Any = True, axis: int = 0):
        t = np.asarray(t, float)
        coefficients = np.moveaxis(floating(c), axis, 0)
        self.t, self.k, self.tck = t, k, (t, coefficients, k)
        n = t.size - k - 1
        ends = np.unique(t[k : n + 1]) if k else t  # steps: the last datum has a piece of no width
        parts = _interpolate.BSpline(t, np.eye(n), k)  # each basis function, by its derivatives at the left ends
        basis = np.stack([parts(ends[:-1], m) / math.factorial(m) for m in range(k, -1, -1)])
        super().__init__(_mapped(basis, coefficients[:n]), ends, extrapolate, axis)


def make_interp_spline(
    x: Any, y: Any, k: int = 3, t: Any = None, bc_type: Any = None, axis: int = 0, check_finite: bool = True
) -> BSpline:
    """`scipy.interpolate.make_interp_spline`: the spline of degree k through the data.

    Parameters
    ----------
    x : array_like, shape (n,)
        Constants.
    y : array_like or Tensor
    k : int
    t : array_like, optional
        Knots.
    bc_type : str, optional
        ``"natural"``, ``"clamped"``, ``"not-a-knot"`` or ``"periodic"``.
    axis : int
    check_finite : bool

    Returns
    -------
    BSpline
    """
    if bc_type is not None and not isinstance(bc_type, str):
        raise NotImplementedError(
            "make_interp_spline: bc_type is a string for tensors; use CubicSpline for values at ends"
        )
    x = np.asarray(x, float)
    data = floating(y)
    axis = axis % data.ndim
    data = np.moveaxis(data, axis, 0)
    basis = _interpolate.make_interp_spline(x, _identity(x.size, bc_type), k, t, bc_type, check_finite=check_finite)
    c = _mapped(basis.c, data[:-1] if bc_type == "periodic" else data)
    extrapolate = "periodic" if bc_type == "periodic" else True
    return BSpline(basis.t, np.moveaxis(c, 0, axis), basis.k, extrapolate, axis)
