"""Convolutions."""

from __future__ import annotations

from typing import Any

from ..primitives.core import ops
from ..tape.handle import Tensor
from .operands import lifted, pair

__all__ = ["conv1d", "conv2d"]


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of images with kernels (a cross-correlation, as networks use it).

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    weight : (O, C / groups, kh, kw)
    bias : (O,), optional
    stride, dilation : int or pair of int
    padding : int, pair of int, 'valid' or 'same'
        Zeros around the image; ``'same'`` as many as keep its size, for stride 1.
    groups : int
        Parts that channels are divided into; each convolved with its own kernels.

    Returns
    -------
    Tensor of shape (N, O, H', W')

    Notes
    -----
    The columns of one image at a time are copied out, and multiplied with the weights by BLAS: memory for
    ``C kh kw H' W'`` numbers beside the result.
    """
    x, w, b = lifted(input, weight, bias)
    single = x._spec.ndim == 3
    if single:
        x = x.unsqueeze(0)
    stride, dilation = pair(stride, "stride"), pair(dilation, "dilation")
    if isinstance(padding, str):
        x, padding = _named_padding(x, padding, w._spec.shape[2:], stride, dilation)
    if min(stride) <= 0 or min(dilation) <= 0:
        raise RuntimeError(f"non-positive stride or dilation is not supported: {stride}, {dilation}")
    padding = pair(padding, "padding")
    if min(padding) < 0:
        raise RuntimeError(f"negative padding is not supported: {padding}")
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = ops.conv2d(x, w, **attrs) if b is None else ops.conv2d(x, w, b, **attrs)
    return y.squeeze(0) if single else y


def _named_padding(x, name, kernel, stride, dilation):
    if name == "valid":
        return x, (0, 0)
    if name != "same":
        raise RuntimeError(f"Invalid padding string: {name!r}; use 'valid' or 'same'")
    if stride != (1, 1):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if all(t % 2 == 0 for t in total):
        return x, tuple(t // 2 for t in total)
    from .padding import pad

    (top, left) = (t // 2 for t in total)
    return pad(x, (left, total[1] - left, top, total[0] - top)), (0, 0)


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution along one axis; see `conv2d`.

    Parameters
    ----------
    input : (N, C, L) or (C, L)
    weight : (O, C / groups, k)

    Returns
    -------
    Tensor of shape (N, O, L')
    """
    x, w, b = lifted(input, weight, bias)
    single = x._spec.ndim == 2
    x = (x.unsqueeze(0) if single else x).unsqueeze(2)
    if not isinstance(padding, str):
        padding = (0, padding if isinstance(padding, int) else padding[0])
    steps = [(1, v if isinstance(v, int) else v[0]) for v in (stride, dilation)]
    y = conv2d(x, w.unsqueeze(2), b, steps[0], padding, steps[1], groups).squeeze(2)
    return y.squeeze(0) if single else y
