"""A history in Graphviz's DOT language, in the colours and shapes that torchviz has made familiar."""

from __future__ import annotations

from typing import Any

from .history import History, Row

__all__ = ["dot_of"]

_HEAD = (
    'digraph {\n\tgraph [bgcolor=white size="{size},{size}"]\n'
    "\tnode [align=left fontname=monospace fontsize=10 height=0.2 ranksep=0.1 shape=box style=filled]\n"
)


def dot_of(history: History, edges: dict[Any, str], show_attrs: bool, show_saved: bool, max_attr_chars: int) -> str:
    """DOT text.

    Parameters
    ----------
    history : History
    edges : dict
        Text on edges, by pair of keys.
    show_attrs, show_saved : bool
    max_attr_chars : int
        Of an attribute's value, what is longer is cut.
    """
    ids = {key: f"n{k}" for k, key in enumerate(history.rows)}
    lines = []
    for key, row in history.rows.items():
        me = ids[key]
        if row.leaf is not None:
            lines.append(_node(me, _lines(row.name, _shape(row.shape), _stamp(row)), "lightblue"))
            lines.append(_node(f"{me}a", "AccumulateGrad", "lightgrey"))
            lines.append(f"\t{me} -> {me}a")
            continue
        lines.append(
            _node(me, _row_text(row, show_attrs, max_attr_chars), "lightyellow" if row.writes else "lightgrey")
        )
        for source in row.sources:
            tail = ids[source] + "a" * (history.rows[source].leaf is not None)
            text = edges.get((source, key))
            lines.append(f"\t{tail} -> {me}" + (f" [label={_quoted(text)} fontsize=9]" if text else ""))
        if show_saved:
            lines += _saved_nodes(me, row)
    for k, key in enumerate(dict.fromkeys(history.outputs)):
        row = history.rows[key]
        tail = ids[key] + "a" * (row.leaf is not None)
        lines.append(_node(f"out{k}", _shape(row.shape) or "result", "darkolivegreen1"))
        lines.append(f"\t{tail} -> out{k}")
    size = max(12.0, 0.15 * len(lines))
    return _HEAD.replace("{size}", f"{size:g}") + "\n".join(lines) + "\n}\n"


def _row_text(row: Row, show_attrs: bool, max_attr_chars: int) -> str:
    text = _lines(row.name, _stamp(row), "freed" if row.freed else "")
    if not show_attrs or not row.attrs:
        return text
    width = max(len(k) for k in row.attrs)
    shown = [f"{k:{width}}: {_cut(v, max_attr_chars)}" for k, v in row.attrs.items()]
    return _lines(text, "-" * max(len(s) for s in shown), *shown)


def _saved_nodes(me: str, row: Row) -> list[str]:
    """Orange boxes, tied to the row without an arrow; red where the value was overwritten."""
    lines = []
    for k, saved in enumerate(row.saved):
        stamp = f"version {saved.version}" + (", overwritten since" if saved.overwritten else "")
        colour = "tomato" if saved.overwritten else "orange"
        lines.append(_node(f"{me}s{k}", _lines(saved.label, _shape(saved.shape), stamp), colour))
        lines.append(f"\t{me} -> {me}s{k} [dir=none]")
    return lines


def _stamp(row: Row) -> str:
    written = "written in place, " if row.writes else ""
    return f"{written}version {row.version}" if row.version or row.writes else ""


def _shape(shape: tuple[int, ...] | None) -> str:
    return "" if shape is None else "(" + ", ".join(map(str, shape)) + ")"


def _cut(value: object, most: int) -> str:
    text = str(value)
    return text if len(text) <= most else text[: max(most - 3, 0)] + "..."


def _lines(*parts: str) -> str:
    return "\n".join(p for p in parts if p)


def _node(name: str, text: str, colour: str) -> str:
    return f"\t{name} [label={_quoted(text)} fillcolor={colour}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
