"""`Compiled.report`: one HTML file that shows what a compiled function does, and where its time and memory go.

The page loads nothing, has no script, and is read by eye, by keyboard or by ear: each chart has a table beside it.
"""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .charts import memory_chart, roofline_chart, timeline_chart
from .measured import Measured, measured, source_of
from .units import human_bytes, human_rate, human_time

if TYPE_CHECKING:
    from .programs import Profile, ProgramRow

__all__ = ["report_html", "write_report"]

MOST_ROWS = 2000
"""Rows of the listing; of a longer program the middle is left out."""
MOST_DRAWN = 150
"""Rows of which a graph is drawn."""
KINDS = {
    "elementwise": "element by element",
    "product": "products and factorisations",
    "reduction": "sums and their kin",
    "move": "moving and viewing",
    "Python": "run by Python",
}


def write_report(step: Any, path: str | os.PathLike, profile: Profile) -> str:
    """Write the page; a file holds what it held before, or all of the new.

    Parameters
    ----------
    step : Compiled
        Whose paths and reasons are listed.
    path : str or path-like
    profile : Profile
        Of one of its programs.

    Returns
    -------
    str
        The file's name.
    """
    target = Path(path)
    text = report_html(step, profile)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
    return str(target)


def report_html(step: Any, profile: Profile) -> str:
    """The page as text."""
    found = measured(profile)
    name = getattr(step, "__name__", "function")
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    sections = [
        ("timeline", "Time: forward and reverse", _timeline(found)),
        ("memory", "Memory over time", _memory(found)),
        ("roofline", "Roofline", _roofline(found)),
        ("lines", "Your code, by line", _lines(found)),
        ("graph", "Graph", _graph(found, name)),
        ("listing", "Rows", _listing(found)),
        ("guards", "Guards and paths", _guards(step)),
    ]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-heading"><h2 id="{key}-heading">{title}</h2>{text}</section>\n'
        for key, title, text in sections
    )
    from .. import __version__

    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Report of {_safe(name)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the charts</a>
<header>
<h1>Compiled <code>{_safe(name)}</code></h1>
{_facts(step, found)}
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="main" tabindex="-1">
{body}</main>
<footer class="soft">Written by tapegrad {__version__}. Times are the fastest of several runs on the machine that wrote
this page.</footer>
</body>
</html>
"""


def _safe(text: object) -> str:
    return html.escape(str(text))


def _facts(step: Any, found: Measured) -> str:
    phases = {row.phase for row in found.rows}
    facts = [
        ("a replay", human_time(found.replay)),
        ("rows", f"{sum(row.phase != 'input' for row in found.rows):,}"),
        ("forward", human_time(found.seconds_of("forward"))),
        ("reverse", human_time(found.seconds_of("reverse")) if "reverse" in phases else "none"),
        ("peak of values", human_bytes(max(count for _, count in found.live))),
        ("inputs", human_bytes(found.inputs)),
        ("recorded paths", f"{len(step.paths()):,}"),
    ]
    return '<dl class="facts">' + "".join(f"<div><dt>{k}</dt><dd>{_safe(v)}</dd></div>" for k, v in facts) + "</dl>"


def _figure(name: str, chart: str, caption: str) -> str:
    """A chart, which scrolls where the window is too narrow to read it."""
    return (
        f'<figure><div class="chart" tabindex="0" role="region" aria-label="{name}: chart">{chart}</div>'
        f"<figcaption class='soft'>{caption}</figcaption></figure>"
    )


def _legend(kinds: Iterable[str]) -> str:
    square = '<svg viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" class="{}"/></svg>'
    return (
        '<ul class="legend">' + "".join(f"<li>{square.format(k)}{KINDS[k]}</li>" for k in KINDS if k in kinds) + "</ul>"
    )


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence], numbers: Sequence[int] = ()) -> str:
    """A table in a region that scrolls, by keyboard too; cells are HTML."""
    kind = ["number" if k in numbers else "" for k in range(len(heads))]
    head = "".join(f'<th scope="col" class="{kind[k]}">{h}</th>' for k, h in enumerate(heads))
    lines = "".join(
        "<tr>" + "".join(f'<td class="{kind[k]}">{cell}</td>' for k, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return _scrolling(caption, f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody>")


def _scrolling(caption: str, content: str) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_safe(caption)}">'
        f"<table><caption>{_safe(caption)}</caption>{content}</table></div>"
    )


def _code(text: str) -> str:
    return f"<code>{_safe(text)}</code>" if text else ""


def _is_listed(place: int, count: int) -> bool:
    """Whether a row stands in the listing, of which the middle is left out where it is long."""
    return count <= MOST_ROWS or not MOST_ROWS // 2 <= place < count - MOST_ROWS // 2


def _link(row: ProgramRow, found: Measured) -> str:
    """A row's name, as a link to its line of the listing."""
    name = _code(row.name)
    return f'<a href="#row-{row.slot}">{name}</a>' if _is_listed(found.rows.index(row), len(found.rows)) else name


def _timeline(found: Measured) -> str:
    slowest = sorted(found.spans, key=lambda span: -span.seconds)[:10]
    rows = [
        [
            _link(span.rows[0], found),
            span.phase,
            human_time(span.seconds),
            f"{span.seconds / (found.total or 1):.1%}",
            _code(span.rows[0].place),
        ]
        for span in slowest
    ]
    code = ""
    if found.code:
        steps = f"{found.code.steps} step{'s' * (found.code.steps > 1)}"
        code = f", with machine code for {found.code.rows} rows in {steps}"
    caption = (
        f"Row by row the program takes {human_time(found.total)}, as each row is started from Python (some 0.5 µs "
        f"each) and interpreted; a replay, which is one call, takes {human_time(found.replay)}{code}. Rest the pointer "
        "on a bar to see what it is."
    )
    return (
        _figure("Time", timeline_chart(found), caption)
        + _legend({span.kind for span in found.spans})
        + _table("The slowest rows", ["row", "phase", "time", "share", "from"], rows, (2, 3))
    )


def _memory(found: Measured) -> str:
    caption = (
        "Bytes of computed values that are still to be read, or are results. The memory of a value is used again when "
        "it has been read for the last time."
    )
    largest = sorted((row for row in found.rows if row.nbytes), key=lambda row: -row.nbytes)[:10]
    rows = [[_link(row, found), row.phase, _code(repr(row.spec)), human_bytes(row.nbytes)] for row in largest]
    table = _table("The largest values", ["row", "phase", "type", "bytes"], rows, (3,))
    return (
        _figure("Memory", memory_chart(found), caption)
        + f"<details><summary>The largest values</summary>{table}</details>"
    )


def _roofline(found: Measured) -> str:
    machine = found.machine
    caption = (
        "Rows of one kind are one disc, as large as its share of the time. A disc near the slanted lines is held up by "
        f"memory ({human_rate(machine.memory, 'B/s')} from main memory, {human_rate(machine.cache, 'B/s')} from the "
        "first-level cache, measured by copies on this machine), one near the flat line by arithmetic "
        f"({human_rate(machine.product, 'op/s')} in a product of matrices); one far below all lines by the cost of "
        "starting many small rows, or of functions such as <code>exp</code>, which count as one operation."
    )
    rows = [
        [
            _code(group.name),
            f"{group.count:,}",
            human_time(group.seconds),
            f"{group.seconds / (found.total or 1):.1%}",
            human_bytes(group.nbytes),
            f"{group.operations:,.0f}",
            human_rate(group.nbytes / group.seconds, "B/s") if group.seconds else "",
            human_rate(group.operations / group.seconds, "op/s") if group.seconds and group.operations else "",
        ]
        for group in found.groups
    ]
    heads = ["rows", "count", "time", "share", "bytes", "operations", "bandwidth", "speed"]
    return (
        _figure("Roofline", roofline_chart(found), caption)
        + _legend({group.kind for group in found.groups if group.operations})
        + _table("Rows by kind", heads, rows, range(1, 8))
    )


def _lines(found: Measured) -> str:
    rows = [
        [
            _code(place) or "no line of yours",
            _code(text),
            human_time(forward) if forward else "",
            human_time(reverse) if reverse else "",
            f"{(forward + reverse) / (found.total or 1):.1%}",
            f"{count:,}",
        ]
        for place, text, forward, reverse, count in found.by_line()
    ]
    heads = ["line", "code", "forward", "reverse", "share", "rows"]
    return _table("Time by line; the reverse's rows count where the forward's stand", heads, rows, (2, 3, 4, 5))


def _graph(found: Measured, name: str) -> str:
    from .graph import graph_of_history, history_of_program
    from .sketch import svg_of
    from .summary import summarised

    edges: dict[Any, str] = {}
    history = history_of_program(found.rows)
    if len(history.rows) > MOST_DRAWN:
        history, edges = summarised(history)
    svg = svg_of(graph_of_history(history, edges), f"graph of {name}")
    return (
        "<p>Arguments are blue, rows of the forward grey, those of the reverse violet, results green.</p>"
        f"<details open><summary>Drawing of {len(found.rows):,} rows</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Drawing">{svg}</div></details>'
    )


def _listing(found: Measured) -> str:
    seconds = {row.slot: span for span in found.spans for row in span.rows[:1]}
    rows = found.rows
    lines = []
    for k, row in enumerate(rows):
        if not _is_listed(k, len(rows)):
            if k == MOST_ROWS // 2:
                lines.append(f'<tr><td colspan="8">... {len(rows) - MOST_ROWS:,} rows ...</td></tr>')
            continue
        span = seconds.get(row.slot)
        cells = [
            f'<th scope="row" class="number">%{row.slot}</th>',
            f'<td class="code">{_safe(row.text)}{" → result" if row.is_result else ""}</td>',
            f'<td class="code">{_safe(repr(row.spec))}</td>',
            f"<td>{row.phase}</td>",
            f'<td class="number">{human_time(span.seconds) if span else ""}</td>',
            f'<td class="number">{human_bytes(row.traffic) if row.traffic else ""}</td>',
            f'<td class="code">{_safe(row.place)}</td>',
            f'<td class="code">{_safe(source_of(row.place))}</td>',
        ]
        lines.append(f'<tr id="row-{row.slot}" class="{row.phase}">{"".join(cells)}</tr>')
    heads = ["slot", "row", "type", "phase", "time", "bytes", "from", "code"]
    head = "".join(
        f'<th scope="col" class="{"number" if k in (0, 4, 5) else ""}">{h}</th>' for k, h in enumerate(heads)
    )
    content = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return _scrolling("Rows in the order in which they run", content)


def _guards(step: Any) -> str:
    paths = step.paths()
    text = (
        "<p>What the function asked of values while it was recorded (<code>if x &gt; 0</code>, <code>int(n)</code>) is "
        "asked again in each replay; where an answer differs, another path is replayed, or recorded.</p>"
    )
    if not paths:
        text += "<p>Nothing has been recorded by calls yet.</p>"
    for k, program in enumerate(paths):
        guards = [
            [str(n), guard.kind, _code(guard.where), _code(source_of(guard.where)), _code(guard.shown(answer))]
            for n, (guard, answer) in enumerate(zip(program.guards, program.outcomes, strict=True))
        ]
        title = f"Path {k}: {program.summary()}"
        if guards:
            text += _table(title, ["guard", "asks", "at", "code", "answer"], guards[:200])
        else:
            text += f"<p>{_safe(title)}, without guards.</p>"
    return f"{text}<h3>Why paths were recorded</h3><pre tabindex='0'>{_safe(step.explain())}</pre>"
