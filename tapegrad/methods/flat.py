"""`x.flat`: the elements one after another, to be read, written and counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..primitives.core import BY_FUNCTION, ops
from ..tape.handle import Tensor, attach

__all__ = ["Flat"]


class Flat:
    """The elements of a tensor with the last axis running fastest, as `numpy.ndarray.flat`.

    What is read is a copy; what is written goes to the tensor.

    Attributes
    ----------
    base : Tensor

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> def trace_squared(x):
    ...     return sum(a * a for a in x.flat[::3])
    >>> tg.grad(trace_squared)(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[2., 0.],
           [0., 8.]])
    """

    def __init__(self, base: Tensor):
        self.base = base

    def _elements(self) -> Tensor:
        return BY_FUNCTION[np.ravel](self.base)

    def __len__(self) -> int:
        return self.base._spec.size

    def __iter__(self) -> Iterator[Any]:
        return iter(self.copy())

    def __getitem__(self, key: Any) -> Any:
        found = self._elements()[key]
        return ops.copy(found) if isinstance(found, Tensor) else found

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write elements; a value with fewer is repeated, as by `numpy.put`."""
        places = np.arange(len(self))[key]
        if places.ndim == 0 and np.ndim(value):
            raise ValueError(
                f"flat: one element was to be set to values of shape {np.shape(value)}; give one number, or a slice"
            )
        BY_FUNCTION[np.put](self.base, places, value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array: np.ndarray = self._elements().__array__(dtype, copy)
        return array

    def copy(self) -> Tensor:
        """The elements as a tensor of one axis."""
        return ops.copy(self._elements())


def _write_all(self: Tensor, value: Any) -> None:
    self.flat[:] = value


attach(flat=property(Flat, _write_all, doc="The elements one after another: `numpy.ndarray.flat`."))
