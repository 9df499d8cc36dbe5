"""Threads that share long loops: C threads, which know nothing of Python and are never in its way.

A loop's rounds are divided into pieces, and whoever is free takes the next one (`claims.py`): nobody waits for a thread
that has yet to wake up. A loop that sums has one piece for each thread, always the same ones, and what the pieces have
summed up is added in their order: results depend on the number of threads, not on who was faster. Whoever finds the
threads at work for somebody else does all pieces itself.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

import numpy as np

from .claims import HELPER, WORDS, assembly
from .helpers import ask
from .machine import Machine

__all__ = ["Threads", "get_num_threads", "set_num_threads", "share_word", "threads"]

MOST_THREADS = 256
"""More than that is a mistake; the environment's number is taken for this one then, as OpenBLAS does."""

_lock = threading.Lock()
_count: int | None = None


def get_num_threads() -> int:
    """Threads that share long loops, elementwise work on large arrays, and large matrix products.

    Returns
    -------
    int
        What `set_num_threads` set, else the environment variable ``TAPEGRAD_NUM_THREADS``, else
        ``OMP_NUM_THREADS``, which BLAS and most other libraries follow, else the number of processors that this
        process may use.
    """
    if _count is not None:
        return _count
    for variable in ("TAPEGRAD_NUM_THREADS", "OMP_NUM_THREADS"):
        named = os.environ.get(variable, "")
        if named.isdigit() and int(named) > 0:
            return min(int(named), MOST_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_THREADS)
    return min(os.cpu_count() or 1, MOST_THREADS)


def set_num_threads(count: int) -> None:
    """Let so many threads share large arrays and products, and long loops in machine code that is made from now on.

    Parameters
    ----------
    count : int
        1: none but the caller's own.

    Raises
    ------
    ValueError
        If it is not positive, or more than 256.

    Examples
    --------
    >>> import tapegrad as tg
    >>> before = tg.get_num_threads()
    >>> tg.set_num_threads(1)
    >>> tg.get_num_threads()
    1
    >>> tg.set_num_threads(before)
    """
    global _count
    if type(count) is not int or count < 1:
        raise ValueError(f"the number of threads must be a positive int, not {count!r}")
    if count > MOST_THREADS:
        raise ValueError(f"the number of threads must be at most {MOST_THREADS}, not {count:,}")
    _count = count
    if _shared:
        share_word()
    ask()


class Threads:
    """A caller and its helpers.

    Attributes
    ----------
    count : int
    share : int
        Address of ``void share(loop, table, rounds, sums, bytes)``: for each piece k it calls
        ``loop(table, first, last, sums + k * bytes)``.
    """

    def __init__(self, count: int):
        self.count = count
        self._room = np.zeros(WORDS + HELPER * count + 8, np.int64)
        self._words = (self._room.ctypes.data + 63) & ~63
        self._machine = Machine(assembly(count, self._words), ["work", "share"])
        self._work, self.share = self._machine.addresses
        self._start()

    def _start(self) -> None:
        for k in range(1, self.count):
            _start(self._words + 8 * (WORDS + HELPER * k), self._work)

    def start_again(self) -> None:
        """In a copy of the process, which has none of the threads."""
        self._room[:] = 0
        self._start()


def _start(helper: int, work: int) -> None:
    """Start a C thread that looks for work for ever."""
    library = ctypes.CDLL(None)
    if library.sem_init(ctypes.c_void_p(helper), 0, 0):
        raise OSError(ctypes.get_errno(), "a semaphore could not be made")
    thread = ctypes.c_ulong()
    status = library.pthread_create(ctypes.byref(thread), None, ctypes.c_void_p(work), ctypes.c_void_p(helper))
    if status:
        raise OSError(status, "a thread could not be started")


_kept: dict[int, Threads] = {}


def threads() -> Threads | None:
    """Those who share loops as of now; None where there is one thread only, or the system has none like these."""
    count = get_num_threads()
    if count == 1 or not sys.platform.startswith("linux"):
        return None
    with _lock:
        if count not in _kept:
            _kept[count] = Threads(count)
        return _kept[count]


_shared: list[np.ndarray] = []


def share_word() -> int:
    """Address of a word with the address of `Threads.share` for as many threads as are set at any time, or 0."""
    pool = threads()
    with _lock:
        if not _shared:
            _shared.append(np.zeros(1, np.int64))
        _shared[0][0] = pool.share if pool else 0
        return _shared[0].ctypes.data


def _in_child() -> None:
    """A copy of the process has none of the threads: they are started again, at the same boxes."""
    global _lock
    _lock = threading.Lock()
    for pool in _kept.values():
        pool.start_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
