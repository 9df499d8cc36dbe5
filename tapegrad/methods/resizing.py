"""In place, but not the values: methods that give the tensor itself another shape."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..inplace import adopt_shape
from ..tape.buffer import buffer_of
from ..tape.current import rotate
from ..tape.handle import Tensor
from ..tape.spec import spec_of_array
from ..tape.state import local
from ..values import value_of
from .naming import named
from .numbers import ints

__all__: list[str] = []


def _in_place(name: str, view: Callable) -> Callable:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return adopt_shape(self, view, args, kwargs)

    return named(
        name, method, f"`{view.__name__.strip('_')}` in place: the tensor itself takes that shape; returns it."
    )


def _squeeze(self: Tensor, dim: Any = None) -> Tensor:
    return self.squeeze() if dim is None else self.squeeze(dim=dim)


for _name in ("t_", "swapaxes_", "swapdims_", "unsqueeze_"):
    _in_place(_name, getattr(Tensor, _name[:-1]))
_in_place("squeeze_", _squeeze)
_in_place("transpose_", vars(Tensor)["swapaxes"])  # only PyTorch has it, where it swaps two axes


def _resize(self: Tensor, *sizes: Any, **ignored: Any) -> Tensor:
    """Give a tensor without gradient another shape, in place: it keeps its first elements; new ones are zero.

    Raises
    ------
    RuntimeError
        If it requires grad, or if it is to grow and other tensors or arrays share its memory.
    """
    shape = tuple(operator.index(n) for n in ints(sizes))
    if any(n < 0 for n in shape):
        raise RuntimeError(f"resize_: requested shape {list(shape)} has a negative length")
    if self.requires_grad:
        raise RuntimeError(
            "cannot resize variables that require grad: use x.reshape(...), x.narrow(...) or x.clone(), which give new "
            "tensors"
        )
    size, array, buffer = math.prod(shape), value_of(self), buffer_of(self)
    if size <= array.size and self._spec.contiguous:
        array = array.reshape(-1)[:size].reshape(shape)
    elif self._base is not None or buffer.is_viewed() or buffer.escaped:
        raise RuntimeError(
            f"resize_: a tensor of shape {self._spec.shape} whose memory others share cannot get the shape {shape}; "
            f"make a new tensor"
        )
    else:
        grown = np.zeros(shape, array.dtype)
        kept = min(size, array.size)
        grown.reshape(-1)[:kept] = array.reshape(-1)[:kept]
        array = grown
    rotate(local.state)
    buffer.version += 1
    self._memory, self._tape, self._spec = array, None, spec_of_array(array)
    return self


def _resize_as(self: Tensor, other: Tensor) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return _resize(self, *other._spec.shape)


named("resize_", _resize)
named("resize_as_", _resize_as)
