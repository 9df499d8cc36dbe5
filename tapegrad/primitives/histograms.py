"""Counting into bins: counts are constant in the data, and differentiable in the weights and the edges of bins."""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from .core import BY_FUNCTION, implements, lift, ops
from .indexing import getitem
from .picking import _plain
from .shape import reshape_to


@implements(np.bincount)
def numpy_bincount(x, /, weights=None, minlength=0):
    """`numpy.bincount`, differentiable in its weights."""
    places = _plain(x)
    if weights is None:
        return np.bincount(places, minlength=minlength)
    count = np.bincount(places, minlength=minlength).size
    w = lift(weights, np.dtype(float))
    if w._spec.shape != places.shape:
        raise ValueError("The weights and list don't have the same length.")
    return ops.scatter_add(w, lift(places.astype(np.intp)), shape=(count,), key=("array",), unique=False)


def _edges(a, bins, bounds, weights):
    """Edges of bins: with the gradient of the data's extremes, or of the edges given."""
    values, weights = _plain(a), None if weights is None else _plain(weights)
    if isinstance(bins, str) or np.ndim(bins) == 0:
        plain = np.histogram_bin_edges(values, bins, bounds, weights)
        if not isinstance(a, Tensor) or bounds is not None or values.size == 0 or values.min() == values.max():
            return plain, plain
        from .ranges import numpy_linspace

        return plain, numpy_linspace(BY_FUNCTION[np.min](a), BY_FUNCTION[np.max](a), plain.size)
    plain = np.histogram_bin_edges(values, _plain(bins), bounds, weights)
    return plain, bins if isinstance(bins, Tensor) else plain


@implements(np.histogram_bin_edges)
def numpy_histogram_bin_edges(a, bins=10, range=None, weights=None):
    """`numpy.histogram_bin_edges`."""
    return _edges(a, bins, range, weights)[1]


@implements(np.histogram)
def numpy_histogram(a, bins=10, range=None, density=None, weights=None):
    """`numpy.histogram`; counts are constant in the data, and differentiable in the weights."""
    plain, edges = _edges(a, bins, range, weights)
    values = _plain(a).ravel()
    if weights is None:
        counts = np.histogram(values, plain)[0]
    else:
        counts = _weighed([values], [plain], weights)
    if density:
        counts = counts / BY_FUNCTION[np.diff](edges) / counts.sum()
    return counts, edges


def _weighed(columns, edges, weights):
    """Weights summed over the bins of a grid, of which each column of the sample gives one index."""
    shape = tuple(e.size - 1 for e in edges)
    places, inside = [], np.ones(columns[0].shape, np.bool_)
    for values, e, n in zip(columns, edges, shape, strict=True):
        place = np.searchsorted(e, values, "right") - 1
        place[values == e[-1]] = n - 1
        inside &= (place >= 0) & (place < n)
        places.append(place)
    flat = np.ravel_multi_index([p[inside] for p in places], shape)
    w = lift(weights, np.dtype(float))
    kept = getitem(reshape_to(w, (w._spec.size,)), inside)
    return reshape_to(numpy_bincount(flat, kept, int(np.prod(shape))), shape)


def _columns(sample):
    """The coordinates of a sample: columns of an array, or the members of a sequence."""
    if isinstance(sample, (Tensor, np.ndarray)) and len(sample.shape) == 2:
        return [sample[:, k] for k in range(sample.shape[1])]
    members = list(sample)
    return members if np.ndim(members[0]) else [sample]


@implements(np.histogramdd)
def numpy_histogramdd(sample, bins=10, range=None, density=None, weights=None):
    """`numpy.histogramdd`; counts are constant in the data, and differentiable in the weights."""
    columns = _columns(sample)
    values = [_plain(c) for c in columns]
    given = list(bins) if np.iterable(bins) else [bins] * len(columns)
    plain_bins = [b if np.ndim(b) == 0 else _plain(b) for b in given]
    counts, plain = np.histogramdd(values, plain_bins, range)
    bounds = range or [None] * len(columns)
    edges = [
        _edges(c, e.size - 1 if np.ndim(b) == 0 else b, r, None)[1]
        for c, b, e, r in zip(columns, given, plain, bounds, strict=True)
    ]
    if weights is not None:
        counts = _weighed(values, plain, weights)
    if density:
        total = counts.sum()
        for k, e in enumerate(edges):
            widths = BY_FUNCTION[np.diff](e)
            counts = counts / widths.reshape([-1 if d == k else 1 for d, _ in enumerate(edges)])
        counts = counts / total
    return counts, edges


@implements(np.histogram2d)
def numpy_histogram2d(x, y, bins=10, range=None, density=None, weights=None):
    """`numpy.histogram2d`; counts are constant in the data, and differentiable in the weights."""
    if len(x) != len(y):
        raise ValueError("x and y must have the same length.")
    if np.iterable(bins) and len(bins) not in (1, 2):
        bins = [bins, bins]
    counts, edges = numpy_histogramdd([x, y], bins, range, density, weights)
    return counts, *edges
