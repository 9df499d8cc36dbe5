"""A history as text for terminals: from the outputs down, chains straight on, branches indented."""

from __future__ import annotations

from typing import Any

from .history import History, Row

__all__ = ["text_of"]


def text_of(history: History, limit: int = 200) -> str:
    """Lines, one a row or leaf.

    Parameters
    ----------
    history : History
    limit : int
        Lines to show.

    Notes
    -----
    The last source of a row stands below it in the same column, all others are indented; a row that was shown
    before is referred to by its number.
    """
    uses: dict = {}
    for row in history.rows.values():
        for source in row.sources:
            uses[source] = uses.get(source, 0) + 1
    lines: list[str] = []
    numbers: dict = {}
    for key in dict.fromkeys(history.outputs):
        lines += _tree(history, key, uses, numbers, limit - len(lines))
    shown = lines[:limit]
    left = len(history.rows) - len(numbers)
    return "\n".join(shown + [f"... {left:,} more rows"] * (left > 0 and len(lines) >= limit))


def _tree(history: History, root: Any, uses: dict, numbers: dict, limit: int) -> list[str]:
    lines: list[str] = []
    stack = [(root, "", "")]
    while stack and len(lines) < limit:
        key, lead, mark = stack.pop()
        row = history.rows[key]
        if key in numbers:
            lines.append(f"{lead}{mark}^ {numbers[key]}: {_first(row)}")
            continue
        numbers[key] = len(numbers) + 1
        label = f"{numbers[key]}: " if uses.get(key, 0) > 1 else ""
        lines.append(f"{lead}{mark}{label}{_text(row)}")
        inner = lead + {"": "", "|- ": "|  "}[mark]
        sources = sorted(row.sources, key=lambda s: history.rows[s].leaf is None)  # leaves first
        for k, source in reversed(list(enumerate(sources))):
            straight = k == len(sources) - 1 and history.rows[source].leaf is None
            stack.append((source, inner, "" if straight else "|- "))
    return lines


def _first(row: Row) -> str:
    return (row.name or "leaf").split("\n")[0]


def _text(row: Row) -> str:
    shape = "" if row.shape is None else " (" + ", ".join(map(str, row.shape)) + ")"
    name = (row.name or "leaf").replace("\n", ", ")
    if row.leaf is not None:
        name = f"{name} = leaf" if row.name else name
    stamp = f", version {row.version}" if row.version else ""
    notes = ", in place" * row.writes + stamp + ", freed" * row.freed
    saved = "; saves " + ", ".join(s.label + " (overwritten)" * s.overwritten for s in row.saved) if row.saved else ""
    return f"{name}{shape}{notes}{saved}"
