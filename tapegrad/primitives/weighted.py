"""Quantiles with weights: elements that NumPy chooses. They are steps in `q` and in the weights."""

from __future__ import annotations

import math

import numpy as np

from .core import lift
from .layout import view_of_function
from .picking import _plain, gather_along
from .reduction import kept_shape, normal_axes
from .shape import reshape_to


def weighted_quantile(function, a, q, axis, method, keepdims, weights):
    """`numpy.quantile` or `nanquantile` with weights.

    Parameters
    ----------
    function : callable
        NumPy's, which chooses among the values.
    a : Tensor or array
    q : array_like
    axis : int, tuple of int or None
    method : str
    keepdims : bool
    weights : Tensor or array
        They carry no gradient, and neither does `q`.

    Returns
    -------
    Tensor
        The gradient goes to the first element of those equal to the one that was chosen.
    """
    x, q = lift(a), np.asarray(_plain(q))
    plain, shape = _plain(x), x._spec.shape
    chosen = function(plain, q.ravel(), axis=axis, method=method, keepdims=True, weights=_plain(weights))
    axes = normal_axes(axis, len(shape))
    rest = tuple(n for d, n in enumerate(shape) if d not in axes)
    last, lane = tuple(range(-len(axes), 0)), math.prod(shape[d] for d in axes)
    values = np.moveaxis(plain, axes, last).reshape(*rest, lane)
    wanted = chosen.reshape(q.size, *rest, 1)
    places = np.argmax((values == wanted) | ((values != values) & (wanted != wanted)), axis=-1)
    lanes = reshape_to(view_of_function(np.moveaxis, "Permute", x, axes, last), (*rest, lane))
    y = gather_along(lanes, lift(np.moveaxis(places, 0, -1)), len(rest))
    y = view_of_function(np.moveaxis, "Permute", y, -1, 0)
    return reshape_to(y, (*q.shape, *(kept_shape(shape, axes) if keepdims else rest)))
