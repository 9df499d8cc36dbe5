"""Places in the user's code: noted for the price of two attributes, worked out when a message needs them."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

from ..vm.fields import CODE_BITS

__all__ = ["describe", "inside", "known", "site_of", "user_site"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Inside(dict):
    """Whether the code in a file belongs to this package."""

    def __missing__(self, filename: str) -> bool:
        self[filename] = filename.startswith(_PACKAGE)
        return self[filename]


inside = _Inside()


known: dict[int, tuple[CodeType, int]] = {}
"""Places outside the package at which something was written, so that one tuple serves all writes of a place.

Machine code looks here, by a number that is made of the code's identity and the position.
"""
_MOST_KNOWN = 4096


def site_of(frame: FrameType) -> tuple[CodeType, int] | None:
    """The code of a frame and the position in it; None for a frame of the package."""
    code, position = frame.f_code, frame.f_lasti
    if inside[code.co_filename]:
        return None
    key = id(code) + (position << CODE_BITS)
    site = known.get(key)
    if site is None or site[0] is not code or site[1] != position:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        site = known[key] = code, position
    return site


def user_site() -> tuple[CodeType, int] | None:
    """The code, and the position in it, of the first frame outside the package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        site = site_of(frame)
        if site is not None:
            return site
        frame = frame.f_back
    return None


def describe(site: tuple[CodeType, int] | None) -> str:
    """``file:line`` of a place."""
    if site is None:
        return "<unknown>:0"
    code, position = site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= position < end and number is not None:
            line = number
    return f"{code.co_filename}:{line}"
