"""autograd's `scipy.signal`: a convolution along chosen axes, with products along others."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["convolve"]


def convolve(
    A: Any,
    B: Any,
    axes: Sequence[Sequence[int]] | None = None,
    dot_axes: Sequence[Sequence[int]] = ((), ()),
    mode: str = "full",
) -> Any:
    """Convolve along some axes of two arrays, and sum their products along others.

    Parameters
    ----------
    A, B : array_like or Tensor
    axes : pair of sequences of int, optional
        Axes of A, and of B, along which they are convolved; by default all of them.
    dot_axes : pair of sequences of int
        Axes of A, and of B, along which products are summed.
    mode : {"full", "same", "valid"}
        All of it, what is as long as A, or what needs no zeros around either.

    Returns
    -------
    array or Tensor
        The other axes of A, those of B, then those of the convolution.

    Raises
    ------
    ValueError
        If the mode is another one, or for "valid" neither array is the longer one along all axes.
    """
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolve: mode {mode!r} is none of 'full', 'same' and 'valid'")
    A, B = [x if hasattr(x, "ndim") else np.asarray(x) for x in (A, B)]
    if axes is None:
        axes = (tuple(range(A.ndim)), tuple(range(A.ndim)))
    labels = iter(string.ascii_letters)
    dots, places, windows = ([next(labels) for _ in of] for of in (dot_axes[0], axes[0], axes[0]))
    terms = []
    for x, along, dotted in zip((A, B), axes, dot_axes, strict=True):
        term = [next(labels) for _ in range(x.ndim)]
        for axis, label in zip((*dotted, *along), (*dots, *places), strict=True):
            term[axis] = label
        terms.append(term)
    result = [label for term in terms for label in term if label not in (*dots, *places)] + places
    if _is_shorter(A, B, axes, mode):
        A, B, axes, terms = B, A, axes[::-1], terms[::-1]
    lengths = [B.shape[k] for k in axes[1]]
    if mode != "valid":
        margins = [(0, 0)] * A.ndim
        for axis, n in zip(axes[0], lengths, strict=True):
            after = n - 1 if mode == "full" else (n - 1) // 2
            margins[axis] = (n - 1 if mode == "full" else n - 1 - after, after)
        A = np.pad(A, margins)
    for axis, label in zip(axes[1], windows, strict=True):
        terms[1][axis] = label
    views = np.lib.stride_tricks.sliding_window_view(A, lengths, axis=tuple(axes[0]))
    one, other = "".join(terms[0] + windows), "".join(terms[1])
    return np.einsum(f"{one},{other}->{''.join(result)}", views, np.flip(B, tuple(axes[1])))


def _is_shorter(A: Any, B: Any, axes: Sequence[Sequence[int]], mode: str) -> bool:
    """Whether B is to stand still, and A to move over it."""
    differences = [A.shape[k] - B.shape[m] for k, m in zip(*axes, strict=True)]
    if mode != "valid" or min(differences, default=0) >= 0:
        return False
    if max(differences) > 0:
        raise ValueError(
            f"convolve: in mode 'valid' one array must be the longer one along all axes, not one of {A.shape} and one "
            f"of {B.shape}"
        )
    return True
