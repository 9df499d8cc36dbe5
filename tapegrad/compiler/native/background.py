"""Machine code is made by a thread of its own, one program after the other, while the interpreter runs them."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Iterator
from typing import Any

__all__ = ["at_llvm", "making", "request"]

_MOST_WAITING = 64


class _Workshop:
    """The thread, what waits for it, and a lock that who makes machine code holds, be it this thread or another."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self._waiting: queue.Queue = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def request(self, program: Any) -> None:
        try:
            self._waiting.put_nowait(weakref.ref(program))
        except queue.Full:
            return  # the interpreter goes on with it
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="tapegrad-native", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Let the thread end: the interpreter would stop it in the midst, and abort the process if that is in C++."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(_nothing)
            thread.join(PATIENCE)

    def _work(self) -> None:
        while True:
            program = self._waiting.get()()
            if _leaving:
                return
            if program is not None:
                try:
                    program.make_native(on_trial=True)
                except Exception as error:  # the interpreter goes on with it, and this thread with the others
                    program.native_failure = error
            del program


def _nothing() -> None:
    """A program that is not wanted any more, as dead references say."""


_workshop = _Workshop()


def request(program: Any) -> None:
    """Have a program's machine code made, if it is still wanted then.

    Parameters
    ----------
    program : Program
        Its `make_native` is called, in the other thread.
    """
    _workshop.request(program)


@contextlib.contextmanager
def making() -> Iterator[None]:
    """A block in which machine code is made: one at a time, so that no program's is made twice."""
    with _workshop.busy:
        yield


PATIENCE = 20.0
"""Seconds that a copy, or the end, of a process waits for machine code under way. It takes less; but a thread that was
interrupted while it held LLVM's lock would keep this one waiting for ever."""
LAST_PATIENCE = 120.0
"""Seconds that the end of a process waits for LLVM, which takes less for the longest code that is made."""

_llvm = threading.Lock()
_leaving = False
_paused = False


@contextlib.contextmanager
def at_llvm() -> Iterator[None]:
    """A block in which LLVM is at work. A process does not end meanwhile, and when it is ending no block begins."""
    with _llvm:
        if _leaving:
            raise RuntimeError("no machine code is made any more: the process is ending")
        yield


def _leave() -> None:
    """Wait for LLVM, which would not notice that its process ends, and for the thread, which begins nothing more."""
    global _leaving
    _leaving = True
    if _llvm.acquire(timeout=LAST_PATIENCE):
        _llvm.release()
    _workshop.end()


def _pause() -> None:
    """A process must not be copied while machine code is made in it."""
    global _paused
    _paused = _workshop.busy.acquire(timeout=PATIENCE)


def _go_on() -> None:
    if _paused:
        _workshop.busy.release()


def _in_child() -> None:
    global _llvm, _workshop
    _llvm = threading.Lock()
    _workshop = _Workshop()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause, after_in_parent=_go_on, after_in_child=_in_child)
