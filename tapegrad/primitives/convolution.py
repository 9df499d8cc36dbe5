"""Convolutions in two dimensions: columns of the image by a strided copy, and matrix products, on BLAS.

A convolution is linear in the image and in the weights, so three records are enough for derivatives of any order:
`conv2d` and its two transposes have one another for pullbacks.
"""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import folded
from .core import Primitive, ops, primitive
from .layout import view_of_function
from .shape import reshape_to

__all__ = ["output_length"]

_X = np.sin(np.arange(2 * 4 * 6 * 5.0)).reshape(2, 4, 6, 5)
_PLAIN = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
_FORMS = [
    ((3, 4, 3, 2), _PLAIN),
    ((3, 4, 3, 2), {**_PLAIN, "padding": (1, 1)}),
    ((3, 4, 2, 2), {**_PLAIN, "stride": (2, 1), "padding": (1, 0)}),
    ((4, 2, 2, 2), {**_PLAIN, "dilation": (2, 3), "groups": 2}),
    ((2, 4, 1, 1), _PLAIN),
    ((4, 1, 3, 3), {"stride": (2, 2), "padding": (3, 1), "dilation": (1, 1), "groups": 4}),
]


def _weights(shape):
    return np.cos(np.arange(float(np.prod(shape)))).reshape(shape)


def output_length(n, kernel, stride, padding, dilation):
    """How many places a kernel has along an axis."""
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _output_shape(x, w, attrs):
    """Shape of a convolution's result, from the shapes of image and weights."""
    lengths = [
        output_length(n, k, s, p, d)
        for n, k, s, p, d in zip(x[2:], w[2:], attrs["stride"], attrs["padding"], attrs["dilation"], strict=True)
    ]
    return (x[0], w[0], *lengths)


def _check(x, w, attrs):
    groups = attrs["groups"]
    if len(x) != 4 or len(w) != 4:
        raise ShapeError(f"conv2d takes an image of 4 axes and weights of 4, not shapes {x} and {w}")
    if x[1] != w[1] * groups:
        raise ShapeError(
            f"Given groups={groups}, weight of size {list(w)}, expected input{list(x)} to have {w[1] * groups} "
            f"channels, but got {x[1]} channels instead"
        )
    if w[0] % groups:
        raise ShapeError(f"conv2d: {w[0]} output channels cannot be divided into {groups} groups")
    reach = [d * (k - 1) + 1 for k, d in zip(w[2:], attrs["dilation"], strict=True)]
    padded = [n + 2 * p for n, p in zip(x[2:], attrs["padding"], strict=True)]
    if any(r > n for r, n in zip(reach, padded, strict=True)):
        raise ShapeError(
            f"Calculated padded input size per channel: ({padded[0]} x {padded[1]}). Kernel size: ({reach[0]} x "
            f"{reach[1]}). Kernel size can't be greater than actual input size"
        )


def _check_places(places, x, w, attrs):
    """That a cotangent has the shape of a convolution of such an image with such weights."""
    _check(x, w, attrs)
    expected = _output_shape(x, w, attrs)
    if places != expected:
        raise ShapeError(f"a convolution of {x} with {w} has shape {expected}, and its cotangent {places}")


BAND_BYTES = 1 << 22
"""Columns are made for so many places at a time as take this much memory."""


class _Columns:
    """Columns of one image after another, some rows of places at a time: memory is taken once."""

    def __init__(self, image_shape, dtype, kernel, places, attrs):
        channels, height, width = image_shape
        (ph, pw), (sh, sw), (dh, dw) = attrs["padding"], attrs["stride"], attrs["dilation"]
        kh, kw = kernel
        self.groups, self.places = attrs["groups"], places
        self.plain = kernel == (1, 1) and (sh, sw) == (1, 1) and not (ph or pw)
        if self.plain:
            return
        self.padded = np.zeros((channels, height + 2 * ph, width + 2 * pw), dtype)
        self.inside = self.padded[:, ph : ph + height, pw : pw + width]
        for n, k, d, m, s in zip(self.padded.shape[1:], kernel, (dh, dw), places, (sh, sw), strict=True):
            if min(k, m, d, s) < 1 or (k - 1) * d + (m - 1) * s >= n:
                raise ValueError(f"a kernel of length {k} at {m} places reaches beyond an image of length {n}")
        c, h, w = self.padded.strides
        self.windows = np.lib.stride_tricks.as_strided(
            self.padded, (channels, kh, kw, *places), (c, h * dh, w * dw, h * sh, w * sw), writeable=False
        )
        self.row = channels * kh * kw * places[1]
        self.band = min(max(1, BAND_BYTES // max(1, self.row * self.padded.itemsize)), places[0])
        self.memory = np.empty(self.row * self.band, dtype)

    def of(self, image):
        """Pairs: a slice of places, and (groups, channels of a group x kernel, places), the columns of a product."""
        rows, width = self.places
        if self.plain:
            yield slice(rows * width), image.reshape(self.groups, -1, rows * width)
            return
        np.copyto(self.inside, image)
        for first in range(0, rows, self.band):
            windows = self.windows[..., first : first + self.band, :]
            last = first + windows.shape[-2]
            columns = self.memory[: windows.size].reshape(windows.shape)
            np.copyto(columns, windows)
            yield slice(first * width, last * width), columns.reshape(self.groups, -1, (last - first) * width)


def _convolve(x, w, out, attrs):
    """Write the convolution of images with weights into an array."""
    groups, (count, outputs) = attrs["groups"], out.shape[:2]
    columns = _Columns(x.shape[1:], x.dtype, w.shape[2:], out.shape[2:], attrs)
    matrix = np.ascontiguousarray(w).reshape(groups, outputs // groups, -1)
    flat = out.reshape(count, groups, outputs // groups, -1)
    for k in range(count):
        for places, b in columns.of(x[k]):
            for g in range(groups):
                np.matmul(matrix[g], b[g], out=flat[k, g, :, places])


class _Conv(Primitive):
    def compute(self, *arrays, **attrs):
        specs = [spec_of(a.shape, a.dtype) for a in arrays]
        out = np.empty(self.infer(specs, attrs)[0].shape, arrays[0].dtype)
        self.into(out, *arrays, **attrs)
        return out


def _side_by_side(row, images):
    """All examples as groups of channels of one convolution.

    Operands in `images` have their channels second, weights and biases have those of the result first.
    """
    xs = []
    for k, spec in enumerate(row.specs):
        axis = int(k in images)
        shape = (*spec.shape[:axis], row.size * spec.shape[axis], *spec.shape[axis + 1 :])
        xs.append(reshape_to(view_of_function(np.moveaxis, "Permute", row.whole(k), 0, axis), shape))
    changes, out = {}, row.out.shape
    if "shape" in row.attrs:
        n, c, *lengths = row.attrs["shape"]
        changes["shape"] = (n, row.size * c, *lengths)
    y = row.again(xs, groups=row.size * row.attrs["groups"], **changes)
    axis = int(len(images) == 1)
    apart = reshape_to(y, (*out[:axis], row.size, *out[axis:]))
    return ops.copy(view_of_function(np.moveaxis, "Permute", apart, axis, 0)) if axis else apart


@primitive(base=_Conv)
class conv2d:
    """Convolution (a cross-correlation, as in PyTorch) of images (N, C, H, W) with weights (O, C / groups, kh, kw)."""

    grad_name = "Convolution"
    samples = (
        *(((_X, _weights(shape)), attrs) for shape, attrs in _FORMS),
        ((_X, _weights((3, 4, 3, 2)), np.array([0.5, -1.0, 2.0])), _PLAIN),
    )

    def infer(specs, attrs):
        x, w = specs[:2]
        _check(x.shape, w.shape, attrs)
        if len(specs) > 2 and specs[2].shape != w.shape[:1]:
            raise ShapeError(f"conv2d: bias of shape {specs[2].shape} for {w.shape[0]} output channels")
        return spec_of(_output_shape(x.shape, w.shape, attrs), x.dtype), op.KERNEL

    def into(out, x, w, *bias, **attrs):
        _convolve(x, w, out, attrs)
        for b in bias:
            out += b.reshape(-1, 1, 1)

    def pullback(y_bar, y, x, w, *bias, **attrs):
        return (
            ops.conv2d_image(y_bar, w, shape=x._spec.shape, **attrs),
            ops.conv2d_weights(y_bar, x, kernel=w._spec.shape[2:], **attrs),
            *[ops.sum(y_bar, axis=(0, 2, 3), keepdims=False) for _ in bias],
        )

    def batching(row):
        return _side_by_side(row, (0,)) if any(row.mapped[1:]) else folded(row, shared=range(1, len(row.xs)))


def _transposed_samples():
    for shape, attrs in _FORMS:
        y = np.cos(np.arange(float(np.prod(_output_shape(_X.shape, shape, attrs)))))
        yield y.reshape(_output_shape(_X.shape, shape, attrs)), shape, attrs


@primitive(base=_Conv)
class conv2d_image:
    """The image's cotangent: the transpose of `conv2d` in its first operand."""

    grad_name = "ConvolutionTransposed"
    samples = tuple(((y, _weights(shape)), {**attrs, "shape": _X.shape}) for y, shape, attrs in _transposed_samples())

    def infer(specs, attrs):
        v, w = specs
        _check_places(v.shape, attrs["shape"], w.shape, attrs)
        return spec_of(attrs["shape"], v.dtype), op.KERNEL

    def into(out, v, w, shape, **attrs):
        kernel, (sh, sw), (dh, dw), (ph, pw) = w.shape[2:], attrs["stride"], attrs["dilation"], attrs["padding"]
        rest = (dh * (kernel[0] - 1) - ph, dw * (kernel[1] - 1) - pw)
        if (sh, sw) == (1, 1) and min(rest) >= 0:
            # With stride 1 this is a convolution itself, with the kernel turned around.
            g = attrs["groups"]
            turned = w.reshape(g, -1, *w.shape[1:])[..., ::-1, ::-1].swapaxes(1, 2)
            turned = turned.reshape(shape[1], -1, *kernel)
            _convolve(v, turned, out, {**attrs, "padding": rest})
        else:
            _fold(out, v, w, attrs)

    def pullback(y_bar, y, v, w, shape, **attrs):
        return conv2d(y_bar, w, **attrs), ops.conv2d_weights(v, y_bar, kernel=w._spec.shape[2:], **attrs)

    def batching(row):
        return _side_by_side(row, (0,)) if row.mapped[1] else folded(row, shared=(1,))


def _fold(out, v, w, attrs):
    """Add columns back to the places of the image that they were copied from."""
    groups, (kh, kw) = attrs["groups"], w.shape[2:]
    (ph, pw), (sh, sw), (dh, dw) = attrs["padding"], attrs["stride"], attrs["dilation"]
    count, channels, height, width = out.shape
    oh, ow = v.shape[2:]
    matrix = np.ascontiguousarray(w).reshape(groups, w.shape[0] // groups, -1).swapaxes(1, 2)
    columns = np.empty((groups, matrix.shape[1], oh * ow), out.dtype)
    padded = np.empty((channels, height + 2 * ph, width + 2 * pw), out.dtype)
    flat = np.ascontiguousarray(v).reshape(count, groups, -1, oh * ow)
    for k in range(count):
        for g in range(groups):
            np.matmul(matrix[g], flat[k, g], out=columns[g])
        padded[...] = 0
        parts = columns.reshape(channels, kh, kw, oh, ow)
        for i in range(kh):
            for j in range(kw):
                rows, cols = slice(i * dh, i * dh + sh * oh, sh), slice(j * dw, j * dw + sw * ow, sw)
                padded[:, rows, cols] += parts[:, i, j]
        out[k] = padded[:, ph : ph + height, pw : pw + width]


@primitive(base=_Conv)
class conv2d_weights:
    """The weights' cotangent: the transpose of `conv2d` in its second operand."""

    grad_name = "ConvolutionWeights"
    samples = tuple(((y, _X), {**attrs, "kernel": shape[2:]}) for y, shape, attrs in _transposed_samples())

    def infer(specs, attrs):
        v, x = specs
        shape = (v.shape[1], x.shape[1] // attrs["groups"], *attrs["kernel"])
        _check_places(v.shape, x.shape, shape, attrs)
        return spec_of(shape, v.dtype), op.KERNEL

    def into(out, v, x, kernel, **attrs):
        groups = attrs["groups"]
        columns = _Columns(x.shape[1:], x.dtype, kernel, v.shape[2:], attrs)
        flat = np.ascontiguousarray(v).reshape(v.shape[0], groups, v.shape[1] // groups, -1)
        total = out.reshape(groups, v.shape[1] // groups, -1)
        product = np.empty_like(total[0])
        total[...] = 0
        begun = False
        for k in range(len(v)):
            for places, b in columns.of(x[k]):
                for g in range(groups):
                    if begun:
                        total[g] += np.matmul(flat[k, g, :, places], b[g].T, out=product)
                    else:
                        np.matmul(flat[k, g, :, places], b[g].T, out=total[g])
                begun = True

    def pullback(y_bar, y, v, x, kernel, **attrs):
        return conv2d(x, y_bar, **attrs), ops.conv2d_image(v, y_bar, shape=x._spec.shape, **attrs)

    def batching(row):
        return _side_by_side(row, (0, 1))
