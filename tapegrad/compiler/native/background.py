"""Machine code is made by a thread of its own, one program after the other, while the interpreter runs them."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import weakref
from typing import Any

__all__ = ["request"]

_MOST_WAITING = 64


class _Workshop:
    """The thread, what waits for it, and a lock that it holds while it works."""

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

    def _work(self) -> None:
        while True:
            program = self._waiting.get()()
            if program is not None:
                with self.busy:
                    try:
                        program.make_native()
                    except Exception as error:  # the interpreter goes on with it, and this thread with the others
                        program.native_failure = error
            del program


_workshop = _Workshop()


def request(program: Any) -> None:
    """Have a program's machine code made, if it is still wanted then.

    Parameters
    ----------
    program : Program
        Its `make_native` is called, in the other thread.
    """
    _workshop.request(program)


# A process must not end, nor be copied, while LLVM is at work in it.
atexit.register(lambda: _workshop.busy.acquire())


def _in_child() -> None:
    global _workshop
    _workshop = _Workshop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _workshop.busy.acquire(),
        after_in_parent=lambda: _workshop.busy.release(),
        after_in_child=_in_child,
    )
