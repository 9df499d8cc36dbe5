"""NumPy's functions whose results are no floating arrays: they look at values, and have no gradient to lose.

Those that write files would lose one, once the file is read: they refuse what requires grad.
"""

from __future__ import annotations

import numpy as np

from ..tape.handle import Tensor
from ..values import TracedValueError, value_of
from .core import BY_FUNCTION

__all__ = ["NO_GRADIENT"]

NO_GRADIENT = {
    "text": (np.array2string, np.array_repr, np.array_str, np.datetime_as_string),
    "a file": (np.save, np.savetxt, np.savez, np.savez_compressed),
    "integers": (
        np.busday_count, np.busday_offset, np.diag_indices_from, np.lexsort, np.packbits, np.ravel_multi_index,
        np.tril_indices_from, np.triu_indices_from, np.unpackbits, np.unravel_index, np.linalg.matrix_rank,
        np.einsum_path,
    ),
    "truth": (np.is_busday, np.isin, np.may_share_memory, np.shares_memory, getattr(np, "in1d", np.isin)),
    "a dtype": (np.min_scalar_type,),
}  # fmt: skip
"""By what they return."""


def _value(x):
    """A tensor's value, also inside lists, tuples and dictionaries."""
    if isinstance(x, Tensor):
        return value_of(x)
    if isinstance(x, dict):
        return {k: _value(v) for k, v in x.items()}
    return type(x)(map(_value, x)) if type(x) in (list, tuple) else x


def _register(function):
    def handler(*args, **kwargs):
        return function(*_value(args), **_value(kwargs))

    _enter(function, handler)


def _register_file(function):
    """A function that writes a file: what is read back would be a constant."""

    def handler(*args, **kwargs):
        for x in (*args, *kwargs.values()):
            if isinstance(x, Tensor) and x.requires_grad:
                raise TracedValueError(
                    f"numpy.{function.__name__} writes plain values, and was given one that requires grad "
                    f"({x.dtype.name}{list(x.shape)}): what is read back would have lost its gradient. Write "
                    f"tapegrad.stop_gradient(x), or x.detach(), to save the values on purpose."
                )
        return function(*_value(args), **_value(kwargs))

    _enter(function, handler)


def _enter(function, handler):
    handler.__name__, handler.__doc__ = f"numpy_{function.__name__}", f"`numpy.{function.__name__}`, of plain values."
    handler.plain = True
    BY_FUNCTION[function] = handler


for _kind, _functions in NO_GRADIENT.items():
    for _function in _functions:
        (_register_file if _kind == "a file" else _register)(_function)
