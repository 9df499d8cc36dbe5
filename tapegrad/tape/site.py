"""Places in the user's code: noted for the price of two attributes, worked out when a message needs them."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

__all__ = ["describe", "inside", "user_site"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Inside(dict):
    """Whether the code in a file belongs to this package."""

    def __missing__(self, filename: str) -> bool:
        self[filename] = filename.startswith(_PACKAGE)
        return self[filename]


inside = _Inside()


def user_site() -> tuple[CodeType, int] | None:
    """The code, and the position in it, of the first frame outside the package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and inside[frame.f_code.co_filename]:
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti)


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
