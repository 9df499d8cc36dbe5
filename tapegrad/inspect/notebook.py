"""What notebooks show: tensors, compiled functions and profiles as HTML, in the notebook's own colours."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from .units import human_bytes, human_time

if TYPE_CHECKING:
    from ..compiler.looking import Looking
    from ..tape.handle import Tensor
    from .programs import Profile

__all__ = ["compiled_html", "profile_html", "tensor_html"]

MOST_ROWS = 30


def _table(heads: list[str], rows: list[list[str]], numbers: tuple[int, ...] = ()) -> str:
    def align(k: int) -> str:
        return f' style="text-align:{"right" if k in numbers else "left"}"'

    head = "".join(f"<th{align(k)}>{h}</th>" for k, h in enumerate(heads))
    body = "".join("<tr>" + "".join(f"<td{align(k)}>{c}</td>" for k, c in enumerate(row)) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _code(text: object) -> str:
    return f"<code>{html.escape(str(text))}</code>"


def tensor_html(x: Tensor) -> str:
    """Values, and in a line above them what a gradient depends on."""
    facts = [f"{x.dtype.name}{list(x.shape)}"]
    if x.requires_grad:
        facts.append("a leaf that requires grad" if x.grad_fn is None else f"from {x.grad_fn.name()}")
    if x._version:
        facts.append(f"version {x._version}")
    if str(x.device) != "cpu":
        facts.append(str(x.device))
    text = f'<pre style="font-family:monospace">{html.escape(repr(x))}</pre>'
    return f"<div><small>{html.escape(', '.join(facts))}</small>{text}</div>"


def compiled_html(step: Looking) -> str:
    """Its paths, with their guards."""
    from .programs import rows_of

    rows = []
    for program in step.paths()[:MOST_ROWS]:
        asked = [f"{g} = {g.shown(v)}" for g, v in zip(program.guards, program.outcomes, strict=True)]
        own = rows_of(program)
        arguments = ", ".join(repr(row.spec) for row in own if row.name == "argument")
        rows.append([_code(arguments), f"{len(own):,}", "<br>".join(map(_code, asked[:8])) or "none"])
    title = f"<p>compiled {_code(getattr(step, '__name__', 'function'))}: {len(step.paths())} recorded paths</p>"
    return title + (_table(["arguments", "rows", "guards"], rows, (1,)) if rows else "")


def profile_html(profile: Profile) -> str:
    """The lines and the rows that take longest."""
    whole = sum(t.seconds for t in profile.timings) or 1.0
    code = f"{profile.native}; interpreted " if profile.native else ""
    parts = [f"<p>{code}{human_time(profile.total)} a replay; {len(profile.timings):,} rows</p>"]
    for head, timings in (("line", profile.by_line()), ("rows", profile.by_row())):
        rows: list[list[Any]] = [
            [
                human_time(t.seconds),
                f"{t.seconds / whole:.1%}",
                human_bytes(t.nbytes),
                _code(f"{t.place}  {t.text}" if head == "line" else t.text),
            ]
            for t in timings[:MOST_ROWS]
        ]
        parts.append(_table(["time", "share", "bytes", head], rows, (0, 1, 2)))
    return "".join(parts)
