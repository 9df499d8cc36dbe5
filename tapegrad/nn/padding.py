"""Padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..primitives.core import BY_FUNCTION, lift
from ..tape.handle import Tensor

__all__ = ["pad"]

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements around an array, or, for negative numbers, fewer.

    Parameters
    ----------
    input : Tensor or array_like
    pad : sequence of int
        Pairs for the last axis, the one before it, and so on.
    mode : {'constant', 'reflect', 'replicate', 'circular'}
    value : float, optional
        What constants are, by default 0.
    """
    x, pads = lift(input), [int(n) for n in pad]
    ndim = x._spec.ndim
    if len(pads) % 2 or len(pads) > 2 * ndim:
        raise RuntimeError(f"Padding length must be divisible by 2 and at most twice the number of axes: {pads}")
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}: use one of {', '.join(_MODES)}")
    widths = [(0, 0)] * ndim
    for k in range(len(pads) // 2):
        widths[ndim - 1 - k] = (pads[2 * k], pads[2 * k + 1])
    keep = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, x._spec.shape, strict=True))
    x = x[keep] if any(n < 0 for n in pads) else x
    widths = [(max(a, 0), max(b, 0)) for a, b in widths]
    if mode == "constant":
        return BY_FUNCTION[np.pad](x, widths, "constant", constant_values=0.0 if value is None else value)
    return BY_FUNCTION[np.pad](x, widths, _MODES[mode])
