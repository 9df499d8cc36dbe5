"""A compiled function on its way to workers: as its saved form, loaded once in each thread that runs it."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import OrderedDict
from typing import Any

from ..compiler.captured import DrawnError
from ..compiler.program import Compiled
from ..compiler.saving import dump_bytes, load_bytes

__all__ = ["Carried", "UnrecordedError", "VersionMismatchError", "record"]

TRIES = 20
KEPT = 16
"""Loaded functions that a thread keeps."""
_here = threading.local()


class VersionMismatchError(RuntimeError):
    """A worker has another version of tapegrad than the client."""


class UnrecordedError(LookupError):
    """The tape that a worker has does not cover the arguments it met: the client is to record them and send it anew.

    Pieces return it rather than raise it: nothing has failed.
    """

    def __init__(self, reason: str, arguments: tuple = ()):
        super().__init__(reason, arguments)
        self.arguments = arguments


class Carried:
    """The saved form of a compiled function, and the version that has written it."""

    def __init__(self, step: Compiled):
        self.data = dump_bytes(step)
        self.digest = hashlib.sha256(self.data).hexdigest()[:32]
        self.version = _version()

    def loaded(self) -> Compiled:
        """The function: each thread has one of its own, so that they run at the same time."""
        if self.version != _version():
            raise VersionMismatchError(
                f"client and workers must have the same tapegrad: the client has {self.version}, this worker "
                f"{_version()}; install one of them on both"
            )
        known = _here.__dict__.setdefault("steps", OrderedDict())
        step = known.get(self.digest)
        if step is None:
            step = known[self.digest] = load_bytes(self.data, "the tape that the client sent")
            while len(known) > KEPT:
                known.popitem(last=False)
        known.move_to_end(self.digest)
        return step

    def call(self, arguments: tuple) -> Any:
        """The function's result, or `UnrecordedError` where its paths do not lead."""
        try:
            return self.loaded()(*arguments)
        except LookupError as error:
            if type(error) is not LookupError:  # an IndexError or KeyError of the function's own
                raise
            raise UnrecordedError(str(error)) from None


def record(step: Compiled, arguments: tuple) -> None:
    """Call a compiled function, so that its path is recorded.

    Dask's own threads draw from Python's random numbers, for which the function may be blamed: tried again then.
    """
    for _ in range(TRIES):
        with contextlib.suppress(DrawnError):
            step(*arguments)
            return
    step(*arguments)


def _version() -> str:
    from .. import __version__

    return __version__
