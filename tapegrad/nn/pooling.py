"""Pooling over windows of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..primitives.core import lift, ops
from ..primitives.pooling import pooled_length
from ..tape.handle import Tensor
from .operands import lifted, pair

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"]


def _windows(name, x, kernel_size, stride, padding, dilation, ceil_mode):
    kernel, padding, dilation = pair(kernel_size, "kernel_size"), pair(padding, "padding"), pair(dilation, "dilation")
    stride = kernel if stride is None else pair(stride, "stride")
    if any(2 * p > k or p < 0 for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={padding} and kernel_size={kernel}"
        )
    if min(stride) <= 0:
        raise RuntimeError("stride should not be zero")
    lengths = tuple(
        pooled_length(n, k, s, p, d, ceil_mode)
        for n, k, s, p, d in zip(x._spec.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    if min(lengths) <= 0:
        raise ShapeError(f"{name}: Given input size: {x._spec.shape}. Output size is too small: {lengths}")
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "lengths": lengths}


def _images(name, x):
    """Images with an axis for the batch, and whether that is new."""
    if x._spec.ndim not in (3, 4):
        raise ShapeError(f"{name}: Expected 3D or 4D (batch mode) tensor, but got shape {x._spec.shape}")
    return (x.unsqueeze(0), True) if x._spec.ndim == 3 else (x, False)


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """The greatest element of each window; the gradient goes to the first place that has it.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    kernel_size : int or pair of int
    stride : int or pair of int, optional
        By default the kernel's size.
    padding : int or pair of int
        Places around the image, which are never the greatest.
    dilation : int or pair of int
    ceil_mode : bool
        Whether a last window may reach beyond the image.

    Returns
    -------
    Tensor of shape (N, C, H', W')
    """
    x, single = _images("max_pool2d", lift(input))
    y = ops.max_pool2d(x, **_windows("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode))
    return y.squeeze(0) if single else y


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`; what is around the image counts as zero.
    count_include_pad : bool
        Whether places around the image count as elements.
    divisor_override : int, optional
        What sums are divided by, rather than the number of elements.

    Returns
    -------
    Tensor of shape (N, C, H', W')
    """
    x, single = _images("avg_pool2d", lifted(input)[0])
    attrs = _windows("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    y = ops.window_sum(x, **attrs)
    if divisor_override is not None:
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        y = y / float(divisor_override)
    else:
        y = y / _counts(x._spec, attrs, count_include_pad)
    return y.squeeze(0) if single else y


def _counts(spec, attrs, count_include_pad):
    """Elements of each window: a number where all have as many."""
    along = []
    rows = zip(spec.shape[2:], *[attrs[k] for k in ("kernel", "stride", "padding", "lengths")], strict=True)
    for n, k, s, p, m in rows:
        start = np.arange(m) * s - p
        stop = np.minimum(start + k, n + p)
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        along.append(stop - start)
    counts = np.multiply.outer(*along).astype(spec.dtype)
    return float(counts[0, 0]) if (counts == counts[0, 0]).all() else counts


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """Means over windows chosen so that the result has a given size.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    output_size : int, or pair of int or None
        None keeps a length.

    Returns
    -------
    Tensor of shape ``(N, C, *output_size)``
    """
    x, single = _images("adaptive_avg_pool2d", lifted(input)[0])
    have = x._spec.shape[2:]
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    want = tuple(n if m is None else int(m) for n, m in zip(have, sizes, strict=True))
    if want == have:
        y = ops.copy(x)
    elif all(m and n % m == 0 for n, m in zip(have, want, strict=True)):
        y = avg_pool2d(x, tuple(n // m for n, m in zip(have, want, strict=True)))
    else:
        down, across = (_means(n, m, x._spec.dtype) for n, m in zip(have, want, strict=True))
        y = ops.matmul(ops.matmul(down, x), across.T)
    return y.squeeze(0) if single else y


def _means(n, m, dtype):
    """The matrix that takes n elements to m means of neighbours."""
    matrix = np.zeros((m, n), dtype)
    for i in range(m):
        start, stop = i * n // m, -(-(i + 1) * n // m)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix
