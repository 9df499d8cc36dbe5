"""Partitioned arguments: Dask arrays, bags and lists of delayed values or futures, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed, delayed

__all__ = ["Split", "is_count", "shard", "split"]


def shard(array: Any, parts: int) -> Any:
    """Cut an array along its first axis into as many parts as there are to be partitions.

    Parameters
    ----------
    array : array_like
        With `parts` rows at least. It travels to the workers with each call: to keep it there, persist the result.
    parts : int

    Returns
    -------
    dask.array.Array
        Of which the first axis has `parts` chunks, equal but for one row.

    Examples
    --------
    >>> import numpy as np
    >>> from tapegrad.dask import shard
    >>> shard(np.zeros((10, 2)), 4).chunks
    ((3, 3, 2, 2), (2,))
    """
    import dask.array

    array = np.asarray(array)
    if array.ndim == 0 or not is_count(parts, 1) or parts > len(array):
        raise ValueError(f"an array is cut along its first axis: {parts} parts of shape {array.shape} cannot be made")
    small, larger = divmod(len(array), parts)
    chunks = ((small + 1,) * larger + (small,) * (parts - larger), *[(n,) for n in array.shape[1:]])
    return dask.array.from_array(array, chunks=chunks)


@dataclass(frozen=True)
class Split:
    """Arguments of which some are partitioned.

    Attributes
    ----------
    whole : list
        What every partition takes; None at the places of partitioned arguments.
    places : tuple of int
        Which arguments are partitioned.
    blocks : list of tuple
        For each partition its part of each of them, as delayed values or futures.
    labels : list of str
        What to call a partition in messages.
    samples : dict
        Number of rows to the first partition that has it; where those are not known, None to 0.
    """

    whole: list
    places: tuple[int, ...]
    blocks: list[tuple]
    labels: list[str]
    samples: dict[int | None, int]


def split(arguments: Sequence, name: str) -> Split:
    """Tell partitioned arguments from others, and see that their partitions agree."""
    whole: list = list(arguments)
    columns: dict[int, list] = {}
    rows: dict[int, tuple] = {}
    for k, x in enumerate(arguments):
        found = _blocks(x, f"argument {k} of {name}")
        if found is not None:
            columns[k], lengths = found
            if lengths is not None:
                rows[k] = lengths
            whole[k] = None
    if not columns:
        raise TypeError(
            f"{name} sums over partitions, and none of its {len(whole)} arguments has any: pass a dask array (or "
            f"tapegrad.dask.shard(array, parts)), a bag, or a list of delayed values"
        )
    counts = {k: len(column) for k, column in columns.items()}
    if len(set(counts.values())) > 1 or len(set(rows.values())) > 1:
        shown = "; ".join(f"argument {k} has {counts[k]}" + _shown(rows.get(k)) for k in columns)
        raise ValueError(
            f"partitions of {name}'s arguments must agree, and {shown}: rechunk or repartition one of them"
        )
    count = next(iter(counts.values()))
    if not count:
        raise ValueError(f"{name} sums over partitions, and there are none")
    lengths = next(iter(rows.values()), None)
    samples: dict = {n: k for k, n in reversed(list(enumerate(lengths)))} if lengths else {None: 0}
    labels = [f"partition {k}" for k in range(count)]
    if lengths is not None:
        ends = np.cumsum(lengths)
        labels = [f"partition {k} (rows {end - n} to {end - 1})" for k, (n, end) in enumerate(zip(lengths, ends))]  # noqa: B905
    return Split(whole, tuple(columns), list(zip(*columns.values(), strict=True)), labels, samples)


def _shown(lengths: tuple | None) -> str:
    if lengths is None:
        return ""
    shown = ", ".join(map(str, lengths[:4]))
    return f" of {shown}{', ...' if len(lengths) > 4 else ''} rows"


def _blocks(x: Any, what: str) -> tuple[list, tuple | None] | None:
    """The parts of a partitioned argument and, where they are known, their numbers of rows; None for any other."""
    if isinstance(x, (list, tuple)) and x and all(isinstance(part, Delayed) or _is_future(part) for part in x):
        return list(x), None
    if isinstance(x, Delayed):  # which has any attribute that one may ask for
        raise TypeError(f"{what} is one delayed value: pass a list of them, one for each partition")
    if not is_dask_collection(x):
        return None
    kind = type(x).__module__.partition(".")[0] + "." + type(x).__name__
    if hasattr(x, "chunks") and hasattr(x, "dtype"):
        if x.ndim == 0 or any(n != 1 for n in x.numblocks[1:]):
            raise ValueError(
                f"{what} is to be partitioned along its first axis only, and has {x.numblocks} blocks: "
                f"x.rechunk({{axis: -1}}) for the other axes"
            )
        known = not any(np.isnan(n) for n in x.chunks[0])
        return list(x.to_delayed().ravel()), tuple(x.chunks[0]) if known else None
    if hasattr(x, "npartitions") and hasattr(x, "fold"):
        return [delayed(_stacked)(part) for part in x.to_delayed()], None
    raise TypeError(f"{what} is a {kind}, which has no blocks that are arrays: pass x.to_dask_array(lengths=True), say")


def is_count(x: Any, least: int) -> bool:
    """Whether this is an int of that size at least."""
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool) and int(x) >= least


def _is_future(x: Any) -> bool:
    return type(x).__name__ == "Future" and type(x).__module__.startswith("distributed")


def _stacked(items: Any) -> np.ndarray:
    """A bag's partition as one array."""
    return np.asarray(list(items))
