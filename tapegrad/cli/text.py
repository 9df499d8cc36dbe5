"""Text for terminals: tables, and what a terminal can show."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TextIO

__all__ = ["at_least_one", "columns", "printable"]


def at_least_one(word: str) -> int:
    """The type of arguments that count."""
    if not word.isdecimal() or (count := int(word)) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not {word!r}")
    return count


def printable(text: str, stream: TextIO | None) -> str:
    """`text` as a stream can take it.

    Control characters, which a stranger's file may hold and a terminal would obey, are spelt out; so is what the
    stream's encoding lacks, but for the prefix of microseconds, which becomes a "u".
    """
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        shown.encode(encoding)
    except UnicodeEncodeError:
        return shown.replace("µ", "u").encode(encoding, "backslashreplace").decode(encoding)
    return shown


def columns(rows: Iterable[Sequence[str]], right: Sequence[int] = (), indent: str = "  ") -> str:
    """Lines whose cells stand under one another; columns named by `right` end at the same place."""
    table = [list(row) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)
