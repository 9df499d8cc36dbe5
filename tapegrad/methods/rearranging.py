"""Copies with the elements in other places, or repeated, or partly left out."""

from __future__ import annotations

import numpy as np

from ..primitives.core import BY_FUNCTION, ops
from ..tape.handle import attach
from .naming import named
from .numbers import ints

__all__: list[str] = []


def _flip(self, *dims, axis=None):
    """`numpy.flip` of the tensor, a copy."""
    dims = axis if axis is not None or not dims else ints(dims)
    return ops.copy(BY_FUNCTION[np.flip](self, dims))


def _roll(self, shifts, dims=None, axis=None):
    """`numpy.roll` of the tensor."""
    return BY_FUNCTION[np.roll](self, shifts, dims if axis is None else axis)


def _rot90(self, k=1, dims=(0, 1)):
    """`numpy.rot90` of the tensor, a copy."""
    return ops.copy(BY_FUNCTION[np.rot90](self, k, tuple(dims)))


def _repeat_interleave(self, repeats, dim=None):
    """`numpy.repeat` of the tensor: each element several times."""
    return BY_FUNCTION[np.repeat](self, repeats, dim)


def _tile(self, *reps):
    """`numpy.tile` of the tensor."""
    return BY_FUNCTION[np.tile](self, ints(reps))


def _copied(function):
    def method(self, *args):
        return ops.copy(BY_FUNCTION[function](self, *args))

    return named(function.__name__, method, f"`numpy.{function.__name__}` of the tensor, a copy.")


for _function in (np.flipud, np.fliplr, np.diagflat):
    _copied(_function)


def _tril(self, diagonal=0):
    """`numpy.tril` of the tensor."""
    return BY_FUNCTION[np.tril](self, diagonal)


def _triu(self, diagonal=0):
    """`numpy.triu` of the tensor."""
    return BY_FUNCTION[np.triu](self, diagonal)


def _diag(self, diagonal=0):
    """`numpy.diag` of the tensor: a matrix with that diagonal, or the diagonal of a matrix."""
    made = BY_FUNCTION[np.diag](self, diagonal)
    return ops.copy(made) if self._spec.ndim == 2 else made


attach(
    flip=_flip,
    roll=_roll,
    rot90=_rot90,
    repeat_interleave=_repeat_interleave,
    tile=_tile,
    tril=_tril,
    triu=_triu,
    diag=_diag,
)
