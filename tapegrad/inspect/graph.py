"""Drawings as data: boxes with a kind and lines of text, and arrows between them; made of histories and of programs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from .history import History, Row
from .programs import ProgramRow

__all__ = ["Box", "Graph", "graph_of_history", "history_of_program"]


@dataclass
class Box:
    """What is drawn for a row.

    Attributes
    ----------
    kind : str
        ``leaf``, ``operation``, ``write``, ``reverse``, ``saved``, ``stale`` or ``result``: a colour.
    lines : list of str
    """

    kind: str
    lines: list[str]


@dataclass
class Graph:
    """Boxes by key, sources first; arrows as ``(from, to)`` with their text; ties are arrows without a head."""

    boxes: dict[Hashable, Box]
    arrows: dict[tuple, str]
    ties: list[tuple]


def graph_of_history(history: History, edges: dict[Any, str], show_saved: bool = False) -> Graph:
    """The drawing of a history.

    Parameters
    ----------
    history : History
    edges : dict
        Text on arrows, by pair of keys.
    show_saved : bool
        Draw the values that the reverse reads.
    """
    graph = Graph({}, {}, [])
    for key, row in history.rows.items():
        for k, saved in enumerate(row.saved if show_saved else ()):
            stamp = f"version {saved.version}" + (", overwritten since" if saved.overwritten else "")
            me = ("saved", key, k)
            graph.boxes[me] = Box("stale" if saved.overwritten else "saved", [f"saves {saved.label}", stamp])
            graph.ties.append((me, key))
        graph.boxes[key] = Box(_kind(row), _lines(row))
        for source in row.sources:
            graph.arrows[source, key] = edges.get((source, key), "")
    for k, key in enumerate(dict.fromkeys(history.outputs)):
        row = history.rows[key]
        graph.boxes["result", k] = Box("result", [f"result {_shape(row.shape)}".rstrip()])
        graph.arrows[key, ("result", k)] = ""
    return graph


def _kind(row: Row) -> str:
    if row.leaf is not None:
        return "leaf"
    return "reverse" if row.attrs.get("phase") == "reverse" else "write" if row.writes else "operation"


def _lines(row: Row) -> list[str]:
    name = (row.name or "leaf").split("\n")
    stamp = f"{'written in place, ' if row.writes else ''}version {row.version}" if row.version or row.writes else ""
    return [line for line in (*name, _shape(row.shape), stamp, "freed" if row.freed else "") if line]


def _shape(shape: tuple[int, ...] | None) -> str:
    return "" if not shape else " × ".join(map(str, shape))


def history_of_program(rows: list[ProgramRow], names: dict[int, str] | None = None) -> History:
    """The rows of a compiled program, as a history: its arguments are the leaves.

    Parameters
    ----------
    rows : list of ProgramRow
    names : dict, optional
        What inputs are called, by slot.
    """
    found: dict = {}
    written = {row.slot for row in rows if row.root != row.slot}
    for row in rows:
        given = row.phase == "input"
        if row.name == "constant" and not row.spec.shape:
            continue  # numbers would outnumber all else
        name = (names or {}).get(row.slot, row.name)
        found[row.slot] = Row(
            name,
            row.spec.shape,
            [k for k in dict.fromkeys(row.operands) if k in found],
            leaf=row if given else None,
            writes=False,
            attrs={"phase": row.phase} if row.slot not in written or row.phase == "reverse" else {},
        )
    return History(found, [row.slot for row in rows if row.is_result])
