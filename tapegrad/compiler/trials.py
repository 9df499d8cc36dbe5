"""Machine code on trial: its first replays are timed, and it has to go if the interpreter was faster."""

from __future__ import annotations

__all__ = ["Trial"]

REPLAYS = 5
"""Replays of machine code that are timed; the shortest counts, as the first ones find nothing in the caches."""
SLOWER = 1.25
"""How many times the interpreter's time is too long: noise is less than that, and so is what is at stake."""


class Trial:
    """The shortest replays of a program, by the interpreter and in machine code.

    Attributes
    ----------
    rows, native : float
        Seconds; infinite until there was one.
    """

    def __init__(self) -> None:
        self.rows = self.native = float("inf")
        self._count = 0

    def note(self, is_native: bool, seconds: float) -> None:
        """Note one replay."""
        if is_native:
            self._count += 1
            self.native = min(self.native, seconds)
        else:
            self.rows = min(self.rows, seconds)

    @property
    def is_over(self) -> bool:
        """Whether machine code was replayed often enough."""
        return self._count >= REPLAYS

    @property
    def is_lost(self) -> bool:
        """Whether machine code takes clearly longer."""
        return self.native > SLOWER * self.rows
