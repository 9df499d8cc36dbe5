"""Long histories in short: rows that follow one another become one box, with what they are and how many."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .history import History, Row

__all__ = ["summarised"]

BLOCKS = 40
"""Boxes that a long history is drawn as, beside its leaves."""
LEAVES = 24
"""Leaves that a long history is drawn with; the others are counted."""


def summarised(history: History) -> tuple[History, dict[Any, str]]:
    """A history of at most some 60 rows, and what stands on the edges.

    Parameters
    ----------
    history : History

    Returns
    -------
    History
        Blocks of rows that were recorded one after another.
    dict
        Text by ``(source key, key)``: how many gradients go that way.
    """
    inner = [key for key, row in history.rows.items() if row.leaf is None]
    leaves = [key for key, row in history.rows.items() if row.leaf is not None]
    size = max(1, -(-len(inner) // BLOCKS))
    place: dict = {key: ("block", k // size) for k, key in enumerate(inner)}
    place.update({key: key if k < LEAVES else ("leaves", 0) for k, key in enumerate(leaves)})
    rows: dict = {key: history.rows[key] for key in leaves[:LEAVES]}
    if len(leaves) > LEAVES:
        rows["leaves", 0] = Row(f"{len(leaves) - LEAVES} more leaves", None)
    counts: dict = {}
    for k, key in enumerate(inner):
        counts.setdefault(("block", k // size), Counter())[history.rows[key].name] += 1
    for block, names in counts.items():
        rows[block] = Row(_contents(names, block[1] * size), None)
    edges: Counter = Counter()
    for key, row in history.rows.items():
        for source in row.sources:
            a, b = place[source], place[key]
            if a != b:
                edges[a, b] += 1
    for a, b in edges:
        rows[b].sources.append(a)
    outputs = [place[key] for key in history.outputs]
    return History(rows, outputs), {edge: f"{n:,}" for edge, n in edges.items() if n > 1}


def _contents(names: Counter, start: int) -> str:
    total = sum(names.values())
    lines = [f"rows {start:,} to {start + total - 1:,}"]
    most = names.most_common(4)
    lines += [f"{n:,} {name}" for name, n in most]
    rest = total - sum(n for _, n in most)
    return "\n".join(lines + [f"{rest:,} others"] * bool(rest))
