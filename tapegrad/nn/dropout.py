"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import generator_of
from ..tape.handle import Tensor
from .operands import lifted

__all__ = ["dropout"]


def dropout(input: Any, p: float = 0.5, training: bool = True, rng: np.random.Generator | int | None = None) -> Tensor:
    """Each element zero with a probability, and the others divided by how probable they are to stay.

    Parameters
    ----------
    input : Tensor or array_like
    p : float
        Probability of zero.
    training : bool
        If false, the input as it is.
    rng : numpy.random.Generator or int, optional
        Where random numbers come from; by default the generator that `tapegrad.manual_seed` seeds.

    Returns
    -------
    Tensor

    Notes
    -----
    Each call draws anew. A compiled function could not, so it is refused there: `tapegrad.compile` says so, and calls
    the function as it is.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    (x,) = lifted(input)
    if not training or p == 0.0:
        return x
    if x._tape is not None and x._tape.tracing and not x._tape.symbolic:  # `vmap` looks after its own
        from ..compiler.errors import ConcretisationError

        raise ConcretisationError(
            "dropout draws random numbers at each call, and a compiled function would repeat those of the first one"
        )
    if p == 1.0:
        return x * 0.0
    if x._spec.device is not None:
        from ..cuda.random import draw

        kept = draw(x._spec.device, x._spec.shape, np.dtype(np.float32), rng) >= p
        return x * (kept.to(x._spec.dtype) * x._spec.dtype.type(1.0 / (1.0 - p)))
    stays = generator_of(rng).random(x._spec.shape, np.float32) >= p
    return x * (stays * x._spec.dtype.type(1.0 / (1.0 - p))).astype(x._spec.dtype)
