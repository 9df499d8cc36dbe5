"""Convolution, pooling and picking of classes: each thread computes one element of the result."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape.spec import spec_of
from . import scalars
from .kernels import add_into, copy_into
from .memory import DeviceArray
from .reductions import reduce
from .table import kernel
from .toolchain import cuda
from .variants import dense, launch, number, pair

__all__ = [
    "convolve_image", "convolve_transposed", "convolve_weights", "pick", "pool_max", "pool_spread", "pool_sum",
    "pool_take", "put_back", "sum_spread",
]  # fmt: skip


def convolve_image(
    size, zero, channels, height, width, outputs, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, groups,
    x, ox, w, ow, y, oy,
):  # fmt: skip
    """y[n, o, r, c] = sum of x[n, g, r sh + i dh - ph, ...] w[o, g, i, j]: a convolution."""
    at = cuda.grid(1)
    while at < size:
        above, c = divmod(at, columns)
        plane, r = divmod(above, rows)
        image, o = divmod(plane, outputs)
        each, _ = divmod(channels, groups)
        many, _ = divmod(outputs, groups)
        group, _ = divmod(o, many)
        first = group * each
        total = zero
        for g in range(each):
            for i in range(kh):
                line = r * sh + i * dh - ph
                if 0 <= line < height:
                    for j in range(kw):
                        column = c * sw + j * dw - pw
                        if 0 <= column < width:
                            value = x[ox + ((image * channels + first + g) * height + line) * width + column]
                            total += value * w[ow + ((o * each + g) * kh + i) * kw + j]
        y[oy + at] = total
        at += cuda.gridsize(1)


def window_at(place, step, count):
    """Number of the window that begins at a place; -1 if none of so many does."""
    end = step * count
    if 0 <= place < end:
        k, rest = divmod(place, step)
        if rest == 0:
            return k
    return -1


def convolve_transposed(
    size, zero, channels, height, width, outputs, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, groups,
    v, ov, w, ow, y, oy,
):  # fmt: skip
    """y[n, g, h, l] = sum of v[n, o, r, c] w[o, g, i, j] where r sh + i dh - ph = h: the transpose in the image."""
    at = cuda.grid(1)
    while at < size:
        above, column = divmod(at, width)
        plane, line = divmod(above, height)
        image, channel = divmod(plane, channels)
        each, _ = divmod(channels, groups)
        many, _ = divmod(outputs, groups)
        group, g = divmod(channel, each)
        total = zero
        for i in range(kh):
            r = window_at(line + ph - i * dh, sh, rows)
            if r >= 0:
                for j in range(kw):
                    c = window_at(column + pw - j * dw, sw, columns)
                    if c >= 0:
                        for k in range(many):
                            o = group * many + k
                            value = v[ov + ((image * outputs + o) * rows + r) * columns + c]
                            total += value * w[ow + ((o * each + g) * kh + i) * kw + j]
        y[oy + at] = total
        at += cuda.gridsize(1)


def convolve_weights(
    size, zero, images, channels, height, width, outputs, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, groups,
    v, ov, x, ox, y, oy,
):  # fmt: skip
    """y[o, g, i, j] = sum of v[n, o, r, c] x[n, g, r sh + i dh - ph, ...]: the transpose in the weights."""
    at = cuda.grid(1)
    while at < size:
        above, j = divmod(at, kw)
        plane, i = divmod(above, kh)
        each, _ = divmod(channels, groups)
        many, _ = divmod(outputs, groups)
        o, g = divmod(plane, each)
        group, _ = divmod(o, many)
        channel = group * each + g
        total = zero
        for image in range(images):
            for r in range(rows):
                line = r * sh + i * dh - ph
                if 0 <= line < height:
                    for c in range(columns):
                        column = c * sw + j * dw - pw
                        if 0 <= column < width:
                            value = x[ox + ((image * channels + channel) * height + line) * width + column]
                            total += v[ov + ((image * outputs + o) * rows + r) * columns + c] * value
        y[oy + at] = total
        at += cuda.gridsize(1)


def pool_max(size, low, height, width, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, x, ox, y, oy):
    """y = the greatest element of each window, NaN if one is."""
    at = cuda.grid(1)
    while at < size:
        above, c = divmod(at, columns)
        plane, r = divmod(above, rows)
        base = plane * height * width
        best = low
        for i in range(kh):
            line = r * sh + i * dh - ph
            if 0 <= line < height:
                for j in range(kw):
                    column = c * sw + j * dw - pw
                    if 0 <= column < width:
                        value = x[ox + base + line * width + column]
                        if value > best or value != value:
                            best = value
        y[oy + at] = best
        at += cuda.gridsize(1)


def first_place(x, ox, best, r, c, height, width, kh, kw, sh, sw, ph, pw, dh, dw):
    """Place of a window's first element that is its maximum; -1 if there is none."""
    for i in range(kh):
        line = r * sh + i * dh - ph
        if 0 <= line < height:
            for j in range(kw):
                column = c * sw + j * dw - pw
                if 0 <= column < width:
                    value = x[ox + line * width + column]
                    if value == best or value != value:
                        return line * width + column
    return -1


def pool_take(size, zero, height, width, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, v, ov, x, ox, z, oz, y, oy):
    """y = the element of v at the place of each window's first maximum in x."""
    at = cuda.grid(1)
    while at < size:
        above, c = divmod(at, columns)
        plane, r = divmod(above, rows)
        base = plane * height * width
        k = first_place(x, ox + base, z[oz + at], r, c, height, width, kh, kw, sh, sw, ph, pw, dh, dw)
        y[oy + at] = v[ov + base + k] if k >= 0 else zero
        at += cuda.gridsize(1)


def pool_spread(size, zero, height, width, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, v, ov, x, ox, z, oz, y, oy):
    """y = the sum of the windows' values at the places of their first maxima in x."""
    at = cuda.grid(1)
    while at < size:
        above, column = divmod(at, width)
        plane, line = divmod(above, height)
        base = plane * height * width
        total = zero
        for i in range(kh):
            r = window_at(line + ph - i * dh, sh, rows)
            if r >= 0:
                for j in range(kw):
                    c = window_at(column + pw - j * dw, sw, columns)
                    if c >= 0:
                        w = (plane * rows + r) * columns + c
                        k = first_place(x, ox + base, z[oz + w], r, c, height, width, kh, kw, sh, sw, ph, pw, dh, dw)
                        if k == line * width + column:
                            total += v[ov + w]
        y[oy + at] = total
        at += cuda.gridsize(1)


def pool_sum(size, zero, height, width, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, x, ox, y, oy):
    """y = the sum of each window."""
    at = cuda.grid(1)
    while at < size:
        above, c = divmod(at, columns)
        plane, r = divmod(above, rows)
        base = plane * height * width
        total = zero
        for i in range(kh):
            line = r * sh + i * dh - ph
            if 0 <= line < height:
                for j in range(kw):
                    column = c * sw + j * dw - pw
                    if 0 <= column < width:
                        total += x[ox + base + line * width + column]
        y[oy + at] = total
        at += cuda.gridsize(1)


def sum_spread(size, zero, height, width, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, v, ov, y, oy):
    """y = the sum of the values of all windows that an element is in."""
    at = cuda.grid(1)
    while at < size:
        above, column = divmod(at, width)
        plane, line = divmod(above, height)
        total = zero
        for i in range(kh):
            r = window_at(line + ph - i * dh, sh, rows)
            if r >= 0:
                for j in range(kw):
                    c = window_at(column + pw - j * dw, sw, columns)
                    if c >= 0:
                        total += v[ov + (plane * rows + r) * columns + c]
        y[oy + at] = total
        at += cuda.gridsize(1)


def pick(size, zero, one, classes, inner, ignored, weighted, x, ox, target, ot, weight, ow, losses, ol, parts, op):
    """losses = -weight x at each target's class, parts = the weights; both 0 at targets that are ignored."""
    at = cuda.grid(1)
    while at < size:
        k = target[ot + at]
        loss, part = zero, zero
        if k != ignored and -classes <= k < classes:
            if k < 0:
                k += classes
            part = weight[ow + k] if weighted else one
            if part != zero:
                block, place = divmod(at, inner)
                loss = -(x[ox + (block * classes + k) * inner + place] * part)
        losses[ol + at] = loss
        parts[op + at] = part
        at += cuda.gridsize(1)


def put_back(
    size, zero, one, classes, inner, ignored, weighted, each, mean, v, ov, target, ot, weight, ow, total, oo, y, oy
):
    """y = -v weight where a target picks, else 0; v is one number unless there is one for `each` target."""
    at = cuda.grid(1)
    while at < size:
        line, rest = divmod(at, inner)
        block, k = divmod(line, classes)
        place = block * inner + rest
        chosen = target[ot + place]
        if chosen != ignored and chosen < 0:
            chosen += classes
        value = zero
        if chosen == k and target[ot + place] != ignored:
            part = weight[ow + k] if weighted else one
            if mean and total[oo] != zero:
                part = part / total[oo]
            value = -(v[ov + place if each else ov] * part)
        y[oy + at] = value
        at += cuda.gridsize(1)


# --- records ---------------------------------------------------------------------------------------------------------


def _geometry(attrs: dict) -> tuple:
    return (*attrs["stride"], *attrs["padding"], *attrs["dilation"])


@kernel("conv2d")
def launch_conv(device: Any, out: Any, arrays: list, **attrs: Any) -> DeviceArray | None:
    """Convolution of images with weights."""
    x, w, *bias = arrays
    if x.dtype.char not in "fdFD":
        return None
    made = device.empty(out)
    launch(
        device, convolve_image, out.size, number(0, x.dtype), *x.shape[1:], w.shape[0], *out.shape[2:], *w.shape[2:],
        *_geometry(attrs), attrs["groups"], *pair(dense(x)), *pair(dense(w)), *pair(made),
    )  # fmt: skip
    for b in bias:
        add_into(made, b.view(spec_of((*b.shape, 1, 1), b.dtype, (*b.spec.strides, 0, 0))))
    return made


@kernel("conv2d_image")
def launch_conv_image(device: Any, out: Any, arrays: list, shape: tuple, **attrs: Any) -> DeviceArray | None:
    """The transpose of a convolution in the image."""
    v, w = arrays
    if v.dtype.char not in "fdFD":
        return None
    made = device.empty(out)
    launch(
        device, convolve_transposed, out.size, number(0, v.dtype), *shape[1:], *v.shape[1:], *w.shape[2:],
        *_geometry(attrs), attrs["groups"], *pair(dense(v)), *pair(dense(w)), *pair(made),
    )  # fmt: skip
    return made


@kernel("conv2d_weights")
def launch_conv_weights(device: Any, out: Any, arrays: list, kernel: tuple, **attrs: Any) -> DeviceArray | None:
    """The transpose of a convolution in the weights."""
    v, x = arrays
    if v.dtype.char not in "fdFD":
        return None
    made = device.empty(out)
    launch(
        device, convolve_weights, out.size, number(0, v.dtype), *x.shape, *v.shape[1:], *kernel, *_geometry(attrs),
        attrs["groups"], *pair(dense(v)), *pair(dense(x)), *pair(made),
    )  # fmt: skip
    return made


def _window_sizes(shape: tuple, attrs: dict) -> tuple:
    return (*shape[2:], *attrs["lengths"], *attrs["kernel"], *_geometry(attrs))


@kernel("max_pool2d")
def launch_pool(device: Any, out: Any, arrays: list, **attrs: Any) -> DeviceArray | None:
    """The greatest element of each window."""
    (x,) = arrays
    if x.dtype.char not in "fdilq":
        return None
    low = number(-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, x.dtype)
    made = device.empty(out)
    launch(device, pool_max, out.size, low, *_window_sizes(x.shape, attrs), *pair(dense(x)), *pair(made))
    return made


@kernel("max_pool2d_take")
def launch_take(device: Any, out: Any, arrays: list, **attrs: Any) -> DeviceArray | None:
    """Elements at the places of the windows' maxima."""
    v, x, z = arrays
    if v.dtype.char not in "fd":
        return None
    made = device.empty(out)
    launch(
        device, pool_take, out.size, number(0, v.dtype), *_window_sizes(v.shape, attrs), *pair(dense(v)),
        *pair(dense(x)), *pair(dense(z)), *pair(made),
    )  # fmt: skip
    return made


@kernel("max_pool2d_spread")
def launch_spread(device: Any, out: Any, arrays: list, shape: tuple, **attrs: Any) -> DeviceArray | None:
    """Windows' values at the places of their maxima."""
    v, x, z = arrays
    if v.dtype.char not in "fd":
        return None
    made = device.empty(out)
    launch(
        device, pool_spread, out.size, number(0, v.dtype), *_window_sizes(shape, attrs), *pair(dense(v)),
        *pair(dense(x)), *pair(dense(z)), *pair(made),
    )  # fmt: skip
    return made


@kernel("window_sum")
def launch_window_sum(device: Any, out: Any, arrays: list, **attrs: Any) -> DeviceArray | None:
    """The sum of each window."""
    (x,) = arrays
    if x.dtype.char not in "fdFD":
        return None
    made = device.empty(out)
    launch(device, pool_sum, out.size, number(0, x.dtype), *_window_sizes(x.shape, attrs), *pair(dense(x)), *pair(made))
    return made


@kernel("window_spread")
def launch_window_spread(device: Any, out: Any, arrays: list, shape: tuple, **attrs: Any) -> DeviceArray | None:
    """Windows' values at all their places."""
    (v,) = arrays
    if v.dtype.char not in "fdFD":
        return None
    made = device.empty(out)
    launch(device, sum_spread, out.size, number(0, v.dtype), *_window_sizes(shape, attrs), *pair(dense(v)), *pair(made))
    return made


def _classes(shape: tuple) -> tuple[int, int]:
    """Number of classes, and of the elements after their axis."""
    axis = min(len(shape) - 1, 1)
    return shape[axis], int(np.prod(shape[axis + 1 :], dtype=np.int64))


def _picked(device: Any, x: Any, shape: tuple, dtype: Any, arrays: list, ignore_index: int) -> tuple:
    """Losses (of `x`, if there is one) and parts, an element for each target."""
    target, *weight = [dense(a) for a in arrays]
    losses, parts = (device.empty(spec_of(target.shape, dtype)) for _ in range(2))
    source = parts if x is None else dense(x)
    given = weight[0] if weight else parts
    launch(
        device, pick, target.spec.size, number(0, dtype), number(1, dtype), *_classes(shape), ignore_index,
        bool(weight), *pair(source), *pair(target), *pair(given), *pair(losses), *pair(parts),
    )  # fmt: skip
    return losses, parts


def _total(device: Any, array: DeviceArray) -> DeviceArray:
    return reduce(device, array, tuple(range(len(array.shape))), scalars.add, 0, array.dtype)


@kernel("nll_loss")
def launch_nll(device: Any, out: Any, arrays: list, ignore_index: int, reduction: str) -> DeviceArray | None:
    """Minus the elements that targets pick."""
    x = arrays[0]
    if x.dtype.char not in "fd" or any(a.dtype != x.dtype for a in arrays[2:]):
        return None
    losses, parts = _picked(device, x, x.shape, x.dtype, arrays[1:], ignore_index)
    if reduction == "none":
        return losses.view(out)
    total = _total(device, losses)
    if reduction == "mean":
        from .elementwise import Step, launch_fused

        made = device.empty(out)
        step = Step("divide", (0, 1), (x.dtype, x.dtype), x.dtype)
        launch_fused(device, [step], [total, _total(device, parts)], [(2, made)], ())
        return made
    return total.view(out)


@kernel("nll_loss_spread")
def launch_nll_spread(
    device: Any, out: Any, arrays: list, shape: tuple, ignore_index: int, reduction: str
) -> DeviceArray | None:
    """Zeros, with a cotangent where targets pick."""
    v, target, *weight = arrays
    if v.dtype.char not in "fd" or any(a.dtype != v.dtype for a in weight):
        return None
    made = device.empty(out)
    total = v
    if reduction == "mean":
        # The parts alone: no element of x is read where all logarithms would be.
        zeros = device.empty(spec_of(shape, v.dtype))
        copy_into(zeros, device.upload(np.zeros((), v.dtype)))
        _, parts = _picked(device, zeros, shape, v.dtype, [target, *weight], ignore_index)
        total = _total(device, parts)
    given = dense(weight[0]) if weight else total
    launch(
        device, put_back, out.size, number(0, v.dtype), number(1, v.dtype), *_classes(shape), ignore_index,
        bool(weight), reduction == "none", reduction == "mean", *pair(dense(v)), *pair(dense(target)), *pair(given),
        *pair(total), *pair(made),
    )  # fmt: skip
    return made
