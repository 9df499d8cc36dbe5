"""`vectorize`: functions of numbers, or of small arrays, as functions of arrays of these."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..primitives.core import BY_FUNCTION
from ..primitives.nesting import holds_tensor
from ..primitives.shape import expand_to, reshape_to
from ..tape.state import local
from ._creation import array, asarray

__all__ = ["vectorize"]


class vectorize:
    """A function of numbers as one of arrays; where tensors take part it is called once for each element.

    Parameters
    ----------
    pyfunc : callable
        Takes 0-d tensors (arrays of the axes that `signature` names), returns one, or a tuple of several.
    otypes, doc, excluded, cache, signature
        As `numpy.vectorize` takes them.
    """

    def __init__(
        self,
        pyfunc: Callable[..., Any],
        otypes: Any = None,
        doc: str | None = None,
        excluded: Iterable[Any] | None = None,
        cache: bool = False,
        signature: str | None = None,
    ):
        self.pyfunc, self.otypes, self.excluded = pyfunc, otypes, set(excluded or ())
        self.plain = np.vectorize(pyfunc, otypes, doc, self.excluded, cache, signature)
        self.axes = _axes(signature) if signature else []
        self.__doc__ = doc or pyfunc.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the function to every element of the broadcast arguments."""
        given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        if not any(map(holds_tensor, given.values())) and not local.state.depth:
            return self.plain(*args, **kwargs)
        varied = {k: asarray(v) for k, v in given.items() if k not in self.excluded}
        axes = {k: self.axes[place] if self.axes else 0 for place, k in enumerate(varied)}
        lead = np.broadcast_shapes(*(v.shape[: v.ndim - axes[k]] for k, v in varied.items()))
        count = int(np.prod(lead))
        rows = {k: _rows(v, lead, axes[k], count) for k, v in varied.items()}

        def at(place: int) -> Any:
            here = {k: rows[k][place] if k in rows else v for k, v in given.items()}
            positional = [here.pop(k) for k in range(len(args))]
            return self.pyfunc(*positional, **here)

        results = [at(place) for place in range(count)]
        if not results:
            raise ValueError("cannot call `vectorize` on size 0 inputs unless `otypes` is set")
        parts = list(zip(*results, strict=True)) if isinstance(results[0], tuple) else [results]
        kinds = self.otypes or [None] * len(parts)
        joined = [_joined(part, kind, lead) for part, kind in zip(parts, kinds, strict=True)]
        return tuple(joined) if isinstance(results[0], tuple) else joined[0]


def _axes(signature: str) -> list[int]:
    """How many axes each operand of a signature such as "(m,n),(n)->(m)" has."""
    return [
        len(names.split(",")) if names.strip() else 0 for names in re.findall(r"\(([^)]*)\)", signature.split("->")[0])
    ]


def _rows(x: Any, lead: tuple[int, ...], axes: int, count: int) -> Any:
    core = x.shape[x.ndim - axes :]
    return reshape_to(expand_to(x, (*lead, *core)), (count, *core))


def _joined(results: Any, dtype: Any, lead: tuple[int, ...]) -> Any:
    y = array(list(results)) if np.ndim(results[0]) == 0 else BY_FUNCTION[np.stack](list(map(asarray, results)))
    y = reshape_to(y, (*lead, *y.shape[1:]))
    return y if dtype is None else y.astype(dtype)
