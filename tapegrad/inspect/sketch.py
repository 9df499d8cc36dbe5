"""A drawing as SVG, light or dark as the reader's screen is."""

from __future__ import annotations

import html
import itertools

from .graph import Box, Graph
from .layers import arrange

__all__ = ["COLOURS", "svg_of"]

CHARACTER, LINE, PADDING = 7.3, 16.0, 9.0
MARGIN = 10.0
COLOURS = {
    "leaf": ("#dbeafe", "#1d4ed8", "#1e3a5f", "#93c5fd"),
    "operation": ("#f1f5f9", "#64748b", "#27303f", "#94a3b8"),
    "write": ("#fef9c3", "#a16207", "#4a3f10", "#fde047"),
    "reverse": ("#ede9fe", "#6d28d9", "#3b2a63", "#c4b5fd"),
    "saved": ("#ffedd5", "#c2410c", "#4f2c12", "#fdba74"),
    "stale": ("#fee2e2", "#b91c1c", "#571c1c", "#fca5a5"),
    "result": ("#dcfce7", "#15803d", "#163d26", "#86efac"),
}
"""Fill and line by kind of box, on light ground and on dark."""


def svg_of(graph: Graph, title: str) -> str:
    """The picture.

    Parameters
    ----------
    graph : Graph
    title : str
        Read out by screen readers, and shown when the pointer rests on the picture.
    """
    sizes = {key: _size(box) for key, box in graph.boxes.items()}
    layout = arrange(sizes, [*graph.arrows, *graph.ties])
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" class="tg-graph" style="max-width:100%;height:auto">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{_style()}</style>",
        '<defs><marker id="tg-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" class="tg-head"/></marker></defs>',
        '<rect class="tg-ground" width="100%" height="100%" rx="6"/>',
        f'<g transform="translate({MARGIN:g} {MARGIN:g})">',
    ]
    for pair, points in layout.lines.items():
        tie = pair not in graph.arrows
        parts.append(
            _line(points, sizes[pair[0]][1] / 2, sizes[pair[1]][1] / 2, "" if tie else graph.arrows[pair], tie)
        )
    for key, box in graph.boxes.items():
        parts.append(_box(box, layout.centres[key], sizes[key]))
    return "\n".join([*parts, "</g>", "</svg>"])


def _size(box: Box) -> tuple[float, float]:
    widest = max(map(len, box.lines), default=1)
    return CHARACTER * widest + 2 * PADDING, LINE * len(box.lines) + PADDING


def _style() -> str:
    rules = [
        ".tg-graph text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#0f172a}"
        ".tg-graph .tg-edge{fill:none;stroke:#64748b}.tg-graph .tg-head{fill:#64748b}.tg-graph .tg-ground{fill:#ffffff}"
    ]
    dark = [
        ".tg-graph text{fill:#f1f5f9}.tg-graph .tg-edge{stroke:#94a3b8}.tg-graph .tg-head{fill:#94a3b8}"
        ".tg-graph .tg-ground{fill:#131a22}"
    ]
    for kind, (fill, line, dark_fill, dark_line) in COLOURS.items():
        rules.append(f".tg-graph .tg-{kind}{{fill:{fill};stroke:{line}}}")
        dark.append(f".tg-graph .tg-{kind}{{fill:{dark_fill};stroke:{dark_line}}}")
    return "".join(rules) + "@media(prefers-color-scheme:dark){" + "".join(dark) + "}"


def _line(points: list, above: float, below: float, text: str, tie: bool) -> str:
    """An edge: straight down in and out of each point, so that it is smooth where it bends."""
    (x0, y0), *middle, (x1, y1) = points
    path = [(x0, y0 + above), *middle, (x1, y1 - below - (0 if tie else 1))]
    d = f"M{path[0][0]:.1f} {path[0][1]:.1f}"
    for (a, b), (x, y) in itertools.pairwise(path):
        half = (y - b) / 2
        d += f"C{a:.1f} {b + half:.1f} {x:.1f} {y - half:.1f} {x:.1f} {y:.1f}"
    head = ' stroke-dasharray="3 3"' if tie else ' marker-end="url(#tg-head)"'
    label = ""
    if text:
        (a, b), (x, y) = path[0], path[1]
        label = f'<text x="{(a + x) / 2 + 4:.1f}" y="{(b + y) / 2 + 4:.1f}" font-size="10">{html.escape(text)}</text>'
    return f'<path class="tg-edge" d="{d}"{head}/>{label}'


def _box(box: Box, centre: tuple[float, float], size: tuple[float, float]) -> str:
    (x, y), (width, height) = centre, size
    left, top = x - width / 2, y - height / 2
    rounded = 10 if box.kind in ("leaf", "result") else 3
    text = "".join(
        f'<text x="{x:.1f}" y="{top + PADDING / 2 + LINE * k + 12:.1f}" text-anchor="middle">{html.escape(line)}</text>'
        for k, line in enumerate(box.lines)
    )
    return (
        f'<rect class="tg-{box.kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{rounded}"/>{text}'
    )
