"""Pieces of work on a cluster or in threads: started, watched, retried, started again where a worker lags behind."""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask

from .carrying import UnrecordedError, VersionMismatchError
from .partitions import is_count

__all__ = ["Cluster", "PartitionError", "Threads", "executor", "gather"]

LOOK = 1.0
"""Seconds between looks at a cluster that does not report anything."""
PATIENCE = 2.0
"""Seconds that no worker is a laggard for."""
LONE = 60.0
"""Seconds that a cluster may have no worker at all."""
LARGE = {"distributed.admin.large-graph-warning-threshold": "1TB"}
"""Parameters and tapes travel in the graph on purpose: what it holds can be computed again when a worker dies."""


class PartitionError(RuntimeError):
    """A partition could not be evaluated.

    Attributes
    ----------
    index : int
        Which one.
    """

    def __init__(self, message: str, index: int):
        super().__init__(message, index)
        self.index = index

    def __str__(self) -> str:
        return self.args[0]


class Threads:
    """Runs pieces in threads of this process."""

    def __init__(self, retries: int = 0) -> None:
        self.retries = retries
        self.done: queue.SimpleQueue = queue.SimpleQueue()
        self.futures: list = []
        self.slots = os.cpu_count() or 1

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *exception: object) -> None:
        for future in self.futures:
            future.cancel()

    def keep(self, value: Any) -> Any:
        """A value for several pieces."""
        return value

    def start(self, pieces: dict[int, Any], workers: list | None = None) -> None:
        """Start pieces; (number, result, error) of each comes to `done` when it has run."""
        for k, piece in pieces.items():
            future = _threads(os.getpid()).submit(_computed, piece, self.retries)
            self.futures.append(future)
            future.add_done_callback(functools.partial(self._note, k))

    def _note(self, k: int, future: Any) -> None:
        if not future.cancelled():
            error = future.exception()
            found = None if error else future.result()
            self.done.put((k, None, found) if isinstance(found, UnrecordedError) else (k, found, error))

    def combine(self, function: Callable, handles: list) -> Any:
        """A function of several results."""
        return function(handles)

    def fetch(self, handle: Any) -> Any:
        """A result, here."""
        return handle

    def lags(self, waiting: Any, factor: float | None) -> list:
        """Another thread would not be faster."""
        return []


def _computed(piece: Any, retries: int) -> Any:
    """What a piece gives, at the first try that does not raise."""
    for _ in range(retries):
        with contextlib.suppress(Exception):
            return piece.compute(scheduler="synchronous")
    return piece.compute(scheduler="synchronous")


@functools.cache
def _threads(process: int) -> ThreadPoolExecutor:
    """Threads that stay, as what they have loaded does; a forked process has its own."""
    return ThreadPoolExecutor(os.cpu_count(), "tapegrad.dask")


class Cluster:
    """Runs pieces on the workers of a `distributed.Client`."""

    def __init__(self, client: Any, retries: int = 0):
        self.client, self.retries = client, retries
        self.done: queue.SimpleQueue = queue.SimpleQueue()
        self.futures: dict[Any, int] = {}
        self.kept: list = []
        self.slots = max(sum(client.nthreads().values()), 1)
        self.began = self.last = self.seen = time.monotonic()
        self.count = self.finished = 0

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing of this call goes on afterwards, however it ended."""
        left = [future for future in self.futures if not future.done()]
        if left:
            with contextlib.suppress(Exception):  # the cluster may be what failed
                self.client.cancel(left, force=True)
        self.futures.clear()

    def keep(self, value: Any) -> Any:
        """A value on the cluster, which each worker gets once."""
        with dask.config.set(LARGE):
            kept = self.client.persist(value)
        self.kept.append(kept)
        return kept

    def start(self, pieces: dict[int, Any], workers: list | None = None) -> None:
        """Start pieces; (number, future, error) of each comes to `done` when it has run."""
        with dask.config.set(LARGE):
            started = self.client.compute(list(pieces.values()), workers=workers, retries=self.retries)
        self.count += len(pieces)
        for k, future in zip(pieces, started, strict=True):
            self.futures[future] = k
            future.add_done_callback(self._note)

    def _note(self, future: Any) -> None:
        k = self.futures.get(future)
        if k is None:
            return
        self.last = time.monotonic()
        self.finished += 1
        if future.status == "finished":
            self.done.put((k, None, future.result()) if future.type is UnrecordedError else (k, future, None))
        elif future.status == "error":
            self.done.put((k, None, future.exception()))
        else:
            lost = RuntimeError(
                "it was cancelled, or data that it needs were lost with a worker and cannot be made anew"
            )
            self.done.put((k, None, lost))

    def combine(self, function: Callable, handles: list) -> Any:
        """A function of several results, on a worker."""
        return self.client.submit(function, handles, pure=False)

    def fetch(self, handle: Any) -> Any:
        """A result, here."""
        return handle.result()

    def lags(self, waiting: Any, factor: float | None) -> list:
        """Pieces that have run for long where nothing else is left to do, each with workers that do not run it."""
        now = time.monotonic()
        workers = self.client.nthreads()
        if workers:
            self.seen = now
        elif now - self.seen > LONE:
            raise RuntimeError(f"the cluster has had no worker for {LONE:.0f} s: start some, or look at their logs")
        self.slots = max(sum(workers.values()), 1)
        if factor is None or not self.finished or len(waiting) > self.slots or 2 * self.finished < self.count:
            return []
        usual = (self.last - self.began) * self.slots / self.finished
        if now - self.last < max(factor * usual, PATIENCE):
            return []
        running = {key: worker for worker, keys in self.client.processing().items() for key in keys}
        found = []
        for future, k in self.futures.items():
            if k in waiting and not future.done() and future.key in running:
                others = [worker for worker in workers if worker != running[future.key]]
                if others:
                    found.append((k, others))
        return found


def executor(client: Any, retries: int) -> Threads | Cluster:
    """Where to run: on the given client, else the current one, else in threads of this process."""
    if not is_count(retries, 0):
        raise ValueError(f"retries is an int of 0 at least, not {retries!r}")
    if client is None:
        try:
            from distributed import get_client

            client = get_client()
        except (ImportError, ValueError):  # no distributed, or no client
            return Threads(retries)
    if not (hasattr(client, "submit") and hasattr(client, "scheduler_info")):
        raise TypeError(f"client must be a distributed.Client, not {type(client).__name__}")
    return Cluster(client, retries)


def gather(
    run: Threads | Cluster,
    pieces: dict[int, Any],
    label: Callable[[int], str],
    found: Callable[[int, Any], None],
    again: Callable[[int], Any],
    straggler: float | None = None,
) -> dict[int, UnrecordedError]:
    """Run pieces until each has a result.

    Parameters
    ----------
    run : Threads or Cluster
    pieces : dict
        Number to delayed value.
    label : callable
        What to call a piece in messages.
    found : callable
        Told each piece's number and handle, once.
    again : callable
        The same piece, under another key.
    straggler : float, optional
        How many usual times a piece may take, when nothing else is left to do, before it is started elsewhere as well.

    Returns
    -------
    dict
        Pieces for which the tape has no path, and what they said.
    """
    waiting, doubled = set(pieces), set[int]()
    unrecorded: dict[int, UnrecordedError] = {}
    run.start(pieces)
    while waiting:
        try:
            k, handle, error = run.done.get(timeout=LOOK)
        except queue.Empty:
            for k, others in run.lags(waiting - doubled, straggler):
                doubled.add(k)
                run.start({k: again(k)}, others)
            continue
        if k not in waiting:  # the slower of two
            continue
        if error is None:
            waiting.discard(k)
            found(k, handle)
        elif isinstance(error, UnrecordedError):
            waiting.discard(k)
            unrecorded[k] = error
        elif isinstance(error, VersionMismatchError):
            raise error
        else:
            raise _failure(label(k), k, error) from error
    return unrecorded


def _failure(label: str, index: int, error: BaseException) -> Exception:
    if isinstance(error, ModuleNotFoundError) and error.name is not None and error.name.startswith("tapegrad"):
        return VersionMismatchError(
            f"a worker cannot import {error.name}: install the client's tapegrad on all workers"
        )
    where = getattr(error, "worker", None)
    message = f"{label} failed{f' on {where}' if where else ''}: {type(error).__name__}: {error}"
    if type(error).__name__ == "KilledWorker":
        message += "; smaller partitions, or more memory for each worker, if it is memory that they ran out of"
    return PartitionError(message, index)
