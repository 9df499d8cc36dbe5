"""The charts of a report, as SVG whose colours are the page's."""

from __future__ import annotations

import html
import math
from collections.abc import Callable

from .machine import Machine
from .measured import Group, Measured, Span
from .units import human_bytes, human_rate, human_time

__all__ = ["memory_chart", "roofline_chart", "timeline_chart"]

WIDTH, LEFT, RIGHT = 960.0, 70.0, 16.0
SPAN = WIDTH - LEFT - RIGHT


def _svg(name: str, title: str, description: str, height: float, body: list[str]) -> str:
    return "\n".join(
        [
            f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-labelledby="{name}-title {name}-desc">',
            f'<title id="{name}-title">{html.escape(title)}</title>',
            f'<desc id="{name}-desc">{html.escape(description)}</desc>',
            *body,
            "</svg>",
        ]
    )


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(text)}</text>'


def _ticks(top: float, count: int = 6) -> list[float]:
    """Round numbers from zero to `top`."""
    if top <= 0:
        return [0.0]
    rough = top / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
    return [k * step for k in range(int(top / step + 1e-9) + 1)]


def _time_axis(total: float, y: float, top: float) -> list[str]:
    parts = []
    for tick in _ticks(total):
        x = LEFT + SPAN * tick / (total or 1.0)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(x, y + 15, human_time(tick) if tick else "0"))
    return parts


def timeline_chart(found: Measured) -> str:
    """Rows over time, the forward's above and the reverse's below."""
    total = found.total or 1.0
    lanes = {"forward": 26.0, "reverse": 74.0}
    body = _time_axis(total, 122.0, 18.0)
    for phase, top in lanes.items():
        body.append(_text(LEFT - 8, top + 24, phase, "end"))
        for spans in _merged([span for span in found.spans if span.phase == phase], total):
            start, end = spans[0].start, spans[-1].start + spans[-1].seconds
            width = max(SPAN * (end - start) / total, 0.8)
            slowest = max(spans, key=lambda span: span.seconds)
            body.append(
                f'<rect class="{slowest.kind}" x="{LEFT + SPAN * start / total:.2f}" y="{top:.0f}" '
                f'width="{width:.2f}" height="38"><title>{html.escape(_told(spans))}</title></rect>'
            )
    forward, reverse = found.seconds_of("forward"), found.seconds_of("reverse")
    told = f"Forward {human_time(forward)}, reverse {human_time(reverse)}, each stretch of rows run by itself."
    return _svg("timeline", "Time by row, forward and reverse", told, 144.0, body)


def _merged(spans: list[Span], total: float) -> list[list[Span]]:
    """Neighbours that would be too narrow to be seen, together."""
    found: list[list[Span]] = []
    for span in spans:
        last = found[-1] if found else None
        if last is not None:
            follows = abs(last[-1].start + last[-1].seconds - span.start) < 1e-12
            narrow = SPAN * (span.start + span.seconds - last[0].start) / total < 1.5
            if follows and narrow:
                last.append(span)
                continue
        found.append([span])
    return found


def _told(spans: list[Span]) -> str:
    seconds = human_time(sum(span.seconds for span in spans))
    names = list(dict.fromkeys(row.name for span in spans for row in span.rows))
    where = next((span.rows[0].place for span in spans if span.rows[0].place), "")
    shown = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
    return f"{shown}: {seconds}" + (f", {where}" if where else "")


def memory_chart(found: Measured) -> str:
    """Bytes of values that are still needed, over the same time."""
    total, peak = found.total or 1.0, max(count for _, count in found.live)
    top, bottom = 24.0, 170.0

    def y(count: float) -> float:
        return bottom - (bottom - top) * count / (peak or 1)

    body = _time_axis(total, bottom, top - 6)
    for tick in _ticks(peak, 4):
        body.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        body.append(_text(LEFT - 8, y(tick) + 4, human_bytes(tick) if tick else "0", "end"))
    path = f"M{LEFT:.1f} {bottom:.1f}"
    before = bottom
    for seconds, count in found.live:
        x = LEFT + SPAN * seconds / total
        path += f"L{x:.2f} {before:.2f}L{x:.2f} {y(count):.2f}"
        before = y(count)
    path += f"L{LEFT + SPAN:.1f} {before:.2f}L{LEFT + SPAN:.1f} {bottom:.1f}Z"
    body.append(f'<path class="area" d="{path}"/>')
    when = max(found.live, key=lambda point: point[1])[0]
    x = LEFT + SPAN * when / total
    anchor = "start" if x < WIDTH / 2 else "end"
    body.append(f'<circle class="mark" cx="{x:.1f}" cy="{y(peak):.1f}" r="4"/>')
    body.append(_text(x + (8 if anchor == "start" else -8), top - 8, f"most: {human_bytes(peak)}", anchor, "strong"))
    told = f"At most {human_bytes(peak)} of computed values are needed at once; inputs are {human_bytes(found.inputs)}."
    return _svg("memory", "Memory over time", told, 194.0, body)


def roofline_chart(found: Measured) -> str:
    """Groups of rows by operations for each byte, and operations a second, under what the machine can do."""
    shown = [group for group in found.groups if group.operations and group.nbytes and group.seconds]
    machine = found.machine
    xs = [group.operations / group.nbytes for group in shown] or [1.0]
    ys = [group.operations / group.seconds for group in shown] or [machine.product]
    low_x, high_x = _decades(min(xs) / 2, max(*xs, machine.product / machine.memory) * 2)
    low_y, high_y = _decades(min(ys) / 2, max(*ys, machine.product) * 1.5)
    top, bottom = 16.0, 330.0

    def x_at(value: float) -> float:
        return LEFT + SPAN * (math.log10(value) - low_x) / (high_x - low_x)

    def y_at(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(value) - low_y) / (high_y - low_y)

    body = [
        f'<clipPath id="plot"><rect x="{LEFT}" y="{top}" width="{SPAN}" height="{bottom - top}"/></clipPath>',
        *_decade_grid(low_x, high_x, low_y, high_y, x_at, y_at, top, bottom),
        *_roofs(machine, low_x, low_y, x_at, y_at, high_x),
    ]
    slowest = max((group.seconds for group in shown), default=1.0)
    placed: list[tuple[float, float]] = []
    labels = []  # above all discs
    for k, group in enumerate(shown):
        x, y = x_at(group.operations / group.nbytes), y_at(group.operations / group.seconds)
        radius = 4 + 9 * math.sqrt(group.seconds / slowest)
        body.append(
            f'<circle class="{group.kind} point" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{html.escape(_rates(group))}</title></circle>"
        )
        if k < 8 and all(abs(x - a) > 60 or abs(y - b) > 13 for a, b in placed):
            placed.append((x, y))
            right = x < WIDTH - 160
            labels.append(
                _text(x + (radius + 4 if right else -radius - 4), y + 4, group.name, "start" if right else "end")
            )
    body += labels
    told = "; ".join(_rates(group) for group in shown[:6]) or "No row computes anything."
    return _svg("roofline", "Operations a second by operations for each byte", told, 372.0, body)


def _decades(low: float, high: float) -> tuple[int, int]:
    return math.floor(math.log10(low)), math.ceil(math.log10(high))


def _decade_grid(
    low_x: int, high_x: int, low_y: int, high_y: int, x_at: Callable, y_at: Callable, top: float, bottom: float
) -> list[str]:
    parts = []
    for k in range(low_x, high_x + 1):
        x = x_at(10.0**k)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 15, f"{10.0**k:g}"))
    for k in range(low_y, high_y + 1):
        y = y_at(10.0**k)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, human_rate(10.0**k, "op/s"), "end"))
    return [*parts, _text(LEFT + SPAN / 2, bottom + 34, "operations for each byte read or written")]


def _roofs(machine: Machine, low_x: int, low_y: int, x_at: Callable, y_at: Callable, high_x: int) -> list[str]:
    """The slanted roofs of two memories, and the flat one of products."""
    parts = []
    slopes = {machine.cache: "first-level cache", machine.memory: "main memory"}  # one, where they are as fast
    for rate, name in slopes.items():
        ridge, left = machine.product / rate, max(10.0**low_x, 10.0**low_y / rate)
        low, high = (x_at(left), y_at(left * rate)), (x_at(ridge), y_at(machine.product))
        parts.append(f'<path class="roof" d="M{low[0]:.1f} {low[1]:.1f}L{high[0]:.1f} {high[1]:.1f}"/>')
        parts.append(_along(low, high, f"{name}, {human_rate(rate, 'B/s')}"))
    ridge = machine.product / machine.cache
    y = y_at(machine.product)
    parts.append(f'<path class="roof" d="M{x_at(ridge):.1f} {y:.1f}L{x_at(10.0**high_x):.1f} {y:.1f}"/>')
    text = f"matrix product, {human_rate(machine.product, 'op/s')}"
    return [*parts, _text(WIDTH - RIGHT, y - 6, text, "end", "strong")]


def _along(low: tuple[float, float], high: tuple[float, float], text: str) -> str:
    """Text on a line's lower end, where few discs are."""
    (x, y), (a, b) = low, high
    angle = math.degrees(math.atan2(b - y, a - x))
    place = f"translate({x + 14:.1f} {y - 14 * (y - b) / (a - x) - 6:.1f}) rotate({angle:.1f})"
    return f'<text class="strong" transform="{place}">{text}</text>'


def _rates(group: Group) -> str:
    return (
        f"{group.name}: {group.operations / group.nbytes:.3g} operations a byte, "
        f"{human_rate(group.operations / group.seconds, 'op/s')}, {human_rate(group.nbytes / group.seconds, 'B/s')}, "
        f"{human_time(group.seconds)}"
    )
