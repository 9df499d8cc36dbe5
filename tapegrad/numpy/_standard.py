"""What the Array API standard asks for, where NumPy's functions have no such argument or no such name."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..methods.standard import REVISIONS, check_device
from ..primitives.nesting import joined
from ..tape.handle import Tensor
from ._creation import asarray

__all__ = [
    "__array_api_version__",
    "__array_namespace_info__",
    "argsort",
    "astype",
    "fftfreq",
    "rfftfreq",
    "sort",
]

__array_api_version__ = REVISIONS[-1]


_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]


class __array_namespace_info__:
    """What the namespace can do: capabilities, devices and dtypes."""

    def capabilities(self) -> dict[str, Any]:
        """Indexing by masks, results whose shape depends on values, and the number of axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 32}

    def default_device(self) -> str:
        """The CPU."""
        return "cpu"

    def devices(self) -> tuple[str]:
        """The CPU alone."""
        return ("cpu",)

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """Dtypes of results, where none is given."""
        check_device(device)
        defaults = {"real floating": float, "complex floating": complex, "integral": int, "indexing": np.intp}
        return {kind: np.dtype(t) for kind, t in defaults.items()}

    def dtypes(self, *, device: Any = None, kind: str | tuple[str, ...] | None = None) -> dict[str, np.dtype]:
        """Dtypes by name, of one kind or several; by default, all.

        Raises
        ------
        ValueError
            If there is no such kind.
        """
        check_device(device)
        wanted = ("bool", "numeric") if kind is None else (kind,) if isinstance(kind, str) else kind
        for k in wanted:
            if k not in _KINDS:
                raise ValueError(f"dtypes: there is no kind {k!r} of dtypes; the kinds are {', '.join(_KINDS)}")
        return {name: np.dtype(name) for k in wanted for name in _KINDS[k]}


def sort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: bool | None = None, descending: bool = False
) -> Any:
    """`numpy.sort`, in descending order if so wanted."""
    y = np.sort(joined(a), axis, kind, order, **_stable(stable))
    return np.flip(y, axis) if descending else y


def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: bool | None = None, descending: bool = False
) -> Any:
    """`numpy.argsort`, in descending order if so wanted; equal elements stay in order, unless a `kind` is given."""
    x = joined(a)
    if stable is None and kind is None:
        stable = True
    if not descending:
        return np.argsort(x, axis, kind, order, **_stable(stable))
    x, axis = (np.ravel(x), 0) if axis is None else (np.asanyarray(x) if isinstance(x, list) else x, axis)
    backwards = np.argsort(np.flip(x, axis), axis, kind, order, **_stable(stable))
    return x.shape[axis] - 1 - np.flip(backwards, axis)


def _stable(stable: bool | None) -> dict[str, bool]:
    return {} if stable is None else {"stable": stable}


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """`numpy.astype`."""
    check_device(device)
    return x.astype(dtype, copy=copy)


def _frequencies(function: Any) -> Any:
    def make(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
        check_device(device)
        return asarray(function(n, d), dtype)

    make.__name__ = make.__qualname__ = function.__name__
    make.__doc__ = f"`numpy.fft.{function.__name__}`, as a tensor."
    return make


fftfreq, rfftfreq = _frequencies(np.fft.fftfreq), _frequencies(np.fft.rfftfreq)
