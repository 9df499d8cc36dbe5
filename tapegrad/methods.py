"""Methods of `Tensor` that are NumPy functions of the same name, and facts about its shape and dtype."""

from __future__ import annotations

import numpy as np

from .dispatch import call
from .primitives.core import BY_FUNCTION, lift, ops
from .primitives.indexing import getitem
from .tape.handle import Tensor, attach

__all__: list[str] = []


def _forward(name, function):
    def method(self, *args, **kwargs):
        return call(function, (self, *args), kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`numpy.{function.__name__}` of the tensor."
    return method


_FUNCTIONS = (
    "sum", "prod", "mean", "std", "var", "max", "min", "argmax", "argmin", "cumsum", "cumprod", "any", "all", "ptp",
    "ravel", "swapaxes", "squeeze", "repeat", "trace", "diagonal", "dot", "clip", "round", "take", "argsort", "conj",
    "conjugate", "nonzero", "searchsorted", "moveaxis", "flip", "roll", "tile", "expand_dims", "broadcast_to",
    "exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "sqrt", "abs", "sign", "square", "matmul", "reciprocal",
    "log1p", "expm1", "floor", "ceil", "maximum", "minimum", "outer", "inner", "isnan", "isfinite", "isinf",
)  # fmt: skip
for _name in _FUNCTIONS:
    attach(**{_name: _forward(_name, getattr(np, _name))})


def _reshape(self, *shape, order="C"):
    """`numpy.reshape` of the tensor; the shape as numbers or as one tuple."""
    shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
    return BY_FUNCTION[np.reshape](self, shape, order=order)


def _transpose(self, *axes):
    """`numpy.transpose` of the tensor; the axes as numbers or as one tuple."""
    if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)):
        axes = axes[0]
    return BY_FUNCTION[np.transpose](self, axes or None)


def _astype(self, dtype):
    """The same elements in another dtype; the tensor itself if it has that one."""
    return lift(self, np.dtype(dtype))


def _clone(self):
    """A copy with the same history."""
    return ops.copy(self)


def _flatten(self):
    """A one-dimensional copy."""
    return ops.copy(BY_FUNCTION[np.ravel](self))


def _len(self):
    if not self._spec.shape:
        raise TypeError("len() of a 0-d tensor")
    return self._spec.shape[0]


def _iter(self):
    return (self[k] for k in range(_len(self)))


def _round(self, ndigits=0):
    return BY_FUNCTION[np.round](self, ndigits or 0)


def _divmod(self, other):
    return self // other, self % other


attach(
    reshape=_reshape,
    transpose=_transpose,
    astype=_astype,
    to_dtype=_astype,
    clone=_clone,
    copy=_clone,
    flatten=_flatten,
    shape=property(lambda self: self._spec.shape, doc="Lengths of the axes."),
    ndim=property(lambda self: self._spec.ndim, doc="Number of axes."),
    size=property(lambda self: self._spec.size, doc="Number of elements."),
    dtype=property(lambda self: self._spec.dtype, doc="NumPy dtype."),
    nbytes=property(lambda self: self._spec.nbytes, doc="Bytes of the elements."),
    itemsize=property(lambda self: self._spec.dtype.itemsize, doc="Bytes of one element."),
    T=property(_transpose, doc="Axes reversed."),
    real=property(lambda self: BY_FUNCTION[np.real](self), doc="Real part."),
    imag=property(lambda self: BY_FUNCTION[np.imag](self), doc="Imaginary part."),
    __len__=_len,
    __iter__=_iter,
    __getitem__=getitem,
    __round__=_round,
    __trunc__=_forward("__trunc__", np.trunc),
    __floor__=_forward("__floor__", np.floor),
    __ceil__=_forward("__ceil__", np.ceil),
    __divmod__=_divmod,
)


_INSTEAD = {
    "flat": "x.ravel()",
    "view": "x.reshape(shape) or x.astype(dtype)",
    "partition": "numpy.partition(x, k)",
    "byteswap": "x.detach().numpy().byteswap()",
}


def _missing(name):
    """Stands for what arrays have and tensors lack, and says what to use.

    One property each: a `__getattr__` would slow down every attribute of every tensor, since Python's
    specialised look-up of slots does without it only.
    """
    instead = _INSTEAD.get(name) or (f"numpy.{name}(x)" if hasattr(np, name) else f"x.detach().numpy().{name}")

    def refuse(self):
        raise AttributeError(f"tensors have no {name!r}, which arrays have: use {instead}")

    return property(refuse)


for _name in dir(np.ndarray):
    if not _name.startswith("_") and not hasattr(Tensor, _name):
        attach(**{_name: _missing(_name)})
