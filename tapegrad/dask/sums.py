"""Sums of a function over the partitions of its arguments, with gradients: data parallelism."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree
from dask.delayed import delayed

from ..compiler.program import Compiled
from ..compiler.program import compile as compile_function
from ..functional import value_and_grad as value_and_grad_of
from .carrying import Carried, record
from .evaluating import Box, Part, add_parts, evaluate
from .partitions import Split, is_count, split
from .progress import Bar
from .running import Cluster, PartitionError, Threads, executor, gather

__all__ = ["Total", "total", "value_and_grad"]

MOST_SAMPLES = 8
"""Partitions that are brought here at first, one of each number of rows."""
MOST_RECORDINGS = 64
"""Structures and paths that one call records before it gives up."""


def value_and_grad(fun: Callable, argnums: int | Sequence[int] = 0, **options: Any) -> Total:
    """A function's value and gradient, summed over partitions of its data.

    Parameters
    ----------
    fun : callable
        ``fun(*parameters, *data)`` in plain NumPy, for one partition; returns a scalar. It stays here: what travels is
        the tape of its value and gradient.
    argnums : int or tuple of int, default 0
        Positional arguments to differentiate with respect to; not partitioned ones.
    **options
        As in `total`.

    Returns
    -------
    Total
        Takes the arguments of `fun`, some of them partitioned; returns ``(value, gradient)``.

    Raises
    ------
    PartitionError
        When called: a partition failed. Its message says which one, where and why.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import tapegrad.dask
    >>> def loss(w, x, y):
    ...     return np.sum((x @ w - y) ** 2)
    >>> x, y = da.ones((100, 3), chunks=(30, 3)), da.zeros(100, chunks=30)
    >>> value, gradient = tapegrad.dask.value_and_grad(loss)(np.ones(3), x, y)
    >>> float(value), gradient
    (900.0, array([600., 600., 600.]))
    """
    return total(value_and_grad_of(fun, argnums), **options)


def total(
    fun: Callable,
    *,
    client: Any = None,
    reduction: str = "sum",
    deterministic: bool = False,
    split_every: int = 8,
    check_finite: bool = False,
    retries: int = 0,
    straggler: float | None = 8.0,
    progress: bool = False,
) -> Total:
    """A function's results, summed over partitions of its data.

    Parameters
    ----------
    fun : callable
        In plain NumPy, for one partition: a transformation such as ``tapegrad.value_and_grad(f)``, a compiled function,
        or one that `tapegrad.load` has read. Its result is an array, a number, or a container of such.
    client : distributed.Client, optional
        Default: the current one; without one, threads of this process.
    reduction : {"sum", "mean"}
        ``"mean"`` weights each partition by its rows: for functions that are means over theirs.
    deterministic : bool, default False
        Add in an order that depends on nothing but the number of partitions: the same bits each time.
    split_every : int, default 8
        How many parts are added at once, in a tree.
    check_finite : bool, default False
        Refuse a partition whose result has an infinity or NaN, rather than let it spoil the sum.
    retries : int, default 0
        How often a partition that raised is tried again. Workers that die are not counted: what they did is done anew.
    straggler : float or None, default 8
        When nothing else is left to do and a partition takes longer than that many usual ones, it is started on another
        worker as well, and the first result counts. None: it is waited for.
    progress : bool, default False
        Show a bar on stderr.

    Returns
    -------
    Total
        Takes the arguments of `fun`. Dask arrays (one block in all but the first axis), bags and lists of delayed
        values or futures are partitioned; everything else goes to each worker once.

    Notes
    -----
    One partition of each structure (shapes, dtypes, path through the function) is brought here, and the function
    recorded on it. What travels is the saved form (`Compiled.save`), so `fun` must be one that can be saved. Sums
    differ from those of the undivided data by rounding.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import tapegrad.dask
    >>> x = da.arange(10, chunks=4, dtype=float)
    >>> float(tapegrad.dask.total(lambda x: np.sum(x**2))(x))
    285.0
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction is 'sum' or 'mean', not {reduction!r}")
    if not is_count(split_every, 2):
        raise ValueError(f"split_every is an int of 2 at least, not {split_every!r}")
    if not callable(fun):
        raise TypeError(f"a function is summed over partitions, and {fun!r:.60} is none")
    return Total(
        fun, client, reduction == "mean", deterministic, split_every, check_finite, retries, straggler, progress
    )


class Total:
    """A function that is summed over partitions: see `total`."""

    def __init__(
        self,
        fun: Callable,
        client: Any,
        mean: bool,
        deterministic: bool,
        split_every: int,
        check_finite: bool,
        retries: int,
        straggler: float | None,
        progress: bool,
    ):
        functools.update_wrapper(self, fun, updated=())
        self.step = fun if isinstance(fun, Compiled) else compile_function(fun)
        self.client, self.mean, self.deterministic, self.split_every = client, mean, deterministic, split_every
        self.check_finite, self.retries, self.straggler, self.progress = check_finite, retries, straggler, progress
        self._sent: tuple | None = None
        self._sampled: set = set()

    def __call__(self, *arguments: Any) -> Any:
        """The sum over all partitions; see `total`."""
        parted = split(arguments, getattr(self, "__name__", "the function"))
        with executor(self.client, self.retries) as run, Bar(len(parted.blocks), self.progress) as bar:
            return self._run(parted, run, bar)

    def _run(self, parted: Split, run: Threads | Cluster, bar: Bar) -> Any:
        whole = run.keep(delayed(Box(parted.whole), pure=False, traverse=False))
        tree = Tree(len(parted.blocks), self.split_every, self.deterministic, run)
        if self.step.notice_changes():
            self._sampled.clear()
        for rows, k in list(parted.samples.items())[:MOST_SAMPLES]:
            if rows not in self._sampled:
                self._record(parted, k)
                self._sampled.add(rows)
        left, recordings = list(range(len(parted.blocks))), 0

        def piece(k: int) -> Any:
            return delayed(evaluate, pure=False)(
                tape, whole, parted.places, self.mean, self.check_finite, *parted.blocks[k]
            )

        def found(k: int, handle: Any) -> None:
            tree.add(k, handle)
            bar.step()

        while left:
            tape = self._send(run)
            unrecorded = gather(
                run, {k: piece(k) for k in left}, parted.labels.__getitem__, found, piece, self.straggler
            )
            left = list(unrecorded)
            if left:
                recordings += 1
                if recordings > MOST_RECORDINGS:
                    raise PartitionError(
                        f"{parted.labels[left[0]]} needs another recording ({unrecorded[left[0]].args[0]}), and "
                        f"{MOST_RECORDINGS} were made: give partitions equal shapes, and values no say in the "
                        f"function's control flow",
                        left[0],
                    )
                self._record(parted, left[0])
        result = run.fetch(tree.finish())
        return _unpacked(result, self.mean)

    def _record(self, parted: Split, k: int) -> None:
        """Run a partition here: what it takes is recorded, if it was not."""
        arguments = list(parted.whole)
        for place, block in zip(parted.places, parted.blocks[k], strict=True):
            arguments[place] = block.compute() if hasattr(block, "compute") else block.result()
        try:
            record(self.step, tuple(arguments))
        except Exception as error:
            message = f"{parted.labels[k]} failed while the function was recorded: {type(error).__name__}: {error}"
            raise PartitionError(message, k) from error
        if self.step._dynamic or not self.step.paths():
            raise TypeError(f"{getattr(self, '__name__', 'the function')} cannot be compiled: {self.step.explain()}")

    def _send(self, run: Threads | Cluster) -> Any:
        """The tape on the cluster: sent anew only when something was recorded since."""
        carried = Carried(self.step)
        where = (carried.digest, getattr(run, "client", None))
        if self._sent is None or self._sent[0] != where:
            self._sent = where, run.keep(delayed(carried, pure=False, traverse=False))
        return self._sent[1]


def _unpacked(part: Part, mean: bool) -> Any:
    leaves = [x / part.rows if mean else x for x in part.leaves]
    return optree.tree_unflatten(part.treedef, [x[()] if np.ndim(x) == 0 else x for x in leaves])


class Tree:
    """Parts added as they come, a few at a time, and what they give likewise; on request in the order of partitions."""

    def __init__(self, count: int, width: int, ordered: bool, run: Threads | Cluster):
        self.width, self.ordered, self.run = width, ordered, run
        self.pools: list[list] = [[]]
        self.levels: list[dict[int, Any]] = [{}]
        self.counts = [count]
        while self.counts[-1] > 1:
            self.counts.append(-(-self.counts[-1] // width))
            self.levels.append({})

    def add(self, k: int, handle: Any) -> None:
        """One more part: that of partition `k`."""
        if self.ordered:
            self._place(0, k, handle)
        else:
            self._pour(0, handle)

    def _pour(self, level: int, handle: Any) -> None:
        if level == len(self.pools):
            self.pools.append([])
        pool = self.pools[level]
        pool.append(handle)
        if len(pool) == self.width:
            self.pools[level] = []
            self._pour(level + 1, self.run.combine(add_parts, pool))

    def _place(self, level: int, k: int, handle: Any) -> None:
        known = self.levels[level]
        known[k] = handle
        first = k - k % self.width
        group = range(first, min(first + self.width, self.counts[level]))
        if level + 1 < len(self.levels) and all(j in known for j in group):
            self._place(level + 1, k // self.width, self.run.combine(add_parts, [known.pop(j) for j in group]))

    def finish(self) -> Any:
        """The sum of all."""
        if self.ordered:
            return self.levels[-1][0]
        left = [handle for pool in self.pools for handle in pool]
        return left[0] if len(left) == 1 else self.run.combine(add_parts, left)
