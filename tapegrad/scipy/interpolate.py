"""`scipy.interpolate` for tensors: differentiable in the points where they are evaluated and in the data.

Each interpolator becomes a piecewise polynomial, whose coefficients are tensors where the data are. Knots have a
gradient in `CubicHermiteSpline`, `PchipInterpolator`, `Akima1DInterpolator`, `CubicSpline` and `interp1d`; those of
B-splines and of grids are constants.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.interpolate as _interpolate

from ..primitives.core import ops
from ..tape.handle import Tensor
from ._plain import plain
from ._splines import (
    Akima1DInterpolator,
    BSpline,
    CubicHermiteSpline,
    CubicSpline,
    PchipInterpolator,
    PPoly,
    floating,
    make_interp_spline,
    pchip_interpolate,
)

__all__ = [
    "Akima1DInterpolator",
    "BSpline",
    "CubicHermiteSpline",
    "CubicSpline",
    "PPoly",
    "PchipInterpolator",
    "RegularGridInterpolator",
    "interp1d",
    "interpn",
    "make_interp_spline",
    "pchip_interpolate",
]


def __getattr__(name: str) -> Any:
    return getattr(_interpolate, name)


_DEGREES = {"zero": 0, "slinear": 1, "quadratic": 2, "cubic": 3}


class interp1d:
    """`scipy.interpolate.interp1d`.

    Parameters
    ----------
    x : array_like or Tensor, shape (n,)
    y : array_like or Tensor
    kind : str or int
        ``"linear"``, ``"nearest"``, ``"nearest-up"``, ``"previous"``, ``"next"``, ``"zero"``, ``"slinear"``,
        ``"quadratic"``, ``"cubic"``, or the degree of a spline.
    axis : int
    bounds_error : bool, optional
    fill_value : number, pair of numbers, or "extrapolate"
    assume_sorted : bool
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        kind: Any = "linear",
        axis: int = -1,
        copy: bool = True,
        bounds_error: bool | None = None,
        fill_value: Any = np.nan,
        assume_sorted: bool = False,
    ):
        x, y = floating(x), floating(y)
        self.axis = axis % y.ndim
        y = np.moveaxis(y, self.axis, 0)
        order = np.arange(x.shape[0]) if assume_sorted else np.argsort(plain(x), kind="mergesort")
        self.x, self.y, self.kind = x[order], y[order], kind
        self.extrapolate = isinstance(fill_value, str) and fill_value == "extrapolate"
        self.fill = fill_value if isinstance(fill_value, tuple) else (fill_value, fill_value)
        given = self.extrapolate or isinstance(fill_value, tuple) or not np.all(np.isnan(plain(fill_value)))
        self.bounds_error = not given if bounds_error is None else bounds_error
        degree = kind if isinstance(kind, int) else _DEGREES.get(kind)
        self._spline: Any = None
        if degree is not None and degree > 1:
            self._spline = make_interp_spline(plain(ops.detach(self.x)), self.y, degree)
            if self.x._spec.requires_grad:
                raise NotImplementedError("interp1d: the knots of splines have no gradient; use CubicSpline")
        elif degree is None and kind not in ("linear", "nearest", "nearest-up", "previous", "next"):
            raise NotImplementedError(f"{kind} is unsupported: Use fitpack routines for other types.")

    def __call__(self, x: Any) -> Any:
        """The values at points; along the axis, they stand in place of the data."""
        x = floating(x)
        flat = np.reshape(x, (-1,))
        at, knots = plain(ops.detach(flat)), plain(ops.detach(self.x))
        below, above = at < knots[0], at > knots[-1]
        if self.bounds_error and (below.any() or above.any()):
            which = "below" if below.any() else "above"
            value = at[below][0] if below.any() else at[above][0]
            raise ValueError(f"A value ({value}) in x_new is {which} the interpolation range's "
                             f"{'minimum' if which == 'below' else 'maximum'} value.")  # fmt: skip
        y = self._spline(flat) if self._spline is not None else self._table(flat, at, knots)
        if not self.extrapolate:
            wide = (-1,) + (1,) * (self.y.ndim - 1)
            y = np.where(np.reshape(below, wide), self.fill[0], np.where(np.reshape(above, wide), self.fill[1], y))
        y = np.reshape(y, x.shape + self.y.shape[1:])
        n, order = x.ndim, list(range(y.ndim))
        axes = order[n : n + self.axis] + order[:n] + order[n + self.axis :]
        return np.transpose(y, axes) if self.axis else y

    def _table(self, x: Any, at: np.ndarray, knots: np.ndarray) -> Any:
        last = knots.size - 1
        if self.kind in ("linear", "slinear", 1):
            k = np.clip(np.searchsorted(knots, at), 1, last)
            share = np.reshape((x - self.x[k - 1]) / (self.x[k] - self.x[k - 1]), (-1,) + (1,) * (self.y.ndim - 1))
            return self.y[k - 1] + share * (self.y[k] - self.y[k - 1])
        if self.kind in ("nearest", "nearest-up"):
            middle = 0.5 * (knots[1:] + knots[:-1])
            k = np.searchsorted(middle, at, side="left" if self.kind == "nearest" else "right")
        elif self.kind == "next":
            k = np.searchsorted(knots, at, side="left")
        else:
            k = np.searchsorted(knots, at, side="right") - 1
        y = self.y[np.clip(k, 0, last)]
        if self.kind in ("previous", "next"):  # there is none before the first, or after the last
            y = np.where(np.reshape((k < 0) | (k > last), (-1,) + (1,) * (self.y.ndim - 1)), np.nan, y)
        return y


class RegularGridInterpolator:
    """`scipy.interpolate.RegularGridInterpolator`, linear or nearest.

    Parameters
    ----------
    points : sequence of array_like
        The grid along each axis, constants.
    values : array_like or Tensor, shape (m1, ..., mn, ...)
    method : {"linear", "slinear", "nearest"}
    bounds_error : bool
    fill_value : number or None
        None extrapolates.
    """

    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = True,
        fill_value: Any = np.nan,
    ):
        if method not in ("linear", "slinear", "nearest"):
            raise NotImplementedError(
                f"RegularGridInterpolator: of the methods, linear and nearest are supported for tensors, not {method!r}"
            )
        self.grid, values = [np.asarray(p, float) for p in points], floating(values)
        for k, p in enumerate(self.grid):
            if p.size > 1 and np.all(np.diff(p) < 0):
                self.grid[k], values = p[::-1].copy(), np.flip(values, k)
            if np.any(np.diff(self.grid[k]) <= 0):
                raise ValueError(f"The points in dimension {k} must be strictly ascending or descending")
            if values.shape[k] != p.size:
                raise ValueError(f"There are {p.size} points and {values.shape[k]} values on dimension {k}")
        self.values, self.method, self.bounds_error, self.fill_value = values, method, bounds_error, fill_value

    def __call__(self, xi: Any, method: str | None = None) -> Any:
        """The values at points, which stand in the last axis of `xi`, or in a tuple of arrays."""
        if isinstance(xi, tuple):
            xi = np.stack(np.broadcast_arrays(*[floating(x) for x in xi]), -1)
        xi = floating(xi)
        n = len(self.grid)
        if xi.shape[-1:] != (n,):
            raise ValueError(
                f"The requested sample points xi have dimension {xi.shape[-1]} but this RegularGridInterpolator has "
                f"dimension {n}"
            )
        flat = np.reshape(xi, (-1, n))
        at = plain(ops.detach(flat))
        low, high = np.array([p[0] for p in self.grid]), np.array([p[-1] for p in self.grid])
        outside = np.any((at < low) | (at > high), axis=1)
        if self.bounds_error and outside.any():
            raise ValueError("One of the requested xi is out of bounds")
        trailing = self.values.shape[n:]
        y = self._nearest(at) if (method or self.method) == "nearest" else self._linear(flat, at, len(trailing))
        if not self.bounds_error and self.fill_value is not None:
            y = np.where(np.reshape(outside, (-1,) + (1,) * len(trailing)), self.fill_value, y)
        return np.reshape(y, xi.shape[:-1] + trailing)

    def _cells(self, at: np.ndarray) -> list[np.ndarray]:
        return [np.clip(np.searchsorted(p, at[:, k], side="right") - 1, 0, p.size - 2) for k, p in enumerate(self.grid)]

    def _nearest(self, at: np.ndarray) -> Any:
        places = []
        for k, (p, i) in enumerate(zip(self.grid, self._cells(at), strict=True)):
            share = (at[:, k] - p[i]) / (p[i + 1] - p[i])
            places.append(np.where(share <= 0.5, i, i + 1))
        return self.values[tuple(places)]

    def _linear(self, x: Any, at: np.ndarray, trailing: int) -> Any:
        cells = self._cells(at)
        shares = [
            np.reshape((x[:, k] - p[i]) / (p[i + 1] - p[i]), (-1,) + (1,) * trailing)
            for k, (p, i) in enumerate(zip(self.grid, cells, strict=True))
        ]
        total: Any = 0.0
        for corner in itertools.product((0, 1), repeat=len(cells)):
            term = self.values[tuple(i + c for i, c in zip(cells, corner, strict=True))]
            for share, c in zip(shares, corner, strict=True):
                term = term * (share if c else 1.0 - share)
            total = total + term
        return total


def interpn(
    points: Any, values: Any, xi: Any, method: str = "linear", bounds_error: bool = True, fill_value: Any = np.nan
) -> Tensor:
    """`scipy.interpolate.interpn`, linear or nearest."""
    return RegularGridInterpolator(points, values, method, bounds_error, fill_value)(xi)
