"""Copies between host and device by way of pinned memory, piece by piece.

A device copies at full speed, and beside other work, only to and from memory of the host that is pinned. NumPy's
arrays are not, and to pin takes longer than to copy; so what they hold passes through a few pinned pieces, which are
kept: while the device copies one, the host fills or empties another. An event tells when a piece may be used again.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np

__all__ = ["Staging"]

PIECES = 4


class _Piece:
    """Pinned memory, and the event after which nothing uses it."""

    def __init__(self, driver: Any):
        self.driver = driver
        self.memory = driver.pinned(driver.piece)
        self.event = driver.event()

    def sent(self, stream: Any) -> None:
        """The device will have used it when it has done all that was asked of a stream up to now."""
        self.driver.record(self.event, stream)

    def free(self) -> np.ndarray:
        """Its memory, as soon as nothing uses it."""
        self.driver.wait(self.event)
        return self.memory


class Staging:
    """The pinned pieces of a device; several threads may use them.

    Parameters
    ----------
    driver : Hardware or StandIn
    """

    def __init__(self, driver: Any):
        self.driver = driver
        self.lock = threading.Lock()
        self.pieces: deque[_Piece] = deque()

    def _next(self) -> _Piece:
        """The piece that was used the longest time ago."""
        if len(self.pieces) < PIECES:
            self.pieces.append(_Piece(self.driver))
        self.pieces.rotate()
        return self.pieces[0]

    def upload(self, buffer: Any, data: np.ndarray, stream: Any) -> None:
        """Copy bytes to a buffer's beginning; `data` may be written as soon as this returns."""
        size = self.driver.piece
        with self.lock:
            for start in range(0, data.nbytes, size):
                piece, part = self._next(), data[start : start + size]
                pinned = piece.free()[: part.nbytes]
                pinned[:] = part
                self.driver.send(buffer, start, pinned, stream)
                piece.sent(stream)

    def download(self, buffer: Any, start: int, nbytes: int, stream: Any) -> np.ndarray:
        """Copy bytes of a buffer, and wait for them."""
        size = self.driver.piece
        made = np.empty(nbytes, np.uint8)
        under_way: deque[tuple[_Piece, np.ndarray]] = deque()
        with self.lock:
            for at in range(0, nbytes, size):
                if len(under_way) == PIECES:
                    _arrive(*under_way.popleft())
                piece, part = self._next(), made[at : at + size]
                self.driver.receive(piece.free()[: part.nbytes], buffer, start + at, stream)
                piece.sent(stream)
                under_way.append((piece, part))
            while under_way:
                _arrive(*under_way.popleft())
        return made


def _arrive(piece: _Piece, part: np.ndarray) -> None:
    part[:] = piece.free()[: part.nbytes]
