"""What arrays have: methods that are NumPy functions of the same name, Python's protocols, and what tensors lack."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..dispatch import call
from ..primitives.core import BY_FUNCTION
from ..primitives.shape import view_by
from ..tape.handle import Tensor, attach
from ..tape.state import local
from ..values import is_traced, scalar_of

__all__: list[str] = []


def _forward(name, function):
    def method(self, *args, **kwargs):
        return call(function, (self, *args), kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`numpy.{function.__name__}` of the tensor."
    return method


_FUNCTIONS = (
    "ravel", "repeat", "trace", "dot", "clip", "take", "searchsorted", "expand_dims", "broadcast_to", "matmul", "outer",
    "inner", "argpartition", "choose",
)  # fmt: skip
for _name in _FUNCTIONS:
    attach(**{_name: _forward(_name, getattr(np, _name))})


def _iter(self):
    if not self._spec.shape:
        raise TypeError("iteration over a 0-d tensor")
    return (self[k] for k in range(len(self)))


def _rounded(self, ndigits=None):
    return _to_whole(self, round, np.round) if ndigits is None else BY_FUNCTION[np.round](self, ndigits)


def _to_whole(self, function, numpys):
    """Inside of a transformation the integer that Python makes of a number, where that is there; else a tensor."""
    if self._spec.shape == () and local.state.depth and not is_traced(self):
        return function(scalar_of(self).item())
    return BY_FUNCTION[numpys](self)


def _rounding(function, numpys):
    def method(self):
        return _to_whole(self, function, numpys)

    method.__name__ = method.__qualname__ = f"__{function.__name__}__"
    return method


def _contains(self, element):
    return bool(BY_FUNCTION[np.any](self == element))


def _divmod(self, other):
    return self // other, self % other


def _rdivmod(self, other):
    return other // self, other % self


def _as_integer_ratio(self):
    """Refused: a ratio of integers carries no gradient. `statistics` asks for it, and `fractions`."""
    raise TypeError(
        f"as_integer_ratio() of a tensor would lose its gradient: it is {self.dtype.name}{list(self.shape)}. Use "
        f"NumPy's functions (np.mean(x) rather than statistics.mean(x)), or tapegrad.stop_gradient(x).item()."
    )


def _is_integer(self):
    """Whether the only element is a whole number, as of a float."""
    return bool(self % 1 == 0)


def _part(name):
    get = operator.attrgetter(name)

    def part(self):
        dtype = self._spec.dtype
        if dtype.kind != "c":
            return BY_FUNCTION[getattr(np, name)](self)
        return view_by(self, get, "Select", name, np.dtype(dtype.char.lower()))

    return part


def _set_real(self, value):
    part = self.real
    part[...] = value


def _set_imag(self, value):
    if self._spec.dtype.kind != "c":
        raise TypeError("imag: a real tensor has no imaginary part to set; make it complex with x.astype(complex)")
    part = self.imag
    part[...] = value


def _compress(self, condition, axis=None):
    """`numpy.compress` of the tensor: the places where a condition is true."""
    return BY_FUNCTION[np.compress](condition, self, axis)


def _put(self, indices, values, mode="raise"):
    """`numpy.put`: write elements of the flattened tensor, in place."""
    BY_FUNCTION[np.put](self, indices, values, mode)


def _fill(self, value):
    """Set every element to a number, in place."""
    if np.size(value) != 1:
        raise ValueError(f"fill: one number is needed, and shape {np.shape(value)} was given; use x[...] = y")
    self[...] = value


def _partition(self, kth, axis=-1):
    """`numpy.partition` of the tensor, in place."""
    self[...] = BY_FUNCTION[np.partition](self, kth, axis)


attach(
    compress=_compress,
    fill=_fill,
    partition=_partition,
    put=_put,
    real=property(_part("real"), _set_real, doc="Real part, a view; a real tensor itself. Assignments write to it."),
    imag=property(_part("imag"), _set_imag, doc="Imaginary part, a view, and written to; zeros for a real tensor."),
    as_integer_ratio=_as_integer_ratio,
    is_integer=_is_integer,
    __contains__=_contains,
    __iter__=_iter,
    __round__=_rounded,
    __trunc__=_rounding(math.trunc, np.trunc),
    __floor__=_rounding(math.floor, np.floor),
    __ceil__=_rounding(math.ceil, np.ceil),
    __divmod__=_divmod,
    __rdivmod__=_rdivmod,
)


_INSTEAD = {
    "byteswap": "x.detach().numpy().byteswap()",
}


def _missing(name):
    """Stands for what arrays have and tensors lack, and says what to use.

    One property each: a `__getattr__` would slow down every attribute of every tensor, since Python's
    specialised look-up of slots does without it only.
    """
    instead = _INSTEAD.get(name) or (f"numpy.{name}(x)" if hasattr(np, name) else f"x.detach().numpy().{name}")

    message = f"tensors have no {name!r}, which arrays have: use {instead}"

    def refuse(self):
        raise AttributeError(message)

    return property(refuse)


for _name in dir(np.ndarray):
    if not _name.startswith("_") and not hasattr(Tensor, _name):
        attach(**{_name: _missing(_name)})
for _name in ("__array_interface__", "__array_struct__"):
    attach(**{_name: _missing(_name)})
