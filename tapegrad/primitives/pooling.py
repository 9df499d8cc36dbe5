"""Pooling in two dimensions: maxima and sums over windows, with the windows as strided slices of the whole array."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import folded
from .core import Primitive, ops, primitive

__all__ = ["pooled_length"]

_X = np.sin(2.0 * np.arange(2 * 3 * 5 * 6.0)).reshape(2, 3, 5, 6)
_PLAIN = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1), "lengths": (2, 3)}
_FORMS = [
    _PLAIN,
    {"kernel": (3, 2), "stride": (1, 2), "padding": (0, 0), "dilation": (1, 1), "lengths": (3, 3)},
    {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "lengths": (3, 3)},
    {"kernel": (2, 2), "stride": (2, 3), "padding": (0, 0), "dilation": (2, 1), "lengths": (2, 2)},
    {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1), "lengths": (3, 3)},
]
"""Attributes: the last, whose `lengths` go beyond the array, is what ``ceil_mode`` gives."""


def pooled_length(n, kernel, stride, padding, dilation, ceil_mode):
    """How many windows there are along an axis; with `ceil_mode` the last may reach beyond the end."""
    reach = n + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return reach // stride + 1
    length = -(-reach // stride) + 1
    return length - ((length - 1) * stride >= n + padding)  # no window may begin behind the end


def _check_windows(shape, attrs):
    """Refuse windows that would need far more around the array than it is large: a file may ask for them."""
    names = ("lengths", "kernel", "stride", "padding", "dilation")
    given = [attrs.get(name, (1, 1)) for name in names]
    for n, m, k, s, p, d in zip(shape[2:], *given, strict=True):
        if 2 * p > k or (m - 1) * s > n + p or d * (k - 1) > n + 2 * p:
            raise ValueError(f"pooling windows of {k} elements, {p} padded, do not fit an array of {n}")


class _Windows:
    """An array with what windows need around it, and the slices that are one place of all windows."""

    def __init__(self, shape, kernel, stride, padding, dilation, lengths):
        self.shape, self.padding, self.kernel, self.lengths = shape, padding, kernel, lengths
        self.stride, self.dilation = stride, dilation
        need = [(m - 1) * s + d * (k - 1) + 1 for m, s, d, k in zip(lengths, stride, dilation, kernel, strict=True)]
        self.padded = tuple(max(n + 2 * p, m) for n, p, m in zip(shape[2:], padding, need, strict=True))
        self.bare = self.padded == tuple(shape[2:])

    def around(self, x, fill):
        """The array in a larger one that is filled with a value; the array itself if nothing is needed around it."""
        if self.bare:
            return x
        made = np.full((*self.shape[:2], *self.padded), fill, x.dtype)
        made[self.inside] = x
        return made

    @property
    def inside(self):
        (ph, pw), (h, w) = self.padding, self.shape[2:]
        return slice(None), slice(None), slice(ph, ph + h), slice(pw, pw + w)

    def __iter__(self):
        (sh, sw), (dh, dw), (oh, ow) = self.stride, self.dilation, self.lengths
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
                yield slice(None), slice(None), rows, slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)


class _IntoArrays(Primitive):
    batching = staticmethod(folded)

    def compute(self, *arrays, **attrs):
        specs = [spec_of(a.shape, a.dtype) for a in arrays]
        out = np.empty(self.infer(specs, attrs)[0].shape, arrays[0].dtype)
        self.into(out, *arrays, **attrs)
        return out


class _Pooling(_IntoArrays):
    def infer(self, specs, attrs):
        _check_windows(specs[0].shape, attrs)
        return spec_of((*specs[0].shape[:2], *attrs["lengths"]), specs[0].dtype), op.KERNEL


class _Spreading(_IntoArrays):
    def infer(self, specs, attrs):
        _check_windows(attrs["shape"], attrs)
        return spec_of(attrs["shape"], specs[0].dtype), op.KERNEL


def _room(out, windows):
    """Zeros to add windows into: the result itself, if nothing is needed around it."""
    total = out if windows.bare else np.empty((*out.shape[:2], *windows.padded), out.dtype)
    total[...] = 0
    return total


@primitive(base=_Pooling)
class max_pool2d:
    """The greatest element of each window; NaN if one is."""

    grad_name = "MaxPool2DWithIndices"
    samples = tuple(((_X,), attrs) for attrs in _FORMS)

    def into(out, x, **attrs):
        windows = _Windows(x.shape, **attrs)
        x = windows.around(x, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
        first, *others = [x[w] for w in windows]
        np.copyto(out, first)
        for part in others:
            np.maximum(out, part, out=out)

    def pullback(y_bar, y, x, **attrs):
        return ops.max_pool2d_spread(y_bar, x, y, shape=x._spec.shape, **attrs)


def _first_maxima(x, y, windows):
    """For each place of a window: its slice, and in which windows the first maximum stands there."""
    x = windows.around(x, -np.inf)
    has_nan = not (y == y).all()
    free = np.ones(y.shape, np.bool_)
    for w in windows:
        hit = x[w] == y
        if has_nan:
            hit |= x[w] != x[w]
        hit &= free
        free ^= hit
        yield w, hit


def _places_of(x, attrs):
    return x, max_pool2d.compute(x, **attrs)


@primitive(base=_Spreading)
class max_pool2d_spread:
    """Each window's value at the place of its first maximum: the transpose of `max_pool2d_take`."""

    samples = tuple(
        ((np.cos(np.arange(float(np.prod((2, 3, *attrs["lengths"]))))).reshape(2, 3, *attrs["lengths"]),
          *_places_of(_X, attrs)), {**attrs, "shape": _X.shape})
        for attrs in _FORMS
    )  # fmt: skip
    fixed = (1, 2)

    def into(out, v, x, y, shape, **attrs):
        windows = _Windows(shape, **attrs)
        total = _room(out, windows)
        apart = all(
            s >= d * (k - 1) + 1 for s, d, k in zip(windows.stride, windows.dilation, windows.kernel, strict=True)
        )
        for w, hit in _first_maxima(x, y, windows):
            if apart:
                np.multiply(v, hit, out=total[w])
            else:
                total[w] += v * hit
        if not windows.bare:
            np.copyto(out, total[windows.inside])

    def pullback(y_bar, y, v, x, z, shape, **attrs):
        return ops.max_pool2d_take(y_bar, x, z, **attrs), None, None


@primitive(base=_Pooling)
class max_pool2d_take:
    """The element of the first operand at the place of each window's first maximum in the second."""

    samples = tuple(((np.cos(_X), *_places_of(_X, attrs)), attrs) for attrs in _FORMS)
    fixed = (1, 2)

    def into(out, v, x, y, **attrs):
        windows = _Windows(v.shape, **attrs)
        v = windows.around(v, 0)
        out[...] = 0
        for w, hit in _first_maxima(x, y, windows):
            out += v[w] * hit

    def pullback(y_bar, y, v, x, z, **attrs):
        return ops.max_pool2d_spread(y_bar, x, z, shape=v._spec.shape, **attrs), None, None


@primitive(base=_Pooling)
class window_sum:
    """The sum of each window; what reaches beyond the array counts as zero."""

    samples = tuple(((_X,), attrs) for attrs in _FORMS)

    def into(out, x, **attrs):
        windows = _Windows(x.shape, **attrs)
        x = windows.around(x, 0)
        first, *others = [x[w] for w in windows]
        np.copyto(out, first)
        for part in others:
            out += part

    def pullback(y_bar, y, x, **attrs):
        return ops.window_spread(y_bar, shape=x._spec.shape, **attrs)


@primitive(base=_Spreading)
class window_spread:
    """Each window's value added at all its places: the transpose of `window_sum`."""

    samples = tuple(((window_sum.compute(_X, **attrs),), {**attrs, "shape": _X.shape}) for attrs in _FORMS)

    def into(out, v, shape, **attrs):
        windows = _Windows(shape, **attrs)
        total = _room(out, windows)
        for w in windows:
            total[w] += v
        if not windows.bare:
            np.copyto(out, total[windows.inside])

    def pullback(y_bar, y, v, shape, **attrs):
        return window_sum(y_bar, **attrs)
