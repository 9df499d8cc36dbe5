"""A bar on stderr: how many pieces are done."""

from __future__ import annotations

import sys
import time

__all__ = ["Bar"]

WIDTH = 30
BETWEEN = 0.1
"""Seconds between two lines, so that many small pieces are not held up by their bar."""


class Bar:
    """Counts up to a total; shows nothing unless asked to."""

    def __init__(self, count: int, shown: bool):
        self.count, self.shown, self.done = count, shown, 0
        self.began = self.drawn = time.monotonic()

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        now = time.monotonic()
        if self.shown and (now - self.drawn > BETWEEN or self.done == self.count):
            self.drawn = now
            self._draw(now - self.began)

    def _draw(self, seconds: float) -> None:
        full = WIDTH * self.done // self.count
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {self.done}/{self.count} in {seconds:.1f} s"
        print(f"\r{line}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.shown:
            print(file=sys.stderr)
