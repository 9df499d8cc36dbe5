"""Threads that share long loops: C threads, which know nothing of Python and are never in its way.

A loop's rounds are divided into as many pieces as there are threads, always the same ones, and what each piece has
summed up is added in their order: results depend on the number of threads, not on who was faster. Whoever finds the
threads at work for somebody else does all pieces itself.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

import numpy as np

from .helpers import ask
from .machine import Machine

__all__ = ["Threads", "get_num_threads", "set_num_threads", "share_word", "threads"]

# A thread's box, in words: two semaphores of up to 64 bytes each, then what is to be done.
START, DONE, FUNCTION, TABLE, FIRST, LAST, SUMS, BOX = 0, 8, 16, 17, 18, 19, 20, 24

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
            return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(count: int) -> None:
    """Let so many threads share large arrays and products, and long loops in machine code that is made from now on.

    Parameters
    ----------
    count : int
        1: none but the caller's own.

    Raises
    ------
    ValueError
        If it is not positive.

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
        self._words = np.zeros(BOX * count + 8, np.int64)  # a last word says whether somebody is at it
        self._boxes = self._words.ctypes.data
        busy = self._boxes + 8 * BOX * count
        self._machine = Machine(_assembly(count, self._boxes, busy), ["work", "share"])
        work, self.share = self._machine.addresses
        for k in range(1, count):
            _start(self._boxes + 8 * BOX * k, work)


def _start(box: int, work: int) -> None:
    """Start a C thread that waits at its box for ever."""
    library = ctypes.CDLL(None)
    for semaphore in (START, DONE):
        if library.sem_init(ctypes.c_void_p(box + 8 * semaphore), 0, 0):
            raise OSError(ctypes.get_errno(), "a semaphore could not be made")
    thread = ctypes.c_ulong()
    status = library.pthread_create(ctypes.byref(thread), None, ctypes.c_void_p(work), ctypes.c_void_p(box))
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
        pool._words[:] = 0
        for k in range(1, pool.count):
            _start(pool._boxes + 8 * BOX * k, pool._machine.addresses[0])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _assembly(count: int, boxes: int, busy: int) -> str:
    def field(box: str, word: int, name: str) -> str:
        return f"  {name} = getelementptr i64, ptr {box}, i64 {word}"

    names = [("fn", FUNCTION, "ptr"), ("table", TABLE, "ptr"), ("first", FIRST, "i64"), ("last", LAST, "i64")]
    names.append(("sums", SUMS, "ptr"))
    reading = [line for n, w, t in names for line in (field("%box", w, f"%{n}.at"), f"  %{n} = load {t}, ptr %{n}.at")]
    given = {"fn": "%loop", "table": "%table", "first": "%lo", "last": "%hi", "sums": "%own"}
    writing = [
        line for n, w, t in names for line in (field("%box", w, f"%{n}.at"), f"  store {t} {given[n]}, ptr %{n}.at")
    ]
    piece = [
        "  %next = add i64 %k, 1",
        "  %a = mul i64 %k, %rounds",
        f"  %lo = udiv i64 %a, {count}",
        "  %b = mul i64 %next, %rounds",
        f"  %hi = udiv i64 %b, {count}",
        "  %skip = mul i64 %k, %bytes",
        "  %own = getelementptr i8, ptr %sums, i64 %skip",
    ]
    box = [
        f"  %far = mul i64 %k, {8 * BOX}",
        f"  %box = getelementptr i8, ptr inttoptr (i64 {boxes} to ptr), i64 %far",
    ]
    head = "(ptr %loop, ptr %table, i64 %rounds, ptr %sums, i64 %bytes"
    call = "  call void %loop(ptr %table, i64 %lo, i64 %hi, ptr %own)"
    lines = [
        "declare i32 @sem_wait(ptr)",
        "declare i32 @sem_post(ptr)",
        "define ptr @work(ptr %box) {",
        "entry:",
        field("%box", DONE, "%done"),
        "  br label %wait",
        "wait:",
        "  %status = call i32 @sem_wait(ptr %box)",
        "  %woken = icmp eq i32 %status, 0",
        "  br i1 %woken, label %act, label %wait",
        "act:",
        *reading,
        "  call void %fn(ptr %table, i64 %first, i64 %last, ptr %sums)",
        "  %posted = call i32 @sem_post(ptr %done)",
        "  br label %wait",
        "}",
        f"define internal void @piece{head}, i64 %k) {{",
        *piece,
        call,
        "  ret void",
        "}",
        f"define internal void @ask{head}, i64 %k) {{",
        *piece,
        *box,
        *writing,
        "  %posted = call i32 @sem_post(ptr %box)",
        "  ret void",
        "}",
        "define internal void @await(i64 %k) {",
        "entry:",
        *box,
        field("%box", DONE, "%done"),
        "  br label %wait",
        "wait:",
        "  %status = call i32 @sem_wait(ptr %done)",
        "  %woken = icmp eq i32 %status, 0",
        "  br i1 %woken, label %end, label %wait",
        "end:",
        "  ret void",
        "}",
    ]
    arguments = "(ptr %loop, ptr %table, i64 %rounds, ptr %sums, i64 %bytes, i64 "
    others = range(1, count)
    lines += [
        f"define void @share{head}) {{",
        "entry:",
        f"  %taken = cmpxchg ptr inttoptr (i64 {busy} to ptr), i64 0, i64 1 acquire monotonic",
        "  %ours = extractvalue { i64, i1 } %taken, 1",
        "  br i1 %ours, label %together, label %alone",
        "together:",
        *[f"  call void @ask{arguments}{k})" for k in others],
        f"  call void @piece{arguments}0)",
        *[f"  call void @await(i64 {k})" for k in others],
        f"  store atomic i64 0, ptr inttoptr (i64 {busy} to ptr) release, align 8",
        "  ret void",
        "alone:",
        *[f"  call void @piece{arguments}{k})" for k in range(count)],
        "  ret void",
        "}",
        "",
    ]
    return "\n".join(lines)
