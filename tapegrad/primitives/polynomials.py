"""Polynomials by their coefficients, highest power first, and Vandermonde matrices."""

from __future__ import annotations

import numpy as np

from .combining import numpy_concatenate, numpy_stack
from .core import BY_FUNCTION, implements, lift, ops
from .filtering import numpy_convolve
from .indexing import getitem, is_traced
from .picking import _plain
from .reduction import numpy_sum
from .shape import cast, insert_axis, reshape_to


def _coefficients(p):
    x = lift(p.coeffs if isinstance(p, np.poly1d) else p)
    return reshape_to(x, (1,)) if x._spec.ndim == 0 else x


@implements(np.polyval)
def numpy_polyval(p, x):
    """`numpy.polyval`, by Horner's scheme."""
    p, x = _coefficients(p), lift(x)
    y = lift(np.zeros(x._spec.shape, x._spec.dtype))
    for k in range(p._spec.shape[0]):
        y = y * x + getitem(p, k)
    return y


def _aligned(a1, a2):
    a, b = _coefficients(a1), _coefficients(a2)
    gap = a._spec.shape[0] - b._spec.shape[0]
    if gap > 0:
        b = numpy_concatenate([np.zeros(gap, b._spec.dtype), b])
    elif gap < 0:
        a = numpy_concatenate([np.zeros(-gap, a._spec.dtype), a])
    return a, b


@implements(np.polyadd)
def numpy_polyadd(a1, a2):
    """`numpy.polyadd`."""
    a, b = _aligned(a1, a2)
    return a + b


@implements(np.polysub)
def numpy_polysub(a1, a2):
    """`numpy.polysub`."""
    a, b = _aligned(a1, a2)
    return a - b


@implements(np.polymul)
def numpy_polymul(a1, a2):
    """`numpy.polymul`; leading zeros are dropped where the values are known."""
    return _trimmed(numpy_convolve(_trimmed(_coefficients(a1)), _trimmed(_coefficients(a2))))


def _trimmed(p):
    if is_traced(p) or p._spec.ndim != 1:
        return p
    places = np.flatnonzero(_plain(p))
    return getitem(p, slice(int(places[0]) if places.size else p._spec.size - 1, None))


@implements(np.polyder)
def numpy_polyder(p, m=1):
    """`numpy.polyder`."""
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    p = _coefficients(p)
    for _ in range(m):
        n = p._spec.size - 1
        p = getitem(p, slice(0, max(n, 0))) * np.arange(n, 0, -1)
    return p


@implements(np.polyint)
def numpy_polyint(p, m=1, k=None):
    """`numpy.polyint`."""
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    p, m = _coefficients(p), int(m)
    constants = lift(np.zeros(1)) if k is None else reshape_to(lift(k), (lift(k)._spec.size,))
    if constants._spec.size < m and constants._spec.size != 1:
        raise ValueError("k must be a scalar or a rank-1 array of length 1 or >m.")
    for step in range(m):
        n = p._spec.size
        last = getitem(constants, slice(step, step + 1) if constants._spec.size > 1 else slice(0, 1))
        p = numpy_concatenate([p / np.arange(n, 0, -1), last])
    return p


@implements(np.polydiv)
def numpy_polydiv(u, v):
    """`numpy.polydiv`; how long the remainder is depends on the values."""
    u, v = _coefficients(u), _coefficients(v)
    u, v = (p if p._spec.dtype.kind in "fc" else cast(p, np.dtype(float)) for p in (u, v))
    dtype, scale = np.result_type(u._spec.dtype, v._spec.dtype), 1.0 / getitem(v, 0)
    u, v = cast(u, dtype), cast(v, dtype)
    m, n = u._spec.size - 1, v._spec.size - 1
    if m < n:
        quotient, rest = lift(np.zeros(1, dtype)), u
    else:
        parts, rest = [], u
        for _ in range(m - n + 1):
            factor = scale * getitem(rest, 0)
            parts.append(factor)
            head = getitem(rest, slice(1, n + 1)) - factor * getitem(v, slice(1, None))
            rest = numpy_concatenate([head, getitem(rest, slice(n + 1, None))])
        quotient = numpy_stack(parts)
        if rest._spec.size == 0:
            rest = lift(np.zeros(1, dtype))
    values = _plain(rest)
    skip = 0
    while skip < values.size - 1 and np.allclose(values[skip], 0, rtol=1e-14):
        skip += 1
    return quotient, getitem(rest, slice(skip, None))


@implements(np.poly)
def numpy_poly(seq_of_zeros):
    """`numpy.poly`."""
    zeros = lift(seq_of_zeros)
    shape = zeros._spec.shape
    if len(shape) == 2 and shape[0] == shape[1] and shape[0]:
        zeros = BY_FUNCTION[np.linalg.eigvals](zeros)
    elif len(shape) > 1:
        raise ValueError("input must be 1d or non-empty square 2d array.")
    elif len(shape) == 0:
        zeros = reshape_to(zeros, (1,))
    zeros = cast(zeros, np.dtype(np.mintypecode(zeros._spec.dtype.char)))
    one = lift(np.ones(1, zeros._spec.dtype))
    p = one
    for k in range(zeros._spec.size):
        p = numpy_convolve(p, numpy_concatenate([one, -getitem(zeros, slice(k, k + 1))]))
    if p._spec.dtype.kind == "c":
        values = _plain(zeros)
        if np.all(np.sort(values) == np.sort(values.conjugate())):
            p = ops.real(p)
    return p


@implements(np.roots)
def numpy_roots(p):
    """`numpy.roots`, by the eigenvalues of the companion matrix; which coefficients are 0 decides its size."""
    p = _coefficients(p)
    if p._spec.ndim != 1:
        raise ValueError("Input must be a rank-1 array.")
    places = np.flatnonzero(_plain(p))
    if places.size == 0:
        return lift(np.array([]))
    trailing = p._spec.size - places[-1] - 1
    p = getitem(p, slice(int(places[0]), int(places[-1]) + 1))
    if p._spec.dtype.kind not in "fc":
        p = cast(p, np.dtype(float))
    n = p._spec.size
    if n == 1:
        return lift(np.zeros(trailing, p._spec.dtype))
    top = insert_axis(-getitem(p, slice(1, None)) / getitem(p, 0), 0)
    companion = numpy_concatenate([top, np.eye(n - 2, n - 1, dtype=p._spec.dtype)])
    found = BY_FUNCTION[np.linalg.eigvals](companion)
    return numpy_concatenate([found, np.zeros(trailing, found._spec.dtype)]) if trailing else found


@implements(np.vander)
def numpy_vander(x, N=None, increasing=False):
    """`numpy.vander`."""
    x = lift(x)
    if x._spec.ndim != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    count = x._spec.size if N is None else N
    dtype = np.promote_types(x._spec.dtype, int)
    x = cast(x, dtype)
    if count == 0:
        return lift(np.zeros((x._spec.size, 0), dtype))
    columns = [lift(np.ones(x._spec.shape, dtype))]
    for _ in range(count - 1):
        columns.append(columns[-1] * x if len(columns) > 1 else x)
    return numpy_stack(columns if increasing else columns[::-1], axis=1)


@implements(np.polyfit)
def numpy_polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    """`numpy.polyfit`, by least squares."""
    x, y = lift(x), lift(y)
    x = x + 0.0
    y = y + 0.0
    if deg < 0:
        raise ValueError("expected deg >= 0")
    if x._spec.ndim != 1:
        raise TypeError("expected 1D vector for x")
    if x._spec.size == 0:
        raise TypeError("expected non-empty vector for x")
    if y._spec.ndim not in (1, 2):
        raise TypeError("expected 1D or 2D array for y")
    if x._spec.shape[0] != y._spec.shape[0]:
        raise TypeError("expected x and y to have same length")
    count = int(deg) + 1
    rcond = x._spec.size * np.finfo(x._spec.dtype).eps if rcond is None else rcond
    left, right = numpy_vander(x, count), y
    if w is not None:
        w = lift(w) + 0.0
        if w._spec.ndim != 1 or w._spec.shape[0] != y._spec.shape[0]:
            raise TypeError("expected w and y to have the same length, and a 1-d array for weights")
        left = left * insert_axis(w, 1)
        right = right * (insert_axis(w, 1) if y._spec.ndim == 2 else w)
    scale = ops.sqrt(numpy_sum(left * left, 0))
    left = left / scale
    c, residuals, rank, s = BY_FUNCTION[np.linalg.lstsq](left, right, rcond)
    c = (insert_axis(c, 0) if c._spec.ndim == 1 else BY_FUNCTION[np.transpose](c)) / scale
    c = reshape_to(c, (count,)) if y._spec.ndim == 1 else BY_FUNCTION[np.transpose](c)
    if full:
        return c, residuals, rank, s, rcond
    if not cov:
        return c
    base = BY_FUNCTION[np.linalg.inv](ops.matmul(BY_FUNCTION[np.transpose](left), left))
    base = base / BY_FUNCTION[np.outer](scale, scale)
    factor = 1.0
    if cov != "unscaled":
        if x._spec.size <= count:
            raise ValueError("the number of data points must exceed order to scale the covariance matrix")
        factor = residuals / float(x._spec.size - count)
        factor = getitem(factor, 0) if y._spec.ndim == 1 else factor
    if y._spec.ndim == 1:
        return c, base * factor
    return c, insert_axis(base, 2) * factor
